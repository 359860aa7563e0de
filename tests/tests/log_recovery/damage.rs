//! One thing goes wrong; what recovery must make of it.

use std::path::{Path, PathBuf};

use synod::log::{Log, LogConfig, LogError, Maintained, OpenError, Opened};
use synod::vfs::{StdVfs, Vfs, VfsFile};
use synod_core::{Ballot, GroupId, Instance, Record};
use synod_sim::disk::{SimVfs, WriteFault};

use crate::model::{DIR, GROUPS, accepted, ballot, config, open, value};

const BLOCK: u64 = 4096;
const GROUP: GroupId = GROUPS[0].0;

fn put<V: Vfs>(log: &mut Log<V>, records: &[Record]) {
    write(log, records).unwrap();
    log.sync().unwrap();
}

fn write<V: Vfs>(log: &mut Log<V>, records: &[Record]) -> Result<(), LogError> {
    log.append(records.iter().map(|record| (GROUP, record)))
}

fn segment(number: u32) -> PathBuf {
    Path::new(DIR).join(format!("{number:08}.log"))
}

/// A disk with a small and a large batch, both synced: the small one at block 4 of segment 1, behind
/// the segment's headers and the first batch, two blocks long; then the large one, 9 blocks long: a
/// header, six blocks of payloads, their parity, a header.
fn two_batches() -> SimVfs {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[Record::Promised(ballot(3)), accepted(1, 3, 1, 10)]);
    put(&mut opened.log, &[accepted(2, 3, 2, 12_000), accepted(3, 3, 3, 12_000)]);
    drop(opened);
    disk.crash_process();
    disk
}
const SMALL: u64 = 4;
const LARGE: u64 = 6;
const LARGE_END: u64 = LARGE + 9;

fn rot(disk: &SimVfs, number: u32, block: u64) {
    disk.corrupt(&segment(number), block * BLOCK + 40, 3, 0x11);
}

/// Which instances above the chosen prefix came back, and whether with their value.
fn entries(opened: &Opened<SimVfs>) -> Vec<(u64, bool)> {
    let recovered = &opened.groups[&GROUP].recovered;
    recovered.entries.iter().map(|entry| (entry.instance.0, entry.value.is_some())).collect()
}

#[test]
fn no_single_rotted_block_makes_the_last_batch_look_torn_or_costs_a_value() {
    for block in 0..LARGE_END {
        let disk = two_batches();
        rot(&disk, 1, block);
        let opened = open(&disk).unwrap();
        assert_eq!(opened.report.torn, None, "block {block}");
        assert_eq!(opened.report.bad_places, 1, "block {block}");
        assert_eq!(opened.groups[&GROUP].recovered.promised, ballot(3));
        assert_eq!(entries(&opened), [(1, true), (2, true), (3, true)], "block {block}");
        let recovered = opened.groups[&GROUP].recovered.clone();
        assert_eq!(recovered.entries[1].value, Some(value(2, 12_000)), "block {block}");
        drop(opened);
        disk.power_loss(&mut || 0);
        let opened = open(&disk).unwrap();
        let bad = u64::from((2..LARGE).contains(&block)); // a batch that is not the last is left to `scrub`
        assert_eq!(opened.report.bad_places, bad, "block {block} was written again");
        assert_eq!(opened.groups[&GROUP].recovered.entries, recovered.entries);
    }
}

#[test]
fn two_bad_blocks_at_the_end_are_a_torn_batch() {
    for (first, second) in [(6, 14), (6, 8), (8, 9), (8, 13), (13, 14)] {
        let disk = two_batches();
        rot(&disk, 1, first);
        rot(&disk, 1, second);
        let opened = open(&disk).unwrap();
        assert_eq!(entries(&opened), [(1, true)], "blocks {first} and {second}");
        let torn = opened.report.torn.unwrap();
        assert_eq!((torn.path, torn.offset, torn.batch), (segment(1), LARGE * BLOCK, 3));
    }
}

