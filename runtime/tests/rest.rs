//! Groups without work: heard less, and there as soon as they are needed.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{Cluster, commands, group, soon, until};
use synod::{Config, GroupId, NodeId, Observer};

/// When heartbeats left, by peer.
#[derive(Clone, Default)]
struct Beats(Arc<Mutex<BTreeMap<NodeId, Vec<Instant>>>>);

impl Observer for Beats {
    fn sent(&self, _group: GroupId, to: NodeId, kind: &'static str, _value_bytes: usize) {
        if kind == "heartbeat" {
            self.0.lock().unwrap().entry(to).or_default().push(Instant::now());
        }
    }
}

impl Beats {
    /// Whether the last three to some peer were this far apart.
    fn seldom(&self, apart: Duration) -> bool {
        self.0.lock().unwrap().values().any(|beats| {
            let gaps: Vec<_> = beats.windows(2).map(|pair| pair[1] - pair[0]).collect();
            gaps.len() >= 3 && gaps[gaps.len() - 3..].iter().all(|&gap| gap >= apart)
        })
    }
}

#[tokio::test]
async fn a_group_that_rests_is_heard_seldom_and_still_fails_over() {
    let mut cluster = Cluster::new(3);
    let beats: Vec<Beats> = (0..3).map(|_| Beats::default()).collect();
    let mut nodes = BTreeMap::new();
    for (id, beats) in (1..).zip(&beats) {
        let config = Config { election_timeout: Duration::from_secs(1), ..common::config() };
        let builder = cluster.builder(id).config(config).observer(beats.clone());
        nodes.insert(NodeId(id), builder.start().await.unwrap());
    }
    soon(group(&nodes[&NodeId(1)]).propose("a")).await.unwrap();
    until(&nodes[&NodeId(1)], "applied", |status| {
        status.groups[0].core.is_some_and(|core| core.applied == core.chosen)
    })
    .await;
    let begun = Instant::now();
    // Every 50 ms at first, every 250 ms at rest.
    while !beats.iter().any(|beats| beats.seldom(Duration::from_millis(200))) {
        assert!(begun.elapsed() < common::SOON, "they are never seldom");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let leader = soon(group(&nodes[&NodeId(1)]).wait_leader()).await.unwrap();
    soon(group(&nodes[&leader]).propose("b")).await.unwrap();
    drop(nodes.remove(&leader));
    let (_, other) = nodes.pop_first().unwrap();
    soon(group(&other).propose("c")).await.unwrap();
    let index = usize::try_from(other.id().0 - 1).unwrap();
    assert_eq!(commands(&cluster.executed[index]), ["a", "b", "c"]);
    // One that is alone from the start rests too, and is there at once.
    let mut alone = Cluster::new(1);
    soon(group(&alone.start(1).await).propose("d")).await.unwrap();
}
