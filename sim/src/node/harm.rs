//! What happens to a machine's disk from outside, and what is known of it.

use synod_core::Instance;

use super::Node;
use crate::checkers::Place;
use crate::checkers::files::Belief;
use crate::disk::SimVfs;
use crate::env::Env;

impl Node {
    /// The machine's disk, for whoever does something to it.
    #[must_use]
    pub const fn disk(&self) -> &SimVfs {
        self.machine.files.vfs()
    }

    /// Something was done to the disk that may cost votes: the node may take new incarnations.
    pub const fn harmed(&mut self) {
        self.machine.harm();
    }

    /// A place of the disk has rotted, which may show at any later start until it is written anew.
    pub const fn rots(&mut self) {
        self.machine.memory.rot();
    }

    /// Part of a checkpoint's files rotted.
    pub const fn checkpoint_rots(&mut self) {
        self.machine.memory.rot_checkpoint();
    }

    /// The disk's word is not good from here on.
    pub const fn is_doubted(&mut self) {
        self.machine.memory.doubt();
    }

    /// Whether nothing is left of whatever was done to the disk, and its memories are those that vote,
    /// in the groups in which the node is to vote: of the memberships that began since it took them, each
    /// one's log is on its disk up to there.
    #[must_use]
    pub fn is_whole(&self, is_voter: impl Fn(usize) -> bool, env: &Env) -> bool {
        let memory = &self.machine.memory;
        let is_seated = |group| {
            let place = Place { node: self.machine.index, group };
            env.checkers.votes(place) && self.holds(group, env.checkers.version(group))
        };
        let mut groups = 0..memory.now().len();
        !memory.is_harmed() && groups.all(|group| !is_voter(group) || is_seated(group))
    }

    /// Whether a group's log is on the disk up to here, as its process knows.
    fn holds(&self, group: usize, version: Instance) -> bool {
        let held = || self.process.as_ref()?.belief(group);
        let is_held = |it: Belief| it.usage.writes_in_flight == 0 && it.status.chosen >= version;
        version == Instance::ZERO || held().is_some_and(is_held)
    }

    /// Whether there is a copy of the disk.
    #[must_use]
    pub const fn has_image(&self) -> bool {
        self.machine.image.is_some()
    }

    /// Whether something was done to the disk that no start has found yet.
    #[must_use]
    pub const fn is_harmed(&self) -> bool {
        self.machine.memory.is_harmed()
    }

    /// What its disk held is gone, or an older copy of it is there.
    pub fn emptied(&mut self, env: &mut Env) {
        self.machine.forget_founding(env);
    }

    /// The disk is replaced by an empty one. The node must be down.
    pub fn wipe(&mut self) {
        assert!(!self.is_up(), "a disk is replaced under a running process");
        self.machine.wipe();
    }

    /// Keeps a copy of what is durable, in place of an earlier copy.
    pub fn save_image(&mut self) {
        self.machine.image = Some(self.machine.image());
    }

    /// Everything that the machine keeps is replaced by the copy; says whether there is one. The
    /// node must be down.
    pub fn restore_image(&mut self) -> bool {
        assert!(!self.is_up(), "a disk is replaced under a running process");
        let image = self.machine.image.take();
        if let Some(image) = &image {
            self.machine.restore(image);
        }
        self.machine.image = image;
        self.machine.image.is_some()
    }
}