#[test]
fn damage_before_the_last_batch_is_never_silently_shorter() {
    let disk = two_batches();
    rot(&disk, 1, SMALL);
    rot(&disk, 1, SMALL + 1);
    let Err(OpenError::Damaged { path, offset, .. }) = open(&disk) else { panic!("opened") };
    assert_eq!((path, offset), (segment(1), SMALL * BLOCK));

    // One process life later a new segment vouches for what was the last batch.
    let disk = two_batches();
    drop(open(&disk).unwrap());
    rot(&disk, 1, LARGE);
    rot(&disk, 1, LARGE_END - 1);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }));
    assert!(error.to_string().contains("waits to be swapped in"), "{error}");

    // With one header left each value says for itself whether it is lost.
    let disk = two_batches();
    drop(open(&disk).unwrap());
    rot(&disk, 1, LARGE);
    rot(&disk, 1, LARGE + 2);
    rot(&disk, 1, LARGE + 3);
    let opened = open(&disk).unwrap();
    assert_eq!(entries(&opened), [(1, true), (2, false), (3, true)]);
    assert_eq!(opened.report.lost, [(GROUP, Instance(2))]);
    let read = opened.log.reader().read(GROUP, Instance(1), Instance(9), 1 << 20).unwrap();
    assert_eq!(
        read.iter().map(|each| each.value.is_some()).collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[test]
fn a_missing_segment_or_two_bad_headers_of_one_are_damage() {
    for number in [1, 2] {
        let disk = two_batches();
        drop(open(&disk).unwrap());
        drop(open(&disk).unwrap());
        let fork = disk.fork();
        fork.remove(&segment(number)).unwrap();
        assert!(matches!(open(&fork), Err(OpenError::Damaged { .. })), "{number} missing");
        rot(&disk, number, 0);
        assert_eq!(open(&disk).unwrap().report.bad_places, 1);
        let disk = disk.fork();
        rot(&disk, number, 1);
        assert!(matches!(open(&disk), Err(OpenError::Damaged { .. })), "{number} headless");
    }
}

#[test]
fn a_chosen_value_that_is_lost_lowers_the_chosen_prefix_to_below_it() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[accepted(1, 1, 1, 9000), accepted(2, 1, 2, 9000), accepted(3, 1, 3, 9)]);
    put(&mut opened.log, &[Record::Chosen(Instance(3))]);
    drop(opened);
    for block in [None, Some(4 + 1 + 3), Some(4 + 1 + 4)] {
        let disk = disk.fork();
        block.into_iter().for_each(|block| rot(&disk, 1, block));
        assert_eq!(open(&disk).unwrap().groups[&GROUP].recovered.chosen, Instance(3));
    }
    rot(&disk, 1, 4 + 1 + 3);
    rot(&disk, 1, 4 + 1 + 4);
    let opened = open(&disk).unwrap();
    let recovered = &opened.groups[&GROUP].recovered;
    assert_eq!(recovered.chosen, Instance(1));
    assert_eq!(entries(&opened), [(2, false), (3, true)]);
    let ballots: Vec<Ballot> = recovered.entries.iter().map(|stored| stored.ballot).collect();
    assert_eq!(
        ballots,
        [ballot(1), Ballot::ZERO],
        "the hint knows the value that is left as chosen"
    );
}

