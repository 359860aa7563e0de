use super::*;
use crate::config::Config;
use crate::founding::ClusterId;
use crate::ids::GroupId;
use crate::input::{Input, Role, Start};
use crate::membership::Membership;
use crate::testing::{ballot, member};
use crate::time::Time;
use crate::write::{Recovered, Stored};

#[test]
fn a_learned_value_that_the_disk_lost_may_hide_a_vote() {
    let voters = alloc::vec![member(1), member(2), member(3)];
    let lost = Stored { instance: Instance(1), ballot: Ballot::ZERO, value: None };
    let entries = alloc::vec![lost];
    let start = Start {
        cluster: ClusterId(1),
        group: GroupId(0),
        me: member(1),
        boot: 1,
        membership: Membership::new(voters, Vec::new()).unwrap(),
        recovered: Recovered { promised: ballot(3, 3), entries, ..Recovered::default() },
        config: Config::default(),
        now: Time::ZERO,
    };
    let mut group = Group::start(start).unwrap();
    let mut out = Outbox::default();
    let message = Message::Prepare { ballot: ballot(4, 2), from: Instance(1) };
    group.step(Time::ZERO, Input::Receive { from: member(2), message }, &mut out);
    let proof = out.take_writes().unwrap().durable();
    group.step(Time::ZERO, Input::Durable(proof), &mut out);
    let (_, Message::Promise(promise)) = out.messages.pop().unwrap() else { panic!() };
    assert_eq!(promise.entries.len(), 1, "it must not read as nothing accepted");
    assert_eq!(promise.entries[0].entry, Report::Lost(ballot(3, 3)));
}

#[test]
fn a_group_without_room_takes_no_value_and_goes_on_promising() {
    let voters = alloc::vec![member(1), member(2), member(3)];
    let mut group = Group::start(Start {
        cluster: ClusterId(1),
        group: GroupId(0),
        me: member(1),
        boot: 1,
        membership: Membership::new(voters, Vec::new()).unwrap(),
        recovered: Recovered::default(),
        config: Config::default(),
        now: Time::ZERO,
    })
    .unwrap();
    let mut out = Outbox::default();
    let mut records = |input| {
        group.step(Time::ZERO, input, &mut out);
        let batch = out.take_writes();
        let records = batch.as_ref().map_or_else(Vec::new, |batch| batch.records().to_vec());
        if let Some(batch) = batch {
            group.step(Time::ZERO, Input::Durable(batch.durable()), &mut out);
        }
        (records, mem::take(&mut out.outcomes))
    };
    let hear = |message| Input::Receive { from: member(2), message };
    let accept = || Message::Accept {
        ballot: ballot(2, 2),
        instance: Instance(1),
        value: crate::testing::value(1),
        chosen: Instance::ZERO,
    };
    let learned = || Message::Learned {
        from: Instance(1),
        values: alloc::vec![crate::testing::value(1)],
        chosen: Instance(1),
        cleaned: Instance::ZERO,
    };
    let propose = || Input::Propose {
        id: crate::ids::ProposalId(1),
        sm: crate::ids::SmId(0),
        command: bytes::Bytes::new(),
        deadline: Time::MAX,
    };
    records(Input::Room(false));
    let prepare = Message::Prepare { ballot: ballot(2, 2), from: Instance(1) };
    assert_eq!(records(hear(prepare)).0, [crate::write::Record::Promised(ballot(2, 2))]);
    assert_eq!(records(hear(accept())).0, []);
    assert_eq!(records(hear(learned())).0, []);
    let (_, outcomes) = records(propose());
    let refused = crate::outbox::Outcome::Refused(
        crate::ids::ProposalId(1),
        crate::outbox::Refusal::Overloaded,
    );
    assert_eq!(outcomes, [refused]);
    let transfer = Message::Transfer { ballot: ballot(2, 2) };
    assert_eq!(records(hear(transfer)).0, [], "it does not run");
    records(Input::Room(true));
    assert_eq!(records(hear(accept())).0.len(), 1);
    assert_eq!(records(propose()).1, []);
}

