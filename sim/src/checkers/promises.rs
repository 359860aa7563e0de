//! M1 and M3: a promise never goes back, restarts included, and no vote is given below one.

use synod_core::Ballot;

use super::{PerPlace, Place, Verdict, Violation};

/// The highest promise that each node's member of each group ever put on the wire.
#[derive(Debug)]
pub struct Promises {
    said: PerPlace<Ballot>,
}

impl Promises {
    /// Nobody has promised anything.
    #[must_use]
    pub fn new(nodes: usize, groups: usize) -> Self {
        Self { said: PerPlace::new(nodes, groups) }
    }

    /// A node says that it has promised `ballot`.
    ///
    /// # Errors
    ///
    /// If it has told of a higher promise before (M1).
    pub fn promise(&mut self, place: Place, ballot: Ballot) -> Verdict {
        let said = self.said.at(place);
        if ballot < *said {
            let what = format!("{place} promises {ballot} after it promised {said}");
            return Err(Violation::new("promises", what));
        }
        *said = ballot;
        Ok(())
    }

    /// A node's member of a group is another acceptor from here on.
    pub fn reborn(&mut self, place: Place) {
        *self.said.at(place) = Ballot::ZERO;
    }

    /// A node votes in `ballot`.
    ///
    /// # Errors
    ///
    /// If it has told of a higher promise before (M3).
    pub fn vote(&mut self, place: Place, ballot: Ballot, doing: &str) -> Verdict {
        let said = *self.said.at(place);
        if ballot < said {
            let what = format!("{place} {doing} in {ballot} after it promised {said}");
            return Err(Violation::new("promises", what));
        }
        Ok(())
    }

    /// A node starts again, with this promise.
    ///
    /// # Errors
    ///
    /// If it has told of a higher promise before (M1).
    pub fn started(&mut self, place: Place, promised: Ballot) -> Verdict {
        let said = *self.said.at(place);
        if promised < said {
            let what = format!("{place} starts with promise {promised}, and had promised {said}");
            return Err(Violation::new("promises", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place};
    use super::*;

    #[test]
    fn promises_may_rise_and_stay() {
        let mut promises = Promises::new(3, 1);
        assert_eq!(promises.promise(place(0), ballot(2, 1)), Ok(()));
        assert_eq!(promises.promise(place(0), ballot(2, 1)), Ok(()));
        assert_eq!(promises.promise(place(0), ballot(2, 3)), Ok(()));
        assert_eq!(promises.vote(place(0), ballot(2, 3), "accepted"), Ok(()));
        assert_eq!(promises.promise(place(1), ballot(1, 1)), Ok(()), "another node is free");
    }

    #[test]
    fn a_promise_that_goes_back_is_heard() {
        let mut promises = Promises::new(3, 1);
        promises.promise(place(0), ballot(3, 1)).unwrap();
        let violation = promises.promise(place(0), ballot(2, 2)).unwrap_err();
        assert_eq!(violation.what, "n1 in group 0 promises 2.2 after it promised 3.1");
        assert!(promises.started(place(0), ballot(2, 9)).is_err());
    }

    #[test]
    fn another_acceptor_has_promised_nothing() {
        let mut promises = Promises::new(3, 1);
        promises.promise(place(0), ballot(3, 1)).unwrap();
        promises.reborn(place(0));
        assert_eq!(promises.started(place(0), Ballot::ZERO), Ok(()));
    }

    #[test]
    fn a_vote_below_a_promise_is_heard() {
        let mut promises = Promises::new(3, 1);
        promises.promise(place(0), ballot(3, 1)).unwrap();
        assert!(promises.vote(place(0), ballot(2, 2), "accepted").is_err());
    }
}
