//! What a group does when more is asked of it than it can do: three nodes in one process, a state
//! machine that takes its time, and clients that ask for 1, 2, 5 and 10 times what it can, whatever
//! they are told.
//!
//! `cargo run --release -p synod --example overload` (`-- --fixed` without adapting)
#![expect(clippy::print_stdout, reason = "an example prints its table")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]
#![expect(clippy::as_conversions, reason = "figures for people")]

use std::error::Error;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Parser;
use hdrhistogram::Histogram;
use synod::{GroupHandle, GroupId, Node, Position, ProposeError, StateMachine};
use tokio::sync::mpsc;

/// Goodput and latency under overload.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds measured per row, after two of warm-up.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How long the state machine takes for a command, in microseconds; 0 for the disk's limit.
    #[arg(long, default_value_t = 100)]
    apply: u64,
    /// Bytes per command.
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Only the fixed limits, to see what adapting is for.
    #[arg(long)]
    fixed: bool,
    /// How much more than the peak is asked, a row each.
    #[arg(long, value_delimiter = ',', default_value = "1,2,5,10")]
    times: Vec<u64>,
}

struct Slow(Duration);

impl StateMachine for Slow {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        if !self.0.is_zero() {
            std::thread::sleep(self.0);
        }
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

type Done<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done<()> {
    let arguments = Arguments::parse();
    let data = tempfile::tempdir()?;
    let nodes = start(data.path(), Duration::from_micros(arguments.apply)).await?;
    let leader = nodes[0].group(GroupId(0)).ok_or("no group")?.wait_leader().await?;
    let node = nodes.iter().find(|node| node.id() == leader).ok_or("no leader")?;
    let group = node.group(GroupId(0)).ok_or("no group")?;
    let peak = peak(&group, &arguments).await?;
    println!(
        "Peak with 64 proposers that wait for their answers: {peak} a second; each command {} bytes, \
         {} µs to apply",
        arguments.bytes, arguments.apply
    );
    group.tune(|settings| settings.overload.adaptive = !arguments.fixed)?;
    println!(
        "{:>6} {:>11} {:>11} {:>7} {:>11} {:>9} {:>9} {:>9} {:>12}",
        "asked",
        "asked/s",
        "done/s",
        "of peak",
        "refused/s",
        "late/s",
        "p50 ms",
        "p99 ms",
        "retry ms"
    );
    for &times in &arguments.times {
        let row = row(&group, peak * times, &arguments).await?;
        let (seconds, ms) =
            (row.seconds, |quantile| row.micros.value_at_quantile(quantile) as f64 / 1000.0);
        println!(
            "{:>5}× {:>11.0} {:>11.0} {:>6.0}% {:>11.0} {:>9.0} {:>9.1} {:>9.1} {:>12.1}",
            times,
            row.asked as f64 / seconds,
            row.micros.len() as f64 / seconds,
            row.micros.len() as f64 / seconds / peak as f64 * 100.0,
            row.refused as f64 / seconds,
            row.late as f64 / seconds,
            ms(0.5),
            ms(0.99),
            row.retry.as_secs_f64() * 1000.0 / row.refused.max(1) as f64,
        );
    }
    for node in nodes {
        node.shutdown_within(Duration::from_secs(1)).await;
    }
    Ok(())
}

async fn start(dir: &std::path::Path, apply: Duration) -> Done<Vec<Node>> {
    let listeners =
        (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
    let mut nodes = Vec::new();
    for (id, listener) in (1..).zip(listeners) {
        let mut builder = Node::builder()
            .id(id)
            .listener(listener)
            .data_dir(dir.join(id.to_string()))
            .timeout(Duration::from_secs(2))
            .group(GroupId(0), move || vec![Box::new(Slow(apply))]);
        for (peer, address) in (1..).zip(&addresses).filter(|&(peer, _)| peer != id) {
            builder = builder.peer(peer, address.to_string());
        }
        nodes.push(builder.start().await?);
    }
    Ok(nodes)
}

/// What the group can do, in commands a second.
async fn peak(group: &GroupHandle, arguments: &Arguments) -> Done<u64> {
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let (group, done, stop) = (group.clone(), Arc::clone(&done), Arc::clone(&stop));
        let command = Bytes::from(vec![b'x'; arguments.bytes]);
        tasks.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let ok = group.propose(command.clone()).await.is_ok();
                done.fetch_add(u64::from(ok), Ordering::Relaxed);
            }
        }));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (begun, before) = (Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let done = done.load(Ordering::Relaxed) - before;
    let millis = u64::try_from(begun.elapsed().as_millis())?;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    Ok(done * 1000 / millis)
}

/// What came of so many a second.
struct Row {
    seconds: f64,
    asked: u64,
    refused: u64,
    late: u64,
    retry: Duration,
    micros: Histogram<u64>,
}

async fn row(group: &GroupHandle, rate: u64, arguments: &Arguments) -> Done<Row> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let command = Bytes::from(vec![b'x'; arguments.bytes]);
    let warm = Duration::from_secs(2);
    let (begun, end) = (Instant::now(), warm + Duration::from_secs(arguments.seconds));
    let (mut sent, mut asked) = (0, 0);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while begun.elapsed() < end {
        tick.tick().await;
        let due = u64::try_from(begun.elapsed().as_micros())? * rate / 1_000_000;
        let measured = begun.elapsed() >= warm;
        // What the generator is behind by is not made up for in one burst.
        let now = (due - sent).min(rate / 100 + 1);
        sent = due;
        asked += if measured { now } else { 0 };
        for _ in 0..now {
            let (group, command, tell) = (group.clone(), command.clone(), tell.clone());
            tokio::spawn(async move {
                let since = Instant::now();
                let outcome = group.propose(command).await.map(drop);
                if measured {
                    drop(tell.send((outcome, since.elapsed())));
                }
            });
        }
    }
    let seconds = (begun.elapsed() - warm).as_secs_f64();
    drop(tell);
    let micros = Histogram::new_with_bounds(1, 60_000_000, 3)?;
    let mut row = Row { seconds, asked, refused: 0, late: 0, retry: Duration::ZERO, micros };
    while let Some((outcome, took)) = told.recv().await {
        match outcome {
            Ok(()) => row.micros.record(u64::try_from(took.as_micros())?)?,
            Err(ProposeError::Overloaded { retry_after }) => {
                row.refused += 1;
                row.retry += retry_after;
            }
            Err(_) => row.late += 1,
        }
    }
    Ok(row)
}
