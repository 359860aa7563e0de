//! Three nodes on a network that is not TCP.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use synod::transport::memory::MemoryNetwork;
use synod::{GroupId, Node, NodeBuilder, Position, StartError, StateMachine};
use tokio::time::{sleep, timeout};

/// Long enough for anything that is not stuck, on a busy machine too.
const SOON: Duration = Duration::from_secs(30);

/// How many commands were executed.
#[derive(Default)]
struct Count(u64);

impl StateMachine for Count {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        self.0 += 1;
        self.read(Bytes::new())
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("in time")
}

/// Node `id` of three, at an address of its name.
fn builder(network: &MemoryNetwork, dirs: &[tempfile::TempDir], id: u64) -> NodeBuilder {
    let dir = dirs[usize::try_from(id - 1).unwrap()].path();
    let builder = Node::builder()
        .id(id)
        .transport(network.at(format!("node {id}")))
        .data_dir(dir)
        .log(synod::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() })
        .timeout(SOON)
        .group(GroupId(0), || vec![Box::<Count>::default()]);
    let peers = (1..=3).filter(|&peer| peer != id);
    peers.fold(builder, |builder, peer| builder.peer(peer, format!("node {peer}")))
}

fn three_dirs() -> Vec<tempfile::TempDir> {
    (0..3).map(|_| tempfile::tempdir().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_in_memory_elect_propose_and_read() {
    let (network, dirs) = (MemoryNetwork::new(), three_dirs());
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(builder(&network, &dirs, id).start().await.unwrap());
    }
    let groups: Vec<_> = nodes.iter().map(|node| node.group(GroupId(0)).unwrap()).collect();
    for group in &groups {
        soon(group.propose("in memory")).await.unwrap();
    }
    // Larger than anything that fits a socket's buffer.
    soon(groups[0].propose(vec![7; 8 << 20])).await.unwrap();
    for group in &groups {
        assert_eq!(soon(group.read("")).await.unwrap(), "4");
    }
    // The leader is cut off, and the others go on without it.
    let leader = soon(groups[0].wait_leader()).await.unwrap();
    let at = usize::try_from(leader.0 - 1).unwrap();
    network.isolate(&format!("node {leader}"), true);
    let other = (at + 1) % 3;
    soon(groups[other].propose("without it")).await.unwrap();
    let cut_off = async {
        while nodes[at].status().await.unwrap().peers.iter().any(|(_, link)| link.connected) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(cut_off).await;
    network.isolate(&format!("node {leader}"), false);
    assert_eq!(soon(groups[at].read("")).await.unwrap(), "5");
    // A node that restarts finds its way back.
    let again = nodes.remove(other);
    let id = again.id().0;
    soon(again.shutdown()).await;
    let again = builder(&network, &dirs, id).start().await.unwrap();
    let group = again.group(GroupId(0)).unwrap();
    soon(group.propose("again")).await.unwrap();
    assert_eq!(soon(group.read("")).await.unwrap(), "6");
}

#[tokio::test]
async fn an_address_that_is_taken_fails_the_start() {
    let (network, dirs) = (MemoryNetwork::new(), three_dirs());
    let _one = builder(&network, &dirs, 1).start().await.unwrap();
    let two = builder(&network, &dirs, 2).transport(network.at("node 1")).start().await;
    let Err(error @ StartError::Transport(_)) = two else { panic!("{two:?}") };
    assert_eq!(
        error.to_string(),
        "the transport did not start: another node listens at \"node 1\": give each node its own"
    );
}