/// A node that learned a value of a ballot that it never promised, and lost it, may vote for another
/// one: the hint on its disk is older, and was about the lost one.
#[test]
fn what_is_accepted_where_a_chosen_value_was_lost_is_not_taken_for_chosen() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    let learned = Record::Learned { instance: Instance(2), value: value(2, 9000) };
    put(&mut opened.log, &[accepted(1, 1, 1, 9000), learned, accepted(3, 1, 3, 9)]);
    put(&mut opened.log, &[Record::Chosen(Instance(3))]);
    drop(opened);
    rot(&disk, 1, 4 + 1 + 3);
    rot(&disk, 1, 4 + 1 + 4);
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[accepted(2, 1, 7, 10)]);
    drop(opened);
    let mut opened = open(&disk).unwrap();
    let recovered = &opened.groups[&GROUP].recovered;
    assert_eq!(recovered.chosen, Instance(1));
    assert_eq!(recovered.entries[0].ballot, ballot(1), "a vote, and nothing more");
    assert_eq!(recovered.entries[1].ballot, Ballot::ZERO);
    put(&mut opened.log, &[Record::Chosen(Instance(2))]);
    drop(opened);
    assert_eq!(open(&disk).unwrap().groups[&GROUP].recovered.chosen, Instance(3));
}

/// The reason for all the rewriting in recovery: a process that was killed between write and sync
/// leaves a batch that the next process reads, acts on, and must not forget when the power fails.
#[test]
fn what_recovery_read_from_the_cache_survives_the_next_power_loss() {
    let written = || {
        let disk = SimVfs::new();
        let mut opened = open(&disk).unwrap();
        write(&mut opened.log, &[Record::Promised(ballot(5)), accepted(1, 5, 1, 100)]).unwrap();
        drop(opened);
        disk.crash_process();
        disk
    };
    let lost = written();
    lost.power_loss(&mut || 1);
    assert_eq!(entries(&open(&lost).unwrap()), [], "it was in the cache only");

    let kept = written();
    assert_eq!(entries(&open(&kept).unwrap()), [(1, true)], "killed: the cache is still there");
    kept.power_loss(&mut || 1);
    let opened = open(&kept).unwrap();
    assert_eq!(entries(&opened), [(1, true)]);
    assert_eq!(opened.groups[&GROUP].recovered.promised, ballot(5));
}

#[test]
fn what_a_failed_sync_marked_clean_survives_the_next_power_loss_too() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    write(&mut opened.log, &[accepted(1, 5, 1, 30_000)]).unwrap();
    disk.fail_next_sync();
    opened.log.sync().unwrap_err();
    drop(opened);
    disk.crash_process();
    assert_eq!(entries(&open(&disk).unwrap()), [(1, true)]);
    disk.power_loss(&mut || 1);
    assert_eq!(entries(&open(&disk).unwrap()), [(1, true)]);
}

/// Found by the histories in `crashes`: recovery removed the segments that a batch in the cache said
/// were freed, and then lost that batch.
#[test]
fn segments_are_removed_only_once_the_disk_says_that_they_are_freed() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    for seq in 1..=8 {
        put(&mut opened.log, &[accepted(seq, 1, seq, 9000)]);
    }
    put(&mut opened.log, &[Record::Cleaned(Instance(8)), Record::Promised(ballot(4))]);
    disk.fail_next_sync();
    opened.log.maintain().unwrap_err();
    drop(opened);
    disk.crash_process();
    for stop in 0..20 {
        let disk = disk.fork();
        disk.stop_after(stop);
        drop(open(&disk));
        // The first draw keeps all names: it is one less than a multiple of every small number. The
        // others lose what they are drawn for.
        let mut draws = std::iter::once(839).chain(std::iter::repeat(1));
        disk.power_loss(&mut || draws.next().unwrap());
        let recovered = open(&disk).unwrap().groups.remove(&GROUP).unwrap().recovered;
        assert_eq!((recovered.cleaned, recovered.promised), (Instance(8), ballot(4)), "{stop}");
    }
}

