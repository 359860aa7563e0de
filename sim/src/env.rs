//! What surrounds the nodes: time, the network, the rules that listen, the account that is kept.

use std::time::Duration;

use bytes::Bytes;
use synod_core::{Fetch, Member, Message, Outcome, Record, Time};
use synod_proto::{Packet, encode_frame};

use crate::checkers::{Checkers, Place};
use crate::clients::{CallId, End};
use crate::faults::Crash;
use crate::guests::Guests;
use crate::network::{Network, Sent, damage::damaged};
use crate::plan::Plan;
use crate::queue::Queue;
use crate::rng::to_u64;
use crate::stats::Stats;
use crate::trace::{Note, Trace};

/// Everything outside the nodes that nodes act on.
#[derive(Debug)]
pub struct Env {
    /// The time.
    pub now: Time,
    /// What happens next.
    pub queue: Queue<Event>,
    /// A user's state machines.
    pub guests: Guests,
    /// The links.
    pub network: Network,
    /// The rules.
    pub checkers: Checkers,
    /// The account.
    pub trace: Trace,
    /// The counts.
    pub stats: Stats,
    /// What nodes answered, for the clients.
    pub answers: Vec<(CallId, Answer)>,
    /// What became of changes of the membership, as nodes said to the operator.
    pub changes: Vec<(Place, Outcome)>,
    /// Which message is being delivered.
    pub arriving: u64,
    /// Nodes that crash as soon as they have done what they are doing.
    pub crashes: Vec<(usize, Crash, Duration)>,
    /// The faults are over.
    pub is_mended: bool,
    /// When the last message that was said before that will have arrived.
    pub landed: Time,
}

/// What happens at some time.
#[derive(Debug)]
pub enum Event {
    /// A frame arrives.
    Deliver {
        /// Who sent it.
        from: usize,
        /// In which of its lives.
        life: u64,
        /// Who gets it.
        to: usize,
        /// The how manieth of its link it is.
        number: u64,
        /// The bytes.
        frame: Bytes,
        /// Which message it is, in the order sent.
        message: u64,
        /// Whether they changed on their way.
        is_damaged: bool,
    },
    /// A request reaches a node.
    Ask {
        /// Which request.
        id: CallId,
        /// Until when it is to be answered, by the node's clock.
        deadline: Time,
    },
    /// A node gets round to what waited for it.
    Turn {
        /// Which node.
        node: usize,
        /// In which of its lives.
        life: u64,
    },
    /// Something happens inside a node, if it still is the same process.
    Node {
        /// Which node.
        node: usize,
        /// In which of its lives.
        life: u64,
        /// What.
        what: Inside,
    },
    /// A node starts.
    Start {
        /// Which.
        node: usize,
    },
    /// A node loses power, whatever it is doing.
    Power {
        /// Which.
        node: usize,
        /// How long it stays down.
        down: Duration,
    },
    /// A planned fault strikes.
    Fault(usize),
    /// A planned fault passes.
    Pass(usize),
    /// A client wants something.
    Client(usize),
    /// A request should be over by now.
    Due {
        /// Which.
        id: CallId,
        /// Its deadline by the node's clock.
        deadline: Time,
    },
    /// A client whose answer will not come stops waiting.
    GiveUp(CallId),
    /// Faults end.
    Mend,
    /// Look whether everything works again.
    Check,
}

impl Event {
    /// The node that has to get round to it, if it is one that a process has to do with.
    #[must_use]
    pub const fn process(&self) -> Option<usize> {
        match self {
            Self::Deliver { to: node, .. } | Self::Node { node, .. } => Some(*node),
            Self::Ask { .. }
            | Self::Turn { .. }
            | Self::Start { .. }
            | Self::Power { .. }
            | Self::Fault(_)
            | Self::Pass(_)
            | Self::Client(_)
            | Self::Due { .. }
            | Self::GiveUp(_)
            | Self::Mend
            | Self::Check => None,
        }
    }
}

/// What happens inside a process.
#[derive(Debug)]
pub enum Inside {
    /// A group wanted to be woken.
    Wake(usize),
    /// Founding goes on.
    Form,
    /// The answer to the n-th hello to this node should be there by now.
    Greet(usize, u32),
    /// It may be time for the groups to start.
    Enter,
    /// The disk takes new incarnations.
    Renew,
    /// The founding is durable, and the node hears of it.
    Founded,
    /// The disk syncs what was written.
    Sync,
    /// The node hears of the sync.
    Told,
    /// The log had nothing to write for a while, since it wrote so many batches.
    Idle(u64),
    /// A full disk is asked for space again.
    Retry,
    /// The node hears whether its log has room for values.
    Room,
    /// State machines execute what they were handed.
    Execute(usize),
    /// Older entries were read.
    Fetched(usize, Fetch),
    /// A checkpoint is written down.
    Checkpoint(usize),
    /// The keeper of a group's checkpoints wanted to be woken.
    Keep(usize),
}

/// What a node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The core has done its part.
    HandedOut,
    /// It is over.
    End(End),
}

impl Env {
    /// A node crashes as soon as it has done what it is doing; the last word on how counts.
    pub fn crash(&mut self, node: usize, how: Crash, down: Duration) {
        self.crashes.retain(|(other, ..)| *other != node);
        self.crashes.push((node, how, down));
    }

