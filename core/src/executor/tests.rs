use core::time::Duration;

use super::*;
use crate::ids::{Ballot, ProposalId, SmId};
use crate::outbox::Event;
use crate::testing::{Kit, accepted, ballot, batch, chosen, command, value};
use crate::time::Time;
use crate::value::Command;

/// Node 1's state machines, as far as the executor knows them.
struct Bench {
    kit: Kit,
    entries: Entries,
    executor: Executor,
    origin: Origin,
    fetches: Fetches,
}

fn bench(entries: Entries) -> Bench {
    let kit = Kit::new(3);
    let origin = Origin::new(kit.env.me.incarnation, 1);
    let steward = Steward::new(1, Duration::ZERO, 1, Time::ZERO);
    let executor = Executor::new((entries.cleaned(), 0), Sessions::default(), steward, false);
    Bench { kit, entries, executor, origin, fetches: Fetches::default() }
}

/// A log in which these values are chosen, from instance 1 on.
fn log(values: &[Value]) -> Entries {
    let mut entries = chosen(0);
    for (instance, value) in (1..).zip(values) {
        entries.put(Instance(instance), accepted(ballot(1, 1), value.clone()));
        entries.choose_next();
    }
    entries
}

/// What was handed out: a command's instance, index and sequence number, or up to where.
#[derive(Debug, PartialEq, Eq)]
enum Out {
    Run(u64, u32, u64),
    Through(u64),
    Take(u64),
    Install(u64),
    Digest(u64),
}
use Out::{Run, Through};

impl Bench {
    fn run(&mut self) -> Vec<Out> {
        let Self { kit, entries, executor, origin, fetches } = self;
        executor.run(entries, origin, fetches, &mut kit.ctx());
        executor.invariants(entries);
        self.handed()
    }

    fn fetched(&mut self, entries: &[(u64, Option<Value>)]) -> Vec<Out> {
        let stored = entries.iter().map(|(instance, value)| Stored {
            instance: Instance(*instance),
            ballot: Ballot::ZERO,
            value: value.clone(),
        });
        let stored = stored.collect();
        self.executor.on_fetched(stored, &mut self.origin, &mut self.kit.ctx());
        self.handed()
    }

    /// A peer teaches so many values, from an instance on.
    fn learned(&mut self, first: u64, count: u64) -> Vec<Out> {
        let values: Vec<Value> = (first..first + count).map(value).collect();
        let Self { kit, executor, origin, .. } = self;
        executor.on_learned(Instance(first), &values, origin, &mut kit.ctx());
        self.handed()
    }

    fn handed(&mut self) -> Vec<Out> {
        let out = |apply| match apply {
            Apply::Command { position, key, .. } => {
                Run(position.instance.0, position.index, key.seq)
            }
            Apply::Through(instance) => Through(instance.0),
            Apply::Checkpoint { at, .. } => Out::Take(at.0),
            Apply::Digest(at) => Out::Digest(at.0),
            Apply::Install(at) => Out::Install(at.0),
        };
        self.kit.out.applies.drain(..).map(out).collect()
    }
}

#[test]
fn commands_are_handed_out_in_order_with_their_positions() {
    let mut bench = bench(log(&[batch(&[command(1, 1), command(2, 1)]), value(2)]));
    assert_eq!(bench.run(), [Run(1, 0, 1), Run(1, 1, 1), Run(2, 0, 2), Through(2)]);
    assert_eq!(bench.run(), []);
}

#[test]
fn a_command_that_was_chosen_twice_is_executed_once_and_keeps_its_index() {
    let twice = batch(&[command(1, 1), command(1, 1), command(1, 2)]);
    let mut bench = bench(log(&[twice, value(1), value(3)]));
    assert_eq!(bench.run(), [Run(1, 0, 1), Run(1, 2, 2), Run(3, 0, 3), Through(3)]);
}

#[test]
fn what_its_origin_had_resolved_is_not_executed() {
    let later = Command { low: 2, ..command(1, 2) };
    let mut bench = bench(log(&[batch(&[later]), value(1)]));
    assert_eq!(bench.run(), [Run(1, 0, 2), Through(2)]);
}

#[test]
fn commands_of_a_memory_that_is_no_member_are_not_executed() {
    let mut bench = bench(log(&[batch(&[command(1, 1), command(9, 1), command(2, 1)])]));
    assert_eq!(bench.run(), [Run(1, 0, 1), Run(1, 2, 1), Through(1)]);
}

#[test]
fn a_noop_moves_on_and_executes_nothing() {
    let mut bench = bench(log(&[Value::NOOP, Value::NOOP]));
    assert_eq!(bench.run(), [Through(2)]);
}

