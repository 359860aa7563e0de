//! A named packet of every kind, with every optional part once there and once not.

use std::time::Duration;

use bytes::Bytes;
use synod_core::{
    Ballot, CheckpointId, ClusterId, Command, CommandKey, Founder, Founding, FoundingMessage,
    GroupId, Incarnation, Instance, Manifest, ManifestFile, Member, Membership, MembershipEntry,
    Message, NodeId, Promise, Report, Reported, SmId, TransferMessage, Value, ValueWriter,
};
use synod_proto::{Hello, Judgement, Packet, Verdict};

/// Ballot 5 of node 2.
const BALLOT: Ballot =
    Ballot { round: 5, node: NodeId(2), incarnation: Incarnation(0x2222_0000_0000_0002) };
/// Ballot 4 of node 300, whose numbers take two bytes.
const LOWER: Ballot =
    Ballot { round: 4, node: NodeId(300), incarnation: Incarnation(0x3333_0000_0000_0003) };

/// Names do not change, and none is used twice: fixtures go by them.
pub(crate) fn samples() -> Vec<(String, Packet)> {
    let mut all = Vec::new();
    for (name, hello) in hellos() {
        all.push((format!("hello.{name}"), Packet::Hello(hello)));
    }
    let judged = |verdict| Packet::Judged(Judgement { boot: 3, nonce: 5, verdict });
    all.push(("judged.fine".to_owned(), judged(Verdict::Fine)));
    all.push(("judged.rollback".to_owned(), judged(Verdict::Rollback)));
    all.push(("judged.clone".to_owned(), judged(Verdict::Clone)));
    for message in foundings() {
        all.push((format!("founding.{}", founding_name(&message)), Packet::Founding(message)));
    }
    for (case, message) in messages() {
        let name = [message_name(&message), case].join(if case.is_empty() { "" } else { "." });
        let from = Incarnation(0x1111_0000_0000_0001);
        all.push((format!("group.{name}"), Packet::Group { group: GroupId(7), from, message }));
    }
    for (name, message) in transfers() {
        let packet = Packet::Transfer { group: GroupId(7), message };
        all.push((format!("transfer.{name}"), packet));
    }
    all
}

/// Names the kind; a new kind does not compile until it has a name, and needs a sample then.
pub(crate) fn message_name(message: &Message) -> &'static str {
    match message {
        Message::Canvass { .. } => "canvass",
        Message::CanvassReply { .. } => "canvass_reply",
        Message::Prepare { .. } => "prepare",
        Message::Promise(_) => "promise",
        Message::Behind { .. } => "behind",
        Message::Nack { .. } => "nack",
        Message::Accept { .. } => "accept",
        Message::Accepted { .. } => "accepted",
        Message::Heartbeat { .. } => "heartbeat",
        Message::HeartbeatAck { .. } => "heartbeat_ack",
        Message::Learn { .. } => "learn",
        Message::Learned { .. } => "learned",
        Message::Voted { .. } => "voted",
        Message::Forward { .. } => "forward",
        Message::Refused { .. } => "refused",
        Message::ReadIndex { .. } => "read_index",
        Message::ReadPoint { .. } => "read_point",
        Message::Lease { .. } => "lease",
        Message::Granted { .. } => "granted",
        Message::Release { .. } => "release",
        Message::Transfer { .. } => "transfer",
        Message::Hold { .. } => "hold",
        Message::Held { .. } => "held",
        Message::Digest { .. } => "digest",
        Message::Change { .. } => "change",
        Message::Waits { .. } => "waits",
    }
}

/// Every name that [`message_name`] gives.
pub(crate) const MESSAGE_NAMES: [&str; 26] = [
    "lease",
    "granted",
    "release",
    "canvass",
    "canvass_reply",
    "prepare",
    "promise",
    "behind",
    "nack",
    "accept",
    "accepted",
    "heartbeat",
    "heartbeat_ack",
    "learn",
    "learned",
    "voted",
    "forward",
    "refused",
    "read_index",
    "read_point",
    "transfer",
    "hold",
    "held",
    "digest",
    "change",
    "waits",
];

fn founding_name(message: &FoundingMessage) -> &'static str {
    match message {
        FoundingMessage::Ask { .. } => "ask",
        FoundingMessage::Fresh { .. } => "fresh",
        FoundingMessage::Founded { .. } => "founded",
    }
}

fn hellos() -> Vec<(&'static str, Hello)> {
    let fresh = Hello {
        version_min: 1,
        version_max: 1,
        cluster: None,
        node: NodeId(1),
        to: NodeId(2),
        boot: 1,
        durable_batch: 0,
        nonce: 0x0123_4567_89ab_cdef,
        groups: vec![],
    };
    let member = Hello {
        version_max: 2,
        cluster: Some(ClusterId(0xc105_7e40_0000_0001)),
        boot: 3,
        durable_batch: 1_000_000,
        groups: vec![(GroupId(0), Incarnation(0xa)), (GroupId(7), Incarnation(0xb))],
        ..fresh.clone()
    };
    vec![("fresh", fresh), ("member", member)]
}

fn foundings() -> Vec<FoundingMessage> {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node << 60) };
    let three = Membership::new((1..=3).map(member).collect(), vec![]).unwrap();
    let with_follower = Membership::new(vec![member(1)], vec![member(2)]).unwrap();
    vec![
        FoundingMessage::Ask { nonce: 0xaaaa },
        FoundingMessage::Fresh {
            nonce: 0xaaaa,
            founder: Founder {
                founders: [1, 2, 300].map(NodeId).to_vec(),
                memories: vec![(GroupId(0), Incarnation(0xa)), (GroupId(7), Incarnation(0xb))],
            },
        },
        FoundingMessage::Founded {
            nonce: 0,
            founding: Founding {
                cluster: ClusterId(0xc105_7e40_0000_0001),
                groups: vec![(GroupId(0), three), (GroupId(7), with_follower)],
            },
        },
    ]
}

