//! Small made-up values for the tests of the rules.

use bytes::Bytes;
use synod_core::{
    Ballot, Command, CommandKey, Incarnation, Instance, Member, NodeId, Position, Value,
    ValueWriter,
};

use super::Place;
use crate::kv::{Action, Op, STORE};

pub(crate) fn place(node: usize) -> Place {
    Place { node, group: 0 }
}

pub(crate) fn member(node: u64) -> Member {
    Member { node: NodeId(node + 1), incarnation: Incarnation(node + 11) }
}

/// A ballot as it is shown: round and node id.
pub(crate) fn ballot(round: u64, node: u64) -> Ballot {
    Ballot { round, node: NodeId(node), incarnation: Incarnation(node + 10) }
}

pub(crate) fn at(instance: u64, index: u32) -> Position {
    Position { instance: Instance(instance), index }
}

pub(crate) fn key(seq: u64) -> CommandKey {
    CommandKey { origin: Incarnation(11), boot: 1, seq }
}

pub(crate) fn op(tag: u64) -> Op {
    Op { key: 0, tag, action: Action::Append }
}

pub(crate) fn command(seq: u64, low: u64) -> Command {
    let payload: Bytes = op(seq).encode(0);
    Command { key: key(seq), low, sm: STORE, payload }
}

pub(crate) fn batch(commands: &[Command]) -> Value {
    let mut writer = ValueWriter::default();
    commands.iter().for_each(|command| writer.push(command));
    writer.finish()
}

pub(crate) fn value(seq: u64) -> Value {
    batch(&[command(seq, 1)])
}
