use alloc::vec::Vec;

use super::*;
use crate::testing::{Kit, acceptor, ballot, member, wiped};

const TIMEOUT: u64 = 500;

fn node(voters: u64) -> (Kit, Election) {
    let kit = Kit::new(voters);
    let mut election = Election::new(Ballot::ZERO, 42);
    election.wait(&kit.env);
    (kit, election)
}

impl Election {
    /// Whether a node would be promised a ballot by one that has promised `promised`.
    fn grants(&mut self, kit: &mut Kit, ballot: Ballot, promised: Ballot) -> bool {
        self.on_canvass(ballot.node, ballot, promised, Instance(3), &mut kit.ctx());
        let sent = kit.sent();
        let [(to, Message::CanvassReply { ballot: b, granted, promised: p, chosen })] =
            sent.as_slice()
        else {
            panic!("sent {sent:?}")
        };
        assert_eq!((*to, *b, *p, *chosen), (ballot.node.0, ballot, promised, Instance(3)));
        *granted
    }

    fn yes(&mut self, kit: &Kit, from: Member, ballot: Ballot) -> Option<Ballot> {
        self.on_reply(from, ballot, true, Ballot::ZERO, &kit.env)
    }

    /// Ticks at the timeout; returns the ballot asked about.
    fn canvass(&mut self, kit: &mut Kit) -> Option<Ballot> {
        kit.env.now = self.timeout;
        let ran = self.tick(&acceptor(Ballot::ZERO), &mut kit.ctx());
        assert_eq!(ran, None);
        kit.sent();
        self.canvass.as_ref().map(|canvass| canvass.ballot)
    }
}

#[test]
fn a_live_leader_is_not_unseated_until_it_falls_silent() {
    let (mut kit, mut election) = node(3);
    let leader = ballot(1, 2);
    assert!(election.grants(&mut kit, ballot(2, 3), leader));
    kit.at(100);
    election.heard(leader, &mut kit.ctx());
    kit.at(100 + TIMEOUT);
    assert!(!election.grants(&mut kit, ballot(2, 3), leader));
    kit.at(101 + TIMEOUT);
    assert!(election.grants(&mut kit, ballot(2, 3), leader));
}

#[test]
fn nothing_at_or_below_the_promise_is_granted() {
    let (mut kit, mut election) = node(3);
    assert!(!election.grants(&mut kit, ballot(2, 2), ballot(2, 2)));
    assert!(!election.grants(&mut kit, ballot(1, 3), ballot(2, 2)));
    assert!(election.grants(&mut kit, ballot(2, 3), ballot(2, 2)));
}

#[test]
fn a_candidate_that_was_promised_is_left_in_peace_for_a_while() {
    let (mut kit, mut election) = node(3);
    let promised = ballot(1, 2);
    election.promised(&kit.env);
    kit.at(TIMEOUT / 2 - 1);
    assert!(!election.grants(&mut kit, ballot(2, 3), promised));
    assert!(election.grants(&mut kit, ballot(2, 2), promised), "but it may ask again");
    kit.at(TIMEOUT / 2);
    assert!(election.grants(&mut kit, ballot(2, 3), promised));
}

#[test]
fn a_candidate_that_gets_on_grants_nobody_a_canvass_for_a_while() {
    let (mut kit, mut election) = node(3);
    let own = ballot(1, 1);
    assert!(election.grants(&mut kit, ballot(2, 3), own), "one that hears nothing");
    election.gets_on(&kit.env);
    kit.at(TIMEOUT / 2 - 1);
    assert!(!election.grants(&mut kit, ballot(2, 3), own));
    election.gets_on(&kit.env);
    kit.at(TIMEOUT - 2);
    assert!(!election.grants(&mut kit, ballot(2, 3), own), "another page has come");
    kit.at(TIMEOUT - 1);
    assert!(election.grants(&mut kit, ballot(2, 3), own));
}

#[test]
fn a_canvass_puts_off_no_timer_and_one_that_is_refused_changes_none() {
    let (mut kit, mut election) = node(3);
    let before = election.deadline(&kit.env);
    kit.at(400);
    assert!(!election.grants(&mut kit, ballot(1, 2), ballot(1, 3)));
    assert_eq!(election.deadline(&kit.env), before);
    assert!(election.grants(&mut kit, ballot(2, 2), ballot(1, 3)));
    assert!(election.deadline(&kit.env) <= before);
}

