//! Disks for users' state machines that keep their own state: one for each group on a node.

use crate::disk::SimVfs;
use crate::plan::Plan;
use crate::rng::{Rng, to_u64};

/// What users' state machines keep on a node.
#[derive(Debug)]
pub(super) struct Lodging {
    disks: Vec<SimVfs>,
    rng: Rng,
}

impl Lodging {
    pub(super) fn new(plan: &Plan, index: usize) -> Self {
        let disks = (0..plan.groups).map(|_| SimVfs::new()).collect();
        Self { disks, rng: Rng::numbered(plan.seed, "lodging", to_u64(index)) }
    }

    /// The disk for the machines of a group.
    pub(super) fn disk(&self, group: usize) -> SimVfs {
        self.disks[group].clone()
    }

    /// The process is gone; what it wrote is in the page cache.
    pub(super) fn kill(&self) {
        self.disks.iter().for_each(SimVfs::crash_process);
    }

    /// Power is gone; of what was not synced any part survives.
    pub(super) fn power_loss(&mut self) {
        let rng = &mut self.rng;
        self.disks.iter().for_each(|disk| disk.power_loss(&mut || rng.bits()));
    }

    /// After some more changes to any of the disks the process stops.
    pub(super) fn stop_soon(&mut self) {
        for disk in &self.disks {
            disk.stop_after(self.rng.spread(1, 60));
        }
    }

    /// The process does not stop there any more.
    pub(super) fn disarm(&self) {
        self.disks.iter().for_each(SimVfs::disarm);
    }

    /// The disks are replaced by empty ones.
    pub(super) fn wipe(&mut self) {
        self.disks.fill_with(SimVfs::new);
    }

    /// A copy of what is durable.
    pub(super) fn durable(&self) -> Vec<SimVfs> {
        self.disks.iter().map(SimVfs::durable_view).collect()
    }

    /// The disks are replaced by a copy.
    pub(super) fn restore(&mut self, copy: &[SimVfs]) {
        self.disks = copy.iter().map(SimVfs::fork).collect();
    }
}
