//! Three nodes of `omnipaxos`, the reference.
//!
//! It is given every advantage: entries hold shared bytes and no name to answer by, appends that
//! come together coalesce into one message, storage is memory, and its codec computes no checksum.

use bytes::Bytes;
use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::{ClusterConfig, OmniPaxos, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;
use serde::{Deserialize, Serialize};

use crate::run::{Cluster, Form};

/// Three nodes.
pub(crate) struct Omni {
    form: Form,
    turns: u64,
    nodes: Vec<Node>,
    links: Vec<Link>,
    leader: usize,
    messages: u64,
    bytes: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Command(Bytes);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

struct Node {
    paxos: OmniPaxos<Command, MemoryStorage<Command>>,
    appends: Vec<Command>,
    inbox: Vec<Message<Command>>,
    outbox: Vec<Message<Command>>,
    executed: usize,
}

/// From one node to another: a buffer of which the first `len` bytes are frames.
struct Link {
    buffer: Vec<u8>,
    len: usize,
}

impl Omni {
    pub(crate) fn new(form: Form) -> Self {
        let link = || match form {
            Form::Structs => Link { buffer: Vec::new(), len: 0 },
            Form::Codec => Link { buffer: vec![0; 8 << 20], len: 0 },
        };
        let mut cluster = Self {
            form,
            turns: 0,
            nodes: (1..=3).map(Node::new).collect(),
            links: (0..NODES * NODES).map(|_| link()).collect(),
            leader: 0,
            messages: 0,
            bytes: 0,
        };
        loop {
            cluster.turn();
            for (index, node) in cluster.nodes.iter().enumerate() {
                if let Some((leader, true)) = node.paxos.get_current_leader()
                    && place(leader) == index
                {
                    cluster.leader = index;
                    return cluster;
                }
            }
        }
    }

    fn step(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        for message in node.inbox.drain(..) {
            node.paxos.handle_incoming(message);
        }
        if let Form::Codec = self.form {
            for from in 0..NODES {
                let link = &mut self.links[from * NODES + index];
                let mut rest = &link.buffer[..link.len];
                while !rest.is_empty() {
                    let (message, after) = postcard::take_from_bytes(rest).expect("our own bytes");
                    rest = after;
                    node.paxos.handle_incoming(message);
                }
                link.len = 0;
            }
        }
        for command in node.appends.drain(..) {
            node.paxos.append(command).expect("not reconfigured");
        }
        if self.turns.is_multiple_of(TURNS_PER_TICK) {
            node.paxos.tick();
        }
    }

    fn act(&mut self, index: usize) -> usize {
        let node = &mut self.nodes[index];
        node.paxos.take_outgoing_messages(&mut node.outbox);
        let mut executed = 0;
        if node.paxos.get_decided_idx() > node.executed {
            let entries = node.paxos.read_decided_suffix(node.executed);
            executed = entries.expect("decided").len();
            node.executed += executed;
        }
        let mut outbox = std::mem::take(&mut node.outbox);
        for message in outbox.drain(..) {
            self.messages += 1;
            self.send(index, message);
        }
        self.nodes[index].outbox = outbox; // the same buffer, for reuse
        if index == self.leader { executed } else { 0 }
    }

    fn send(&mut self, from: usize, message: Message<Command>) {
        let to = place(message.get_receiver());
        match self.form {
            Form::Structs => self.nodes[to].inbox.push(message),
            Form::Codec => {
                let link = &mut self.links[from * NODES + to];
                let room = &mut link.buffer[link.len..];
                let len = postcard::to_slice(&message, room).expect("room for it").len();
                link.len += len;
                self.bytes += u64::try_from(len).expect("fits");
            }
        }
    }
}

impl Cluster for Omni {
    fn propose(&mut self, command: Bytes) {
        self.nodes[self.leader].appends.push(Command(command));
    }

    fn turn(&mut self) -> usize {
        self.turns += 1;
        let mut executed = 0;
        for index in 0..NODES {
            self.step(index);
            executed += self.act(index);
        }
        executed
    }

    fn sent(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }
}

impl Node {
    fn new(id: u64) -> Self {
        let cluster =
            ClusterConfig { configuration_id: 1, nodes: vec![1, 2, 3], flexible_quorum: None };
        let server = ServerConfig { pid: id, ..ServerConfig::default() };
        let storage = MemoryStorage::default();
        Self {
            paxos: cluster.build_for_server(server, storage).expect("a valid configuration"),
            appends: Vec::new(),
            inbox: Vec::new(),
            outbox: Vec::new(),
            executed: 0,
        }
    }
}

fn place(node: u64) -> usize {
    usize::try_from(node - 1).expect("one of three")
}

const NODES: usize = 3;
/// A tick every 10 ms, so a heartbeat every 50 ms, like ours.
const TURNS_PER_TICK: u64 = 1000;
