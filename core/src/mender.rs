//! Asks peers again for chosen values that the disk lost: before they were executed here, or before a
//! peer had them.

use crate::env::{Ctx, Env};
use crate::ids::{Ballot, Instance, Member, NodeId};
use crate::message::Message;
use crate::recall::Recall;
use crate::time::Time;
use crate::value::Value;
use crate::write::Record;

/// The question under way about a value that is chosen, is not executed, and is gone from the disk.
///
/// Beside the [`Learner`](crate::learner::Learner)'s own question, which goes on from the end of the
/// chosen prefix: a node that waits for a lost value still learns what is chosen since. Anybody may
/// have it, the leader not more than others, so all are asked in turn.
#[derive(Debug, Default)]
pub(crate) struct Mender {
    asked: Option<Question>,
    /// Who was asked last.
    last: NodeId,
    wanted: Option<Wanted>,
    /// What voters hold of the value asked for last.
    recall: Recall,
}

/// A value that a peer needs, and that the disk lost after it was executed here.
///
/// Whoever asks may reach nobody else, so to have nothing to give is no answer as long as there is
/// somebody who has it. Peers are asked once each: whoever needs it asks again.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    instance: Instance,
    /// In which ballot it was accepted here.
    lost: Ballot,
    /// How many peers are still to be asked.
    left: usize,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    from: Instance,
    until: Time,
}

impl Mender {
    /// A peer asked for a chosen value that is executed here, and that the disk no longer gives.
    pub(crate) fn want(&mut self, instance: Instance, lost: Ballot, env: &Env) {
        if self.wanted.is_none_or(|wanted| wanted.instance != instance) {
            mark!(WANTED_WHAT_WAS_LOST);
            self.wanted = Some(Wanted { instance, lost, left: env.peers().count() });
        }
    }

    /// Writes again what a peer needs, if it is among these chosen values.
    pub(crate) fn on_learned(&mut self, first: Instance, values: &[Value], ctx: &mut Ctx<'_>) {
        let Some(Wanted { instance, .. }) = self.wanted else { return };
        let above = instance.0.checked_sub(first.0).and_then(|above| usize::try_from(above).ok());
        let Some(value) = above.and_then(|above| values.get(above)) else { return };
        if !ctx.writes_full() {
            ctx.write(Record::Learned { instance, value: value.clone() });
            self.wanted = None;
        }
    }

    /// A voter says what it accepted where a value is missing. The value, if that is clear now.
    pub(crate) fn on_vote(
        &mut self,
        from: Member,
        instance: Instance,
        (ballot, value): (Ballot, Value),
        env: &Env,
    ) -> Option<Value> {
        self.recall.on_vote(from, instance, (ballot, value), env)
    }

    /// Asks for what is missing, if something is: who was asked last if that is answered, the next peer once
    /// it had its time. What is to be executed here comes first. Who let its time go by without giving what is still missing,
    /// if somebody did.
    #[inline]
    pub(crate) fn ask(
        &mut self,
        missing: Option<(Instance, Ballot)>,
        ctx: &mut Ctx<'_>,
    ) -> Option<NodeId> {
        if self.asked.is_some() || missing.is_some() || self.wanted.is_some() {
            return self.ask_next(missing, ctx);
        }
        None
    }

    /// When to ask somebody else.
    pub(crate) fn deadline(&self, env: &Env) -> Option<Time> {
        self.asked.filter(|_| !env.takes_no_values()).map(|question| question.until)
    }

