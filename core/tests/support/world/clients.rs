//! What clients ask for, and operators.

use synod_core::{
    ChangeId, Incarnation, Input, Instance, Member, Membership, NodeId, ProposalId, ReadId, SmId,
};

use super::{Asked, Bytes, Duration, World};

impl World {
    pub(super) fn client(&mut self, i: usize) {
        let patience = Duration::from_millis(5 + self.rng.below(200));
        match self.rng.below(20) {
            0 => {
                let to = NodeId(1 + self.rng.below(u64::try_from(self.nodes.len()).unwrap()));
                self.step(i, Input::Transfer(to));
            }
            1 => match self.rng.below(8) {
                0 => {
                    let limit = Instance(self.rng.below(20));
                    self.step(i, Input::CleanLimit(limit));
                }
                1 | 2 => self.step(i, Input::CleanLimit(Instance::MAX)),
                _ => self.step(i, Input::Checkpoint),
            },
            2..=9 => {
                self.next_id += 1;
                let (id, deadline) = (self.next_id, self.now + patience);
                self.checks.read_starts(id);
                self.nodes[i].waiting.insert((Asked::Read, id), deadline);
                self.step(i, Input::Read { id: ReadId(id), deadline, stale: Duration::ZERO });
            }
            _ => self.propose(i, patience),
        }
    }

    pub(super) fn propose(&mut self, i: usize, patience: Duration) {
        self.next_id += 1;
        let (id, deadline) = (ProposalId(self.next_id), self.now + patience);
        self.nodes[i].waiting.insert((Asked::Proposal, id.0), deadline);
        let command = Bytes::from(format!("c{}", id.0));
        self.step(i, Input::Propose { id, sm: SmId(0), command, deadline });
    }

    /// Somebody asks for another membership: any nodes, at times even the same.
    pub(super) fn change(&mut self, i: usize) {
        let Some(group) = &self.nodes[i].group else { return };
        let (version, newest) = (group.history().version(), group.history().newest().clone());
        let count = 1 + self.rng.index(self.nodes.len().min(5));
        let (mut voters, mut followers) = (Vec::new(), Vec::new());
        for n in 0..self.nodes.len() {
            let node = self.nodes[n].me.node;
            let member = newest.of(node).filter(|_| self.rng.chance(900));
            let anybody = Member { node, incarnation: Incarnation(0) };
            match self.rng.below(8) {
                0..=4 if voters.len() < count => voters.push(member.unwrap_or(anybody)),
                5 => followers.push(member.unwrap_or(anybody)),
                _ => {}
            }
        }
        let Ok(membership) = Membership::new(voters, followers) else { return };
        self.next_id += 1;
        let deadline = self.now + Duration::from_millis(20 + self.rng.below(300));
        self.nodes[i].waiting.insert((Asked::Change, self.next_id), deadline);
        let id = ChangeId(self.next_id);
        self.step(i, Input::Change { id, version, membership, deadline });
    }
}
