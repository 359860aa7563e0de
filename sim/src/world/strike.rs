//! Carries out what the plan says goes wrong.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use synod::log::{Item, inspect};
use synod::vfs::{Vfs, VfsFile};
use synod_core::{Ballot, MasterAsk, Role};

use super::World;
use crate::atlas::{Budget, Harm};
use crate::disk::SimVfs;
use crate::env::Event;
use crate::faults::{Crash, Extent, Fault, Moment, Victim};
use crate::node::{CHECKPOINTS, LOG, node_id};
use crate::rng::{mix, to_index, to_u64};
use crate::trace::Note;

/// Bytes that rot one after the other.
const STRETCH: u64 = 16 << 10;

/// Whether something of a file can be read elsewhere than there. A file of which nothing can be read is
/// no rot: the device is gone, and a log that opened without it would take a cable for a disk.
fn is_readable(disk: &SimVfs, path: &Path, but: Range<u64>) -> bool {
    let (Ok(file), Some(size)) = (disk.open(path), disk.size_of(path)) else { return false };
    let mut places = (0..size).step_by(to_index(but.end - but.start));
    places.any(|at| !but.contains(&at) && file.read_exact_at(at, &mut [0]).is_ok())
}

/// How far a segment on a disk is vouched for by a later batch in it: not at all, if its own two headers
/// are all that vouches for what is behind them.
fn before_last_batch(disk: &SimVfs, path: &Path) -> u64 {
    let mut last = 0;
    let mut each = |item| match item {
        Item::Batch(batch) if path.ends_with(format!("{:08}.log", batch.segment)) => {
            last = batch.offset
        }
        Item::Segment(_) | Item::Batch(_) | Item::Damage(_) | Item::End { .. } => {}
    };
    // One that cannot be looked through vouches for nothing.
    let looked = inspect(&disk.durable_view(), Path::new(LOG), false, &mut each);
    looked.map_or(0, |()| last)
}

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
            Fault::Around { group, shape, first, lasting } => {
                let Some(leader) = self.leader(*group) else { return };
                let links = shape.links(leader, *first, self.plan.nodes);
                self.cut(n, &links);
                passes = Some(*lasting);
            }
            Fault::SlowAnswers { group, factor, lasting } => {
                let Some(leader) = self.leader(*group) else { return };
                let others = (0..self.plan.nodes).filter(|&other| other != leader);
                let links: Vec<(usize, usize)> = others.map(|other| (other, leader)).collect();
                for &(from, to) in &links {
                    self.env.network.slow(from, to, *factor);
                }
                self.effects[n] = links;
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
                let Some(node) = self.victim(*victim) else { return };
                match *moment {
                    Moment::Now => self.env.crash(node, *how, *down),
                    Moment::Middle(changes) => self.nodes[node].stop_after(changes, *how, *down),
                    moment @ (Moment::Written
                    | Moment::Synced
                    | Moment::Told
                    | Moment::Event(_)
                    | Moment::Accepts(_)) => {
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
            Fault::StallingDisk { node, syncs, lasting } => {
                self.nodes[*node].stall_disk_after(*syncs, *lasting);
            }
            Fault::SlowReads { node, delay, lasting } => {
                self.nodes[*node].slow_reads(*delay);
                passes = Some(*lasting);
            }
            Fault::FullDisk { node, segments, lasting } => {
                self.nodes[*node].fill_disk(*segments);
                passes = Some(*lasting);
            }
            Fault::Rot { node, place, extent } => {
                if !self.rot(*node, *place, *extent) {
                    return;
                }
            }
            Fault::LyingDisk { node, lasting } => {
                if !self.allows(*node, Harm::Silent) {
                    return;
                }
                self.nodes[*node].is_doubted();
                self.nodes[*node].disk().lie(true);
                passes = Some(*lasting);
            }
            Fault::Astray { node, writes, place } => {
                if !self.allows(*node, Harm::Silent) {
                    return;
                }
                self.nodes[*node].is_doubted();
                self.nodes[*node].disk().misdirect_write_after(*writes, *place);
            }
            Fault::WipedDisk { node, down } => {
                if !self.allows(*node, Harm::Votes) {
                    return;
                }
                self.crash(*node, Crash::Power, *down);
                self.nodes[*node].wipe();
                self.nodes[*node].emptied(&mut self.env);
            }
            Fault::SavedDisk { node } => self.nodes[*node].save_image(),
            Fault::RestoredDisk { node, down } => {
                let is_remembered = self.is_remembered(*node);
                let harm = if is_remembered { Harm::Remembered } else { Harm::Silent };
                if !self.nodes[*node].has_image() || !self.allows(*node, harm) {
                    return;
                }
                self.crash(*node, Crash::Power, *down);
                self.nodes[*node].restore_image();
                self.nodes[*node].emptied(&mut self.env);
            }
            Fault::SecondProcess { node } => {
                // A peer that does not know the first one would take this one for it.
                let knows = |other| self.env.checkers.hellos.knows(other, *node, node_id(*node));
                if !self.nodes[*node].has_entered() || !self.others(*node).all(knows) {
                    return;
                }
                self.nodes[*node].say_twice(&mut self.env);
            }
            Fault::SlowMachines { node, delay, lasting } => {
                self.nodes[*node].slow_machines(*delay);
                passes = Some(*lasting);
            }
            Fault::Pause { victim, is_frozen, lasting } => {
                let Some(node) = self.victim(*victim) else { return };
                self.nodes[node].pause(*lasting, *is_frozen, &mut self.env);
                self.effects[n] = vec![(node, node)];
                passes = Some(*lasting);
            }
            Fault::SlowProcess { victim, cost, lasting } => {
                let Some(node) = self.victim(*victim) else { return };
                self.nodes[node].slow(*cost);
                self.effects[n] = vec![(node, node)];
                passes = Some(*lasting);
            }
            Fault::ClockRate { victim, ppm, lasting } => {
                let Some(node) = self.victim(*victim) else { return };
                self.nodes[node].set_rate(Some(*ppm), &mut self.env);
                self.effects[n] = vec![(node, node)];
                passes = Some(*lasting);
            }
            Fault::Wall { victim, asks, answers, lasting } => {
                let Some(node) = self.victim(*victim) else { return };
                self.walls[node].asks += u32::from(*asks);
                self.walls[node].answers += u32::from(*answers);
                self.effects[n] = vec![(node, node)];
                passes = Some(*lasting);
            }
            Fault::Release { group } => {
                for node in &mut self.nodes {
                    node.master(*group, MasterAsk::Release, &mut self.env);
                }
            }
            Fault::Transfer { group, to } => {
                let Some(leader) = self.leader(*group) else { return };
                self.nodes[leader].transfer(*group, *to, &mut self.env);
            }
            Fault::Change { group, asked, what, is_late, patience } => {
                if !self.change(*group, *asked, what, *is_late, *patience) {
                    return;
                }
            }
            Fault::Renewal { node, down } => {
                if self.may_vote(*node) {
                    return;
                }
                self.crash(*node, Crash::Power, *down);
                self.nodes[*node].wipe();
                self.nodes[*node].emptied(&mut self.env);
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
            Fault::Cut { .. } | Fault::CutLeader { .. } | Fault::Around { .. } => {
                effects.iter().for_each(|&(from, to)| self.env.network.join(from, to));
            }
            Fault::SlowLinks { .. } | Fault::SlowAnswers { .. } => {
                effects.iter().for_each(|&(from, to)| self.env.network.slow(from, to, 1));
            }
            Fault::SlowDisk { node, .. } => self.nodes[*node].slow_disk(1),
            Fault::SlowReads { node, .. } => self.nodes[*node].slow_reads(Duration::ZERO),
            Fault::FullDisk { node, .. } => self.nodes[*node].give_room(),
            Fault::LyingDisk { node, .. } => self.nodes[*node].disk().lie(false),
            Fault::SlowMachines { node, .. } => self.nodes[*node].slow_machines(Duration::ZERO),
            Fault::SlowProcess { .. } => {
                effects.iter().for_each(|&(node, _)| self.nodes[node].slow(Duration::ZERO));
            }
            Fault::ClockRate { .. } => {
                effects
                    .iter()
                    .for_each(|&(node, _)| self.nodes[node].set_rate(None, &mut self.env));
            }
            Fault::Wall { asks, answers, .. } => {
                for (node, _) in effects {
                    self.walls[node].asks -= u32::from(*asks);
                    self.walls[node].answers -= u32::from(*answers);
                }
            }
            Fault::Pause { .. } => {
                effects.iter().for_each(|&(node, _)| self.env.line(node, Note::resumed));
            }
            Fault::Crash { .. }
            | Fault::Blackout { .. }
            | Fault::FailedSync { .. }
            | Fault::StalledDisk { .. }
            | Fault::StallingDisk { .. }
            | Fault::Rot { .. }
            | Fault::Astray { .. }
            | Fault::WipedDisk { .. }
            | Fault::SavedDisk { .. }
            | Fault::RestoredDisk { .. }
            | Fault::Release { .. }
            | Fault::SecondProcess { .. }
            | Fault::Change { .. }
            | Fault::Renewal { .. }
            | Fault::Transfer { .. } => {}
        }
    }

    /// Whether the atlas has room for this; counts it as spared if not.
    fn allows(&mut self, node: usize, harm: Harm) -> bool {
        self.survey();
        let is_allowed = self.atlas.allows(node, harm);
        self.env.stats.spared += u64::from(!is_allowed);
        is_allowed
    }

    /// Whether every other node is up and connected, and would refuse what the copy of this node's
    /// disk makes it say.
    fn is_remembered(&self, node: usize) -> bool {
        let Some(hello) = self.nodes[node].copied_hello() else { return false };
        let knows_better = |other: usize| {
            self.nodes[other].has_entered()
                && self.env.network.joins(node, other)
                && self.env.checkers.hellos.contradiction(other, &hello).is_some()
        };
        self.others(node).all(knows_better)
    }

    pub(super) fn others(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        (0..self.plan.nodes).filter(move |&other| other != node)
    }

    /// Tells the atlas who votes, and which nodes have nothing left of their damage.
    pub(super) fn survey(&mut self) {
        let groups: Vec<Vec<BTreeSet<usize>>> =
            (0..self.plan.groups).map(|group| self.voters(group)).collect();
        for node in 0..self.plan.nodes {
            let is_voter = |group: usize| groups[group].iter().any(|it| it.contains(&node));
            if self.nodes[node].is_whole(is_voter, &self.env) {
                self.atlas.repaired(node);
            }
        }
        self.atlas.voters(groups.into_iter().flatten().collect());
    }

    /// A place in use in a segment of this node's log, or in its checkpoints, rots, if there is one and
    /// it may.
    fn rot(&mut self, node: usize, place: u64, extent: Extent) -> bool {
        let disk = self.nodes[node].disk().clone();
        let of_checkpoint = place.is_multiple_of(4) && self.plan.budget != Budget::Exceeded;
        let mut used = disk.used();
        used.retain(|(path, _)| {
            let is_segment = path.extension().is_some_and(|extension| extension == "log");
            if of_checkpoint { path.starts_with(CHECKPOINTS) } else { is_segment }
        });
        let Some((path, at)) = used.get(to_index(place / 4 % to_u64(used.len()).max(1))) else {
            return false;
        };
        let sector = to_u64(self.plan.disk.sector.bytes());
        let Some(size) = disk.size_of(path) else { return false };
        let len = size.saturating_sub(*at).min(sector);
        if len == 0 || (len < sector && !of_checkpoint) {
            return false;
        }
        // Names ascend with numbers.
        let mut segments: Vec<&PathBuf> = used.iter().map(|(path, _)| path).collect();
        segments.dedup();
        let is_young = !of_checkpoint && segments.iter().rev().take(2).any(|young| *young == path);
        self.survey();
        let is_last = extent == Extent::Unreadable && !is_readable(&disk, path, *at..at + sector);
        if is_last || !self.atlas.allows_rot(node, path, is_young) {
            self.env.stats.spared += 1;
            return false;
        }
        match extent {
            Extent::Bit => {
                let byte = mix(place) % len;
                disk.corrupt(path, at + byte, 1, 1 << (mix(place ^ 1) % 8));
            }
            Extent::Sector => disk.corrupt(path, *at, to_index(len), 0x5a),
            Extent::Stretch => {
                let end = if is_young { before_last_batch(&disk, path) } else { size };
                let stretch = end.saturating_sub(*at).min(STRETCH);
                disk.corrupt(path, *at, to_index(stretch.max(len)), 0x5a);
            }
            Extent::Unreadable => disk.spoil(path, *at),
        }
        if of_checkpoint {
            self.nodes[node].checkpoint_rots();
        } else {
            self.nodes[node].rots();
        }
        true
    }

    fn cut(&mut self, n: usize, links: &[(usize, usize)]) {
        links.iter().for_each(|&(from, to)| self.env.network.cut(from, to));
        self.effects[n] = links.to_vec();
    }

    /// The node that a fault strikes, if it is up.
    fn victim(&self, victim: Victim) -> Option<usize> {
        self.struck(victim).filter(|&node| self.nodes[node].is_up())
    }

    /// The node that is meant, up or not.
    pub(super) fn struck(&self, victim: Victim) -> Option<usize> {
        match victim {
            Victim::Node(node) => Some(node),
            Victim::Leader(group) => self.leader(group),
            Victim::Beside(group, first) => self.leader(group).and_then(|leader| {
                let others = (0..self.plan.nodes).filter(|&node| node != leader);
                let others: Vec<usize> = others.collect();
                others.get(first % others.len().max(1)).copied()
            }),
        }
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
