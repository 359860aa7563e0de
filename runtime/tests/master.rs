//! Mastership on real nodes.
#![expect(clippy::unwrap_used, reason = "a test")]

#[expect(dead_code, reason = "what other tests use")]
mod common;

use std::time::{Duration, Instant};

use common::{Cluster, SOON, config, group, soon};
use synod::{Config, MasterHandle, Node, NodeId};

/// Long enough that a busy machine's pauses cost nobody the mastership.
const LEASE: Duration = Duration::from_secs(3);

async fn three() -> (Cluster, Vec<Node>) {
    let mut cluster = Cluster::new(3);
    let mut nodes = Vec::new();
    for id in 1..=3 {
        let builder = cluster.builder(id);
        let config = Config { master_lease: LEASE, ..config() };
        nodes.push(builder.config(config).start().await.unwrap());
    }
    (cluster, nodes)
}

fn masters(nodes: &[Node]) -> Vec<MasterHandle> {
    nodes.iter().map(|node| group(node).master()).collect()
}

/// Waits until one is master, and never sees two meanwhile.
async fn elected(masters: &[MasterHandle]) -> usize {
    let begun = Instant::now();
    loop {
        let found: Vec<usize> = (0..masters.len()).filter(|&n| masters[n].is_master()).collect();
        assert!(found.len() <= 1, "masters {found:?}");
        if let [one] = found[..] {
            return one;
        }
        assert!(begun.elapsed() < SOON, "nobody is master: {masters:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_is_master_and_another_when_it_lets_go_or_leaves() {
    let (_cluster, mut nodes) = three().await;
    let mut all = masters(&nodes);
    let first = elected(&all).await;
    let holder = Some(NodeId(u64::try_from(first).unwrap() + 1));
    for master in &mut all {
        soon(async {
            while master.now().holder != holder {
                master.next().await.unwrap();
            }
        })
        .await;
        assert!(master.now().left <= LEASE * 2);
    }

    all[first].release();
    soon(async {
        while all[first].is_master() {
            all[first].next().await.unwrap();
        }
    })
    .await;
    let second = elected(&all).await;
    assert_ne!(second, first, "it leaves two leases to others");
    let before = all[second].now().version;

    nodes.remove(second).shutdown().await;
    drop(all.remove(second));
    let third = elected(&all).await;
    assert!(all[third].now().version > before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_master_unless_somebody_asks() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    let group = group(&node);
    soon(group.propose("a")).await.unwrap();
    let master = group.master();
    assert_eq!((master.is_master(), master.now().holder), (false, None));
    master.set_lease(LEASE);
    master.campaign(true);
    elected(&[master]).await;
}