#[test]
fn the_proposal_that_waits_here_is_named_once() {
    let mut bench = bench(log(&[value(1), value(2)]));
    let (id, payload, deadline) = (ProposalId(77), bytes::Bytes::new(), Time::from_millis(9));
    bench.origin.propose(id, SmId(0), payload, deadline, &mut bench.kit.ctx());
    let Bench { kit, entries, executor, origin, fetches } = &mut bench;
    executor.run(entries, origin, fetches, &mut kit.ctx());
    let proposals = kit.out.applies.iter().filter_map(|apply| match apply {
        Apply::Command { proposal, .. } => Some(*proposal),
        Apply::Through(_) | Apply::Digest(_) | Apply::Checkpoint { .. } | Apply::Install(_) => None,
    });
    assert_eq!(proposals.collect::<Vec<_>>(), [Some(id), None]);
    assert_eq!(origin.len(), 0);
}

#[test]
fn no_more_instances_are_handed_out_than_may_wait() {
    let mut bench = bench(chosen(5));
    bench.kit.env.config.apply_ahead_max = 2;
    assert_eq!(bench.run(), [Run(1, 0, 1), Run(2, 0, 2), Through(2)]);
    assert_eq!(bench.run(), []);
    bench.executor.on_applied(Instance(1));
    assert_eq!(bench.run(), [Run(3, 0, 3), Through(3)]);
    bench.executor.on_applied(Instance(3));
    assert_eq!(bench.run(), [Run(4, 0, 4), Run(5, 0, 5), Through(5)]);
}

#[test]
fn no_more_bytes_are_handed_out_than_may_wait_but_one_value_always_is() {
    let mut bench = bench(chosen(4));
    bench.kit.env.config.apply_bytes_max = 1;
    assert_eq!(bench.run(), [Run(1, 0, 1), Through(1)]);
    assert_eq!(bench.run(), []);
    bench.executor.on_applied(Instance(1));
    bench.kit.env.config.apply_bytes_max = value(1).len() + 1;
    assert_eq!(bench.run(), [Run(2, 0, 2), Run(3, 0, 3), Through(3)]);
    bench.executor.on_applied(Instance(2));
    assert_eq!(bench.run(), [Run(4, 0, 4), Through(4)], "the bytes of what was applied are free");
}

#[test]
#[should_panic(expected = "applied #3 passed what was handed out, #2")]
fn to_apply_what_was_not_handed_out_is_a_broken_contract() {
    let mut bench = bench(chosen(2));
    bench.run();
    bench.executor.on_applied(Instance(3));
}

#[test]
fn what_left_memory_is_fetched_once_and_then_goes_on_from_memory() {
    let mut entries = Entries::new(Instance(2), Instance::ZERO);
    entries.put(Instance(3), accepted(ballot(1, 1), value(3)));
    entries.choose_next();
    let mut bench = bench(entries);
    assert_eq!(bench.run(), []);
    assert_eq!(bench.run(), []);
    let fetches = &bench.kit.out.fetches;
    assert_eq!(fetches.len(), 1, "{fetches:?}");
    assert_eq!((fetches[0].from, fetches[0].to), (Instance(1), Instance(2)));
    let both = [(1, Some(value(1))), (2, Some(value(2)))];
    assert_eq!(bench.fetched(&both), [Run(1, 0, 1), Run(2, 0, 2), Through(2)]);
    assert_eq!(bench.run(), [Run(3, 0, 3), Through(3)]);
}

#[test]
fn fetched_entries_above_a_gap_are_left_alone() {
    let mut bench = bench(Entries::new(Instance(3), Instance::ZERO));
    let gap = [(1, Some(value(1))), (3, Some(value(3)))];
    assert_eq!(bench.fetched(&gap), [Run(1, 0, 1), Through(1)]);
    assert_eq!(bench.executor.handed(), Instance(1));
    assert_eq!(bench.kit.env.failed, None);
}

#[test]
fn what_the_disk_lost_comes_from_a_peer_and_is_written_again() {
    let mut bench = bench(Entries::new(Instance(5), Instance::ZERO));
    let lost = [(1, Some(value(1))), (2, None), (3, None), (4, Some(value(4)))];
    assert_eq!(bench.fetched(&lost), [Run(1, 0, 1), Through(1)]);
    assert_eq!(bench.kit.events(), [Event::ValuesLost(Instance(2), Instance(3))]);
    assert_eq!(bench.executor.missing(&bench.kit.env), Some(Instance(2)));
    assert_eq!(bench.run(), []);
    assert_eq!(bench.kit.out.fetches, [], "the disk is not asked again for what it has lost");

    assert_eq!(bench.learned(3, 1), [], "not before what comes before it");
    assert_eq!(bench.learned(1, 4), [Run(2, 0, 2), Run(3, 0, 3), Through(3)], "no more than that");
    let record = |n| Record::Learned { instance: Instance(n), value: value(n) };
    assert_eq!(bench.kit.sync(), [record(2), record(3)]);
    assert_eq!(bench.executor.missing(&bench.kit.env), None);
    bench.run();
    assert_eq!(bench.kit.out.fetches[0].from, Instance(4), "and it goes on from the disk");
}

