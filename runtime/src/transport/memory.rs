//! A network within one process, for tests of your own services: no ports, no names, and a node can
//! be cut off.
//!
//! It is public, and not hidden in our own tests, because whoever tests a service on Synod wants the
//! same; and it is the shortest [`Transport`] that keeps every promise, so read it before you write
//! one. It uses nothing but what is public. It has no queue: a frame is handed in by the thread that
//! sends it, or dropped if the peer has enough to do. Nodes still keep their logs in files.
//!
//! ```no_run
//! # use synod::{GroupId, Node, NodeBuilder, StateMachine};
//! # async fn three(machine: fn() -> Vec<Box<dyn StateMachine>>) -> Result<(), synod::StartError> {
//! use synod::transport::memory::MemoryNetwork;
//!
//! let network = MemoryNetwork::new();
//! for id in 1..=3 {
//!     let mut builder = Node::builder()
//!         .id(id)
//!         .transport(network.at(format!("node {id}")))
//!         .data_dir(format!("/tmp/test/{id}"))
//!         .group(GroupId(0), machine);
//!     for peer in (1..=3).filter(|&peer| peer != id) {
//!         builder = builder.peer(peer, format!("node {peer}"));
//!     }
//!     let node = builder.start().await?;
//!     # drop(node);
//! }
//! network.isolate("node 1", true); // and the others go on
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use synod_core::NodeId;
use tokio::task::JoinHandle;

use super::{Endpoint, Frame, Incoming, LinkStatus, Links, Transport};

/// A network within one process. Clones are the same network.
///
/// An address is any text; one node at a time listens at it.
#[derive(Clone, Debug, Default)]
pub struct MemoryNetwork(Arc<Mutex<BTreeMap<String, Arc<Port>>>>);

/// A node that listens.
#[derive(Debug)]
struct Port {
    endpoint: Endpoint,
    is_closed: AtomicBool,
    is_isolated: AtomicBool,
}

impl Port {
    fn is_open(&self) -> bool {
        !self.is_closed.load(Ordering::Acquire) && !self.is_isolated.load(Ordering::Acquire)
    }
}

impl MemoryNetwork {
    /// A network where nobody listens yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a node listen at this address: for [`NodeBuilder::transport`](crate::NodeBuilder::transport).
    /// The start fails with [`io::ErrorKind::AddrInUse`] while another node does.
    pub fn at(
        &self,
        address: impl Into<String>,
    ) -> impl FnOnce(Endpoint) -> io::Result<Box<dyn Transport>> + Send + 'static {
        let (network, address) = (self.clone(), address.into());
        move |endpoint| Ok(Box::new(Memory::start(network, address, endpoint)?))
    }

    /// Cuts the node at this address off from all others, or ends that. Nothing happens if nobody
    /// listens there; a node that starts there later is not cut off.
    pub fn isolate(&self, address: &str, is_isolated: bool) {
        if let Some(port) = self.lock().get(address) {
            port.is_isolated.store(is_isolated, Ordering::Release);
        }
    }

    fn port(&self, address: &str) -> Option<Arc<Port>> {
        self.lock().get(address).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Port>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way out to one peer.
#[derive(Debug)]
struct Link {
    address: String,
    /// The peer's side of the connection, if there is one.
    connection: Option<(Arc<Port>, Incoming)>,
    dropped: u64,
}

/// The ways out to all peers.
#[derive(Clone, Debug, Default)]
struct Ways(Arc<Mutex<BTreeMap<NodeId, Link>>>);

impl Ways {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeId, Link>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Links for Ways {
    fn status(&self) -> Vec<(NodeId, LinkStatus)> {
        let status = |link: &Link| LinkStatus::new(link.connection.is_some(), 0, link.dropped);
        self.lock().iter().map(|(&peer, link)| (peer, status(link))).collect()
    }
}

/// One node's transport.
#[derive(Debug)]
struct Memory {
    network: MemoryNetwork,
    address: String,
    port: Arc<Port>,
    ways: Ways,
    /// Dials whoever is not connected.
    keeper: JoinHandle<()>,
}

impl Memory {
    fn start(network: MemoryNetwork, address: String, endpoint: Endpoint) -> io::Result<Self> {
        let (is_closed, is_isolated) = (AtomicBool::new(false), AtomicBool::new(false));
        let port = Arc::new(Port { endpoint, is_closed, is_isolated });
        let mut ports = network.lock();
        if ports.contains_key(&address) {
            let text = format!("another node listens at {address:?}: give each node its own");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        ports.insert(address.clone(), Arc::clone(&port));
        drop(ports);
        let ways = Ways::default();
        let keeper = tokio::spawn(keep(network.clone(), Arc::clone(&port), ways.clone()));
        Ok(Self { network, address, port, ways, keeper })
    }
}

impl Transport for Memory {
    fn connect(&mut self, peer: NodeId, address: &str) {
        self.disconnect(peer);
        if self.port.is_closed.load(Ordering::Acquire) {
            return;
        }
        let mut link = Link { address: address.to_owned(), connection: None, dropped: 0 };
        link.dial(peer, &self.network, &self.port);
        self.ways.lock().insert(peer, link);
    }

    fn disconnect(&mut self, peer: NodeId) {
        if let Some(mut link) = self.ways.lock().remove(&peer) {
            link.hang_up(peer, &self.port);
        }
    }

    fn send(&mut self, to: NodeId, frame: &Frame) {
        let mut ways = self.ways.lock();
        let Some(link) = ways.get_mut(&to) else { return };
        let sent = match &mut link.connection {
            Some((port, incoming)) if port.is_open() && self.port.is_open() => {
                !port.endpoint.is_full() && incoming.receive(frame.encode()).is_ok()
            }
            Some(_) | None => false,
        };
        if !sent {
            link.dropped += 1;
        }
    }

    fn flush(&mut self) {}

    fn links(&self) -> Arc<dyn Links> {
        Arc::new(self.ways.clone())
    }

    fn close(&mut self) {
        if self.port.is_closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.keeper.abort();
        self.network.lock().remove(&self.address);
        for (&peer, link) in self.ways.lock().iter_mut() {
            link.hang_up(peer, &self.port);
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.close();
    }
}

impl Link {
    /// Connects, if the peer is there and each takes the other.
    fn dial(&mut self, peer: NodeId, network: &MemoryNetwork, ours: &Port) {
        let Some(port) = network.port(&self.address) else { return };
        if !port.is_open() || !ours.is_open() {
            return;
        }
        let mut dialling = ours.endpoint.dial(peer);
        let (answer, accepted) = port.endpoint.accept(dialling.hello());
        // An error is known to both endpoints by now, and the next attempt may go better.
        if let Ok(Some(confirmation)) = dialling.receive(answer)
            && let Ok(mut incoming) = accepted
            && incoming.receive(confirmation).is_ok()
        {
            self.connection = Some((port, incoming));
            ours.endpoint.link(peer, true);
        }
    }

    fn hang_up(&mut self, peer: NodeId, ours: &Port) {
        if self.connection.take().is_some() {
            ours.endpoint.link(peer, false);
        }
    }
}

/// Looks after the connections, until aborted.
async fn keep(network: MemoryNetwork, ours: Arc<Port>, ways: Ways) {
    loop {
        for (&peer, link) in ways.lock().iter_mut() {
            match &link.connection {
                Some((port, _)) if !port.is_open() || !ours.is_open() => link.hang_up(peer, &ours),
                Some(_) => {}
                None => link.dial(peer, &network, &ours),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Between attempts to reach a peer.
const PAUSE: Duration = Duration::from_millis(10);
