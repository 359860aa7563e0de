//! Changes of the membership asked for at this node: named, handed to whoever leads, and resolved.

use alloc::vec::Vec;

use crate::env::{Ctx, Env};
use crate::ids::{Ballot, ChangeId, Incarnation, Instance, NodeId};
use crate::membership::{Membership, MembershipEntry};
use crate::message::Message;
use crate::outbox::{ChangeRefusal, Outcome};
use crate::time::Time;
use crate::value::{CommandKey, Value};

/// The unresolved changes of this process life.
///
/// A change is handed to every new leader until it is resolved. It may be chosen twice, and takes
/// effect once, since its entry names the version that it replaces. What became of it is read from
/// the log: it took effect at an instance, or the membership has another version by now and it never
/// can. So no leader's word is needed, and none is believed.
#[derive(Debug)]
pub(crate) struct Asking {
    incarnation: Incarnation,
    boot: u64,
    asked: u64,
    waiting: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    id: ChangeId,
    entry: MembershipEntry,
    deadline: Time,
    leader: Ballot,
    retry: Time,
    /// The leader waits for this node's log.
    waits: Option<NodeId>,
    /// Where it took effect.
    made: Option<Instance>,
}

impl Asking {
    pub(crate) const fn new(incarnation: Incarnation, boot: u64) -> Self {
        Self { incarnation, boot, asked: 0, waiting: Vec::new() }
    }

    /// Takes a change; it leaves with the next [`flush`](Self::flush).
    pub(crate) fn ask(
        &mut self,
        id: ChangeId,
        version: Instance,
        membership: Membership,
        deadline: Time,
        ctx: &mut Ctx<'_>,
    ) {
        let current = ctx.history.version();
        let has_left = membership.members().find(|m| ctx.history.has_left(m.incarnation));
        let refusal = match has_left {
            _ if self.waiting.len() >= WAITING_MAX => Some(ChangeRefusal::Overloaded),
            _ if version != current => Some(ChangeRefusal::VersionConflict(current)),
            Some(member) => Some(ChangeRefusal::HasLeft(member.node)),
            None => None,
        };
        if let Some(refusal) = refusal {
            ctx.out.outcomes.push(Outcome::ChangeRefused(id, refusal));
            return;
        }
        self.asked += 1;
        let key = CommandKey { origin: self.incarnation, boot: self.boot, seq: self.asked };
        let entry = MembershipEntry { key, cluster: ctx.cluster, version, membership };
        let (leader, retry) = (Ballot::ZERO, ctx.now);
        self.waiting.push(Wanted { id, entry, deadline, leader, retry, waits: None, made: None });
    }

    /// Hands what is new, and to a new leader everything, to the leader.
    pub(crate) fn flush(&mut self, leader: Ballot, ctx: &mut Ctx<'_>) {
        if leader == Ballot::ZERO {
            return;
        }
        for wanted in self.waiting.iter_mut().filter(|wanted| wanted.made.is_none()) {
            if wanted.leader != leader || ctx.now >= wanted.retry {
                wanted.leader = leader;
                wanted.retry = ctx.now + ctx.config.election_timeout;
                let entry = Value::of_membership(&wanted.entry);
                ctx.send(leader.node, Message::Change { ballot: leader, entry });
            }
        }
    }

    /// The leader says what it waits for.
    pub(crate) fn on_waits(&mut self, key: CommandKey, on: Option<NodeId>) {
        if let Some(wanted) = self.waiting.iter_mut().find(|wanted| wanted.entry.key == key) {
            wanted.waits = on;
        }
    }

    /// The entry of `key` began an era.
    pub(crate) fn on_made(&mut self, key: CommandKey, instance: Instance) {
        if let Some(wanted) = self.waiting.iter_mut().find(|wanted| wanted.entry.key == key) {
            wanted.made = Some(instance);
        }
    }

    /// Resolves what the log has decided: a change that is complete, and one that came too late for
    /// the version it was made for.
    pub(crate) fn resolve(&mut self, ctx: &mut Ctx<'_>) {
        let Ctx { env, out } = ctx;
        let (chosen, version) = (env.chosen, env.history.version());
        self.waiting.retain(|wanted| {
            let outcome = match wanted.made {
                Some(made) if chosen > made => Outcome::Changed(wanted.id, made),
                None if wanted.entry.version < version => {
                    mark!(CHANGE_CAME_TOO_LATE);
                    let refusal = ChangeRefusal::VersionConflict(version);
                    Outcome::ChangeRefused(wanted.id, refusal)
                }
                Some(_) | None => return true,
            };
            out.outcomes.push(outcome);
            false
        });
    }

