use alloc::vec;

use super::*;
use crate::outbox::Event;
use crate::testing::{Kit, accepted, ballot, chosen, value};

/// Node 1, which learns.
struct Bench {
    kit: Kit,
    entries: Entries,
    learner: Learner,
    fetches: Fetches,
    /// The ballot that node 2 names when it asks.
    lost: bool,
}

fn bench(entries: Entries) -> Bench {
    let (learner, fetches) = (Learner::default(), Fetches::default());
    Bench { kit: Kit::new(3), entries, learner, fetches, lost: false }
}

impl Bench {
    fn told(&mut self, ballot: Ballot, chosen: u64) {
        self.learner.on_chosen(ballot.node, ballot, Instance(chosen), &mut self.entries);
    }

    fn knows(&mut self, node: u64, chosen: u64) {
        self.learner.note(NodeId(node), Instance(chosen));
    }

    fn learn(&mut self, instance: u64, value: &Value) -> Learned {
        learn(Instance(instance), value, &mut self.entries, &mut self.kit.ctx())
    }

    /// Whom it asks now, and from where on.
    fn asks(&mut self) -> Vec<(u64, u64)> {
        self.learner.ask(&self.entries, &mut self.kit.ctx());
        let question = |(to, message)| {
            let Message::Learn { from, .. } = message else { panic!("{message:?}") };
            (to, from.0)
        };
        self.kit.sent().into_iter().map(question).collect()
    }

    fn answered(&mut self, node: u64) {
        self.learner.on_answer(NodeId(node), self.entries.chosen(), true);
    }

    /// What it teaches node 2 that asks from an instance on; none if nothing is said.
    fn teaches(&mut self, from: u64) -> Option<Vec<Value>> {
        let ctx = &mut self.kit.ctx();
        let asked = (Instance(from), self.lost);
        self.learner.on_learn(NodeId(2), asked, &self.entries, &mut self.fetches, ctx);
        self.taught(from)
    }

    fn taught(&mut self, first: u64) -> Option<Vec<Value>> {
        let (_, message) = self.kit.sent().pop()?;
        let Message::Learned { from, values, chosen, cleaned } = message else {
            panic!("{message:?}")
        };
        let expected = (Instance(first), self.entries.chosen(), self.entries.cleaned());
        assert_eq!((from, chosen, cleaned), expected);
        Some(values)
    }
}

#[test]
fn a_leaders_word_is_about_what_was_accepted_in_its_own_ballot() {
    let mut bench = bench(chosen(1));
    bench.entries.put(Instance(2), accepted(ballot(4, 2), value(2)));
    bench.entries.put(Instance(3), accepted(ballot(3, 3), value(3)));
    bench.entries.put(Instance(4), accepted(ballot(4, 2), value(4)));
    bench.told(ballot(4, 2), 4);
    assert_eq!(bench.entries.chosen(), Instance(2));
    assert_eq!(bench.asks(), [(2, 3)], "what it holds from another ballot is asked for");
}

#[test]
fn a_leaders_word_ends_where_it_says() {
    let mut bench = bench(chosen(0));
    bench.entries.put(Instance(1), accepted(ballot(4, 2), value(1)));
    bench.entries.put(Instance(2), accepted(ballot(4, 2), value(2)));
    bench.told(ballot(4, 2), 1);
    assert_eq!(bench.entries.chosen(), Instance(1));
    assert_eq!(bench.asks(), []);
}

#[test]
fn a_lost_value_is_not_chosen_but_asked_for() {
    let mut bench = bench(chosen(0));
    bench.entries.put(Instance(1), Slot { ballot: ballot(4, 2), value: None });
    bench.told(ballot(4, 2), 1);
    assert_eq!(bench.entries.chosen(), Instance::ZERO);
    assert_eq!(bench.asks(), [(2, 1)]);
    assert_eq!(bench.learn(1, &value(1)), Learned::Chosen, "no other value was held");
}

