//! The order between our words and our disk: numbers writes, and withholds what they must precede.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::ids::{Ballot, GroupId, Instance, NodeId, WriteSeq};
use crate::message::{Gate, Message};
use crate::outbox::Outbox;
use crate::time::Time;
use crate::write::{Durable, Record, WriteBatch};

/// Numbers the records of one process life, and holds each message that vouches for some of them
/// until they are durable (I1).
///
/// A withheld message waits for *every* record written before it. So a `Promise` that reports a
/// value still being written waits for that value too, without a list of what depends on what, and
/// releasing is one comparison at the front of a queue. A message that is released late is still
/// true: what it says of our disk happened, and whatever overtook it in memory stands behind it.
#[derive(Debug)]
pub(crate) struct Journal {
    group: GroupId,
    boot: u64,
    me: NodeId,
    written: WriteSeq,
    durable: WriteSeq,
    withheld: VecDeque<(WriteSeq, NodeId, Message)>,
    local: VecDeque<Message>,
    spare: Vec<Vec<Record>>,
    progress: Time,
    /// When this much is durable, so is what was written of every instance up to there.
    mark: (WriteSeq, Instance),
    /// What was written of every instance up to here is durable.
    settled: Instance,
}

impl Journal {
    pub(crate) const fn new(group: GroupId, boot: u64, me: NodeId, now: Time) -> Self {
        Self {
            group,
            boot,
            me,
            written: WriteSeq(0),
            durable: WriteSeq(0),
            withheld: VecDeque::new(),
            local: VecDeque::new(),
            spare: Vec::new(),
            progress: now,
            mark: (WriteSeq(0), Instance::ZERO),
            settled: Instance::ZERO,
        }
    }

    /// Hands a record out to be written.
    pub(crate) fn write(&mut self, now: Time, record: Record, out: &mut Outbox) {
        if self.in_flight() == 0 {
            self.progress = now;
        }
        self.written.0 += 1;
        let batch = out.writes.get_or_insert_with(|| WriteBatch {
            group: self.group,
            boot: self.boot,
            first: self.written,
            records: self.spare.pop().unwrap_or_default(),
        });
        assert!(
            batch.group == self.group && batch.boot == self.boot,
            "an outbox holds the writes of group {} boot {}: drain it between groups",
            batch.group,
            batch.boot
        );
        batch.records.push(record);
    }

    /// Sends a message as soon as its gate allows; to ourselves like to anyone.
    pub(crate) fn send(&mut self, to: NodeId, message: Message, out: &mut Outbox) {
        match message.gate() {
            Gate::Durable if self.durable < self.written => self.withhold(to, message, out),
            Gate::Durable | Gate::Now => self.release(to, message, out),
        }
    }

    /// Counts a batch as durable, and releases what waited for it.
    ///
    /// # Panics
    ///
    /// If the proof is of another group or process life, or out of order: the embedder broke its
    /// contract, and no vote after that could be believed.
    pub(crate) fn durable(&mut self, now: Time, proof: Durable, out: &mut Outbox) {
        let Durable { group, boot, first, count, spare } = proof;
        assert!(group == self.group, "a batch of group {group} came back to group {}", self.group);
        assert!(boot == self.boot, "a batch of boot {boot} came back in boot {}", self.boot);
        let next = self.durable.0 + 1;
        assert!(first.0 == next, "batch {} came back before batch {next}", first.0);
        self.durable.0 += count;
        assert!(self.durable <= self.written, "durable {:?} passed written", self.durable);
        self.progress = now;
        if self.spare.len() < SPARE_MAX {
            self.spare.push(spare);
        }
        while let Some((seq, ..)) = self.withheld.front()
            && *seq <= self.durable
            && let Some((_, to, message)) = self.withheld.pop_front()
        {
            self.release(to, message, out);
        }
    }

    /// Forgets requests for promises in a ballot that are still withheld: the ballot is released.
    pub(crate) fn retract(&mut self, ballot: Ballot) {
        let is_prepare =
            |m: &Message| matches!(m, Message::Prepare { ballot: b, .. } if *b == ballot);
        mark!(PREPARE_RETRACTED if self.withheld.iter().any(|(_, _, m)| is_prepare(m)));
        self.withheld.retain(|(_, _, message)| !is_prepare(message));
    }

