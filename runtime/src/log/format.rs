//! The bytes on disk: batches and the directory of their records. Little endian throughout.
//!
//! A *batch* is what one sync makes durable: a header with a directory of the batch's records, then
//! the records' payloads. It starts and ends at a multiple of [`BLOCK`], 4 KiB: a disk may tear or
//! lose a physical sector as a whole, and no batch may share one with an older batch, whose sync
//! has long been acknowledged.
//!
//! Everything is there twice that must not be lost with one block:
//!
//! - A *small* batch, up to [`TWICE_MAX`] bytes with its payloads, is written twice whole, one copy
//!   right after the other. Either copy suffices.
//! - A *large* one is header, payloads, a block of their parity, header again. Payloads start in a
//!   block of their own, and the header holds a CRC of each of their blocks and of the parity, so that
//!   damage can be counted in blocks, and any one bad block be computed from the others
//!   ([`super::parity`]).
//!
//! The two copies of a header differ only in their stored CRC ([`SECOND`]), so a copy knows which
//! one it is, and both give the same [`Header::id`].
//!
//! # What tells a batch from anything else
//!
//! The header's CRC-32C starts from the log's salt, which no client knows: a value that looks like
//! a header is not taken for one. The header names its segment's number. A segment number is used
//! by one process life ([`super::recover`]), and in it each batch number at most once, so a header
//! that names the segment it is found in is never a stale one, however often the file was recycled
//! and however often a torn batch was cut and written anew: the new one is in another segment. The
//! batch number and the chain, which runs through the headers of all earlier batches, say that it
//! is the next one.
//!
//! The batch number also says how far the log is known to be synced: batch n + 1 is written only
//! after the sync of batch n returned, so a valid header of batch n + 1, wherever it is found,
//! vouches for all batches up to n.

use std::ops::Range;

use bytes::Bytes;
use crc32c::crc32c_append;
use synod_core::{Ballot, GroupId, Incarnation, NodeId, Record, mark};

/// Unit of alignment of batches, in bytes.
pub(crate) const BLOCK: u64 = 4096;

/// Batches of up to so many bytes are written twice whole: two blocks.
pub(crate) const TWICE_MAX: u64 = 2 * BLOCK;

/// The most bytes of payload in one batch: 1 GiB.
pub const BATCH_BYTES_MAX: u64 = 1 << 30;

/// The stored CRC of the second copy of a header is the first copy's, exclusive-or this.
pub(crate) const SECOND: u32 = 0x5ec0_4d00;

const MAGIC: [u8; 8] = *b"synodb01";
/// Bytes of a header before its directory.
pub(crate) const FIXED: usize = 48;
/// Bytes of one directory entry.
const ENTRY: usize = 48;

/// What a record says. The numbers are the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// This process start has the number `instance`.
    Boot = 1,
    /// The directory holds `group`, with the incarnation in `ballot`.
    Formatted = 2,
    /// The payload is the founding.
    Founded = 3,
    /// Segments below number `instance` are not needed.
    Oldest = 4,
    /// [`Record::Promised`].
    Promised = 5,
    /// [`Record::Accepted`]; the payload is the value.
    Accepted = 6,
    /// [`Record::Learned`]; the payload is the value.
    Learned = 7,
    /// [`Record::Chosen`].
    Chosen = 8,
    /// [`Record::Cleaned`].
    Cleaned = 9,
    /// Something was accepted at `instance` in `ballot`, and the disk lost it before the record
    /// was rewritten.
    Lost = 10,
    /// `group` takes the incarnation in `ballot`. Everything up to `instance` is chosen; what the
    /// earlier incarnation promised, and accepted above that, is forgotten.
    Renewed = 11,
    /// [`Record::Lease`]: so many nanoseconds are in `instance`.
    Lease = 20,
    /// [`Record::Membership`]; the payload is the history.
    Membership = 12,
    /// [`Record::Checkpoint`]; the payload is the group's own state at `instance`.
    Checkpoint = 14,
}

impl Kind {
    fn read(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Boot,
            2 => Self::Formatted,
            3 => Self::Founded,
            4 => Self::Oldest,
            5 => Self::Promised,
            6 => Self::Accepted,
            7 => Self::Learned,
            8 => Self::Chosen,
            9 => Self::Cleaned,
            10 => Self::Lost,
            11 => Self::Renewed,
            20 => Self::Lease,
            12 => Self::Membership,
            14 => Self::Checkpoint,
            _ => return None,
        })
    }

    const fn byte(self) -> u8 {
        match self {
            Self::Boot => 1,
            Self::Formatted => 2,
            Self::Founded => 3,
            Self::Oldest => 4,
            Self::Promised => 5,
            Self::Accepted => 6,
            Self::Learned => 7,
            Self::Chosen => 8,
            Self::Cleaned => 9,
            Self::Lost => 10,
            Self::Renewed => 11,
            Self::Lease => 20,
            Self::Membership => 12,
            Self::Checkpoint => 14,
        }
    }
}

