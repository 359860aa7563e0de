use super::*;
use crate::outbox::{Event, Fetch};
use crate::testing::{Kit, accepted, ballot, chosen, value};

/// Node 1's acceptor and its log.
struct Bench {
    kit: Kit,
    acceptor: Acceptor,
    entries: Entries,
    fetches: Fetches,
}

fn bench(entries: Entries) -> Bench {
    let acceptor = Acceptor::new(Ballot::ZERO);
    Bench { kit: Kit::new(3), acceptor, entries, fetches: Fetches::default() }
}

impl Bench {
    fn prepare(&mut self, ballot: Ballot, first: u64) {
        let (entries, fetches) = (&self.entries, &mut self.fetches);
        let ctx = &mut self.kit.ctx();
        self.acceptor.on_prepare(ballot.node, ballot, Instance(first), entries, fetches, ctx);
    }

    fn accept(&mut self, ballot: Ballot, instance: u64, value: Value) -> bool {
        self.accept_knowing(ballot, instance, value, 0)
    }

    /// The proposer knows that so much is chosen.
    fn accept_knowing(&mut self, ballot: Ballot, instance: u64, value: Value, chosen: u64) -> bool {
        let (instance, chosen) = (Instance(instance), Instance(chosen));
        let proposed = Proposed { ballot, instance, value, chosen };
        let ctx = &mut self.kit.ctx();
        self.acceptor.on_accept(ballot.node, proposed, &mut self.entries, ctx)
    }

    fn fetched(&mut self, ballot: Ballot, first: u64, values: &[Option<Value>]) {
        let stored = (first..)
            .zip(values)
            .map(|(i, value)| Stored {
                instance: Instance(i),
                ballot: Ballot::ZERO,
                value: value.clone(),
            })
            .collect();
        let ctx = &mut self.kit.ctx();
        self.acceptor.on_fetched(ballot.node, ballot, Instance(first), stored, Instance(9), ctx);
    }

    /// The one message that was sent, which is a promise to node 2.
    fn promise(&mut self) -> Promise {
        let sent = self.kit.sent();
        let [(2, Message::Promise(promise))] = sent.as_slice() else { panic!("sent {sent:?}") };
        promise.clone()
    }
}

fn nothing() -> Entries {
    chosen(0)
}

fn vote(ballot: Ballot, instance: u64) -> (u64, Message) {
    let instance = Instance(instance);
    (ballot.node.0, Message::Accepted { ballot, first: instance, last: instance })
}

fn wrote(ballot: Ballot, instance: u64, value: Value) -> Record {
    Record::Accepted { instance: Instance(instance), ballot, value }
}

#[test]
fn a_promise_is_on_disk_before_it_leaves() {
    let mut bench = bench(nothing());
    bench.prepare(ballot(1, 2), 1);
    assert_eq!(bench.acceptor.promised(), ballot(1, 2));
    assert_eq!(bench.kit.sent(), []);
    assert_eq!(bench.kit.sync(), [Record::Promised(ballot(1, 2))]);
    let (from, to) = (Instance(1), Instance::MAX);
    let empty =
        Promise { ballot: ballot(1, 2), from, to, chosen: from.prev(), entries: Vec::new() };
    assert_eq!(bench.promise(), empty);
}

#[test]
fn what_a_proposal_says_is_chosen_makes_room_for_it() {
    let mut bench = bench(nothing());
    bench.kit.env.config.window_bytes_max = 1;
    let (mine, other) = (ballot(1, 2), ballot(2, 3));
    assert!(bench.accept(mine, 1, value(1)));
    assert!(bench.accept_knowing(mine, 2, value(2), 1));
    assert!(bench.accept_knowing(mine, 3, value(3), 1), "no room, and so no vote");
    assert_eq!(bench.entries.highest(), Instance(2));
    assert!(bench.accept_knowing(other, 4, value(4), 2), "another ballot's word is not about #2");
    assert_eq!((bench.entries.chosen(), bench.entries.highest()), (Instance(1), Instance(2)));
    assert!(bench.accept_knowing(mine, 3, value(3), 2) || bench.acceptor.promised() > mine);
}

