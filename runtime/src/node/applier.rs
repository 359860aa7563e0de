//! One group's state machines at work, on threads of the node's pool, so that a slow `apply` never
//! delays a vote.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use synod_core::{Apply, Instance, Position, SmId};
use tokio::sync::oneshot;

use super::error::{ProposeError, ReadError};
use super::handle::Committed;
use super::pool::{Pool, Turn};
use super::reply::Reply;
use super::ticket::Ticket;
use crate::machines::Handles;
use crate::proposal::Context;
use crate::{CheckpointError, Executed, MachineError, Machines};

/// Where the answer of a read goes.
pub(super) type ReadReply = oneshot::Sender<Result<Bytes, ReadError>>;

/// What the driver asks for.
#[derive(Debug)]
pub(super) enum Job {
    /// What the core handed out, and who waits for it here.
    Apply(Apply, Option<Proposer>),
    /// A query, once this instance is applied.
    Read(Instance, SmId, Bytes, Reply<ReadReply>),
}

/// Who waits here for a command, and what its state machine is to see of the proposal.
#[derive(Debug)]
pub(super) struct Proposer {
    pub(super) reply: Reply<Ticket>,
    pub(super) context: Option<Context>,
}

/// The driver's end. Dropping it ends the machines when they have finished what they are doing;
/// whoever still waits is released.
pub(super) struct Applier {
    shared: Arc<Shared>,
    pool: Pool,
    work: Arc<dyn Turn>,
}

/// What the machines' thread tells the driver. Called there.
pub(super) trait Progress: Send + 'static {
    /// Enough was applied that the core may wait for hearing it.
    fn applied(&self);
    /// The machines have this digest after everything up to there.
    fn digested(&self, at: Instance, state: Option<u64>);
    /// The machines have stopped.
    fn failed(&self, error: &MachineError);
    /// A checkpoint is to be written from this.
    fn checkpoint(&self, at: Instance, state: Bytes, handles: Result<Handles, CheckpointError>);
    /// The machines are to go on from a checkpoint.
    fn load(&self, machines: &mut Machines, at: Instance) -> Result<(), MachineError>;
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    applied: AtomicU64,
    /// Reads queued or held back.
    reads: AtomicUsize,
}

#[derive(Debug)]
struct Queue {
    jobs: Vec<Job>,
    /// A thread has the machines, or will.
    scheduled: bool,
    closed: bool,
}

impl Applier {
    /// Takes the machines over. The driver is told of progress at least every `tell_every` instances,
    /// and otherwise looks at [`applied`](Self::applied) when it is awake anyway.
    pub(super) fn new(
        pool: &Pool,
        machines: Machines,
        tell_every: u64,
        progress: impl Progress,
    ) -> Self {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { jobs: Vec::new(), scheduled: false, closed: false }),
            applied: AtomicU64::new(machines.applied().0),
            reads: AtomicUsize::new(0),
        });
        let held = BTreeMap::new();
        let worker = Worker {
            shared: Arc::clone(&shared),
            told: machines.applied().0,
            machines,
            held,
            tell_every,
            progress,
        };
        pool.grow();
        let work = Arc::new(Work { shared: Arc::clone(&shared), worker: Mutex::new(Some(worker)) });
        Self { shared, pool: pool.clone(), work }
    }

    /// Queues jobs, in order. How many there can be is bounded by what the core hands out ahead
    /// (`Config::apply_ahead_max`), and for reads by the driver, which looks at
    /// [`reads`](Self::reads).
    pub(super) fn push(&self, jobs: &mut Vec<Job>) {
        let reads = jobs.iter().filter(|job| matches!(job, Job::Read(..))).count();
        self.shared.reads.fetch_add(reads, Ordering::Relaxed);
        let mut queue = self.shared.lock();
        queue.jobs.append(jobs);
        self.schedule(queue);
    }

    fn schedule(&self, mut queue: MutexGuard<'_, Queue>) {
        if !mem::replace(&mut queue.scheduled, true) {
            drop(queue);
            self.pool.schedule(Arc::clone(&self.work));
        }
    }

    /// Every instance up to here is applied.
    pub(super) fn applied(&self) -> Instance {
        Instance(self.shared.applied.load(Ordering::Acquire))
    }

    /// How many reads wait for the machines.
    pub(super) fn reads(&self) -> usize {
        self.shared.reads.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Applier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        self.schedule(queue);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read that waits for an instance to be applied.
type HeldRead = (SmId, Bytes, Reply<ReadReply>);

struct Worker<P> {
    shared: Arc<Shared>,
    machines: Machines,
    /// Reads that wait for an instance to be applied.
    held: BTreeMap<Instance, Vec<HeldRead>>,
    tell_every: u64,
    told: u64,
    progress: P,
}

/// The machines where a thread of the pool finds them; none once the applier is dropped.
struct Work<P> {
    shared: Arc<Shared>,
    worker: Mutex<Option<Worker<P>>>,
}

impl<P: Progress> Turn for Work<P> {
    fn turn(&self) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = Vec::new();
        while self.take(&mut jobs) {
            let Some(worker) = &mut *worker else { return };
            for job in jobs.drain(..) {
                worker.execute(job);
            }
        }
        if self.shared.lock().closed {
            *worker = None;
        }
    }
}

