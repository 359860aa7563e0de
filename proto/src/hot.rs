//! The messages that every command costs, in one pass: what prost and `encode.rs` do for all of
//! them in general costs more, for these small ones, than all that the core does with them.
//!
//! Nothing is decided here. Reading yields the very struct that prost would, or nothing where the
//! bytes are not laid out just as we lay them out, and then prost reads them; what the fields may
//! hold is checked in `decode.rs` either way. Writing yields the same bytes as `encode.rs`.

use bytes::Bytes;
use prost::encoding::encoded_len_varint;
use synod_core::{Ballot, Message};

use crate::encode::{Kind, count};
use crate::packet::Packet;
use crate::wire::{self, GroupBody};

/// What prost would read, if it is one of these messages and laid out as ours: fields ascending,
/// none twice, none unknown.
pub(crate) fn read(body: &Bytes) -> Option<wire::GroupPacket> {
    let mut packet = Reader(body);
    let mut group = packet.message(3)?;
    let (id, from) = (u32::try_from(group.uint(1)?).ok()?, group.fixed(2)?);
    let kind = Tag::ALL.into_iter().find(|kind| group.is_next(kind.number(), Kind::Length))?;
    let mut fields = group.message(kind.number())?;
    let mut of = fields.message(1)?;
    let (round, node, incarnation) = (of.uint(1)?, of.uint(2)?, of.fixed(3)?);
    let ballot = Some(wire::Ballot { round, node, incarnation });
    let message = match kind {
        Tag::Accept => {
            let (instance, chosen) = (fields.uint(2)?, fields.uint(3)?);
            let value = body.slice_ref(fields.bytes(4)?);
            GroupBody::Accept(wire::Accept { ballot, instance, chosen, value })
        }
        Tag::Accepted => {
            let (first, last) = (fields.uint(2)?, fields.uint(3)?);
            GroupBody::Accepted(wire::Accepted { ballot, first, last })
        }
        Tag::Heartbeat => {
            let (probe, chosen) = (fields.uint(2)?, fields.uint(3)?);
            GroupBody::Heartbeat(wire::Heartbeat { ballot, probe, chosen })
        }
        Tag::HeartbeatAck => {
            let (probe, chosen) = (fields.uint(2)?, fields.uint(3)?);
            GroupBody::HeartbeatAck(wire::HeartbeatAck { ballot, probe, chosen })
        }
        Tag::Forward => {
            let (commands, spread) = (body.slice_ref(fields.bytes(2)?), fields.uint(3)? != 0);
            GroupBody::Forward(wire::Forward { ballot, commands, spread })
        }
    };
    let ended = [packet, group, fields, of].iter().all(|reader| reader.0.is_empty());
    ended.then_some(wire::GroupPacket { group: id, from, body: Some(message) })
}

/// What stands before the value in the body of a frame, and the value, if the packet is one of
/// these messages.
pub(crate) fn write(packet: &Packet) -> Option<(Head, Option<&Bytes>)> {
    let Packet::Group { group, from, message } = packet else { return None };
    let mut head = Head::new();
    let (tag, ballot, value) = match message {
        Message::Accept { ballot, instance, value, chosen } => {
            head.value(4, value.bytes());
            head.uint(3, chosen.0);
            head.uint(2, instance.0);
            (Tag::Accept, ballot, Some(value.bytes()))
        }
        Message::Accepted { ballot, first, last } => {
            head.uint(3, last.0);
            head.uint(2, first.0);
            (Tag::Accepted, ballot, None)
        }
        Message::Heartbeat { ballot, probe, chosen } => {
            head.uint(3, chosen.0);
            head.uint(2, *probe);
            (Tag::Heartbeat, ballot, None)
        }
        Message::HeartbeatAck { ballot, probe, chosen } => {
            head.uint(3, chosen.0);
            head.uint(2, *probe);
            (Tag::HeartbeatAck, ballot, None)
        }
        // With `spread`, something would follow the value.
        Message::Forward { ballot, spread: false, commands } => {
            head.value(2, commands.bytes());
            (Tag::Forward, ballot, Some(commands.bytes()))
        }
        Message::Forward { .. }
        | Message::Canvass { .. }
        | Message::CanvassReply { .. }
        | Message::Prepare { .. }
        | Message::Promise(_)
        | Message::Behind { .. }
        | Message::Nack { .. }
        | Message::Learn { .. }
        | Message::Learned { .. }
        | Message::Voted { .. }
        | Message::Refused { .. }
        | Message::ReadIndex { .. }
        | Message::ReadPoint { .. }
        | Message::Lease { .. }
        | Message::Granted { .. }
        | Message::Release { .. }
        | Message::Hold { .. }
        | Message::Held { .. }
        | Message::Digest { .. }
        | Message::Change { .. }
        | Message::Waits { .. }
        | Message::Transfer { .. } => return None,
    };
    head.ballot(ballot);
    head.close(tag.number(), 0);
    head.fixed(2, from.0);
    head.uint(1, group.0.into());
    head.close(3, 0);
    Some((head, value))
}

