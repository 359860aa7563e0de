//! One node's part in a mastership: what it believes, and when it asks.

use core::time::Duration;

use super::{Holder, Master, MasterAsk, Mastership, Order};
use crate::clocks::{lengthened, shortened};
use crate::env::{Ctx, Env};
use crate::ids::{Ballot, Instance, Member, SmId};
use crate::origin::Origin;
use crate::outbox::Event;
use crate::time::Time;
use crate::value::CommandKey;

/// The replicated state, this node's view of its time, and its own acquisition under way.
#[derive(Debug)]
pub(crate) struct Steward {
    state: Mastership,
    boot: u64,
    /// When the lease of now ends, by this node's clock and from this node's side.
    until: Time,
    /// Acquisitions that may still be chosen, newest last, each with when it was *about to be* proposed.
    asked: [Option<(CommandKey, Time)>; ASKED_MAX],
    campaigns: bool,
    lease: Duration,
    /// Not before this.
    next: Time,
    jitter: u64,
}

impl Steward {
    pub(crate) const fn new(boot: u64, lease: Duration, seed: u64, now: Time) -> Self {
        Self {
            state: Mastership { holder: None, version: Instance::ZERO, lease: Duration::ZERO },
            boot,
            until: Time::ZERO,
            asked: [None; ASKED_MAX],
            campaigns: !lease.is_zero(),
            lease,
            next: now,
            jitter: seed | 1,
        }
    }

    /// The replicated state.
    pub(crate) const fn state(&self) -> Mastership {
        self.state
    }

    /// Starts from what a checkpoint says. When its holder acquired is not known here, only that it was
    /// before: the lease is counted from now, as by whoever learns the acquisition now.
    pub(crate) fn restore(&mut self, state: Mastership, me: Member, ppm: u32, now: Time) {
        self.state = state;
        self.until = match state.holder {
            // An earlier process of ours believes in nothing any more; and from when this one may, is
            // not known.
            Some(Holder { member, boot }) if member == me && boot <= self.boot => now,
            Some(_) => now + lengthened(state.lease, ppm),
            None => now,
        };
    }

    /// Goes on from a checkpoint of a peer, which is later.
    pub(crate) fn load(&mut self, state: Mastership, ctx: &mut Ctx<'_>) {
        if state == self.state {
            return; // counted already
        }
        let before = self.state.holder;
        self.restore(state, ctx.me, ctx.config.clock_rate_bound_ppm, ctx.now);
        if state.holder != before {
            mark!(MASTER_CHANGED);
            ctx.event(Event::Master(state.holder.map(|holder| holder.member), state.version));
        }
    }

    /// What this node makes of it.
    pub(crate) fn view(&self, me: Member) -> Master {
        let holder = Holder { member: me, boot: self.boot };
        Master { state: self.state, is_mine: self.state.holder == Some(holder), until: self.until }
    }

    /// Executes an order of `by`, which was chosen at `instance` with this key.
    pub(crate) fn execute(
        &mut self,
        instance: Instance,
        by: Member,
        key: CommandKey,
        payload: &[u8],
        ctx: &mut Ctx<'_>,
    ) {
        let asked = self.take_asked(key);
        let sender = Holder { member: by, boot: key.boot };
        let (me, before) = (ctx.me, self.state.holder);
        match Order::decode(payload) {
            Some(Order::Acquire { expected, lease }) if expected == self.state.version => {
                self.state = Mastership { holder: Some(sender), version: instance, lease };
                let ppm = ctx.config.clock_rate_bound_ppm;
                self.until = if sender != (Holder { member: me, boot: self.boot }) {
                    // An earlier process of ours believes in nothing any more.
                    let is_own = by == me && key.boot < self.boot;
                    mark!(MASTER_OF_EARLIER_LIFE if is_own);
                    ctx.now + if is_own { Duration::ZERO } else { lengthened(lease, ppm) }
                } else if let Some(asked) = asked {
                    asked + shortened(lease, ppm)
                } else {
                    mark!(MASTER_FORGOT_ASKING);
                    ctx.now // from when it counts is not known any more: it is no master by this
                };
            }
            Some(Order::Release { expected })
                if expected == self.state.version && before == Some(sender) =>
            {
                mark!(MASTER_RELEASED);
                self.state = Mastership { holder: None, version: instance, ..self.state };
                self.until = ctx.now;
            }
            Some(Order::Acquire { .. } | Order::Release { .. }) => {
                mark!(MASTER_TOO_LATE);
            }
            None => {}
        }
        if self.state.holder != before {
            mark!(MASTER_CHANGED);
            let holder = self.state.holder.map(|holder| holder.member);
            ctx.event(Event::Master(holder, self.state.version));
        }
        if by == me
            && let Some(asked) = asked
        {
            // Answered: the holder renews in good time, whoever lost looks at the lease anew.
            self.next = self.renewal(asked, ctx);
        }
    }

