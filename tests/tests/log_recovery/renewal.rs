//! New incarnations: what a start makes of damage, and what is left of the old acceptor.

use std::path::Path;

use synod::log::{Log, LogConfig, OpenError, Opened, Renewed, Restart};
use synod::vfs::Vfs;
use synod_core::{
    Ballot, ClusterId, Founding, GroupId, Incarnation, Instance, Member, Membership, NodeId,
    Record, Recovered,
};
use synod_sim::disk::SimVfs;

use crate::model::{DIR, GROUPS, accepted, ballot, config, value};

const BLOCK: u64 = 4096;
const GROUP: GroupId = GROUPS[0].0;

/// Starts with incarnations that nobody had before.
fn start(disk: &SimVfs, draw: u64) -> Result<Opened<SimVfs>, OpenError> {
    let drawn: Vec<_> = GROUPS.iter().map(|&(group, _)| (group, Incarnation(draw))).collect();
    let config = LogConfig { salt: 99, ..config() };
    Log::start(disk.clone(), Path::new(DIR), config, &drawn, Restart::TrustDisk)
}

fn rejoin(disk: &SimVfs, draw: u64) -> Opened<SimVfs> {
    let drawn: Vec<_> = GROUPS.iter().map(|&(group, _)| (group, Incarnation(draw))).collect();
    Log::start(disk.clone(), Path::new(DIR), config(), &drawn, Restart::Rejoin).unwrap()
}

fn founding() -> Founding {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node) };
    let membership = Membership::new(vec![member(1), member(2)], Vec::new()).unwrap();
    Founding { cluster: ClusterId(7), groups: vec![(GROUP, membership)] }
}

fn put(log: &mut Log<SimVfs>, records: &[Record]) {
    log.append(records.iter().map(|record| (GROUP, record))).unwrap();
    log.sync().unwrap();
}

/// Founded, with a promise and three votes of which two are known chosen, by incarnation 1.
fn used() -> SimVfs {
    let disk = SimVfs::new();
    let mut opened = start(&disk, 1).unwrap();
    opened.log.found(&founding()).unwrap();
    put(&mut opened.log, &[Record::Promised(ballot(3)), accepted(1, 3, 1, 10)]);
    put(&mut opened.log, &[accepted(2, 3, 2, 9000), accepted(3, 3, 3, 10)]);
    put(&mut opened.log, &[Record::Chosen(Instance(2))]);
    drop(opened);
    disk.crash_process();
    disk
}

/// Both copies of the batch with the votes 2 and 3 rot; a later batch vouches for it.
fn damage(disk: &SimVfs) {
    let path = Path::new(DIR).join("00000001.log");
    let magic = |at: &u64| {
        let mut head = [0; 48];
        let file = disk.open(&path).unwrap();
        synod::vfs::VfsFile::read_exact_at(&file, *at, &mut head).unwrap();
        head.starts_with(b"synodb01") && head[24] == 4
    };
    let copies: Vec<u64> = (2..15).map(|block| block * BLOCK).filter(magic).collect();
    assert_eq!(copies.len(), 2, "the fourth batch: start, founding, first votes, these");
    for at in copies {
        disk.corrupt(&path, at + 40, 3, 0x11);
    }
}

#[test]
fn damage_that_may_have_cost_a_vote_makes_another_acceptor() {
    let disk = used();
    damage(&disk);
    let opened = start(&disk, 2).unwrap();
    let Some(Renewed::Damage { found, aside }) = &opened.renewed else {
        panic!("{:?}", opened.renewed)
    };
    assert!(found.contains("00000001.log is damaged at byte"), "{found}");
    assert_eq!(aside.len(), 1, "{aside:?}");
    assert!(disk.size_of(&aside[0]).is_some(), "kept, for somebody to look at");
    assert_eq!((opened.boot, opened.founding.clone()), (2, Some(founding())));
    for log in opened.groups.values() {
        assert_eq!((log.incarnation, &log.recovered), (Incarnation(2), &Recovered::default()));
    }
    drop(opened);

    // It never reverts: nothing more is damaged, and the next start finds what this one wrote.
    disk.crash_process();
    disk.power_loss(&mut || 1);
    let opened = start(&disk, 3).unwrap();
    assert_eq!((opened.boot, &opened.renewed), (3, &None));
    assert_eq!(opened.groups[&GROUP].incarnation, Incarnation(2));
    assert_eq!(opened.founding, Some(founding()));
}

