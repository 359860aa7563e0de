//! Three real servers on loopback and the client's command line: one is killed, the others go on, it comes
//! back and catches up.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// For each single thing that has to happen; nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Cluster {
    nodes: Vec<u16>,
    clients: Vec<u16>,
    data: tempfile::TempDir,
    servers: Vec<Option<Running>>,
}

impl Cluster {
    fn start(&mut self, id: usize) {
        let mut command = kv();
        command.arg("server").args(["--id", &id.to_string(), "--checkpoint-every", "20"]);
        command.arg("--serve").arg(format!("127.0.0.1:{}", self.clients[id - 1]));
        command.arg("--listen").arg(format!("127.0.0.1:{}", self.nodes[id - 1]));
        command.arg("--data").arg(self.data.path().join(id.to_string()));
        for peer in (1..=3).filter(|&peer| peer != id) {
            command.arg("--peer").arg(format!("{peer}=127.0.0.1:{}", self.nodes[peer - 1]));
        }
        let server = Running(command.stdout(Stdio::null()).spawn().unwrap());
        self.servers[id - 1] = Some(server);
    }

    /// Runs the client against one node.
    fn ask(&self, id: usize, arguments: &[&str]) -> Output {
        let server = format!("127.0.0.1:{}", self.clients[id - 1]);
        kv().args(["--servers", &server]).args(arguments).output().unwrap()
    }

    /// The same until it says this.
    fn until(&self, id: usize, arguments: &[&str], wanted: &str) {
        let begun = Instant::now();
        loop {
            let output = self.ask(id, arguments);
            if String::from_utf8_lossy(&output.stdout) == wanted {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{arguments:?} in vain for {wanted:?}: {output:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The same for something that has to work at once.
    fn must(&self, id: usize, arguments: &[&str]) -> String {
        let output = self.ask(id, arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

#[test]
fn a_killed_server_is_not_missed_and_catches_up() {
    let ports = free_ports();
    let (nodes, clients) = (ports[..3].to_vec(), ports[3..].to_vec());
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster { nodes, clients, data, servers: vec![None, None, None] };
    (1..=3).for_each(|id| cluster.start(id));
    // All groups have leaders when this many keys could be set.
    for number in 0..20 {
        let key = format!("warm-{number}");
        let begun = Instant::now();
        while !cluster.ask(1 + number % 3, &["put", &key, "up"]).status.success() {
            assert!(begun.elapsed() < PATIENCE, "the cluster does not form");
            thread::sleep(Duration::from_millis(50));
        }
    }

    let (_watch, mut changes) = watch(&cluster, 3, "user/");
    let version = cluster.must(1, &["put", "user/ada", "one"]);
    assert_eq!(cluster.must(2, &["get", "user/ada"]), "one");
    assert_eq!(cluster.must(3, &["get", "user/ada", "--version"]), format!("{version} one"));
    let next = cluster.must(2, &["cas", "user/ada", "two", "--version", &version]);
    let refused = cluster.ask(3, &["cas", "user/ada", "three", "--version", &version]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let text = String::from_utf8_lossy(&refused.stdout).into_owned();
    assert_eq!(text, format!("not changed: the version is {next}\n"));
    cluster.must(1, &["put", "elsewhere", "not watched"]);
    cluster.must(1, &["delete", "user/ada"]);
    assert_eq!(cluster.ask(2, &["get", "user/ada"]).status.code(), Some(1));
    for wanted in ["user/ada = one", "user/ada = two", "user/ada deleted"] {
        assert_eq!(change(&mut changes), wanted);
    }

    // kill -9: the others go on.
    cluster.servers[0] = None;
    let unreachable = cluster.ask(1, &["put", "user/eve", "x"]);
    assert_eq!(unreachable.status.code(), Some(2), "{unreachable:?}");
    let begun = Instant::now();
    while !cluster.ask(2, &["put", "user/eve", "without one"]).status.success() {
        assert!(begun.elapsed() < PATIENCE, "two of three do not go on");
    }
    // Unknown outcomes are tried again above; the watcher sees the first, and maybe repetitions.
    assert_eq!(change(&mut changes), "user/eve = without one");
    for number in 0..150 {
        let key = format!("more-{number}");
        let begun = Instant::now();
        while !cluster.ask(2 + number % 2, &["put", &key, "x"]).status.success() {
            assert!(begun.elapsed() < PATIENCE, "two of three do not go on");
        }
    }
    cluster.start(1);
    cluster.until(1, &["get", "user/eve", "--local"], "without one\n");
    cluster.until(1, &["get", "more-149", "--local"], "x\n");
    cluster.until(1, &["get", "more-0"], "x\n");

    // Told politely, a server ends well, and its watchers are told.
    let mut third = cluster.servers[2].take().unwrap();
    let told = kill_politely(&third.0);
    assert!(told.success());
    let begun = Instant::now();
    let ended = loop {
        if let Some(ended) = third.0.try_wait().unwrap() {
            break ended;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not stop");
        thread::sleep(Duration::from_millis(20));
    };
    assert!(ended.success(), "{ended:?}");
    cluster.until(1, &["get", "more-149"], "x\n");
}

#[test]
fn another_number_of_groups_is_refused() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("groups"), "8").unwrap();
    let output = kv()
        .args(["server", "--id", "1", "--serve", "127.0.0.1:0", "--listen", "127.0.0.1:0"])
        .arg("--data")
        .arg(data.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--groups 8, not 4"), "{output:?}");
}

/// A client that watches, begun.
fn watch(cluster: &Cluster, id: usize, prefix: &str) -> (Running, BufReader<ChildStdout>) {
    let server = format!("127.0.0.1:{}", cluster.clients[id - 1]);
    let mut command = kv();
    command.args(["watch", prefix, "--servers", &server]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..4 {
        assert_eq!(change(&mut lines), "begins");
    }
    (Running(child), lines)
}

/// The next line, without its place.
fn change(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    line.trim_end().split_once(' ').expect("a place, and a change").1.to_owned()
}

fn kill_politely(child: &Child) -> std::process::ExitStatus {
    Command::new("kill").arg(child.id().to_string()).status().unwrap()
}

fn kv() -> Command {
    Command::new(Path::new(env!("CARGO_BIN_EXE_kv")))
}

/// Six ports that were free a moment ago.
fn free_ports() -> Vec<u16> {
    let listeners: Vec<_> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
