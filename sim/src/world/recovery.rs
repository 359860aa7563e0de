//! After the faults: the cluster is healed, first in part, and must serve; then as a whole, and must
//! agree; and then it has nothing to do, and must do nothing.

use synod_core::{Instance, MasterAsk, Member, Time};

use super::World;
use super::asking::Wall;
use crate::checkers::excuse::{Excuse, Voter, excuse};
use crate::checkers::quiet::{FORLORN, STRANGER};
use crate::checkers::{Place, Verdict, Violation};
use crate::clients::CallId;
use crate::env::Event;
use crate::faults::Crash;
use crate::node::{Node, node_id};
use crate::plan::{First, Impaired};
use crate::rng::to_index;
use crate::trace::Note;

/// How far the end of a run is.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    stage: Stage,
    since: Time,
    /// The world's own requests: a proposal and a read at every node in every group.
    probes: Vec<Probe>,
    /// What was chosen in each group when the last of them was answered: everyone must get that far.
    /// Not further, since masters renew their leases for ever: where a round trip takes most of the time
    /// between two renewals, some of it is always on its way.
    goal: Option<Vec<Instance>>,
    /// Somebody was behind when the cluster came to rest, or was looked at last since.
    was_behind: bool,
    /// Groups in which a command was acknowledged since the faults ended.
    written: Vec<bool>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Faults strike.
    #[default]
    Faults,
    /// Part of the cluster is healed, and must serve.
    Part,
    /// All of it is, and must serve and agree.
    Whole,
    /// It serves and agrees, and what is still under way comes to rest.
    Resting,
    /// It has nothing to do.
    Idle,
    /// It does not work, and is entitled to that.
    Stuck,
}

#[derive(Debug)]
struct Probe {
    node: usize,
    group: usize,
    is_read: bool,
    call: Option<CallId>,
    is_done: bool,
}

impl Recovery {
    /// Whether a node is down until the whole cluster is healed.
    pub(super) fn keeps_down(&self, first: &First, node: usize) -> bool {
        self.stage == Stage::Part && first.impaired(node) == Some(Impaired::Down)
    }

    /// One of the world's own requests ends.
    pub(super) fn ended(&mut self, id: CallId, is_good: bool) {
        if let Some(probe) = self.probes.iter_mut().find(|probe| probe.call == Some(id)) {
            probe.is_done = is_good;
            probe.call = None;
        }
    }
}

impl World {
    /// Faults end: the network loses nothing any more, everything is fast, and what the plan heals
    /// first is healed.
    pub(super) fn mend(&mut self) -> Result<(), Violation> {
        self.env.is_mended = true;
        self.heal_enough();
        let first = self.plan.ending.first.clone();
        self.env.trace.line(self.env.now, None, || Note::mended(&self.plan.ending));
        self.walls.fill(Wall::default());
        for node in &mut self.nodes {
            node.mend(&mut self.env);
        }
        if first == First::All {
            return self.heal();
        }
        self.env.network.heal();
        for from in 0..self.plan.nodes {
            for to in (0..self.plan.nodes).filter(|&to| to != from) {
                if !first.reaches(from, to, self.plan.nodes) {
                    self.env.network.cut(from, to);
                }
            }
        }
        for node in 0..self.plan.nodes {
            if first.impaired(node) == Some(Impaired::Down) {
                self.fall(node, Crash::Power, self.plan.recovery);
            } else {
                self.nodes[node].start(&mut self.env)?;
            }
        }
        self.enter(Stage::Part);
        Ok(())
    }

    /// Everything is healed: the network is whole, everyone is up.
    fn heal(&mut self) -> Result<(), Violation> {
        self.env.network.heal();
        for node in &mut self.nodes {
            node.start(&mut self.env)?;
        }
        self.enter(Stage::Whole);
        Ok(())
    }

    fn enter(&mut self, stage: Stage) {
        let asked = (0..self.plan.nodes).filter(|&node| {
            stage == Stage::Whole || self.plan.ending.first.impaired(node).is_none()
        });
        let probe =
            |node, group, is_read| Probe { node, group, is_read, call: None, is_done: false };
        let groups = self.plan.groups;
        let probes = asked.flat_map(|node| {
            (0..groups).flat_map(move |group| [false, true].map(|read| probe(node, group, read)))
        });
        self.recovery.probes = probes.collect();
        self.recovery.goal = None;
        (self.recovery.stage, self.recovery.since) = (stage, self.env.now);
        self.env.trace.line(self.env.now, None, || format!("stage: {stage:?}"));
        self.env.after(self.plan.core.election_timeout / 8, Event::Check);
    }

