//! Segments: the files that the log consists of, and their headers.
//!
//! Segment n is the file `0000000n.log`, written full of zeros before its first use. Its first two
//! blocks hold the same header; batches follow. The header is synced, and so is the file's name,
//! before the first batch is written, so a segment in which nothing but a torn header is found
//! holds nothing that was ever vouched for.

use std::io;
use std::path::{Path, PathBuf};

use super::format::{BLOCK, index, read_u16, read_u32, read_u64};
use super::gaps;
use crate::vfs::VfsFile;

/// Where the first batch of a segment starts: behind two copies of the header.
pub(crate) const HEAD: u64 = 2 * BLOCK;

/// The format that this version writes, and the only one it reads.
pub(crate) const VERSION: u16 = 2;

/// Far above the number of any segment, and far enough below the end that counting on is safe.
pub(crate) const NUMBER_MAX: u32 = 1 << 31;

/// The same of batches.
const BATCH_MAX: u64 = 1 << 62;

const MAGIC: [u8; 8] = *b"synodseg";

/// A place in the sequence of segments and batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Start {
    /// Number of the segment, from 1.
    pub(crate) segment: u32,
    /// Number of its first batch: all batches below it were synced before the segment began.
    pub(crate) first: u64,
    /// [`id`](super::format::Header::id) of the batch before that.
    pub(crate) chain: u32,
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Keeps values from being taken for headers: CRCs of batch headers start from it.
    pub(crate) salt: u64,
    pub(crate) start: Start,
    /// The oldest segment that was needed when this one began.
    pub(crate) oldest: Start,
}

/// What was found where a segment's header belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// At least one good copy; and how many are bad.
    Header(SegmentHeader, u64),
    /// Nothing that belongs to the segment of this number.
    Nothing,
    /// A header of another version of the format.
    Version(u16),
}

impl SegmentHeader {
    /// One block.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(index(BLOCK));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.salt.to_le_bytes());
        for start in [self.start, self.oldest] {
            out.extend_from_slice(&start.segment.to_le_bytes());
            out.extend_from_slice(&start.chain.to_le_bytes());
            out.extend_from_slice(&start.first.to_le_bytes());
        }
        out.resize(index(BLOCK), 0);
        let crc = header_crc(&out);
        out[8..12].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Writes both copies.
    pub(crate) fn write(&self, file: &impl VfsFile) -> io::Result<()> {
        let mut both = self.encode();
        both.extend_from_within(..);
        file.write_at(0, &both)
    }

    /// Reads the header of the file that is called segment `number`.
    pub(crate) fn read(file: &impl VfsFile, number: u32) -> io::Result<Found> {
        let mut both = vec![0; index(HEAD)];
        let got = gaps::read_at(file, 0, &mut both)?;
        both.truncate(got);
        let mut found = Found::Nothing;
        let mut bad = 0;
        for copy in 0..2 {
            let block = both.get(copy * index(BLOCK)..(copy + 1) * index(BLOCK));
            match block.and_then(decode) {
                Some(Found::Header(header, _)) if header.start.segment == number => {
                    found = Found::Header(header, 0);
                }
                Some(version @ Found::Version(_)) => return Ok(version),
                Some(Found::Header(..) | Found::Nothing) | None => bad += 1,
            }
        }
        if let Found::Header(_, bad_copies) = &mut found {
            *bad_copies = bad;
        }
        Ok(found)
    }
}

/// All versions keep magic, CRC and version where they are, and the CRC over the whole block.
fn decode(block: &[u8]) -> Option<Found> {
    if block.get(..8)? != MAGIC || read_u32(block, 8)? != header_crc(block) {
        return None;
    }
    let version = read_u16(block, 12)?;
    if version != VERSION {
        return Some(Found::Version(version));
    }
    let start = |at| {
        Some(Start {
            segment: read_u32(block, at)?,
            chain: read_u32(block, at + 4)?,
            first: read_u64(block, at + 8)?,
        })
    };
    let header =
        SegmentHeader { salt: read_u64(block, 16)?, start: start(24)?, oldest: start(40)? };
    (1..=BATCH_MAX).contains(&header.start.first).then_some(Found::Header(header, 0))
}

fn header_crc(block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block[..8]), &block[12..])
}

/// The path of segment `number`.
pub(crate) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

/// The number of the segment with this file name.
pub(crate) fn number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    let number: u32 = digits.parse().ok()?;
    (number > 0 && format!("{number:08}") == digits).then_some(number)
}

/// How many bytes of a segment with so many bytes are whole blocks.
pub(crate) fn usable(size: u64) -> u64 {
    // Offsets within a segment are kept in 32 bits.
    size.min(u64::from(u32::MAX)) / BLOCK * BLOCK
}

/// The size of the smallest segment that has room for `need` bytes of batches.
pub(crate) fn size_for(need: u64, usual: u64) -> u64 {
    usual.max(HEAD + need)
}

#[cfg(test)]
mod tests {
    use super::super::format::bytes;
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(path(Path::new("d"), 12), Path::new("d/00000012.log"));
        assert_eq!(number("00000012.log"), Some(12));
        assert_eq!(number("4294967295.log"), Some(u32::MAX));
        for name in
            ["12.log", "00000000.log", "+0000012.log", "00000012.lo", "spare-1", "0x000012.log"]
        {
            assert_eq!(number(name), None, "{name}");
        }
    }

    #[test]
    fn a_header_gives_back_what_was_laid_out() {
        let header = SegmentHeader {
            salt: 9,
            start: Start { segment: 4, first: 70, chain: 3 },
            oldest: Start { segment: 2, first: 30, chain: 8 },
        };
        let block = header.encode();
        assert_eq!(bytes(block.len()), BLOCK);
        assert_eq!(decode(&block), Some(Found::Header(header, 0)));
        let mut newer = block.clone();
        newer[12] = 3;
        assert_eq!(decode(&newer), None, "the CRC covers the version");
        let crc = header_crc(&newer);
        newer[8..12].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(&newer), Some(Found::Version(3)));
    }
}
