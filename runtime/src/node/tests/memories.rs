//! Three real nodes, one of whose directories is not what it was when it comes back.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use synod_core::{Config, GroupId, SmId};

use super::Count;
use crate::log::Restart;
use crate::{Node, NodeBuilder, NodeState, ProposeError};

const GROUP: GroupId = GroupId(0);

struct Cluster {
    dir: tempfile::TempDir,
    addresses: Vec<SocketAddr>,
    nodes: Vec<Option<Node>>,
    acknowledged: u64,
}

impl Cluster {
    async fn start() -> Self {
        let bound: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses = bound.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self { dir, addresses, nodes: Vec::new(), acknowledged: 0 };
        for (index, socket) in bound.into_iter().enumerate() {
            let node = cluster.builder(index).listener(socket).start().await.unwrap();
            cluster.nodes.push(Some(node));
        }
        cluster.propose(0, 5).await;
        cluster
    }

    fn builder(&self, index: usize) -> NodeBuilder {
        let mut builder = Node::builder()
            .id(id(index))
            .data_dir(self.data(index))
            .timeout(Duration::from_secs(30))
            .config(Config { swap_in: false, ..Config::default() })
            .log(crate::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() })
            .group(GROUP, || vec![Box::new(Count(0))]);
        for (peer, address) in self.addresses.iter().enumerate().filter(|(peer, _)| *peer != index)
        {
            builder = builder.peer(id(peer), address.to_string());
        }
        builder
    }

    fn data(&self, index: usize) -> PathBuf {
        self.dir.path().join(id(index).to_string())
    }

    async fn stop(&mut self, index: usize) {
        self.nodes[index].take().unwrap().shutdown().await;
    }

    async fn run(&mut self, index: usize) {
        let builder = self.builder(index).listen(self.addresses[index].to_string());
        self.nodes[index] = Some(builder.start().await.unwrap());
    }

    /// Proposals, each of which is acknowledged.
    async fn propose(&mut self, index: usize, count: u64) {
        let group = self.nodes[index].as_ref().unwrap().group(GROUP).unwrap();
        for _ in 0..count {
            self.acknowledged += 1;
            let output = group.propose("x").await.unwrap().output;
            assert_eq!(output, self.acknowledged.to_string());
        }
    }

    /// The node learns and does not vote; the two others go on, and nothing is lost.
    async fn expect_learner(mut self, index: usize) {
        self.propose(0, 5).await;
        let node = self.nodes[index].as_ref().unwrap();
        let group = node.group(GROUP).unwrap();
        let read = group.read("").await.unwrap();
        assert_eq!(read, self.acknowledged.to_string(), "through the leader");
        let status = node.status().await.unwrap();
        let NodeState::NotMember(text) = &status.state else { panic!("{status:?}") };
        assert!(text.contains("learns and does not vote; swap it in"), "{text}");
        assert!(!status.groups[0].core.unwrap().votes);
        let refused = group.propose("y").await.unwrap_err();
        assert!(matches!(refused, ProposeError::NotMember), "{refused}");
        // It is no voter: with one of the two others gone, nothing is chosen any more.
        self.stop(1).await;
        let alone = self.nodes[0].as_ref().unwrap().group(GROUP).unwrap();
        let deadline = Duration::from_secs(3);
        let error = alone.propose_with(SmId(0), "z", deadline).await.unwrap_err();
        assert!(matches!(error, ProposeError::Unknown), "{error}");
        for node in self.nodes.into_iter().flatten() {
            node.shutdown().await;
        }
    }
}

fn id(index: usize) -> u64 {
    u64::try_from(index).unwrap() + 1
}

fn copy(from: &PathBuf, to: &PathBuf) {
    drop(fs::remove_dir_all(to));
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_wiped_node_learns() {
    let mut cluster = Cluster::start().await;
    cluster.stop(2).await;
    cluster.propose(0, 5).await;
    fs::remove_dir_all(cluster.data(2)).unwrap();
    cluster.run(2).await;
    cluster.expect_learner(2).await;
}

#[tokio::test]
async fn a_node_restored_from_a_copy_is_told_so_and_learns() {
    let mut cluster = Cluster::start().await;
    let image = cluster.dir.path().join("image");
    cluster.stop(2).await;
    copy(&cluster.data(2), &image);
    for _ in 0..2 {
        cluster.run(2).await;
        cluster.propose(2, 5).await;
        cluster.stop(2).await;
    }
    copy(&image, &cluster.data(2));
    cluster.run(2).await;
    cluster.expect_learner(2).await;
}

#[tokio::test]
async fn a_node_whose_log_lost_votes_learns() {
    let mut cluster = Cluster::start().await;
    for _ in 0..2 {
        cluster.stop(2).await;
        cluster.run(2).await;
        cluster.propose(2, 5).await;
    }
    cluster.stop(2).await;
    // Both headers of a segment in the middle.
    let path = cluster.data(2).join("00000002.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[..8192].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    cluster.run(2).await;
    let aside = fs::read_dir(cluster.data(2)).unwrap().filter_map(Result::ok);
    assert!(aside.filter(|e| e.file_name().to_string_lossy().starts_with("damaged-")).count() >= 3);
    cluster.expect_learner(2).await;
}

#[tokio::test]
async fn under_rejoin_a_restart_makes_a_learner() {
    let mut cluster = Cluster::start().await;
    cluster.stop(2).await;
    let address = cluster.addresses[2].to_string();
    let builder = cluster.builder(2).listen(address).restart(Restart::Rejoin);
    cluster.nodes[2] = Some(builder.start().await.unwrap());
    cluster.expect_learner(2).await;
}

/// What is waited for before the first vote costs no more than a round trip.
#[tokio::test]
async fn a_clean_restart_votes_at_once() {
    let mut cluster = Cluster::start().await;
    cluster.stop(2).await;
    let begun = Instant::now();
    cluster.run(2).await;
    cluster.propose(2, 1).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let status = cluster.nodes[2].as_ref().unwrap().status().await.unwrap();
    assert_eq!(status.state, NodeState::Running);
    assert!(status.groups[0].core.unwrap().votes);
    for index in 0..3 {
        cluster.stop(index).await;
    }
}
