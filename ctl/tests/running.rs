//! The commands about a running node, on a real one.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use synod::{Bootstrap, GroupId, Node, Position, StateMachine};

struct Idle;

impl StateMachine for Idle {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

fn synodctl(args: &[&str], dir: &Path) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synodctl"));
    let output = command.args(args).arg(dir).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_is_shown_and_steered() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::builder()
        .id(3)
        .listen("127.0.0.1:0")
        .data_dir(dir.path())
        .bootstrap(Bootstrap::Found)
        .log(synod::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() })
        .group(GroupId(0), || vec![Box::new(Idle)])
        .start()
        .await
        .unwrap();
    node.group(GroupId(0)).unwrap().propose("a").await.unwrap();

    let (output, text) = synodctl(&["status"], dir.path());
    assert!(output.status.success(), "{text}");
    assert!(text.contains("node 3 of cluster") && text.contains("leader"), "{text}");
    let (_, text) = synodctl(&["--json", "status"], dir.path());
    let status: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["groups"][0]["leader"], 3);

    let lease = ["master", "lease", "--group", "0", "--ms", "5000"];
    assert!(synodctl(&lease, dir.path()).0.status.success());
    assert!(synodctl(&["master", "campaign", "--group", "0"], dir.path()).0.status.success());
    let mut master = node.group(GroupId(0)).unwrap().master();
    while !master.is_master() {
        master.next().await.unwrap();
    }
    let (output, _) = synodctl(&["transfer", "--group", "0", "--to", "9"], dir.path());
    assert!(output.status.success(), "it is asked, and finds nobody to hand over to");
    let (output, _) = synodctl(&["transfer", "--group", "8", "--to", "9"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("no group 8"));

    node.shutdown().await;
    let (output, _) = synodctl(&["status"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("runs on this machine"));
}
