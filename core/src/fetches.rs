//! Requests for entries that are no longer in memory.

use alloc::vec::Vec;

use crate::env::Ctx;
use crate::ids::{Ballot, FetchId, Instance, NodeId};
use crate::outbox::Fetch;

/// What fetched entries are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To be executed here.
    Apply,
    /// To be reported to a candidate.
    Promise { to: NodeId, ballot: Ballot },
    /// To be taught to a learner.
    Learn { to: NodeId },
}

/// The requests under way: at most one for our own execution, and one of each kind per peer. A peer
/// that asks again meanwhile is answered by the request under way.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    last: FetchId,
    waiting: Vec<(FetchId, Purpose, Instance)>,
}

impl Fetches {
    /// Asks for the entries in `from..=to`, unless the same is being asked for.
    pub(crate) fn ask(
        &mut self,
        purpose: Purpose,
        from: Instance,
        to: Instance,
        ctx: &mut Ctx<'_>,
    ) {
        if self.waiting.iter().any(|(_, p, f)| *p == purpose && *f == from) {
            return;
        }
        // A newer question of the same peer replaces its older one.
        mark!(FETCH_REPLACED if self.waiting.iter().any(|(_, p, _)| p.same_asker(purpose)));
        self.waiting.retain(|(_, p, _)| !p.same_asker(purpose));
        if self.waiting.len() >= WAITING_MAX && purpose != Purpose::Apply {
            return; // more askers than any membership has
        }
        self.last.0 += 1;
        self.waiting.push((self.last, purpose, from));
        let bytes_max = ctx.config.page_bytes_max;
        ctx.out.fetches.push(Fetch { id: self.last, from, to, bytes_max });
    }

    /// Nobody waits any more for what was to be executed.
    pub(crate) fn forget_applies(&mut self) {
        self.waiting.retain(|(_, purpose, _)| *purpose != Purpose::Apply);
    }

    /// How many requests are under way.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// What an answer was asked for, and from where; nothing if nobody waits for it any more.
    pub(crate) fn answered(&mut self, id: FetchId) -> Option<(Purpose, Instance)> {
        let index = self.waiting.iter().position(|(waiting, ..)| *waiting == id)?;
        let (_, purpose, from) = self.waiting.swap_remove(index);
        Some((purpose, from))
    }
}

impl Purpose {
    fn same_asker(self, other: Self) -> bool {
        match (self, other) {
            (Self::Apply, Self::Apply) => true,
            (Self::Promise { to: a, .. }, Self::Promise { to: b, .. })
            | (Self::Learn { to: a }, Self::Learn { to: b }) => a == b,
            (Self::Apply | Self::Promise { .. } | Self::Learn { .. }, _) => false,
        }
    }
}

/// Requests of peers under way at most.
const WAITING_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Kit, ballot};

    const LEARN: Purpose = Purpose::Learn { to: NodeId(2) };

    /// Asks; returns the request if one was made.
    fn ask(kit: &mut Kit, fetches: &mut Fetches, purpose: Purpose, from: u64) -> Option<FetchId> {
        fetches.ask(purpose, Instance(from), Instance(9), &mut kit.ctx());
        kit.out.fetches.pop().map(|fetch| fetch.id)
    }

    #[test]
    fn the_same_question_is_asked_once_until_it_is_answered() {
        let (mut kit, mut fetches) = (Kit::new(3), Fetches::default());
        let first = ask(&mut kit, &mut fetches, LEARN, 3).unwrap();
        assert_eq!(ask(&mut kit, &mut fetches, LEARN, 3), None);
        assert_eq!(fetches.answered(first), Some((LEARN, Instance(3))));
        assert_eq!(fetches.answered(first), None);
        assert!(ask(&mut kit, &mut fetches, LEARN, 3).is_some_and(|second| second != first));
    }

    #[test]
    fn a_newer_question_of_one_asker_replaces_its_older_one() {
        let (mut kit, mut fetches) = (Kit::new(3), Fetches::default());
        let promise = |round| Purpose::Promise { to: NodeId(2), ballot: ballot(round, 2) };
        for (older, newer) in [(LEARN, LEARN), (promise(1), promise(2))] {
            let old = ask(&mut kit, &mut fetches, older, 3).unwrap();
            let new = ask(&mut kit, &mut fetches, newer, 4).unwrap();
            assert_eq!(fetches.answered(old), None);
            assert_eq!(fetches.answered(new), Some((newer, Instance(4))));
        }
    }

    #[test]
    fn askers_and_kinds_do_not_replace_each_other() {
        let (mut kit, mut fetches) = (Kit::new(3), Fetches::default());
        let purposes = [
            Purpose::Apply,
            LEARN,
            Purpose::Learn { to: NodeId(3) },
            Purpose::Promise { to: NodeId(2), ballot: ballot(1, 2) },
        ];
        let ids = purposes.map(|purpose| ask(&mut kit, &mut fetches, purpose, 3).unwrap());
        for (id, purpose) in ids.into_iter().zip(purposes) {
            assert_eq!(fetches.answered(id), Some((purpose, Instance(3))));
        }
    }

    #[test]
    fn peers_beyond_any_membership_wait_but_we_do_not() {
        let (mut kit, mut fetches) = (Kit::new(3), Fetches::default());
        for node in (1..).take(WAITING_MAX) {
            assert!(ask(&mut kit, &mut fetches, Purpose::Learn { to: NodeId(node) }, 1).is_some());
        }
        let more = Purpose::Learn { to: NodeId(9_999) };
        assert_eq!(ask(&mut kit, &mut fetches, more, 1), None);
        assert!(ask(&mut kit, &mut fetches, Purpose::Apply, 1).is_some());
    }
}
