//! Checkpoints between real nodes: taken, restarted from, and sent to one that is too far behind.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod common;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use common::{Cluster, Executed, Memo, SOON, commands, group, soon, until};
use synod::{
    Checkpoint, CheckpointError, CheckpointPolicy, Directory, Instance, Node, NodeError, Position,
    Proposal, Settings, SmId, StateMachine, Stream, TransferConfig,
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

/// A `Sum` beside a machine that remembers its commands, and offers no checkpoint.
async fn start_two(cluster: &mut Cluster, executed: &Executed) -> Node {
    let memo = Second(Memo(Arc::clone(executed)));
    let builder = cluster.hosting(1, || vec![Box::new(Sum::default()), Box::new(memo)]);
    let policy = CheckpointPolicy { instances: 5, ..NOTHING_KEPT };
    builder.checkpoints(policy).start().await.unwrap()
}

/// A machine as the second of its group.
struct Second(Memo);

impl StateMachine for Second {
    fn id(&self) -> SmId {
        SmId(1)
    }
    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        self.0.apply(at, command)
    }
    fn read(&self, query: Bytes) -> Bytes {
        self.0.read(query)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_machine_without_checkpoints_keeps_the_log_of_its_group() {
    let mut cluster = Cluster::new(1);
    let executed = Executed::default();
    let node = start_two(&mut cluster, &executed).await;
    let both = group(&node);
    for _ in 0..20 {
        soon(both.propose("four")).await.unwrap();
        soon(both.propose(Proposal::new("memo").machine(SmId(1)))).await.unwrap();
    }
    // Several were due meanwhile; this one fails after them, for the machine that has none.
    let error = soon(both.checkpoint()).await.unwrap_err();
    assert!(error.to_string().contains("state machine 1 does not support checkpoints"), "{error}");
    let core = soon(both.status()).await.unwrap().core.unwrap();
    assert!(core.handed_out >= Instance(40), "{core:?}");
    assert_eq!((core.checkpoint, core.cleaned), (Instance(0), Instance(0)));
    stop(node).await;

    let replayed = Executed::default();
    let node = start_two(&mut cluster, &replayed).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "80");
    assert_eq!(soon(group(&node).read_with(SmId(1), "", SOON)).await.unwrap(), "20");
    assert_eq!(commands(&replayed), commands(&executed));
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
