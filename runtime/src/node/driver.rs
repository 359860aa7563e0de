//! The protocol thread of a node: takes what came, steps the groups, and hands over what they want.
//!
//! One loop for all groups. Each turn swaps out everything that waits, steps it, and only then
//! flushes: messages of all groups to a peer leave in one write, records of all groups go to the log
//! thread in one batch. The order within a flush is by how long each road is: the network first,
//! then the disk, then the state machines.

mod founding;
mod meeting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use synod_core::{
    Config, Fetch, Forming, FormingInput, FormingOutbox, FormingState, Founding, Group, GroupId,
    Input, MasterAsk, Member, Message, Recovered, Start, Time, WriteBatch,
};
use synod_proto::{Packet, Welcome};

use super::error::{NodeError, ProposeError, ReadError};
use super::fetcher::{Fetcher, Want};
use super::hosted::Hosted;
use super::log_thread::LogThread;
use super::note::{Note, REQUESTS_MAX, Request, Shared, answer};
use super::observing::Seen;
use super::refusal::LOOK_AGAIN;
use super::rest::round;
use super::status::{NodeState, NodeStatus};
use crate::transport::{Frame, Network, SharedIdentity};
pub(super) use meeting::Meeting;

/// Everything the protocol thread owns.
pub(super) struct Driver {
    /// First, since it has to be dropped first.
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) guard: Guard,
    pub(super) shared: Arc<Shared>,
    pub(super) groups: Vec<Hosted>,
    pub(super) slots: BTreeMap<GroupId, usize>,
    /// What the log gave back, until the groups run.
    pub(super) recovered: Vec<Option<(Recovered, Config)>>,
    pub(super) welcome: Welcome,
    pub(super) forming: Forming,
    pub(super) identity: SharedIdentity,
    pub(super) network: Network,
    pub(super) log: Option<LogThread>,
    /// The log of a node that has failed, until the node ends: then its directory is free again.
    pub(super) stopped_log: Option<LogThread>,
    /// Whether the log takes values; groups that start later are told.
    pub(super) has_room: bool,
    pub(super) fetcher: Fetcher,
    pub(super) checkpoint_every: Option<Duration>,
    pub(super) state: State,
    pub(super) meeting: Meeting,
    pub(super) turn: Turn,
}

/// Sees to it that nobody waits for a protocol thread that has panicked, which is a bug in here.
pub(super) struct Guard(pub(super) Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&"the protocol thread has panicked: see its message, and report it".into());
        }
        drop(self.0.inbox.close());
    }
}

/// What the node does as a whole.
pub(super) enum State {
    /// Until the cluster is founded; with the requests that came early.
    Forming(Vec<Request>),
    Running,
    Leaving {
        until: Time,
    },
    Failed,
    Done,
}

/// What one turn of the loop works with, kept for the next.
#[derive(Default)]
pub(super) struct Turn {
    notes: Vec<Note>,
    /// Slots stepped since the last flush.
    dirty: Vec<usize>,
    batches: Vec<WriteBatch>,
    /// When groups want to be ticked.
    timers: BTreeSet<(Time, usize)>,
    forming: FormingOutbox,
    fetches: Vec<(usize, Fetch)>,
}

impl Driver {
    /// Until the node is shut down.
    pub(super) async fn run(mut self) {
        let sleep = tokio::time::sleep(Duration::ZERO);
        tokio::pin!(sleep);
        let mut armed = Time::ZERO;
        let now = self.now();
        self.form(now, FormingInput::Tick);
        loop {
            let mut notes = std::mem::take(&mut self.turn.notes);
            self.shared.inbox.drain_into(&mut notes);
            let (now, count) = (self.now(), notes.len());
            for note in notes.drain(..) {
                self.take(now, note);
            }
            self.turn.notes = notes;
            self.on_time(now);
            self.flush(now);
            self.count(count, now);
            if matches!(self.state, State::Done) {
                break;
            }
            let Some(deadline) = self.deadline() else {
                self.shared.inbox.rung().await;
                continue;
            };
            if deadline <= now {
                tokio::task::yield_now().await;
                continue;
            }
            // The timer is moved only when it would be late: an early wake-up costs less than
            // setting a timer at every turn.
            if deadline < armed || armed <= now {
                sleep.as_mut().reset(tokio::time::Instant::now() + deadline.since(now));
                armed = deadline;
            }
            tokio::select! {
                biased;
                () = self.shared.inbox.rung() => {}
                () = &mut sleep => armed = Time::ZERO,
            }
        }
        self.end();
    }

    fn count(&self, notes: usize, begun: Time) {
        let stats = &self.shared.stats;
        stats.turns.add(1);
        stats.inbox.set(u64::try_from(notes).unwrap_or(u64::MAX));
        stats.log_has_room.set(u64::from(self.has_room));
        if self.shared.observing.is_on() {
            let took = self.now().since(begun);
            self.shared.observing.tell(|| Seen::Turn(notes, took));
        }
    }

