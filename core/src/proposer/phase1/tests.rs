use super::*;
use crate::message::Reported;
use crate::testing::{Kit, ballot, member, value, wiped};

const MINE: Ballot = ballot(9, 1);

fn start(voters: u64, from: u64) -> (Kit, Phase1) {
    let mut kit = Kit::new(voters);
    let phase1 = Phase1::start(MINE, Instance(from), &mut kit.ctx());
    kit.sent();
    kit.said();
    (kit, phase1)
}

fn page(from: u64, to: Instance, entries: &[(u64, Report)]) -> Promise {
    let reported =
        |(i, entry): &(u64, Report)| Reported { instance: Instance(*i), entry: entry.clone() };
    let entries = entries.iter().map(reported).collect();
    Promise { ballot: MINE, from: Instance(from), to, chosen: Instance(from - 1), entries }
}

fn full(from: u64, entries: &[(u64, Report)]) -> Promise {
    page(from, Instance::MAX, entries)
}

impl Phase1 {
    fn hear(&mut self, kit: &mut Kit, from: Member, promise: Promise) -> Progress {
        self.on_promise(from, promise, Instance::ZERO, &mut kit.ctx())
    }

    fn found(self) -> Vec<(u64, Value)> {
        self.values(Instance::ZERO).map(|(instance, value)| (instance.0, value)).collect()
    }
}

fn voted(round: u64, tag: u64) -> Report {
    Report::Accepted(ballot(round, 2), value(tag))
}

fn lost(round: u64) -> Report {
    Report::Lost(ballot(round, 2))
}

#[test]
fn every_voter_is_asked_ourselves_included() {
    let mut kit = Kit::with_followers(3, 1);
    let _phase1 = Phase1::start(MINE, Instance(4), &mut kit.ctx());
    let prepare = Message::Prepare { ballot: MINE, from: Instance(4) };
    assert_eq!(kit.sent(), [(2, prepare.clone()), (3, prepare.clone())]);
    assert_eq!(kit.said(), [prepare]);
}

#[test]
fn only_voters_with_the_right_memory_count_and_each_once() {
    let (mut kit, mut phase1) = start(3, 1);
    for from in [member(4), wiped(2), wiped(3), member(2), member(2)] {
        assert_eq!(phase1.hear(&mut kit, from, full(1, &[])), Progress::Waiting, "{from}");
    }
    assert_eq!(phase1.hear(&mut kit, member(1), full(1, &[])), Progress::Quorum);
}

#[test]
fn a_promise_of_another_ballot_does_not_count() {
    let (mut kit, mut phase1) = start(1, 1);
    let other = Promise { ballot: ballot(8, 1), ..full(1, &[]) };
    assert_eq!(phase1.hear(&mut kit, member(1), other), Progress::Waiting);
    assert_eq!(phase1.hear(&mut kit, member(1), full(1, &[])), Progress::Quorum);
}

#[test]
fn a_promise_counts_once_all_its_pages_have_come_in_order() {
    let (mut kit, mut phase1) = start(2, 1);
    phase1.hear(&mut kit, member(1), full(1, &[]));
    // The last page may not come first: what lies before it would read as empty.
    assert_eq!(phase1.hear(&mut kit, member(2), full(4, &[])), Progress::Waiting);
    assert_eq!(kit.sent(), []);
    let first = page(1, Instance(3), &[(2, voted(1, 2))]);
    assert_eq!(phase1.hear(&mut kit, member(2), first.clone()), Progress::Page);
    let next = Message::Prepare { ballot: MINE, from: Instance(4) };
    assert_eq!(kit.sent(), [(2, next)]);
    assert_eq!(phase1.hear(&mut kit, member(2), first), Progress::Waiting);
    assert_eq!(kit.sent(), [], "a page that came before asks for nothing");
    assert_eq!(phase1.hear(&mut kit, member(2), full(4, &[])), Progress::Quorum);
    assert_eq!(phase1.found(), [(1, Value::NOOP), (2, value(2))]);
}

#[test]
fn who_has_told_everything_hears_that_others_have_not() {
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[]));
    phase1.hear(&mut kit, member(3), full(1, &[(1, lost(2)), (5, voted(1, 2))]));
    let prepare = |from| Message::Prepare { ballot: MINE, from: Instance(from) };
    let mut page = |kit: &mut Kit, n| {
        phase1.hear(kit, member(2), page(n, Instance(n), &[(n, voted(1, 2))]));
        kit.sent()
    };
    assert_eq!(page(&mut kit, 1), [(2, prepare(2)), (3, prepare(6))], "not what is reported");
    assert_eq!(page(&mut kit, 2), [(2, prepare(3))], "once in a heartbeat interval");
    kit.at(kit.env.config.heartbeat_interval.as_millis().try_into().expect("short"));
    assert_eq!(page(&mut kit, 3), [(2, prepare(4)), (3, prepare(6))]);
}