#[test]
fn a_power_loss_while_damage_is_set_aside_brings_nothing_back() {
    for changes in 0..40 {
        let disk = used();
        damage(&disk);
        disk.stop_after(changes);
        let done = start(&disk, 2).is_ok();
        let mut draws = changes;
        disk.power_loss(&mut || {
            draws = draws.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            draws >> 20
        });
        disk.disarm();
        let opened = start(&disk, 3).unwrap();
        let now = opened.groups[&GROUP].incarnation;
        assert!(now == Incarnation(3) || now == Incarnation(2), "{changes}: {now}");
        assert!(!done || now == Incarnation(2), "{changes}: reported, and not durable");
        assert_eq!(opened.groups[&GROUP].recovered, Recovered::default(), "{changes}");
        assert_eq!(opened.founding, Some(founding()), "{changes}");
        if done {
            return;
        }
    }
    panic!("40 changes to the disk were not enough");
}

#[test]
fn a_damaged_directory_of_no_known_cluster_is_left_alone() {
    let disk = SimVfs::new();
    let mut opened = start(&disk, 1).unwrap();
    put(&mut opened.log, &[Record::Promised(ballot(3))]);
    drop(opened);
    drop(start(&disk, 1).unwrap());
    disk.remove(&Path::new(DIR).join("00000001.log")).unwrap();
    for _ in 0..2 {
        assert!(matches!(start(&disk, 2), Err(OpenError::Damaged { .. })));
    }
}

#[test]
fn rejoin_keeps_what_is_chosen_and_forgets_promise_and_votes() {
    let disk = SimVfs::new();
    let opened = rejoin(&disk, 1);
    assert_eq!((opened.boot, opened.renewed.clone()), (1, None), "nothing to forget yet");
    drop(opened);
    let disk = used();
    for draw in 2..5 {
        let opened = rejoin(&disk, draw);
        assert_eq!(opened.renewed, Some(Renewed::Rejoin));
        let log = &opened.groups[&GROUP];
        assert_eq!(log.incarnation, Incarnation(draw));
        let chosen = Recovered { chosen: Instance(2), ..Recovered::default() };
        assert_eq!(log.recovered, chosen);
        let read = opened.log.reader().read(GROUP, Instance(1), Instance::MAX, 1 << 20).unwrap();
        let values: Vec<_> = read.iter().map(|each| (each.ballot, each.value.clone())).collect();
        let learned = |seq, len| (Ballot::ZERO, Some(value(seq, len)));
        assert_eq!(values, [learned(1, 10), learned(2, 9000)], "learned, by whomever");
        drop(opened);
        disk.crash_process();
        disk.power_loss(&mut || 1);
    }
}

#[test]
fn what_the_new_incarnation_accepts_is_not_taken_for_chosen() {
    let disk = used();
    let mut opened = rejoin(&disk, 2);
    // Incarnation 1 accepted another value at 3, and 2 accepts this one there.
    put(&mut opened.log, &[Record::Promised(ballot(9)), accepted(3, 9, 7, 10)]);
    drop(opened);
    let opened = start(&disk, 3).unwrap();
    let recovered = &opened.groups[&GROUP].recovered;
    assert_eq!((recovered.promised, recovered.chosen), (ballot(9), Instance(2)));
    assert_eq!(recovered.entries.len(), 1);
    assert_eq!(recovered.entries[0].value, Some(value(7, 10)));
}

