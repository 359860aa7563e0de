//! The power fails while recovery rewrites the last batch, and leaves garbage where it wrote.

use synod_core::{Instance, Record};
use synod_sim::disk::{Loss, Sector, SimVfs};

use crate::model::{GROUPS, accepted, ballot, open};

/// Draws that tear every sector: the `n`-th number of a sequence that is 2 modulo 3.
fn tearing(seed: u64) -> impl FnMut() -> u64 {
    let mut n = seed;
    move || {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (n >> 8) / 3 * 3 + 2
    }
}

#[test]
fn a_batch_that_is_being_rewritten_survives_the_power_loss() {
    for (sector, len) in [
        (Sector::Small, 100),
        (Sector::Large, 100),
        (Sector::Small, 30_000),
        (Sector::Large, 30_000),
    ] {
        for stop in 0..24 {
            let disk = SimVfs::with_sectors(sector);
            let mut opened = open(&disk).unwrap();
            let records = [Record::Promised(ballot(3)), accepted(1, 3, 1, len)];
            opened.log.append(records.iter().map(|record| (GROUPS[0].0, record))).unwrap();
            opened.log.sync().unwrap();
            drop(opened);
            disk.crash_process();
            disk.stop_after(stop);
            drop(open(&disk));
            disk.lose_power(Loss::Garbage, &mut tearing(stop));
            let case = format!("{len} bytes, {sector:?}, stopped after {stop}");
            let opened = open(&disk).unwrap_or_else(|error| panic!("{case}: {error}"));
            let recovered = &opened.groups[&GROUPS[0].0].recovered;
            assert_eq!(recovered.promised, ballot(3), "{case}");
            let [entry] = &recovered.entries[..] else { panic!("{case}: {recovered:?}") };
            assert_eq!(entry.instance, Instance(1), "{case}");
            assert!(entry.value.is_some(), "{case}");
        }
    }
}
