//! Frame decoding: whatever comes over a connection.

use bytes::{BufMut, Bytes, BytesMut};
use synod_proto::{Decoder, decode_frame, encode_frame};

/// The first byte says how to read the rest: as a stream of frames that is read in pieces so long,
/// or (0) as the body of one frame whose checksum is made right, so that what lies behind it is
/// reached.
///
/// # Panics
///
/// If decoding panics, loses bytes, or gives a packet that does not come back from its own bytes.
pub fn run(data: &[u8]) {
    match data.split_first() {
        None => {}
        Some((0, body)) => one_body(body),
        Some((&piece, stream)) => a_stream(stream, piece.into()),
    }
}

fn one_body(body: &[u8]) {
    let Ok(len) = u32::try_from(body.len() + 5) else { return };
    let mut frame = BytesMut::new();
    frame.put_u32_le(len);
    frame.put_u32_le(crc32c::crc32c_append(crc32c::crc32c(&[synod_proto::VERSION]), body));
    frame.put_u8(synod_proto::VERSION);
    frame.put_slice(body);
    if let Ok(packet) = decode_frame(frame.freeze()) {
        let again = encode_frame(&packet);
        assert_eq!(decode_frame(again.clone()).as_ref(), Ok(&packet), "changed on its way");
        // Our own encoding is canonical: a second one is the same.
        assert_eq!(encode_frame(&packet), again);
    }
}

fn a_stream(stream: &[u8], piece: usize) {
    let mut decoder = Decoder::new(1 << 16);
    let mut buffer = BytesMut::new();
    let (mut whole, mut consumed) = (stream, 0);
    for now in stream.chunks(piece) {
        buffer.put_slice(now);
        loop {
            let before = buffer.len();
            match decoder.next(&mut buffer) {
                Ok(None) => {
                    assert_eq!(buffer.len(), before, "waits, and took bytes");
                    break;
                }
                Ok(Some(packet)) => {
                    // The same bytes, all at once, give the same packet.
                    let (frame, rest) = whole.split_at(before - buffer.len());
                    assert_eq!(decode_frame(Bytes::copy_from_slice(frame)), Ok(packet));
                    consumed += frame.len();
                    whole = rest;
                }
                Err(_) => return, // the connection is closed
            }
        }
    }
    assert_eq!(consumed + buffer.len(), stream.len(), "bytes were lost");
}