    fn now(&self) -> Time {
        self.shared.clock.now()
    }

    fn take(&mut self, now: Time, note: Note) {
        match note {
            Note::Packet(from, Packet::Group { group, from: incarnation, message }) => {
                if let Some(&slot) = self.slots.get(&group) {
                    if let Message::Change { entry, .. } = &message
                        && let Some(entry) = entry.membership()
                    {
                        // Who is to join is asked how much it holds, and learns from here. What it
                        // says of members counts once it is chosen.
                        self.meet_strangers(entry.membership.book());
                    }
                    self.mark(slot);
                    self.groups[slot].receive(now, Member { node: from, incarnation }, message);
                }
            }
            Note::Packet(from, Packet::Founding(message)) => {
                self.form(now, FormingInput::Receive { from, message });
            }
            Note::Packet(_, Packet::Hello(_)) => {}
            Note::Packet(from, Packet::Transfer { group, message }) => {
                if let Some(&slot) = self.slots.get(&group) {
                    self.groups[slot].transferred(from, message);
                }
            }
            Note::Packet(from, Packet::Judged(judgement)) => self.judged(now, from, judgement),
            Note::Durable(durable) => {
                if let Some(&slot) = self.slots.get(&durable.group()) {
                    self.mark(slot);
                    self.groups[slot].durable(now, durable);
                }
            }
            Note::Applied { slot } => self.mark(slot),
            Note::Fetched { slot, fetch, entries } => {
                self.mark(slot);
                self.groups[slot].fetched(now, fetch.id, entries);
            }
            Note::Founded => self.form(now, FormingInput::Durable),
            Note::Room(has_room) => self.room(now, has_room),
            Note::Renewed(groups) => self.renewed(now, groups),
            Note::Request(request) => self.request(now, request),
            Note::Status(reply) => answer(reply, self.status()),
            Note::Shutdown { deadline } => self.leave(now, deadline),
            Note::Tune { slot, protocol } => {
                if let Some((_, config)) = &mut self.recovered[slot]
                    && let Ok(tuned) = config.tuned(&protocol)
                {
                    *config = tuned;
                }
                self.groups[slot].tune(now, protocol);
                self.mark(slot);
            }
            Note::Master { slot, ask } => {
                self.groups[slot].step(now, Input::Master(ask));
                self.mark(slot);
            }
            Note::Stop => self.state = State::Done,
            Note::LogFailed(reason) => self.fail(&reason),
            Note::Kept { slot, messages, inputs } => {
                let group = self.groups[slot].id;
                for (to, message) in messages {
                    self.network.send(to, &Frame(Packet::Transfer { group, message }));
                }
                self.mark(slot);
                self.groups[slot].kept(now, inputs);
            }
            Note::NoCheckpoint { slot, at, reason } => {
                self.mark(slot);
                self.groups[slot].no_checkpoint(now, at, &reason);
            }
            Note::MachineFailed { slot, reason } => {
                self.groups[slot].fail(&reason);
                if self.groups[slot].leads() {
                    self.hand_over(now, slot);
                }
            }
        }
    }

    /// What users ask for.
    fn request(&mut self, now: Time, request: Request) {
        match &mut self.state {
            State::Forming(early) if early.len() >= REQUESTS_MAX => {
                return request.refuse(
                    ProposeError::Overloaded { retry_after: LOOK_AGAIN },
                    ReadError::Overloaded,
                    NodeError::Overloaded,
                );
            }
            State::Forming(early) => return early.push(request),
            State::Leaving { .. } | State::Failed | State::Done => {
                return self.shared.refuse(request);
            }
            State::Running if !self.groups[request.slot()].runs() => {
                return refuse_stranger(request);
            }
            State::Running => {}
        }
        match request {
            Request::Propose { slot, sm, command, deadline, reply } => {
                self.mark(slot);
                self.groups[slot].propose(now, sm, command, deadline, reply);
            }
            Request::Read { slot, read } => {
                self.mark(slot);
                self.groups[slot].read(now, read);
            }
            Request::Checkpoint { slot, reply } => {
                self.mark(slot);
                self.groups[slot].checkpoint(now, reply);
            }
            Request::Cleaning { slot, is_on, reply } => {
                self.mark(slot);
                self.groups[slot].clean(now, is_on);
                answer(reply, Ok(()));
            }
            Request::Get { slot, instance, deadline: _, reply } => {
                self.groups[slot].get(instance, reply, &self.fetcher);
            }
            Request::Change { slot, version, membership, deadline, reply } => {
                self.meet(membership.book());
                self.mark(slot);
                self.groups[slot].change(now, version, membership, deadline, reply);
            }
            Request::Members { slot, reply } => {
                let members = self.groups[slot].membership();
                answer(reply, members.ok_or(NodeError::NoGroup(self.groups[slot].id)));
            }
            Request::Transfer { slot, to, reply } => {
                let group = &mut self.groups[slot];
                if group.leads() {
                    group.step(now, Input::Transfer(to));
                    self.mark(slot);
                    answer(reply, Ok(()));
                } else {
                    answer(reply, Err(NodeError::NotLeader(group.leader())));
                }
            }
        }
    }

