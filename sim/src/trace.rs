//! What happened: always as a hash, on request as readable lines.

use std::collections::VecDeque;
use std::fmt::Write as _;

use synod_core::Time;

use crate::rng::mix;

/// The account of one run.
///
/// The hash covers every event, so two runs of one seed that differ anywhere differ here. Lines are
/// written only when asked for: they cost more than the run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Lines>,
}

#[derive(Debug)]
struct Lines {
    kept: VecDeque<String>,
    max: usize,
}

impl Trace {
    /// A trace that keeps the last `lines_max` lines, or none.
    #[must_use]
    pub fn new(lines_max: usize) -> Self {
        let lines = (lines_max > 0).then(|| Lines { kept: VecDeque::new(), max: lines_max });
        Self { hash: 0, events: 0, lines }
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

    /// Writes a line, if lines are kept: when, who (a node, or `-`), what.
    pub fn line(&mut self, at: Time, node: Option<usize>, what: impl FnOnce() -> String) {
        let Some(lines) = &mut self.lines else { return };
        let mut text = String::with_capacity(80);
        let who = node.map_or_else(|| "-".to_owned(), |node| format!("n{}", node + 1));
        write!(text, "{:>10}  {who:<3} ", at.to_string())
            .expect("writing to a string does not fail");
        text.push_str(&what());
        if lines.kept.len() == lines.max {
            lines.kept.pop_front();
        }
        lines.kept.push_back(text);
    }

    /// Whether lines are kept.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.lines.is_some()
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

    /// The lines kept, oldest first.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.map_or_else(Vec::new, |lines| lines.kept.into())
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
    fn the_last_lines_are_kept_and_others_cost_nothing() {
        let mut trace = Trace::new(2);
        for n in 0..5 {
            trace.line(Time::from_millis(n), Some(0), || format!("line {n}"));
        }
        let lines = trace.into_lines();
        assert_eq!(lines, ["  0.003000  n1  line 3", "  0.004000  n1  line 4"]);
        let mut silent = Trace::new(0);
        silent.line(Time::ZERO, None, || unreachable!("nobody reads it"));
    }
}
