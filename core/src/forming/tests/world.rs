//! A handful of forming nodes, a lying network and disks that may be wiped.

use alloc::collections::BTreeSet;
use alloc::string::String;

use super::*;

/// Everything, moved on by one seed.
pub(super) struct World {
    nodes: Vec<Node>,
    network: Vec<Packet>,
    now: Time,
    random: u64,
    next_incarnation: u64,
    /// How long a packet takes while the world settles.
    pub(super) delay: Duration,
    /// Clusters that had a quorum of living members at some moment: they may have acknowledged.
    with_quorum: BTreeSet<ClusterId>,
}

struct Node {
    id: u64,
    incarnation: Incarnation,
    disk: Option<Founding>,
    pending: Option<Founding>,
    /// `None` while stopped.
    forming: Option<Forming>,
}

pub(super) struct Packet {
    due: Time,
    from: u64,
    to: u64,
    message: FoundingMessage,
}

impl World {
    /// So many fresh nodes, none of which has been stepped.
    pub(super) fn new(nodes: u64, seed: u64) -> Self {
        let mut world = Self {
            nodes: Vec::new(),
            network: Vec::new(),
            now: Time::ZERO,
            random: seed,
            next_incarnation: 1,
            delay: Duration::from_millis(1),
            with_quorum: BTreeSet::new(),
        };
        for id in 1..=nodes {
            let incarnation = world.incarnation();
            let (disk, pending, forming) = (None, None, None);
            world.nodes.push(Node { id, incarnation, disk, pending, forming });
        }
        (1..=nodes).for_each(|id| world.start(id));
        world
    }

    /// Random events: deliveries in any order, losses, doubles, ticks, completed writes, crashes,
    /// and at most so many wipes.
    pub(super) fn faults(&mut self, events: u32, mut wipes: u32) {
        for _ in 0..events {
            let id = 1 + self.below(self.nodes.len());
            match self.below(100) {
                0..60 if !self.network.is_empty() => {
                    let at = usize::try_from(self.below(self.network.len())).unwrap();
                    let Packet { from, to, message, .. } = self.network.swap_remove(at);
                    let again = self.below(10) == 0;
                    if again {
                        self.send(from, to, message.clone());
                    }
                    if self.below(10) != 0 {
                        self.step(to, receive(from, message));
                    }
                }
                60..85 => {
                    self.now = self.now + Duration::from_millis(50);
                    self.step(id, FormingInput::Tick);
                }
                85..94 => self.complete_write(id),
                94..98 => {
                    let kept = self.below(2) == 0;
                    self.crash(id, kept);
                }
                98.. if wipes > 0 => {
                    wipes -= 1;
                    self.wipe(id);
                }
                _ => {}
            }
        }
    }

    /// No more faults for a minute: ticks when due, packets in order. Whether every running node
    /// is founded, and none stopped.
    pub(super) fn settle(&mut self) -> bool {
        let end = self.now + Duration::from_secs(60);
        (1..=self.count()).for_each(|id| self.complete_write(id));
        while self.now < end && !self.all_founded() {
            let due = self.network.iter().map(|packet| packet.due);
            let ticks = self.nodes.iter().filter_map(|node| node.forming.as_ref()?.deadline());
            let Some(next) = due.chain(ticks).min() else { break };
            self.now = self.now.max(next);
            for id in 1..=self.count() {
                self.complete_write(id);
                self.step(id, FormingInput::Tick);
            }
            let now = self.now;
            let (due, later) = core::mem::take(&mut self.network)
                .into_iter()
                .partition::<Vec<_>, _>(|packet| packet.due <= now);
            self.network = later;
            for Packet { from, to, message, .. } in due {
                self.step(to, receive(from, message));
            }
            (1..=self.count()).for_each(|id| self.complete_write(id));
        }
        self.all_founded()
    }

    /// No more than one cluster ever had a quorum.
    pub(super) fn check(&self) {
        assert!(self.clusters_with_quorum() <= 1, "two clusters: {:?}", self.with_quorum);
    }

    pub(super) fn clusters_with_quorum(&self) -> usize {
        self.with_quorum.len()
    }

    /// Lets everything happen until this node has handed out a write.
    pub(super) fn until_write(&mut self, id: u64) {
        while self.node(id).pending.is_none() {
            for each in 1..=self.count() {
                self.step(each, FormingInput::Tick);
            }
            for Packet { from, to, message, .. } in core::mem::take(&mut self.network) {
                self.step(to, receive(from, message));
            }
            self.now = self.now + Duration::from_millis(1);
        }
    }