    /// The disk is full, or has room again.
    fn room(&mut self, now: Time, has_room: bool) {
        let node = self.shared.node.0;
        if has_room {
            tracing::info!(node, "the disk has room again: proposals are taken");
        } else {
            tracing::warn!(node, "the disk is full: proposals are refused until there is room");
        }
        self.has_room = has_room;
        for slot in 0..self.groups.len() {
            self.mark(slot);
            self.groups[slot].step(now, Input::Room(has_room));
        }
    }

    fn mark(&mut self, slot: usize) {
        if !self.groups[slot].dirty {
            self.groups[slot].dirty = true;
            self.turn.dirty.push(slot);
        }
    }

    /// Whatever is due.
    fn on_time(&mut self, now: Time) {
        while let Some(&(deadline, slot)) = self.turn.timers.first()
            && deadline <= now
        {
            self.turn.timers.pop_first();
            self.groups[slot].armed = None;
            self.mark(slot);
        }
        if self.forming.deadline().is_some_and(|deadline| deadline <= now) {
            self.form(now, FormingInput::Tick);
        }
        if self.welcome.deadline().is_some_and(|deadline| deadline <= now) {
            self.enter(now);
        }
        if let State::Forming(early) = &mut self.state {
            let late = |request: &mut Request| request.deadline().is_some_and(|at| at <= now);
            for request in early.extract_if(.., late) {
                let waits = self.forming.state().to_string();
                let (propose, read) =
                    (ProposeError::Forming(waits.clone()), ReadError::Forming(waits));
                request.refuse(propose, read, NodeError::TimedOut);
            }
        }
        if let State::Leaving { until } = self.state {
            // A node alone has nobody to hand over to.
            let alone = self.network.status().iter().all(|(_, link)| !link.connected);
            let has_left = |group: &Hosted| group.is_quiet() && (alone || !group.leads());
            let quiet = self.groups.iter().all(has_left);
            if quiet || until <= now {
                self.state = State::Done;
            }
        }
    }

    /// When to look again, if nothing comes.
    fn deadline(&self) -> Option<Time> {
        let timer = self.turn.timers.first().map(|&(deadline, _)| deadline);
        let mut next = timer.into_iter().chain(self.forming.deadline()).min();
        let mut also = |time: Time| next = Some(next.map_or(time, |next| next.min(time)));
        match &self.state {
            State::Forming(early) => {
                if self.forming.founding().is_some() {
                    self.welcome.deadline().into_iter().for_each(&mut also);
                }
                early.iter().filter_map(Request::deadline).for_each(also);
            }
            State::Leaving { until } => also((self.now() + LEAVING_INTERVAL).min(*until)),
            State::Running | State::Failed | State::Done => {}
        }
        next
    }

    /// Hands over what the groups want done.
    fn flush(&mut self, now: Time) {
        let dirty = std::mem::take(&mut self.turn.dirty);
        for &slot in &dirty {
            let group = &mut self.groups[slot];
            group.settle(now);
            group.send(&mut self.network);
            self.turn.batches.extend(group.outbox.take_writes());
            self.turn.fetches.extend(group.outbox.fetches.drain(..).map(|fetch| (slot, fetch)));
        }
        self.network.flush();
        if !self.turn.batches.is_empty() {
            match &self.log {
                Some(log) => log.write(&mut self.turn.batches),
                None => self.turn.batches.clear(),
            }
        }
        for &slot in &dirty {
            let group = &mut self.groups[slot];
            group.dirty = false;
            let mut turned = group.report(now);
            group.show_master();
            let waited = group.changes.len();
            group.execute();
            // A change that was refused or given up leaves no addresses behind.
            turned |= group.changes.len() < waited;
            let deadline = group.deadline(now).map(|at| round(now, at));
            // One that is armed too early is looked at in vain once, which is cheaper than moving it
            // at every heartbeat.
            let early = group.armed.is_some_and(|armed| deadline.is_some_and(|at| armed <= at));
            if !early && deadline != group.armed {
                if let Some(old) = group.armed {
                    self.turn.timers.remove(&(old, slot));
                }
                if let Some(new) = deadline {
                    self.turn.timers.insert((new, slot));
                }
                group.armed = deadline;
            }
            if turned {
                self.follow(slot);
            }
        }
        // What the fetcher has no room for waits here, for one of its answers to wake this loop. The
        // core asks for no more than one at a time for itself and for each peer.
        let (fetcher, groups) = (&self.fetcher, &self.groups);
        self.turn.fetches.retain(|&(slot, fetch)| {
            fetcher.ask(groups[slot].id, Want::Core(slot, fetch)).is_err()
        });
        self.turn.dirty = dirty;
        self.turn.dirty.clear();
    }

