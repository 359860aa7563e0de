//! One node alone: starting, proposing, reading, restarting, failing and stopping.

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{Cluster, SOON, commands, group, soon, until};
use synod::{
    Bootstrap, Config, GroupId, Instance, Node, NodeId, NodeState, Position, ProposeError,
    ReadError, SmId, StartError,
};

#[tokio::test]
async fn a_node_alone_commits_reads_and_remembers() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    let counter = group(&node);
    for n in 1..=20 {
        let committed = soon(counter.propose(format!("command {n}"))).await.unwrap();
        assert_eq!(committed.output, n.to_string());
    }
    assert_eq!(soon(counter.read("")).await.unwrap(), "20");
    assert_eq!(soon(counter.wait_leader()).await.unwrap(), NodeId(1));
    let before = cluster.executed[0].lock().unwrap().clone();
    soon(node.shutdown()).await;

    let node = cluster.start(1).await;
    let counter = group(&node);
    assert_eq!(soon(counter.read("")).await.unwrap(), "20", "replayed from the log");
    assert_eq!(*cluster.executed[0].lock().unwrap(), before, "at the same positions");
    assert_eq!(soon(counter.propose("next")).await.unwrap().output, "21");
    soon(node.shutdown()).await;
}

#[tokio::test]
async fn commands_too_large_or_for_nobody_are_refused() {
    let mut cluster = Cluster::new(1);
    let config = Config { command_bytes_max: 1000, ..common::config() };
    let node = cluster.builder(1).config(config).start().await.unwrap();
    let counter = group(&node);
    let error = soon(counter.propose(vec![0; 1001])).await.unwrap_err();
    assert_eq!(error, ProposeError::TooLarge { bytes: 1001, max: 1000 });
    let error = soon(counter.propose_with(SmId(7), "", SOON)).await.unwrap_err();
    assert_eq!(error, ProposeError::NoMachine(SmId(7)));
    let error = soon(counter.read_with(SmId(7), "", SOON)).await.unwrap_err();
    assert_eq!(error, ReadError::NoMachine(SmId(7)));
    soon(counter.propose(vec![0; 1000])).await.unwrap();
    assert!(node.group(GroupId(1)).is_none());
}

#[tokio::test]
async fn a_machine_that_panics_stops_its_group_and_says_why() {
    let mut cluster = Cluster::new(1);
    let other = common::Executed::default();
    let node = cluster
        .builder(1)
        .group(GroupId(5), move || vec![Box::new(common::Memo(other))])
        .start()
        .await
        .unwrap();
    let counter = group(&node);
    soon(counter.propose("fine")).await.unwrap();
    let error = soon(counter.propose("boom")).await.unwrap_err();
    assert!(error.to_string().contains("told to panic"), "{error}");
    until(&node, "shown as failed", |status| status.groups[0].failed.is_some()).await;
    let error = soon(counter.propose("after")).await.unwrap_err();
    assert!(matches!(error, ProposeError::Failed { .. }), "{error}");
    let error = soon(counter.read("")).await.unwrap_err();
    assert!(matches!(error, ReadError::Failed { .. }), "{error}");
    let healthy = node.group(GroupId(5)).unwrap();
    soon(healthy.propose("still here")).await.unwrap();
    assert_eq!(node.status().await.unwrap().state, NodeState::Running);
}

#[tokio::test]
async fn a_second_process_cannot_use_the_directory() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    let second = Node::builder()
        .id(1)
        .listen("127.0.0.1:0")
        .data_dir(cluster.dirs[0].path())
        .bootstrap(Bootstrap::Found)
        .group(GroupId(0), || vec![Box::new(common::Memo::default())]);
    let error = second.start().await.unwrap_err();
    assert!(matches!(error, StartError::Log(..)), "{error}");
    assert!(error.to_string().contains("locked"), "{error}");
    soon(node.shutdown()).await;
    let node = cluster.start(1).await;
    soon(group(&node).propose("again")).await.unwrap();
}

#[tokio::test]
async fn nodes_that_cannot_start_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || {
        Node::builder()
            .id(1)
            .data_dir(dir.path())
            .group(GroupId(0), || vec![Box::new(common::Memo::default())])
    };
    let error = builder().listen("127.0.0.1:0").start().await.unwrap_err();
    assert!(matches!(error, StartError::Alone(NodeId(1))), "{error}");
    let error = builder().listen("no such host:1").start().await.unwrap_err();
    assert!(matches!(error, StartError::Listen(..)), "{error}");
    let error = builder()
        .listen("127.0.0.1:0")
        .bootstrap(Bootstrap::Found)
        .group(GroupId(1), Vec::new)
        .start()
        .await
        .unwrap_err();
    assert!(matches!(error, StartError::Machines(GroupId(1), _)), "{error}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = builder().data_dir(file).listen("127.0.0.1:0").start().await.unwrap_err();
    assert!(matches!(error, StartError::Log(..)), "{error}");
}

