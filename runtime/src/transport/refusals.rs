//! Connections that were turned away or broken off, for whoever looks after the node.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// Connections to this node that were refused or broken off, because of what came on them: somebody
/// with another secret or none, a node of another cluster, a stranger, a frame that was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// How many since the start.
    pub count: u64,
    /// Why the last of them was, and where it came from.
    pub last: Option<Arc<str>>,
}

/// The same as all connections share it.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Refused>);

impl Refusals {
    pub(super) fn add(&self, from: &dyn Display, error: &dyn Display) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.count += 1;
        refused.last = Some(format!("{from}: {error}").into());
    }

    pub(super) fn get(&self) -> Refused {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
