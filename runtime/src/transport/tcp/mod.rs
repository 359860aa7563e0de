//! The network between nodes: one TCP connection per peer and direction.
//!
//! We dial a peer to send to it, and it dials us to send to us. Each side says a
//! [`Hello`] first, behind a challenge if there is a secret. [`Transport::send`] never waits: what
//! does not fit is dropped and counted, since Paxos tolerates loss and a queue without a bound does
//! not. This is the seam for other networks:
//! `send`, `flush`, and packets delivered into an [`Inlet`].

mod accept;
mod dial;
mod handshake;
mod link;
mod pipe;
mod refusals;
#[cfg(test)]
mod secret_tests;
mod stream;
#[cfg(test)]
mod tests;
#[cfg(test)]
#[cfg(feature = "test-certs")]
mod tls_tests;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synod_core::{ClusterId, Config, GroupId, Incarnation, NodeId};
use synod_proto::{Acquaintances, FRAME_BYTES_MAX, Hello, Judgement, Packet, Secret, VERSION};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

pub use link::LinkStatus;
pub use refusals::Refused;

/// Where packets from peers go.
pub(crate) trait Inlet: Send + Sync + 'static {
    /// Packets of one peer, in the order sent. Takes them all out of `packets`.
    fn deliver(&self, from: NodeId, packets: &mut Vec<Packet>);

    /// A way out to a peer has come or gone.
    fn link(&self, peer: NodeId, connected: bool) {
        let _: (NodeId, bool) = (peer, connected);
    }

    /// Whether so much waits that connections had better not be read any further now.
    fn is_full(&self) -> bool;
}

/// Limits and times of the network.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Bytes of frames that wait for one peer. At the limit messages that carry values are dropped;
    /// others, which are small, are dropped a mebibyte above it.
    pub(crate) queue_bytes_max: usize,
    /// The largest frame sent or read.
    pub(crate) frame_bytes_max: u32,
    /// For resolving, connecting and exchanging hellos, each.
    pub(crate) connect_timeout: Duration,
    /// Between attempts to reach a peer: doubles from the first to the second.
    pub(crate) backoff: (Duration, Duration),
    /// How long sent bytes may stay unacknowledged before the connection is given up.
    pub(crate) unacknowledged_max: Duration,
    /// Seals all frames, if set; then connections without it come to nothing.
    pub(crate) secret: Option<Secret>,
    /// Below everything else, if set.
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::TlsConfig>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_bytes_max: 64 * 1024 * 1024,
            frame_bytes_max: FRAME_BYTES_MAX,
            connect_timeout: Duration::from_secs(2),
            backoff: (Duration::from_millis(10), Duration::from_secs(1)),
            unacknowledged_max: Duration::from_secs(5),
            secret: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl Settings {
    /// Room for the largest message that a group with these settings sends: a page that its last
    /// value overfills, with what frames add.
    pub(crate) fn fitting(config: &Config) -> Self {
        let value = config.command_bytes_max.max(config.batch_bytes_max);
        let largest = config.page_bytes_max.saturating_add(value).saturating_add(FRAME_EXTRA);
        let default = Self::default();
        Self {
            queue_bytes_max: default.queue_bytes_max.max(largest.saturating_mul(2)),
            frame_bytes_max: u32::try_from(largest)
                .unwrap_or(u32::MAX)
                .max(default.frame_bytes_max),
            ..default
        }
    }
}

/// The largest frame that a node with these settings sends or takes.
pub(crate) fn frame_bytes_max(config: &Config) -> u32 {
    Settings::fitting(config).frame_bytes_max
}

/// What a frame adds to the values in it, generously.
const FRAME_EXTRA: usize = 64 * 1024;

/// What this node says of itself in every hello; changes when it joins a cluster and as its log
/// grows.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) node: NodeId,
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) boot: u64,
    pub(crate) durable_batch: Arc<AtomicU64>,
    pub(crate) nonce: u64,
    pub(crate) groups: Vec<(GroupId, Incarnation)>,
}

impl Identity {
    fn hello(&self, to: NodeId) -> Hello {
        Hello {
            version_min: u32::from(VERSION),
            version_max: u32::from(VERSION),
            cluster: self.cluster,
            node: self.node,
            to,
            boot: self.boot,
            durable_batch: self.durable_batch.load(Ordering::Relaxed),
            nonce: self.nonce,
            groups: self.groups.clone(),
        }
    }
}

/// The identity as all connections share it, and what they heard of the peers'.
#[derive(Clone, Debug)]
pub(crate) struct SharedIdentity {
    ours: Arc<Mutex<Identity>>,
    theirs: Arc<Mutex<Acquaintances>>,
}

impl SharedIdentity {
    pub(crate) fn new(identity: Identity) -> Self {
        Self { ours: Arc::new(Mutex::new(identity)), theirs: Arc::default() }
    }

