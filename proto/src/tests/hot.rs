//! The one-pass codec against prost and the general encoder.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use prost::Message as _;
use synod_core::Message;

use super::{body, support};
use crate::encode::{Encode, Sink};
use crate::hot;
use crate::packet::Packet;
use crate::wire::{self, PacketBody};

/// Encodes as `encode.rs` does for all packets.
struct General(BytesMut);

impl Sink for General {
    fn varint(&mut self, number: u64) {
        prost::encoding::encode_varint(number, &mut self.0);
    }

    fn eight(&mut self, number: u64) {
        self.0.put_u64_le(number);
    }

    fn raw(&mut self, bytes: &Bytes) {
        self.0.put_slice(bytes);
    }

    fn nested<M: Encode>(&mut self, message: &M, _: usize) {
        message.encode(self);
    }
}

fn general(packet: &Packet) -> Bytes {
    let mut sink = General(BytesMut::new());
    packet.encode(&mut sink);
    sink.0.freeze()
}

/// What is read in one pass is what prost reads. Returns whether it was.
fn agrees(body: Bytes) -> Result<bool, TestCaseError> {
    let Some(read) = hot::read(&body) else { return Ok(false) };
    prop_assert_eq!(wire::Packet::decode(body).unwrap().body, Some(PacketBody::Group(read)));
    Ok(true)
}

const fn is_hot(packet: &Packet) -> bool {
    matches!(
        packet,
        Packet::Group {
            message: Message::Accept { .. }
                | Message::Accepted { .. }
                | Message::Heartbeat { .. }
                | Message::HeartbeatAck { .. }
                | Message::Forward { .. },
            ..
        }
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn both_ways_write_the_same(packet in support::arbitrary::packet()) {
        let expected = general(&packet);
        prop_assert_eq!(body(&packet), expected.clone());
        if let Some((head, value)) = hot::write(&packet) {
            prop_assert_eq!(head.body_len(), expected.len());
            let value = value.cloned().unwrap_or_default();
            prop_assert_eq!([head.bytes(), &value].concat(), expected);
        }
    }

    #[test]
    fn both_ways_read_the_same(packet in support::arbitrary::packet()) {
        prop_assert_eq!(agrees(general(&packet))?, is_hot(&packet));
    }

    /// Any bytes changed, cut out or repeated: either prost reads the same, or prost decides.
    #[test]
    fn both_ways_read_damage_the_same(
        packet in support::arbitrary::packet().prop_filter("one pass", is_hot),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut bytes = general(&packet).to_vec();
        for (at, byte, how) in damage {
            let at = at % bytes.len().clamp(1, 64);
            match how {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes[at] ^= 1 << (byte % 8),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, byte),
            }
        }
        agrees(bytes.into())?;
    }
}
