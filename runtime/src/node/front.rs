//! What handles and the driver share of one group.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{GroupId, SmId};

use super::error::ProposeError;
use super::observing::{Observing, Seen};
use super::stats::GroupStats;
use super::ticket::Outcome;

/// Sees a command before it is proposed: see
/// [`NodeBuilder::before_propose`](crate::NodeBuilder::before_propose).
pub(super) type BeforePropose =
    Arc<dyn Fn(GroupId, SmId, Bytes) -> Result<Bytes, String> + Send + Sync>;

/// One group as its handles see it.
#[derive(Default)]
pub(super) struct Front {
    pub(super) group: GroupId,
    pub(super) stats: GroupStats,
    pub(super) observing: Observing,
    pub(super) before_propose: Option<BeforePropose>,
}

impl Front {
    /// Counts how a proposal ended, so long after the call.
    pub(super) fn ended(&self, outcome: &Outcome, took: Duration) {
        match outcome {
            Ok(done) => {
                self.stats.commit.record(took);
                self.observing.tell(|| Seen::Committed(self.group, done.position, took));
            }
            Err(ProposeError::Unknown) => {
                self.stats.unknown.add(1);
                self.observing.tell(|| Seen::Unknown(self.group, took));
            }
            Err(error) => self.refused(error),
        }
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, error: &ProposeError) {
        self.stats.refused.add(1);
        self.observing.tell(|| Seen::Refused(self.group, error.to_string()));
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("group", &self.group).finish_non_exhaustive()
    }
}
