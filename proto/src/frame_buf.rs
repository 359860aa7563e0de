//! Frames on their way out: encoded once, written vectored, large values never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::encoding::encode_varint;
use thiserror::Error;

use crate::VERSION;
use crate::encode::{Encode, Sink};
use crate::frame::{FRAME_BYTES_MAX, LENGTH_BYTES, PREFIX_BYTES};
use crate::hot;
use crate::packet::Packet;
use crate::seal::Seal;

/// Values of at least so many bytes are shared with a [`FrameBuf`]; shorter ones are copied into
/// it, which costs less than an entry of their own in a vectored write.
pub const SHARED_BYTES_MIN: usize = 1024;

/// Frames that wait to be written to a connection.
///
/// Read it as a [`Buf`]: write what [`chunks_vectored`](Buf::chunks_vectored) gives, then
/// [`advance`](Buf::advance) by what was written. In the steady state nothing is allocated: small
/// frames lie behind each other in one buffer that is reused, and a large value is one more
/// reference to its memory.
///
/// It grows as long as frames are pushed: whoever pushes looks at [`len`](Self::len) and stops at
/// its own limit.
#[derive(Debug)]
pub struct FrameBuf {
    frame_bytes_max: u32,
    /// Everything but shared values, of which the first `read` bytes are written already.
    own: Vec<u8>,
    read: usize,
    /// Shared values, and before which byte of `own` each belongs; ascending.
    shared: VecDeque<(usize, Bytes)>,
    /// Bytes not yet written.
    len: usize,
    seal: Option<Seal>,
}

/// The packet makes a frame that the peers would refuse. It was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a packet makes a frame of {len} bytes, above the limit of {max}: raise frame_bytes_max \
     on all nodes, or lower command_bytes_max"
)]
pub struct FrameTooLong {
    /// What the length field would say.
    pub len: usize,
    /// The limit.
    pub max: u32,
}

impl Default for FrameBuf {
    /// With a limit of [`FRAME_BYTES_MAX`].
    fn default() -> Self {
        Self::new(FRAME_BYTES_MAX)
    }
}

impl FrameBuf {
    /// An empty queue for frames whose length field says at most `frame_bytes_max`.
    #[must_use]
    pub const fn new(frame_bytes_max: u32) -> Self {
        Self {
            frame_bytes_max,
            own: Vec::new(),
            read: 0,
            shared: VecDeque::new(),
            len: 0,
            seal: None,
        }
    }

    /// Seals every frame pushed from now on, or none. For a fresh connection, before its first
    /// frame; [`clear`](Self::clear) keeps it.
    pub fn seal(&mut self, seal: Option<Seal>) {
        self.seal = seal;
    }

    /// Gives away what seals the frames, for whoever goes on with this connection.
    pub fn take_seal(&mut self) -> Option<Seal> {
        self.seal.take()
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits to be written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory held, values that are shared aside.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.own.capacity()
    }

    /// Appends a frame with this packet.
    ///
    /// # Errors
    ///
    /// If the frame would be longer than the limit. Nothing is appended.
    pub fn push(&mut self, packet: &Packet) -> Result<(), FrameTooLong> {
        let hot = hot::write(packet);
        let body = hot.as_ref().map_or_else(|| packet.encoded_len(), |(head, _)| head.body_len());
        let len = PREFIX_BYTES + body;
        let length = match u32::try_from(len) {
            Ok(length) if length <= self.frame_bytes_max => length,
            _ => return Err(FrameTooLong { len, max: self.frame_bytes_max }),
        };
        self.compact();
        let (start, values) = (self.own.len(), self.shared.len());
        let mut prefix = [0; LENGTH_BYTES + PREFIX_BYTES];
        prefix[..LENGTH_BYTES].copy_from_slice(&length.to_le_bytes());
        prefix[LENGTH_BYTES + PREFIX_BYTES - 1] = VERSION; // behind the checksum, set below
        self.own.reserve(prefix.len() + body.min(SHARED_BYTES_MIN));
        self.own.extend_from_slice(&prefix);
        match hot {
            Some((head, value)) => {
                self.own.extend_from_slice(head.bytes());
                if let Some(value) = value {
                    self.raw(value);
                }
            }
            None => packet.encode(self),
        }
        let checksum = self.checksum(start + LENGTH_BYTES + 4, values);
        let place = start + LENGTH_BYTES..start + LENGTH_BYTES + 4;
        self.own[place].copy_from_slice(&checksum.to_le_bytes());
        self.len += LENGTH_BYTES + len;
        if let Some(mut seal) = self.seal.take() {
            let bytes = seal.next(self.pieces_from(start, values));
            self.own.extend_from_slice(&bytes);
            self.len += bytes.len();
            self.seal = Some(seal);
        }
        Ok(())
    }

