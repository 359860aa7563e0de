//! Values: what an instance chooses, as bytes that are laid out once and never again.
//!
//! The leader lays a value out when it proposes it. The same bytes then go to its own log, over the
//! wire, into every other log and in front of every state machine, without a copy: [`Value`] holds
//! [`Bytes`] that have been checked once, by [`Value::parse`], and [`Value::commands`] reads them in
//! place.
//!
//! Layout, little endian. The layout is part of both the wire and the log format.
//!
//! ```text
//! kind: u8            0 no-op, nothing follows; 1 commands; 2 membership, see MembershipEntry
//! count: u32          1 or more
//! count times:
//!   origin: u64       the proposer's incarnation
//!   boot: u64         the proposer's process start
//!   seq: u64          the proposer's count of its proposals
//!   low: u64          the lowest the proposer had not resolved; low <= seq
//!   sm: u32           the state machine that executes the command
//!   len: u32          then so many bytes of the command itself
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

use crate::ids::{Incarnation, SmId};
use crate::membership::MembershipEntry;

/// What one instance chooses: nothing, a batch of commands, or a membership. Always well formed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(Bytes);

/// Which kind of value this is; see [`Value::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Fills a hole in the log.
    Noop,
    /// A batch of one or more commands.
    Commands,
    /// Who votes and who follows from the next instance on.
    Membership,
}

/// Names a command for life, however often it is sent: the proposer's memory, process start and
/// count. Ordered, but the order means nothing across origins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandKey {
    /// The proposing node's incarnation.
    pub origin: Incarnation,
    /// Its durable count of process starts.
    pub boot: u64,
    /// Its count of proposals in that process life, from 1.
    pub seq: u64,
}

/// What a client proposed, for one state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub key: CommandKey,
    /// The lowest `seq` that the proposer had not resolved when it proposed this; at most `key.seq`.
    pub low: u64,
    /// Which state machine executes it.
    pub sm: SmId,
    /// What it executes.
    pub payload: Bytes,
}

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The first byte names no kind of value that this version knows.
    #[error("value kind {0} is unknown: written by a newer version, or damaged")]
    Kind(u8),
    /// The bytes end within a field, go on after the last one, or hold no command.
    #[error("value of {len} bytes is malformed at byte {at}")]
    Malformed {
        /// How long it is.
        len: usize,
        /// Where reading stopped.
        at: usize,
    },
}

/// Bytes that each command adds to its value beside its payload.
pub const COMMAND_OVERHEAD: usize = 40;

/// Bytes of a value of commands before the first one.
pub const VALUE_OVERHEAD: usize = 5;

/// What an entry adds to a page beside its value's bytes, at most: pages are limited by bytes, and
/// a page of no-ops must not hold a million of them.
pub(crate) const ENTRY_OVERHEAD: usize = 64;

const KIND_NOOP: u8 = 0;
const KIND_COMMANDS: u8 = 1;
const KIND_MEMBERSHIP: u8 = 2;

impl Value {
    /// The value that fills a hole.
    pub const NOOP: Self = Self(Bytes::from_static(&[KIND_NOOP]));

    /// Checks the layout, once, and keeps the bytes as they are.
    ///
    /// # Errors
    ///
    /// If the bytes are no value: the peer or the disk that they came from is not to be believed.
    pub fn parse(bytes: Bytes) -> Result<Self, ValueError> {
        let len = bytes.len();
        let malformed = |at| ValueError::Malformed { len, at };
        match bytes.first() {
            None => return Err(malformed(0)),
            Some(&KIND_NOOP) if len == 1 => return Ok(Self(bytes)),
            Some(&KIND_NOOP) => return Err(malformed(1)),
            Some(&KIND_COMMANDS) => {}
            Some(&KIND_MEMBERSHIP) => {
                let whole = MembershipEntry::decode(&bytes[1..]).is_some();
                return if whole { Ok(Self(bytes)) } else { Err(malformed(1)) };
            }
            Some(&kind) => return Err(ValueError::Kind(kind)),
        }
        let mut at = VALUE_OVERHEAD;
        let count = read_u32(&bytes, 1).ok_or_else(|| malformed(1))?;
        if count == 0 {
            return Err(malformed(1));
        }
        for _ in 0..count {
            let head = Head::read(&bytes, at).ok_or_else(|| malformed(at))?;
            if head.low > head.key.seq || head.key.seq == 0 || head.low == 0 {
                return Err(malformed(at));
            }
            at += COMMAND_OVERHEAD;
            at = at.checked_add(head.len).filter(|&end| end <= len).ok_or_else(|| malformed(at))?;
        }
        if at == len { Ok(Self(bytes)) } else { Err(malformed(at)) }
    }

