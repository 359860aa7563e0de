//! A full disk: what still is written, what waits, and what comes of it when there is room again.

use std::path::Path;

use synod::log::{Log, LogError, Maintained, OpenError, Restart};
use synod::vfs::Vfs;
use synod_core::{
    ClusterId, Config, Durable, Founding, Group, GroupId, Incarnation, Input, Instance, Member,
    Membership, Message, NodeId, Outbox, Record, Recovered, Start, Time, WriteBatch,
};
use synod_sim::disk::SimVfs;

use crate::model::{DIR, GROUPS, ballot, config, open, value};

/// An acceptor, for the batches that it wants written.
struct Acceptor {
    group: Group,
    out: Outbox,
}

impl Acceptor {
    fn new() -> Self {
        let (group, incarnation) = GROUPS[0];
        let member = |node| Member { node: NodeId(node), incarnation };
        let voters = (1..=3).map(member).collect();
        let start = Start {
            cluster: ClusterId(1),
            group,
            me: member(1),
            boot: 1,
            membership: Membership::new(voters, Vec::new()).unwrap(),
            recovered: Recovered::default(),
            config: Config::default(),
            now: Time::ZERO,
        };
        Self { group: Group::start(start).unwrap(), out: Outbox::default() }
    }

    fn hears(&mut self, message: Message) -> Vec<WriteBatch> {
        let (_, incarnation) = GROUPS[0];
        let from = Member { node: NodeId(2), incarnation };
        self.group.step(Time::ZERO, Input::Receive { from, message }, &mut self.out);
        self.out.take_writes().into_iter().collect()
    }

    /// Is to accept a value of so many bytes at an instance.
    fn value(&mut self, at: u64, len: usize) -> Vec<WriteBatch> {
        let (_, incarnation) = GROUPS[0];
        let ballot = synod_core::Ballot { round: 1, node: NodeId(2), incarnation };
        let (instance, chosen) = (Instance(at), Instance(at - 1));
        self.hears(Message::Accept { ballot, instance, value: value(at, len), chosen })
    }

    /// Is to promise.
    fn promise(&mut self, round: u64) -> Vec<WriteBatch> {
        let (_, incarnation) = GROUPS[0];
        let ballot = synod_core::Ballot { round, node: NodeId(2), incarnation };
        self.hears(Message::Prepare { ballot, from: Instance(1) })
    }

    fn durable(&mut self, batches: Vec<WriteBatch>) {
        for proof in batches.into_iter().map(WriteBatch::durable) {
            let proof: Durable = proof;
            self.group.step(Time::ZERO, Input::Durable(proof), &mut self.out);
        }
    }
}

/// Writes these if there is room; else gives them back.
fn put(log: &mut Log<SimVfs>, of: &mut Acceptor, batches: Vec<WriteBatch>) -> Vec<WriteBatch> {
    if log.admits(&batches).unwrap() < batches.len() {
        return batches;
    }
    log.write(&batches).unwrap();
    log.sync().unwrap();
    of.durable(batches);
    Vec::new()
}

/// A log on a disk without any room left, filled with values up to the first that has to wait; and
/// that one.
fn filled() -> (SimVfs, Log<SimVfs>, Acceptor, Vec<WriteBatch>) {
    let disk = SimVfs::new();
    let (mut log, mut of) = (open(&disk).unwrap().log, Acceptor::new());
    disk.leave_room(Some(0));
    for at in 1.. {
        // Whoever writes looks after the log in between, which is where it comes upon the full disk.
        while log.maintain().unwrap() == Maintained::More {}
        let had_room = log.has_room();
        let batches = of.value(at, 3000);
        let waits = put(&mut log, &mut of, batches);
        if !waits.is_empty() {
            assert!(!had_room, "the node was told in time");
            return (disk, log, of, waits);
        }
    }
    unreachable!()
}

#[test]
fn values_wait_on_a_full_disk_and_are_written_when_it_has_room() {
    let (disk, mut log, mut of, waits) = filled();
    let first = log.retry_after().unwrap();
    for _ in 0..20 {
        log.try_again().unwrap();
        assert!(!log.has_room());
    }
    assert!(log.retry_after().unwrap() > first, "it asks less often each time");
    assert_eq!(log.maintain().unwrap(), Maintained::Done);
    assert_eq!(log.admits(&waits).unwrap(), 0);
    disk.leave_room(None);
    assert_eq!(log.admits(&waits).unwrap(), 0, "not before it is asked again");
    log.try_again().unwrap();
    assert!(log.has_room() && log.retry_after().is_none());
    assert!(put(&mut log, &mut of, waits).is_empty());
    assert!(log.failed().is_none());
}

