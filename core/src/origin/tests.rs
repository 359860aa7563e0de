use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use crate::sessions::SESSION_WINDOW;
use crate::testing::{Kit, LEADING, ballot, chosen, elected, member, wiped};
use crate::value::Value;

const FIRST: Ballot = ballot(1, 2);
const SECOND: Ballot = ballot(3, 3);

/// Node 1, where proposals are made.
struct Bench {
    kit: Kit,
    origin: Origin,
    proposer: Proposer,
}

fn bench() -> Bench {
    let origin = Origin::new(member(1).incarnation, 1);
    Bench { kit: Kit::new(3), origin, proposer: Proposer::Idle }
}

impl Bench {
    /// Proposes a command of so many bytes; the proposal's name is its sequence number.
    fn propose_bytes(&mut self, seq: u64, bytes: usize, deadline: u64) {
        let payload = Bytes::from(alloc::vec![7; bytes]);
        let (id, deadline) = (ProposalId(seq), Time::from_millis(deadline));
        self.origin.propose(id, SmId(0), payload, deadline, &mut self.kit.ctx());
        self.origin.invariants(&self.kit.env.config);
    }

    fn propose(&mut self, seq: u64) {
        self.propose_bytes(seq, 8, 10_000);
    }

    fn flush(&mut self, leader: Ballot) -> Vec<Command> {
        self.sent(leader).into_iter().flat_map(|(_, value)| commands(&value)).collect()
    }

    /// What is handed over now: whether as spread, and which commands together.
    fn sent(&mut self, leader: Ballot) -> Vec<(bool, Value)> {
        self.origin.flush(leader, &mut self.proposer, &mut self.kit.ctx());
        let forward = |(to, message)| {
            let Message::Forward { ballot, spread, commands } = message else {
                panic!("{message:?}")
            };
            assert_eq!((to, ballot), (leader.node.0, leader));
            (spread, commands)
        };
        self.kit.sent().into_iter().map(forward).collect()
    }

    /// The same, by sequence number.
    fn handed(&mut self, leader: Ballot) -> Vec<(bool, Vec<u64>)> {
        let seqs = |value: &Value| commands(value).iter().map(|c| c.key.seq).collect();
        self.sent(leader).iter().map(|(spread, value)| (*spread, seqs(value))).collect()
    }

    fn refused(&mut self, leader: Ballot, seq: u64) -> Vec<Outcome> {
        self.origin.on_refused(leader, key(seq), &mut self.kit.ctx());
        self.kit.outcomes()
    }

    fn expired(&mut self, millis: u64) -> Vec<Outcome> {
        self.kit.at(millis);
        self.origin.expire(&mut self.kit.ctx());
        self.kit.outcomes()
    }
}

fn commands(value: &Value) -> Vec<Command> {
    value.commands().collect()
}

fn key(seq: u64) -> CommandKey {
    CommandKey { origin: member(1).incarnation, boot: 1, seq }
}

fn refusal(seq: u64, refusal: Refusal) -> Vec<Outcome> {
    [Outcome::Refused(ProposalId(seq), refusal)].to_vec()
}

fn unknown(seq: u64) -> Outcome {
    Outcome::Unknown(ProposalId(seq))
}

#[test]
fn what_is_new_goes_to_the_leader_once() {
    let mut bench = bench();
    bench.propose(1);
    bench.propose(2);
    assert_eq!(bench.handed(Ballot::ZERO), [], "nobody leads");
    assert_eq!(bench.handed(FIRST), [(false, [1, 2].to_vec())]);
    assert_eq!(bench.handed(FIRST), []);
    bench.propose(3);
    assert_eq!(bench.origin.deadline(FIRST, bench.kit.env.now), bench.kit.env.now);
    assert_eq!(bench.handed(FIRST), [(false, [3].to_vec())]);
}

#[test]
fn a_new_leader_gets_everything_and_hears_what_others_had_before() {
    let mut bench = bench();
    bench.propose(1);
    bench.propose(2);
    bench.handed(FIRST);
    assert_eq!(bench.origin.resolve(key(1)), Some(ProposalId(1)));
    bench.propose(3);
    let expected = [(true, [2].to_vec()), (false, [3].to_vec())];
    assert_eq!(bench.handed(SECOND), expected);
}

#[test]
fn a_refusal_of_the_only_leader_that_had_it_is_final() {
    let mut bench = bench();
    bench.propose(1);
    bench.propose(2);
    bench.handed(FIRST);
    assert_eq!(bench.refused(FIRST, 2), refusal(2, Refusal::Overloaded));
    assert_eq!(bench.refused(FIRST, 2), [], "once");
    assert_eq!(bench.origin.resolve(key(2)), None);
    assert_eq!(bench.origin.len(), 1);
}

#[test]
fn a_refusal_decides_nothing_where_another_leader_may_have_it() {
    let mut bench = bench();
    bench.propose(1);
    bench.handed(FIRST);
    bench.propose(2);
    bench.handed(SECOND);
    assert_eq!(bench.refused(FIRST, 1), [], "it leads no more");
    assert_eq!(bench.refused(SECOND, 1), [], "the first one had it too");
    assert_eq!(bench.refused(SECOND, 2), refusal(2, Refusal::Overloaded));
    assert_eq!(bench.origin.resolve(key(1)), Some(ProposalId(1)));
}

