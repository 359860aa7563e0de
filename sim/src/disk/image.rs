//! One file: what a process reads, and what a power loss would leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{PAGE, SECTOR, index};
use crate::rng::to_u64;

/// 4 KiB of a file; `None` is zeros. Shared between the cache and the disk while they agree.
pub(super) type Page = Option<Arc<[u8; PAGE]>>;

/// One file's contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// What reads see.
    pub(super) cache: Vec<Page>,
    /// What the disk holds.
    pub(super) disk: Vec<Page>,
    pub(super) size: u64,
    disk_size: u64,
    /// The smallest size since the last sync: what the disk has above it is not to come back.
    cut: u64,
    /// Sectors written and not synced, as bits, by page.
    pub(super) dirty: BTreeMap<usize, u8>,
    /// Sectors that a failed sync marked clean: the cache has them, the disk does not.
    pub(super) forgotten: BTreeMap<usize, u8>,
    /// Sectors that cannot be read, as bits, by page.
    unreadable: BTreeMap<usize, u8>,
    /// A sync that lied is all that some of it rests on.
    pub(super) lied: bool,
}

impl Image {
    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = buf.len().min(left);
        let buf = &mut buf[..len];
        for (page, at, part) in pieces(offset, len) {
            match self.cache.get(page).and_then(Option::as_ref) {
                Some(from) => buf[part.clone()].copy_from_slice(&from[at..at + part.len()]),
                None => buf[part].fill(0),
            }
        }
        len
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + u64::try_from(bytes.len()).expect("fits");
        self.size = self.size.max(end);
        for (page, at, part) in pieces(offset, bytes.len()) {
            let from = &bytes[part];
            let zeros = is_zero(from);
            let is_whole = !self.unreadable.contains_key(&page);
            let both_empty = |pages: &Vec<Page>| pages.get(page).is_none_or(Option::is_none);
            if zeros && is_whole && both_empty(&self.cache) && both_empty(&self.disk) {
                continue;
            }
            let first = at / SECTOR;
            let last = (at + from.len() - 1) / SECTOR;
            self.heal(page, at, from.len());
            *self.dirty.entry(page).or_default() |= bits(first, last);
            put(&mut self.cache, page, at, from);
        }
    }

    pub(super) fn resize(&mut self, size: u64) {
        if size < self.size {
            cut(&mut self.cache, size);
            self.cut = self.cut.min(size);
            let keep = index(size).div_ceil(PAGE);
            self.dirty.split_off(&keep);
            self.forgotten.split_off(&keep);
            self.unreadable.split_off(&keep);
        }
        self.size = size;
    }

    /// The disk holds everything.
    pub(super) fn sync(&mut self) {
        self.lied = false;
        self.settle_size();
        for (page, mask) in std::mem::take(&mut self.dirty) {
            self.settle(page, mask);
        }
    }

    /// A sync failed: nothing reached the disk, and the pages count as clean from now on.
    pub(super) fn fail_sync(&mut self) {
        for (page, mask) in std::mem::take(&mut self.dirty) {
            *self.forgotten.entry(page).or_default() |= mask;
        }
    }

    /// A sync said that it wrote everything, and did nothing.
    pub(super) fn lie(&mut self) {
        self.lied |= !self.is_clean();
    }

    /// Whether some of it rests on a lie only.
    pub(super) const fn is_lied(&self) -> bool {
        self.lied
    }

    /// Whether a power loss could change what is read.
    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty() && self.forgotten.is_empty() && !self.resized()
    }

    /// What a power loss would leave if nothing unsynced survived it.
    pub(super) fn durable(&self) -> Self {
        Self {
            cache: self.disk.clone(),
            disk: self.disk.clone(),
            size: self.disk_size,
            disk_size: self.disk_size,
            cut: self.disk_size,
            unreadable: self.unreadable.clone(),
            ..Self::default()
        }
    }

    /// Bits rot, on the disk and so in the cache: exclusive-or with `mask`.
    pub(super) fn corrupt(&mut self, offset: u64, len: usize, mask: u8) {
        for (page, at, part) in pieces(offset, len) {
            for pages in [&mut self.cache, &mut self.disk] {
                if pages.len() <= page {
                    pages.resize(page + 1, None);
                }
                let zeros = || Arc::new([0; PAGE]);
                let bytes = Arc::make_mut(pages[page].get_or_insert_with(zeros));
                for byte in &mut bytes[at..at + part.len()] {
                    *byte ^= mask;
                }
            }
        }
    }

    /// A sector cannot be read any more, until it is written anew.
    pub(super) fn spoil(&mut self, offset: u64, len: usize) {
        for (page, at, part) in pieces(offset, len) {
            *self.unreadable.entry(page).or_default() |=
                bits(at / SECTOR, (at + part.len() - 1) / SECTOR);
        }
    }

    /// Whether all of this can be read.
    pub(super) fn can_read(&self, offset: u64, len: usize) -> bool {
        self.unreadable.is_empty()
            || pieces(offset, len).all(|(page, at, part)| {
                let mask = bits(at / SECTOR, (at + part.len() - 1) / SECTOR);
                self.unreadable.get(&page).is_none_or(|bad| bad & mask == 0)
            })
    }

    /// Sectors that are written as a whole can be read again.
    fn heal(&mut self, page: usize, at: usize, len: usize) {
        let (first, end) = (at.div_ceil(SECTOR), (at + len) / SECTOR);
        if let Some(bad) = self.unreadable.get_mut(&page)
            && first < end
        {
            *bad &= !bits(first, end - 1);
            if *bad == 0 {
                self.unreadable.remove(&page);
            }
        }
    }

    /// Where the disk holds something else than zeros, by smallest sectors.
    pub(super) fn used(&self) -> impl Iterator<Item = u64> {
        let pages = self.disk.iter().enumerate();
        pages.filter_map(|(page, bytes)| Some((page, bytes.as_ref()?))).flat_map(|(page, bytes)| {
            let sectors = bytes.chunks(SECTOR).enumerate();
            let used = sectors.filter(|(_, sector)| sector.iter().any(|&byte| byte != 0));
            used.map(move |(sector, _)| to_u64(page * PAGE + sector * SECTOR))
        })
    }

    pub(super) fn resized(&self) -> bool {
        self.size != self.disk_size || self.cut < self.disk_size
    }

    pub(super) fn settle_size(&mut self) {
        cut(&mut self.disk, self.cut.min(self.size));
        self.disk_size = self.size;
        self.cut = self.size;
    }

    /// These sectors of a page reach the disk.
    pub(super) fn settle(&mut self, page: usize, mask: u8) {
        let from = self.cache.get(page).cloned().flatten();
        if let Some(bits) = self.forgotten.get_mut(&page) {
            *bits &= !mask;
        }
        let is_new = self.disk.get(page).is_none_or(Option::is_none);
        if is_new && from.as_deref().is_none_or(|from| is_zero_outside(from, mask)) {
            // From here on they are one, until either changes.
            if self.disk.len() <= page {
                self.disk.resize(page + 1, None);
            }
            self.disk[page] = from;
            return;
        }
        for sector in (0..PAGE / SECTOR).filter(|sector| mask & (1 << sector) != 0) {
            let at = sector * SECTOR;
            match &from {
                Some(from) => put(&mut self.disk, page, at, &from[at..at + SECTOR]),
                None => put(&mut self.disk, page, at, &ZEROS[..SECTOR]),
            }
        }
    }

    /// Reads see the disk again.
    pub(super) fn revert(&mut self, pages: impl Iterator<Item = usize>) {
        cut(&mut self.disk, self.disk_size);
        if self.size == self.disk_size && self.cut >= self.disk_size {
            for page in pages {
                let from = self.disk.get(page).cloned().flatten();
                if self.cache.len() <= page {
                    self.cache.resize(page + 1, None);
                }
                self.cache[page] = from;
            }
        } else {
            self.cache.clone_from(&self.disk);
        }
        self.size = self.disk_size;
        self.cut = self.size;
    }
}