#[test]
fn what_is_kept_of_a_full_disk_is_for_promises_and_at_last_for_cleaning() {
    let (_disk, mut log, mut of, waits) = filled();
    of.durable(waits); // never mind
    let mut promises = 0;
    loop {
        let batches = of.promise(promises + 2);
        if !put(&mut log, &mut of, batches).is_empty() {
            break;
        }
        promises += 1;
    }
    assert!(promises >= 2, "{promises} promises went into the reserve");
    assert!(log.failed().is_none());
    // What is left is enough for cleaning to write its marks.
    assert!(log.room() >= 8 << 10, "{}", log.room());
}

#[test]
fn a_value_larger_than_a_segment_waits_until_the_whole_of_it_has_room() {
    let disk = SimVfs::new();
    let (mut log, mut of) = (open(&disk).unwrap().log, Acceptor::new());
    disk.leave_room(Some(100 << 10)); // a spare segment, and not the large one
    let batches = of.value(1, 200_000);
    let waits = put(&mut log, &mut of, batches);
    assert_eq!(waits.len(), 1);
    assert!(log.has_room(), "for other values");
    disk.leave_room(None);
    log.try_again().unwrap();
    assert!(put(&mut log, &mut of, waits).is_empty());
    drop(log);
    disk.crash_process();
    let back = open(&disk).unwrap();
    let entries = &back.groups[&GROUPS[0].0].recovered.entries;
    assert!(entries.iter().any(|entry| entry.value.as_ref().is_some_and(|v| v.len() > 200_000)));
}

#[test]
fn a_start_on_a_full_disk_says_so_and_loses_nothing() {
    let disk = SimVfs::new();
    let mut log = open(&disk).unwrap().log;
    log.append([(GROUPS[0].0, &Record::Promised(ballot(7)))]).unwrap();
    log.sync().unwrap();
    drop(log);
    for _ in 0..3 {
        disk.crash_process();
        disk.leave_room(Some(0));
        let error = open(&disk).unwrap_err();
        assert!(error.is_disk_full());
        let OpenError::Full { dir, needed } = &error else { panic!("{error}") };
        assert_eq!((dir.as_path(), *needed), (Path::new(DIR), config().segment_bytes));
        assert!(error.to_string().contains("needs at least 65536 more bytes"), "{error}");
    }
    disk.crash_process();
    disk.leave_room(None);
    assert_eq!(open(&disk).unwrap().groups[&GROUPS[0].0].recovered.promised, ballot(7));
}

/// Of so many groups with so many voters that no segment holds it.
fn large_founding() -> Founding {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node + 100) };
    let membership = Membership::new((1..=60).map(member).collect(), Vec::new()).unwrap();
    let groups = (1..=100).map(|group| (GroupId(group), membership.clone())).collect();
    Founding { cluster: ClusterId(7), groups }
}

fn needed(error: &LogError) -> u64 {
    let LogError::Full { dir, needed } = error else { panic!("{error}") };
    assert_eq!(dir, Path::new(DIR));
    *needed
}

#[test]
fn a_founding_waits_for_room() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    let (log, founding) = (&mut opened.log, large_founding());
    for room in [0, 64 << 10, 100 << 10] {
        disk.leave_room(Some(room)); // none, a spare segment, and that and a part of the large one
        log.try_again().unwrap();
        assert!(!log.admits_founding(&founding).unwrap(), "{room}");
        assert!(log.retry_after().is_some() && log.failed().is_none());
    }
    disk.leave_room(None);
    log.try_again().unwrap();
    assert!(log.admits_founding(&founding).unwrap());
    disk.leave_room(Some(0));
    log.found(&founding).unwrap();
    disk.leave_room(None);
    drop(opened);
    disk.crash_process();
    assert_eq!(open(&disk).unwrap().founding, Some(founding));
}

#[test]
fn a_founding_without_room_leaves_what_was_there() {
    for room in [0, 70_000] {
        let disk = SimVfs::new();
        let mut opened = open(&disk).unwrap();
        opened.log.append([(GROUPS[0].0, &Record::Promised(ballot(7)))]).unwrap();
        opened.log.sync().unwrap();
        disk.leave_room(Some(room));
        let error = opened.log.found(&large_founding()).unwrap_err();
        assert!(needed(&error) > 96_000, "{error}");
        assert!(opened.log.failed().is_some(), "it was not asked for");
        drop(opened);
        disk.crash_process();
        disk.leave_room(None);
        let mut opened = open(&disk).unwrap();
        assert_eq!(opened.founding, None);
        assert_eq!(opened.groups[&GROUPS[0].0].recovered.promised, ballot(7));
        opened.log.found(&large_founding()).unwrap();
        drop(opened);
        disk.crash_process();
        assert_eq!(open(&disk).unwrap().founding, Some(large_founding()));
    }
}

