//! Three nodes with certificates, and those who have none of theirs.

mod common;

use common::{Cluster, commands, group, soon, until};
use synod::tls::{TestAuthority, TlsError};
use synod::{Node, StartError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_certificates_form_a_cluster_and_strangers_are_left_out() {
    let (ours, other) = (TestAuthority::new().unwrap(), TestAuthority::new().unwrap());
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=2 {
        nodes.push(cluster.builder(id).tls(ours.node(id).unwrap()).start().await.unwrap());
    }
    // One of another authority, and one without TLS.
    let other = cluster.builder(3).tls(other.node(3).unwrap()).start().await.unwrap();
    refused(&nodes[0], other).await;
    let plain = cluster.start(3).await;
    refused(&nodes[1], plain).await;
    nodes.push(cluster.builder(3).tls(ours.node(3).unwrap()).start().await.unwrap());
    for node in &nodes {
        soon(group(node).propose("encrypted")).await.unwrap();
    }
    assert_eq!(soon(group(&nodes[2]).read("")).await.unwrap(), "3");
    assert_eq!(commands(&cluster.executed[2]), ["encrypted"; 3]);
}

/// Waits until a node has turned the stranger away, and ends that.
async fn refused(node: &Node, stranger: Node) {
    until(node, "the stranger refused", |status| {
        status.refused.last.as_deref().is_some_and(|last| last.contains("TLS: "))
    })
    .await;
    let status = stranger.status().await.expect("it runs");
    assert!(status.peers.iter().all(|(_, link)| !link.connected), "{status:#?}");
    soon(stranger.shutdown()).await;
}

#[tokio::test]
async fn the_certificate_of_another_node_is_found_out_at_the_start() {
    let authority = TestAuthority::new().unwrap();
    let error = Cluster::new(1).builder(1).tls(authority.node(2).unwrap()).start().await;
    assert!(matches!(error, Err(StartError::Tls(TlsError::OtherNode { .. }))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_is_given_another_certificate_and_another_authority() {
    let (old, new) = (TestAuthority::new().unwrap(), TestAuthority::new().unwrap());
    let mut cluster = Cluster::new(3);
    let (mut nodes, mut given) = (Vec::new(), Vec::new());
    for id in 1..=3 {
        let tls = old.node(id).unwrap();
        given.push(tls.clone());
        nodes.push(cluster.builder(id).tls(tls).start().await.unwrap());
    }
    soon(group(&nodes[0]).propose("before")).await.unwrap();
    let error = given[0].replace(&new.node(2).unwrap()).unwrap_err();
    assert!(matches!(error, TlsError::OtherNode { .. }), "{error}");
    for (id, tls) in (1..).zip(&given[..2]) {
        tls.replace(&new.node(id).unwrap()).unwrap();
    }
    // Nobody lost a connection. Whoever comes now comes with the new authority.
    soon(group(&nodes[2]).propose("meanwhile")).await.unwrap();
    soon(nodes.pop().unwrap().shutdown()).await;
    let former = cluster.builder(3).tls(old.node(3).unwrap()).start().await.unwrap();
    refused(&nodes[0], former).await;
    nodes.push(cluster.builder(3).tls(new.node(3).unwrap()).start().await.unwrap());
    for node in &nodes {
        soon(group(node).propose("after")).await.unwrap();
    }
}
