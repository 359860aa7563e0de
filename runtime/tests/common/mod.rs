//! Nodes in one process, on loopback and temporary directories.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use synod::{
    Bootstrap, Config, GroupHandle, GroupId, Node, NodeBuilder, NodeStatus, Position, StateMachine,
};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// Long enough for anything that is not stuck, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) type Executed = Arc<Mutex<Vec<(Position, Bytes)>>>;

/// Remembers what it executed; answers with how many commands that is.
#[derive(Default)]
pub(crate) struct Memo(pub(crate) Executed);

impl StateMachine for Memo {
    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        assert!(command != "boom", "told to panic");
        let mut executed = self.0.lock().unwrap();
        executed.push((at, command));
        executed.len().to_string().into()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.lock().unwrap().len().to_string().into()
    }
}

/// Nodes' directories and addresses.
pub(crate) struct Cluster {
    pub(crate) dirs: Vec<TempDir>,
    pub(crate) addresses: Vec<String>,
    listeners: Vec<Option<TcpListener>>,
    pub(crate) executed: Vec<Executed>,
    /// The first so many found the cluster, and are the ones that each is told of.
    pub(crate) founders: usize,
    /// The only one that nodes are told of from now on, if not all founders.
    pub(crate) told: Option<u64>,
}

impl Cluster {
    pub(crate) fn new(nodes: usize) -> Self {
        traced();
        let listeners: Vec<_> =
            (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        Self {
            dirs: (0..nodes).map(|_| tempfile::tempdir().unwrap()).collect(),
            addresses: listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect(),
            listeners: listeners.into_iter().map(Some).collect(),
            executed: vec![Executed::default(); nodes],
            founders: nodes,
            told: None,
        }
    }

    /// A builder for node `id`, with an empty state machine for group 0.
    pub(crate) fn builder(&mut self, id: u64) -> NodeBuilder {
        let index = usize::try_from(id - 1).unwrap();
        let executed = Executed::default();
        self.executed[index] = Arc::clone(&executed);
        self.hosting(id, move || vec![Box::new(Memo(executed))])
    }

    /// A builder for node `id`, with these state machines for group 0.
    pub(crate) fn hosting(
        &mut self,
        id: u64,
        machines: impl FnOnce() -> Vec<Box<dyn StateMachine>> + Send + 'static,
    ) -> NodeBuilder {
        let index = usize::try_from(id - 1).unwrap();
        let mut builder = Node::builder()
            .id(id)
            .data_dir(self.dirs[index].path())
            .config(config())
            .log(small_log())
            .timeout(SOON)
            .group(GroupId(0), machines);
        builder = match self.listeners[index].take() {
            Some(listener) => builder.listener(listener),
            None => builder.listen(self.addresses[index].clone()),
        };
        for (peer, address) in (1..).zip(&self.addresses).take(self.founders) {
            if peer != id && self.told.is_none_or(|told| told == peer) {
                builder = builder.peer(peer, address.clone());
            }
        }
        if self.founders == 1 && id == 1 { builder.bootstrap(Bootstrap::Found) } else { builder }
    }

    pub(crate) async fn start(&mut self, id: u64) -> Node {
        self.builder(id).start().await.unwrap()
    }
}

/// Short timeouts would make elections out of a busy machine's pauses.
pub(crate) fn config() -> Config {
    Config { election_timeout: Duration::from_millis(300), ..Config::default() }
}

pub(crate) fn traced() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
}

pub(crate) fn small_log() -> synod::log::LogConfig {
    synod::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() }
}

pub(crate) fn group(node: &Node) -> GroupHandle {
    node.group(GroupId(0)).unwrap()
}

/// Waits until the status satisfies a condition; fails with the last one after [`SOON`].
pub(crate) async fn until(node: &Node, what: &str, holds: impl Fn(&NodeStatus) -> bool) {
    let begun = Instant::now();
    loop {
        let status = node.status().await.unwrap();
        if holds(&status) {
            return;
        }
        assert!(begun.elapsed() < SOON, "not in time: {what}: {status:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("in time")
}

pub(crate) fn commands(executed: &Executed) -> Vec<Bytes> {
    executed.lock().unwrap().iter().map(|(_, command)| command.clone()).collect()
}