#[test]
fn a_learned_value_is_written_and_chosen() {
    let mut bench = bench(chosen(1));
    assert_eq!(bench.learn(2, &value(2)), Learned::Chosen);
    let record = Record::Learned { instance: Instance(2), value: value(2) };
    assert_eq!(bench.kit.sync(), [record]);
    assert_eq!(bench.entries.chosen(), Instance(2));
}

#[test]
fn the_value_that_is_held_already_is_not_written_again() {
    let mut bench = bench(chosen(0));
    bench.entries.put(Instance(1), accepted(ballot(1, 2), value(1)));
    assert_eq!(bench.learn(1, &value(1)), Learned::Chosen);
    assert_eq!(bench.kit.sync(), []);
    assert_eq!(bench.entries.slot(Instance(1)), Some(&accepted(ballot(1, 2), value(1))));
}

#[test]
fn a_chosen_value_replaces_another_one_that_was_accepted() {
    let mut bench = bench(chosen(0));
    bench.entries.put(Instance(1), accepted(ballot(9, 2), value(9)));
    assert_eq!(bench.learn(1, &value(1)), Learned::Instead);
    let record = Record::Learned { instance: Instance(1), value: value(1) };
    assert_eq!(bench.kit.sync(), [record]);
    assert_eq!(bench.entries.value(Instance(1)), Some(&value(1)));
}

#[test]
fn above_a_gap_nothing_is_learned() {
    let mut bench = bench(chosen(1));
    assert_eq!(bench.learn(3, &value(3)), Learned::Skipped);
    assert_eq!(bench.kit.sync(), []);
    assert_eq!(bench.entries.slot(Instance(3)), None);
}

#[test]
fn what_was_learned_above_a_gap_before_a_restart_is_chosen_once_the_gap_is_closed() {
    let mut bench = bench(chosen(1));
    bench.entries.put(Instance(3), accepted(Ballot::ZERO, value(3)));
    bench.entries.put(Instance(4), accepted(ballot(1, 3), value(4)));
    bench.entries.put(Instance(2), accepted(ballot(2, 2), value(2)));
    bench.told(ballot(2, 2), 4);
    assert_eq!(bench.entries.chosen(), Instance(3), "the last is of another ballot");
}

#[test]
fn what_is_known_is_skipped_and_two_chosen_values_fail_the_group() {
    let mut bench = bench(chosen(2));
    assert_eq!(bench.learn(1, &value(1)), Learned::Skipped);
    assert_eq!(bench.kit.env.failed, None);
    assert_eq!(bench.learn(1, &value(7)), Learned::Skipped);
    let reason = "two values are known to be chosen";
    assert_eq!(bench.kit.events(), [Event::Failed(reason, Instance(1))]);
    assert_eq!(bench.kit.sync(), []);
}

#[test]
fn who_knows_most_is_asked_and_nobody_who_knows_no_more() {
    let mut bench = bench(chosen(5));
    bench.knows(2, 5);
    assert_eq!(bench.asks(), []);
    bench.knows(3, 9);
    bench.knows(2, 8);
    assert_eq!(bench.asks(), [(3, 6)]);
    assert_eq!(bench.asks(), [], "one question at a time");
}

#[test]
fn a_peer_that_does_not_answer_is_followed_by_another() {
    let mut bench = bench(chosen(0));
    bench.knows(2, 9);
    bench.knows(3, 5);
    assert_eq!(bench.asks(), [(2, 1)]);
    assert_eq!(bench.learner.deadline(&bench.kit.env), Some(Time::from_millis(200)));
    bench.kit.at(199);
    assert_eq!(bench.asks(), []);
    bench.kit.at(200);
    assert_eq!(bench.asks(), [(3, 1)]);
    bench.kit.at(400);
    assert_eq!(bench.asks(), [(2, 1)], "and asked again after the other one");
}

