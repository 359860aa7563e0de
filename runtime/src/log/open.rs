//! Opening a log: reading everything back, and making it durable before anything is said.
//!
//! What recovery reads may be in the page cache only: the process was killed between write and
//! sync, or a sync failed and the pages were marked clean. If the node voted by it and then lost
//! power, the vote would be forgotten. Only the last batch and the last segment's header can be
//! in that state, since each is synced before anything comes after it. So [`Log::open`] writes both
//! again, with the same bytes, and syncs file and directory; see `rewrite` for a power loss meanwhile.
//!
//! Then the log goes on in a *new segment*, whose header says with which batch number. This is what
//! keeps a cut batch dead: nothing is ever written over its remains, and nothing in the old segment
//! from that number on is looked at again. The first batch holds the number of this process start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_core::{Ballot, Founding, GroupId, History, Incarnation, Recovered, Stored, Value, mark};

use super::clean::Spares;
use super::config::LogConfig;
use super::error::OpenError;
use super::format::{BLOCK, Entry, Kind};
use super::founding;
use super::gaps;
use super::index::{Founded, GroupIndex, Index, Place, Slot};
use super::opened::{GroupLog, Opened, RecoveryReport, Torn};
use super::reader::{Shared, read_value};
use super::recover;
use super::rewrite::{self, Copy};
use super::scan::{Batch, Next, ScanError, Scanner};
use super::segment::{self, Found, HEAD, SegmentHeader, Start, VERSION};
use super::writer::{Log, Scratch, Segment};
use crate::vfs::{Vfs, VfsFile};

/// Where the batches of the last segment end.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    at: u64,
    number: u64,
    chain: u32,
    last: Option<Batch>,
    torn: bool,
}

/// One segment on disk.
#[derive(Debug)]
pub(crate) struct OnDisk<F> {
    pub(crate) path: PathBuf,
    pub(crate) file: F,
    pub(crate) found: Found,
}