#[test]
fn the_first_failure_is_the_last() {
    type Arm = fn(&SimVfs);
    let faults: [Arm; 4] = [
        |disk| disk.fail_next_sync(),
        |disk| disk.fail_write_after(0, WriteFault::Device),
        |disk| disk.fail_write_after(0, WriteFault::Short(1000)),
        |disk| disk.fail_write_after(0, WriteFault::Full),
    ];
    for (case, arm) in faults.into_iter().enumerate() {
        let disk = SimVfs::new();
        let log = &mut open(&disk).unwrap().log;
        put(log, &[accepted(1, 1, 1, 10)]);
        arm(&disk);
        let first = write(log, &[accepted(2, 1, 2, 10)]).and_then(|()| log.sync());
        let first = first.unwrap_err().to_string();
        assert!(first.contains("00000001.log"), "case {case}: {first}");
        let batch = log.batch();
        assert_eq!(write(log, &[accepted(3, 1, 3, 10)]).unwrap_err().to_string(), first);
        assert_eq!(log.sync().unwrap_err().to_string(), first);
        assert_eq!(log.maintain().unwrap_err().to_string(), first);
        assert_eq!(log.failed().map(ToString::to_string), Some(first));
        assert_eq!(log.batch(), batch, "nothing more is durable");
    }
}

#[test]
fn a_full_disk_is_seen_before_a_batch_is() {
    let disk = SimVfs::new();
    disk.set_capacity(Some(200 << 10));
    let log = &mut open(&disk).unwrap().log;
    while log.maintain().unwrap() == Maintained::More {}
    let ample = log.room();
    let mut seq = 0;
    while log.room() > 64 << 10 {
        seq += 1;
        put(log, &[accepted(seq, 1, seq, 5000)]);
        while log.maintain().unwrap() == Maintained::More {}
    }
    assert!(ample > log.room());
    // What is left is for promises and cleaning, which makes room again.
    put(log, &[Record::Promised(ballot(9))]);
    while log.room() < 64 << 10 && seq > 0 {
        put(log, &[Record::Promised(ballot(seq + 10))]);
        log.clean(GROUP, Instance(seq)).unwrap();
        seq += 1;
        put(log, &[accepted(seq, 1, seq, 5000)]);
    }
    assert!(log.failed().is_none());
}

#[test]
fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let real = || Log::open(StdVfs, dir.path(), config(), &GROUPS);
    let held = real().unwrap();
    let error = real().unwrap_err();
    assert!(matches!(&error, OpenError::Locked { path } if path.ends_with("lock")), "{error}");
    drop(held);
    assert_eq!(real().unwrap().boot, 2);
}

/// Fills many segments, cleaning behind; gives the log's files at the end.
fn recycle<V: Vfs>(vfs: &V, dir: &Path) -> (Opened<V>, Vec<String>) {
    let mut opened = Log::open(vfs.clone(), dir, config(), &GROUPS).unwrap();
    let log = &mut opened.log;
    put(log, &[Record::Promised(ballot(77))]);
    log.append([(GROUPS[1].0, &accepted(1, 8, 1, 700))]).unwrap();
    log.sync().unwrap();
    for seq in 1..=400 {
        let upto = Instance(seq - 1);
        put(log, &[accepted(seq, 78, seq, 3000), Record::Chosen(upto)]);
        if seq % 16 == 0 {
            log.clean(GROUP, upto).unwrap();
            while log.maintain().unwrap() == Maintained::More {}
        }
    }
    let names = vfs.list(dir).unwrap();
    (opened, names)
}

#[test]
fn segments_are_reused_and_their_old_batches_never_taken_for_new_ones() {
    fn check<V: Vfs>(vfs: &V, dir: &Path) {
        let (opened, names) = recycle(vfs, dir);
        let last = names.iter().rfind(|name| name.ends_with(".log")).unwrap();
        assert!(last.as_str() > "00000040.log", "{names:?}");
        assert!(names.len() < 12, "most were freed: {names:?}");
        let last = dir.join(last);
        // The file was a segment before: old batches are behind the end.
        let file = vfs.open(&last).unwrap();
        let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
        file.read_exact_at(0, &mut bytes).unwrap();
        let magic = |block: &&[u8]| block.starts_with(b"synodb01");
        assert!(bytes.chunks(4096).filter(magic).count() >= 10);
        drop(opened);
        let opened = Log::open(vfs.clone(), dir, config(), &GROUPS).unwrap();
        let one = &opened.groups[&GROUP].recovered;
        assert_eq!((one.promised, one.chosen), (ballot(77), Instance(399)));
        assert_eq!(one.entries.len(), 1);
        let other = &opened.groups[&GROUPS[1].0].recovered;
        assert_eq!(other.entries[0].value, Some(value(1, 700)), "moved along");
        assert_eq!(opened.report.bad_places, 0);
    }
    check(&SimVfs::new(), Path::new(DIR));
    let dir = tempfile::tempdir().unwrap();
    check(&StdVfs, dir.path());
}

