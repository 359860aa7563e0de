use alloc::vec::Vec;

use super::*;
use crate::outbox::Event;
use crate::testing::{
    Kit, LEADING, accepted, ballot, chosen, command, elected, member, value, wiped,
};

/// Node 1, which leads.
struct Lead {
    kit: Kit,
    entries: Entries,
    leadership: Leadership,
}

/// A leader that took nothing over: its no-op is proposed at instance 1.
fn lead(voters: u64) -> Lead {
    lead_from(Kit::new(voters), chosen(0), &[])
}

fn lead_from(mut kit: Kit, entries: Entries, reported: &[(u64, Value)]) -> Lead {
    let leadership = elected(&mut kit, &entries, reported);
    let mut lead = Lead { kit, entries, leadership };
    lead.accept_own();
    lead
}

/// A leader of three whose no-op is chosen, which everybody knows.
fn settled(change: impl FnOnce(&mut crate::config::Config)) -> Lead {
    let mut kit = Kit::new(3);
    change(&mut kit.env.config);
    let mut lead = lead_from(kit, chosen(0), &[]);
    lead.choose(1);
    lead.tick();
    lead.kit.sent();
    lead
}

impl Lead {
    /// Our own acceptor takes what was proposed.
    fn accept_own(&mut self) {
        for message in self.kit.said() {
            let Message::Accept { ballot, instance, value, .. } = message else {
                panic!("{message:?}")
            };
            self.entries.put(instance, accepted(ballot, value));
        }
    }

    fn take(&mut self, node: u64, seq: u64) {
        let taken = self.leadership.take(command(node, seq), false, &self.kit.env);
        assert_eq!(taken, Taken::Yes);
    }

    fn tick(&mut self) {
        self.leadership.tick(&self.entries, &mut self.kit.ctx());
        self.accept_own();
        self.leadership.invariants(&self.entries, &self.kit.env.config);
    }

    fn votes(&mut self, from: Member, ballot: Ballot, first: u64, last: u64) {
        let (range, ctx) = ((Instance(first), Instance(last)), &mut self.kit.ctx());
        self.leadership.on_accepted(from, ballot, range, &self.entries, ctx);
        self.leadership.advance(&mut self.entries, ctx);
        self.leadership.invariants(&self.entries, &self.kit.env.config);
    }

    /// A vote of a node; returns up to where the log is chosen then.
    fn vote(&mut self, node: u64, first: u64, last: u64) -> u64 {
        self.votes(member(node), LEADING, first, last);
        self.entries.chosen().0
    }

    /// Two of three vote.
    fn choose(&mut self, instance: u64) {
        self.vote(1, instance, instance);
        assert_eq!(self.vote(2, instance, instance), instance);
    }

    fn answer(&mut self, from: Member, probe: u64, chosen: u64) {
        let (chosen, ctx) = (Instance(chosen), &mut self.kit.ctx());
        self.leadership.on_heartbeat_ack(from, probe, chosen, &self.entries, ctx);
    }

    /// The accepts sent to others since the last time: to whom, and for which instance.
    fn accepts(&mut self) -> Vec<(u64, u64)> {
        let accept = |(to, message)| {
            let Message::Accept { instance, .. } = message else { return None };
            Some((to, instance.0))
        };
        self.kit.sent().into_iter().filter_map(accept).collect()
    }

    /// The heartbeats sent to node 2 since the last time: probe and chosen prefix.
    fn heartbeats(&mut self) -> Vec<(u64, u64)> {
        let heartbeat = |(to, message)| {
            let Message::Heartbeat { ballot, probe, chosen } = message else { return None };
            assert_eq!(ballot, LEADING);
            (to == 2).then_some((probe, chosen.0))
        };
        self.kit.sent().into_iter().filter_map(heartbeat).collect()
    }
}

#[test]
fn a_leader_that_takes_nothing_over_proposes_a_noop_and_tells_everyone() {
    let mut lead = lead(3);
    assert_eq!(lead.entries.slot(Instance(1)), Some(&accepted(LEADING, Value::NOOP)));
    let (instance, chosen) = (Instance(1), Instance::ZERO);
    let accept = Message::Accept { ballot: LEADING, instance, value: Value::NOOP, chosen };
    let heartbeat = Message::Heartbeat { ballot: LEADING, probe: 1, chosen };
    let to_both = |message: Message| [(2, message.clone()), (3, message)];
    assert_eq!(lead.kit.sent(), [to_both(accept), to_both(heartbeat)].concat());
}

