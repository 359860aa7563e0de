//! What this node says of itself, and what it makes of what others say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_core::{ClusterId, GroupId, Incarnation, NodeId};
use synod_proto::{Acquaintances, Hello, Judgement, VERSION};

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

    pub(super) fn hello(&self, to: NodeId) -> Hello {
        self.lock().hello(to)
    }

    pub(super) fn node(&self) -> NodeId {
        self.lock().node
    }

    /// What we make of a peer's hello.
    pub(super) fn judge(&self, hello: &Hello) -> Judgement {
        self.theirs.lock().unwrap_or_else(PoisonError::into_inner).judge(hello)
    }

    fn lock(&self) -> MutexGuard<'_, Identity> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
