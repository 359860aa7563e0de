//! One plan, from beginning to verdict.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::checkers::Violation;
use crate::guests::Guests;
use crate::plan::{Messages, Plan, Preset};
use crate::stats::Stats;
use crate::trace::Step;
use crate::world::World;

/// How to run a seed.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What kind of plan it stands for.
    pub preset: Preset,
    /// How many nodes it has; if none, the seed decides.
    pub nodes: Option<usize>,
    /// Run it a second time and compare the hashes.
    pub is_twice: bool,
    /// A user's state machines, to run in every group.
    pub guests: Guests,
}

/// A run that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The counts.
    pub stats: Stats,
    /// The hash over everything that happened.
    pub hash: u64,
}

/// A run that did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What was planned.
    pub plan: Plan,
    /// The rule that was broken.
    pub violation: Violation,
    /// The hash over everything that happened until then.
    pub hash: u64,
    /// How many things happened until then.
    pub events: u64,
    /// The last of them, as lines.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        write!(f, "seed {} broke {}", self.plan.seed, self.violation)
    }
}

impl std::error::Error for Failure {}

/// Runs the plan of a seed.
///
/// # Errors
///
/// The rule that it broke, with the last events: a failed plan is run again to write them down.
pub fn run_seed(seed: u64, options: &Options) -> Result<Report, Box<Failure>> {
    let plan = match options.nodes {
        None => Plan::draw(seed, options.preset),
        Some(nodes) => Plan::draw_for(seed, options.preset, nodes),
    };
    run_plan(&plan.inviting(&options.guests), options)
}

/// Runs a plan, whatever preset the options name.
///
/// # Errors
///
/// As [`run_seed`].
pub fn run_plan(plan: &Plan, options: &Options) -> Result<Report, Box<Failure>> {
    let run = |steps_max| watch(plan, &options.guests, steps_max);
    let fail = |violation| {
        let Watched { stats, hash, steps, .. } = run(LAST_LINES);
        let lines = steps.iter().map(ToString::to_string).collect();
        Box::new(Failure { plan: plan.clone(), violation, hash, events: stats.events, lines })
    };
    let Watched { broken, stats, hash, .. } = run(0);
    if let Some(violation) = broken {
        return Err(fail(violation));
    }
    if options.is_twice {
        let again = run(0);
        if (again.hash, &again.stats) != (hash, &stats) {
            let what = format!("hash {hash:x} and then {:x}", again.hash);
            return Err(fail(Violation::new("determinism", what)));
        }
    }
    Ok(Report { stats, hash })
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The rule that it broke, if it did.
    pub broken: Option<Violation>,
    /// The counts.
    pub stats: Stats,
    /// The hash over everything that happened.
    pub hash: u64,
    /// What happened; not more steps than were asked for, from the end.
    pub steps: Vec<Step>,
}

/// Runs a plan and keeps what happens, up to so many steps from the end. A panic is a broken
/// rule like any other.
#[must_use]
pub fn watch(plan: &Plan, guests: &Guests, steps_max: usize) -> Watched {
    quiet();
    QUIET.set(true);
    let mut world = World::new(plan.clone(), guests, steps_max);
    let ended = caught(|| world.run());
    QUIET.set(false);
    let broken = match ended {
        Ok(verdict) => verdict.err(),
        Err(panic) => Some(Violation::new("panic", panic)),
    };
    let (stats, trace) = world.into_account();
    Watched { broken, stats, hash: trace.hash(), steps: trace.into_steps() }
}

/// The messages to which something happens in a run besides partitions.
pub(crate) fn strange(plan: &Plan, guests: &Guests) -> Messages {
    quiet();
    QUIET.set(true);
    let mut world = World::new(plan.clone(), guests, 0);
    world.network().watch();
    // Whatever comes of it: it is the way there that counts.
    let _ended = caught(|| world.run());
    QUIET.set(false);
    world.network().strange()
}

/// Does something that may panic, inside a run.
///
/// # Errors
///
/// The panic's message and place.
pub(crate) fn caught<T>(does: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(does)).map_err(|panic| {
        let place = panicked_at().unwrap_or_default();
        format!("{} ({place})", message(&*panic))
    })
}

/// Where the last panic inside the run happened.
pub(crate) fn panicked_at() -> Option<String> {
    PLACE.take()
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
