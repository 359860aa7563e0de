//! The first packet on a connection: who speaks, and which format from here on.

use synod_core::{ClusterId, GroupId, Incarnation, NodeId};
use thiserror::Error;

/// Who speaks, to whom, in which versions, with which memories. Each side sends one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest packet format spoken; at least 1.
    pub version_min: u32,
    /// The newest packet format spoken; at least `version_min`.
    pub version_max: u32,
    /// The cluster, once the sender belongs to one.
    pub cluster: Option<ClusterId>,
    /// The sender.
    pub node: NodeId,
    /// Whom the sender means to talk to. The side that was called names the caller.
    pub to: NodeId,
    /// The sender's durable count of process starts; at least 1.
    pub boot: u64,
    /// The number of the last batch that the sender's log held durably when it said this.
    pub durable_batch: u64,
    /// Random, one per process: tells two processes of one boot apart.
    pub nonce: u64,
    /// The sender's memories, ascending by group.
    pub groups: Vec<(GroupId, Incarnation)>,
}

/// Why two nodes do not talk. The connection is closed; nothing was exchanged but hellos.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HelloError {
    /// The peer was told another address for the node it wants.
    #[error(
        "node {caller} means to talk to node {wanted}, and this is node {ours}: \
         correct the address of node {wanted} in the peers of node {caller}"
    )]
    NotUs {
        /// Who spoke.
        caller: NodeId,
        /// Whom it wanted.
        wanted: NodeId,
        /// Who we are.
        ours: NodeId,
    },
    /// We were told another node's address.
    #[error(
        "we mean to talk to node {wanted}, and node {found} answered: \
         correct the address of node {wanted} in our peers"
    )]
    NotThem {
        /// Whom we wanted.
        wanted: NodeId,
        /// Who answered.
        found: NodeId,
    },
    /// The peer says that it is us.
    #[error(
        "a peer says that it is node {0}, and so are we: \
         give each node its own id, and stop the one that was started with a copied id or directory"
    )]
    SameNode(NodeId),
    /// The peer belongs to another cluster.
    #[error(
        "node {node} belongs to cluster {theirs}, and we to {ours}: correct the address, \
         or wipe the data directory of the one that is in the wrong cluster"
    )]
    ForeignCluster {
        /// Who spoke.
        node: NodeId,
        /// Its cluster.
        theirs: ClusterId,
        /// Ours.
        ours: ClusterId,
    },
    /// There is no format that both speak.
    #[error(
        "node {node} speaks formats {}..={}, and we {}..={}: upgrade the older of the two first \
         to a release that speaks both", .theirs.0, .theirs.1, .ours.0, .ours.1
    )]
    Version {
        /// Who spoke.
        node: NodeId,
        /// From which to which it speaks.
        theirs: (u32, u32),
        /// From which to which we speak.
        ours: (u32, u32),
    },
}

impl Hello {
    /// Judges a peer's hello by `ours`, the one that we sent or are about to send on the same
    /// connection: the newest format that both speak.
    ///
    /// A peer that belongs to no cluster yet may talk to anyone: it is fresh and asks.
    ///
    /// # Errors
    ///
    /// The first reason not to talk. Each says what an operator has to correct.
    pub fn agree(&self, ours: &Self) -> Result<u32, HelloError> {
        if self.to != ours.node {
            let (caller, wanted) = (self.node, self.to);
            return Err(HelloError::NotUs { caller, wanted, ours: ours.node });
        }
        if self.node == ours.node {
            return Err(HelloError::SameNode(self.node));
        }
        if self.node != ours.to {
            return Err(HelloError::NotThem { wanted: ours.to, found: self.node });
        }
        if let (Some(theirs), Some(ours)) = (self.cluster, ours.cluster)
            && theirs != ours
        {
            return Err(HelloError::ForeignCluster { node: self.node, theirs, ours });
        }
        let version = self.version_max.min(ours.version_max);
        if version < self.version_min.max(ours.version_min) {
            return Err(HelloError::Version {
                node: self.node,
                theirs: (self.version_min, self.version_max),
                ours: (ours.version_min, ours.version_max),
            });
        }
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(node: u64, to: u64) -> Hello {
        Hello {
            version_min: 1,
            version_max: 1,
            cluster: None,
            node: NodeId(node),
            to: NodeId(to),
            boot: 1,
            durable_batch: 0,
            nonce: 7,
            groups: vec![(GroupId(0), Incarnation(node * 10))],
        }
    }

    #[test]
    fn the_newest_common_version_is_agreed() {
        let theirs = Hello { version_min: 1, version_max: 4, ..hello(2, 1) };
        let ours = Hello { version_min: 2, version_max: 3, ..hello(1, 2) };
        assert_eq!(theirs.agree(&ours), Ok(3));
        assert_eq!(ours.agree(&theirs), Ok(3));
    }

    #[test]
    fn versions_that_do_not_meet_are_refused() {
        let theirs = Hello { version_min: 1, version_max: 1, ..hello(2, 1) };
        let ours = Hello { version_min: 2, version_max: 3, ..hello(1, 2) };
        let node = NodeId(2);
        let error = HelloError::Version { node, theirs: (1, 1), ours: (2, 3) };
        assert_eq!(theirs.agree(&ours), Err(error));
    }

    #[test]
    fn address_mixups_are_told_apart() {
        let (one, two, three) = (NodeId(1), NodeId(2), NodeId(3));
        assert_eq!(
            hello(2, 3).agree(&hello(1, 2)),
            Err(HelloError::NotUs { caller: two, wanted: three, ours: one })
        );
        assert_eq!(
            hello(3, 1).agree(&hello(1, 2)),
            Err(HelloError::NotThem { wanted: two, found: three })
        );
        assert_eq!(hello(1, 1).agree(&hello(1, 2)), Err(HelloError::SameNode(one)));
    }

    #[test]
    fn only_two_different_clusters_keep_nodes_apart() {
        let of = |hello, cluster| Hello { cluster, ..hello };
        let (a, b) = (Some(ClusterId(1)), Some(ClusterId(2)));
        for (theirs, ours, fine) in
            [(None, None, true), (a, None, true), (None, b, true), (a, a, true), (a, b, false)]
        {
            let agreed = of(hello(2, 1), theirs).agree(&of(hello(1, 2), ours));
            assert_eq!(agreed.is_ok(), fine, "{theirs:?} and {ours:?}: {agreed:?}");
        }
    }
}
