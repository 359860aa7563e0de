//! Makes failing plans small, so that somebody can see why they fail.
//!
//! A smaller plan is taken only if it breaks the *same rule*: otherwise one bug turns into another on
//! the way down. What helps most comes first: of many seeds that break the rule the one that does
//! so soonest; then the plan without what comes after the failure, without whole features, with fewer
//! nodes; then delta debugging over faults and requests together; at last over single messages.

mod ddmin;
mod simpler;

use std::time::Duration;

use synod_core::Time;

use crate::checkers::Violation;
use crate::guests::Guests;
use crate::plan::{Messages, Plan};
use crate::run::{Watched, watch};

use ddmin::ddmin;

/// A plan that fails, and how.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// What it breaks.
    pub violation: Violation,
    /// How many things happen until then.
    pub events: u64,
    /// The hash of the run.
    pub hash: u64,
}

/// Where shrinking stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is tried at present.
    pub step: &'static str,
    /// How many plans were run.
    pub runs: u64,
    /// Faults and requests that are left.
    pub entries: usize,
    /// Events until the failure.
    pub events: u64,
}

/// Makes a failing plan small.
pub struct Shrinker<'a> {
    guests: &'a Guests,
    tell: &'a mut dyn FnMut(Progress),
    best: Shrunk,
    /// Others that break the same rule soon.
    others: Vec<Shrunk>,
    runs: u64,
    step: &'static str,
}

impl std::fmt::Debug for Shrinker<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shrinker").field("best", &self.best).finish_non_exhaustive()
    }
}

impl<'a> Shrinker<'a> {
    /// A shrinker of this plan, if it fails; `tell` hears how it gets on.
    pub fn new(plan: &Plan, guests: &'a Guests, tell: &'a mut dyn FnMut(Progress)) -> Option<Self> {
        let Watched { broken, stats, hash, .. } = watch(plan, guests, 0);
        let (plan, events) = (plan.clone(), stats.events);
        let best = Shrunk { plan, violation: broken?, events, hash };
        Some(Self { guests, tell, best, others: Vec::new(), runs: 1, step: "starts" })
    }

    /// Looks among so many more seeds of the same kind for some that break the same rule sooner.
    pub fn look_among(&mut self, seeds: u64) {
        self.step = "looks for shorter seeds";
        let Plan { seed, preset, .. } = self.best.plan;
        for n in 1..=seeds {
            let plan = Plan::draw(seed.wrapping_add(n), preset).inviting(self.guests);
            if let Some(found) = self.run(plan) {
                let place = self.others.partition_point(|other| other.events <= found.events);
                self.others.insert(place, found);
                self.others.truncate(OTHERS_MAX);
            }
            if n.is_multiple_of(64) {
                self.report();
            }
        }
        if let Some(first) = self.others.first_mut()
            && first.events < self.best.events
        {
            std::mem::swap(first, &mut self.best);
        }
    }

    /// Makes the plan as small as it gets, and the others that were found; the smallest wins.
    #[must_use]
    pub fn run_to_end(mut self) -> Shrunk {
        let size = |shrunk: &Shrunk| (shrunk.plan.entries(), shrunk.events);
        self.reduce();
        for other in std::mem::take(&mut self.others) {
            let before = std::mem::replace(&mut self.best, other);
            self.reduce();
            if size(&before) <= size(&self.best) {
                self.best = before;
            }
        }
        self.step = "done";
        self.report();
        self.best
    }

    fn reduce(&mut self) {
        self.cut();
        loop {
            let before = (self.best.plan.entries(), self.best.events);
            self.features();
            self.entries();
            self.tidy();
            self.gaps();
            if (self.best.plan.entries(), self.best.events) >= before {
                break;
            }
        }
        self.messages();
        self.gaps();
        self.round();
    }

    /// What comes after the failure goes.
    fn cut(&mut self) {
        self.step = "cuts off what comes later";
        let mut plan = self.best.plan.clone();
        let at = Time::ZERO + watch(&plan, self.guests, 0).stats.simulated;
        plan.faults.retain(|fault| fault.at <= at);
        plan.until = plan.until.min(at + Duration::from_nanos(1));
        self.attempt(plan);
    }

    fn features(&mut self) {
        self.step = "leaves out features";
        for (_, change) in simpler::FEATURES {
            let mut plan = self.best.plan.clone();
            change(&mut plan);
            if plan != self.best.plan {
                self.attempt(plan);
            }
        }
    }

    /// Delta debugging over faults and requests together.
    fn entries(&mut self) {
        self.step = "leaves out faults and requests";
        let plan = self.best.plan.clone();
        let (all, faults): (Vec<usize>, _) = ((0..plan.entries()).collect(), plan.faults.len());
        ddmin(&all, |kept| {
            let is_kept = |place: usize| kept.binary_search(&place).is_ok();
            self.attempt(simpler::with(&plan, is_kept, |n| is_kept(faults + n)))
        });
    }

    fn tidy(&mut self) {
        let plan = simpler::without_idle_clients(&self.best.plan);
        if plan != self.best.plan {
            self.attempt(plan);
        }
    }

    /// Closes gaps in time: whatever makes the run shorter is taken.
    fn gaps(&mut self) {
        self.step = "closes gaps in time";
        let mut from = Time::ZERO;
        loop {
            let end = self.best.plan.until;
            let mut shift = end.since(from) / 2;
            while shift > self.best.plan.core.election_timeout / 16 {
                let plan = simpler::sooner(&self.best.plan, from, shift);
                let events = self.best.events;
                match self.run(plan).filter(|found| found.events < events) {
                    Some(found) => {
                        self.best = found;
                        self.report();
                    }
                    None => shift /= 2,
                }
            }
            // On to the next fault.
            let later = self.best.plan.faults.iter().map(|fault| fault.at).find(|&at| at > from);
            let Some(later) = later else { return };
            from = later;
        }
    }

