//! A node's process, seen from outside: what it reports comes as events.

use std::collections::hash_map::RandomState;
use std::error::Error;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child as Process, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// What a node reports on its standard output, a line each.
#[derive(Debug)]
pub(crate) enum Event {
    /// It has caught up: a linearizable read was answered.
    Ready,
    /// It leads, or no longer.
    Leads(bool),
    /// This command was acknowledged to it.
    Acknowledged(String),
    /// It proposes no more, and everything it had proposed is resolved.
    Stopped,
    /// What it executed, in order.
    Listed(Vec<String>),
    /// Its process has ended.
    Gone,
}

/// A running node. Killed when dropped; and it ends by itself when its standard input is closed, so
/// also if this process is killed.
pub(crate) struct Child {
    pub(crate) id: u64,
    pub(crate) events: Receiver<Event>,
    process: Process,
    input: ChildStdin,
}

impl Child {
    /// Starts `program`, which has to understand the arguments of `node`.
    pub(crate) fn spawn(
        program: &Path,
        id: u64,
        life: u64,
        addresses: &[String],
        data: &Path,
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(program);
        command.arg("node").args(["--id", &id.to_string(), "--life", &life.to_string()]);
        command.arg("--data").arg(data).args(addresses);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = process.stdin.take().ok_or("no standard input")?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let (tell, events) = mpsc::channel();
        thread::spawn(move || {
            let mut list = Vec::new();
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                let event = match line.split_once(' ') {
                    Some(("ack", command)) => Event::Acknowledged(command.to_owned()),
                    Some(("did", command)) => {
                        list.push(command.to_owned());
                        continue;
                    }
                    _ => match line.as_str() {
                        "ready" => Event::Ready,
                        "leads" => Event::Leads(true),
                        "follows" => Event::Leads(false),
                        "stopped" => Event::Stopped,
                        "listed" => Event::Listed(std::mem::take(&mut list)),
                        _ => continue, // cut off by a kill
                    },
                };
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { id, events, process, input })
    }

    pub(crate) fn ask(&mut self, what: &str) -> Result<(), Box<dyn Error>> {
        writeln!(self.input, "{what}")?;
        Ok(self.input.flush()?)
    }

    /// `kill -9`, and waits until the process is gone.
    pub(crate) fn kill(&mut self) -> Result<(), Box<dyn Error>> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

/// Addresses on loopback that are free now, and stay so: outside the range from which the system
/// takes ports for connections, since a killed node needs its own again.
pub(crate) fn addresses(count: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let mut addresses: Vec<String> = Vec::new();
    for _ in 0..1000 {
        if addresses.len() == count {
            return Ok(addresses);
        }
        let port = 20_000 + random() % 12_000;
        let address = format!("127.0.0.1:{port}");
        if !addresses.contains(&address) && TcpListener::bind(&address).is_ok() {
            addresses.push(address);
        }
    }
    Err("no free ports".into())
}

/// Any number; different in every process.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.kill());
    }
}
