//! Tests of lost memory: what becomes of a cluster one of whose disks is emptied, exchanged or rots.

use std::path::{Path, PathBuf};
use std::time::Duration;

use synod::vfs::{Vfs, VfsFile};
use synod_core::Time;

use super::World;
use crate::atlas::Budget;
use crate::disk::SimVfs;
use crate::faults::{Crash, Fault, Planned};
use crate::guests::Guests;
use crate::node::Node;
use crate::plan::{First, Plan, Preset};

/// A run that is quiet but for what the test does; long before its end.
fn world(seed: u64, change: impl FnOnce(&mut Plan)) -> World {
    let mut plan = Plan::draw(seed, Preset::Calm);
    (plan.is_forming, plan.nodes) = (false, plan.nodes.max(3));
    plan.machine.keeps.resize(plan.nodes, false);
    plan.core.swap_in = false;
    plan.ending.first = First::All;
    change(&mut plan);
    World::new(plan, &Guests::default(), 0)
}

fn until(world: &mut World, end: Time) {
    while world.env.now < end {
        assert_eq!(world.turn(), Ok(true), "before {end}");
    }
}

fn part(world: &World, percent: u32) -> Time {
    Time::ZERO + world.plan.until.since(Time::ZERO) * percent / 100
}

/// Takes a node down for a while, and does something to it meanwhile.
fn meanwhile(world: &mut World, node: usize, act: impl FnOnce(&mut Node)) {
    world.crash(node, Crash::Power, Duration::from_millis(50));
    act(&mut world.nodes[node]);
}

/// Lets the run end, and says how many new memories there were.
fn end(mut world: World, node: usize, votes: bool) -> u64 {
    let seed = world.plan.seed;
    assert_eq!(world.run(), Ok(()), "seed {seed}");
    for group in 0..world.plan.groups {
        let status = world.nodes[node].status(group).unwrap();
        assert_eq!(status.votes, votes, "seed {seed}");
        assert_eq!(status.applied, world.env.checkers.choices.prefix(group), "seed {seed}");
    }
    world.env.stats.reborn
}

/// Where small batches of a log hold values, both copies of each, in the order of the batches:
/// segments are recycled, and old batches may stand behind the last.
fn values(disk: &SimVfs) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for name in disk.list(Path::new("/log")).unwrap() {
        let path = Path::new("/log").join(&name);
        let file = disk.open(&path).unwrap();
        let mut at = 0;
        let mut head = [0; 49];
        while at + 4096 <= file.size().unwrap() && name.ends_with(".log") {
            file.read_exact_at(at, &mut head).unwrap();
            let number =
                |at: usize| u64::from(u32::from_le_bytes(*head[at..].first_chunk().unwrap()));
            if head.starts_with(b"synodb01")
                && head[48] > FOUNDED
                && number(40) > 64
                && 48 + 48 * number(36) + number(40) <= 8192
            {
                let batch = u64::from_le_bytes(*head[24..].first_chunk().unwrap());
                found.push((batch, path.clone(), at + 48 + 48 * number(36)));
            }
            at += 4096;
        }
    }
    found.sort();
    found.into_iter().map(|(_, path, at)| (path, at)).collect()
}

#[test]
fn a_wiped_node_learns_everything_and_does_not_vote() {
    for seed in 0..12 {
        let mut world = world(seed, |_| {});
        let half = part(&world, 50);
        until(&mut world, half);
        meanwhile(&mut world, 1, Node::wipe);
        assert_eq!(end(world, 1, false), 1, "seed {seed}");
    }
}

#[test]
fn a_wiped_node_is_swapped_in_and_then_the_next_one() {
    for seed in 0..12 {
        let mut world = world(seed, |plan| plan.core.swap_in = true);
        for (node, when) in [(1, 25), (2, 50), (0, 75)] {
            let at = part(&world, when);
            until(&mut world, at);
            while !(0..world.plan.nodes)
                .all(|node| world.nodes[node].is_whole(|_| true, &world.env))
            {
                assert_eq!(world.turn(), Ok(true), "seed {seed}");
            }
            meanwhile(&mut world, node, Node::wipe);
        }
        assert_eq!(end(world, 1, true), 3, "seed {seed}");
    }
}

#[test]
fn chosen_values_that_rot_are_learned_again_by_the_same_memory() {
    let mut rotten = 0;
    for seed in 0..12 {
        let mut world = world(seed, |_| {});
        let late = part(&world, 70);
        until(&mut world, late);
        meanwhile(&mut world, 1, |node| {
            let values = values(node.disk());
            // Not the last batches: nothing vouches for them, and two bad places look torn.
            for (path, at) in values.iter().take(values.len().saturating_sub(6)) {
                node.disk().corrupt(path, *at, 2, 0x55);
                rotten += 1;
            }
            node.harmed();
        });
        assert_eq!(end(world, 1, true), 0, "seed {seed}");
    }
    assert!(rotten > 100, "{rotten} values rotted");
}

