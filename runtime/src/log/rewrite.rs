//! Writing again what is in place already, so that a power loss meanwhile costs nothing.
//!
//! Recovery rewrites the last batch and its segment's header, since what it read may be in the page
//! cache only. A sector that is being written when the power fails may hold anything afterwards, also
//! if it is written with the bytes that it had; and both copies of a batch are under way at once. A
//! batch that was vouched for would be cut as torn then. So a copy of all that is about to be written
//! goes to a file of its own first, and a start that finds a complete one puts it back before it reads
//! anything else. It is removed when the original is synced; one that comes back later holds what its
//! segment holds.

use std::path::{Path, PathBuf};

use crc32c::crc32c;

use super::error::OpenError;
use super::format::{bytes, index};
use super::gaps;
use super::segment::{self, HEAD};
use crate::vfs::{Vfs, VfsFile};

/// A copy on disk of what is being rewritten.
#[derive(Debug)]
pub(crate) struct Copy {
    path: PathBuf,
}

impl Copy {
    /// Copies the header of a segment, and `len` bytes of it at `at`; durable when this returns.
    pub(crate) fn make<V: Vfs>(
        vfs: &V,
        dir: &Path,
        segment: u32,
        file: &V::File,
        (at, len): (u64, u64),
    ) -> Result<Self, OpenError> {
        let mut copy = vec![0; FIXED + index(HEAD) + index(len)];
        let (head, batch) = copy[FIXED..].split_at_mut(index(HEAD));
        let path = segment::path(dir, segment);
        gaps::read_exact_at(file, 0, head).map_err(OpenError::io("read", &path))?;
        gaps::read_exact_at(file, at, batch).map_err(OpenError::io("read", &path))?;
        copy[..8].copy_from_slice(MAGIC);
        copy[12..16].copy_from_slice(&segment.to_le_bytes());
        copy[16..24].copy_from_slice(&at.to_le_bytes());
        let crc = crc32c(&copy[12..]);
        copy[8..12].copy_from_slice(&crc.to_le_bytes());

        let path = dir.join(NAME);
        let file = vfs.create(&path).map_err(OpenError::io("create", &path))?;
        file.write_at(0, &copy).map_err(OpenError::io("write", &path))?;
        file.sync_data().map_err(OpenError::io("sync", &path))?;
        vfs.sync_dir(dir).map_err(OpenError::io("sync", dir))?;
        Ok(Self { path })
    }

    /// The original is durable.
    pub(crate) fn drop<V: Vfs>(self, vfs: &V) -> Result<(), OpenError> {
        vfs.remove(&self.path).map_err(OpenError::io("remove", &self.path))
    }
}

/// Puts back what was being rewritten when an earlier start ended.
pub(crate) fn put_back<V: Vfs>(vfs: &V, dir: &Path, names: &[String]) -> Result<(), OpenError> {
    if !names.iter().any(|name| name == NAME) {
        return Ok(());
    }
    let copy = dir.join(NAME);
    let all = {
        let file = vfs.open(&copy).map_err(OpenError::io("open", &copy))?;
        let mut all = vec![0; index(file.size().map_err(OpenError::io("read", &copy))?)];
        gaps::read_exact_at(&file, 0, &mut all).map_err(OpenError::io("read", &copy))?;
        all
    };
    if let Some((segment, at, head, batch)) = decode(&all) {
        let path = segment::path(dir, segment);
        let is_there = names.iter().any(|name| segment::number(name) == Some(segment));
        if is_there {
            let file = vfs.open(&path).map_err(OpenError::io("open", &path))?;
            file.write_at(0, head).map_err(OpenError::io("write", &path))?;
            file.write_at(at, batch).map_err(OpenError::io("write", &path))?;
            file.sync_data().map_err(OpenError::io("sync", &path))?;
        }
    }
    vfs.remove(&copy).map_err(OpenError::io("remove", &copy))
}

/// Which segment, where in it, its header, and what is there; nothing if the copy is incomplete: then
/// nothing was written in place yet.
fn decode(all: &[u8]) -> Option<(u32, u64, &[u8], &[u8])> {
    if !all.starts_with(MAGIC) || all.len() < FIXED + index(HEAD) {
        return None;
    }
    let word = |at: usize| Some(u32::from_le_bytes(*all.get(at..)?.first_chunk()?));
    if word(8)? != crc32c(&all[12..]) {
        return None;
    }
    let at = u64::from_le_bytes(*all.get(16..)?.first_chunk()?);
    let (head, batch) = all[FIXED..].split_at(index(HEAD));
    at.checked_add(bytes(batch.len()))?;
    Some((word(12)?, at, head, batch))
}

const NAME: &str = "rewriting";

const MAGIC: &[u8] = b"synodrw1";

/// Magic, CRC-32C of all that follows it, segment, offset.
const FIXED: usize = 24;