#[test]
fn who_knows_no_leader_either_asks_soon_in_case_the_asker_reaches_no_quorum() {
    let (mut kit, mut election) = node(5);
    for start in (10_000..60_000).step_by(1_000) {
        kit.at(start);
        election.wait(&kit.env);
        assert!(election.grants(&mut kit, ballot(2, 3), ballot(1, 2)));
        let deadline = election.deadline(&kit.env);
        assert!(deadline >= Time::from_millis(start + TIMEOUT / 2), "the asker has time to run");
        assert!(deadline <= Time::from_millis(start + TIMEOUT), "{deadline}");
        election.promised(&kit.env);
        assert!(election.deadline(&kit.env) >= Time::from_millis(start + TIMEOUT), "it has run");
    }
}

#[test]
fn who_has_asked_does_not_ask_again_within_a_timeout_whoever_else_asks() {
    let (mut kit, mut election) = node(5);
    election.canvass(&mut kit).unwrap();
    let asked = kit.env.now;
    for round in 2..6 {
        assert!(election.grants(&mut kit, ballot(round, 3), ballot(1, 2)));
        assert!(election.deadline(&kit.env) >= asked + Duration::from_millis(TIMEOUT));
    }
}

#[test]
fn a_leader_that_asks_is_none_any_more_for_those_who_heard_it() {
    let (mut kit, mut election) = node(5);
    let leader = ballot(1, 2);
    election.heard(leader, &mut kit.ctx());
    assert!(!election.grants(&mut kit, ballot(2, 3), leader));
    assert!(!election.grants(&mut kit, ballot(1, 2), leader), "said before it led");
    assert_eq!(election.leader(), leader);
    assert!(election.grants(&mut kit, ballot(2, 2), leader));
    assert_eq!(election.leader(), Ballot::ZERO);
    assert!(election.grants(&mut kit, ballot(2, 3), leader));
    assert!(election.deadline(&kit.env) <= kit.env.now + Duration::from_millis(TIMEOUT));
}

#[test]
fn a_higher_priority_shortens_the_wait() {
    let (mut kit, mut election) = node(3);
    let mut waits = |priority| {
        kit.env.config.priority = priority;
        let mut wait = || {
            election.wait(&kit.env);
            u64::try_from(election.deadline(&kit.env).since(kit.env.now).as_millis()).unwrap()
        };
        let waits: Vec<u64> = (0..200).map(|_| wait()).collect();
        (*waits.iter().min().unwrap(), *waits.iter().max().unwrap())
    };
    let (shortest, longest) = waits(0);
    assert!((TIMEOUT..TIMEOUT + 50).contains(&shortest), "{shortest}");
    assert!((2 * TIMEOUT - 50..2 * TIMEOUT).contains(&longest), "{longest}");
    let (shortest, longest) = waits(4);
    assert!(TIMEOUT <= shortest, "{shortest}");
    assert!((TIMEOUT + 80..TIMEOUT + 100).contains(&longest), "{longest}");
    assert!(waits(255).1 <= TIMEOUT + 1);
}

#[test]
fn nodes_with_different_seeds_wait_differently() {
    let kit = Kit::new(3);
    let wait = |seed| {
        let mut election = Election::new(Ballot::ZERO, seed);
        election.wait(&kit.env);
        election.deadline(&kit.env)
    };
    assert_ne!(wait(1), wait(2));
    assert_eq!(wait(1), wait(1));
}

#[test]
fn who_led_until_now_waits_less() {
    let (mut kit, mut election) = node(3);
    kit.at(1_000);
    election.wait_less(&kit.env);
    let deadline = election.deadline(&kit.env);
    assert!(deadline >= Time::from_millis(1_000 + TIMEOUT / 2), "{deadline}");
    assert!(deadline < Time::from_millis(1_000 + TIMEOUT), "{deadline}");
}

