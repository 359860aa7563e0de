//! The state machine by itself, and in simulated clusters that crash and lose power.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use prost::Message;
use synod::vfs::{StdVfs, Vfs};
use synod::{Directory, Instance, Position, StateMachine};
use synod_kv::command::{Answer, Command, Outcome, Versioned};
use synod_kv::machine::KvMachine;
use synod_kv::store::Store;
use synod_sim::{Preset, Simulation, Work};

#[test]
fn versions_tell_whether_anybody_was_there_meanwhile() {
    let home = tempfile::tempdir().unwrap();
    let mut machine = machine(&StdVfs, home.path());
    let mut at = positions();
    let mut run = |command: Command| {
        let output = machine.apply(at.next().unwrap(), command.to_bytes());
        let Outcome { changed, version, revision, malformed } = Outcome::decode(output).unwrap();
        assert!(!malformed);
        (changed, version, revision)
    };
    assert_eq!(run(Command::compare_and_set("k", "a", 1)), (false, 0, 0));
    assert_eq!(run(Command::compare_and_set("k", "a", 0)), (true, 1, 1));
    assert_eq!(run(Command::compare_and_set("k", "b", 0)), (false, 1, 1));
    assert_eq!(run(Command::compare_and_set("k", "b", 1)), (true, 2, 2));
    assert_eq!(run(Command::put("other", "x")), (true, 3, 3));
    assert_eq!(run(Command::delete("k")), (true, 0, 4));
    assert_eq!(run(Command::delete("k")), (false, 0, 4));
    assert_eq!(run(Command::put("k", "a")), (true, 5, 5), "not 1 or 2 again");
    assert_eq!(get(&machine, "k"), Some(("a".into(), 5)));
    assert_eq!(get(&machine, "nothing"), None);
}

#[test]
fn nonsense_is_answered_and_counted_as_applied() {
    let home = tempfile::tempdir().unwrap();
    let mut machine = machine(&StdVfs, home.path());
    let output = machine.apply(position(7), "\u{ff}".into());
    assert!(Outcome::decode(output).unwrap().malformed);
    drop(machine);
    assert_eq!(self::machine(&StdVfs, home.path()).applied(), position(7));
}

#[test]
fn what_was_applied_survives_with_how_far_it_is() {
    let home = tempfile::tempdir().unwrap();
    let mut machine = machine(&StdVfs, home.path());
    assert_eq!(machine.applied(), Position::default());
    machine.apply(position(3), Command::put("k", "v").to_bytes());
    machine.apply(position(4), Command::delete("absent").to_bytes());
    drop(machine);
    let machine = self::machine(&StdVfs, home.path());
    assert_eq!(machine.applied(), position(4));
    assert_eq!(get(&machine, "k"), Some(("v".into(), 1)));
}

#[test]
fn same_commands_give_the_same_bytes_of_checkpoint() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = machine(&StdVfs, one.path());
    let mut second = machine(&StdVfs, other.path());
    for (at, command) in positions().zip(some_commands()) {
        assert_eq!(first.apply(at, command.to_bytes()), second.apply(at, command.to_bytes()));
        if at.instance.0.is_multiple_of(50) {
            // Another history of its file.
            drop(second);
            second = machine(&StdVfs, other.path());
        }
    }
    let [one, other] = [&mut first, &mut second].map(checkpoint_of);
    assert!(one.len() > 100);
    assert_eq!(one, other);
}

#[test]
fn a_checkpoint_replaces_everything_and_later_commands_are_not_in_it() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = machine(&StdVfs, one.path());
    positions().zip(some_commands()).for_each(|(at, command)| {
        first.apply(at, command.to_bytes());
    });
    let handle = first.checkpoint().unwrap();
    first.apply(position(1000), Command::put("late", "x").to_bytes());
    let folder = Folder(tempfile::tempdir().unwrap());
    handle.write(&folder).unwrap();

    let mut second = machine(&StdVfs, other.path());
    second.apply(position(1), Command::put("of another past", "x").to_bytes());
    second.load(&folder).unwrap();
    assert_eq!(get(&second, "late"), None);
    assert_eq!(get(&second, "of another past"), None);
    assert_eq!(checkpoint_of(&mut second), std::fs::read(folder.path().join("entries")).unwrap());
    second.apply(position(1000), Command::put("late", "x").to_bytes());
    assert_eq!(checkpoint_of(&mut second), checkpoint_of(&mut first));
    assert_eq!(second.feed().revision(), first.feed().revision());
}