    fn ask_next(
        &mut self,
        missing: Option<(Instance, Ballot)>,
        ctx: &mut Ctx<'_>,
    ) -> Option<NodeId> {
        let wanted = self.wanted.map(|wanted| (wanted.instance, wanted.lost));
        let Some((from, lost)) = missing.or(wanted) else {
            self.asked = None;
            return None;
        };
        let under_way = self.asked.filter(|it| it.from == from);
        if under_way.is_some_and(|it| ctx.now < it.until) || ctx.takes_no_values() {
            return None;
        }
        let silent = under_way.map(|_| self.last).filter(|_| missing.is_some());
        if missing.is_none()
            && let Some(wanted) = &mut self.wanted
        {
            let Some(left) = wanted.left.checked_sub(1) else {
                (self.asked, self.wanted) = (None, None);
                return None;
            };
            wanted.left = left;
        }
        // Who gave the last value may have the next one, and may be the only one within reach.
        let again = ctx.peers().find(|&peer| peer == self.last && under_way.is_none());
        let to = again.or_else(|| ctx.peer_after(self.last))?;
        self.last = to;
        self.recall.is_of(from, lost, ctx);
        self.asked = Some(Question { from, until: ctx.now + ctx.config.retry_interval * 2 });
        ctx.send(to, Message::Learn { from, lost: true });
        silent
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::{Kit, ballot, value};

    fn asks(kit: &mut Kit, mender: &mut Mender, missing: Option<u64>) -> Vec<(u64, u64)> {
        let lost = ballot(3, 1);
        mender.ask(missing.map(|missing| (Instance(missing), lost)), &mut kit.ctx());
        let question = |(to, message)| {
            let Message::Learn { from, lost: true } = message else { panic!("{message:?}") };
            (to, from.0)
        };
        kit.sent().into_iter().map(question).collect()
    }

    #[test]
    fn everybody_is_asked_in_turn_until_one_has_it() {
        let (mut kit, mut mender) = (Kit::new(3), Mender::default());
        assert_eq!(asks(&mut kit, &mut mender, None), []);
        assert_eq!(mender.deadline(&kit.env), None);
        let mut asked = Vec::new();
        for _ in 0..3 {
            asked.extend(asks(&mut kit, &mut mender, Some(4)));
            assert_eq!(asks(&mut kit, &mut mender, Some(4)), [], "one at a time");
            kit.env.now = mender.deadline(&kit.env).unwrap();
        }
        assert_eq!(asked, [(2, 4), (3, 4), (2, 4)]);
        let lost = Some((Instance(4), ballot(3, 1)));
        assert_eq!(mender.ask(lost, &mut kit.ctx()), Some(NodeId(2)), "its time is over");
        assert_eq!(mender.ask(lost, &mut kit.ctx()), None, "the next one has its time");
        kit.sent();
        assert_eq!(asks(&mut kit, &mut mender, None), []);
        assert_eq!(mender.deadline(&kit.env), None);
    }

    #[test]
    fn what_is_missing_next_is_asked_for_at_once() {
        let (mut kit, mut mender) = (Kit::new(3), Mender::default());
        assert_eq!(asks(&mut kit, &mut mender, Some(4)), [(2, 4)]);
        assert_eq!(asks(&mut kit, &mut mender, Some(6)), [(2, 6)], "of who gave the last one");
    }

    #[test]
    fn what_a_peer_needs_is_asked_of_each_peer_once() {
        let (mut kit, mut mender) = (Kit::new(3), Mender::default());
        for (round, order) in [[2, 3], [3, 2]].into_iter().enumerate() {
            mender.want(Instance(4), ballot(3, 1), &kit.env);
            for peer in order {
                assert_eq!(asks(&mut kit, &mut mender, None), [(peer, 4)], "round {round}");
                mender.want(Instance(4), ballot(3, 1), &kit.env);
                assert_eq!(asks(&mut kit, &mut mender, None), [], "one at a time");
                kit.env.now = mender.deadline(&kit.env).unwrap();
            }
            assert_eq!(asks(&mut kit, &mut mender, None), []);
            assert_eq!(mender.deadline(&kit.env), None, "nobody has it");
        }
    }

    #[test]
    fn what_a_peer_needs_is_written_again_and_what_is_executed_here_goes_before_it() {
        let (mut kit, mut mender) = (Kit::new(3), Mender::default());
        mender.want(Instance(4), ballot(3, 1), &kit.env);
        assert_eq!(asks(&mut kit, &mut mender, Some(9)), [(2, 9)]);
        mender.on_learned(Instance(9), &[value(9)], &mut kit.ctx());
        assert_eq!(kit.out.take_writes().map(|batch| batch.records().len()), None);
        assert_eq!(asks(&mut kit, &mut mender, None), [(2, 4)]);
        mender.on_learned(Instance(3), &[value(3), value(4)], &mut kit.ctx());
        let written = kit.out.take_writes().unwrap();
        let learned = Record::Learned { instance: Instance(4), value: value(4) };
        assert_eq!(written.records(), [learned]);
        assert_eq!(asks(&mut kit, &mut mender, None), []);
        assert_eq!(mender.deadline(&kit.env), None);
    }

    #[test]
    fn nothing_is_asked_while_the_answer_could_not_be_written() {
        let (mut kit, mut mender) = (Kit::new(3), Mender::default());
        kit.env.config.writes_in_flight_max = 1;
        kit.busy();
        assert_eq!(asks(&mut kit, &mut mender, Some(4)), []);
        kit.sync();
        assert_eq!(asks(&mut kit, &mut mender, Some(4)), [(2, 4)]);
    }
}
