//! A node's process for `tests/tests/upkeep/`: a ledger that clients write to over TCP, a line a command.
//!
//! It says on its standard output where it serves clients, when it loads a checkpoint, and why it failed
//! before it exits. It ends when its standard input is closed, and so with whoever started it.

mod ledger;

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use synod::{
    Bootstrap, CheckpointPolicy, Config, GroupHandle, GroupId, Node, ProposeError, TransferConfig,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use ledger::Ledger;

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long)]
    id: u64,
    #[arg(long)]
    listen: String,
    #[arg(long)]
    data: PathBuf,
    /// Joins a cluster instead of founding one.
    #[arg(long)]
    join: bool,
    /// Bytes of filling in each checkpoint.
    #[arg(long, default_value_t = 0)]
    ballast: u64,
    /// Instances between checkpoints, below which nothing of the log is kept.
    #[arg(long, default_value_t = 500)]
    every: u64,
    /// `id=host:port`
    peers: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    // Ends with whoever started it.
    std::thread::spawn(|| {
        drop(std::io::stdin().lines().try_for_each(|line| line.map(drop)));
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let ballast = arguments.ballast;
    let policy =
        CheckpointPolicy { instances: arguments.every, bytes: 0, time: None, keep_instances: 0 };
    let transfers = TransferConfig {
        chunk_bytes: 64 << 10,
        bytes_per_second: 8 << 20,
        pinned_max: Duration::from_secs(1),
        ..TransferConfig::default()
    };
    let mut builder = Node::builder()
        .id(arguments.id)
        .listen(arguments.listen)
        .data_dir(arguments.data)
        .bootstrap(if arguments.join { Bootstrap::Join } else { Bootstrap::Auto })
        .config(Config { election_timeout: Duration::from_millis(500), ..Config::default() })
        .log(synod::log::LogConfig { segment_bytes: 256 << 10, ..Default::default() })
        .timeout(Duration::from_secs(2))
        .checkpoints(policy)
        .transfers(transfers)
        .group(GroupId(0), move || vec![Box::new(Ledger::new(ballast))]);
    for peer in &arguments.peers {
        let (id, address) = peer.split_once('=').ok_or("a peer is id=host:port")?;
        builder = builder.peer(id.parse()?, address);
    }
    let node = builder.start().await?;
    let group = node.group(GroupId(0)).ok_or("no group")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    say(&format!("serves {}", listener.local_addr()?));
    let serving = group.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let group = serving.clone();
            tokio::spawn(async move { drop(serve(stream, group).await) });
        }
    });
    let mut watch = group.watch();
    while let Some(state) = watch.next().await {
        if let Some(reason) = state.failed {
            say(&format!("failed {reason}"));
            std::process::exit(3);
        }
    }
    let state = node.status().await.map(|status| status.state.to_string());
    say(&format!("failed {}", state.unwrap_or_else(|error| error.to_string())));
    std::process::exit(3);
}

/// Answers `put CLIENT NUMBER` with `ok`, `retry WHY`, `stopped WHY` or `bad WHY`, and `list` with the entries and `end`.
async fn serve(stream: TcpStream, group: GroupHandle) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let answer = match line.strip_prefix("put ") {
            Some(command) => put(&group, command).await,
            None => match group.read(line.to_owned()).await {
                Ok(text) => format!("{}end", String::from_utf8_lossy(&text)),
                Err(error) => format!("retry {error}"),
            },
        };
        stream.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

async fn put(group: &GroupHandle, command: &str) -> String {
    match group.propose(command.to_owned()).await {
        Ok(done) if done.output == "ok" => "ok".to_owned(),
        Ok(done) => format!("bad {}", String::from_utf8_lossy(&done.output)),
        Err(
            error @ (ProposeError::Overloaded { .. }
            | ProposeError::NotMember
            | ProposeError::Forming(_)
            | ProposeError::Unknown
            | ProposeError::OutputLost { .. }
            | ProposeError::ShuttingDown),
        ) => format!("retry {error}"),
        Err(ProposeError::Failed { reason }) => format!("stopped {reason}"),
        Err(error) => format!("bad {error}"),
    }
}

/// Says a line to whoever started this.
fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    if writeln!(output, "{line}").and_then(|()| output.flush()).is_err() {
        std::process::exit(1);
    }
}