#[test]
fn a_refusal_of_what_was_not_handed_over_yet_decides_nothing() {
    let mut bench = bench();
    bench.propose(1);
    bench.handed(FIRST);
    bench.propose(2);
    assert_eq!(bench.refused(FIRST, 2), []);
    assert_eq!(bench.handed(FIRST), [(false, [2].to_vec())]);
}

#[test]
fn a_refusal_for_another_life_or_memory_is_not_ours() {
    let mut bench = bench();
    bench.propose(1);
    bench.handed(FIRST);
    let ctx = &mut bench.kit.ctx();
    for key in [
        CommandKey { boot: 2, ..key(1) },
        CommandKey { origin: wiped(1).incarnation, ..key(1) },
        CommandKey { seq: 2, ..key(1) },
        CommandKey { seq: 0, ..key(1) },
    ] {
        bench.origin.on_refused(FIRST, key, ctx);
        assert_eq!(bench.origin.resolve(key), None);
    }
    assert_eq!(bench.kit.outcomes(), []);
    assert_eq!(bench.origin.len(), 1);
}

#[test]
fn a_deadline_makes_the_outcome_unknown_and_the_others_wait_on() {
    let mut bench = bench();
    bench.propose_bytes(1, 8, 300);
    bench.propose_bytes(2, 8, 200);
    bench.handed(FIRST);
    assert_eq!(bench.expired(199), []);
    assert_eq!(bench.origin.deadline(Ballot::ZERO, bench.kit.env.now), Time::from_millis(200));
    assert_eq!(bench.expired(200), [unknown(2)]);
    assert_eq!(bench.origin.resolve(key(2)), None, "executed later, it resolves nothing");
    assert_eq!(bench.origin.deadline(Ballot::ZERO, bench.kit.env.now), Time::from_millis(300));
    assert_eq!(bench.expired(300), [unknown(1)]);
    assert_eq!(bench.origin.len(), 0);
}

#[test]
fn what_is_unresolved_after_a_whole_period_is_handed_over_again() {
    let mut bench = bench();
    bench.propose(1);
    bench.propose(2);
    bench.handed(FIRST);
    bench.kit.at(500);
    assert_eq!(bench.handed(FIRST), [], "it may have been handed over just now");
    bench.kit.at(700);
    bench.propose(3);
    assert_eq!(bench.handed(FIRST), [(false, [3].to_vec())]);
    bench.origin.resolve(key(1));
    assert_eq!(bench.origin.deadline(FIRST, bench.kit.env.now), Time::from_millis(1_000));
    bench.kit.at(1_000);
    assert_eq!(bench.handed(FIRST), [(false, [2].to_vec())]);
    bench.kit.at(1_500);
    assert_eq!(bench.handed(FIRST), [(false, [2, 3].to_vec())]);
}

#[test]
fn a_command_keeps_its_key_and_low_mark_wherever_it_goes() {
    let mut bench = bench();
    bench.propose(1);
    bench.propose(2);
    let before = bench.flush(FIRST);
    bench.origin.resolve(key(1));
    assert_eq!(bench.flush(SECOND), before[1..]);
}

#[test]
fn the_low_mark_is_the_lowest_that_is_not_resolved() {
    let mut bench = bench();
    (1..=3).for_each(|seq| bench.propose(seq));
    bench.flush(FIRST);
    let mut low = |resolved: u64, proposed: u64| {
        assert_eq!(bench.origin.resolve(key(resolved)), Some(ProposalId(resolved)));
        bench.propose(proposed);
        let [command] = bench.flush(FIRST).try_into().unwrap();
        assert_eq!(command.key, key(proposed));
        command.low
    };
    assert_eq!(low(2, 4), 1);
    assert_eq!(low(1, 5), 3);
    assert_eq!(low(3, 6), 4);
}

#[test]
fn an_unknown_outcome_raises_the_low_mark_too() {
    let mut bench = bench();
    bench.propose_bytes(1, 8, 200);
    bench.flush(FIRST);
    bench.expired(200);
    bench.propose(2);
    assert_eq!(bench.flush(FIRST)[0].low, 2);
}

#[test]
fn what_leaves_together_is_a_batch_at_most() {
    let mut bench = bench();
    bench.kit.env.config.batch_commands_max = 2;
    (1..=5).for_each(|seq| bench.propose(seq));
    let sizes = |sent: Vec<(bool, Vec<u64>)>| sent.iter().map(|(_, s)| s.len()).collect::<Vec<_>>();
    assert_eq!(sizes(bench.handed(FIRST)), [2, 2, 1]);
    bench.kit.env.config.batch_commands_max = 100;
    bench.kit.env.config.batch_bytes_max = 3 * (8 + COMMAND_OVERHEAD);
    assert_eq!(sizes(bench.handed(SECOND)), [3, 2]);
}