#[test]
fn a_page_that_is_told_again_is_no_news() {
    let (mut kit, mut phase1) = start(2, 1);
    let first = page(1, Instance(3), &[(2, voted(1, 2))]);
    assert_eq!(phase1.hear(&mut kit, member(2), first.clone()), Progress::Page);
    // As if it had promised without the log through an entry, see `Phase1::ask`.
    phase1.voters[1].next = Instance(1);
    assert_eq!(phase1.hear(&mut kit, member(2), first), Progress::Waiting);
    let second = page(4, Instance(5), &[(4, voted(1, 2))]);
    assert_eq!(phase1.hear(&mut kit, member(2), second), Progress::Page);
}

#[test]
fn a_page_may_begin_below_what_has_been_chosen_since() {
    let (mut kit, mut phase1) = start(1, 1);
    kit.at(1_000_000);
    phase1.ask(Instance(3), &mut kit.ctx());
    assert_eq!(kit.said(), [Message::Prepare { ballot: MINE, from: Instance(4) }]);
    let late = full(1, &[(2, voted(1, 2)), (4, voted(1, 4))]);
    let progress = phase1.on_promise(member(1), late, Instance(3), &mut kit.ctx());
    assert_eq!(progress, Progress::Quorum);
    let found: Vec<_> = phase1.values(Instance(3)).collect();
    assert_eq!(found, [(Instance(4), value(4))]);
}

#[test]
fn the_highest_ballot_wins_whoever_speaks_first() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let (mut kit, mut phase1) = start(5, 1);
        for round in order {
            let report = full(1, &[(1, voted(round, round))]);
            phase1.hear(&mut kit, member(round), report);
        }
        assert_eq!(phase1.found(), [(1, value(3))], "{order:?}");
    }
}

#[test]
fn a_chosen_value_beats_every_ballot_whoever_speaks_first() {
    for order in [[1, 2], [2, 1]] {
        let (mut kit, mut phase1) = start(3, 1);
        for node in order {
            let report = if node == 1 { Report::Chosen(value(1)) } else { voted(8, 8) };
            phase1.hear(&mut kit, member(node), full(1, &[(1, report)]));
        }
        assert_eq!(phase1.found(), [(1, value(1))], "{order:?}");
    }
}

#[test]
fn holes_are_filled_and_nothing_is_added_above() {
    let (mut kit, mut phase1) = start(1, 1);
    let report = full(1, &[(2, voted(1, 2)), (4, voted(1, 4))]);
    phase1.hear(&mut kit, member(1), report);
    let expected = [(1, Value::NOOP), (2, value(2)), (3, Value::NOOP), (4, value(4))];
    assert_eq!(phase1.found(), expected);
}

#[test]
fn odd_pages_are_refused() {
    let far = ACCEPT_AHEAD_LIMIT + 2;
    for (what, promise) in [
        ("not ascending", full(1, &[(2, voted(1, 2)), (1, voted(1, 1))])),
        ("twice", full(1, &[(2, voted(1, 2)), (2, voted(1, 2))])),
        ("above its page", page(1, Instance(3), &[(4, voted(1, 4))])),
        ("below its page", full(1, &[(0, voted(1, 1))])),
        ("a gap that no acceptor leaves", full(1, &[(far, voted(1, 1))])),
    ] {
        let (mut kit, mut phase1) = start(1, 1);
        assert_eq!(phase1.hear(&mut kit, member(1), promise), Progress::Waiting, "{what}");
        assert_eq!(phase1.found(), [], "{what}");
    }
    let (mut kit, mut phase1) = start(1, 1);
    let widest = full(1, &[(far - 1, voted(1, 1))]);
    assert_eq!(phase1.hear(&mut kit, member(1), widest), Progress::Quorum);
}

#[test]
fn a_lost_value_waits_for_whoever_could_have_voted_for_it() {
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(3))]));
    // Node 3 may have voted with node 1, so the value may be chosen.
    assert_eq!(phase1.hear(&mut kit, member(2), full(1, &[])), Progress::Waiting);
    assert_eq!(phase1.hear(&mut kit, member(3), full(1, &[])), Progress::Quorum);
}

