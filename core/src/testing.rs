//! What the unit tests of a group's parts share: a node with its outbox, and a disk that finishes
//! when the test says so.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::config::Config;
use crate::entries::{Entries, Slot};
use crate::env::{Ctx, Env};
use crate::founding::ClusterId;
use crate::ids::{Ballot, GroupId, Incarnation, Instance, Member, NodeId, SmId};
use crate::journal::Journal;
use crate::membership::{History, Membership};
use crate::message::{Message, Promise, Report, Reported};
use crate::outbox::{Event, Outbox, Outcome};
use crate::proposer::leadership::Leadership;
use crate::proposer::phase1::Phase1;
use crate::time::Time;
use crate::value::{Command, CommandKey, Value, ValueWriter};
use crate::write::{Record, WriteBatch};

/// Node 1 of a group, in its first process life.
pub(crate) struct Kit {
    pub(crate) env: Env,
    pub(crate) out: Outbox,
}

impl Kit {
    /// Nodes 1 to `voters` vote.
    pub(crate) fn new(voters: u64) -> Self {
        Self::with_followers(voters, 0)
    }

    /// Nodes 1 to `voters` vote, and so many above them follow.
    pub(crate) fn with_followers(voters: u64, followers: u64) -> Self {
        let followers = (voters + 1..=voters + followers).map(member).collect();
        let membership = Membership::new((1..=voters).map(member).collect(), followers).unwrap();
        let me = member(1);
        let journal = Journal::new(GroupId(0), 1, me.node, Time::ZERO);
        let history = History::founded(membership);
        let config = Config::default();
        let (now, chosen) = (Time::ZERO, Instance::ZERO);
        let cluster = ClusterId(1);
        let failed = None;
        let has_room = true;
        let env = Env { now, me, config, cluster, history, chosen, journal, failed, has_room };
        Self { env, out: Outbox::default() }
    }

    pub(crate) fn ctx(&mut self) -> Ctx<'_> {
        Ctx { env: &mut self.env, out: &mut self.out }
    }

    /// It is so many milliseconds after the start now.
    pub(crate) fn at(&mut self, millis: u64) {
        self.env.now = Time::from_millis(millis);
    }

    /// What there is to write, kept from the disk for good.
    pub(crate) fn written(&mut self) -> Vec<Record> {
        self.out.take_writes().map_or_else(Vec::new, |batch| batch.records().to_vec())
    }

    /// Brings what there is to write to the disk, and gives it back.
    pub(crate) fn sync(&mut self) -> Vec<Record> {
        let Some(batch) = self.out.take_writes() else { return Vec::new() };
        let records = batch.records().to_vec();
        self.finish(batch);
        records
    }

    /// The disk finished a batch.
    pub(crate) fn finish(&mut self, batch: WriteBatch) {
        self.ctx().durable(batch.durable());
    }

    /// Gives the disk something to do until [`sync`](Self::sync).
    pub(crate) fn busy(&mut self) {
        self.ctx().write(Record::Chosen(Instance::ZERO));
    }

    /// What was sent to others since the last time, each with its node.
    pub(crate) fn sent(&mut self) -> Vec<(u64, Message)> {
        self.out.messages.drain(..).map(|(to, message)| (to.0, message)).collect()
    }

    /// What was sent to ourselves since the last time.
    pub(crate) fn said(&mut self) -> Vec<Message> {
        core::iter::from_fn(|| self.env.journal.next_local()).collect()
    }

    pub(crate) fn outcomes(&mut self) -> Vec<Outcome> {
        self.out.outcomes.drain(..).collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.out.events.drain(..).collect()
    }
}

/// The ballot of [`elected`].
pub(crate) const LEADING: Ballot = ballot(2, 1);

/// Node 1 leads in [`LEADING`]: its own promise reported these values, the others' nothing. What it
/// says stays where it is.
pub(crate) fn elected(kit: &mut Kit, entries: &Entries, reported: &[(u64, Value)]) -> Leadership {
    let (from, to) = (entries.chosen().next(), Instance::MAX);
    let mut phase1 = Phase1::start(LEADING, from, &mut kit.ctx());
    kit.said();
    kit.sent();
    let voters = kit.env.history.newest().voters().to_vec();
    for voter in voters {
        let mut promise =
            Promise { ballot: LEADING, from, to, chosen: from.prev(), entries: Vec::new() };
        if voter == kit.env.me {
            let entry = |(i, value): &(u64, Value)| Reported {
                instance: Instance(*i),
                entry: Report::Accepted(ballot(1, 3), value.clone()),
            };
            promise.entries = reported.iter().map(entry).collect();
        }
        phase1.on_promise(voter, promise, entries.chosen(), &mut kit.ctx());
    }
    Leadership::start(phase1, entries, &mut kit.ctx())
}

/// A node with the memory that it has in every [`Kit`].
pub(crate) const fn member(node: u64) -> Member {
    Member { node: NodeId(node), incarnation: Incarnation(node * 10) }
}

/// The same node after it lost its memory.
pub(crate) const fn wiped(node: u64) -> Member {
    Member { node: NodeId(node), incarnation: Incarnation(node * 10 + 1) }
}

pub(crate) const fn ballot(round: u64, node: u64) -> Ballot {
    let Member { node, incarnation } = member(node);
    Ballot { round, node, incarnation }
}

/// A command of a node's first process life, 8 bytes long.
pub(crate) fn command(node: u64, seq: u64) -> Command {
    let key = CommandKey { origin: member(node).incarnation, boot: 1, seq };
    Command { key, low: 1, sm: SmId(0), payload: Bytes::copy_from_slice(&seq.to_le_bytes()) }
}

/// A value that holds these commands.
pub(crate) fn batch(commands: &[Command]) -> Value {
    let mut writer = ValueWriter::new();
    commands.iter().for_each(|command| writer.push(command));
    writer.finish()
}

/// A value of its own for each number, 53 bytes long.
pub(crate) fn value(seq: u64) -> Value {
    batch(&[command(1, seq)])
}

/// A value that was accepted in a ballot.
pub(crate) const fn accepted(ballot: Ballot, value: Value) -> Slot {
    Slot { ballot, value: Some(value) }
}

/// A log of which so much is chosen, instance `i` with `value(i)`, all of it in memory.
pub(crate) fn chosen(up_to: u64) -> Entries {
    let mut entries = Entries::new(Instance::ZERO, Instance::ZERO);
    for instance in 1..=up_to {
        entries.put(Instance(instance), accepted(ballot(1, 1), value(instance)));
        entries.choose_next();
    }
    entries
}
