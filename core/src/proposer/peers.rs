//! What a leader knows of each other member: what it answered last, and when to repeat.

use alloc::vec::Vec;
use core::time::Duration;

use crate::env::{Ctx, Env};
use crate::ids::{Instance, Member};
use crate::membership::{Membership, VoterSet};
use crate::outbox::Event;
use crate::time::Time;

/// The other voters and followers.
#[derive(Debug)]
pub(crate) struct Peers(Vec<Peer>);

/// One other member.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) member: Member,
    /// The newest probe it answered.
    pub(crate) answered: u64,
    /// The chosen prefix it reported last; none before its first answer.
    chosen: Option<Instance>,
    /// When it did, or became a peer of this leadership.
    heard: Time,
    /// Too far behind for accepts to reach it: it catches up by learning.
    learning: bool,
    /// When to repeat what it has not acknowledged; [`Time::MAX`] while nothing is open.
    retry: Time,
    backoff: Duration,
}

impl Peers {
    pub(crate) fn of(members: impl IntoIterator<Item = Member>, env: &Env) -> Self {
        let others = members.into_iter().filter(|member| *member != env.me);
        Self(others.map(|member| Peer::new(member, env.now)).collect())
    }

    /// These are the members now: who stays keeps what is known of it.
    pub(crate) fn update(&mut self, members: &[Member], env: &Env) {
        self.0.retain(|peer| members.contains(&peer.member));
        for &member in members {
            if member != env.me && self.find(member).is_none() {
                self.0.push(Peer::new(member, env.now));
            }
        }
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.0.iter_mut()
    }

    pub(crate) fn find(&mut self, member: Member) -> Option<&mut Peer> {
        self.0.iter_mut().find(|peer| peer.member == member)
    }

    /// When the next repetition is due.
    pub(crate) fn deadline(&self) -> Time {
        self.0.iter().fold(Time::MAX, |deadline, peer| deadline.min(peer.retry))
    }

    /// The newest probe that a quorum answered, the leader's own answer to `latest` included.
    pub(crate) fn confirmed(&self, membership: &Membership, me: Member, latest: u64) -> u64 {
        let candidates = self.0.iter().map(|peer| peer.answered).chain([latest]);
        let mut best = 0;
        for probe in candidates {
            let mut votes = VoterSet::default();
            if let Some(slot) = membership.slot(me) {
                votes.insert(slot);
            }
            for peer in self.0.iter().filter(|peer| peer.answered >= probe) {
                if let Some(slot) = membership.slot(peer.member) {
                    votes.insert(slot);
                }
            }
            if probe > best && membership.is_quorum(votes) {
                best = probe;
            }
        }
        best
    }

    /// Up to where the log may be cleaned for the peers' sake: those that were heard a moment ago and
    /// get accepts need nothing below what they reported. One message that was lost there must not cost
    /// a whole checkpoint. Nothing is kept for those that are silent, or too far behind: the log would
    /// grow for as long.
    pub(crate) fn reported(&self, env: &Env) -> Instance {
        let live =
            |peer: &&Peer| !peer.learning && env.now <= peer.heard + env.config.election_timeout;
        let reports = self.0.iter().filter(live).map(|peer| peer.chosen.unwrap_or(Instance::ZERO));
        reports.min().unwrap_or(Instance::MAX)
    }

    /// The peer to hand over to when no one was named: who answered last, and knows most.
    pub(crate) fn freshest(&self, membership: &Membership) -> Option<&Peer> {
        let voters = self.0.iter().filter(|peer| membership.slot(peer.member).is_some());
        voters.filter(|peer| peer.chosen.is_some()).max_by_key(|peer| (peer.answered, peer.chosen))
    }
}

impl Peer {
    const fn new(member: Member, now: Time) -> Self {
        Self {
            member,
            answered: 0,
            chosen: None,
            heard: now,
            learning: false,
            retry: Time::MAX,
            backoff: Duration::ZERO,
        }
    }

    /// Whether accepts are sent to it.
    pub(crate) const fn takes_accepts(&self) -> bool {
        !self.learning
    }

    /// An accept was sent to it: it is repeated if no answer comes.
    pub(crate) fn sent(&mut self, env: &Env) {
        if self.retry == Time::MAX {
            self.acknowledged(env);
        }
    }

    /// It acknowledged something: whatever else is open gets its time again.
    pub(crate) fn acknowledged(&mut self, env: &Env) {
        self.backoff = env.config.retry_interval;
        self.retry = env.now + self.backoff;
    }

    /// Whether it is time to repeat; the next time comes later, up to eight intervals.
    pub(crate) fn repeat(&mut self, env: &Env) -> bool {
        if env.now < self.retry {
            return false;
        }
        self.backoff = (self.backoff * 2).min(env.config.retry_interval * 8);
        self.retry = env.now + self.backoff;
        true
    }

    /// Nothing is open that it has not acknowledged.
    pub(crate) const fn rest(&mut self) {
        self.retry = Time::MAX;
    }

    /// It reported its chosen prefix. Far behind, it would only drop accepts, so it is left to learn
    /// until it is within a window again.
    pub(crate) fn report(&mut self, chosen: Instance, ours: Instance, ctx: &mut Ctx<'_>) {
        (self.chosen, self.heard) = (Some(chosen), ctx.now);
        let behind = ours.above(chosen);
        let window = u64::try_from(ctx.config.window_instances_max).unwrap_or(u64::MAX);
        if self.learning && behind <= window {
            mark!(PEER_BACK);
            self.learning = false;
            self.retry = ctx.now;
        } else if !self.learning
            && behind > ctx.config.accept_ahead_max.saturating_sub(window).max(window)
        {
            mark!(PEER_TOO_FAR_BEHIND);
            self.learning = true;
            ctx.event(Event::PeerLearns(self.member));
        }
    }
}

#[cfg(test)]
mod tests;
