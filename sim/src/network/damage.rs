//! Frames that change on their way.
//!
//! A changed frame must never be taken for a packet: its checksum is wrong, or its length is.

use bytes::{Bytes, BytesMut};
use synod_proto::{Decoder, decode_frame};

use crate::rng::{mix, scale, to_index, to_u64};

/// The frame as it arrives: one bit, or one to four bytes in a row, are others, or its end is missing.
#[must_use]
pub fn damaged(frame: &Bytes, bits: u64) -> Bytes {
    let draw = |what: u64, n: usize| to_index(scale(mix(bits ^ (what << 48)), to_u64(n)));
    let at = draw(1, frame.len());
    let mut changed = BytesMut::from(&frame[..]);
    match bits % 4 {
        0 | 1 => changed[at] ^= 1 << draw(2, 8),
        2 => {
            let end = frame.len().min(at + 1 + draw(2, 4));
            for (n, byte) in changed[at..end].iter_mut().enumerate() {
                // Never what it was.
                *byte ^= u8::try_from(1 + draw(3 + to_u64(n), 255)).expect("at most 255");
            }
        }
        _ => changed.truncate(at),
    }
    changed.freeze()
}

/// What a receiver takes a changed frame for, if it takes it for anything: which it must not, neither
/// as one frame nor as the beginning of a stream.
#[must_use]
pub fn taken_for(frame: Bytes) -> Option<String> {
    let mut stream = BytesMut::from(&frame[..]);
    if let Ok(Some(packet)) = Decoder::default().next(&mut stream) {
        return Some(format!("{packet:?}"));
    }
    decode_frame(frame).ok().map(|packet| format!("{packet:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_core::{Ballot, GroupId, Incarnation, Message, NodeId};
    use synod_proto::{Packet, encode_frame};

    fn frame() -> Bytes {
        let ballot = Ballot { round: 3, node: NodeId(2), incarnation: Incarnation(9) };
        let message = Message::Canvass { ballot };
        encode_frame(&Packet::Group { group: GroupId(1), from: Incarnation(9), message })
    }

    #[test]
    fn no_changed_frame_is_taken_for_a_packet() {
        let whole = frame();
        assert!(taken_for(whole.clone()).is_some());
        let mut lengths = std::collections::BTreeSet::new();
        for n in 0..20_000 {
            let changed = damaged(&whole, mix(n));
            assert_ne!(changed, whole, "{n}");
            lengths.insert(changed.len());
            assert_eq!(taken_for(changed), None, "{n}");
        }
        assert_eq!(lengths.len(), whole.len() + 1, "every end goes missing now and then");
    }
}