/// One record, as the directory holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) group: GroupId,
    pub(crate) instance: u64,
    pub(crate) ballot: Ballot,
    /// Bytes of its payload.
    pub(crate) len: u32,
    /// CRC-32C of its payload.
    pub(crate) crc: u32,
}

impl Entry {
    /// A record that is no more than its directory entry.
    pub(crate) const fn bare(kind: Kind, group: GroupId, instance: u64, ballot: Ballot) -> Self {
        Self { kind, group, instance, ballot, len: 0, crc: 0 }
    }

    /// A record with a payload.
    ///
    /// # Panics
    ///
    /// If the payload has more than [`BATCH_BYTES_MAX`] bytes.
    pub(crate) fn with_payload(mut self, payload: &[u8]) -> Self {
        assert!(bytes(payload.len()) <= BATCH_BYTES_MAX, "payload of {} bytes", payload.len());
        self.len = u32::try_from(payload.len()).expect("at most BATCH_BYTES_MAX");
        self.crc = crc32c::crc32c(payload);
        self
    }

    /// How a group's record is written: its directory entry and its payload.
    pub(crate) fn of(group: GroupId, record: &Record) -> (Self, Option<Bytes>) {
        let zero = Ballot::ZERO;
        match record {
            Record::Promised(ballot) => (Self::bare(Kind::Promised, group, 0, *ballot), None),
            Record::Lease(length) => {
                let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
                (Self::bare(Kind::Lease, group, nanos, zero), None)
            }
            Record::Chosen(upto) => (Self::bare(Kind::Chosen, group, upto.0, zero), None),
            Record::Cleaned(upto) => (Self::bare(Kind::Cleaned, group, upto.0, zero), None),
            Record::Accepted { instance, ballot, value } => {
                let entry = Self::bare(Kind::Accepted, group, instance.0, *ballot);
                (entry.with_payload(value.bytes()), Some(value.bytes().clone()))
            }
            Record::Learned { instance, value } => {
                let entry = Self::bare(Kind::Learned, group, instance.0, zero);
                (entry.with_payload(value.bytes()), Some(value.bytes().clone()))
            }
            Record::Membership(history) => {
                let mut bytes = Vec::new();
                history.encode(&mut bytes);
                let entry = Self::bare(Kind::Membership, group, history.version().0, zero);
                (entry.with_payload(&bytes), Some(bytes.into()))
            }
            Record::Checkpoint { instance, state } => {
                let entry = Self::bare(Kind::Checkpoint, group, instance.0, zero);
                (entry.with_payload(state), Some(state.clone()))
            }
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.byte(), 0, 0, 0]);
        out.extend_from_slice(&self.group.0.to_le_bytes());
        out.extend_from_slice(&self.instance.to_le_bytes());
        out.extend_from_slice(&self.ballot.round.to_le_bytes());
        out.extend_from_slice(&self.ballot.node.0.to_le_bytes());
        out.extend_from_slice(&self.ballot.incarnation.0.to_le_bytes());
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }

    fn read(from: &[u8]) -> Option<Self> {
        if from.get(1..4)? != [0; 3] {
            return None;
        }
        Some(Self {
            kind: Kind::read(*from.first()?)?,
            group: GroupId(read_u32(from, 4)?),
            instance: read_u64(from, 8)?,
            ballot: Ballot {
                round: read_u64(from, 16)?,
                node: NodeId(read_u64(from, 24)?),
                incarnation: Incarnation(read_u64(from, 32)?),
            },
            len: read_u32(from, 40)?,
            crc: read_u32(from, 44)?,
        })
    }
}

/// Where the parts of a batch lie, in bytes from its start. All but the payloads' ends are
/// multiples of [`BLOCK`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Written twice whole.
    pub(crate) twice: bool,
    /// Bytes of the header, without padding.
    pub(crate) header: u64,
    /// Where the payloads of the first copy start.
    pub(crate) payload: u64,
    /// Where the second copy, of the batch or of the header, starts.
    pub(crate) second: u64,
    /// Where the batch ends.
    pub(crate) end: u64,
    /// Blocks of payloads and, last, of their parity, each with a CRC in the header; zero if written
    /// twice, or if there are no payloads.
    pub(crate) blocks: u64,
}

