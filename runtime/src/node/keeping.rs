//! The thread that keeps one group's checkpoints: their files, and their way from and to peers.
//!
//! There is one only while there is something to do, and [`REST`] longer: most groups of a node with
//! many have no checkpoint on its way most of the time.
//!
//! Writing a checkpoint takes a thread of its own each time, so that chunks for peers do not wait for
//! it. A message that finds the queue full is lost, as any message may be.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{Event, Input, Instance, Manifest, NodeId, TransferMessage, Wanted};

use super::clock::Clock;
use crate::checkpoints::Keeper;
use crate::machines::Handles;
use crate::state_machine::CheckpointError;
use crate::vfs::Vfs;

/// What the keeper tells the driver. Called on its threads.
pub(super) trait Kept: Send + Sync + 'static {
    /// To send, and for the group.
    fn kept(&self, messages: Vec<(NodeId, TransferMessage)>, inputs: Vec<Input>);
    /// A checkpoint did not come about.
    fn failed(&self, at: Instance, error: &CheckpointError);
}

/// The driver's end. Clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Keeping {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// Told by the driver last, and not taken yet.
    wanted: Option<Option<Wanted>>,
    closed: bool,
    /// Who does the work, while no thread does it.
    resting: Option<Box<dyn Work>>,
    /// There is a thread.
    is_awake: bool,
}

/// What a thread does with the tasks.
trait Work: Send {
    /// Does what there is to do.
    fn turn(&mut self, wanted: Option<Option<Wanted>>, tasks: &mut VecDeque<Task>, to: &Keeping);
    /// How long until time matters, if it does.
    fn wait(&self) -> Option<Duration>;
}

struct Worker<V: Vfs, K> {
    keeper: Keeper<V>,
    clock: Clock,
    kept: Arc<K>,
}

enum Task {
    Receive(NodeId, TransferMessage),
    Happened(Event),
    Write(Instance, Bytes, Result<Handles, CheckpointError>),
    Written(Instance, Result<Manifest, CheckpointError>),
}

impl Keeping {
    /// One without a thread yet. `name` is the thread's.
    pub(super) fn new<V: Vfs>(
        name: String,
        keeper: Keeper<V>,
        clock: Clock,
        kept: Arc<impl Kept>,
    ) -> Self {
        let resting: Box<dyn Work> = Box::new(Worker { keeper, clock, kept });
        let queue = Mutex::new(Queue { resting: Some(resting), ..Queue::default() });
        Self { shared: Arc::new(Shared { name, queue, ready: Condvar::new() }) }
    }

    /// One without a thread, which keeps nothing.
    #[cfg(test)]
    pub(super) fn idle() -> Self {
        let (queue, ready) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { name: "idle".into(), queue, ready }) }
    }

    /// A peer said something about a transfer.
    pub(super) fn receive(&self, from: NodeId, message: TransferMessage) {
        let mut queue = self.shared.lock();
        if queue.tasks.len() < TASKS_MAX {
            queue.tasks.push_back(Task::Receive(from, message));
            self.wake(&mut queue);
        }
    }

    /// Something happened in the group that the keeper has to hear of.
    pub(super) fn happened(&self, event: &Event) {
        self.push(Task::Happened(event.clone()));
    }

    /// What the group wants has changed.
    pub(super) fn want(&self, wanted: Option<Wanted>) {
        let mut queue = self.shared.lock();
        queue.wanted = Some(wanted);
        self.wake(&mut queue);
    }

    /// A checkpoint is to be written from what the machines gave.
    pub(super) fn write(
        &self,
        at: Instance,
        state: Bytes,
        handles: Result<Handles, CheckpointError>,
    ) {
        self.push(Task::Write(at, state, handles));
    }

    /// The thread ends.
    pub(super) fn close(&self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        self.shared.ready.notify_one();
        let resting = queue.resting.take();
        drop(queue);
        drop(resting);
    }

    fn push(&self, task: Task) {
        let mut queue = self.shared.lock();
        queue.tasks.push_back(task);
        self.wake(&mut queue);
    }

    /// Sees to it that a thread takes what is in the queue. If the system gives none, what comes next
    /// asks for one again.
    fn wake(&self, queue: &mut Queue) {
        if queue.is_awake {
            self.shared.ready.notify_one();
        } else if queue.resting.is_some() && !queue.closed {
            let this = self.clone();
            let made =
                thread::Builder::new().name(self.shared.name.clone()).spawn(move || this.run());
            match made {
                Ok(_) => queue.is_awake = true,
                Err(error) => tracing::warn!(%error, "no thread for checkpoints"),
            }
        }
    }

    /// A thread's life: until there was nothing to do for a while.
    fn run(&self) {
        let Some(mut work) = self.shared.lock().resting.take() else { return };
        let mut tasks = VecDeque::new();
        loop {
            let wait = work.wait();
            let mut queue = self.shared.wait(wait.unwrap_or(REST));
            if queue.closed {
                return;
            }
            if wait.is_none() && queue.has_nothing() {
                queue.resting = Some(work);
                queue.is_awake = false;
                return;
            }
            std::mem::swap(&mut queue.tasks, &mut tasks);
            let wanted = queue.wanted.take();
            drop(queue);
            work.turn(wanted, &mut tasks, self);
        }
    }
}