#[test]
fn a_lower_ballot_is_refused_at_once_and_changes_nothing() {
    let mut bench = bench(nothing());
    bench.prepare(ballot(5, 3), 1);
    let _promise = bench.kit.written();
    let (low, promised) = (ballot(5, 2), ballot(5, 3));
    bench.prepare(low, 1);
    assert!(!bench.accept(low, 1, value(1)));
    let nack = (2, Message::Nack { ballot: low, promised });
    assert_eq!(bench.kit.sent(), [nack.clone(), nack]);
    assert_eq!(bench.kit.written(), []);
    assert_eq!(bench.entries.slot(Instance(1)), None);
    assert_eq!(bench.acceptor.promised(), promised);
}

#[test]
fn an_equal_ballot_is_promised_again_without_another_record() {
    let mut bench = bench(nothing());
    bench.prepare(ballot(1, 2), 1);
    bench.kit.sync();
    bench.kit.sent();
    bench.prepare(ballot(1, 2), 4);
    assert_eq!(bench.kit.written(), []);
    assert_eq!(bench.promise().from, Instance(4));
}

#[test]
fn a_promise_reports_values_still_being_written_once_they_are() {
    let mut bench = bench(nothing());
    bench.accept(ballot(1, 3), 1, value(1));
    let vote = bench.kit.out.take_writes().unwrap();
    bench.prepare(ballot(2, 2), 1);
    let promise = bench.kit.out.take_writes().unwrap();
    bench.kit.finish(vote);
    assert_eq!(bench.kit.sent().len(), 1, "the vote alone");
    bench.kit.finish(promise);
    let entry = Report::Accepted(ballot(1, 3), value(1));
    assert_eq!(bench.promise().entries, [Reported { instance: Instance(1), entry }]);
}

#[test]
fn a_vote_leaves_once_it_is_on_disk() {
    let mut bench = bench(nothing());
    assert!(bench.accept(ballot(1, 2), 1, value(1)));
    assert_eq!(bench.kit.sent(), []);
    let records = [Record::Promised(ballot(1, 2)), wrote(ballot(1, 2), 1, value(1))];
    assert_eq!(bench.kit.sync(), records);
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 2), 1)]);
}

#[test]
fn the_same_accept_again_brings_the_vote_again_but_no_record() {
    let mut bench = bench(nothing());
    bench.accept(ballot(1, 2), 1, value(1));
    bench.kit.sync();
    bench.kit.sent();
    assert!(bench.accept(ballot(1, 2), 1, value(1)));
    assert_eq!(bench.kit.written(), []);
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 2), 1)]);
}

#[test]
fn a_higher_ballot_replaces_what_was_accepted() {
    let mut bench = bench(nothing());
    bench.accept(ballot(1, 3), 1, value(1));
    bench.accept(ballot(2, 2), 1, value(2));
    bench.kit.sync();
    assert_eq!(bench.entries.slot(Instance(1)), Some(&accepted(ballot(2, 2), value(2))));
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 3), 1), vote(ballot(2, 2), 1)]);
}

#[test]
fn a_chosen_instance_gets_no_vote_but_the_promise_is_raised_and_written() {
    let mut bench = bench(chosen(3));
    assert!(bench.accept(ballot(7, 2), 2, value(9)));
    assert_eq!(bench.acceptor.promised(), ballot(7, 2));
    assert_eq!(bench.kit.sync(), [Record::Promised(ballot(7, 2))]);
    let (ballot, chosen) = (ballot(7, 2), Instance(3));
    assert_eq!(bench.kit.sent(), [(2, Message::HeartbeatAck { ballot, probe: 0, chosen })]);
    assert_eq!(bench.entries.value(Instance(2)), Some(&value(2)));
    assert_eq!(bench.kit.env.failed, None, "a deposed leader may well propose another value");
}

