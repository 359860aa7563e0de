//! How nodes become one cluster, and when they do not.

use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;

mod world;

use world::World;

const GROUP: GroupId = GroupId(0);

fn node(id: u64, founders: &[u64], bootstrap: Bootstrap) -> Forming {
    let incarnation = Incarnation(id * 16);
    forming(id, founders, &[(GROUP, incarnation)], bootstrap, None, id)
}

fn forming(
    id: u64,
    founders: &[u64],
    memories: &[(GroupId, Incarnation)],
    bootstrap: Bootstrap,
    founding: Option<Founding>,
    seed: u64,
) -> Forming {
    Forming::new(FormingStart {
        me: NodeId(id),
        founder: Founder {
            founders: founders.iter().copied().map(NodeId).collect(),
            memories: memories.to_vec(),
        },
        bootstrap,
        founding,
        seed,
        retry_interval: Duration::from_millis(100),
        now: Time::ZERO,
    })
}

fn step(forming: &mut Forming, millis: u64, input: FormingInput) -> FormingOutbox {
    let mut out = FormingOutbox::default();
    forming.step(Time::from_millis(millis), input, &mut out);
    out
}

fn receive(from: u64, message: FoundingMessage) -> FormingInput {
    FormingInput::Receive { from: NodeId(from), message }
}

fn founding(cluster: u64, members: &[(u64, u64)]) -> Founding {
    let member = |&(node, inc)| Member { node: NodeId(node), incarnation: Incarnation(inc) };
    let voters = members.iter().map(member).collect();
    let groups = vec![(GROUP, Membership::new(voters, vec![]).unwrap())];
    Founding { cluster: ClusterId(cluster), groups }
}

fn founded(cluster: u64, members: &[(u64, u64)]) -> FoundingMessage {
    FoundingMessage::Founded { nonce: 0, founding: founding(cluster, members) }
}

#[test]
fn three_fresh_nodes_found_one_cluster_of_what_they_are() {
    let mut world = World::new(3, 1);
    assert!(world.settle(), "{:?}", world.states());
    let founding = world.founding(1).unwrap();
    assert_eq!(founding.groups[0].1.voters().len(), 3);
    for id in 1..=3 {
        assert_eq!(world.founding(id), Some(founding.clone()), "node {id}");
    }
    assert_eq!(world.states()[1], format!("member of cluster {}", founding.cluster), "and says so");
}

#[test]
fn whatever_is_lost_doubled_and_reordered_one_cluster_is_founded() {
    for seed in 0..2000 {
        let mut world = World::new(3, seed);
        world.faults(400, 0);
        world.check();
        assert!(world.settle(), "seed {seed}: {:?}", world.states());
        world.check();
        let first = world.founding(1);
        assert!((2..=3).all(|id| world.founding(id) == first), "seed {seed}");
    }
}

#[test]
fn wipes_that_the_cluster_tolerates_never_make_a_second_one() {
    for (nodes, wipes) in [(3, 1), (5, 2)] {
        for seed in 0..3000 {
            let mut world = World::new(nodes, seed);
            world.faults(500, wipes);
            world.check();
            world.settle();
            world.check();
        }
    }
}

#[test]
fn the_check_for_second_clusters_can_fail() {
    // As many wipes as nodes are more than a cluster tolerates: everyone may forget it.
    let second = (0..200).any(|seed| {
        let mut world = World::new(3, seed);
        world.faults(2000, 6);
        world.settle();
        world.clusters_with_quorum() > 1
    });
    assert!(second, "2,000 events with six wipes never made a second cluster");
}

#[test]
fn a_founder_that_is_missing_is_waited_for() {
    let mut world = World::new(3, 5);
    world.stop(3);
    assert!(!world.settle());
    assert_eq!(
        world.states()[0],
        "no cluster yet: waiting for node 3; node 1 founds it once all founders are up and reach \
         each other"
    );
    world.start(3);
    assert!(world.settle());
}

