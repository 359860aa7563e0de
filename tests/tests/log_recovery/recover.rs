//! A new cluster of what one survivor's directory holds: all of it or nothing, and never the old one
//! again.

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use synod::log::{
    Log, LogConfig, OpenError, Opened, RecoverError, RecoverOptions, Restart, Survivor,
    force_recover, survey,
};
use synod::vfs::Vfs;
use synod_core::{
    Ballot, ClusterId, CommandKey, Config, Founding, Group, GroupId, History, Incarnation,
    Instance, Member, Membership, MembershipEntry, NodeId, Record, Recovered, Start, Stored, Time,
    Value, ValueKind,
};
use synod_sim::disk::SimVfs;

use crate::model::{DIR, GROUPS, accepted, ballot, config, open, value};

const OLD: ClusterId = ClusterId(7);
const GROUP: GroupId = GROUPS[0].0;
const MEMORY: Incarnation = GROUPS[0].1;
const OTHER: GroupId = GROUPS[1].0;
const OTHER_MEMORY: Incarnation = GROUPS[1].1;
const BLOCK: u64 = 4096;

fn dir() -> &'static Path {
    Path::new(DIR)
}

/// Node 1 has the memory that the directory has of the group.
fn members(memory: Incarnation, others: &[u64]) -> Membership {
    let other = |&node: &u64| Member { node: NodeId(node), incarnation: Incarnation(node + 100) };
    let me = Member { node: NodeId(1), incarnation: memory };
    let voters = others.iter().map(other).chain([me]).collect();
    Membership::new(voters, Vec::new()).unwrap()
}

fn founding() -> Founding {
    let groups = vec![(GROUP, members(MEMORY, &[2, 3])), (OTHER, members(OTHER_MEMORY, &[2, 3]))];
    Founding { cluster: OLD, groups }
}

fn change(version: u64, to: Membership) -> Value {
    let key = CommandKey { origin: MEMORY, boot: 1, seq: version + 1 };
    let (cluster, version) = (OLD, Instance(version));
    Value::of_membership(&MembershipEntry { key, cluster, version, membership: to })
}

fn put(log: &mut Log<SimVfs>, group: GroupId, records: &[Record]) {
    log.append(records.iter().map(|record| (group, record))).unwrap();
    log.sync().unwrap();
}

/// A vote of node 1 for a value at an instance.
fn vote(instance: u64, round: u64, value: Value) -> Record {
    Record::Accepted { instance: Instance(instance), ballot: ballot(round), value }
}

/// The first group: three chosen values, the third of which swapped node 3 for node 4, as a record
/// says; above them votes at 4, 6, and 7, the first of which would swap 4 for 5. The other group has two
/// votes.
fn used(book: usize) -> SimVfs {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    let log = &mut opened.log;
    log.found(&founding()).unwrap();
    let with_book = |to: Membership| {
        let text = format!("1 here:1\n{}\n", "2 there:2".repeat(book));
        to.with_book(text.into()).unwrap()
    };
    let (second, third) =
        (with_book(members(MEMORY, &[2, 4])), with_book(members(MEMORY, &[2, 5])));
    let mut history = History::founded(founding().groups[0].1.clone());
    history.begin(Instance(4), second.clone());
    put(log, GROUP, &[Record::Promised(ballot(3)), accepted(1, 3, 1, 10), accepted(2, 3, 2, 9000)]);
    put(log, GROUP, &[vote(3, 3, change(0, second)), Record::Chosen(Instance(2))]);
    put(log, GROUP, &[Record::Chosen(Instance(3)), Record::Membership(history)]);
    put(log, GROUP, &[vote(4, 3, change(3, third)), accepted(6, 3, 6, 10), accepted(7, 3, 7, 10)]);
    put(log, OTHER, &[Record::Promised(ballot(2)), accepted(1, 2, 1, 10), accepted(2, 1, 2, 10)]);
    drop(opened);
    disk.crash_process();
    disk
}