#[test]
fn two_values_in_one_ballot_fail_the_group() {
    let mut bench = bench(nothing());
    bench.accept(ballot(1, 2), 1, value(1));
    bench.kit.sync();
    bench.kit.sent();
    bench.accept(ballot(1, 2), 1, value(2));
    let reason = ("two values were proposed in one ballot", Instance(1));
    assert_eq!(bench.kit.env.failed, Some(reason));
    assert_eq!(bench.kit.events(), [Event::Failed(reason.0, reason.1)]);
    assert_eq!(bench.kit.sent(), []);
}

#[test]
fn a_value_that_the_disk_lost_is_accepted_and_written_again() {
    let mut bench = bench(nothing());
    bench.acceptor = Acceptor::new(ballot(1, 2));
    bench.entries.put(Instance(1), Slot { ballot: ballot(1, 2), value: None });
    bench.accept(ballot(1, 2), 1, value(1));
    assert_eq!(bench.kit.sync(), [wrote(ballot(1, 2), 1, value(1))]);
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 2), 1)]);
}

#[test]
fn where_a_value_was_learned_only_that_value_gets_a_vote() {
    let mut bench = bench(nothing());
    bench.acceptor = Acceptor::new(ballot(1, 2));
    bench.entries.put(Instance(2), accepted(Ballot::ZERO, value(2)));
    assert!(bench.accept(ballot(1, 2), 2, value(9)));
    assert_eq!((bench.kit.sync(), bench.kit.sent()), (Vec::new(), Vec::new()));
    assert_eq!(bench.entries.value(Instance(2)), Some(&value(2)));
    bench.accept(ballot(1, 2), 2, value(2));
    bench.kit.sync();
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 2), 2)]);
}

#[test]
fn accepts_far_ahead_are_dropped_but_raise_the_promise() {
    let mut bench = bench(chosen(2));
    bench.kit.env.config.accept_ahead_max = 4;
    assert!(bench.accept(ballot(1, 2), 7, value(7)));
    assert_eq!(bench.kit.sync(), [Record::Promised(ballot(1, 2))]);
    assert_eq!(bench.kit.sent(), []);
    bench.accept(ballot(1, 2), 6, value(6));
    bench.kit.sync();
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 2), 6)]);
}

#[test]
fn our_own_proposals_are_taken_however_far_and_busy() {
    let mut bench = bench(nothing());
    bench.kit.env.config.accept_ahead_max = 1;
    bench.kit.env.config.writes_in_flight_max = 1;
    bench.kit.busy();
    assert!(bench.accept(ballot(1, 1), 5, value(5)));
    assert_eq!(bench.entries.value(Instance(5)), Some(&value(5)));
}

#[test]
fn too_many_open_bytes_drop_every_accept_but_the_next_one() {
    let mut bench = bench(nothing());
    bench.kit.env.config.window_bytes_max = 10;
    bench.accept(ballot(1, 2), 3, value(3));
    assert!(bench.entries.open_bytes() > 40, "four windows of ten bytes are over");
    bench.accept(ballot(1, 2), 2, value(2));
    bench.accept(ballot(1, 2), 1, value(1));
    bench.kit.sync();
    assert_eq!(bench.kit.sent(), [vote(ballot(1, 2), 3), vote(ballot(1, 2), 1)]);
}

#[test]
fn at_the_limit_of_writes_questions_are_ignored() {
    let mut bench = bench(nothing());
    bench.kit.env.config.writes_in_flight_max = 1;
    bench.kit.busy();
    bench.prepare(ballot(1, 2), 1);
    assert!(bench.accept(ballot(1, 2), 1, value(1)), "it leads all the same");
    assert_eq!(bench.acceptor.promised(), Ballot::ZERO);
    assert_eq!(bench.kit.sync().len(), 1, "what kept the disk busy");
    assert_eq!(bench.kit.sent(), []);
}

