//! Packets through bytes and back, whole, in pieces, damaged and made up.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use proptest::prelude::*;
use support::arbitrary::{packet, value_of};
use synod_core::{Ballot, GroupId, Incarnation, Instance, Message, NodeId, Value};
use synod_proto::{
    Decoder, FRAME_BYTES_MAX, FrameBuf, FrameError, FrameTooLong, Packet, SHARED_BYTES_MIN,
    decode_frame, encode_frame,
};

proptest! {
    #[test]
    fn a_packet_comes_back_as_it_was(packet in packet()) {
        prop_assert_eq!(decode_frame(encode_frame(&packet)), Ok(packet));
    }

    #[test]
    fn a_stream_of_packets_survives_any_cuts_of_writes_and_reads(
        packets in proptest::collection::vec(packet(), 1..6),
        writes in proptest::collection::vec(1..3000_usize, 1..20),
        reads in proptest::collection::vec(1..3000_usize, 1..20),
    ) {
        let mut frames = FrameBuf::default();
        let mut wire = Vec::new();
        let mut writes = writes.into_iter().cycle();
        for packet in &packets {
            frames.push(packet).unwrap();
            write(&mut frames, writes.next().unwrap(), &mut wire);
        }
        while !frames.is_empty() {
            write(&mut frames, writes.next().unwrap(), &mut wire);
        }
        let alone: Vec<u8> = packets.iter().flat_map(encode_frame).collect();
        prop_assert_eq!(&wire, &alone);

        let (mut decoder, mut buffer, mut found) = (Decoder::default(), BytesMut::new(), vec![]);
        let mut reads = reads.into_iter().cycle();
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(reads.next().unwrap().min(rest.len()));
            buffer.put_slice(now);
            rest = later;
            while let Some(packet) = decoder.next(&mut buffer).unwrap() {
                found.push(packet);
            }
        }
        prop_assert_eq!(found, packets);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_a_packet(packet in packet(), at in any::<usize>()) {
        let mut frame = BytesMut::from(encode_frame(&packet));
        let bit = at % (frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(decode_frame(frame.clone().freeze()).is_err());
        // In a stream a longer length waits for more; nothing else may.
        let streamed = Decoder::default().next(&mut frame);
        prop_assert!(matches!(streamed, Err(_) | Ok(None)), "{:?}", streamed);
    }

    #[test]
    fn a_truncated_frame_waits_for_more(packet in packet(), cut in any::<usize>()) {
        let frame = encode_frame(&packet);
        let cut = frame.slice(..cut % frame.len());
        prop_assert!(decode_frame(cut.clone()).is_err());
        prop_assert_eq!(Decoder::default().next(&mut cut.into()), Ok(None));
    }

    #[test]
    fn any_body_with_a_right_checksum_decodes_or_is_refused(
        body in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        if let Ok(packet) = decode_frame(frame_of(1, &body)) {
            prop_assert_eq!(decode_frame(encode_frame(&packet)), Ok(packet));
        }
    }

    #[test]
    fn a_changed_body_with_a_right_checksum_decodes_or_is_refused(
        packet in packet(),
        changes in proptest::collection::vec(any::<(usize, u8)>(), 1..4),
    ) {
        let mut body = encode_frame(&packet)[9..].to_vec();
        for (at, byte) in changes {
            let at = at % body.len();
            body[at] = byte;
        }
        if let Ok(packet) = decode_frame(frame_of(1, &body)) {
            prop_assert_eq!(decode_frame(encode_frame(&packet)), Ok(packet));
        }
    }
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_anything_follows() {
    let mut decoder = Decoder::new(1000);
    let mut buffer = BytesMut::from(&1001_u32.to_le_bytes()[..]);
    assert_eq!(decoder.next(&mut buffer), Err(FrameError::TooLong { len: 1001, max: 1000 }));
    let mut buffer = BytesMut::from(&1000_u32.to_le_bytes()[..]);
    assert_eq!(decoder.next(&mut buffer), Ok(None));
    let mut buffer = BytesMut::from(&4_u32.to_le_bytes()[..]);
    assert_eq!(decoder.next(&mut buffer), Err(FrameError::TooShort(4)));
}

#[test]
fn a_long_announced_length_makes_nobody_allocate() {
    let mut buffer = BytesMut::from(&FRAME_BYTES_MAX.to_le_bytes()[..]);
    assert_eq!(Decoder::default().next(&mut buffer), Ok(None));
    assert!(buffer.capacity() < 200_000, "{} bytes for a length alone", buffer.capacity());
}

#[test]
fn another_format_is_told_from_damage() {
    assert_eq!(decode_frame(frame_of(2, b"later")), Err(FrameError::Version(2)));
    let mut damaged = BytesMut::from(frame_of(2, b"later"));
    damaged[8] = 1;
    let error = decode_frame(damaged.freeze());
    assert!(matches!(error, Err(FrameError::Checksum { .. })), "{error:?}");
}

#[test]
fn bytes_behind_a_frame_are_no_part_of_it() {
    let packet = accept(Value::NOOP);
    let mut frame = BytesMut::from(encode_frame(&packet));
    frame.put_u8(0);
    let error = decode_frame(frame.clone().freeze());
    assert!(matches!(error, Err(FrameError::Length { .. })), "{error:?}");
    assert_eq!(Decoder::default().next(&mut frame), Ok(Some(packet)));
    assert_eq!(frame, [0][..]);
}

#[test]
fn a_large_value_is_shared_on_its_way_out_and_in() {
    let value = value_of(SHARED_BYTES_MIN);
    let mut frames = FrameBuf::default();
    frames.push(&accept(value.clone())).unwrap();
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    assert_eq!(frames.chunks_vectored(&mut slices), 2, "the frame's head, then the value");
    assert_eq!(slices[1].as_ptr(), value.bytes().as_ptr(), "the value was copied");

    let frame = encode_frame(&accept(value));
    let memory = frame.as_ptr_range();
    let Ok(Packet::Group { message: Message::Accept { value, .. }, .. }) =
        decode_frame(frame.clone())
    else {
        panic!("not what was sent");
    };
    assert!(memory.contains(&value.bytes().as_ptr()), "the value was copied");
}

#[test]
fn a_small_value_makes_no_piece_of_its_own() {
    let mut frames = FrameBuf::default();
    frames.push(&accept(value_of(100))).unwrap();
    frames.push(&accept(value_of(100))).unwrap();
    assert_eq!(frames.chunk().len(), frames.len());
}

#[test]
fn a_frame_above_the_limit_is_refused_whole() {
    let mut frames = FrameBuf::new(2000);
    frames.push(&accept(value_of(1100))).unwrap();
    let before = frames.len();
    let error = frames.push(&accept(value_of(2000))).unwrap_err();
    assert!(matches!(error, FrameTooLong { len: 2001.., max: 2000 }), "{error:?}");
    assert_eq!(frames.len(), before);
    let bytes = frames.copy_to_bytes(before);
    assert_eq!(bytes, encode_frame(&accept(value_of(1100))));
}

#[test]
fn a_queue_that_is_never_quite_empty_does_not_grow() {
    let mut frames = FrameBuf::default();
    let (mut wire, packet) = (Vec::new(), accept(value_of(500)));
    for _ in 0..1000 {
        frames.push(&packet).unwrap();
    }
    let waiting = frames.len();
    for _ in 0..10_000 {
        frames.push(&packet).unwrap();
        write(&mut frames, waiting / 1000, &mut wire);
    }
    assert_eq!(frames.len(), waiting);
    assert!(frames.capacity() < 5 * waiting, "{} for {waiting}", frames.capacity());
}

/// One vectored write that takes at most `limit` bytes.
fn write(frames: &mut FrameBuf, limit: usize, wire: &mut Vec<u8>) {
    let mut slices = [std::io::IoSlice::new(&[]); 3];
    let filled = frames.chunks_vectored(&mut slices);
    let start = wire.len();
    for slice in &slices[..filled] {
        wire.extend_from_slice(slice);
    }
    wire.truncate(wire.len().min(start + limit));
    frames.advance(wire.len() - start);
}

fn frame_of(version: u8, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32_le(u32::try_from(body.len() + 5).unwrap());
    frame.put_u32_le(crc32c::crc32c_append(crc32c::crc32c(&[version]), body));
    frame.put_u8(version);
    frame.put_slice(body);
    frame.freeze()
}

fn accept(value: Value) -> Packet {
    let incarnation = Incarnation(7);
    Packet::Group {
        group: GroupId(1),
        from: incarnation,
        message: Message::Accept {
            ballot: Ballot { round: 1, node: NodeId(1), incarnation },
            instance: Instance(1),
            value,
            chosen: Instance::ZERO,
        },
    }
}
