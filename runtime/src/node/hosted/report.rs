//! What a group shows of itself: traces, events, its state for whoever watches.

use synod_core::Event;

use super::{CheckpointReply, Group, GroupState, Hosted, Instance, Seen, Time, answer};

impl Hosted {
    /// Traces what happened, and publishes who leads. Says whether the membership changed.
    pub(in crate::node) fn report(&mut self, now: Time) -> bool {
        let wanted = self.core.as_ref().and_then(Group::wanted);
        if wanted != self.wanted {
            self.wanted.clone_from(&wanted);
            self.keeping.want(wanted);
        }
        if self.outbox.events.is_empty() {
            return false;
        }
        self.stirred = true;
        let mut turned = false;
        let (node, group) = (self.me.node.0, self.id.0);
        let mut moved = false;
        let mut failed = None;
        let (stats, observing, id) = (&self.front.stats, &self.front.observing, self.id);
        for event in self.outbox.events.drain(..) {
            if matches!(
                event,
                Event::Checkpointed(_) | Event::Installed(_) | Event::InstallRefused(_)
            ) {
                self.keeping.happened(&event);
            }
            match event {
                Event::Canvassing(ballot) => {
                    moved = true;
                    tracing::debug!(node, group, %ballot, "would like to lead");
                    observing.tell(|| Seen::Canvassing(id, ballot));
                }
                Event::Preparing(ballot) => {
                    (moved, self.since) = (true, now);
                    tracing::debug!(node, group, %ballot, "phase 1");
                    stats.prepared.add(1);
                    observing.tell(|| Seen::Preparing(id, ballot));
                }
                Event::Leading(ballot) => {
                    let took = now.since(self.since);
                    (moved, self.since) = (true, now);
                    tracing::info!(node, group, %ballot, "leads");
                    stats.led.add(1);
                    self.front.moved();
                    stats.leader_changes.add(1);
                    observing.tell(|| Seen::Leading(id, ballot, took));
                }
                Event::SteppedDown(ballot, reason) => {
                    moved = true;
                    let led = now.since(self.since);
                    tracing::info!(node, group, %ballot, ?reason, "no longer leads");
                    observing.tell(|| Seen::SteppedDown(id, ballot, reason, led));
                }
                Event::Following(ballot) => {
                    moved = true;
                    tracing::info!(node, group, %ballot, "follows");
                    self.front.moved();
                    stats.leader_changes.add(1);
                    observing.tell(|| Seen::Following(id, ballot));
                }
                Event::Chosen(instance) => {
                    tracing::trace!(node, group, %instance, "chosen");
                    observing.tell(|| Seen::Chosen(id, instance));
                }
                Event::PeerLearns(member) => {
                    tracing::info!(node, group, %member, "peer is far behind, and learns");
                    observing.tell(|| Seen::PeerLearns(id, member.node));
                }
                Event::ValuesLost(first, last) => {
                    tracing::warn!(node, group, %first, %last, "the disk lost chosen values");
                    stats.values_lost.add(last.0 - first.0 + 1);
                    observing.tell(|| Seen::ValuesLost(id, first, last));
                }
                Event::Master(holder, version) => {
                    match holder {
                        Some(holder) => tracing::info!(node, group, %holder, %version, "master"),
                        None => tracing::info!(node, group, %version, "nobody is master"),
                    }
                    let holder = holder.map(|holder| holder.node);
                    observing.tell(|| Seen::MasterChanged(id, holder, version));
                }
                Event::MembershipChosen(instance) => {
                    turned = true;
                    tracing::info!(node, group, %instance, "the membership is about to change");
                }
                Event::MembershipChanged(instance) => {
                    turned = true;
                    tracing::info!(node, group, %instance, "the membership has changed");
                    observing.tell(|| Seen::MembershipChanged(id, instance));
                }
                Event::Removed(instance) => {
                    moved = true;
                    tracing::warn!(node, group, %instance, "this node is no member any more");
                }
                Event::Checkpointed(at) => {
                    tracing::info!(node, group, instance = %at, "checkpoint");
                    observing.tell(|| Seen::Checkpointed(id, at));
                    let is_served = |(least, _): &mut (Instance, CheckpointReply)| *least <= at;
                    for (_, reply) in self.checkpoints.extract_if(.., is_served) {
                        answer(reply, Ok(at));
                    }
                }
                Event::Cleaned(upto) => tracing::info!(node, group, instance = %upto, "cleaned"),
                Event::Installed(at) => {
                    tracing::info!(node, group, instance = %at, "goes on from a peer's checkpoint");
                    observing.tell(|| Seen::Installed(id, at));
                }
                Event::InstallRefused(at) => {
                    tracing::debug!(node, group, instance = %at, "a checkpoint is of no use");
                }
                Event::DigestsDiffer(peer, at) => {
                    tracing::error!(node, group, %peer, %at, "another log or state than the peer");
                    stats.digests_differ.add(1);
                    observing.tell(|| Seen::DigestsDiffer(id, peer, at));
                }
                Event::Diverged(at) => {
                    failed = Some(("its state is not that of a majority of the nodes", at));
                    observing.tell(|| Seen::Diverged(id, at));
                }
                Event::Failed(reason, instance) => failed = Some((reason, instance)),
            }
        }
        if let Some((reason, instance)) = failed {
            self.fail(&format!("group {} at {instance}: {reason}", self.id).into());
        }
        if moved || turned {
            self.publish();
        }
        turned
    }

    /// Shows who is master.
    pub(in crate::node) fn show_master(&self) {
        if let Some(core) = &self.core {
            self.front.show_master(core.master());
        }
    }

    pub(super) fn publish(&self) {
        let core = self.core.as_ref().map(Group::status);
        let state = GroupState {
            leader: self.leader(),
            role: core.map(|status| status.role),
            votes: core.is_some_and(|status| status.votes),
            version: core.map_or(Instance::ZERO, |status| status.version),
            changing: core.is_some_and(|status| status.changing),
            failed: self.failed.clone(),
        };
        self.front.stats.failed.set(u64::from(state.failed.is_some()));
        self.state.send_if_modified(|now| {
            let changed = *now != state;
            *now = state;
            changed
        });
    }
}
