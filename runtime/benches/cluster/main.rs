//! Three nodes in one process, on real files and loopback TCP: latency and throughput of proposals,
//! beside the floor that disk and network set, measured in the same run.
//!
//! `cargo bench -p synod --bench cluster` (`-- --help` for options)
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::as_conversions, reason = "figures for people")]

mod floor;

use std::error::Error;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use synod::{Config, GroupHandle, GroupId, Node, Position, StateMachine};

/// Latency and throughput of proposals on three nodes in one process.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds measured per row, after one of warm-up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// One second per row, for a first look.
    #[arg(long)]
    quick: bool,
    /// Bytes per command.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// How many proposers at a time, a row each.
    #[arg(long, value_delimiter = ',', default_value = "1,16,128,1024")]
    proposers: Vec<usize>,
    /// How many groups, a table part each.
    #[arg(long, value_delimiter = ',', default_value = "1,16")]
    groups: Vec<u32>,
    /// Where to keep the logs; a temporary directory if not given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Seal all messages with a cluster secret.
    #[arg(long)]
    secret: bool,
    /// Encrypt all connections (features `tls,test-certs`).
    #[cfg(feature = "test-certs")]
    #[arg(long)]
    tls: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Counts, so that every command does something.
#[derive(Default)]
struct Count(u64);

impl StateMachine for Count {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        self.0 += 1;
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

type Done<T> = Result<T, Box<dyn Error>>;

fn main() -> Done<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.seconds = 1.0;
    }
    let temporary = tempfile::tempdir()?;
    let data = arguments.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;

    let sync = floor::sync(&data)?;
    let shared = floor::three_syncs(&data)?;
    let round_trip = runtime.block_on(floor::round_trip())?;
    let floor = sync.max(round_trip + sync);
    println!("Three nodes in this process, commands of {} bytes, load {}", arguments.bytes, load());
    println!("  fdatasync of 4 KiB, preallocated file    {:>8} µs", micros(sync));
    println!("  the same, three files at once            {:>8} µs", micros(shared));
    println!("  loopback round trip of 100 bytes         {:>8} µs", micros(round_trip));
    println!("  floor: max(sync, round trip + sync)      {:>8} µs", micros(floor));
    println!();
    println!(
        "{:>6} {:>9} {:>11} {:>9} {:>9} {:>9} {:>8} {:>9} {:>6}",
        "groups",
        "proposers",
        "commands/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "p50/flr",
        "CPU µs/c",
        "load"
    );
    for &groups in &arguments.groups {
        let dir = data.join(format!("groups-{groups}"));
        let nodes = runtime.block_on(start(&dir, groups, &arguments))?;
        for &proposers in &arguments.proposers {
            let row = runtime.block_on(row(&nodes, groups, proposers, &arguments))?;
            row.print(groups, proposers, floor);
        }
        runtime.block_on(async {
            for node in nodes {
                node.shutdown_within(Duration::from_secs(1)).await;
            }
        });
    }
    Ok(())
}

/// One line of the table.
struct Row {
    micros: Histogram<u64>,
    seconds: f64,
    cpu: Duration,
}

impl Row {
    fn print(&self, groups: u32, proposers: usize, floor: Duration) {
        let at = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1000.0;
        let commands = self.micros.len() as f64;
        println!(
            "{groups:>6} {proposers:>9} {:>11.0} {:>9.0} {:>9.0} {:>9.0} {:>8.2} {:>9.1} {:>6}",
            commands / self.seconds,
            at(0.5),
            at(0.99),
            at(0.999),
            at(0.5) / (floor.as_secs_f64() * 1e6),
            self.cpu.as_secs_f64() * 1e6 / commands,
            load(),
        );
    }
}

async fn start(dir: &std::path::Path, groups: u32, arguments: &Arguments) -> Done<Vec<Node>> {
    let listeners =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let mut nodes = Vec::new();
    #[cfg(feature = "test-certs")]
    let authority = synod::tls::TestAuthority::new()?;
    for (id, listener) in (1..).zip(listeners) {
        let mut builder = Node::builder()
            .id(id)
            .listener(listener)
            .data_dir(dir.join(id.to_string()))
            .config(Config { election_timeout: Duration::from_secs(1), ..Config::default() });
        if arguments.secret {
            builder = builder.secret("what all benchmarks know");
        }
        #[cfg(feature = "test-certs")]
        if arguments.tls {
            builder = builder.tls(authority.node(id)?);
        }
        for (peer, address) in (1..).zip(&addresses).filter(|&(peer, _)| peer != id) {
            builder = builder.peer(peer, address.to_string());
        }
        for group in 0..groups {
            builder = builder.group(GroupId(group), || vec![Box::<Count>::default()]);
        }
        nodes.push(builder.start().await?);
    }
    Ok(nodes)
}

/// Proposes at each group's leader, as a client library that knows it would.
async fn row(nodes: &[Node], groups: u32, proposers: usize, arguments: &Arguments) -> Done<Row> {
    let mut leaders = Vec::new();
    for group in 0..groups {
        let leader = nodes[0].group(GroupId(group)).ok_or("no group")?.wait_leader().await?;
        let node = nodes.iter().find(|node| node.id() == leader).ok_or("no leader")?;
        leaders.push(node.group(GroupId(group)).ok_or("no group")?);
    }
    let measuring = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for n in 0..proposers {
        let group = leaders[n % leaders.len()].clone();
        let (measuring, stop) = (Arc::clone(&measuring), Arc::clone(&stop));
        tasks.push(tokio::spawn(propose(group, arguments.bytes, measuring, stop)));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (begun, cpu) = (Instant::now(), cpu_time());
    measuring.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs_f64(arguments.seconds)).await;
    measuring.store(false, Ordering::Relaxed);
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_time() - cpu);
    stop.store(true, Ordering::Relaxed);
    let mut micros = histogram()?;
    for task in tasks {
        for nanos in task.await? {
            micros.record(u64::from(nanos))?;
        }
    }
    Ok(Row { micros, seconds, cpu })
}

/// Proposes one command after the other, and gives each one's time in nanoseconds.
async fn propose(
    group: GroupHandle,
    bytes: usize,
    measuring: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
) -> Vec<u32> {
    let command = Bytes::from(vec![b'x'; bytes]);
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let outcome = group.propose(command.clone()).await;
        if outcome.is_ok() && measuring.load(Ordering::Relaxed) {
            times.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
    }
    times
}

fn histogram() -> Done<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000_000, 3)?)
}

/// Of the whole process: nodes and proposers.
fn cpu_time() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let nanos = u32::try_from(clock.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(clock.tv_sec).unwrap_or(0), nanos)
}

fn load() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split(' ').next().map(str::to_owned))
        .unwrap_or_else(|| "?".to_owned())
}

fn micros(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1e6)
}
