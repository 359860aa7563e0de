//! Real processes under load while what keeps a cluster alive is done to it: disks wiped, processes killed
//! while they take over a checkpoint, all nodes replaced by others. Nothing that was acknowledged is lost or
//! executed twice, and no client sees an error that it cannot simply try again after.
//!
//! The short forms take some seconds each. `cargo test -p synod-tests --test upkeep -- --ignored` runs the
//! long ones.
#![expect(clippy::unwrap_used, reason = "a cluster that cannot be set up has failed the test")]

#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../../../runtime/examples/demo/child.rs"]
mod child;
mod cluster;
mod load;

use std::fs;
use std::path::Path;

use cluster::Cluster;
use load::Load;
use serde_json::{Value, json};

/// Three nodes that take commands, and room for others.
fn three(nodes: usize, ballast: u64, may_stop: bool) -> (Cluster, Load) {
    let mut cluster = Cluster::new(nodes, ballast);
    (1..=3).for_each(|id| cluster.start(id));
    let load = Load::start(&cluster, may_stop);
    load.more(200, &mut cluster);
    (cluster, load)
}

#[test]
fn a_node_whose_disk_is_wiped_while_it_runs_comes_back_by_itself() {
    wipes(1, 300);
}

#[test]
#[ignore = "long"]
fn nodes_whose_disks_are_wiped_while_they_run_come_back_again_and_again() {
    wipes(12, 2000);
}

fn wipes(rounds: u64, commands: u64) {
    let (mut cluster, load) = three(3, 1 << 16, true);
    for round in 0..rounds {
        let victim = round % 3 + 1;
        cluster.wipe(victim);
        // It finds out when it wants another file; whatever looks after processes starts it again.
        cluster.until("the node to find out", |cluster| {
            let process = cluster.processes.get_mut(&victim).unwrap();
            process.has_ended().is_some_and(|last| {
                assert!(last.starts_with("failed"), "{last}");
                true
            })
        });
        load.more(commands, &mut cluster);
        cluster.start(victim);
        load.follow(&cluster);
        cluster.until("the node to vote again", |cluster| cluster.votes(victim));
        // Its vote counts: without another one all goes on.
        let other = victim % 3 + 1;
        cluster.kill(other);
        load.more(commands, &mut cluster);
        cluster.start(other);
        load.follow(&cluster);
        cluster.until("the other one to be back", |cluster| {
            let at = cluster.number(victim, "chosen");
            cluster.number(other, "applied") >= at && at > 0
        });
    }
    load.verify(&mut cluster);
}

#[test]
fn a_node_killed_while_it_takes_over_a_checkpoint_gets_there_in_the_end() {
    kills(3);
}

#[test]
#[ignore = "long"]
fn a_node_killed_ten_times_while_it_takes_over_checkpoints_gets_there_in_the_end() {
    kills(10);
}

/// Kills it every second time while the files come, else when the machine loads them.
fn kills(times: u64) {
    let (mut cluster, load) = three(3, 2 << 20, false);
    for time in 0..times {
        cluster.kill(3);
        load.follow(&cluster);
        // Everything that it may have is cleaned: only a checkpoint helps it.
        let last = cluster.number(1, "chosen").max(cluster.number(2, "chosen"));
        cluster.until("the log to be cleaned", |cluster| {
            (1..=2).all(|id| cluster.number(id, "first_kept") > last + 1)
        });
        cluster.start(3);
        if time % 2 == 0 {
            // A different part of it each time.
            let wanted = (time + 1) * (2 << 20) / (times + 1);
            cluster.until("a part of the checkpoint", |cluster| {
                let dir = cluster.dir(3).join("checkpoints/0");
                incoming(&dir).is_some_and(|bytes| bytes >= wanted)
            });
        } else {
            cluster.until("it to load a checkpoint", |cluster| {
                cluster.processes[&3].has_said("loading")
            });
        }
    }
    cluster.kill(3);
    cluster.start(3);
    load.follow(&cluster);
    cluster.until("it to have caught up", |cluster| {
        let at = cluster.number(1, "chosen");
        cluster.number(3, "applied") >= at && at > 0
    });
    load.more(200, &mut cluster);
    load.verify(&mut cluster);
}

