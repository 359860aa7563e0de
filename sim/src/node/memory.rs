//! Which memory a machine has: the incarnations that its directory took, and what harmed the disk.
//!
//! A directory takes new incarnations only if something was lost. The machine keeps its own account
//! of what was done to its disk, and a process that takes new ones without a reason breaks a rule,
//! as does one that goes on with the old ones although it found damage that may have cost a vote.

use synod::log::{Opened, Renewed, Restart};
use synod_core::{Founding, GroupId, Incarnation};

use super::Machine;
use crate::checkers::Violation;
use crate::disk::SimVfs;
use crate::kv::{Kv, Store};
use crate::plan::Plan;
use crate::rng::{Rng, to_u64};

/// The incarnations of a machine's directory.
#[derive(Debug)]
pub(super) struct Memory {
    now: Vec<(GroupId, Incarnation)>,
    pub(super) restart: Restart,
    /// Something was done to the disk that may cost votes.
    is_harmed: bool,
    /// Something was done to the disk that may show at any later start.
    is_rotten: bool,
    /// Something was done to the files of a checkpoint that may show at any later start.
    is_checkpoint_rotten: bool,
    /// The disk's word is not good: what it lost may show at any later start.
    is_doubtful: bool,
    /// Something was done to the disk at some time.
    was_harmed: bool,
    /// The disk was emptied, or the machine is no founder: the operator knows that there is a cluster.
    joins: bool,
    rng: Rng,
}

/// A copy of everything that a machine keeps.
#[derive(Debug)]
pub(super) struct Image {
    vfs: SimVfs,
    lodging: Vec<SimVfs>,
    stores: Option<Vec<Kv>>,
    saved: Vec<Kv>,
}

impl Image {
    /// A disk that holds the copy.
    pub(super) fn disk(&self) -> SimVfs {
        self.vfs.fork()
    }
}

impl Memory {
    pub(super) fn new(plan: &Plan, index: usize, now: Vec<(GroupId, Incarnation)>) -> Self {
        Self {
            now,
            restart: if plan.is_rejoining { Restart::Rejoin } else { Restart::TrustDisk },
            is_harmed: false,
            is_rotten: false,
            is_checkpoint_rotten: false,
            is_doubtful: false,
            was_harmed: false,
            joins: index >= plan.founders(),
            rng: Rng::numbered(plan.seed, "memory", to_u64(index)),
        }
    }

    pub(super) fn now(&self) -> &[(GroupId, Incarnation)] {
        &self.now
    }

    pub(super) const fn joins(&self) -> bool {
        self.joins
    }

    /// There is a cluster to come into.
    pub(super) const fn join(&mut self) {
        self.joins = true;
    }

    pub(super) const fn is_harmed(&self) -> bool {
        self.is_harmed || self.is_rotten || self.is_checkpoint_rotten || self.is_doubtful
    }

    pub(super) const fn was_harmed(&self) -> bool {
        self.was_harmed
    }

    pub(super) const fn rot(&mut self) {
        (self.is_rotten, self.was_harmed) = (true, true);
    }

    pub(super) const fn rot_checkpoint(&mut self) {
        (self.is_checkpoint_rotten, self.was_harmed) = (true, true);
    }

    /// All checkpoints that count were read, and found whole.
    pub(super) const fn checkpoints_are_whole(&mut self) {
        self.is_checkpoint_rotten = false;
    }

    pub(super) const fn doubt(&mut self) {
        (self.is_doubtful, self.was_harmed) = (true, true);
    }

    /// What a start takes if it has to: drawn anew, except for a directory that was never used.
    pub(super) fn draw(&mut self, is_empty: bool) -> Vec<(GroupId, Incarnation)> {
        if !self.is_harmed() && (is_empty || self.restart == Restart::TrustDisk) {
            return self.now.clone();
        }
        self.fresh()
    }

