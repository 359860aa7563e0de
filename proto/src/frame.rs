//! Frames out of a stream of bytes.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

use crate::VERSION;
use crate::decode::{self, DecodeError};
use crate::packet::Packet;
use crate::seal::{SEAL_BYTES, Seal};

/// The default limit of a frame's length field: 64 MiB.
pub const FRAME_BYTES_MAX: u32 = 64 * 1024 * 1024;

/// Bytes of the length field.
pub(crate) const LENGTH_BYTES: usize = 4;
/// Bytes of the checksum and the version, which the length counts.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Cuts packets out of what was read from a connection.
#[derive(Debug)]
pub struct Decoder {
    frame_bytes_max: u32,
    seal: Option<Seal>,
}

/// Why a stream holds no frame. After any of these nothing that follows can be believed: close the
/// connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The frame is longer than the limit: the peer has a larger `frame_bytes_max`, speaks another
    /// protocol, or is broken. Nothing of it was buffered.
    #[error("a frame of {len} bytes is above the limit of {max}: raise frame_bytes_max here")]
    TooLong {
        /// As announced.
        len: u32,
        /// The limit.
        max: u32,
    },
    /// The frame has no room for its length, checksum and version.
    #[error("a frame of {0} bytes is too short to be one")]
    TooShort(usize),
    /// The bytes given are not exactly one frame.
    #[error("a frame announces {announced} bytes and has {found}")]
    Length {
        /// What the length field says.
        announced: u32,
        /// Bytes behind the length field.
        found: usize,
    },
    /// The checksum is wrong: the bytes changed on their way, or were never a frame.
    #[error("frame checksum {found:#010x} should be {expected:#010x}")]
    Checksum {
        /// In the frame.
        found: u32,
        /// Computed.
        expected: u32,
    },
    /// The seal is wrong: the frame does not come from a holder of the secret, or not from this
    /// connection, or not in its place. If it is the first of a connection, the secrets differ.
    #[error(
        "a frame's seal is wrong: give all nodes the same secret; if they have, somebody meddles"
    )]
    Seal,
    /// The format is one that this version does not read.
    #[error("frame format {0} is unknown here: upgrade this node")]
    Version(u8),
    /// The checksum is right, and the body is no packet.
    #[error(transparent)]
    Packet(#[from] DecodeError),
}

impl Default for Decoder {
    /// With a limit of [`FRAME_BYTES_MAX`].
    fn default() -> Self {
        Self::new(FRAME_BYTES_MAX)
    }
}

impl Decoder {
    /// A decoder that refuses frames whose length field says more than `frame_bytes_max`.
    #[must_use]
    pub const fn new(frame_bytes_max: u32) -> Self {
        Self { frame_bytes_max, seal: None }
    }

    /// Takes only frames with this seal from now on, or frames without one. For a fresh connection,
    /// before its first frame.
    pub fn seal(&mut self, seal: Option<Seal>) {
        self.seal = seal;
    }

    /// Gives away what checks the frames, for whoever goes on with this connection.
    pub fn take_seal(&mut self) -> Option<Seal> {
        self.seal.take()
    }

    /// Takes the next packet off the front of `buffer`; `None` if it is not all there yet: read
    /// more behind it.
    ///
    /// The packet's values are slices of the buffer's memory: one value keeps the whole block that
    /// it was read into, so blocks should not be much larger than a read. While a frame is
    /// incomplete, room is reserved for the rest of it, though never more than has come already
    /// (at least 64 KiB), so a length alone makes nobody allocate.
    ///
    /// # Errors
    ///
    /// If the buffer does not start with a frame. The decoder cannot go on.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, FrameError> {
        let Some(&length) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let len = u32::from_le_bytes(length);
        if len > self.frame_bytes_max {
            return Err(FrameError::TooLong { len, max: self.frame_bytes_max });
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if len < PREFIX_BYTES {
            return Err(FrameError::TooShort(len));
        }
        let sealed = len + if self.seal.is_some() { SEAL_BYTES } else { 0 };
        if buffer.len() - LENGTH_BYTES < sealed {
            let missing = sealed - (buffer.len() - LENGTH_BYTES);
            buffer.reserve(missing.min(buffer.len().max(64 * 1024)));
            return Ok(None);
        }
        // Before anything in the frame is looked at.
        if let Some(seal) = &mut self.seal {
            let (frame, rest) = buffer.split_at(LENGTH_BYTES + len);
            let Some(found) = rest.first_chunk() else { return Err(FrameError::Seal) };
            if !seal.check(frame, found) {
                return Err(FrameError::Seal);
            }
        }
        buffer.advance(LENGTH_BYTES);
        let frame = buffer.split_to(len).freeze();
        buffer.advance(sealed - len);
        checked(frame).map(Some)
    }
}

/// The packet of exactly one frame, as [`encode_frame`](crate::encode_frame) makes them.
///
/// # Errors
///
/// If the bytes are anything else than one frame.
pub fn decode_frame(mut frame: Bytes) -> Result<Packet, FrameError> {
    let Some(&length) = frame.first_chunk::<LENGTH_BYTES>() else {
        return Err(FrameError::TooShort(frame.len()));
    };
    frame.advance(LENGTH_BYTES);
    let announced = u32::from_le_bytes(length);
    if usize::try_from(announced) != Ok(frame.len()) {
        return Err(FrameError::Length { announced, found: frame.len() });
    }
    checked(frame)
}

/// What a frame holds after its length.
fn checked(mut frame: Bytes) -> Result<Packet, FrameError> {
    let Some((checksum, [version, ..])) = frame.split_first_chunk::<4>() else {
        return Err(FrameError::TooShort(frame.len()));
    };
    let (found, version) = (u32::from_le_bytes(*checksum), *version);
    let expected = crc32c::crc32c(&frame[4..]);
    if found != expected {
        return Err(FrameError::Checksum { found, expected });
    }
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    frame.advance(PREFIX_BYTES);
    Ok(decode::packet(frame)?)
}
