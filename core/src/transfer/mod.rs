//! Sending a checkpoint to a node that is too far behind to learn: two pure state machines, like the
//! group itself. Files, checksums and the network are the embedder's.
//!
//! The receiver pulls: it asks a peer what it has, gets a manifest, and asks for one chunk after the
//! other. The sender keeps no state that anything depends on; it remembers who reads what only so
//! that the files stay, and the log above them, until the receiver is done. So each side may restart
//! at any moment. A transfer is named by [`CheckpointId`], the instance and a digest of the manifest: a
//! peer that has the same files goes on where another stopped.
//!
//! | message | from → to | says |
//! | --- | --- | --- |
//! | [`Ask`](TransferMessage::Ask) | receiver → peer | which checkpoint at or above this do you have? |
//! | [`Offer`](TransferMessage::Offer) | peer → receiver | this one; its manifest |
//! | [`Fetch`](TransferMessage::Fetch) | receiver → peer | that chunk of it |
//! | [`Chunk`](TransferMessage::Chunk) | peer → receiver | here |
//! | [`Nothing`](TransferMessage::Nothing) | peer → receiver | I do not have that (any more) |

mod manifest;
mod receiver;
mod sender;

use core::time::Duration;

use bytes::Bytes;

use crate::ids::Instance;

pub use manifest::{FILES_MAX, MANIFEST_BYTES_MAX, Manifest, ManifestFile};
pub use receiver::{Receiver, ReceiverAction};
pub use sender::{Sender, SenderAction};

/// One checkpoint as its files are: two nodes that took it at one instance may have different files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CheckpointId {
    /// Everything up to here is in it.
    pub at: Instance,
    /// A digest of the manifest.
    pub digest: u64,
}

/// What nodes say to each other about checkpoints of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferMessage {
    /// Asks for a checkpoint that leads further.
    Ask {
        /// The instance that the asker needs next.
        next: Instance,
    },
    /// A checkpoint that there is.
    Offer {
        /// Which one.
        id: CheckpointId,
        /// Its [`Manifest`], as bytes.
        manifest: Bytes,
    },
    /// Asks for a part of a file.
    Fetch {
        /// Of which checkpoint.
        id: CheckpointId,
        /// The place of the file in the manifest.
        file: u32,
        /// Where in the file.
        offset: u64,
        /// So many bytes at most.
        len: u32,
    },
    /// A part of a file.
    Chunk {
        /// Of which checkpoint.
        id: CheckpointId,
        /// The place of the file in the manifest.
        file: u32,
        /// Where in the file.
        offset: u64,
        /// What is there.
        bytes: Bytes,
    },
    /// There is no checkpoint as asked for; or this one is gone, or too many read already.
    Nothing {
        /// The checkpoint asked about, or zero.
        id: CheckpointId,
    },
}

/// How transfers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferConfig {
    /// Bytes asked for at a time. Default 1 MiB.
    pub chunk_bytes: u32,
    /// Bytes sent in a second by one node and group, to all receivers together, so that values are not
    /// starved. Default 64 MiB.
    pub bytes_per_second: u64,
    /// How long to wait for an answer before asking again. Default 1 s.
    pub patience: Duration,
    /// Receivers that one node serves at a time; more are told to ask later. Default 4.
    pub receivers_max: usize,
    /// How long files stay, and the log above them, for a receiver that asks for nothing more.
    /// Default 60 s.
    pub pinned_max: Duration,
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            chunk_bytes: 1 << 20,
            bytes_per_second: 64 << 20,
            patience: Duration::from_secs(1),
            receivers_max: 4,
            pinned_max: Duration::from_secs(60),
        }
    }
}
