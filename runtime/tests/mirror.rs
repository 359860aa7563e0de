//! Mirrored machines in real nodes: written while they go on, restarted from, and sent to others.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

#[expect(dead_code, reason = "what other tests use")]
mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, SOON, group, soon, until};
use synod::mirror::{MirrorConfig, MirrorHandle, MirrorState, Mirrored, Save};
use synod::{
    CheckpointError, CheckpointPolicy, Directory, Instance, Node, NodeError, Position,
    ProposeError, StateMachine, Stream,
};
use tokio::time::Instant;

/// Adds up the lengths of commands.
struct Sum {
    sum: u64,
    its: Arc<Its>,
}

/// What a test sees of both machines of a node.
#[derive(Default)]
struct Its {
    /// Commands that were executed, on both together.
    executed: AtomicU64,
    /// Somebody writes, and waits for the gate.
    saving: AtomicBool,
    /// Whether writing is held up.
    closed: Mutex<bool>,
    opened: Condvar,
}

impl Its {
    fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }
    fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }
}

impl StateMachine for Sum {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.its.executed.fetch_add(1, Ordering::Relaxed);
        self.sum += u64::try_from(command.len()).unwrap();
        self.read(Bytes::new())
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.sum.to_string().into()
    }
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let bytes = Stream::load(directory)?;
        let bytes = bytes.first_chunk().ok_or_else(|| CheckpointError::Contents("short".into()))?;
        self.sum = u64::from_le_bytes(*bytes);
        Ok(())
    }
}

impl Save for Sum {
    fn save(&self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        self.its.saving.store(true, Ordering::Release);
        let closed = self.its.closed.lock().unwrap();
        let waited = self.its.opened.wait_timeout_while(closed, SOON, |closed| *closed).unwrap();
        assert!(!waited.1.timed_out(), "not opened");
        let mut file = directory.create("state")?;
        Ok(file.write_all(&self.sum.to_le_bytes())?)
    }
}

const NOTHING_KEPT: CheckpointPolicy =
    CheckpointPolicy { instances: 0, bytes: 0, time: None, keep_instances: 0 };

/// Starts a node with a mirrored machine.
async fn start(
    cluster: &mut Cluster,
    id: u64,
    policy: CheckpointPolicy,
    config: MirrorConfig,
) -> (Node, MirrorHandle, Arc<Its>) {
    let its = Arc::new(Its::default());
    let sum = || Sum { sum: 0, its: Arc::clone(&its) };
    let both = Mirrored::new(sum(), sum(), config).unwrap();
    let copy = both.handle();
    let builder = cluster.hosting(id, move || vec![Box::new(both)]);
    (builder.checkpoints(policy).start().await.unwrap(), copy, its)
}

