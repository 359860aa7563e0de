//! Nodes in processes of their own, seen and steered from outside as an operator does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// For each single thing that has to happen; nothing takes nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One process. Killed by its own id when dropped.
pub(crate) struct Process {
    child: Child,
    lines: Receiver<String>,
    /// Where it serves clients.
    pub(crate) serves: String,
}

/// Processes, and where they are.
pub(crate) struct Cluster {
    pub(crate) processes: BTreeMap<u64, Process>,
    addresses: Vec<String>,
    data: TempDir,
    /// Bytes of filling in a checkpoint.
    ballast: u64,
    begun: Instant,
    story: Vec<String>,
}

impl Cluster {
    /// Room for so many nodes, of which the first three found the cluster.
    pub(crate) fn new(nodes: usize, ballast: u64) -> Self {
        Self {
            processes: BTreeMap::new(),
            addresses: crate::child::addresses(nodes).unwrap(),
            data: tempfile::tempdir().unwrap(),
            ballast,
            begun: Instant::now(),
            story: Vec::new(),
        }
    }

    /// Starts a node and waits until it serves clients, which it may do before it can answer them.
    pub(crate) fn start(&mut self, id: u64) {
        let peers: Vec<u64> = if id <= 3 { vec![1, 2, 3] } else { self.members() };
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledger_node"));
        command.args(["--id", &id.to_string(), "--listen", self.address(id)]);
        command.args(["--ballast", &self.ballast.to_string()]);
        command.arg("--data").arg(self.dir(id));
        if id > 3 {
            command.arg("--join");
        }
        command.args(peers.iter().filter(|&&peer| peer != id).map(|&peer| {
            let address = self.address(peer);
            format!("{peer}={address}")
        }));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.take_while(|line| tell.send(line.clone()).is_ok()).for_each(drop);
        });
        let mut process = Process { child, lines, serves: String::new() };
        let serves = process.hears(|line| line.strip_prefix("serves ").map(str::to_owned));
        process.serves = serves.unwrap_or_else(|| panic!("node {id} does not serve: {self:#?}"));
        self.processes.insert(id, process);
        self.note(format!("{id} started"));
    }

    /// `kill -9`, by its own id, and waits until it is gone.
    pub(crate) fn kill(&mut self, id: u64) {
        drop(self.processes.remove(&id).unwrap());
        self.note(format!("{id} killed"));
    }

    /// Takes a node's disk away, running or not.
    pub(crate) fn wipe(&mut self, id: u64) {
        self.note(format!("{id} wiped"));
        // A running one may be adding to it.
        self.until("an empty disk", |cluster| {
            let dir = cluster.dir(id);
            drop(fs::remove_dir_all(&dir));
            !dir.exists()
        });
    }

    pub(crate) fn address(&self, id: u64) -> &str {
        &self.addresses[usize::try_from(id - 1).unwrap()]
    }

    pub(crate) fn dir(&self, id: u64) -> PathBuf {
        self.data.path().join(id.to_string())
    }

    /// Those that run and vote.
    fn members(&self) -> Vec<u64> {
        self.processes.keys().copied().filter(|&id| self.votes(id)).collect()
    }

    pub(crate) fn votes(&self, id: u64) -> bool {
        self.group(id)["votes"] == true
    }

    /// What a node says of its group; null while it does not answer.
    pub(crate) fn group(&self, id: u64) -> Value {
        let status = self.ask(id, &json!({"do": "status"}));
        status.map_or(Value::Null, |mut status| status["groups"][0].take())
    }

    /// A number of it.
    pub(crate) fn number(&self, id: u64, name: &str) -> u64 {
        self.group(id)[name].as_u64().unwrap_or(0)
    }

    /// Asks a node as an operator does.
    pub(crate) fn ask(&self, id: u64, question: &Value) -> Result<Value, String> {
        ask(&self.dir(id), question)
    }

    /// Changes the membership by way of one node.
    pub(crate) fn change(&mut self, by: u64, question: Value) {
        let answer = self.begin_change(by, question).join().unwrap();
        self.note(format!("{answer:?}"));
        assert!(answer.is_ok(), "{answer:?} {self:#?}");
    }

    /// The same, without waiting for its answer.
    pub(crate) fn begin_change(
        &mut self,
        by: u64,
        mut question: Value,
    ) -> JoinHandle<Result<Value, String>> {
        question["do"] = json!("membership");
        question["group"] = json!(0);
        question["ms"] = json!(40_000);
        self.note(format!("{by} is asked to {question}"));
        let dir = self.dir(by);
        thread::spawn(move || ask(&dir, &question))
    }

    /// Which node leads, as far as this one knows.
    pub(crate) fn leader(&self, id: u64) -> Option<u64> {
        self.group(id)["leader"].as_u64()
    }

    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < PATIENCE, "in vain for {what}: {self:#?}");
            thread::sleep(Duration::from_millis(2));
        }
        self.note(format!("{what}, after {:?}", begun.elapsed()));
    }

    /// Tells what happened, with `--nocapture`.
    #[expect(clippy::print_stdout, reason = "for whoever wants to see it")]
    pub(crate) fn tell(&self) {
        println!("{:#?}", self.story);
    }

    pub(crate) fn note(&mut self, what: String) {
        self.story.push(format!("{:?}: {what}", self.begun.elapsed()));
    }
}

fn ask(dir: &Path, question: &Value) -> Result<Value, String> {
    let asked = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(dir.join("admin.sock"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{question}")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    };
    let line = asked().map_err(|error| error.to_string())?;
    let mut answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
    match answer["error"].as_str() {
        Some(why) => Err(why.to_owned()),
        None => Ok(answer["ok"].take()),
    }
}

impl Process {
    /// Whether it has ended by itself; with the last that it said.
    pub(crate) fn has_ended(&mut self) -> Option<String> {
        self.child.try_wait().unwrap()?;
        Some(self.lines.iter().last().unwrap_or_default())
    }

    /// Whether it has said this since it was asked last.
    pub(crate) fn has_said(&self, wanted: &str) -> bool {
        self.lines.try_iter().any(|line| line == wanted)
    }

    /// Waits for a line.
    fn hears<T>(&self, of: impl Fn(&str) -> Option<T>) -> Option<T> {
        let begun = Instant::now();
        while let Some(left) = PATIENCE.checked_sub(begun.elapsed()) {
            if let Some(found) = of(&self.lines.recv_timeout(left).ok()?) {
                return Some(found);
            }
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let states: BTreeMap<u64, Result<Value, String>> =
            self.processes.keys().map(|&id| (id, self.ask(id, &json!({"do": "status"})))).collect();
        f.debug_struct("Cluster").field("states", &states).field("story", &self.story).finish()
    }
}