#[test]
fn what_is_too_large_too_much_or_of_no_member_is_refused() {
    let mut bench = bench();
    let config = &mut bench.kit.env.config;
    config.command_bytes_max = 100;
    config.proposal_bytes_max = 50;
    config.proposals_max = 3;
    bench.propose_bytes(1, 101, 9_000);
    assert_eq!(bench.kit.outcomes(), refusal(1, Refusal::TooLarge));
    bench.propose_bytes(2, 100, 9_000);
    assert_eq!(bench.kit.outcomes(), [], "one always fits");
    bench.propose_bytes(3, 1, 9_000);
    assert_eq!(bench.kit.outcomes(), refusal(3, Refusal::Overloaded));
    bench.origin.resolve(key(1));
    bench.propose_bytes(4, 49, 9_000);
    bench.propose_bytes(5, 0, 9_000);
    bench.propose_bytes(6, 1, 9_000);
    assert_eq!(bench.kit.outcomes(), [], "what was resolved takes no room");
    bench.propose_bytes(7, 0, 9_000);
    assert_eq!(bench.kit.outcomes(), refusal(7, Refusal::Overloaded));

    let mut stranger = self::bench();
    stranger.origin = Origin::new(wiped(1).incarnation, 1);
    stranger.propose(1);
    assert_eq!(stranger.kit.outcomes(), refusal(1, Refusal::NotMember));
    assert_eq!(stranger.origin.len(), 0);
}

#[test]
fn one_stuck_command_holds_up_those_that_its_session_could_not_tell_apart() {
    let mut bench = bench();
    for seq in 1..=SESSION_WINDOW {
        bench.propose(seq);
        if seq > 1 {
            bench.origin.resolve(key(seq));
        }
    }
    assert_eq!(bench.kit.outcomes(), []);
    bench.propose(0);
    assert_eq!(bench.kit.outcomes(), refusal(0, Refusal::Overloaded));
    bench.origin.resolve(key(1));
    bench.propose(0);
    assert_eq!(bench.kit.outcomes(), []);
}

#[test]
fn a_leader_here_takes_commands_directly_and_refuses_what_it_has_no_room_for() {
    let mut bench = bench();
    bench.kit.env.config.queue_commands_max = 1;
    let leadership = elected(&mut bench.kit, &chosen(0), &[]);
    bench.proposer = Proposer::Leading(Box::new(leadership));
    bench.kit.sent();
    bench.propose(1);
    bench.propose(2);
    assert_eq!(bench.handed(LEADING), []);
    assert_eq!(bench.kit.outcomes(), refusal(2, Refusal::Overloaded));
    assert_eq!(bench.proposer.leading().map(|leadership| leadership.queued()), Some(1));
}

#[test]
fn a_group_that_failed_knows_nothing_of_what_it_handed_over() {
    let mut bench = bench();
    (1..=3).for_each(|seq| bench.propose(seq));
    bench.origin.resolve(key(2));
    bench.origin.fail(&mut bench.kit.ctx());
    assert_eq!(bench.kit.outcomes(), [unknown(1), unknown(3)]);
    assert_eq!(bench.origin.len(), 0);
}

#[test]
fn what_an_installed_checkpoint_has_met_was_executed_and_the_rest_waits_on() {
    let mut bench = bench();
    for seq in 1..=3 {
        bench.propose(seq);
    }
    bench.handed(FIRST);
    let met = |key: CommandKey| key.seq == 2;
    bench.origin.skip(Instance(9), met, &mut bench.kit.ctx());
    assert_eq!(bench.kit.outcomes(), [Outcome::Executed(ProposalId(2), Instance(9))]);
    assert_eq!(bench.origin.resolve(key(2)), None, "once");
    assert_eq!(bench.handed(SECOND), [(true, [1, 3].to_vec())]);
}

/// A master that renews its lease as often as a command takes must not have the only place for good.
#[test]
fn what_the_group_proposes_itself_has_room_beside_what_users_do() {
    let mut bench = bench();
    bench.kit.env.config.proposals_max = 1;
    let own = |bench: &mut Bench| {
        let (payload, deadline) = (Bytes::from_static(b"own"), Time::from_millis(300));
        bench.origin.propose_own(SmId::MASTER, payload, deadline, &mut bench.kit.ctx())
    };
    assert_eq!(own(&mut bench), Some(key(1)));
    bench.propose(2);
    assert_eq!(bench.kit.outcomes(), [], "it has the one place for users");
    bench.propose(3);
    assert_eq!(bench.kit.outcomes(), [Outcome::Refused(ProposalId(3), Refusal::Overloaded)]);
    assert!(own(&mut bench).is_some() && own(&mut bench).is_some());
    assert_eq!(own(&mut bench), None, "there is a limit to these, too");
    assert_eq!((bench.origin.len(), bench.origin.bytes()), (1, 8));
    bench.origin.resolve(key(1));
    assert!(own(&mut bench).is_some());
    bench.origin.resolve(key(2));
    bench.propose(6);
    assert_eq!((bench.kit.outcomes(), bench.origin.len()), (Vec::new(), 1));
    assert_eq!(bench.expired(300), [], "nobody waits for the group's own");
}
