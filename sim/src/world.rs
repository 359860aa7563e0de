//! The world: lets events happen, in order, until the plan is through and everything works again.

mod asking;
mod changes;
#[cfg(test)]
mod memories;
#[cfg(test)]
mod operators;
mod recovery;
mod strike;

use std::time::Duration;

use synod_core::{ClusterId, Founding, GroupId, Incarnation, Member, Membership, Time};

use changes::Operator;
use recovery::Recovery;

use crate::atlas::Atlas;
use crate::checkers::{Verdict, Violation};
use crate::clients::{Clients, End};
use crate::env::{Answer, Env, Event};
use crate::faults::Crash;
use crate::guests::Guests;
use crate::network::Network;
use crate::node::{Node, node_id};
use crate::plan::Plan;
use crate::rng::{Rng, to_u64};
use crate::stats::Stats;
use crate::trace::{Note, Trace};

use asking::Wall;

/// A cluster, its surroundings and its clients.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    env: Env,
    nodes: Vec<Node>,
    clients: Clients,
    /// What is between each node and its clients.
    walls: Vec<Wall>,
    /// What each fault under way has cut or slowed, to be undone.
    effects: Vec<Vec<(usize, usize)>>,
    recovery: Recovery,
    /// What was done to disks, and what more may be.
    atlas: Atlas,
    /// Who changes memberships.
    operator: Operator,
}

impl World {
    /// A world as planned, in which nothing has happened; keeps the last `steps_max` steps.
    #[must_use]
    pub fn new(mut plan: Plan, guests: &Guests, steps_max: usize) -> Self {
        if !plan.keeps_clocks_in_bound() {
            // A read by lease may be stale there, as is said of leases, and nothing could be held against
            // reads. Masters go on: whatever they believe touches nothing else.
            plan.core.read_lease = Duration::ZERO;
        }
        let mut rng = Rng::stream(plan.seed, "world");
        let founding = founding(&plan, &mut rng);
        let mut env = Env::new(&plan, guests.clone(), steps_max);
        let nodes = (0..plan.nodes).map(|index| Node::new(&plan, index, &founding)).collect();
        if !plan.keeps_clocks_in_bound() {
            env.checkers.masters.unbind();
            env.checkers.leases.unbind();
        }
        let clients = Clients::new(&plan);
        for node in 0..plan.nodes {
            // Not all at once.
            env.after(Duration::from_micros(rng.spread(1, 20_000)), Event::Start { node });
        }
        for (n, fault) in plan.faults.iter().enumerate() {
            env.queue.push(fault.at, Event::Fault(n));
        }
        for client in 0..plan.clients.len() {
            if let Some(pause) = clients.pause(client) {
                env.after(pause, Event::Client(client));
            }
        }
        env.queue.push(plan.until, Event::Mend);
        let effects = vec![Vec::new(); plan.faults.len()];
        let walls = vec![Wall::default(); plan.nodes];
        let atlas = Atlas::new(plan.founders(), plan.budget, plan.is_rejoining);
        let (recovery, operator) = (Recovery::default(), Operator::default());
        Self { plan, env, nodes, clients, walls, effects, recovery, atlas, operator }
    }

    /// Lets everything happen.
    ///
    /// # Errors
    ///
    /// The rule that was broken, if one was.
    pub fn run(&mut self) -> Verdict {
        while self.turn()? {}
        self.clients.finish(self.env.now);
        self.nodes.iter().try_for_each(Node::look)?;
        self.env.checkers.finished();
        self.replay_files()?;
        self.env.stats.searched += self.clients.histories().judge(SEARCH_STEPS_MAX)?;
        self.env.checkers.broken().map_or(Ok(()), |violation| Err(violation.clone()))
    }

