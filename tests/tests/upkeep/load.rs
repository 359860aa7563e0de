//! Clients that write without a pause, and what is to be found of it in the end.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, PATIENCE};

/// Clients under way.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<u64>>,
}

#[derive(Default)]
struct Shared {
    /// Where clients are served; they go on to the next when one does not answer.
    nodes: Mutex<BTreeMap<u64, String>>,
    /// Whether nodes lose their disks, and so say that they have stopped.
    may_stop: bool,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    /// Answers after which a command was tried again, and how often.
    retries: Mutex<BTreeMap<String, u64>>,
    /// Answers that no client should get.
    bad: Mutex<Vec<String>>,
}

const CLIENTS: u64 = 4;

impl Load {
    pub(crate) fn start(cluster: &Cluster, may_stop: bool) -> Self {
        let shared = Arc::new(Shared { may_stop, ..Shared::default() });
        let mut load = Self { clients: Vec::new(), shared };
        load.follow(cluster);
        for number in 1..=CLIENTS {
            let shared = Arc::clone(&load.shared);
            load.clients.push(thread::spawn(move || write(number, &shared)));
        }
        load
    }

    /// Tells the clients which nodes there are.
    pub(crate) fn follow(&self, cluster: &Cluster) {
        let nodes = cluster.processes.iter().map(|(&id, process)| (id, process.serves.clone()));
        *self.shared.nodes.lock().unwrap() = nodes.collect();
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more commands were acknowledged.
    pub(crate) fn more(&self, count: u64, cluster: &mut Cluster) {
        let wanted = self.acknowledged() + count;
        cluster.until("more commands", |_| self.acknowledged() >= wanted);
    }

    /// Stops, and checks that what was acknowledged is on every node, once, in one order, and nothing
    /// else; says how much that is.
    pub(crate) fn verify(self, cluster: &mut Cluster) -> u64 {
        self.follow(cluster);
        self.shared.stop.store(true, Ordering::Relaxed);
        let join = |client: JoinHandle<u64>| client.join().expect("a client that goes on");
        let counts: BTreeMap<u64, u64> = (1..).zip(self.clients.into_iter().map(join)).collect();
        let bad = self.shared.bad.lock().unwrap();
        assert!(bad.is_empty(), "{bad:?} {cluster:#?}");
        let mut first: Option<(u64, Vec<String>)> = None;
        let ids: Vec<u64> = cluster.processes.keys().copied().collect();
        for id in ids {
            let entries = list(id, cluster);
            if let Some((other, entries_there)) = &first {
                assert!(&entries == entries_there, "{other} and {id} disagree {cluster:#?}");
                continue;
            }
            check(&entries, &counts).unwrap_or_else(|why| panic!("node {id}: {why} {cluster:#?}"));
            first = Some((id, entries));
        }
        let total = counts.values().sum();
        let retries = self.shared.retries.lock().unwrap();
        cluster.note(format!("{total} acknowledged; tried again: {retries:?}"));
        assert!(total > 0, "nothing shows nothing");
        cluster.tell();
        total
    }
}

/// Whether these are the commands 1 to `counts` of each client, in order, each once.
fn check(entries: &[String], counts: &BTreeMap<u64, u64>) -> Result<(), String> {
    let mut found: BTreeMap<u64, u64> = counts.keys().map(|&client| (client, 0)).collect();
    for entry in entries {
        let numbers = entry.split_once(' ').and_then(|(client, number)| {
            Some((client.parse::<u64>().ok()?, number.parse::<u64>().ok()?))
        });
        let Some((client, number)) = numbers else { return Err(format!("odd entry {entry:?}")) };
        let last = found.get_mut(&client).ok_or_else(|| format!("nobody wrote {entry:?}"))?;
        if number != *last + 1 {
            return Err(format!("{entry:?} stands behind {last} of that client"));
        }
        *last = number;
    }
    if &found != counts {
        return Err(format!("acknowledged were {counts:?}, and there are {found:?}"));
    }
    Ok(())
}

/// All that a node has executed, once it can say so.
fn list(id: u64, cluster: &mut Cluster) -> Vec<String> {
    let mut found = None;
    cluster.until("a node's entries", |cluster| {
        let serves = cluster.processes[&id].serves.clone();
        found = Talk::to(&serves).and_then(|mut talk| talk.list()).ok();
        found.is_some()
    });
    found.unwrap()
}

/// One client: the next command when the last is acknowledged, tried again until then.
fn write(client: u64, shared: &Shared) -> u64 {
    let mut done = 0;
    let mut turn = client;
    let mut talk = None;
    while !shared.stop.load(Ordering::Relaxed) {
        let command = format!("put {client} {}", done + 1);
        let begun = Instant::now();
        loop {
            let why = match said(&mut talk, &mut turn, &command, shared) {
                Ok(answer) if answer == "ok" => break,
                Ok(answer) => answer,
                Err(error) => format!("no answer: {:?}", error.kind()),
            };
            if why.starts_with("bad") || (why.starts_with("stopped") && !shared.may_stop) {
                shared.bad.lock().unwrap().push(format!("{command}: {why}"));
            }
            *shared.retries.lock().unwrap().entry(why.clone()).or_default() += 1;
            assert!(begun.elapsed() < PATIENCE, "{command} in vain: {why}");
            talk = None;
            // Not to spin where nobody is.
            thread::sleep(Duration::from_millis(5));
        }
        done += 1;
        shared.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    done
}

/// What a node answers; the next one if there is no conversation yet.
fn said(
    talk: &mut Option<Talk>,
    turn: &mut u64,
    command: &str,
    shared: &Shared,
) -> io::Result<String> {
    if talk.is_none() {
        let nodes: Vec<String> = shared.nodes.lock().unwrap().values().cloned().collect();
        *turn += 1;
        let place = usize::try_from(*turn).unwrap() % nodes.len().max(1);
        let node = nodes.get(place).ok_or(io::ErrorKind::NotFound)?;
        *talk = Some(Talk::to(node)?);
    }
    let Some(talk) = talk else { return Err(io::ErrorKind::NotFound.into()) };
    talk.say(command)?;
    talk.hear()
}

struct Talk(BufReader<TcpStream>);

impl Talk {
    fn to(address: &str) -> io::Result<Self> {
        let address = address.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        // Longer than a node takes to answer that it does not know.
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn say(&mut self, line: &str) -> io::Result<()> {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes())
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.say("list")?;
        let mut entries = Vec::new();
        loop {
            match self.hear()? {
                line if line == "end" => return Ok(entries),
                line if line.starts_with("retry") => return Err(io::ErrorKind::WouldBlock.into()),
                line if line.starts_with("repeated") => {}
                line => entries.push(line),
            }
        }
    }
}

#[test]
fn what_is_lost_repeated_or_nobodys_is_found() {
    let entries = |all: &[&str]| all.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
    let counts = BTreeMap::from([(1, 2), (2, 0)]);
    assert_eq!(check(&entries(&["1 1", "1 2"]), &counts), Ok(()));
    for wrong in [&["1 1"][..], &["1 1", "1 1", "1 2"], &["1 2", "1 1"], &["1 1", "1 2", "3 1"]] {
        assert!(check(&entries(wrong), &counts).is_err(), "{wrong:?}");
    }
}
