//! `synodctl force-recover`: two of three nodes are gone for good, and the third begins a new cluster.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::fs;
use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use common::{builder, synodctl};
use serde_json::Value;
use synod::{
    Bootstrap, CheckpointPolicy, GroupHandle, GroupId, Node, NodeBuilder, Proposal, ProposeError,
};
use tempfile::TempDir;

fn group(node: &Node) -> GroupHandle {
    node.group(GroupId(0)).unwrap()
}

fn why(output: Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn json(args: &[&str], dir: &Path) -> Vec<Value> {
    let (output, text) = synodctl(&[&["--json"], args].concat(), dir);
    assert!(output.status.success(), "{args:?}: {output:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The name, length and contents of all files that a node keeps its log in.
fn log_files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(dir).unwrap().flatten().filter(|it| it.file_type().unwrap().is_file());
    let mut files: Vec<_> = files
        .map(|it| (it.file_name().into_string().unwrap(), fs::read(it.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().flatten() {
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Waits until it gives something.
async fn wait<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "in vain: {what}");
        tokio::task::yield_now().await;
    }
}

async fn heard(node: &Node) -> Vec<String> {
    let bytes = group(node).read("").await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

/// Node `id`, which cleans its log below every checkpoint.
fn of(id: u64, dir: &Path) -> NodeBuilder {
    let policy = CheckpointPolicy { keep_instances: 0, ..CheckpointPolicy::manual() };
    builder(id, dir).checkpoints(policy)
}

/// Nodes 1 to 3 that found a cluster, and where they listen.
async fn three(dirs: &[TempDir; 3]) -> ([Node; 3], [String; 3]) {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners.each_ref().map(|it| it.local_addr().unwrap().to_string());
    let mut starts = Vec::new();
    for ((id, dir), listener) in (1..).zip(dirs).zip(listeners) {
        let mut node = of(id, dir.path()).listener(listener);
        for (peer, address) in (1..).zip(&addresses).filter(|(peer, _)| *peer != id) {
            node = node.peer(peer, address);
        }
        starts.push(tokio::spawn(node.start()));
    }
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await.unwrap().unwrap());
    }
    (nodes.try_into().unwrap(), addresses)
}

/// Two of three nodes are lost; with a checkpoint and a cleaned log on the third, or without.
async fn two_are_lost(is_cleaned: bool) {
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let (nodes, addresses) = three(&dirs).await;
    let mut all = Vec::new();
    for count in 0..30 {
        all.push(format!("before {count}"));
        group(&nodes[count % 3]).propose(format!("before {count}")).await.unwrap();
    }
    // A change of the membership is in the log, too; it names the old cluster.
    let here = addresses[2].replace("127.0.0.1", "localhost");
    let moved = ["membership", "address", "--group", "0", "--node", "3", "--address", &here];
    assert!(synodctl(&moved, dirs[2].path()).0.status.success());
    if is_cleaned {
        assert!(
            synodctl(&["checkpoint", "now", "--group", "0"], dirs[2].path()).0.status.success()
        );
    }
    all.push("last".to_owned());
    group(&nodes[0]).propose("last").await.unwrap();
    assert_eq!(heard(&nodes[2]).await, all);

    let survivor = dirs[2].path();
    let held = why(synodctl(&["force-recover"], survivor).0);
    assert!(
        held.contains("another process uses") && held.contains("stop the node first"),
        "{held}"
    );
    for node in nodes {
        node.shutdown().await;
    }
    // A copy of the second one turns up again later.
    let old = tempfile::tempdir().unwrap();
    copy(dirs[1].path(), old.path());
    let [first, second, third] = dirs;
    drop((first, second));
    let survivor = third.path();

    let before = log_files(survivor);
    let (output, text) = synodctl(&["force-recover"], survivor);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("voters 1, 2, 3") && text.contains("node 3 votes alone"), "{text}");
    let seen = json(&["force-recover"], survivor);
    let cluster = seen[0]["old_cluster"].as_str().unwrap().to_owned();
    assert!(text.contains(&format!("--yes-lose-data {cluster}")), "{text}");
    assert_eq!(seen[1]["checkpoint"].is_u64(), is_cleaned, "{seen:?}");
    assert_eq!(seen[1]["cleaned"].as_u64().unwrap() > 0, is_cleaned, "{seen:?}");
    assert_eq!(seen[2]["done"], false);
    let wrong = ["force-recover", "--yes-lose-data", "00000000deadbeef"];
    let wrong = why(synodctl(&wrong, survivor).0);
    assert!(wrong.contains(&cluster) && wrong.contains("is it the right one"), "{wrong}");
    if is_cleaned {
        // Without its files nobody could execute what is above the checkpoint.
        let (files, away) = (survivor.join("checkpoints"), survivor.join("away"));
        fs::rename(&files, &away).unwrap();
        let lost = why(synodctl(&["force-recover", "--yes-lose-data", &cluster], survivor).0);
        assert!(lost.contains("checkpoint at") && lost.contains("put them back"), "{lost}");
        fs::rename(away, files).unwrap();
    }
    assert_eq!(log_files(survivor), before, "nothing was changed so far");

    let done = json(&["force-recover", "--yes-lose-data", &cluster], survivor);
    let new = done[2]["cluster"].as_str().unwrap().to_owned();
    assert_ne!(new, cluster);
    assert_eq!(done[1], seen[1], "what was done is what was said before");

    // It starts alone, with the settings that it had, and has everything.
    let start = || {
        let node = of(3, survivor).listen(&addresses[2]).bootstrap(Bootstrap::Found);
        node.peer(1, &addresses[0]).peer(2, &addresses[1]).start()
    };
    let node = start().await.unwrap();
    assert_eq!(heard(&node).await, all);
    all.push("alone".to_owned());
    group(&node).propose("alone").await.unwrap();
    let status = node.status().await.unwrap();
    assert_eq!(status.cluster.unwrap().to_string(), new);

    // The copy of the old one is refused, and nothing comes of what it is asked.
    let to = &addresses[2];
    let stale = of(2, old.path()).peer(3, to).peer(1, &addresses[0]).start().await.unwrap();
    let refused = wait("the old node is refused", || async {
        node.status().await.unwrap().refused.last.filter(|last| last.contains("cluster"))
    });
    let refused = refused.await;
    assert!(refused.contains(&cluster) && refused.contains(&new), "{refused}");
    let lost = Proposal::new("stale").timeout(Duration::from_millis(500));
    let lost = group(&stale).propose(lost).await;
    assert!(matches!(lost, Err(ProposeError::Unknown)), "{lost:?}");
    stale.shutdown().await;

    // Empty nodes join, one of them under a number that was used before.
    let fresh = [1, 4].map(|id| (id, tempfile::tempdir().unwrap()));
    let mut joined = Vec::new();
    for (id, dir) in &fresh {
        let next = of(*id, dir.path()).bootstrap(Bootstrap::Join).peer(3, to);
        let next = next.start().await.unwrap();
        let (number, address) = (id.to_string(), next.local_addr().to_string());
        let add = ["membership", "add", "--group", "0", "--node", &number, "--address", &address];
        let (output, _) = synodctl(&add, survivor);
        assert!(output.status.success(), "node {id}: {output:?}");
        joined.push(next);
    }
    all.push("joined".to_owned());
    group(&joined[0]).propose("joined").await.unwrap();
    assert_eq!(heard(&joined[1]).await, all);

    // They are a majority without the survivor.
    node.shutdown().await;
    all.push("without".to_owned());
    let without = Proposal::new("without").timeout(Duration::from_secs(60));
    group(&joined[1]).propose(without).await.unwrap();
    assert_eq!(heard(&joined[0]).await, all);
    let node = start().await.unwrap();
    assert_eq!(heard(&node).await, all);
    for node in joined.into_iter().chain([node]) {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_goes_on_alone_and_others_join_it() {
    two_are_lost(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survivor_whose_log_begins_with_a_checkpoint_does_so_too() {
    two_are_lost(true).await;
}

#[test]
fn the_help_says_what_may_be_lost_and_ends_with_an_example_that_is_understood() {
    let (output, text) = synodctl(&["force-recover", "--help"], Path::new("."));
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("What may be lost") && text.contains("Wipe their directories"), "{text}");
    let line = text.lines().filter_map(|line| line.trim().strip_prefix("synodctl ")).next_back();
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    let (dir, words) = words.split_last().unwrap();
    let complaint = why(synodctl(words, Path::new(dir)).0);
    assert!(complaint.contains("/var/lib/your-service/log"), "{complaint}");
}