#[test]
fn a_report_tells_what_is_chosen_accepted_and_lost() {
    let mut bench = bench(chosen(1));
    bench.acceptor = Acceptor::new(ballot(3, 3));
    bench.entries.put(Instance(2), accepted(ballot(2, 3), value(2)));
    bench.entries.put(Instance(4), Slot { ballot: ballot(3, 3), value: None });
    bench.entries.put(Instance(5), accepted(Ballot::ZERO, value(5)));
    bench.prepare(ballot(4, 2), 1);
    bench.kit.sync();
    let reported: Vec<_> =
        bench.promise().entries.into_iter().map(|r| (r.instance.0, r.entry)).collect();
    let expected = [
        (1, Report::Chosen(value(1))),
        (2, Report::Accepted(ballot(2, 3), value(2))),
        (4, Report::Lost(ballot(3, 3))),
        (5, Report::Chosen(value(5))),
    ];
    assert_eq!(reported, expected);
}

#[test]
fn a_page_ends_with_the_value_that_fills_it() {
    let mut bench = bench(nothing());
    bench.kit.env.config.page_bytes_max = 2 * (value(1).len() + ENTRY_OVERHEAD);
    for instance in [1, 2, 4, 5] {
        bench.entries.put(Instance(instance), accepted(ballot(1, 3), value(instance)));
    }
    let mut pages = Vec::new();
    let mut first = Instance(1);
    while first < Instance::MAX {
        bench.prepare(ballot(2, 2), first.0);
        bench.kit.sync();
        let promise = bench.promise();
        let reported: Vec<u64> = promise.entries.iter().map(|r| r.instance.0).collect();
        assert_eq!(promise.from, first);
        pages.push((promise.to, reported));
        first = if promise.to == Instance::MAX { promise.to } else { promise.to.next() };
    }
    let expected = [(Instance(2), [1, 2].to_vec()), (Instance::MAX, [4, 5].to_vec())];
    assert_eq!(pages, expected);
}

#[test]
fn where_the_log_is_cleaned_there_is_no_promise() {
    let mut bench = bench(Entries::new(Instance(5), Instance(3)));
    bench.prepare(ballot(2, 2), 3);
    let (ballot, cleaned) = (ballot(2, 2), Instance(3));
    assert_eq!(bench.kit.sent(), [(2, Message::Behind { ballot, cleaned })]);
    assert_eq!(bench.acceptor.promised(), Ballot::ZERO);
    assert_eq!(bench.kit.written(), []);
}

#[test]
fn what_left_memory_is_fetched_and_reported_as_chosen_up_to_what_is_lost() {
    let mut bench = bench(Entries::new(Instance(5), Instance(2)));
    bench.prepare(ballot(2, 2), 3);
    bench.kit.sync();
    assert_eq!(bench.kit.sent(), []);
    let Fetch { from, to, .. } = bench.kit.out.fetches[0];
    assert_eq!((from, to), (Instance(3), Instance(5)));
    bench.fetched(ballot(2, 2), 3, &[Some(value(3)), None, Some(value(5))]);
    let promise = bench.promise();
    assert_eq!((promise.from, promise.to), (Instance(3), Instance(3)));
    let entry = Report::Chosen(value(3));
    assert_eq!(promise.entries, [Reported { instance: Instance(3), entry }]);
    bench.fetched(ballot(2, 2), 4, &[None]);
    assert_eq!(bench.kit.sent(), [], "about a lost value it cannot speak");
}

#[test]
fn what_was_fetched_for_a_ballot_that_is_passed_is_not_reported() {
    let mut bench = bench(Entries::new(Instance(5), Instance(2)));
    bench.prepare(ballot(2, 2), 3);
    bench.prepare(ballot(3, 3), 6);
    bench.kit.sync();
    bench.kit.sent();
    bench.fetched(ballot(2, 2), 3, &[Some(value(3))]);
    assert_eq!(bench.kit.sent(), []);
}

#[test]
fn a_ballot_of_our_own_is_raised_once() {
    let mut bench = bench(nothing());
    bench.acceptor.raise(ballot(2, 1), &mut bench.kit.ctx());
    bench.acceptor.raise(ballot(2, 1), &mut bench.kit.ctx());
    bench.acceptor.raise(ballot(1, 1), &mut bench.kit.ctx());
    assert_eq!(bench.kit.sync(), [Record::Promised(ballot(2, 1))]);
    assert_eq!(bench.acceptor.promised(), ballot(2, 1));
}
