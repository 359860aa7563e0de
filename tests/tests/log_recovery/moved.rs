//! The power fails while values are moved out of a segment that is about to be freed.

use std::path::{Path, PathBuf};

use synod::log::{Log, Opened};
use synod::vfs::Vfs;
use synod_core::{GroupId, Instance, Record, Stored};
use synod_sim::disk::SimVfs;

use crate::model::{DIR, GROUPS, accepted, ballot, open, value};

const BLOCK: u64 = 4096;
const GROUP: GroupId = GROUPS[0].0;

fn put(log: &mut Log<SimVfs>, records: &[Record]) {
    log.append(records.iter().map(|record| (GROUP, record))).unwrap();
    log.sync().unwrap();
}

fn newest(disk: &SimVfs) -> PathBuf {
    let names = disk.list(Path::new(DIR)).unwrap();
    Path::new(DIR).join(names.iter().filter(|name| name.ends_with(".log")).max().unwrap())
}

fn whole(opened: &Opened<SimVfs>, upto: u64) -> Vec<u64> {
    let read = opened.log.reader().read(GROUP, Instance(1), Instance(upto), usize::MAX).unwrap();
    let whole = read.into_iter().filter(|stored: &Stored| {
        let seq = stored.instance.0;
        stored.value.as_ref() == Some(&value(seq, 3000))
    });
    whole.map(|stored| stored.instance.0).collect()
}

/// The batch that holds them counts, but for one block. Found by a seed: values that had been chosen for
/// long were lost by a power cut alone.
#[test]
fn a_move_that_the_power_cut_but_for_a_block_costs_no_value() {
    let disk = SimVfs::new();
    let log = &mut open(&disk).unwrap().log;
    let old: Vec<Record> = (1..=6).map(|at| accepted(at, 1, at, 3000)).collect();
    put(log, &old);
    put(log, &[Record::Chosen(Instance(3))]);
    let first = Path::new(DIR).join("00000001.log");
    let mut tried = 0;
    for seq in 7.. {
        put(log, &[accepted(7, 1, seq, 3000)]);
        let batch = log.batch();
        log.maintain().unwrap();
        if disk.open(&first).is_err() {
            break; // moved as a whole, and freed
        }
        if log.batch() == batch {
            continue;
        }
        let path = newest(&disk);
        let blocks = disk.size_of(&path).unwrap() / BLOCK;
        for block in 0..blocks {
            let cut = disk.fork();
            cut.crash_process();
            cut.corrupt(&path, block * BLOCK + 40, 3, 0x11);
            let opened = open(&cut).unwrap();
            assert_eq!(whole(&opened, 6), [1, 2, 3, 4, 5, 6], "block {block} of {path:?}");
            let recovered = &opened.groups[&GROUP].recovered;
            assert_eq!(recovered.chosen, Instance(3));
            let votes = recovered.entries.iter().take(3).map(|entry| entry.ballot);
            assert_eq!(votes.collect::<Vec<_>>(), [ballot(1); 3]);
            drop(opened);
            cut.crash_process();
            assert_eq!(whole(&open(&cut).unwrap(), 6), [1, 2, 3, 4, 5, 6], "and the next start");
            tried += 1;
        }
    }
    assert!(tried > 0, "something was moved");
}
