//! Three of our nodes, driven as `Group` asks for.

use std::array;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use synod_core::{
    Apply, ClusterId, Config, Durable, Group, GroupId, Incarnation, Input, Instance, Member,
    Membership, NodeId, Outbox, ProposalId, Recovered, Role, SmId, Start, Time, WriteBatch,
};
use synod_proto::{Decoder, FrameBuf, Packet};

use crate::run::{Cluster, Form};

/// Three nodes; the disk is as fast as the next turn.
pub(crate) struct Synod {
    form: Form,
    now: Time,
    nodes: [Node; NODES],
    inboxes: [Vec<Input>; NODES],
    links: Vec<Link>,
    decoder: Decoder,
    leader: usize,
    proposed: u64,
    messages: u64,
    bytes: u64,
}

struct Node {
    group: Group,
    out: Outbox,
    durable: Option<Durable>,
    /// Executed up to here.
    handed: Instance,
    /// Reported as executed up to here: like our runtime does, every so many instances.
    applied: Instance,
    /// When to step a tick if nothing else happens.
    wake: Time,
}

/// From one node to another.
#[derive(Default)]
struct Link {
    out: FrameBuf,
    read: BytesMut,
}

impl Synod {
    pub(crate) fn new(form: Form) -> Self {
        let mut cluster = Self {
            form,
            now: Time::ZERO,
            nodes: array::from_fn(Node::new),
            inboxes: array::from_fn(|_| Vec::new()),
            links: (0..NODES * NODES).map(|_| Link::default()).collect(),
            decoder: Decoder::default(),
            leader: 0,
            proposed: 0,
            messages: 0,
            bytes: 0,
        };
        loop {
            cluster.turn();
            let leads = |node: &Node| node.group.status().role == Role::Leader;
            if let Some(leader) = cluster.nodes.iter().position(leads) {
                cluster.leader = leader;
                return cluster;
            }
        }
    }

    /// Steps a node with everything that has reached it, then lets it propose, and does what it
    /// wants done. Returns how many of its own proposals were executed.
    fn serve(&mut self, index: usize) -> usize {
        let Self { form, now, nodes, inboxes, links, decoder, messages, .. } = self;
        let Node { group, out, durable, handed, applied, wake } = &mut nodes[index];
        let inbox = &mut inboxes[index];
        let nothing_read = || match form {
            Form::Structs => true,
            Form::Codec => (0..NODES).all(|from| links[from * NODES + index].read.is_empty()),
        };
        let silent = inbox.is_empty() && durable.is_none() && nothing_read();
        if silent && *wake > *now {
            return 0;
        }
        if let Some(durable) = durable.take() {
            group.step(*now, Input::Durable(durable), out);
        }
        if handed.above(*applied) >= APPLIED_EVERY {
            *applied = *handed;
            group.step(*now, Input::Applied(*applied), out);
        }
        if !inbox.is_empty() {
            for input in inbox.drain(..) {
                group.step(*now, input, out);
            }
        }
        if let Form::Codec = form {
            for from in 0..NODES {
                receive(group, from, *now, &mut links[from * NODES + index], decoder, out);
            }
        }
        *wake = group.deadline().unwrap_or(Time::MAX);
        if *wake <= *now {
            group.step(*now, Input::Tick, out); // and the next turn asks for the new deadline
        }
        *durable = out.take_writes().map(WriteBatch::durable);
        if !out.messages.is_empty() {
            *messages += u64::try_from(out.messages.len()).expect("fits");
            let from = member(index);
            for (to, message) in out.messages.drain(..) {
                match form {
                    Form::Structs => inboxes[place(to)].push(Input::Receive { from, message }),
                    Form::Codec => {
                        let from = from.incarnation;
                        let packet = Packet::Group { group: GROUP, from, message };
                        let link = &mut links[index * NODES + place(to)];
                        link.out.push(&packet).expect("far below the limit");
                    }
                }
            }
        }
        assert!(out.outcomes.is_empty() && out.fetches.is_empty(), "not in this benchmark");
        out.events.clear();
        if out.applies.is_empty() {
            return 0;
        }
        let mut executed = 0;
        for apply in out.applies.drain(..) {
            match apply {
                Apply::Command { proposal, .. } => executed += usize::from(proposal.is_some()),
                Apply::Through(instance) => *handed = instance,
                Apply::Digest(_) => {} // answered by nobody
                Apply::Checkpoint { .. } | Apply::Install(_) => {
                    unreachable!("none are asked for")
                }
            }
        }
        executed
    }

    /// Carries over what one node has written to its connections.
    fn carry(&mut self, from: usize) {
        for link in &mut self.links[from * NODES..(from + 1) * NODES] {
            if !link.out.is_empty() {
                self.bytes += u64::try_from(link.out.len()).expect("fits");
                if link.read.capacity() - link.read.len() < link.out.len() {
                    link.read.reserve(link.out.len().max(64 * 1024));
                }
                link.read.put(&mut link.out);
            }
        }
    }
}

/// Steps a node with what came over one of its connections.
fn receive(
    group: &mut Group,
    from: usize,
    now: Time,
    link: &mut Link,
    decoder: &mut Decoder,
    out: &mut Outbox,
) {
    while let Some(packet) = decoder.next(&mut link.read).expect("our own frames") {
        let Packet::Group { message, from: incarnation, .. } = packet else {
            unreachable!("nobody sends anything else")
        };
        let from = Member { node: node_id(from), incarnation };
        group.step(now, Input::Receive { from, message }, out);
    }
}

impl Cluster for Synod {
    fn propose(&mut self, command: Bytes) {
        self.proposed += 1;
        let id = ProposalId(self.proposed);
        let deadline = self.now + Duration::from_secs(10);
        let input = Input::Propose { id, sm: SmId(0), command, deadline };
        self.inboxes[self.leader].push(input);
    }

    fn turn(&mut self) -> usize {
        self.now = self.now + TURN;
        let mut executed = 0;
        for index in 0..NODES {
            executed += self.serve(index);
            if let Form::Codec = self.form {
                self.carry(index);
            }
        }
        executed
    }

    fn sent(&self) -> (u64, u64) {
        (self.messages, self.bytes)
    }
}

impl Node {
    fn new(index: usize) -> Self {
        let voters = (0..NODES).map(member).collect();
        let start = Start {
            cluster: ClusterId(1),
            group: GROUP,
            me: member(index),
            boot: 1,
            membership: Membership::new(voters, Vec::new()).expect("three voters"),
            recovered: Recovered::default(),
            config: Config { seed: node_id(index).0, ..Config::default() },
            now: Time::ZERO,
        };
        Self {
            group: Group::start(start).expect("an empty log"),
            out: Outbox::default(),
            durable: None,
            handed: Instance::ZERO,
            applied: Instance::ZERO,
            wake: Time::ZERO,
        }
    }
}

fn member(index: usize) -> Member {
    let node = node_id(index);
    Member { node, incarnation: Incarnation(0x9e37_79b9_7f4a_7c15 + node.0) }
}

fn node_id(index: usize) -> NodeId {
    NodeId(u64::try_from(index).expect("fits") + 1)
}

fn place(node: NodeId) -> usize {
    usize::try_from(node.0 - 1).expect("one of three")
}

const GROUP: GroupId = GroupId(1);
const NODES: usize = 3;
/// Reports of what is executed come this many instances apart.
const APPLIED_EVERY: u64 = 32;
const TURN: Duration = Duration::from_micros(10);
