//! Packets to bytes, field by field: what prost would write, without building what prost would
//! write it from. `proto/tests/` holds the two against each other.

use bytes::Bytes;
use prost::encoding::encoded_len_varint;
use synod_core::{
    Ballot, CommandKey, FoundingMessage, GroupId, Incarnation, Instance, Member, Membership,
    Message, Report, Reported,
};

use crate::hello::Hello;
use crate::judge::{Judgement, Verdict};
use crate::packet::Packet;
use crate::transfer::TransferPacket;

/// Something with a protobuf encoding.
pub(crate) trait Encode {
    /// Writes the fields, ascending by tag, leaving out what protobuf leaves out.
    fn encode<S: Sink>(&self, sink: &mut S);

    /// How many bytes [`encode`](Self::encode) writes.
    fn encoded_len(&self) -> usize {
        let mut counter = Counter(0);
        self.encode(&mut counter);
        counter.0
    }
}

/// Where encoded fields go.
pub(crate) trait Sink: Sized {
    /// A number in base-128 form.
    fn varint(&mut self, number: u64);
    /// Eight bytes, little endian.
    fn eight(&mut self, number: u64);
    /// Bytes as they are; the sink may share them.
    fn raw(&mut self, bytes: &Bytes);
    /// The fields of a message that take `len` bytes.
    fn nested<M: Encode>(&mut self, message: &M, len: usize);

    /// Opens a field.
    fn key(&mut self, tag: u32, kind: Kind) {
        self.varint(u64::from((tag << 3) | kind.bits()));
    }

    /// A `uint32`, `uint64` or `bool` field.
    fn uint(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.key(tag, Kind::Varint);
            self.varint(number);
        }
    }

    /// A `fixed64` field.
    fn fixed(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.key(tag, Kind::Eight);
            self.eight(number);
        }
    }

    /// An `optional fixed64` field.
    fn fixed_if(&mut self, tag: u32, number: Option<u64>) {
        if let Some(number) = number {
            self.key(tag, Kind::Eight);
            self.eight(number);
        }
    }

    /// A `bytes` field, present even if empty.
    fn bytes(&mut self, tag: u32, bytes: &Bytes) {
        self.key(tag, Kind::Length);
        self.varint(count(bytes.len()));
        self.raw(bytes);
    }

    /// A `bytes` field that may be empty, and is absent then.
    fn bytes_if_any(&mut self, tag: u32, bytes: &Bytes) {
        if !bytes.is_empty() {
            self.bytes(tag, bytes);
        }
    }

    /// A message field, present even if empty.
    fn message<M: Encode>(&mut self, tag: u32, message: &M) {
        let len = message.encoded_len();
        self.key(tag, Kind::Length);
        self.varint(count(len));
        self.nested(message, len);
    }

    /// A `repeated` field of messages.
    fn messages<M: Encode>(&mut self, tag: u32, messages: &[M]) {
        for message in messages {
            self.message(tag, message);
        }
    }

    /// A `repeated uint64` field, packed.
    fn packed(&mut self, tag: u32, numbers: impl Iterator<Item = u64> + Clone) {
        let len: usize = numbers.clone().map(encoded_len_varint).sum();
        if len != 0 {
            self.key(tag, Kind::Length);
            self.varint(count(len));
            for number in numbers {
                self.varint(number);
            }
        }
    }
}

/// How protobuf lays out a field.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Varint,
    Eight,
    Length,
}

impl Kind {
    pub(crate) const fn bits(self) -> u32 {
        match self {
            Self::Varint => 0,
            Self::Eight => 1,
            Self::Length => 2,
        }
    }
}

struct Counter(usize);

impl Sink for Counter {
    fn varint(&mut self, number: u64) {
        self.0 += encoded_len_varint(number);
    }

    fn eight(&mut self, _: u64) {
        self.0 += 8;
    }

    fn raw(&mut self, bytes: &Bytes) {
        self.0 += bytes.len();
    }

    fn nested<M: Encode>(&mut self, _: &M, len: usize) {
        self.0 += len;
    }
}

impl Encode for Packet {
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self {
            Self::Hello(hello) => sink.message(1, hello),
            Self::Founding(message) => sink.message(2, message),
            Self::Group { group, from, message } => {
                sink.message(3, &GroupPacket { group: *group, from: *from, message });
            }
            Self::Judged(judgement) => sink.message(4, judgement),
            Self::Transfer { group, message } => {
                sink.message(5, &TransferPacket { group: *group, message });
            }
        }
    }
}

