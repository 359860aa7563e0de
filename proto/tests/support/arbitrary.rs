//! Strategies for packets that a node may send.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use synod_core::{
    Ballot, CheckpointId, ClusterId, Command, CommandKey, Founder, Founding, FoundingMessage,
    GroupId, Incarnation, Instance, Member, Membership, MembershipEntry, Message, NodeId, Promise,
    Report, Reported, SmId, TransferMessage, Value, ValueWriter,
};
use synod_proto::{Hello, Judgement, NUMBER_LIMIT, Packet, Verdict};

/// Small numbers, and any in use: both ends of what a varint takes.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![1..300_u64, 1..NUMBER_LIMIT]
}

fn number_or_zero() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), number()]
}

fn node() -> impl Strategy<Value = NodeId> {
    prop_oneof![0..10_u64, any::<u64>()].prop_map(NodeId)
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    (1..=u64::MAX).prop_map(Incarnation)
}

fn member() -> impl Strategy<Value = Member> {
    (node(), incarnation()).prop_map(|(node, incarnation)| Member { node, incarnation })
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (number(), node(), incarnation()).prop_map(|(round, node, incarnation)| Ballot {
        round,
        node,
        incarnation,
    })
}

fn instance() -> impl Strategy<Value = Instance> {
    number().prop_map(Instance)
}

fn prefix() -> impl Strategy<Value = Instance> {
    number_or_zero().prop_map(Instance)
}

fn key() -> impl Strategy<Value = CommandKey> {
    (incarnation(), any::<u64>(), 1..=u64::MAX).prop_map(|(origin, boot, seq)| CommandKey {
        origin,
        boot,
        seq,
    })
}

fn command() -> impl Strategy<Value = Command> {
    let payload = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 900..3000)];
    (key(), any::<u64>(), any::<u32>(), payload).prop_map(|(key, low, sm, payload)| Command {
        key,
        low: low % key.seq + 1,
        sm: SmId(sm),
        payload: payload.into(),
    })
}

fn commands() -> impl Strategy<Value = Value> {
    vec(command(), 1..4).prop_map(|commands| {
        let mut writer = ValueWriter::default();
        commands.iter().for_each(|command| writer.push(command));
        writer.finish()
    })
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::NOOP), 3 => commands(), 1 => entry()]
}

fn entry() -> impl Strategy<Value = Value> {
    let nodes = btree_map(1..1000_u64, 1..u64::MAX, 1..9);
    (key(), any::<u64>(), instance(), nodes, any::<u8>(), vec(any::<u8>(), 0..20)).prop_map(
        |(key, cluster, version, nodes, voters, book)| {
            let members = nodes.into_iter().map(|(node, memory)| Member {
                node: NodeId(node),
                incarnation: Incarnation(memory),
            });
            let mut voting: Vec<Member> = members.collect();
            let followers = voting.split_off(1 + usize::from(voters) % voting.len());
            let membership = Membership::new(voting, followers).unwrap();
            let membership = membership.with_book(book.into()).unwrap();
            let cluster = ClusterId(cluster);
            Value::of_membership(&MembershipEntry { key, cluster, version, membership })
        },
    )
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        (ballot(), value()).prop_map(|(ballot, value)| Report::Accepted(ballot, value)),
        ballot().prop_map(Report::Lost),
        value().prop_map(Report::Chosen),
    ]
}

