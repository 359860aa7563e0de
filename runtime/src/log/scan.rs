//! Reading a segment back, batch by batch; telling a torn tail from damage.
//!
//! # Damage is counted in places
//!
//! A *place* is something that one rotted block explains: one copy of a small batch, one copy of a
//! large batch's header, one block of its payloads or their parity. [`Batch::places`] counts the bad
//! ones. A batch with one bad place is *whole*: whatever is bad is there in another copy, or is the
//! exclusive-or of the blocks that are good.
//!
//! # The last batch
//!
//! A batch is *vouched for* if anything shows that its sync had returned: a later batch anywhere in
//! its segment, or a later segment. A batch that is vouched for was acknowledged. If its header
//! can be read, each record in it is known, and a value in more than one bad block is *lost*: the
//! promise holds, and the acceptor says that it accepted something there. If its header cannot be
//! read in either copy, votes may be lost, and nobody may vote with this log.
//!
//! One batch may be vouched for by nothing: the last. It was being written when the power failed,
//! and then nobody was told of it; or it was synced, a vote went out, and then a block rotted. To
//! take the second for the first is to forget a vote; to take the first for the second, and know no
//! more than that something was written, is to hold a value that nobody may ever have accepted and
//! that cannot be learned from anyone. So:
//!
//! > **The last batch, if nothing vouches for it, is cut as torn if and only if at least two of its
//! > places are bad.**
//!
//! One rotted block spoils one place, so it never makes a synced batch look torn. A torn batch is cut,
//! or it has at most one bad place and is recovered whole, as if its sync had returned. Either is true
//! to what anybody was told. In no case does a power cut cost a value and leave its record.
//!
//! A batch that is cut is never looked at again: the log goes on in a new segment, whose header
//! gives the cut batch's number to its own first batch.

use std::io;
use std::ops::Range;

use crc32c::crc32c;
use synod_core::mark;

use super::format::{
    BLOCK, Entry, FIXED, Header, NoHeader, bytes, claim, index, put_header, read_header,
    second_copy,
};
use super::gaps;
use super::parity;
use super::segment::HEAD;
use crate::vfs::VfsFile;

/// Why a segment cannot be scanned.
#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    /// A batch of a newer format.
    Unknown,
    /// A batch contradicts those before it, at this offset.
    Contradiction(u64),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads one segment.
#[derive(Debug)]
pub(crate) struct Scanner<'a, F> {
    file: &'a F,
    salt: u64,
    segment: u32,
    size: u64,
    buf: Vec<u8>,
}

/// What follows the batches read so far.
#[derive(Debug)]
pub(crate) enum Next {
    /// The next batch, good or bad.
    Batch(Batch),
    /// Neither copy of its header can be read.
    Nothing {
        /// Something begins here that may have been a header.
        torn: bool,
        /// Where a later batch is.
        later: Option<u64>,
    },
}

/// A batch of which at least one header was read.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Where it starts.
    pub(crate) at: u64,
    pub(crate) header: Header,
    /// How many of its places are bad.
    pub(crate) places: u64,
    /// For each record: where its payload is, `None` if it is lost.
    pub(crate) payloads: Vec<Option<u64>>,
    /// What belongs where its only bad block is. Not written yet: see [`Self::mend`].
    mended: Option<Mended>,
    /// Which copies are bad: of the batch if it is small, else of its header.
    bad: [bool; 2],
}

/// A block computed from the others.
#[derive(Clone, Debug)]
struct Mended {
    at: u64,
    block: Vec<u8>,
}

/// How much is read at once.
const CHUNK: u64 = 256 * 1024;

impl<'a, F: VfsFile> Scanner<'a, F> {
    pub(crate) fn new(file: &'a F, salt: u64, segment: u32) -> io::Result<Self> {
        let size = super::segment::usable(file.size()?);
        Ok(Self { file, salt, segment, size, buf: Vec::new() })
    }

    /// The batch that belongs at `at`.
    pub(crate) fn next(&mut self, at: u64, number: u64, chain: u32) -> Result<Next, ScanError> {
        let first = self.header_at(at)?;
        if let Some((header, 0)) = &first
            && header.number == number
        {
            if header.chain != chain {
                mark!(CHAIN_BROKEN);
                return Err(ScanError::Contradiction(at));
            }
            let header = header.clone();
            return Ok(Next::Batch(self.check(at, header, 0)?));
        }
        let torn = self.claims(at)?;
        let mut from = at;
        while let Some((place, header, copy)) = self.find(from)? {
            let start = place.checked_sub(header.layout.second);
            let whole = at + header.layout.end <= self.size;
            if copy == 1 && header.number == number && start == Some(at) && whole {
                if header.chain != chain {
                    mark!(CHAIN_BROKEN);
                    return Err(ScanError::Contradiction(place));
                }
                return Ok(Next::Batch(self.check(at, header, 1)?));
            }
            if header.number >= number {
                mark!(BATCH_BEFORE_LAST_UNREADABLE);
                return Ok(Next::Nothing { torn, later: Some(place) });
            }
            from = place + BLOCK;
        }
        Ok(Next::Nothing { torn, later: None })
    }

