//! The way of events to the observer: a bounded queue, and a thread that calls it.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use synod_core::{Ballot, GroupId, Instance, NodeId, Position, SmId, StepDown};

use crate::machines::panic_message;
use crate::observer::Observer;

/// One call of the [`Observer`] to be.
#[derive(Clone, Debug)]
pub(super) enum Seen {
    Proposed(GroupId, SmId, usize),
    Committed(GroupId, Position, Duration),
    Refused(GroupId, String),
    Unknown(GroupId, Duration),
    Canvassing(GroupId, Ballot),
    Preparing(GroupId, Ballot),
    Leading(GroupId, Ballot, Duration),
    SteppedDown(GroupId, Ballot, StepDown, Duration),
    Following(GroupId, Ballot),
    Chosen(GroupId, Instance),
    Applied(GroupId, Instance),
    PeerLearns(GroupId, NodeId),
    ValuesLost(GroupId, Instance, Instance),
    DigestsDiffer(GroupId, NodeId, Instance),
    Diverged(GroupId, Instance),
    Fetched(GroupId, Instance, usize),
    Checkpointed(GroupId, Instance),
    CheckpointFailed(GroupId, Instance, Arc<str>),
    Installed(GroupId, Instance),
    MembershipChanged(GroupId, Instance),
    MasterChanged(GroupId, Option<NodeId>, Instance),
    GroupFailed(GroupId, Arc<str>),
    Sent(GroupId, NodeId, &'static str, usize),
    Received(GroupId, NodeId, &'static str, usize),
    Connected(NodeId, bool),
    LogSynced(usize, u64, Duration),
    NodeFailed(Arc<str>),
    Turn(usize, Duration),
}

/// Where events go; nowhere, at no cost, if there is no observer. The thread ends when the last of
/// its clones is dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Observing(Option<Arc<Sender>>);

/// Dropping it lets the thread tell the rest and end.
#[derive(Debug)]
struct Sender(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    seen: VecDeque<Seen>,
    missed: u64,
    closed: bool,
}

impl Observing {
    /// Starts the thread.
    pub(super) fn start(name: String, observer: Box<dyn Observer>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name(name).spawn(move || theirs.run(&*observer))?;
        Ok(Self(Some(Arc::new(Sender(shared)))))
    }

    /// Whether anybody hears.
    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Tells what was seen. Never waits for the observer.
    pub(super) fn tell(&self, seen: impl FnOnce() -> Seen) {
        let Some(sender) = &self.0 else { return };
        let mut queue = sender.0.lock();
        if queue.closed {
            return;
        }
        if queue.seen.len() >= SEEN_MAX {
            queue.missed += 1;
            return;
        }
        let wake = queue.seen.is_empty();
        queue.seen.push_back(seen());
        drop(queue);
        if wake {
            sender.0.ready.notify_one();
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.ready.notify_one();
    }
}

impl Shared {
    fn run(&self, observer: &dyn Observer) {
        let mut seen = VecDeque::new();
        while let Some(missed) = self.take(&mut seen) {
            let told = catch_unwind(AssertUnwindSafe(|| {
                seen.drain(..).for_each(|seen| call(observer, seen));
                if missed > 0 {
                    observer.missed(missed);
                }
            }));
            if let Err(panic) = told {
                let reason = panic_message(&*panic);
                tracing::warn!(reason, "the observer has panicked: nothing is observed any more");
                let mut queue = self.lock();
                queue.closed = true;
                queue.seen.clear();
                return;
            }
        }
    }

    /// Waits for events, and says how many were missed after them; none at the end.
    fn take(&self, seen: &mut VecDeque<Seen>) -> Option<u64> {
        let mut queue = self.lock();
        while queue.seen.is_empty() {
            if queue.closed {
                return None;
            }
            queue = self.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut queue.seen, seen);
        Some(std::mem::take(&mut queue.missed))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn call(observer: &dyn Observer, seen: Seen) {
    match seen {
        Seen::Proposed(group, sm, bytes) => observer.proposed(group, sm, bytes),
        Seen::Committed(group, at, took) => observer.committed(group, at, took),
        Seen::Refused(group, why) => observer.refused(group, &why),
        Seen::Unknown(group, after) => observer.unknown(group, after),
        Seen::Canvassing(group, ballot) => observer.canvassing(group, ballot),
        Seen::Preparing(group, ballot) => observer.preparing(group, ballot),
        Seen::Leading(group, ballot, took) => observer.leading(group, ballot, took),
        Seen::SteppedDown(group, ballot, why, led) => {
            observer.stepped_down(group, ballot, why, led);
        }
        Seen::Following(group, ballot) => observer.following(group, ballot),
        Seen::Chosen(group, up_to) => observer.chosen(group, up_to),
        Seen::Applied(group, up_to) => observer.applied(group, up_to),
        Seen::PeerLearns(group, peer) => observer.peer_learns(group, peer),
        Seen::DigestsDiffer(group, peer, at) => observer.digests_differ(group, peer, at),
        Seen::Diverged(group, at) => observer.diverged(group, at),
        Seen::ValuesLost(group, first, last) => observer.values_lost(group, first, last),
        Seen::Fetched(group, from, entries) => observer.fetched(group, from, entries),
        Seen::Checkpointed(group, at) => observer.checkpointed(group, at),
        Seen::CheckpointFailed(group, at, why) => observer.checkpoint_failed(group, at, &why),
        Seen::Installed(group, at) => observer.installed(group, at),
        Seen::MembershipChanged(group, version) => observer.membership_changed(group, version),
        Seen::MasterChanged(group, holder, version) => {
            observer.master_changed(group, holder, version);
        }
        Seen::GroupFailed(group, why) => observer.group_failed(group, &why),
        Seen::Sent(group, to, kind, bytes) => observer.sent(group, to, kind, bytes),
        Seen::Received(group, from, kind, bytes) => observer.received(group, from, kind, bytes),
        Seen::Connected(peer, true) => observer.connected(peer),
        Seen::Connected(peer, false) => observer.disconnected(peer),
        Seen::LogSynced(batches, bytes, took) => observer.log_synced(batches, bytes, took),
        Seen::NodeFailed(why) => observer.node_failed(&why),
        Seen::Turn(notes, took) => observer.turn(notes, took),
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.seen.len()).finish_non_exhaustive()
    }
}

/// Events that wait for a slow observer before more are dropped.
const SEEN_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Tells what it hears, and waits before each event until it may go on.
    struct Slow(mpsc::Sender<String>, mpsc::Receiver<()>);

    impl Observer for Slow {
        fn chosen(&self, group: GroupId, up_to: Instance) {
            self.1.iter().next(); // at once when the test has let go
            drop(self.0.send(format!("{group} {up_to}")));
        }
        fn missed(&self, events: u64) {
            drop(self.0.send(format!("missed {events}")));
        }
        fn connected(&self, _peer: NodeId) {
            panic!("not this");
        }
    }

    fn slow() -> (Observing, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let (tell, heard) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let observer = Box::new(Slow(tell, wait));
        (Observing::start("test".into(), observer).unwrap(), heard, go)
    }

    #[test]
    fn a_slow_observer_misses_events_and_holds_nobody_up() {
        let (observing, heard, go) = slow();
        let sum: u64 = u64::try_from(SEEN_MAX).unwrap() * 2 + 5;
        for n in 1..=sum {
            observing.tell(|| Seen::Chosen(GroupId(1), Instance(n)));
        }
        drop((go, observing));
        let heard: Vec<String> = heard.iter().collect();
        assert_eq!(heard[0], "1 #1");
        let told = |line: &String| line.starts_with("1 #");
        let told = u64::try_from(heard.iter().filter(|line| told(line)).count()).unwrap();
        let missed = heard.iter().filter_map(|line| line.strip_prefix("missed "));
        let missed: u64 = missed.map(|n| n.parse::<u64>().unwrap()).sum();
        assert!(missed >= 4 && told + missed == sum, "{told} heard, {missed} missed of {sum}");
    }

    #[test]
    fn an_observer_that_panics_is_not_called_again() {
        let (observing, heard, go) = slow();
        drop(go);
        observing.tell(|| Seen::Connected(NodeId(1), true));
        assert!(heard.iter().next().is_none(), "the thread has ended");
        observing.tell(|| Seen::Chosen(GroupId(1), Instance(1)));
    }
}