#[test]
fn new_incarnations_wait_for_room_and_spare_what_is_kept_for_cleaning() {
    let (disk, mut log, mut of, waits) = filled();
    of.durable(waits); // never mind
    let drawn = |to| GROUPS.map(|(group, _)| (group, Incarnation(to)));
    let mut last = 100;
    while log.admits_renewal(GROUPS.len()).unwrap() {
        last += 1;
        log.renew(&drawn(last)).unwrap();
    }
    assert!(last > 101, "there is a reserve");
    assert!(log.room() >= 8 << 10, "{} are left for cleaning", log.room());
    assert!(log.retry_after().is_some() && log.failed().is_none());
    disk.leave_room(None);
    log.try_again().unwrap();
    assert!(log.admits_renewal(GROUPS.len()).unwrap());
    last += 1;
    log.renew(&drawn(last)).unwrap();

    // Without asking: what is on disk stays what was said last.
    disk.leave_room(Some(0));
    let error = loop {
        match log.renew(&drawn(last + 1)) {
            Ok(_) => last += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(needed(&error), config().segment_bytes);
    drop(log);
    disk.crash_process();
    disk.leave_room(None);
    let opened = open(&disk).unwrap();
    assert!(opened.groups.values().all(|log| log.incarnation == Incarnation(last)));
}

#[test]
fn a_full_disk_puts_off_what_a_start_makes_of_damage() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    opened.log.found(&large_founding()).unwrap();
    drop(opened);
    drop(open(&disk).unwrap());
    disk.crash_process();
    // The first segment only says which groups there are; without it votes may be lost.
    disk.remove(&Path::new(DIR).join("00000001.log")).unwrap();
    let start = |disk: &SimVfs, draw| {
        let drawn = GROUPS.map(|(group, _)| (group, Incarnation(draw)));
        Log::start(disk.clone(), Path::new(DIR), config(), &drawn, Restart::TrustDisk)
    };
    // Not even a segment; a segment, which stays; and that and a part of what the founding takes.
    for (draw, room, least) in [(5, 0, 65_536), (6, 65_536, 96_000), (7, 90_000, 96_000)] {
        disk.leave_room(Some(room));
        let error = start(&disk, draw).unwrap_err();
        let OpenError::Full { needed, .. } = error else { panic!("{room}: {error}") };
        assert!(needed >= least, "{room}: {needed}");
        disk.crash_process();
        let names = disk.list(Path::new(DIR)).unwrap();
        assert!(!names.iter().any(|name| name.starts_with("damaged")), "{names:?}");
    }
    disk.leave_room(None);
    let opened = start(&disk, 8).unwrap();
    assert!(opened.renewed.is_some());
    assert_eq!(opened.founding, Some(large_founding()));
    assert!(opened.groups.values().all(|log| log.incarnation == Incarnation(8)));
}

#[test]
fn marks_larger_than_a_segment_wait_for_room_as_well() {
    let disk = SimVfs::new();
    let mut log = open(&disk).unwrap().log;
    let mut append = |records: &[Record]| {
        log.append(records.iter().map(|record| (GROUPS[0].0, record))).unwrap();
        log.sync().unwrap();
    };
    let state = vec![7; 200_000];
    append(&[Record::Checkpoint { instance: Instance(20), state: state.into() }]);
    disk.leave_room(Some(200 << 10)); // for segments, and not for another record like that
    for at in 1..=4 {
        let accepted =
            Record::Accepted { instance: Instance(at), ballot: ballot(1), value: value(at, 9000) };
        append(&[accepted]);
    }
    append(&[Record::Cleaned(Instance(20))]);
    for _ in 0..3 {
        while log.maintain().unwrap() == Maintained::More {}
        log.try_again().unwrap();
    }
    let old = Path::new(DIR).join("00000001.log");
    assert!(disk.size_of(&old).is_some(), "the checkpoint's record stands there only");
    disk.leave_room(None);
    log.try_again().unwrap();
    while log.maintain().unwrap() == Maintained::More {}
    assert!(disk.size_of(&old).is_none(), "it is carried ahead");
    assert!(log.failed().is_none());
}
