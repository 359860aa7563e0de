//! Mastership: at most one node at a time may call itself the master of a group, at any instant of
//! true time, as far as clocks keep their bound.
//!
//! A mastership is a lease that is acquired and renewed through the log. Masters are for services that
//! want one node to do something outside the log (to accept connections, to run a job); the protocol
//! itself does without, and proposals are taken by every node.
//!
//! # Why there is at most one
//!
//! An *acquisition* is a command to this state machine; it names the version that the node knew, and
//! changes nothing if the version has changed since. So each is judged alike everywhere, and of two that
//! build on the same version the first wins. Let M acquire at version v with lease L.
//!
//! - M counts its lease from *before it proposed*, and believes in it for `L·(1 − ρ)` by its own clock,
//!   ρ being the bound of [`Config::clock_rate_bound_ppm`](crate::Config): at most L of true time.
//! - Everybody else counts from when it *learned* the acquisition, which is later, and waits for
//!   `L·(1 + ρ)` by its own clock: at least L of true time. Only then does it propose one that builds on v.
//! - One that builds on an earlier version fails. So the next holder's acquisition was proposed after
//!   M's lease had run out in true time, or M had released it.
//!
//! A holder is a node *and* its process start: a process that starts anew is no master until it has
//! acquired again. It need not wait for itself: two processes never share a directory. Time is boot
//! time, so a host that slept does not believe in a lease that ran out meanwhile.

mod order;
mod steward;

use core::time::Duration;

use crate::ids::{Instance, Member};
use crate::time::Time;

pub(crate) use order::Order;
pub(crate) use steward::Steward;

/// Who holds the mastership of a group: part of the replicated state, the same on all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mastership {
    /// The holder, if there is one.
    pub holder: Option<Holder>,
    /// The instance that last changed or renewed it; zero if none ever did.
    pub version: Instance,
    /// For how long, counted as the module says.
    pub lease: Duration,
}

/// One process that holds a mastership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The node, and its memory.
    pub member: Member,
    /// Its process start.
    pub boot: u64,
}

/// What a node makes of the mastership of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Master {
    /// The replicated state, as far as it is executed here.
    pub state: Mastership,
    /// Whether this very process is the holder: it is the master *before* `until`.
    pub is_mine: bool,
    /// When the lease ends by this node's clock. Of the holder: when it stops being master. Of the
    /// others: when they may try.
    pub until: Time,
}

impl Master {
    /// Whether this process is the master now.
    ///
    /// Ask at every use; an answer is good for the instant it was given.
    #[must_use]
    pub fn is_master(&self, now: Time) -> bool {
        self.is_mine && now < self.until
    }

    /// Who is the master, as far as this node knows; `None` if nobody is, or the lease has run out.
    #[must_use]
    pub fn holder(&self, now: Time) -> Option<Member> {
        self.state.holder.filter(|_| now < self.until).map(|holder| holder.member)
    }
}

/// What a node may ask of its own part in the mastership; see [`Input::Master`](crate::Input::Master).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterAsk {
    /// Try to become master whenever there is none, or leave it to others. A master that leaves it goes
    /// on until its lease ends.
    Campaign(bool),
    /// Stop being master at once, and let others try for two leases before this node does again.
    Release,
    /// Ask for this lease from the next acquisition or renewal on.
    Lease(Duration),
}

/// Less than a lease, by a clock that may run slow: what a holder may believe in.
fn shortened(lease: Duration, ppm: u32) -> Duration {
    lease.saturating_sub(margin(lease, ppm))
}

/// More than a lease, by a clock that may run fast: what others wait.
fn lengthened(lease: Duration, ppm: u32) -> Duration {
    lease.saturating_add(margin(lease, ppm))
}

/// A nanosecond more than the clocks may be off.
fn margin(lease: Duration, ppm: u32) -> Duration {
    let nanos = lease.as_nanos() * u128::from(ppm) / 1_000_000 + 1;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
