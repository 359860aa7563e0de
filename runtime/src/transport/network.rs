//! A node's transport, and whom it is to reach.

use std::sync::Arc;

use synod_core::NodeId;

use super::{Endpoint, Frame, LinkStatus, Links, Refused, Transport};

/// Peers known at most: two memberships, and those that were met on the way.
pub(super) const PEERS_MAX: usize = 512;

/// A node's transport, and whom it is to reach.
#[derive(Debug)]
pub(crate) struct Network {
    transport: Box<dyn Transport>,
    links: Arc<dyn Links>,
    endpoint: Endpoint,
}

impl Network {
    pub(crate) fn new(endpoint: Endpoint, transport: Box<dyn Transport>) -> Self {
        Self { links: transport.links(), transport, endpoint }
    }

    /// Keeps a connection to a peer at this address from now on; does nothing if it does already.
    /// There are so many peers at most that any membership has its place.
    pub(crate) fn connect(&mut self, peer: NodeId, address: &str) {
        if self.endpoint.meet(peer, address, PEERS_MAX) {
            self.transport.connect(peer, address);
        }
    }

    /// Knows this peer no longer: its connection is closed, and none of it accepted.
    pub(crate) fn disconnect(&mut self, peer: NodeId) {
        self.endpoint.forget(peer);
        self.transport.disconnect(peer);
    }

    /// Queues a frame for a peer, or drops it; it leaves with the next [`flush`](Self::flush).
    pub(crate) fn send(&mut self, to: NodeId, frame: &Frame) {
        self.transport.send(to, frame);
    }

    /// Writes what was queued, as far as the connections take it without waiting.
    pub(crate) fn flush(&mut self) {
        self.transport.flush();
    }

    /// The ways out to the peers, to look at from any thread.
    #[cfg(feature = "metrics")]
    pub(crate) fn links(&self) -> Arc<dyn Links> {
        Arc::clone(&self.links)
    }

    /// The ways out to the peers, ascending by node.
    pub(crate) fn status(&self) -> Vec<(NodeId, LinkStatus)> {
        self.links.status()
    }

    /// Connections that were turned away or broken off.
    pub(crate) fn refused(&self) -> Refused {
        self.endpoint.refused()
    }

    /// Closes every connection.
    pub(crate) fn close(&mut self) {
        self.transport.close();
    }
}