    /// Incarnations that nobody had before.
    pub(super) fn fresh(&mut self) -> Vec<(GroupId, Incarnation)> {
        let rng = &mut self.rng;
        self.now.iter().map(|&(group, _)| (group, Incarnation(rng.bits() | 1))).collect()
    }

    /// A start gave this: whether it was right about the incarnations.
    pub(super) fn opened(
        &mut self,
        node: usize,
        opened: &Opened<SimVfs>,
    ) -> Result<bool, Violation> {
        let found = opened.groups.iter().map(|(&group, log)| (group, log.incarnation)).collect();
        let report = &opened.report;
        let is_new = self.take(node, found, || match &opened.renewed {
            Some(Renewed::Damage { found, .. }) => found.clone(),
            Some(Renewed::Rejoin) => "as every start does".to_owned(),
            None => "an empty directory".to_owned(),
        })?;
        if !self.was_harmed && !report.lost.is_empty() {
            let what = format!(
                "a power cut alone costs n{} the values of {:?}, and leaves their records",
                node + 1,
                report.lost
            );
            return Err(Violation::new("log", what));
        }
        // What rotted is on the disk no more, or in files that were set aside.
        let is_whole = report.bad_places == 0 && report.lost.is_empty();
        self.is_rotten &= !is_whole && opened.renewed.is_none();
        Ok(is_new)
    }

    /// The directory has these incarnations; says whether they are new.
    pub(super) fn take(
        &mut self,
        node: usize,
        found: Vec<(GroupId, Incarnation)>,
        why: impl FnOnce() -> String,
    ) -> Result<bool, Violation> {
        if found == self.now {
            return Ok(false);
        }
        if !self.is_harmed() && self.restart == Restart::TrustDisk {
            let what = format!(
                "n{} took new incarnations without having lost anything: {}",
                node + 1,
                why()
            );
            return Err(Violation::new("incarnations", what));
        }
        self.now = found;
        self.is_harmed = false;
        Ok(true)
    }
}

impl Machine {
    /// Votes may be lost from here on.
    pub(super) const fn harm(&mut self) {
        (self.memory.is_harmed, self.memory.was_harmed) = (true, true);
    }

    pub(super) fn wipe(&mut self) {
        self.files.replace(&SimVfs::new());
        self.lodging.wipe();
        for store in self.stores.iter_mut().flatten() {
            *store = Store::default();
        }
        self.saved = vec![Kv::default(); self.saved.len()];
        // It does not begin with what the others were founded with: it has to ask them.
        self.memory.joins |= self.founding.take().is_some();
        self.mood.has_cache = false;
        self.harm();
    }

    pub(super) fn image(&self) -> Image {
        let stores = self.stores.as_ref();
        Image {
            vfs: self.files.durable(),
            lodging: self.lodging.durable(),
            stores: stores.map(|stores| stores.iter().map(|s| s.state().clone()).collect()),
            saved: self.saved.clone(),
        }
    }

    pub(super) fn restore(&mut self, image: &Image) {
        self.files.replace(&image.vfs);
        self.lodging.restore(&image.lodging);
        if let (Some(stores), Some(states)) = (&mut self.stores, &image.stores) {
            *stores = states.iter().map(|state| Store::holding(state.clone())).collect();
        }
        self.saved.clone_from(&image.saved);
        self.mood.has_cache = false;
        self.harm();
    }

    /// How a directory that knows no cluster comes into one.
    pub(super) fn bootstrap(&self) -> synod_core::Bootstrap {
        match (self.founders, self.memory.joins()) {
            (_, true) => synod_core::Bootstrap::Join,
            (1, false) => synod_core::Bootstrap::Found,
            (_, false) => synod_core::Bootstrap::Auto,
        }
    }

    /// What the cluster was founded from, if that was before the run and the disk does not know yet.
    pub(super) fn planned(&self, known: Option<&Founding>) -> Option<Founding> {
        self.founding.clone().filter(|_| known.is_none())
    }
}
