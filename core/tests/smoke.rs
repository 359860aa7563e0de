//! Three nodes in memory, every message delivered in order, every write durable at once.
#![expect(clippy::unwrap_used, reason = "a test harness")]

use std::collections::VecDeque;

use bytes::Bytes;
use synod_core::*;

struct Node {
    group: Group,
    member: Member,
    applied: Vec<Bytes>,
}

fn cluster(n: u64) -> Vec<Node> {
    let members: Vec<Member> =
        (1..=n).map(|i| Member { node: NodeId(i), incarnation: Incarnation(i * 11) }).collect();
    members
        .iter()
        .map(|&me| {
            let start = Start {
                group: GroupId(0),
                me,
                boot: 1,
                membership: Membership::new(members.clone(), vec![]).unwrap(),
                recovered: Recovered::default(),
                config: Config { seed: me.node.0, ..Config::default() },
                now: Time::ZERO,
            };
            Node { group: Group::start(start).unwrap(), member: me, applied: vec![] }
        })
        .collect()
}

fn run(nodes: &mut [Node], from: Time, to: Time, mut inputs: VecDeque<(usize, Input)>) {
    let mut out = Outbox::default();
    let mut now = from;
    loop {
        while let Some((i, input)) = inputs.pop_front() {
            let node = &mut nodes[i];
            node.group.step(now, input, &mut out);
            if let Some(batch) = out.take_writes() {
                inputs.push_back((i, Input::Durable(batch.durable())));
            }
            for apply in out.applies.drain(..) {
                match apply {
                    Apply::Command { payload, .. } => node.applied.push(payload),
                    Apply::Through(instance) => inputs.push_back((i, Input::Applied(instance))),
                }
            }
            out.events.clear();
            out.outcomes.clear();
            let from = node.member;
            for (to, message) in out.messages.drain(..) {
                let to = usize::try_from(to.0 - 1).unwrap();
                inputs.push_back((to, Input::Receive { from, message }));
            }
        }
        let next =
            nodes.iter().enumerate().filter_map(|(i, n)| Some((n.group.deadline()?, i))).min();
        let Some((at, i)) = next else { return };
        if at > to {
            return;
        }
        now = now.max(at);
        inputs.push_back((i, Input::Tick));
    }
}

#[test]
fn three_nodes_elect_propose_and_read() {
    let mut nodes = cluster(3);
    run(&mut nodes, Time::ZERO, Time::from_millis(2000), VecDeque::new());
    let deadline = Time::from_millis(9000);
    let now = Time::from_millis(2000);
    let mut inputs = VecDeque::new();
    for id in 0..30 {
        let command = Bytes::from(format!("c{id}"));
        let propose = Input::Propose { id: ProposalId(id), sm: SmId(0), command, deadline };
        inputs.push_back((usize::try_from(id % 3).unwrap(), propose));
    }
    for i in 0..3 {
        inputs.push_back((i, Input::Read { id: ReadId(7), deadline }));
    }
    run(&mut nodes, now, Time::from_millis(2040), inputs);
    for node in &nodes {
        assert_eq!(node.applied.len(), 30);
        assert_eq!(node.applied, nodes[0].applied);
    }
}

#[test]
fn one_node_is_a_cluster() {
    let mut nodes = cluster(1);
    let propose = Input::Propose {
        id: ProposalId(1),
        sm: SmId(0),
        command: Bytes::from_static(b"x"),
        deadline: Time::from_millis(900),
    };
    run(&mut nodes, Time::ZERO, Time::from_millis(100), VecDeque::from([(0, propose)]));
    assert_eq!(nodes[0].applied.len(), 1);
}