impl Layout {
    /// The layout of a batch with so many records and bytes of payload; `None` if there is no such
    /// batch.
    pub(crate) fn new(records: u32, payload: u64) -> Option<Self> {
        if payload > BATCH_BYTES_MAX {
            return None;
        }
        let fixed = bytes(FIXED) + u64::from(records) * bytes(ENTRY);
        let once = fixed + payload;
        if once <= TWICE_MAX {
            let second = round_up(once);
            let end = 2 * second;
            return Some(Self {
                twice: true,
                header: fixed,
                payload: fixed,
                second,
                end,
                blocks: 0,
            });
        }
        let parity = u64::from(payload > 0);
        let blocks = payload.div_ceil(BLOCK) + parity;
        let header = fixed + 4 * blocks;
        let start = round_up(header);
        let second = start + blocks * BLOCK;
        let end = second + start;
        Some(Self { twice: false, header, payload: start, second, end, blocks })
    }
}

/// A batch's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Number of the batch, from 1, without gaps.
    pub(crate) number: u64,
    /// [`Self::id`] of the batch before.
    pub(crate) chain: u32,
    /// CRC-32C of this header, from the salt; the chain of the next batch.
    pub(crate) id: u32,
    pub(crate) entries: Vec<Entry>,
    /// CRC-32C of each block of payloads, padding included, and of their parity; none if written twice.
    pub(crate) blocks: Vec<u32>,
    pub(crate) layout: Layout,
}

impl Header {
    /// Each record with the place of its payload, in bytes from the start of the payloads.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = (&Entry, Range<u64>)> {
        let mut at = 0;
        self.entries.iter().map(move |entry| {
            let start = at;
            at += u64::from(entry.len);
            (entry, start..at)
        })
    }
}

/// Appends a header to `out`; returns its id. The second copy is the same bytes with
/// [`second_copy`].
pub(crate) fn put_header(
    out: &mut Vec<u8>,
    salt: u64,
    segment: u32,
    number: u64,
    chain: u32,
    entries: &[Entry],
    blocks: &[u32],
) -> u32 {
    let start = out.len();
    let count = u32::try_from(entries.len()).expect("checked by the layout");
    let payload: u64 = entries.iter().map(|entry| u64::from(entry.len)).sum();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&u64::from(segment).to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&chain.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&payload.to_le_bytes());
    for entry in entries {
        entry.put(out);
    }
    for crc in blocks {
        out.extend_from_slice(&crc.to_le_bytes());
    }
    let id = header_crc(salt, &out[start..]);
    out[start + 8..start + 12].copy_from_slice(&id.to_le_bytes());
    id
}

/// Makes the first copy of a header the second one.
pub(crate) fn second_copy(header: &mut [u8], id: u32) {
    header[8..12].copy_from_slice(&(id ^ SECOND).to_le_bytes());
}

/// What the first bytes of a header claim, before its CRC was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) layout: Layout,
}

/// Reads the first [`FIXED`] bytes of what may be a header of a batch in `segment`.
pub(crate) fn claim(fixed: &[u8], segment: u32) -> Option<Claim> {
    mark!(BATCH_OF_EARLIER_SEGMENT
        if fixed.get(..8)? == MAGIC && read_u64(fixed, 16)? != u64::from(segment));
    if fixed.get(..8)? != MAGIC || read_u64(fixed, 16)? != u64::from(segment) {
        return None;
    }
    Some(Claim { layout: Layout::new(read_u32(fixed, 36)?, read_u64(fixed, 40)?)? })
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// They are damaged, or never were one.
    Damaged,
    /// Their CRC is right, and this version cannot read them.
    Unknown,
}

/// Reads a whole header whose first bytes made `claim`; also which copy it is: 0 or 1.
pub(crate) fn read_header(
    from: &[u8],
    salt: u64,
    claim: Claim,
) -> Result<(Header, usize), NoHeader> {
    let layout = claim.layout;
    let stored = read_u32(from, 8).ok_or(NoHeader::Damaged)?;
    let len = index(layout.header);
    let from = from.get(..len).ok_or(NoHeader::Damaged)?;
    let id = header_crc(salt, from);
    let copy = if stored == id {
        0
    } else if stored == id ^ SECOND {
        1
    } else {
        return Err(NoHeader::Damaged);
    };
    read_body(from, id, layout).map(|header| (header, copy)).ok_or(NoHeader::Unknown)
}