    /// Gives up on changes whose deadline has passed.
    pub(crate) fn expire(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now;
        for late in self.waiting.extract_if(.., |wanted| wanted.deadline <= now) {
            mark!(CHANGE_LATE);
            ctx.out.outcomes.push(Outcome::ChangeUnknown(late.id, late.waits));
        }
    }

    /// Ends everything: the group has failed here.
    pub(crate) fn fail(&mut self, ctx: &mut Ctx<'_>) {
        for wanted in self.waiting.drain(..) {
            ctx.out.outcomes.push(Outcome::ChangeUnknown(wanted.id, wanted.waits));
        }
    }

    /// When to flush or expire next.
    pub(crate) fn deadline(&self, leader: Ballot, env: &Env) -> Time {
        self.waiting.iter().fold(Time::MAX, |at, wanted| {
            let flush = match wanted.made {
                None if leader != Ballot::ZERO && wanted.leader != leader => env.now,
                None if leader != Ballot::ZERO => wanted.retry,
                None | Some(_) => Time::MAX,
            };
            at.min(wanted.deadline).min(flush)
        })
    }
}

/// Changes that wait at a node at most: one at a time is made, whoever asks.
const WAITING_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Kit, ballot, member};
    use alloc::vec;

    fn ask(kit: &mut Kit, asking: &mut Asking, id: u64, version: u64) {
        let membership = Membership::new(vec![member(1), member(4)], vec![]).unwrap();
        let (version, deadline) = (Instance(version), Time::from_millis(900));
        asking.ask(ChangeId(id), version, membership, deadline, &mut kit.ctx());
    }

    #[test]
    fn a_change_goes_to_every_new_leader_and_again_to_the_same_after_a_while() {
        let (mut kit, mut asking) = (Kit::new(3), Asking::new(member(1).incarnation, 1));
        ask(&mut kit, &mut asking, 1, 0);
        let mut sent_to = |leader, kit: &mut Kit| {
            asking.flush(leader, &mut kit.ctx());
            kit.sent().iter().map(|(to, _)| *to).collect::<Vec<_>>()
        };
        assert_eq!(sent_to(Ballot::ZERO, &mut kit), []);
        assert_eq!(sent_to(ballot(1, 2), &mut kit), [2]);
        assert_eq!(sent_to(ballot(1, 2), &mut kit), []);
        assert_eq!(sent_to(ballot(2, 3), &mut kit), [3]);
        kit.at(500);
        assert_eq!(sent_to(ballot(2, 3), &mut kit), [3]);
    }

    #[test]
    fn the_log_says_what_became_of_it() {
        let (mut kit, mut asking) = (Kit::new(3), Asking::new(member(1).incarnation, 1));
        ask(&mut kit, &mut asking, 1, 0);
        ask(&mut kit, &mut asking, 2, 0);
        let key = asking.waiting[0].entry.key;
        let membership = asking.waiting[0].entry.membership.clone();
        kit.env.history.begin(Instance(6), membership);
        kit.env.chosen = Instance(5);
        asking.on_made(key, Instance(5));
        asking.resolve(&mut kit.ctx());
        let conflict = ChangeRefusal::VersionConflict(Instance(5));
        assert_eq!(kit.outcomes(), [Outcome::ChangeRefused(ChangeId(2), conflict)]);
        kit.env.chosen = Instance(6);
        asking.resolve(&mut kit.ctx());
        assert_eq!(kit.outcomes(), [Outcome::Changed(ChangeId(1), Instance(5))]);
        ask(&mut kit, &mut asking, 3, 0);
        assert_eq!(kit.outcomes(), [Outcome::ChangeRefused(ChangeId(3), conflict)]);
    }

    #[test]
    fn at_the_deadline_it_is_unknown_and_says_what_was_waited_for() {
        let (mut kit, mut asking) = (Kit::new(3), Asking::new(member(1).incarnation, 1));
        ask(&mut kit, &mut asking, 1, 0);
        asking.on_waits(asking.waiting[0].entry.key, Some(NodeId(4)));
        assert_eq!(asking.deadline(Ballot::ZERO, &kit.env), Time::from_millis(900));
        kit.at(900);
        asking.expire(&mut kit.ctx());
        assert_eq!(kit.outcomes(), [Outcome::ChangeUnknown(ChangeId(1), Some(NodeId(4)))]);
    }
}