fn promise() -> impl Strategy<Value = Promise> {
    let gaps = btree_map(0..1000_u64, report(), 0..5);
    (ballot(), 1..NUMBER_LIMIT - 2000, gaps, proptest::option::of(1000..2000_u64)).prop_map(
        |(ballot, from, gaps, page)| Promise {
            ballot,
            from: Instance(from),
            chosen: Instance(from - 1),
            to: page.map_or(Instance::MAX, |page| Instance(from + page)),
            entries: gaps
                .into_iter()
                .map(|(gap, entry)| Reported { instance: Instance(from + gap), entry })
                .collect(),
        },
    )
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        ballot().prop_map(|ballot| Message::Canvass { ballot }),
        (ballot(), any::<bool>(), prop_oneof![Just(Ballot::ZERO), ballot()], prefix()).prop_map(
            |(ballot, granted, promised, chosen)| Message::CanvassReply {
                ballot,
                granted,
                promised,
                chosen
            }
        ),
        (ballot(), instance()).prop_map(|(ballot, from)| Message::Prepare { ballot, from }),
        promise().prop_map(Message::Promise),
        (ballot(), instance()).prop_map(|(ballot, cleaned)| Message::Behind { ballot, cleaned }),
        (ballot(), ballot()).prop_map(|(ballot, promised)| Message::Nack { ballot, promised }),
        (ballot(), instance(), value(), prefix()).prop_map(|(ballot, instance, value, chosen)| {
            Message::Accept { ballot, instance, value, chosen }
        }),
        (ballot(), instance(), instance()).prop_map(|(ballot, a, b)| Message::Accepted {
            ballot,
            first: a.min(b),
            last: a.max(b)
        }),
        (ballot(), any::<u64>(), prefix()).prop_map(|(ballot, probe, chosen)| Message::Heartbeat {
            ballot,
            probe,
            chosen
        }),
        (ballot(), any::<u64>(), prefix())
            .prop_map(|(ballot, probe, chosen)| Message::HeartbeatAck { ballot, probe, chosen }),
        (instance(), any::<bool>()).prop_map(|(from, lost)| Message::Learn { from, lost }),
        (instance(), ballot(), value()).prop_map(|(instance, ballot, value)| Message::Voted {
            instance,
            ballot,
            value
        }),
        (1..NUMBER_LIMIT - 10, vec(value(), 0..4), prefix(), prefix()).prop_map(
            |(from, values, chosen, cleaned)| Message::Learned {
                from: Instance(from),
                values,
                chosen,
                cleaned
            }
        ),
        (ballot(), any::<bool>(), commands())
            .prop_map(|(ballot, spread, commands)| Message::Forward { ballot, spread, commands }),
        (ballot(), vec(key(), 0..4)).prop_map(|(ballot, keys)| Message::Refused { ballot, keys }),
        (1..=u64::MAX).prop_map(|round| Message::ReadIndex { round }),
        (1..=u64::MAX, prefix())
            .prop_map(|(round, instance)| Message::ReadPoint { round, instance }),
        ballot().prop_map(|ballot| Message::Transfer { ballot }),
        (ballot(), 1..=u64::MAX, 1..=u64::MAX).prop_map(|(ballot, question, nanos)| {
            Message::Lease { ballot, question, length: Duration::from_nanos(nanos) }
        }),
        (ballot(), 1..=u64::MAX)
            .prop_map(|(ballot, question)| Message::Granted { ballot, question }),
        ballot().prop_map(|ballot| Message::Release { ballot }),
        (ballot(), prefix()).prop_map(|(ballot, chosen)| Message::Hold { ballot, chosen }),
        (ballot(), prefix()).prop_map(|(ballot, held)| Message::Held { ballot, held }),
        (instance(), any::<u64>(), any::<Option<u64>>())
            .prop_map(|(at, log, state)| Message::Digest { at, log, state }),
        (ballot(), entry()).prop_map(|(ballot, entry)| Message::Change { ballot, entry }),
        (key(), any::<u64>())
            .prop_map(|(key, on)| { Message::Waits { key, on: (on != 0).then_some(NodeId(on)) } }),
    ]
}

fn memories() -> impl Strategy<Value = Vec<(GroupId, Incarnation)>> {
    btree_map(any::<u32>().prop_map(GroupId), incarnation(), 0..4)
        .prop_map(|map| map.into_iter().collect())
}

