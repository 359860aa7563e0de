//! Observers and metrics of a running cluster.
#![expect(clippy::unwrap_used, reason = "a test")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, commands, group, soon, until};
use synod::{
    Ballot, Bootstrap, Checkpoint, CheckpointError, CheckpointPolicy, Directory, GroupId, Instance,
    NodeId, Observer, Position, SmId, StateMachine, Stream,
};

/// Writes down what it hears, in a word or two.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn has(&self, line: &str) -> bool {
        self.0.lock().unwrap().iter().any(|noted| noted.contains(line))
    }
}

impl Observer for Diary {
    fn proposed(&self, group: GroupId, sm: SmId, bytes: usize) {
        self.note(format!("{group} proposed {bytes} to {}", sm.0));
    }
    fn committed(&self, group: GroupId, _at: Position, took: Duration) {
        assert!(took > Duration::ZERO);
        self.note(format!("{group} committed"));
    }
    fn refused(&self, group: GroupId, why: &str) {
        self.note(format!("{group} refused: {why}"));
    }
    fn leading(&self, group: GroupId, ballot: Ballot, _took: Duration) {
        self.note(format!("{group} leads as {}", ballot.node));
    }
    fn following(&self, group: GroupId, ballot: Ballot) {
        self.note(format!("{group} follows {}", ballot.node));
    }
    fn chosen(&self, group: GroupId, up_to: Instance) {
        assert!(up_to > Instance::ZERO);
        self.note(format!("{group} chosen"));
    }
    fn sent(&self, group: GroupId, to: NodeId, kind: &'static str, _value_bytes: usize) {
        self.note(format!("{group} sent {kind} to {to}"));
    }
    fn received(&self, group: GroupId, from: NodeId, kind: &'static str, _value_bytes: usize) {
        self.note(format!("{group} received {kind} from {from}"));
    }
    fn connected(&self, peer: NodeId) {
        self.note(format!("connected {peer}"));
    }
    fn disconnected(&self, peer: NodeId) {
        self.note(format!("disconnected {peer}"));
    }
    fn log_synced(&self, batches: usize, _value_bytes: u64, took: Duration) {
        assert!(batches > 0 && took > Duration::ZERO);
        self.note("synced".to_owned());
    }
    fn checkpointed(&self, group: GroupId, at: Instance) {
        self.note(format!("{group} checkpoint at {at}."));
    }
    fn checkpoint_failed(&self, group: GroupId, at: Instance, why: &str) {
        assert!(at > Instance::ZERO);
        self.note(format!("{group} no checkpoint: {why}"));
    }
    fn installed(&self, group: GroupId, at: Instance) {
        self.note(format!("{group} installed {at}."));
    }
    fn membership_changed(&self, group: GroupId, version: Instance) {
        self.note(format!("{group} membership {version}."));
    }
    fn master_changed(&self, group: GroupId, holder: Option<NodeId>, version: Instance) {
        assert!(version > Instance::ZERO);
        self.note(format!("{group} master {holder:?}"));
    }
    fn group_failed(&self, group: GroupId, why: &str) {
        self.note(format!("{group} failed: {why}"));
    }
}

#[tokio::test]
async fn an_observer_hears_what_happens_here() {
    let mut cluster = Cluster::new(2);
    let diary = Diary::default();
    let one = cluster.builder(1).observer(diary.clone()).start().await.unwrap();
    let two = cluster.start(2).await;
    soon(group(&one).propose("four")).await.unwrap();
    drop(soon(group(&one).propose(vec![0; 20 << 20])).await.unwrap_err());
    drop(soon(group(&one).checkpoint()).await.unwrap_err());
    drop(soon(group(&one).propose("boom")).await.unwrap_err());
    until(&one, "failed", |status| status.groups[0].failed.is_some()).await;
    soon(two.shutdown()).await;
    let leader = if diary.has("0 leads as 1") { "accept to 2" } else { "accepted to 2" };
    assert_eq!(commands(&cluster.executed[0]), ["four"]);
    let expected = [
        "connected 2",
        "0 proposed 4 to 0",
        "0 committed",
        "0 refused: a command of 20971520 bytes",
        "0 chosen",
        "0 no checkpoint: state machine 0 does not support checkpoints",
        leader,
        "0 received heartbeat",
        "synced",
        "0 failed: state machine 0 panicked",
        "0 refused: stopped: state machine 0 panicked", // it was under way
        "disconnected 2",
    ];
    heard(&diary, &expected).await;
}