    /// Which kind of value this is.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self.0[0] {
            KIND_NOOP => ValueKind::Noop,
            KIND_COMMANDS => ValueKind::Commands,
            _ => ValueKind::Membership,
        }
    }

    /// A value that changes the membership.
    #[must_use]
    pub fn of_membership(entry: &MembershipEntry) -> Self {
        let mut bytes = alloc::vec![KIND_MEMBERSHIP];
        entry.encode(&mut bytes);
        Self(Bytes::from(bytes))
    }

    /// The membership that the value is, if it is one.
    #[must_use]
    pub fn membership(&self) -> Option<MembershipEntry> {
        (self.kind() == ValueKind::Membership)
            .then(|| MembershipEntry::decode(&self.0[1..]).expect("checked when it was parsed"))
    }

    /// The bytes, as they go to disk and over the wire.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The same bytes without counting another reference first.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// How many bytes the value has.
    #[expect(clippy::len_without_is_empty, reason = "a value is never empty")]
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// How many commands the value holds.
    #[must_use]
    pub fn count(&self) -> u32 {
        if self.0[0] == KIND_COMMANDS { read_u32(&self.0, 1).unwrap_or(0) } else { 0 }
    }

    /// The commands in their order; their payloads share the value's bytes.
    #[must_use]
    pub fn commands(&self) -> Commands<'_> {
        Commands { bytes: &self.0, at: VALUE_OVERHEAD, left: self.count() }
    }
}

impl core::fmt::Debug for Value {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.kind() {
            ValueKind::Noop => f.write_str("noop"),
            ValueKind::Commands => f.debug_list().entries(self.commands()).finish(),
            ValueKind::Membership => self.membership().fmt(f),
        }
    }
}

/// Iterates over the commands of a [`Value`].
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    bytes: &'a Bytes,
    at: usize,
    left: u32,
}

impl Iterator for Commands<'_> {
    type Item = Command;

    #[inline] // so that the caller reads the head in place, and a command is moved once
    fn next(&mut self) -> Option<Command> {
        self.left = self.left.checked_sub(1)?;
        let head = Head::read(self.bytes, self.at)?;
        let start = self.at + COMMAND_OVERHEAD;
        self.at = start + head.len;
        let payload = self.bytes.slice(start..self.at);
        Some(Command { key: head.key, low: head.low, sm: head.sm, payload })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        (left, Some(left))
    }
}

/// Lays out values, one after the other, in shared blocks, so that a value costs no allocation of
/// its own.
#[derive(Debug, Default)]
pub struct ValueWriter {
    block: BytesMut,
    count: u32,
}

