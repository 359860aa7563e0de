//! One group on a node: the core's `Group`, who waits for it, and the thread of its machines.

mod ending;

mod keeping;

mod report;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{
    Apply, ChangeId, ChosenAt, Durable, FetchId, Group, GroupId, Input, Instance, Master, Member,
    Membership, Message, NodeId, Outbox, Outcome, ProposalId, ReadId, Refusal, Role, SmId, Status,
    Stored, Time, TransferMessage, Tuning, Wanted,
};
use synod_proto::Packet;
use tokio::sync::{oneshot, watch};

use super::applier::{Applier, Job, Proposer, ReadReply};
use super::chosen::{GetError, GetReply, commands};
use super::error::{ChangeError, NodeError, ProposeError, ReadError};
use super::fetcher::{Fetcher, Want};
use super::front::Front;
use super::keeping::Keeping;
use super::membership::{ChangeReply, MembershipView};
use super::note::{ReadRequest, answer};
use super::observing::Seen;
use super::refusal::{change_refused, read_refused, reason, refused};
use super::reply::{Owed, Sink};
use super::rest::{Rest, is_idle_talk};
use super::status::{GroupState, GroupStatus};
use super::ticket::Ticket;
use super::waiters::Waiters;
use crate::machines::panic_message;
use crate::transport::{Frame, Network};

/// Who waits for a checkpoint; released by being dropped.
type CheckpointReply = oneshot::Sender<Result<Instance, NodeError>>;

/// Limits that the core checks too; known here to answer with the numbers in the error.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) command_bytes_max: usize,
    pub(super) reads_max: usize,
}

/// A group in its slot.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) id: GroupId,
    pub(super) me: Member,
    limits: Limits,
    core: Option<Group>,
    pub(super) outbox: Outbox,
    applier: Applier,
    keeping: Keeping,
    /// What the keeper was told that the group wants.
    wanted: Option<Wanted>,
    /// Who waits for a checkpoint at or above an instance.
    checkpoints: Vec<(Instance, CheckpointReply)>,
    /// Checkpoints are taken every so often, and next then.
    every: Option<(Duration, Time)>,
    /// Nothing in the log above this is cleaned: as the user says, and as transfers need it.
    limits_of_cleaning: (Instance, Instance),
    jobs: Vec<Job>,
    pub(super) front: Arc<Front>,
    proposals: Waiters<(Time, Ticket)>,
    reads: Waiters<ReadRequest>,
    pub(super) changes: Waiters<ChangeReply>,
    owed_outputs: Owed<Ticket>,
    owed_answers: Owed<ReadReply>,
    /// What the core was told is applied.
    applied: Instance,
    state: watch::Sender<GroupState>,
    failed: Option<Arc<str>>,
    rest: Rest,
    /// Something but idle talk has happened since the status was taken over last.
    stirred: bool,
    /// When its phase 1 or its leadership began.
    since: Time,
    /// The deadline under which the driver's timers hold this group.
    pub(super) armed: Option<Time>,
    /// Whether it was stepped since the last flush.
    pub(super) dirty: bool,
}

impl Hosted {
    pub(super) fn new(
        id: GroupId,
        me: Member,
        limits: Limits,
        applier: Applier,
        keeping: Keeping,
        front: Arc<Front>,
        state: watch::Sender<GroupState>,
    ) -> Self {
        Self {
            id,
            me,
            limits,
            core: None,
            outbox: Outbox::default(),
            applied: applier.applied(),
            applier,
            keeping,
            wanted: None,
            checkpoints: Vec::new(),
            every: None,
            limits_of_cleaning: (Instance::MAX, Instance::MAX),
            jobs: Vec::new(),
            front,
            proposals: Waiters::new(),
            reads: Waiters::new(),
            changes: Waiters::new(),
            owed_outputs: Owed::new(),
            owed_answers: Owed::new(),
            state,
            failed: None,
            rest: Rest::new(),
            stirred: true,
            since: Time::ZERO,
            armed: None,
            dirty: false,
        }
    }

