//! Carries out what the plan says goes wrong.

use std::time::Duration;

use synod_core::{Ballot, Role};

use super::World;
use crate::env::Event;
use crate::faults::{Crash, Fault, Moment, Victim};
use crate::trace::Note;

impl World {
    /// A planned fault strikes.
    pub(super) fn strike(&mut self, n: usize) {
        let fault = self.plan.faults[n].what.clone();
        self.env.trace.line(self.env.now, None, || Note::fault(n, fault.to_string()));
        let until = |lasting: Duration| self.env.now + lasting;
        let mut passes = None;
        match &fault {
            Fault::Cut { links, lasting, .. } => {
                self.cut(n, links);
                passes = Some(*lasting);
            }
            Fault::CutLeader { group, out, into, lasting } => {
                let Some(leader) = self.leader(*group) else { return };
                let others = (0..self.plan.nodes).filter(|&other| other != leader);
                let links = others.flat_map(|other| {
                    let out = out.then_some((leader, other));
                    out.into_iter().chain(into.then_some((other, leader)))
                });
                let links: Vec<(usize, usize)> = links.collect();
                self.cut(n, &links);
                passes = Some(*lasting);
            }
            Fault::SlowLinks { links, factor, lasting } => {
                for &(from, to) in links {
                    self.env.network.slow(from, to, *factor);
                }
                self.effects[n].clone_from(links);
                passes = Some(*lasting);
            }
            Fault::Crash { victim, how, moment, down } => {
                let node = match *victim {
                    Victim::Node(node) => Some(node),
                    Victim::Leader(group) => self.leader(group),
                };
                let Some(node) = node.filter(|&node| self.nodes[node].is_up()) else { return };
                match *moment {
                    Moment::Now => self.env.crash = Some((node, *how, *down)),
                    Moment::Middle(changes) => self.nodes[node].stop_after(changes, *how, *down),
                    moment @ (Moment::Written | Moment::Synced | Moment::Told) => {
                        self.nodes[node].arm(moment, *how, *down);
                    }
                }
            }
            Fault::Blackout { down } => {
                for (node, &down) in down.iter().enumerate() {
                    self.crash(node, Crash::Power, down);
                }
            }
            Fault::FailedSync { node, down } => self.nodes[*node].fail_sync(*down),
            Fault::SlowDisk { node, factor, lasting } => {
                self.nodes[*node].slow_disk(*factor);
                passes = Some(*lasting);
            }
            Fault::StalledDisk { node, lasting } => {
                let until = until(*lasting);
                self.nodes[*node].stall_disk(until);
            }
            Fault::SlowMachines { node, delay, lasting } => {
                self.nodes[*node].slow_machines(*delay);
                passes = Some(*lasting);
            }
            Fault::Transfer { group, to } => {
                let Some(leader) = self.leader(*group) else { return };
                self.nodes[leader].transfer(*group, *to, &mut self.env);
            }
        }
        self.env.stats.fault(fault.kind());
        self.env.trace.struck(n, &self.effects[n]);
        if let Some(lasting) = passes {
            self.env.after(lasting, Event::Pass(n));
        }
    }

    /// A planned fault passes.
    pub(super) fn pass(&mut self, n: usize) {
        if self.env.is_mended {
            return;
        }
        let effects = std::mem::take(&mut self.effects[n]);
        self.env.trace.line(self.env.now, None, || Note::passed(n));
        match &self.plan.faults[n].what {
            Fault::Cut { .. } | Fault::CutLeader { .. } => {
                effects.iter().for_each(|&(from, to)| self.env.network.join(from, to));
            }
            Fault::SlowLinks { .. } => {
                effects.iter().for_each(|&(from, to)| self.env.network.slow(from, to, 1));
            }
            Fault::SlowDisk { node, .. } => self.nodes[*node].slow_disk(1),
            Fault::SlowMachines { node, .. } => self.nodes[*node].slow_machines(Duration::ZERO),
            Fault::Crash { .. }
            | Fault::Blackout { .. }
            | Fault::FailedSync { .. }
            | Fault::StalledDisk { .. }
            | Fault::Transfer { .. } => {}
        }
    }

    fn cut(&mut self, n: usize, links: &[(usize, usize)]) {
        links.iter().for_each(|&(from, to)| self.env.network.cut(from, to));
        self.effects[n] = links.to_vec();
    }

    /// Who leads a group: of several that believe so, the one with the highest ballot.
    pub(super) fn leader(&self, group: usize) -> Option<usize> {
        let leading = self.nodes.iter().enumerate().filter_map(|(index, node)| {
            let status = node.status(group)?;
            (status.role == Role::Leader).then_some((status.promised, index))
        });
        leading.max().map(|(_, index): (Ballot, usize)| index)
    }
}