#[test]
fn a_ballot_lies_above_everything_met() {
    let (mut kit, mut election) = node(3);
    let me = member(1);
    assert_eq!(election.next_ballot(ballot(4, 3), me), ballot(5, 1));
    assert_eq!(election.next_ballot(ballot(4, 3), me), ballot(6, 1), "never the same again");
    election.met(ballot(8, 2));
    assert_eq!(election.next_ballot(ballot(4, 3), me), ballot(9, 1));
    election.heard(ballot(20, 2), &mut kit.ctx());
    assert_eq!(election.next_ballot(ballot(4, 3), me), ballot(21, 1));
    election.on_reply(member(2), ballot(1, 1), false, ballot(30, 3), &kit.env);
    assert_eq!(election.next_ballot(ballot(4, 3), me), ballot(31, 1));
    election.met(ballot(Ballot::ROUND_LIMIT, 2));
    assert_eq!(election.next_ballot(ballot(4, 3), me), ballot(32, 1), "not believed");
    let mut restarted = Election::new(ballot(40, 1), 0);
    assert_eq!(restarted.next_ballot(ballot(40, 1), me), ballot(41, 1));
}

#[test]
fn a_quorum_of_different_voters_lets_it_run() {
    let (mut kit, mut election) = node(5);
    let asked = election.canvass(&mut kit).unwrap();
    assert_eq!(election.yes(&kit, member(2), asked), None);
    assert_eq!(election.yes(&kit, member(2), asked), None, "the same voter again");
    assert_eq!(election.yes(&kit, member(6), asked), None, "no voter");
    assert_eq!(election.yes(&kit, wiped(3), asked), None, "another memory");
    assert_eq!(election.yes(&kit, member(3), ballot(9, 1)), None, "another question");
    assert_eq!(election.on_reply(member(3), asked, false, Ballot::ZERO, &kit.env), None);
    assert_eq!(election.yes(&kit, member(3), asked), Some(asked));
}

#[test]
fn a_leader_that_is_heard_ends_the_canvass() {
    let (mut kit, mut election) = node(3);
    let asked = election.canvass(&mut kit).unwrap();
    election.heard(ballot(1, 2), &mut kit.ctx());
    assert!(!election.canvassing());
    assert_eq!(election.yes(&kit, member(2), asked), None);
}

#[test]
fn it_asks_once_it_has_waited_and_not_before() {
    let (mut kit, mut election) = node(3);
    kit.env.now = election.deadline(&kit.env) - Duration::from_nanos(1);
    assert_eq!(election.tick(&acceptor(Ballot::ZERO), &mut kit.ctx()), None);
    assert!(!election.canvassing());
    kit.env.now = election.deadline(&kit.env);
    assert_eq!(election.tick(&acceptor(ballot(3, 2)), &mut kit.ctx()), None);
    let question = Message::Canvass { ballot: ballot(4, 1) };
    assert_eq!(kit.sent(), [(2, question.clone()), (3, question)]);
    assert_eq!(kit.events(), [Event::Canvassing(ballot(4, 1))]);
}

#[test]
fn a_leader_that_is_heard_regularly_is_waited_for() {
    let (mut kit, mut election) = node(3);
    for millis in (0..5_000).step_by(400) {
        kit.at(millis);
        election.heard(ballot(1, 2), &mut kit.ctx());
        kit.at(millis + 399);
        assert_eq!(election.tick(&acceptor(ballot(1, 2)), &mut kit.ctx()), None);
        assert_eq!(election.leader(), ballot(1, 2));
    }
    assert_eq!(kit.sent(), []);
    assert_eq!(kit.events(), [Event::Following(ballot(1, 2))], "told once");
    kit.at(6_000);
    election.tick(&acceptor(ballot(1, 2)), &mut kit.ctx());
    assert_eq!(election.leader(), Ballot::ZERO);
    assert!(election.canvassing());
}

#[test]
fn one_voter_needs_nobody() {
    let (mut kit, mut election) = node(1);
    kit.env.now = election.deadline(&kit.env);
    let ran = election.tick(&acceptor(Ballot::ZERO), &mut kit.ctx());
    assert_eq!(ran, Some(ballot(1, 1)));
}

#[test]
fn a_stuck_disk_or_another_memory_keeps_it_from_running() {
    let (mut kit, mut election) = node(3);
    kit.busy();
    kit.at(2_000);
    election.tick(&acceptor(Ballot::ZERO), &mut kit.ctx());
    assert!(!election.canvassing());
    assert!(election.deadline(&kit.env) > kit.env.now, "it waits again");

    let (mut kit, mut election) = node(3);
    kit.env.me = wiped(1);
    kit.at(2_000);
    election.tick(&acceptor(Ballot::ZERO), &mut kit.ctx());
    assert!(!election.canvassing());
}
