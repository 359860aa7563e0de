//! Asks peers again for chosen values that the disk lost before they were executed.

use crate::env::{Ctx, Env};
use crate::ids::{Instance, NodeId};
use crate::message::Message;
use crate::time::Time;

/// The question under way about a value that is chosen, is not executed, and is gone from the disk.
///
/// Beside the [`Learner`](crate::learner::Learner)'s own question, which goes on from the end of the
/// chosen prefix: a node that waits for a lost value still learns what is chosen since. Anybody may
/// have it, the leader not more than others, so all are asked in turn.
#[derive(Debug, Default)]
pub(crate) struct Mender {
    asked: Option<Question>,
    last: NodeId,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    from: Instance,
    until: Time,
}

impl Mender {
    /// Asks for what is missing, if something is: the next peer once the last one had its time.
    #[inline]
    pub(crate) fn ask(&mut self, missing: Option<Instance>, ctx: &mut Ctx<'_>) {
        if self.asked.is_some() || missing.is_some() {
            self.ask_next(missing, ctx);
        }
    }

    /// When to ask somebody else.
    pub(crate) fn deadline(&self, env: &Env) -> Option<Time> {
        self.asked.filter(|_| !env.takes_no_values()).map(|question| question.until)
    }

    fn ask_next(&mut self, missing: Option<Instance>, ctx: &mut Ctx<'_>) {
        let Some(from) = missing else {
            self.asked = None;
            return;
        };
        let is_open = self.asked.is_some_and(|it| it.from == from && ctx.now < it.until);
        if is_open || ctx.takes_no_values() {
            return;
        }
        let Some(to) = ctx.peer_after(self.last) else { return };
        self.last = to;
        self.asked = Some(Question { from, until: ctx.now + ctx.config.retry_interval * 2 });
        ctx.send(to, Message::Learn { from });
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::testing::Kit;

    fn asks(kit: &mut Kit, mender: &mut Mender, missing: Option<u64>) -> Vec<(u64, u64)> {
        mender.ask(missing.map(Instance), &mut kit.ctx());
        let question = |(to, message)| {
            let Message::Learn { from } = message else { panic!("{message:?}") };
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
        assert_eq!(asks(&mut kit, &mut mender, None), []);
        assert_eq!(mender.deadline(&kit.env), None);
    }

    #[test]
    fn what_is_missing_next_is_asked_for_at_once() {
        let (mut kit, mut mender) = (Kit::new(3), Mender::default());
        assert_eq!(asks(&mut kit, &mut mender, Some(4)), [(2, 4)]);
        assert_eq!(asks(&mut kit, &mut mender, Some(6)), [(3, 6)]);
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