#[test]
fn a_decider_that_dies_before_its_write_is_durable_decides_anew() {
    let mut world = World::new(3, 7);
    world.until_write(1);
    let lost = world.crash(1, false).unwrap();
    assert!(world.settle(), "{:?}", world.states());
    assert_ne!(world.founding(2).unwrap().cluster, lost.cluster);
    world.check();
}

#[test]
fn a_decider_that_dies_before_telling_tells_after_its_restart() {
    let mut world = World::new(3, 7);
    world.until_write(1);
    let kept = world.crash(1, true).unwrap();
    assert!(world.settle(), "{:?}", world.states());
    for id in 1..=3 {
        assert_eq!(world.founding(id).as_ref(), Some(&kept), "node {id}");
    }
}

#[test]
fn a_wiped_decider_founds_nothing_while_a_member_is_reachable() {
    let mut world = World::new(3, 9);
    assert!(world.settle());
    world.wipe(1);
    world.stop(2);
    world.settle();
    assert_eq!(world.founding(1), world.founding(3), "as a learner");
    let cluster = world.founding(3).unwrap().cluster;
    assert_eq!(
        world.states()[0],
        format!(
            "cluster {cluster} exists, and this memory of node 1 is not in its group 0: the data \
             directory is new, or lost something that the node had vouched for. The node learns \
             and does not vote; swap it in by a membership change that replaces its old memory"
        )
    );
}

#[test]
fn a_wiped_decider_founds_nothing_while_no_member_is_reachable() {
    let mut world = World::new(3, 9);
    assert!(world.settle());
    world.wipe(1);
    world.stop(2);
    world.stop(3);
    world.settle();
    assert_eq!(world.founding(1), None);
    assert!(world.states()[0].starts_with("no cluster yet: waiting for nodes 2, 3;"));
}

#[test]
fn a_wiped_member_learns_and_passes_on_that_there_is_a_cluster() {
    let members = [(1, 16), (2, 32), (3, 999)];
    let mut three = node(3, &[1, 2, 3], Bootstrap::Auto);
    let out = step(&mut three, 0, receive(2, founded(7, &members)));
    assert_eq!(out.write, Some(founding(7, &members)));
    assert_eq!((three.founding(), three.deadline()), (None, None), "not before it is durable");
    step(&mut three, 0, FormingInput::Durable);
    assert!(matches!(three.state(), FormingState::Excluded { groups: [GROUP], .. }));
    assert_eq!(three.founding(), Some(&founding(7, &members)));
    let out = step(&mut three, 1, receive(1, FoundingMessage::Ask { nonce: 5 }));
    let answer = FoundingMessage::Founded { nonce: 5, founding: founding(7, &members) };
    assert_eq!(out.messages, [(NodeId(1), answer)]);
}

#[test]
fn a_founding_that_lacks_one_of_our_groups_says_so() {
    let memories = [(GROUP, Incarnation(16)), (GroupId(1), Incarnation(17))];
    let mut one = forming(1, &[1, 2], &memories, Bootstrap::Auto, None, 1);
    step(&mut one, 0, receive(2, founded(7, &[(1, 16), (2, 32)])));
    step(&mut one, 0, FormingInput::Durable);
    assert!(matches!(one.state(), FormingState::Excluded { groups: [GroupId(1)], .. }));
}

#[test]
fn a_directory_that_took_a_new_memory_keeps_its_founding_and_is_outside_of_it() {
    let kept = founding(7, &[(1, 16), (2, 32)]);
    let memories = [(GROUP, Incarnation(33))];
    let two = forming(2, &[1, 2], &memories, Bootstrap::Auto, Some(kept.clone()), 3);
    assert_eq!(two.founding(), Some(&kept));
    assert!(matches!(two.state(), FormingState::Excluded { groups: [GROUP], .. }));
}

#[test]
fn a_memory_that_is_replaced_while_running_is_outside_from_then_on() {
    let kept = founding(7, &[(1, 16), (2, 32)]);
    let memories = [(GROUP, Incarnation(32))];
    let mut two = forming(2, &[1, 2], &memories, Bootstrap::Auto, Some(kept), 3);
    assert!(matches!(two.state(), FormingState::Founded(_)));
    two.renew(vec![(GROUP, Incarnation(33))], Time::ZERO);
    assert!(matches!(two.state(), FormingState::Excluded { groups: [GROUP], .. }));
}

