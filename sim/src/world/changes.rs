//! Who changes memberships: an operator, as `synodctl membership` does, and what may come of it.
//!
//! As in production an operator looks at the membership that a node knows, works out what it wants in its
//! place, and asks that node for it, in place of the version that it saw. The answer counts for nothing
//! here but to be checked; whatever can still be made of what was asked is kept in mind, see the
//! [`atlas`](crate::atlas).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_core::{
    ChangeId, Incarnation, Input, Instance, Member, Membership, NodeId, Outcome, Time,
};

use super::World;
use crate::faults::{Alteration, Victim};
use crate::node::node_id;
use crate::plan::First;
use crate::rng::{to_index, to_u64};

/// What was asked for so far.
#[derive(Debug, Default)]
pub(super) struct Operator {
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    group: usize,
    version: Instance,
    membership: Membership,
    /// It was refused, and never will be made.
    is_refused: bool,
    /// When nobody tries any more.
    until: Time,
}

impl Operator {
    /// Whether somebody may still try to make a change.
    pub(super) fn is_waiting(&self, now: Time) -> bool {
        self.asked.iter().any(|it| !it.is_refused && it.until > now)
    }
}

/// A membership to be.
struct Draft {
    voters: Vec<Member>,
    followers: Vec<Member>,
    book: BTreeMap<NodeId, String>,
}

impl World {
    /// An operator asks a node for another membership of a group. Says whether that made sense to the
    /// operator, and the atlas allows it.
    pub(super) fn change(
        &mut self,
        group: usize,
        asked: Victim,
        what: &[Alteration],
        is_late: bool,
        patience: Duration,
    ) -> bool {
        let Some(first) = self.struck(asked) else { return false };
        let Some(node) = self.asked(group, first) else { return false };
        let Some((version, now)) = self.nodes[node].membership(group) else { return false };
        let number = to_u64(self.operator.asked.len());
        let mut draft = Draft::of(now);
        let is_sensible = what.iter().all(|alteration| {
            let to_node = |victim| self.struck(victim).map(node_id);
            draft.alter(*alteration, number, to_node).is_some()
        });
        let Some(membership) = draft.membership().filter(|_| is_sensible) else { return false };
        let version = if is_late { version.prev() } else { version };
        self.survey();
        let voters = indices(&membership);
        if !self.atlas.allows_voters(&voters) {
            self.env.stats.spared += 1;
            return false;
        }
        let deadline = self.nodes[node].deadline(patience, self.env.now);
        let until = self.env.now + patience + self.plan.core.election_timeout * LEADERS_PATIENCE;
        let asked = membership.clone();
        self.operator.asked.push(Asked {
            group,
            version,
            membership: asked,
            is_refused: false,
            until,
        });
        let id = ChangeId(number);
        self.env.line(node, || format!("is asked for {membership} after {version}, {id:?}"));
        let input = Input::Change { id, version, membership, deadline };
        self.nodes[node].input(group, input, &mut self.env);
        true
    }

    /// Whom an operator asks who thinks of this node first: it, or the next one that runs and takes itself
    /// for a member; one that does not if there is no other.
    fn asked(&self, group: usize, first: usize) -> Option<usize> {
        let nodes = self.plan.nodes;
        let all = || (0..nodes).map(|n| (first + n) % nodes);
        let known = |node: usize| self.nodes[node].membership(group);
        let is_member =
            |&node: &usize| known(node).is_some_and(|(_, it)| it.of(node_id(node)).is_some());
        all().find(is_member).or_else(|| all().find(|&node| known(node).is_some()))
    }

    /// Hears what became of changes.
    pub(super) fn resolve(&mut self) {
        for (place, outcome) in std::mem::take(&mut self.env.changes) {
            match outcome {
                Outcome::Changed(id, at) => {
                    let asked = &self.operator.asked[to_index(id.0)];
                    let what = (asked.version, &asked.membership);
                    self.env.checkers.made(place, what, at);
                    self.env.stats.changed += 1;
                }
                Outcome::ChangeRefused(id, _) => {
                    self.operator.asked[to_index(id.0)].is_refused = true;
                }
                Outcome::Refused(..)
                | Outcome::Unknown(_)
                | Outcome::Executed(..)
                | Outcome::ReadAt(..)
                | Outcome::ReadFailed(..)
                | Outcome::ChangeUnknown(..) => {}
            }
        }
    }

    /// The memberships of a group that may still decide something: the one in force, the one before it
    /// until the change is complete, and those that were asked for in place of the one in force.
    fn memberships(&self, group: usize) -> Vec<Membership> {
        let choices = &self.env.checkers.choices;
        let Some(eras) = choices.eras(group) else { return Vec::new() };
        let open = eras.since(choices.prefix(group)).cloned();
        let is_possible =
            |it: &&Asked| it.group == group && it.version >= eras.version() && !it.is_refused;
        let asked = self.operator.asked.iter().filter(is_possible);
        open.chain(asked.map(|it| it.membership.clone())).collect()
    }