#[test]
fn what_the_disk_lost_waits_for_slow_state_machines_and_a_busy_disk() {
    let mut bench = bench(Entries::new(Instance(3), Instance::ZERO));
    bench.kit.env.config.apply_ahead_max = 1;
    assert_eq!(bench.fetched(&[(1, Some(value(1)))]), [Run(1, 0, 1), Through(1)]);
    bench.executor.on_applied(Instance(1));
    assert_eq!(bench.fetched(&[(2, None), (3, None)]), []);
    bench.kit.env.config.writes_in_flight_max = 1;
    bench.kit.busy();
    assert_eq!(bench.learned(2, 2), []);
    bench.kit.sync();
    assert_eq!(bench.learned(2, 2), [Run(2, 0, 2), Through(2)]);
    assert_eq!(bench.executor.missing(&bench.kit.env), None, "there is no room");
    bench.executor.on_applied(Instance(2));
    assert_eq!(bench.executor.missing(&bench.kit.env), Some(Instance(3)));
}

#[test]
fn what_the_disk_of_a_lone_node_lost_fails_the_group() {
    let mut bench = bench(Entries::new(Instance(3), Instance::ZERO));
    bench.kit = Kit::new(1);
    assert_eq!(bench.fetched(&[(1, None)]), []);
    assert_eq!(bench.kit.env.failed.map(|(_, instance)| instance), Some(Instance(1)));
}

#[test]
fn a_log_that_gives_nothing_fails_the_group() {
    let mut bench = bench(Entries::new(Instance(3), Instance(1)));
    assert_eq!(bench.fetched(&[]), []);
    assert_eq!(bench.kit.env.failed.map(|(_, instance)| instance), Some(Instance(2)));
}

#[test]
fn what_is_not_on_disk_stays_in_memory() {
    let mut bench = bench(chosen(2));
    bench.kit.env.config.cache_bytes_max = 0;
    bench.kit.busy();
    bench.run();
    assert_eq!(bench.entries.base(), Instance::ZERO);
    bench.kit.sync();
    bench.entries.put(Instance(3), accepted(ballot(1, 1), value(3)));
    bench.entries.choose_next();
    bench.run();
    assert_eq!(bench.entries.base(), Instance(3));
}

#[test]
fn of_what_was_fetched_no_more_is_handed_out_than_may_wait() {
    let mut bench = bench(Entries::new(Instance(5), Instance::ZERO));
    bench.kit.env.config.apply_ahead_max = 2;
    assert_eq!(bench.run(), []);
    let asked = &bench.kit.out.fetches[0];
    assert_eq!((asked.from, asked.to), (Instance(1), Instance(2)), "no more is asked for");
    let more = [(1, Some(value(1))), (2, Some(value(2))), (3, Some(value(3)))];
    assert_eq!(bench.fetched(&more), [Run(1, 0, 1), Run(2, 0, 2), Through(2)]);
    bench.executor.on_applied(Instance(1));
    bench.fetches = Fetches::default();
    assert_eq!(bench.run(), []);
    let asked = &bench.kit.out.fetches[1];
    assert_eq!((asked.from, asked.to), (Instance(3), Instance(3)));
}

#[test]
fn slow_state_machines_do_not_keep_the_log_in_memory() {
    let mut bench = bench(log(&[value(1), value(2), value(3)]));
    bench.kit.env.config.apply_ahead_max = 1;
    bench.kit.env.config.cache_bytes_max = 0;
    assert_eq!(bench.run(), [Run(1, 0, 1), Through(1)]);
    assert_eq!((bench.entries.base(), bench.entries.chosen_bytes()), (Instance(3), 0));
    bench.executor.on_applied(Instance(1));
    assert_eq!(bench.run(), []);
    assert_eq!(bench.fetched(&[(2, Some(value(2)))]), [Run(2, 0, 2), Through(2)]);
}

#[test]
fn the_state_is_digested_between_two_instances_and_nothing_follows_a_wrong_one() {
    let mut bench = bench(log(&[value(1), value(2), value(3)]));
    bench.kit.env.config.digest_interval = 2;
    let run = bench.run();
    assert_eq!(run, [Run(1, 0, 1), Run(2, 0, 2), Out::Digest(2), Run(3, 0, 3), Through(3)]);
    bench
        .entries
        .put(Instance(4), crate::entries::Slot { ballot: Ballot::ZERO, value: Some(value(4)) });
    bench.entries.choose_next();
    bench.executor.diverge(Instance(2));
    assert_eq!(bench.run(), []);
    assert_eq!(bench.executor.diverged(), Some(Instance(2)));
}