/// Numbers that stand for random ones.
fn draw() -> impl FnMut() -> std::io::Result<u64> {
    let mut last = 1000;
    move || {
        last += 1;
        Ok(last)
    }
}

/// What `draw` makes of the new cluster, and of the first group's memory.
const NEW: ClusterId = ClusterId(1001);
const NEW_MEMORY: Incarnation = Incarnation(1002);

fn recover(disk: &SimVfs) -> Result<Survivor, RecoverError> {
    let done = force_recover(disk.clone(), dir(), &RecoverOptions::default(), OLD, &mut draw());
    done.map(|(cluster, survivor)| {
        assert_eq!(cluster, NEW);
        survivor
    })
}

fn look(disk: &SimVfs) -> Result<Survivor, RecoverError> {
    survey(disk, dir(), &RecoverOptions::default())
}

fn start(of: &Founding, group: GroupId, me: Member, recovered: Recovered) -> Group {
    let membership = of.groups.iter().find(|(it, _)| *it == group).unwrap().1.clone();
    let (cluster, boot, config, now) = (of.cluster, 1, Config::default(), Time::ZERO);
    Group::start(Start { cluster, group, me, boot, membership, recovered, config, now }).unwrap()
}

#[test]
fn all_that_was_accepted_is_kept_and_the_survivor_alone_votes() {
    let disk = used(1);
    let before = files(&disk);
    let seen = look(&disk).unwrap();
    assert_eq!(files(&disk), before, "to look changes nothing");
    assert_eq!((seen.cluster, seen.node, seen.absent.len()), (OLD, NodeId(1), 0));
    let of = &seen.groups[0];
    assert_eq!((of.chosen, of.version, of.promised), (Instance(3), Instance(3), ballot(3)));
    assert_eq!((of.accepted, of.holes, of.lost, of.entry), (3, 1, 0, Instance(8)));
    assert_eq!(of.membership.voters().len(), 3);
    let other = &seen.groups[1];
    assert_eq!((other.chosen, other.accepted, other.entry), (Instance(0), 2, Instance(3)));

    assert_eq!(recover(&disk).unwrap(), seen, "what was said before is what was done");
    disk.crash_process();
    disk.power_loss(&mut || 1);
    let opened = open(&disk).unwrap();
    assert_eq!(opened.founding, Some(Founding { cluster: NEW, ..founding() }));
    let log = &opened.groups[&GROUP];
    assert_eq!((log.incarnation, log.recovered.promised), (NEW_MEMORY, Ballot::ZERO));
    assert_eq!((log.recovered.chosen, log.recovered.entries.len()), (Instance(8), 0));
    let values = values(&opened.log, GROUP);
    assert_eq!(
        (&values[0], &values[1], &values[5]),
        (&value(1, 10), &value(2, 9000), &value(6, 10))
    );
    assert_eq!(values[4], Value::NOOP);
    assert_eq!(opened.groups[&OTHER].recovered.chosen, Instance(3));

    // It is a cluster like any other: its own survivor can be recovered again.
    drop(opened);
    assert!(matches!(recover(&disk), Err(RecoverError::OtherCluster { found: NEW, given: OLD })));
    assert_eq!(look(&disk).unwrap().groups[0].entry, Instance(9));
}

fn files(disk: &SimVfs) -> Vec<(String, Option<u64>)> {
    let names = disk.list(dir()).unwrap().into_iter();
    names.map(|name| (name.clone(), disk.size_of(&dir().join(name)))).collect()
}

fn values(log: &Log<SimVfs>, group: GroupId) -> Vec<Value> {
    let read = log.reader().read(group, Instance(1), Instance::MAX, 1 << 20).unwrap();
    read.into_iter().map(|entry| entry.value.unwrap()).collect()
}

