//! What is on a node's disk.

use std::collections::BTreeMap;

use synod_core::{Ballot, Instance, Record, Recovered, Stored, Value};

use crate::bugs::Bug;
use crate::rules::{Broken, Rule};

/// What the records on disk come to, as [`Record`] and [`Recovered`] say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) promised: Ballot,
    entries: BTreeMap<Instance, (Ballot, Value)>,
    hint: Instance,
}

impl Disk {
    /// A record becomes durable. The promise must go up (I2), and no vote be below it (I4).
    pub(crate) fn add(&mut self, record: &Record, broken: &mut Broken) {
        match record {
            Record::Promised(ballot) => {
                broken.unless(*ballot > self.promised, Rule::I2);
                self.promised = self.promised.max(*ballot);
            }
            Record::Accepted { instance, ballot, value } => {
                broken.unless(*ballot >= self.promised, Rule::I4);
                self.entries.insert(*instance, (*ballot, value.clone()));
            }
            Record::Learned { instance, value } => {
                self.entries.insert(*instance, (Ballot::ZERO, value.clone()));
            }
            Record::Chosen(up_to) => self.hint = self.hint.max(*up_to),
            Record::Cleaned(_) => unreachable!("nothing is ever cleaned here"),
            Record::Membership(_) => unreachable!("nobody changes the membership here"),
        }
    }

    /// What a restart reads.
    pub(crate) fn recover(&self, me: Ballot, bug: Bug) -> Recovered {
        let mut chosen = Instance::ZERO;
        while chosen < self.hint && self.entries.contains_key(&chosen.next()) {
            chosen = chosen.next();
        }
        let open = self.entries.iter().filter(|(instance, _)| **instance > chosen);
        let entries: Vec<Stored> = open
            .map(|(&instance, (ballot, value))| Stored {
                instance,
                ballot: *ballot,
                value: Some(value.clone()),
            })
            .collect();
        let voted = entries.iter().map(|stored| stored.ballot).max().unwrap_or_default();
        let promised = match bug {
            Bug::PromiseReadFromVotes => voted,
            Bug::OwnBallotForgotten if self.promised.member() == me.member() => voted,
            Bug::None
            | Bug::OwnBallotForgotten
            | Bug::SyncClaimed
            | Bug::VoteCountedTwice
            | Bug::WordTakenForAnyBallot => self.promised,
        };
        Recovered { promised, chosen, cleaned: Instance::ZERO, history: None, entries }
    }

    /// The value that is held at an instance.
    pub(crate) fn held(&self, instance: Instance) -> Option<&Value> {
        self.entries.get(&instance).map(|(_, value)| value)
    }
}
