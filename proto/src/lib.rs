//! What nodes say to each other, as bytes.
//!
//! A connection carries frames:
//!
//! ```text
//! length: u32 LE      of everything after these 4 bytes
//! checksum: u32 LE    CRC-32C of version and body
//! version: u8         of the format of the body
//! body                one packet, in protobuf encoding (proto/synod.proto)
//! seal: 16 bytes      only with a cluster secret, see [`Seal`]
//! ```
//!
//! Both ways are free of copies where it matters. [`FrameBuf`] encodes packets straight into what a
//! vectored write takes, with large values as chunks of their own; [`Decoder`] cuts frames out of a
//! read buffer, and the values in a decoded packet are slices of it.
//!
//! Parse, don't validate: decoding gives a whole [`Packet`] of the core's own types or a typed
//! error, so the core never sees a half-filled message. What is required of each field stands in
//! `proto/synod.proto`, and at the function in `decode.rs` that requires it.
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod frame;
mod frame_buf;
mod hello;
mod hot;
mod judge;
mod packet;
mod seal;
mod transfer;
mod welcome;
mod wire;

pub use decode::DecodeError;
pub use frame::{Decoder, FRAME_BYTES_MAX, FrameError, decode_frame};
pub use frame_buf::{FrameBuf, FrameTooLong, SHARED_BYTES_MIN, encode_frame};
pub use hello::{Hello, HelloError};
pub use judge::{Acquaintances, Judgement, Verdict};
pub use packet::Packet;
pub use seal::{
    CHALLENGE_BYTES, CHALLENGE_MAGIC, SEAL_BYTES, SECRET_BYTES_MIN, Seal, Secret, SecretTooShort,
};
pub use welcome::{Decision, Welcome};

/// The only version of the packet format so far: what [`Hello::version_min`] and
/// [`Hello::version_max`] range over, and what stands in every frame.
///
/// Frames that carry a hello will have version 1 for good, so that any two versions can tell each
/// other that they do not fit; a later format applies to what follows the hello.
pub const VERSION: u8 = 1;

/// The bounded numbers of the format: instances and ballot rounds are below this.
///
/// A peer that sends more is refused, so that the core may count on from any number it was told
/// without an overflow. At a million instances per second that leaves 290,000 years.
pub const NUMBER_LIMIT: u64 = 1 << 63;

#[cfg(test)]
extern crate self as synod_proto; // so that the tests' support can be used here, too

#[cfg(test)]
mod tests;