impl<V: Vfs> Log<V> {
    /// Opens the log in `dir`, or begins one there; refuses one that is damaged.
    ///
    /// For a node that is to vote with it there is [`start`](Self::start), which knows what to do
    /// about damage.
    ///
    /// `groups` are those that the node hosts, each with the incarnation to take if the directory
    /// is not formatted for it yet: drawn at random by the caller, never zero. When this returns,
    /// everything recovered is durable, and so is the number of this process start.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(
        vfs: V,
        dir: &Path,
        config: LogConfig,
        groups: &[(GroupId, Incarnation)],
    ) -> Result<Opened<V>, OpenError> {
        let segment_bytes = config.segment_bytes;
        let opened = Self::open_or_fail(vfs, dir, config, groups);
        opened.map_err(|error| error.of_start(dir, segment_bytes))
    }

    fn open_or_fail(
        vfs: V,
        dir: &Path,
        config: LogConfig,
        groups: &[(GroupId, Incarnation)],
    ) -> Result<Opened<V>, OpenError> {
        config.validate()?;
        vfs.create_dir_all(dir).map_err(OpenError::io("create", dir))?;
        let path = dir.join("lock");
        let lock = lock(&vfs, &path)?;
        let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;

        rewrite::put_back(&vfs, dir, &names)?;
        recover::clear(&vfs, dir, &names)?;
        let mut disk = read_headers(&vfs, dir, &names)?;
        remove_torn_segments(&vfs, &mut disk)?;
        let newest = disk.last_key_value().and_then(|(_, on_disk)| on_disk.header());
        let mut index = Index::default();
        let mut report = RecoveryReport::default();
        let mut tail = Tail::default();
        let mut segments = BTreeMap::new();
        let mut salt = config.salt;
        if let Some(newest) = newest {
            salt = newest.salt;
            let obsolete = split_obsolete(dir, &mut disk, newest)?;
            tail = replay(&disk, salt, &mut index, &mut report)?;
            if index.boot == 0 && newest.start.first > 1 {
                // The power failed when damage was being set aside; see `renew`.
                let path = segment::path(dir, newest.start.segment);
                return Err(damaged(&path, HEAD, "the first batch of a log that began anew"));
            }
            for (&number, on_disk) in &disk {
                let size = on_disk.file.size().map_err(OpenError::io("read", &on_disk.path))?;
                let Some(header) = on_disk.header() else { continue };
                segments.insert(number, Segment { start: header.start, size });
            }
            make_durable(&vfs, dir, &disk, newest, &tail)?;
            // Not before: the batch that says so may have been in the page cache only.
            for path in obsolete {
                mark!(OBSOLETE_SEGMENT_REMOVED);
                vfs.remove(&path).map_err(OpenError::io("remove", &path))?;
            }
        }

        let mut last = None;
        for (number, on_disk) in disk {
            let file = Arc::new(on_disk.file);
            last = Some(Arc::clone(&file));
            index.files.insert(number, file);
        }
        let groups_found = recover_groups(dir, &index, &mut report)?;
        let file = match last {
            Some(file) => file,
            // Replaced before it is written to: nothing is written before the next segment begins.
            None => Arc::new(vfs.open(&path).map_err(OpenError::io("open", &path))?),
        };
        let mut log = Self {
            vfs,
            dir: Arc::new(dir.to_owned()),
            config,
            salt,
            shared: Arc::new(Shared::new(index)),
            segments,
            floor: 0,
            file,
            at: tail.at,
            number: tail.number,
            chain: tail.chain,
            unsynced: false,
            failed: None,
            spares: Spares::default(),
            refused: super::room::Refused::default(),
            moving: super::clean::Moving::default(),
            scratch: Scratch::default(),
            lock,
        };
        log.adopt_spares(&names)?;
        let boot = log.begin_life(groups, None, tail.at)?;
        Ok(log.opened(boot, groups, groups_found, report))
    }

    /// Begins this process life: its segment, then its number; the segment before ends at `end`.
    pub(crate) fn begin_life(
        &mut self,
        groups: &[(GroupId, Incarnation)],
        founding: Option<&Founding>,
        end: u64,
    ) -> Result<u64, OpenError> {
        let before = self.segments.last_key_value().map(|(&number, _)| number);
        let cut = Arc::clone(&self.file);
        self.next_segment(0)?;
        if let Some(before) = before {
            // What is behind the last batch is never looked at again; it need not take up room.
            let path = segment::path(&self.dir, before);
            cut.set_size(end).map_err(OpenError::io("cut", &path))?;
            if let Some(segment) = self.segments.get_mut(&before) {
                segment.size = end;
            }
        }
        let boot = self.shared.read().boot.saturating_add(1);
        self.begin();
        self.push(Entry::bare(Kind::Boot, GroupId(0), boot, Ballot::ZERO), None);
        for &(group, incarnation) in groups {
            if !self.shared.read().groups.contains_key(&group) {
                let ballot = Ballot { incarnation, ..Ballot::ZERO };
                self.push(Entry::bare(Kind::Formatted, group, 0, ballot), None);
            }
        }
        if let Some(founding) = founding {
            self.push_founding(founding);
        }
        self.put()?;
        self.sync()?;
        if let Some(founding) = founding {
            self.founded(founding);
        }
        Ok(boot)
    }

    pub(crate) fn opened(
        self,
        boot: u64,
        asked: &[(GroupId, Incarnation)],
        mut groups: BTreeMap<GroupId, GroupLog>,
        report: RecoveryReport,
    ) -> Opened<V> {
        for &(group, incarnation) in asked {
            let new = || GroupLog { incarnation, recovered: Recovered::default() };
            groups.entry(group).or_insert_with(new);
        }
        let founding = self.shared.read().founding.as_ref().map(|founded| founded.founding.clone());
        let renewed = None;
        Opened { boot, batch: self.batch(), founding, groups, report, renewed, log: self }
    }
}

impl<F> OnDisk<F> {
    pub(crate) const fn header(&self) -> Option<SegmentHeader> {
        match self.found {
            Found::Header(header, _) => Some(header),
            Found::Nothing | Found::Version(_) => None,
        }
    }
}

/// Takes the directory for this process.
pub(crate) fn lock<V: Vfs>(vfs: &V, path: &Path) -> Result<V::Lock, OpenError> {
    let lock = vfs.lock(path).map_err(OpenError::io("lock", path))?;
    lock.ok_or_else(|| OpenError::Locked { path: path.to_owned() })
}

fn damaged(path: &Path, offset: u64, what: &'static str) -> OpenError {
    mark!(LOG_REFUSED);
    OpenError::Damaged { path: path.to_owned(), offset, what }
}

fn scan_error(path: &Path) -> impl Fn(ScanError) -> OpenError {
    move |error| match error {
        ScanError::Io(error) => OpenError::io("read", path)(error),
        ScanError::Unknown => {
            OpenError::Version { path: path.to_owned(), found: VERSION + 1, supported: VERSION }
        }
        ScanError::Contradiction(offset) => {
            damaged(path, offset, "a batch does not follow from the one before it")
        }
    }
}