    /// Delivers the oldest packet between two nodes, which must be there.
    pub(super) fn deliver(&mut self, from: u64, to: u64) {
        let at = self.network.iter().position(|p| (p.from, p.to) == (from, to));
        let packet = self.network.remove(at.expect("a packet to deliver"));
        self.step(to, receive(from, packet.message));
    }

    /// Loses everything under way.
    pub(super) fn lose_all(&mut self) {
        self.network.clear();
    }

    /// Holds everything under way back.
    pub(super) fn take_all(&mut self) -> Vec<Packet> {
        core::mem::take(&mut self.network)
    }

    pub(super) fn put_back(&mut self, packets: Vec<Packet>) {
        self.network.extend(packets);
    }

    pub(super) fn tick(&mut self, id: u64) {
        self.step(id, FormingInput::Tick);
    }

    /// Kills and restarts a node; a write on its way may have reached the disk. Gives the write.
    pub(super) fn crash(&mut self, id: u64, kept: bool) -> Option<Founding> {
        let node = self.node(id);
        let pending = node.pending.take();
        if kept && pending.is_some() {
            node.disk.clone_from(&pending);
        }
        self.note();
        self.start(id);
        pending
    }

    /// Takes a node's disk away and starts it with a new one.
    pub(super) fn wipe(&mut self, id: u64) {
        let incarnation = self.incarnation();
        let node = self.node(id);
        (node.disk, node.pending, node.incarnation) = (None, None, incarnation);
        self.start(id);
    }

    pub(super) fn stop(&mut self, id: u64) {
        self.node(id).forming = None;
    }

    pub(super) fn start(&mut self, id: u64) {
        let founders: Vec<u64> = (1..=self.count()).collect();
        let seed = self.below(usize::MAX);
        let now = self.now;
        let node = self.node(id);
        node.pending = None;
        let memories = [(GROUP, node.incarnation)];
        let mut start = forming(id, &founders, &memories, Bootstrap::Auto, node.disk.clone(), seed);
        start.round.ends = now;
        node.forming = Some(start);
    }

    pub(super) fn founding(&mut self, id: u64) -> Option<Founding> {
        self.node(id).forming.as_ref()?.founding().cloned()
    }

    pub(super) fn states(&self) -> Vec<String> {
        let state = |node: &Node| match &node.forming {
            Some(forming) => forming.state().to_string(),
            None => "stopped".into(),
        };
        self.nodes.iter().map(state).collect()
    }

    fn step(&mut self, id: u64, input: FormingInput) {
        let now = self.now;
        let node = self.node(id);
        let Some(forming) = &mut node.forming else { return };
        let mut out = FormingOutbox::default();
        forming.step(now, input, &mut out);
        if let Some(write) = out.write {
            assert_eq!(node.disk, None, "node {id} adopts a second founding");
            assert_eq!(node.pending.replace(write), None, "node {id} writes twice");
        }
        for (to, message) in out.messages {
            self.send(id, to.0, message);
        }
    }

    pub(super) fn complete_write(&mut self, id: u64) {
        let node = self.node(id);
        if node.pending.is_some() {
            node.disk = node.pending.take();
            self.note();
            self.step(id, FormingInput::Durable);
        }
    }

    /// Remembers the clusters that have a quorum of members with their disks right now.
    fn note(&mut self) {
        for founding in self.nodes.iter().filter_map(|node| node.disk.as_ref()) {
            let membership = &founding.groups[0].1;
            let members = self.nodes.iter().filter(|node| {
                let member = Member { node: NodeId(node.id), incarnation: node.incarnation };
                node.disk.as_ref() == Some(founding) && membership.slot(member).is_some()
            });
            if members.count() >= usize::try_from(membership.quorum()).unwrap() {
                self.with_quorum.insert(founding.cluster);
            }
        }
    }

    fn send(&mut self, from: u64, to: u64, message: FoundingMessage) {
        let due = self.now + self.delay;
        self.network.push(Packet { due, from, to, message });
    }

    fn all_founded(&self) -> bool {
        self.nodes.iter().all(|node| node.forming.as_ref().is_some_and(|f| f.founding().is_some()))
    }

    fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).unwrap()
    }

    fn count(&self) -> u64 {
        u64::try_from(self.nodes.len()).unwrap()
    }

    fn incarnation(&mut self) -> Incarnation {
        self.next_incarnation += 1;
        Incarnation(self.next_incarnation)
    }

    /// A random number below `end` (an LCG's upper bits).
    fn below(&mut self, end: usize) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % u64::try_from(end).unwrap()
    }
}