#[test]
fn a_lost_value_is_known_from_the_same_or_a_higher_ballot_only() {
    for (round, progress) in [(2, Progress::Waiting), (3, Progress::Quorum), (4, Progress::Quorum)]
    {
        let (mut kit, mut phase1) = start(3, 1);
        phase1.hear(&mut kit, member(1), full(1, &[(1, lost(3))]));
        let report = full(1, &[(1, voted(round, round))]);
        assert_eq!(phase1.hear(&mut kit, member(2), report), progress, "{round}");
    }
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(3))]));
    let report = full(1, &[(1, Report::Chosen(value(1)))]);
    assert_eq!(phase1.hear(&mut kit, member(2), report), Progress::Quorum);
}

#[test]
fn what_another_instance_reports_does_not_make_a_lost_value_harmless() {
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(3))]));
    let report = full(1, &[(2, voted(5, 5))]);
    assert_eq!(phase1.hear(&mut kit, member(2), report), Progress::Waiting);
}

#[test]
fn who_lost_a_later_vote_may_have_voted_in_the_earlier_ballot_too() {
    // Nodes 1 and 2 may have chosen a value in round 2, which node 2 then replaced in round 3:
    // with both lost nobody can tell, though all three have promised.
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(2))]));
    phase1.hear(&mut kit, member(2), full(1, &[(1, lost(3))]));
    assert_eq!(phase1.hear(&mut kit, member(3), full(1, &[])), Progress::Waiting);

    // The value of round 2 is known again; that of round 3 had node 2's vote at most.
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(2))]));
    phase1.hear(&mut kit, member(2), full(1, &[(1, lost(3))]));
    let report = full(1, &[(1, voted(2, 7))]);
    assert_eq!(phase1.hear(&mut kit, member(3), report), Progress::Quorum);
    assert_eq!(phase1.found(), [(1, value(7))]);
}

#[test]
fn who_lost_an_earlier_vote_has_not_voted_in_a_later_ballot() {
    // Of five, nodes 1 and 2 lost round 3, and node 3 lost round 2, which node 4 still knows. Were
    // node 3 counted for round 3 too, the candidate would wait for ever.
    let (mut kit, mut phase1) = start(5, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(3))]));
    phase1.hear(&mut kit, member(2), full(1, &[(1, lost(3))]));
    phase1.hear(&mut kit, member(3), full(1, &[(1, lost(2))]));
    phase1.hear(&mut kit, member(4), full(1, &[(1, voted(2, 2))]));
    assert_eq!(phase1.hear(&mut kit, member(5), full(1, &[])), Progress::Quorum);
    assert_eq!(phase1.found(), [(1, value(2))]);
}

#[test]
fn a_lost_value_does_not_matter_once_it_is_learned() {
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[(1, lost(3))]));
    let progress = phase1.on_promise(member(2), full(1, &[]), Instance(1), &mut kit.ctx());
    assert_eq!(progress, Progress::Quorum);
}

#[test]
fn only_who_has_not_answered_is_asked_again_until_it_is_given_up() {
    let (mut kit, mut phase1) = start(3, 1);
    phase1.hear(&mut kit, member(1), full(1, &[]));
    let retry = kit.env.config.retry_interval;
    assert_eq!(phase1.deadline(), Time::ZERO + retry);
    kit.at(99);
    assert!(!phase1.tick(Instance::ZERO, &mut kit.ctx()));
    assert_eq!(kit.sent(), []);
    kit.at(100);
    assert!(!phase1.tick(Instance::ZERO, &mut kit.ctx()));
    let prepare = Message::Prepare { ballot: MINE, from: Instance(1) };
    assert_eq!(kit.sent(), [(2, prepare.clone()), (3, prepare)]);
    assert_eq!(kit.said(), []);
    kit.at(1_000);
    assert!(phase1.tick(Instance::ZERO, &mut kit.ctx()));
}

#[test]
fn each_page_gives_the_candidate_its_time_anew() {
    let (mut kit, mut phase1) = start(3, 1);
    kit.at(999);
    phase1.hear(&mut kit, member(2), page(1, Instance(1), &[(1, voted(1, 1))]));
    kit.at(1_998);
    assert!(!phase1.tick(Instance::ZERO, &mut kit.ctx()));
    phase1.hear(&mut kit, member(2), page(1, Instance(1), &[(1, voted(1, 1))]));
    kit.at(1_999);
    assert!(phase1.tick(Instance::ZERO, &mut kit.ctx()), "a page that came before gives no time");
}

#[test]
fn only_a_voter_can_say_that_it_has_cleaned_what_was_asked() {
    let (_, phase1) = start(2, 1);
    assert!(phase1.on_behind(NodeId(2), MINE));
    assert!(!phase1.on_behind(NodeId(3), MINE));
    assert!(!phase1.on_behind(NodeId(2), ballot(8, 1)));
}
