//! The way of a process into its groups: what its peers make of its hellos, before its first vote.
//!
//! A directory that was restored from a copy, or whose disk lied, looks intact from inside, and its
//! votes are worth nothing. A peer that remembers more says so in answer to the hello. So the groups
//! start once peers have answered that, with this node, are a quorum, and at the latest one election
//! timeout after the start: until then nothing here speaks, which is the same as a start that came a
//! little later, and safe for that reason. In a clean start the answers are there after a round
//! trip, and nobody would have been elected within an election timeout anyway.
//!
//! A refused node takes new incarnations, durably, and then starts its groups as learners. If they
//! run already, since nobody who knows better could be reached in time, the node stops: it says
//! nothing more, whatever it withheld dies with it, and the next start learns.

use std::collections::{BTreeMap, BTreeSet};

use synod_core::{GroupId, Incarnation, NodeId, Recovered, Time};
use synod_proto::{Judgement, Verdict};

use super::driver::{Driver, State};
use crate::log::GroupLog;

/// How far a process is on its way into its groups.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) boot: u64,
    nonce: u64,
    /// When the groups start, whoever has answered.
    pub(super) silent_until: Time,
    /// Peers that have nothing against this process.
    fine: BTreeSet<NodeId>,
    /// New incarnations are on their way to the disk.
    pub(super) renewing: bool,
}

impl Entry {
    pub(super) const fn new(boot: u64, nonce: u64, silent_until: Time) -> Self {
        Self { boot, nonce, silent_until, fine: BTreeSet::new(), renewing: false }
    }
}

impl Driver {
    /// Starts the groups if it is time to.
    pub(super) fn enter(&mut self, now: Time) {
        if !matches!(self.state, State::Forming(_)) || self.entry.renewing {
            return;
        }
        let Some(founding) = self.forming.founding() else { return };
        let me = self.shared.node;
        let is_quorum = founding.groups.iter().all(|(_, membership)| {
            let heard = |node: &NodeId| *node == me || self.entry.fine.contains(node);
            let voters = membership.voters().iter().map(|voter| voter.node);
            let heard = voters.filter(heard).count();
            u32::try_from(heard).unwrap_or(u32::MAX) >= membership.quorum()
        });
        if is_quorum || self.entry.silent_until <= now {
            let founding = founding.clone();
            self.found(now, &founding);
        }
    }

    /// A peer says what it makes of our hello.
    pub(super) fn judged(&mut self, now: Time, from: NodeId, judgement: Judgement) {
        let Judgement { boot, nonce, verdict } = judgement;
        if (boot, nonce) != (self.entry.boot, self.entry.nonce) {
            return; // about another process
        }
        match verdict {
            Verdict::Fine => {
                self.entry.fine.insert(from);
                self.enter(now);
            }
            Verdict::Rollback | Verdict::Clone => self.refused(from, verdict),
        }
    }

    fn refused(&mut self, from: NodeId, verdict: Verdict) {
        let (node, peer) = (self.shared.node.0, from.0);
        if self.entry.renewing || matches!(self.state, State::Failed | State::Done) {
            return;
        }
        let Some(log) = &self.log else { return };
        let drawn = self.groups.iter().map(|group| {
            let random = getrandom::u64().ok()?;
            Some((group.id, Incarnation(random.max(1))))
        });
        let Some(drawn) = drawn.collect::<Option<Vec<_>>>() else {
            return self.fail(&"the system gives no random numbers for new incarnations".into());
        };
        tracing::warn!(
            node,
            peer,
            ?verdict,
            "the peer remembers more of this directory than it holds: the node takes new \
             incarnations, and votes again once a membership change has swapped it in"
        );
        self.entry.renewing = true;
        log.renew(drawn);
        if !matches!(self.state, State::Forming(_)) {
            let reason = format!(
                "node {from} remembers more of this node's data directory than it holds \
                 ({verdict:?}): it was restored from a copy, used by two processes, or its disk \
                 lost what it had synced; it has new incarnations now: start the node again, and \
                 it learns until a membership change swaps it in"
            );
            self.fail(&reason.into());
        }
    }

    /// The new incarnations are durable.
    pub(super) fn renewed(&mut self, now: Time, mut groups: BTreeMap<GroupId, GroupLog>) {
        if !matches!(self.state, State::Forming(_)) {
            return;
        }
        let mut memories = Vec::new();
        for (slot, hosted) in self.groups.iter_mut().enumerate() {
            let Some(log) = groups.remove(&hosted.id) else { continue };
            hosted.me.incarnation = log.incarnation;
            memories.push((hosted.id, log.incarnation));
            if let Some((recovered, _)) = &mut self.recovered[slot] {
                // The files are what they were.
                let files_lost = recovered.files_lost && log.recovered.checkpoint.is_some();
                *recovered = Recovered { files_lost, ..log.recovered };
            }
        }
        memories.sort_unstable();
        self.identity.update(|identity| identity.groups.clone_from(&memories));
        self.forming.renew(memories, now);
        self.entry.renewing = false;
        self.enter(now);
    }
}
