use super::*;
use crate::testing::{Kit, member};

fn peers(kit: &Kit) -> Peers {
    Peers::of(kit.env.history.newest().members(), &kit.env)
}

/// The probe that is confirmed when the peers from node 2 on answered these last.
fn confirmed(voters: u64, followers: u64, answers: &[u64], latest: u64) -> u64 {
    let kit = Kit::with_followers(voters, followers);
    let mut peers = peers(&kit);
    for (node, answer) in (2..).zip(answers) {
        peers.find(member(node)).unwrap().answered = *answer;
    }
    peers.confirmed(kit.env.history.newest(), kit.env.me, latest)
}

#[test]
fn a_probe_is_confirmed_by_a_quorum_that_answered_it_or_a_later_one() {
    for (voters, answers, expected) in [
        (1, [].as_slice(), 9),
        (2, &[0], 0),
        (2, &[6], 6),
        (3, &[0, 0], 0),
        (3, &[0, 6], 6),
        (3, &[7, 6], 7),
        (3, &[9, 0], 9),
        (5, &[0, 0, 0, 9], 0),
        (5, &[9, 8, 0, 0], 8),
        (5, &[3, 9, 5, 7], 7),
    ] {
        assert_eq!(confirmed(voters, 0, answers, 9), expected, "{voters} voters, {answers:?}");
    }
}

#[test]
fn followers_confirm_nothing() {
    assert_eq!(confirmed(3, 2, &[0, 0, 9, 9], 9), 0);
    assert_eq!(confirmed(3, 2, &[4, 0, 9, 9], 9), 4);
    assert_eq!(confirmed(1, 1, &[0], 9), 9);
}

#[test]
fn the_leader_is_none_of_its_peers_and_a_wiped_peer_is_another() {
    let kit = Kit::with_followers(3, 1);
    let mut peers = peers(&kit);
    assert!(peers.find(member(1)).is_none());
    assert!(peers.find(crate::testing::wiped(2)).is_none());
    assert_eq!(peers.iter_mut().count(), 3);
}

#[test]
fn the_freshest_peer_is_a_voter_that_was_heard() {
    let mut kit = Kit::with_followers(3, 1);
    let newest = kit.env.history.newest().clone();
    let mut peers = peers(&kit);
    assert!(peers.freshest(&newest).is_none());
    for (node, answered, chosen) in [(4, 9, 9), (2, 5, 3), (3, 5, 4)] {
        let peer = peers.find(member(node)).unwrap();
        peer.answered = answered;
        peer.report(Instance(chosen), Instance(9), &mut kit.ctx());
    }
    assert_eq!(peers.freshest(&newest).map(|peer| peer.member), Some(member(3)));
    peers.find(member(2)).unwrap().answered = 6;
    assert_eq!(peers.freshest(&newest).map(|peer| peer.member), Some(member(2)));
}

#[test]
fn the_log_is_kept_for_peers_that_were_heard_a_moment_ago() {
    let mut kit = Kit::new(3);
    kit.env.config.window_instances_max = 10;
    kit.env.config.accept_ahead_max = 50;
    let timeout = u64::try_from(kit.env.config.election_timeout.as_millis()).unwrap();
    let mut peers = peers(&kit);
    let mut report = |kit: &mut Kit, node, chosen| {
        let peer = peers.find(member(node)).unwrap();
        peer.report(Instance(chosen), Instance(100), &mut kit.ctx());
        peers.reported(&kit.env)
    };
    assert_eq!(report(&mut kit, 2, 99), Instance::ZERO, "the other has said nothing yet");
    assert_eq!(report(&mut kit, 3, 80), Instance(80));
    kit.at(timeout);
    assert_eq!(report(&mut kit, 2, 99), Instance(80));
    kit.at(timeout + 1);
    assert_eq!(report(&mut kit, 2, 99), Instance(99), "the other is silent");
    assert_eq!(report(&mut kit, 3, 30), Instance(99), "it is too far behind, and learns");
    assert_eq!(report(&mut kit, 3, 95), Instance(95), "it is back");
    kit.at(9 * timeout);
    assert_eq!(peers.reported(&kit.env), Instance::MAX, "nobody is heard");
}

#[test]
fn a_peer_that_is_far_behind_learns_until_it_is_within_a_window() {
    let mut kit = Kit::new(3);
    kit.env.config.window_instances_max = 10;
    kit.env.config.accept_ahead_max = 50;
    let mut peers = peers(&kit);
    let peer = peers.find(member(2)).unwrap();
    for (chosen, takes) in [(60, true), (59, false), (89, false), (90, true), (60, true)] {
        peer.report(Instance(chosen), Instance(100), &mut kit.ctx());
        assert_eq!(peer.takes_accepts(), takes, "{chosen}");
    }
    assert_eq!(kit.events(), [Event::PeerLearns(member(2))], "told once");
}

#[test]
fn repetition_backs_off_and_an_answer_starts_it_anew() {
    let mut kit = Kit::new(3);
    let mut peers = peers(&kit);
    peers.find(member(2)).unwrap().sent(&kit.env);
    let mut repeated = Vec::new();
    for millis in 0..3_500 {
        kit.at(millis);
        if peers.find(member(2)).unwrap().repeat(&kit.env) {
            repeated.push(millis);
        }
    }
    assert_eq!(repeated, [100, 300, 700, 1_500, 2_300, 3_100]);
    let peer = peers.find(member(2)).unwrap();
    peer.acknowledged(&kit.env);
    peer.sent(&kit.env);
    assert_eq!(peers.deadline(), Time::from_millis(3_599));
    peers.find(member(2)).unwrap().rest();
    assert_eq!(peers.deadline(), Time::MAX);
}
