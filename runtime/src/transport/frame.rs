//! What a transport carries.

use bytes::{Buf, Bytes, BytesMut};
use synod_core::TransferMessage;
use synod_proto::{FrameError, Packet, decode_frame, encode_frame};

/// One thing that a node says to a peer. A transport carries it as it is.
#[derive(Clone, Debug)]
pub struct Frame(pub(crate) Packet);

impl Frame {
    /// The frame as bytes: never more than [`Endpoint::frame_bytes_max`](super::Endpoint) says, with
    /// its own length and checksum in it. Frames may be sent one by one or one behind the other.
    ///
    /// Values of a kibibyte and more are copied once.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode_frame(&self.0)
    }

    /// Whether there are values in it, so that it may be large. The rest is a few dozen bytes each,
    /// and what the cluster needs to get out of a jam.
    #[must_use]
    pub fn carries_values(&self) -> bool {
        match &self.0 {
            Packet::Hello(_) | Packet::Judged(_) | Packet::Founding(_) => false,
            Packet::Group { message, .. } => message.value_bytes() > 0,
            Packet::Transfer { message, .. } => match message {
                TransferMessage::Offer { .. } | TransferMessage::Chunk { .. } => true,
                TransferMessage::Ask { .. }
                | TransferMessage::Fetch { .. }
                | TransferMessage::Nothing { .. } => false,
            },
        }
    }
}

/// Takes as many whole frames as there are off the front of what was read from a stream; none, and
/// so no bytes, if the first is not all there yet.
///
/// # Errors
///
/// If the buffer does not start with a frame of at most `frame_bytes_max`. Nothing that follows can
/// be believed: end the connection.
pub fn whole_frames(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Bytes, FrameError> {
    let mut end = 0;
    while let Some(length) = announced(&buffer[end..], frame_bytes_max)? {
        if buffer.len() - end < length {
            buffer.reserve((length - (buffer.len() - end)).min(buffer.len().max(READ_BYTES)));
            break;
        }
        end += length;
    }
    Ok(buffer.split_to(end).freeze())
}

/// The packet of the first of some whole frames, which is taken off; `None` after the last.
pub(super) fn next_packet(
    frames: &mut Bytes,
    frame_bytes_max: usize,
) -> Result<Option<Packet>, FrameError> {
    if !frames.has_remaining() {
        return Ok(None);
    }
    let Some(length) = announced(frames, frame_bytes_max)? else {
        return Err(FrameError::TooShort(frames.len()));
    };
    // A frame that is not all there is an error of its own.
    decode_frame(frames.split_to(length.min(frames.len()))).map(Some)
}

/// How many bytes the first frame has with its length field; `None` if that is not there yet.
fn announced(bytes: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, FrameError> {
    let Some(&length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let len = u32::from_le_bytes(length);
    match usize::try_from(len) {
        Ok(length) if length + LENGTH_BYTES <= frame_bytes_max => Ok(Some(length + LENGTH_BYTES)),
        _ => {
            let max = u32::try_from(frame_bytes_max.saturating_sub(LENGTH_BYTES));
            Err(FrameError::TooLong { len, max: max.unwrap_or(u32::MAX) })
        }
    }
}

/// Bytes of a frame's length field, which does not count itself.
pub(super) const LENGTH_BYTES: usize = 4;

/// Room is reserved at least so many bytes at a time.
const READ_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use synod_core::{GroupId, Incarnation, Message};

    fn packet(round: u64) -> Packet {
        let message = Message::ReadIndex { round };
        Packet::Group { group: GroupId(0), from: Incarnation(7), message }
    }

    #[test]
    fn a_stream_is_cut_where_frames_end_wherever_reads_do() {
        let frames: Vec<Bytes> = (1..9).map(|round| Frame(packet(round)).encode()).collect();
        let stream = frames.concat();
        for step in 1..stream.len() {
            let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
            for read in stream.chunks(step) {
                buffer.extend_from_slice(read);
                let mut whole = whole_frames(&mut buffer, 1024).unwrap();
                while let Some(packet) = next_packet(&mut whole, 1024).unwrap() {
                    found.push(packet);
                }
            }
            assert_eq!(found, (1..9).map(packet).collect::<Vec<_>>(), "{step} at a time");
        }
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let frame = Frame(packet(1)).encode();
        let cut = |end: usize| next_packet(&mut frame.slice(..end), 1024);
        assert!(matches!(cut(3), Err(FrameError::TooShort(3))));
        assert!(matches!(cut(frame.len() - 1), Err(FrameError::Length { .. })));
        assert_eq!(cut(frame.len()), Ok(Some(packet(1))));
        let max = frame.len() - 1;
        let long = whole_frames(&mut BytesMut::from(&frame[..]), max);
        assert!(matches!(long, Err(FrameError::TooLong { .. })), "{long:?}");
        assert_eq!(whole_frames(&mut BytesMut::from(&frame[..]), max + 1), Ok(frame));
    }
}
