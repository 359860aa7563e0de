//! A node: the protocol's threads, and what users hold of them.
//!
//! | thread | does | where |
//! | --- | --- | --- |
//! | protocol, one a node | sockets, all groups' `step`, timers | `driver` |
//! | log, one a node | writes and syncs what all groups have waiting | `log_thread` |
//! | fetch, one a node | reads older entries for peers that are behind | `fetcher` |
//! | machines, a pool | execute chosen commands, answer reads, each group on one at a time | `applier`, `pool` |
//! | checkpoints, one a group | keeps them, sends and receives them | `keeping` |
//! | checkpoint, for each one | writes it down | `keeping` |

mod admission;
mod applier;
mod builder;
mod chosen;
mod clock;
mod driver;
mod entry;
mod error;
mod fetcher;
mod front;
mod handle;
mod hosted;
mod inbox;
mod keeping;
mod log_thread;
mod master;
mod membership;
mod note;
mod observing;
mod policy;
mod pool;
mod propose;
mod refusal;
mod reply;
mod rest;
mod settings;
#[cfg(feature = "metrics")]
mod source;
mod start;
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "read by the metrics only"))]
mod stats;
mod status;
#[cfg(test)]
mod tests;
mod ticket;
mod waiters;
mod watch;
mod way;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use synod_core::{GroupId, NodeId};

pub use self::admission::Overload;
pub use self::builder::NodeBuilder;
pub use self::chosen::{ChosenCommand, GetError};
pub use self::error::{ChangeError, NodeError, ProposeError, ReadError, StartError};
pub use self::handle::{Committed, GroupHandle};
pub use self::master::{MasterHandle, MasterState};
pub use self::membership::{Draft, MembershipHandle, MembershipView};
pub use self::policy::CheckpointPolicy;
pub use self::settings::{Settings, TuneError};
pub use self::status::{GroupState, GroupStatus, LinkStatus, NodeState, NodeStatus, Refused};
pub use self::watch::GroupWatch;

#[cfg(feature = "metrics")]
pub(crate) use self::{
    source::Source,
    stats::{Counter, Durations, Gauge, GroupStats, NodeStats},
};

use self::note::{Note, Shared};
#[cfg(all(feature = "admin", unix))]
use crate::admin::{Admin, Desk};

/// A running node. Dropping it stops it at once; [`shutdown`](Self::shutdown) does it politely.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    groups: BTreeMap<GroupId, GroupHandle>,
    local: SocketAddr,
    thread: Option<JoinHandle<()>>,
    #[cfg(all(feature = "admin", unix))]
    admin: Option<Admin>,
}

/// Opens the operator's socket, if it can be.
#[cfg(all(feature = "admin", unix))]
fn admin(
    dir: &std::path::Path,
    shared: &Arc<Shared>,
    groups: &BTreeMap<GroupId, GroupHandle>,
) -> Option<Admin> {
    let desk = Desk { node: NodeView(Arc::clone(shared)), groups: groups.clone() };
    let started = Admin::start(dir, desk);
    let node = shared.node.0;
    started
        .inspect_err(|error| tracing::warn!(node, %error, "runs without a socket for synodctl"))
        .ok()
}

/// What a node shows of itself, for whoever may outlive it.
#[cfg(all(feature = "admin", unix))]
#[derive(Clone, Debug)]
pub(crate) struct NodeView(Arc<Shared>);

#[cfg(all(feature = "admin", unix))]
impl NodeView {
    pub(crate) fn id(&self) -> NodeId {
        self.0.node
    }

    pub(crate) async fn status(&self) -> Result<NodeStatus, NodeError> {
        handle::node_status(&self.0).await
    }
}

impl Node {
    /// Begins to describe a node.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::new()
    }

    /// This node's number.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.shared.node
    }

    /// Where the node listens; tells the port if any was asked for. `0.0.0.0:0` if it has a
    /// [transport of its own](NodeBuilder::transport).
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// A group of this node; `None` if it was given no such group.
    #[must_use]
    pub fn group(&self, group: GroupId) -> Option<GroupHandle> {
        self.groups.get(&group).cloned()
    }

    /// What the node does.
    ///
    /// # Errors
    ///
    /// If the node has ended.
    pub async fn status(&self) -> Result<NodeStatus, NodeError> {
        handle::node_status(&self.shared).await
    }

    /// Hands leadership over, waits for what is under way, and stops, within 5 seconds.
    pub async fn shutdown(self) {
        self.shutdown_within(Duration::from_secs(5)).await;
    }

    /// As [`shutdown`](Self::shutdown), within this time. Half of it is for handing over and for
    /// what is under way; then everybody who still waits gets
    /// [`ShuttingDown`](ProposeError::ShuttingDown).
    pub async fn shutdown_within(mut self, timeout: Duration) {
        #[cfg(all(feature = "admin", unix))]
        drop(self.admin.take());
        let deadline = self.shared.clock.now() + timeout;
        self.shared.inbox.push(Note::Shutdown { deadline });
        let Some(thread) = self.thread.take() else { return };
        let (done, ended) = tokio::sync::oneshot::channel::<()>();
        // Threads of their own, so that it works in any runtime, and with a disk that hangs.
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.into()).spawn(work)
        };
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let joining = spawn(
            "synod-join",
            Box::new(move || {
                drop((thread.join(), tell));
            }),
        );
        let timing = spawn(
            "synod-shutdown",
            Box::new(move || {
                drop((told.recv_timeout(timeout), done));
            }),
        );
        if joining.is_ok() && timing.is_ok() {
            drop(ended.await);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.inbox.push(Note::Stop);
    }
}
