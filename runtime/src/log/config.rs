//! What can be set for the log.

use super::error::LogConfigError;
use super::format::BLOCK;

/// Settings of a log; those of one directory may change from start to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Size of a segment. Default 64 MiB; 64 KiB to 2 GiB, a multiple of 4 KiB. A batch that does
    /// not fit gets a larger segment of its own. Twice this is on disk before anything is written.
    pub segment_bytes: u64,
    /// How much of the next segment to fill with zeros in one call of
    /// [`Log::maintain`](super::Log::maintain). Default 1 MiB.
    pub preallocate_bytes: u64,
    /// How many bytes of live values to move out of an old segment in one call of
    /// [`Log::maintain`](super::Log::maintain). Default 1 MiB; one value always fits.
    pub rewrite_bytes: u64,
    /// Freed segments to keep for reuse. Default 2. More are removed.
    pub spares_max: usize,
    /// A number that no client can guess, drawn at random for a new directory and kept in it: so
    /// that no value can be made to look like a batch to recovery. Default 0, for tests.
    pub salt: u64,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            preallocate_bytes: 1 << 20,
            rewrite_bytes: 1 << 20,
            spares_max: 2,
            salt: 0,
        }
    }
}

impl LogConfig {
    /// Whether the settings can work.
    ///
    /// # Errors
    ///
    /// Names the first one that cannot.
    pub fn validate(&self) -> Result<(), LogConfigError> {
        let sizes = 64 << 10..=2 << 30;
        if !sizes.contains(&self.segment_bytes) || !self.segment_bytes.is_multiple_of(BLOCK) {
            return Err(LogConfigError::SegmentBytes(self.segment_bytes));
        }
        Ok(())
    }
}