/// Which message, by its tag in `GroupPacket`.
#[derive(Clone, Copy)]
enum Tag {
    Accept,
    Accepted,
    Heartbeat,
    HeartbeatAck,
    Forward,
}

impl Tag {
    const ALL: [Self; 5] =
        [Self::Accept, Self::Accepted, Self::Heartbeat, Self::HeartbeatAck, Self::Forward];

    const fn number(self) -> u8 {
        match self {
            Self::Accept => 3,
            Self::Accepted => 4,
            Self::Heartbeat => 5,
            Self::HeartbeatAck => 6,
            Self::Forward => 7,
        }
    }
}

/// Reads fields in ascending order.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Whether the next field has this tag, which is below 16, and this layout.
    #[inline]
    fn is_next(&self, tag: u8, kind: Kind) -> bool {
        self.0.first() == Some(&key(tag, kind))
    }

    #[inline]
    fn skip_key(&mut self, tag: u8, kind: Kind) -> bool {
        let next = self.is_next(tag, kind);
        if next {
            self.0 = &self.0[1..];
        }
        next
    }

    /// A number; 0 if it is left out.
    #[inline]
    fn uint(&mut self, tag: u8) -> Option<u64> {
        if self.skip_key(tag, Kind::Varint) { self.varint() } else { Some(0) }
    }

    #[inline]
    fn fixed(&mut self, tag: u8) -> Option<u64> {
        if !self.skip_key(tag, Kind::Eight) {
            return Some(0);
        }
        let (eight, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*eight))
    }

    /// Bytes that are not left out.
    #[inline]
    fn bytes(&mut self, tag: u8) -> Option<&'a [u8]> {
        if !self.skip_key(tag, Kind::Length) {
            return None;
        }
        let len = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    #[inline]
    fn message(&mut self, tag: u8) -> Option<Self> {
        self.bytes(tag).map(Reader)
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        if first < 0x80 { Some(first.into()) } else { self.long_varint(first) }
    }

    fn long_varint(&mut self, first: u8) -> Option<u64> {
        let mut number = u64::from(first & 0x7f);
        for place in 1..=9 {
            let (&next, rest) = self.0.split_first()?;
            self.0 = rest;
            if place == 9 && next > 1 {
                return None; // more than 64 bits
            }
            number |= u64::from(next & 0x7f) << (7 * place);
            if next < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

/// The start of a body, laid out from its end to its front: so each length is known by the time it
/// is written.
pub(crate) struct Head {
    room: [u8; HEAD_BYTES_MAX],
    start: usize,
    /// Bytes of the value that follows.
    behind: usize,
}

impl Head {
    const fn new() -> Self {
        Self { room: [0; HEAD_BYTES_MAX], start: HEAD_BYTES_MAX, behind: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.room[self.start..]
    }

    /// Bytes of the whole body, the value included.
    pub(crate) const fn body_len(&self) -> usize {
        HEAD_BYTES_MAX - self.start + self.behind
    }

    fn value(&mut self, tag: u8, bytes: &Bytes) {
        self.behind = bytes.len();
        self.close(tag, 0);
    }

    fn ballot(&mut self, ballot: &Ballot) {
        let behind = self.body_len();
        self.fixed(3, ballot.incarnation.0);
        self.uint(2, ballot.node.0);
        self.uint(1, ballot.round);
        self.close(1, behind);
    }

    /// Puts the key and the length in front of a field that reaches up to `behind` bytes before the
    /// end of the body.
    #[inline]
    fn close(&mut self, tag: u8, behind: usize) {
        self.varint(count(self.body_len() - behind));
        self.raw(&[key(tag, Kind::Length)]);
    }

    #[inline]
    fn uint(&mut self, tag: u8, number: u64) {
        if number != 0 {
            self.varint(number);
            self.raw(&[key(tag, Kind::Varint)]);
        }
    }

    fn fixed(&mut self, tag: u8, number: u64) {
        if number != 0 {
            self.raw(&number.to_le_bytes());
            self.raw(&[key(tag, Kind::Eight)]);
        }
    }

    #[inline]
    fn varint(&mut self, number: u64) {
        if number < 0x80 { self.raw(&[number.to_le_bytes()[0]]) } else { self.long_varint(number) }
    }

    fn long_varint(&mut self, number: u64) {
        let len = encoded_len_varint(number);
        self.start -= len;
        let mut left = number;
        for byte in &mut self.room[self.start..self.start + len - 1] {
            *byte = left.to_le_bytes()[0] | 0x80;
            left >>= 7;
        }
        self.room[self.start + len - 1] = left.to_le_bytes()[0];
    }

    #[inline]
    fn raw<const N: usize>(&mut self, bytes: &[u8; N]) {
        self.start -= N;
        self.room[self.start..self.start + N].copy_from_slice(bytes);
    }
}

/// A field's key; one byte, since tags are below 16.
fn key(tag: u8, kind: Kind) -> u8 {
    tag << 3 | u8::try_from(kind.bits()).expect("three bits")
}

/// Four lengths, six numbers and two fixed ones at their longest, with their keys, come to less.
const HEAD_BYTES_MAX: usize = 128;
