//! Looking at a log that no process uses: everything in it, damaged or not, and nothing is changed.
//!
//! Recovery stops at the first damage that may have cost a vote, and rightly so. People want to see
//! what is behind it, too: the walk here goes on at the next batch that can be read.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use synod_core::{Ballot, GroupId, Instance};

use super::error::OpenError;
use super::format::{BLOCK, Entry, Kind, index};
use super::scan::{Batch, Next, ScanError, Scanner};
use super::segment::{self, Found, HEAD, SegmentHeader, VERSION};
use crate::vfs::{Vfs, VfsFile};

/// One thing that a log holds, in the order of the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A segment begins.
    Segment(SegmentInfo),
    /// A batch, of which at least one header can be read.
    Batch(BatchInfo),
    /// A place where something should be that can be read, and is not.
    Damage(DamageInfo),
    /// Nothing more is in this segment, up to this offset in bytes.
    End {
        /// Which segment.
        segment: u32,
        /// Where its batches end.
        offset: u64,
        /// Something begins there that may have been a batch: the power failed while it was written.
        is_torn: bool,
    },
}

/// What a segment says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub number: u32,
    /// Its file.
    pub path: PathBuf,
    /// Bytes of the file.
    pub size: u64,
    /// The number of its first batch.
    pub first: u64,
    /// The oldest segment that was needed when it began.
    pub oldest: u32,
    /// How many of the two copies of its header are bad.
    pub bad_copies: u64,
}

/// A batch: what one sync made durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// In which segment.
    pub segment: u32,
    /// Where in it, in bytes.
    pub offset: u64,
    /// Its number.
    pub number: u64,
    /// Bytes on disk, both copies and padding included.
    pub bytes: u64,
    /// How many places of it are bad: copies, and blocks of payloads.
    pub bad_places: u64,
    /// What it holds, in order.
    pub records: Vec<RecordInfo>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordInfo {
    /// Which kind of record, in a word.
    pub kind: &'static str,
    /// Which group; of no meaning for records of the directory as a whole.
    pub group: GroupId,
    /// The instance, or the count that the record is about.
    pub instance: Instance,
    /// The ballot or incarnation; zero if the record has none.
    pub ballot: Ballot,
    /// Bytes of its value.
    pub len: u32,
    /// The value: `None` if it is lost in every copy.
    pub value: Option<Bytes>,
}

/// A place that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamageInfo {
    /// In which file.
    pub path: PathBuf,
    /// From where, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub what: &'static str,
}