impl<P> Work<P> {
    /// Takes what waits; `false` if there is nothing, or at the end.
    fn take(&self, jobs: &mut Vec<Job>) -> bool {
        let mut queue = self.shared.lock();
        if queue.closed {
            queue.jobs.clear();
            return false; // and stays scheduled: this was the last turn
        }
        mem::swap(&mut queue.jobs, jobs);
        queue.scheduled = !jobs.is_empty();
        queue.scheduled
    }
}

impl<P: Progress> Worker<P> {
    fn execute(&mut self, job: Job) {
        match job {
            Job::Read(at, sm, query, reply) if at > self.machines.applied() => {
                self.held.entry(at).or_default().push((sm, query, reply));
            }
            Job::Read(_, sm, query, reply) => self.read(sm, query, &reply),
            Job::Apply(apply, proposer) => {
                let failed_before = self.machines.failed().is_some();
                let sm = match &apply {
                    Apply::Command { sm, .. } => *sm,
                    Apply::Through(_)
                    | Apply::Digest(_)
                    | Apply::Checkpoint { .. }
                    | Apply::Install(_) => SmId(0),
                };
                match self.machines.apply(apply) {
                    Ok(Executed::Command { position, output, .. }) => {
                        if let Some(Proposer { reply, context }) = proposer {
                            if let Some(context) = context {
                                self.show(sm, position, &output, context);
                            }
                            reply.answer(Ok(Committed { position, output }));
                        }
                    }
                    // Its output was lost with the process that proposed it.
                    Ok(Executed::Skipped { .. }) => {
                        if let Some(Proposer { reply, .. }) = proposer {
                            reply.answer(Err(ProposeError::Unknown));
                        }
                    }
                    Ok(Executed::Through(instance)) => self.through(instance),
                    Ok(Executed::Digest(at, state)) => self.progress.digested(at, state),
                    Ok(Executed::Checkpoint(at, state)) => {
                        let handles = self.machines.checkpoint(at);
                        self.progress.checkpoint(at, state, handles);
                        if let Some(error) = self.machines.failed().cloned() {
                            self.fail(&error);
                        }
                    }
                    Ok(Executed::Install(at)) => match self.progress.load(&mut self.machines, at) {
                        Ok(()) => {
                            self.through(at);
                            self.progress.applied();
                        }
                        Err(error) => self.fail(&error),
                    },
                    Err(error) => {
                        if let Some(Proposer { reply, .. }) = proposer {
                            let reason = error.to_string().into();
                            reply.answer(Err(ProposeError::Failed { reason }));
                        }
                        if !failed_before {
                            self.fail(&error);
                        }
                    }
                }
            }
        }
    }

    /// The command is executed whatever comes of this; a panic stops what comes after it.
    fn show(&mut self, sm: SmId, position: Position, output: &Bytes, context: Context) {
        if let Err(error) = self.machines.proposed_here(sm, position, output, context) {
            self.fail(&error);
        }
    }

    fn through(&mut self, instance: Instance) {
        self.shared.applied.store(instance.0, Ordering::Release);
        while let Some(entry) = self.held.first_entry()
            && *entry.key() <= instance
        {
            for (sm, query, reply) in entry.remove() {
                self.read(sm, query, &reply);
            }
        }
        if instance.0 - self.told >= self.tell_every {
            self.told = instance.0;
            self.progress.applied();
        }
    }

    fn read(&mut self, sm: SmId, query: Bytes, reply: &Reply<ReadReply>) {
        self.shared.reads.fetch_sub(1, Ordering::Relaxed);
        let failed_before = self.machines.failed().is_some();
        let read = self.machines.read(sm, query);
        if let Err(error) = &read
            && self.machines.failed().is_some()
            && !failed_before
        {
            self.fail(error);
        }
        reply.answer(read.map_err(|error| {
            if let MachineError::Unknown(sm) = error {
                return ReadError::NoMachine(sm);
            }
            ReadError::Failed { reason: error.to_string().into() }
        }));
    }