#[test]
fn a_renewal_survives_the_moving_of_what_it_keeps() {
    let disk = used();
    let mut opened = rejoin(&disk, 2);
    for seq in 3..200 {
        let upto = Record::Chosen(Instance(seq - 1));
        put(&mut opened.log, &[accepted(seq, 4, seq, 3000), upto]);
        if seq % 16 == 0 {
            opened.log.clean(GROUP, Instance(seq - 2)).unwrap();
            while opened.log.maintain().unwrap() == synod::log::Maintained::More {}
        }
    }
    drop(opened);
    let opened = start(&disk, 3).unwrap();
    let log = &opened.groups[&GROUP];
    assert_eq!((log.incarnation, log.recovered.chosen), (Incarnation(2), Instance(198)));
    assert_eq!(log.recovered.promised, Ballot::ZERO, "the old promise is gone for good");
}

/// Three process lives, the founding in the given one; each but for the last has three votes.
fn lives(founded: u64) -> SimVfs {
    let disk = SimVfs::new();
    for life in 1..=4 {
        let mut opened = start(&disk, 1).unwrap();
        if life == founded {
            opened.log.found(&founding()).unwrap();
        }
        put(&mut opened.log, &[accepted(life * 2, 3, life * 2, 10)]);
        put(&mut opened.log, &[accepted(life * 2 + 1, 3, life * 2 + 1, 9000)]);
        drop(opened);
        disk.crash_process();
    }
    disk
}

/// Blocks of a segment rot: its two headers, its first batch, which has two copies, and so on.
fn rot(disk: &SimVfs, number: u64, blocks: std::ops::Range<u64>) {
    let path = Path::new(DIR).join(format!("{number:08}.log"));
    for block in blocks {
        disk.corrupt(&path, block * BLOCK, 64, 0x11);
    }
}

#[test]
fn bad_headers_cost_no_founding_in_any_number_of_segments() {
    for founded in 1..=4 {
        for bad in 1_u64..15 {
            let disk = lives(founded);
            (1..=4).filter(|number| bad >> (number - 1) & 1 == 1).for_each(|number| {
                rot(&disk, number, 0..2);
            });
            let opened = start(&disk, 2).unwrap();
            assert_eq!(opened.founding, Some(founding()), "{founded}, {bad:b}");
            assert!(matches!(opened.renewed, Some(Renewed::Damage { .. })), "{founded}, {bad:b}");
            assert_eq!(opened.boot, 5, "{founded}, {bad:b}");
        }
    }
}

#[test]
fn a_founding_counts_if_no_segment_above_it_has_lost_its_first_batch() {
    let outcome = |founded, number, blocks| {
        let disk = lives(founded);
        rot(&disk, number, blocks);
        match start(&disk, 2) {
            Ok(opened) => {
                assert_eq!(opened.founding, Some(founding()));
                true
            }
            Err(OpenError::Damaged { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    };
    for (founded, number) in (1..=4).flat_map(|founded| (1..=4).map(move |at| (founded, at))) {
        let what = format!("founded in {founded}, damaged in {number}");
        let above = number > founded;
        // Its own segment is read up to the damage.
        let own = number == founded;
        assert_eq!(outcome(founded, number, 2..4), !above && !own, "the first batch: {what}");
        assert_eq!(outcome(founded, number, 0..9), !above && !own, "all of it: {what}");
        assert!(outcome(founded, number, 1..3), "one copy of each: {what}");
        if !own {
            assert!(outcome(founded, number, 4..6), "what comes behind it: {what}");
        }
        let disk = lives(founded);
        disk.remove(&Path::new(DIR).join(format!("{number:08}.log"))).unwrap();
        if number < 4 {
            assert_eq!(start(&disk, 2).is_ok(), !above && !own, "missing: {what}");
        }
    }
}

#[test]
fn a_life_that_ended_before_its_first_batch_costs_no_founding() {
    for changes in 0..40 {
        let disk = used();
        // Two starts that come to different ends, and then damage in what was there before.
        for changes in [changes, changes / 2] {
            disk.stop_after(changes);
            drop(start(&disk, 1));
            let mut draws = changes;
            disk.power_loss(&mut || {
                draws = draws.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                draws >> 20
            });
            disk.disarm();
        }
        damage(&disk);
        let opened = start(&disk, 2).unwrap();
        assert_eq!(opened.founding, Some(founding()), "{changes}");
    }
}
