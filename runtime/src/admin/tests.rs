use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use synod_core::Position;

use super::ADMIN_SOCKET;
use crate::{Bootstrap, Config, GroupId, Node, StateMachine};

struct Idle;

impl StateMachine for Idle {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

async fn alone(dir: &Path) -> Node {
    let config = Config { master_lease: std::time::Duration::from_secs(5), ..Config::default() };
    let node = Node::builder()
        .id(1)
        .listen("127.0.0.1:0")
        .data_dir(dir)
        .bootstrap(Bootstrap::Found)
        .config(config)
        .log(crate::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() })
        .group(GroupId(4), || vec![Box::new(Idle)]);
    node.start().await.unwrap()
}

fn ask(dir: &Path, question: &str) -> Value {
    let stream = UnixStream::connect(dir.join(ADMIN_SOCKET)).unwrap();
    writeln!(&mut &stream, "{question}").unwrap();
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_the_node_and_is_told_what_is_wrong_with_a_question() {
    let dir = tempfile::tempdir().unwrap();
    let node = alone(dir.path()).await;
    node.group(GroupId(4)).unwrap().propose("a").await.unwrap();
    let status = &ask(dir.path(), &json!({"do": "status"}).to_string())["ok"];
    assert_eq!((&status["node"], &status["state"]), (&json!(1), &json!("running")));
    let group = &status["groups"][0];
    assert_eq!((&group["group"], &group["leader"]), (&json!(4), &json!(1)), "{group}");
    assert!(group["chosen"].as_u64() >= Some(2), "{group}");
    for (question, why) in [
        ("hello", "JSON"),
        ("{}", "names nothing"),
        (r#"{"do": "dance"}"#, "dance"),
        (r#"{"do": "transfer", "group": 7, "to": 2}"#, "[4]"),
        (r#"{"do": "master", "group": 4, "ask": "give"}"#, "release"),
        (r#"{"do": "checkpoint", "group": 4, "ask": "later"}"#, "resume"),
        (r#"{"do": "checkpoint", "group": 4, "ask": "now"}"#, "does not support checkpoints"),
        (
            r#"{"do": "checkpoint", "group": 4, "ask": "now", "ms": "x"}"#,
            "\"ms\" is to be a number",
        ),
        (r#"{"do": "membership", "group": 4, "ask": "shrink"}"#, "promote"),
        (r#"{"do": "membership", "group": 4, "ask": "remove", "node": 0}"#, "\"node\""),
        (r#"{"do": "membership", "group": 4, "ask": "remove", "node": 9}"#, "node 9 is no member"),
        (
            r#"{"do": "membership", "group": 4, "ask": "add", "node": 2, "address": "host"}"#,
            "host:port",
        ),
    ] {
        let answer = ask(dir.path(), question);
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(why)), "{answer}");
    }
    let socket = dir.path().join(ADMIN_SOCKET);
    node.shutdown().await;
    assert!(!socket.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_lets_go_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let node = alone(dir.path()).await;
    let mut master = node.group(GroupId(4)).unwrap().master();
    while !master.is_master() {
        master.next().await.unwrap();
    }
    let asked = ask(dir.path(), r#"{"do": "master", "group": 4, "ask": "release"}"#);
    assert_eq!(asked["ok"]["asked"], "release");
    while master.is_master() {
        master.next().await.unwrap();
    }
}
