//! What a node is told before it starts.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{Bootstrap, Config, GroupId, Membership, NodeId, SmId, TransferConfig};

use super::Node;
use super::error::StartError;
use super::front::BeforePropose;
use super::policy::CheckpointPolicy;
use super::start::start;
use super::way::{MakeTransport, Way};
use crate::StateMachine;
use crate::log::{LogConfig, Restart};
use crate::observer::Observer;
use crate::transport::{Endpoint, Transport};
use crate::vfs::{StdVfs, Vfs};

type MakeMachines = Box<dyn FnOnce() -> Vec<Box<dyn StateMachine>> + Send>;

/// Tells a [`Node`] who it is, who its peers are, and what it hosts; made by [`Node::builder`].
#[must_use = "nothing happens until `start`"]
pub struct NodeBuilder {
    pub(super) id: Option<NodeId>,
    pub(super) listen: Option<String>,
    pub(super) listener: Option<TcpListener>,
    pub(super) peers: Vec<(NodeId, String)>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) groups: Vec<(GroupId, MakeMachines)>,
    pub(super) config: Config,
    pub(super) log: LogConfig,
    pub(super) bootstrap: Bootstrap,
    pub(super) restart: Restart,
    pub(super) timeout: Duration,
    pub(super) checkpoints: CheckpointPolicy,
    pub(super) transfers: TransferConfig,
    pub(super) transport: Option<MakeTransport>,
    pub(super) secret: Option<Vec<u8>>,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<crate::tls::TlsConfig>,
    pub(super) before_propose: Option<BeforePropose>,
    pub(super) observer: Option<Box<dyn Observer>>,
    #[cfg(all(feature = "admin", unix))]
    pub(super) admin: bool,
}

impl NodeBuilder {
    pub(super) fn new() -> Self {
        Self {
            id: None,
            listen: None,
            listener: None,
            peers: Vec::new(),
            data_dir: None,
            groups: Vec::new(),
            config: Config::default(),
            log: LogConfig::default(),
            bootstrap: Bootstrap::Auto,
            restart: Restart::TrustDisk,
            timeout: Duration::from_secs(5),
            checkpoints: CheckpointPolicy::default(),
            transfers: TransferConfig::default(),
            transport: None,
            secret: None,
            #[cfg(feature = "tls")]
            tls: None,
            before_propose: None,
            observer: None,
            #[cfg(all(feature = "admin", unix))]
            admin: true,
        }
    }

    /// This node's number: from 1, different for each node of the cluster, never used again for
    /// another. Required.
    pub fn id(mut self, id: u64) -> Self {
        self.id = Some(NodeId(id));
        self
    }

