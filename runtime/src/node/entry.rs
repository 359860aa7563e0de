//! The way of a process into its groups, as [`Welcome`] decides it: this carries it out.

use std::collections::BTreeMap;

use synod_core::{GroupId, Incarnation, NodeId, Time};
use synod_proto::{Decision, Judgement, Verdict};

use super::driver::{Driver, State};
use crate::log::GroupLog;

impl Driver {
    /// Starts the groups if it is time to.
    pub(super) fn enter(&mut self, now: Time) {
        if !matches!(self.state, State::Forming(_)) {
            return;
        }
        let decision = self.welcome.look(now, self.forming.founding());
        self.decided(now, decision, None);
    }

    /// A peer says what it makes of our hello.
    pub(super) fn judged(&mut self, now: Time, from: NodeId, judgement: Judgement) {
        if matches!(self.state, State::Failed | State::Done) {
            return;
        }
        let decision = self.welcome.judged(now, from, &judgement, self.forming.founding());
        self.decided(now, decision, Some((from, judgement.verdict)));
    }

    /// Does what was decided, upon the word of a peer if there was one.
    fn decided(&mut self, now: Time, decision: Decision, word: Option<(NodeId, Verdict)>) {
        match (decision, word) {
            (Decision::Start, _) => {
                if let (Some(founding), State::Forming(_)) = (self.forming.founding(), &self.state)
                {
                    let founding = founding.clone();
                    self.found(now, &founding);
                }
            }
            (Decision::Renew, Some((from, verdict))) => self.renew(from, verdict),
            (Decision::Stop, Some((from, verdict))) => {
                self.renew(from, verdict);
                let reason = format!(
                    "node {from} remembers more of this node's data directory than it holds \
                     ({verdict:?}): it was restored from a copy, used by two processes, or its \
                     disk lost what it had synced; it has new incarnations now: start the node \
                     again, and it learns until a membership change swaps it in"
                );
                self.fail(&reason.into());
            }
            (Decision::Wait, _) | (Decision::Renew | Decision::Stop, None) => {}
        }
    }

    /// Takes new incarnations, upon the word of a peer.
    fn renew(&mut self, from: NodeId, verdict: Verdict) {
        let (node, peer) = (self.shared.node.0, from.0);
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
        log.renew(drawn);
    }

    /// The new incarnations are durable.
    pub(super) fn renewed(&mut self, now: Time, mut groups: BTreeMap<GroupId, GroupLog>) {
        if !matches!(self.state, State::Forming(_)) {
            return;
        }
        let Ok(nonce) = getrandom::u64() else {
            return self.fail(&"the system gives no random number for a nonce".into());
        };
        let mut memories = Vec::new();
        for (slot, hosted) in self.groups.iter_mut().enumerate() {
            let Some(log) = groups.remove(&hosted.id) else { continue };
            hosted.me.incarnation = log.incarnation;
            memories.push((hosted.id, log.incarnation));
            if let Some((recovered, _)) = &mut self.recovered[slot] {
                *recovered = log.recovered;
            }
        }
        memories.sort_unstable();
        self.identity.update(|identity| {
            identity.groups.clone_from(&memories);
            identity.nonce = nonce;
        });
        self.forming.renew(memories, now);
        self.welcome.renewed(nonce);
        self.enter(now);
    }
}
