//! Mastership of a group, as users hold it.

use std::sync::Arc;
use std::time::Duration;

use synod_core::{Instance, Master, MasterAsk, NodeId, Time};
use tokio::sync::watch;

use super::front::Front;
use super::handle::GroupHandle;
use super::note::{Note, Shared};

/// The mastership of one group, seen from one node: at most one node is master at any instant.
///
/// Masters are for what happens outside the log: one node that accepts connections, runs a job, or
/// answers from memory. Proposals are taken on every node, master or not. A node becomes master by
/// itself if [`Config::master_lease`](crate::Config::master_lease) is not zero, or after
/// [`set_lease`](Self::set_lease) and [`campaign`](Self::campaign).
///
/// ```no_run
/// # async fn example(group: synod::GroupHandle) {
/// let mut master = group.master();
/// while let Some(now) = master.next().await {
///     println!("master is {:?}, version {}", now.holder, now.version);
/// }
/// # }
/// ```
///
/// *At most one* rests on clocks that run at nearly the same rate
/// ([`Config::clock_rate_bound_ppm`](crate::Config::clock_rate_bound_ppm)) and count the time that a host
/// sleeps. A virtual machine whose clock stands still while it is moved keeps no such bound. Whoever
/// must not act twice even then puts [`MasterState::version`] into each command, and lets the state
/// machine refuse commands of an older one.
#[derive(Clone, Debug)]
pub struct MasterHandle {
    shared: Arc<Shared>,
    slot: usize,
    view: watch::Receiver<Master>,
}

/// Who is master of a group, as far as one node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MasterState {
    /// The node that is master; `None` if nobody is, or its lease has run out.
    pub holder: Option<NodeId>,
    /// Whether that is this node, in this process.
    pub is_mine: bool,
    /// Grows with every acquisition and renewal, the same on all nodes: it tells a master's commands
    /// from those of the next one.
    pub version: Instance,
    /// How long the lease still lasts by this node's clock.
    pub left: Duration,
}

impl MasterHandle {
    /// Whether this node is master, now. Ask before each act: an answer holds for the moment only, and
    /// [`MasterState::left`] says how long the act may take.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.view.borrow().is_master(self.shared.clock.now())
    }

    /// Who is master now.
    #[must_use]
    pub fn now(&self) -> MasterState {
        state(&self.view.borrow(), self.shared.clock.now())
    }

    /// Waits until the mastership is acquired, renewed or released, and says who is master then; the
    /// first call gives the state of now. A lease that merely runs out is no event. `None` once the node
    /// has ended.
    pub async fn next(&mut self) -> Option<MasterState> {
        self.view.changed().await.ok()?;
        let view = *self.view.borrow_and_update();
        Some(state(&view, self.shared.clock.now()))
    }

    /// Whether this node tries to become master whenever there is none. One that is master goes on until
    /// its lease ends.
    pub fn campaign(&self, campaigns: bool) {
        self.ask(MasterAsk::Campaign(campaigns));
    }

    /// Stops being master at once, and leaves it to others for two leases.
    pub fn release(&self) {
        self.ask(MasterAsk::Release);
    }

    /// Asks for a lease of this length from the next acquisition or renewal on; zero asks for none. With
    /// less than a second or so a moment's stall of the network costs the mastership.
    pub fn set_lease(&self, lease: Duration) {
        self.ask(MasterAsk::Lease(lease));
    }

    fn ask(&self, ask: MasterAsk) {
        self.shared.inbox.push(Note::Master { slot: self.slot, ask });
    }
}

impl GroupHandle {
    /// The mastership of this group.
    #[must_use]
    pub fn master(&self) -> MasterHandle {
        let mut view = self.front.master.subscribe();
        view.mark_changed();
        MasterHandle { shared: Arc::clone(&self.shared), slot: self.slot, view }
    }
}

impl Front {
    /// Shows what the group makes of its mastership, if that is news.
    pub(super) fn show_master(&self, master: Master) {
        self.master.send_if_modified(|shown| {
            let changed = *shown != master;
            *shown = master;
            changed
        });
    }
}

fn state(view: &Master, now: Time) -> MasterState {
    MasterState {
        holder: view.holder(now).map(|holder| holder.node),
        is_mine: view.is_master(now),
        version: view.state.version,
        left: view.until.since(now),
    }
}
