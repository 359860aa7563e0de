//! Recovery of the file log from whatever a disk may hold.

use std::path::Path;

use bytes::Bytes;
use synod::log::{Log, LogConfig, OpenError, Opened};
use synod::vfs::{Vfs, VfsFile};
use synod_core::{Ballot, GroupId, Incarnation, Instance, NodeId, Record, Value};
use synod_sim::disk::SimVfs;

const DIR: &str = "/log";
const GROUP: GroupId = GroupId(1);
const BLOCK: usize = 4096;
const SALT: u64 = 0;

/// The first byte says how to read the rest.
///
/// - Even: a log that was written, as [`valid`] does, then changed: seven bytes a change, see
///   [`change`].
/// - Odd: the blocks of one segment, see [`blocks`].
///
/// # Panics
///
/// If opening the log panics; or if it opens, and then does not open again with the same contents
/// after a power loss.
pub fn run(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else { return };
    let disk = if how % 2 == 0 { valid(how) } else { SimVfs::new() };
    if how % 2 == 0 {
        for each in rest.chunks_exact(7).take(64) {
            change(&disk, each);
        }
    } else {
        blocks(&disk, rest);
    }
    let Ok(opened) = open(&disk) else { return };
    let before = contents(&opened);
    let boot = opened.boot;
    drop(opened);
    disk.power_loss(&mut || 1);
    let opened = open(&disk).unwrap_or_else(|error| panic!("opened, and then: {error}"));
    assert_eq!(contents(&opened), before, "changed by a power loss");
    assert!(opened.boot > boot || boot == u64::MAX, "boot {} after {boot}", opened.boot);
}

fn open(disk: &SimVfs) -> Result<Opened<SimVfs>, OpenError> {
    let config = LogConfig { segment_bytes: 64 << 10, salt: SALT, ..LogConfig::default() };
    Log::open(disk.clone(), Path::new(DIR), config, &[(GROUP, Incarnation(5))])
}

/// Everything that a log gives, as text.
fn contents(opened: &Opened<SimVfs>) -> String {
    let mut all = format!("{:?}\n{:?}\n", opened.founding, opened.groups);
    for (&group, log) in &opened.groups {
        let from = Instance(log.recovered.cleaned.0.saturating_add(1));
        let read = opened.log.reader().read(group, from, Instance::MAX, 1 << 20);
        all.push_str(&format!("{read:?}\n"));
    }
    all
}

/// A log of a few segments, with small and large batches.
fn valid(how: u8) -> SimVfs {
    let disk = SimVfs::new();
    let Ok(mut opened) = open(&disk) else { panic!("an empty disk opens") };
    let ballot = Ballot { round: 2, node: NodeId(1), incarnation: Incarnation(5) };
    for number in 1..=u64::from(how / 16 + 2) {
        let len = if number % 3 == 0 { 20_000 } else { 100 };
        let records = [
            Record::Promised(Ballot { round: number + 1, ..ballot }),
            Record::Accepted { instance: Instance(number), ballot, value: value(len) },
            Record::Chosen(Instance(number - 1)),
        ];
        let written = opened.log.append(records.iter().map(|record| (GROUP, record)));
        if written.and_then(|()| opened.log.sync()).is_err() {
            panic!("the disk is sound");
        }
    }
    if how & 8 != 0 && opened.log.clean(GROUP, Instance(1)).is_err() {
        panic!("the disk is sound");
    }
    drop(opened);
    disk.crash_process();
    disk
}

fn value(len: u32) -> Value {
    let mut bytes = vec![1];
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    for word in [5_u64, 1, 1, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&0_u32.to_le_bytes());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend((0..len).map(|at| at.to_le_bytes()[0]));
    Value::parse(Bytes::from(bytes)).unwrap_or(Value::NOOP)
}