    /// Whether a batch with a number above `number` is at `from` or behind it.
    pub(crate) fn later(&mut self, from: u64, number: u64) -> Result<Option<u64>, ScanError> {
        let mut from = from;
        while let Some((place, header, _)) = self.find(from)? {
            if header.number > number {
                return Ok(Some(place));
            }
            from = place + BLOCK;
        }
        Ok(None)
    }

    /// The first good header at `from` or behind it, and which copy it is.
    pub(crate) fn find(&mut self, from: u64) -> Result<Option<(u64, Header, usize)>, ScanError> {
        let mut chunk = vec![0; index(CHUNK.min(self.size.saturating_sub(from)))];
        let mut at = from;
        while at + BLOCK <= self.size {
            let len = index(CHUNK.min(self.size - at));
            let got = gaps::read_at(self.file, at, &mut chunk[..len])?;
            for (place, block) in
                (at..).step_by(index(BLOCK)).zip(chunk[..got].chunks(index(BLOCK)))
            {
                if block.get(..FIXED).is_some_and(|fixed| claim(fixed, self.segment).is_some())
                    && let Some((header, copy)) = self.header_at(place)?
                {
                    return Ok(Some((place, header, copy)));
                }
            }
            at += CHUNK;
        }
        Ok(None)
    }

    /// The batch that has `offset` among its bytes, found by its headers alone.
    pub(crate) fn over(&mut self, offset: u64) -> Result<Option<Batch>, ScanError> {
        let mut from = HEAD;
        while let Some((place, header, copy)) = self.find(from)? {
            let before = if copy == 0 { 0 } else { header.layout.second };
            let Some(at) = place.checked_sub(before) else { return Ok(None) };
            let end = at + header.layout.end;
            if (at..end).contains(&offset) {
                return self.check(at, header, copy).map(Some);
            }
            if at > offset {
                break;
            }
            from = end.max(place + BLOCK);
        }
        Ok(None)
    }

    /// Whether what is at `at` says that it is a batch of this segment.
    fn claims(&mut self, at: u64) -> io::Result<bool> {
        let mut fixed = [0; FIXED];
        let got = gaps::read_at(self.file, at, &mut fixed)?;
        Ok(got == FIXED && claim(&fixed, self.segment).is_some())
    }

    /// The header at `at`, if there is a good one, and which copy it is.
    fn header_at(&mut self, at: u64) -> Result<Option<(Header, usize)>, ScanError> {
        let mut fixed = [0; FIXED];
        if at < HEAD || at + BLOCK > self.size || gaps::read_at(self.file, at, &mut fixed)? != FIXED
        {
            return Ok(None);
        }
        let Some(claim) = claim(&fixed, self.segment) else { return Ok(None) };
        if claim.layout.header > self.size - at || claim.layout.end > self.size {
            return Ok(None);
        }
        self.buf.resize(index(claim.layout.header), 0);
        if gaps::read_at(self.file, at, &mut self.buf)? != self.buf.len() {
            return Ok(None);
        }
        match read_header(&self.buf, self.salt, claim) {
            Ok((header, copy)) if copy == 1 || at + header.layout.end <= self.size => {
                Ok(Some((header, copy)))
            }
            Ok(_) | Err(NoHeader::Damaged) => Ok(None),
            Err(NoHeader::Unknown) => Err(ScanError::Unknown),
        }
    }

    /// Counts the bad places of a batch whose header was read from this copy, and finds its payloads.
    fn check(&mut self, at: u64, header: Header, read: usize) -> Result<Batch, ScanError> {
        let other = 1 - read;
        let found = self.header_at([at, at + header.layout.second][other])?;
        let mut bad = [false; 2];
        bad[other] = found.is_none_or(|(second, copy)| copy != other || second.id != header.id);
        let mut batch = Batch { at, header, places: 0, payloads: Vec::new(), mended: None, bad };
        if batch.header.layout.twice {
            self.check_twice(&mut batch)?;
        } else {
            self.check_large(&mut batch)?;
        }
        Ok(batch)
    }

    fn check_twice(&mut self, batch: &mut Batch) -> io::Result<()> {
        let layout = batch.header.layout;
        let mut all = vec![0; index(layout.end)];
        gaps::read_exact_at(self.file, batch.at, &mut all)?;
        batch.payloads = vec![None; batch.header.entries.len()];
        for (copy, from) in [layout.payload, layout.second + layout.payload].into_iter().enumerate()
        {
            for ((entry, range), place) in batch.header.payloads().zip(&mut batch.payloads) {
                let (start, end) = (from + range.start, from + range.end);
                if crc32c(&all[index(start)..index(end)]) == entry.crc {
                    place.get_or_insert(batch.at + start);
                } else {
                    batch.bad[copy] = true;
                }
            }
        }
        batch.places = batch.bad.iter().map(|&bad| u64::from(bad)).sum();
        mark!(BATCH_SAVED_BY_COPY if batch.places == 1);
        Ok(())
    }

