//! What the log adds to a sync: `cargo bench -p synod --bench log --no-default-features [-- DIR]`.
//!
//! One record of 100 bytes a batch, each with its own sync, beside a plain write of 4 KiB and of
//! 8 KiB (which is what such a batch takes on disk) with `fdatasync` into a file full of zeros. The
//! three take turns, a hundred at a time, so that whatever else the machine does hits all of them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use synod::log::{Log, LogConfig, Maintained};
use synod::vfs::{StdVfs, Vfs, VfsFile};
use synod_core::{
    Ballot, Command, CommandKey, GroupId, Incarnation, Instance, NodeId, Record, SmId, ValueWriter,
};

const ROUNDS: u64 = 40;
const TURN: u64 = 100;

fn main() {
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let scratch = tempfile::tempdir_in(dir.map_or_else(std::env::temp_dir, PathBuf::from)).unwrap();
    let mut log = log(&scratch.path().join("log"));
    let raw = StdVfs.create(&scratch.path().join("raw")).unwrap();
    raw.preallocate(0, 64 << 20).unwrap();
    raw.sync_data().unwrap();
    let mut instance = 0;
    let mut at = 0;
    let mut batch = || {
        instance += 1;
        log.append([(GroupId(1), &record(instance))]).unwrap();
        log.sync().unwrap();
    };
    let mut plain = |bytes: u64| {
        raw.write_at(at, &vec![1; usize::try_from(bytes).unwrap()]).unwrap();
        raw.sync_data().unwrap();
        at += bytes;
    };
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for _ in 0..TURN {
            times[0].push(time(|| plain(4096)));
        }
        for _ in 0..TURN {
            times[1].push(time(|| plain(8192)));
        }
        for _ in 0..TURN {
            times[2].push(time(&mut batch));
        }
    }
    let names = ["4 KiB + fdatasync", "8 KiB + fdatasync", "log batch of 100 B"];
    println!("{:<20} {:>8} {:>8} {:>8} {:>8}", "", "per s", "p50 us", "p99 us", "ratio");
    let floor: Duration = times[0].iter().sum();
    for (name, times) in names.iter().zip(&mut times) {
        times.sort_unstable();
        let sum: Duration = times.iter().sum();
        let per_second = times.len() * 1_000_000 / usize::try_from(sum.as_micros()).unwrap();
        let at = |percent: usize| times[times.len() * percent / 100].as_micros();
        let ratio = sum.as_micros() * 100 / floor.as_micros();
        println!(
            "{name:<20} {per_second:>8} {:>8} {:>8} {:>5}.{:02}",
            at(50),
            at(99),
            ratio / 100,
            ratio % 100
        );
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Clock::now();
    work();
    start.elapsed()
}

fn log(dir: &Path) -> Log<StdVfs> {
    let groups = [(GroupId(1), Incarnation(7))];
    let mut log = Log::open(StdVfs, dir, LogConfig::default(), &groups).unwrap().log;
    while log.maintain().unwrap() == Maintained::More {}
    log
}

fn record(instance: u64) -> Record {
    let ballot = Ballot { round: 1, node: NodeId(1), incarnation: Incarnation(7) };
    let key = CommandKey { origin: Incarnation(7), boot: 1, seq: instance };
    let mut writer = ValueWriter::default();
    let payload = Bytes::from_static(&[3; 100]);
    writer.push(&Command { key, low: 1, sm: SmId(0), payload });
    Record::Accepted { instance: Instance(instance), ballot, value: writer.finish() }
}
