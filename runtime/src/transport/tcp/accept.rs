//! Connections that peers make to send to us.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use synod_core::NodeId;
use synod_proto::{Decoder, Packet, Seal};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::handshake::{ConnectionError, Exchange, Side};
use super::stream::Stream;
use super::{Endpoint, Known, Settings};
use crate::transport::PeerError;
use crate::transport::network::PEERS_MAX;

/// Accepts connections, and reads packets from those of known peers.
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    /// How many connections may be open at once: two a peer, and some that have not said who they
    /// are. Beyond that they are closed at once.
    places: Arc<Semaphore>,
}

struct Shared {
    endpoint: Endpoint,
    known: Known,
    settings: Settings,
    /// The connection of each peer; a newer one ends the older, which is mostly a dead one.
    readers: Mutex<BTreeMap<NodeId, AbortHandle>>,
}

impl Acceptor {
    pub(super) fn new(endpoint: Endpoint, known: Known, settings: Settings) -> Self {
        let places = Arc::new(Semaphore::new(PEERS_MAX * 2 + STRANGERS_MAX));
        let readers = Mutex::new(BTreeMap::new());
        Self { shared: Arc::new(Shared { endpoint, known, settings, readers }), places }
    }

    /// Until dropped; then every connection closes.
    pub(super) async fn run(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the connection is gone already.
                    tracing::warn!(%error, "cannot accept connections");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
                tracing::warn!(%address, "connection closed: too many are open");
                continue;
            };
            let shared = Arc::clone(&self.shared);
            let (me, known) = tokio::sync::oneshot::channel();
            let handle = connections.spawn(async move {
                let Ok(me) = known.await else { return };
                let mut peer = None;
                let error = shared.serve(stream, me, &mut peer).await;
                shared.report(address, peer, &error);
                drop(place);
            });
            // Sent after the spawn, so that the task can register its own handle.
            drop(me.send(handle));
        }
    }
}

impl Shared {
    async fn serve(
        &self,
        stream: TcpStream,
        me: AbortHandle,
        peer: &mut Option<NodeId>,
    ) -> ConnectionError {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let limit = self.settings.connect_timeout;
        match timeout(limit, self.exchange(stream, &mut buffer, peer)).await {
            Ok(Ok((mut stream, node, seal))) => {
                let old = self.readers().insert(node, me);
                if let Some(old) = old {
                    old.abort();
                }
                if let Some(link) = self.known.link(node)
                    && !link.is_connected()
                {
                    link.bell.notify_one();
                }
                match self.read(&mut stream, &mut buffer, node, seal).await {
                    Ok(never) => match never {},
                    Err(error) => error,
                }
            }
            Ok(Err(error)) => error,
            Err(_) => ConnectionError::TimedOut(limit),
        }
    }

    /// The caller speaks first. It gets our hello even if we refuse it, so that it can tell why.
    async fn exchange(
        &self,
        stream: TcpStream,
        buffer: &mut BytesMut,
        peer: &mut Option<NodeId>,
    ) -> Result<(Stream, NodeId, Option<Seal>), ConnectionError> {
        stream.set_nodelay(true)?;
        let mut stream = Stream::accept(stream, &self.settings).await?;
        let secret = self.settings.secret.as_ref();
        let mut exchange = Exchange::begin(&mut stream, buffer, secret, Side::Accepter).await?;
        let theirs = exchange.read_hello().await?;
        exchange.check_certificate(theirs.node, &self.settings)?;
        *peer = Some(theirs.node);
        let ours = self.endpoint.identity().hello(theirs.node);
        exchange.send_hello(ours.clone()).await?;
        theirs.agree(&ours).map_err(PeerError::Hello)?;
        if self.known.link(theirs.node).is_none() {
            return Err(PeerError::Stranger(theirs.node).into());
        }
        exchange.send_judgement(self.endpoint.identity().judge(&theirs)).await?;
        let (_, seal) = exchange.end();
        Ok((stream, theirs.node, seal))
    }

    async fn read(
        &self,
        stream: &mut Stream,
        buffer: &mut BytesMut,
        node: NodeId,
        seal: Option<Seal>,
    ) -> Result<std::convert::Infallible, ConnectionError> {
        let mut decoder = Decoder::new(self.settings.frame_bytes_max);
        decoder.seal(seal);
        let mut packets = Vec::new();
        loop {
            while let Some(packet) = decoder.next(buffer)? {
                if matches!(packet, Packet::Hello(_)) {
                    return Err(PeerError::SecondHello.into());
                }
                packets.push(packet);
            }
            if !packets.is_empty() {
                self.endpoint.inlet().deliver(node, &mut packets);
            }
            while self.endpoint.inlet().is_full() {
                yield_now().await;
            }
            if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
                buffer.reserve(READ_BYTES);
            }
            // Knows from a read that was not full that nothing more is there.
            if stream.read_buf(buffer).await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }

    fn report(&self, address: SocketAddr, peer: Option<NodeId>, error: &ConnectionError) {
        let node = self.endpoint.node().0;
        let peer = peer.map(|peer| peer.0);
        if error.is_mistake() {
            self.endpoint.refusals().add(&address, error);
            tracing::warn!(node, peer, %address, %error, "connection refused or broken off");
        } else {
            tracing::debug!(node, peer, %address, %error, "connection ended");
        }
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeId, AbortHandle>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections that have not said yet who they are.
const STRANGERS_MAX: usize = 16;

/// Read at once; also what one long-lived value may keep in memory.
const READ_BYTES: usize = 64 * 1024;
