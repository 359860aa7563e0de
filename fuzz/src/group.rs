//! One group among peers that say anything: well-typed, and otherwise as hostile as bytes can be.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use synod_core::{
    Apply, Ballot, ClusterId, Command, CommandKey, Config, Group, GroupId, Incarnation, Input,
    Instance, Member, Membership, MembershipEntry, Message, NodeId, Outbox, Promise, ProposalId,
    ReadId, Record, Recovered, Report, Reported, SmId, Start, Stored, Time, Value, ValueWriter,
    WriteBatch,
};

/// Each byte decides what happens next, and the bytes after it how: a message from a peer, a client,
/// the disk, the clock, a restart.
///
/// The embedder's side is honest, since its contract is asserted: writes complete in order, fetches
/// are answered from what was written, time goes on.
///
/// # Panics
///
/// If the group does, if it does not start from its own log, or if its deadline never passes.
pub fn run(data: &[u8]) {
    let mut world = World { bytes: data, ..World::default() };
    world.restart();
    while !world.bytes.is_empty() && world.group().failure().is_none() {
        world.event();
    }
}

#[derive(Default)]
struct World<'a> {
    bytes: &'a [u8],
    group: Option<Group>,
    now: Time,
    boot: u64,
    ids: u64,
    log: Vec<Record>,
    writing: VecDeque<WriteBatch>,
}

