use bytes::{Buf, BytesMut};
use synod_core::{GroupId, Incarnation, Message};

use super::*;
use crate::{Decoder, FrameBuf, FrameError, Packet};

fn seals(secret: &[u8], dialler: u8, accepter: u8) -> ((Seal, Seal), (Seal, Seal)) {
    let secret = Secret::new(secret).unwrap();
    let (dialler, accepter) = ([dialler; 32], [accepter; 32]);
    (secret.dialler(&dialler, &accepter), secret.accepter(&dialler, &accepter))
}

fn packet(round: u64) -> Packet {
    Packet::Group { group: GroupId(0), from: Incarnation(7), message: Message::ReadIndex { round } }
}

/// A large value lies outside the buffer's own bytes.
fn large() -> Packet {
    let mut writer = synod_core::ValueWriter::default();
    let key = synod_core::CommandKey { origin: Incarnation(7), boot: 1, seq: 1 };
    let payload = vec![b'x'; 5000].into();
    writer.push(&synod_core::Command { key, low: 1, sm: synod_core::SmId(0), payload });
    let (from, chosen) = (synod_core::Instance(1), synod_core::Instance(1));
    let values = vec![writer.finish()];
    let message = Message::Learned { from, values, chosen, cleaned: synod_core::Instance::ZERO };
    Packet::Group { group: GroupId(0), from: Incarnation(7), message }
}

/// Each frame by itself, sealed in order.
fn frames(seal: Seal, packets: &[Packet]) -> Vec<Vec<u8>> {
    let mut buf = FrameBuf::default();
    buf.seal(Some(seal));
    let one = |packet: &Packet| {
        buf.push(packet).unwrap();
        buf.copy_to_bytes(buf.len()).to_vec()
    };
    packets.iter().map(one).collect()
}

/// How many packets come out, and how it ends.
fn read(seal: Seal, frames: &[&[u8]]) -> (Vec<Packet>, Option<FrameError>) {
    let mut decoder = Decoder::default();
    decoder.seal(Some(seal));
    let mut buffer = BytesMut::from(&*frames.concat());
    let mut packets = Vec::new();
    loop {
        match decoder.next(&mut buffer) {
            Ok(Some(packet)) => packets.push(packet),
            Ok(None) => return (packets, None),
            Err(error) => return (packets, Some(error)),
        }
    }
}

const SECRET: &[u8] = b"sixteen bytes ok";

#[test]
fn sealed_frames_are_read_in_order_large_values_included() {
    let ((out, _), (_, into)) = seals(SECRET, 1, 2);
    let packets = [packet(1), large(), packet(2)];
    let frames = frames(out, &packets);
    let (read, error) = read(into, &[&frames[0], &frames[1], &frames[2]]);
    assert_eq!((read.as_slice(), error), (packets.as_slice(), None));
}

#[test]
fn frames_out_of_their_place_are_refused() {
    let frames = frames(seals(SECRET, 1, 2).0.0, &[packet(1), packet(2), packet(3)]);
    for (what, order, good) in
        [("repeated", vec![0, 0], 1), ("left out", vec![0, 2], 1), ("moved", vec![1, 0], 0)]
    {
        let order: Vec<&[u8]> = order.into_iter().map(|at: usize| &*frames[at]).collect();
        let (read, error) = read(seals(SECRET, 1, 2).1.1, &order);
        assert_eq!(read.len(), good, "{what}");
        assert!(matches!(error, Some(FrameError::Seal)), "{what}: {error:?}");
    }
}

#[test]
fn frames_of_other_keys_are_refused() {
    let frames = frames(seals(SECRET, 1, 2).0.0, &[packet(1)]);
    for (what, seal) in [
        ("sent back", seals(SECRET, 1, 2).0.1),
        ("another dialler's challenge", seals(SECRET, 3, 2).1.1),
        ("another accepter's challenge", seals(SECRET, 1, 3).1.1),
        ("challenges swapped", seals(SECRET, 2, 1).1.1),
        ("another secret", seals(b"sixteen bytes no", 1, 2).1.1),
    ] {
        let (read, error) = read(seal, &[&frames[0]]);
        assert!(read.is_empty() && matches!(error, Some(FrameError::Seal)), "{what}: {error:?}");
    }
}

#[test]
fn no_changed_bit_gets_through() {
    let frames = frames(seals(SECRET, 1, 2).0.0, &[packet(1)]);
    for bit in 0..frames[0].len() * 8 {
        let mut frame = frames[0].clone();
        frame[bit / 8] ^= 1 << (bit % 8);
        let (read, _) = read(seals(SECRET, 1, 2).1.1, &[&frame]);
        assert!(read.is_empty(), "bit {bit}");
    }
}

#[test]
fn a_short_secret_is_refused_and_none_is_printed() {
    assert_eq!(Secret::new(&[7; 15]).unwrap_err(), SecretTooShort(15));
    assert_eq!(format!("{:?}", Secret::new(SECRET).unwrap()), "Secret(..)");
}
