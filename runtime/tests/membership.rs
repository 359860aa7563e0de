//! The membership of a running cluster changes, under load.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{Cluster, commands, group, soon, until};
use synod::{Bootstrap, ChangeError, Instance, Node, NodeId, NodeState};

/// Node `id`; who is no founder joins.
async fn start(cluster: &mut Cluster, id: u64) -> Node {
    if usize::try_from(id).unwrap() <= cluster.founders {
        return cluster.start(id).await;
    }
    cluster.builder(id).bootstrap(Bootstrap::Join).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_are_replaced_one_after_the_other_under_load() {
    let mut cluster = Cluster::new(6);
    cluster.founders = 3;
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(start(&mut cluster, id).await);
    }
    let address =
        |cluster: &Cluster, id: u64| cluster.addresses[usize::try_from(id - 1).unwrap()].clone();
    soon(group(&nodes[0]).propose("first")).await.unwrap();
    for old in 1..=3_u64 {
        let new = old + 3;
        nodes.push(start(&mut cluster, new).await);
        // A load at the nodes that stay.
        let ends = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let (client, stop, done) = (group(&nodes[1]), Arc::clone(&ends), Arc::clone(&count));
        let load = tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                soon(client.propose("load")).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
        let asker = group(&nodes[1]);
        let to = address(&cluster, new);
        let version =
            soon(asker.membership().replace(NodeId(old), NodeId(new), &to)).await.unwrap();
        let view = soon(asker.membership().show()).await.unwrap();
        assert_eq!((view.version, view.complete), (version, true));
        assert_eq!(view.addresses()[&NodeId(new)], to);
        ends.store(true, Ordering::Relaxed);
        soon(load).await.unwrap();
        assert!(count.load(Ordering::Relaxed) > 0, "the load went on");
        // Whoever was removed learns it, and may stop.
        let gone = nodes.remove(0);
        until(&gone, "knows that it is removed", |status| {
            matches!(&status.state, NodeState::NotMember(text) if text.contains("removed"))
        })
        .await;
        soon(gone.shutdown()).await;
        for node in &nodes {
            // A quorum has made the change; this one may have yet to hear of it.
            until(node, "knows that it is a member", |status| status.state == NodeState::Running)
                .await;
            soon(group(node).propose("after")).await.unwrap();
        }
    }
    let view = soon(group(&nodes[0]).membership().show()).await.unwrap();
    let voters: Vec<u64> = view.membership.voters().iter().map(|voter| voter.node.0).collect();
    assert_eq!(voters, [4, 5, 6]);
    let total = soon(group(&nodes[0]).read("")).await.unwrap();
    for (node, id) in nodes.iter().zip(3..) {
        assert_eq!(soon(group(node).read("")).await.unwrap(), total);
        assert_eq!(commands(&cluster.executed[id]), commands(&cluster.executed[3]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_comes_back_by_itself() {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(start(&mut cluster, id).await);
    }
    soon(group(&nodes[0]).propose("kept")).await.unwrap();
    soon(nodes.remove(2).shutdown()).await;
    cluster.dirs[2] = tempfile::tempdir().unwrap();
    let wiped = start(&mut cluster, 3).await;
    until(&wiped, "votes again", |status| status.groups[0].core.is_some_and(|core| core.votes))
        .await;
    assert_eq!(wiped.status().await.unwrap().state, NodeState::Running);
    // Its vote counts: with another one gone, commands are chosen.
    soon(nodes.remove(1).shutdown()).await;
    soon(group(&wiped).propose("with the new vote")).await.unwrap();
    assert_eq!(soon(group(&nodes[0]).read("")).await.unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_grows_to_two_and_shrinks() {
    let mut cluster = Cluster::new(2);
    cluster.founders = 1;
    let first = start(&mut cluster, 1).await;
    soon(group(&first).propose("alone")).await.unwrap();
    let two = start(&mut cluster, 2).await;
    let to = cluster.addresses[1].clone();
    soon(group(&first).membership().add_follower(NodeId(2), &to)).await.unwrap();
    soon(group(&first).membership().promote(NodeId(2))).await.unwrap();
    let twice = soon(group(&two).membership().add(NodeId(2), &to)).await;
    assert_eq!(twice, Err(ChangeError::IsMember(NodeId(2))));
    soon(group(&two).propose("two")).await.unwrap();
    soon(group(&two).membership().remove(NodeId(1))).await.unwrap();
    until(&first, "knows that it is removed", |status| {
        status.groups[0].core.is_some_and(|core| core.removed)
    })
    .await;
    soon(first.shutdown()).await;
    soon(group(&two).propose("alone again")).await.unwrap();
    assert_eq!(soon(group(&two).read("")).await.unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_another_version_than_was_looked_at_is_not_made() {
    let mut cluster = Cluster::new(2);
    cluster.founders = 1;
    let first = start(&mut cluster, 1).await;
    let client = group(&first);
    soon(client.propose("alone")).await.unwrap();
    let two = start(&mut cluster, 2).await;
    let to = cluster.addresses[1].clone();
    // Whoever waits for a change needs no runtime of its own.
    let waiting = client.clone();
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        tell.send(pollster(async { waiting.membership().changed(Instance(0)).await }))
    });
    let members = client.membership();
    let seen = soon(members.show()).await.unwrap().version;
    let at = soon(members.add_follower(NodeId(2), &to)).await.unwrap();
    assert_ne!(at, seen);
    let late = soon(members.clone().at_version(seen).promote(NodeId(2))).await;
    assert_eq!(late, Err(ChangeError::VersionConflict { version: at }));
    let early = soon(members.clone().at_version(Instance(at.0 + 9)).promote(NodeId(2))).await;
    assert_eq!(early, Err(ChangeError::VersionConflict { version: at }));
    assert_eq!(soon(members.show()).await.unwrap().version, at);
    assert_eq!(soon(told).await.unwrap().unwrap().version, at);
    assert_eq!((client.watch().now().version, client.watch().now().changing), (at, false));
    soon(members.at_version(at).promote(NodeId(2))).await.unwrap();
    soon(two.shutdown()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_joins_by_any_member_that_it_was_told_of() {
    let mut cluster = Cluster::new(4);
    cluster.founders = 3;
    let mut nodes = Vec::new();
    for id in 1..=3 {
        nodes.push(start(&mut cluster, id).await);
    }
    soon(group(&nodes[0]).propose("first")).await.unwrap();
    let leader = soon(group(&nodes[0]).wait_leader()).await.unwrap();
    // Neither the leader nor the one that is asked, and all are in the address book by now.
    let mut others = (1..=3).filter(|id| NodeId(*id) != leader);
    let (asked, told) = (others.next().unwrap(), others.next().unwrap());
    let asker = group(&nodes[usize::try_from(asked - 1).unwrap()]);
    for id in 1..=3 {
        let address = cluster.addresses[usize::try_from(id - 1).unwrap()].clone();
        soon(asker.membership().move_to(NodeId(id), &address)).await.unwrap();
    }
    cluster.told = Some(told);
    let fourth = start(&mut cluster, 4).await;
    let to = cluster.addresses[3].clone();
    soon(asker.membership().add(NodeId(4), &to)).await.unwrap();
    soon(group(&fourth).propose("a member")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_not_made_leaves_no_addresses_behind() {
    let mut cluster = Cluster::new(2);
    let nodes = [start(&mut cluster, 1).await, start(&mut cluster, 2).await];
    soon(group(&nodes[0]).propose("both")).await.unwrap();
    // Each of the two asks for what cannot be: the other one, whose vote it takes, at a wrong place.
    for (asker, other) in [(&nodes[0], 2), (&nodes[1], 1)] {
        let members = group(asker);
        let members = members.membership().within(std::time::Duration::from_secs(1));
        let asked = members.move_to(NodeId(other), "127.0.0.1:1").await;
        assert!(matches!(asked, Err(ChangeError::Unknown { .. })), "{asked:?}");
        for node in &nodes {
            soon(group(node).propose("still there")).await.unwrap();
        }
    }
}

/// Waits on this thread, without a runtime.
fn pollster<T>(future: impl Future<Output = T>) -> T {
    struct Thread(std::thread::Thread);
    impl std::task::Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Thread(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
        std::thread::park();
    }
}
