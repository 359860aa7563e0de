//! The commands of the scenario scripts, and what nodes do about them as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use synod_core::*;

use super::disk::Disk;
use super::show;

/// The nodes of a script. Messages wait in the order sent until they are delivered.
pub struct Script {
    now: Time,
    nodes: Vec<Node>,
    /// Who votes: the nodes with the memories that they started from.
    members: Vec<Member>,
    /// Of those the first so many found the cluster.
    founders: Option<usize>,
    config: Config,
    net: Vec<(Member, NodeId, Message)>,
    held: Vec<(Member, NodeId, Message)>,
    cut: BTreeSet<(u64, u64)>,
    ids: u64,
    /// Leaders that have been silent for longer than anybody's patience.
    silent: BTreeSet<Ballot>,
    /// Disks sync at once.
    auto: bool,
    /// The state machines keep what they executed through a loss of power.
    machine: bool,
    /// Only what matters in the end is written down, no messages and records.
    quiet: bool,
    text: String,
}

struct Node {
    me: Member,
    boot: u64,
    group: Option<Group>,
    disk: Disk,
    executed: BTreeMap<Position, String>,
    /// How far its clock is ahead of the script's.
    ahead: Duration,
}

impl Script {
    pub fn new() -> Self {
        Self {
            now: Time::ZERO,
            nodes: Vec::new(),
            members: Vec::new(),
            founders: None,
            config: Config { batch_delay: Duration::ZERO, ..Config::default() },
            net: Vec::new(),
            held: Vec::new(),
            cut: BTreeSet::new(),
            ids: 0,
            silent: BTreeSet::new(),
            auto: false,
            machine: false,
            quiet: false,
            text: String::new(),
        }
    }

