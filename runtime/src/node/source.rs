//! Where metrics come from.

use std::sync::Arc;

use synod_core::{GroupId, NodeId};

use super::front::Front;
use super::note::Shared;
use super::stats::{GroupStats, NodeStats};
use super::{LinkStatus, Node};
use crate::metrics::Metrics;

/// What a node counts, as long as somebody wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    shared: Arc<Shared>,
    groups: Arc<[Arc<Front>]>,
}

impl Source {
    /// What the groups count, ascending by group.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (GroupId, &GroupStats)> {
        self.groups.iter().map(|front| (front.group, &front.stats))
    }

    /// What the node counts beside its groups.
    pub(crate) fn node(&self) -> &NodeStats {
        &self.shared.stats
    }

    /// The ways out to the peers, ascending by node.
    pub(crate) fn links(&self) -> impl Iterator<Item = (NodeId, LinkStatus)> {
        self.shared.links.get().into_iter().flat_map(|links| links.status())
    }
}

impl Node {
    /// This node's metrics, for Prometheus.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let groups = self.groups.values().map(|group| Arc::clone(&group.front)).collect();
        Metrics::new(Source { shared: Arc::clone(&self.shared), groups })
    }
}
