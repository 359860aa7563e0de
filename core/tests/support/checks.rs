//! What must never happen, watched from outside.

#![expect(clippy::wildcard_enum_match_arm, reason = "the rest makes no statement of its own")]

use std::collections::{BTreeMap, BTreeSet};

use synod_core::*;

use super::disk::Image;

#[derive(Debug, Default)]
pub struct Checks {
    /// The cluster cleans its logs, and with them forgets its sessions: see `Input::Clean`.
    pub forgets: bool,
    ballots: BTreeMap<Ballot, (NodeId, u64)>,
    proposed: BTreeMap<(Ballot, Instance), Value>,
    positions: BTreeMap<Position, CommandKey>,
    once: BTreeMap<u64, Position>,
    chosen: BTreeMap<Instance, Vec<CommandKey>>,
    refused: BTreeSet<u64>,
    acknowledged: Instance,
    memberships: BTreeMap<Instance, (Membership, Member)>,
    changed: BTreeMap<Instance, u64>,
    completed: BTreeSet<Instance>,
    reads: BTreeMap<u64, Instance>,
    read: Instance,
}

impl Checks {
    /// A message left: it must not contradict any other, nor the disk behind it.
    pub fn said(&mut self, life: (NodeId, u64), message: &Message, disk: &Image) {
        match message {
            Message::Prepare { ballot, .. } => {
                self.own(*ballot, life);
                assert!(
                    disk.promised >= *ballot,
                    "{life:?} asks in {ballot} before its disk knows"
                );
            }
            Message::Promise(promise) => {
                assert!(disk.promised >= promise.ballot, "{life:?} promises what is not durable");
                for reported in &promise.entries {
                    if let Report::Accepted(ballot, _) = &reported.entry {
                        let vote = (reported.instance, *ballot);
                        assert!(
                            disk.votes.contains(&vote),
                            "{life:?} reports {vote:?}, not durable"
                        );
                    }
                }
            }
            Message::Accept { ballot, instance, value, .. } => {
                self.own(*ballot, life);
                let first =
                    self.proposed.entry((*ballot, *instance)).or_insert_with(|| value.clone());
                assert_eq!(first, value, "{ballot} proposes two values at {instance}");
            }
            Message::Accepted { ballot, first, last } => {
                for instance in first.0..=last.0 {
                    let vote = (Instance(instance), *ballot);
                    assert!(disk.votes.contains(&vote), "{life:?} vouches for {vote:?}");
                }
            }
            _ => {}
        }
    }

    fn own(&mut self, ballot: Ballot, life: (NodeId, u64)) {
        let owner = *self.ballots.entry(ballot).or_insert(life);
        assert_eq!(owner, life, "{ballot} is used by two lives");
    }

    pub fn executed(&mut self, position: Position, key: CommandKey, id: u64) {
        let first = *self.positions.entry(position).or_insert(key);
        assert_eq!(first, key, "two commands at {position}");
        assert!(!self.refused.contains(&id), "c{id} was refused and is executed at {position}");
        let at = *self.once.entry(id).or_insert(position);
        assert!(at == position || self.forgets, "c{id} is executed at {at} and at {position}");
    }

    pub fn refused(&mut self, id: u64) {
        assert!(!self.once.contains_key(&id), "c{id} was executed and is refused");
        self.refused.insert(id);
    }

    /// A node knows who votes.
    pub fn members(&mut self, me: Member, history: &History) {
        let (version, newest) = (history.version(), history.newest());
        let known = self.memberships.entry(version).or_insert_with(|| (newest.clone(), me));
        assert_eq!(known.0, *newest, "{me} and {} know other members from {version}", known.1);
    }

    /// Whether a change is reported complete for the first time.
    pub fn completes(&mut self, at: Instance) -> bool {
        self.completed.insert(at)
    }

    pub fn changed(&mut self, id: u64, at: Instance) {
        let first = *self.changed.entry(at).or_insert(id);
        assert_eq!(first, id, "two changes were made at {at}");
    }

    pub fn acknowledged(&mut self, instance: Instance) {
        self.acknowledged = self.acknowledged.max(instance);
    }

    pub fn instance(&mut self, instance: Instance, keys: Vec<CommandKey>) {
        if self.forgets {
            return;
        }
        let first = self.chosen.entry(instance).or_insert_with(|| keys.clone());
        assert_eq!(*first, keys, "two lists of commands at {instance}");
    }

    pub fn read_starts(&mut self, id: u64) {
        self.reads.insert(id, self.acknowledged.max(self.read));
    }

    pub fn read_at(&mut self, id: u64, at: Instance) {
        let least = self.reads[&id];
        assert!(at >= least, "read {id} is served at {at}, below {least}");
    }

    /// The state machine of the reader reached where the read may be served.
    pub fn read_ends(&mut self, at: Instance) {
        self.read = self.read.max(at);
    }

    pub fn finish(&self, chosen: Instance) -> Result<u64, String> {
        if chosen < self.acknowledged {
            return Err(format!("acknowledged {} but chosen {chosen}", self.acknowledged));
        }
        Ok(self.acknowledged.0)
    }
}
