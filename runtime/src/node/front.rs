//! What handles and the driver share of one group.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use synod_core::{GroupId, SmId};

use super::stats::GroupStats;

/// Sees a command before it is proposed: see
/// [`NodeBuilder::before_propose`](crate::NodeBuilder::before_propose).
pub(super) type BeforePropose =
    Arc<dyn Fn(GroupId, SmId, Bytes) -> Result<Bytes, String> + Send + Sync>;

/// One group as its handles see it.
pub(super) struct Front {
    pub(super) stats: Arc<GroupStats>,
    pub(super) before_propose: Option<BeforePropose>,
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("stats", &self.stats).finish_non_exhaustive()
    }
}
