//! The record of a checkpoint: a group's own state, without which a cleaned log has no beginning.
//!
//! Like the founding it is kept in memory, to be carried along when its segment is freed.

use bytes::Bytes;
use synod_core::{Ballot, GroupId, Instance};

use super::format::{Entry, Kind};

/// A checkpoint, as the index holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) instance: Instance,
    pub(crate) state: Bytes,
}

impl Checkpoint {
    /// What was written with a record, if that is one of a checkpoint.
    pub(crate) fn read(entry: &Entry, payload: &Bytes) -> Option<Self> {
        let is_one = entry.kind == Kind::Checkpoint;
        is_one.then(|| Self { instance: Instance(entry.instance), state: payload.clone() })
    }

    /// Its record, and the payload of that.
    pub(crate) fn record(&self, group: GroupId) -> (Entry, Bytes) {
        let entry = Entry::bare(Kind::Checkpoint, group, self.instance.0, Ballot::ZERO);
        (entry.with_payload(&self.state), self.state.clone())
    }
}
