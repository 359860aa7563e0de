use super::*;
use crate::config::Config;
use crate::founding::ClusterId;
use crate::ids::GroupId;
use crate::input::{Input, Role, Start};
use crate::membership::Membership;
use crate::message::Message;
use crate::outbox::Apply;
use crate::snapshot;
use crate::testing::{ballot, member, value};
use crate::time::Time;
use crate::write::Recovered;
use alloc::vec;

/// Node 1 of three, its disk and what it wants done.
struct Node {
    group: Group,
    out: Outbox,
    now: Time,
}

fn history() -> History {
    History::founded(Membership::new(vec![member(1), member(2), member(3)], vec![]).unwrap())
}

fn state(at: u64) -> Bytes {
    snapshot::encode(Instance(at), 0, &Sessions::default(), &Mastership::default(), &history())
}

fn try_start(recovered: Recovered) -> Result<Group, StartError> {
    Group::start(Start {
        cluster: ClusterId::default(),
        group: GroupId(0),
        me: member(1),
        boot: 1,
        membership: history().newest().clone(),
        recovered,
        config: Config::default(),
        now: Time::ZERO,
    })
}

fn node(recovered: Recovered) -> Node {
    Node { group: try_start(recovered).unwrap(), out: Outbox::default(), now: Time::ZERO }
}

impl Node {
    fn step(&mut self, input: Input) {
        self.group.step(self.now, input, &mut self.out);
        assert_eq!(self.group.failure(), None);
    }

    /// Goes on to the next moment at which the group has something to do.
    fn wait(&mut self) {
        self.out.messages.clear();
        self.now = self.group.deadline().unwrap();
        self.step(Input::Tick);
    }

    fn hear(&mut self, from: u64, message: Message) {
        self.step(Input::Receive { from: member(from), message });
    }

    fn accept(&mut self, round: u64, instance: u64) {
        let (ballot, instance) = (ballot(round, 2), Instance(instance));
        let value = value(instance.0);
        self.hear(2, Message::Accept { ballot, instance, value, chosen: Instance::ZERO });
    }

    fn sync(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        while let Some(batch) = self.out.take_writes() {
            records.extend(batch.records().to_vec());
            self.step(Input::Durable(batch.durable()));
        }
        records
    }

    fn install(&mut self, at: u64) {
        self.step(Input::Install { at: Instance(at), state: state(at) });
    }
}

#[test]
fn promise_and_votes_above_survive_an_install() {
    let mut node = node(Recovered::default());
    for instance in [2, 4, 5, 7] {
        node.accept(3, instance);
    }
    node.sync();
    node.install(4);
    assert_eq!(node.out.applies, [], "the record is not durable yet");
    let records = node.sync();
    let record = Record::Checkpoint { instance: Instance(4), state: state(4) };
    assert_eq!(records, [record, Record::Cleaned(Instance(4))]);
    assert_eq!(node.out.applies, [Apply::Install(Instance(4))]);
    let status = node.group.status();
    assert_eq!((status.promised, status.chosen), (ballot(3, 2), Instance(4)));
    assert_eq!((status.cleaned, status.checkpoint), (Instance(4), Instance(4)));
    node.out.messages.clear();
    node.hear(3, Message::Prepare { ballot: ballot(4, 3), from: Instance(5) });
    node.sync();
    let Some((_, Message::Promise(promise))) = node.out.messages.pop() else { panic!() };
    let reported: Vec<u64> = promise.entries.iter().map(|entry| entry.instance.0).collect();
    assert_eq!(reported, [5, 7]);
    node.hear(2, Message::Prepare { ballot: ballot(2, 2), from: Instance(5) });
    let refused = node.out.messages.iter().any(|(_, m)| matches!(m, Message::Nack { .. }));
    assert!(refused, "the promise was forgotten: {:?}", node.out.messages);
}

#[test]
fn a_checkpoint_that_leads_no_further_is_refused() {
    let mut node = node(Recovered { chosen: Instance(4), ..with_checkpoint(4) });
    for at in [3, 4] {
        node.install(at);
        assert_eq!(node.out.events.pop(), Some(Event::InstallRefused(Instance(at))));
    }
    node.step(Input::Install { at: Instance(9), state: Bytes::from_static(b"no state") });
    assert_eq!(node.out.events.pop(), Some(Event::InstallRefused(Instance(9))));
    assert_eq!(node.sync(), []);
    node.install(9);
    node.install(12);
    assert_eq!(node.out.events.pop(), Some(Event::InstallRefused(Instance(12))), "one at a time");
}

#[test]
fn no_other_is_installed_before_the_machines_have_taken_over_the_last() {
    let mut node = node(Recovered::default());
    node.install(4);
    node.sync();
    node.install(9);
    assert_eq!(node.out.events.pop(), Some(Event::InstallRefused(Instance(9))));
    node.step(Input::Applied(Instance(4)));
    node.install(9);
    assert_eq!(node.sync().len(), 2);
}

#[test]
fn nothing_is_executed_between_the_record_and_its_sync() {
    let mut node = node(Recovered::default());
    node.install(4);
    node.accept(3, 5);
    node.hear(2, Message::Heartbeat { ballot: ballot(3, 2), probe: 0, chosen: Instance(5) });
    assert_eq!(node.group.status().chosen, Instance(5));
    assert_eq!(node.out.applies, []);
    node.sync();
    let first = node.out.applies.first();
    assert_eq!(first, Some(&Apply::Install(Instance(4))));
    assert_eq!(node.out.applies.last(), Some(&Apply::Through(Instance(5))));
}