#[test]
fn what_was_found_is_proposed_in_its_own_ballot_with_holes_filled() {
    let reported = [(3, value(3)), (5, value(5))];
    let lead = lead_from(Kit::new(3), chosen(2), &reported);
    for (instance, value) in [(3, value(3)), (4, Value::NOOP), (5, value(5))] {
        let slot = lead.entries.slot(Instance(instance));
        assert_eq!(slot, Some(&accepted(LEADING, value)), "{instance}");
    }
    assert_eq!(lead.leadership.window(), 3, "and no no-op above");
}

#[test]
fn reads_see_all_that_was_chosen_before_this_leadership() {
    let mut lead = lead_from(Kit::new(3), chosen(2), &[(4, value(4))]);
    assert_eq!(lead.leadership.read_point(&lead.entries), Instance(4));
    lead.vote(1, 3, 4);
    lead.vote(2, 3, 4);
    lead.take(1, 9);
    lead.tick();
    assert_eq!(lead.leadership.read_point(&lead.entries), Instance(4), "not what may be chosen");
    lead.choose(5);
    assert_eq!(lead.leadership.read_point(&lead.entries), Instance(5));
}

#[test]
fn a_duplicate_acknowledgement_counts_once() {
    let mut lead = lead(5);
    lead.vote(1, 1, 1);
    lead.vote(2, 1, 1);
    assert_eq!(lead.vote(2, 1, 1), 0);
    assert_eq!(lead.vote(1, 1, 1), 0);
    assert_eq!(lead.vote(3, 1, 1), 1);
}

#[test]
fn only_votes_of_voters_in_this_very_ballot_count() {
    let mut lead = lead_from(Kit::with_followers(3, 1), chosen(0), &[]);
    lead.vote(1, 1, 1);
    for (from, ballot) in [
        (member(2), ballot(1, 1)),
        (member(2), ballot(2, 2)),
        (member(2), ballot(3, 1)),
        (member(4), LEADING),
        (wiped(2), LEADING),
    ] {
        lead.votes(from, ballot, 1, 1);
        assert_eq!(lead.entries.chosen(), Instance::ZERO, "{from} in {ballot}");
    }
    assert_eq!(lead.vote(2, 1, 1), 1);
}

#[test]
fn votes_out_of_order_choose_a_prefix_only() {
    let reported = [(1, value(1)), (2, value(2)), (3, value(3))];
    let mut lead = lead_from(Kit::new(3), chosen(0), &reported);
    lead.vote(1, 1, 3);
    assert_eq!(lead.vote(2, 2, 3), 0);
    assert_eq!(lead.leadership.window(), 3);
    assert_eq!(lead.vote(3, 1, 1), 3);
    assert_eq!(lead.leadership.window(), 0);
}

#[test]
fn a_range_counts_for_the_open_instances_within_it() {
    let mut lead = settled(|_| {});
    lead.take(1, 1);
    lead.tick();
    lead.vote(2, 0, u64::MAX);
    assert_eq!(lead.vote(3, 3, u64::MAX), 1, "above what was proposed");
    assert_eq!(lead.vote(3, 0, 1), 1, "below what is open");
    assert_eq!(lead.vote(3, 2, 2), 2);
}

#[test]
fn a_vote_for_what_comes_later_does_not_stay() {
    let mut lead = settled(|_| {});
    lead.vote(2, 1, 9);
    lead.take(1, 1);
    lead.tick();
    assert_eq!(lead.vote(1, 2, 2), 1);
}

#[test]
fn commands_that_come_together_share_an_instance_and_later_ones_wait_a_little() {
    let mut lead = settled(|_| {});
    lead.take(1, 1);
    lead.take(2, 1);
    lead.tick();
    assert_eq!(lead.accepts(), [(2, 2), (3, 2)]);
    assert_eq!(lead.entries.value(Instance(2)).map(Value::count), Some(2));
    lead.take(1, 2);
    lead.tick();
    assert_eq!(lead.accepts(), [], "for company, while others are in flight");
    assert_eq!(lead.leadership.deadline(&lead.entries, &lead.kit.env), Time::from_millis(2));
    lead.kit.at(2);
    lead.tick();
    assert_eq!(lead.accepts(), [(2, 3), (3, 3)]);
}

#[test]
fn no_more_instances_are_open_than_the_window_holds() {
    let mut lead = settled(|config| {
        config.window_instances_max = 2;
        config.batch_commands_max = 1;
    });
    (1..=4).for_each(|seq| lead.take(1, seq));
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (2, 2));
    lead.kit.at(10);
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (2, 2));
    lead.choose(2);
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (2, 1));
}

