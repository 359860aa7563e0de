//! The clients: what they ask, of whom, and what they make of the answers.
//!
//! A client retries elsewhere only with a *new* operation. One whose outcome is unknown stays unknown:
//! it may still be executed, and the rules must allow both.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use synod_core::{Instance, Position, SmId, Time};

use crate::checkers::search::{Call as Seen, Histories};
use crate::checkers::{Checkers, Violation};
use crate::kv::{Action, Op, STORE};
use crate::plan::{Client, Plan, Request, text};
use crate::rng::{to_index, to_u64};

/// Names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// A request, from its beginning to its end.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which of the planned requests; `None` is the world's own, which looks whether everything works
    /// again.
    pub planned: Option<usize>,
    /// Which node is asked.
    pub node: usize,
    /// Which group.
    pub group: usize,
    /// What is asked.
    pub ask: Ask,
    /// When it was asked.
    pub invoked: Time,
    /// The answer must come from above this.
    pub after: Position,
    /// When the node has to have given up.
    pub deadline: Time,
    /// How it ended for who asked, if it did.
    pub end: Option<End>,
    /// What the node made of it, heard or not, if that is settled: a node that crashed, or was never
    /// reached, has nothing to answer any more.
    pub answer: Option<End>,
    /// The core has done its part; the rest is the state machine's.
    pub is_handed_out: bool,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// To execute an operation, padded with so many bytes.
    Propose(Op, usize),
    /// To read a key, linearizably.
    Read(u16),
    /// To read a key, in a state that is at most so old.
    Stale(u16, #[serde(with = "text::duration")] Duration),
    /// To let a user's state machine execute a command.
    Guest(#[serde(with = "text::sm")] SmId, #[serde(with = "text::hex")] Bytes),
    /// To ask a user's state machine a question, linearizably.
    Query(#[serde(with = "text::sm")] SmId, #[serde(with = "text::hex")] Bytes),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The command was executed there, with that output; a hash of it, if it is a user's.
    Committed(Position, u64),
    /// The command was executed there; the output was lost with an earlier life of the process.
    Skipped(Position),
    /// The command was executed at or below there; the output is in a checkpoint that its node got.
    Within(Instance),
    /// The key held this in a state that had executed everything up to there; or a user's machine
    /// gave an answer with this hash.
    Read(Position, u64),
    /// Not taken, and never will be.
    Refused,
    /// Nobody knows.
    Unknown,
    /// The read was not answered.
    Unread,
}

/// All clients and all requests of a run.
#[derive(Debug)]
pub struct Clients {
    planned: Vec<Request>,
    clients: Vec<Asking>,
    calls: Vec<Call>,
    open: Vec<Vec<CallId>>,
    /// Above the tag of every operation so far.
    tag: u64,
    histories: Histories,
}

/// A client at work.
#[derive(Debug)]
struct Asking {
    /// Whom it asks.
    node: usize,
    is_open: bool,
    /// What it asks next, as indices of the plan's requests.
    next: VecDeque<usize>,
}

impl Clients {
    /// The clients of a run.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let asking = |client: &Client| Asking {
            node: client.home,
            is_open: client.is_open,
            next: VecDeque::new(),
        };
        let mut clients: Vec<Asking> = plan.clients.iter().map(asking).collect();
        for (n, request) in plan.requests.iter().enumerate() {
            clients[request.client].next.push_back(n);
        }
        let tags = plan.requests.iter().filter_map(|request| request.ask.tag());
        Self {
            clients,
            calls: Vec::new(),
            open: vec![Vec::new(); plan.nodes],
            tag: tags.max().unwrap_or(0),
            histories: Histories::default(),
            planned: plan.requests.clone(),
        }
    }

    /// How long the client waits before its next request, unless it has made all.
    #[must_use]
    pub fn pause(&self, client: usize) -> Option<Duration> {
        let next = *self.clients[client].next.front()?;
        Some(self.planned[next].pause)
    }

    /// Whether the client asks on without waiting for answers.
    #[must_use]
    pub fn is_open(&self, client: usize) -> bool {
        self.clients[client].is_open
    }

    /// The client's next request, unless it has made all.
    pub fn next(&mut self, client: usize, now: Time, checkers: &Checkers) -> Option<CallId> {
        let n = self.clients[client].next.pop_front()?;
        let Request { group, ref ask, patience, .. } = self.planned[n];
        let (ask, node) = (ask.clone(), self.clients[client].node);
        Some(self.begin(Some(n), node, group, ask, now, now + patience, checkers))
    }

    /// A request of the world itself: a new operation or a read at this node, in this group.
    pub fn probe(
        &mut self,
        node: usize,
        group: usize,
        is_read: bool,
        now: Time,
        deadline: Time,
        checkers: &Checkers,
    ) -> CallId {
        self.tag += 1;
        let op = Op { key: 0, tag: self.tag, action: Action::Append };
        let ask = if is_read { Ask::Read(0) } else { Ask::Propose(op, 0) };
        self.begin(None, node, group, ask, now, deadline, checkers)
    }

    /// A node answers, and its client hears it.
    ///
    /// # Errors
    ///
    /// If it had answered before.
    pub fn end(
        &mut self,
        id: CallId,
        end: End,
        now: Time,
        checkers: &mut Checkers,
    ) -> Result<(), Violation> {
        self.unheard(id, end, checkers)?;
        self.hear(id, end, now);
        Ok(())
    }

    /// A node answers, and its client does not hear it. What it says must be true nevertheless.
    ///
    /// # Errors
    ///
    /// If it had answered before.
    pub fn unheard(
        &mut self,
        id: CallId,
        end: End,
        checkers: &mut Checkers,
    ) -> Result<(), Violation> {
        let call = &mut self.calls[to_index(id.0)];
        if let Some(first) = call.answer {
            let what = format!("request {} ended as {first:?}, and again as {end:?}", id.0);
            return Err(Violation::new("answers", what));
        }
        call.answer = Some(end);
        let Call { group, after, node, .. } = *call;
        self.open[node].retain(|&open| open != id);
        match (&self.calls[to_index(id.0)].ask, end) {
            (Ask::Propose(op, _), End::Committed(at, _) | End::Skipped(at)) => {
                checkers.committed(group, op, after, at);
            }
            (Ask::Propose(op, _), End::Within(at)) => {
                checkers.committed_within(group, op, after, at);
            }
            (Ask::Propose(op, _), End::Refused) => checkers.refused(group, op),
            (Ask::Read(key) | Ask::Stale(key, _), End::Read(at, output)) => {
                checkers.read(group, *key, after, at, output);
            }
            (Ask::Guest(sm, command), End::Committed(at, _) | End::Skipped(at)) => {
                checkers.guest_committed(group, *sm, command, after, at);
            }
            (Ask::Query(_, query), End::Read(at, _)) => {
                checkers.guest_read(group, query, after, at);
            }
            (Ask::Propose(..), End::Unknown)
            | (Ask::Guest(..), End::Within(_) | End::Refused | End::Unknown)
            | (Ask::Read(_) | Ask::Stale(..) | Ask::Query(..), End::Unread) => {}
            (ask, end) => {
                let what = format!("request {} asked for {ask:?} and ended as {end:?}", id.0);
                return Err(Violation::new("answers", what));
            }
        }
        Ok(())
    }

    /// Who asked waits no longer; says whether it did until now.
    pub fn give_up(&mut self, id: CallId, now: Time) -> bool {
        let call = self.call(id);
        let is_waiting = call.end.is_none();
        if is_waiting {
            self.hear(id, call.ask.unknown(), now);
        }
        is_waiting
    }

    /// The run is over, and nobody waits any longer.
    pub fn finish(&mut self, now: Time) {
        for n in 0..self.calls.len() {
            self.give_up(CallId(to_u64(n)), now);
        }
    }

    /// The request does not reach its node.
    pub fn lose(&mut self, id: CallId) {
        let call = &mut self.calls[to_index(id.0)];
        call.answer = Some(call.ask.unknown());
        self.open[call.node].retain(|&open| open != id);
    }

    /// A client knows how its request ended, and may turn to another node.
    fn hear(&mut self, id: CallId, end: End, now: Time) {
        let call = &mut self.calls[to_index(id.0)];
        call.end = Some(end);
        let Call { group, invoked, planned, .. } = *call;
        let returned = |output| Some((now, output));
        let seen = match (&call.ask, end) {
            (Ask::Propose(op, _), End::Committed(_, output)) => {
                Some(Seen { op: *op, invoked, returned: returned(output) })
            }
            (Ask::Propose(op, _), End::Skipped(_) | End::Within(_) | End::Unknown) => {
                Some(Seen { op: *op, invoked, returned: None })
            }
            (Ask::Read(key), End::Read(_, output)) => {
                let op = Op { key: *key, tag: 0, action: Action::Get };
                Some(Seen { op, invoked, returned: returned(output) })
            }
            // An answer that may be old is not part of a linearizable history.
            (Ask::Stale(..), _) => None,
            (Ask::Propose(..) | Ask::Read(_) | Ask::Guest(..) | Ask::Query(..), _) => None,
        };
        if let Some(seen) = seen {
            self.histories.add(group, seen);
        }
        let is_disappointed = matches!(end, End::Refused | End::Unknown | End::Unread);
        if let Some(n) = planned.filter(|_| is_disappointed)
            && let Some(elsewhere) = self.planned[n].elsewhere
        {
            self.clients[self.planned[n].client].node = elsewhere;
        }
    }

    /// A node goes down: nobody will hear what became of its open requests. Returns those that
    /// somebody was still waiting for.
    pub fn lost(&mut self, node: usize, now: Time) -> Vec<CallId> {
        let mut open = std::mem::take(&mut self.open[node]);
        open.retain(|&id| {
            let call = &mut self.calls[to_index(id.0)];
            call.answer = Some(call.ask.unknown());
            self.give_up(id, now)
        });
        open
    }

    /// Whether some node still works on a request, of those that answer: who was removed from a group does
    /// not learn what a read there waits for. Nobody waits for a read any more whose client has
    /// given up, and whose point lies where nothing comes to be chosen: it was that of a leader which
    /// fell before its own first instances were.
    #[must_use]
    pub fn is_waiting(&self, answers: impl Fn(usize, usize) -> bool) -> bool {
        let is_idle = |id: &CallId| {
            let call = &self.calls[to_index(id.0)];
            call.is_handed_out && call.end.is_some() || !answers(call.node, call.group)
        };
        self.open.iter().flatten().any(|id| !is_idle(id))
    }

    /// The core has done its part: the command is with the state machine, the read has its point.
    pub fn handed_out(&mut self, id: CallId) {
        self.calls[to_index(id.0)].is_handed_out = true;
    }

    /// The deadline of a request is past.
    ///
    /// # Errors
    ///
    /// If the core still sits on it.
    pub fn due(&self, id: CallId) -> Result<(), Violation> {
        let call = self.call(id);
        if call.is_settled() {
            return Ok(());
        }
        let what = format!(
            "n{} still sits on request {} of group {} ({:?}), asked at {}, due at {}",
            call.node + 1,
            id.0,
            call.group,
            call.ask,
            call.invoked,
            call.deadline
        );
        Err(Violation::new("deadlines", what))
    }

    /// Who made a request; `None` is the world itself.
    #[must_use]
    pub fn client(&self, id: CallId) -> Option<usize> {
        Some(self.planned[self.call(id).planned?].client)
    }

    /// A request.
    #[must_use]
    pub fn call(&self, id: CallId) -> &Call {
        &self.calls[to_index(id.0)]
    }

    /// All requests.
    #[must_use]
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// What clients saw, for the search.
    #[must_use]
    pub const fn histories(&self) -> &Histories {
        &self.histories
    }

    #[expect(clippy::too_many_arguments, reason = "a request has that many parts")]
    fn begin(
        &mut self,
        planned: Option<usize>,
        node: usize,
        group: usize,
        ask: Ask,
        invoked: Time,
        deadline: Time,
        checkers: &Checkers,
    ) -> CallId {
        let id = CallId(to_u64(self.calls.len()));
        let after = match ask {
            Ask::Stale(_, stale) => checkers.answered_by(group, invoked, stale),
            Ask::Propose(..) | Ask::Read(_) | Ask::Guest(..) | Ask::Query(..) => {
                checkers.invoked(group)
            }
        };
        let call = Call {
            planned,
            node,
            group,
            ask,
            invoked,
            after,
            deadline,
            end: None,
            answer: None,
            is_handed_out: false,
        };
        self.calls.push(call);
        self.open[node].push(id);
        id
    }
}