    /// A command was acknowledged after the faults: notes how long it took until one was in every
    /// group.
    pub(super) fn acknowledged(&mut self, group: usize) {
        let written = &mut self.recovery.written;
        if !self.env.is_mended || written.get(group).copied().unwrap_or(false) {
            return;
        }
        written.resize(self.plan.groups, false);
        written[group] = true;
        if written.iter().all(|&written| written) {
            let took = self.env.now.since(self.plan.until);
            self.env.stats.took("first write", took, self.plan.core.election_timeout);
        }
    }

    /// Whether the run is over: everything works again. Asks again what was refused.
    pub(super) fn check(&mut self) -> Result<bool, Violation> {
        let election = self.plan.core.election_timeout;
        let (now, since) = (self.env.now, self.recovery.since);
        let took = now.since(since);
        if self.recovery.stage == Stage::Resting {
            // Masters have renewed their leases since the goal was set, and do it no more.
            self.recovery.goal = None;
        } else if self.recovery.goal.is_none() && self.is_answered() {
            let goal = |group| self.env.checkers.choices.prefix(group);
            self.recovery.goal = Some((0..self.plan.groups).map(goal).collect());
        }
        match self.recovery.stage {
            Stage::Faults | Stage::Stuck => return Ok(false),
            Stage::Part if self.part_serves() => {
                self.env.stats.took(self.plan.ending.first.kind(), took, election);
                self.heal()?;
                return Ok(false);
            }
            Stage::Whole if self.whole_agrees() => {
                self.env.stats.took(WHOLE, took, election);
                if self.plan.ending.idle == 0 {
                    return Ok(true);
                }
                self.recovery.stage = Stage::Resting;
                self.recovery.was_behind = self.lagging().is_some();
                self.end_masters();
                self.env.after(election * RESTING, Event::Check);
                return Ok(false);
            }
            // What arrives from before may be answered.
            Stage::Resting if self.env.landed >= now => return Ok(true),
            // Who is far away learns slowly.
            Stage::Resting
                if self.clients.is_waiting(|node, group| self.is_named(node, group))
                    || self.operator.is_waiting(now)
                    || self.lagging().is_some() =>
            {
                if took > self.plan.recovery * 2 {
                    return Err(Violation::new("liveness", self.complaint()));
                }
                self.recovery.was_behind = true;
                self.env.after(election * RESTING, Event::Check);
                return Ok(false);
            }
            // What has arrived from before may have an end that is still to come.
            Stage::Resting if self.env.landed + election * RESTING > now => {
                let rested = self.env.landed + election * RESTING;
                self.env.after(rested.since(now), Event::Check);
                return Ok(false);
            }
            // Who asks a removed node may be answered yet.
            Stage::Resting if took <= self.plan.recovery * 2 && self.may_be_told() => {
                self.recovery.was_behind = true;
                self.env.after(election * RESTING, Event::Check);
                return Ok(false);
            }
            // Who caught up since may have something to write yet.
            Stage::Resting if std::mem::take(&mut self.recovery.was_behind) => {
                self.env.after(election * RESTING, Event::Check);
                return Ok(false);
            }
            Stage::Resting => {
                self.recovery.stage = Stage::Idle;
                let is_forlorn =
                    |&(node, group): &(usize, usize)| self.asks(node, group) == FORLORN;
                let forlorn: Vec<Place> = self
                    .places()
                    .filter(is_forlorn)
                    .map(|(node, group)| Place { node, group })
                    .collect();
                self.env.checkers.idle(now, &forlorn);
                self.env.after(election * self.plan.ending.idle, Event::Check);
                return Ok(false);
            }
            Stage::Idle => {
                self.was_quiet()?;
                return Ok(true);
            }
            Stage::Part | Stage::Whole => {}
        }
        let last = since + self.plan.recovery;
        if now >= last {
            let disks: Vec<Vec<Voter>> = self.nodes.iter().map(Node::voters).collect();
            let Some(excuse) = self.excuse(&disks) else {
                return Err(Violation::new("liveness", self.complaint()));
            };
            // What rotted since the last start is lost as well, though no start has said so.
            if !self.env.checkers.is_damaged() && !self.nodes.iter().any(Node::is_harmed) {
                let what = format!("{}, and no disk lost what it had synced", self.complaint());
                return Err(Violation::new("liveness", what));
            }
            self.env.trace.line(now, None, || Note::excused(&excuse));
            self.env.stats.excuse(excuse.kind());
            if self.recovery.stage == Stage::Part {
                self.heal()?;
                return Ok(false);
            }
            self.recovery.stage = Stage::Stuck;
            return Ok(true);
        }
        for n in 0..self.recovery.probes.len() {
            let Probe { node, group, is_read, call, is_done } = self.recovery.probes[n];
            if is_done || call.is_some() || self.cannot(node, group, is_read) {
                continue;
            }
            let id = self.clients.probe(node, group, is_read, now, last, &self.env.checkers);
            self.recovery.probes[n].call = Some(id);
            self.ask(id);
        }
        self.env.after(election / 8, Event::Check);
        Ok(false)
    }