#[test]
fn a_second_founding_is_never_adopted() {
    let mut two = node(2, &[1, 2], Bootstrap::Auto);
    let out = step(&mut two, 0, receive(1, founded(7, &[(1, 16), (2, 32)])));
    assert!(out.write.is_some());
    assert_eq!(two.founding(), None, "not before it is durable");
    step(&mut two, 1, FormingInput::Durable);
    let out = step(&mut two, 2, receive(1, founded(8, &[(1, 99), (2, 32)])));
    assert_eq!(out, FormingOutbox::default());
    assert_eq!(two.founding().unwrap().cluster, ClusterId(7));
    assert_eq!(
        two.state().to_string(),
        "node 1 knows cluster 0000000000000008, and this node cluster 0000000000000007: one of \
         them was given the wrong peers or the wrong data directory; wipe the one that does not \
         belong, and swap it in"
    );
}

#[test]
fn founders_that_were_given_different_lists_do_not_found() {
    let mut one = node(1, &[1, 2], Bootstrap::Auto);
    let founder = |founders: &[u64], group| Founder {
        founders: founders.iter().copied().map(NodeId).collect(),
        memories: vec![(GroupId(group), Incarnation(32))],
    };
    for round in 0..5 {
        let out = step(&mut one, round * 100, FormingInput::Tick);
        let [(_, FoundingMessage::Ask { nonce })] = out.messages[..] else { panic!("{out:?}") };
        let founder = if round < 3 { founder(&[1, 2, 3], 0) } else { founder(&[1, 2], 1) };
        let out =
            step(&mut one, round * 100, receive(2, FoundingMessage::Fresh { nonce, founder }));
        assert_eq!(out, FormingOutbox::default());
        assert_eq!(
            one.state().to_string(),
            if round < 3 {
                "no cluster: this node was told to found one with nodes 1, 2, and node 2 with \
                 nodes 1, 2, 3; give all founders the same list"
            } else {
                "no cluster: this node has group 0, and node 2 has group 1; give all founders the \
                 same groups"
            }
        );
    }
}

#[test]
fn only_two_complete_rounds_with_the_same_memories_found() {
    let mut one = node(1, &[1, 2], Bootstrap::Auto);
    let fresh = |nonce, incarnation| {
        let memories = vec![(GROUP, Incarnation(incarnation))];
        let founder = Founder { founders: vec![NodeId(1), NodeId(2)], memories };
        receive(2, FoundingMessage::Fresh { nonce, founder })
    };
    let asked = |out: &FormingOutbox| match out.messages[..] {
        [(NodeId(2), FoundingMessage::Ask { nonce })] => nonce,
        _ => panic!("{out:?}"),
    };
    let first = asked(&step(&mut one, 0, FormingInput::Tick));
    let out = step(&mut one, 1, fresh(first ^ 1, 32));
    assert_eq!(out, FormingOutbox::default(), "an answer to another question");
    let second = asked(&step(&mut one, 2, fresh(first, 32)));
    let out = step(&mut one, 3, fresh(first, 32));
    assert_eq!(out, FormingOutbox::default(), "an old answer, once more");
    let third = asked(&step(&mut one, 4, fresh(second, 33)));
    assert!(matches!(one.state(), FormingState::Waiting { .. }), "node 2 was wiped in between");
    let out = step(&mut one, 5, fresh(third, 33));
    let write = out.write.expect("two rounds with the same memories");
    let of =
        |node, incarnation| Member { node: NodeId(node), incarnation: Incarnation(incarnation) };
    assert_eq!(write.groups[0].1.voters(), [of(1, 16), of(2, 33)]);
    assert_eq!(out.messages, [], "not before it is durable");
    let out = step(&mut one, 6, receive(2, FoundingMessage::Ask { nonce: 1 }));
    assert_eq!(out, FormingOutbox::default(), "neither fresh nor founded");
    let out = step(&mut one, 7, FormingInput::Durable);
    assert_eq!(out.messages.len(), 1, "told");
}

