//! What a log should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use synod::log::{Log, LogConfig, OpenError, Opened};
use synod::vfs::Vfs;
use synod_core::{
    Ballot, Command, CommandKey, GroupId, History, Incarnation, Instance, Member, Membership,
    NodeId, Record, Recovered, SmId, Stored, Value, ValueWriter,
};
use synod_sim::disk::SimVfs;

pub(crate) const DIR: &str = "/log";
pub(crate) const GROUPS: [(GroupId, Incarnation); 2] =
    [(GroupId(1), Incarnation(11)), (GroupId(2), Incarnation(22))];

/// One group, as its records tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) promised: Ballot,
    pub(crate) hint: Instance,
    pub(crate) cleaned: Instance,
    /// Accepted below the hint, after it.
    pub(crate) unsure: BTreeSet<Instance>,
    pub(crate) history: Option<History>,
    /// `None`: lost.
    pub(crate) values: BTreeMap<Instance, (Ballot, Option<Value>)>,
}

pub(crate) type Models = BTreeMap<GroupId, Model>;

impl Model {
    pub(crate) fn apply(&mut self, record: &Record) {
        match record {
            Record::Promised(ballot) => self.promised = self.promised.max(*ballot),
            Record::Chosen(upto) => {
                self.hint = self.hint.max(*upto);
                self.unsure.retain(|instance| instance > upto);
            }
            Record::Membership(history) => self.history = Some(history.clone()),
            Record::Cleaned(upto) => self.cleaned = self.cleaned.max(*upto),
            Record::Accepted { instance, ballot, value } => {
                self.values.insert(*instance, (*ballot, Some(value.clone())));
                if *instance <= self.hint {
                    self.unsure.insert(*instance);
                }
            }
            Record::Learned { instance, value } => {
                self.values.insert(*instance, (Ballot::ZERO, Some(value.clone())));
                self.unsure.remove(instance);
            }
        }
        let cleaned = self.cleaned;
        self.values.retain(|&instance, _| instance > cleaned);
    }

    fn is_chosen(&self, instance: Instance, ballot: Ballot) -> bool {
        ballot == Ballot::ZERO || (instance <= self.hint && !self.unsure.contains(&instance))
    }

    /// What recovery should say.
    pub(crate) fn recovered(&self) -> Recovered {
        let mut chosen = self.cleaned;
        while let Some((ballot, Some(_))) = self.values.get(&chosen.next())
            && self.is_chosen(chosen.next(), *ballot)
        {
            chosen = chosen.next();
        }
        let above = self.values.iter().filter(|&(&instance, _)| instance > chosen);
        let entries = above.map(|(&instance, (ballot, value))| {
            let is_chosen = value.is_some() && self.is_chosen(instance, *ballot);
            stored(instance, if is_chosen { Ballot::ZERO } else { *ballot }, value)
        });
        Recovered {
            promised: self.promised,
            chosen,
            cleaned: self.cleaned,
            history: self.history.clone(),
            entries: entries.collect(),
        }
    }
}

fn stored(instance: Instance, ballot: Ballot, value: &Option<Value>) -> Stored {
    Stored { instance, ballot, value: value.clone() }
}

/// Whether an opened log holds what the models say, by what it returned and by reading it all.
pub(crate) fn agrees<V: Vfs>(opened: &Opened<V>, models: &Models) -> Result<(), String> {
    let reader = opened.log.reader();
    for (group, model) in models {
        let found = &opened.groups[group].recovered;
        let expected = model.recovered();
        if *found != expected {
            return Err(format!("group {group}: {found:?}\n  expected {expected:?}"));
        }
        for (&instance, (ballot, value)) in &model.values {
            let read = reader.read(*group, instance, instance, 0).map_err(|e| e.to_string())?;
            let expected = stored(instance, *ballot, value);
            // What is known to be chosen may have been moved, and is learned since.
            let is_moved = read == [stored(instance, Ballot::ZERO, value)];
            if read != [expected.clone()] && !(is_moved && model.is_chosen(instance, *ballot)) {
                return Err(format!("group {group}: read {read:?}\n  expected {expected:?}"));
            }
        }
    }
    Ok(())
}

pub(crate) fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 64 << 10,
        preallocate_bytes: 16 << 10,
        salt: 99,
        ..LogConfig::default()
    }
}

pub(crate) fn open(vfs: &SimVfs) -> Result<Opened<SimVfs>, OpenError> {
    Log::open(vfs.clone(), Path::new(DIR), config(), &GROUPS)
}

pub(crate) fn ballot(round: u64) -> Ballot {
    Ballot { round, node: NodeId(1), incarnation: Incarnation(11) }
}

/// A history that no other `version` has.
pub(crate) fn history(version: u64) -> History {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node) };
    let members = |nodes: &[u64]| {
        Membership::new(nodes.iter().map(|&node| member(node)).collect(), vec![]).unwrap()
    };
    let mut history = History::founded(members(&[1, 2, 3]));
    history.begin(Instance(version + 1), members(&[1, 2, 4]));
    history
}

/// A value of about `len` bytes that no other `seq` has.
pub(crate) fn value(seq: u64, len: usize) -> Value {
    let mut writer = ValueWriter::default();
    let key = CommandKey { origin: Incarnation(7), boot: 1, seq };
    let payload: Vec<u8> = seq.to_le_bytes().into_iter().cycle().take(len).collect();
    writer.push(&Command { key, low: 1, sm: SmId(0), payload: Bytes::from(payload) });
    writer.finish()
}

pub(crate) fn accepted(instance: u64, round: u64, seq: u64, len: usize) -> Record {
    let (instance, ballot) = (Instance(instance), ballot(round));
    Record::Accepted { instance, ballot, value: value(seq, len) }
}