    fn is_answered(&self) -> bool {
        let is_done = |p: &Probe| p.is_done || self.cannot(p.node, p.group, p.is_read);
        self.recovery.probes.iter().all(is_done)
    }

    fn whole_agrees(&self) -> bool {
        self.is_answered()
            && self.lagging().is_none()
            && self.masterless().is_none()
            && self.unseated().is_none()
            && self.unaware().is_none()
    }

    /// A group that should have a master, and has none.
    fn masterless(&self) -> Option<usize> {
        if self.plan.core.master_lease.is_zero() {
            return None;
        }
        let (now, masters) = (self.env.now, &self.env.checkers.masters);
        (0..self.plan.groups).find(|&group| {
            let votes = |node| self.env.checkers.votes(Place { node, group });
            let is_voted = (0..self.plan.nodes).any(votes);
            is_voted && !masters.has(group, now)
        })
    }

    /// Nobody asks to be master any more, so that there is nothing to do.
    fn end_masters(&mut self) {
        for node in &mut self.nodes {
            for group in 0..self.plan.groups {
                node.master(group, MasterAsk::Campaign(false), &mut self.env);
            }
        }
    }

    /// Whether a node is right to refuse: proposals are taken from members only, and who is no member
    /// with any memory hears of no leader to read from.
    fn cannot(&self, node: usize, group: usize, is_read: bool) -> bool {
        let belongs = self.env.checkers.belongs(Place { node, group });
        if is_read { !self.is_named(node, group) } else { !belongs }
    }

    /// Whether a node, with whatever memory, is a member of a group.
    fn is_named(&self, node: usize, group: usize) -> bool {
        let eras = self.env.checkers.choices.eras(group);
        eras.map_or_else(|| node < self.plan.founders(), |eras| eras.names(node_id(node)))
    }

    /// A node that should have been swapped in, and a group in which it was not.
    fn unseated(&self) -> Option<(usize, usize)> {
        let is_seated = |(node, group): (usize, usize)| {
            let Some(status) = self.nodes[node].status(group) else { return false };
            let place = Place { node, group };
            status.votes == self.env.checkers.votes(place) && self.env.checkers.belongs(place)
        };
        let mut members = self.places().filter(|&(node, group)| self.is_named(node, group));
        members.find(|&place| self.plan.core.swap_in && !is_seated(place))
    }

    /// A node that was a member of a group with the memory that it has, is none any more, and does not
    /// know it although somebody whom it knows could tell.
    fn unaware(&self) -> Option<(usize, usize)> {
        self.places().find(|&(node, group)| {
            self.has_left(node, group) && !self.knows(node, group) && self.can_ask(node, group)
        })
    }

    /// Whether a node was a member of a group with the memory that it has, and is none any more.
    fn has_left(&self, node: usize, group: usize) -> bool {
        let me = self.env.checkers.memory(Place { node, group });
        self.env
            .checkers
            .choices
            .eras(group)
            .zip(me)
            .is_some_and(|(eras, me)| eras.belonged(me) && eras.newest().of(me.node) != Some(me))
    }

    /// Whether a node knows that it was removed from a group.
    fn knows(&self, node: usize, group: usize) -> bool {
        self.nodes[node].status(group).is_some_and(|status| status.removed)
    }

