//! How a cluster is founded, and its groups begin.

use super::{
    Driver, FormingInput, FormingState, Founding, Frame, Group, Input, Packet, Start, State, Time,
};

impl Driver {
    /// First start, and answers to those who start later.
    pub(super) fn form(&mut self, now: Time, input: FormingInput) {
        if matches!(self.state, State::Failed | State::Done) {
            return;
        }
        self.forming.step(now, input, &mut self.turn.forming);
        for (to, message) in self.turn.forming.messages.drain(..) {
            self.network.send(to, &Frame(Packet::Founding(message)));
        }
        self.network.flush();
        if let Some(founding) = self.turn.forming.write.take()
            && let Some(log) = &self.log
        {
            log.found(founding);
        }
        self.enter(now);
    }

    /// The cluster is founded, and the peers have nothing against this node: the groups run.
    pub(in crate::node) fn found(&mut self, now: Time, founding: &Founding) {
        let (node, state) = (self.shared.node.0, self.forming.state());
        if matches!(state, FormingState::Excluded { .. }) {
            tracing::warn!(node, "{state}");
        } else {
            tracing::info!(node, "{state}");
        }
        self.identity.update(|identity| identity.cluster = Some(founding.cluster));
        for (group, membership) in &founding.groups {
            let Some(&slot) = self.slots.get(group) else {
                tracing::warn!(group = group.0, "this node was not given a group of the cluster");
                continue;
            };
            let Some((recovered, config)) = self.recovered[slot].take() else { continue };
            let start = Start {
                cluster: founding.cluster,
                group: *group,
                me: self.groups[slot].me,
                boot: self.welcome.boot(),
                membership: membership.clone(),
                recovered,
                config,
                now,
            };
            match Group::start(start) {
                Ok(core) => {
                    self.groups[slot].run(now, core);
                    if let Some(every) = self.checkpoint_every {
                        self.groups[slot].checkpoint_every(every, now);
                    }
                    self.groups[slot].step(now, Input::Room(self.has_room));
                    self.follow(slot);
                }
                Err(error) => self.groups[slot].fail(&error.to_string().into()),
            }
            self.mark(slot);
        }
        for group in self.groups.iter().filter(|group| !group.runs()) {
            tracing::warn!(
                node,
                group = group.id.0,
                "the cluster was founded without a group that this node was given: its proposals and \
                 reads end with NotMember; leave it out, or found a cluster that has it"
            );
        }
        if let State::Forming(early) = std::mem::replace(&mut self.state, State::Running) {
            for request in early {
                self.request(now, request);
            }
        }
    }
}