#[test]
fn whoever_replays_the_log_from_its_beginning_comes_to_the_same_membership() {
    let disk = used(1);
    recover(&disk).unwrap();
    let opened = open(&disk).unwrap();
    let founding = opened.founding.clone().unwrap();
    let me = Member { node: NodeId(1), incarnation: NEW_MEMORY };
    let log = &opened.groups[&GROUP];
    let ours = start(&founding, GROUP, me, log.recovered.clone());

    let stored =
        |(at, value)| Stored { instance: Instance(at), ballot: Ballot::ZERO, value: Some(value) };
    let entries = (1..).zip(values(&opened.log, GROUP)).map(stored).collect();
    let fresh = Member { node: NodeId(2), incarnation: Incarnation(9000) };
    let theirs = start(&founding, GROUP, fresh, Recovered { entries, ..Recovered::default() });
    for instance in (1..=9).map(Instance) {
        assert_eq!(ours.history().at(instance), theirs.history().at(instance), "{instance}");
    }
    let newest = theirs.history().newest();
    assert_eq!((newest.voters(), newest.book().as_ref()), (&[me][..], &b"1 here:1\n"[..]));
    assert_eq!(theirs.history().version(), Instance(8));
    assert_eq!(theirs.history().at(Instance(5)).voters()[2].node, NodeId(5), "a vote that counts");
    assert!(theirs.history().has_left(MEMORY));
    assert!(ours.status().votes && !theirs.status().votes);

    // None of it means anything to the old cluster.
    let entries = values(&opened.log, GROUP).into_iter();
    let entries = entries.filter(|value| value.kind() == ValueKind::Membership);
    assert!(entries.filter_map(|value| value.membership()).all(|entry| entry.cluster == NEW));
}

#[test]
fn a_power_loss_at_any_point_leaves_the_old_log_or_the_new_cluster() {
    // A book of that size makes batches that are written once, with blocks that can be lost.
    for (book, seed) in (0..24).map(|seed| (seed % 2 * 2000, seed)) {
        let image = used(usize::try_from(book).unwrap());
        let seen = look(&image).unwrap();
        let (mut olds, mut news) = (0, 0);
        let mut finished = false;
        for changes in 0..200 {
            let disk = image.fork();
            disk.stop_after(changes);
            let done = recover(&disk).is_ok();
            let mut draws: u64 = seed * 1000 + changes;
            disk.power_loss(&mut || {
                draws = draws.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                draws >> 20
            });
            disk.disarm();
            let found = look(&disk).unwrap();
            if found == seen {
                olds += 1;
                assert!(!done, "{changes}: reported, and not durable");
                // Nothing is in the way of the next try.
                recover(&disk).unwrap();
            } else {
                news += 1;
            }
            is_whole(&disk, &(book, seed, changes));
            if done {
                finished = true;
                break;
            }
        }
        assert!(finished && olds > 20 && news > 0, "{olds} old, {news} new");
    }
}

/// The new cluster is there with all that belongs to it, and nothing else of the recovery.
fn is_whole(disk: &SimVfs, when: &dyn Debug) {
    let opened = open(disk).unwrap();
    assert_eq!(opened.founding.unwrap().cluster, NEW, "{when:?}");
    let ends: Vec<_> = opened.groups.values().map(|log| log.recovered.chosen).collect();
    assert_eq!(ends, [Instance(8), Instance(3)], "{when:?}");
    let memories: Vec<_> = opened.groups.values().map(|log| log.incarnation).collect();
    assert_eq!(memories, [NEW_MEMORY, Incarnation(1003)], "{when:?}");
    assert_eq!(opened.report.lost, [], "{when:?}");
    let names = disk.list(dir()).unwrap();
    assert!(!names.iter().any(|name| name == "recovering"), "{when:?}: {names:?}");
}

#[test]
fn a_crash_of_the_process_at_any_point_does_so_too() {
    let image = used(2000);
    let seen = look(&image).unwrap();
    for changes in 0..200 {
        let disk = image.fork();
        disk.stop_after(changes);
        let done = recover(&disk).is_ok();
        disk.crash_process();
        disk.disarm();
        let found = look(&disk).unwrap();
        if found == seen {
            recover(&disk).unwrap();
        }
        is_whole(&disk, &changes);
        if done {
            return;
        }
    }
    panic!("200 changes to the disk were not enough");
}