    fn check_large(&mut self, batch: &mut Batch) -> io::Result<()> {
        let layout = batch.header.layout;
        batch.places = batch.bad.iter().map(|&bad| u64::from(bad)).sum();
        let start = batch.at + layout.payload;
        let mut chunk = vec![0; index(CHUNK.min(layout.blocks * BLOCK))];
        let mut damaged: Vec<Range<u64>> = Vec::new();
        let mut crcs = batch.header.blocks.iter();
        let mut at = 0;
        while at < layout.blocks * BLOCK {
            let len = index(CHUNK.min(layout.blocks * BLOCK - at));
            gaps::read_exact_at(self.file, start + at, &mut chunk[..len])?;
            for block in chunk[..len].chunks(index(BLOCK)) {
                if crcs.next() != Some(&crc32c(block)) {
                    mark!(LARGE_BATCH_DAMAGED);
                    batch.places += 1;
                    damaged.push(at..at + BLOCK);
                }
                at += BLOCK;
            }
        }
        if let [only] = &damaged[..] {
            batch.mended = self.compute(batch, only.start)?;
            if batch.mended.is_some() {
                mark!(BLOCK_MENDED);
                damaged.clear();
            }
        }
        let mut payloads = Vec::with_capacity(batch.header.entries.len());
        let mut damaged = damaged.iter().peekable();
        for (entry, range) in batch.header.payloads() {
            while damaged.next_if(|block| block.end <= range.start).is_some() {}
            let suspect = damaged.peek().is_some_and(|block| block.start < range.end);
            let lost = suspect && !range.is_empty() && self.is_bad(entry, start + range.start)?;
            payloads.push((!lost).then_some(start + range.start));
        }
        batch.payloads = payloads;
        Ok(())
    }

    /// The block at `bad`, in bytes from the start of the payloads, from all the others; nothing if it
    /// is not what the header says, as when the header's own checksum of it was never right.
    fn compute(&self, batch: &Batch, bad: u64) -> io::Result<Option<Mended>> {
        let start = batch.at + batch.header.layout.payload;
        let mut sum = vec![0; index(BLOCK)];
        let mut block = vec![0; index(BLOCK)];
        for at in (0..batch.header.layout.blocks).map(|at| at * BLOCK).filter(|at| *at != bad) {
            gaps::read_exact_at(self.file, start + at, &mut block)?;
            parity::add(&mut sum, &block);
        }
        let is_right = batch.header.blocks.get(index(bad / BLOCK)) == Some(&crc32c(&sum));
        Ok(is_right.then_some(Mended { at: start + bad, block: sum }))
    }

    fn is_bad(&self, entry: &Entry, at: u64) -> io::Result<bool> {
        let mut payload = vec![0; index(u64::from(entry.len))];
        gaps::read_exact_at(self.file, at, &mut payload)?;
        Ok(crc32c(&payload) != entry.crc)
    }

    /// Writes a batch again, as it is, with both copies of whatever has two; the caller syncs.
    pub(crate) fn rewrite(&self, batch: &Batch) -> io::Result<()> {
        batch.mend(self.file)?;
        let Header { number, chain, id, entries, blocks, layout } = &batch.header;
        let mut head = Vec::new();
        put_header(&mut head, self.salt, self.segment, *number, *chain, entries, blocks);
        if layout.twice {
            for (place, (_, range)) in batch.payloads.iter().zip(batch.header.payloads()) {
                let from = head.len();
                head.resize(from + index(range.end - range.start), 0);
                if let Some(place) = place {
                    gaps::read_exact_at(self.file, *place, &mut head[from..])?;
                }
            }
        }
        head.resize(index(if layout.twice { layout.second } else { layout.payload }), 0);
        self.file.write_at(batch.at, &head)?;
        let mut at = batch.at + bytes(head.len());
        while at < batch.at + layout.second {
            let mut chunk = vec![0; index(CHUNK.min(batch.at + layout.second - at))];
            gaps::read_exact_at(self.file, at, &mut chunk)?;
            self.file.write_at(at, &chunk)?;
            at += bytes(chunk.len());
        }
        second_copy(&mut head, *id);
        self.file.write_at(at, &head)
    }
}

impl Batch {
    /// Writes the only bad block of a large batch again, if there is one, and says whether it did; the
    /// caller syncs.
    ///
    /// If the power fails meanwhile, that block is bad again, or good, and no other one is touched.
    pub(crate) fn mend(&self, file: &impl VfsFile) -> io::Result<bool> {
        let Some(Mended { at, block }) = &self.mended else { return Ok(false) };
        file.write_at(*at, block)?;
        Ok(true)
    }

    /// Reads `buf.len()` bytes of the batch at `at` of its file, as they are once it is mended.
    pub(crate) fn read(&self, file: &impl VfsFile, at: u64, buf: &mut [u8]) -> io::Result<()> {
        gaps::read_exact_at(file, at, buf)?;
        let Some(Mended { at: from, block }) = &self.mended else { return Ok(()) };
        let (start, end) = (at.max(*from), (at + bytes(buf.len())).min(from + BLOCK));
        if start < end {
            let part = &block[index(start - from)..index(end - from)];
            buf[index(start - at)..index(end - at)].copy_from_slice(part);
        }
        Ok(())
    }
}