    /// Where to listen for peers: `"host:port"`, such as `"0.0.0.0:7001"` or `"[::]:7001"`.
    /// Required, unless the node has a [transport of its own](Self::transport).
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// A socket that listens already, instead of an address: for tests that want any free port, and
    /// for sockets that were opened by somebody else.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listen = listener.local_addr().ok().map(|address| address.to_string());
        self.listener = Some(listener);
        self
    }

    /// Another node, and where it listens: `"host:port"`, or whatever a
    /// [transport of its own](Self::transport) takes for an address. Names are looked up again at every
    /// connection. The cluster is founded by this node and its peers together, once, so give all
    /// nodes the same list; a cluster of one has no peers and says [`Bootstrap::Found`].
    pub fn peer(mut self, id: u64, address: impl Into<String>) -> Self {
        self.peers.push((NodeId(id), address.into()));
        self
    }

    /// Where the log is kept, by this node alone. Required. Never copy, restore or delete it to
    /// repair a node: a node that forgets what it voted for is another voter.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// A group, an independent log with its own leader, and the state machines that it drives, the
    /// first of which is the default for proposals and reads. At least one group is required; the
    /// same groups with the same machines on all nodes. A cluster keeps the groups that it was founded
    /// with: what is proposed to another ends with
    /// [`NotMember`](crate::ProposeError::NotMember), which the trace warns of at the start.
    pub fn group(
        mut self,
        group: GroupId,
        machines: impl FnOnce() -> Vec<Box<dyn StateMachine>> + Send + 'static,
    ) -> Self {
        self.groups.push((group, Box::new(machines)));
        self
    }

    /// Timeouts and limits of the groups. A [`Config::seed`] of 0 is replaced by a random one.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Settings of the log's files.
    pub fn log(mut self, config: LogConfig) -> Self {
        self.log = config;
        self
    }

    /// Whether this node may found a cluster. Default [`Bootstrap::Auto`]: together with its peers.
    pub fn bootstrap(mut self, bootstrap: Bootstrap) -> Self {
        self.bootstrap = bootstrap;
        self
    }

    /// What a start believes of the disk. Default [`Restart::TrustDisk`]: that it holds what it said
    /// it had synced.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Whether there is a socket in the data directory for `synodctl`, open to whoever may write there.
    /// Default true.
    #[cfg(all(feature = "admin", unix))]
    pub fn admin(mut self, is_open: bool) -> Self {
        self.admin = is_open;
        self
    }

    /// How long proposals and reads without a time of their own may take. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// When checkpoints are taken, and what stays of the log. Goes over what
    /// [`config`](Self::config) says of it.
    pub fn checkpoints(mut self, policy: CheckpointPolicy) -> Self {
        self.checkpoints = policy;
        self
    }

    /// How checkpoints are sent to nodes that are too far behind: how fast, and to how many at a time.
    pub fn transfers(mut self, config: TransferConfig) -> Self {
        self.transfers = config;
        self
    }

    /// What all nodes of the cluster know and nobody else: at least 16 random bytes, the same on all
    /// nodes. With it peers prove that they hold it, and every message is authenticated; a node
    /// without it, or with another, is not talked to. It encrypts nothing. Default: none, and
    /// whoever reaches the port is believed.
    pub fn secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// Encrypts all connections between the nodes, and believes of each node only what comes with its
    /// certificate: see [`tls`](crate::tls). For all nodes of a cluster or none. Default: no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: crate::tls::TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Talks to the peers over this, instead of TCP. It is made on the node's thread, in its runtime,
    /// once the log is open; see [`transport`](crate::transport) for what it has to promise, and
    /// [`MemoryNetwork`](crate::transport::memory::MemoryNetwork) for one. Who may be believed is its
    /// own business: [`listen`](Self::listen), [`secret`](Self::secret) and TLS are for TCP, and an
    /// error together with it. All nodes of a cluster need the same.
    pub fn transport(
        mut self,
        make: impl FnOnce(Endpoint) -> io::Result<Box<dyn Transport>> + Send + 'static,
    ) -> Self {
        self.transport = Some(Box::new(make));
        self
    }

    /// Sees every command that is proposed at this node, and may replace or refuse it: to add what a
    /// deterministic state machine cannot know, such as the time or who asked, or to turn away what
    /// makes no sense. A refusal comes back as [`ProposeError::Rejected`](crate::ProposeError).
    ///
    /// Called once for each proposal, before its size is checked and before anything is logged or
    /// sent, in the task that proposes; so it should be quick, and a panic in it is that task's own.
    /// Whatever leads to the command being sent again does not call it again: what it returned is
    /// what is executed, once. It is not called for commands of other nodes, so set the same on all.
    /// It runs beside the state machines: what it knows of their state may be out of date when the
    /// command is executed, and a command that depends on a version says so and is checked in
    /// [`apply`](StateMachine::apply).
    pub fn before_propose(
        mut self,
        hook: impl Fn(GroupId, SmId, Bytes) -> Result<Bytes, String> + Send + Sync + 'static,
    ) -> Self {
        self.before_propose = Some(Arc::new(hook));
        self
    }

    /// Hears what happens in the node, on a thread of its own.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Opens the log, listens, and starts to look for the peers. Returns as soon as the node is
    /// up, which is before the cluster has formed or a leader is known.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running.
    pub async fn start(self) -> Result<Node, StartError> {
        self.start_on(StdVfs).await
    }

    /// As [`start`](Self::start), with the log and the checkpoints on a file system of your own. The
    /// socket for `synodctl`, which looks at files by itself, stays in the machine's: turn it off
    /// with [`admin`](Self::admin) where the data directory is not there.
    ///
    /// # Errors
    ///
    /// See [`StartError`]; nothing is left running.
    pub async fn start_on(self, vfs: impl Vfs) -> Result<Node, StartError> {
        start(self, vfs).await
    }

    /// Checks what can be checked without touching anything.
    pub(super) fn validate(&mut self) -> Result<Valid, StartError> {
        let id = self.id.ok_or(StartError::Missing("the node's id"))?;
        if id == NodeId(0) || self.peers.iter().any(|&(peer, _)| peer == NodeId(0)) {
            return Err(StartError::ZeroId);
        }
        let data_dir = self.data_dir.clone().ok_or(StartError::Missing("the data directory"))?;
        if self.groups.is_empty() {
            return Err(StartError::Missing("a group"));
        }
        let mut peers = BTreeMap::new();
        for (peer, address) in &self.peers {
            if *peer == id || peers.insert(*peer, address.clone()).is_some() {
                return Err(StartError::PeerTwice(*peer));
            }
        }
        let mut groups: Vec<GroupId> = self.groups.iter().map(|&(group, _)| group).collect();
        groups.sort_unstable();
        if let Some(pair) = groups.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StartError::GroupTwice(pair[0]));
        }
        if peers.len() >= Membership::VOTERS_MAX {
            return Err(StartError::TooManyPeers(peers.len()));
        }
        let way = self.way(id)?;
        self.restart.check(peers.len() + 1)?;
        self.config.validate()?;
        self.log
            .validate()
            .map_err(|error| StartError::Log(data_dir.clone(), error.to_string()))?;
        Ok(Valid { id, way, data_dir, peers })
    }
}