    /// The voters of each of them; of a group that is not founded the founders.
    pub(super) fn voters(&self, group: usize) -> Vec<BTreeSet<usize>> {
        let memberships = self.memberships(group);
        if memberships.is_empty() {
            return vec![(0..self.plan.founders()).collect()];
        }
        memberships.iter().map(indices).collect()
    }

    /// Whether a node is, or may become, a member of any group as things stand.
    pub(super) fn may_vote(&self, node: usize) -> bool {
        let is_named = |it: &Membership| it.of(node_id(node)).is_some();
        (0..self.plan.groups).any(|group| {
            let memberships = self.memberships(group);
            if memberships.is_empty() {
                return node < self.plan.founders();
            }
            memberships.iter().any(is_named)
        })
    }

    /// What is healed first is to serve, whoever votes by now: as much more is healed as that takes.
    pub(super) fn heal_enough(&mut self) {
        while !self.is_enough(&self.plan.ending.first) {
            let first = &mut self.plan.ending.first;
            if let First::Quorum(impaired) = first
                && impaired.len() > 1
            {
                impaired.pop();
            } else {
                *first = First::All;
            }
        }
    }

    /// Whether in each group some voter of all memberships hears a quorum of each of them.
    fn is_enough(&self, first: &First) -> bool {
        let nodes = self.plan.nodes;
        let reaches = |one: usize, other: usize| {
            first.impaired(one).is_none()
                && first.impaired(other).is_none()
                && (one == other
                    || first.reaches(one, other, nodes) && first.reaches(other, one, nodes))
        };
        (0..self.plan.groups).all(|group| {
            let all = self.voters(group);
            *first == First::All
                || (0..nodes).any(|hub| {
                    all.iter().all(|voters| {
                        let near = voters.iter().filter(|&&node| reaches(hub, node)).count();
                        voters.contains(&hub) && near > voters.len() / 2
                    })
                })
        })
    }
}

impl Draft {
    fn of(membership: &Membership) -> Self {
        let text = std::str::from_utf8(membership.book()).unwrap_or_default();
        let line = |line: &str| {
            let (node, address) = line.split_once(' ')?;
            Some((NodeId(node.parse().ok()?), address.to_owned()))
        };
        Self {
            voters: membership.voters().to_vec(),
            followers: membership.followers().to_vec(),
            book: text.lines().filter_map(line).collect(),
        }
    }

    fn has(&self, node: NodeId) -> bool {
        self.voters.iter().chain(&self.followers).any(|member| member.node == node)
    }

    /// Makes one alteration; `None` if it makes no sense, as the runtime says to whoever asks for it.
    fn alter(
        &mut self,
        alteration: Alteration,
        number: u64,
        to_node: impl Fn(Victim) -> Option<NodeId>,
    ) -> Option<()> {
        match alteration {
            Alteration::Add(node) => self.insert(node_id(node), number, true),
            Alteration::AddFollower(node) => self.insert(node_id(node), number, false),
            Alteration::Remove(old) => self.remove(to_node(old)?).map(drop),
            Alteration::Replace(old, new) => {
                let voted = self.remove(to_node(old)?)?;
                self.insert(node_id(new), number, voted)
            }
            Alteration::Promote(node) => {
                let is_it = |member: &Member| member.node == node_id(node);
                let at = self.followers.iter().position(is_it)?;
                self.voters.push(self.followers.remove(at));
                Some(())
            }
            Alteration::Move(node) => {
                let node = node_id(node);
                self.has(node).then(|| self.book.insert(node, address(node, number))).map(drop)
            }
        }
    }

    fn insert(&mut self, node: NodeId, number: u64, votes: bool) -> Option<()> {
        if self.has(node) {
            return None;
        }
        self.book.insert(node, address(node, number));
        let members = if votes { &mut self.voters } else { &mut self.followers };
        members.push(Member { node, incarnation: Incarnation(0) });
        Some(())
    }

    /// Whether it voted.
    fn remove(&mut self, node: NodeId) -> Option<bool> {
        let voted = self.voters.iter().any(|member| member.node == node);
        if !self.has(node) {
            return None;
        }
        self.book.remove(&node);
        self.voters.retain(|member| member.node != node);
        self.followers.retain(|member| member.node != node);
        Some(voted)
    }

    /// None if nobody votes in it.
    fn membership(self) -> Option<Membership> {
        let mut book = String::new();
        for (node, address) in &self.book {
            book.push_str(&format!("{node} {address}\n"));
        }
        Membership::new(self.voters, self.followers).ok()?.with_book(book.into()).ok()
    }
}

fn address(node: NodeId, number: u64) -> String {
    format!("n{node}.example:{number}")
}

/// Election timeouts for which a leader goes on with a change that nobody asks for any more, and a few.
const LEADERS_PATIENCE: u32 = 6;

fn indices(membership: &Membership) -> BTreeSet<usize> {
    membership.voters().iter().map(|voter| to_index(voter.node.0 - 1)).collect()
}
