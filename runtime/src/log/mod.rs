//! The file log: what a node promised, accepted and learned, of all its groups, in one sequence of
//! batches with one sync each.
//!
//! - `format`: the bytes of a batch, and how it is told from anything else on the disk.
//! - `parity`: the block of a large batch that gives back any one of the others.
//! - `segment`: the files.
//! - `writer`: [`Log::write`] and [`Log::sync`].
//! - `clean`: how segments are freed and reused.
//! - `room`: what a full disk still takes; **why it never reaches a batch**.
//! - `gaps`: reading past sectors that cannot be read.
//! - `scan`: reading a segment back; **where a torn tail is told from damage**.
//! - `open`: [`Log::open`]; what is rewritten and synced before a recovered node says anything.
//! - `rewrite`: rewriting the last batch in place, so that a power loss meanwhile costs nothing.
//! - `renew`: [`Log::start`] and [`Log::renew`]; **when a directory takes new incarnations**.
//! - `salvage`: what such a directory still says; **which founding is believed**.
//! - `recover`: [`force_recover`]: **a new cluster of what one survivor holds**.
//! - `checkpoint`: what is written of a checkpoint.
//! - `index`, `reader`: where each value is, and reading it.
//! - `inspect`, `scrub`: for people: looking at a log that no process uses, and mending bad copies.
//!
//! Everything here is synchronous, and free of threads and clocks: the simulator runs this code
//! over its own [`Vfs`](crate::vfs::Vfs).

mod checkpoint;
mod clean;
mod config;
mod error;
mod format;
mod founding;
mod gaps;
mod index;
mod inspect;
mod open;
mod opened;
mod parity;
mod reader;
mod recover;
mod renew;
mod rewrite;
mod room;
mod salvage;
mod scan;
mod scrub;
mod segment;
mod writer;

pub use clean::Maintained;
pub use config::LogConfig;
pub use error::{LogConfigError, LogError, OpenError, ReadError};
pub use format::BATCH_BYTES_MAX;
pub use inspect::{BatchInfo, DamageInfo, Item, RecordInfo, SegmentInfo, inspect};
pub use opened::{GroupLog, Opened, RecoveryReport, Torn};
pub use reader::LogReader;
pub use recover::{RecoverError, RecoverOptions, SurvivingGroup, Survivor, force_recover, survey};
pub use renew::{Renewed, Restart, RestartError};
pub use scrub::{Scrubbed, scrub};
pub use writer::Log;

#[cfg(test)]
mod tests;
