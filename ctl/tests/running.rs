//! The commands about a running node, on a real one.
mod common;

use common::{builder, synodctl};
use synod::{Bootstrap, GroupId};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_is_shown_and_steered() {
    let dir = tempfile::tempdir().unwrap();
    let node = builder(3, dir.path()).bootstrap(Bootstrap::Found).start().await.unwrap();
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
