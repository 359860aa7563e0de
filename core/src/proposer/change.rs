//! What a leader does about the membership (I6): one change at a time, in four phases.
//!
//! 1. *Gate.* The members to be are asked how much of the log their disks hold, those that are no
//!    members yet among them, which learn from it that there is something to learn. Once a quorum of
//!    the *new* voters is within a window of the end, the leader stops proposing and lets its window
//!    drain; once a quorum of them holds everything below, it proposes the entry, alone: at an
//!    instance above all that any promise reported, and nothing above it until it is chosen. If they
//!    do not get there in time the leader goes on proposing, and tries again later.
//! 2. *Entry.* The old members choose it, and the new era begins.
//! 3. *Opening.* The leader asks the *new* voters for promises, in its own ballot, from the instance
//!    above the entry: phase 1 like any other. A promise counts only if its voter holds the log
//!    through the entry on its disk.
//! 4. *Barrier.* What they report, or a no-op, is proposed in the new era. When that is chosen the
//!    change is complete.
//!
//! # Why it is safe
//!
//! *Two leaderships in different eras.* Suppose one has a value chosen at `i` in the era that an entry
//! at `k < i` began, in ballot `b`, and another proposes at `i` in a ballot `c > b`. The second
//! proposes at `i` only when it knows the membership of `i`, that is, everything up to `i`'s era is
//! chosen as far as it knows and the same for both. And it proposes there only with promises of a
//! quorum of that membership for `c`, be it from its phase 1 or from its opening. That quorum meets
//! the one that chose, so it saw the value. What skipped phase 1 for the new members would break is
//! this very sentence.
//!
//! *Everything below survives.* Before the entry was proposed a quorum of the new voters held all of
//! the log below it, so from then on the old members and the new ones hold it both. The entry itself
//! is held by the old until a quorum of the new, which is needed for any promise to count, holds it
//! as well. So when anything above `k` is chosen a quorum of the new members holds the log through
//! `k`, and the old ones may be thrown away.
//!
//! *Takeover stops at an entry.* A new leader that takes over reported values does so up to the first
//! membership entry that takes effect. What was reported above it was reported by the wrong quorum;
//! whatever of it can have been chosen is reported again in the opening.
//!
//! *Reads.* After the entry is proposed another leadership, of a lower ballot, may have had it chosen
//! and gone on above it, unknown to us: its quorum of new members promised us nothing. So no read is
//! answered between the proposal and the opening's end, and after that none below the barrier.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::phase1::Phase1;
use crate::env::{Ctx, Env};
use crate::ids::{Ballot, Instance, Member, NodeId};
use crate::membership::{Membership, MembershipEntry};
use crate::message::Message;
use crate::time::Time;
use crate::value::{CommandKey, Value};

/// Where a leadership stands with an entry that was proposed.
#[derive(Debug)]
pub(crate) enum Turning {
    /// Nowhere: whatever is known chosen decides who votes.
    No,
    /// The entry is proposed and not known chosen.
    Entry,
    /// The new voters are asked for promises.
    Opening(Box<Phase1>),
    /// The first instances of the era, up to the barrier, are proposed.
    Barrier,
}

/// The change that a leader is asked to make, until its entry is proposed.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    wanted: Option<Wanted>,
    /// What each node said last: with which memory, and how much of the log it holds.
    held: Vec<(Member, Instance)>,
    /// After a drain in vain, when to try again.
    again: Time,
}

#[derive(Debug)]
struct Wanted {
    entry: MembershipEntry,
    /// Dropped then, unless somebody still asks for it.
    until: Time,
    ask: Time,
    /// Up to where those asked last were to hold the log.
    asked: Instance,
    /// The window is being drained, until then.
    drain: Option<Time>,
}