    /// The cluster is founded, and this node is in it.
    pub(super) fn run(&mut self, now: Time, core: Group) {
        self.rest.set(now, core.tuning());
        self.core = Some(core);
        self.publish();
    }

    /// Steps the core. A panic in there is an invariant that does not hold, a bug: the group stops
    /// here as if the node had crashed for this group alone, at the end of the step before. That is
    /// safe at any moment, since what it had said was durable; the next start reads it from the log.
    pub(super) fn step(&mut self, now: Time, input: Input) {
        let Some(core) = &mut self.core else { return };
        let outbox = &mut self.outbox;
        let stepped = catch_unwind(AssertUnwindSafe(|| core.step(now, input, outbox)));
        if let Err(panic) = stepped {
            self.core = None;
            // What this turn had gathered and not said dies with it.
            self.outbox = Outbox::default();
            let message = panic_message(&*panic);
            let reason = format!("group {} broke an invariant: {message}; report it", self.id);
            self.fail(&reason.into());
        }
    }

    pub(super) fn propose(
        &mut self,
        now: Time,
        sm: SmId,
        command: Bytes,
        deadline: Time,
        reply: Ticket,
    ) {
        if let Some(reason) = &self.failed {
            let reason = Arc::clone(reason);
            return reply.give(Err(ProposeError::Failed { reason }));
        }
        let max = self.limits.command_bytes_max;
        if command.len() > max {
            return reply.give(Err(ProposeError::TooLarge { bytes: command.len(), max }));
        }
        self.front.observing.tell(|| Seen::Proposed(self.id, sm, command.len()));
        self.front.stats.proposed.add(1);
        self.front.stats.proposed_bytes.add(u64::try_from(command.len()).unwrap_or(u64::MAX));
        self.stirred = true;
        let id = ProposalId(self.proposals.insert((deadline, reply)));
        self.step(now, Input::Propose { id, sm, command, deadline });
    }

    pub(super) fn read(&mut self, now: Time, read: ReadRequest) {
        if let Some(reason) = &self.failed {
            return answer(read.reply, Err(ReadError::Failed { reason: Arc::clone(reason) }));
        }
        if self.applier.reads() >= self.limits.reads_max {
            return answer(read.reply, Err(ReadError::Overloaded));
        }
        self.front.stats.reads.add(1);
        self.stirred = true;
        let ReadRequest { deadline, stale, .. } = read;
        let id = ReadId(self.reads.insert(read));
        self.step(now, Input::Read { id, deadline, stale });
    }

    /// Shows what was chosen at an instance; what is not in memory is asked of the disk.
    pub(super) fn get(&self, instance: Instance, reply: GetReply, fetcher: &Fetcher) {
        let Some(core) = &self.core else {
            let reason = reason(self.failed.as_ref());
            return answer(reply, Err(NodeError::Failed { reason }.into()));
        };
        match core.chosen_at(instance) {
            ChosenAt::Value(value) => answer(reply, Ok(commands(&value))),
            ChosenAt::Nothing => {
                let chosen = core.status().chosen;
                answer(reply, Err(GetError::NotChosen { asked: instance, chosen }));
            }
            ChosenAt::Cleaned => {
                let first_kept = core.status().cleaned.next();
                answer(reply, Err(GetError::Cleaned { asked: instance, first_kept }));
            }
            ChosenAt::OnDisk => {
                if let Err(Want::User(_, reply)) = fetcher.ask(self.id, Want::User(instance, reply))
                {
                    answer(reply, Err(NodeError::Overloaded.into()));
                }
            }
        }
    }

    /// Changes settings of the protocol, which were checked.
    pub(super) fn tune(&mut self, now: Time, protocol: Tuning) {
        self.retune(&protocol);
        self.rest.set(now, protocol);
    }

    fn retune(&mut self, protocol: &Tuning) {
        let Some(core) = &mut self.core else { return };
        if let Err(error) = core.tune(protocol) {
            let (node, group) = (self.me.node.0, self.id.0);
            tracing::warn!(node, group, %error, "settings were not taken");
        }
    }