#[test]
fn no_more_bytes_are_open_than_the_window_holds_but_one_value_always_is() {
    let mut lead = settled(|config| {
        config.window_bytes_max = value(1).len() + 1;
        config.batch_commands_max = 1;
    });
    (1..=4).for_each(|seq| lead.take(1, seq));
    lead.tick();
    assert_eq!(lead.leadership.window(), 2, "the second is the one that passes the limit");
    lead.choose(2);
    lead.tick();
    assert_eq!(lead.leadership.window(), 2, "what is chosen takes no room");
    lead.kit.env.config.window_bytes_max = 1;
    lead.choose(3);
    lead.choose(4);
    lead.tick();
    assert_eq!(lead.leadership.window(), 1);
}

#[test]
fn a_disk_full_of_work_stops_proposals() {
    let mut lead = settled(|config| config.writes_in_flight_max = 1);
    lead.kit.busy();
    lead.take(1, 1);
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (0, 1));
    lead.kit.sync();
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (1, 0));
}

#[test]
fn news_that_somebody_waits_for_are_told_at_once() {
    let mut lead = settled(|_| {});
    lead.take(1, 1);
    lead.take(2, 1);
    lead.tick();
    lead.kit.sent();
    lead.choose(2);
    lead.tick();
    assert_eq!(lead.heartbeats(), [(0, 2)]);
    lead.tick();
    assert_eq!(lead.heartbeats(), [], "once");
}

#[test]
fn news_that_nobody_waits_for_are_told_a_little_later() {
    let mut lead = settled(|_| {});
    lead.take(1, 1);
    lead.tick();
    lead.kit.sent();
    lead.kit.at(10);
    lead.choose(2);
    lead.tick();
    assert_eq!(lead.heartbeats(), []);
    assert_eq!(lead.leadership.deadline(&lead.entries, &lead.kit.env), Time::from_millis(12));
    lead.kit.at(12);
    lead.tick();
    assert_eq!(lead.heartbeats(), [(0, 2)]);
}

#[test]
fn an_accept_carries_the_news_instead() {
    let mut lead = settled(|_| {});
    lead.take(1, 1);
    lead.tick();
    lead.choose(2);
    lead.take(1, 2);
    lead.tick();
    let told = lead.kit.sent().into_iter().filter_map(|(_, message)| {
        let Message::Accept { instance, chosen, .. } = message else { return None };
        (instance == Instance(3)).then_some(chosen)
    });
    assert_eq!(told.collect::<Vec<_>>(), [Instance(2), Instance(2)]);
    lead.kit.at(12);
    lead.tick();
    assert_eq!(lead.heartbeats(), []);
}

#[test]
fn what_a_peer_has_not_voted_for_is_sent_again_with_back_off() {
    let reported = [(1, value(1)), (2, value(2))];
    let mut lead = lead_from(Kit::new(3), chosen(0), &reported);
    lead.accepts();
    lead.vote(2, 2, 2);
    let mut repeated = Vec::new();
    for millis in 1..1_000 {
        lead.kit.at(millis);
        lead.tick();
        repeated.extend(lead.accepts().into_iter().map(|(to, i)| (millis, to, i)));
    }
    let both = [100, 300, 700].map(|at| [(at, 2, 1), (at, 3, 1), (at, 3, 2)]);
    assert_eq!(repeated, both.concat());
}

#[test]
fn a_peer_that_voted_for_everything_is_left_alone() {
    let mut lead = lead(5);
    lead.vote(2, 1, 1);
    lead.accepts();
    lead.kit.at(100);
    lead.tick();
    assert_eq!(lead.accepts(), [(3, 1), (4, 1), (5, 1)]);
}

#[test]
fn a_repetition_is_a_page_at_most_and_holds_one_value_at_least() {
    let reported = [(1, value(1)), (2, value(2)), (3, value(3))];
    for (page, expected) in [(1, 1), (value(1).len() + 1, 2)] {
        let mut kit = Kit::new(2);
        kit.env.config.page_bytes_max = page;
        let mut lead = lead_from(kit, chosen(0), &reported);
        lead.accepts();
        lead.kit.at(100);
        lead.tick();
        assert_eq!(lead.accepts().len(), expected, "{page} bytes");
    }
}

