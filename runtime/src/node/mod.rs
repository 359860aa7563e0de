//! A node: the protocol's threads, and what users hold of them.
//!
//! | thread | does | where |
//! | --- | --- | --- |
//! | protocol, one a node | sockets, all groups' `step`, timers | `driver` |
//! | log, one a node | writes and syncs what all groups have waiting | `log_thread` |
//! | fetch, one a node | reads older entries for peers that are behind | `fetcher` |
//! | machines, one a group | executes chosen commands, answers reads | `applier` |

mod applier;
mod builder;
mod clock;
mod driver;
mod entry;
mod error;
mod fetcher;
mod handle;
mod hosted;
mod inbox;
mod log_thread;
mod membership;
mod note;
mod reply;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod waiters;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use synod_core::{GroupId, NodeId};

pub use self::builder::NodeBuilder;
pub use self::error::{ChangeError, NodeError, ProposeError, ReadError, StartError};
pub use self::handle::{Committed, GroupHandle};
pub use self::membership::{Draft, MembershipHandle, MembershipView};
pub use self::status::{GroupStatus, LinkStatus, NodeState, NodeStatus};

use self::note::{Note, Shared};

/// A running node. Dropping it stops it at once; [`shutdown`](Self::shutdown) does it politely.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    groups: BTreeMap<GroupId, GroupHandle>,
    local: SocketAddr,
    thread: Option<JoinHandle<()>>,
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

    /// Where the node listens; tells the port if any was asked for.
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