    /// Asks for another membership.
    pub(super) fn change(
        &mut self,
        now: Time,
        version: Instance,
        membership: Membership,
        deadline: Time,
        reply: ChangeReply,
    ) {
        if let Some(reason) = &self.failed {
            return answer(reply, Err(ChangeError::Failed { reason: Arc::clone(reason) }));
        }
        let id = ChangeId(self.changes.insert(reply));
        self.step(now, Input::Change { id, version, membership, deadline });
    }

    /// Who votes and follows, as far as is known here.
    pub(super) fn membership(&self) -> Option<MembershipView> {
        let core = self.core.as_ref()?;
        let Status { version, changing, .. } = core.status();
        let membership = core.history().newest().clone();
        Some(MembershipView { version, complete: !changing, membership })
    }

    /// Whether this node, with the memory that it has, is a member.
    pub(super) fn is_member(&self) -> bool {
        self.core.as_ref().is_none_or(|core| core.members().contains(&self.me))
    }

    /// Whether it was one.
    pub(super) fn is_removed(&self) -> bool {
        self.core.as_ref().is_some_and(|core| core.status().removed)
    }

    /// Everybody who belongs to a membership that may still decide something, with the address book.
    pub(super) fn members(&self) -> Option<(Vec<Member>, &Bytes)> {
        let core = self.core.as_ref()?;
        Some((core.members(), core.history().newest().book()))
    }

    pub(super) fn fetched(&mut self, now: Time, id: FetchId, entries: Vec<Stored>) {
        if let Some(first) = entries.first() {
            let (from, count) = (first.instance, entries.len());
            self.front.observing.tell(|| Seen::Fetched(self.id, from, count));
        }
        self.step(now, Input::Fetched { id, entries });
    }

    /// After the inputs: reports what was applied, and ticks if the deadline has come, so that
    /// what came together leaves together.
    pub(super) fn settle(&mut self, now: Time) {
        let applied = self.applier.applied();
        if applied > self.applied {
            self.applied = applied;
            self.stirred = true;
            self.front.observing.tell(|| Seen::Applied(self.id, applied));
            self.step(now, Input::Applied(applied));
        }
        if let Some((every, next)) = &mut self.every
            && *next <= now
        {
            *next = now + *every;
            self.step(now, Input::Checkpoint);
        }
        for _ in 0..TICKS_MAX {
            let deadline = self.core.as_ref().and_then(Group::deadline);
            if deadline.is_none_or(|deadline| deadline > now) {
                break;
            }
            self.step(now, Input::Tick);
        }
    }

    /// Hands messages over to the network.
    pub(super) fn send(&mut self, network: &mut Network) {
        let (group, from) = (self.id, self.me.incarnation);
        let (stats, observing) = (&self.front.stats, &self.front.observing);
        for (to, message) in self.outbox.messages.drain(..) {
            stats.sent.add(1);
            observing.tell(|| Seen::Sent(group, to, message.kind(), message.value_bytes()));
            network.send(to, &Frame(Packet::Group { group, from, message }));
        }
    }

