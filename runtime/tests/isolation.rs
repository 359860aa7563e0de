//! Groups do not share their fate: what stops one leaves the others, and its votes, alone.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, Memo, commands, group, soon, until};
use synod::{
    Config, GroupId, Instance, Node, NodeId, NodeState, Position, ProposeError, ReadError,
    StateMachine,
};

/// Counts; panics while told to, which is what a bug on one machine looks like.
struct Sick(Arc<AtomicBool>, u64);

impl StateMachine for Sick {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        assert!(!self.0.load(Ordering::Relaxed), "a bug that only this node has");
        self.1 += 1;
        self.1.to_string().into()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.1.to_string().into()
    }
}

/// Three nodes with the groups 0, 1 and 2; group 1 may be sick on each.
async fn three(cluster: &mut Cluster) -> (Vec<Node>, Vec<Arc<AtomicBool>>) {
    let mut nodes = Vec::new();
    let sick: Vec<Arc<AtomicBool>> = (0..3).map(|_| Arc::default()).collect();
    for (id, sick) in (1..).zip(&sick) {
        let sick = Arc::clone(sick);
        let builder = cluster
            .builder(id)
            .group(GroupId(1), move || vec![Box::new(Sick(sick, 0))])
            .group(GroupId(2), || vec![Box::<Memo>::default()]);
        nodes.push(builder.start().await.unwrap());
    }
    (nodes, sick)
}

#[tokio::test]
async fn a_machine_that_panics_on_one_node_stops_its_group_there_and_goes_on_voting() {
    let mut cluster = Cluster::new(3);
    let (nodes, sick) = three(&mut cluster).await;
    let groups = |node: &Node| [0, 1, 2].map(|id| node.group(GroupId(id)).unwrap());
    for group in groups(&nodes[0]) {
        soon(group.propose("a")).await.unwrap();
    }
    let ill = nodes[0].group(GroupId(1)).unwrap();
    let mut watch = ill.watch();
    assert!(soon(watch.next()).await.unwrap().failed.is_none(), "the state of now comes first");
    sick[0].store(true, Ordering::Relaxed);
    // It is proposed elsewhere, so that one that was under way here does not matter.
    soon(nodes[1].group(GroupId(1)).unwrap().propose("b")).await.unwrap();
    let failed = loop {
        if let Some(failed) = soon(watch.next()).await.unwrap().failed {
            break failed;
        }
    };
    assert!(failed.contains("a bug that only this node has"), "{failed}");
    let status = soon(nodes[0].status()).await.unwrap();
    assert_eq!(status.state, NodeState::Running);
    let reasons: Vec<bool> = status.groups.iter().map(|group| group.failed.is_some()).collect();
    assert_eq!(reasons, [false, true, false]);
    assert!(status.groups[1].core.is_some_and(|core| core.votes), "it votes on");
    assert!(matches!(soon(ill.propose("c")).await, Err(ProposeError::Failed { .. })));
    assert!(matches!(soon(ill.read("")).await, Err(ReadError::Failed { .. })));

    // Without node 3, nothing is chosen in group 1 but with node 1's votes.
    let mut nodes = nodes.into_iter();
    let (first, second) = (nodes.next().unwrap(), nodes.next().unwrap());
    soon(nodes.next().unwrap().shutdown()).await;
    let well = second.group(GroupId(1)).unwrap();
    assert_eq!(soon(well.propose("d")).await.unwrap().output, "3");
    assert_eq!(soon(well.read("")).await.unwrap(), "3");
    for id in [0, 2] {
        soon(first.group(GroupId(id)).unwrap().propose("e")).await.unwrap();
        soon(second.group(GroupId(id)).unwrap().propose("e")).await.unwrap();
    }
}