#[test]
fn a_log_that_nobody_maintains_frees_what_is_dead_when_it_needs_a_segment() {
    let disk = SimVfs::new();
    let log = &mut open(&disk).unwrap().log;
    for seq in 1..=400 {
        put(log, &[accepted(seq, 1, seq, 3000), Record::Cleaned(Instance(seq - 1))]);
    }
    let names = disk.list(Path::new(DIR)).unwrap();
    assert!(names.len() <= 5, "{names:?}");
}

#[test]
fn cleaned_entries_are_gone_and_say_so() {
    let (opened, _) = recycle(&SimVfs::new(), Path::new(DIR));
    let reader = opened.log.reader();
    let error = reader.read(GROUP, Instance(5), Instance(9), 1 << 20).unwrap_err();
    assert_eq!(error.to_string(), "group 1 is cleaned up to #399");
    let kept = reader.read(GROUP, Instance(400), Instance::MAX, 1 << 20).unwrap();
    assert_eq!(kept.iter().map(|each| each.instance.0).collect::<Vec<_>>(), [400]);
}

#[test]
fn a_read_stops_at_its_limit_and_gives_at_least_one() {
    let disk = two_batches();
    let reader = open(&disk).unwrap().log.reader();
    let count =
        |from, to, bytes| reader.read(GROUP, Instance(from), Instance(to), bytes).unwrap().len();
    assert_eq!(count(1, 9, 1 << 20), 3);
    assert_eq!(count(1, 2, 1 << 20), 2);
    assert_eq!(count(1, 9, 13_000), 2);
    assert_eq!(count(2, 9, 0), 1);
    assert_eq!(count(4, 9, 1 << 20), 0);
    assert_eq!(count(3, 2, 1 << 20), 0);
}

#[test]
fn a_value_that_rots_while_the_log_is_open_is_read_from_its_other_copy_or_said_to_be_lost() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[accepted(1, 1, 1, 10), accepted(2, 1, 2, 10)]);
    let read = || opened.log.reader().read(GROUP, Instance(1), Instance(2), 1 << 20).unwrap();
    disk.corrupt(&segment(1), 4 * BLOCK, 4096, 1);
    assert_eq!(read().iter().filter(|each| each.value.is_some()).count(), 2);
    disk.corrupt(&segment(1), 5 * BLOCK, 4096, 1);
    assert_eq!(read().iter().filter(|each| each.value.is_some()).count(), 0);
}

#[test]
fn a_batch_larger_than_a_segment_gets_one_of_its_own() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[accepted(1, 1, 1, 10)]);
    put(&mut opened.log, &[accepted(2, 1, 2, 300_000)]);
    put(&mut opened.log, &[accepted(3, 1, 3, 10)]);
    drop(opened);
    let opened = open(&disk).unwrap();
    assert_eq!(entries(&opened), [(1, true), (2, true), (3, true)]);
    assert_eq!(opened.report.segments, 3);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let disk = two_batches();
    let file = disk.open(&segment(1)).unwrap();
    let mut block = [0; 4096];
    file.read_exact_at(0, &mut block).unwrap();
    block[12] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&block[..8]), &block[12..]);
    block[8..12].copy_from_slice(&crc.to_le_bytes());
    file.write_at(0, &block).unwrap();
    let Err(OpenError::Version { found, supported, .. }) = open(&disk) else { panic!("opened") };
    assert_eq!((found, supported), (9, 2));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for segment_bytes in [0, 60 << 10, (64 << 10) + 1, 4 << 30] {
        let config = LogConfig { segment_bytes, ..LogConfig::default() };
        assert!(config.validate().is_err(), "{segment_bytes}");
        let opened = Log::open(SimVfs::new(), Path::new(DIR), config, &GROUPS);
        assert!(matches!(opened, Err(OpenError::Config(_))));
    }
    assert_eq!(LogConfig::default().validate(), Ok(()));
}

