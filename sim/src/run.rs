//! One seed, from plan to verdict.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::checkers::Violation;
use crate::guests::Guests;
use crate::plan::Plan;
use crate::stats::Stats;
use crate::world::{Ended, World};

/// How to run a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Run it a second time and compare the hashes.
    pub is_twice: bool,
    /// A user's state machines, to run in every group.
    pub guests: Guests,
}

/// A seed that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The counts.
    pub stats: Stats,
    /// The hash over everything that happened.
    pub hash: u64,
}

/// A seed that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which seed.
    pub seed: u64,
    /// The rule that was broken.
    pub violation: Violation,
    /// The last things that happened, as lines.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {} broke {}", self.seed, self.violation)
    }
}

impl std::error::Error for Failure {}

/// Runs a seed.
///
/// # Errors
///
/// The rule that it broke, with the last events: a failed seed is run again to write them down.
pub fn run_seed(seed: u64, options: &Options) -> Result<Report, Box<Failure>> {
    let fail = |violation| {
        let (_, lines) = once(seed, &options.guests, LAST_LINES);
        Box::new(Failure { seed, violation, lines })
    };
    let (ended, _) = once(seed, &options.guests, 0);
    let report = ended.map_err(fail)?;
    if options.is_twice {
        let (again, _) = once(seed, &options.guests, 0);
        let again = again.map_err(fail)?;
        if again != report {
            let what = format!("hash {:x} and then {:x}", report.hash, again.hash);
            return Err(fail(Violation::new("determinism", what)));
        }
    }
    Ok(report)
}

/// Runs a seed and writes down everything that happens, up to so many lines from the end.
pub fn replay(seed: u64, lines_max: usize) -> (Result<Report, Violation>, Vec<String>) {
    once(seed, &Guests::default(), lines_max)
}

/// Runs a seed; a panic is a broken rule like any other.
fn once(seed: u64, guests: &Guests, lines_max: usize) -> (Result<Report, Violation>, Vec<String>) {
    quiet();
    QUIET.set(true);
    let plan = Plan::of(seed);
    let mut world = World::new(plan, guests, lines_max);
    let ended = catch_unwind(AssertUnwindSafe(|| world.run()));
    QUIET.set(false);
    let result = match ended {
        Ok(Ended { broken: Some(violation), .. }) => Err(violation),
        Ok(Ended { stats, hash, broken: None }) => Ok(Report { stats, hash }),
        Err(panic) => {
            let place = PLACE.take().unwrap_or_default();
            Err(Violation::new("panic", format!("{} ({place})", message(&*panic))))
        }
    };
    (result, world.into_lines())
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics inside a seed are reported with the seed, not printed.
fn quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else {
                loud(info);
            }
        }));
    });
}

/// How many lines a failure shows.
const LAST_LINES: usize = 40;