/// What one round would not do. Nodes 2, 3 and 4 become a quorum of the first cluster by messages
/// that were long under way, after 2 and 3 have told the wiped decider that they are fresh; then 4
/// is wiped, too, before it is asked. Five nodes tolerate two wipes.
#[test]
fn founders_that_adopt_during_a_round_stop_a_second_cluster() {
    let mut world = World::new(5, 3);
    world.until_write(1);
    world.lose_all();
    world.complete_write(1);
    let told = world.take_all();
    world.wipe(1);
    world.tick(1);
    for id in [2, 3, 5] {
        world.deliver(1, id);
        world.deliver(id, 1);
    }
    let asked_four = world.take_all();
    world.put_back(told);
    for id in [2, 3, 4] {
        world.deliver(1, id);
        world.complete_write(id);
    }
    assert_eq!(world.clusters_with_quorum(), 1);
    world.lose_all();
    world.wipe(4);
    world.put_back(asked_four);
    world.deliver(1, 4);
    world.deliver(4, 1); // all five have said that they are fresh
    world.settle();
    world.check();
    let first = world.founding(2);
    for id in [1, 4, 5] {
        assert_eq!(world.founding(id), first, "node {id}: {:?}", world.states());
    }
    for id in [1, 4] {
        let state = &world.states()[id - 1];
        assert!(state.contains("learns and does not vote"), "node {id}: {state}");
    }
}

#[test]
fn a_node_alone_founds_only_when_asked_to() {
    let mut auto = node(1, &[1], Bootstrap::Auto);
    assert_eq!(step(&mut auto, 0, FormingInput::Tick), FormingOutbox::default());
    assert_eq!(auto.state(), FormingState::Alone);
    assert!(auto.state().to_string().contains("Bootstrap::Found"));
    let mut found = node(1, &[1], Bootstrap::Found);
    let out = step(&mut found, 0, FormingInput::Tick);
    assert_eq!(out.write.unwrap().groups[0].1.voters().len(), 1);
    step(&mut found, 1, FormingInput::Durable);
    assert!(matches!(found.state(), FormingState::Founded(_)));
}

#[test]
fn a_node_that_joins_is_no_founder() {
    let mut one = node(1, &[1, 2], Bootstrap::Join);
    let out = step(&mut one, 0, FormingInput::Tick);
    assert_eq!(out.messages.len(), 1, "it asks");
    let out = step(&mut one, 1, receive(2, FoundingMessage::Ask { nonce: 1 }));
    assert_eq!(out, FormingOutbox::default(), "and does not say that it is fresh");
    assert!(matches!(one.state(), FormingState::Joining { .. }));
}

#[test]
fn a_founded_node_answers_anyone_and_strangers_found_nothing() {
    let kept = founding(7, &[(1, 16), (2, 32)]);
    let mut two =
        forming(2, &[1, 2], &[(GROUP, Incarnation(32))], Bootstrap::Auto, Some(kept.clone()), 3);
    let out = step(&mut two, 0, receive(9, FoundingMessage::Ask { nonce: 5 }));
    let answer = FoundingMessage::Founded { nonce: 5, founding: kept };
    assert_eq!(out.messages, [(NodeId(9), answer)]);
    let mut fresh = node(2, &[1, 2], Bootstrap::Auto);
    let out = step(&mut fresh, 0, receive(9, founded(7, &[(1, 16), (2, 32)])));
    assert_eq!(out.write, None);
    assert!(matches!(fresh.state(), FormingState::Waiting { .. }));
}

#[test]
fn rounds_grow_until_answers_come_in_time() {
    let mut world = World::new(3, 11);
    world.delay = Duration::from_millis(900);
    assert!(world.settle(), "{:?}", world.states());
}

#[test]
#[should_panic(expected = "durable without a write")]
fn a_completion_of_nothing_is_a_broken_embedder() {
    step(&mut node(1, &[1], Bootstrap::Auto), 0, FormingInput::Durable);
}
