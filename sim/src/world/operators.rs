//! Tests of an operator's changes: what becomes of a cluster that grows, shrinks, and gets its machines back.

use std::time::Duration;

use synod_core::Time;

use super::World;
use crate::faults::{Alteration, Fault, Planned, Victim};
use crate::guests::Guests;
use crate::node::node_id;
use crate::plan::{First, Plan, Preset};

/// A run that is quiet but for what an operator asks the leader for, one thing after the other.
fn world(seed: u64, founders: usize, nodes: usize, steps: &[Step]) -> World {
    let mut plan = Plan::draw_for(seed, Preset::Calm, nodes);
    (plan.is_forming, plan.spares, plan.groups) = (false, nodes - founders, 1);
    plan.requests.iter_mut().for_each(|request| request.group = 0);
    plan.ending.first = First::All;
    // Whatever takes its time in production may take it here.
    let pause = plan.core.election_timeout * 12;
    let mut at = Time::ZERO + pause;
    for step in steps {
        let what = match step {
            Step::Ask(what) => Fault::Change {
                group: 0,
                asked: Victim::Leader(0),
                what: what.clone(),
                is_late: false,
                patience: pause,
            },
            Step::Late(what) => Fault::Change {
                group: 0,
                asked: Victim::Leader(0),
                what: what.clone(),
                is_late: true,
                patience: pause,
            },
            Step::Renew(node) => Fault::Renewal { node: *node, down: Duration::from_millis(5) },
        };
        plan.faults.push(Planned { at, what });
        at = at + pause;
    }
    plan.until = plan.until.max(at);
    World::new(plan, &Guests::default(), 0)
}

enum Step {
    Ask(Vec<Alteration>),
    Late(Vec<Alteration>),
    Renew(usize),
}

/// Lets the run end: who votes then and follows, as indices, and how many changes were made.
fn end(world: &mut World) -> (Vec<u64>, Vec<u64>, u64) {
    assert_eq!(world.run(), Ok(()), "seed {}", world.plan.seed);
    let newest = world.env.checkers.choices.eras(0).unwrap().newest();
    let nodes = |members: &[synod_core::Member]| members.iter().map(|it| it.node.0 - 1).collect();
    (nodes(newest.voters()), nodes(newest.followers()), world.env.stats.changed)
}

#[test]
fn one_node_grows_to_three_and_shrinks_to_another_one() {
    for seed in 0..10 {
        let mut world = world(
            seed,
            1,
            3,
            &[
                Step::Ask(vec![Alteration::AddFollower(1)]),
                Step::Ask(vec![Alteration::Promote(1), Alteration::Add(2)]),
                Step::Ask(vec![Alteration::Remove(Victim::Node(0))]),
                Step::Ask(vec![Alteration::Remove(Victim::Node(1))]),
            ],
        );
        assert_eq!(end(&mut world), (vec![2], vec![], 4), "seed {seed}");
        for node in [0, 1] {
            assert!(world.nodes[node].status(0).unwrap().removed, "seed {seed}");
        }
    }
}

#[test]
fn who_was_removed_comes_back_with_a_new_memory_only() {
    let out_and_in = |seed, renewal: &[Step]| {
        let mut steps = vec![Step::Ask(vec![Alteration::Remove(Victim::Node(2))])];
        steps.extend(renewal.iter().map(|_| Step::Renew(2)));
        steps.push(Step::Ask(vec![Alteration::Add(2)]));
        end(&mut world(seed, 3, 3, &steps))
    };
    for seed in 0..10 {
        assert_eq!(out_and_in(seed, &[]), (vec![0, 1], vec![], 1), "seed {seed}");
        assert_eq!(out_and_in(seed, &[Step::Renew(2)]), (vec![0, 1, 2], vec![], 2), "seed {seed}");
    }
}

#[test]
fn a_member_is_not_renewed_and_who_looked_before_another_change_asks_in_vain() {
    for seed in 0..10 {
        let mut world = world(
            seed,
            2,
            4,
            &[
                Step::Renew(1),
                Step::Ask(vec![Alteration::Replace(Victim::Node(1), 2), Alteration::Move(0)]),
                Step::Late(vec![Alteration::Add(3)]),
            ],
        );
        assert_eq!(end(&mut world), (vec![0, 2], vec![], 1), "seed {seed}");
        assert_eq!(world.env.stats.faults.get("machines renewed"), None, "seed {seed}");
        let eras = world.env.checkers.choices.eras(0).unwrap();
        let book = std::str::from_utf8(eras.newest().book()).unwrap();
        assert!(book.contains(&format!("{} ", node_id(2))), "seed {seed}: {book}");
    }
}
