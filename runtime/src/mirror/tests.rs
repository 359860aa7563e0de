use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_core::{Instance, Position, SmId};

use super::{MirrorConfig, MirrorError, MirrorHandle, MirrorStartError, MirrorState};
use super::{Mirrored, Save};
use crate::{Checkpoint, CheckpointError, Directory, StateMachine, Stream};

mod bounds;
mod faults;
mod kept;
mod random;

/// Long enough for anything that is not stuck, on a busy machine too.
const SOON: Duration = Duration::from_secs(30);

/// Folds commands into a number that depends on each of them and their order.
#[derive(Default)]
struct Fold {
    sum: u64,
    /// What survives a restart: the number, and where it is.
    kept: Option<Arc<Mutex<(Position, u64)>>>,
    /// What stops it from being written.
    gate: Option<Arc<Gate>>,
    fault: Option<Fault>,
    /// Held as long as the machine lives.
    alive: Option<Arc<()>>,
}

/// What a copy does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Twice(u64),
    Never(u64),
    Panics(u64),
    PanicsWhenSaved,
    FailsWhenSaved,
}

fn fold(sum: u64, command: &[u8]) -> u64 {
    let add = |sum: u64, byte: &u8| sum.wrapping_mul(31).wrapping_add(u64::from(*byte) + 1);
    command.iter().fold(sum, add)
}

impl StateMachine for Fold {
    fn id(&self) -> SmId {
        SmId(3)
    }
    fn applied(&self) -> Position {
        self.kept.as_ref().map(|kept| kept.lock().unwrap().0).unwrap_or_default()
    }
    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        let n = at.instance.0;
        assert!(self.fault != Some(Fault::Panics(n)), "told to panic");
        let times = match self.fault {
            Some(Fault::Twice(m)) if m == n => 2,
            Some(Fault::Never(m)) if m == n => 0,
            _ => 1,
        };
        for _ in 0..times {
            self.sum = fold(self.sum, &command);
        }
        if let Some(kept) = &self.kept {
            let mut kept = kept.lock().unwrap();
            assert!(at > kept.0, "{at} after {}", kept.0);
            *kept = (at, self.sum);
        }
        self.read(Bytes::new())
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.sum.to_string().into()
    }
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let bytes = Stream::load(directory)?;
        let odd = |_| CheckpointError::Contents("short".into());
        self.sum = u64::from_le_bytes(bytes[..].try_into().map_err(odd)?);
        Ok(())
    }
}

impl Save for Fold {
    fn save(&self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        assert!(self.fault != Some(Fault::PanicsWhenSaved), "told to panic");
        if self.fault == Some(Fault::FailsWhenSaved) {
            directory.create("half")?.write_all(b"half")?;
            return Err(CheckpointError::Contents("told to fail".into()));
        }
        Box::new(Stream(self.sum.to_le_bytes().to_vec().into())).write(directory)
    }
}

/// Holds up who passes until it is opened.
#[derive(Default)]
struct Gate {
    /// Whether somebody has come, and whether it is open.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_all();
        self.until(|&mut (_, open)| open);
    }
    fn reached(&self) {
        self.until(|&mut (come, _)| come);
    }
    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
    fn until(&self, holds: impl Fn(&mut (bool, bool)) -> bool) {
        let state = self.state.lock().unwrap();
        let waited = self.changed.wait_timeout_while(state, SOON, |state| !holds(state)).unwrap();
        assert!(!waited.1.timed_out(), "not in time");
    }
}

fn at(instance: u64) -> Position {
    Position { instance: Instance(instance), index: 0 }
}

/// What is proposed at an instance.
fn command(instance: u64) -> Bytes {
    instance.to_le_bytes().to_vec().into()
}

/// The state after so many commands.
fn after(instance: u64) -> u64 {
    (1..=instance).fold(0, |sum, n| fold(sum, &command(n)))
}

fn apply(mirrored: &mut Mirrored<Fold>, instances: std::ops::RangeInclusive<u64>) {
    for n in instances {
        let output = mirrored.apply(at(n), command(n));
        assert_eq!(output, after(n).to_string(), "at {n}");
    }
}

fn mirrored(copy: Fold, config: MirrorConfig) -> Mirrored<Fold> {
    Mirrored::new(Fold::default(), copy, config).unwrap()
}

fn gated() -> (Fold, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    (Fold { gate: Some(Arc::clone(&gate)), ..Fold::default() }, gate)
}

/// Waits until a condition holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "not in time: {what}");
        thread::yield_now();
    }
}

/// Waits until the copy has nothing to do.
fn caught_up(copy: &MirrorHandle) {
    until("caught up", || copy.status().commands == 0);
}

type Written = Result<(), CheckpointError>;

/// Checkpoints in memory.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<BTreeMap<u64, Part>>>);

impl Files {
    fn write(&self, n: u64, handle: Box<dyn Checkpoint>) -> Written {
        let part = Part::default();
        handle.write(&part)?;
        self.0.lock().unwrap().insert(n, part);
        Ok(())
    }

    /// The same on a thread.
    fn writing(&self, n: u64, handle: Box<dyn Checkpoint>) -> mpsc::Receiver<Written> {
        let (tell, told) = mpsc::channel();
        let files = self.clone();
        thread::spawn(move || drop(tell.send(files.write(n, handle))));
        told
    }

    fn load(&self, n: u64, machine: &mut impl StateMachine) -> Result<(), CheckpointError> {
        let part = self.0.lock().unwrap()[&n].clone();
        machine.load(&part)
    }

