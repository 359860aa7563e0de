//! Linearizability by search: is there any order of the operations on a key that explains what the
//! clients saw? Wing and Gong's search with Lowe's memory of states seen, key by key.
//!
//! It knows nothing of positions and instances, so it judges [`order`](super::order) too. The cost is
//! exponential at worst, so it only looks at short histories and gives up after some steps.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use synod_core::Time;

use super::Violation;
use crate::kv::Op;
use crate::rng::{mix, to_index};

/// An operation as its client saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub op: Op,
    /// When it began.
    pub invoked: Time,
    /// When it ended, and with which output; `None` if nobody knows.
    pub returned: Option<(Time, u64)>,
}

/// What a search says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Some order explains the history.
    Order,
    /// None does.
    None,
    /// The history is too long, or the search took too many steps.
    GaveUp,
}

/// The longest history that is searched.
pub const CALLS_MAX: usize = 64;

/// Looks for an order of these calls on one key, which held zero at first.
#[must_use]
pub fn search(calls: &[Call], steps_max: usize) -> Found {
    if calls.len() > CALLS_MAX {
        return Found::GaveUp;
    }
    let mask = |mask, n: usize| mask | 1_u64 << n;
    let all = (0..calls.len()).fold(0, mask);
    let required = (0..calls.len()).filter(|&n| calls[n].returned.is_some()).fold(0, mask);
    let mut seen: HashSet<(u64, u64), BuildHasherDefault<Mixed>> = HashSet::default();
    let mut stack = vec![(0_u64, 0_u64)];
    while let Some((done, held)) = stack.pop() {
        if !seen.insert((done, held)) {
            continue;
        }
        if done & required == required {
            return Found::Order;
        }
        if seen.len() > steps_max {
            return Found::GaveUp;
        }
        let open = || ones(all & !done).map(|n| (n, &calls[n]));
        // What comes next must have begun before anything open ended.
        let ended = open().filter_map(|(_, call)| Some(call.returned?.0)).min();
        for (n, call) in open().filter(|(_, call)| ended.is_none_or(|end| call.invoked <= end)) {
            let (now, output) = call.op.run(held);
            if call.returned.is_none_or(|(_, seen)| seen == output) {
                stack.push((done | 1 << n, now));
            }
        }
    }
    Found::None
}

/// The places of the ones of a number, ascending.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = bits ^ (bits & bits.checked_sub(1)?);
        bits ^= lowest;
        Some(to_index(lowest.trailing_zeros().into()))
    })
}

/// Hashes states fast, and always alike.
#[derive(Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0 ^ word);
    }
}

/// What clients saw of each key of each group.
#[derive(Debug, Default)]
pub struct Histories {
    keys: std::collections::BTreeMap<(usize, u16), Vec<Call>>,
}

impl Histories {
    /// Adds a call that ended, or whose end nobody will know. Refused calls never happened.
    pub fn add(&mut self, group: usize, call: Call) {
        let calls = self.keys.entry((group, call.op.key)).or_default();
        // One more than is searched says that it is too long.
        if calls.len() <= CALLS_MAX {
            calls.push(call);
        }
    }

    /// Searches every history that is short enough; returns how many had an answer.
    ///
    /// # Errors
    ///
    /// The first key whose history nothing explains.
    pub fn judge(&self, steps_max: usize) -> Result<u64, Violation> {
        let mut judged = 0;
        for (&(group, key), calls) in &self.keys {
            match search(calls, steps_max) {
                Found::Order => judged += 1,
                Found::GaveUp => {}
                Found::None => {
                    let what = format!("no order explains key {key} of group {group}: {calls:?}");
                    return Err(Violation::new("search", what));
                }
            }
        }
        Ok(judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Action;

    fn call(action: Action, tag: u64, from: u64, to: Option<(u64, u64)>) -> Call {
        Call {
            op: Op { key: 0, tag, action },
            invoked: Time::from_millis(from),
            returned: to.map(|(at, output)| (Time::from_millis(at), output)),
        }
    }

    #[test]
    fn overlapping_calls_may_take_effect_in_any_order() {
        let calls = [
            call(Action::Put, 1, 0, Some((10, 2))),
            call(Action::Put, 2, 1, Some((9, 0))),
            call(Action::Get, 0, 11, Some((12, 1))),
        ];
        assert_eq!(search(&calls, 1000), Found::Order);
    }

    #[test]
    fn a_read_that_misses_an_earlier_write_has_no_order() {
        let calls = [call(Action::Put, 1, 0, Some((1, 0))), call(Action::Get, 0, 2, Some((3, 0)))];
        assert_eq!(search(&calls, 1000), Found::None);
        let mut histories = Histories::default();
        calls.iter().for_each(|&call| histories.add(0, call));
        assert!(histories.judge(1000).is_err());
    }

    #[test]
    fn a_write_whose_end_nobody_knows_may_have_happened_or_not() {
        let unknown = call(Action::Put, 1, 0, None);
        let seen = call(Action::Get, 0, 2, Some((3, 1)));
        let unseen = call(Action::Get, 0, 2, Some((3, 0)));
        assert_eq!(search(&[unknown, seen], 1000), Found::Order);
        assert_eq!(search(&[unknown, unseen], 1000), Found::Order);
        let late = call(Action::Get, 0, 4, Some((5, 0)));
        assert_eq!(search(&[unknown, seen, late], 1000), Found::None, "not undone again");
    }

    #[test]
    fn a_doubled_effect_has_no_order() {
        let twice = Op { key: 0, tag: 1, action: Action::Append };
        let (once, _) = twice.run(0);
        let (again, _) = twice.run(once);
        let calls = [
            call(Action::Append, 1, 0, Some((1, once))),
            call(Action::Get, 0, 2, Some((3, again))),
        ];
        assert_eq!(search(&calls, 1000), Found::None);
    }

    #[test]
    fn it_gives_up_rather_than_run_for_ever() {
        let calls: Vec<Call> = (1..=40).map(|tag| call(Action::Append, tag, 0, None)).collect();
        let read = call(Action::Get, 0, 1, Some((2, 12345)));
        let all: Vec<Call> = calls.into_iter().chain([read]).collect();
        assert_eq!(search(&all, 1000), Found::GaveUp);
        assert_eq!(search(&[read; 65], 1000), Found::GaveUp);
    }
}
