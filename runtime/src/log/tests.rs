use bytes::Bytes;
use synod_core::{
    Ballot, ClusterId, Command, CommandKey, Founding, GroupId, Incarnation, Instance, Member,
    Membership, NodeId, Record, SmId, Value, ValueWriter,
};

use super::*;
use crate::vfs::StdVfs;

const GROUP: GroupId = GroupId(1);

fn small() -> LogConfig {
    LogConfig { segment_bytes: 64 << 10, salt: 5, ..LogConfig::default() }
}

fn open(dir: &std::path::Path) -> Opened<StdVfs> {
    Log::open(StdVfs, dir, small(), &[(GROUP, Incarnation(7))]).unwrap()
}

fn ballot(round: u64) -> Ballot {
    Ballot { round, node: NodeId(1), incarnation: Incarnation(7) }
}

fn value(len: usize) -> Value {
    let mut writer = ValueWriter::default();
    let key = CommandKey { origin: Incarnation(7), boot: 1, seq: 1 };
    writer.push(&Command { key, low: 1, sm: SmId(0), payload: Bytes::from(vec![3; len]) });
    writer.finish()
}

fn accepted(instance: u64, len: usize) -> Record {
    Record::Accepted { instance: Instance(instance), ballot: ballot(1), value: value(len) }
}

fn put(log: &mut Log<StdVfs>, records: &[Record]) {
    log.append(records.iter().map(|record| (GROUP, record))).unwrap();
    log.sync().unwrap();
}

#[test]
fn what_was_synced_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(dir.path());
    assert_eq!((opened.boot, opened.batch, opened.founding.clone()), (1, 1, None));
    let log = &mut opened.log;
    put(log, &[Record::Promised(ballot(1)), accepted(1, 10)]);
    put(log, &[accepted(2, 5000), accepted(3, 100_000), accepted(5, 1)]);
    put(log, &[Record::Chosen(Instance(2)), accepted(6, 40_000)]);
    let learned = Record::Learned { instance: Instance(3), value: value(9) };
    put(log, &[learned]);
    let member = Member { node: NodeId(1), incarnation: Incarnation(7) };
    let membership = Membership::new(vec![member], vec![]).unwrap();
    let founding = Founding { cluster: ClusterId(4), groups: vec![(GROUP, membership)] };
    log.found(&founding).unwrap();
    drop(opened);

    let opened = open(dir.path());
    assert_eq!((opened.boot, opened.batch), (2, 7));
    assert_eq!(opened.founding, Some(founding));
    let group = &opened.groups[&GROUP];
    assert_eq!(group.incarnation, Incarnation(7));
    let recovered = &group.recovered;
    assert_eq!((recovered.promised, recovered.chosen), (ballot(1), Instance(3)));
    let found: Vec<_> = recovered.entries.iter().map(|e| (e.instance.0, e.ballot)).collect();
    assert_eq!(found, [(5, ballot(1)), (6, ballot(1))]);
    assert_eq!(recovered.entries[1].value, Some(value(40_000)));
    let read = opened.log.reader().read(GROUP, Instance(1), Instance::MAX, 1 << 20).unwrap();
    let values: Vec<_> = read.iter().map(|e| e.value.clone().unwrap()).collect();
    assert_eq!(values, [value(10), value(5000), value(9)], "up to the gap at 4");
    assert_eq!(read[2].ballot, Ballot::ZERO);
    assert_eq!(opened.report.bad_places, 0);
}

/// A full disk is emptied by cleaning alone, so what cleaning carries ahead may not grow beyond what is
/// kept for it.
#[test]
fn what_makes_the_marks_longer_is_written_only_where_they_fit_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = &mut open(dir.path()).log;
    let state = Bytes::from(vec![7; 30_000]);
    let need = room::Need { records: 1, marks: 30_000, payload: 30_000, has_values: false };
    let kept = log.kept_behind(need);
    assert!(kept > log.marks_end() + 30_000, "{kept}");
    put(log, &[Record::Checkpoint { instance: Instance(1), state }]);
    assert_eq!(log.marks_end(), kept, "as much as was kept");
}