/// Kind, segment, block, offset in it (two bytes), a byte, and a byte more.
fn change(disk: &SimVfs, bytes: &[u8]) {
    let &[kind, segment, block, low, high, byte, more] = bytes else { return };
    let path = |n: u8| Path::new(DIR).join(format!("{:08}.log", u32::from(n % 8) + 1));
    let at = usize::from(block % 16) * BLOCK;
    let offset = usize::from(u16::from_le_bytes([low, high])) % BLOCK;
    let from = path(segment);
    let Ok(file) = disk.open(&from) else { return };
    let mut all = vec![0; file.size().map_or(0, |size| usize::try_from(size).unwrap_or(0))];
    if file.read_exact_at(0, &mut all).is_err() {
        return;
    }
    match kind % 8 {
        0 if at + offset < all.len() => all[at + offset] ^= byte,
        1 if at + BLOCK <= all.len() => all[at..at + BLOCK].fill(byte),
        // A misdirected write.
        2 if at + BLOCK <= all.len() => {
            let to = usize::from(more % 16) * BLOCK;
            if to + BLOCK <= all.len() {
                all.copy_within(at..at + BLOCK, to);
            }
        }
        3 => all.truncate(at + offset),
        4 => {
            drop(disk.remove(&from));
            return;
        }
        5 => {
            drop(disk.rename(&from, &path(more)));
            return;
        }
        // What is behind a checksum is reached by making it right again.
        6 if at + BLOCK <= all.len() => {
            all[at + offset] ^= byte;
            seal(&mut all, at);
        }
        7 if at + BLOCK <= all.len() => {
            all[at + offset % 48] = byte;
            seal(&mut all, at);
        }
        _ => {}
    }
    replace(disk, &from, &all);
}

/// Each block: a byte that says what it is, the number of bytes, and these. Checksums of headers are
/// made right.
fn blocks(disk: &SimVfs, mut rest: &[u8]) {
    let mut all = Vec::new();
    while let [seal_it, len, more @ ..] = rest {
        let len = more.len().min(usize::from(*len));
        let at = all.len();
        all.extend_from_slice(match seal_it % 4 {
            0 => b"",
            1 => b"synodseg\0\0\0\0\x01\0\0\0",
            2 => b"synodb01",
            _ => b"synodb01\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0",
        });
        all.extend_from_slice(&more[..len]);
        all.resize(at + BLOCK, 0);
        if seal_it % 4 != 0 {
            seal(&mut all, at);
        }
        rest = &more[len..];
        if all.len() > 1 << 18 {
            break;
        }
    }
    drop(disk.create_dir_all(Path::new(DIR)));
    replace(disk, &Path::new(DIR).join("00000001.log"), &all);
}

fn replace(disk: &SimVfs, path: &Path, bytes: &[u8]) {
    drop(disk.remove(path));
    if let Ok(file) = disk.create(path) {
        drop(file.write_at(0, bytes));
        drop(file.sync_data());
    }
    drop(disk.sync_dir(Path::new(DIR)));
}

/// Makes the checksum of the header at `at` right, whichever kind it is.
fn seal(all: &mut [u8], at: usize) {
    let Some(block) = all.get_mut(at..) else { return };
    if block.starts_with(b"synodseg") {
        let end = block.len().min(BLOCK);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&block[..8]), &block[12..end]);
        block[8..12].copy_from_slice(&crc.to_le_bytes());
    } else if block.starts_with(b"synodb01") && block.len() > 48 {
        let word = |at: usize| block[at..].first_chunk().map_or(0, |n| u32::from_le_bytes(*n));
        let (records, payload) = (u64::from(word(36)), u64::from(word(40)));
        let fixed = 48 + 48 * records;
        let twice = fixed + payload <= 8192;
        let blocks = payload.div_ceil(4096) + u64::from(payload > 0);
        let header = if twice { fixed } else { fixed + 4 * blocks };
        let Ok(header) = usize::try_from(header) else { return };
        if header <= block.len() {
            let crc = crc32c::crc32c_append(crc32c::crc32c(&SALT.to_le_bytes()), &block[..8]);
            let crc = crc32c::crc32c_append(crc, &block[12..header]);
            block[8..12].copy_from_slice(&crc.to_le_bytes());
        }
    }
}
