use alloc::vec::Vec;

use super::*;
use crate::testing::{Kit, ballot, member};

const LEADER: Ballot = ballot(1, 2);

fn node() -> (Kit, Reads) {
    (Kit::new(3), Reads::new(member(1), 1))
}

impl Reads {
    fn take(&mut self, kit: &mut Kit, id: u64) {
        self.read(ReadId(id), Time::from_millis(1_000), Duration::ZERO, &mut kit.ctx());
    }

    /// Lets a question leave to a leader, if one is due; returns its round.
    fn question(&mut self, kit: &mut Kit, leader: Ballot) -> Option<u64> {
        self.flush(leader, &mut kit.ctx());
        match kit.sent().as_slice() {
            [] => None,
            [(to, Message::ReadIndex { round })] if *to == leader.node.0 => Some(*round),
            sent => panic!("sent {sent:?}"),
        }
    }

    /// An answer comes; returns the reads that it serves.
    fn served(&mut self, kit: &mut Kit, round: u64) -> Vec<u64> {
        self.on_point(round, Instance(7), &mut kit.ctx());
        let id = |outcome| {
            let Outcome::ReadAt(id, Instance(7)) = outcome else { panic!("{outcome:?}") };
            id.0
        };
        kit.outcomes().into_iter().map(id).collect()
    }
}

#[test]
fn one_question_serves_all_reads_that_came_before_it() {
    let (mut kit, mut reads) = node();
    reads.take(&mut kit, 1);
    reads.take(&mut kit, 2);
    assert_eq!(reads.question(&mut kit, Ballot::ZERO), None, "nobody to ask");
    let round = reads.question(&mut kit, LEADER).unwrap();
    assert_eq!(reads.served(&mut kit, round), [1, 2]);
    assert_eq!(reads.served(&mut kit, round), [], "an answer that came twice");
    assert_eq!(reads.question(&mut kit, LEADER), None);
}

#[test]
fn a_read_that_came_after_the_question_waits_for_the_next_one() {
    let (mut kit, mut reads) = node();
    reads.take(&mut kit, 1);
    let first = reads.question(&mut kit, LEADER).unwrap();
    reads.take(&mut kit, 2);
    assert_eq!(reads.question(&mut kit, LEADER), None, "one question at a time");
    assert_eq!(reads.served(&mut kit, first), [1]);
    assert_eq!(reads.deadline(LEADER, kit.env.now), kit.env.now);
    let second = reads.question(&mut kit, LEADER).unwrap();
    assert_eq!(reads.served(&mut kit, first), []);
    assert_eq!(reads.served(&mut kit, second), [2]);
}

#[test]
fn an_answer_to_an_older_question_serves_only_what_came_before_it() {
    let (mut kit, mut reads) = node();
    reads.take(&mut kit, 1);
    let first = reads.question(&mut kit, LEADER).unwrap();
    reads.take(&mut kit, 2);
    let second = reads.question(&mut kit, ballot(2, 3)).unwrap();
    assert!(second > first);
    assert_eq!(reads.served(&mut kit, first), [1]);
    assert_eq!(reads.question(&mut kit, ballot(2, 3)), None, "the newer one is still open");
    assert_eq!(reads.served(&mut kit, second), [2]);
}

#[test]
fn answers_to_another_life_or_another_memory_serve_nothing() {
    let (mut kit, mut reads) = node();
    reads.take(&mut kit, 1);
    let round = reads.question(&mut kit, LEADER).unwrap();
    for (me, boot) in [(member(1), 2), (crate::testing::wiped(1), 1)] {
        let (mut kit, mut later) = (Kit::new(3), Reads::new(me, boot));
        later.take(&mut kit, 1);
        let own = later.question(&mut kit, LEADER).unwrap();
        assert_eq!(later.served(&mut kit, round), [], "{me} {boot}");
        assert_eq!(later.served(&mut kit, own + 1), [], "never asked");
        assert_eq!(later.served(&mut kit, own), [1]);
    }
}

#[test]
fn a_question_is_repeated_when_its_time_is_up_or_the_leader_changed() {
    let (mut kit, mut reads) = node();
    reads.take(&mut kit, 1);
    assert!(reads.question(&mut kit, LEADER).is_some());
    assert_eq!(reads.deadline(LEADER, kit.env.now), Time::from_millis(200));
    kit.at(199);
    assert_eq!(reads.question(&mut kit, LEADER), None);
    kit.at(200);
    assert!(reads.question(&mut kit, LEADER).is_some());
    assert_eq!(reads.deadline(ballot(2, 3), kit.env.now), kit.env.now);
    let last = reads.question(&mut kit, ballot(2, 3)).unwrap();
    assert_eq!(reads.served(&mut kit, last), [1]);
}

#[test]
fn a_read_gives_up_at_its_deadline_and_the_others_wait_on() {
    let (mut kit, mut reads) = node();
    reads.read(ReadId(1), Time::from_millis(500), Duration::ZERO, &mut kit.ctx());
    reads.read(ReadId(2), Time::from_millis(300), Duration::ZERO, &mut kit.ctx());
    let round = reads.question(&mut kit, LEADER).unwrap();
    kit.at(299);
    reads.expire(&mut kit.ctx());
    assert_eq!(kit.outcomes(), []);
    kit.at(300);
    reads.expire(&mut kit.ctx());
    assert_eq!(kit.outcomes(), [Outcome::ReadFailed(ReadId(2), ReadRefusal::TimedOut)]);
    assert_eq!(reads.deadline(Ballot::ZERO, kit.env.now), Time::from_millis(500));
    assert_eq!(reads.served(&mut kit, round), [1]);
}