    /// Delta debugging over the messages to which something happens.
    fn messages(&mut self) {
        self.step = "leaves out single messages";
        let strange = self.strange();
        let all: Vec<_> = strange.0.into_iter().collect();
        let plan = self.best.plan.clone();
        ddmin(&all, |kept| {
            let strange = Some(Messages(kept.iter().copied().collect()));
            self.attempt(Plan { strange, ..plan.clone() })
        });
        if self.best.plan.strange.as_ref().is_some_and(|strange| strange.0.is_empty()) {
            let mut plan = self.best.plan.clone();
            (plan.noise.loss_ppm, plan.noise.duplicate_ppm, plan.noise.late_ppm) = (0, 0, 0);
            plan.strange = None;
            self.attempt(plan);
        }
    }

    /// Round times are easier to read.
    fn round(&mut self) {
        self.step = "rounds times";
        for unit in [Duration::from_millis(1), Duration::from_micros(100)] {
            let plan = simpler::rounded(&self.best.plan, unit);
            if plan != self.best.plan && self.attempt(plan) {
                return;
            }
        }
    }

    fn strange(&self) -> Messages {
        crate::run::strange(&self.best.plan, self.guests)
    }

    /// Takes a plan if it fails alike.
    fn attempt(&mut self, plan: Plan) -> bool {
        let found = self.run(plan);
        let is_taken = found.is_some();
        if let Some(found) = found {
            self.best = found;
        }
        self.report();
        is_taken
    }

    /// Runs a plan; says how it fails if it fails alike.
    fn run(&mut self, plan: Plan) -> Option<Shrunk> {
        plan.check().ok()?;
        self.runs += 1;
        let Watched { broken, stats, hash, .. } = watch(&plan, self.guests, 0);
        let violation = broken.filter(|violation| is_same(violation, &self.best.violation))?;
        Some(Shrunk { plan, violation, events: stats.events, hash })
    }

    fn report(&mut self) {
        let Shrunk { plan, events, .. } = &self.best;
        let (step, runs, entries, events) = (self.step, self.runs, plan.entries(), *events);
        (self.tell)(Progress { step, runs, entries, events });
    }
}

/// Whether two failures are one. Of panics, only those at the same place are.
fn is_same(one: &Violation, other: &Violation) -> bool {
    let place = |violation: &Violation| {
        let at = (violation.rule == "panic").then(|| violation.what.rfind('(')).flatten();
        at.map(|at| violation.what[at..].to_owned())
    };
    one.rule == other.rule && place(one) == place(other)
}

/// How many of the seeds found on the way are made small, too.
const OTHERS_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;
    use synod::StateMachine;
    use synod_core::{Position, SmId};

    use crate::clients::Ask;
    use crate::guests::{Guest, Home, Tenant};
    use crate::rng::Rng;

    /// Counts the calls of all machines of all processes: a new state each time, and on each node.
    struct Shared;

    static CALLS: AtomicU64 = AtomicU64::new(0);

    impl StateMachine for Shared {
        fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
            CALLS.fetch_add(1, Ordering::Relaxed).to_le_bytes().to_vec().into()
        }

        fn read(&self, _query: Bytes) -> Bytes {
            Bytes::new()
        }
    }

    impl Guest for Shared {
        fn machines(&self, _home: &Home) -> Vec<Tenant> {
            vec![Tenant::unseen(Self)]
        }

        fn ask(&self, _rng: &mut Rng) -> Ask {
            Ask::Guest(SmId(0), Bytes::from_static(b"count"))
        }
    }

    #[test]
    fn a_failure_comes_down_to_what_it_takes() {
        let guests = Guests::new(Shared);
        let plan = Plan::of(2).inviting(&guests);
        assert!(plan.entries() > 50, "{}", plan.entries());
        let mut steps = Vec::new();
        let mut tell = |progress: Progress| steps.push(progress.step);
        let mut shrinker = Shrinker::new(&plan, &guests, &mut tell).expect("it fails");
        shrinker.look_among(3);
        let shrunk = shrinker.run_to_end();
        assert_eq!(shrunk.violation.rule, "outputs");
        assert_eq!((shrunk.plan.faults.len(), shrunk.plan.requests.len()), (0, 1));
        assert!(shrunk.events < 300, "{} events", shrunk.events);
        assert_eq!(steps.last(), Some(&"done"));
    }

    #[test]
    fn a_plan_that_passes_is_not_shrunk() {
        let mut tell = |_| {};
        assert!(Shrinker::new(&Plan::default(), &Guests::default(), &mut tell).is_none());
    }

    #[test]
    fn one_bug_is_not_taken_for_another() {
        let broken = |rule, what: &str| Violation::new(rule, what.to_owned());
        assert!(is_same(&broken("order", "a"), &broken("order", "b")));
        assert!(!is_same(&broken("order", "a"), &broken("once", "a")));
        assert!(is_same(&broken("panic", "a (x.rs:1)"), &broken("panic", "b (x.rs:1)")));
        assert!(!is_same(&broken("panic", "a (x.rs:1)"), &broken("panic", "a (x.rs:2)")));
    }
}
