//! Checkpoints between real nodes: taken, restarted from, and sent to one that is too far behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::path::Path;

use bytes::Bytes;
use common::{Cluster, commands, group, soon, until};
use synod::{
    Checkpoint, CheckpointError, CheckpointPolicy, Directory, Instance, Node, NodeError, Position,
    Settings, StateMachine, Stream, TransferConfig,
};

/// Adds up the lengths of commands.
#[derive(Default)]
struct Sum(u64);

impl StateMachine for Sum {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.0 += u64::try_from(command.len()).unwrap();
        self.read(Bytes::new())
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Ok(Box::new(Stream(self.0.to_le_bytes().to_vec().into())))
    }
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let bytes = Stream::load(directory)?;
        let bytes = bytes.first_chunk().ok_or_else(|| CheckpointError::Contents("short".into()))?;
        self.0 = u64::from_le_bytes(*bytes);
        Ok(())
    }
}

async fn start(cluster: &mut Cluster, id: u64, policy: CheckpointPolicy) -> Node {
    let builder = cluster.hosting(id, || vec![Box::new(Sum::default())]);
    let transfers = TransferConfig { chunk_bytes: 3, ..TransferConfig::default() };
    builder.checkpoints(policy).transfers(transfers).start().await.unwrap()
}

async fn stop(node: Node) {
    soon(node.shutdown()).await;
}

fn checkpoint_of(dir: &Path) -> Vec<String> {
    let dir = dir.join("checkpoints/0");
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

const NOTHING_KEPT: CheckpointPolicy =
    CheckpointPolicy { instances: 0, bytes: 0, time: None, keep_instances: 0 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_from_the_last_checkpoint() {
    let mut cluster = Cluster::new(1);
    let node = start(&mut cluster, 1, NOTHING_KEPT).await;
    for _ in 0..10 {
        soon(group(&node).propose("four")).await.unwrap();
    }
    let at = soon(group(&node).checkpoint()).await.unwrap();
    assert_eq!(soon(group(&node).checkpoint()).await, Ok(at), "nothing was executed since");
    soon(group(&node).propose("four")).await.unwrap();
    until(&node, "cleaned", |status| {
        status.groups[0].core.is_some_and(|core| (core.checkpoint, core.cleaned) == (at, at))
    })
    .await;
    stop(node).await;
    assert_eq!(checkpoint_of(cluster.dirs[0].path()), [at.0.to_string()]);
    let node = start(&mut cluster, 1, NOTHING_KEPT).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "44");
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleaning_can_be_paused() {
    let mut cluster = Cluster::new(1);
    let node = start(&mut cluster, 1, NOTHING_KEPT).await;
    soon(group(&node).pause_cleaning()).await.unwrap();
    soon(group(&node).propose("four")).await.unwrap();
    let at = soon(group(&node).checkpoint()).await.unwrap();
    let core = soon(group(&node).status()).await.unwrap().core.unwrap();
    assert_eq!((core.checkpoint, core.cleaned), (at, Instance(0)));
    soon(group(&node).continue_cleaning()).await.unwrap();
    until(&node, "cleaned", |status| status.groups[0].core.is_some_and(|it| it.cleaned == at))
        .await;
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_below_a_checkpoint_changes_while_the_group_runs() {
    let policy = CheckpointPolicy { keep_instances: 1_000, ..NOTHING_KEPT };
    let mut cluster = Cluster::new(1);
    let node = start(&mut cluster, 1, policy).await;
    let sum = group(&node);
    for _ in 0..10 {
        soon(sum.propose("four")).await.unwrap();
    }
    let at = soon(sum.checkpoint()).await.unwrap();
    let core = soon(sum.status()).await.unwrap().core.unwrap();
    assert_eq!((core.checkpoint, core.cleaned), (at, Instance(0)));
    assert_eq!(sum.settings().protocol.keep_instances, 1_000);

    // Fewer: the log goes without another command or checkpoint.
    let keep = |instances| {
        let change = |settings: &mut Settings| settings.protocol.keep_instances = instances;
        assert_eq!(sum.tune(change).unwrap().protocol.keep_instances, instances);
    };
    keep(3);
    let cleaned = Instance(at.0 - 3);
    until(&node, "cleaned", |status| status.groups[0].core.is_some_and(|it| it.cleaned == cleaned))
        .await;

    // More: what is gone stays gone, and the rest stays from the next checkpoint on.
    keep(6);
    soon(sum.propose("four")).await.unwrap();
    let next = soon(sum.checkpoint()).await.unwrap();
    assert!(next > at, "{next} {at}");
    let core = soon(sum.status()).await.unwrap().core.unwrap();
    assert_eq!((core.checkpoint, core.cleaned), (next, cleaned));
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_checkpoints_says_so() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    soon(group(&node).propose("a")).await.unwrap();
    let error = soon(group(&node).checkpoint()).await.unwrap_err();
    assert!(matches!(error, NodeError::NoCheckpoint { .. }), "{error}");
    assert!(error.to_string().contains("does not support checkpoints"), "{error}");
    soon(group(&node).propose("b")).await.unwrap();
    assert_eq!(commands(&cluster.executed[0]), ["a", "b"]);
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_too_far_behind_is_sent_a_checkpoint() {
    let policy = CheckpointPolicy { instances: 10, ..NOTHING_KEPT };
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(start(&mut cluster, id, policy).await);
    }
    soon(group(&nodes[0]).propose("four")).await.unwrap();
    soon(group(&nodes[2]).propose("four")).await.unwrap();
    stop(nodes.pop().unwrap()).await;
    for _ in 0..100 {
        soon(group(&nodes[0]).propose("four")).await.unwrap();
    }
    for node in &nodes {
        until(node, "cleaned", |status| {
            status.groups[0].core.is_some_and(|core| core.cleaned > Instance(50))
        })
        .await;
    }
    let node = start(&mut cluster, 3, policy).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "408");
    let core = soon(group(&node).status()).await.unwrap().core.unwrap();
    assert!(core.cleaned > Instance(50), "it learned all of it: {core:?}");
    soon(group(&node).propose("four")).await.unwrap();
    nodes.push(node);
    for node in &nodes {
        assert_eq!(soon(group(node).read("")).await.unwrap(), "412");
    }
    for node in nodes {
        stop(node).await;
    }
}