#[test]
#[should_panic(expected = "batch 2 is not synced yet")]
fn a_batch_before_the_last_ones_sync_is_our_own_mistake() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    write(&mut opened.log, &[Record::Promised(Ballot::ZERO)]).unwrap();
    write(&mut opened.log, &[Record::Promised(Ballot::ZERO)]).unwrap();
}

#[test]
fn a_sector_that_cannot_be_read_is_damage_of_its_bytes_and_no_more() {
    for block in 0..LARGE_END {
        let (unreadable, rotten) = (two_batches(), two_batches());
        unreadable.spoil(&segment(1), block * BLOCK);
        rot(&rotten, 1, block);
        let (one, other) = (open(&unreadable).unwrap(), open(&rotten).unwrap());
        assert_eq!(one.report, other.report, "block {block}");
        assert_eq!(entries(&one), entries(&other), "block {block}");
        drop(one);
        unreadable.crash_process();
        assert_eq!(entries(&open(&unreadable).unwrap()), entries(&other), "block {block}, again");
    }
}

#[test]
fn both_headers_that_cannot_be_read_are_refused_like_rotten_ones() {
    let disk = two_batches();
    drop(open(&disk).unwrap());
    disk.crash_process();
    // Of the first segment, which the second one vouches for.
    disk.spoil(&segment(1), SMALL * BLOCK);
    disk.spoil(&segment(1), (SMALL + 1) * BLOCK);
    assert!(matches!(open(&disk).unwrap_err(), OpenError::Damaged { .. }));
}

#[test]
fn a_running_log_reads_and_cleans_past_what_cannot_be_read() {
    let disk = SimVfs::new();
    let log = &mut open(&disk).unwrap().log;
    put(log, &[Record::Promised(ballot(3)), accepted(1, 3, 1, 12_000), accepted(2, 3, 2, 12_000)]);
    let read = |log: &Log<SimVfs>| {
        let found = log.reader().read(GROUP, Instance(1), Instance(2), usize::MAX).unwrap();
        found.into_iter().map(|stored| stored.value).collect::<Vec<_>>()
    };
    disk.spoil(&segment(1), (SMALL + 2) * BLOCK);
    assert_eq!(read(log), [Some(value(1, 12_000)), Some(value(2, 12_000))], "by its parity");
    let fork = disk.fork();
    fork.crash_process();
    let opened = open(&fork).unwrap();
    assert_eq!((opened.report.bad_places, opened.report.lost), (1, vec![]));
    disk.spoil(&segment(1), (SMALL + 3) * BLOCK);
    assert_eq!(read(log), [None, Some(value(2, 12_000))]);
    for seq in 3..=200 {
        put(log, &[accepted(3, 3, seq, 3000)]);
        while log.maintain().unwrap() == Maintained::More {}
    }
    assert!(disk.open(&segment(1)).is_err(), "the segment was freed all the same");
    assert_eq!(read(log), [None, Some(value(2, 12_000))]);
}

#[test]
fn a_file_of_which_nothing_can_be_read_is_an_error_of_the_device() {
    let disk = two_batches();
    let size = disk.size_of(&segment(1)).unwrap();
    for at in (0..size).step_by(512) {
        disk.spoil(&segment(1), at);
    }
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Io { action: "read", .. }), "{error}");
}
