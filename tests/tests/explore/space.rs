//! All states of three nodes and the network between them, within bounds.
//!
//! The network is the set of what was ever said. So a message may come late, in any order, again, or
//! never, and a state has no more to it than that. Time stands still: who runs for leader is a choice
//! like any other.
//!
//! A deed changes one node, and nodes come back to the same state on many ways. So each state of a node
//! and each message has a number, the core is asked once for each pair of them, and a state of the
//! whole is a few numbers.
//!
//! Which node may crash is settled at the beginning, in three ways. Disks may as well be fast: what
//! waits for them could wait in the network. Only what is written behind the last sync before the crash
//! is different, since it may be lost. So the disk of the node that may crash stands still from some
//! moment on, and then comes the crash.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, RwLock};

use stateright::{Model, Property};
use synod_core::{Instance, Member, Message, NodeId};

use crate::bugs::Bug;
use crate::node::{Deed, Node, member};
use crate::rules::{Broken, Rule, together};

/// How far the exploration goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Instances that are used; what is said of later ones is lost.
    pub(crate) instances: u64,
    /// How often each node may run for leader.
    pub(crate) runs: [usize; 3],
    /// Whether a node may crash, once: any, at any moment.
    pub(crate) crash: bool,
    /// Whether nodes ask each other for what they missed.
    pub(crate) learns: bool,
    /// Whether what can make no difference any more is left out.
    pub(crate) tidies: bool,
    /// What is wrong.
    pub(crate) bug: Bug,
    /// Nothing is looked for behind a broken rule: any, or this one.
    pub(crate) until: Option<Rule>,
}

impl Bounds {
    /// Whether a message is carried at all. What only hurries, or is about clients, is not.
    pub(crate) fn travels(&self, message: &Message) -> bool {
        match message {
            Message::Prepare { .. } | Message::Promise(_) | Message::Accepted { .. } => true,
            Message::Accept { instance, .. } => instance.0 <= self.instances,
            Message::Heartbeat { chosen, .. } => *chosen > Instance::ZERO,
            Message::HeartbeatAck { probe, .. } => self.learns && *probe == 0,
            Message::Learn { .. } | Message::Learned { .. } | Message::Voted { .. } => self.learns,
            Message::Canvass { .. }
            | Message::CanvassReply { .. }
            | Message::Behind { .. }
            | Message::Nack { .. }
            | Message::Forward { .. }
            | Message::Refused { .. }
            | Message::ReadIndex { .. }
            | Message::ReadPoint { .. }
            | Message::Lease { .. }
            | Message::Granted { .. }
            | Message::Release { .. }
            | Message::Hold { .. }
            | Message::Held { .. }
            | Message::Digest { .. }
            | Message::Change { .. }
            | Message::Waits { .. }
            | Message::Transfer { .. } => false,
        }
    }
}

/// A state of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    nodes: [u32; 3],
    /// What was said and may still matter, ascending.
    net: Vec<u16>,
    /// The node that may still crash.
    frail: Option<u8>,
    /// Its disk stands still until it does.
    is_still: bool,
    broken: Broken,
}

impl State {
    fn is_frail(&self, node: usize) -> bool {
        self.frail.is_some_and(|frail| usize::from(frail) == node)
    }

    fn is_still(&self, node: usize) -> bool {
        self.is_still && self.is_frail(node)
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    node: usize,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Does {
    Hear(u16),
    Run,
    Sync,
    /// Its disk finishes nothing any more.
    Still,
    Crash(usize),
}

/// A message with its ends.
#[derive(Debug)]
struct Packet {
    from: Member,
    to: usize,
    message: Message,
}

type Outcome = (u32, Arc<[u16]>);

#[derive(Debug, Default)]
struct Tables {
    nodes: Vec<Arc<Node>>,
    node_of: HashMap<(u64, u64), u32>,
    packets: Vec<Arc<Packet>>,
    packet_of: HashMap<String, u16>,
    outcomes: HashMap<(u32, Does), Outcome>,
    judged: HashMap<[u32; 3], Broken>,
}

/// The space within bounds.
#[derive(Debug)]
pub(crate) struct Space {
    bounds: Bounds,
    tables: Arc<RwLock<Tables>>,
}

impl Space {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, tables: Arc::default() }
    }

