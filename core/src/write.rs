//! What goes to disk, and the proof that it got there.

use alloc::vec::Vec;

use crate::ids::{Ballot, GroupId, Instance, WriteSeq};
use crate::membership::History;
use crate::value::Value;

/// One fact that the disk must remember. Recovery reads them in the order written; of several about
/// one instance, the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The promise was raised to this ballot (I2). Never implied by another record.
    Promised(Ballot),
    /// A value was accepted: a vote.
    Accepted {
        /// Where.
        instance: Instance,
        /// In which ballot.
        ballot: Ballot,
        /// What.
        value: Value,
    },
    /// A value was learned: it is chosen, whoever voted for it.
    Learned {
        /// Where.
        instance: Instance,
        /// What.
        value: Value,
    },
    /// Every instance up to here is chosen, each with the value of the last record before this one.
    /// A hint: written along with other records, never on its own.
    Chosen(Instance),
    /// Every instance up to here may be forgotten.
    Cleaned(Instance),
    /// Who votes, as far as is known from what is chosen; the last one counts. Written in the step in
    /// which the chosen prefix passes a membership entry, before anything that follows from it.
    ///
    /// Whoever promises the new members' leader has it on disk, since a promise waits for all that
    /// was written before. So they know their membership after any restart, although the chosen
    /// prefix itself is only a hint, and nobody of the old one may be left to ask.
    Membership(History),
}

/// Records of one group on their way to the disk.
///
/// Write the records in order, sync, and only then call [`durable`](Self::durable). Dropping a batch
/// is safe: nothing is vouched for any more, and the group falls silent.
#[derive(Debug)]
#[must_use = "the group falls silent until the batch is durable"]
pub struct WriteBatch {
    pub(crate) group: GroupId,
    pub(crate) boot: u64,
    pub(crate) first: WriteSeq,
    pub(crate) records: Vec<Record>,
}

impl WriteBatch {
    /// The group whose records these are.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// What to write, in this order.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The proof that everything in the batch is on disk. Call it only after the sync returned
    /// success: this is the one lie that an embedder can tell the core.
    pub fn durable(self) -> Durable {
        let Self { group, boot, first, records } = self;
        let count = u64::try_from(records.len()).expect("fits");
        let mut spare = records;
        spare.clear();
        Durable { group, boot, first, count, spare }
    }
}

/// The proof that a [`WriteBatch`] is on disk; goes back to its group as an input, in order.
///
/// Made only by [`WriteBatch::durable`], and moves only. Carries the emptied buffer home for reuse.
#[derive(Debug)]
#[must_use = "hand it to the group that wrote the batch"]
pub struct Durable {
    pub(crate) group: GroupId,
    pub(crate) boot: u64,
    pub(crate) first: WriteSeq,
    pub(crate) count: u64,
    pub(crate) spare: Vec<Record>,
}

impl Durable {
    /// The group that wrote the batch.
    #[must_use]
    pub const fn group(&self) -> GroupId {
        self.group
    }
}

/// An accepted or learned value as the log gives it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where.
    pub instance: Instance,
    /// The ballot accepted in; [`Ballot::ZERO`] if the value was learned, and so is chosen.
    pub ballot: Ballot,
    /// The value; `None` if the disk holds the record but no longer gives the value.
    pub value: Option<Value>,
}

/// What a group's log gives back after a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The highest promise on disk.
    pub promised: Ballot,
    /// The chosen prefix, as far as the disk knows and has every value of it.
    pub chosen: Instance,
    /// Every instance up to here is cleaned.
    pub cleaned: Instance,
    /// The last membership history on disk; none if only the founding was ever known. Every instance
    /// up to its [`version`](History::version) is chosen.
    pub history: Option<History>,
    /// What is held above `chosen`, ascending, no instance twice.
    pub entries: Vec<Stored>,
}
