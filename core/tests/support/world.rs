//! A small cluster in memory that a seed drives: its network, disks, crashes and clients.
#![expect(clippy::print_stdout, reason = "traces, where they are asked for")]

mod clients;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use synod_core::*;

use super::checks::Checks;
use super::disk::Disk;
use super::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Proposal,
    Read,
    Change,
}

pub struct World {
    pub now: Time,
    pub rng: Rng,
    pub nodes: Vec<Node>,
    founders: Vec<Member>,
    pub checks: Checks,
    net: Vec<(Member, NodeId, Message)>,
    cut: BTreeSet<(u64, u64)>,
    rates: Rates,
    config: Config,
    calm: bool,
    next_id: u64,
    /// Proposals from here on have to commit: nothing goes wrong any more.
    must_commit: u64,
    trace: bool,
}

/// Chances in a thousand, drawn anew for each seed so that each seed is its own kind of weather.
struct Rates {
    lose: u64,
    repeat: u64,
    sync: u64,
    crash: u64,
    restart: u64,
    client: u64,
    cut: u64,
    step: u64,
    change: u64,
    wipe: u64,
}

pub struct Node {
    pub me: Member,
    pub boot: u64,
    pub group: Option<Group>,
    pub disk: Disk,
    out: Outbox,
    fetches: VecDeque<Fetch>,
    commands: BTreeMap<Instance, Vec<CommandKey>>,
    through: Instance,
    /// A hash of everything executed.
    state: u64,
    /// A checkpoint that is being written.
    taking: Option<Checkpoint>,
    /// A checkpoint of a peer that has come.
    incoming: Option<Checkpoint>,
    /// Checkpoints on its disk; whether one counts is said by the log.
    files: BTreeMap<Instance, Checkpoint>,
    /// It knew that it was no member any more.
    removed: bool,
    /// Proposals and reads that wait here, with their deadlines.
    waiting: BTreeMap<(Asked, u64), Time>,
    /// Where reads may be served that the state machine has not reached.
    reads: Vec<Instance>,
}

