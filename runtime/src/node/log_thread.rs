//! The thread that owns the log: one write and one sync for whatever all groups have waiting.
//!
//! Group commit is the loop itself: while one sync runs, the next batches gather. The one place
//! where a [`WriteBatch`] becomes durable is [`Worker::commit`], after the sync returned success.
//!
//! What a full disk has no room for is held, and nothing is written past it, since batches are durable
//! in order; the log says when to try again.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

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
    /// One write and one sync have succeeded: of so many batches, with so many bytes of values.
    fn synced(&self, batches: usize, value_bytes: u64, took: Duration);
    /// The founding is on disk now.
    fn founded(&self);
    /// The disk is full, and the log takes no more values; or it takes them again.
    fn room(&self, has_room: bool);
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
        let shared = Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), batch });
        shared.batch.store(log.batch(), Ordering::Relaxed);
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name(name).spawn(move || {
            Worker::new(theirs, log, room_low, durably).run();
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

    /// Lets the thread write what it was given, and waits for its end: then the log is closed.
    pub(super) fn close(mut self) {
        self.end();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }

    /// Lets the thread end once it has written what it was given.
    pub(super) fn end(&self) {
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
    /// Batches taken from the queue and not written yet.
    held: VecDeque<WriteBatch>,
    /// The same of a founding, and of new incarnations: the disk is full.
    founding: Option<Founding>,
    renewal: Option<Vec<(GroupId, Incarnation)>>,
    /// What was said last of the room in the log.
    has_room: bool,
    /// When to ask a full disk again.
    retry: Option<Instant>,
}

enum Next {
    Write,
    Found(Founding),
    Renew(Vec<(GroupId, Incarnation)>),
    Idle,
    Retry,
    End,
}

impl<V: Vfs, D: Durably> Worker<V, D> {
    fn new(shared: Arc<Shared>, log: Log<V>, room_low: u64, durably: D) -> Self {
        Self {
            shared,
            log,
            room_low,
            durably,
            done: Vec::new(),
            held: VecDeque::new(),
            founding: None,
            renewal: None,
            has_room: true,
            retry: None,
        }
    }

    fn run(mut self) {
        let mut maintained = false;
        loop {
            let did = match self.next(maintained) {
                Next::Write => {
                    maintained = false;
                    self.commit().and_then(|()| self.keep_room())
                }
                Next::Found(founding) => {
                    maintained = false;
                    self.found(founding)
                }
                Next::Renew(drawn) => {
                    maintained = false;
                    // What the old incarnations wanted written and had no room for: nobody waits.
                    self.held.clear();
                    self.renew(drawn)
                }
                Next::Idle => self.log.maintain().map(|did| maintained = did == Maintained::Done),
                Next::Retry => {
                    self.retry = None;
                    self.log.try_again().and_then(|()| self.resume())
                }
                Next::End => return self.end(),
            };
            self.shared.batch.store(self.log.batch(), Ordering::Relaxed);
            if let Err(error) = did {
                // The batches are dropped, so nothing of them is ever vouched for.
                self.durably.failed(&error);
                return;
            }
            self.tell_room();
        }
    }

    /// Says so if the room in the log has changed, and sees to it that a full disk is asked again.
    fn tell_room(&mut self) {
        let after = self.log.retry_after();
        self.retry = after.map(|after| self.retry.unwrap_or_else(|| Instant::now() + after));
        if self.log.has_room() != self.has_room {
            self.has_room = !self.has_room;
            self.durably.room(self.has_room);
        }
    }

    /// Waits for work. Idle only after a while without any, so that upkeep does not get in the way
    /// of commands that come one after the other.
    fn next(&mut self, maintained: bool) -> Next {
        let mut queue = self.shared.lock();
        loop {
            let retry = self.retry.map(|at| at.saturating_duration_since(Instant::now()));
            if let Some(founding) = queue.founding.take() {
                return Next::Found(founding);
            }
            if !queue.batches.is_empty() && self.held.is_empty() {
                self.held.extend(queue.batches.drain(..));
                return Next::Write;
            }
            if let Some(drawn) = queue.renewal.take() {
                return Next::Renew(drawn);
            }
            if queue.closed {
                return Next::End;
            }
            if retry == Some(Duration::ZERO) {
                return Next::Retry;
            }
            let is_resting = maintained || self.is_holding();
            let idle = (!is_resting).then_some(IDLE_AFTER);
            let Some(wait) = retry.into_iter().chain(idle).min() else {
                queue = self.shared.ready.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (guard, waited) =
                self.shared.ready.wait_timeout(queue, wait).unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            let is_idle = queue.founding.is_none() && queue.renewal.is_none();
            if waited.timed_out() && queue.batches.is_empty() && is_idle && Some(wait) == idle {
                return if queue.closed { Next::End } else { Next::Idle };
            }
        }
    }

    fn is_holding(&self) -> bool {
        !self.held.is_empty() || self.founding.is_some() || self.renewal.is_some()
    }

    /// What waited for room.
    fn resume(&mut self) -> Result<(), LogError> {
        if let Some(drawn) = self.renewal.take() {
            self.renew(drawn)?;
        }
        if let Some(founding) = self.founding.take() {
            self.found(founding)?;
        }
        self.commit()
    }

    /// Founds, now or when there is room. The cluster waits for this node as for one with a slow disk.
    fn found(&mut self, founding: Founding) -> Result<(), LogError> {
        if !self.log.admits_founding(&founding)? {
            self.founding = Some(founding);
            return Ok(());
        }
        self.log.found(&founding)?;
        self.durably.founded();
        Ok(())
    }

    /// Takes new incarnations, now or when there is room; the node runs no group before that.
    fn renew(&mut self, drawn: Vec<(GroupId, Incarnation)>) -> Result<(), LogError> {
        if !self.log.admits_renewal(drawn.len())? {
            self.renewal = Some(drawn);
            return Ok(());
        }
        self.durably.renewed(self.log.renew(&drawn)?);
        Ok(())
    }

    /// A node that stops since a peer remembers more takes new incarnations for its next start, so they
    /// may have what is kept for cleaning. Without any room the next start hears it from the peer.
    fn end(mut self) {
        let Some(drawn) = self.renewal.take() else { return };
        match self.log.renew(&drawn) {
            Ok(groups) => self.durably.renewed(groups),
            Err(error) => self.durably.failed(&error),
        }
    }

    /// Writes and syncs, and only then calls the batches durable.
    fn commit(&mut self) -> Result<(), LogError> {
        let mut gathered = Vec::new();
        while !self.held.is_empty() {
            let mut bytes = 0_u64;
            while let Some(next) = self.held.front() {
                bytes = bytes.saturating_add(bytes_of(next));
                if bytes > GATHERED_BYTES_MAX && !gathered.is_empty() {
                    break;
                }
                gathered.extend(self.held.pop_front());
            }
            let admitted = self.log.admits(&gathered)?;
            while gathered.len() > admitted {
                if let Some(last) = gathered.pop() {
                    self.held.push_front(last);
                }
            }
            if gathered.is_empty() {
                return Ok(()); // until there is room
            }
            let begun = Instant::now();
            self.log.write(&gathered)?;
            self.log.sync()?;
            self.durably.synced(
                gathered.len(),
                gathered.iter().map(bytes_of).sum(),
                begun.elapsed(),
            );
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
        Record::Checkpoint { state, .. } => state.len() * 2,
        Record::Promised(_)
        | Record::Chosen(_)
        | Record::Cleaned(_)
        | Record::Membership(_)
        | Record::Lease(_) => 0,
    };
    let sum: usize = batch.records().iter().map(value).sum();
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// A quiet time after which the log looks after itself.
const IDLE_AFTER: Duration = Duration::from_millis(10);

/// Values gathered under one sync.
const GATHERED_BYTES_MAX: u64 = BATCH_BYTES_MAX / 4;

#[cfg(test)]
mod tests;
