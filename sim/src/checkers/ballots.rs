//! I3: a ballot is used by its own node, in one process life, and never after it was released.

use std::collections::BTreeMap;

use synod_core::{Ballot, Member};

use super::{Verdict, Violation};

/// Every ballot in which somebody prepared or led.
#[derive(Debug, Default)]
pub struct Ballots {
    lives: BTreeMap<(usize, Ballot), Use>,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    life: u64,
    is_released: bool,
}

impl Ballots {
    /// A node prepares, proposes or leads in `ballot`, in its `life`-th process life.
    ///
    /// # Errors
    ///
    /// If the ballot is another node's, was used in another life, or was released.
    pub fn used(&mut self, group: usize, me: Member, life: u64, ballot: Ballot) -> Verdict {
        if ballot.member() != me {
            let what = format!("{me} uses ballot {ballot} of {}", ballot.member());
            return Err(Violation::new("ballots", what));
        }
        let fresh = Use { life, is_released: false };
        let first = *self.lives.entry((group, ballot)).or_insert(fresh);
        if first.life != life {
            let what = format!("{me} uses {ballot} in life {life}, and had in life {}", first.life);
            return Err(Violation::new("ballots", what));
        }
        if first.is_released {
            let what = format!("{me} acts in {ballot} after it released that ballot");
            return Err(Violation::new("ballots", what));
        }
        Ok(())
    }

    /// A node hands over, and will say nothing more in `ballot`.
    pub fn released(&mut self, group: usize, life: u64, ballot: Ballot) {
        self.lives.insert((group, ballot), Use { life, is_released: true });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, member};
    use super::*;

    #[test]
    fn a_ballot_belongs_to_one_node_and_one_life() {
        let mut ballots = Ballots::default();
        assert_eq!(ballots.used(0, member(0), 1, ballot(1, 1)), Ok(()));
        assert_eq!(ballots.used(0, member(0), 1, ballot(1, 1)), Ok(()));
        assert_eq!(ballots.used(1, member(0), 2, ballot(1, 1)), Ok(()), "another group");
        assert!(ballots.used(0, member(1), 1, ballot(1, 1)).is_err(), "not its own");
        assert!(ballots.used(0, member(0), 2, ballot(1, 1)).is_err(), "another life");
    }

    #[test]
    fn a_released_ballot_is_over() {
        let mut ballots = Ballots::default();
        ballots.used(0, member(0), 1, ballot(1, 1)).unwrap();
        ballots.released(0, 1, ballot(1, 1));
        assert!(ballots.used(0, member(0), 1, ballot(1, 1)).is_err());
    }
}
