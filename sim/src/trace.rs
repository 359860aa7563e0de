//! What happened: always as a hash, on request as steps that read as lines and draw as a picture.

mod message;
mod step;

use std::collections::{BTreeSet, VecDeque};

use synod_core::{Instance, Time};

use crate::checkers::Place;
use crate::rng::mix;

pub use message::{Facts, facts};
pub use step::{Held, Note, Role, Sent, Step, What};

/// The account of one run.
///
/// The hash covers every event, so two runs of one seed that differ anywhere differ here. Steps are
/// kept only when asked for: they cost more than the run, and change nothing in it.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    steps: VecDeque<Step>,
    max: usize,
    /// What is chosen, by group.
    chosen: BTreeSet<(usize, Instance)>,
}

impl Trace {
    /// A trace that keeps the last `steps_max` steps, or none.
    #[must_use]
    pub fn new(steps_max: usize) -> Self {
        let kept = (steps_max > 0).then(|| Kept {
            steps: VecDeque::new(),
            max: steps_max,
            chosen: BTreeSet::new(),
        });
        Self { hash: 0, events: 0, kept }
    }

    /// Counts an event in, by the numbers that tell it from others.
    pub fn event(&mut self, at: Time, kind: u64, detail: u64) {
        self.events += 1;
        self.hash = mix(self.hash ^ at.as_nanos() ^ (kind << 56)) ^ detail;
    }

    /// Counts in a number that is no event of its own: the bytes of a message, a digest.
    pub const fn detail(&mut self, number: u64) {
        self.hash = mix(self.hash ^ number);
    }

    /// Keeps a step, if steps are kept: when, who (a node, or nobody), what. A text is a step, too.
    pub fn line<N: Into<Note>>(&mut self, at: Time, node: Option<usize>, what: impl FnOnce() -> N) {
        let Some(kept) = &mut self.kept else { return };
        if kept.steps.len() == kept.max {
            kept.steps.pop_front();
        }
        kept.steps.push_back(Step { at, node, note: what().into() });
    }

    /// What becomes of the message that was the last step: when it arrives, up to twice.
    pub fn fate(&mut self, id: u64, arrivals: impl FnOnce() -> Vec<Time>) {
        if let Some(What::Sent(sent)) = self.last() {
            sent.id = id;
            sent.arrivals = arrivals();
        }
    }

    /// An instance is chosen, with a vote on this place's disk. Kept the first time that it is told.
    pub fn chosen(&mut self, at: Time, place: Place, instance: Instance) {
        let is_news =
            self.kept.as_mut().is_some_and(|kept| kept.chosen.insert((place.group, instance)));
        if is_news {
            self.line(at, Some(place.node), || Note::chosen(place.group, instance));
        }
    }

    /// A fault that was kept has struck, and touches these one-way links.
    pub fn struck(&mut self, n: usize, links: &[(usize, usize)]) {
        let Some(kept) = &mut self.kept else { return };
        for step in kept.steps.iter_mut().rev() {
            if let What::Fault { n: number, has_struck, links: touched } = &mut step.note.what
                && *number == n
            {
                *has_struck = true;
                *touched = links.to_vec();
                return;
            }
        }
    }

    /// Whether steps are kept.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// The hash over everything so far.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.hash
    }

    /// How many events happened so far.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The steps kept, oldest first.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        self.kept.map_or_else(Vec::new, |kept| kept.steps.into())
    }

    fn last(&mut self) -> Option<&mut What> {
        Some(&mut self.kept.as_mut()?.steps.back_mut()?.note.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_order_and_time() {
        let hash = |events: &[(u64, u64)]| {
            let mut trace = Trace::new(0);
            for &(at, kind) in events {
                trace.event(Time::from_millis(at), kind, 0);
            }
            trace.hash()
        };
        assert_eq!(hash(&[(1, 1), (2, 2)]), hash(&[(1, 1), (2, 2)]));
        assert_ne!(hash(&[(1, 1), (2, 2)]), hash(&[(1, 2), (2, 1)]));
        assert_ne!(hash(&[(1, 1), (2, 2)]), hash(&[(1, 1), (3, 2)]));
    }

    #[test]
    fn the_last_steps_are_kept_and_others_cost_nothing() {
        let mut trace = Trace::new(2);
        for n in 0..5 {
            trace.line(Time::from_millis(n), Some(0), || format!("line {n}"));
        }
        let lines: Vec<String> = trace.into_steps().iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["  0.003000  n1  line 3", "  0.004000  n1  line 4"]);
        let mut silent = Trace::new(0);
        silent.line(Time::ZERO, None, || -> String { unreachable!("nobody reads it") });
    }

    #[test]
    fn a_message_and_a_fault_learn_what_became_of_them() {
        let mut trace = Trace::new(9);
        let fault = || Note::fault(3, "cut".to_owned());
        trace.line(Time::ZERO, None, fault);
        trace.line(Time::ZERO, Some(0), || "between".to_owned());
        trace.struck(3, &[(0, 1)]);
        let message = synod_core::Message::ReadIndex { round: 1 };
        trace.line(Time::ZERO, Some(0), || Note::sent(0, 1, &message));
        trace.fate(7, || vec![Time::from_millis(5), Time::from_millis(6)]);
        let steps = trace.into_steps();
        let struck = What::Fault { n: 3, has_struck: true, links: vec![(0, 1)] };
        assert_eq!(steps[0].note.what, struck);
        assert_eq!(steps[2].to_string(), "  0.000000  n1  g0 > n2  read index 1 (twice)");
    }
}
