//! No election storm: nobody asks to lead sooner than its timeout allows, and once all is well
//! nobody asks at all, but for nodes that nobody can tell that they have left the cluster.

use std::time::Duration;

use synod_core::Time;

use super::{PerPlace, Place, Verdict, Violation};

/// When each process asked to lead last.
#[derive(Debug)]
pub struct Storm {
    election: Duration,
    asked: PerPlace<Option<Time>>,
    is_idle: bool,
    forlorn: PerPlace<bool>,
}

impl Storm {
    /// Nobody has asked; the election timeout is this.
    #[must_use]
    pub fn new(nodes: usize, groups: usize, election: Duration) -> Self {
        let (asked, forlorn) = (PerPlace::new(nodes, groups), PerPlace::new(nodes, groups));
        Self { election, asked, is_idle: false, forlorn }
    }

    /// A process starts: what it drew before it may draw anew.
    pub fn started(&mut self, place: Place) {
        *self.asked.at(place) = None;
    }

    /// Everything works, and nobody has anything to do. Forlorn is who was removed, does not know it, and
    /// knows of no member any more that could tell: it goes on as if it were cut off.
    pub fn idle(&mut self, forlorn: &[Place]) {
        self.is_idle = true;
        for &place in forlorn {
            *self.forlorn.at(place) = true;
        }
    }

    /// A node asks whether it could lead, at this time by its own clock.
    ///
    /// # Errors
    ///
    /// If it asked half an election timeout ago or less, which no wait allows, or everything works.
    pub fn canvassed(&mut self, place: Place, now: Time) -> Verdict {
        let last = self.asked.at(place).replace(now);
        if let Some(last) = last.filter(|&last| now < last + self.election / 2) {
            let what = format!("{place} asks to lead at {now}, and had at {last}");
            return Err(Violation::new("storm", what));
        }
        self.calm(place, "asks to lead")
    }

    /// A node runs for leader.
    ///
    /// # Errors
    ///
    /// If everything works.
    pub fn ran(&mut self, place: Place) -> Verdict {
        self.calm(place, "runs for leader")
    }

    fn calm(&mut self, place: Place, doing: &str) -> Verdict {
        if self.is_idle && !*self.forlorn.at(place) {
            let what = format!("{place} {doing}, and nothing has been wrong for some time");
            return Err(Violation::new("storm", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::place;
    use super::*;

    fn storm() -> Storm {
        Storm::new(3, 1, Duration::from_millis(100))
    }

    #[test]
    fn everyone_may_ask_once_in_half_a_timeout_and_a_new_process_at_once() {
        let mut storm = storm();
        assert_eq!(storm.canvassed(place(0), Time::from_millis(100)), Ok(()));
        assert_eq!(storm.canvassed(place(1), Time::from_millis(101)), Ok(()));
        assert_eq!(storm.canvassed(place(0), Time::from_millis(150)), Ok(()));
        storm.started(place(0));
        assert_eq!(storm.canvassed(place(0), Time::from_millis(151)), Ok(()));
        assert_eq!(storm.ran(place(0)), Ok(()));
    }

    #[test]
    fn whoever_asks_again_at_once_is_found() {
        let mut storm = storm();
        storm.canvassed(place(0), Time::from_millis(100)).unwrap();
        assert!(storm.canvassed(place(0), Time::from_millis(149)).is_err());
    }

    #[test]
    fn whoever_asks_while_all_is_well_is_found() {
        let mut storm = storm();
        storm.idle(&[place(1)]);
        assert!(storm.canvassed(place(0), Time::from_millis(100)).is_err());
        assert!(storm.ran(place(0)).is_err());
        assert_eq!(storm.ran(place(1)), Ok(()), "nobody can tell it");
        assert_eq!(storm.canvassed(place(1), Time::from_millis(100)), Ok(()));
        assert!(
            storm.canvassed(place(1), Time::from_millis(149)).is_err(),
            "too soon all the same"
        );
    }
}
