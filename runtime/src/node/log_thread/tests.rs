//! The log thread on a disk that gets full, with real files.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use synod_core::{
    Config, Group, Input, Member, Membership, NodeId, Outbox, Outcome, ProposalId, Recovered,
    Refusal, SmId, Start, Time,
};

use super::*;
use crate::log::LogConfig;
use crate::vfs::{StdVfs, VfsFile};

/// Real files, on a disk that gives no more space while it is full.
#[derive(Clone, Debug, Default)]
struct Filling {
    is_full: Arc<AtomicBool>,
}

#[derive(Debug)]
struct File {
    file: <StdVfs as Vfs>::File,
    is_full: Arc<AtomicBool>,
}

impl Filling {
    fn file(&self, file: <StdVfs as Vfs>::File) -> File {
        File { file, is_full: Arc::clone(&self.is_full) }
    }
}

impl Vfs for Filling {
    type File = File;
    type Lock = <StdVfs as Vfs>::Lock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        StdVfs.create_dir_all(path)
    }
    fn create(&self, path: &Path) -> io::Result<File> {
        StdVfs.create(path).map(|file| self.file(file))
    }
    fn open(&self, path: &Path) -> io::Result<File> {
        StdVfs.open(path).map(|file| self.file(file))
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>> {
        StdVfs.lock(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        StdVfs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        StdVfs.remove(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        StdVfs.list(path)
    }
    fn directories(&self, path: &Path) -> io::Result<Vec<String>> {
        StdVfs.directories(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        StdVfs.remove_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        StdVfs.sync_dir(path)
    }
}

impl VfsFile for File {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset + u64::try_from(bytes.len()).unwrap();
        if end > self.size()? && self.is_full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_at(offset, bytes)
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.file.set_size(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[derive(Debug)]
enum Word {
    Durable(Durable),
    Room(bool),
    Founded,
    Renewed(Vec<Incarnation>),
    Failed(String),
}

struct Ear(Sender<Word>);

impl Durably for Ear {
    fn durable(&self, durables: &mut Vec<Durable>) {
        durables.drain(..).for_each(|durable| drop(self.0.send(Word::Durable(durable))));
    }
    fn synced(&self, _: usize, _: u64, _: Duration) {}
    fn founded(&self) {
        drop(self.0.send(Word::Founded));
    }
    fn room(&self, has_room: bool) {
        drop(self.0.send(Word::Room(has_room)));
    }
    fn renewed(&self, groups: BTreeMap<GroupId, GroupLog>) {
        let memories = groups.into_values().map(|group| group.incarnation).collect();
        drop(self.0.send(Word::Renewed(memories)));
    }
    fn failed(&self, error: &LogError) {
        drop(self.0.send(Word::Failed(error.to_string())));
    }
}

/// A group alone, and the thread that writes for it.
struct Alone {
    group: Group,
    out: Outbox,
    thread: LogThread,
    words: Receiver<Word>,
    started: Instant,
    next: u64,
}

impl Alone {
    fn step(&mut self, input: Input) {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap();
        let now = Time::from_nanos(nanos);
        self.group.step(now, input, &mut self.out);
        self.group.step(now, Input::Tick, &mut self.out);
        let mut batches: Vec<WriteBatch> = self.out.take_writes().into_iter().collect();
        if !batches.is_empty() {
            self.thread.write(&mut batches);
        }
    }

    /// Asks for one more command, and hears what the thread has to say.
    fn turn(&mut self) -> (Vec<Outcome>, Option<bool>) {
        self.next += 1;
        let command = Bytes::from(vec![7; 2000]);
        let (id, deadline) = (ProposalId(self.next), Time::MAX);
        self.step(Input::Propose { id, sm: SmId(0), command, deadline });
        let mut room = None;
        while let Ok(word) = self.words.recv_timeout(Duration::from_millis(5)) {
            match word {
                Word::Durable(durable) => self.step(Input::Durable(durable)),
                Word::Room(has_room) => {
                    self.step(Input::Room(has_room));
                    room = Some(has_room);
                }
                Word::Failed(error) => panic!("the log failed: {error}"),
                word @ (Word::Founded | Word::Renewed(_)) => panic!("{word:?}"),
            }
        }
        let handed = self.group.status().handed_out;
        self.step(Input::Applied(handed));
        self.out.applies.clear();
        (self.out.outcomes.drain(..).collect(), room)
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&[Outcome], Option<bool>) -> bool) {
        let last = Instant::now() + Duration::from_secs(30);
        loop {
            let (outcomes, room) = self.turn();
            if done(&outcomes, room) {
                return;
            }
            assert!(Instant::now() < last, "{what}: {:?}", self.group.status());
        }
    }
}

#[test]
fn a_full_disk_refuses_proposals_and_takes_them_again_when_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Filling::default();
    let config = LogConfig { segment_bytes: 128 << 10, ..LogConfig::default() };
    let me = Member { node: NodeId(1), incarnation: Incarnation(5) };
    let groups = [(GroupId(0), me.incarnation)];
    let opened = Log::open(disk.clone(), dir.path(), config, &groups).unwrap();
    let group = Group::start(Start {
        cluster: synod_core::ClusterId(1),
        group: GroupId(0),
        me,
        boot: opened.boot,
        membership: Membership::new(vec![me], Vec::new()).unwrap(),
        recovered: Recovered::default(),
        config: Config::default(),
        now: Time::ZERO,
    });
    let (ear, words) = channel();
    let batch = Arc::new(AtomicU64::new(0));
    let thread = LogThread::spawn("log".into(), opened.log, 64 << 10, batch, Ear(ear)).unwrap();
    let started = Instant::now();
    let (group, out) = (group.unwrap(), Outbox::default());
    let mut alone = Alone { group, out, thread, words, started, next: 0 };

    alone.until("nothing is chosen", |_, _| true);
    disk.is_full.store(true, Ordering::Relaxed);
    alone.until("the disk does not get full", |_, room| room == Some(false));
    let is_refused = |outcomes: &[Outcome]| {
        outcomes.iter().any(|it| matches!(it, Outcome::Refused(_, Refusal::Overloaded)))
    };
    alone.until("proposals are taken", |outcomes, _| is_refused(outcomes));
    disk.is_full.store(false, Ordering::Relaxed);
    alone.until("the disk stays full", |_, room| room == Some(true));
    let chosen = alone.group.status().chosen;
    alone.until("proposals are refused", |outcomes, _| !is_refused(outcomes));
    let mut turns = 0;
    while alone.group.status().chosen <= chosen {
        let (_, room) = alone.turn();
        turns += 1;
        assert!(turns < 1000 && room != Some(false), "{:?}", alone.group.status());
    }
    alone.thread.close();
}

/// A thread with an open log of 64 KiB, on a disk that is full from then on.
fn full(dir: &Path) -> (Filling, LogThread, Receiver<Word>) {
    let disk = Filling::default();
    let config = LogConfig { segment_bytes: 64 << 10, ..LogConfig::default() };
    let groups: Vec<_> = (0..GROUPS).map(|group| (GroupId(group), Incarnation(5))).collect();
    let opened = Log::open(disk.clone(), dir, config, &groups).unwrap();
    disk.is_full.store(true, Ordering::Relaxed);
    let (ear, words) = channel();
    let batch = Arc::new(AtomicU64::new(0));
    // Room that is too low, so that the thread does look for more.
    let thread = LogThread::spawn("log".into(), opened.log, 1 << 20, batch, Ear(ear)).unwrap();
    (disk, thread, words)
}

/// The next word that is not about room; none if the thread keeps silent for a while.
fn hears(words: &Receiver<Word>, within: Duration) -> Option<Word> {
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let word = words.recv_timeout(left).ok()?;
        if !matches!(word, Word::Room(_)) {
            return Some(word);
        }
    }
}

fn large_founding() -> Founding {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node) };
    let membership = Membership::new((1..=60).map(member).collect(), Vec::new()).unwrap();
    let groups = (0..100).map(|group| (GroupId(group), membership.clone())).collect();
    Founding { cluster: synod_core::ClusterId(1), groups }
}