/// What every node was told.
#[derive(Debug)]
pub(super) struct Valid {
    pub(super) id: NodeId,
    pub(super) way: Way,
    pub(super) data_dir: PathBuf,
    pub(super) peers: BTreeMap<NodeId, String>,
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("id", &self.id)
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .field("data_dir", &self.data_dir)
            .field("groups", &self.groups.iter().map(|(group, _)| group).collect::<Vec<_>>())
            .field("config", &self.config)
            .field("bootstrap", &self.bootstrap)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Position;

    struct Nothing;

    impl StateMachine for Nothing {
        fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
            Bytes::new()
        }
        fn read(&self, _query: Bytes) -> Bytes {
            Bytes::new()
        }
    }

    fn complete() -> NodeBuilder {
        Node::builder()
            .id(1)
            .listen("127.0.0.1:0")
            .peer(2, "127.0.0.1:1")
            .data_dir("/nowhere")
            .group(GroupId(0), || vec![Box::new(Nothing)])
    }

    #[test]
    fn each_mistake_is_named() {
        let of = |mut builder: NodeBuilder| builder.validate().unwrap_err().to_string();
        assert_eq!(of(Node::builder()), "the node's id is missing: set it on the builder");
        assert_eq!(of(complete().id(0)), "0 is no node id: number nodes from 1");
        assert_eq!(of(complete().peer(1, "a:1")), "node 1 is listed twice");
        assert_eq!(of(complete().peer(2, "a:1")), "node 2 is listed twice");
        assert_eq!(of(complete().group(GroupId(0), Vec::new)), "group 0 is listed twice");
        let config = Config { proposals_max: 0, ..Config::default() };
        assert_eq!(of(complete().config(config)), "proposals_max is zero");
        assert_eq!(
            of(complete().restart(Restart::Rejoin)),
            "Restart::Rejoin needs at least 3 nodes, and the cluster has 2: whoever restarts is \
             swapped in again by a quorum of the others"
        );
        assert!(complete().peer(3, "a:1").restart(Restart::Rejoin).validate().is_ok());
        assert_eq!(
            of(complete().secret("short")),
            "a cluster secret of 5 bytes is too short: use at least 16 random bytes, the same on \
             all nodes"
        );
        let crowd = (3..=65).fold(complete(), |node, peer| node.peer(peer, "a:1"));
        assert_eq!(of(crowd), "64 peers are more than the 63 that can vote beside this node");
        let own = || complete().transport(|_| Err(io::ErrorKind::Unsupported.into()));
        let not_tcp =
            "is for the built-in transport, and the node was given another: leave one out";
        assert_eq!(of(own()), format!("the address to listen at {not_tcp}"));
        let own = || NodeBuilder { listen: None, ..own() };
        assert_eq!(of(own().secret("of 16 bytes or more")), format!("a secret {not_tcp}"));
        assert!(own().validate().is_ok());
        assert!(complete().validate().is_ok());
    }
}
