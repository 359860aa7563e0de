//! What the log holds, in memory: for each group its promise, its marks, and where each value is.
//!
//! The writer and recovery both build it by [`Index::apply`], record by record in the order
//! written, so that what recovery finds is what the writer had.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{Ballot, Founding, GroupId, Incarnation, Instance, mark};

use super::checkpoint::Checkpoint;
use super::format::{Entry, Kind};

/// Where the last record of an instance is: six words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// Zero if it was learned, and so is chosen.
    pub(crate) ballot: Ballot,
    pub(crate) segment: u32,
    /// Of the value, in the segment.
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) crc: u32,
    /// How far behind it is a second copy; zero if there is none.
    pub(crate) twin: u16,
    /// The disk no longer gives the value.
    pub(crate) lost: bool,
}

/// One group's part of the log.
#[derive(Debug, Default)]
pub(crate) struct GroupIndex {
    pub(crate) incarnation: Incarnation,
    pub(crate) promised: Ballot,
    /// The hint: everything up to here is chosen, each with the value of the last record before it.
    pub(crate) hint: Instance,
    /// What was accepted below the hint after it: the hint says nothing about these values.
    unsure: BTreeSet<Instance>,
    pub(crate) cleaned: Instance,
    /// The newest checkpoint whose record can be read.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The newest of which there is a record at all.
    pub(crate) checkpoint_at: Instance,
    /// The longest read lease granted. A new incarnation keeps it: it costs a wait at most.
    pub(crate) lease: Duration,
    pub(crate) slots: BTreeMap<Instance, Slot>,
    /// The last membership history; none if there was no record of one.
    pub(crate) history: Option<Bytes>,
    /// There is a later one, and the disk no longer gives it.
    pub(crate) history_lost: bool,
    /// The oldest segment that holds one of the marks above; each was written there or later.
    pub(crate) marks: u32,
}

/// What is live in one segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) slots: u64,
    pub(crate) bytes: u64,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Index<F> {
    pub(crate) boot: u64,
    pub(crate) founding: Option<Founded>,
    pub(crate) groups: BTreeMap<GroupId, GroupIndex>,
    pub(crate) live: BTreeMap<u32, Live>,
    pub(crate) files: BTreeMap<u32, Arc<F>>,
}

/// The founding, and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Founded {
    pub(crate) founding: Founding,
    pub(crate) bytes: Bytes,
    pub(crate) segment: u32,
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        Self {
            boot: 0,
            founding: None,
            groups: BTreeMap::new(),
            live: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }
}

/// Where a record's value is, as far as the record itself does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) twin: u16,
    pub(crate) lost: bool,
}

impl<F> Index<F> {
    /// Takes note of one record. `Founded` is not among those that change anything here: it has
    /// more to it than fits an entry.
    pub(crate) fn apply(&mut self, entry: &Entry, place: Place) {
        match entry.kind {
            Kind::Boot => self.boot = self.boot.max(entry.instance),
            Kind::Founded | Kind::Oldest => {}
            Kind::Formatted
            | Kind::Promised
            | Kind::Lease
            | Kind::Accepted
            | Kind::Learned
            | Kind::Chosen
            | Kind::Cleaned
            | Kind::Lost
            | Kind::Renewed
            | Kind::Membership
            | Kind::Checkpoint => self.apply_to_group(entry, place),
        }
    }

    /// Takes note of what came with a record, if that is one of a checkpoint.
    pub(crate) fn apply_checkpoint(&mut self, entry: &Entry, payload: &Bytes) {
        let checkpoint = Checkpoint::read(entry, payload);
        if let Some((checkpoint, group)) = checkpoint.zip(self.groups.get_mut(&entry.group)) {
            let held = group.checkpoint.as_ref().map_or(Instance::ZERO, |held| held.instance);
            if checkpoint.instance >= held {
                group.checkpoint = Some(checkpoint);
            }
        }
    }

    fn apply_to_group(&mut self, entry: &Entry, place: Place) {
        let new = || GroupIndex { marks: place.segment, ..GroupIndex::default() };
        let group = self.groups.entry(entry.group).or_insert_with(new);
        let instance = Instance(entry.instance);
        match entry.kind {
            Kind::Formatted => {
                group.incarnation = entry.ballot.incarnation;
                group.marks = group.marks.min(place.segment);
            }
            Kind::Renewed => {
                group.marks = group.marks.min(place.segment);
                for slot in group.renew(entry.ballot.incarnation, instance).values() {
                    forget(&mut self.live, slot);
                }
            }
            // I2: never lower, in whatever order records come back.
            Kind::Promised => group.promised = group.promised.max(entry.ballot),
            Kind::Lease => group.lease = group.lease.max(Duration::from_nanos(entry.instance)),
            Kind::Chosen => {
                group.hint = group.hint.max(instance);
                group.unsure.retain(|&unsure| unsure > instance);
            }
            Kind::Cleaned => {
                group.cleaned = group.cleaned.max(instance);
                group.unsure.retain(|&unsure| unsure > instance);
                let above = group.slots.split_off(&Instance(group.cleaned.0.saturating_add(1)));
                for slot in std::mem::replace(&mut group.slots, above).values() {
                    forget(&mut self.live, slot);
                }
                if group.cleaned == Instance::MAX {
                    group.slots.clear();
                }
            }
            Kind::Checkpoint => {
                group.checkpoint_at = group.checkpoint_at.max(instance);
            }
            Kind::Accepted | Kind::Learned | Kind::Lost if instance > group.cleaned => {
                let slot = Slot {
                    ballot: entry.ballot,
                    segment: place.segment,
                    offset: place.offset,
                    len: entry.len,
                    crc: entry.crc,
                    twin: place.twin,
                    lost: place.lost || entry.kind == Kind::Lost,
                };
                group.doubt(instance, entry);
                let live = self.live.entry(slot.segment).or_default();
                live.slots += 1;
                live.bytes += u64::from(slot.len);
                if let Some(old) = group.slots.insert(instance, slot) {
                    forget(&mut self.live, &old);
                }
            }
            Kind::Accepted | Kind::Learned | Kind::Lost => {}
            // Its payload is kept by `remember`.
            Kind::Membership => group.marks = group.marks.min(place.segment),
            Kind::Boot | Kind::Founded | Kind::Oldest => {
                unreachable!("no record of a group")
            }
        }
    }