#[test]
fn who_knows_less_is_asked_before_those_that_did_not_answer_are_asked_again() {
    let mut bench = bench(chosen(1));
    for (node, chosen) in [(2, 9), (3, 8), (4, 5)] {
        bench.knows(node, chosen);
    }
    bench.learner.note_cleaned(NodeId(5), Instance(7), true);
    let step = bench.kit.env.config.retry_interval * 2;
    let mut asked = Vec::new();
    for _ in 0..3 {
        assert_eq!(bench.learner.cleaned_by(Instance(2)), [], "somebody may still teach it");
        asked.extend(bench.asks());
        bench.kit.env.now = bench.kit.env.now + step;
    }
    assert_eq!(asked, [(2, 2), (3, 2), (4, 2)]);
    bench.asks();
    assert_eq!(bench.learner.cleaned_by(Instance(2)), [NodeId(5)], "a checkpoint is needed");
}

#[test]
fn everybody_is_asked_if_the_only_peer_ahead_has_nothing_to_give() {
    let mut bench = bench(chosen(1));
    bench.kit = Kit::new(4);
    bench.knows(2, 5);
    let mut asked = Vec::new();
    for _ in 0..5 {
        let (to, _) = bench.asks()[0];
        asked.push(to);
        bench.answered(to);
        bench.kit.env.now = bench.learner.deadline(&bench.kit.env).unwrap();
    }
    assert_eq!(asked, [2, 3, 2, 4, 2]);
}

#[test]
fn the_only_peer_that_knows_more_is_asked_again_though_it_was_silent() {
    let mut bench = bench(chosen(0));
    bench.knows(2, 9);
    assert_eq!(bench.asks(), [(2, 1)]);
    bench.kit.at(200);
    assert_eq!(bench.asks(), [(2, 1)]);
}

#[test]
fn an_answer_that_led_further_lets_it_ask_on_at_once() {
    let mut bench = bench(chosen(0));
    bench.knows(2, 9);
    bench.asks();
    bench.learn(1, &value(1));
    bench.answered(2);
    assert_eq!(bench.asks(), [(2, 2)]);
}

#[test]
fn an_answer_with_nothing_in_it_is_not_asked_for_again_at_once() {
    let mut bench = bench(chosen(0));
    bench.knows(2, 9);
    bench.asks();
    bench.answered(2);
    assert_eq!(bench.asks(), []);
    bench.answered(3);
    assert_eq!(bench.asks(), [], "nor one of somebody else");
}

#[test]
fn a_question_that_became_needless_is_over() {
    let mut bench = bench(chosen(0));
    bench.knows(2, 1);
    bench.asks();
    bench.learn(1, &value(1));
    assert_eq!(bench.asks(), []);
    assert_eq!(bench.learner.deadline(&bench.kit.env), None);
}

#[test]
fn nothing_is_asked_while_the_disk_is_full_of_work() {
    let mut bench = bench(chosen(0));
    bench.kit.env.config.writes_in_flight_max = 1;
    bench.kit.busy();
    bench.knows(2, 9);
    assert_eq!(bench.asks(), []);
    bench.kit.sync();
    assert_eq!(bench.asks(), [(2, 1)]);
    bench.kit.busy();
    assert_eq!(bench.learner.deadline(&bench.kit.env), None);
    bench.learner.on_answer(NodeId(2), Instance::ZERO, false);
    bench.kit.sync();
    assert_eq!(bench.asks(), [(2, 1)], "the answer came while there was no room for it");
}

#[test]
fn a_peer_that_knows_less_after_a_restart_is_not_asked() {
    let mut bench = bench(chosen(3));
    bench.knows(2, 9);
    bench.knows(2, 1);
    assert_eq!(bench.asks(), []);
}

