//! The record of a checkpoint, without which a cleaned log has no beginning.

use std::path::Path;

use synod::log::{Log, Maintained, OpenError, Opened};
use synod::vfs::Vfs;
use synod_core::{GroupId, Instance, Record};
use synod_sim::disk::SimVfs;

use crate::model::{DIR, GROUPS, accepted, ballot, open};

const GROUP: GroupId = GROUPS[0].0;
const BLOCK: u64 = 4096;

fn put(log: &mut Log<SimVfs>, records: &[Record]) {
    log.append(records.iter().map(|record| (GROUP, record))).unwrap();
    log.sync().unwrap();
}

fn checkpoint(at: u64, len: usize) -> Record {
    let state = vec![u8::try_from(at).unwrap(); len];
    Record::Checkpoint { instance: Instance(at), state: state.into() }
}

fn found(opened: &Opened<SimVfs>) -> Option<Record> {
    let checkpoint = opened.groups[&GROUP].recovered.checkpoint.clone();
    checkpoint.map(|(instance, state)| Record::Checkpoint { instance, state })
}

/// A log that begins with a checkpoint, at block 4 of segment 1, behind the segment's headers and the
/// first batch.
fn cleaned(len: usize) -> SimVfs {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    let records = [checkpoint(7, len), Record::Cleaned(Instance(7)), Record::Promised(ballot(3))];
    put(&mut opened.log, &records);
    drop(opened);
    disk.crash_process();
    disk
}

fn rot(disk: &SimVfs, block: u64) {
    disk.corrupt(&Path::new(DIR).join("00000001.log"), block * BLOCK + 40, 3, 0x11);
}

#[test]
fn no_single_rotted_block_costs_a_log_its_beginning() {
    for len in [10, 3000, 5000, 12_000] {
        let size = cleaned(len).size_of(&Path::new(DIR).join("00000001.log")).unwrap();
        for block in 0..size / BLOCK {
            let disk = cleaned(len);
            rot(&disk, block);
            let opened = open(&disk).unwrap();
            assert_eq!(found(&opened), Some(checkpoint(7, len)), "{len} bytes, block {block}");
        }
    }
}

#[test]
fn a_cleaned_log_whose_checkpoint_is_lost_is_damaged() {
    let disk = cleaned(12_000); // payloads from block 5 to 11
    // Followed by another batch, so that it is not taken for torn.
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[accepted(9, 3, 1, 10)]);
    drop(opened);
    disk.crash_process();
    for block in 5..12 {
        rot(&disk, block);
    }
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("the checkpoint below which a log was cleaned"), "{error}");
}

#[test]
fn an_older_checkpoint_serves_while_nothing_above_it_is_cleaned() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, &[checkpoint(7, 100), Record::Cleaned(Instance(7))]);
    put(&mut opened.log, &[checkpoint(9, 100)]);
    assert_eq!(found(&open_again(opened, &disk)), Some(checkpoint(9, 100)), "the newest counts");
}

#[test]
fn it_is_carried_ahead_when_its_segment_is_freed() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    let log = &mut opened.log;
    put(log, &[checkpoint(100, 5000)]);
    for seq in 1..=400 {
        let upto = Instance((seq - 1).min(100));
        put(log, &[accepted(seq.min(101), 1, seq, 3000), Record::Cleaned(upto)]);
        while log.maintain().unwrap() == Maintained::More {}
    }
    let names = disk.list(Path::new(DIR)).unwrap();
    assert!(!names.iter().any(|name| name == "00000001.log"), "nothing was freed: {names:?}");
    assert_eq!(found(&open_again(opened, &disk)), Some(checkpoint(100, 5000)));
}

fn open_again(opened: Opened<SimVfs>, disk: &SimVfs) -> Opened<SimVfs> {
    drop(opened);
    disk.power_loss(&mut || 1);
    open(disk).unwrap()
}