#[test]
fn a_checkpoint_that_was_cut_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut machine = machine(&StdVfs, home.path());
    machine.apply(position(1), Command::put("k", "v").to_bytes());
    let whole = checkpoint_of(&mut machine);
    machine.apply(position(2), Command::put("k", "w").to_bytes());
    let folder = Folder(tempfile::tempdir().unwrap());
    for length in 0..whole.len() {
        std::fs::write(folder.path().join("entries"), &whole[..length]).unwrap();
        assert!(machine.load(&folder).is_err(), "cut to {length} of {}", whole.len());
        assert_eq!(get(&machine, "k"), Some(("w".into(), 2)));
    }
    std::fs::write(folder.path().join("entries"), &whole).unwrap();
    machine.load(&folder).unwrap();
    assert_eq!(get(&machine, "k"), Some(("v".into(), 1)));
}

/// Whole clusters, whose redb files are on disks that lose what was not synced when power fails. A much
/// simpler machine says what is right.
#[test]
fn thirty_simulated_clusters_keep_it_right() {
    for preset in [Preset::default(), Preset::Hell, Preset::Checkpoints] {
        let clients = |rng: &mut synod_sim::rng::Rng| {
            let key = format!("k{}", rng.below(5));
            match rng.below(10) {
                0..3 => Work::query(key),
                3..6 => Work::command(Command::put(key, format!("v{}", rng.below(100))).to_bytes()),
                6..7 => Work::command(Command::delete(key).to_bytes()),
                _ => {
                    let command = Command::compare_and_set(key, "c", rng.below(30));
                    Work::command(command.to_bytes())
                }
            }
        };
        Simulation::on_disk(|disk| machine(&disk, Path::new("/kv")), clients)
            .preset(preset)
            .model(Model::default)
            .run(0..30)
            .unwrap();
    }
}

/// The same in the simplest way.
#[derive(Default)]
struct Model {
    entries: BTreeMap<Bytes, Versioned>,
    revision: u64,
}

impl StateMachine for Model {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        let Ok(Command { key, value, if_version }) = Command::decode(command) else {
            let outcome =
                Outcome { malformed: true, revision: self.revision, ..Outcome::default() };
            return outcome.encode_to_vec().into();
        };
        let before = self.entries.get(&key).map_or(0, |entry| entry.version);
        let fits = if_version.is_none() || if_version == Some(before);
        let changed = fits && (value.is_some() || before > 0);
        let mut version = before;
        if changed {
            self.revision += 1;
            version = if value.is_some() { self.revision } else { 0 };
            self.entries.remove(&key);
            value.map(|value| self.entries.insert(key, Versioned { value, version }));
        }
        let outcome = Outcome { changed, version, revision: self.revision, malformed: false };
        outcome.encode_to_vec().into()
    }
    fn read(&self, query: Bytes) -> Bytes {
        Answer { entry: self.entries.get(&query).cloned() }.encode_to_vec().into()
    }
}

fn machine(vfs: &impl Vfs, home: &Path) -> KvMachine {
    vfs.create_dir_all(home).unwrap();
    KvMachine::new(Store::open(vfs, home, "0.redb").unwrap()).unwrap()
}

fn get(machine: &KvMachine, key: &'static str) -> Option<(Bytes, u64)> {
    let answer = Answer::decode(machine.read(key.into())).unwrap();
    answer.entry.map(|entry| (entry.value, entry.version))
}

fn checkpoint_of(machine: &mut KvMachine) -> Vec<u8> {
    let folder = Folder(tempfile::tempdir().unwrap());
    machine.checkpoint().unwrap().write(&folder).unwrap();
    std::fs::read(folder.path().join("entries")).unwrap()
}

fn position(instance: u64) -> Position {
    Position { instance: Instance(instance), index: 0 }
}

fn positions() -> impl Iterator<Item = Position> {
    (1..).map(position)
}

fn some_commands() -> impl Iterator<Item = Command> {
    (0_u64..300).map(|number| {
        let key = format!("key {}", number * 7 % 40);
        match number % 5 {
            0 => Command::delete(key),
            1 => Command::compare_and_set(key, "set", number / 2),
            _ => Command::put(key, vec![b'x'; usize::try_from(number).unwrap()]),
        }
    })
}

/// A checkpoint's directory.
struct Folder(tempfile::TempDir);

impl Directory for Folder {
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn Write + '_>> {
        Ok(Box::new(File::create_new(self.path().join(name))?))
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.path().join(name))?))
    }
}