    /// Whether some member of a group is one in the membership that a node knows, too.
    fn can_ask(&self, node: usize, group: usize) -> bool {
        let Some(eras) = self.env.checkers.choices.eras(group) else { return false };
        let Some((_, known)) = self.nodes[node].membership(group) else { return false };
        let can_tell = |other: Member| other.node != node_id(node) && eras.names(other.node);
        known.members().any(can_tell)
    }

    /// Whether a node comes to know at the very end what is chosen in a group, which it asks for on its
    /// own: one that is no member, and was not removed.
    fn is_asking(&self, node: usize, group: usize) -> bool {
        let is_over = self.recovery.stage == Stage::Resting;
        is_over && !self.knows(node, group) && self.can_ask(node, group)
    }

    /// Whether a node that is no member may still be told what is chosen by one that was removed. Nobody
    /// has to: it is no lagging node, and if nothing comes of it, rest begins all the same.
    fn may_be_told(&self) -> bool {
        self.places().any(|(node, group)| {
            let chosen = |node: usize| self.nodes[node].status(group).map(|status| status.chosen);
            let is_ahead = |other: Member| chosen(to_index(other.node.0 - 1)) > chosen(node);
            let is_stranger = !self.is_named(node, group) && !self.knows(node, group);
            let known = self.nodes[node].membership(group);
            is_stranger && known.is_some_and(|(_, known)| known.members().any(is_ahead))
        })
    }

    fn places(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let groups = self.plan.groups;
        (0..self.plan.nodes).flat_map(move |node| (0..groups).map(move |group| (node, group)))
    }

    /// Whether what was healed first serves.
    ///
    /// Of a healed quorum every node does. Where only some links are left, somebody leads who reaches
    /// a quorum, and serves; so does whoever has a link to it. From further away nothing is relayed.
    fn part_serves(&self) -> bool {
        let first = &self.plan.ending.first;
        let serves = |node, group| {
            let here = |p: &&Probe| (p.node, p.group) == (node, group);
            let is_done = |p: &Probe| p.is_done || self.cannot(node, group, p.is_read);
            self.recovery.probes.iter().filter(here).all(is_done)
        };
        (0..self.plan.groups).all(|group| match first {
            First::All => true,
            First::Quorum(_) => (0..self.plan.nodes).all(|node| serves(node, group)),
            First::Links(_) => self.leader(group).is_some_and(|leader| {
                let near =
                    |&node: &usize| node == leader || first.reaches(leader, node, self.plan.nodes);
                (0..self.plan.nodes).filter(near).all(|node| serves(node, group))
            }),
        })
    }

    /// Up to where everyone must be in a group.
    fn goal(&self, group: usize) -> Instance {
        let goal = self.recovery.goal.as_ref().map(|goal| goal[group]);
        goal.unwrap_or_else(|| self.env.checkers.choices.prefix(group))
    }

    /// A node and group that are not where they must be.
    fn lagging(&self) -> Option<(usize, usize)> {
        self.places().find(|&(node, group)| {
            let goal = self.goal(group);
            let Some(status) = self.nodes[node].status(group) else { return true };
            let is_behind = status.chosen < goal || status.applied < goal;
            is_behind && (self.is_named(node, group) || self.is_asking(node, group))
        })
    }

    /// Why the cluster may be stuck, judged from the disks of those that reach each other: in some
    /// group there is an excuse whoever would lead it.
    fn excuse(&self, disks: &[Vec<Voter>]) -> Option<Excuse> {
        let nodes = self.plan.nodes;
        (0..self.plan.groups).find_map(|group| {
            let mut excuses = (0..nodes).map(|hub| {
                let Some(eras) = self.env.checkers.choices.eras(group) else {
                    return Some(Excuse::TooFewVoters(0)); // nobody has founded it
                };
                // Who leads votes, as far as it can know from those that it hears.
                let near = (0..nodes).filter(|&node| self.hear_each_other(hub, node));
                let chosen = near.filter_map(|node| Some(disks[node][group].log.as_ref()?.chosen));
                let next = chosen.max().unwrap_or_default().next();
                let leads = |member| eras.at(next).voters().contains(&member);
                let is_hub = disks[hub][group].member.is_some_and(leads);
                let heard = |node: usize| {
                    let is_heard = is_hub && self.hear_each_other(hub, node);
                    let nobody = Voter { member: None, log: None };
                    if is_heard { disks[node][group].clone() } else { nobody }
                };
                excuse(&(0..nodes).map(heard).collect::<Vec<Voter>>(), eras)
            });
            let first = excuses.next()??;
            excuses.all(|excuse| excuse.is_some()).then_some(first)
        })
    }