    /// Drops everything that waits to be written: the connection is gone.
    pub fn clear(&mut self) {
        self.own.clear();
        self.own.shrink_to(KEPT_BYTES_MAX);
        self.shared.clear();
        (self.read, self.len) = (0, 0);
    }

    /// CRC-32C of what was appended from byte `at` of `own` and value `value` of `shared` on.
    fn checksum(&self, at: usize, value: usize) -> u32 {
        self.pieces_from(at, value).fold(0, crc32c::crc32c_append)
    }

    /// What was appended from byte `at` of `own` and value `value` of `shared` on, in order.
    fn pieces_from(&self, mut at: usize, value: usize) -> impl Iterator<Item = &[u8]> {
        let rest = self.shared.range(value..).next_back().map_or(at, |(before, _)| *before);
        let with_values = self.shared.range(value..).flat_map(move |(before, bytes)| {
            let own = &self.own[at..*before];
            at = *before;
            [own, bytes]
        });
        with_values.chain([&self.own[rest..]])
    }

    /// Gives room of written bytes back, once they are as many as those that wait: so each byte is
    /// moved at most once on average, and nothing grows while the connection keeps up.
    fn compact(&mut self) {
        if self.read > 0 && self.read >= self.own.len() - self.read {
            self.own.drain(..self.read);
            for (before, _) in &mut self.shared {
                *before -= self.read;
            }
            self.read = 0;
        }
    }

    /// What waits, as pieces in their order, some of them empty.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces_from(self.read, 0)
    }
}

/// The most memory that an empty queue keeps.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

impl Sink for FrameBuf {
    fn varint(&mut self, number: u64) {
        encode_varint(number, &mut self.own);
    }

    fn eight(&mut self, number: u64) {
        self.own.put_u64_le(number);
    }

    fn raw(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            self.own.extend_from_slice(bytes);
        } else {
            self.shared.push_back((self.own.len(), bytes.clone()));
        }
    }

    fn nested<M: Encode>(&mut self, message: &M, _: usize) {
        message.encode(self);
    }
}

impl Buf for FrameBuf {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.pieces().find(|piece| !piece.is_empty()).unwrap_or_default()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self.pieces().filter(|piece| !piece.is_empty());
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "advance by {count} beyond the {} bytes that wait", self.len);
        self.len -= count;
        let mut left = count;
        while left > 0 {
            let end = self.shared.front().map_or(self.own.len(), |&(before, _)| before);
            let own = left.min(end - self.read);
            self.read += own;
            left -= own;
            if let Some((_, bytes)) = self.shared.front_mut()
                && left > 0
            {
                let shared = left.min(bytes.len());
                bytes.advance(shared);
                left -= shared;
                if bytes.is_empty() {
                    self.shared.pop_front();
                }
            }
        }
        if self.len == 0 {
            self.clear();
        }
    }
}

/// One frame with this packet, by itself.
///
/// # Panics
///
/// If the packet has 4 GiB or more: limits far below that were checked when its values were
/// proposed.
#[must_use]
pub fn encode_frame(packet: &Packet) -> Bytes {
    let mut frame = FrameBuf::new(u32::MAX);
    frame.push(packet).expect("values stay within the limits of their group");
    if frame.shared.is_empty() {
        return frame.own.into();
    }
    let mut bytes = BytesMut::with_capacity(frame.len());
    bytes.put(frame);
    bytes.freeze()
}
