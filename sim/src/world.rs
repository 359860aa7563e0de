//! The world: lets events happen, in order, until the plan is through and everything works again.

#[cfg(test)]
mod memories;
mod recovery;
mod strike;

use std::time::Duration;

use synod_core::{ClusterId, Founding, GroupId, Incarnation, Member, Membership, Time};

use recovery::Recovery;

use crate::atlas::Atlas;
use crate::checkers::{Verdict, Violation};
use crate::clients::{Ask, Call, CallId, Clients, End};
use crate::env::{Answer, Env, Event};
use crate::faults::Crash;
use crate::guests::Guests;
use crate::network::Network;
use crate::node::{Node, node_id};
use crate::plan::Plan;
use crate::rng::{Rng, to_u64};
use crate::stats::Stats;
use crate::trace::{Note, Trace};

/// A cluster, its surroundings and its clients.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    env: Env,
    nodes: Vec<Node>,
    clients: Clients,
    /// What each fault under way has cut or slowed, to be undone.
    effects: Vec<Vec<(usize, usize)>>,
    recovery: Recovery,
    /// What was done to disks, and what more may be.
    atlas: Atlas,
}

impl World {
    /// A world as planned, in which nothing has happened; keeps the last `steps_max` steps.
    #[must_use]
    pub fn new(plan: Plan, guests: &Guests, steps_max: usize) -> Self {
        let mut rng = Rng::stream(plan.seed, "world");
        let founding = founding(&plan, &mut rng);
        let mut env = Env::new(&plan, guests.clone(), steps_max);
        let nodes = (0..plan.nodes).map(|index| Node::new(&plan, index, &founding)).collect();
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
        let atlas = Atlas::new(plan.nodes, plan.budget, plan.is_rejoining);
        Self { plan, env, nodes, clients, effects, recovery: Recovery::default(), atlas }
    }

    /// Lets everything happen.
    ///
    /// # Errors
    ///
    /// The rule that was broken, if one was.
    pub fn run(&mut self) -> Verdict {
        while self.turn()? {}
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
                Some(End::Committed(..) | End::Skipped(_)) => stats.acknowledged += 1,
                Some(End::Read(..)) => stats.reads += 1,
                Some(End::Refused) => stats.refused += 1,
                Some(End::Unknown | End::Unread) | None => stats.unknown += 1,
            }
        }
        (stats, env.trace)
    }

    /// Lets one thing happen; says whether that was the last.
    fn happen(&mut self, event: Event) -> Result<bool, Violation> {
        let env = &mut self.env;
        match event {
            Event::Deliver { from, to, frame, message } => {
                env.arriving = message;
                if env.network.is_cut(from, to) {
                    env.line(to, || Note::cut(message, from));
                    env.stats.lost += 1;
                } else {
                    self.nodes[to].deliver(from, frame, env)?;
                }
            }
            Event::Node { node, life, what } => self.nodes[node].inside(life, what, env)?,
            Event::Start { node } => {
                if !self.recovery.keeps_down(&self.plan.ending.first, node) {
                    self.nodes[node].start(env)?;
                }
            }
            Event::Power { node, down } => {
                if !env.is_mended {
                    env.crash = Some((node, Crash::Power, down));
                }
            }
            Event::Fault(n) => self.strike(n),
            Event::Pass(n) => self.pass(n),
            Event::Client(client) => self.client(client),
            Event::Due(id) => self.clients.due(id)?,
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
        if let Some((node, how, down)) = self.env.crash.take() {
            self.crash(node, how, down);
        }
    }

    fn end(&mut self, id: CallId, end: End) {
        let client = self.clients.client(id);
        let Call { node, group, .. } = *self.clients.call(id);
        self.env.line(node, || Note::answered(id, &end));
        let verdict = self.clients.end(id, end, self.env.now, &mut self.env.checkers);
        self.env.checkers.note(verdict);
        if let Some(client) = client {
            self.go_on(client, false);
        } else {
            let is_good = matches!(end, End::Committed(..) | End::Skipped(_) | End::Read(..));
            self.recovery.ended(id, is_good);
        }
        if matches!(end, End::Committed(..)) {
            self.acknowledged(group);
        }
    }

    fn client(&mut self, client: usize) {
        if self.env.is_mended {
            return;
        }
        let now = self.env.now;
        let Some(id) = self.clients.next(client, now, &self.env.checkers) else { return };
        self.go_on(client, true);
        self.ask(id);
    }

    /// A client that has asked, or one that has its answer, asks again after a while.
    fn go_on(&mut self, client: usize, has_asked: bool) {
        if self.clients.is_open(client) == has_asked
            && let Some(pause) = self.clients.pause(client)
        {
            self.env.after(pause, Event::Client(client));
        }
    }

    /// Hands a request to its node.
    fn ask(&mut self, id: CallId) {
        let call = self.clients.call(id);
        let (node, group, deadline) = (call.node, call.group, call.deadline);
        let ask = call.ask.clone();
        self.env.line(node, || Note::asked(group, id, &ask));
        if self.nodes[node].ask(id, group, &ask, deadline, &mut self.env) {
            self.env.queue.push(deadline + GRACE, Event::Due(id));
        } else {
            let end = match ask {
                Ask::Propose(..) | Ask::Guest(..) => End::Refused,
                Ask::Read(_) | Ask::Query(..) => End::Unread,
            };
            self.env.answers.push((id, Answer::End(end)));
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
        for id in self.clients.lost(node, self.env.now, &mut self.env.checkers) {
            self.env.line(node, || Note::abandoned(id));
            if let Some(client) = self.clients.client(id) {
                self.go_on(client, false);
            }
        }
    }
}

/// What the cluster starts from: all nodes vote in every group.
fn founding(plan: &Plan, rng: &mut Rng) -> Founding {
    let groups = (0..plan.groups).map(|group| {
        let voters = (0..plan.nodes)
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

/// How late a node may be in giving up on a request.
const GRACE: Duration = Duration::from_millis(1);