    /// Keeps the payload of a membership record: like a promise, the last one counts, and it is carried
    /// ahead when its segment is freed.
    pub(crate) fn remember(&mut self, entry: &Entry, payload: Option<Bytes>) {
        if let Some(group) = self.groups.get_mut(&entry.group) {
            group.history_lost = payload.is_none();
            group.history = payload;
        }
    }

    /// What is live in a segment.
    pub(crate) fn live_in(&self, segment: u32) -> Live {
        self.live.get(&segment).copied().unwrap_or_default()
    }
}

fn forget(live: &mut BTreeMap<u32, Live>, slot: &Slot) {
    if let Some(live) = live.get_mut(&slot.segment) {
        live.slots -= 1;
        live.bytes -= u64::from(slot.len);
    }
}

impl GroupIndex {
    /// Takes a new incarnation; gives what is forgotten with the old one.
    ///
    /// What remains is chosen, so it is kept as learned: that it was accepted, and in which ballot,
    /// was the word of the old incarnation. The hint is lowered as well, since what the new one
    /// accepts above `chosen` need not be what was chosen there.
    fn renew(&mut self, incarnation: Incarnation, chosen: Instance) -> BTreeMap<Instance, Slot> {
        self.incarnation = incarnation;
        self.promised = Ballot::ZERO;
        self.hint = chosen;
        self.unsure.clear();
        let forgotten = self.slots.split_off(&Instance(chosen.0.saturating_add(1)));
        for slot in self.slots.values_mut() {
            slot.ballot = Ballot::ZERO;
        }
        forgotten
    }

    /// Whether the log has no beginning: the record of the checkpoint below which it was cleaned can be
    /// read no more.
    pub(crate) fn lacks_checkpoint(&self) -> bool {
        let held = self.checkpoint.as_ref().map_or(Instance::ZERO, |held| held.instance);
        self.checkpoint_at > held && self.cleaned > held
    }

    /// A record of an instance comes: whether the hint still says something about its value.
    ///
    /// A node whose disk lost the value of a chosen instance is an acceptor there again, and may vote
    /// for another value: it learned the chosen one perhaps, and never promised the ballot that chose
    /// it. The hint was written about the value that is lost, not about this one. Values that are
    /// moved do not come here as accepted, if the hint is about them: they are written as learned.
    fn doubt(&mut self, instance: Instance, entry: &Entry) {
        match entry.kind {
            Kind::Accepted if instance <= self.hint => {
                mark!(ACCEPTED_BELOW_HINT);
                self.unsure.insert(instance);
            }
            Kind::Learned => {
                self.unsure.remove(&instance);
            }
            Kind::Accepted
            | Kind::Lost
            | Kind::Boot
            | Kind::Founded
            | Kind::Oldest
            | Kind::Formatted
            | Kind::Promised
            | Kind::Lease
            | Kind::Chosen
            | Kind::Cleaned
            | Kind::Membership
            | Kind::Checkpoint
            | Kind::Renewed => {}
        }
    }

    /// Whether what is held at an instance, if anything is, is what was chosen there.
    pub(crate) fn is_chosen(&self, instance: Instance, slot: &Slot) -> bool {
        let is_hinted = instance <= self.hint && !self.unsure.contains(&instance);
        slot.ballot == Ballot::ZERO || is_hinted
    }

    /// A hint that is true wherever in the log it stands: nothing below it was accepted after it.
    pub(crate) fn sure_hint(&self) -> Instance {
        self.unsure.first().map_or(self.hint, |unsure| unsure.prev())
    }

    /// The chosen prefix, as far as every value of it is here.
    ///
    /// The hint says what is chosen. It is lowered to just below the first value that is lost or
    /// missing, so that the core learns that one again, and raised over learned values that follow
    /// it without a gap, each of which is chosen by itself.
    pub(crate) fn chosen(&self) -> Instance {
        let mut chosen = self.cleaned;
        for (&instance, slot) in &self.slots {
            if instance.0 != chosen.0 + 1 || slot.lost || !self.is_chosen(instance, slot) {
                break;
            }
            chosen = instance;
        }
        chosen
    }
}
