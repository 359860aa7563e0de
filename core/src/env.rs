//! What every part of a group may use while it handles an input.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use crate::config::Config;
use crate::founding::ClusterId;
use crate::ids::{Instance, Member, NodeId};
use crate::journal::Journal;
use crate::membership::{History, Membership};
use crate::message::Message;
use crate::outbox::{Event, Outbox};
use crate::time::Time;
use crate::write::{Durable, Record};

/// Who and when we are, who votes, and the way to the disk.
#[derive(Debug)]
pub(crate) struct Env {
    pub(crate) now: Time,
    pub(crate) me: Member,
    pub(crate) config: Config,
    pub(crate) cluster: ClusterId,
    pub(crate) history: History,
    /// The chosen prefix, as far as `history` has followed it.
    pub(crate) chosen: Instance,
    pub(crate) journal: Journal,
    pub(crate) failed: Option<(&'static str, Instance)>,
    /// Whether the log takes values: see [`Input::Room`](crate::Input::Room).
    pub(crate) has_room: bool,
}

impl Env {
    /// Every membership that may still decide something; see [`History`]. All of them are spoken and
    /// listened to: as long as a change is not complete, the old members may not know of it.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Membership> {
        self.history.since(self.chosen)
    }

    /// The memberships that decide what is not known chosen here: one, but for a log that lost values
    /// below its newest era. A quorum is a quorum of these.
    ///
    /// The old members are not asked once the entry at `k` is known chosen, not even while nothing
    /// above it is. *They may be gone*: somebody else may have seen the change complete, and its
    /// operator may have thrown them away. A candidate, and a leader that wants to stay one, need
    /// only those whose promises and votes they need. *And they are not needed*, for a read either:
    /// what a leadership of theirs can still choose lies at or below `k`, and is what is
    /// known chosen here. Above `k` everybody needs a quorum of the new ones.
    pub(crate) fn deciding(&self) -> impl Iterator<Item = &Membership> {
        self.history.since(self.chosen.next())
    }

    /// Whether these members are a quorum of what is not known chosen here.
    pub(crate) fn is_quorum(&self, members: &[Member]) -> bool {
        self.deciding().all(|membership| membership.is_quorum_of(members.iter().copied()))
    }

    /// Whether somebody votes in an open membership. Until a change is complete the old voters are
    /// candidates still: none of the new ones may know yet that it is chosen.
    pub(crate) fn is_voter(&self, member: Member) -> bool {
        self.open().any(|membership| membership.slot(member).is_some())
    }

    /// Whether this node *and* its memory belong to an open membership, as voter or follower. One that
    /// took a new memory does not, until it is swapped in: it learns, and keeps silent
    /// wherever it could be taken for the acceptor that it was (I4).
    pub(crate) fn is_member(&self) -> bool {
        self.open().any(|membership| membership.members().any(|member| member == self.me))
    }

    /// Whether this node's memory was a member, and is none any more: it never will be again.
    pub(crate) fn is_removed(&self) -> bool {
        !self.is_member() && self.history.has_left(self.me.incarnation)
    }

    /// Every other voter and follower of the open memberships, ascending, each node once.
    pub(crate) fn peers(&self) -> impl Iterator<Item = NodeId> + use<> {
        let me = self.me.node;
        let mut nodes: Vec<NodeId> =
            self.history.members_since(self.chosen).iter().map(|member| member.node).collect();
        nodes.dedup();
        nodes.into_iter().filter(move |node| *node != me)
    }

    /// The peer that comes after a node, in turn; none if there are no peers.
    pub(crate) fn peer_after(&self, node: NodeId) -> Option<NodeId> {
        self.peers().filter(|peer| *peer > node).min().or_else(|| self.peers().min())
    }

    /// Whether no further records may be handed out now (I9).
    pub(crate) const fn writes_full(&self) -> bool {
        self.journal.in_flight() >= self.config.writes_in_flight_max
    }

    /// Whether no record with a value may be handed out now: too many are in flight, or the disk is
    /// full. What is left of a full disk is for promises, which have to go on while there is any
    /// room at all; a value that is not taken is only a message that was lost.
    pub(crate) const fn takes_no_values(&self) -> bool {
        self.writes_full() || !self.has_room
    }
}

/// An [`Env`] together with the outbox of the step.
pub(crate) struct Ctx<'a> {
    pub(crate) env: &'a mut Env,
    pub(crate) out: &'a mut Outbox,
}

impl Ctx<'_> {
    /// Sends as soon as the message's gate allows.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        self.env.journal.send(to, message, self.out);
    }

    /// Sends a vote, or a refusal of one: what an acceptor says *as* an acceptor, promises, accepted
    /// and acknowledgements alike. All of them leave by here, and none that is no member's (I4).
    ///
    /// Nobody would count them: votes are counted by node and memory. Not to say them keeps it so
    /// whatever becomes of the membership while they are under way, and keeps a leader from
    /// stepping down over the promise of an acceptor that is none of its group's.
    pub(crate) fn vote(&mut self, to: NodeId, message: Message) {
        if self.env.is_member() {
            self.send(to, message);
        }
    }

    /// Sends to every other voter and follower of the open memberships.
    pub(crate) fn send_all(&mut self, message: &Message) {
        for node in self.env.peers() {
            self.send(node, message.clone());
        }
    }

    /// Hands a record out to be written.
    pub(crate) fn write(&mut self, record: Record) {
        self.env.journal.write(self.env.now, record, self.out);
    }

    /// Counts a batch as durable.
    pub(crate) fn durable(&mut self, proof: Durable) {
        self.env.journal.durable(self.env.now, proof, self.out);
    }

    /// Tells observers.
    pub(crate) fn event(&mut self, event: Event) {
        self.out.events.push(event);
    }

    /// Stops the group here: something proved that agreement is broken, or that our own log or a
    /// state machine cannot be trusted. Votes end; the process and the other groups go on.
    pub(crate) fn fail(&mut self, reason: &'static str, instance: Instance) {
        if self.env.failed.is_none() {
            self.env.failed = Some((reason, instance));
            self.event(Event::Failed(reason, instance));
        }
    }
}

impl Deref for Ctx<'_> {
    type Target = Env;

    fn deref(&self) -> &Env {
        self.env
    }
}

impl DerefMut for Ctx<'_> {
    fn deref_mut(&mut self) -> &mut Env {
        self.env
    }
}
