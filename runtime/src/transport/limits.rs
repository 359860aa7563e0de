//! How much a transport has to carry.

use synod_core::Config;
use synod_proto::FRAME_BYTES_MAX;

/// How much a transport has to carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLimits {
    /// The largest frame sent or read: what its length field says.
    pub(crate) frame_bytes_max: u32,
    /// Bytes of frames that wait for one peer. At the limit frames that carry values are dropped;
    /// others, which are small, are dropped a mebibyte above it.
    pub(crate) queue_bytes_max: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { frame_bytes_max: FRAME_BYTES_MAX, queue_bytes_max: 64 * 1024 * 1024 }
    }
}

impl FrameLimits {
    /// Room for the largest message that a group with these settings sends: a page that its last
    /// value overfills, with what frames add.
    pub(crate) fn fitting(config: &Config) -> Self {
        let value = config.command_bytes_max.max(config.batch_bytes_max);
        let largest = config.page_bytes_max.saturating_add(value).saturating_add(FRAME_EXTRA);
        let default = Self::default();
        Self {
            queue_bytes_max: default.queue_bytes_max.max(largest.saturating_mul(2)),
            frame_bytes_max: u32::try_from(largest)
                .unwrap_or(u32::MAX)
                .max(default.frame_bytes_max),
        }
    }
}

/// What a frame adds to the values in it, generously.
const FRAME_EXTRA: usize = 64 * 1024;

/// Above the queue's limit there is so much room for frames without values.
pub(super) const SMALL_BYTES_MAX: usize = 1024 * 1024;
