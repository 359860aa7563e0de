//! A replicated counter: three nodes in one process, each of which could be a machine of its own.
//!
//! `cargo run --release --example counter -p synod`
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::net::TcpListener;

use bytes::Bytes;
use synod::{GroupId, Node, Position, StateMachine};

#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.0 += u64::from(command[0]);
        self.read(Bytes::new())
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let any_port = || TcpListener::bind("127.0.0.1:0");
    let sockets = [any_port()?, any_port()?, any_port()?];
    let addresses = sockets.iter().map(|s| s.local_addr()).collect::<Result<Vec<_>, _>>()?;
    let data = tempfile::tempdir()?;
    let mut nodes = Vec::new();
    for (id, socket) in (1..).zip(sockets) {
        let mut node = Node::builder().id(id).listener(socket);
        for (peer, address) in (1..).zip(&addresses).filter(|&(peer, _)| peer != id) {
            node = node.peer(peer, address.to_string());
        }
        node = node.data_dir(data.path().join(id.to_string()));
        nodes.push(node.group(GroupId(0), || vec![Box::<Counter>::default()]).start().await?);
    }
    for node in &nodes {
        let counter = node.group(GroupId(0)).ok_or("no group")?;
        let committed = counter.propose(vec![7]).await?;
        println!("node {} added 7 at {}: {:?}", node.id(), committed.position, committed.output);
    }
    let last = nodes[0].group(GroupId(0)).ok_or("no group")?.read("").await?;
    println!("and node 1 reads {last:?}");
    Ok(())
}