impl<V: Vfs, K: Kept> Work for Worker<V, K> {
    fn turn(&mut self, wanted: Option<Option<Wanted>>, tasks: &mut VecDeque<Task>, to: &Keeping) {
        if let Some(wanted) = wanted {
            self.keeper.want(wanted);
        }
        for task in tasks.drain(..) {
            perform(task, &mut self.keeper, self.clock, to, &self.kept);
        }
        self.keeper.tick(self.clock.now());
        let messages = std::mem::take(&mut self.keeper.messages);
        let inputs = std::mem::take(&mut self.keeper.inputs);
        if !messages.is_empty() || !inputs.is_empty() {
            self.kept.kept(messages, inputs);
        }
    }

    fn wait(&self) -> Option<Duration> {
        self.keeper.deadline().map(|deadline| deadline.since(self.clock.now()))
    }
}

impl Queue {
    fn has_nothing(&self) -> bool {
        self.tasks.is_empty() && self.wanted.is_none()
    }
}

fn perform<V: Vfs>(
    task: Task,
    keeper: &mut Keeper<V>,
    clock: Clock,
    this: &Keeping,
    kept: &Arc<impl Kept>,
) {
    match task {
        Task::Receive(from, message) => keeper.receive(clock.now(), from, message),
        Task::Happened(event) => {
            if let Err(error) = keeper.event(&event) {
                tracing::warn!(%error, "an old checkpoint is not removed");
            }
        }
        Task::Write(at, state, handles) => {
            let (store, this) = (keeper.store().clone(), this.clone());
            let written = thread::Builder::new().name("synod-checkpoint".into()).spawn(move || {
                let written = handles.and_then(|handles| store.write(at, state, handles));
                this.push(Task::Written(at, written));
            });
            if let Err(error) = written {
                kept.failed(at, &CheckpointError::Files(error));
            }
        }
        Task::Written(_, Ok(manifest)) => keeper.taken(manifest),
        Task::Written(at, Err(error)) => kept.failed(at, &error),
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do, or the end, at most so long.
    fn wait(&self, most: Duration) -> MutexGuard<'_, Queue> {
        let is_idle = |queue: &mut Queue| !queue.closed && queue.has_nothing();
        let waited = self.ready.wait_timeout_while(self.lock(), most, is_idle);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("tasks", &self.tasks)
            .field("wanted", &self.wanted)
            .field("closed", &self.closed)
            .field("is_awake", &self.is_awake)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Receive(from, message) => write!(f, "from {from}: {message:?}"),
            Self::Happened(event) => write!(f, "{event}"),
            Self::Write(at, ..) => write!(f, "write {at}"),
            Self::Written(at, _) => write!(f, "written {at}"),
        }
    }
}

/// How long a thread stays without work.
const REST: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 2_000 });

/// Messages that may wait.
const TASKS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Sender};
    use std::time::Instant;

    use super::*;

    /// Tells of each turn how many tasks it had.
    struct Told(Sender<usize>);

    impl Work for Told {
        fn turn(&mut self, _: Option<Option<Wanted>>, tasks: &mut VecDeque<Task>, _: &Keeping) {
            self.0.send(tasks.drain(..).count()).unwrap();
        }

        fn wait(&self) -> Option<Duration> {
            None
        }
    }

    const SOON: Duration = Duration::from_secs(10);

    fn keeping(work: Told) -> Keeping {
        let keeping = Keeping::idle();
        keeping.shared.lock().resting = Some(Box::new(work));
        keeping
    }

    fn rests(keeping: &Keeping) {
        let begun = Instant::now();
        while keeping.shared.lock().is_awake {
            assert!(begun.elapsed() < SOON, "the thread does not end");
            thread::yield_now();
        }
    }

    #[test]
    fn there_is_a_thread_while_there_is_something_to_do() {
        let (tell, told) = mpsc::channel();
        let keeping = keeping(Told(tell));
        assert!(!keeping.shared.lock().is_awake);
        for _ in 0..3 {
            keeping.happened(&Event::Checkpointed(Instance(1)));
            assert_eq!(told.recv_timeout(SOON), Ok(1));
            rests(&keeping);
        }
        keeping.want(None);
        assert_eq!(told.recv_timeout(SOON), Ok(0));
    }

    #[test]
    fn what_is_closed_does_nothing_more() {
        let (tell, told) = mpsc::channel();
        let keeping = keeping(Told(tell));
        keeping.close();
        keeping.want(None);
        // Its end was dropped with the work.
        assert!(told.recv_timeout(SOON).is_err());
        assert!(!keeping.shared.lock().is_awake);
    }
}