#[test]
fn a_founding_on_a_full_disk_is_written_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, thread, words) = full(dir.path());
    thread.found(large_founding());
    let word = hears(&words, A_WHILE);
    assert!(word.is_none(), "{word:?}");
    disk.is_full.store(false, Ordering::Relaxed);
    let word = hears(&words, LONG);
    assert!(matches!(word, Some(Word::Founded)), "{word:?}");
    thread.close();
    let opened = Log::open(disk, dir.path(), LogConfig::default(), &[]).unwrap();
    assert_eq!(opened.founding, Some(large_founding()));
}

#[test]
fn new_incarnations_on_a_full_disk_wait_and_a_thread_that_ends_writes_them() {
    for ends in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (disk, thread, words) = full(dir.path());
        let mut last = 5;
        loop {
            last += 1;
            thread.renew((0..GROUPS).map(|group| (GroupId(group), Incarnation(last))).collect());
            match hears(&words, A_WHILE) {
                Some(Word::Renewed(memories)) => assert!(memories.contains(&Incarnation(last))),
                None => break,
                word => panic!("{word:?}"),
            }
        }
        assert!(last > 6, "there is a reserve");
        if !ends {
            disk.is_full.store(false, Ordering::Relaxed);
            let word = hears(&words, LONG);
            assert!(matches!(word, Some(Word::Renewed(_))), "{word:?}");
        }
        thread.close();
        disk.is_full.store(false, Ordering::Relaxed);
        let opened = Log::open(disk, dir.path(), LogConfig::default(), &[]).unwrap();
        let memories: Vec<_> = opened.groups.values().map(|log| log.incarnation).collect();
        assert_eq!(memories, [Incarnation(last); 20], "what is kept is enough for one more");
    }
}

const GROUPS: u32 = 20;

/// Long enough for what is written at once. On a slow machine the tests see less, and pass.
const A_WHILE: Duration = Duration::from_millis(300);

const LONG: Duration = Duration::from_secs(30);