#[test]
fn the_only_unasked_read_expires_and_nothing_is_asked_for_it() {
    let (mut kit, mut reads) = node();
    reads.take(&mut kit, 1);
    let round = reads.question(&mut kit, LEADER).unwrap();
    reads.read(ReadId(2), Time::from_millis(10), Duration::ZERO, &mut kit.ctx());
    kit.at(10);
    reads.expire(&mut kit.ctx());
    kit.outcomes();
    assert_eq!(reads.served(&mut kit, round), [1]);
    assert_eq!(reads.question(&mut kit, LEADER), None);
}

#[test]
fn a_read_that_may_be_stale_is_served_by_an_answer_whose_question_is_young_enough() {
    let (mut kit, mut reads) = node();
    let stale = |reads: &mut Reads, kit: &mut Kit, millis| {
        let stale = Duration::from_millis(millis);
        reads.read(ReadId(9), Time::from_millis(9_000), stale, &mut kit.ctx());
        kit.outcomes() == [Outcome::ReadAt(ReadId(9), Instance(7))]
    };
    assert!(!stale(&mut reads, &mut kit, 5_000), "nothing is known yet");
    kit.at(100);
    let round = reads.question(&mut kit, LEADER).unwrap();
    kit.at(150);
    assert_eq!(reads.served(&mut kit, round), [9]);
    assert!(stale(&mut reads, &mut kit, 51), "the question left 50 ms ago");
    assert!(!stale(&mut reads, &mut kit, 50), "by this clock, which may be slow");
    let round = reads.question(&mut kit, LEADER).unwrap();
    kit.at(400);
    assert!(!stale(&mut reads, &mut kit, 299), "from when it was asked, not answered");
    assert!(stale(&mut reads, &mut kit, 301), "the last answer still does");
    assert_eq!(reads.served(&mut kit, round), [9], "asked before the second one came");
    assert!(stale(&mut reads, &mut kit, 251));
}

#[test]
fn too_many_reads_are_refused_and_a_failed_group_refuses_all() {
    let (mut kit, mut reads) = node();
    kit.env.config.reads_max = 1;
    reads.take(&mut kit, 1);
    reads.take(&mut kit, 2);
    assert_eq!(kit.outcomes(), [Outcome::ReadFailed(ReadId(2), ReadRefusal::Overloaded)]);
    reads.fail(ReadRefusal::Failed, &mut kit.ctx());
    assert_eq!(kit.outcomes(), [Outcome::ReadFailed(ReadId(1), ReadRefusal::Failed)]);
}

fn point(to: u64, round: u64, instance: u64) -> (u64, Message) {
    (to, Message::ReadPoint { round, instance: Instance(instance) })
}

#[test]
fn a_question_is_answered_by_its_probe_or_a_later_one_only() {
    let mut kit = Kit::new(3);
    let mut questions = Questions::default();
    questions.ask(NodeId(2), 20, 4, Instance(8));
    questions.ask(NodeId(3), 30, 5, Instance(9));
    questions.answer(3, &mut kit.ctx());
    assert_eq!(kit.sent(), [], "what was confirmed before the question came proves nothing");
    questions.answer(4, &mut kit.ctx());
    assert_eq!(kit.sent(), [point(2, 20, 8)]);
    questions.answer(7, &mut kit.ctx());
    assert_eq!(kit.sent(), [point(3, 30, 9)]);
    assert!(questions.is_empty());
}

#[test]
fn of_the_questions_of_a_node_the_oldest_and_the_newest_wait() {
    let mut kit = Kit::new(3);
    let mut questions = Questions::default();
    for n in 0..5 {
        questions.ask(NodeId(2), 20 + n, 4 + n, Instance(8 + n));
        questions.ask(NodeId(3), 30 + n, 4 + n, Instance(8 + n));
    }
    questions.answer(4, &mut kit.ctx());
    assert_eq!(kit.sent(), [point(2, 20, 8), point(3, 30, 8)]);
    questions.answer(7, &mut kit.ctx());
    assert_eq!(kit.sent(), [], "those in between were replaced");
    questions.answer(8, &mut kit.ctx());
    assert_eq!(kit.sent(), [point(2, 24, 12), point(3, 34, 12)]);
    assert!(questions.is_empty());
}

#[test]
fn who_asks_again_faster_than_answers_come_is_answered() {
    let mut kit = Kit::new(3);
    let mut questions = Questions::default();
    // Each probe is confirmed when three more have left.
    for n in 0..20 {
        questions.ask(NodeId(2), n, n, Instance(n));
        questions.answer(n.saturating_sub(3), &mut kit.ctx());
    }
    assert!(kit.sent().len() >= 4);
}

#[test]
fn who_no_longer_leads_answers_nothing() {
    let mut kit = Kit::new(3);
    let mut questions = Questions::default();
    questions.ask(NodeId(2), 20, 4, Instance(8));
    questions.clear();
    questions.answer(9, &mut kit.ctx());
    assert_eq!(kit.sent(), []);
}
