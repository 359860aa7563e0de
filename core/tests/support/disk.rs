//! A node's disk: batches that are written, and how many of them are durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use synod_core::{
    Ballot, Durable, History, Instance, Record, Recovered, Stored, Value, WriteBatch,
};

/// Batches in the order written. Those not yet synced outlive the process, but not the power.
#[derive(Debug, Default)]
pub struct Disk {
    batches: Vec<Vec<Record>>,
    synced: usize,
    /// What the running process waits for.
    proofs: VecDeque<WriteBatch>,
    /// Instances whose values the disk no longer gives.
    lost: BTreeSet<Instance>,
    /// Instances whose values it does not give either, of which a restart knows nothing.
    rotten: BTreeSet<Instance>,
    /// What is durable, for the oracle.
    pub durable: Image,
}

/// What a run of records comes to, as `Record` and `Recovered` say.
#[derive(Clone, Debug, Default)]
pub struct Image {
    pub promised: Ballot,
    pub votes: BTreeSet<(Instance, Ballot)>,
    entries: BTreeMap<Instance, (Ballot, Value)>,
    hint: Instance,
    history: Option<History>,
    cleaned: Instance,
}

impl Image {
    fn add(&mut self, record: &Record, lost: &mut [&mut BTreeSet<Instance>]) {
        match record {
            Record::Promised(ballot) => {
                assert!(*ballot > self.promised, "{ballot} does not raise {}", self.promised);
                self.promised = *ballot;
            }
            Record::Accepted { instance, ballot, value } => {
                self.votes.insert((*instance, *ballot));
                self.put(*instance, *ballot, value);
            }
            Record::Learned { instance, value }
                if lost.iter_mut().any(|lost| lost.remove(instance)) =>
            {
                self.entries.insert(*instance, (Ballot::ZERO, value.clone()));
            }
            Record::Learned { instance, value } => self.put(*instance, Ballot::ZERO, value),
            Record::Membership(history) => self.history = Some(history.clone()),
            Record::Chosen(up_to) => self.hint = self.hint.max(*up_to),
            Record::Cleaned(up_to) => {
                self.cleaned = *up_to;
                self.entries.retain(|instance, _| instance > up_to);
            }
        }
    }

    fn put(&mut self, instance: Instance, ballot: Ballot, value: &Value) {
        assert!(instance > self.hint, "{instance} was written again when it was known chosen");
        self.entries.insert(instance, (ballot, value.clone()));
    }
}

impl Disk {
    pub fn write(&mut self, batch: WriteBatch) {
        self.batches.push(batch.records().to_vec());
        self.proofs.push_back(batch);
    }

    /// The first batch that waits becomes durable.
    pub fn sync(&mut self) -> Option<Durable> {
        let proof = self.proofs.pop_front()?;
        for record in &self.batches[self.synced] {
            self.durable.add(record, &mut [&mut self.lost, &mut self.rotten]);
        }
        self.synced += 1;
        Some(proof.durable())
    }

    /// Batches that wait.
    pub fn waiting(&self) -> usize {
        self.batches.len() - self.synced
    }

    /// The process is gone; what it wrote is still there to read.
    pub fn kill(&mut self) {
        self.proofs.clear();
    }

    /// The power is gone; of what was not synced, only the first `kept` batches are left.
    pub fn power(&mut self, kept: usize) {
        self.proofs.clear();
        self.batches.truncate(self.synced + kept);
    }

    /// From now on the disk does not give this value any more.
    pub fn lose(&mut self, instance: Instance) {
        self.lost.insert(instance);
    }

    /// Like [`lose`](Self::lose), but after whatever restart comes next has looked.
    pub fn rot(&mut self, instance: Instance) {
        self.rotten.insert(instance);
    }

    /// What a restart reads, and syncs before it says anything.
    pub fn recover(&mut self) -> Recovered {
        for batch in &self.batches[self.synced..] {
            for record in batch {
                self.durable.add(record, &mut [&mut self.lost, &mut self.rotten]);
            }
        }
        self.synced = self.batches.len();
        let Image { promised, cleaned, hint, ref entries, .. } = self.durable;
        let given = |i: &Instance| entries.contains_key(i) && !self.lost.contains(i);
        let mut chosen = cleaned;
        while chosen < hint && given(&chosen.next()) {
            chosen = chosen.next();
        }
        let above = entries.iter().filter(|(i, _)| **i > chosen);
        let entries = above.map(|(&i, entry)| self.stored(i, entry)).collect();
        let history = self.durable.history.clone();
        Recovered { promised, chosen, cleaned, history, entries }
    }

    /// Answers a fetch: from what is durable only, so that reading what is still being written shows.
    pub fn fetch(&self, from: Instance, to: Instance, bytes_max: usize) -> Vec<Stored> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        for (&instance, entry) in self.durable.entries.range(from..=to) {
            if bytes >= bytes_max {
                break;
            }
            bytes += entry.1.len();
            let stored = self.stored(instance, entry);
            let value = stored.value.filter(|_| !self.rotten.contains(&instance));
            found.push(Stored { value, ..stored });
        }
        found
    }

    /// Whether everything up to here is durable.
    pub fn holds(&self, upto: Instance) -> bool {
        let above = self.durable.entries.range(..=upto).filter(|(i, _)| **i > self.durable.cleaned);
        self.durable.cleaned.0 + u64::try_from(above.count()).unwrap() >= upto.0
    }

    /// The chosen prefix that would be read back after a loss of power.
    pub fn durably_chosen(&self) -> Instance {
        self.durable.hint
    }

    fn stored(&self, instance: Instance, (ballot, value): &(Ballot, Value)) -> Stored {
        let value = (!self.lost.contains(&instance)).then(|| value.clone());
        Stored { instance, ballot: *ballot, value }
    }
}
