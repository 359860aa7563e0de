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
        self.waiting.retain(|(_, p, _)| !p.same_asker(purpose));
        if self.waiting.len() >= WAITING_MAX && purpose != Purpose::Apply {
            return; // more askers than any membership has
        }
        self.last.0 += 1;
        self.waiting.push((self.last, purpose, from));
        let bytes_max = ctx.config.page_bytes_max;
        ctx.out.fetches.push(Fetch { id: self.last, from, to, bytes_max });
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
