//! What a run, or many, did.

mod times;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use times::Times;

/// Counts of one run; those of many add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Events that happened.
    pub events: u64,
    /// How long the clusters lived, in virtual time.
    pub simulated: Duration,
    /// Faults that took effect, by kind.
    pub faults: BTreeMap<Cow<'static, str>, u64>,
    /// Damage that would have been more than the protocol must survive, and was not done.
    pub spared: u64,
    /// Values that rotted between the start and their execution, and came from a peer.
    pub lost_at_work: u64,
    /// Messages put on the wire.
    pub messages: u64,
    /// Messages that the network lost.
    pub lost: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Messages that came changed, and were recognised.
    pub damaged: u64,
    /// Times that a node became leader.
    pub elections: u64,
    /// Times that a node started.
    pub starts: u64,
    /// Times that a running node stopped between two changes to its disk.
    pub stopped: u64,
    /// Changes of a membership that were asked for, and that a node called made.
    #[serde(default)]
    pub changed: u64,
    /// Times that a machine took new incarnations.
    pub reborn: u64,
    /// Successful syncs.
    pub syncs: u64,
    /// Times that a log looked after itself.
    pub upkeep: u64,
    /// Instances chosen.
    pub chosen: u64,
    /// Commands executed, each counted once.
    pub executed: u64,
    /// Commands acknowledged to clients.
    pub acknowledged: u64,
    /// Commands refused.
    pub refused: u64,
    /// Commands and reads whose end their client never learned.
    pub unknown: u64,
    /// Requests whose client stopped waiting before their node answered, if it ever did.
    pub given_up: u64,
    /// Reads answered.
    pub reads: u64,
    /// Histories that were searched for an order, besides being checked against the log.
    pub searched: u64,
    /// Disks that were read back in the middle of a run and compared with what was promised.
    pub read_back: u64,
    /// Clusters, or parts of one, that were stuck when they should serve, and were entitled to be.
    pub excused: BTreeMap<Cow<'static, str>, u64>,
    /// Logs whose files were read back as a whole at the end of a run.
    pub replayed: u64,
    /// How long the cluster took to work again, by what is measured.
    pub times: BTreeMap<Cow<'static, str>, Times>,
}

impl Stats {
    /// Counts a fault.
    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(Cow::Borrowed(kind)).or_default() += 1;
    }

    /// Counts a run that was entitled to be stuck.
    pub fn excuse(&mut self, kind: &'static str) {
        *self.excused.entry(Cow::Borrowed(kind)).or_default() += 1;
    }

    /// Counts how long something took, measured in the run's election timeout.
    pub fn took(&mut self, what: &'static str, took: Duration, election: Duration) {
        self.times.entry(Cow::Borrowed(what)).or_default().add(took, election);
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.simulated += other.simulated;
        for (kind, count) in &other.faults {
            *self.faults.entry(kind.clone()).or_default() += count;
        }
        self.spared += other.spared;
        self.lost_at_work += other.lost_at_work;
        self.messages += other.messages;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.damaged += other.damaged;
        self.given_up += other.given_up;
        self.elections += other.elections;
        self.starts += other.starts;
        self.stopped += other.stopped;
        self.reborn += other.reborn;
        self.changed += other.changed;
        self.syncs += other.syncs;
        self.upkeep += other.upkeep;
        self.chosen += other.chosen;
        self.executed += other.executed;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.reads += other.reads;
        self.searched += other.searched;
        self.read_back += other.read_back;
        self.replayed += other.replayed;
        for (excuse, count) in &other.excused {
            *self.excused.entry(excuse.clone()).or_default() += count;
        }
        for (what, times) in &other.times {
            self.times.entry(what.clone()).or_default().merge(times);
        }
    }
}