/// The segment that a recovery wrote.
fn newest(disk: &SimVfs) -> PathBuf {
    let names = disk.list(dir()).unwrap();
    let last = names.iter().filter(|name| name.ends_with(".log")).max().unwrap();
    dir().join(last)
}

/// A directory recovered from a founding with so many groups of so many members; the recovery's segment.
fn recovered(groups: u32, members_of: u64) -> (SimVfs, PathBuf) {
    let image = SimVfs::new();
    let mut opened = open(&image).unwrap();
    let many: Vec<u64> = (2..members_of).collect();
    let mut founding = founding();
    founding.groups.extend((5..5 + groups).map(|group| (GroupId(group), members(MEMORY, &many))));
    opened.log.found(&founding).unwrap();
    put(&mut opened.log, GROUP, &[Record::Promised(ballot(3)), accepted(1, 3, 1, 10)]);
    drop(opened);
    image.crash_process();
    recover(&image).unwrap();
    image.crash_process();
    let path = newest(&image);
    (image, path)
}

#[test]
fn no_blocks_that_rot_later_bring_the_old_cluster_back() {
    // With so many members in it the founding takes up more than what is written twice.
    for (groups, members_of) in [(10, 65), (1, 5)] {
        let (image, path) = recovered(groups, members_of);
        let (mut whole, mut damaged) = (0, 0);
        let blocks = image.size_of(&path).unwrap() / BLOCK;
        // One of them, or neighbours: the headers, the founding, or all of it and more.
        let runs = (1..=6).flat_map(|len| (0..=blocks - len).map(move |block| (block, len)));
        for (block, len) in runs.chain([(0, blocks)]) {
            // Starts of the node follow, so that the segment is not the last any more; or none does.
            for starts in 0..3 {
                let disk = image.fork();
                for _ in 0..starts {
                    drop(open(&disk).unwrap());
                    disk.crash_process();
                }
                disk.corrupt(&path, block * BLOCK, usize::try_from(BLOCK * len).unwrap(), 0x11);
                if block + len == blocks && starts == 0 {
                    continue; // a torn tail, or a last segment of which nothing is left
                }
                let when = format!("{len} from block {block} of {blocks}, {starts} starts");
                match start_again(&disk, 5) {
                    Ok(opened) => {
                        whole += 1;
                        assert_eq!(opened.founding.unwrap().cluster, NEW, "{when}");
                    }
                    Err(OpenError::Damaged { .. }) => {
                        damaged += 1;
                        assert!(len > 1, "{when}");
                        assert!((block, len) != (0, 2), "the headers alone: {when}");
                    }
                    Err(error) => panic!("{when}: {error}"),
                }
            }
        }
        assert!(whole > 10 && damaged > 5, "{whole} whole, {damaged} damaged");
    }
}

#[test]
fn a_recovery_of_which_the_segment_is_missing_is_not_undone() {
    let (disk, path) = recovered(1, 5);
    drop(open(&disk).unwrap());
    disk.crash_process();
    disk.remove(&path).unwrap();
    for draw in [5, 6] {
        let refused = start_again(&disk, draw);
        assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    }
}

fn start_again(disk: &SimVfs, draw: u64) -> Result<Opened<SimVfs>, OpenError> {
    let config = LogConfig { salt: 99, ..config() };
    let drawn = GROUPS.map(|(group, _)| (group, Incarnation(draw)));
    Log::start(disk.clone(), dir(), config, &drawn, Restart::TrustDisk)
}

