//! What opening a log gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use synod_core::{Founding, GroupId, Incarnation, Instance, Recovered};

use super::renew::Renewed;
use super::writer::Log;
use crate::vfs::Vfs;

/// A log ready to be written, and what it held.
#[derive(Debug)]
pub struct Opened<V: Vfs> {
    /// The log.
    pub log: Log<V>,
    /// The number of this process start, counted from 1; already durable.
    pub boot: u64,
    /// The number of the last durable batch.
    pub batch: u64,
    /// What the cluster started from, if this node knows.
    pub founding: Option<Founding>,
    /// Every group that the directory holds.
    pub groups: BTreeMap<GroupId, GroupLog>,
    /// What was found, for people.
    pub report: RecoveryReport,
    /// Why the groups have new incarnations since this start, if they have.
    pub renewed: Option<Renewed>,
}

/// One group, as recovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLog {
    /// Which memory the directory has of it.
    pub incarnation: Incarnation,
    /// What it holds, for [`synod_core::Start`].
    pub recovered: Recovered,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments read.
    pub segments: u64,
    /// Batches read.
    pub batches: u64,
    /// Records read.
    pub records: u64,
    /// Bad copies and blocks, of which most cost nothing; a disk that has any wants looking at.
    pub bad_places: u64,
    /// The last batch, if it was cut: it was being written when the power failed.
    pub torn: Option<Torn>,
    /// Values that the disk holds a record of and no longer gives.
    pub lost: Vec<(GroupId, Instance)>,
}

/// A batch that was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// In which file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The number of the batch.
    pub batch: u64,
}