    /// Runs a command and returns what the nodes did about it.
    pub fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (command, args) = words.split_first().expect("a command");
        let node = || usize::try_from(args[0].parse::<u64>().expect(line) - 1).unwrap();
        match *command {
            "nodes" => self.nodes(args),
            "propose" => self.propose(node(), args[1], args.get(2).copied()),
            "read" => {
                self.ids += 1;
                let deadline =
                    self.now + self.nodes[node()].ahead + duration(args.get(1).unwrap_or(&"60s"));
                let stale = args.get(2).map_or(Duration::ZERO, |stale| duration(stale));
                self.input(node(), Input::Read { id: ReadId(self.ids), deadline, stale });
            }
            "deliver" => {
                let taken = take(&mut self.net, args);
                self.receive(taken);
            }
            "drop" => drop(take(&mut self.net, args)),
            "repeat" => {
                let taken = take(&mut self.net, args);
                self.net.extend(taken.iter().flat_map(|m| [m.clone(), m.clone()]));
            }
            "hold" => {
                let taken = take(&mut self.net, args);
                self.held.extend(taken);
            }
            "release" => {
                let taken = take(&mut self.held, args);
                self.receive(taken);
            }
            "sync" if args[0] == "all" => (0..self.nodes.len()).for_each(|i| self.sync(i, 99)),
            "sync" => self.sync(node(), args.get(1).map_or(99, |n| n.parse().unwrap())),
            "after" => self.after(duration(args[0]), false),
            "run" => {
                self.quiet = true;
                self.after(duration(args[0]), true);
                self.quiet = false;
            }
            "stabilize" => while self.quiesce() {},
            "lead" => {
                self.quiet = true;
                self.campaign(node());
                while self.quiesce() {}
                self.quiet = false;
            }
            "age" => {
                let (i, time) = (node(), duration(args[1]));
                self.nodes[i].ahead += time;
                self.silent.extend(self.nodes[i].group.as_ref().map(|g| g.status().leader));
            }
            "wake" => self.step(node(), Input::Tick),
            "campaign" => self.campaign(node()),
            "kill" => self.end(node(), None),
            "power" => self.end(node(), Some(args.get(1).map_or(0, |n| n.parse().unwrap()))),
            "wipe" => self.wipe(node()),
            "restart" => self.restart(node()),
            "cut" => self.cut.extend(links(args[0])),
            "heal" => self.cut.clear(),
            "checkpoint" => self.input(node(), Input::Checkpoint),
            "install" => {
                let from = &self.nodes[args[1].parse::<usize>().unwrap() - 1].disk.durable;
                let (at, state) = from.checkpoint.clone().expect("it has none");
                self.input(node(), Input::Install { at, state });
            }
            "lose" => self.nodes[node()].disk.lose(instance(args[1])),
            "rot" => self.nodes[node()].disk.rot(instance(args[1])),
            "change" => self.change(node(), args[1]),
            "transfer" => self.input(node(), Input::Transfer(NodeId(args[1].parse().unwrap()))),
            "status" => self.status(),
            _ => panic!("no such command: {line}"),
        }
        std::mem::take(&mut self.text)
    }

    fn nodes(&mut self, args: &[&str]) {
        let count: u64 = args[0].parse().unwrap();
        for arg in &args[1..] {
            let (key, value) = arg.split_once('=').expect(arg);
            let (n, c) = (|| value.parse::<usize>().expect(arg), &mut self.config);
            match key {
                "sync" => self.auto = value == "auto",
                "machine" => self.machine = value == "durable",
                "swap" => c.swap_in = value == "on",
                "founders" => self.founders = Some(n()),
                "window" => c.window_instances_max = n(),
                "batch" => c.batch_commands_max = n(),
                "queue" => c.queue_commands_max = n(),
                "page" => c.page_bytes_max = n(),
                "cache" => c.cache_bytes_max = n(),
                "delay" => c.batch_delay = duration(value),
                "ahead" => c.accept_ahead_max = value.parse().unwrap(),
                "keep" => c.keep_instances = value.parse().unwrap(),
                "proposals" => c.proposals_max = n(),
                _ => panic!("no such setting: {arg}"),
            }
        }
        for i in 1..=count {
            let me = Member { node: NodeId(i), incarnation: Incarnation(i * 11) };
            let (disk, executed) = (Disk::default(), BTreeMap::new());
            let ahead = Duration::ZERO;
            self.members.push(me);
            self.nodes.push(Node { me, boot: 0, group: None, disk, executed, ahead });
        }
        (0..self.nodes.len()).for_each(|i| self.restart(i));
    }

    fn propose(&mut self, i: usize, command: &str, patience: Option<&str>) {
        self.ids += 1;
        let deadline = self.now + self.nodes[i].ahead + duration(patience.unwrap_or("60s"));
        let command = Bytes::from(command.to_owned());
        self.input(i, Input::Propose { id: ProposalId(self.ids), sm: SmId(0), command, deadline });
    }

    /// Asks for another membership, `1,2,4+5`: those that are members stay with the memory that they
    /// have, the others come with whatever they have.
    fn change(&mut self, i: usize, members: &str) {
        let Some(group) = &self.nodes[i].group else { return };
        let (version, newest) = (group.history().version(), group.history().newest());
        let member = |node: &str| {
            let node = NodeId(node.parse().unwrap());
            newest.of(node).unwrap_or(Member { node, incarnation: Incarnation(0) })
        };
        let list = |text: &str| text.split(',').filter(|n| !n.is_empty()).map(member).collect();
        let (voters, followers) = members.split_once('+').unwrap_or((members, ""));
        let membership = Membership::new(list(voters), list(followers)).unwrap();
        self.ids += 1;
        let deadline = self.now + self.nodes[i].ahead + duration("60s");
        let id = ChangeId(self.ids);
        self.input(i, Input::Change { id, version, membership, deadline });
    }

    /// An input from the embedder, and the tick that follows when there are no more for now.
    fn input(&mut self, i: usize, input: Input) {
        self.step(i, input);
        self.due(i);
    }

    /// Ticks a node whose deadline has come. One that only waits for a leader is left alone: its
    /// patience ends by `campaign`, `after` or `run`, in the order of the script.
    fn due(&mut self, i: usize) -> bool {
        let Some(group) = &self.nodes[i].group else { return false };
        let status = group.status();
        let waits = matches!(status.role, Role::Follower | Role::Canvassing);
        let late = waits && (status.leader == Ballot::ZERO || self.silent.contains(&status.leader));
        let now = !late && group.deadline().is_some_and(|at| at <= self.now + self.nodes[i].ahead);
        if now {
            self.step(i, Input::Tick);
        }
        now
    }

    fn receive(&mut self, messages: Vec<(Member, NodeId, Message)>) {
        for (from, to, message) in messages {
            let i = usize::try_from(to.0 - 1).unwrap();
            self.step(i, Input::Receive { from, message });
            self.due(i);
        }
    }

    fn sync(&mut self, i: usize, most: usize) {
        for _ in 0..most {
            let Some(durable) = self.nodes[i].disk.sync() else { break };
            self.input(i, Input::Durable(durable));
        }
    }

    fn quiesce(&mut self) -> bool {
        let messages = std::mem::take(&mut self.net);
        let mut busy = !messages.is_empty();
        self.receive(messages);
        for i in 0..self.nodes.len() {
            busy |= self.nodes[i].disk.waiting() > 0 && self.nodes[i].group.is_some();
            self.sync(i, 99);
            busy |= self.due(i);
        }
        busy
    }

    /// Lets time pass, ticking whoever's deadline comes first; `busy` delivers and syncs on the way.
    fn after(&mut self, time: Duration, busy: bool) {
        let end = self.now + time;
        loop {
            while busy && self.quiesce() {}
            let next = |(i, n): (usize, &Node)| Some((n.group.as_ref()?.deadline()? - n.ahead, i));
            match self.nodes.iter().enumerate().filter_map(next).min() {
                Some((at, i)) if at <= end => {
                    self.now = self.now.max(at);
                    self.step(i, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Nobody hears a leader any more, and this node is the first whose patience ends.
    fn campaign(&mut self, i: usize) {
        self.now = self.now + self.config.election_timeout * 2;
        let leaders = self.nodes.iter().filter_map(|n| Some(n.group.as_ref()?.status().leader));
        self.silent.extend(leaders);
        self.step(i, Input::Tick);
    }

    fn end(&mut self, i: usize, power: Option<usize>) {
        let node = &mut self.nodes[i];
        node.group = None;
        match power {
            None => node.disk.kill(),
            Some(kept) => node.disk.power(kept),
        }
        if power.is_some() && !self.machine {
            node.executed.clear();
        }
    }

    /// The node's disk is replaced by an empty one, and it starts with a new memory.
    fn wipe(&mut self, i: usize) {
        self.end(i, Some(0));
        let node = &mut self.nodes[i];
        (node.disk, node.boot) = (Disk::default(), 0);
        node.me.incarnation.0 += 1;
        writeln!(self.text, "  {}: starts as {}", node.me.node, node.me).unwrap();
        self.restart(i);
    }

    fn restart(&mut self, i: usize) {
        let mut members = self.members.clone();
        members.truncate(self.founders.unwrap_or(members.len()));
        let node = &mut self.nodes[i];
        node.boot += 1;
        let recovered = node.disk.recover();
        if node.boot > 1 {
            let Recovered { promised, chosen, cleaned, history, entries, checkpoint, .. } =
                &recovered;
            write!(self.text, "  {}: restarts, promised {promised}, chosen {chosen}", node.me.node)
                .unwrap();
            if *cleaned > Instance::ZERO {
                write!(self.text, ", cleaned {cleaned}").unwrap();
            }
            if let Some(history) = history {
                let (newest, version) = (history.newest(), history.version());
                write!(self.text, ", members {newest} from {version}").unwrap();
            }
            if let Some((at, _)) = checkpoint {
                write!(self.text, ", checkpoint {at}").unwrap();
            }
            for Stored { instance, ballot, value } in entries {
                let value = value.as_ref().map_or_else(|| "lost".into(), ToString::to_string);
                write!(self.text, ", {instance} {ballot} {value}").unwrap();
            }
            self.text.push('\n');
        }
        let group = Group::start(Start {
            cluster: ClusterId(1),
            group: GroupId(0),
            me: node.me,
            boot: node.boot,
            membership: Membership::new(members, vec![]).unwrap(),
            recovered,
            config: Config { seed: node.me.node.0, ..self.config.clone() },
            now: self.now + node.ahead,
        });
        node.group = Some(group.expect("the log is sound"));
        self.input(i, Input::Applied(Instance::ZERO)); // what is chosen is executed at once
    }

    fn status(&mut self) {
        for node in &self.nodes {
            let id = node.me.node;
            let Some(group) = &node.group else {
                writeln!(self.text, "  {id}: down").unwrap();
                continue;
            };
            let Status { role, leader, promised, chosen, applied, .. } = group.status();
            let executed: Vec<&str> = node.executed.values().map(String::as_str).collect();
            let executed = executed.join(" ");
            writeln!(
                self.text,
                "  {id}: {role:?}, leader {leader}, promised {promised}, chosen {chosen}, applied {applied}: {executed}",
            )
            .unwrap();
        }
    }

    fn step(&mut self, i: usize, input: Input) {
        let mut out = Outbox::default();
        let node = &mut self.nodes[i];
        let Some(group) = node.group.as_mut() else { return };
        group.step(self.now + node.ahead, input, &mut out);
        let (me, text) = (node.me, &mut self.text);
        let id = me.node;
        let mut next = Vec::new();
        if let Some(batch) = out.take_writes() {
            if !self.quiet && !self.auto {
                writeln!(text, "  {id}: write {}", show::records(batch.records())).unwrap();
            }
            node.disk.write(batch);
            if self.auto {
                next.extend(node.disk.sync().map(Input::Durable));
            }
        }
        for event in out.events.iter().filter_map(show::event) {
            writeln!(text, "  {id}: {event}").unwrap();
        }
        for (to, message) in out.messages.drain(..) {
            let cut = self.cut.contains(&(id.0, to.0));
            if !self.quiet {
                let lost = if cut { " (cut)" } else { "" };
                writeln!(text, "  {id}->{to}: {message}{lost}").unwrap();
            }
            if !cut {
                self.net.push((me, to, message));
            }
        }
        for apply in out.applies.drain(..) {
            match apply {
                Apply::Command { position, payload, proposal, .. } => {
                    let command = String::from_utf8_lossy(&payload).into_owned();
                    let known = node.executed.get(&position);
                    let verb = if known.is_some() { "skips" } else { "executes" };
                    let whose = proposal.map_or(String::new(), |p| format!(" (proposal {})", p.0));
                    writeln!(text, "  {id}: {verb} {position} {command}{whose}").unwrap();
                    assert!(known.is_none_or(|known| *known == command), "diverged:\n{text}");
                    node.executed.insert(position, command);
                }
                Apply::Through(instance) => next.push(Input::Applied(instance)),
                Apply::Digest(at) => next.push(Input::Digested { at, state: None }),
                Apply::Checkpoint { at, .. } => {
                    writeln!(text, "  {id}: takes a checkpoint {at}").unwrap();
                    next.push(Input::Checkpointed(at));
                }
                Apply::Install(at) => {
                    writeln!(text, "  {id}: installs a checkpoint {at}").unwrap();
                    next.push(Input::Applied(at));
                }
            }
        }
        for outcome in &out.outcomes {
            writeln!(text, "  {id}: {outcome}").unwrap();
        }
        for Fetch { id: fetch, from, to, bytes_max } in out.fetches.drain(..) {
            if !self.quiet {
                writeln!(text, "  {id}: fetch {from}..{to}").unwrap();
            }
            let entries = node.disk.fetch(from, to, bytes_max);
            next.push(Input::Fetched { id: fetch, entries });
        }
        for input in next {
            self.step(i, input);
        }
    }
}

type Sent = (Member, NodeId, Message);

/// Takes the messages that `all`, a receiver `2` or a link `1->2` names, in order; a number after
/// that takes only so many.
fn take(from: &mut Vec<Sent>, args: &[&str]) -> Vec<Sent> {
    let most = args.get(1).map_or(usize::MAX, |n| n.parse().unwrap());
    let named = |(sender, to, _): &Sent| match args.first() {
        None | Some(&"all") => true,
        Some(link) if link.contains("->") => links(link) == [(sender.node.0, to.0)],
        Some(node) => node.parse() == Ok(to.0),
    };
    let mut taken = 0;
    let take = |m: &mut Sent| {
        let take = named(m) && taken < most;
        taken += usize::from(take);
        take
    };
    from.extract_if(.., take).collect()
}

fn links(text: &str) -> Vec<(u64, u64)> {
    if let Some((a, b)) = text.split_once("->") {
        return vec![(a.parse().unwrap(), b.parse().unwrap())];
    }
    let (a, b) = text.split_once('-').expect("A-B or A->B");
    let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
    vec![(a, b), (b, a)]
}

fn instance(text: &str) -> Instance {
    Instance(text.trim_start_matches('#').parse().unwrap())
}

fn duration(text: &str) -> Duration {
    match text.strip_suffix("ms") {
        Some(ms) => Duration::from_millis(ms.parse().unwrap()),
        None => Duration::from_secs(text.trim_end_matches('s').parse().unwrap()),
    }
}