    /// How many states single nodes got into, and how many messages there were.
    pub(crate) fn parts(&self) -> (usize, usize) {
        let tables = self.tables.read().unwrap();
        (tables.nodes.len(), tables.packets.len())
    }

    /// The states that the three nodes got into together.
    pub(crate) fn together(&self) -> BTreeSet<[String; 3]> {
        let tables = self.tables.read().unwrap();
        let facts = |id: u32| tables.nodes[usize::try_from(id).unwrap()].facts();
        tables.judged.keys().map(|ids| ids.map(facts)).collect()
    }

    fn node(&self, id: u32) -> Arc<Node> {
        let tables = self.tables.read().unwrap();
        Arc::clone(&tables.nodes[usize::try_from(id).unwrap()])
    }

    fn nodes(&self, state: &State) -> [Arc<Node>; 3] {
        state.nodes.map(|id| self.node(id))
    }

    fn packet(&self, id: u16) -> Arc<Packet> {
        Arc::clone(&self.tables.read().unwrap().packets[usize::from(id)])
    }

    /// What comes of a deed; the core is asked if it was not before.
    fn outcome(&self, id: u32, does: Does) -> Outcome {
        if let Some((next, said)) = self.tables.read().unwrap().outcomes.get(&(id, does)) {
            return (*next, Arc::clone(said));
        }
        let node = self.node(id);
        let deed = match does {
            Does::Hear(packet) => {
                let packet = self.packet(packet);
                Deed::Hear(packet.from, packet.message.clone())
            }
            Does::Run => Deed::Run,
            Does::Sync => Deed::Sync,
            Does::Still => Deed::Still,
            Does::Crash(kept) => Deed::Crash(kept),
        };
        let (next, said) = node.after(&deed, &self.bounds);
        let mut tables = self.tables.write().unwrap();
        let mut packets: Vec<u16> =
            said.into_iter().map(|(to, message)| tables.packet(node.me(), to, message)).collect();
        packets.sort_unstable();
        let outcome = (tables.node(next), packets.into());
        tables.outcomes.insert((id, does), outcome.clone());
        outcome
    }

    /// Does something to a node, and takes in what it says.
    fn apply(&self, state: &mut State, node: usize, does: Does) -> bool {
        let (next, said) = self.outcome(state.nodes[node], does);
        let mut is_new = next != state.nodes[node];
        state.nodes[node] = next;
        for packet in said.iter() {
            if let Err(at) = state.net.binary_search(packet) {
                state.net.insert(at, *packet);
                is_new = true;
            }
        }
        is_new
    }

    /// Which rules three nodes break, each and together; looked at once for each three.
    fn judge(&self, ids: [u32; 3]) -> Broken {
        if let Some(broken) = self.tables.read().unwrap().judged.get(&ids) {
            return *broken;
        }
        let nodes = ids.map(|id| self.node(id));
        let mut broken = together([0, 1, 2].map(|node| (&nodes[node].votes, &nodes[node].known)));
        nodes.iter().for_each(|node| broken.add(node.broken));
        self.tables.write().unwrap().judged.insert(ids, broken);
        broken
    }

    /// Leaves out what can change nothing any more: a message that is heard again or late may as well
    /// be lost.
    fn tidy(&self, state: &mut State) {
        for node in 0..3 {
            while !state.is_still(node) && !self.node(state.nodes[node]).pending.is_empty() {
                self.apply(state, node, Does::Sync);
            }
        }
        if !self.bounds.tidies {
            return;
        }
        let nodes = self.nodes(state);
        let tables = self.tables.read().unwrap();
        let mut net = std::mem::take(&mut state.net);
        net.retain(|id| {
            let Packet { from, to, message } = &*tables.packets[usize::from(*id)];
            let sender = &nodes[usize::try_from(from.node.0 - 1).unwrap()];
            !nodes[*to].is_deaf_to(message, sender, !state.is_frail(*to), self.bounds.learns)
        });
        state.net = net;
    }
}

