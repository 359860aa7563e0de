//! The thread that keeps one group's checkpoints: their files, and their way from and to peers.
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

/// The driver's end. The thread ends when all of them are dropped, or the driver closes it.
#[derive(Clone, Debug)]
pub(super) struct Keeping {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: VecDeque<Task>,
    /// Told by the driver last, and not taken yet.
    wanted: Option<Option<Wanted>>,
    closed: bool,
}

enum Task {
    Receive(NodeId, TransferMessage),
    Happened(Event),
    Write(Instance, Bytes, Result<Handles, CheckpointError>),
    Written(Instance, Result<Manifest, CheckpointError>),
}

impl Keeping {
    /// Starts the thread.
    pub(super) fn spawn<V: Vfs>(
        name: String,
        mut keeper: Keeper<V>,
        clock: Clock,
        kept: Arc<impl Kept>,
    ) -> std::io::Result<Self> {
        let queue = Mutex::new(Queue::default());
        let shared = Arc::new(Shared { queue, ready: Condvar::new() });
        let this = Self { shared: Arc::clone(&shared) };
        let writing = this.clone();
        thread::Builder::new().name(name).spawn(move || {
            let mut tasks = VecDeque::new();
            loop {
                let deadline = keeper.deadline();
                let wait = deadline.map(|deadline| deadline.since(clock.now()));
                let Some(wanted) = shared.take(wait, &mut tasks) else { return };
                if let Some(wanted) = wanted {
                    keeper.want(wanted);
                }
                for task in tasks.drain(..) {
                    perform(task, &mut keeper, clock, &writing, &kept);
                }
                keeper.tick(clock.now());
                let messages = std::mem::take(&mut keeper.messages);
                let inputs = std::mem::take(&mut keeper.inputs);
                if !messages.is_empty() || !inputs.is_empty() {
                    kept.kept(messages, inputs);
                }
            }
        })?;
        Ok(this)
    }

    /// One without a thread, which keeps nothing.
    #[cfg(test)]
    pub(super) fn idle() -> Self {
        Self { shared: Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new() }) }
    }

    /// A peer said something about a transfer.
    pub(super) fn receive(&self, from: NodeId, message: TransferMessage) {
        let mut queue = self.shared.lock();
        if queue.tasks.len() < TASKS_MAX {
            queue.tasks.push_back(Task::Receive(from, message));
            self.shared.ready.notify_one();
        }
    }

    /// Something happened in the group that the keeper has to hear of.
    pub(super) fn happened(&self, event: &Event) {
        self.push(Task::Happened(event.clone()));
    }

    /// What the group wants has changed.
    pub(super) fn want(&self, wanted: Option<Wanted>) {
        self.shared.lock().wanted = Some(wanted);
        self.shared.ready.notify_one();
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
        self.shared.lock().closed = true;
        self.shared.ready.notify_one();
    }

    fn push(&self, task: Task) {
        self.shared.lock().tasks.push_back(task);
        self.shared.ready.notify_one();
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

    /// Waits for tasks, at most so long; nothing at the end.
    fn take(
        &self,
        wait: Option<Duration>,
        tasks: &mut VecDeque<Task>,
    ) -> Option<Option<Option<Wanted>>> {
        let queue = self.lock();
        let is_idle =
            |queue: &mut Queue| !queue.closed && queue.tasks.is_empty() && queue.wanted.is_none();
        let mut queue = match wait {
            Some(wait) => {
                let waited = self.ready.wait_timeout_while(queue, wait, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.ready.wait_while(queue, is_idle);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        if queue.closed {
            return None;
        }
        std::mem::swap(&mut queue.tasks, tasks);
        Some(queue.wanted.take())
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

/// Messages that may wait.
const TASKS_MAX: usize = 1024;
