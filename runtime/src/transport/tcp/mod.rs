//! One TCP connection per peer and direction.
//!
//! We dial a peer to send to it, and it dials us to send to us. Each side says a
//! [`Hello`](synod_proto::Hello) first, behind a challenge if there is a secret. [`Tcp::send`] never
//! waits: what does not fit is dropped and counted, since Paxos tolerates loss and a queue without a
//! bound does not. Frames are encoded straight into what a vectored write takes, and on their way in
//! they are slices of what was read.

mod accept;
#[cfg(test)]
mod conformance_tests;
mod dial;
mod handshake;
mod link;
mod pipe;
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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use synod_core::NodeId;
use synod_proto::Secret;
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

use super::{Endpoint, Frame, FrameLimits, LinkStatus, Links, Transport};

/// FrameLimits and times of the network.
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
            queue_bytes_max: FrameLimits::default().queue_bytes_max,
            frame_bytes_max: FrameLimits::default().frame_bytes_max,
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
    /// With these limits.
    pub(crate) fn within(limits: FrameLimits) -> Self {
        let FrameLimits { queue_bytes_max, frame_bytes_max } = limits;
        Self { queue_bytes_max, frame_bytes_max, ..Self::default() }
    }
}

/// The links of all peers that are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<BTreeMap<NodeId, Arc<link::Link>>>>);

impl Known {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, Arc<link::Link>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link of a peer, if it is known.
    fn link(&self, peer: NodeId) -> Option<Arc<link::Link>> {
        self.lock().get(&peer).cloned()
    }
}

impl Links for Known {
    fn status(&self) -> Vec<(NodeId, LinkStatus)> {
        self.lock().iter().map(|(&peer, link)| (peer, link.status())).collect()
    }
}

/// A peer that is known.
#[derive(Debug)]
struct Peer {
    link: Arc<link::Link>,
    /// Keeps the connection.
    task: AbortHandle,
}

/// The connections of one node. Dropping it closes them all.
#[derive(Debug)]
pub(crate) struct Tcp {
    links: BTreeMap<NodeId, Peer>,
    /// The same, for whoever accepts connections.
    known: Known,
    endpoint: Endpoint,
    settings: Settings,
    /// Links with something queued since the last flush.
    dirty: Vec<Arc<link::Link>>,
    local: SocketAddr,
    is_closed: bool,
    tasks: JoinSet<()>,
}

impl Tcp {
    /// Starts to accept connections, in tasks of the current runtime.
    pub(crate) fn start(
        listener: TcpListener,
        endpoint: Endpoint,
        settings: &Settings,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        let (known, mut tasks) = (Known::default(), JoinSet::new());
        let acceptor = accept::Acceptor::new(endpoint.clone(), known.clone(), settings.clone());
        tasks.spawn(acceptor.run(listener));
        Ok(Self {
            links: BTreeMap::new(),
            known,
            endpoint,
            settings: settings.clone(),
            dirty: Vec::new(),
            local,
            is_closed: false,
            tasks,
        })
    }

    /// The address that peers may connect to; tells the port if any was asked for.
    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }
}

impl Transport for Tcp {
    fn connect(&mut self, peer: NodeId, address: &str) {
        self.disconnect(peer);
        if self.is_closed {
            return;
        }
        let link = Arc::new(link::Link::new(peer, &self.settings));
        let (endpoint, settings) = (self.endpoint.clone(), self.settings.clone());
        let task =
            self.tasks.spawn(dial::run(Arc::clone(&link), address.to_owned(), endpoint, settings));
        self.known.lock().insert(peer, Arc::clone(&link));
        self.links.insert(peer, Peer { link, task });
    }

    fn disconnect(&mut self, peer: NodeId) {
        self.known.lock().remove(&peer);
        if let Some(Peer { link, task }) = self.links.remove(&peer) {
            task.abort();
            link.disconnect();
        }
    }

    fn send(&mut self, to: NodeId, frame: &Frame) {
        if let Some(Peer { link, .. }) = self.links.get(&to)
            && link.queue(frame)
        {
            self.dirty.push(Arc::clone(link));
        }
    }

    fn flush(&mut self) {
        for link in self.dirty.drain(..) {
            link.flush();
        }
    }

    fn links(&self) -> Arc<dyn Links> {
        Arc::new(self.known.clone())
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.tasks.abort_all();
        for known in self.links.values() {
            known.link.disconnect();
        }
    }
}