#[test]
fn damage_that_may_have_cost_a_vote_makes_a_learner() {
    for seed in 0..12 {
        let mut world = world(seed, |_| {});
        let late = part(&world, 70);
        until(&mut world, late);
        meanwhile(&mut world, 1, |node| {
            // Both headers of the newest segment but one, or of the only one and its batches.
            let path = Path::new("/log/00000001.log");
            if node.disk().size_of(path).is_some() {
                node.disk().corrupt(path, 30, 2, 0x55);
                node.disk().corrupt(path, 4096 + 30, 2, 0x55);
            }
            node.harmed();
        });
        let votes = world.nodes[1].disk().size_of(Path::new("/log/00000001.log")).is_none();
        assert_eq!(end(world, 1, votes), u64::from(!votes), "seed {seed}");
    }
}

#[test]
fn under_rejoin_a_restart_costs_the_vote_and_nothing_else() {
    for seed in 0..12 {
        let mut world = world(seed, |plan| plan.is_rejoining = true);
        let half = part(&world, 50);
        until(&mut world, half);
        meanwhile(&mut world, 1, |_| {});
        assert_eq!(end(world, 1, false), 1, "seed {seed}");
    }
}

/// Copies a node's disk, lets the node start again, and so its peers hear of a later boot.
fn copied(seed: u64) -> World {
    let mut world = world(seed, |plan| plan.budget = Budget::Remembered);
    let early = part(&world, 30);
    until(&mut world, early);
    world.nodes[1].save_image();
    meanwhile(&mut world, 1, |_| {});
    let half = part(&world, 50);
    until(&mut world, half);
    world
}

#[test]
fn a_copy_that_comes_back_is_refused_before_it_says_a_word() {
    for seed in 0..12 {
        let mut world = copied(seed);
        let what = Fault::RestoredDisk { node: 1, down: Duration::from_millis(20) };
        world.plan.faults.push(Planned { at: world.env.now, what });
        world.effects.push(Vec::new());
        let last = world.plan.faults.len() - 1;
        world.strike(last);
        assert_eq!(world.env.stats.spared, 0, "seed {seed}: everyone remembers");
        // Any vote with the old memory would break a rule.
        assert_eq!(end(world, 1, false), 1, "seed {seed}");
    }
}

#[test]
fn a_copy_that_came_back_unnoticed_ends_when_somebody_tells() {
    for seed in 0..12 {
        let mut world = world(seed, |plan| {
            plan.groups = 1;
            plan.requests.clear();
            plan.core.master_lease = Duration::ZERO;
        });
        let early = part(&world, 30);
        until(&mut world, early);
        // Nothing is asked and nobody is master, so what the copy lacks is a start, and no vote.
        // One that follows: nobody has to be elected when it goes.
        let leader = world.leader(0).unwrap();
        let node = (leader + 1) % world.plan.nodes;
        world.nodes[node].save_image();
        meanwhile(&mut world, node, |_| {});
        let half = part(&world, 50);
        until(&mut world, half);
        let others: Vec<usize> = world.others(node).collect();
        for &other in &others {
            world.env.network.cut(node, other);
            world.env.network.cut(other, node);
        }
        meanwhile(&mut world, node, |node| {
            node.restore_image();
        });
        let wait = Duration::from_millis(60) + world.plan.core.election_timeout;
        let later = world.env.now + wait;
        until(&mut world, later);
        assert!(world.nodes[node].has_entered(), "seed {seed}: nobody could tell");
        let starts = world.env.stats.starts;
        world.env.network.heal();
        assert_eq!(world.env.stats.reborn, 0, "seed {seed}");
        let mut ended = false;
        while !ended {
            assert_eq!(world.turn(), Ok(true), "seed {seed}");
            ended = world.env.stats.starts > starts;
        }
        assert_eq!(end(world, node, false), 1, "seed {seed}");
    }
}

#[test]
fn a_second_process_is_refused_and_the_first_goes_on() {
    for seed in 0..12 {
        let mut world = world(seed, |_| {});
        let half = part(&world, 50);
        until(&mut world, half);
        world.nodes[1].say_twice(&mut world.env);
        assert_eq!(end(world, 1, true), 0, "seed {seed}");
    }
}

/// The kind of a log's record that holds the founding; those below it may share a batch with one.
const FOUNDED: u8 = 3;