impl Call {
    /// Whether the core of the node has no more to do with it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.answer.is_some() || self.is_handed_out
    }
}

impl Ask {
    /// How it ends for somebody who hears no answer.
    #[must_use]
    pub const fn unknown(&self) -> End {
        match self {
            Self::Propose(..) | Self::Guest(..) => End::Unknown,
            Self::Read(_) | Self::Stale(..) | Self::Query(..) => End::Unread,
        }
    }

    /// Whom it concerns.
    #[must_use]
    pub const fn sm(&self) -> SmId {
        match self {
            Self::Propose(..) | Self::Read(_) | Self::Stale(..) => STORE,
            Self::Guest(sm, _) | Self::Query(sm, _) => *sm,
        }
    }

    /// The tag of its operation, if it has one.
    #[must_use]
    pub const fn tag(&self) -> Option<u64> {
        match self {
            Self::Propose(op, _) => Some(op.tag),
            Self::Read(_) | Self::Stale(..) | Self::Guest(..) | Self::Query(..) => None,
        }
    }

    /// Gives its operation, if it has one, another tag: no two of a run may have the same.
    pub(crate) const fn retag(&mut self, tag: u64) {
        match self {
            Self::Propose(op, _) => op.tag = tag,
            Self::Read(_) | Self::Stale(..) | Self::Guest(..) | Self::Query(..) => {}
        }
    }