impl Encode for Hello {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.version_min.into());
        sink.uint(2, self.version_max.into());
        sink.fixed_if(3, self.cluster.map(|cluster| cluster.0));
        sink.uint(4, self.node.0);
        sink.uint(5, self.to.0);
        sink.uint(6, self.boot);
        sink.uint(7, self.durable_batch);
        sink.fixed(8, self.nonce);
        sink.messages(9, &self.groups);
    }
}

impl Encode for Judgement {
    fn encode<S: Sink>(&self, sink: &mut S) {
        let verdict = match self.verdict {
            Verdict::Fine => 1,
            Verdict::Rollback => 2,
            Verdict::Clone => 3,
        };
        sink.uint(1, self.boot);
        sink.fixed(2, self.nonce);
        sink.uint(3, verdict);
    }
}

impl Encode for FoundingMessage {
    fn encode<S: Sink>(&self, sink: &mut S) {
        let tag = match self {
            Self::Ask { .. } => 1,
            Self::Fresh { .. } => 2,
            Self::Founded { .. } => 3,
        };
        sink.message(tag, &Fields(self));
    }
}

impl Encode for Fields<'_, FoundingMessage> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self.0 {
            FoundingMessage::Ask { nonce } => sink.fixed(1, *nonce),
            FoundingMessage::Fresh { nonce, founder } => {
                sink.fixed(1, *nonce);
                sink.packed(2, founder.founders.iter().map(|node| node.0));
                sink.messages(3, &founder.memories);
            }
            FoundingMessage::Founded { nonce, founding } => {
                sink.fixed(1, *nonce);
                sink.fixed(2, founding.cluster.0);
                sink.messages(3, &founding.groups);
            }
        }
    }
}

impl Encode for GroupPacket<'_> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.group.0.into());
        sink.fixed(2, self.from.0);
        let tag = match self.message {
            Message::Accept { .. } => 3,
            Message::Accepted { .. } => 4,
            Message::Heartbeat { .. } => 5,
            Message::HeartbeatAck { .. } => 6,
            Message::Forward { .. } => 7,
            Message::Prepare { .. } => 8,
            Message::Promise(_) => 9,
            Message::Canvass { .. } => 10,
            Message::CanvassReply { .. } => 11,
            Message::Behind { .. } => 12,
            Message::Nack { .. } => 13,
            Message::Learn { .. } => 14,
            Message::Learned { .. } => 15,
            Message::Refused { .. } => 16,
            Message::ReadIndex { .. } => 17,
            Message::ReadPoint { .. } => 18,
            Message::Transfer { .. } => 19,
            Message::Lease { .. } => 30,
            Message::Granted { .. } => 31,
            Message::Release { .. } => 32,
            Message::Hold { .. } => 24,
            Message::Held { .. } => 25,
            Message::Change { .. } => 26,
            Message::Waits { .. } => 27,
            Message::Voted { .. } => 33,
            Message::Digest { .. } => 34,
        };
        sink.message(tag, &Fields(self.message));
    }
}