impl Gate {
    /// Whether the leader stops proposing, so that its window drains.
    pub(crate) fn drains(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| wanted.drain.is_some())
    }

    /// Takes a request, or hears it again; says what it waits for.
    pub(crate) fn take(&mut self, from: NodeId, entry: MembershipEntry, ctx: &mut Ctx<'_>) {
        let key = entry.key;
        if entry.version != ctx.history.version() {
            return; // its asker learns from the log that it is too late
        }
        let until = ctx.now + ctx.config.election_timeout * PATIENCE;
        let on = match &mut self.wanted {
            Some(wanted) if wanted.entry.key != key => {
                mark!(CHANGE_WAITS_FOR_ANOTHER);
                None
            }
            Some(wanted) => {
                wanted.until = until;
                self.behind(ctx)
            }
            None => {
                self.want(entry, until, ctx);
                self.behind(ctx)
            }
        };
        ctx.send(from, Message::Waits { key, on });
    }

    /// A node says how much of the log it holds. A member that has taken a new memory and caught up
    /// is swapped in, without anybody asking.
    ///
    /// Word of a memory may be late: the node has taken another since, which is a member by now, and which
    /// could never come back if that one took its place. So nobody is swapped in who does not hold the
    /// entry that named the present memory: who does has said so after that was chosen, and so after the
    /// present memory was there.
    pub(crate) fn on_held(&mut self, from: Member, held: Instance, idle: bool, ctx: &mut Ctx<'_>) {
        if ctx.history.has_left(from.incarnation) {
            mark!(HELD_BY_WHO_LEFT);
            return; // late word of a memory that is gone
        }
        self.held.retain(|(member, _)| member.node != from.node);
        if self.held.len() < HELD_MAX {
            self.held.push((from, held));
        }
        let until = ctx.now + ctx.config.election_timeout * PATIENCE;
        let newest = ctx.history.newest();
        let swaps = newest.of(from.node).is_some_and(|member| member != from);
        mark!(HELD_BY_A_FORMER_MEMORY if swaps && held < ctx.history.version());
        let is_near = held >= ctx.history.version() && held.0 + slack(ctx) >= ctx.chosen.0;
        if !swaps || !ctx.config.swap_in || !idle || !is_near {
            return;
        }
        let of = |m: Member| Some(if m.node == from.node { from } else { m }.incarnation);
        let Some(membership) = newest.with_memories(of) else { return };
        match &mut self.wanted {
            Some(wanted) if wanted.entry.membership == membership => wanted.until = until,
            Some(_) => {}
            None => {
                mark!(SWAP_IN);
                // Askers count from boot 1, so nobody waits for this key.
                let key = CommandKey { origin: ctx.me.incarnation, boot: 0, seq: ctx.chosen.0 };
                let (cluster, version) = (ctx.cluster, ctx.history.version());
                let entry = MembershipEntry { key, cluster, version, membership };
                self.want(entry, until, ctx);
            }
        }
    }

    /// Goes on with the change; returns the entry once it is to be proposed. `empty` says that the
    /// window is.
    pub(crate) fn run(
        &mut self,
        ballot: Ballot,
        empty: bool,
        held: Instance,
        ctx: &mut Ctx<'_>,
    ) -> Option<Value> {
        let wanted = self.wanted.as_mut()?;
        if wanted.entry.version != ctx.history.version() || ctx.now >= wanted.until {
            mark!(CHANGE_GIVEN_UP if ctx.now >= wanted.until);
            self.wanted = None;
            return None;
        }
        let drained = empty && wanted.drain.is_some();
        if ctx.now >= wanted.ask || (drained && wanted.asked < ctx.chosen) {
            wanted.ask = ctx.now + ctx.config.retry_interval.min(ctx.config.heartbeat_interval);
            wanted.asked = ctx.chosen;
            let mut nodes: Vec<NodeId> =
                wanted.entry.membership.members().map(|member| member.node).collect();
            nodes.retain(|node| *node != ctx.me.node);
            for node in nodes {
                ctx.send(node, Message::Hold { ballot, chosen: ctx.chosen });
            }
            spread(ballot, &wanted.entry, ctx);
        }
        let membership = self.resolved(ctx);
        let open = |slack| membership.as_ref().is_some_and(|m| self.is_open(m, held, slack, ctx));
        let (near, whole) = (open(slack(ctx)), open(0));
        let wanted = self.wanted.as_mut()?;
        match wanted.drain {
            None if near && ctx.now >= self.again => {
                wanted.drain = Some(ctx.now + ctx.config.election_timeout);
                wanted.ask = ctx.now;
            }
            Some(until) if !(drained && whole) && ctx.now >= until => {
                mark!(DRAINED_IN_VAIN);
                wanted.drain = None;
                self.again = ctx.now + ctx.config.election_timeout;
            }
            Some(_) if drained && whole => {
                let Wanted { entry, .. } = self.wanted.take()?;
                let entry = MembershipEntry { membership: membership?, ..entry };
                let at = ctx.chosen.next();
                if entry.takes_effect(at, ctx.cluster, &ctx.history) {
                    mark!(MEMBERSHIP_PROPOSED);
                    return Some(Value::of_membership(&entry));
                }
            }
            None | Some(_) => {}
        }
        None
    }

    /// When to go on next; at once if the window has drained since.
    pub(crate) fn deadline(&self, empty: bool, env: &Env) -> Time {
        let Some(wanted) = &self.wanted else { return Time::MAX };
        match wanted.drain {
            Some(_) if empty && wanted.asked < env.chosen => env.now,
            Some(until) => wanted.ask.min(until).min(wanted.until),
            None => wanted.ask.min(wanted.until),
        }
    }

    fn want(&mut self, entry: MembershipEntry, until: Time, ctx: &Ctx<'_>) {
        let asked = Instance::ZERO;
        self.wanted = Some(Wanted { entry, until, ask: ctx.now, asked, drain: None });
    }

    /// The membership to be with everybody's memory, if all are known.
    fn resolved(&self, env: &Env) -> Option<Membership> {
        let known = |member: Member| {
            if member.incarnation.0 != 0 {
                return Some(member.incarnation);
            }
            let heard = self.held.iter().find(|(heard, _)| heard.node == member.node);
            let heard = heard.map(|(heard, _)| *heard);
            heard.or_else(|| env.history.newest().of(member.node)).map(|m| m.incarnation)
        };
        self.wanted.as_ref()?.entry.membership.with_memories(known)
    }

    /// Whether a quorum of the voters holds all but `slack` of what is chosen.
    fn is_open(&self, membership: &Membership, own: Instance, slack: u64, env: &Env) -> bool {
        let own = [(env.me, own)];
        let enough = |(_, held): &&(Member, Instance)| held.0.saturating_add(slack) >= env.chosen.0;
        membership.is_quorum_of(self.held.iter().chain(&own).filter(enough).map(|(m, _)| *m))
    }

    /// Whom the change waits for: one that nothing is known of, or who holds less than it should.
    fn behind(&self, env: &Env) -> Option<NodeId> {
        let members = &self.wanted.as_ref()?.entry.membership;
        let fit = |m: &Member| {
            let held = self.held.iter().find(|(heard, _)| heard.node == m.node);
            m.node == env.me.node
                || held.is_some_and(|(_, held)| held.0 + slack(env) >= env.chosen.0)
        };
        members.members().find(|member| !fit(member)).map(|member| member.node)
    }
}

/// Tells the members of nodes that are to join them, which are strangers to all but the asker and the
/// leader until then. The one that such a node was told of, and learns from, may be any of them.
fn spread(ballot: Ballot, entry: &MembershipEntry, ctx: &mut Ctx<'_>) {
    let members = ctx.history.newest();
    if entry.membership.members().all(|member| members.of(member.node).is_some()) {
        return;
    }
    let mut nodes: Vec<NodeId> = members.members().map(|member| member.node).collect();
    nodes.retain(|node| *node != ctx.me.node);
    let entry = Value::of_membership(entry);
    for node in nodes {
        ctx.send(node, Message::Change { ballot, entry: entry.clone() });
    }
}

/// Who is no further behind than this catches up while the window drains.
fn slack(env: &Env) -> u64 {
    u64::try_from(env.config.window_instances_max).unwrap_or(u64::MAX)
}

/// Election timeouts for which a change waits that nobody asks for any more.
const PATIENCE: u32 = 4;

/// Nodes whose word is remembered; more than two memberships have.
const HELD_MAX: usize = 256;
