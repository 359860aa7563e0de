//! The log commands, run as a user runs them, on real directories.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use synod::log::{Log, LogConfig};
use synod::vfs::StdVfs;
use synod_core::{
    Ballot, Command as Proposed, CommandKey, GroupId, Incarnation, Instance, NodeId, Record, SmId,
    ValueWriter,
};

const GROUP: GroupId = GroupId(3);

/// A process that is being started holds the files of this one, and with them the locks of logs, for a
/// moment: none is started while a log is closed that is to be free then.
static FORKING: Mutex<()> = Mutex::new(());

/// A log with ten batches of one value each; where its first segment is.
fn written(dir: &Path) -> PathBuf {
    let _forking = FORKING.lock().unwrap_or_else(PoisonError::into_inner);
    drop(write(dir));
    dir.join("00000001.log")
}

fn write(dir: &Path) -> Log<StdVfs> {
    let config = LogConfig { segment_bytes: 1 << 20, ..LogConfig::default() };
    let groups = [(GROUP, Incarnation(0x77))];
    let mut log = Log::open(StdVfs, dir, config, &groups).unwrap().log;
    for instance in 1..=10 {
        let ballot = Ballot { round: 2, node: NodeId(1), incarnation: Incarnation(0x77) };
        let mut writer = ValueWriter::new();
        let key = CommandKey { origin: Incarnation(0x77), boot: 1, seq: instance };
        let payload = format!("value {instance}").into();
        writer.push(&Proposed { key, low: 1, sm: SmId(0), payload });
        let value = writer.finish();
        let promised = Record::Promised(ballot);
        let accepted = Record::Accepted { instance: Instance(instance), ballot, value };
        log.append([(GROUP, &promised), (GROUP, &accepted)]).unwrap();
        log.sync().unwrap();
    }
    log
}

fn synodctl(args: &[&str], dir: &Path) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synodctl"));
    command.args(args).arg(dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = {
        let _forking = FORKING.lock().unwrap_or_else(PoisonError::into_inner);
        command.spawn().unwrap()
    };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}

/// Where the batches are, as the program says.
fn batches(dir: &Path) -> Vec<u64> {
    let (_, text) = synodctl(&["--json", "log", "dump"], dir);
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["batch"].is_u64()).filter_map(|line| line["offset"].as_u64()).collect()
}

fn spoil(segment: &Path, offset: u64) {
    let file = fs::OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], offset).unwrap();
}

#[test]
fn a_log_is_shown_record_by_record() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path());
    let (output, text) = synodctl(&["log", "dump", "--values"], dir.path());
    assert!(output.status.success(), "{text}");
    assert!(text.contains("accepted #7 in 2.1") && text.contains("value 7"), "{text}");
    let (_, text) = synodctl(&["log", "dump", "--from", "4", "--to", "5"], dir.path());
    assert!(text.contains("#5") && !text.contains("#6"), "{text}");
    let (_, text) = synodctl(&["log", "dump", "--group", "4"], dir.path());
    assert!(!text.contains("accepted"), "{text}");
    assert!(batches(dir.path()).len() >= 11);
}

#[test]
fn a_whole_log_is_verified_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let segment = written(dir.path());
    let (before, names_before) = (fs::read(&segment).unwrap(), names(dir.path()));
    let (output, text) = synodctl(&["log", "verify"], dir.path());
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("whole") && text.contains("promised 2.1"), "{text}");
    assert_eq!(fs::read(&segment).unwrap(), before);
    assert_eq!(names(dir.path()), names_before);
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().flatten().map(|e| e.file_name()).collect();
    names.sort();
    names
}

#[test]
fn a_bad_copy_is_mended_from_the_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let segment = written(dir.path());
    let before = fs::read(&segment).unwrap();
    let at = batches(dir.path())[4];
    spoil(&segment, at + 60);
    spoil(&segment, 4096 + 20); // the second copy of the segment's header
    let (output, text) = synodctl(&["log", "verify"], dir.path());
    assert!(output.status.success() && text.contains("2 bad"), "{text}");

    let (output, text) = synodctl(&["log", "repair", "--dry-run"], dir.path());
    assert!(output.status.success() && text.contains("2 bad places can be"), "{text}");
    assert_ne!(fs::read(&segment).unwrap(), before, "nothing was written");
    let (output, text) = synodctl(&["log", "repair"], dir.path());
    assert!(output.status.success() && text.contains("2 bad places written again"), "{text}");
    assert_eq!(fs::read(&segment).unwrap(), before);
}

#[test]
fn what_is_lost_in_both_copies_is_said_and_shown_around() {
    let dir = tempfile::tempdir().unwrap();
    let segment = written(dir.path());
    let at = batches(dir.path())[4];
    spoil(&segment, at + 60);
    spoil(&segment, at + 4096 + 60);
    let (output, text) = synodctl(&["log", "verify"], dir.path());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("takes a new memory"), "{text}");
    let (output, text) = synodctl(&["log", "repair"], dir.path());
    assert_eq!(output.status.code(), Some(1), "{text}");
    let (output, text) = synodctl(&["log", "dump"], dir.path());
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("DAMAGE") && text.contains("#10"), "{text}");
}

#[test]
fn a_directory_that_is_none_or_in_use_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (output, _) = synodctl(&["log", "verify"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("give the data directory"), "{why}");

    let held = write(dir.path());
    for command in ["verify", "repair"] {
        let (output, _) = synodctl(&["log", command], dir.path());
        assert_eq!(output.status.code(), Some(2));
        let why = String::from_utf8(output.stderr).unwrap();
        assert!(why.contains("another process uses"), "{why}");
    }
    drop(held);
}