#[test]
fn what_cannot_be_recovered_is_refused_and_left_as_it_is() {
    let disk = used(1);
    let before = files(&disk);
    let another =
        force_recover(disk.clone(), dir(), &RecoverOptions::default(), ClusterId(8), &mut draw());
    assert!(matches!(another, Err(RecoverError::OtherCluster { found: OLD, .. })), "{another:?}");
    let wrong = RecoverOptions { node: Some(NodeId(2)), ..RecoverOptions::default() };
    let wrong = survey(&disk, dir(), &wrong);
    assert!(matches!(wrong, Err(RecoverError::OtherNode { .. })), "{wrong:?}");
    assert_eq!(files(&disk), before);

    let running = open(&disk).unwrap();
    let locked = recover(&disk);
    assert!(matches!(locked, Err(RecoverError::Open(OpenError::Locked { .. }))), "{locked:?}");
    drop(running);

    let disk = SimVfs::new();
    drop(open(&disk).unwrap());
    let fresh = recover(&disk);
    assert!(matches!(fresh, Err(RecoverError::NoCluster(_))), "{fresh:?}");

    let disk = used(1);
    drop(open(&disk).unwrap());
    disk.crash_process();
    disk.remove(&dir().join("00000001.log")).unwrap();
    let damaged = recover(&disk);
    assert!(matches!(damaged, Err(RecoverError::Open(OpenError::Damaged { .. }))), "{damaged:?}");
}

#[test]
fn a_memory_in_no_membership_has_to_be_told_its_node() {
    let disk = SimVfs::new();
    let mut opened = open(&disk).unwrap();
    let strangers = members(Incarnation(99), &[2, 3]);
    let founding = Founding { cluster: OLD, groups: vec![(GROUP, strangers)] };
    opened.log.found(&founding).unwrap();
    let learned = Record::Learned { instance: Instance(1), value: value(1, 10) };
    put(&mut opened.log, GROUP, &[learned]);
    drop(opened);
    disk.crash_process();
    assert!(matches!(look(&disk), Err(RecoverError::UnknownNode)));
    let options = RecoverOptions { node: Some(NodeId(6)), ..RecoverOptions::default() };
    let done = force_recover(disk.clone(), dir(), &options, OLD, &mut draw()).unwrap();
    assert_eq!((done.1.node, done.1.groups[0].chosen), (NodeId(6), Instance(1)));
}

#[test]
fn a_value_that_the_disk_lost_is_given_up_only_if_that_is_asked_for() {
    let disk = used(1);
    // A large value of which two blocks rot: the vote is known, and what for is not.
    let mut opened = open(&disk).unwrap();
    put(&mut opened.log, GROUP, &[accepted(8, 3, 8, 20_000)]);
    put(&mut opened.log, GROUP, &[accepted(9, 3, 9, 10)]);
    drop(opened);
    disk.crash_process();
    let segment = newest(&disk);
    let blocks = disk.size_of(&segment).unwrap() / BLOCK;
    let payload = (0..blocks).find(|block| {
        let mut bytes = [0; 4096];
        let file = disk.open(&segment).unwrap();
        synod::vfs::VfsFile::read_exact_at(&file, block * BLOCK, &mut bytes).unwrap();
        bytes[8..].chunks_exact(8).all(|each| *each == bytes[..8]) && bytes != [0; 4096]
    });
    disk.corrupt(&segment, payload.unwrap() * BLOCK, 8, 0x11);
    assert!(look(&disk.fork()).is_ok(), "by its parity");
    disk.corrupt(&segment, (payload.unwrap() + 1) * BLOCK, 8, 0x11);
    let refused = look(&disk);
    let Err(RecoverError::Lost { group: GROUP, instances }) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(instances, &[8]);
    let options = RecoverOptions { give_up_lost: true, ..RecoverOptions::default() };
    let seen = survey(&disk, dir(), &options).unwrap();
    let of = &seen.groups[0];
    assert_eq!((of.accepted, of.holes, of.lost, of.entry), (4, 1, 1, Instance(10)));
    force_recover(disk.clone(), dir(), &options, OLD, &mut draw()).unwrap();
    assert_eq!(values(&open(&disk).unwrap().log, GROUP)[7], Value::NOOP);
}