#[test]
fn what_is_chosen_is_taught_a_page_at_a_time() {
    let mut bench = bench(chosen(3));
    bench.entries.put(Instance(4), accepted(ballot(1, 1), value(4)));
    bench.kit.env.config.page_bytes_max = 2 * (value(1).len() + ENTRY_OVERHEAD);
    assert_eq!(bench.teaches(1), Some([value(1), value(2)].to_vec()));
    assert_eq!(bench.teaches(3), Some([value(3)].to_vec()), "what is not chosen is not taught");
    assert_eq!(bench.teaches(4), Some(Vec::new()));
    assert_eq!(bench.teaches(u64::MAX), Some(Vec::new()));
}

#[test]
fn what_left_memory_is_fetched_and_what_was_cleaned_is_not_taught() {
    let mut bench = bench(Entries::new(Instance(6), Instance(2)));
    assert_eq!(bench.teaches(2), Some(Vec::new()));
    assert_eq!(bench.kit.out.fetches, []);
    assert_eq!(bench.teaches(3), None);
    let fetch = bench.kit.out.fetches.pop().unwrap();
    assert_eq!((fetch.from, fetch.to), (Instance(3), Instance(6)));
    let stored = [(3, Some(value(3))), (4, None), (5, Some(value(5)))];
    let stored =
        stored.map(|(i, value)| Stored { instance: Instance(i), ballot: Ballot::ZERO, value });
    let ctx = &mut bench.kit.ctx();
    bench.learner.on_fetched(NodeId(2), Instance(3), stored.to_vec(), &bench.entries, ctx);
    assert_eq!(bench.taught(3), Some([value(3)].to_vec()), "up to what the disk lost");
}

#[test]
fn a_vote_is_told_to_who_lost_a_chosen_value_and_to_nobody_else() {
    let mut bench = bench(chosen(1));
    bench.entries.put(Instance(3), accepted(ballot(4, 2), value(3)));
    bench.entries.put(Instance(4), accepted(Ballot::ZERO, value(4)));
    assert_eq!(bench.teaches(3), Some(vec![]), "nothing is known to be chosen");
    assert_eq!(bench.teaches(4), Some(vec![value(4)]), "known, above a gap");
    bench.lost = true;
    assert_eq!(bench.teaches(1).map(|values| values.len()), Some(1), "what is chosen, as ever");
    assert_eq!(bench.teaches(2), Some(vec![]), "nothing is held");
    let ctx = &mut bench.kit.ctx();
    let asked = (Instance(3), true);
    bench.learner.on_learn(NodeId(2), asked, &bench.entries, &mut bench.fetches, ctx);
    let voted = Message::Voted { instance: Instance(3), ballot: ballot(4, 2), value: value(3) };
    assert_eq!(bench.kit.sent(), [(2, voted)]);
    assert_eq!(bench.entries.chosen(), Instance(1));
}

#[test]
fn those_who_were_all_asked_in_vain_are_asked_in_turn() {
    let mut bench = bench(chosen(1));
    bench.kit = Kit::new(5);
    for (node, knows) in [(2, 5), (3, 9), (4, 8), (5, 5)] {
        bench.knows(node, knows);
    }
    let mut asked = Vec::new();
    for _ in 0..12 {
        asked.extend(bench.asks().into_iter().map(|(to, _)| to));
        bench.kit.env.now = bench.learner.deadline(&bench.kit.env).unwrap();
    }
    assert_eq!(asked[..2], [3, 4], "who knows most first");
    for node in 2..=5 {
        let times = asked[4..].iter().filter(|&&to| to == node).count();
        assert_eq!(times, 2, "{asked:?}");
    }
}

#[test]
fn whose_answer_comes_late_is_asked_again_before_those_who_give_none() {
    let mut bench = bench(chosen(1));
    bench.knows(2, 9);
    bench.knows(3, 8);
    assert_eq!(bench.asks(), [(2, 2)]);
    bench.kit.env.now = bench.learner.deadline(&bench.kit.env).unwrap();
    assert_eq!(bench.asks(), [(3, 2)]);
    bench.learner.note_cleaned(NodeId(2), Instance::ZERO, true);
    bench.learn(2, &value(2));
    bench.answered(2);
    assert_eq!(bench.asks(), [(2, 3)]);
}
