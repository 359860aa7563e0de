//! Reading past what a disk can no longer give.
//!
//! A sector that fails on every read has lost its bytes, no more and no less than one in which they
//! changed. So what fails is narrowed down to sectors, and those that cannot be read read as zeros:
//! checksums tell that they are wrong, and whoever reads treats them as rot. A file of which nothing
//! at all can be read is another matter: the device is gone, or the driver, and what is on it may be
//! whole. That stays an error.

use std::io;

use synod_core::mark;

use super::format::{bytes, index};
use crate::vfs::VfsFile;

/// As [`VfsFile::read_at`], with zeros for sectors that cannot be read.
pub(crate) fn read_at(file: &impl VfsFile, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let error = match file.read_at(offset, buf) {
        Ok(got) => return Ok(got),
        Err(error) => error,
    };
    let size = file.size()?;
    if !gives_anything(file, size) {
        return Err(error);
    }
    mark!(SECTOR_UNREADABLE);
    let len = buf.len().min(index(size.saturating_sub(offset)));
    let mut at = 0;
    while at < len {
        // Up to the end of the sector.
        let place = offset + bytes(at);
        let end = len.min(at + index(SECTOR - place % SECTOR));
        let part = &mut buf[at..end];
        if file.read_exact_at(place, part).is_err() {
            part.fill(0);
        }
        at = end;
    }
    Ok(len)
}

/// As [`VfsFile::read_exact_at`], with zeros for sectors that cannot be read.
pub(crate) fn read_exact_at(file: &impl VfsFile, offset: u64, buf: &mut [u8]) -> io::Result<()> {
    if read_at(file, offset, buf)? == buf.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Whether something of a file can be read, at one of a few places far from each other.
fn gives_anything(file: &impl VfsFile, size: u64) -> bool {
    let places = (0..PROBES).map(|n| size / PROBES * n).chain(size.checked_sub(1));
    let mut byte = [0];
    places.into_iter().any(|at| file.read_exact_at(at, &mut byte).is_ok())
}

/// The smallest sector of any disk.
const SECTOR: u64 = 512;

/// Places of a file that are tried.
const PROBES: u64 = 8;