/// Cuts `len` bytes at `offset` into pages: page, offset in it, range of the bytes.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let start = index(offset);
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let (page, at) = ((start + done) / PAGE, (start + done) % PAGE);
        let part = done..len.min(done + PAGE - at);
        done = part.end;
        Some((page, at, part))
    })
}

pub(super) fn put(pages: &mut Vec<Page>, page: usize, at: usize, from: &[u8]) {
    if pages.len() <= page {
        pages.resize(page + 1, None);
    }
    let slot = &mut pages[page];
    if let Ok(whole) = <&[u8; PAGE]>::try_from(from) {
        let zeros = is_zero(from);
        match slot.as_mut().and_then(Arc::get_mut) {
            _ if zeros => *slot = None,
            Some(bytes) => bytes.copy_from_slice(from),
            None => *slot = Some(Arc::new(*whole)),
        }
        return;
    }
    let bytes = Arc::make_mut(slot.get_or_insert_with(|| Arc::new([0; PAGE])));
    bytes[at..at + from.len()].copy_from_slice(from);
}

fn cut(pages: &mut Vec<Page>, size: u64) {
    let size = index(size);
    pages.truncate(size.div_ceil(PAGE));
    if !size.is_multiple_of(PAGE)
        && let Some(Some(last)) = pages.get_mut(size / PAGE)
    {
        Arc::make_mut(last)[size % PAGE..].fill(0);
    }
}

/// Compared as memory, which is many times faster than byte by byte.
fn is_zero(bytes: &[u8]) -> bool {
    bytes == &ZEROS[..bytes.len()]
}

/// Whether the sectors of a page outside `mask` hold zeros only.
fn is_zero_outside(page: &[u8; PAGE], mask: u8) -> bool {
    let outside = (0..PAGE / SECTOR).filter(|sector| mask & (1 << sector) == 0);
    outside.map(|sector| sector * SECTOR).all(|at| is_zero(&page[at..at + SECTOR]))
}

static ZEROS: [u8; PAGE] = [0; PAGE];

fn bits(first: usize, last: usize) -> u8 {
    let count = last - first + 1;
    let ones = u8::MAX >> (PAGE / SECTOR - count);
    ones << first
}