    /// The network between the nodes.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.env.network
    }

    /// Lets the next thing happen; says whether there is more to come.
    fn turn(&mut self) -> Result<bool, Violation> {
        let Some((at, event)) = self.env.queue.pop() else { return Ok(false) };
        self.env.now = at;
        self.env.account(&event);
        let is_over = self.happen(event)?;
        self.follow();
        if let Some(violation) = self.env.checkers.broken() {
            return Err(violation.clone());
        }
        if self.env.trace.events() > EVENTS_MAX {
            let what = format!("{EVENTS_MAX} events did not suffice");
            return Err(Violation::new("budget", what));
        }
        Ok(!is_over)
    }

    /// The counts and the account of what happened so far.
    #[must_use]
    pub fn into_account(self) -> (Stats, Trace) {
        let Self { plan, env, clients, .. } = self;
        let mut stats = env.stats;
        stats.events = env.trace.events();
        stats.simulated = env.now.since(Time::ZERO);
        for group in 0..plan.groups {
            stats.chosen += env.checkers.choices.prefix(group).0;
        }
        stats.executed = to_u64(env.checkers.reference.commands());
        for call in clients.calls() {
            match call.end {
                Some(End::Committed(..) | End::Skipped(_) | End::Within(_)) => {
                    stats.acknowledged += 1
                }
                Some(End::Read(..)) => stats.reads += 1,
                Some(End::Refused) => stats.refused += 1,
                Some(End::Unknown | End::Unread) | None => stats.unknown += 1,
            }
        }
        (stats, env.trace)
    }

    /// Lets one thing happen, unless it has to wait; says whether that was the last.
    fn happen(&mut self, event: Event) -> Result<bool, Violation> {
        let env = &mut self.env;
        if let Event::Deliver { from, to, number, message, .. } = event
            && !env.network.arrives(from, to, number)
        {
            env.line(to, || Note::cut(message, from));
            env.stats.lost += 1;
            return Ok(false);
        }
        let event = match (&event, event.process()) {
            (&Event::Turn { node, life }, _) => self.nodes[node].turn(life, env),
            (_, Some(node)) => self.nodes[node].take(event, env),
            (_, None) => Some(event),
        };
        event.map_or(Ok(false), |event| self.act(event))
    }

    fn act(&mut self, event: Event) -> Result<bool, Violation> {
        let env = &mut self.env;
        match event {
            Event::Deliver { from, life, to, frame, message, is_damaged, .. } => {
                env.arriving = message;
                self.nodes[to].deliver((from, life), frame, is_damaged, env)?;
            }
            Event::Node { node, life, what } => self.nodes[node].inside(life, what, env)?,
            Event::Ask { id, deadline } => {
                self.put(id, deadline);
            }
            Event::Turn { .. } => {}
            Event::Start { node } => {
                if !self.recovery.keeps_down(&self.plan.ending.first, node) {
                    self.nodes[node].start(env)?;
                }
            }
            Event::Power { node, down } => {
                if !env.is_mended {
                    env.crash(node, Crash::Power, down);
                }
            }
            Event::Fault(n) => self.strike(n),
            Event::Pass(n) => self.pass(n),
            Event::Client(client) => self.client(client),
            Event::Due { id, deadline } => self.due(id, deadline)?,
            Event::GiveUp(id) => self.give_up(id),
            Event::Mend => self.mend()?,
            Event::Check => return self.check(),
        }
        Ok(false)
    }

    /// What follows from any event: answers to clients, then a crash that came due, which ends
    /// whatever the node has not answered by then.
    fn follow(&mut self) {
        let mut answers = std::mem::take(&mut self.env.answers);
        for (id, answer) in answers.drain(..) {
            match answer {
                Answer::HandedOut => self.clients.handed_out(id),
                Answer::End(end) => self.end(id, end),
            }
        }
        self.env.answers = answers;
        self.resolve();
        for (node, how, down) in std::mem::take(&mut self.env.crashes) {
            self.crash(node, how, down);
        }
    }

    fn crash(&mut self, node: usize, how: Crash, down: Duration) {
        self.fall(node, how, down);
        // Before the power fails on it, it is up again at once.
        let down = if how == Crash::KillThenPower { Duration::from_millis(1) } else { down };
        self.env.after(down, Event::Start { node });
    }

    /// A node goes down, and somebody else brings it up again.
    fn fall(&mut self, node: usize, how: Crash, down: Duration) {
        self.nodes[node].crash(how, down, &mut self.env);
        for id in self.clients.lost(node, self.env.now) {
            self.env.line(node, || Note::abandoned(id));
            self.recovery.ended(id, false);
            if let Some(client) = self.clients.client(id) {
                self.go_on(client, false);
            }
        }
    }
}

/// What the cluster starts from: all founders vote in every group.
fn founding(plan: &Plan, rng: &mut Rng) -> Founding {
    let groups = (0..plan.groups).map(|group| {
        let voters = (0..plan.founders())
            .map(|index| Member { node: node_id(index), incarnation: Incarnation(rng.bits() | 1) });
        let membership = Membership::new(voters.collect(), Vec::new()).expect("some nodes");
        (GroupId(u32::try_from(group).expect("few groups")), membership)
    });
    Founding { groups: groups.collect(), cluster: ClusterId(7) }
}

/// A run that takes more events than this is stuck in a storm.
const EVENTS_MAX: u64 = 300_000;

/// How many states the search for an order may look at, for each key.
const SEARCH_STEPS_MAX: usize = 2_000;