    /// Changes what later hellos say.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Identity)) {
        change(&mut self.lock());
    }

    fn hello(&self, to: NodeId) -> Hello {
        self.lock().hello(to)
    }

    fn node(&self) -> NodeId {
        self.lock().node
    }

    /// What we make of a peer's hello.
    fn judge(&self, hello: &Hello) -> Judgement {
        self.theirs.lock().unwrap_or_else(PoisonError::into_inner).judge(hello)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Identity> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ways out to the peers, ascending by node: those of whom it is now.
#[cfg(feature = "metrics")]
#[derive(Clone, Debug)]
pub(crate) struct Ways(Links);

#[cfg(feature = "metrics")]
impl Ways {
    pub(crate) fn status(&self) -> Vec<(NodeId, LinkStatus)> {
        lock(&self.0).iter().map(|(&peer, link)| (peer, link.status())).collect()
    }
}

/// The links of all peers that are known.
pub(crate) type Links = Arc<Mutex<BTreeMap<NodeId, Arc<link::Link>>>>;

fn lock(links: &Links) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Arc<link::Link>>> {
    links.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The link of a peer, if it is known.
fn link_of(links: &Links, peer: NodeId) -> Option<Arc<link::Link>> {
    lock(links).get(&peer).cloned()
}

/// A peer that is known.
#[derive(Debug)]
struct Peer {
    link: Arc<link::Link>,
    address: String,
    /// Keeps the connection.
    task: AbortHandle,
}

/// Peers known at most: two memberships, and those that were met on the way.
const PEERS_MAX: usize = 512;

/// The connections of one node. Dropping it closes them all.
pub(crate) struct Transport {
    links: BTreeMap<NodeId, Peer>,
    /// The same, for whoever accepts connections.
    known: Links,
    identity: SharedIdentity,
    settings: Settings,
    inlet: Arc<dyn Inlet>,
    /// Links with something queued since the last flush.
    dirty: Vec<Arc<link::Link>>,
    local: SocketAddr,
    refusals: Arc<refusals::Refusals>,
    tasks: JoinSet<()>,
}

impl Transport {
    /// Starts to accept connections and to dial the peers, in tasks of the current runtime.
    pub(crate) fn start(
        listener: TcpListener,
        identity: &SharedIdentity,
        peers: &BTreeMap<NodeId, String>,
        settings: &Settings,
        inlet: &Arc<dyn Inlet>,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        let (known, mut tasks) = (Links::default(), JoinSet::new());
        let refusals = Arc::default();
        let acceptor = accept::Acceptor::new(
            identity.clone(),
            Arc::clone(&known),
            settings.clone(),
            Arc::clone(inlet),
            Arc::clone(&refusals),
        );
        tasks.spawn(acceptor.run(listener));
        let mut transport = Self {
            links: BTreeMap::new(),
            known,
            identity: identity.clone(),
            settings: settings.clone(),
            inlet: Arc::clone(inlet),
            dirty: Vec::new(),
            local,
            refusals,
            tasks,
        };
        for (&peer, address) in peers {
            transport.connect(peer, address);
        }
        Ok(transport)
    }

    /// Keeps a connection to a peer at this address from now on; does nothing if it does already.
    /// There are so many peers at most that any membership has its place.
    pub(crate) fn connect(&mut self, peer: NodeId, address: &str) {
        if peer == self.identity.node()
            || self.links.get(&peer).is_some_and(|known| known.address == address)
            || self.links.len() >= PEERS_MAX
        {
            return;
        }
        self.disconnect(peer);
        let link = Arc::new(link::Link::new(peer, &self.settings));
        let (identity, settings) = (self.identity.clone(), self.settings.clone());
        let (inlet, to) = (Arc::clone(&self.inlet), address.to_owned());
        let task = self.tasks.spawn(dial::run(Arc::clone(&link), to, identity, settings, inlet));
        lock(&self.known).insert(peer, Arc::clone(&link));
        self.links.insert(peer, Peer { link, address: address.to_owned(), task });
    }

    /// Knows this peer no longer: its connection is closed, and none of it accepted.
    pub(crate) fn disconnect(&mut self, peer: NodeId) {
        lock(&self.known).remove(&peer);
        if let Some(Peer { link, task, .. }) = self.links.remove(&peer) {
            task.abort();
            link.disconnect();
        }
    }

    /// The address that peers may connect to; tells the port if any was asked for.
    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Queues a packet for a peer; drops it if the peer is unknown, not connected or too far
    /// behind. Leaves with the next [`flush`](Self::flush).
    pub(crate) fn send(&mut self, to: NodeId, packet: &Packet) {
        if let Some(Peer { link, .. }) = self.links.get(&to)
            && link.queue(packet)
        {
            self.dirty.push(Arc::clone(link));
        }
    }

    /// Writes what was queued, as far as the connections take it without waiting; their own tasks
    /// write the rest.
    pub(crate) fn flush(&mut self) {
        for link in self.dirty.drain(..) {
            link.flush();
        }
    }

    /// The ways out to the peers, to look at from any thread.
    #[cfg(feature = "metrics")]
    pub(crate) fn links(&self) -> Ways {
        Ways(Arc::clone(&self.known))
    }

    /// The peers' connections, ascending by node.
    pub(crate) fn status(&self) -> impl Iterator<Item = (NodeId, LinkStatus)> {
        self.links.iter().map(|(&peer, known)| (peer, known.link.status()))
    }

    /// Connections that were turned away or broken off.
    pub(crate) fn refused(&self) -> Refused {
        self.refusals.get()
    }

    /// Closes every connection, and the listener.
    pub(crate) fn close(&mut self) {
        self.tasks.abort_all();
        for known in self.links.values() {
            known.link.disconnect();
        }
    }
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("local", &self.local)
            .field("links", &self.links)
            .finish_non_exhaustive()
    }
}