fn read_body(from: &[u8], id: u32, layout: Layout) -> Option<Header> {
    // Unused bytes are zero: whatever is in them, this version would lose by writing it again.
    if read_u32(from, 12)? != 0 {
        return None;
    }
    let count = index(u64::from(read_u32(from, 36)?));
    let table = FIXED + count * ENTRY;
    let entries: Option<Vec<Entry>> =
        from.get(FIXED..table)?.chunks_exact(ENTRY).map(Entry::read).collect();
    let entries = entries?;
    let payload: u64 = entries.iter().map(|entry| u64::from(entry.len)).sum();
    if payload != read_u64(from, 40)? {
        return None;
    }
    let blocks =
        from.get(table..)?.chunks_exact(4).map(|crc| read_u32(crc, 0)).collect::<Option<_>>();
    Some(Header {
        number: read_u64(from, 24)?,
        chain: read_u32(from, 32)?,
        id,
        entries,
        blocks: blocks?,
        layout,
    })
}

/// The CRC covers all but itself.
fn header_crc(salt: u64, header: &[u8]) -> u32 {
    let crc = crc32c_append(0, &salt.to_le_bytes());
    crc32c_append(crc32c_append(crc, &header[..8]), &header[12..])
}

/// The next multiple of [`BLOCK`].
pub(crate) const fn round_up(n: u64) -> u64 {
    n.next_multiple_of(BLOCK)
}

/// A length in memory, as the log counts bytes.
pub(crate) fn bytes(n: usize) -> u64 {
    u64::try_from(n).expect("usize has at most 64 bits")
}

/// A position on disk, as memory counts bytes.
pub(crate) fn index(n: u64) -> usize {
    usize::try_from(n).expect("the log is for machines whose usize has 64 bits")
}

pub(crate) fn read_u16(from: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

pub(crate) fn read_u32(from: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

pub(crate) fn read_u64(from: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*from.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_gives_back_what_was_laid_out_and_no_flipped_bit_is_missed() {
        let ballot = Ballot { round: 3, node: NodeId(2), incarnation: Incarnation(9) };
        let entries = [
            Entry::bare(Kind::Promised, GroupId(7), 0, ballot),
            Entry::bare(Kind::Accepted, GroupId(7), 12, ballot).with_payload(&[5; 9000]),
        ];
        let layout = Layout::new(2, 9000).unwrap();
        assert_eq!((layout.twice, layout.payload, layout.blocks), (false, 4096, 4));
        let mut out = Vec::new();
        let id = put_header(&mut out, 11, 4, 21, 77, &entries, &[1, 2, 3, 4]);
        let (header, copy) = read_header(&out, 11, claim(&out, 4).unwrap()).unwrap();
        assert_eq!((header.number, header.chain, header.id, copy), (21, 77, id, 0));
        assert_eq!(header.entries, entries);
        assert_eq!(header.blocks, [1, 2, 3, 4]);
        second_copy(&mut out, id);
        assert_eq!(read_header(&out, 11, claim(&out, 4).unwrap()).unwrap(), (header, 1));

        assert!(claim(&out, 5).is_none(), "of another segment");
        assert!(read_header(&out, 12, claim(&out, 4).unwrap()).is_err(), "of another log");
        for bit in 0..out.len() * 8 {
            out[bit / 8] ^= 1 << (bit % 8);
            let read = claim(&out, 4).map(|claim| read_header(&out, 11, claim));
            assert!(!matches!(read, Some(Ok(_))), "bit {bit}");
            out[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn small_batches_are_laid_out_twice_and_copies_never_share_a_block() {
        for (records, payload, twice, end) in [
            (0, 0, true, 8192),
            (1, 100, true, 8192),
            (1, 4000, true, 8192),
            (1, 4001, true, 16384),
            (1, 8096, true, 16384),
            (1, 8097, false, 4096 + 8192 + 4096 + 4096),
            (200, 0, false, 12288 + 12288),
        ] {
            let layout = Layout::new(records, payload).unwrap();
            assert_eq!((layout.twice, layout.end), (twice, end), "{records} {payload}");
            assert_eq!(layout.second % BLOCK, 0);
        }
        assert_eq!(Layout::new(1, BATCH_BYTES_MAX + 1), None);
        assert_eq!(Layout::new(u32::MAX, 0).map(|layout| layout.twice), Some(false));
    }
}