    /// What the user asks of this node's part.
    pub(crate) fn on_ask(&mut self, ask: MasterAsk, origin: &mut Origin, ctx: &mut Ctx<'_>) {
        match ask {
            MasterAsk::Campaign(campaigns) => self.campaigns = campaigns,
            MasterAsk::Lease(lease) => self.lease = lease.min(LEASE_MAX),
            MasterAsk::Release => {
                if self.view(ctx.me).is_master(ctx.now) {
                    // Before anybody can hear of it, this process stops believing.
                    self.until = ctx.now;
                    let order = Order::Release { expected: self.state.version };
                    let deadline = ctx.now + self.state.lease;
                    origin.propose_own(SmId::MASTER, order.encode(), deadline, ctx);
                    self.asked = [None; ASKED_MAX];
                    ctx.event(Event::Master(None, self.state.version));
                }
                self.next = ctx.now + self.lease.max(self.state.lease) * 2;
            }
        }
    }

    /// Acquires or renews if it is time to.
    pub(crate) fn tick(&mut self, leader: Ballot, origin: &mut Origin, ctx: &mut Ctx<'_>) {
        if !self.is_candidate(ctx) || ctx.now < self.due(leader, ctx) {
            return;
        }
        let wait = self.lease / 4 + self.random(self.lease / 8);
        self.next = ctx.now + wait;
        if self.asked[ASKED_MAX - 1].is_some_and(|(last, _)| origin.is_open(last)) {
            // It is handed to every leader until its deadline. One more would stand behind it and build
            // on a version that is over by then; and where few commands fit into a lease, such orders
            // would fill the queues for good, so that whoever wins has won too late.
            mark!(MASTER_WAITS_FOR_ITS_ORDER);
            return;
        }
        mark!(MASTER_RENEWS if self.view(ctx.me).is_master(ctx.now));
        mark!(MASTER_ASKS if !self.view(ctx.me).is_master(ctx.now));
        let (expected, lease) = (self.state.version, self.lease);
        let order = Order::Acquire { expected, lease };
        let key = origin.propose_own(SmId::MASTER, order.encode(), ctx.now + lease, ctx);
        if let Some(key) = key {
            self.asked.rotate_left(1);
            self.asked[ASKED_MAX - 1] = Some((key, ctx.now));
        }
    }

    /// When to tick next.
    pub(crate) fn deadline(&self, leader: Ballot, env: &Env) -> Time {
        if self.is_candidate(env) { self.due(leader, env) } else { Time::MAX }
    }

    /// Only voters, and only while somebody leads: nothing would be chosen otherwise.
    fn is_candidate(&self, env: &Env) -> bool {
        self.campaigns && !self.lease.is_zero() && env.history.newest().slot(env.me).is_some()
    }

    /// When this node asks next, if nothing changes: the master in good time before its lease ends,
    /// others once it has ended, and whoever leads before the rest, since it is the best connected.
    fn due(&self, leader: Ballot, env: &Env) -> Time {
        if leader == Ballot::ZERO {
            return Time::MAX;
        }
        if self.view(env.me).is_mine {
            return self.next;
        }
        let patience = if leader.member() == env.me { Duration::ZERO } else { self.lease / 4 };
        self.next.max(self.until + patience)
    }

    /// When a lease that was asked for then, and is taken now, is renewed: a third of it was a long way
    /// for the order already, perhaps.
    fn renewal(&mut self, asked: Time, env: &Env) -> Time {
        if self.view(env.me).is_master(env.now) {
            asked + self.lease / 3
        } else {
            env.now + self.random(self.lease / 8)
        }
    }

    fn take_asked(&mut self, key: CommandKey) -> Option<Time> {
        let asked = self.asked.iter_mut().find(|asked| asked.is_some_and(|(own, _)| own == key))?;
        asked.take().map(|(_, at)| at)
    }

    /// xorshift: attempts need to differ between nodes, not to be unpredictable.
    fn random(&mut self, below: Duration) -> Duration {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let nanos = u64::try_from(below.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.jitter % nanos)
    }
}

/// Acquisitions of one process that may still be chosen: one is under way, and those before it were
/// given up after a lease, or refused by one leader and taken by another.
const ASKED_MAX: usize = 4;

/// Longer than anybody wants to wait for a dead master.
const LEASE_MAX: Duration = Duration::from_secs(86_400);
