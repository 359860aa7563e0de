//! What should have been executed: the chosen log, replayed by other code than the nodes run.
//!
//! Nodes that are all wrong in the same way agree with each other, and not with this. The rules of
//! exactly-once are written down here a second time, as plainly as possible: a command is executed
//! where it stands first, unless its proposer had already declared it resolved, had restarted, or is
//! no member there. Who leaves does not come back, and its session is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use synod_core::{Command, Incarnation, Instance, Position, SmId};

use super::choices::Choices;
use super::{Place, Verdict, Violation};
use crate::kv::{Kv, Op, STORE};
use crate::rng::to_index;

/// The replayed log of each group.
#[derive(Debug)]
pub struct Reference {
    groups: Vec<Replay>,
}

/// A command that a user's machine executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Where it stands.
    pub at: Position,
    /// For which machine.
    pub sm: SmId,
    /// What it says.
    pub command: Bytes,
}

#[derive(Debug, Default)]
struct Replay {
    done: Instance,
    sessions: BTreeMap<Incarnation, Session>,
    kv: Kv,
    /// The output at each position executed.
    outputs: BTreeMap<Position, u64>,
    /// What a user's machines execute, in order.
    guests: Vec<Given>,
    /// Where each tag was executed.
    tags: BTreeMap<u64, Position>,
    /// What each key held from which position on.
    history: Vec<Vec<(Position, u64)>>,
    /// The digest and the last position executed, by instance from 1.
    states: Vec<(u64, Position)>,
}

#[derive(Debug, Default)]
struct Session {
    boot: u64,
    low: u64,
    seen: BTreeSet<u64>,
}

impl Session {
    /// Whether a command is executed here, the first place where it stands.
    fn takes(&mut self, command: &Command) -> bool {
        if command.key.boot < self.boot {
            return false;
        }
        if command.key.boot > self.boot {
            *self = Self { boot: command.key.boot, low: 0, seen: BTreeSet::new() };
        }
        self.low = self.low.max(command.low);
        command.key.seq >= self.low && self.seen.insert(command.key.seq)
    }
}

impl Reference {
    /// Nothing is chosen.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { groups: std::iter::repeat_with(Replay::default).take(groups).collect() }
    }

    /// A node executed what stands at `at`, with this output if it is known.
    ///
    /// # Errors
    ///
    /// If it should not have been executed, or has another output.
    pub fn executed(
        &mut self,
        choices: &Choices,
        place: Place,
        at: Position,
        output: Option<u64>,
    ) -> Verdict {
        let replay = self.upto(choices, place.group, at.instance);
        match replay.outputs.get(&at) {
            None => {
                let what = format!("{place} executes {at}, which is executed elsewhere or nowhere");
                Err(Violation::new("reference", what))
            }
            Some(right) if output.is_some_and(|output| output != *right) => {
                let what = format!("{place} gets {output:x?} at {at}; it should be {right:x}");
                Err(Violation::new("reference", what))
            }
            Some(_) => Ok(()),
        }
    }

    /// A node let a user's machine execute what stands at `at`.
    ///
    /// # Errors
    ///
    /// If it should not have been executed.
    pub fn guest_executed(&mut self, choices: &Choices, place: Place, at: Position) -> Verdict {
        let replay = self.upto(choices, place.group, at.instance);
        if replay.guests.binary_search_by_key(&at, |given| given.at).is_ok() {
            return Ok(());
        }
        let what = format!("{place} executes {at}, which is executed elsewhere or nowhere");
        Err(Violation::new("reference", what))
    }

    /// What a user's machines execute up to `instance`, and maybe more.
    pub fn given(&mut self, choices: &Choices, group: usize, instance: Instance) -> &[Given] {
        &self.upto(choices, group, instance).guests
    }

    /// A node has executed everything up to `instance` and nothing above.
    ///
    /// # Errors
    ///
    /// If its state is not that of the log.
    pub fn through(
        &mut self,
        choices: &Choices,
        place: Place,
        instance: Instance,
        applied: Position,
        digest: u64,
    ) -> Verdict {
        if instance == Instance::ZERO || applied.instance > instance {
            return Ok(());
        }
        let replay = self.upto(choices, place.group, instance);
        let right = replay.states.get(to_index(instance.prev().0));
        if right == Some(&(digest, applied)) {
            return Ok(());
        }
        let what = format!(
            "{place} has state {digest:x} at {instance}, executed to {applied}; it should be \
             {right:x?}"
        );
        Err(Violation::new("reference", what))
    }

    /// A client read a key from a state that had executed everything up to `at`.
    ///
    /// # Errors
    ///
    /// If the key held something else there.
    pub fn read(
        &mut self,
        choices: &Choices,
        group: usize,
        key: u16,
        at: Position,
        output: u64,
    ) -> Verdict {
        let replay = self.upto(choices, group, at.instance);
        let history = replay.history.get(usize::from(key)).map_or(&[][..], Vec::as_slice);
        let above = history.partition_point(|&(position, _)| position <= at);
        let right = above.checked_sub(1).map_or(0, |last| history[last].1);
        if right != output {
            let what = format!(
                "a read of key {key} in group {group} at {at} gave {output:x}; it held {right:x}"
            );
            return Err(Violation::new("reference", what));
        }
        Ok(())
    }

    /// Where the operation with this tag was executed, as far as the log was replayed.
    #[must_use]
    pub fn executed_at(&self, group: usize, tag: u64) -> Option<Position> {
        self.groups[group].tags.get(&tag).copied()
    }

    /// Where the operation with this tag was executed, which must be at or below `last`.
    ///
    /// # Errors
    ///
    /// If it was not.
    pub fn executed_by(
        &mut self,
        choices: &Choices,
        group: usize,
        tag: u64,
        last: Instance,
    ) -> Result<Position, Violation> {
        let found = self.upto(choices, group, last).tags.get(&tag).copied();
        found.filter(|at| at.instance <= last).ok_or_else(|| {
            let what = format!(
                "operation {tag} of group {group} was said to be executed by {last}, and was at {found:?}"
            );
            Violation::new("acknowledged", what)
        })
    }

    /// Replays everything that is chosen.
    pub fn catch_up(&mut self, choices: &Choices) {
        for group in 0..self.groups.len() {
            self.upto(choices, group, choices.prefix(group));
        }
    }

    /// How many commands were executed.
    #[must_use]
    pub fn commands(&self) -> usize {
        self.groups.iter().map(|replay| replay.outputs.len() + replay.guests.len()).sum()
    }

    fn upto(&mut self, choices: &Choices, group: usize, instance: Instance) -> &Replay {
        let replay = &mut self.groups[group];
        while replay.done < instance {
            let next = replay.done.next();
            let Some(value) = choices.value(group, next) else { break };
            let members = choices.eras(group).map(|eras| eras.at(next));
            let is_member = |origin| members.is_some_and(|members| members.has(origin));
            replay.sessions.retain(|origin, _| is_member(*origin));
            for (index, command) in (0..).zip(value.commands()) {
                if !is_member(command.key.origin) {
                    continue;
                }
                replay.execute(Position { instance: next, index }, &command);
            }
            replay.done = next;
            replay.states.push((replay.kv.digest(), replay.kv.applied()));
        }
        replay
    }
}

