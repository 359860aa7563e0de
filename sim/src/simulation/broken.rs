//! A user's simulation that failed: what was broken, what usually causes it, how to see it again.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use crate::guests::Guests;
use crate::plan::{About, PlanFile, PlanFileError};
use crate::run::Failure;
use crate::shrink::{Shrinker, Shrunk};

/// Why a [`Simulation`](super::Simulation) did not pass. Its `Debug` is its `Display`, so that
/// `unwrap` tells what there is to tell.
#[non_exhaustive]
pub enum SimulationError {
    /// A rule was broken.
    Broken(Box<Broken>),
    /// This file is no plan.
    File(PathBuf, PlanFileError),
    /// There were no seeds to run, and a test that runs nothing proves nothing.
    NoSeeds,
    /// Clusters of so many nodes are not simulated.
    Nodes(usize),
}

/// A rule that was broken, and in which runs.
#[derive(Debug)]
pub struct Broken {
    /// The run that is told: that of the lowest seed, or a smaller one that breaks the same rule.
    pub failure: Box<Failure>,
    /// All seeds that failed, ascending.
    pub seeds: Vec<u64>,
    /// Of how many.
    pub of: u64,
    /// How many faults and requests the plan had before it was made smaller, if it was.
    pub entries_before: Option<usize>,
    /// The file of the plan, or why it could not be written.
    pub file: Result<PathBuf, String>,
    /// The test that this is, if it is one.
    test: Option<String>,
    is_replay: bool,
}

impl Broken {
    /// Some of many seeds failed. Makes the plan of the lowest smaller, if there are guests to do it
    /// with, and writes it.
    pub(super) fn found(
        lowest: Box<Failure>,
        seeds: Vec<u64>,
        of: u64,
        folder: &Path,
        shrink: Option<&Guests>,
    ) -> Box<Self> {
        let test = test();
        let before = lowest.plan.entries();
        let smaller = shrink.and_then(|guests| smaller(&lowest, guests));
        let entries_before = smaller.is_some().then_some(before);
        let failure = smaller.unwrap_or(lowest);
        let file = write(&failure, folder, test.as_deref());
        Box::new(Self { failure, seeds, of, entries_before, file, test, is_replay: false })
    }

    /// The plan in a file failed.
    pub(super) fn replayed(failure: Box<Failure>, file: &Path) -> Box<Self> {
        let (seeds, file) = (vec![failure.plan.seed], Ok(file.to_owned()));
        let (of, entries_before, test) = (1, None, test());
        Box::new(Self { failure, seeds, of, entries_before, file, test, is_replay: true })
    }
}

/// The same failure by a smaller plan, if it happens again at all.
fn smaller(failure: &Failure, guests: &Guests) -> Option<Box<Failure>> {
    let mut tell = |_| ();
    let Shrunk { plan, violation, hash, events } =
        Shrinker::new(&failure.plan, guests, &mut tell)?.run_to_end();
    (violation.rule == failure.violation.rule)
        .then(|| Box::new(Failure { plan, violation, hash, events, lines: Vec::new() }))
}

/// Writes the plan.
fn write(failure: &Failure, folder: &Path, test: Option<&str>) -> Result<PathBuf, String> {
    let Failure { plan, violation, hash, .. } = failure;
    let about = About {
        rule: violation.rule.to_owned(),
        broke: violation.what.clone(),
        hash: format!("{hash:016x}"),
        ..About::default()
    };
    let test = test.map(|test| format!("{}-", test.replace("::", "-"))).unwrap_or_default();
    let path = folder.join(format!("{test}{}-{}.plan", plan.preset, plan.seed));
    let file = PlanFile { about, plan: plan.clone() };
    fs::create_dir_all(folder)
        .and_then(|()| file.write(&path))
        .and_then(|()| path.canonicalize())
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The test that runs on this thread: the test harness names threads so.
fn test() -> Option<String> {
    let name = std::thread::current().name()?.to_owned();
    (name != "main").then_some(name)
}

/// What usually breaks a rule, and what to do about it.
fn remedy(rule: &str) -> Option<&'static str> {
    match rule {
        "outputs" | "states" | "reads" => Some(NOT_DETERMINISTIC),
        "machines" | "panic" => Some(PANICKED),
        "invariants" => Some(INVARIANTS),
        _ => Some(OURS),
    }
}

const NOT_DETERMINISTIC: &str = "\
(`replay` is one more machine, made afresh and given the same commands in the same order.)
Same commands, different results: the state machine is not deterministic. Look for
  - the order of a HashMap or HashSet: use a BTreeMap, or sort;
  - clocks, random numbers, new ids: draw them before you propose, and put them into the command;
  - statics, thread-locals, caches: all state has to live in the machine, new in each process life;
  - addresses and pointers in outputs, hashes of `RandomState`, floats that others round otherwise;
  - a `read` that changes something;
  - state kept on disk without `applied`, or not saved together with it in one atomic step.
What is not deterministic may take more than one replay to show.";

const PANICKED: &str = "\
A panic stops the group on that node for good, on every node in turn: answer a command or query that
makes no sense with an output that says so.";

const INVARIANTS: &str = "\
The machine did what the log says, on every node alike, and the result is not what you want it to be:
the mistake is in its rules, or in the invariant.";

const OURS: &str = "\
This rule is about the cluster and not about the state machine, unless that kept a disk or a node
busy: please report it with the file.";

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { plan, violation, lines, .. } = &*self.failure;
        if self.is_replay {
            for line in lines {
                writeln!(f, "{line}")?;
            }
        }
        writeln!(f, "{} broke {violation}\n", plan.name())?;
        if let Some(remedy) = remedy(violation.rule) {
            writeln!(f, "{remedy}\n")?;
        }
        if self.of > 1 {
            let seeds: Vec<String> = self.seeds.iter().take(12).map(u64::to_string).collect();
            let more = if self.seeds.len() > seeds.len() { " …" } else { "" };
            let (failed, of) = (self.seeds.len(), self.of);
            writeln!(f, "{failed} of {of} seeds failed: {}{more}", seeds.join(" "))?;
        }
        match &self.file {
            Err(error) => write!(f, "its plan could not be written: {error}"),
            Ok(_) if self.is_replay => Ok(()),
            Ok(file) => {
                let (faults, requests) = (plan.faults.len(), plan.requests.len());
                write!(f, "its plan has {faults} faults and {requests} requests")?;
                if let Some(before) = self.entries_before {
                    write!(f, ", made out of {before}")?;
                }
                let again = self.test.as_ref().map(|test| format!("cargo test {test}"));
                let again = again.as_deref().unwrap_or("(and this program again)");
                write!(f, "; to watch it:\n  SYNOD_PLAN={} {again}", file.display())
            }
        }
    }
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(broken) => broken.fmt(f),
            Self::File(file, error) => write!(f, "{}: {error}", file.display()),
            Self::NoSeeds => write!(f, "there are no seeds to run"),
            Self::Nodes(nodes) => {
                write!(f, "{nodes} nodes; 1 to {} work", crate::plan::NODES_MAX)
            }
        }
    }
}

impl fmt::Debug for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for SimulationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(_, error) => Some(error),
            Self::Broken(_) | Self::NoSeeds | Self::Nodes(_) => None,
        }
    }
}

impl From<Box<Broken>> for SimulationError {
    fn from(broken: Box<Broken>) -> Self {
        Self::Broken(broken)
    }
}