    /// The surroundings of a run, before anything happens; keeps the last `steps_max` steps.
    #[must_use]
    pub fn new(plan: &Plan, guests: Guests, steps_max: usize) -> Self {
        Self {
            now: Time::ZERO,
            queue: Queue::default(),
            checkers: Checkers::new(plan.nodes, plan.groups, &plan.core)
                .changing(plan.is_operated())
                .hosting(guests.clone()),
            guests,
            network: Network::new(plan.seed, plan.nodes, plan.noise.clone())
                .only(plan.strange.clone()),
            trace: Trace::new(steps_max),
            stats: Stats::default(),
            answers: Vec::new(),
            changes: Vec::new(),
            arriving: 0,
            crashes: Vec::new(),
            is_mended: false,
            landed: Time::ZERO,
        }
    }

    /// Lets something happen after a while.
    pub fn after(&mut self, wait: Duration, event: Event) {
        self.queue.push(self.now + wait, event);
    }

    /// Keeps a step of a node, if steps are kept.
    pub fn line<N: Into<Note>>(&mut self, node: usize, what: impl FnOnce() -> N) {
        self.trace.line(self.now, Some(node), what);
    }

    /// A disk has synced these records: the rules hear it.
    pub fn synced(&mut self, place: Place, records: &[Record]) {
        self.checkers.synced(place, records);
        if !self.trace.is_kept() {
            return;
        }
        for record in records {
            if let Record::Accepted { instance, .. } = record
                && self.checkers.choices.value(place.group, *instance).is_some()
            {
                self.trace.chosen(self.now, place, *instance);
            }
        }
    }

    /// A node says something about a group: the rules hear it, and the network takes it if there is
    /// a connection.
    pub fn say(
        &mut self,
        place: Place,
        me: Member,
        life: u64,
        (to, is_open): (usize, bool),
        message: Message,
    ) {
        self.checkers.said(place, me, life, &message);
        self.checkers.quiet.said(place, to);
        self.line(place.node, || Note::sent(place.group, to, &message));
        let group = synod_core::GroupId(u32::try_from(place.group).expect("few groups"));
        if is_open {
            let packet = Packet::Group { group, from: me.incarnation, message };
            self.send(place.node, life, to, &packet);
        } else {
            self.unsent();
        }
    }

    /// There is no connection for a message.
    pub fn unsent(&mut self) {
        self.stats.messages += 1;
        self.stats.lost += 1;
        self.trace.fate(self.stats.messages, Vec::new);
    }

    /// Puts a packet of a process life on the wire.
    pub fn send(&mut self, from: usize, life: u64, to: usize, packet: &Packet) {
        self.stats.messages += 1;
        let (now, message, frame) = (self.now, self.stats.messages, encode_frame(packet));
        let sent = self.network.send(from, to, frame.len(), now);
        self.trace.fate(message, || sent.map_or_else(Vec::new, |sent| sent.arrivals(now)));
        let Some(Sent { number, wait, again, damage }) = sent else {
            self.stats.lost += 1;
            return;
        };
        let deliver = |frame, is_damaged| Event::Deliver {
            from,
            life,
            to,
            number,
            frame,
            message,
            is_damaged,
        };
        if let Some(again) = again {
            self.stats.duplicated += 1;
            self.after(again, deliver(frame.clone(), false));
        }
        if !self.is_mended {
            self.landed = self.landed.max(now + again.unwrap_or(wait));
        }
        let first = match damage {
            Some(bits) => deliver(damaged(&frame, bits), true),
            None => deliver(frame, false),
        };
        self.after(wait, first);
    }

    /// Counts an event into the account.
    pub fn account(&mut self, event: &Event) {
        let (kind, detail) = match event {
            Event::Deliver { from, to, frame, .. } => {
                // The checksum stands for the bytes.
                let sum = frame.get(4..8).and_then(|sum| sum.try_into().ok());
                let sum = u64::from(sum.map_or(0, u32::from_le_bytes));
                (1, sum << 16 | to_u64(*from) << 8 | to_u64(*to))
            }
            Event::Node { node, life, what } => {
                let what = match what {
                    Inside::Wake(group) => 16 + to_u64(*group),
                    Inside::Form => 1,
                    Inside::Founded => 4,
                    Inside::Enter => 6,
                    Inside::Renew => 7,
                    Inside::Greet(to, nth) => 8 + (to_u64(*to) << 8) + (u64::from(*nth) << 16),
                    Inside::Idle(batch) => 5 + (batch << 8),
                    Inside::Sync => 2,
                    Inside::Told => 3,
                    Inside::Retry => 6,
                    Inside::Room => 7,
                    Inside::Execute(group) => 32 + to_u64(*group),
                    Inside::Checkpoint(group) => 64 + to_u64(*group),
                    Inside::Keep(group) => 80 + to_u64(*group),
                    Inside::Fetched(group, fetch) => 48 + to_u64(*group) + fetch.from.0,
                };
                (2, what << 32 | to_u64(*node) << 24 | *life)
            }
            Event::Start { node } => (3, to_u64(*node)),
            Event::Power { node, .. } => (4, to_u64(*node)),
            Event::Fault(n) => (5, to_u64(*n)),
            Event::Pass(n) => (6, to_u64(*n)),
            Event::Client(n) => (7, to_u64(*n)),
            Event::Due { id, .. } => (8, id.0),
            Event::Mend => (9, 0),
            Event::Check => (10, 0),
            Event::Ask { id, .. } => (11, id.0),
            Event::Turn { node, life } => (12, to_u64(*node) << 24 | *life),
            Event::GiveUp(id) => (13, id.0),
        };
        self.trace.event(self.now, kind, detail);
    }
}
