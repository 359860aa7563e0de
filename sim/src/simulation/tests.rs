//! Machines that are right and machines that are not, in the builder that users have.

use std::io;
use std::path::Path;

use synod::vfs::{Vfs, VfsFile};
use synod_core::{Instance, Position};

use super::*;

/// What is wrong with a [`Ledger`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// It does not say what it has applied.
    Forgets,
    /// It saves the position without the state that belongs to it.
    Tears,
    /// It gives a replaced file its name before it is synced.
    Hurries,
}

/// A hash over all commands that is kept on disk.
#[derive(Debug)]
struct Ledger {
    disk: SimVfs,
    wrong: Wrong,
    sum: u64,
    applied: Position,
}

impl Ledger {
    fn open(disk: SimVfs, wrong: Wrong) -> Self {
        disk.create_dir_all(Path::new("/ledger")).unwrap();
        let word = |name: &str| read(&disk, name).unwrap_or_default();
        let [sum, instance, index] = word("state");
        let [again, ..] = if wrong == Wrong::Tears { word("sum") } else { [sum, 0, 0] };
        let index = u32::try_from(index).unwrap();
        let applied = Position { instance: Instance(instance), index };
        Self { sum: again, applied, disk, wrong }
    }

    fn save(&self) -> io::Result<()> {
        let Position { instance, index } = self.applied;
        self.replace("state", [self.sum, instance.0, index.into()])?;
        if self.wrong == Wrong::Tears { self.replace("sum", [self.sum, 0, 0]) } else { Ok(()) }
    }

    fn replace(&self, name: &str, words: [u64; 3]) -> io::Result<()> {
        let new = Path::new("/ledger/new");
        match self.disk.remove(new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(new)?;
        file.write_at(0, &words.map(u64::to_le_bytes).concat())?;
        if self.wrong != Wrong::Hurries {
            file.sync_data()?;
        }
        self.disk.rename(new, &Path::new("/ledger").join(name))?;
        self.disk.sync_dir(Path::new("/ledger"))
    }
}

fn read(disk: &SimVfs, name: &str) -> io::Result<[u64; 3]> {
    let file = disk.open(&Path::new("/ledger").join(name))?;
    let mut bytes = [0; 24];
    file.read_at(0, &mut bytes)?;
    let word = |n: usize| u64::from_le_bytes(bytes[n * 8..][..8].try_into().unwrap());
    Ok([word(0), word(1), word(2)])
}

impl StateMachine for Ledger {
    fn applied(&self) -> Position {
        if self.wrong == Wrong::Forgets { Position::default() } else { self.applied }
    }

    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        self.sum =
            command.iter().fold(self.sum, |sum, byte| crate::rng::mix(sum ^ u64::from(*byte)));
        self.applied = at;
        self.save().unwrap();
        self.read(Bytes::new())
    }

    fn read(&self, _query: Bytes) -> Bytes {
        self.sum.to_string().into()
    }
}

fn entry(rng: &mut Rng) -> Work {
    let word = rng.bits().to_string();
    if rng.percent(25) { Work::query(word) } else { Work::command(word) }
}

fn ledgers(wrong: Wrong) -> Result<Passed, SimulationError> {
    Simulation::on_disk(move |disk| Ledger::open(disk, wrong), entry)
        .preset(Preset::Churn)
        .state(|ledger| ledger.sum)
        .shrink(false)
        .failures(std::env::temp_dir().join("synod-ledgers"))
        .run(0..60)
}

fn rule(ran: Result<Passed, SimulationError>) -> &'static str {
    let SimulationError::Broken(broken) = ran.unwrap_err() else { panic!("another error") };
    broken.failure.violation.rule
}

#[test]
fn state_that_is_saved_with_its_position_survives_crashes_and_power_losses() {
    let Passed { stats, .. } = ledgers(Wrong::Nothing).unwrap();
    assert!(stats.acknowledged > 1_000 && stats.reads > 300, "{stats:?}");
}

#[test]
fn state_that_is_kept_carelessly_is_found() {
    for wrong in [Wrong::Forgets, Wrong::Tears, Wrong::Hurries] {
        let rule = rule(ledgers(wrong));
        assert!(["outputs", "states", "reads"].contains(&rule), "{wrong:?}: {rule}");
    }
}

/// Counts up to a limit.
#[derive(Default)]
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        self.0 += 1;
        self.read(Bytes::new())
    }

    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

fn counters() -> Simulation<Counter> {
    let work = |rng: &mut Rng| if rng.percent(30) { Work::query("?") } else { Work::command("+") };
    let folder = std::env::temp_dir().join("synod-counters");
    Simulation::new(Counter::default, work).shrink(false).failures(folder)
}

#[test]
fn every_invariant_is_asked() {
    let low = |count: u64| assert!(count < 5, "{count} is high");
    let answered = |answer: &[u8]| str::from_utf8(answer).unwrap().parse().unwrap();
    let ran = [
        counters().always(move |counter| low(counter.0)).run(0..3),
        counters().finally(move |counter| low(counter.0)).run(0..3),
        counters().on_answer(move |_, answer| low(answered(answer))).run(0..3),
    ];
    for ran in ran {
        let says = ran.unwrap_err().to_string();
        assert!(says.contains("broke invariants") && says.contains("is high"), "{says}");
        assert!(says.contains("simulation/tests.rs:"), "{says}");
    }
    counters().always(|counter| assert!(counter.0 < 10_000)).run(0..3).unwrap();
}

#[test]
fn a_model_of_the_users_own_decides() {
    /// Counts commands from one.
    struct Model(u64);

    impl StateMachine for Model {
        fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
            self.0 += 1;
            self.0.to_string().into()
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.0.to_string().into()
        }
    }

    counters().model(|| Model(0)).run(0..5).unwrap();
    assert_eq!(rule(counters().model(|| Model(1)).run(0..5)), "outputs");
}

#[test]
fn nodes_are_as_many_as_asked_for() {
    let broken = counters().nodes(4).finally(|_| panic!("stop")).run([7]).unwrap_err();
    let SimulationError::Broken(broken) = broken else { panic!("{broken}") };
    assert_eq!(broken.failure.plan.nodes, 4);
    assert!(matches!(counters().nodes(99).run(0..5), Err(SimulationError::Nodes(99))));
    assert!(matches!(counters().run(0..0), Err(SimulationError::NoSeeds)));
}

#[test]
fn a_failed_plan_can_be_replayed_from_its_file_and_other_files_are_refused() {
    let stops = || counters().finally(|counter| assert!(counter.0 < 5));
    let SimulationError::Broken(broken) = stops().run(3..5).unwrap_err() else { panic!() };
    let file = broken.file.as_ref().unwrap();
    let again = stops().replay(file).unwrap_err().to_string();
    assert!(again.contains("broke invariants"), "{again}");
    counters().replay(file).unwrap();
    let none = counters().replay("no such file").unwrap_err().to_string();
    assert!(none.starts_with("no such file: "), "{none}");
}
