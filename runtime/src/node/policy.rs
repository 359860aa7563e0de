//! When checkpoints are taken, and what stays of the log.

use std::time::Duration;

use synod_core::Config;

/// When a group takes checkpoints, and how much of its log stays below them.
///
/// Whichever comes first counts. A group takes any only if all of its machines offer them: see
/// [`StateMachine::checkpoint`](crate::StateMachine::checkpoint). The log of another is kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPolicy {
    /// At every multiple of so many instances, on all nodes at the same ones. Default 65,536; 0 for
    /// never by this.
    pub instances: u64,
    /// After so many bytes of commands. Default 256 MiB; 0 for never by this.
    pub bytes: u64,
    /// After so long, if anything was executed. Default never by this.
    pub time: Option<Duration>,
    /// So many instances below the last checkpoint stay in the log, so that a peer that is less behind
    /// needs no checkpoint. Default 65,536. Changed while the group runs by
    /// [`GroupHandle::tune`](crate::GroupHandle::tune), as `protocol.keep_instances`.
    pub keep_instances: u64,
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self { instances: 65_536, bytes: 256 << 20, time: None, keep_instances: 65_536 }
    }
}

impl CheckpointPolicy {
    /// None but those that are asked for: see
    /// [`GroupHandle::checkpoint`](crate::GroupHandle::checkpoint).
    #[must_use]
    pub fn manual() -> Self {
        Self { instances: 0, bytes: 0, time: None, ..Self::default() }
    }

    pub(super) const fn set(self, config: &mut Config) {
        config.checkpoint_interval = self.instances;
        config.checkpoint_bytes = self.bytes;
        config.keep_instances = self.keep_instances;
    }
}