impl World<'_> {
    fn group(&mut self) -> &mut Group {
        self.group.as_mut().expect("started before anything else")
    }

    fn event(&mut self) {
        match self.byte() % 16 {
            0 => self.pass(),
            1 | 2 => {
                if let Some(batch) = self.writing.pop_front() {
                    self.step(Input::Durable(batch.durable()));
                }
            }
            3 => {
                self.ids += 1;
                let (id, deadline) =
                    (self.ids, self.now + Duration::from_millis(self.number() % 999));
                let command = Bytes::from_static(b"command");
                self.step(Input::Propose { id: ProposalId(id), sm: SmId(0), command, deadline });
                let stale = Duration::from_millis(id % 3 * 100);
                self.step(Input::Read { id: ReadId(id), deadline, stale });
                self.step(Input::Tick);
            }
            4 => match self.byte() % 4 {
                0 => self.restart(),
                1 => {
                    let to = self.node();
                    self.step(Input::Transfer(to));
                }
                2 => {
                    let limit = self.instance();
                    self.step(Input::CleanLimit(limit));
                    self.step(Input::Checkpoint);
                }
                _ => self.step(Input::Tick),
            },
            _ => {
                let from = Member { node: self.node(), incarnation: self.incarnation() };
                let message = self.message();
                self.step(Input::Receive { from, message });
            }
        }
    }

    /// Time goes on to the next deadline, which must then pass.
    fn pass(&mut self) {
        if let Some(deadline) = self.group().deadline() {
            self.now = self.now.max(deadline);
        }
        for _ in 0..100 {
            let now = self.now;
            if self.group().deadline().is_none_or(|deadline| deadline > now) {
                return;
            }
            self.step(Input::Tick);
        }
        panic!("the deadline does not pass: {:?}", self.group());
    }

    fn restart(&mut self) {
        self.writing.clear();
        self.boot += 1;
        let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node * 11) };
        let start = Start {
            cluster: ClusterId(1),
            group: GroupId(0),
            me: member(1),
            boot: self.boot,
            membership: Membership::new(vec![member(1), member(2), member(3)], vec![])
                .expect("three nodes"),
            recovered: recovered(&self.log),
            config: Config {
                window_instances_max: 4,
                queue_commands_max: 8,
                accept_ahead_max: 16,
                page_bytes_max: 100,
                cache_bytes_max: 50,
                writes_in_flight_max: 64,
                keep_instances: 2,
                digest_interval: 3,
                ..Config::default()
            },
            now: self.now,
        };
        self.group = Some(Group::start(start).expect("its own log is sound"));
    }

    fn step(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let (now, mut out) = (self.now, Outbox::default());
            self.group().step(now, input, &mut out);
            if let Some(batch) = out.take_writes() {
                self.log.extend_from_slice(batch.records());
                self.writing.push_back(batch);
            }
            for apply in out.applies.drain(..) {
                match apply {
                    Apply::Through(instance) | Apply::Install(instance) => {
                        inputs.push_back(Input::Applied(instance));
                    }
                    Apply::Checkpoint { at, .. } => inputs.push_back(Input::Checkpointed(at)),
                    Apply::Digest(at) => inputs.push_back(Input::Digested { at, state: Some(1) }),
                    Apply::Command { .. } => {}
                }
            }
            for fetch in out.fetches.drain(..) {
                let stored = held(&self.log).into_iter();
                let entries = stored.filter(|s| s.instance >= fetch.from && s.instance <= fetch.to);
                inputs.push_back(Input::Fetched { id: fetch.id, entries: entries.collect() });
            }
        }
    }

    fn message(&mut self) -> Message {
        let ballot = self.ballot();
        match self.byte() % 26 {
            0 => Message::Canvass { ballot },
            1 => Message::CanvassReply {
                ballot,
                granted: self.byte().is_multiple_of(2),
                promised: self.ballot(),
                chosen: self.instance(),
            },
            2 => Message::Prepare { ballot, from: self.instance() },
            3 => Message::Promise(Promise {
                ballot,
                from: self.instance(),
                to: self.instance(),
                chosen: self.instance(),
                entries: (0..self.byte() % 5).map(|_| self.reported()).collect(),
            }),
            4 => Message::Behind { ballot, cleaned: self.instance() },
            5 => Message::Nack { ballot, promised: self.ballot() },
            6 => Message::Accept {
                ballot,
                instance: self.instance(),
                value: self.value(),
                chosen: self.instance(),
            },
            7 => Message::Accepted { ballot, first: self.instance(), last: self.instance() },
            8 => Message::Heartbeat { ballot, probe: self.number(), chosen: self.instance() },
            9 => Message::HeartbeatAck { ballot, probe: self.number(), chosen: self.instance() },
            10 => Message::Learn { from: self.instance(), lost: self.byte().is_multiple_of(2) },
            11 => Message::Learned {
                from: self.instance(),
                values: (0..self.byte() % 5).map(|_| self.value()).collect(),
                chosen: self.instance(),
                cleaned: self.instance(),
            },
            12 => Message::Forward {
                ballot,
                commands: self.value(),
                spread: self.byte().is_multiple_of(2),
            },
            13 => Message::Refused { ballot, keys: vec![self.key(), self.key()] },
            14 => Message::ReadIndex { round: self.number() },
            15 => Message::ReadPoint { round: self.number(), instance: self.instance() },
            16 => Message::Hold { ballot, chosen: self.instance() },
            17 => Message::Held { ballot, held: self.instance() },
            18 => Message::Change { ballot, entry: self.membership() },
            19 => Message::Waits { key: self.key(), on: None },
            20 => {
                let length = Duration::from_millis(self.number() % 999 + 1);
                Message::Lease { ballot, question: self.number(), length }
            }
            21 => Message::Granted { ballot, question: self.number() },
            22 => Message::Release { ballot },
            24 => Message::Digest {
                at: self.instance(),
                log: self.number(),
                state: self.byte().is_multiple_of(2).then_some(1),
            },
            23 => Message::Voted { instance: self.instance(), ballot, value: self.value() },
            _ => Message::Transfer { ballot },
        }
    }

    fn reported(&mut self) -> Reported {
        let instance = self.instance();
        let entry = match self.byte() % 3 {
            0 => Report::Accepted(self.ballot(), self.value()),
            1 => Report::Lost(self.ballot()),
            _ => Report::Chosen(self.value()),
        };
        Reported { instance, entry }
    }

    /// Often the ballot that the group acts in or promised, so that the message is heard.
    fn ballot(&mut self) -> Ballot {
        match self.byte() % 4 {
            0 => self.group().status().promised,
            1 => self.group().status().leader,
            _ => {
                Ballot { round: self.number(), node: self.node(), incarnation: self.incarnation() }
            }
        }
    }

    /// Of nodes 1 to 4, of version 0 or a small one, now and then with a memory that is not known.
    fn membership(&mut self) -> Value {
        let (mut voters, mut followers) = (Vec::new(), Vec::new());
        for node in 1..5 {
            let memory = if self.byte() == 7 { 0 } else { node * 11 };
            let member = Member { node: NodeId(node), incarnation: Incarnation(memory) };
            match self.byte() % 3 {
                0 => voters.push(member),
                1 => followers.push(member),
                _ => {}
            }
        }
        let (key, version) = (self.key(), Instance(u64::from(self.byte() % 4)));
        match Membership::new(voters, followers) {
            Ok(membership) => {
                let cluster = ClusterId(1);
                Value::of_membership(&MembershipEntry { key, cluster, version, membership })
            }
            Err(_) => Value::NOOP,
        }
    }

    fn value(&mut self) -> Value {
        if self.byte() == 0xff {
            return self.membership();
        }
        let mut writer = ValueWriter::new();
        for _ in 0..self.byte() % 3 {
            let key = self.key();
            let key = CommandKey { seq: key.seq.max(1), ..key };
            let low = self.number().clamp(1, key.seq);
            let payload = Bytes::from(vec![self.byte(); usize::from(self.byte())]);
            writer.push(&Command { key, low, sm: SmId(0), payload });
        }
        writer.finish()
    }

    fn key(&mut self) -> CommandKey {
        CommandKey { origin: self.incarnation(), boot: self.number(), seq: self.number() }
    }

    /// Small, around where the group is, or at the end of the range.
    fn number(&mut self) -> u64 {
        let byte = u64::from(self.byte());
        match byte {
            0..160 => byte % 16,
            160..200 => (self.group().status().chosen.0 + byte).saturating_sub(164).max(1),
            200..220 => u64::MAX - (byte - 200),
            220..230 => (1 << 63) + byte - 225,
            230..235 => 65_536 + byte,
            _ => byte * 7,
        }
    }

    fn instance(&mut self) -> Instance {
        Instance(self.number())
    }

    fn node(&mut self) -> NodeId {
        NodeId([2, 3, 2, 3, 2, 3, 9, 1][usize::from(self.byte() % 8)])
    }

    fn incarnation(&mut self) -> Incarnation {
        Incarnation([22, 33, 22, 33, 11, 99, 0, u64::MAX][usize::from(self.byte() % 8)])
    }

    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        first
    }
}

