//! Mending what a log lost in one place, from the others: everything is there twice, or is the parity
//! of what is left.
//!
//! A disk that rots does so one place at a time. While each batch and each segment's header has no more
//! than one bad place nothing is lost; to write that again keeps it so. What is lost in more of them
//! cannot be mended here: a value is learned again from the peers at the node's next start, and a
//! batch that may have held votes makes the node take a new memory.

use std::path::{Path, PathBuf};

use super::error::OpenError;
use super::open::{OnDisk, lock, walk};
use super::scan::{Batch, Scanner};
use super::segment::{self, Found, SegmentHeader};
use crate::vfs::{Vfs, VfsFile};

/// What was found bad, and whether it could be mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// In which file.
    pub path: PathBuf,
    /// Where, in bytes.
    pub offset: u64,
    /// How many places were bad there: copies, and blocks of payloads.
    pub bad_places: u64,
    /// How many values there are lost in more than one block; these stay lost.
    pub lost_values: u64,
}

/// Reads the whole log in `dir` and writes again, from their good copies, those that went bad; only
/// says which these are if `is_dry`. The last batch is left alone: a start of the node decides about
/// it, and writes it again itself.
///
/// # Errors
///
/// [`OpenError::Locked`] if a process uses the directory; [`OpenError::Damaged`] where no copy is left;
/// what lies before that is mended. Or the file system refuses.
pub fn scrub<V: Vfs>(
    vfs: &V,
    dir: &Path,
    is_dry: bool,
    each: &mut dyn FnMut(Scrubbed),
) -> Result<(), OpenError> {
    let _lock = lock(vfs, &dir.join("lock"))?;
    let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| segment::number(name)).collect();
    numbers.sort_unstable();
    let mut segments = Vec::new();
    for number in numbers {
        let path = segment::path(dir, number);
        let file = vfs.open(&path).map_err(OpenError::io("open", &path))?;
        let found = SegmentHeader::read(&file, number).map_err(OpenError::io("read", &path))?;
        segments.push(OnDisk { path, file, found });
    }
    let oldest = segments.iter().rev().find_map(OnDisk::header).map_or(0, |it| it.oldest.segment);
    let mut damage = None;
    for (place, on_disk) in segments.iter().enumerate() {
        let Some(header) = on_disk.header().filter(|it| it.start.segment >= oldest) else {
            continue;
        };
        let next = segments.get(place + 1).and_then(OnDisk::header);
        if let Err(error) = scrub_segment(on_disk, header, next, is_dry, each) {
            damage.get_or_insert(error);
        }
    }
    damage.map_or(Ok(()), Err)
}

fn scrub_segment<F: VfsFile>(
    on_disk: &OnDisk<F>,
    header: SegmentHeader,
    next: Option<SegmentHeader>,
    is_dry: bool,
    each: &mut dyn FnMut(Scrubbed),
) -> Result<(), OpenError> {
    let OnDisk { path, file, found } = on_disk;
    let mut is_changed = false;
    if let Found::Header(header, bad_places @ 1..) = found {
        if !is_dry {
            header.write(file).map_err(OpenError::io("write", path))?;
            is_changed = true;
        }
        let (path, bad_places) = (path.clone(), *bad_places);
        each(Scrubbed { path, offset: 0, bad_places, lost_values: 0 });
    }
    // One behind, so that the last batch of the newest segment is never touched.
    let mut pending: Option<Batch> = None;
    let mut mend = |batch: &Batch| {
        if let Some(batch) = pending.replace(batch.clone()) {
            is_changed |= write_again(on_disk, header, &batch, is_dry, each)?;
        }
        Ok(())
    };
    let end = next.map(|next| next.start.first);
    let walked = walk(on_disk, header.salt, header.start, end, &mut mend);
    if let Some(batch) = pending.filter(|_| next.is_some()) {
        is_changed |= write_again(on_disk, header, &batch, is_dry, each)?;
    }
    if is_changed {
        file.sync_data().map_err(OpenError::io("sync", path))?;
    }
    walked.map(|_| ())
}

/// Writes a batch again if a copy of it is bad; says whether it did.
fn write_again<F: VfsFile>(
    on_disk: &OnDisk<F>,
    header: SegmentHeader,
    batch: &Batch,
    is_dry: bool,
    each: &mut dyn FnMut(Scrubbed),
) -> Result<bool, OpenError> {
    if batch.places == 0 {
        return Ok(false);
    }
    let path = &on_disk.path;
    let lost_values = batch.payloads.iter().map(|place| u64::from(place.is_none())).sum();
    let bad_places = batch.places;
    each(Scrubbed { path: path.clone(), offset: batch.at, bad_places, lost_values });
    // With a value lost, writing would give its remains a good copy that is none.
    if is_dry || lost_values > 0 {
        return Ok(false);
    }
    let scanner = Scanner::new(&on_disk.file, header.salt, header.start.segment);
    let scanner = scanner.map_err(OpenError::io("read", path))?;
    scanner.rewrite(batch).map_err(OpenError::io("write", path))?;
    Ok(true)
}
