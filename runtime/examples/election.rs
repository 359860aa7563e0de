//! One of three is master: run three of these, and stop the one that says it is.
//!
//! ```console
//! $ cargo run --release -p synod --example election -- 1 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003 /tmp/one
//! ```
//!
//! and the same with 2 and `/tmp/two`, 3 and `/tmp/three`. Each line says who is master, by which version,
//! and for how long at most. A master that is stopped with Ctrl-C lets go at once; one that is killed is
//! followed when its lease of three seconds is over.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use synod::{Config, GroupId, Node, Position, StateMachine};

/// A node that would like to be master.
#[derive(Debug, Parser)]
struct Args {
    /// Which of the nodes this is, from 1.
    id: u64,
    /// Where the nodes listen, separated by commas.
    #[arg(value_delimiter = ',')]
    addresses: Vec<String>,
    /// Where this node keeps its log.
    dir: PathBuf,
    /// For how long a master is master at a time.
    #[arg(long, default_value_t = 3000, value_name = "MS")]
    lease: u64,
}

/// Has nothing to do: the mastership is the group's own.
struct Idle;

impl StateMachine for Idle {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        Bytes::new()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Args { id, addresses, dir, lease } = Args::parse();
    let own = usize::try_from(id)?.checked_sub(1).and_then(|own| addresses.get(own));
    let own =
        own.ok_or_else(|| format!("there is no address for node {id} among {addresses:?}"))?;
    let config = Config { master_lease: Duration::from_millis(lease), ..Config::default() };
    let mut node = Node::builder()
        .id(id)
        .listen(own)
        .data_dir(dir)
        .config(config)
        .group(GroupId(0), || vec![Box::new(Idle)]);
    for (peer, address) in (1..).zip(&addresses).filter(|(peer, _)| *peer != id) {
        node = node.peer(peer, address);
    }
    let node = node.start().await?;
    let mut master = node.group(GroupId(0)).ok_or("no such group")?.master();
    let mut last = None;
    loop {
        tokio::select! {
            state = master.next() => {
                let Some(state) = state else { break };
                if (state.holder, state.is_mine) != last.unwrap_or_default() {
                    match state.holder {
                        Some(_) if state.is_mine => {
                            println!("I am master, version {}, for {:?}", state.version, state.left);
                        }
                        Some(holder) => println!("node {holder} is master, version {}", state.version),
                        None => println!("nobody is master"),
                    }
                }
                last = Some((state.holder, state.is_mine));
            }
            stopped = tokio::signal::ctrl_c() => {
                stopped?;
                println!("letting go");
                break;
            }
        }
    }
    node.shutdown().await;
    Ok(())
}
