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
    Failed(String),
}

struct Ear(Sender<Word>);

impl Durably for Ear {
    fn durable(&self, durables: &mut Vec<Durable>) {
        durables.drain(..).for_each(|durable| drop(self.0.send(Word::Durable(durable))));
    }
    fn synced(&self, _: usize, _: u64, _: Duration) {}
    fn founded(&self) {}
    fn room(&self, has_room: bool) {
        drop(self.0.send(Word::Room(has_room)));
    }
    fn renewed(&self, _: BTreeMap<GroupId, GroupLog>) {}
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