#[test]
fn an_acceptor_waits_for_a_candidate_that_asks_for_further_pages() {
    let voters = alloc::vec![member(1), member(2), member(3)];
    let start = Start {
        cluster: ClusterId(1),
        group: GroupId(0),
        me: member(1),
        boot: 1,
        membership: Membership::new(voters, Vec::new()).unwrap(),
        recovered: Recovered::default(),
        config: Config::default(),
        now: Time::ZERO,
    };
    let mut group = Group::start(start).unwrap();
    let mut out = Outbox::default();
    let mut hear = |millis, from, message| {
        let input = Input::Receive { from: member(from), message };
        group.step(Time::from_millis(millis), input, &mut out);
        out.messages.drain(..).map(|(_, message)| message).collect::<Vec<_>>()
    };
    let (theirs, other) = (ballot(1, 2), ballot(2, 3));
    hear(0, 2, Message::Prepare { ballot: theirs, from: Instance(1) });
    hear(240, 2, Message::Prepare { ballot: theirs, from: Instance(2) });
    let mut granted = |millis| {
        let answers = hear(millis, 3, Message::Canvass { ballot: other });
        matches!(answers[..], [Message::CanvassReply { granted: true, .. }])
    };
    assert!(!granted(300), "half a timeout is over since the first page, not since the second");
    assert!(granted(490));
}

#[test]
fn a_candidate_takes_over_nothing_that_it_has_no_room_to_learn() {
    let voters = alloc::vec![member(1), member(2), member(3)];
    let mut group = Group::start(Start {
        cluster: ClusterId(1),
        group: GroupId(0),
        me: member(1),
        boot: 1,
        membership: Membership::new(voters, Vec::new()).unwrap(),
        recovered: Recovered::default(),
        config: Config { writes_in_flight_max: 2, ..Config::default() },
        now: Time::ZERO,
    })
    .unwrap();
    let mut out = Outbox::default();
    let transfer = Message::Transfer { ballot: ballot(1, 2) };
    group.step(Time::ZERO, Input::Receive { from: member(2), message: transfer }, &mut out);
    for millis in (100..).step_by(100).take(20) {
        while let Some(batch) = out.take_writes() {
            let durable = Input::Durable(batch.durable());
            group.step(Time::from_millis(millis), durable, &mut out);
        }
        if group.status().role == Role::Leader {
            break;
        }
        group.step(Time::from_millis(millis), Input::Tick, &mut out);
        for (to, message) in mem::take(&mut out.messages) {
            let Message::Prepare { ballot, from } = message else { continue };
            let chosen = |at| Reported {
                instance: Instance(at),
                entry: Report::Chosen(crate::testing::value(at)),
            };
            let entries = (from.0..=6).map(chosen).collect();
            let promise = Promise { ballot, from, to: Instance::MAX, chosen: Instance(6), entries };
            let message = Message::Promise(promise);
            let from = member(to.0);
            group.step(Time::from_millis(millis), Input::Receive { from, message }, &mut out);
        }
    }
    let status = group.status();
    assert_eq!((status.role, status.chosen), (Role::Leader, Instance(6)));
    assert_eq!(status.window, 1, "a no-op of its own is all that it proposes");
}

#[test]
fn a_peer_that_claims_to_know_far_more_stops_nobody() {
    // In PhxPaxos a node proposed nothing before it had learned up to the highest number it had heard.
    let mut group = Group::start(Start {
        cluster: ClusterId(1),
        group: GroupId(0),
        me: member(1),
        boot: 1,
        membership: Membership::new(alloc::vec![member(1)], Vec::new()).unwrap(),
        recovered: Recovered::default(),
        config: Config::default(),
        now: Time::ZERO,
    })
    .unwrap();
    let mut out = Outbox::default();
    let mut at = Time::ZERO;
    let mut step = |input| {
        group.step(at, input, &mut out);
        while let Some(batch) = out.take_writes() {
            group.step(at, Input::Durable(batch.durable()), &mut out);
        }
        at = group.deadline().map_or(at, |deadline| deadline.max(at));
        (group.status().role, group.status().chosen)
    };
    while step(Input::Tick).0 != Role::Leader {}
    let far = Instance(1 << 40);
    let learned =
        Message::Learned { from: far, values: Vec::new(), chosen: far, cleaned: far.prev() };
    for message in [learned, Message::Held { ballot: ballot(1, 9), held: far }] {
        let (_, before) = step(Input::Receive { from: member(9), message });
        let (id, sm, command) =
            (crate::ids::ProposalId(1), crate::ids::SmId(0), bytes::Bytes::new());
        step(Input::Propose { id, sm, command, deadline: Time::MAX });
        let (role, chosen) = step(Input::Tick);
        assert_eq!((role, chosen), (Role::Leader, before.next()));
    }
}
