//! A node, as its transport sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_core::NodeId;
use synod_proto::Packet;

use super::frame::LENGTH_BYTES;
use super::refusals::Refusals;
use super::{FrameLimits, Refused, SharedIdentity};

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

/// A node, as its transport sees it: begins connections, and takes what comes on them.
///
/// Cheap to clone, and for any thread; [`dial`](Self::dial) and [`accept`](Self::accept) stand with
/// the order in which a connection begins in [`transport`](super).
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    identity: SharedIdentity,
    inlet: Arc<dyn Inlet>,
    limits: FrameLimits,
    refusals: Refusals,
    /// The peers, and where they are: those of whom it is now.
    known: Mutex<BTreeMap<NodeId, String>>,
}

impl Endpoint {
    pub(crate) fn new(
        identity: SharedIdentity,
        inlet: Arc<dyn Inlet>,
        limits: FrameLimits,
    ) -> Self {
        let (refusals, known) = (Refusals::default(), Mutex::default());
        Self(Arc::new(Inner { identity, inlet, limits, refusals, known }))
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.identity().node()
    }

    /// Bytes of the largest frame that is sent or taken, its length field included.
    #[must_use]
    pub fn frame_bytes_max(&self) -> usize {
        let length = usize::try_from(self.0.limits.frame_bytes_max).unwrap_or(usize::MAX);
        length.saturating_add(LENGTH_BYTES)
    }

    /// Bytes of frames that may wait for one peer: at the limit frames that carry values are dropped,
    /// and all others a mebibyte above it.
    #[must_use]
    pub fn queue_bytes_max(&self) -> usize {
        self.0.limits.queue_bytes_max
    }

    /// Whether so much waits here that nothing more may be handed in now. Whoever reads stops to
    /// read and looks again: after [`yield_now`](tokio::task::yield_now) in the node's own runtime,
    /// after a millisecond on another thread. Or drops what came.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.0.inlet.is_full()
    }

    /// Tells whoever observes the node that a way out to a peer has come or gone.
    pub fn link(&self, peer: NodeId, connected: bool) {
        self.0.inlet.link(peer, connected);
    }

    /// Whether the node knows this peer, and so would take frames from it.
    #[must_use]
    pub fn knows(&self, peer: NodeId) -> bool {
        self.known().contains_key(&peer)
    }

    /// Connections that were turned away or broken off.
    pub(crate) fn refused(&self) -> Refused {
        self.0.refusals.get()
    }

    /// Knows a peer at this address from now on; returns whether that is news, and there is room.
    pub(super) fn meet(&self, peer: NodeId, address: &str, peers_max: usize) -> bool {
        let mut known = self.known();
        let (count, old) = (known.len(), known.get(&peer));
        let is_news = old.map_or(count < peers_max, |old| old != address);
        if is_news && peer != self.node() {
            known.insert(peer, address.to_owned());
            return true;
        }
        false
    }

    /// Knows a peer no longer.
    pub(super) fn forget(&self, peer: NodeId) {
        self.known().remove(&peer);
    }

    pub(super) fn identity(&self) -> &SharedIdentity {
        &self.0.identity
    }

    pub(super) fn inlet(&self) -> &dyn Inlet {
        &*self.0.inlet
    }

    pub(super) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<NodeId, String>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("node", &self.node())
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}