    fn fail(&mut self, error: &MachineError) {
        self.progress.failed(error);
        for (_, _, reply) in mem::take(&mut self.held).into_values().flatten() {
            self.shared.reads.fetch_sub(1, Ordering::Relaxed);
            reply.answer(Err(ReadError::Failed { reason: error.to_string().into() }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateMachine;
    use std::sync::mpsc;
    use std::time::Duration;
    use synod_core::CommandKey;

    struct Sum(u64);

    impl StateMachine for Sum {
        fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
            assert!(!command.is_empty(), "nothing to add");
            self.0 += u64::from(command[0]);
            self.read(Bytes::new())
        }
        fn read(&self, _query: Bytes) -> Bytes {
            self.0.to_string().into()
        }
    }

    enum Told {
        Applied,
        Failed(String),
    }

    struct Tell(mpsc::Sender<Told>);

    impl Progress for Tell {
        fn applied(&self) {
            self.0.send(Told::Applied).unwrap();
        }
        fn failed(&self, error: &MachineError) {
            self.0.send(Told::Failed(error.to_string())).unwrap();
        }
        fn digested(&self, _: Instance, _: Option<u64>) {}
        fn checkpoint(&self, _: Instance, _: Bytes, _: Result<Handles, CheckpointError>) {}
        fn load(&self, _: &mut Machines, _: Instance) -> Result<(), MachineError> {
            Ok(())
        }
    }

    fn applier(tell_every: u64) -> (Applier, mpsc::Receiver<Told>) {
        let (tell, told) = mpsc::channel();
        let machines = Machines::new(vec![Box::new(Sum(0))]).unwrap();
        (Applier::new(&Pool::new("test".into()), machines, tell_every, Tell(tell)), told)
    }

    fn add(instance: u64, payload: &'static [u8], reply: Option<Ticket>) -> [Job; 2] {
        let position = Position { instance: Instance(instance), index: 0 };
        let apply = Apply::Command {
            position,
            key: CommandKey::default(),
            sm: SmId(0),
            payload: payload.into(),
            proposal: None,
        };
        [
            Job::Apply(
                apply,
                reply.map(|reply| Proposer { reply: Reply::new(reply), context: None }),
            ),
            Job::Apply(Apply::Through(Instance(instance)), None),
        ]
    }

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn a_read_waits_until_its_instance_is_applied() {
        let (applier, told) = applier(2);
        let (reply, mut answer) = oneshot::channel();
        let (first, _) = Ticket::new(1, None, &Arc::default()).unwrap();
        let mut jobs = vec![Job::Read(Instance(2), SmId(0), Bytes::new(), Reply::new(reply))];
        jobs.extend(add(1, &[1], Some(first)));
        applier.push(&mut jobs);
        assert!(answer.try_recv().is_err());
        assert_eq!(applier.reads(), 1);
        let (second, committed) = Ticket::new(1, None, &Arc::default()).unwrap();
        applier.push(&mut add(2, &[2], Some(second)).into());
        let committed = committed.blocking_recv().unwrap().unwrap();
        assert_eq!(committed.output, "3");
        assert_eq!(answer.blocking_recv().unwrap(), Ok("3".into()));
        assert!(matches!(told.recv_timeout(SOON), Ok(Told::Applied)), "after two instances");
        assert_eq!((applier.applied(), applier.reads()), (Instance(2), 0));
    }

    #[test]
    fn a_panic_answers_everybody_and_is_told_once() {
        let (applier, told) = applier(1);
        let (reply, held) = oneshot::channel();
        let (proposed, committed) = Ticket::new(1, None, &Arc::default()).unwrap();
        let mut jobs = vec![Job::Read(Instance(9), SmId(0), Bytes::new(), Reply::new(reply))];
        jobs.extend(add(1, &[], Some(proposed)));
        jobs.extend(add(2, &[1], None));
        applier.push(&mut jobs);
        let failed = committed.blocking_recv().unwrap().unwrap_err();
        assert!(failed.to_string().contains("nothing to add"), "{failed}");
        assert!(matches!(held.blocking_recv(), Ok(Err(ReadError::Failed { .. }))));
        assert!(
            matches!(told.recv_timeout(SOON), Ok(Told::Failed(reason)) if reason.contains("#1.0"))
        );
        drop(applier);
        assert!(told.recv_timeout(SOON).is_err(), "told once, and the thread has ended");
    }

    #[test]
    fn dropping_the_applier_releases_who_waits() {
        let (applier, _told) = applier(1);
        let (reply, answer) = oneshot::channel();
        applier.push(&mut vec![Job::Read(Instance(1), SmId(0), Bytes::new(), Reply::new(reply))]);
        drop(applier);
        assert!(answer.blocking_recv().is_err());
    }
}
