//! One group on a node: the core's `Group`, who waits for it, and the thread of its machines.

use std::sync::Arc;

use bytes::Bytes;
use synod_core::{
    Apply, ChangeId, ChangeRefusal, Event, FetchId, Group, GroupId, Input, Instance, Member,
    Membership, Message, NodeId, Outbox, Outcome, ProposalId, ReadId, ReadRefusal, Refusal, Role,
    SmId, Status, Stored, Time,
};
use synod_proto::Packet;
use tokio::sync::watch;

use super::applier::{Applier, Job, ProposeReply, ReadReply};
use super::error::{ChangeError, ProposeError, ReadError};
use super::handle::Committed;
use super::membership::{ChangeReply, MembershipView};
use super::note::answer;
use super::reply::Owed;
use super::status::GroupStatus;
use super::waiters::Waiters;
use crate::transport::Transport;

/// A read that waits for its read point.
#[derive(Debug)]
struct PendingRead {
    sm: SmId,
    query: Bytes,
    deadline: Time,
    reply: ReadReply,
}

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
    jobs: Vec<Job>,
    proposals: Waiters<(Time, ProposeReply)>,
    reads: Waiters<PendingRead>,
    changes: Waiters<ChangeReply>,
    owed_outputs: Owed<Result<Committed, ProposeError>>,
    owed_answers: Owed<Result<Bytes, ReadError>>,
    /// What the core was told is applied.
    applied: Instance,
    leader: watch::Sender<Option<NodeId>>,
    failed: Option<Arc<str>>,
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
        leader: watch::Sender<Option<NodeId>>,
    ) -> Self {
        Self {
            id,
            me,
            limits,
            core: None,
            outbox: Outbox::default(),
            applier,
            jobs: Vec::new(),
            proposals: Waiters::new(),
            reads: Waiters::new(),
            changes: Waiters::new(),
            owed_outputs: Owed::new(),
            owed_answers: Owed::new(),
            applied: Instance::ZERO,
            leader,
            failed: None,
            armed: None,
            dirty: false,
        }
    }

    /// The cluster is founded, and this node is in it.
    pub(super) fn run(&mut self, core: Group) {
        self.core = Some(core);
    }

    pub(super) fn step(&mut self, now: Time, input: Input) {
        if let Some(core) = &mut self.core {
            core.step(now, input, &mut self.outbox);
        }
    }

    pub(super) fn propose(
        &mut self,
        now: Time,
        sm: SmId,
        command: Bytes,
        deadline: Time,
        reply: ProposeReply,
    ) {
        if let Some(reason) = &self.failed {
            let reason = Arc::clone(reason);
            return answer(reply, Err(ProposeError::Failed { reason }));
        }
        let max = self.limits.command_bytes_max;
        if command.len() > max {
            return answer(reply, Err(ProposeError::TooLarge { bytes: command.len(), max }));
        }
        let id = ProposalId(self.proposals.insert((deadline, reply)));
        self.step(now, Input::Propose { id, sm, command, deadline });
    }

    pub(super) fn read(
        &mut self,
        now: Time,
        sm: SmId,
        query: Bytes,
        deadline: Time,
        reply: ReadReply,
    ) {
        if let Some(reason) = &self.failed {
            return answer(reply, Err(ReadError::Failed { reason: Arc::clone(reason) }));
        }
        if self.applier.reads() >= self.limits.reads_max {
            return answer(reply, Err(ReadError::Overloaded));
        }
        let id = ReadId(self.reads.insert(PendingRead { sm, query, deadline, reply }));
        self.step(now, Input::Read { id, deadline });
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
        self.step(now, Input::Fetched { id, entries });
    }

    /// After the inputs: reports what was applied, and ticks if the deadline has come, so that
    /// what came together leaves together.
    pub(super) fn settle(&mut self, now: Time) {
        let applied = self.applier.applied();
        if applied > self.applied {
            self.applied = applied;
            self.step(now, Input::Applied(applied));
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
    pub(super) fn send(&mut self, transport: &mut Transport) {
        let (group, from) = (self.id, self.me.incarnation);
        for (to, message) in self.outbox.messages.drain(..) {
            transport.send(to, &Packet::Group { group, from, message });
        }
    }

    /// Hands commands and reads over to the machines, and answers who is refused.
    pub(super) fn execute(&mut self) {
        for outcome in self.outbox.outcomes.drain(..) {
            match outcome {
                Outcome::Refused(ProposalId(id), refusal) => {
                    if let Some((_, reply)) = self.proposals.remove(id) {
                        answer(reply, Err(refused(refusal, self.failed.as_ref())));
                    }
                }
                Outcome::Unknown(ProposalId(id)) => {
                    if let Some((_, reply)) = self.proposals.remove(id) {
                        answer(reply, Err(ProposeError::Unknown));
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
                    if let Some(PendingRead { sm, query, deadline, reply }) = self.reads.remove(id)
                    {
                        let reply = self.owed_answers.push(deadline, reply);
                        self.jobs.push(Job::Read(instance, sm, query, reply));
                    }
                }
                Outcome::ReadFailed(ReadId(id), refusal) => {
                    if let Some(PendingRead { reply, .. }) = self.reads.remove(id) {
                        answer(reply, Err(read_refused(refusal, self.failed.as_ref())));
                    }
                }
            }
        }
        for apply in self.outbox.applies.drain(..) {
            let reply = match &apply {
                Apply::Command { proposal: Some(ProposalId(id)), .. } => self
                    .proposals
                    .remove(*id)
                    .map(|(deadline, reply)| self.owed_outputs.push(deadline, reply)),
                Apply::Command { proposal: None, .. } | Apply::Through(_) => None,
            };
            self.jobs.push(Job::Apply(apply, reply));
        }
        if !self.jobs.is_empty() {
            self.applier.push(&mut self.jobs);
        }
    }

    /// At the end of a turn: gives up what the machines owe for too long, and says when to look at
    /// this group again.
    pub(super) fn deadline(&mut self, now: Time) -> Option<Time> {
        let outputs = self.owed_outputs.settle(now, || Err(ProposeError::Unknown));
        let answers = self.owed_answers.settle(now, || Err(ReadError::TimedOut));
        let core = self.core.as_ref().and_then(Group::deadline);
        core.into_iter().chain(outputs).chain(answers).min()
    }

    /// Traces what happened, and publishes who leads. Says whether the membership changed.
    pub(super) fn report(&mut self) -> bool {
        if self.outbox.events.is_empty() {
            return false;
        }
        let mut turned = false;
        let (node, group) = (self.me.node.0, self.id.0);
        let mut led = false;
        let mut failed = None;
        for event in self.outbox.events.drain(..) {
            match event {
                Event::Canvassing(ballot) => {
                    tracing::debug!(node, group, %ballot, "would like to lead");
                }
                Event::Preparing(ballot) => tracing::debug!(node, group, %ballot, "phase 1"),
                Event::Leading(ballot) => {
                    led = true;
                    tracing::info!(node, group, %ballot, "leads");
                }
                Event::SteppedDown(ballot, reason) => {
                    led = true;
                    tracing::info!(node, group, %ballot, ?reason, "no longer leads");
                }
                Event::Following(ballot) => {
                    led = true;
                    tracing::info!(node, group, %ballot, "follows");
                }
                Event::Chosen(instance) => tracing::trace!(node, group, %instance, "chosen"),
                Event::PeerLearns(member) => {
                    tracing::info!(node, group, %member, "peer is far behind, and learns");
                }
                Event::ValuesLost(first, last) => {
                    tracing::warn!(node, group, %first, %last, "the disk lost chosen values");
                }
                Event::MembershipChosen(instance) => {
                    turned = true;
                    tracing::info!(node, group, %instance, "the membership is about to change");
                }
                Event::MembershipChanged(instance) => {
                    turned = true;
                    tracing::info!(node, group, %instance, "the membership has changed");
                }
                Event::Removed(instance) => {
                    tracing::warn!(node, group, %instance, "this node is no member any more");
                }
                Event::Failed(reason, instance) => failed = Some((reason, instance)),
            }
        }
        if let Some((reason, instance)) = failed {
            self.fail(&format!("group {} at {instance}: {reason}", self.id).into());
        }
        if led {
            self.publish();
        }
        turned
    }

    fn publish(&self) {
        let leader = self.leader();
        self.leader.send_if_modified(|now| std::mem::replace(now, leader) != leader);
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

    /// Whether nobody waits here, and everything handed out is executed.
    pub(super) fn is_quiet(&self) -> bool {
        let executed = self.core.as_ref().is_none_or(|core| {
            self.failed.is_some() || core.status().handed_out <= self.applier.applied()
        });
        executed && self.proposals.len() == 0 && self.reads.len() == 0 && self.changes.len() == 0
    }

    /// Nothing more is proposed, executed or read here; the reason is shown. The core goes on
    /// voting, so a machine that cannot go on does not cost the group a voter.
    pub(super) fn fail(&mut self, reason: &Arc<str>) {
        if self.failed.is_none() {
            tracing::error!(node = self.me.node.0, group = self.id.0, %reason, "group has stopped");
            self.failed = Some(Arc::clone(reason));
        }
        self.release(
            &ProposeError::Failed { reason: Arc::clone(reason) },
            &ReadError::Failed { reason: Arc::clone(reason) },
        );
    }

    /// The node has stopped: nothing of this group goes on.
    pub(super) fn halt(&mut self, reason: &Arc<str>) {
        self.core = None;
        self.outbox = Outbox::default();
        self.failed.get_or_insert_with(|| Arc::clone(reason));
        self.fail(reason);
        self.publish();
    }

    /// Answers everybody who waits.
    pub(super) fn release(&mut self, propose: &ProposeError, read: &ReadError) {
        self.owed_outputs.clear();
        self.owed_answers.clear();
        for (_, reply) in self.proposals.clear() {
            answer(reply, Err(propose.clone()));
        }
        for PendingRead { reply, .. } in self.reads.clear() {
            answer(reply, Err(read.clone()));
        }
        let change = ChangeError::from(propose.clone());
        self.changes.clear().for_each(|reply| answer(reply, Err(change.clone())));
    }

    pub(super) fn status(&self) -> GroupStatus {
        GroupStatus {
            group: self.id,
            member: self.me,
            core: self.core.as_ref().map(Group::status),
            failed: self.failed.clone(),
        }
    }

    pub(super) fn receive(&mut self, now: Time, from: Member, message: Message) {
        self.step(now, Input::Receive { from, message });
    }
}

fn refused(refusal: Refusal, failed: Option<&Arc<str>>) -> ProposeError {
    match refusal {
        Refusal::Overloaded => ProposeError::Overloaded,
        // The limit was checked with its numbers before.
        Refusal::TooLarge => ProposeError::TooLarge { bytes: 0, max: 0 },
        Refusal::NotMember => ProposeError::NotMember,
        Refusal::Failed => ProposeError::Failed { reason: reason(failed) },
    }
}

fn change_refused(refusal: ChangeRefusal, failed: Option<&Arc<str>>) -> ChangeError {
    match refusal {
        ChangeRefusal::VersionConflict(version) => ChangeError::VersionConflict { version },
        ChangeRefusal::HasLeft(node) => ChangeError::HasLeft(node),
        ChangeRefusal::Overloaded => ChangeError::Overloaded,
        ChangeRefusal::Failed => ChangeError::Failed { reason: reason(failed) },
    }
}

fn read_refused(refusal: ReadRefusal, failed: Option<&Arc<str>>) -> ReadError {
    match refusal {
        ReadRefusal::Overloaded => ReadError::Overloaded,
        ReadRefusal::TimedOut => ReadError::TimedOut,
        ReadRefusal::Failed => ReadError::Failed { reason: reason(failed) },
    }
}

fn reason(failed: Option<&Arc<str>>) -> Arc<str> {
    failed.map_or_else(|| "the group has stopped".into(), Arc::clone)
}

/// Ticks in a row at one time; a core that wants more of them at once is ticked again after others
/// had their turn.
const TICKS_MAX: usize = 4;
