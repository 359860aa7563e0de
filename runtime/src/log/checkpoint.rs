//! The record of a checkpoint: a group's own state, without which a cleaned log has no beginning.
//!
//! So it is written twice, wherever it is written: the second time behind a block of zeros, such that
//! one bad block never costs both. The zeros are a record of their own: as part of the second they would
//! be under its checksum, and a block with the end of the first in it holds some of them. Like the
//! founding it is kept in memory, to be carried along when its segment is freed.

use bytes::{Bytes, BytesMut};
use synod_core::{Ballot, GroupId, Instance};

use super::format::{BLOCK, Entry, Kind, index};

/// A checkpoint, as the index holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) instance: Instance,
    pub(crate) state: Bytes,
}

impl Checkpoint {
    /// What was written with a record, if that is one of a checkpoint.
    pub(crate) fn read(entry: &Entry, payload: &Bytes) -> Option<Self> {
        match entry.kind {
            Kind::Checkpoint | Kind::CheckpointAgain => {}
            Kind::Boot
            | Kind::Formatted
            | Kind::Founded
            | Kind::Oldest
            | Kind::Promised
            | Kind::Accepted
            | Kind::Learned
            | Kind::Chosen
            | Kind::Cleaned
            | Kind::Lease
            | Kind::Membership
            | Kind::Lost
            | Kind::Padding
            | Kind::Renewed => return None,
        }
        Some(Self { instance: Instance(entry.instance), state: payload.clone() })
    }

    /// Both records and what stands between them, with their payloads.
    pub(crate) fn records(&self, group: GroupId) -> [(Entry, Bytes); 3] {
        let zeros = BytesMut::zeroed(index(BLOCK)).freeze();
        let entry = |kind, payload: Bytes| {
            let entry = Entry::bare(kind, group, self.instance.0, Ballot::ZERO);
            (entry.with_payload(&payload), payload)
        };
        let state = || self.state.clone();
        [
            entry(Kind::Checkpoint, state()),
            entry(Kind::Padding, zeros),
            entry(Kind::CheckpointAgain, state()),
        ]
    }
}
