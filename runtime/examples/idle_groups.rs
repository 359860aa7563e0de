//! What groups cost that nobody uses: three nodes in one process, many groups, no commands.
//!
//! `cargo run --release -p synod --example idle_groups -- --groups 1000`
#![expect(clippy::print_stdout, reason = "an example prints what it measures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::as_conversions, reason = "figures for people")]

use std::error::Error;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use synod::{Config, GroupId, Node, NodeId, Position, StateMachine};

/// CPU and memory of idle groups.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many groups each of the three nodes hosts.
    #[arg(long, default_value_t = 1000)]
    groups: u32,
    /// Seconds measured, once every group has a leader and has come to rest.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Whether leaders are moved one after the other first, so that groups beat at different times.
    #[arg(long)]
    spread: bool,
    /// The heartbeat interval in milliseconds; the election timeout is ten times that.
    #[arg(long, default_value_t = 50)]
    heartbeat: u64,
}

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let data = tempfile::tempdir()?;
    let before = Usage::now()?;
    let listeners =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let mut nodes = Vec::new();
    for (id, listener) in (1..).zip(listeners) {
        let heartbeat_interval = Duration::from_millis(arguments.heartbeat);
        let election_timeout = heartbeat_interval * 10;
        let mut builder = Node::builder()
            .id(id)
            .listener(listener)
            .data_dir(data.path().join(id.to_string()))
            .config(Config { heartbeat_interval, election_timeout, ..Config::default() });
        for (peer, address) in (1..).zip(&addresses).filter(|&(peer, _)| peer != id) {
            builder = builder.peer(peer, address.to_string());
        }
        for group in 0..arguments.groups {
            builder = builder.group(GroupId(group), || vec![Box::new(Nothing)]);
        }
        nodes.push(builder.start().await?);
    }
    let begun = Instant::now();
    let mut leads = [0; 3];
    for group in 0..arguments.groups {
        let leader = nodes[0].group(GroupId(group)).ok_or("no group")?.wait_leader().await?;
        leads[usize::try_from(leader.0 - 1)?] += 1;
    }
    println!(
        "{} groups on 3 nodes in one process, heartbeats every {} ms",
        arguments.groups, arguments.heartbeat
    );
    println!("  all led after      {:>8.2} s, by node: {leads:?}", begun.elapsed().as_secs_f64());
    for group in (0..arguments.groups).filter(|_| arguments.spread) {
        let leader = nodes[0].group(GroupId(group)).ok_or("no group")?.wait_leader().await?;
        let next = NodeId(leader.0 % 3 + 1);
        if let Some(node) = nodes.iter().find(|node| node.id() == leader) {
            drop(node.group(GroupId(group)).ok_or("no group")?.transfer_leader(next).await);
        }
        tokio::time::sleep(Duration::from_micros(1300)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (begun, start) = (Instant::now(), Usage::now()?);
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let (seconds, end) = (begun.elapsed().as_secs_f64(), Usage::now()?);
    let cpu = (end.cpu - start.cpu).as_secs_f64();
    println!("  CPU, all 3 nodes   {:>8.2} % of one core", cpu / seconds * 100.0);
    println!(
        "  context switches   {:>8.0} a second",
        (end.switches - start.switches) as f64 / seconds
    );
    println!(
        "  resident memory    {:>8.1} MiB, {:.1} before the start",
        end.resident, before.resident
    );
    println!("  threads            {:>8}", end.threads);
    for node in nodes {
        node.shutdown_within(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// What the process has used.
struct Usage {
    cpu: Duration,
    resident: f64,
    threads: u64,
    switches: u64,
}

impl Usage {
    fn now() -> Result<Self, Box<dyn Error>> {
        let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let cpu = Duration::new(u64::try_from(clock.tv_sec)?, u32::try_from(clock.tv_nsec)?);
        let (mut resident, mut threads, mut switches) = (0, 0, 0);
        for task in std::fs::read_dir("/proc/self/task")? {
            // A thread may end meanwhile.
            let Ok(text) = std::fs::read_to_string(task?.path().join("status")) else { continue };
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok())
            };
            threads += 1;
            resident = field("VmRSS:").unwrap_or(resident);
            switches += field("voluntary_ctxt_switches:").unwrap_or(0);
        }
        Ok(Self { cpu, resident: resident as f64 / 1024.0, threads, switches })
    }
}