    /// Whether both are up, and what either says reaches the other.
    fn hear_each_other(&self, one: usize, other: usize) -> bool {
        if self.recovery.stage != Stage::Part {
            return true;
        }
        let (first, nodes) = (&self.plan.ending.first, self.plan.nodes);
        let is_up = |node| first.impaired(node) != Some(Impaired::Down);
        let reaches = |from, to| first.reaches(from, to, nodes);
        is_up(one) && is_up(other) && (one == other || reaches(one, other) && reaches(other, one))
    }

    /// The cluster had nothing to do, and did nothing.
    fn was_quiet(&self) -> Verdict {
        (0..self.plan.groups).try_for_each(|group| {
            let Some(leader) = self.leader(group) else {
                let what = format!("nobody leads group {group}, and nothing is wrong");
                return Err(Violation::new("quiet", what));
            };
            let asks: Vec<u64> = (0..self.plan.nodes).map(|node| self.asks(node, group)).collect();
            self.env.checkers.quiet.finished(self.env.now, (group, leader), &asks)
        })
    }

    /// How many things a node asks each peer in an election timeout although there is nothing to do.
    fn asks(&self, node: usize, group: usize) -> u64 {
        if self.is_named(node, group) || self.knows(node, group) {
            0
        } else if self.has_left(node, group) && !self.can_ask(node, group) {
            FORLORN
        } else {
            STRANGER
        }
    }

    /// At the end, what the disks hold is what the nodes believe, and what is chosen; and there would
    /// be no excuse.
    pub(super) fn replay_files(&mut self) -> Verdict {
        let is_damaged = self.env.checkers.is_damaged() || self.nodes.iter().any(Node::is_harmed);
        if is_damaged || self.recovery.stage == Stage::Stuck {
            return Ok(());
        }
        let mut disks = Vec::new();
        for node in &self.nodes {
            disks.push(node.replay_files(&self.env)?);
            self.env.stats.replayed += 1;
        }
        match self.excuse(&disks) {
            None => Ok(()),
            Some(excuse) => {
                let what = format!("everything works, and there would be an excuse: {excuse}");
                Err(Violation::new("excuse", what))
            }
        }
    }

    fn complaint(&self) -> String {
        let took = format!("{:?} after the faults ({})", self.plan.recovery, self.plan.ending);
        let is_open = |p: &&Probe| !p.is_done && !self.cannot(p.node, p.group, p.is_read);
        if let Some(probe) = self.recovery.probes.iter().find(is_open) {
            let Probe { node, group, is_read, .. } = probe;
            let what = if *is_read { "read" } else { "proposal" };
            return format!(
                "{took} n{} has not finished a {what} in group {group}: {:?}",
                node + 1,
                self.nodes[*node].status(*group)
            );
        }
        let behind = |(node, group): (usize, usize)| {
            format!(
                "{took} n{} is behind in group {group}, where {} is chosen: {:?}",
                node + 1,
                self.goal(group),
                self.nodes[node].status(group)
            )
        };
        if let Some(lagging) = self.lagging() {
            return behind(lagging);
        }
        if let Some(group) = self.masterless() {
            return format!("{took} nobody is master of group {group}");
        }
        if let Some((node, group)) = self.unseated() {
            return format!(
                "{took} n{} is not swapped in in group {group}: {:?}",
                node + 1,
                self.nodes[node].status(group)
            );
        }
        if let Some((node, group)) = self.unaware() {
            return format!(
                "{took} n{} does not know that it was removed from group {group}: {:?}",
                node + 1,
                self.nodes[node].status(group)
            );
        }
        behind((0, 0))
    }
}

/// What the times until everyone agrees are listed under.
const WHOLE: &str = "everyone agrees";

/// For how many election timeouts what is under way may come to rest. A question for a piece of a
/// checkpoint that comes late keeps the checkpoint, and the log above it, for two.
const RESTING: u32 = 5;