impl Replay {
    fn execute(&mut self, at: Position, command: &Command) {
        if !self.sessions.entry(command.key.origin).or_default().takes(command) {
            return;
        }
        if command.sm == SmId::MASTER {
            return; // the group's own
        }
        if command.sm != STORE {
            self.guests.push(Given { at, sm: command.sm, command: command.payload.clone() });
            return;
        }
        let Some(op) = Op::decode(&command.payload) else { return };
        self.outputs.insert(at, self.kv.execute(at, &op));
        self.tags.insert(op.tag, at);
        let key = usize::from(op.key);
        if self.history.len() <= key {
            self.history.resize(key + 1, Vec::new());
        }
        self.history[key].push((at, self.kv.held(op.key)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, ballot, batch, choices, command, key, member, op, place};
    use super::*;

    /// #1: seq 1 and 2; #2: seq 1 again and seq 3.
    fn log() -> Choices {
        let mut choices = choices(1);
        let values = [[command(1, 1), command(2, 1)], [command(1, 1), command(3, 1)]];
        for (instance, commands) in (1..).zip(values) {
            let value = batch(&commands);
            choices.stored(0, member(0), Instance(instance), ballot(1, 1), &value).unwrap();
        }
        choices
    }

    fn outputs() -> [u64; 3] {
        let mut held = 0;
        [1, 2, 3].map(|tag| {
            let (now, output) = op(tag).run(held);
            held = now;
            output
        })
    }

    #[test]
    fn a_command_is_executed_where_it_stands_first() {
        let (mut reference, log) = (Reference::new(1), log());
        let [one, two, three] = outputs();
        assert_eq!(reference.executed(&log, place(0), at(1, 0), Some(one)), Ok(()));
        assert_eq!(reference.executed(&log, place(0), at(1, 1), Some(two)), Ok(()));
        assert_eq!(reference.executed(&log, place(0), at(2, 1), Some(three)), Ok(()));
        assert_eq!(reference.read(&log, 0, 0, at(2, 0), two), Ok(()));
        assert_eq!(reference.read(&log, 0, 7, at(2, 0), 0), Ok(()));
        assert_eq!(reference.executed_at(0, 3), Some(at(2, 1)));
    }

    #[test]
    fn a_second_execution_and_a_wrong_output_are_found() {
        let (mut reference, log) = (Reference::new(1), log());
        assert!(reference.executed(&log, place(0), at(2, 0), None).is_err());
        assert!(reference.executed(&log, place(0), at(1, 0), Some(0)).is_err());
    }

    #[test]
    fn a_wrong_state_and_a_wrong_read_are_found() {
        let (mut reference, log) = (Reference::new(1), log());
        assert!(reference.through(&log, place(0), Instance(2), at(2, 1), 7).is_err());
        assert!(reference.read(&log, 0, 0, at(1, 0), outputs()[1]).is_err());
    }

    #[test]
    fn a_session_forgets_what_its_proposer_resolved_and_older_boots() {
        let mut session = Session::default();
        let with_boot = |boot, seq, low| Command {
            key: synod_core::CommandKey { boot, ..key(seq) },
            ..command(seq, low)
        };
        assert!(session.takes(&with_boot(1, 2, 1)));
        assert!(session.takes(&with_boot(1, 5, 4)));
        assert!(!session.takes(&with_boot(1, 3, 1)), "resolved by its proposer");
        assert!(session.takes(&with_boot(2, 1, 1)));
        assert!(!session.takes(&with_boot(1, 9, 1)), "of an older boot");
    }
}
