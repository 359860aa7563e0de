//! `synodctl membership` and `synodctl checkpoint`, on real nodes.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::path::Path;

use common::{builder, synodctl};
use serde_json::{Value, json};
use synod::{Bootstrap, CheckpointPolicy, GroupId, Node};
use tempfile::TempDir;

const OF: [&str; 2] = ["--group", "0"];

/// What it says, which has to be good news.
fn good(args: &[&str], dir: &Path) -> String {
    let (output, text) = synodctl(&[args, &OF].concat(), dir);
    assert!(output.status.success(), "{args:?}: {output:?}");
    text
}

fn asked(args: &[&str], dir: &Path) -> Value {
    serde_json::from_str(&good(&[&["--json"], args].concat(), dir)).unwrap()
}

/// What it complains of.
fn bad(args: &[&str], dir: &Path) -> String {
    let (output, text) = synodctl(&[args, &OF].concat(), dir);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    String::from_utf8(output.stderr).unwrap()
}

fn parts(membership: &Value) -> Vec<(u64, String)> {
    let members = membership["members"].as_array().unwrap().iter();
    let part = |it: &Value| (it["node"].as_u64().unwrap(), it["part"].as_str().unwrap().to_owned());
    members.map(part).collect()
}

/// Node 1 alone, and node 2, which wants to join it.
async fn two() -> [(TempDir, Node); 2] {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let policy = CheckpointPolicy { keep_instances: 0, ..CheckpointPolicy::manual() };
    let first = builder(1, one.path()).bootstrap(Bootstrap::Found).checkpoints(policy);
    let first = first.start().await.unwrap();
    first.group(GroupId(0)).unwrap().propose("a").await.unwrap();
    let second = builder(2, two.path()).bootstrap(Bootstrap::Join);
    let second = second.peer(1, first.local_addr().to_string()).start().await.unwrap();
    [(one, first), (two, second)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_added_promoted_moved_and_takes_the_place_of_the_first() {
    let [(one, first), (two, second)] = two().await;
    let (at_one, at_two) = (one.path(), two.path());
    let shown = asked(&["membership", "show"], at_one);
    assert_eq!((&shown["version"], &shown["complete"]), (&json!(0), &json!(true)));
    assert_eq!(parts(&shown), [(1, "voter".to_owned())]);
    let text = good(&["membership", "show"], at_one);
    assert!(text.contains("version 0") && text.contains("as the settings say"), "{text}");

    let address = second.local_addr().to_string();
    let add = ["membership", "add", "--node", "2", "--address", &address, "--follower"];
    let added = asked(&[&add[..], &["--version", "0"]].concat(), at_one);
    let version = added["made"].as_u64().unwrap();
    assert!(version > 1 && added["version"] == version, "{added}");
    assert_eq!(parts(&added), [(1, "voter".to_owned()), (2, "follower".to_owned())]);
    assert_eq!(added["members"][1]["address"], address.as_str());

    // Made for a version that is not there any more: it says which one is, and changes nothing.
    let promote = ["membership", "promote", "--node", "2"];
    let why = bad(&[&promote[..], &["--version", "0"]].concat(), at_one);
    assert!(why.contains(&format!("has version {version},")) && why.contains("not 0"), "{why}");
    assert_eq!(asked(&["membership", "show"], at_one)["version"], version);
    let why = bad(&add, at_one);
    assert!(why.contains("node 2 is a member already"), "{why}");
    let why = bad(&["membership", "promote", "--node", "1"], at_one);
    assert!(why.contains("node 1 is no member of the right kind"), "{why}");

    // Whichever member is asked.
    assert!(good(&promote, at_two).starts_with("made, and complete\ngroup 0: version "));
    let elsewhere = format!("localhost:{}", first.local_addr().port());
    let text = good(&["membership", "address", "--node", "1", "--address", &elsewhere], at_two);
    assert!(text.contains(&elsewhere) && text.contains(&address), "{text}");
    let removed = asked(&["membership", "remove", "--node", "1"], at_two);
    assert_eq!(parts(&removed), [(2, "voter".to_owned())]);
    first.shutdown().await;
    second.group(GroupId(0)).unwrap().propose("b").await.unwrap();
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_waits_for_a_node_says_for_which() {
    let dir = tempfile::tempdir().unwrap();
    let node = builder(1, dir.path()).bootstrap(Bootstrap::Found).start().await.unwrap();
    node.group(GroupId(0)).unwrap().propose("a").await.unwrap();
    // Nobody listens there.
    let to = ["--node", "1", "--with", "7", "--address", "127.0.0.1:1", "--timeout", "2"];
    let why = bad(&[&["membership", "replace"], &to[..]].concat(), dir.path());
    assert!(why.contains("disk of node 7") && why.contains("may still be"), "{why}");
    assert_eq!(asked(&["membership", "show"], dir.path())["version"], 0);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_taken_and_cleaning_rests() {
    let [(one, first), (_two, second)] = two().await;
    let dir = one.path();
    let group = first.group(GroupId(0)).unwrap();
    let cleaned = |status: &Value| status["groups"][0]["first_kept"].as_u64().unwrap();
    let status = || -> Value {
        let (_, text) = synodctl(&["--json", "status"], dir);
        serde_json::from_str(&text).unwrap()
    };
    let text = good(&["checkpoint", "pause"], dir);
    assert!(text.contains("not cleaned"), "{text}");
    let taken = asked(&["checkpoint", "now"], dir)["checkpoint"].as_u64().unwrap();
    assert!(taken >= group.status().await.unwrap().core.unwrap().applied.0, "{taken}");
    let seen = status();
    assert_eq!((&seen["groups"][0]["checkpoint"], cleaned(&seen)), (&json!(taken), 1));
    assert!(synodctl(&["status"], dir).1.contains("checkpoint"));

    assert!(good(&["checkpoint", "resume"], dir).contains("cleaned below"));
    let begun = std::time::Instant::now();
    while cleaned(&status()) != taken + 1 {
        assert!(begun.elapsed().as_secs() < 30, "the log is not cleaned");
    }
    assert!(good(&["checkpoint", "now"], dir).contains(&format!("instance {taken} ")));
    first.shutdown().await;
    second.shutdown().await;
}

#[test]
fn every_command_has_an_example_that_it_understands() {
    for (command, asks) in [
        ("membership", &["show", "add", "remove", "replace", "promote", "address"][..]),
        ("checkpoint", &["now", "pause", "resume"]),
    ] {
        for ask in asks {
            let (help, text) = synodctl(&[command, ask], Path::new("--help"));
            assert!(help.status.success(), "{help:?}");
            let line = text.lines().find_map(|line| line.strip_prefix("Example:  synodctl "));
            let words: Vec<&str> = line.unwrap().split_whitespace().collect();
            assert_eq!(&words[..2], [command, *ask]);
            // Understood: all that is wrong with it is that no node is there.
            let (words, dir) = words.split_at(words.len() - 1);
            let (output, _) = synodctl(words, Path::new(dir[0]));
            let why = String::from_utf8(output.stderr).unwrap();
            assert!(why.contains("runs on this machine"), "{ask}: {why}");
        }
    }
}