#[test]
fn a_peer_too_far_behind_gets_no_accepts() {
    let mut lead = settled(|config| {
        config.window_instances_max = 1;
        config.accept_ahead_max = 3;
    });
    for instance in 2..=4 {
        lead.take(1, instance);
        lead.tick();
        lead.choose(instance);
    }
    lead.answer(member(3), 1, 1);
    assert!(lead.kit.events().contains(&Event::PeerLearns(member(3))));
    lead.accepts();
    lead.take(1, 9);
    lead.tick();
    assert_eq!(lead.accepts(), [(2, 5)]);
    lead.kit.at(200);
    lead.tick();
    assert_eq!(lead.accepts(), [(2, 5)]);
    lead.answer(member(3), 1, 4);
    lead.tick();
    assert_eq!(lead.accepts(), [(3, 5)], "within the window again");
}

#[test]
fn contact_is_as_old_as_the_probe_that_a_quorum_answered() {
    let mut lead = lead(3);
    lead.kit.at(70);
    lead.tick();
    assert_eq!(lead.heartbeats(), [(1, 0), (2, 0)]);
    lead.kit.at(90);
    lead.answer(member(2), 1, 0);
    assert_eq!(lead.leadership.contact(), Time::ZERO);
    lead.answer(member(2), 2, 0);
    assert_eq!(lead.leadership.contact(), Time::from_millis(70));
}

#[test]
fn answers_to_probes_never_sent_or_of_another_memory_confirm_nothing() {
    let mut lead = lead(3);
    lead.answer(member(2), 2, 0);
    lead.answer(wiped(2), 1, 0);
    lead.answer(member(4), 1, 0);
    assert_eq!(lead.leadership.confirmed(&lead.kit.env), 0);
    lead.answer(member(2), 1, 0);
    assert_eq!(lead.leadership.confirmed(&lead.kit.env), 1);
    lead.answer(member(2), 0, 0);
    assert_eq!(lead.leadership.confirmed(&lead.kit.env), 1, "a late answer takes nothing back");
}

#[test]
fn a_question_waits_for_a_probe_that_leaves_after_it() {
    let mut lead = lead(3);
    lead.kit.sent();
    assert_eq!(lead.leadership.want_probe(), 2);
    assert_eq!(lead.leadership.want_probe(), 2, "one probe serves all that came before it");
    assert_eq!(lead.leadership.deadline(&lead.entries, &lead.kit.env), lead.kit.env.now);
    lead.tick();
    assert_eq!(lead.heartbeats(), [(2, 0)]);
    lead.tick();
    assert_eq!(lead.heartbeats(), []);
    assert_eq!(lead.leadership.want_probe(), 3);
}

#[test]
fn a_transfer_waits_for_an_empty_window_and_stops_proposals() {
    let mut lead = lead(3);
    lead.leadership.transfer(NodeId(2), &lead.kit.env);
    lead.leadership.transfer(NodeId(3), &lead.kit.env);
    lead.take(1, 1);
    lead.kit.at(10);
    lead.tick();
    assert_eq!(lead.leadership.release_to(&lead.kit.env), None);
    lead.choose(1);
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (0, 1));
    assert_eq!(lead.leadership.release_to(&lead.kit.env), Some(NodeId(2)), "the first one asked");
}

#[test]
fn a_transfer_that_is_late_is_dropped_and_leading_goes_on() {
    let mut lead = lead(3);
    lead.leadership.transfer(NodeId(2), &lead.kit.env);
    lead.take(1, 1);
    lead.kit.at(499);
    assert_eq!(lead.leadership.release_to(&lead.kit.env), None);
    lead.kit.at(500);
    assert_eq!(lead.leadership.release_to(&lead.kit.env), None);
    lead.choose(1);
    assert_eq!(lead.leadership.release_to(&lead.kit.env), None);
    lead.tick();
    assert_eq!((lead.leadership.window(), lead.leadership.queued()), (1, 0));
}

#[test]
fn leadership_goes_to_another_voter_only() {
    let mut lead = lead_from(Kit::with_followers(3, 1), chosen(0), &[]);
    lead.choose(1);
    for node in [1, 4, 5] {
        lead.leadership.transfer(NodeId(node), &lead.kit.env);
        assert_eq!(lead.leadership.release_to(&lead.kit.env), None, "{node}");
    }
    assert_eq!(lead.leadership.successor(&lead.kit.env), None, "nobody was heard");
    lead.answer(member(4), 1, 1);
    lead.answer(member(3), 1, 0);
    assert_eq!(lead.leadership.successor(&lead.kit.env), Some(NodeId(3)));
}