#[tokio::test]
async fn a_command_that_no_machine_survives_stops_its_group_alone_everywhere() {
    let mut cluster = Cluster::new(3);
    let (nodes, _) = three(&mut cluster).await;
    let error = soon(group(&nodes[1]).propose("boom")).await.unwrap_err();
    assert!(error.to_string().contains("told to panic"), "{error}");
    for node in &nodes {
        until(node, "group 0 stopped", |status| status.groups[0].failed.is_some()).await;
        for id in [1, 2] {
            soon(node.group(GroupId(id)).unwrap().propose("a")).await.unwrap();
        }
        let status = soon(node.status()).await.unwrap();
        assert_eq!(status.groups.iter().filter(|group| group.failed.is_some()).count(), 1);
    }
    assert!(commands(&cluster.executed[0]).is_empty());
}

#[tokio::test]
async fn watching_tells_of_leaders_and_ends_with_the_node() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    let mut watch = group(&node).watch();
    while soon(watch.next()).await.unwrap().leader != Some(NodeId(1)) {}
    assert_eq!(watch.now().leader, Some(NodeId(1)));
    soon(node.shutdown()).await;
    while soon(watch.next()).await.is_some() {}
}

/// Counts, and on one node wrongly, which is what a machine does that is not deterministic.
struct Odd(u64, u64);

impl StateMachine for Odd {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        self.0 += self.1;
        self.0.to_string().into()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
    fn digest(&self) -> Option<u64> {
        Some(self.0)
    }
}

/// Waits until a metric of group 1 is within a range.
#[cfg(feature = "metrics")]
async fn until_metric(node: &Node, name: &str, range: std::ops::RangeInclusive<u64>) {
    let line = format!("{name}{{group=\"1\"}} ");
    until(node, &format!("{name} within {range:?}"), |_| {
        let text = node.metrics().encode();
        let value = text.lines().find_map(|it| it.strip_prefix(&line)).expect("it is told");
        range.contains(&value.parse().unwrap())
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_alone_with_its_state_executes_nothing_more_and_goes_on_voting() {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for (id, step) in [(1, 1), (2, 1), (3, 2)] {
        let config = Config { digest_interval: 5, ..common::config() };
        let builder = cluster.builder(id).config(config);
        let builder = builder.group(GroupId(1), move || vec![Box::new(Odd(0, step))]);
        nodes.push(builder.start().await.unwrap());
    }
    let groups: Vec<_> = nodes.iter().map(|node| node.group(GroupId(1)).unwrap()).collect();
    let mut watch = groups[2].watch();
    let failed = loop {
        soon(groups[0].propose("one more")).await.unwrap();
        if let Ok(state) = tokio::time::timeout(Duration::from_millis(5), watch.next()).await
            && let Some(failed) = state.unwrap().failed
        {
            break failed;
        }
    };
    assert!(failed.contains("not that of a majority"), "{failed}");
    assert!(matches!(soon(groups[2].propose("a")).await, Err(ProposeError::Failed { .. })));
    assert!(matches!(soon(groups[2].read("")).await, Err(ReadError::Failed { .. })));
    let status = soon(nodes[2].status()).await.unwrap();
    assert_eq!(status.state, NodeState::Running);
    assert!(status.groups[1].core.is_some_and(|core| core.votes && core.diverged.is_some()));
    assert!(status.groups[0].failed.is_none(), "the other group goes on");
    for node in &nodes[..2] {
        assert!(soon(node.status()).await.unwrap().groups[1].failed.is_none(), "the majority");
        until(node, "digests agreed", |status| {
            status.groups[1].core.is_some_and(|core| core.digests_agreed >= Instance(5))
        })
        .await;
    }
    #[cfg(feature = "metrics")]
    for (node, diverged) in nodes.iter().zip([0, 0, 1]) {
        let most = if diverged == 1 { 0 } else { u64::MAX };
        until_metric(node, "synod_digests_agreed", 5.min(most)..=most).await;
        until_metric(node, "synod_digests_differ_total", 1..=u64::MAX).await;
        until_metric(node, "synod_diverged", diverged..=diverged).await;
    }
    soon(nodes.remove(1).shutdown()).await;
    soon(groups[0].propose("with its vote")).await.unwrap();
}
