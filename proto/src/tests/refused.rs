//! What decoding refuses, a line each: the packet, one field broken, the reason.

use bytes::Bytes;
use prost::Message as _;

use super::support::samples::samples;
use crate::decode::{self, DecodeError};
use crate::wire::{self, FoundingBody, GroupBody, PacketBody, ReportedEntry, TransferBody};

/// Breaks one field of a sample and tells why decoding refuses it.
fn refused(sample: &str, broken: impl FnOnce(&mut wire::Packet)) -> String {
    let mut packet = wire_of(sample);
    broken(&mut packet);
    let body = packet.encode_to_vec();
    decode::packet(body.into()).expect_err("this should be refused").to_string()
}

fn wire_of(sample: &str) -> wire::Packet {
    let (_, packet) = samples().into_iter().find(|(name, _)| name == sample).expect(sample);
    wire::Packet::decode(super::body(&packet)).unwrap()
}

/// `refuses!(sample, Kind, |part| break it, "reason")` for packets about a group.
macro_rules! refuses {
    ($sample:literal, $kind:ident, |$part:ident| $broken:expr, $reason:literal) => {
        let found = refused($sample, |packet| match &mut packet.body {
            Some(PacketBody::Group(group)) => match &mut group.body {
                Some(GroupBody::$kind($part)) => $broken,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        assert_eq!(found, $reason, "{}", $sample);
    };
}

#[test]
fn a_missing_or_unknown_message() {
    let empty = decode::packet(Bytes::new()).unwrap_err();
    assert_eq!(empty, DecodeError::Missing("packet body"));
    // Field 15 of the packet, and field 99 of the group packet, come from a later version.
    let unknown = decode::packet(Bytes::from_static(&[0x7a, 0])).unwrap_err();
    assert_eq!(unknown, DecodeError::Missing("packet body"));
    let nothing = wire::GroupPacket { group: 1, from: 1, body: None };
    let body = wire::Packet { body: Some(PacketBody::Group(nothing)) }.encode_to_vec();
    let error = decode::packet(body.into()).unwrap_err();
    assert_eq!(error.to_string(), "group message is missing, or of a kind that is unknown here");
    let nothing = wire::FoundingPacket { body: None };
    let body = wire::Packet { body: Some(PacketBody::Founding(nothing)) }.encode_to_vec();
    assert_eq!(decode::packet(body.into()), Err(DecodeError::Missing("founding message")));
}

#[test]
fn an_unknown_field_is_skipped() {
    let packet = samples().into_iter().find(|(name, _)| name == "group.accept").unwrap().1;
    let mut body = super::body(&packet).to_vec();
    body.extend([0x78, 5]); // field 15 of the packet, a number
    assert_eq!(decode::packet(body.into()), Ok(packet));
}

#[test]
fn ballots_that_nobody_can_have() {
    let ballot = |b: &mut Option<wire::Ballot>| *b = None;
    refuses!(
        "group.accept",
        Accept,
        |a| ballot(&mut a.ballot),
        "ballot is missing, or of a kind that is unknown here"
    );
    refuses!(
        "group.nack",
        Nack,
        |n| ballot(&mut n.promised),
        "ballot is missing, or of a kind that is unknown here"
    );
    refuses!(
        "group.transfer",
        Transfer,
        |t| t.ballot.as_mut().unwrap().round = 0,
        "ballot round is zero"
    );
    refuses!(
        "group.canvass",
        Canvass,
        |c| c.ballot.as_mut().unwrap().incarnation = 0,
        "incarnation is zero"
    );
    refuses!(
        "group.canvass_reply.refused",
        CanvassReply,
        |c| c.promised = Some(wire::Ballot { round: 0, node: 0, incarnation: 0 }),
        "ballot round is zero"
    );
    refuses!(
        "group.prepare",
        Prepare,
        |p| p.ballot.as_mut().unwrap().round = u64::MAX,
        "ballot round is 18446744073709551615, beyond every number in use"
    );
}

#[test]
fn instances_outside_the_log() {
    refuses!("group.accept", Accept, |a| a.instance = 0, "accept instance is zero");
    refuses!(
        "group.accept",
        Accept,
        |a| a.chosen = u64::MAX,
        "accept chosen is 18446744073709551615, beyond every number in use"
    );
    refuses!("group.learn", Learn, |l| l.from = 0, "learn from is zero");
    refuses!("group.behind", Behind, |b| b.cleaned = 0, "behind cleaned is zero");
    refuses!(
        "group.heartbeat",
        Heartbeat,
        |h| h.chosen = 1 << 63,
        "heartbeat chosen is 9223372036854775808, beyond every number in use"
    );
    refuses!(
        "group.heartbeat_ack",
        HeartbeatAck,
        |h| h.chosen = 1 << 63,
        "heartbeat ack chosen is 9223372036854775808, beyond every number in use"
    );
    refuses!(
        "group.read_point",
        ReadPoint,
        |r| r.instance = 1 << 63,
        "read point is 9223372036854775808, beyond every number in use"
    );
    refuses!(
        "group.learned",
        Learned,
        |l| l.from = (1 << 63) - 2,
        "learned end is 9223372036854775808, beyond every number in use"
    );
}

#[test]
fn counts_that_start_at_one() {
    refuses!("group.read_index", ReadIndex, |r| r.round = 0, "read round is zero");
    refuses!("group.read_point", ReadPoint, |r| r.round = 0, "read round is zero");
    refuses!("group.refused", Refused, |r| r.keys[1].seq = 0, "command seq is zero");
    refuses!("group.refused", Refused, |r| r.keys[0].origin = 0, "incarnation is zero");
}

#[test]
fn ranges_that_are_none() {
    refuses!(
        "group.accepted",
        Accepted,
        |a| a.first = 11,
        "accepted ends at 10, below its start 11"
    );
    refuses!("group.promise.page", Promise, |p| p.to = 9, "promise ends at 9, below its start 10");
}

#[test]
fn promises_that_contradict_themselves() {
    refuses!(
        "group.promise.page",
        Promise,
        |p| p.entries.swap(0, 1),
        "promised entries are not in ascending order, or name one twice"
    );
    refuses!(
        "group.promise.page",
        Promise,
        |p| p.entries[1].instance = 10,
        "promised entries are not in ascending order, or name one twice"
    );
    refuses!(
        "group.promise.page",
        Promise,
        |p| p.entries[2].instance = 14,
        "instance #14 is reported outside the page #10..=#13"
    );
    refuses!(
        "group.promise.page",
        Promise,
        |p| p.entries[0].instance = 9,
        "instance #9 is reported outside the page #10..=#13"
    );
    refuses!(
        "group.promise.page",
        Promise,
        |p| p.entries[0].entry = None,
        "reported entry is missing, or of a kind that is unknown here"
    );
    refuses!(
        "group.promise.page",
        Promise,
        |p| p.entries[0].entry =
            Some(ReportedEntry::Lost(wire::Ballot { round: 0, node: 1, incarnation: 1 })),
        "ballot round is zero"
    );
}

#[test]
fn values_that_are_none() {
    refuses!(
        "group.accept",
        Accept,
        |a| a.value = Bytes::new(),
        "value of 0 bytes is malformed at byte 0"
    );
    refuses!(
        "group.learned",
        Learned,
        |l| l.values[1] = Bytes::from_static(&[9]),
        "value kind 9 is unknown: written by a newer version, or damaged"
    );
    refuses!(
        "group.forward",
        Forward,
        |f| f.commands = Bytes::from_static(&[0]),
        "a no-op is forwarded where commands should be"
    );
}

#[test]
fn senders_without_a_memory() {
    let found = refused("group.accept", |packet| match &mut packet.body {
        Some(PacketBody::Group(group)) => group.from = 0,
        other => panic!("{other:?}"),
    });
    assert_eq!(found, "incarnation is zero");
}

#[test]
fn hellos_that_say_nothing() {
    let hello = |broken: fn(&mut wire::Hello)| {
        refused("hello.member", |packet| match &mut packet.body {
            Some(PacketBody::Hello(hello)) => broken(hello),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(hello(|h| h.version_min = 0), "hello version is zero");
    assert_eq!(hello(|h| h.version_min = 3), "hello version range ends at 2, below its start 3");
    assert_eq!(hello(|h| h.boot = 0), "hello boot is zero");
    let twice = "memories are not in ascending order, or name one twice";
    assert_eq!(hello(|h| h.groups[1].group = 0), twice);
    assert_eq!(hello(|h| h.groups[1].incarnation = 0), "incarnation is zero");
}

#[test]
fn foundings_that_found_nothing() {
    let founding = |sample, broken: fn(&mut FoundingBody)| {
        refused(sample, |packet| match &mut packet.body {
            Some(PacketBody::Founding(founding)) => broken(founding.body.as_mut().unwrap()),
            other => panic!("{other:?}"),
        })
    };
    macro_rules! case {
        ($sample:literal, $kind:ident, |$part:ident| $broken:expr, $reason:literal) => {
            let found = founding($sample, |body| match body {
                FoundingBody::$kind($part) => $broken,
                other => panic!("{other:?}"),
            });
            assert_eq!(found, $reason);
        };
    }
    case!("founding.ask", Ask, |a| a.nonce = 0, "ask nonce is zero");
    case!("founding.fresh", Fresh, |f| f.nonce = 0, "fresh nonce is zero");
    case!(
        "founding.fresh",
        Fresh,
        |f| f.founders.clear(),
        "founders is missing, or of a kind that is unknown here"
    );
    case!(
        "founding.fresh",
        Fresh,
        |f| f.founders[1] = 1,
        "founders are not in ascending order, or name one twice"
    );
    case!(
        "founding.founded",
        Founded,
        |f| f.groups[1].group = 0,
        "founded groups are not in ascending order, or name one twice"
    );
    case!(
        "founding.founded",
        Founded,
        |f| f.groups[0].voters.clear(),
        "group 0: a membership needs at least one voter"
    );
    case!(
        "founding.founded",
        Founded,
        |f| f.groups[1].followers[0].node = 1,
        "group 7: node 1 is listed twice"
    );
    case!(
        "founding.founded",
        Founded,
        |f| f.groups[1].voters[0].incarnation = 0,
        "incarnation is zero"
    );
}

#[test]
fn transfers_that_name_nothing() {
    let transfer = |sample, broken: fn(&mut TransferBody)| {
        refused(sample, |packet| match &mut packet.body {
            Some(PacketBody::Transfer(packet)) => broken(packet.body.as_mut().unwrap()),
            other => panic!("{other:?}"),
        })
    };
    macro_rules! refuses {
        ($sample:literal, $kind:ident, |$part:ident| $broken:expr, $reason:literal) => {
            let found = transfer($sample, |body| match body {
                TransferBody::$kind($part) => $broken,
                other => panic!("{other:?}"),
            });
            assert_eq!(found, $reason, "{}", $sample);
        };
    }
    refuses!("transfer.ask", Ask, |it| it.next = 0, "ask next is zero");
    refuses!("transfer.offer", Offer, |it| it.at = 0, "checkpoint at is zero");
    refuses!(
        "transfer.offer",
        Offer,
        |it| it.manifest = vec![0; (16 << 20) + 1].into(),
        "manifest length is 16777217, beyond every number in use"
    );
    refuses!("transfer.fetch", Fetch, |it| it.len = 0, "fetch length is zero");
    refuses!(
        "transfer.fetch",
        Fetch,
        |it| it.offset = u64::MAX,
        "fetch offset is 18446744073709551615, beyond every number in use"
    );
    refuses!(
        "transfer.chunk",
        Chunk,
        |it| it.data.clear(),
        "chunk data is missing, or of a kind that is unknown here"
    );
    let nothing = wire::TransferPacket { group: 1, body: None };
    let body = wire::Packet { body: Some(PacketBody::Transfer(nothing)) }.encode_to_vec();
    assert_eq!(decode::packet(body.into()), Err(DecodeError::Missing("transfer message")));
}
