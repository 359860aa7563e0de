//! Lines typed at any node are executed at all of them, in the same order.
//!
//! In three terminals:
//!
//! ```text
//! cargo run --example echo -p synod -- --id 1 --listen 127.0.0.1:7001 --peer 2=127.0.0.1:7002 --peer 3=127.0.0.1:7003
//! cargo run --example echo -p synod -- --id 2 --listen 127.0.0.1:7002 --peer 1=127.0.0.1:7001 --peer 3=127.0.0.1:7003
//! cargo run --example echo -p synod -- --id 3 --listen 127.0.0.1:7003 --peer 1=127.0.0.1:7001 --peer 2=127.0.0.1:7002
//! ```
#![expect(clippy::print_stdout, reason = "what it is for")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use synod::{Bootstrap, GroupId, Node, NodeState, Position, StateMachine};
use tokio::io::{AsyncBufReadExt, BufReader};

/// One node of a cluster that echoes lines: what is typed at any node is executed at all of them,
/// in the same order, also after restarts. Start a node with `--data` again and it repeats what it
/// had executed.
#[derive(Debug, Parser)]
#[command(name = "echo")]
struct Arguments {
    /// This node's number, from 1.
    #[arg(long)]
    id: u64,
    /// Where to listen for the other nodes, as HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,
    /// Another node, and where it listens. Give all of them, on all nodes; none founds a cluster of
    /// one.
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = peer)]
    peer: Vec<(u64, String)>,
    /// Where to keep the log. Without it everything is forgotten at the end, and a node that forgot
    /// cannot come back into its cluster.
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<PathBuf>,
}

fn peer(text: &str) -> Result<(u64, String), String> {
    let (id, address) = text.split_once('=').ok_or("should be ID=HOST:PORT")?;
    let id = id.parse().map_err(|error| format!("node number {id:?}: {error}"))?;
    if !address.contains(':') {
        return Err(format!("{address:?} has no port: should be HOST:PORT"));
    }
    Ok((id, address.to_owned()))
}

/// Prints what it executes, and answers with its length.
struct Echo;

impl StateMachine for Echo {
    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        println!("  {at} {}", String::from_utf8_lossy(&command));
        format!("echoed {} bytes", command.len()).into()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let data = arguments.data.unwrap_or_else(|| temporary.path().to_owned());
    let alone = arguments.peer.is_empty();
    let mut builder = Node::builder()
        .id(arguments.id)
        .listen(arguments.listen)
        .data_dir(data)
        .bootstrap(if alone { Bootstrap::Found } else { Bootstrap::Auto })
        .group(GroupId(0), || vec![Box::new(Echo)]);
    for (id, address) in arguments.peer {
        builder = builder.peer(id, address);
    }
    let node = builder.start().await?;
    let group = node.group(GroupId(0)).ok_or("no group")?;

    println!("node {} listens at {}", node.id(), node.local_addr());
    let mut told = None;
    while group.leader().is_none() {
        let state = node.status().await?.state;
        if state != NodeState::Running && told.as_ref() != Some(&state) {
            println!("{state}");
            told = Some(state);
        }
        drop(tokio::time::timeout(Duration::from_millis(200), group.wait_leader()).await);
    }
    println!("node {} leads; type a line", group.wait_leader().await?);

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let line = tokio::select! {
            line = lines.next_line() => line?,
            signal = tokio::signal::ctrl_c() => { signal?; None }
        };
        let Some(line) = line else { break };
        match group.propose(line).await {
            Ok(committed) => {
                let answer = String::from_utf8_lossy(&committed.output);
                println!("> {answer}, at {}", committed.position);
            }
            Err(error) => println!("! {error}"),
        }
    }
    node.shutdown().await;
    Ok(())
}
