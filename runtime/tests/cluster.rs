//! Three nodes in one process: forming, leading, losing a node, losing a memory.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, commands, group, soon, until};
use synod::{GroupId, Node, NodeError, NodeId, NodeState, ProposeError, Role};

async fn three() -> (Cluster, Vec<Node>) {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(cluster.start(id).await);
    }
    (cluster, nodes)
}

/// Waits until all have executed the same so many commands, and gives them.
async fn all_equal(cluster: &Cluster, nodes: &[Node], count: usize) -> Vec<Bytes> {
    let begun = std::time::Instant::now();
    loop {
        let of: Vec<_> = cluster.executed.iter().map(commands).collect();
        if of.iter().all(|commands| commands.len() >= count) {
            assert!(of.iter().all(|commands| *commands == of[0]), "{of:#?}");
            return of[0].clone();
        }
        let lens: Vec<_> = of.iter().map(Vec::len).collect();
        assert!(begun.elapsed() < common::SOON, "{lens:?} of {count}: {nodes:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_execute_the_same_commands_in_the_same_order() {
    let (cluster, nodes) = three().await;
    let mut tasks = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        for task in 0..4 {
            let group = group(node);
            tasks.push(tokio::spawn(async move {
                for i in 0..50 {
                    group.propose(format!("{n}/{task}/{i}")).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
    let executed = all_equal(&cluster, &nodes, 600).await;
    assert_eq!(executed.len(), 600, "each once");
    assert_eq!(executed.iter().collect::<BTreeSet<_>>().len(), 600);
    for node in &nodes {
        assert_eq!(soon(group(node).read("")).await.unwrap(), "600");
        let status = node.status().await.unwrap();
        assert_eq!(status.state, NodeState::Running);
        assert!(status.peers.iter().all(|(_, link)| link.connected), "{status:#?}");
    }
    let clusters: BTreeSet<_> = {
        let mut all = BTreeSet::new();
        for node in &nodes {
            all.insert(node.status().await.unwrap().cluster);
        }
        all
    };
    assert_eq!(clusters.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_one_secret_form_a_cluster_and_another_is_left_out() {
    let mut cluster = Cluster::new(3);
    let ours = "sixteen bytes or more";
    let one = cluster.builder(1).secret(ours).start().await.unwrap();
    let two = cluster.builder(2).secret(ours).start().await.unwrap();
    let other = cluster.builder(3).secret("another, and no less long").start().await.unwrap();
    until(&one, "the other refused", |status| {
        let last = status.refused.last.as_deref().unwrap_or_default();
        last.contains("give all nodes the same secret")
    })
    .await;
    let status = other.status().await.unwrap();
    assert!(status.peers.iter().all(|(_, link)| !link.connected), "{status:#?}");
    soon(other.shutdown()).await;
    let nodes = [one, two, cluster.builder(3).secret(ours).start().await.unwrap()];
    for node in &nodes {
        soon(group(node).propose("sealed")).await.unwrap();
    }
    all_equal(&cluster, &nodes, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_is_handed_over_on_demand_and_on_shutdown() {
    let (mut cluster, mut nodes) = three().await;
    let old = soon(group(&nodes[0]).wait_leader()).await.unwrap();
    let to = NodeId(old.0 % 3 + 1);
    let index = |id: NodeId| usize::try_from(id.0 - 1).unwrap();
    let leading = group(&nodes[index(old)]);
    soon(leading.propose("before")).await.unwrap();
    until(&nodes[index(old)], "leads", |status| {
        status.groups[0].core.is_some_and(|core| core.role == Role::Leader)
    })
    .await;
    let error = soon(group(&nodes[index(to)]).transfer_leader(old)).await.unwrap_err();
    assert!(matches!(error, NodeError::NotLeader(_)), "{error}");
    soon(leading.transfer_leader(to)).await.unwrap();
    until(&nodes[index(to)], "new leader", |status| {
        status.groups[0].core.is_some_and(|core| core.role == Role::Leader)
    })
    .await;
    soon(leading.propose("after")).await.unwrap();

    // The new leader leaves; the others go on.
    let leaving = nodes.remove(index(to));
    soon(leaving.shutdown()).await;
    for node in &nodes {
        soon(group(node).propose("without")).await.unwrap();
    }
    // It comes back and catches up.
    let back = cluster.start(to.0).await;
    assert_eq!(soon(group(&back).read("")).await.unwrap(), "4");
    nodes.push(back);
    all_equal(&cluster, &nodes, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_waits_to_be_swapped_in_and_does_not_vote() {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(cluster.builder(id).config(kept_out()).start().await.unwrap());
    }
    for node in &nodes {
        soon(group(node).propose("kept")).await.unwrap();
    }
    soon(nodes.remove(2).shutdown()).await;
    cluster.dirs[2] = tempfile::tempdir().unwrap();
    let wiped = cluster.builder(3).config(kept_out()).start().await.unwrap();
    until(&wiped, "excluded", |status| {
        matches!(&status.state, NodeState::NotMember(text)
            if text.contains("does not vote") && text.contains("swap"))
    })
    .await;
    // It learns and reads like any other, and has no vote and no sessions.
    until(&wiped, "learned", |status| {
        status.groups[0].core.is_some_and(|core| !core.votes && core.chosen.0 >= 3)
    })
    .await;
    let error = soon(group(&wiped).propose("x")).await.unwrap_err();
    assert_eq!(error, ProposeError::NotMember);
    assert_eq!(soon(group(&wiped).read("")).await.unwrap(), "3");
    // Two members are a quorum; one and a wiped one are not.
    soon(group(&nodes[0]).propose("two of three")).await.unwrap();
    soon(nodes.remove(1).shutdown()).await;
    let short = Duration::from_millis(700);
    let first = group(&nodes[0]);
    let lonely = first.propose_with(synod::SmId(0), "one of three", short);
    assert_eq!(soon(lonely).await.unwrap_err(), ProposeError::Unknown);
    assert!(!cluster.executed[2].lock().unwrap().is_empty(), "it executes what it learns");
}

/// No leader swaps in a node that has lost its memory.
fn kept_out() -> synod::Config {
    synod::Config { swap_in: false, ..common::config() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn founders_that_were_told_different_things_say_so() {
    let mut cluster = Cluster::new(2);
    let one = cluster.start(1).await;
    let two = cluster.builder(2).peer(3, "127.0.0.1:1").start().await.unwrap();
    for node in [&one, &two] {
        until(node, "conflict shown", |status| {
            matches!(&status.state, NodeState::Forming(text) if text.contains("same list"))
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_independent_and_share_one_log() {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    let extra: Vec<_> = (0..3).map(|_| common::Executed::default()).collect();
    for (id, extra) in (1..).zip(&extra) {
        let extra = std::sync::Arc::clone(extra);
        let builder =
            cluster.builder(id).group(GroupId(9), move || vec![Box::new(common::Memo(extra))]);
        nodes.push(builder.start().await.unwrap());
    }
    for n in 0..20 {
        let node = &nodes[n % 3];
        soon(group(node).propose(format!("a{n}"))).await.unwrap();
        soon(node.group(GroupId(9)).unwrap().propose(format!("b{n}"))).await.unwrap();
    }
    let executed = all_equal(&cluster, &nodes, 20).await;
    assert!(executed.iter().all(|command| command.starts_with(b"a")));
    for node in &nodes {
        let ninth = node.group(GroupId(9)).unwrap();
        assert_eq!(soon(ninth.read("")).await.unwrap(), "20");
    }
}