/// What a checkpoint holds: the group's own state, and the state machine's.
#[derive(Clone, Debug)]
struct Checkpoint {
    at: Instance,
    group: Bytes,
    machine: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let n = rng.pick(&[1, 2, 3, 3, 3, 3, 3, 4, 5]);
        let ms = Duration::from_millis;
        let window = 1 + rng.index(8);
        let config = Config {
            election_timeout: ms(30),
            heartbeat_interval: ms(10),
            retry_interval: ms(rng.pick(&[3, 10, 25])),
            window_instances_max: window,
            window_bytes_max: rng.pick(&[1, 200, 1 << 20]),
            batch_commands_max: 1 + rng.index(4),
            batch_delay: ms(rng.below(3)),
            queue_commands_max: rng.pick(&[1, 3, 1000]),
            proposals_max: rng.pick(&[2, 20, 1000]),
            page_bytes_max: rng.pick(&[1, 150, 1 << 20]),
            cache_bytes_max: rng.pick(&[0, 150, 1 << 20]),
            accept_ahead_max: 8 + rng.below(8),
            writes_in_flight_max: rng.pick(&[2, 8, 1000]),
            apply_ahead_max: rng.pick(&[1, 4, 1000]),
            ..Config::default()
        };
        let config = Config {
            digest_interval: 3,
            checkpoint_interval: rng.pick(&[0, 0, 1, 3, 10]),
            checkpoint_bytes: rng.pick(&[0, 0, 300]),
            keep_instances: rng.pick(&[0, 0, 4, 20]),
            ..config
        };
        let rates = Rates {
            lose: rng.pick(&[0, 0, 30, 150, 300]),
            repeat: rng.pick(&[0, 20, 150]),
            sync: rng.pick(&[30, 150, 400]),
            crash: rng.pick(&[0, 3, 10, 25]),
            restart: rng.pick(&[20, 100]),
            client: rng.pick(&[30, 100, 200]),
            cut: rng.pick(&[0, 0, 5, 20]),
            step: rng.pick(&[300_000, 1_000_000, 3_000_000]),
            change: 0,
            wipe: 0,
        };
        // Drawn apart, so that the weather of old seeds stays what it was. To change the membership
        // at will and to wipe members is one thing too many: an entry that is under way may name the
        // memory that is wiped, and leave too few of its voters.
        let mut apart = Rng(seed ^ 0x6d65_6d62_6572);
        let (change, wipe) = apart.pick(&[(0, 0), (3, 0), (10, 0), (30, 0), (0, 3), (0, 10)]);
        let spares = if change > 0 { apart.below(4) } else { 0 };
        let rates = Rates { change, wipe, ..rates };
        let mut world = Self {
            now: Time::ZERO,
            rng,
            nodes: Vec::new(),
            founders: Vec::new(),
            checks: Checks::default(),
            net: Vec::new(),
            cut: BTreeSet::new(),
            rates,
            config,
            calm: false,
            next_id: 0,
            must_commit: u64::MAX,
            trace: std::env::var_os("TRACE").is_some(),
        };
        for i in 1..=n + spares {
            world.nodes.push(Node {
                me: Member { node: NodeId(i), incarnation: Incarnation(i * 11) },
                boot: 0,
                group: None,
                disk: Disk::default(),
                out: Outbox::default(),
                fetches: VecDeque::new(),
                commands: BTreeMap::new(),
                through: Instance::ZERO,
                state: 0,
                taking: None,
                incoming: None,
                files: BTreeMap::new(),
                removed: false,
                waiting: BTreeMap::new(),
                reads: Vec::new(),
            });
        }
        world.founders = world.nodes.iter().map(|node| node.me).collect();
        world.founders.truncate(usize::try_from(n).unwrap());
        (0..world.nodes.len()).for_each(|i| world.restart(i));
        world
    }

    /// One random event.
    pub fn event(&mut self) {
        self.now = self.now + Duration::from_nanos(self.rng.below(self.rates.step));
        let i = self.rng.index(self.nodes.len());
        let Rates { sync, crash, restart, client, cut, change, wipe, .. } = self.rates;
        if self.nodes[i].group.is_none() {
            if self.rng.chance(restart) {
                if self.nodes[i].removed {
                    self.wipe(i);
                }
                self.restart(i);
            }
            return self.deliver();
        }
        if self.rng.chance(crash) {
            self.crash(i);
        } else if change > 0 && self.rng.chance(change) {
            self.change(i);
        } else if wipe > 0 && self.rng.chance(wipe) && self.may_wipe(i) {
            self.crash(i);
            self.wipe(i);
        } else if self.rng.chance(sync) {
            self.sync(i);
        } else if self.rng.chance(client) {
            self.client(i);
        } else if self.rng.chance(cut) {
            let (a, b) = (self.rng.index(self.nodes.len()), self.rng.index(self.nodes.len()));
            let pair = (self.nodes[a].me.node.0, self.nodes[b].me.node.0);
            if !self.cut.remove(&pair) {
                self.cut.insert(pair);
            }
        } else if self.rng.chance(40) {
            match self.rng.below(4) {
                0 => self.taken(i),
                1 => self.install(i),
                2 => self.transfer(i),
                _ => self.offer(i),
            };
        } else if self.rng.chance(100) {
            self.fetch(i);
        } else if self.rng.chance(300) {
            self.tick(i);
        } else {
            self.deliver();
        }
    }

    /// No more faults: everything must come to rest with everything agreed.
    pub fn settle(&mut self) -> Result<u64, String> {
        self.calm = true;
        self.cut.clear();
        self.net.clear();
        for i in 0..self.nodes.len() {
            if self.nodes[i].group.is_none() {
                if self.nodes[i].removed {
                    self.wipe(i);
                }
                self.restart(i);
            }
        }
        let end = self.now + Duration::from_secs(4);
        let mut proposed = false;
        let mut rounds = 0_u64;
        while self.now < end {
            rounds += 1;
            if rounds > 400_000 {
                return Err("something goes round in circles".into());
            }
            let busy = self.quiet_step();
            if !proposed && self.now + Duration::from_secs(2) > end {
                proposed = true;
                self.must_commit = self.next_id + 1;
                self.config.proposals_max = 1000;
                (0..self.nodes.len()).for_each(|i| self.propose(i, Duration::from_millis(1500)));
            }
            if !busy {
                let next = self.nodes.iter().filter_map(|n| n.group.as_ref()?.deadline()).min();
                let least = self.now + Duration::from_micros(100);
                self.now = next.unwrap_or(end).max(least);
                (0..self.nodes.len()).for_each(|i| self.tick(i));
            }
        }
        self.converged()
    }

    fn quiet_step(&mut self) -> bool {
        let mut busy = false;
        for (from, to, message) in std::mem::take(&mut self.net) {
            busy = true;
            let i = usize::try_from(to.0 - 1).unwrap();
            self.step(i, Input::Receive { from, message });
        }
        for i in 0..self.nodes.len() {
            busy |= self.sync(i) | self.fetch(i) | self.due(i);
            busy |= self.taken(i) | self.install(i) | self.transfer(i);
        }
        busy
    }

    fn due(&mut self, i: usize) -> bool {
        let due =
            self.nodes[i].group.as_ref().and_then(Group::deadline).is_some_and(|d| d <= self.now);
        if due {
            self.tick(i);
        }
        due
    }

    fn converged(&mut self) -> Result<u64, String> {
        let statuses: Vec<Status> =
            self.nodes.iter().map(|n| n.group.as_ref().unwrap().status()).collect();
        let newest = self.nodes.iter().max_by_key(|n| {
            let status = n.group.as_ref().unwrap().status();
            (status.version, status.chosen)
        });
        let members = newest.unwrap().group.as_ref().unwrap().members();
        let first = statuses.iter().max_by_key(|status| status.chosen).unwrap();
        for (node, status) in self.nodes.iter().zip(&statuses) {
            let same = members.iter().find(|member| member.node == node.me.node);
            let Some(same) = same else { continue };
            if self.config.swap_in && *same != node.me {
                return Err(format!("{} is not swapped in: {statuses:#?}", node.me));
            }
            if status.chosen != first.chosen || status.applied != first.chosen {
                return Err(format!("no convergence: {statuses:#?}"));
            }
            if !node.waiting.is_empty() {
                return Err(format!("{:?} still wait at {}", node.waiting, node.me));
            }
        }
        self.checks.finish(first.chosen)
    }

    fn tick(&mut self, i: usize) {
        self.step(i, Input::Tick);
    }

    fn deliver(&mut self) {
        if self.net.is_empty() {
            return;
        }
        // Mostly in order, now and then any.
        let at = if self.rng.chance(700) { 0 } else { self.rng.index(self.net.len()) };
        let (from, to, message) = self.net.remove(at);
        if self.rng.chance(self.rates.lose) || self.cut.contains(&(from.node.0, to.0)) {
            return;
        }
        if self.rng.chance(self.rates.repeat) {
            self.net.push((from, to, message.clone()));
        }
        self.step(usize::try_from(to.0 - 1).unwrap(), Input::Receive { from, message });
    }

    fn sync(&mut self, i: usize) -> bool {
        if let Some(batch) = self.nodes[i].out.take_writes() {
            self.nodes[i].disk.write(batch);
        }
        let Some(durable) = self.nodes[i].disk.sync() else { return false };
        self.step(i, Input::Durable(durable));
        true
    }

    fn fetch(&mut self, i: usize) -> bool {
        let node = &mut self.nodes[i];
        let Some(Fetch { id, from, to, bytes_max }) = node.fetches.pop_front() else {
            return false;
        };
        let entries = node.disk.fetch(from, to, bytes_max);
        self.step(i, Input::Fetched { id, entries });
        true
    }

    /// A checkpoint that was being written is durable, or failed.
    fn taken(&mut self, i: usize) -> bool {
        let Some(checkpoint) = self.nodes[i].taking.take() else { return false };
        let at = checkpoint.at;
        if !self.calm && self.rng.chance(200) {
            self.step(i, Input::CheckpointFailed(at));
        } else {
            self.nodes[i].files.insert(at, checkpoint);
            self.step(i, Input::Checkpointed(at));
        }
        true
    }

    /// Whoever is too far behind is sent a checkpoint.
    fn transfer(&mut self, i: usize) -> bool {
        let wanted = self.nodes[i].group.as_ref().and_then(Group::wanted);
        let Some(Wanted { next, from }) = wanted else { return false };
        let from = self.rng.pick(&from);
        let from = &self.nodes[usize::try_from(from.0 - 1).unwrap()];
        let newest = from.group.as_ref().map(|group| group.status().checkpoint);
        let Some(newest) = newest.and_then(|at| from.files.get(&at)) else { return false };
        if newest.at < next || self.nodes[i].incoming.is_some() {
            return false;
        }
        self.nodes[i].incoming = Some(newest.clone());
        true
    }

    /// Any checkpoint of anybody turns up, of use or not.
    fn offer(&mut self, i: usize) -> bool {
        let from = self.rng.index(self.nodes.len());
        let newest = self.nodes[from].files.last_key_value().map(|(_, newest)| newest.clone());
        self.nodes[i].incoming = newest;
        true
    }

    fn install(&mut self, i: usize) -> bool {
        let Some(checkpoint) = self.nodes[i].incoming.take() else { return false };
        let Checkpoint { at, group: state, .. } = checkpoint.clone();
        self.nodes[i].files.insert(at, checkpoint);
        self.step(i, Input::Install { at, state });
        true
    }

    /// Whether the cluster bears the loss of a memory: three vote or more, all of them have the
    /// memory that the newest membership knows of, and the change that made it is complete. Before
    /// that it takes a quorum of the old members as well, one of which is gone.
    fn may_wipe(&self, i: usize) -> bool {
        let groups = || self.nodes.iter().filter_map(|n| n.group.as_ref());
        if groups().count() < self.nodes.len() {
            return false;
        }
        let newest = groups().max_by_key(|g| (g.status().version, g.status().chosen)).unwrap();
        if newest.status().changing {
            return false;
        }
        let newest = newest.history().newest();
        newest.voters().len() >= 3
            && newest.of(self.nodes[i].me.node).is_some()
            && newest.members().all(|m| self.nodes.iter().any(|n| n.me == m))
    }

    /// The node starts anew on an empty disk.
    fn wipe(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        (node.disk, node.boot, node.removed) = (Disk::default(), 0, false);
        node.me.incarnation.0 += 1_000;
    }

    fn crash(&mut self, i: usize) {
        let kept = self.rng.index(self.nodes[i].disk.waiting() + 1);
        let node = &mut self.nodes[i];
        node.group = None;
        if self.rng.chance(500) {
            node.disk.kill();
        } else {
            node.disk.power(kept);
        }
        node.out = Outbox::default();
        node.fetches.clear();
        node.waiting.clear();
        node.reads.clear();
        node.commands.clear();
        (node.taking, node.incoming) = (None, None);
    }

    fn restart(&mut self, i: usize) {
        let members = self.founders.clone();
        let node = &mut self.nodes[i];
        node.boot += 1;
        node.removed = false;
        let recovered = node.disk.recover();
        (node.through, node.state) = (Instance::ZERO, 0);
        if let Some((at, state)) = &recovered.checkpoint {
            let Checkpoint { group, machine, .. } = &node.files[at];
            assert_eq!(group, state, "the log and the checkpoint {at} do not fit");
            (node.through, node.state) = (*at, *machine);
        }
        let start = Start {
            cluster: ClusterId(1),
            group: GroupId(0),
            me: node.me,
            boot: node.boot,
            membership: Membership::new(members, vec![]).unwrap(),
            recovered,
            config: Config { seed: self.rng.next(), ..self.config.clone() },
            now: self.now,
        };
        if self.trace {
            println!("{} {}/{} starts: {:?}", self.now, node.me.node, node.boot, start.recovered);
        }
        node.group = Some(Group::start(start).expect("the log is sound"));
    }

    fn step(&mut self, i: usize, input: Input) {
        let (now, calm) = (self.now, self.calm);
        let lazy = !calm && self.rng.chance(200);
        let node = &mut self.nodes[i];
        let Some(group) = node.group.as_mut() else { return };
        let (me, life) = (node.me, (node.me.node, node.boot));
        if self.trace {
            println!("{now} {}/{} <- {input:?}", me.node, node.boot);
        }
        group.step(now, input, &mut node.out);
        if self.trace {
            let Outbox { messages, applies, outcomes, events, .. } = &node.out;
            println!("    {messages:?} {applies:?} {outcomes:?} {events:?}");
        }
        assert_eq!(group.failure(), None, "node {me} failed");
        for (to, message) in node.out.messages.drain(..) {
            self.checks.said(life, &message, &node.disk.durable);
            self.net.push((me, to, message));
        }
        node.fetches.extend(node.out.fetches.drain(..));
        node.removed = group.status().removed;
        self.checks.members(me, group.history());
        let mut completed = Vec::new();
        for event in node.out.events.drain(..) {
            // By the first who knows: later ones may speak of members that have gone since.
            if let Event::MembershipChanged(at) = event
                && self.checks.completes(at)
                && self.rates.wipe == 0
            {
                completed.push((at, group.history().newest().clone()));
            }
        }
        for (at, membership) in completed {
            let holds = |n: &&Node| n.disk.holds(at);
            let holders: Vec<Member> = self.nodes.iter().filter(holds).map(|n| n.me).collect();
            let votes = membership.voters().iter().filter(|v| holders.contains(v)).count();
            let needed = usize::try_from(membership.quorum()).unwrap();
            assert!(votes >= needed, "{at} is complete, and only {holders:?} hold the log");
        }
        let node = &mut self.nodes[i];
        for outcome in node.out.outcomes.drain(..) {
            let (key, certain) = match outcome {
                Outcome::Refused(id, _) => ((Asked::Proposal, id.0), true),
                Outcome::Executed(id, _) | Outcome::Unknown(id) => {
                    let what = format!("{outcome} in calm weather");
                    assert!(id.0 < self.must_commit, "{what}");
                    ((Asked::Proposal, id.0), false)
                }
                Outcome::ReadAt(id, at) => {
                    self.checks.read_at(id.0, at);
                    node.reads.push(at);
                    ((Asked::Read, id.0), false)
                }
                Outcome::ReadFailed(id, _) => ((Asked::Read, id.0), false),
                Outcome::Changed(id, at) => {
                    self.checks.changed(id.0, at);
                    ((Asked::Change, id.0), false)
                }
                Outcome::ChangeRefused(id, _) | Outcome::ChangeUnknown(id, _) => {
                    ((Asked::Change, id.0), false)
                }
            };
            let deadline = node.waiting.remove(&key);
            assert!(deadline.is_some(), "{outcome:?} answers nothing");
            if certain {
                self.checks.refused(key.1);
            }
        }
        let (mut reached, mut digests) = (None, Vec::new());
        for apply in node.out.applies.drain(..) {
            match apply {
                Apply::Command { position, key, proposal, payload, .. } => {
                    let list = node.commands.entry(position.instance).or_default();
                    list.push(key);
                    let id = std::str::from_utf8(&payload).unwrap()[1..].parse().unwrap();
                    self.checks.executed(position, key, id);
                    if let Some(proposal) = proposal {
                        assert_eq!(proposal.0, id, "the wrong proposal was resolved");
                        assert!(
                            node.waiting.remove(&(Asked::Proposal, id)).is_some(),
                            "{id} resolved twice"
                        );
                        self.checks.acknowledged(position.instance);
                    }
                }
                Apply::Through(instance) => {
                    while node.through < instance {
                        node.through = node.through.next();
                        let keys = node.commands.remove(&node.through).unwrap_or_default();
                        for key in &keys {
                            let word = key.origin.0 << 40 ^ key.boot << 32 ^ key.seq;
                            node.state = Rng(node.state ^ word).next();
                        }
                        self.checks.state(node.through, node.state);
                        self.checks.instance(node.through, keys);
                    }
                    reached = Some(instance);
                }
                Apply::Digest(at) => digests.push(at),
                Apply::Checkpoint { at, state } => {
                    let keys = node.commands.range(..=at).flat_map(|(_, keys)| keys);
                    let machine = keys.fold(node.state, |hash, key| {
                        let word = key.origin.0 << 40 ^ key.boot << 32 ^ key.seq;
                        Rng(hash ^ word).next()
                    });
                    self.checks.state(at, machine);
                    node.taking = Some(Checkpoint { at, group: state, machine });
                }
                Apply::Install(at) => {
                    let durable = node.disk.durable.checkpoint.as_ref().map(|(at, _)| *at);
                    assert!(durable >= Some(at), "a restart would not go on from {at}");
                    (node.through, node.state) = (at, node.files[&at].machine);
                    node.commands.clear();
                    self.checks.state(at, node.state);
                    reached = Some(at);
                }
            }
        }
        for at in node.reads.extract_if(.., |at| *at <= node.through) {
            self.checks.read_ends(at);
        }
        for (key, deadline) in &node.waiting {
            assert!(
                *deadline > now,
                "{key:?} waits at {me} past its deadline {deadline}, at {now}"
            );
        }
        if !lazy && let Some(batch) = node.out.take_writes() {
            node.disk.write(batch);
        }
        for at in digests {
            self.step(i, Input::Digested { at, state: None });
        }
        if let Some(instance) = reached {
            self.step(i, Input::Applied(instance));
        }
    }
}