    /// Up to where the log gives back every chosen entry: `chosen` itself, or what it was some
    /// writes ago. Nothing more is written about an instance once it is chosen.
    pub(crate) fn settled(&mut self, chosen: Instance) -> Instance {
        if self.durable >= self.mark.0 {
            self.settled = self.mark.1;
            self.mark = (self.written, chosen);
        }
        if self.durable == self.written {
            self.settled = chosen;
        }
        self.settled
    }

    /// What [`settled`](Self::settled) would say, which goes on with what is evicted: to ask here
    /// changes nothing.
    pub(crate) fn held(&self, chosen: Instance) -> Instance {
        if self.durable == self.written {
            chosen
        } else if self.durable >= self.mark.0 {
            self.mark.1
        } else {
            self.settled
        }
    }

    /// What [`settled`](Self::settled) said last.
    pub(crate) const fn settled_last(&self) -> Instance {
        self.settled
    }

    /// Messages that wait for the disk.
    pub(crate) fn withheld(&self) -> usize {
        self.withheld.len()
    }

    /// The next message to ourselves, to be handled before the step ends.
    pub(crate) fn next_local(&mut self) -> Option<Message> {
        self.local.pop_front()
    }

    /// Records handed out and not yet durable.
    pub(crate) const fn in_flight(&self) -> u64 {
        self.written.0 - self.durable.0
    }

    /// Whether the disk has had work for this long and finished none of it.
    pub(crate) fn stalled(&self, now: Time, patience: Duration) -> bool {
        self.in_flight() > 0 && now > self.progress + patience
    }

    #[inline]
    pub(crate) fn invariants(&self) {
        assert!(
            self.durable <= self.written,
            "durable {:?} passed {:?}",
            self.durable,
            self.written
        );
        if let Some((seq, ..)) = self.withheld.front() {
            assert!(
                *seq > self.durable,
                "a message still waits for {seq:?}, which is durable (I1)"
            );
        }
        assert!(self.local.is_empty(), "a message to ourselves was not handled");
    }

    fn withhold(&mut self, to: NodeId, message: Message, out: &Outbox) {
        let taken = out.writes.as_ref().map_or(self.written, |b| WriteSeq(b.first.0 - 1));
        if let Message::Accepted { ballot, first, last } = &message
            && let Some((seq, node, Message::Accepted { ballot: b, last: l, .. })) =
                self.withheld.back_mut()
            && (*node, *b, l.next()) == (to, *ballot, *first)
            && *seq > taken
        {
            *l = *last; // both wait for the same batch, so the earlier vote is not held up
            *seq = self.written;
            return;
        }
        if matches!(message, Message::Promise(_)) {
            // The candidate asked again: one answer is enough, and answers are large.
            let promise = |m: &Message| matches!(m, Message::Promise(_));
            mark!(PROMISE_REPLACED if self.withheld.iter().any(|(_, n, m)| *n == to && promise(m)));
            mark!(PROMISE_OF_EARLIER_LIFE if self.written.0 == 1 && to != self.me && matches!(&message, Message::Promise(p)
                if p.entries.iter().any(|r| matches!(r.entry, crate::message::Report::Accepted(..)))));
            self.withheld.retain(|(_, node, m)| *node != to || !promise(m));
        }
        // Past the limit they are lost, as any message may be: whoever waits for them asks again.
        if self.withheld.len() < WITHHELD_MAX {
            self.withheld.push_back((self.written, to, message));
        }
    }

    fn release(&mut self, to: NodeId, message: Message, out: &mut Outbox) {
        if to == self.me {
            self.local.push_back(message);
        } else {
            out.messages.push((to, message));
        }
    }
}

/// Messages withheld at most: a peer that repeats itself adds to them while the disk is stuck.
pub(crate) const WITHHELD_MAX: usize = 65_536;