    /// Begins to shut down: hands over, and waits for what is under way, at most half of the time.
    fn leave(&mut self, now: Time, deadline: Time) {
        if matches!(self.state, State::Done | State::Leaving { .. }) {
            return;
        }
        let running = matches!(self.state, State::Running);
        let early = std::mem::replace(&mut self.state, State::Done);
        if let State::Forming(early) = early {
            early.into_iter().for_each(|request| self.shared.refuse(request));
        }
        if running {
            for slot in 0..self.groups.len() {
                self.groups[slot].step(now, Input::Master(MasterAsk::Release));
                self.mark(slot);
                if self.groups[slot].leads() {
                    self.hand_over(now, slot);
                }
            }
            self.state = State::Leaving { until: now + deadline.since(now) / 2 };
        }
    }

    /// Hands leadership of a group over to the next node that is connected.
    fn hand_over(&mut self, now: Time, slot: usize) {
        let me = self.shared.node;
        let links = self.network.status();
        let mut connected = links.iter().filter(|(_, link)| link.connected).map(|(peer, _)| *peer);
        let above = connected.clone().find(|&peer| peer > me);
        let Some(to) = above.or_else(|| connected.next()) else { return };
        self.mark(slot);
        self.groups[slot].step(now, Input::Transfer(to));
    }

    /// The node stops (I7): it says nothing more to anybody.
    pub(super) fn fail(&mut self, reason: &Arc<str>) {
        if matches!(self.state, State::Failed | State::Done) {
            return;
        }
        tracing::error!(node = self.shared.node.0, %reason, "node has stopped");
        self.shared.fail(reason);
        self.shared.observing.tell(|| Seen::NodeFailed(Arc::clone(reason)));
        self.network.close();
        self.stopped_log = self.log.take();
        if let Some(log) = &self.stopped_log {
            log.end();
        }
        self.turn.timers.clear();
        for group in &mut self.groups {
            group.halt(reason);
            group.armed = None;
        }
        if let State::Forming(early) = std::mem::replace(&mut self.state, State::Failed) {
            early.into_iter().for_each(|request| self.shared.refuse(request));
        }
    }

    fn status(&self) -> NodeStatus {
        let state = match &self.state {
            State::Forming(_) => NodeState::Forming(self.forming.state().to_string()),
            State::Running => match self.forming.state() {
                _ if self.groups.iter().any(Hosted::is_removed) => NodeState::NotMember(
                    "this node was removed from the membership of a group: stop it, or start it \
                     on an empty directory and add it again"
                        .into(),
                ),
                excluded @ FormingState::Excluded { .. }
                    if !self.groups.iter().all(Hosted::is_member) =>
                {
                    NodeState::NotMember(excluded.to_string())
                }
                FormingState::Excluded { .. } => NodeState::Running,
                FormingState::Waiting { .. }
                | FormingState::Alone
                | FormingState::Joining { .. }
                | FormingState::Writing(_)
                | FormingState::Founded(_)
                | FormingState::Conflict(_) => NodeState::Running,
            },
            State::Leaving { .. } | State::Done => NodeState::ShuttingDown,
            State::Failed => NodeState::Failed(
                self.shared.failure().map_or_else(|| "unknown".into(), Arc::clone),
            ),
        };
        NodeStatus {
            node: self.shared.node,
            cluster: self.forming.founding().map(|founding| founding.cluster),
            state,
            groups: self.groups.iter().map(Hosted::status).collect(),
            peers: self.network.status(),
            refused: self.network.refused(),
        }
    }

    /// Closes everything, and releases whoever still waits.
    fn end(mut self) {
        self.shared.shut_down();
        self.network.flush();
        self.network.close();
        for group in &mut self.groups {
            group.end(&self.shared.propose_error(), &self.shared.read_error());
        }
        for note in self.shared.inbox.close() {
            if let Note::Request(request) = note {
                self.shared.refuse(request);
            }
        }
        if let Some(log) = self.log.take().or_else(|| self.stopped_log.take()) {
            log.close();
        }
        tracing::info!(node = self.shared.node.0, "shut down");
    }
}

fn refuse_stranger(request: Request) {
    request.refuse(ProposeError::NotMember, ReadError::NotMember, NodeError::NotLeader(None));
}

/// How often a node that leaves looks whether it may go.
const LEAVING_INTERVAL: Duration = Duration::from_millis(5);