    /// How old the state may be that it reads.
    #[must_use]
    pub const fn stale(&self) -> Duration {
        match self {
            Self::Stale(_, stale) => *stale,
            Self::Propose(..) | Self::Read(_) | Self::Guest(..) | Self::Query(..) => Duration::ZERO,
        }
    }

    /// The command or query as the node gets it.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Propose(op, padding) => op.encode(*padding),
            Self::Read(key) | Self::Stale(key, _) => Bytes::copy_from_slice(&key.to_le_bytes()),
            Self::Guest(_, bytes) | Self::Query(_, bytes) => bytes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> (Clients, Checkers) {
        let request = |tag, elsewhere| Request {
            client: 0,
            pause: Duration::from_millis(tag),
            group: 0,
            ask: Ask::Propose(Op { key: 0, tag, action: Action::Put }, 0),
            patience: Duration::from_millis(1),
            elsewhere,
        };
        let plan = Plan {
            clients: vec![Client::default()],
            requests: vec![request(1, Some(2)), request(2, None)],
            ..Plan::default()
        };
        (Clients::new(&plan), Checkers::new(3, 1, &synod_core::Config::default()))
    }

    #[test]
    fn a_client_asks_as_planned_and_goes_elsewhere_when_disappointed() {
        let (mut clients, mut checkers) = clients();
        assert_eq!(clients.pause(0), Some(Duration::from_millis(1)));
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        assert_eq!((clients.call(id).node, clients.client(id)), (0, Some(0)));
        clients.end(id, End::Unknown, Time::ZERO, &mut checkers).unwrap();
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        assert_eq!(clients.call(id).node, 2);
        assert_eq!(clients.pause(0), None);
        let probe = clients.probe(1, 0, false, Time::ZERO, Time::MAX, &checkers);
        assert!(matches!(clients.call(probe).ask, Ask::Propose(Op { tag: 3, .. }, 0)));
        assert_eq!(clients.client(probe), None);
    }