    /// The state in a checkpoint.
    fn sum(&self, n: u64) -> u64 {
        let mut machine = Fold::default();
        self.load(n, &mut machine).unwrap();
        machine.sum
    }
}

/// One machine's files.
#[derive(Clone, Default)]
struct Part(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

struct Writer<'a>(&'a Part, String);

impl Directory for Part {
    fn path(&self) -> &Path {
        Path::new("nowhere")
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>> {
        match self.0.lock().unwrap().insert(name.to_owned(), Vec::new()) {
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
            None => Ok(Box::new(Writer(self, name.to_owned()))),
        }
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.0.lock().unwrap().get(name).cloned();
        Ok(Box::new(io::Cursor::new(bytes.ok_or(io::ErrorKind::NotFound)?)))
    }
}

impl Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.0.lock().unwrap().get_mut(&self.1).unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The mirror's own reason.
fn mirror_error<T>(result: Result<T, CheckpointError>) -> MirrorError {
    match result.map(drop) {
        Err(CheckpointError::Mirror(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn commands_are_applied_while_the_copy_is_written() {
    let (copy, gate) = gated();
    let (files, mut both) = (Files::default(), mirrored(copy, MirrorConfig::default()));
    let copy = both.handle();
    apply(&mut both, 1..=5);
    let handle = both.checkpoint().unwrap();
    let written = files.writing(5, handle);
    gate.reached();
    apply(&mut both, 6..=50);
    assert_eq!(both.read(Bytes::new()), after(50).to_string());
    let status = copy.status();
    assert_eq!((status.state, status.applied, status.commands), (MirrorState::Saving, at(5), 45));
    assert_eq!((status.bytes, status.waits), (45 * (8 + 128), 0));
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(files.sum(5), after(5), "of the mark, and nothing beyond it");
    caught_up(&copy);
    assert_eq!((copy.status().state, copy.status().bytes), (MirrorState::Following, 0));
    let handle = both.checkpoint().unwrap();
    files.write(50, handle).unwrap();
    assert_eq!(files.sum(50), after(50));
}

#[test]
fn the_copy_waits_at_a_mark_that_nobody_writes_yet() {
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), MirrorConfig::default()));
    let copy = both.handle();
    apply(&mut both, 1..=3);
    let handle = both.checkpoint().unwrap();
    apply(&mut both, 4..=9);
    until("at the mark", || copy.status().applied == at(3));
    assert_eq!(copy.status().state, MirrorState::Saving);
    files.write(3, handle).unwrap();
    assert_eq!(files.sum(3), after(3));
    caught_up(&copy);
    assert_eq!(copy.status().applied, at(9));
}

#[test]
fn one_checkpoint_at_a_time() {
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), MirrorConfig::default()));
    apply(&mut both, 1..=3);
    let handle = both.checkpoint().unwrap();
    assert_eq!(mirror_error(both.checkpoint()), MirrorError::Busy);
    drop(handle);
    apply(&mut both, 4..=4);
    let handle = both.checkpoint().unwrap();
    files.write(4, handle).unwrap();
    assert_eq!(files.sum(4), after(4));
}

#[test]
fn a_pause_lasts_until_it_is_continued() {
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), MirrorConfig::default()));
    let copy = both.handle();
    assert!(!copy.continue_copy(), "there was none");
    apply(&mut both, 1..=3);
    caught_up(&copy);
    copy.pause_copy();
    apply(&mut both, 4..=9);
    assert_eq!(copy.status().state, MirrorState::Paused);
    assert_eq!((copy.status().applied, copy.status().commands), (at(3), 6));
    assert_eq!(mirror_error(both.checkpoint()), MirrorError::Paused);
    assert!(copy.clone().continue_copy());
    caught_up(&copy);
    let handle = both.checkpoint().unwrap();
    files.write(9, handle).unwrap();
    assert_eq!(files.sum(9), after(9));
}

#[test]
fn a_checkpoint_that_was_asked_for_before_a_pause_comes_after_it() {
    let (first, gate) = gated();
    // The copy cannot be at the mark before it is paused: a checkpoint holds it up.
    let (files, mut both) = (Files::default(), mirrored(first, MirrorConfig::default()));
    let copy = both.handle();
    let written = files.writing(1, both.checkpoint().unwrap());
    gate.reached();
    apply(&mut both, 1..=3);
    copy.pause_copy();
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    until("paused", || copy.status().state == MirrorState::Paused);
    assert_eq!(copy.status().commands, 3);
    assert!(copy.continue_copy());
    let handle = both.checkpoint().unwrap();
    let written = files.writing(3, handle);
    copy.pause_copy(); // now or before it is at the mark: it is written in the end
    copy.continue_copy();
    written.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(files.sum(3), after(3));
}

#[test]
fn machines_of_two_ids_are_no_mirror() {
    struct Other(u32);
    impl StateMachine for Other {
        fn id(&self) -> SmId {
            SmId(self.0)
        }
        fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
            command
        }
        fn read(&self, query: Bytes) -> Bytes {
            query
        }
    }
    impl Save for Other {
        fn save(&self, _directory: &dyn Directory) -> Result<(), CheckpointError> {
            Ok(())
        }
    }
    let error = Mirrored::new(Other(1), Other(2), MirrorConfig::default()).unwrap_err();
    assert!(matches!(error, MirrorStartError::Ids { .. }), "{error}");
}