/// Emptied record buffers kept for reuse.
const SPARE_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;

    const PEER: NodeId = NodeId(2);

    fn ballot(round: u64) -> Ballot {
        Ballot { round, node: NodeId(1), incarnation: Incarnation(1) }
    }

    fn accepted(first: u64, last: u64) -> Message {
        Message::Accepted { ballot: ballot(1), first: Instance(first), last: Instance(last) }
    }

    fn journal() -> Journal {
        Journal::new(GroupId(0), 1, NodeId(1), Time::ZERO)
    }

    fn vote(journal: &mut Journal, instance: u64, out: &mut Outbox) {
        journal.write(Time::ZERO, Record::Chosen(Instance(instance)), out);
        journal.send(PEER, accepted(instance, instance), out);
    }

    #[test]
    fn a_released_ballot_asks_for_no_more_promises() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        vote(&mut journal, 1, &mut out);
        for round in [1, 2] {
            let from = Instance(1);
            journal.send(PEER, Message::Prepare { ballot: ballot(round), from }, &mut out);
        }
        journal.retract(ballot(1));
        let batch = out.take_writes().unwrap();
        journal.durable(Time::ZERO, batch.durable(), &mut out);
        let rounds = out.messages.iter().filter_map(|(_, message)| {
            let Message::Prepare { ballot, .. } = message else { return None };
            Some(ballot.round)
        });
        assert_eq!(rounds.collect::<Vec<_>>(), [2]);
        assert_eq!(out.messages.len(), 2, "the vote stays: {:?}", out.messages);
    }

    #[test]
    fn a_vote_waits_for_everything_written_before_it() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        vote(&mut journal, 1, &mut out);
        let first = out.take_writes().unwrap();
        vote(&mut journal, 2, &mut out);
        let second = out.take_writes().unwrap();
        assert!(out.messages.is_empty());
        journal.durable(Time::ZERO, first.durable(), &mut out);
        assert_eq!(out.messages, [(PEER, accepted(1, 1))]);
        journal.durable(Time::ZERO, second.durable(), &mut out);
        assert_eq!(out.messages[1..], [(PEER, accepted(2, 2))]);
    }

    #[test]
    fn votes_of_one_batch_leave_as_a_range() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        for instance in 1..=3 {
            vote(&mut journal, instance, &mut out);
        }
        let batch = out.take_writes().unwrap();
        journal.durable(Time::ZERO, batch.durable(), &mut out);
        assert_eq!(out.messages, [(PEER, accepted(1, 3))]);
    }

    #[test]
    fn what_needs_no_disk_leaves_at_once() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        journal.write(Time::ZERO, Record::Promised(ballot(1)), &mut out);
        let nack = Message::Nack { ballot: ballot(1), promised: ballot(2) };
        journal.send(PEER, nack.clone(), &mut out);
        assert_eq!(out.messages, [(PEER, nack)]);
    }

    #[test]
    #[should_panic(expected = "came back before batch 1")]
    fn proofs_out_of_order_are_a_broken_contract() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        vote(&mut journal, 1, &mut out);
        let _first = out.take_writes();
        vote(&mut journal, 2, &mut out);
        let second = out.take_writes().unwrap();
        journal.durable(Time::ZERO, second.durable(), &mut out);
    }

    #[test]
    #[should_panic(expected = "came back in boot 1")]
    fn a_completion_belongs_to_one_process_life() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        let mut earlier = Journal::new(GroupId(0), 7, NodeId(1), Time::ZERO);
        vote(&mut earlier, 1, &mut out);
        let batch = out.take_writes().unwrap();
        journal.durable(Time::ZERO, batch.durable(), &mut out);
    }

    #[test]
    fn an_instance_is_settled_once_all_that_was_written_by_then_is_durable() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        assert_eq!(journal.settled(Instance(3)), Instance(3));
        vote(&mut journal, 4, &mut out);
        assert_eq!(journal.settled(Instance(4)), Instance(3));
        let first = out.take_writes().unwrap();
        vote(&mut journal, 5, &mut out);
        journal.durable(Time::ZERO, first.durable(), &mut out);
        assert_eq!(journal.settled(Instance(5)), Instance(4), "the disk never rests");
        let second = out.take_writes().unwrap();
        journal.durable(Time::ZERO, second.durable(), &mut out);
        assert_eq!(journal.settled(Instance(5)), Instance(5));
    }

    #[test]
    fn a_disk_stalls_only_while_it_has_work() {
        let (mut journal, mut out) = (journal(), Outbox::default());
        let patience = Duration::from_millis(10);
        assert!(!journal.stalled(Time::from_millis(100), patience));
        journal.write(Time::from_millis(100), Record::Chosen(Instance(1)), &mut out);
        assert!(!journal.stalled(Time::from_millis(110), patience));
        assert!(journal.stalled(Time::from_millis(111), patience));
        let batch = out.take_writes().unwrap();
        journal.durable(Time::from_millis(112), batch.durable(), &mut out);
        assert!(!journal.stalled(Time::from_millis(200), patience));
    }
}