async fn holds(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < SOON, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered_while_the_copy_is_written() {
    let mut cluster = Cluster::new(1);
    let config = MirrorConfig::default();
    let (node, copy, its) = start(&mut cluster, 1, NOTHING_KEPT, config).await;
    let mut marked = Instance(0);
    for _ in 0..10 {
        marked = soon(group(&node).propose("four")).await.unwrap().position.instance;
    }
    its.close();
    let asking = group(&node);
    let asked = tokio::spawn(async move { asking.checkpoint().await });
    holds("it is being written", || its.saving.load(Ordering::Acquire)).await;
    for n in 11..=20 {
        let committed = soon(group(&node).propose("four")).await.unwrap();
        assert_eq!(committed.output, (4 * n).to_string());
    }
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "80");
    assert_eq!(copy.status().state, MirrorState::Saving);
    assert_eq!((copy.status().applied.instance, copy.status().commands), (marked, 10));
    let core = soon(group(&node).status()).await.unwrap().core.unwrap();
    assert_eq!(core.checkpoint, Instance(0), "it is not there yet");
    assert!(!asked.is_finished());

    its.open();
    let at = soon(asked).await.unwrap().unwrap();
    assert_eq!(at, marked, "nothing of what came later is in it");
    until(&node, "cleaned", |status| {
        status.groups[0].core.is_some_and(|core| (core.checkpoint, core.cleaned) == (at, at))
    })
    .await;
    soon(node.shutdown()).await;

    let (node, copy, its) = start(&mut cluster, 1, NOTHING_KEPT, config).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "80");
    holds("the copy too", || copy.status().commands == 0).await;
    assert_eq!(its.executed.load(Ordering::Relaxed), 2 * 10, "what came after it, on both");
    soon(group(&node).checkpoint()).await.unwrap();
    soon(node.shutdown()).await;
    let (node, copy, its) = start(&mut cluster, 1, NOTHING_KEPT, config).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "80");
    assert_eq!((its.executed.load(Ordering::Relaxed), copy.status().commands), (0, 0));
    soon(node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_copy_gives_no_checkpoint_and_holds_up_nobody() {
    let mut cluster = Cluster::new(1);
    let config = MirrorConfig { commands_max: 4, ..MirrorConfig::default() };
    let (node, copy, _) = start(&mut cluster, 1, NOTHING_KEPT, config).await;
    copy.pause_copy();
    soon(group(&node).propose("four")).await.unwrap();
    let error = soon(group(&node).checkpoint()).await.unwrap_err();
    assert!(matches!(error, NodeError::NoCheckpoint { .. }), "{error}");
    assert!(error.to_string().contains("paused"), "{error}");
    assert!(copy.continue_copy());
    copy.pause_copy();
    for _ in 0..20 {
        soon(group(&node).propose("four")).await.unwrap();
    }
    assert!(!copy.continue_copy(), "the queue was full");
    soon(group(&node).checkpoint()).await.unwrap();
    soon(node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_shuts_down_while_commands_wait_for_the_copy() {
    let mut cluster = Cluster::new(1);
    let config = MirrorConfig { commands_max: 1, ..MirrorConfig::default() };
    let (node, copy, its) = start(&mut cluster, 1, NOTHING_KEPT, config).await;
    soon(group(&node).propose("four")).await.unwrap();
    its.close();
    let asking = group(&node);
    let asked = tokio::spawn(async move { asking.checkpoint().await });
    holds("it is being written", || its.saving.load(Ordering::Acquire)).await;
    soon(group(&node).propose("four")).await.unwrap();
    let proposer = group(&node);
    let waiting = tokio::spawn(async move { proposer.propose("four").await });
    holds("a command waits", || copy.status().waits > 0).await;
    assert!(!waiting.is_finished());

    soon(node.shutdown_within(Duration::from_millis(200))).await;
    let error = soon(asked).await.unwrap().unwrap_err();
    assert_eq!(error, NodeError::ShuttingDown);
    assert!(Arc::strong_count(&its) > 1, "the machines are at work");
    its.open();
    // It is executed, slowly, and nobody waits for that any more.
    assert_eq!(soon(waiting).await.unwrap(), Err(ProposeError::ShuttingDown));
    holds("both machines are dropped", || Arc::strong_count(&its) == 1).await;
    assert_eq!(copy.status().state, MirrorState::Ended);

    let (node, ..) = start(&mut cluster, 1, NOTHING_KEPT, config).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "12", "all were chosen");
    soon(group(&node).checkpoint()).await.unwrap();
    soon(node.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_machines_go_on_from_a_checkpoint_of_a_peer() {
    let policy = CheckpointPolicy { instances: 10, ..NOTHING_KEPT };
    let config = MirrorConfig::default();
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(start(&mut cluster, id, policy, config).await.0);
    }
    soon(group(&nodes[2]).propose("four")).await.unwrap();
    soon(nodes.pop().unwrap().shutdown()).await;
    for _ in 0..100 {
        soon(group(&nodes[0]).propose("four")).await.unwrap();
    }
    for node in &nodes {
        until(node, "cleaned", |status| {
            status.groups[0].core.is_some_and(|core| core.cleaned > Instance(50))
        })
        .await;
    }
    let (node, copy, its) = start(&mut cluster, 3, policy, config).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "404");
    assert!(its.executed.load(Ordering::Relaxed) < 100, "a part of it came as a checkpoint");
    soon(group(&node).propose("four")).await.unwrap();
    let at = soon(group(&node).checkpoint()).await.unwrap();
    assert_eq!(copy.status().state, MirrorState::Following);
    nodes.push(node);
    for node in &nodes {
        assert_eq!(soon(group(node).read("")).await.unwrap(), "408");
    }
    soon(nodes.pop().unwrap().shutdown()).await;
    let (node, ..) = start(&mut cluster, 3, policy, config).await;
    assert_eq!(soon(group(&node).read("")).await.unwrap(), "408", "from the checkpoint at {at}");
    nodes.push(node);
    for node in nodes {
        soon(node.shutdown()).await;
    }
}
