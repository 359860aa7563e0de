//! Proposing: batches, contexts, the hook before, large values, several machines, and what was
//! chosen.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, commands, group, soon};
use synod::{
    Bootstrap, ChosenCommand, Config, Context, GetError, GroupId, Instance, Node, Position,
    Proposal, ProposeError, SmId, StateMachine,
};

#[tokio::test]
async fn each_command_of_a_batch_has_its_own_outcome() {
    let mut cluster = Cluster::new(3);
    let config = Config { command_bytes_max: 10, ..common::config() };
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(cluster.builder(id).config(config.clone()).start().await.unwrap());
    }
    for node in &nodes {
        let batch: Vec<Proposal> = (0..100)
            .map(|n| match n {
                7 => Proposal::new(vec![0; 11]),
                9 => Proposal::new("x").machine(SmId(4)),
                n => Proposal::new(format!("{n}")),
            })
            .collect();
        let outcomes = soon(group(node).propose_batch(batch)).await;
        assert_eq!(outcomes.len(), 100);
        assert_eq!(outcomes[7], Err(ProposeError::TooLarge { bytes: 11, max: 10 }));
        assert_eq!(outcomes[9], Err(ProposeError::NoMachine(SmId(4))));
        let done: Vec<Position> = outcomes.iter().flatten().map(|done| done.position).collect();
        assert_eq!(done.len(), 98, "{outcomes:?}");
        assert!(done.is_sorted(), "nothing was lost here, so the order is kept: {done:?}");
    }
    // The last node's commands are answered there, and executed elsewhere a moment later.
    soon(async {
        while commands(&cluster.executed[0]).len() < 3 * 98 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(commands(&cluster.executed[0]).len(), 3 * 98);
    let none: Vec<Bytes> = Vec::new();
    assert!(soon(group(&nodes[0]).propose_batch(none)).await.is_empty());
}

/// Counts; tells proposers the count as a number.
#[derive(Default)]
struct Typed(u64);

impl StateMachine for Typed {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.0 += 1;
        command
    }
    fn proposed_here(&self, at: Position, output: &Bytes, context: Context) {
        if let Ok(answer) = context.downcast::<mpsc::Sender<(Position, Bytes, u64)>>() {
            drop(answer.send((at, output.clone(), self.0)));
        } else {
            panic!("not what this machine answers to");
        }
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

#[tokio::test]
async fn a_context_reaches_the_machine_of_the_proposing_node_only() {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        let builder = cluster.builder(id);
        let typed = || -> Vec<Box<dyn StateMachine>> { vec![Box::<Typed>::default()] };
        nodes.push(builder.group(GroupId(3), typed).start().await.unwrap());
    }
    for (n, node) in (1..).zip(&nodes) {
        let typed = node.group(GroupId(3)).unwrap();
        let (answer, answers) = mpsc::channel::<(Position, Bytes, u64)>();
        let done = soon(typed.propose(Proposal::new("a").context(answer))).await.unwrap();
        let all: Vec<_> = answers.iter().collect();
        assert_eq!(all, [(done.position, Bytes::from_static(b"a"), n)], "once, and here");
    }
    // One that is refused is dropped, and releases who waits for it.
    let typed = nodes[0].group(GroupId(3)).unwrap();
    let (answer, answers) = mpsc::channel::<(Position, Bytes, u64)>();
    let refused = Proposal::new("a").machine(SmId(9)).context(answer);
    assert_eq!(soon(typed.propose(refused)).await, Err(ProposeError::NoMachine(SmId(9))));
    assert!(answers.recv().is_err());
    // A panic there is one like any other: what was executed is answered, and the group stops here.
    soon(typed.propose(Proposal::new("a").context("nonsense"))).await.unwrap();
    common::until(&nodes[0], "stopped", |status| status.groups[1].failed.is_some()).await;
    let error = soon(typed.propose("b")).await.unwrap_err();
    assert!(error.to_string().contains("not what this machine answers to"), "{error}");
    soon(nodes[1].group(GroupId(3)).unwrap().propose("b")).await.unwrap();
}

#[tokio::test]
async fn the_hook_changes_or_refuses_a_command_once_before_its_size_is_checked() {
    let mut cluster = Cluster::new(1);
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let node = cluster
        .builder(1)
        .config(Config { command_bytes_max: 8, ..common::config() })
        .before_propose(move |group, sm, command| {
            assert_eq!((group, sm), (GroupId(0), SmId(0)));
            let call = counted.fetch_add(1, Ordering::Relaxed);
            if command == "no" {
                return Err("not this one".into());
            }
            Ok([command, call.to_string().into()].concat().into())
        })
        .start()
        .await
        .unwrap();
    soon(group(&node).propose("a")).await.unwrap();
    let error = soon(group(&node).propose("no")).await.unwrap_err();
    assert_eq!(error, ProposeError::Rejected { reason: "not this one".into() });
    let error = soon(group(&node).propose("12345678")).await.unwrap_err();
    assert_eq!(error, ProposeError::TooLarge { bytes: 9, max: 8 });
    assert_eq!(commands(&cluster.executed[0]), ["a0"]);
    assert_eq!(calls.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn values_as_large_as_the_settings_say_pass() {
    let mut cluster = Cluster::new(3);
    let max = 40 << 20;
    // Heartbeats wait behind a large value on their connection, so such values want patience.
    let config = Config {
        command_bytes_max: max,
        election_timeout: Duration::from_secs(5),
        retry_interval: Duration::from_secs(2),
        ..common::config()
    };
    let log = synod::log::LogConfig::default();
    let mut nodes = Vec::new();
    for id in 1..=3 {
        let builder = cluster.builder(id).config(config.clone()).log(log.clone());
        nodes.push(builder.start().await.unwrap());
    }
    let done = soon(group(&nodes[1]).propose(vec![7; max])).await.unwrap();
    assert_eq!(done.output, "1");
    let error = soon(group(&nodes[1]).propose(vec![7; max + 1])).await.unwrap_err();
    assert_eq!(error, ProposeError::TooLarge { bytes: max + 1, max });
    for node in &nodes {
        assert_eq!(soon(group(node).read("")).await.unwrap(), "1");
    }
}

#[tokio::test]
async fn what_was_chosen_survives_and_can_be_looked_up() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    soon(group(&node).propose("before")).await.unwrap();
    soon(node.shutdown()).await;
    // So little memory that older values come from disk.
    let config = Config { cache_bytes_max: 100, ..common::config() };
    let node = cluster.builder(1).config(config).start().await.unwrap();
    let counter = group(&node);
    let mut last = Instance::ZERO;
    for n in 0..50 {
        let done = soon(counter.propose(format!("command {n}"))).await.unwrap();
        last = done.position.instance;
        let found = soon(counter.get(last)).await.unwrap();
        let command = Bytes::from(format!("command {n}"));
        assert_eq!(found, [ChosenCommand { sm: SmId(0), command }]);
    }
    let all = &cluster.executed[0].lock().unwrap().clone();
    assert_eq!(all.len(), 51, "one of the life before");
    for (at, command) in all {
        let found = soon(counter.get(at.instance)).await.unwrap();
        assert_eq!(found[usize::try_from(at.index).unwrap()].command, command);
    }
    assert_eq!(soon(counter.get(Instance(1))).await.unwrap(), [], "a leader begins with a no-op");
    assert_eq!((counter.first_kept(), counter.chosen()), (Instance(1), last));
    let asked = Instance(last.0 + 1);
    let error = soon(counter.get(asked)).await.unwrap_err();
    assert_eq!(error, GetError::NotChosen { asked, chosen: last });
    let error = soon(counter.get(Instance::ZERO)).await.unwrap_err();
    let first_kept = Instance(1);
    assert_eq!(error, GetError::Cleaned { asked: Instance::ZERO, first_kept });
    soon(node.shutdown()).await;
    assert!(matches!(soon(counter.get(last)).await, Err(GetError::Node(_))));
}

/// Answers with its own number.
struct Named(u32);

impl StateMachine for Named {
    fn id(&self) -> SmId {
        SmId(self.0)
    }
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        self.0.to_string().into()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

#[tokio::test]
async fn several_machines_share_a_group() {
    let cluster = Cluster::new(1);
    let node = Node::builder()
        .id(1)
        .listen("127.0.0.1:0")
        .bootstrap(Bootstrap::Found)
        .data_dir(cluster.dirs[0].path())
        .log(common::small_log())
        .group(GroupId(0), || vec![Box::new(Named(5)), Box::new(Named(2))])
        .start()
        .await
        .unwrap();
    let group = group(&node);
    assert_eq!(soon(group.propose("")).await.unwrap().output, "5", "the first is the default");
    let second = Proposal::new("").machine(SmId(2));
    assert_eq!(soon(group.propose(second)).await.unwrap().output, "2");
    let nobody = Proposal::new("").machine(SmId(0));
    assert_eq!(soon(group.propose(nobody)).await, Err(ProposeError::NoMachine(SmId(0))));
}