/// The entries that a log of these records holds.
fn held(log: &[Record]) -> Vec<Stored> {
    let mut entries = BTreeMap::new();
    for record in log {
        match record {
            Record::Accepted { instance, ballot, value } => {
                entries.insert(*instance, (*ballot, value.clone()));
            }
            Record::Learned { instance, value } => {
                entries.insert(*instance, (Ballot::ZERO, value.clone()));
            }
            Record::Cleaned(up_to) => entries.retain(|instance, _| instance > up_to),
            Record::Promised(_)
            | Record::Chosen(_)
            | Record::Checkpoint { .. }
            | Record::Membership(_)
            | Record::Lease(_) => {}
        }
    }
    let stored = |(instance, (ballot, value))| Stored { instance, ballot, value: Some(value) };
    entries.into_iter().map(stored).collect()
}

fn recovered(log: &[Record]) -> Recovered {
    let mut recovered = Recovered::default();
    for record in log {
        match record {
            Record::Promised(ballot) => recovered.promised = *ballot,
            Record::Chosen(up_to) => recovered.chosen = *up_to,
            Record::Cleaned(up_to) => recovered.cleaned = *up_to,
            Record::Checkpoint { instance, state } => {
                recovered.checkpoint = Some((*instance, state.clone()));
            }
            Record::Lease(length) => recovered.lease = recovered.lease.max(*length),
            Record::Membership(history) => recovered.history = Some(history.clone()),
            Record::Accepted { .. } | Record::Learned { .. } => {}
        }
    }
    recovered.chosen = recovered.chosen.max(recovered.cleaned);
    recovered.entries = held(log).into_iter().filter(|s| s.instance > recovered.chosen).collect();
    recovered
}
