//! Answers that can come from two sides: from the machines' thread, or from the driver when the
//! time has passed and the machines are still busy.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synod_core::Time;
use tokio::sync::oneshot;

/// Where an answer goes.
pub(super) trait Sink {
    /// What is answered.
    type Answer;

    /// Answers. Whoever asked may have gone: then nobody is told.
    fn give(self, answer: Self::Answer);
}

impl<T> Sink for oneshot::Sender<T> {
    type Answer = T;

    fn give(self, answer: T) {
        drop(self.send(answer));
    }
}

/// One answer, given by whoever is first.
#[derive(Debug)]
pub(super) struct Reply<S>(Arc<Mutex<Option<S>>>);

impl<S: Sink> Reply<S> {
    pub(super) fn new(sink: S) -> Self {
        Self(Arc::new(Mutex::new(Some(sink))))
    }

    /// Answers, unless that has been done.
    pub(super) fn answer(&self, answer: S::Answer) {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sink) = sink {
            sink.give(answer);
        }
    }

    fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl<S> Clone for Reply<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Answers that the machines owe, so that nobody waits for a slow machine past the deadline.
#[derive(Debug)]
pub(super) struct Owed<S> {
    /// In the order handed over, which is the order in which the machines answer.
    replies: VecDeque<(Time, Reply<S>)>,
    /// When to look for late ones again.
    look: Time,
}

impl<S: Sink> Owed<S> {
    pub(super) const fn new() -> Self {
        Self { replies: VecDeque::new(), look: Time::ZERO }
    }

    /// Notes an answer that the machines owe from now on.
    pub(super) fn push(&mut self, deadline: Time, sink: S) -> Reply<S> {
        let reply = Reply::new(sink);
        self.replies.push_back((deadline, reply.clone()));
        reply
    }

    /// Forgets those that were answered, and answers those that are late. Says when to look again.
    pub(super) fn settle(&mut self, now: Time, late: impl Fn() -> S::Answer) -> Option<Time> {
        while self.replies.front().is_some_and(|(_, reply)| !reply.is_open()) {
            self.replies.pop_front();
        }
        if self.replies.is_empty() {
            return None;
        }
        // The whole queue is looked through only now and then: it moves unless a machine is stuck.
        if now >= self.look {
            self.look = now + LOOK_INTERVAL;
            self.replies.retain(|(deadline, reply)| {
                if *deadline <= now {
                    reply.answer(late());
                }
                reply.is_open()
            });
        }
        Some(self.look)
    }

    /// Forgets them all: what the machines still answer, counts.
    pub(super) fn clear(&mut self) {
        self.replies.clear();
    }

    /// Answers them all: nobody waits for the machines any more.
    pub(super) fn give_up(&mut self, answer: impl Fn() -> S::Answer) {
        for (_, reply) in self.replies.drain(..) {
            reply.answer(answer());
        }
    }
}

/// How late an answer may be that a stuck machine owes.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_counts() {
        let (sender, mut answer) = oneshot::channel();
        let reply = Reply::new(sender);
        reply.answer(1);
        reply.clone().answer(2);
        assert_eq!(answer.try_recv(), Ok(1));
    }

    #[test]
    fn only_what_is_late_and_unanswered_is_given_up() {
        let mut owed = Owed::new();
        let (at, [a, b, c]) = (Time::from_millis, [(); 3].map(|()| oneshot::channel()));
        let first = owed.push(at(100), a.0);
        let _stuck = owed.push(at(500), b.0);
        let third = owed.push(at(100), c.0);
        assert_eq!(owed.settle(at(10), || "late"), Some(at(60)));
        first.answer("done");
        assert_eq!(owed.settle(at(100), || "late"), Some(at(150)));
        third.answer("too late");
        let [mut a, mut b, mut c] = [a.1, b.1, c.1];
        assert_eq!((a.try_recv(), c.try_recv()), (Ok("done"), Ok("late")));
        assert!(b.try_recv().is_err(), "its time has not come");
        assert_eq!(owed.settle(at(600), || "late"), Some(at(650)));
        assert_eq!(b.try_recv(), Ok("late"));
        assert_eq!(owed.settle(at(601), || "late"), None);
    }

    #[test]
    fn at_the_end_everybody_is_answered_once() {
        let mut owed = Owed::new();
        let [a, b] = [(); 2].map(|()| oneshot::channel());
        let first = owed.push(Time::MAX, a.0);
        let second = owed.push(Time::MAX, b.0);
        first.answer("done");
        owed.give_up(|| "over");
        second.answer("too late");
        let [mut a, mut b] = [a.1, b.1];
        assert_eq!((a.try_recv(), b.try_recv()), (Ok("done"), Ok("over")));
    }
}