    #[test]
    fn requests_end_once() {
        let (mut clients, mut checkers) = clients();
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        assert_eq!(clients.end(id, End::Refused, Time::ZERO, &mut checkers), Ok(()));
        assert!(clients.end(id, End::Unknown, Time::ZERO, &mut checkers).is_err());
        assert!(clients.next(0, Time::ZERO, &checkers).is_some());
        assert!(clients.next(0, Time::ZERO, &checkers).is_none(), "two were planned");
    }

    #[test]
    fn a_request_that_is_overdue_is_found() {
        let (mut clients, mut checkers) = clients();
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        assert!(clients.due(id).is_err());
        clients.end(id, End::Unknown, Time::ZERO, &mut checkers).unwrap();
        assert_eq!(clients.due(id), Ok(()));
        let slow = clients.next(0, Time::ZERO, &checkers).unwrap();
        clients.handed_out(slow);
        assert_eq!(clients.due(slow), Ok(()), "that is the state machine's time");
    }

    #[test]
    fn a_crash_leaves_its_requests_unknown() {
        let (mut clients, checkers) = clients();
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        let node = clients.call(id).node;
        assert_eq!(clients.lost(node, Time::ZERO), [id]);
        assert_eq!(clients.call(id).end, Some(End::Unknown));
    }

    #[test]
    fn an_answer_that_nobody_hears_is_judged_and_settles_the_request() {
        let (mut clients, mut checkers) = clients();
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        assert!(clients.give_up(id, Time::ZERO));
        assert!(!clients.give_up(id, Time::ZERO));
        assert!(clients.due(id).is_err(), "the node is not off the hook");
        assert_eq!(clients.unheard(id, End::Refused, &mut checkers), Ok(()));
        assert_eq!((clients.call(id).end, clients.due(id)), (Some(End::Unknown), Ok(())));
        assert!(clients.unheard(id, End::Refused, &mut checkers).is_err(), "twice");
        assert_eq!(clients.lost(0, Time::ZERO), []);
        let id = clients.next(0, Time::ZERO, &checkers).unwrap();
        clients.lose(id);
        assert_eq!((clients.call(id).end, clients.due(id)), (None, Ok(())));
        let read = Ask::Read(0);
        assert_eq!(read.unknown(), End::Unread);
    }
}