/// Shows everything that the log in `dir` holds, segment by segment.
///
/// Values are read only if `with_values`; else [`RecordInfo::value`] is empty where it can be read.
/// The directory is not locked and not changed: what a running process writes meanwhile may look
/// torn.
///
/// # Errors
///
/// If the file system refuses, the log is of another version, or there is no log.
pub fn inspect<V: Vfs>(
    vfs: &V,
    dir: &Path,
    with_values: bool,
    each: &mut dyn FnMut(Item),
) -> Result<(), OpenError> {
    let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let mut salt = None;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    for number in numbers {
        let path = segment::path(dir, number);
        let file = vfs.open(&path).map_err(OpenError::io("open", &path))?;
        let size = file.size().map_err(OpenError::io("read", &path))?;
        match SegmentHeader::read(&file, number).map_err(OpenError::io("read", &path))? {
            Found::Version(found) => {
                return Err(OpenError::Version { path, found, supported: VERSION });
            }
            Found::Nothing => {
                let what = "neither copy of the segment's header can be read";
                each(Item::Damage(DamageInfo { path, offset: 0, what }));
            }
            Found::Header(header, bad_copies) => {
                salt = Some(header.salt);
                let (first, oldest) = (header.start.first, header.oldest.segment);
                let path = path.clone();
                each(Item::Segment(SegmentInfo { number, path, size, first, oldest, bad_copies }));
            }
        }
        if let Some(salt) = salt {
            let path = segment::path(dir, number);
            walk(&file, &path, number, salt, with_values, each).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Goes through whatever batches a segment holds.
fn walk<F: VfsFile>(
    file: &F,
    path: &Path,
    segment: u32,
    salt: u64,
    with_values: bool,
    each: &mut dyn FnMut(Item),
) -> Result<(), ScanError> {
    let mut scanner = Scanner::new(file, salt, segment)?;
    let damage = |offset, what| Item::Damage(DamageInfo { path: path.to_owned(), offset, what });
    let mut at = HEAD;
    let Some((mut number, mut chain)) = first(&mut scanner, at)? else {
        each(Item::End { segment, offset: at, is_torn: false });
        return Ok(());
    };
    loop {
        match scanner.next(at, number, chain) {
            Ok(Next::Batch(batch)) => {
                at = batch.at + batch.header.layout.end;
                (number, chain) = (batch.header.number + 1, batch.header.id);
                each(Item::Batch(info(file, segment, &batch, with_values)?));
            }
            Ok(Next::Nothing { later: Some(later), .. }) => {
                each(damage(at, "a batch cannot be read, and a later one can"));
                let Some((place, header, copy)) = scanner.find(later)? else { return Ok(()) };
                let before = if copy == 1 { header.layout.second } else { 0 };
                (number, chain) = (header.number, header.chain);
                at = match place.checked_sub(before).filter(|start| *start >= at) {
                    Some(start) => start,
                    None => {
                        // The second copy of a batch whose beginning is not where it belongs.
                        (number, chain) = (header.number + 1, header.id);
                        place + BLOCK
                    }
                };
            }
            Ok(Next::Nothing { torn, later: None }) => {
                each(Item::End { segment, offset: at, is_torn: torn });
                return Ok(());
            }
            Err(ScanError::Contradiction(offset)) => {
                each(damage(offset, "a batch does not follow from the one before it"));
                let Some((_, header, _)) = scanner.find(offset)? else { return Ok(()) };
                chain = header.chain;
            }
            Err(error @ (ScanError::Io(_) | ScanError::Unknown)) => return Err(error),
        }
    }
}

/// The number and chain of the first batch that can be read.
fn first<F: VfsFile>(
    scanner: &mut Scanner<'_, F>,
    at: u64,
) -> Result<Option<(u64, u32)>, ScanError> {
    Ok(scanner.find(at)?.map(|(_, header, _)| (header.number, header.chain)))
}

fn info<F: VfsFile>(
    file: &F,
    segment: u32,
    batch: &Batch,
    with_values: bool,
) -> Result<BatchInfo, ScanError> {
    let mut records = Vec::with_capacity(batch.header.entries.len());
    for (entry, place) in batch.header.entries.iter().zip(&batch.payloads) {
        let value = match place {
            Some(at) if with_values => Some(read(file, batch, *at, entry)?),
            Some(_) => Some(Bytes::new()),
            None => None,
        };
        records.push(RecordInfo {
            kind: name(entry.kind),
            group: entry.group,
            instance: Instance(entry.instance),
            ballot: entry.ballot,
            len: entry.len,
            value,
        });
    }
    Ok(BatchInfo {
        segment,
        offset: batch.at,
        number: batch.header.number,
        bytes: batch.header.layout.end,
        bad_places: batch.places,
        records,
    })
}

fn read<F: VfsFile>(file: &F, batch: &Batch, at: u64, entry: &Entry) -> Result<Bytes, ScanError> {
    let mut bytes = vec![0; index(u64::from(entry.len))];
    batch.read(file, at, &mut bytes)?;
    Ok(bytes.into())
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Boot => "boot",
        Kind::Formatted => "formatted",
        Kind::Founded => "founded",
        Kind::Oldest => "oldest",
        Kind::Promised => "promised",
        Kind::Lease => "lease",
        Kind::Accepted => "accepted",
        Kind::Learned => "learned",
        Kind::Chosen => "chosen",
        Kind::Cleaned => "cleaned",
        Kind::Lost => "lost",
        Kind::Renewed => "renewed",
        Kind::Membership => "membership",
        Kind::Checkpoint => "checkpoint",
    }
}

fn failed(path: &Path) -> impl Fn(ScanError) -> OpenError {
    move |error| match error {
        ScanError::Io(error) => OpenError::io("read", path)(error),
        ScanError::Unknown | ScanError::Contradiction(_) => {
            OpenError::Version { path: path.to_owned(), found: VERSION + 1, supported: VERSION }
        }
    }
}