impl ValueWriter {
    /// A writer that has laid out nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command to the value being laid out.
    ///
    /// # Panics
    ///
    /// If the payload has 4 GiB or more: limits far below that were checked when it was proposed.
    pub fn push(&mut self, command: &Command) {
        let needed = VALUE_OVERHEAD + COMMAND_OVERHEAD + command.payload.len();
        if self.block.capacity() - self.block.len() < needed {
            self.block.reserve(needed.max(BLOCK_BYTES));
        }
        if self.count == 0 {
            self.block.put_u8(KIND_COMMANDS);
            self.block.put_u32_le(0);
        }
        self.count += 1;
        let len = u32::try_from(command.payload.len()).expect("payload within the value limit");
        let mut head = [0; COMMAND_OVERHEAD];
        head[..8].copy_from_slice(&command.key.origin.0.to_le_bytes());
        head[8..16].copy_from_slice(&command.key.boot.to_le_bytes());
        head[16..24].copy_from_slice(&command.key.seq.to_le_bytes());
        head[24..32].copy_from_slice(&command.low.to_le_bytes());
        head[32..36].copy_from_slice(&command.sm.0.to_le_bytes());
        head[36..].copy_from_slice(&len.to_le_bytes());
        self.block.put_slice(&head);
        self.block.put_slice(&command.payload);
    }

    /// The value laid out so far; the next [`push`](Self::push) starts another.
    pub fn finish(&mut self) -> Value {
        if self.count == 0 {
            return Value::NOOP;
        }
        let mut bytes = self.block.split();
        bytes[1..VALUE_OVERHEAD].copy_from_slice(&self.count.to_le_bytes());
        self.count = 0;
        Value(bytes.freeze())
    }
}

/// One block holds many small values; it lives as long as the last of them.
const BLOCK_BYTES: usize = 64 * 1024;

struct Head {
    key: CommandKey,
    low: u64,
    sm: SmId,
    len: usize,
}

impl Head {
    #[inline]
    fn read(bytes: &[u8], at: usize) -> Option<Self> {
        let head: &[u8; COMMAND_OVERHEAD] = bytes.get(at..)?.first_chunk()?;
        Some(Self {
            key: CommandKey {
                origin: Incarnation(read_u64(head, 0)?),
                boot: read_u64(head, 8)?,
                seq: read_u64(head, 16)?,
            },
            low: read_u64(head, 24)?,
            sm: SmId(read_u32(head, 32)?),
            len: usize::try_from(read_u32(head, 36)?).ok()?,
        })
    }
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn command(seq: u64, payload: &'static [u8]) -> Command {
        let key = CommandKey { origin: Incarnation(7), boot: 2, seq };
        Command { key, low: 1, sm: SmId(3), payload: Bytes::from_static(payload) }
    }

    #[test]
    fn a_value_gives_back_what_was_laid_out() {
        let mut writer = ValueWriter::default();
        let commands = [command(1, b"one"), command(2, b""), command(9, b"three")];
        for each in &commands {
            writer.push(each);
        }
        let value = writer.finish();
        let parsed = Value::parse(value.bytes().clone()).unwrap();
        assert_eq!(parsed.commands().collect::<Vec<_>>(), commands);
        assert_eq!(parsed.kind(), ValueKind::Commands);
    }

    #[test]
    fn values_of_one_block_do_not_touch_each_other() {
        let mut writer = ValueWriter::default();
        writer.push(&command(1, b"one"));
        let first = writer.finish();
        writer.push(&command(2, b"two"));
        let second = writer.finish();
        assert_eq!(first.commands().next(), Some(command(1, b"one")));
        assert_eq!(second.commands().next(), Some(command(2, b"two")));
        assert_eq!(writer.finish(), Value::NOOP);
    }

    #[test]
    fn no_prefix_and_no_extension_of_a_value_is_a_value() {
        let mut writer = ValueWriter::default();
        writer.push(&command(1, b"one"));
        writer.push(&command(2, b"two"));
        let bytes = writer.finish().into_bytes();
        for end in 0..bytes.len() {
            assert!(Value::parse(bytes.slice(..end)).is_err(), "prefix of {end} bytes");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(Value::parse(longer.into()).is_err());
        assert_eq!(Value::parse(Bytes::from_static(&[9])), Err(ValueError::Kind(9)));
        assert_eq!(Value::parse(Bytes::from_static(&[0])), Ok(Value::NOOP));
    }
}