fn membership() -> impl Strategy<Value = Membership> {
    let members = btree_map(node(), incarnation(), 1..6);
    (members, any::<usize>()).prop_map(|(members, split)| {
        let all: Vec<Member> =
            members.into_iter().map(|(node, incarnation)| Member { node, incarnation }).collect();
        let (voters, followers) = all.split_at(split % all.len() + 1);
        Membership::new(voters.to_vec(), followers.to_vec()).unwrap()
    })
}

fn founding_message() -> impl Strategy<Value = FoundingMessage> {
    let groups = btree_map(any::<u32>().prop_map(GroupId), membership(), 0..4);
    prop_oneof![
        (1..=u64::MAX).prop_map(|nonce| FoundingMessage::Ask { nonce }),
        (1..=u64::MAX, btree_set(node(), 1..5), memories()).prop_map(
            |(nonce, founders, memories)| FoundingMessage::Fresh {
                nonce,
                founder: Founder { founders: founders.into_iter().collect(), memories },
            }
        ),
        (any::<u64>(), any::<u64>(), groups).prop_map(|(nonce, cluster, groups)| {
            FoundingMessage::Founded {
                nonce,
                founding: Founding {
                    cluster: ClusterId(cluster),
                    groups: groups.into_iter().collect(),
                },
            }
        }),
    ]
}

fn hello() -> impl Strategy<Value = Hello> {
    let versions = (1..=u32::MAX, 1..=u32::MAX);
    let cluster = proptest::option::of(any::<u64>().prop_map(ClusterId));
    let life = (1..=u64::MAX, any::<u64>(), any::<u64>());
    (versions, cluster, node(), node(), life, memories()).prop_map(
        |((a, b), cluster, node, to, (boot, durable_batch, nonce), groups)| Hello {
            version_min: a.min(b),
            version_max: a.max(b),
            cluster,
            node,
            to,
            boot,
            durable_batch,
            nonce,
            groups,
        },
    )
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![Just(Verdict::Fine), Just(Verdict::Rollback), Just(Verdict::Clone)]
}

fn transfer() -> impl Strategy<Value = TransferMessage> {
    let number = || 1..1_u64 << 63;
    let id = || {
        (number(), any::<u64>()).prop_map(|(at, digest)| CheckpointId { at: Instance(at), digest })
    };
    let bytes = |least| vec(any::<u8>(), least..300).prop_map(Bytes::from);
    prop_oneof![
        number().prop_map(|next| TransferMessage::Ask { next: Instance(next) }),
        (id(), bytes(0)).prop_map(|(id, manifest)| TransferMessage::Offer { id, manifest }),
        (id(), any::<u32>(), number(), 1..=u32::MAX)
            .prop_map(|(id, file, offset, len)| TransferMessage::Fetch { id, file, offset, len }),
        (id(), any::<u32>(), number(), bytes(1)).prop_map(|(id, file, offset, bytes)| {
            TransferMessage::Chunk { id, file, offset, bytes }
        }),
        id().prop_map(|id| TransferMessage::Nothing { id }),
    ]
}

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    prop_oneof![
        1 => hello().prop_map(Packet::Hello),
        1 => (1..=u64::MAX, any::<u64>(), verdict()).prop_map(|(boot, nonce, verdict)| {
            Packet::Judged(Judgement { boot, nonce, verdict })
        }),
        1 => founding_message().prop_map(Packet::Founding),
        6 => (any::<u32>(), incarnation(), message()).prop_map(|(group, from, message)| {
            Packet::Group { group: GroupId(group), from, message }
        }),
        1 => (any::<u32>(), transfer()).prop_map(|(group, message)| {
            Packet::Transfer { group: GroupId(group), message }
        }),
    ]
}

/// A command with this many bytes of payload, alone in a value.
pub(crate) fn value_of(len: usize) -> Value {
    let key = CommandKey { origin: Incarnation(1), boot: 1, seq: 1 };
    let mut writer = ValueWriter::default();
    writer.push(&Command { key, low: 1, sm: SmId(0), payload: Bytes::from([7].repeat(len)) });
    writer.finish()
}
