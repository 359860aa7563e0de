//! The threads on which the groups' state machines run: as many as there are groups with something
//! to do, and none for those that rest.
//!
//! A group is handed to a thread when work comes for it, and is at one thread at a time. There are
//! [`THREADS_MIN`] threads, made as they are first needed. They are enough as long as machines are
//! quick. When all of them are busy and the group that waits longest has waited for [`PATIENCE`], one
//! more thread is made, up to one for each group: so a machine that is stuck holds up its own group
//! and nothing else, however many are. A thread above the first few ends after [`REST`] without work.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Something that has a turn on a thread when there is work for it.
pub(super) trait Turn: Send + Sync + 'static {
    /// Does what there is to do. Never called twice at once.
    fn turn(&self);
}

/// The threads of one node. Clones share them; they end when the last clone is dropped and they have
/// nothing more to do.
#[derive(Clone)]
pub(super) struct Pool(Arc<Owner>);

struct Owner(Arc<Shared>);

struct Shared {
    name: String,
    state: Mutex<State>,
    /// For threads that rest.
    work: Condvar,
    /// For the thread that watches over waiting groups.
    waits: Condvar,
}

struct State {
    waiting: VecDeque<(Instant, Arc<dyn Turn>)>,
    threads: usize,
    resting: usize,
    threads_max: usize,
    watched: bool,
    closed: bool,
}

impl Pool {
    /// A pool without threads yet. `name` is theirs.
    pub(super) fn new(name: String) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            threads: 0,
            resting: 0,
            threads_max: 0,
            watched: false,
            closed: false,
        };
        let (work, waits) = (Condvar::new(), Condvar::new());
        Self(Arc::new(Owner(Arc::new(Shared { name, state: Mutex::new(state), work, waits }))))
    }

    /// One more group may need a thread of its own.
    pub(super) fn grow(&self) {
        self.0.0.lock().threads_max += 1;
    }

    /// Gives a group its turn, soon. The group sees to it that it does not wait twice.
    pub(super) fn schedule(&self, group: Arc<dyn Turn>) {
        let shared = &self.0.0;
        let mut state = shared.lock();
        state.waiting.push_back((Instant::now(), group));
        if state.resting > 0 {
            drop(state);
            shared.work.notify_one();
        } else if state.threads < THREADS_MIN.min(state.threads_max) {
            shared.spawn(&mut state);
        } else {
            shared.watch(&mut state);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
        self.0.waits.notify_all();
    }
}

impl Shared {
    /// Makes a thread. If the system gives none, those that are there have to do.
    fn spawn(self: &Arc<Self>, state: &mut State) {
        let shared = Arc::clone(self);
        let made = thread::Builder::new().name(self.name.clone()).spawn(move || shared.run());
        match made {
            Ok(_) => state.threads += 1,
            Err(error) => tracing::warn!(%error, "no thread for state machines"),
        }
    }

    /// Sees to it that somebody watches over those that wait.
    fn watch(self: &Arc<Self>, state: &mut State) {
        if state.watched {
            if state.waiting.len() == 1 {
                self.waits.notify_one();
            }
            return;
        }
        let shared = Arc::clone(self);
        let name = format!("{}-watch", self.name);
        let made = thread::Builder::new().name(name).spawn(move || shared.look());
        state.watched = made.is_ok();
    }

    /// A thread's life.
    fn run(&self) {
        let mut state = self.lock();
        loop {
            if let Some((_, group)) = state.waiting.pop_front() {
                drop(state);
                // What machines do is caught where they are called; this is for their drop.
                drop(catch_unwind(AssertUnwindSafe(|| {
                    group.turn();
                    drop(group);
                })));
                state = self.lock();
                continue;
            }
            if state.closed {
                state.threads -= 1;
                return;
            }
            state.resting += 1;
            let (guard, rested) =
                self.work.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
            state = guard;
            state.resting -= 1;
            if rested.timed_out() && state.waiting.is_empty() && state.threads > THREADS_MIN {
                state.threads -= 1;
                return;
            }
        }
    }

    /// Makes threads while somebody waits for too long; ends after a while without.
    fn look(self: &Arc<Self>) {
        let mut state = self.lock();
        while !state.closed {
            let Some(&(since, _)) = state.waiting.front() else {
                let (guard, rested) =
                    self.waits.wait_timeout(state, REST).unwrap_or_else(PoisonError::into_inner);
                state = guard;
                if rested.timed_out() && state.waiting.is_empty() {
                    break;
                }
                continue;
            };
            let waited = since.elapsed();
            if waited >= PATIENCE && state.resting == 0 && state.threads < state.threads_max {
                self.spawn(&mut state);
            }
            drop(state);
            thread::sleep(PATIENCE.saturating_sub(waited).max(PATIENCE / 4));
            state = self.lock();
        }
        state.watched = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.0.0.lock().threads).finish_non_exhaustive()
    }
}

/// So many threads stay once they were needed.
const THREADS_MIN: usize = 4;
/// How long a group waits for one of the busy threads before it gets a new one.
const PATIENCE: Duration = Duration::from_millis(4);
/// How long a thread rests before it ends.
const REST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Job(Mutex<Box<dyn FnMut() + Send>>);

    impl Turn for Job {
        fn turn(&self) {
            (self.0.lock().unwrap_or_else(PoisonError::into_inner))();
        }
    }

    fn job(work: impl FnMut() + Send + 'static) -> Arc<Job> {
        Arc::new(Job(Mutex::new(Box::new(work))))
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn any_number_of_stuck_turns_hold_up_nobody_else() {
        let pool = Pool::new("test".into());
        let (go, stuck) = mpsc::channel::<()>();
        let stuck = Arc::new(Mutex::new(stuck));
        for _ in 0..20 {
            pool.grow();
            let stuck = Arc::clone(&stuck);
            pool.schedule(job(move || drop(stuck.lock().map(|stuck| stuck.recv()))));
        }
        pool.grow();
        let (tell, told) = mpsc::channel();
        pool.schedule(job(move || tell.send(()).unwrap()));
        told.recv_timeout(SOON).unwrap();
        drop(go);
    }

    #[test]
    fn quick_turns_share_the_first_threads() {
        let pool = Pool::new("test".into());
        let (tell, told) = mpsc::channel();
        for n in 0..500 {
            pool.grow();
            let tell = tell.clone();
            pool.schedule(job(move || tell.send(n).unwrap()));
        }
        for _ in 0..500 {
            told.recv_timeout(SOON).unwrap();
        }
        assert!(pool.0.0.lock().threads < 100, "{pool:?}");
    }

    #[test]
    fn a_turn_that_panics_takes_no_thread_with_it() {
        let pool = Pool::new("test".into());
        pool.grow();
        pool.schedule(job(|| panic!("a machine's drop")));
        let (tell, told) = mpsc::channel();
        pool.schedule(job(move || tell.send(()).unwrap()));
        told.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn what_waits_when_the_pool_is_dropped_still_has_its_turn() {
        let pool = Pool::new("test".into());
        pool.grow();
        let (tell, told) = mpsc::channel();
        pool.schedule(job(move || tell.send(()).unwrap()));
        drop(pool);
        told.recv_timeout(SOON).unwrap();
    }
}