#[tokio::test]
async fn shutdown_releases_everybody_who_waits() {
    // Two of three: this one never reaches a quorum.
    let mut cluster = Cluster::new(3);
    let node = cluster.start(1).await;
    let waiting = group(&node);
    let propose = tokio::spawn({
        let waiting = waiting.clone();
        async move { waiting.propose("never").await }
    });
    let read = tokio::spawn({
        let waiting = waiting.clone();
        async move { waiting.read("").await }
    });
    let leader = tokio::spawn({
        let waiting = waiting.clone();
        async move { waiting.wait_leader().await }
    });
    until(&node, "waiting for founders", |status| {
        matches!(&status.state, NodeState::Forming(text) if text.contains("waiting for nodes 2, 3"))
    })
    .await;
    let begun = Instant::now();
    soon(node.shutdown()).await;
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(soon(propose).await.unwrap(), Err(ProposeError::ShuttingDown));
    assert_eq!(soon(read).await.unwrap(), Err(ReadError::ShuttingDown));
    assert!(soon(leader).await.unwrap().is_err());
    let error = soon(waiting.propose("too late")).await.unwrap_err();
    assert_eq!(error, ProposeError::ShuttingDown);
}

#[tokio::test]
async fn early_proposals_keep_their_deadline() {
    let mut cluster = Cluster::new(3);
    let node = cluster.start(1).await;
    let short = Duration::from_millis(30);
    let error = soon(group(&node).propose_with(SmId(0), "x", short)).await.unwrap_err();
    assert!(
        matches!(&error, ProposeError::Forming(text) if text.contains("nodes 2, 3")),
        "{error}"
    );
    let error = soon(group(&node).read_with(SmId(0), "x", short)).await.unwrap_err();
    assert!(matches!(error, ReadError::Forming(_)), "{error}");
}

/// Applies only while the test lets it.
struct Slow(std::sync::mpsc::Receiver<()>);

impl synod::StateMachine for Slow {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        while self.0.recv().is_ok() {} // until the test lets go
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

#[tokio::test]
async fn a_machine_that_is_stuck_keeps_nobody_past_the_deadline() {
    let mut cluster = Cluster::new(1);
    let (go, stuck) = std::sync::mpsc::channel();
    let node = cluster
        .builder(1)
        .group(GroupId(5), move || vec![Box::new(Slow(stuck))])
        .start()
        .await
        .unwrap();
    let slow = node.group(GroupId(5)).unwrap();
    let short = Duration::from_millis(100);
    let error = soon(slow.propose_with(SmId(0), "x", short)).await.unwrap_err();
    assert_eq!(error, ProposeError::Unknown);
    let error = soon(slow.read_with(SmId(0), "x", short)).await.unwrap_err();
    assert_eq!(error, ReadError::TimedOut);
    // The other group is not concerned; and this one goes on as soon as its machine does.
    soon(group(&node).propose("quick")).await.unwrap();
    drop(go);
    soon(slow.propose("y")).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_is_stuck_keeps_nobody_past_the_end_of_its_node() {
    let mut cluster = Cluster::new(1);
    let (go, stuck) = std::sync::mpsc::channel();
    let machine = move || -> Vec<Box<dyn synod::StateMachine>> { vec![Box::new(Slow(stuck))] };
    let node = cluster.builder(1).group(GroupId(5), machine).start().await.unwrap();
    let (slow, watched) = (node.group(GroupId(5)).unwrap(), group(&node));
    let waiting = [(); 2].map(|()| {
        let slow = slow.clone();
        tokio::spawn(async move { slow.propose("one that is executed, and one behind it").await })
    });
    until(&node, "the machine has begun", |status| {
        status.groups[1].core.is_some_and(|core| core.handed_out > core.applied)
    })
    .await;
    let begun = Instant::now();
    soon(node.shutdown_within(Duration::from_secs(1))).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for waiting in waiting {
        assert_eq!(soon(waiting).await.unwrap(), Err(ProposeError::ShuttingDown));
    }
    assert_eq!(soon(watched.propose("late")).await, Err(ProposeError::ShuttingDown));
    drop(go);
}

#[tokio::test]
async fn dropping_a_node_stops_it() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    let counter = group(&node);
    soon(counter.propose("one")).await.unwrap();
    drop(node);
    let begun = Instant::now();
    while soon(counter.propose("more")).await != Err(ProposeError::ShuttingDown) {
        assert!(begun.elapsed() < SOON);
    }
    // The lock is released too.
    let again = loop {
        match cluster.builder(1).start().await {
            Ok(node) => break node,
            Err(error) => assert!(begun.elapsed() < SOON, "{error}"),
        }
    };
    soon(group(&again).propose("two")).await.unwrap();
    assert_eq!(commands(&cluster.executed[0])[0], Bytes::from_static(b"one"));
    let first = cluster.executed[0].lock().unwrap()[0].0;
    assert!(first >= Position { instance: Instance(1), index: 0 }, "{first}");
}
