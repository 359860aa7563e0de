//! Between clients and nodes: requests, answers, and what becomes of them on their way.

use std::time::Duration;

use synod_core::Time;

use super::World;
use crate::checkers::Violation;
use crate::clients::{Ask, CallId, End};
use crate::env::{Answer, Event};
use crate::trace::Note;

/// What is between a node and its clients: how many faults hold up each direction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wall {
    pub(super) asks: u32,
    pub(super) answers: u32,
}

impl World {
    /// A client makes its next request.
    pub(super) fn client(&mut self, client: usize) {
        if self.env.is_mended {
            return;
        }
        let now = self.env.now;
        let Some(id) = self.clients.next(client, now, &self.env.checkers) else { return };
        self.go_on(client, true);
        self.ask(id);
    }

    /// A client that has asked, or one that has its answer, asks again after a while.
    pub(super) fn go_on(&mut self, client: usize, has_asked: bool) {
        if self.clients.is_open(client) == has_asked
            && let Some(pause) = self.clients.pause(client)
        {
            self.env.after(pause, Event::Client(client));
        }
    }

    /// Sends a request to its node.
    ///
    /// Who asks says how long it waits; the node makes a deadline of that by its own clock.
    pub(super) fn ask(&mut self, id: CallId) {
        let call = self.clients.call(id);
        let (node, due) = (call.node, call.deadline);
        if self.walls[node].asks > 0 {
            self.env.line(node, || format!("is not reached by request {}", id.0));
            self.clients.lose(id);
            self.env.queue.push(due, Event::GiveUp(id));
            return;
        }
        let now = self.env.now;
        let deadline = self.nodes[node].deadline(due.since(now), now);
        let is_put = match self.nodes[node].take(Event::Ask { id, deadline }, &mut self.env) {
            Some(_) => self.put(id, deadline),
            None => true,
        };
        if is_put {
            self.env.queue.push(due + GRACE, Event::Due { id, deadline });
        }
    }

    /// A node gets round to a request; says whether it took it.
    pub(super) fn put(&mut self, id: CallId, deadline: Time) -> bool {
        let call = self.clients.call(id);
        let (node, group, ask) = (call.node, call.group, call.ask.clone());
        self.env.line(node, || Note::asked(group, id, &ask));
        let is_put = self.nodes[node].ask(id, group, &ask, deadline, &mut self.env);
        if !is_put {
            let end = match ask {
                Ask::Propose(..) | Ask::Guest(..) => End::Refused,
                Ask::Read(_) | Ask::Stale(..) | Ask::Query(..) => End::Unread,
            };
            self.env.answers.push((id, Answer::End(end)));
        }
        is_put
    }

    /// A node answers.
    pub(super) fn end(&mut self, id: CallId, end: End) {
        let (client, call) = (self.clients.client(id), self.clients.call(id));
        let (node, group) = (call.node, call.group);
        let (due, is_waiting) = (call.deadline, call.end.is_none());
        let (now, checkers) = (self.env.now, &mut self.env.checkers);
        if !is_waiting || self.walls[node].answers > 0 {
            let verdict = self.clients.unheard(id, end, checkers);
            checkers.note(verdict);
            checkers.answered(now);
            self.env.line(node, || format!("answers request {} unheard: {end:?}", id.0));
            if is_waiting {
                self.env.queue.push(due.max(now), Event::GiveUp(id));
            }
            return;
        }
        let verdict = self.clients.end(id, end, now, checkers);
        checkers.note(verdict);
        checkers.answered(now);
        self.env.line(node, || Note::answered(id, &end));
        if let Some(client) = client {
            self.go_on(client, false);
        } else {
            let is_good = match end {
                End::Committed(..) | End::Skipped(_) | End::Within(_) | End::Read(..) => true,
                End::Refused | End::Unknown | End::Unread => false,
            };
            self.recovery.ended(id, is_good);
        }
        if matches!(end, End::Committed(..)) {
            self.acknowledged(group);
        }
    }

    /// A client stops waiting for its answer.
    pub(super) fn give_up(&mut self, id: CallId) {
        let Some(client) = self.clients.client(id) else { return };
        if self.clients.give_up(id, self.env.now) {
            self.env.stats.given_up += 1;
            self.go_on(client, false);
        }
    }

    /// A request should be over, unless its node is late for a reason: its clock is slow, or it has
    /// not got round to everything. Then only its client is through with it.
    pub(super) fn due(&mut self, id: CallId, deadline: Time) -> Result<(), Violation> {
        let call = self.clients.call(id);
        if call.is_settled() {
            // A read waits for its point no longer than its client does.
            if call.answer.is_none() && call.ask.unknown() == End::Unread {
                self.give_up(id);
            }
            return Ok(());
        }
        let late = self.nodes[call.node].due(deadline, self.env.now) + GRACE;
        if late <= self.env.now {
            return self.clients.due(id);
        }
        self.env.queue.push(late, Event::Due { id, deadline });
        self.give_up(id);
        Ok(())
    }
}

/// How late a node may be in giving up on a request.
const GRACE: Duration = Duration::from_millis(1);