fn transfers() -> Vec<(&'static str, TransferMessage)> {
    let id = CheckpointId { at: Instance(1_000), digest: 0x1234_5678_9abc_def0 };
    let file = |name: &str| ManifestFile { sm: SmId(3), name: name.into(), size: 300, crc: 9 };
    let manifest = Manifest {
        at: id.at,
        state: Bytes::from_static(b"state"),
        files: vec![file("a"), file("b")],
    };
    let bytes = Bytes::from_static(b"part of a file");
    vec![
        ("ask", TransferMessage::Ask { next: Instance(10) }),
        ("offer", TransferMessage::Offer { id, manifest: manifest.encode() }),
        ("fetch", TransferMessage::Fetch { id, file: 1, offset: 300, len: 1 << 20 }),
        ("chunk", TransferMessage::Chunk { id, file: 1, offset: 300, bytes }),
        ("nothing", TransferMessage::Nothing { id: CheckpointId::default() }),
        ("nothing.gone", TransferMessage::Nothing { id }),
    ]
}

fn messages() -> Vec<(&'static str, Message)> {
    let ballot = BALLOT;
    let (one, ten) = (Instance(1), Instance(10));
    vec![
        ("", Message::Canvass { ballot }),
        (
            "granted",
            Message::CanvassReply {
                ballot,
                granted: true,
                promised: Ballot::ZERO,
                chosen: Instance::ZERO,
            },
        ),
        ("refused", Message::CanvassReply { ballot, granted: false, promised: LOWER, chosen: ten }),
        ("", Message::Prepare { ballot, from: ten }),
        (
            "page",
            Message::Promise(Promise {
                ballot,
                from: ten,
                to: Instance(13),
                chosen: ten,
                entries: vec![
                    Reported { instance: ten, entry: Report::Chosen(value(1, b"a")) },
                    Reported { instance: Instance(11), entry: Report::Lost(LOWER) },
                    Reported {
                        instance: Instance(13),
                        entry: Report::Accepted(LOWER, value(1, b"b")),
                    },
                ],
            }),
        ),
        (
            "last",
            Message::Promise(Promise {
                ballot,
                from: one,
                to: Instance::MAX,
                chosen: Instance::ZERO,
                entries: vec![],
            }),
        ),
        ("", Message::Behind { ballot, cleaned: ten }),
        ("", Message::Nack { ballot: LOWER, promised: BALLOT }),
        ("", Message::Accept { ballot, instance: ten, value: value(2, b"command"), chosen: one }),
        (
            "noop",
            Message::Accept { ballot, instance: one, value: Value::NOOP, chosen: Instance::ZERO },
        ),
        ("", Message::Accepted { ballot, first: one, last: ten }),
        ("", Message::Heartbeat { ballot, probe: 300, chosen: ten }),
        ("no probe", Message::Heartbeat { ballot, probe: 0, chosen: ten }),
        ("", Message::HeartbeatAck { ballot, probe: 300, chosen: ten }),
        ("none", Message::HeartbeatAck { ballot, probe: 0, chosen: Instance::ZERO }),
        ("", Message::Learn { from: ten, lost: false }),
        ("lost", Message::Learn { from: ten, lost: true }),
        ("", Message::Voted { instance: ten, ballot, value: value(1, b"voted") }),
        (
            "",
            Message::Learned {
                from: ten,
                values: vec![Value::NOOP, value(1, b"learned")],
                chosen: Instance(1_000_000_000_000),
                cleaned: one,
            },
        ),
        (
            "empty",
            Message::Learned {
                from: ten,
                values: vec![],
                chosen: Instance::ZERO,
                cleaned: Instance::ZERO,
            },
        ),
        ("", Message::Forward { ballot, spread: true, commands: value(2, b"forwarded") }),
        ("", Message::Refused { ballot, keys: vec![key(1), key(2)] }),
        ("", Message::ReadIndex { round: 9 }),
        ("", Message::ReadPoint { round: 9, instance: ten }),
        ("", Message::Transfer { ballot }),
        ("", Message::Lease { ballot, question: 3, length: Duration::from_millis(400) }),
        ("", Message::Granted { ballot, question: 3 }),
        ("", Message::Release { ballot }),
        ("", Message::Hold { ballot, chosen: ten }),
        ("", Message::Held { ballot, held: ten }),
        ("", Message::Digest { at: ten, log: 1 << 63, state: Some(0) }),
        ("no state", Message::Digest { at: ten, log: 7, state: None }),
        ("", Message::Change { ballot, entry: membership(Instance(300)) }),
        ("", Message::Waits { key: key(3), on: Some(NodeId(4)) }),
        ("another", Message::Waits { key: key(3), on: None }),
    ]
}

/// A membership entry for this version.
pub(crate) fn membership(version: Instance) -> Value {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node * 10) };
    let membership = Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap();
    let membership = membership.with_book(Bytes::from_static(b"1 here")).unwrap();
    let (key, cluster) = (key(7), ClusterId(5));
    Value::of_membership(&MembershipEntry { key, cluster, version, membership })
}

/// A value of so many commands with this payload.
pub(crate) fn value(commands: u64, payload: &'static [u8]) -> Value {
    let mut writer = ValueWriter::default();
    for seq in 1..=commands {
        let payload = Bytes::from_static(payload);
        writer.push(&Command { key: key(seq), low: 1, sm: SmId(3), payload });
    }
    writer.finish()
}

fn key(seq: u64) -> CommandKey {
    CommandKey { origin: Incarnation(0x1111_0000_0000_0001), boot: 2, seq }
}