impl Encode for Fields<'_, Message> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self.0 {
            Message::Accept { ballot, instance, value, chosen } => {
                sink.message(1, ballot);
                sink.uint(2, instance.0);
                sink.uint(3, chosen.0);
                sink.bytes(4, value.bytes());
            }
            Message::Accepted { ballot, first, last } => {
                sink.message(1, ballot);
                sink.uint(2, first.0);
                sink.uint(3, last.0);
            }
            Message::Heartbeat { ballot, probe, chosen }
            | Message::HeartbeatAck { ballot, probe, chosen } => {
                sink.message(1, ballot);
                sink.uint(2, *probe);
                sink.uint(3, chosen.0);
            }
            Message::Forward { ballot, spread, commands } => {
                sink.message(1, ballot);
                sink.bytes(2, commands.bytes());
                sink.uint(3, (*spread).into());
            }
            Message::Prepare { ballot, from } => {
                sink.message(1, ballot);
                sink.uint(2, from.0);
            }
            Message::Promise(promise) => {
                sink.message(1, &promise.ballot);
                sink.uint(2, promise.from.0);
                sink.uint(3, if promise.to == Instance::MAX { 0 } else { promise.to.0 });
                sink.messages(4, &promise.entries);
                sink.uint(5, promise.chosen.0);
            }
            Message::Hold { ballot, chosen: upto } | Message::Held { ballot, held: upto } => {
                sink.message(1, ballot);
                sink.uint(2, upto.0);
            }
            Message::Change { ballot, entry } => {
                sink.message(1, ballot);
                sink.bytes(2, entry.bytes());
            }
            Message::Waits { key, on } => {
                sink.message(1, key);
                sink.uint(2, on.map_or(0, |node| node.0));
            }
            Message::Canvass { ballot }
            | Message::Transfer { ballot }
            | Message::Release { ballot } => sink.message(1, ballot),
            Message::Lease { ballot, question, length } => {
                sink.message(1, ballot);
                sink.uint(2, *question);
                sink.uint(3, u64::try_from(length.as_nanos()).unwrap_or(u64::MAX));
            }
            Message::Granted { ballot, question } => {
                sink.message(1, ballot);
                sink.uint(2, *question);
            }
            Message::CanvassReply { ballot, granted, promised, chosen } => {
                sink.message(1, ballot);
                sink.uint(2, (*granted).into());
                if *promised != Ballot::ZERO {
                    sink.message(3, promised);
                }
                sink.uint(4, chosen.0);
            }
            Message::Behind { ballot, cleaned } => {
                sink.message(1, ballot);
                sink.uint(2, cleaned.0);
            }
            Message::Nack { ballot, promised } => {
                sink.message(1, ballot);
                sink.message(2, promised);
            }
            Message::Learn { from, lost } => {
                sink.uint(1, from.0);
                sink.uint(2, u64::from(*lost));
            }
            Message::Digest { at, log, state } => {
                sink.uint(1, at.0);
                sink.fixed(2, *log);
                sink.fixed_if(3, *state);
            }
            Message::Voted { instance, ballot, value } => {
                sink.uint(1, instance.0);
                sink.message(2, ballot);
                sink.bytes(3, value.bytes());
            }
            Message::Learned { from, values, chosen, cleaned } => {
                sink.uint(1, from.0);
                sink.uint(2, chosen.0);
                sink.uint(3, cleaned.0);
                for value in values {
                    sink.bytes(4, value.bytes());
                }
            }
            Message::Refused { ballot, keys } => {
                sink.message(1, ballot);
                sink.messages(2, keys);
            }
            Message::ReadIndex { round } => sink.uint(1, *round),
            Message::ReadPoint { round, instance } => {
                sink.uint(1, *round);
                sink.uint(2, instance.0);
            }
        }
    }
}

impl Encode for Reported {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.instance.0);
        match &self.entry {
            Report::Accepted(ballot, value) => {
                sink.message(2, &Vote { ballot, value: value.bytes() });
            }
            Report::Lost(ballot) => sink.message(3, ballot),
            Report::Chosen(value) => sink.bytes(4, value.bytes()),
        }
    }
}

impl Encode for Vote<'_> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.message(1, self.ballot);
        sink.bytes(2, self.value);
    }
}

impl Encode for Ballot {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.round);
        sink.uint(2, self.node.0);
        sink.fixed(3, self.incarnation.0);
    }
}

impl Encode for Member {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.node.0);
        sink.fixed(2, self.incarnation.0);
    }
}

impl Encode for (GroupId, Incarnation) {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.0.0.into());
        sink.fixed(2, self.1.0);
    }
}

impl Encode for (GroupId, Membership) {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.0.0.into());
        sink.messages(2, self.1.voters());
        sink.messages(3, self.1.followers());
    }
}

impl Encode for CommandKey {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.fixed(1, self.origin.0);
        sink.uint(2, self.boot);
        sink.uint(3, self.seq);
    }
}

/// The fields of an enum's variant, without the tag that tells which variant it is.
pub(crate) struct Fields<'a, T>(pub(crate) &'a T);

struct GroupPacket<'a> {
    group: GroupId,
    from: Incarnation,
    message: &'a Message,
}

struct Vote<'a> {
    ballot: &'a Ballot,
    value: &'a Bytes,
}

pub(crate) fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