    /// Hands commands and reads over to the machines, and answers who is refused.
    pub(super) fn execute(&mut self) {
        for outcome in self.outbox.outcomes.drain(..) {
            match outcome {
                Outcome::Refused(ProposalId(id), refusal) => {
                    if let Some((_, reply)) = self.proposals.remove(id) {
                        let error = match refusal {
                            Refusal::Overloaded => self.front.overloaded(),
                            Refusal::TooLarge | Refusal::NotMember | Refusal::Failed => {
                                refused(refusal, self.failed.as_ref())
                            }
                        };
                        reply.give(Err(error));
                    }
                }
                Outcome::Unknown(ProposalId(id)) => {
                    if let Some((_, reply)) = self.proposals.remove(id) {
                        reply.give(Err(ProposeError::Unknown));
                    }
                }
                Outcome::Executed(ProposalId(id), by) => {
                    if let Some((_, reply)) = self.proposals.remove(id) {
                        reply.give(Err(ProposeError::OutputLost { by }));
                    }
                }
                Outcome::Changed(ChangeId(id), at) => {
                    if let Some(reply) = self.changes.remove(id) {
                        answer(reply, Ok(at));
                    }
                }
                Outcome::ChangeRefused(ChangeId(id), refusal) => {
                    if let Some(reply) = self.changes.remove(id) {
                        answer(reply, Err(change_refused(refusal, self.failed.as_ref())));
                    }
                }
                Outcome::ChangeUnknown(ChangeId(id), on) => {
                    if let Some(reply) = self.changes.remove(id) {
                        answer(reply, Err(ChangeError::Unknown { waits_for: on }));
                    }
                }
                Outcome::ReadAt(ReadId(id), instance) => {
                    if let Some(ReadRequest { sm, query, deadline, reply, .. }) =
                        self.reads.remove(id)
                    {
                        let reply = self.owed_answers.push(deadline, reply);
                        self.jobs.push(Job::Read(instance, sm, query, reply));
                    }
                }
                Outcome::ReadFailed(ReadId(id), refusal) => {
                    self.front.stats.reads_failed.add(1);
                    if let Some(ReadRequest { reply, .. }) = self.reads.remove(id) {
                        answer(reply, Err(read_refused(refusal, self.failed.as_ref())));
                    }
                }
            }
        }
        for apply in self.outbox.applies.drain(..) {
            let proposer = match &apply {
                Apply::Command { proposal: Some(ProposalId(id)), .. } => {
                    self.proposals.remove(*id).map(|(deadline, mut ticket)| {
                        let context = ticket.take_context();
                        Proposer { reply: self.owed_outputs.push(deadline, ticket), context }
                    })
                }
                Apply::Command { proposal: None, .. }
                | Apply::Through(_)
                | Apply::Digest(_)
                | Apply::Checkpoint { .. }
                | Apply::Install(_) => None,
            };
            self.jobs.push(Job::Apply(apply, proposer));
        }
        if !self.jobs.is_empty() {
            self.applier.push(&mut self.jobs);
        }
    }

    /// At the end of a turn: gives up what the machines owe for too long, and says when to look at
    /// this group again.
    pub(super) fn deadline(&mut self, now: Time) -> Option<Time> {
        if mem::take(&mut self.stirred)
            && let Some(core) = &self.core
        {
            self.front.stats.take(&core.status(), self.applier.applied());
            self.rest.disturb(now);
        }
        if let Some(tuning) = self.rest.change(now) {
            self.retune(&tuning);
        }
        let outputs = self.owed_outputs.settle(now, || Err(ProposeError::Unknown));
        let answers = self.owed_answers.settle(now, || Err(ReadError::TimedOut));
        let core = self.core.as_ref().and_then(Group::deadline);
        let every = self.every.map(|(_, next)| next);
        core.into_iter().chain(outputs).chain(answers).chain(every).min()
    }

    /// Who leads, as far as is known here.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let leader = self.core.as_ref()?.status().leader.node;
        (leader != NodeId(0)).then_some(leader)
    }

    /// Whether the group is one of the cluster's.
    pub(super) const fn runs(&self) -> bool {
        self.core.is_some() || self.failed.is_some()
    }

    /// Whether this node leads the group.
    pub(super) fn leads(&self) -> bool {
        self.core.as_ref().is_some_and(|core| core.status().role == Role::Leader)
    }

    pub(super) fn status(&self) -> GroupStatus {
        GroupStatus {
            group: self.id,
            member: self.me,
            core: self.core.as_ref().map(Group::status),
            failed: self.failed.clone(),
        }
    }

    /// A batch is on disk.
    pub(super) fn durable(&mut self, now: Time, durable: Durable) {
        self.stirred = true;
        self.step(now, Input::Durable(durable));
    }

    pub(super) fn receive(&mut self, now: Time, from: Member, message: Message) {
        self.front.stats.received.add(1);
        self.stirred |= !is_idle_talk(&message);
        let (observing, bytes) = (&self.front.observing, message.value_bytes());
        observing.tell(|| Seen::Received(self.id, from.node, message.kind(), bytes));
        self.step(now, Input::Receive { from, message });
    }
}

/// Ticks in a row at one time; a core that wants more of them at once is ticked again after others
/// had their turn.
const TICKS_MAX: usize = 4;