/// How much there is of a checkpoint that is being received.
fn incoming(dir: &Path) -> Option<u64> {
    let checkpoints = fs::read_dir(dir).ok()?.flatten();
    let parts = checkpoints
        .filter(|it| it.path().join("offer").exists() && !it.path().join("manifest").exists());
    let sizes = parts.filter_map(|it| Some(fs::metadata(it.path().join("0/state")).ok()?.len()));
    sizes.max()
}

#[test]
fn all_nodes_are_replaced_by_others_under_load() {
    replacements(3, 200, Changes::Alone);
}

#[test]
#[ignore = "long"]
fn all_nodes_are_replaced_by_others_again_and_again_under_load() {
    replacements(15, 2000, Changes::Alone);
}

#[test]
fn all_nodes_are_replaced_while_leaders_are_killed() {
    replacements(3, 200, Changes::UnderKills);
}

#[test]
#[ignore = "long"]
fn all_nodes_are_replaced_again_and_again_while_leaders_are_killed() {
    replacements(15, 1000, Changes::UnderKills);
}

/// What happens while a change is made.
#[derive(Clone, Copy)]
enum Changes {
    Alone,
    /// The leader is killed, and started again.
    UnderKills,
}

impl Changes {
    /// Has a change made by way of one node.
    fn make(self, cluster: &mut Cluster, load: &Load, by: u64, question: Value) {
        match self {
            Self::Alone => cluster.change(by, question),
            Self::UnderKills => made_under_kills(cluster, load, by, question),
        }
    }
}

fn replacements(count: u64, commands: u64, changes: Changes) {
    let nodes = usize::try_from(count).unwrap() + 3;
    let (mut cluster, load) = three(nodes, 1 << 16, false);
    for old in 1..=count {
        let new = old + 3;
        cluster.start(new);
        let address = cluster.address(new).to_owned();
        let add = json!({"ask": "add", "node": new, "address": address});
        changes.make(&mut cluster, &load, old + 1, add);
        load.follow(&cluster);
        cluster.until("the new node to vote", |cluster| cluster.votes(new));
        load.more(commands, &mut cluster);
        // Whichever is asked, also the one that is to go, if the leader lives.
        let by = match changes {
            Changes::Alone if old % 2 == 1 => old,
            Changes::Alone | Changes::UnderKills => new,
        };
        changes.make(&mut cluster, &load, by, json!({"ask": "remove", "node": old}));
        // It may be stopped, and nobody goes on asking it.
        cluster.kill(old);
        load.follow(&cluster);
        load.more(commands, &mut cluster);
    }
    assert_eq!(members(&cluster, count + 1), [count + 1, count + 2, count + 3]);
    load.verify(&mut cluster);
}

/// Has a change made by way of one node, and kills the leader meanwhile if it is another one.
fn made_under_kills(cluster: &mut Cluster, load: &Load, by: u64, question: Value) {
    let leader = cluster.leader(by).filter(|&leader| leader != by);
    let change = cluster.begin_change(by, question);
    if let Some(leader) = leader {
        // At any moment of it.
        let wait = load.acknowledged() + child::random() % 60;
        cluster.until("some of it", |_| load.acknowledged() >= wait || change.is_finished());
        cluster.kill(leader);
        cluster.start(leader);
        load.follow(cluster);
    }
    let answer = change.join().unwrap();
    cluster.note(format!("{answer:?}"));
    assert!(answer.is_ok(), "{answer:?} {cluster:#?}");
}

/// Who votes or follows, as one node knows it.
fn members(cluster: &Cluster, by: u64) -> Vec<u64> {
    let shown = cluster.ask(by, &json!({"do": "membership", "group": 0, "ask": "show"})).unwrap();
    let members = shown["members"].as_array().unwrap().iter();
    members.map(|member| member["node"].as_u64().unwrap()).collect()
}