#[test]
fn a_candidate_that_installs_a_checkpoint_gives_up() {
    let mut node = node(Recovered::default());
    node.hear(2, Message::Transfer { ballot: ballot(1, 2) });
    assert_eq!(node.group.status().role, Role::Preparing);
    node.install(4);
    assert_eq!(node.group.status().role, Role::Follower);
}

fn with_checkpoint(at: u64) -> Recovered {
    Recovered { checkpoint: Some((Instance(at), state(at))), ..Recovered::default() }
}

#[test]
fn a_restart_goes_on_from_the_checkpoint() {
    let recovered = Recovered { chosen: Instance(6), cleaned: Instance(2), ..with_checkpoint(4) };
    let status = node(recovered).group.status();
    assert_eq!((status.handed_out, status.chosen), (Instance(4), Instance(6)));
    let status = node(Recovered { chosen: Instance(1), ..with_checkpoint(4) }).group.status();
    assert_eq!((status.handed_out, status.chosen, status.cleaned), {
        (Instance(4), Instance(4), Instance(4))
    });
}

#[test]
fn a_log_without_its_beginning_is_refused() {
    let (cleaned, chosen) = (Instance(5), Instance(6));
    for recovered in [with_checkpoint(4), Recovered::default()] {
        let error = try_start(Recovered { cleaned, chosen, ..recovered }).unwrap_err();
        assert_eq!(error, StartError::Log(cleaned, "it was cleaned above the last checkpoint"));
    }
}

#[test]
fn a_checkpoint_is_wanted_once_nobody_teaches_any_more() {
    let mut node = node(Recovered::default());
    let learned = |chosen, cleaned| Message::Learned {
        from: Instance(1),
        values: vec![],
        chosen: Instance(chosen),
        cleaned: Instance(cleaned),
    };
    assert_eq!(node.group.wanted(), None);
    node.hear(2, learned(9, 6));
    let wanted = |from: &[u64]| {
        Some(Wanted { next: Instance(1), from: from.iter().map(|&n| NodeId(n)).collect() })
    };
    assert_eq!(node.group.wanted(), wanted(&[2]));
    node.hear(
        3,
        Message::Learned {
            from: Instance(1),
            values: vec![value(1)],
            chosen: Instance(9),
            cleaned: Instance(0),
        },
    );
    assert_eq!(node.group.wanted(), None, "node 3 still teaches");
    node.hear(3, learned(9, 7));
    assert_eq!(node.group.wanted().map(|it| it.from), Some(vec![NodeId(2), NodeId(3)]));
    node.install(6);
    assert_eq!(node.group.wanted(), None);
}

#[test]
fn machines_that_lost_their_checkpoint_wait_for_one_of_a_peer_and_the_group_votes() {
    let recovered = Recovered { chosen: Instance(6), files_lost: true, ..with_checkpoint(4) };
    let mut node = node(recovered);
    node.accept(3, 7);
    node.sync();
    let voted = node.out.messages.iter().any(|(_, m)| matches!(m, Message::Accepted { .. }));
    assert!(voted, "{:?}", node.out.messages);
    assert_eq!(node.out.applies, []);
    let wanted = Wanted { next: Instance(4), from: vec![NodeId(2), NodeId(3)] };
    assert_eq!(node.group.wanted(), Some(wanted));
    node.install(4);
    node.sync();
    assert_eq!(node.out.applies, [Apply::Install(Instance(4))]);
    assert_eq!(node.group.wanted(), None);
}

#[test]
fn who_has_lost_its_checkpoint_leaves_leading_to_others() {
    let recovered = Recovered { chosen: Instance(6), files_lost: true, ..with_checkpoint(4) };
    let mut node = node(recovered);
    let canvasses = |node: &Node| {
        node.out.messages.iter().any(|(_, message)| matches!(message, Message::Canvass { .. }))
    };
    for _ in 0..20 {
        node.wait();
        assert!(!canvasses(&node), "{:?}", node.out.messages);
    }
    node.install(4);
    node.sync();
    node.step(Input::Applied(Instance(4)));
    for _ in 0..20 {
        node.wait();
        if canvasses(&node) {
            return;
        }
    }
    panic!("it never canvasses");
}

#[test]
fn a_checkpoint_is_taken_for_a_peer_that_has_lost_its_own() {
    let mut node = node(Recovered { chosen: Instance(4), ..with_checkpoint(4) });
    let taken = |node: &mut Node, next| {
        node.out.applies.clear();
        node.step(Input::CheckpointFor(Instance(next)));
        node.out.applies.iter().any(|apply| matches!(apply, Apply::Checkpoint { .. }))
    };
    assert!(!taken(&mut node, 4), "it is there");
    node.accept(3, 5);
    node.hear(2, Message::Heartbeat { ballot: ballot(3, 2), probe: 0, chosen: Instance(5) });
    node.sync();
    assert!(!taken(&mut node, 6), "nobody here is that far");
    assert!(taken(&mut node, 5));
    assert!(!taken(&mut node, 5), "it is being taken");
}
