//! The thread that owns the log: one write and one sync for whatever all groups have waiting.
//!
//! Group commit is the loop itself: while one sync runs, the next batches gather. The one place
//! where a [`WriteBatch`] becomes durable is [`Worker::commit`], after the sync returned success.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use synod_core::{Durable, Founding, GroupId, Incarnation, Record, WriteBatch};

use crate::log::{BATCH_BYTES_MAX, GroupLog, Log, LogError, Maintained};
use crate::vfs::Vfs;

/// The driver's end. Dropping it ends the thread after it has written what it was given.
#[derive(Debug)]
pub(super) struct LogThread {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread tells the driver. Called on the thread.
pub(super) trait Durably: Send + 'static {
    /// These are on disk now, in the order given to [`LogThread::write`].
    fn durable(&self, durables: &mut Vec<Durable>);
    /// The founding is on disk now.
    fn founded(&self);
    /// The groups have new incarnations, durably, and this is what is left of them.
    fn renewed(&self, groups: BTreeMap<GroupId, GroupLog>);
    /// The log has stopped for good: nothing more will be durable (I7).
    fn failed(&self, error: &LogError);
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    /// The number of the last durable batch, as hellos say it.
    batch: Arc<AtomicU64>,
    /// Bytes that can be written before more space is needed.
    room: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    batches: Vec<WriteBatch>,
    founding: Option<Founding>,
    renewal: Option<Vec<(GroupId, Incarnation)>>,
    closed: bool,
}

impl LogThread {
    /// Hands the log over to a thread of its own. With less than `room_low` bytes of room it
    /// makes more between two batches, and otherwise only when there is nothing to write.
    pub(super) fn spawn<V: Vfs>(
        name: String,
        log: Log<V>,
        room_low: u64,
        batch: Arc<AtomicU64>,
        durably: impl Durably,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            ready: Condvar::new(),
            batch,
            room: AtomicU64::new(log.room()),
        });
        shared.batch.store(log.batch(), Ordering::Relaxed);
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name).spawn(move || {
            Worker { shared: theirs, log, room_low, durably, done: Vec::new() }.run()
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues batches, in order. How many there can be is bounded by each group's
    /// `Config::writes_in_flight_max`.
    pub(super) fn write(&self, batches: &mut Vec<WriteBatch>) {
        let mut queue = self.shared.lock();
        let was_empty = queue.batches.is_empty();
        queue.batches.append(batches);
        drop(queue);
        if was_empty {
            self.shared.ready.notify_one();
        }
    }

    /// Writes what the cluster starts from, before any batch.
    pub(super) fn found(&self, founding: Founding) {
        self.shared.lock().founding = Some(founding);
        self.shared.ready.notify_one();
    }

    /// Gives the groups new incarnations, after everything that was queued before.
    pub(super) fn renew(&self, drawn: Vec<(GroupId, Incarnation)>) {
        self.shared.lock().renewal = Some(drawn);
        self.shared.ready.notify_one();
    }

    /// Bytes that can be written before more space is needed.
    pub(super) fn room(&self) -> u64 {
        self.shared.room.load(Ordering::Relaxed)
    }

    /// Lets the thread write what it was given, and waits for its end: then the log is closed.
    pub(super) fn close(mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }

    fn end(&self) {
        self.shared.lock().closed = true;
        self.shared.ready.notify_one();
    }
}

impl Drop for LogThread {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Worker<V: Vfs, D> {
    shared: Arc<Shared>,
    log: Log<V>,
    room_low: u64,
    durably: D,
    done: Vec<Durable>,
}

enum Next {
    Write,
    Found(Founding),
    Renew(Vec<(GroupId, Incarnation)>),
    Idle,
    End,
}

impl<V: Vfs, D: Durably> Worker<V, D> {
    fn run(mut self) {
        let mut batches = Vec::new();
        let mut maintained = false;
        loop {
            let did = match self.next(&mut batches, maintained) {
                Next::Write => {
                    maintained = false;
                    self.commit(&mut batches).and_then(|()| self.keep_room())
                }
                Next::Found(founding) => {
                    maintained = false;
                    self.log.found(&founding).map(|()| self.durably.founded())
                }
                Next::Renew(drawn) => {
                    maintained = false;
                    self.log.renew(&drawn).map(|groups| self.durably.renewed(groups))
                }
                Next::Idle => self.log.maintain().map(|did| maintained = did == Maintained::Done),
                Next::End => return,
            };
            self.shared.batch.store(self.log.batch(), Ordering::Relaxed);
            self.shared.room.store(self.log.room(), Ordering::Relaxed);
            if let Err(error) = did {
                // The batches are dropped, so nothing of them is ever vouched for.
                self.durably.failed(&error);
                return;
            }
        }
    }

    /// Waits for work. Idle only after a while without any, so that upkeep does not get in the way
    /// of commands that come one after the other.
    fn next(&self, batches: &mut Vec<WriteBatch>, maintained: bool) -> Next {
        let mut queue = self.shared.lock();
        loop {
            if let Some(founding) = queue.founding.take() {
                return Next::Found(founding);
            }
            if !queue.batches.is_empty() {
                std::mem::swap(&mut queue.batches, batches);
                return Next::Write;
            }
            if let Some(drawn) = queue.renewal.take() {
                return Next::Renew(drawn);
            }
            if queue.closed {
                return Next::End;
            }
            if maintained {
                queue = self.shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (guard, waited) = self
                .shared
                .ready
                .wait_timeout(queue, IDLE_AFTER)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            let is_idle = queue.founding.is_none() && queue.renewal.is_none();
            if waited.timed_out() && queue.batches.is_empty() && is_idle {
                return if queue.closed { Next::End } else { Next::Idle };
            }
        }
    }

    /// Writes and syncs, and only then calls the batches durable.
    fn commit(&mut self, batches: &mut Vec<WriteBatch>) -> Result<(), LogError> {
        let mut rest = batches.drain(..).peekable();
        let mut gathered = Vec::new();
        while let Some(first) = rest.next() {
            let mut bytes = bytes_of(&first);
            gathered.push(first);
            while let Some(next) = rest.peek() {
                bytes = bytes.saturating_add(bytes_of(next));
                if bytes > GATHERED_BYTES_MAX {
                    break;
                }
                gathered.extend(rest.next());
            }
            self.log.write(&gathered)?;
            self.log.sync()?;
            self.done.extend(gathered.drain(..).map(WriteBatch::durable));
            self.durably.durable(&mut self.done);
            self.done.clear();
        }
        Ok(())
    }

    /// Under a load that never pauses, upkeep has to come between two syncs.
    fn keep_room(&mut self) -> Result<(), LogError> {
        if self.log.room() < self.room_low {
            self.log.maintain()?;
        }
        Ok(())
    }
}

fn bytes_of(batch: &WriteBatch) -> u64 {
    let value = |record: &Record| match record {
        Record::Accepted { value, .. } | Record::Learned { value, .. } => value.len(),
        Record::Promised(_) | Record::Chosen(_) | Record::Cleaned(_) | Record::Membership(_) => 0,
    };
    let sum: usize = batch.records().iter().map(value).sum();
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// A quiet time after which the log looks after itself.
const IDLE_AFTER: Duration = Duration::from_millis(10);

/// Values gathered under one sync.
const GATHERED_BYTES_MAX: u64 = BATCH_BYTES_MAX / 4;