fn read_headers<V: Vfs>(
    vfs: &V,
    dir: &Path,
    names: &[String],
) -> Result<BTreeMap<u32, OnDisk<V::File>>, OpenError> {
    let mut disk = BTreeMap::new();
    for number in names.iter().filter_map(|name| segment::number(name)) {
        let path = segment::path(dir, number);
        if number > segment::NUMBER_MAX {
            return Err(damaged(&path, 0, "no segment gets so high a number"));
        }
        let file = vfs.open(&path).map_err(OpenError::io("open", &path))?;
        let found = SegmentHeader::read(&file, number).map_err(OpenError::io("read", &path))?;
        if let Found::Version(found) = found {
            return Err(OpenError::Version { path, found, supported: VERSION });
        }
        disk.insert(number, OnDisk { path, file, found });
    }
    Ok(disk)
}

/// Removes segments at the end that have no header: the power failed while they began, before
/// anything was written in them.
fn remove_torn_segments<V: Vfs>(
    vfs: &V,
    disk: &mut BTreeMap<u32, OnDisk<V::File>>,
) -> Result<(), OpenError> {
    let salt = disk.values().rev().find_map(OnDisk::header).map(|header| header.salt);
    while let Some(last) = disk.last_entry() {
        if last.get().header().is_some() {
            return Ok(());
        }
        let (number, OnDisk { path, file, .. }) = last.remove_entry();
        let io = |error| OpenError::io("read", &path)(error);
        let batch = match salt {
            Some(salt) => {
                let mut scanner = Scanner::new(&file, salt, number).map_err(io)?;
                scanner.find(HEAD).map_err(scan_error(&path))?.map(|(at, ..)| at)
            }
            // Without any header there is no salt to check a batch by.
            None => first_claim(&file, number).map_err(io)?,
        };
        if let Some(at) = batch {
            return Err(damaged(
                &path,
                at,
                "a segment holds batches, and both its headers are bad",
            ));
        }
        mark!(TORN_SEGMENT_REMOVED);
        drop(file);
        vfs.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    Ok(())
}

fn first_claim(file: &impl VfsFile, number: u32) -> std::io::Result<Option<u64>> {
    let mut at = HEAD;
    let end = segment::usable(file.size()?);
    let mut fixed = [0; super::format::FIXED];
    while at + BLOCK <= end {
        gaps::read_exact_at(file, at, &mut fixed)?;
        if super::format::claim(&fixed, number).is_some() {
            return Ok(Some(at));
        }
        at += BLOCK;
    }
    Ok(None)
}

/// Checks that all segments are there that are needed, and drops those that were freed: returns their
/// paths.
///
/// The newest segment knows which is the oldest one needed: its header says so, and what was freed
/// since then is recorded in its own batches.
fn split_obsolete<F: VfsFile>(
    dir: &Path,
    disk: &mut BTreeMap<u32, OnDisk<F>>,
    newest: SegmentHeader,
) -> Result<Vec<PathBuf>, OpenError> {
    let mut oldest = newest.oldest.segment;
    if let Some(on_disk) = disk.get(&newest.start.segment) {
        let mut note = |batch: &Batch| {
            let freed = batch.header.entries.iter().filter(|entry| entry.kind == Kind::Oldest);
            let freed = freed.map(|entry| u32::try_from(entry.instance).unwrap_or(u32::MAX));
            oldest = freed.fold(oldest, u32::max);
            Ok(())
        };
        walk(on_disk, newest.salt, newest.start, None, &mut note)?;
    }
    if oldest > newest.start.segment {
        let path = segment::path(dir, newest.start.segment);
        return Err(damaged(&path, 0, "the newest segment says that it is not needed"));
    }
    for number in oldest..=newest.start.segment {
        let path = segment::path(dir, number);
        match disk.get(&number).map(OnDisk::header) {
            None => return Err(damaged(&path, 0, "a segment is missing")),
            Some(None) => return Err(damaged(&path, 0, "both headers of a segment are bad")),
            Some(Some(header)) => {
                if number == newest.oldest.segment && header.start != newest.oldest {
                    return Err(damaged(&path, 0, "a segment is not the one that was kept"));
                }
            }
        }
    }
    let kept = disk.split_off(&oldest);
    let obsolete = std::mem::replace(disk, kept);
    Ok(obsolete.into_values().map(|on_disk| on_disk.path).collect())
}

/// Reads all segments into the index.
fn replay<F: VfsFile>(
    disk: &BTreeMap<u32, OnDisk<F>>,
    salt: u64,
    index: &mut Index<F>,
    report: &mut RecoveryReport,
) -> Result<Tail, OpenError> {
    let mut tail = Tail::default();
    let mut previous: Option<(u64, u32)> = None;
    let headers: Vec<_> = disk.values().filter_map(OnDisk::header).collect();
    for (position, (&number, on_disk)) in disk.iter().enumerate() {
        let Some(start) = headers.get(position).map(|header| header.start) else { continue };
        if previous.is_some_and(|(next, chain)| (next, chain) != (start.first, start.chain)) {
            return Err(damaged(&on_disk.path, 0, "a segment does not follow from the one before"));
        }
        let end = headers.get(position + 1).map(|next| next.start.first);
        if let Found::Header(_, bad) = on_disk.found {
            mark!(HEADER_ONE_COPY_BAD if bad > 0);
            report.bad_places += bad;
        }
        report.segments += 1;
        let mut is_mended = false;
        let mut each = |batch: &Batch| {
            report.batches += 1;
            report.bad_places += batch.places;
            let mended = batch.mend(&on_disk.file);
            is_mended |= mended.map_err(OpenError::io("write", &on_disk.path))?;
            apply(on_disk, number, batch, index, report)
        };
        tail = walk(on_disk, salt, start, end, &mut each)?;
        if is_mended {
            on_disk.file.sync_data().map_err(OpenError::io("sync", &on_disk.path))?;
        }
        previous = Some((tail.number + 1, tail.chain));
        if tail.torn {
            mark!(TAIL_TORN);
            let (path, batch) = (on_disk.path.clone(), tail.number + 1);
            report.torn = Some(Torn { path, offset: tail.at, batch });
        }
    }
    Ok(tail)
}

/// Goes through the batches of a segment: those below `end`, the first of the next segment; or all
/// that there are.
pub(crate) fn walk<F: VfsFile>(
    on_disk: &OnDisk<F>,
    salt: u64,
    start: Start,
    end: Option<u64>,
    each: &mut dyn FnMut(&Batch) -> Result<(), OpenError>,
) -> Result<Tail, OpenError> {
    let OnDisk { path, file, .. } = on_disk;
    let scanner = Scanner::new(file, salt, start.segment);
    let mut scanner = scanner.map_err(OpenError::io("read", path))?;
    let Some(number) = start.first.checked_sub(1) else {
        return Err(damaged(path, 0, "a segment starts below the first batch"));
    };
    let mut tail = Tail { at: HEAD, number, chain: start.chain, last: None, torn: false };
    while end.is_none_or(|end| tail.number + 1 < end) {
        let number = tail.number + 1;
        let next = scanner.next(tail.at, number, tail.chain).map_err(scan_error(path))?;
        let batch = match next {
            Next::Batch(batch) => batch,
            Next::Nothing { later: Some(_), .. } => {
                return Err(damaged(path, tail.at, "a batch before the last cannot be read"));
            }
            Next::Nothing { .. } if end.is_some() => {
                return Err(damaged(path, tail.at, "batches before the next segment are missing"));
            }
            Next::Nothing { torn, .. } => {
                tail.torn = torn;
                return Ok(tail);
            }
        };
        let behind = batch.at + batch.header.layout.end;
        // The rule of the last batch: see `scan`.
        if batch.places >= 2
            && end.is_none()
            && scanner.later(behind, number).map_err(scan_error(path))?.is_none()
        {
            mark!(LAST_BATCH_CUT);
            tail.torn = true;
            return Ok(tail);
        }
        each(&batch)?;
        tail.at = behind;
        tail.number = number;
        tail.chain = batch.header.id;
        tail.last = Some(batch);
    }
    Ok(tail)
}

fn apply<F: VfsFile>(
    on_disk: &OnDisk<F>,
    segment: u32,
    batch: &Batch,
    index: &mut Index<F>,
    report: &mut RecoveryReport,
) -> Result<(), OpenError> {
    let layout = batch.header.layout;
    let second = batch.at + layout.second;
    for (entry, place) in batch.header.entries.iter().zip(&batch.payloads) {
        report.records += 1;
        mark!(VALUE_LOST if place.is_none());
        let offset = place.unwrap_or(batch.at);
        let twin = if layout.twice && offset < second { layout.second } else { 0 };
        let place = Place {
            segment,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
            twin: u16::try_from(twin).unwrap_or(0),
            lost: place.is_none(),
        };
        index.apply(entry, place);
        if !matches!(entry.kind, Kind::Checkpoint | Kind::Founded | Kind::Membership) {
            continue;
        }
        let slot = Slot {
            ballot: Ballot::ZERO,
            segment,
            offset: place.offset,
            len: entry.len,
            crc: entry.crc,
            twin: place.twin,
            lost: place.lost,
        };
        let bytes = read_value(&on_disk.file, &slot);
        let bytes = bytes.map_err(OpenError::io("read", &on_disk.path))?;
        if entry.kind == Kind::Checkpoint {
            if let Some(bytes) = &bytes {
                index.apply_checkpoint(entry, bytes);
            }
        } else if entry.kind == Kind::Membership {
            index.remember(entry, bytes.filter(|bytes| History::decode(bytes).is_some()));
        } else {
            let founding = bytes.as_deref().and_then(founding::decode);
            let (Some(founding), Some(bytes)) = (founding, bytes) else {
                return Err(damaged(&on_disk.path, batch.at, "the founding is lost"));
            };
            index.founding = Some(Founded { founding, bytes, segment });
        }
    }
    Ok(())
}

/// Writes again what may be in the page cache only, and syncs.
fn make_durable<V: Vfs>(
    vfs: &V,
    dir: &Path,
    disk: &BTreeMap<u32, OnDisk<V::File>>,
    newest: SegmentHeader,
    tail: &Tail,
) -> Result<(), OpenError> {
    // The directory is synced when the new segment begins, before anything is written there.
    if let Some(OnDisk { path, file, .. }) = disk.get(&newest.start.segment) {
        let place = tail.last.as_ref().map_or((HEAD, 0), |last| (last.at, last.header.layout.end));
        let copy = Copy::make(vfs, dir, newest.start.segment, file, place)?;
        newest.write(file).map_err(OpenError::io("write", path))?;
        if let Some(last) = &tail.last {
            let scanner = Scanner::new(file, newest.salt, newest.start.segment);
            let scanner = scanner.map_err(OpenError::io("read", path))?;
            mark!(LAST_BATCH_REPAIRED if last.places > 0);
            scanner.rewrite(last).map_err(OpenError::io("write", path))?;
        }
        file.sync_data().map_err(OpenError::io("sync", path))?;
        copy.drop(vfs)?;
    }
    Ok(())
}

pub(crate) fn recover_groups<F: VfsFile>(
    dir: &Path,
    index: &Index<F>,
    report: &mut RecoveryReport,
) -> Result<BTreeMap<GroupId, GroupLog>, OpenError> {
    let mut groups = BTreeMap::new();
    for (&group, of) in &index.groups {
        if of.incarnation == Incarnation::default() {
            return Err(damaged(dir, 0, "a group has records and no incarnation"));
        }
        if of.lacks_checkpoint() {
            return Err(damaged(dir, 0, "the checkpoint below which a log was cleaned is lost"));
        }
        if of.history_lost {
            // To go on with an older one would count the votes of those who have left.
            return Err(damaged(dir, 0, "the membership of a group is lost"));
        }
        let lost = of.slots.iter().filter(|(_, slot)| slot.lost);
        report.lost.extend(lost.map(|(&instance, _)| (group, instance)));
        let recovered = recover_group(dir, index, of)?;
        groups.insert(group, GroupLog { incarnation: of.incarnation, recovered });
    }
    Ok(groups)
}

fn recover_group<F: VfsFile>(
    dir: &Path,
    index: &Index<F>,
    of: &GroupIndex,
) -> Result<Recovered, OpenError> {
    let chosen = of.chosen();
    let mut entries = Vec::new();
    for (&instance, slot) in of.slots.iter().filter(|&(&instance, _)| instance > chosen) {
        let path = segment::path(dir, slot.segment);
        let value = match index.files.get(&slot.segment) {
            Some(file) => read_value(file.as_ref(), slot).map_err(OpenError::io("read", &path))?,
            None => None,
        };
        let value = value.and_then(|bytes| Value::parse(bytes).ok());
        // Above a lost value the hint is still about the others: what it names is as good as learned.
        let is_chosen = value.is_some() && of.is_chosen(instance, slot);
        let ballot = if is_chosen { Ballot::ZERO } else { slot.ballot };
        entries.push(Stored { instance, ballot, value });
    }
    let history = of.history.as_deref().and_then(History::decode);
    let checkpoint = of.checkpoint.as_ref().map(|held| (held.instance, held.state.clone()));
    let (promised, cleaned, lease) = (of.promised, of.cleaned, of.lease);
    let files_lost = false;
    Ok(Recovered { promised, chosen, cleaned, lease, history, entries, checkpoint, files_lost })
}