impl Tables {
    fn node(&mut self, node: Node) -> u32 {
        let next = u32::try_from(self.nodes.len()).unwrap();
        let id = *self.node_of.entry(node.key).or_insert(next);
        if id == next {
            self.nodes.push(Arc::new(node));
        }
        id
    }

    fn packet(&mut self, from: Member, to: NodeId, message: Message) -> u16 {
        let next = u16::try_from(self.packets.len()).unwrap();
        let id = *self.packet_of.entry(format!("{from} {to} {message:?}")).or_insert(next);
        if id == next {
            let to = usize::try_from(to.0 - 1).unwrap();
            self.packets.push(Arc::new(Packet { from, to, message }));
        }
        id
    }
}

impl Model for Space {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut tables = self.tables.write().unwrap();
        let nodes = [0, 1, 2].map(|node| tables.node(Node::begin(member(node), &self.bounds)));
        let state = |frail| State {
            nodes,
            net: Vec::new(),
            frail,
            is_still: false,
            broken: Broken::default(),
        };
        match self.bounds.crash {
            false => vec![state(None)],
            true => [0, 1, 2].map(|node| state(Some(node))).to_vec(),
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_end = |rule| state.broken.has(rule);
        if self.bounds.until.map_or_else(|| state.broken.any(), is_end) {
            return;
        }
        for (node, known) in self.nodes(state).iter().enumerate() {
            let mut may = |does| actions.push(Action { node, does });
            if known.runs < self.bounds.runs[node] {
                may(Does::Run);
            }
            if state.is_still(node) {
                (0..=known.pending.len()).for_each(|kept| may(Does::Crash(kept)));
            } else if state.is_frail(node) {
                may(Does::Still);
            }
        }
        let nodes = self.nodes(state);
        let tables = self.tables.read().unwrap();
        for id in &state.net {
            let Packet { to, message, .. } = &*tables.packets[usize::from(*id)];
            let node = *to;
            if nodes[node].is_about_to_answer(message) {
                continue;
            }
            actions.push(Action { node, does: Does::Hear(*id) });
        }
    }

    fn next_state(&self, state: &State, Action { node, does }: Action) -> Option<State> {
        let mut next = state.clone();
        match does {
            Does::Crash(_) => (next.frail, next.is_still) = (None, false),
            Does::Still => next.is_still = true,
            Does::Hear(_) | Does::Run | Does::Sync => {}
        }
        if !self.apply(&mut next, node, does) && next == *state {
            return None;
        }
        self.tidy(&mut next);
        next.broken.add(self.judge(next.nodes));
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Rule::Agreement.name(), |_, s: &State| !s.broken.has(Rule::Agreement)),
            Property::always(Rule::I1.name(), |_, s: &State| !s.broken.has(Rule::I1)),
            Property::always(Rule::I2.name(), |_, s: &State| !s.broken.has(Rule::I2)),
            Property::always(Rule::I3.name(), |_, s: &State| !s.broken.has(Rule::I3)),
            Property::always(Rule::I4.name(), |_, s: &State| !s.broken.has(Rule::I4)),
            Property::always(Rule::I5.name(), |_, s: &State| !s.broken.has(Rule::I5)),
            Property::always(Rule::Sound.name(), |_, s: &State| !s.broken.has(Rule::Sound)),
            Property::sometimes(MOST, |space, state| {
                space.nodes(state).iter().all(|node| node.knows(space.bounds.instances))
            }),
        ]
    }

    fn format_action(&self, Action { node, does }: &Action) -> String {
        let node = member(*node).node;
        match does {
            Does::Hear(id) => {
                let Packet { from, message, .. } = &*self.packet(*id);
                format!("{node} hears {}: {message:?}", from.node)
            }
            Does::Run => format!("{node} runs for leader"),
            Does::Sync => format!("{node} syncs"),
            Does::Still => format!("{node} syncs nothing any more"),
            Does::Crash(kept) => format!("{node} crashes, and {kept} unsynced records survive"),
        }
    }
}

/// What must be reached, or the exploration shows nothing.
pub(crate) const MOST: &str = "everything is chosen everywhere";