/// Has no state, so its checkpoints are empty.
struct Stateless;

impl StateMachine for Stateless {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Ok(Box::new(Stream(Bytes::new())))
    }
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        Stream::load(directory).map(drop)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_memberships_and_masters_are_heard() {
    let policy = CheckpointPolicy { keep_instances: 0, ..CheckpointPolicy::manual() };
    let mut cluster = Cluster::new(2);
    cluster.founders = 1;
    let diaries = [Diary::default(), Diary::default()];
    let mut builder = |id: u64, diary: &Diary| {
        let builder = cluster.hosting(id, || vec![Box::new(Stateless)]);
        builder.checkpoints(policy).observer(diary.clone())
    };
    let one = builder(1, &diaries[0]).start().await.unwrap();
    for _ in 0..10 {
        soon(group(&one).propose("a")).await.unwrap();
    }
    let at = soon(group(&one).checkpoint()).await.unwrap();
    until(&one, "cleaned", |status| status.groups[0].core.is_some_and(|it| it.cleaned == at)).await;
    heard(&diaries[0], &[&format!("0 checkpoint at {at}.")]).await;

    // Of what the other has to learn nothing is left but the checkpoint.
    let two = builder(2, &diaries[1]).bootstrap(Bootstrap::Join).start().await.unwrap();
    let to = cluster.addresses[1].clone();
    let version = soon(group(&one).membership().add_follower(NodeId(2), &to)).await.unwrap();
    let (installed, durable) = (format!("0 installed {at}."), format!("0 checkpoint at {at}."));
    heard(&diaries[1], &[&installed, &durable]).await;
    assert!(!diaries[0].has("installed"), "{:?}", diaries[0]);

    let master = group(&one).master();
    master.set_lease(Duration::from_secs(3));
    master.campaign(true);
    for diary in &diaries {
        heard(diary, &[&format!("0 membership {version}."), "0 master Some(NodeId(1))"]).await;
        assert!(!diary.has("0 master None"), "{diary:?}");
    }
    master.release();
    for diary in &diaries {
        heard(diary, &["0 master None"]).await;
    }
    soon(two.shutdown()).await;
    soon(one.shutdown()).await;
}

/// Waits until all of these were heard.
async fn heard(diary: &Diary, expected: &[&str]) {
    let begun = std::time::Instant::now();
    while let Some(missing) = expected.iter().find(|line| !diary.has(line)) {
        assert!(begun.elapsed() < common::SOON, "{missing:?} was not heard: {diary:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl std::fmt::Debug for Diary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.lock().unwrap().iter()).finish()
    }
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn metrics_are_scraped_over_http_each_node_its_own() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    for _ in 0..3 {
        soon(group(&node).propose("a")).await.unwrap();
    }
    drop(soon(group(&node).propose(vec![0; 20 << 20])).await.unwrap_err());
    let mut other = Cluster::new(1);
    let other = other.start(1).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(node.metrics().serve(listener));
    let ask = async |request: &str| {
        let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let text = soon(ask("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    for line in [
        "HTTP/1.0 200 OK",
        "synod_proposed_total{group=\"0\"} 3",
        "synod_proposed_bytes_total{group=\"0\"} 3",
        "synod_refused_total{group=\"0\"} 1",
        "synod_commit_seconds_count{group=\"0\"} 3",
        "synod_commit_seconds_bucket{le=\"+Inf\",group=\"0\"} 3",
        "synod_leads{group=\"0\"} 1",
        "synod_leader{group=\"0\"} 1",
        "synod_log_sync_seconds_count ",
        "# EOF",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert!(soon(ask("GET / HTTP/1.1\r\n\r\n")).await.starts_with("HTTP/1.0 404"));
    assert!(soon(ask("POST /metrics HTTP/1.1\r\n\r\n")).await.starts_with("HTTP/1.0 405"));
    assert!(other.metrics().encode().contains("synod_proposed_total{group=\"0\"} 0"));
    server.abort();
}
