//! Small made-up values for the tests of the rules.

use bytes::Bytes;
use synod_core::{
    Ballot, ClusterId, Command, CommandKey, Incarnation, Instance, Member, Membership, NodeId,
    Position, Value, ValueWriter,
};

use super::Place;
use super::choices::Choices;
use crate::kv::{Action, Op, STORE};

pub(crate) fn place(node: usize) -> Place {
    Place { node, group: 0 }
}

pub(crate) fn member(node: u64) -> Member {
    Member { node: NodeId(node + 1), incarnation: Incarnation(node + 11) }
}

/// Of one group, in which so many members vote.
pub(crate) fn choices(nodes: u64) -> Choices {
    let mut choices = Choices::new(1);
    let membership = Membership::new((0..nodes).map(member).collect(), Vec::new()).unwrap();
    choices.founded(0, ClusterId(1), &membership);
    choices
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
