//! Delta debugging: the few of many things that it takes.
//!
//! Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input" (2002): leave out ever
//! smaller parts, as long as it still fails without them.

/// Leaves out what can be left out of `all` while `fails` still says yes. Without any one of what
/// remains it does not fail any more.
pub(super) fn ddmin<T: Clone>(all: &[T], mut fails: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut left = all.to_vec();
    let mut parts = 2;
    while !left.is_empty() {
        let size = left.len().div_ceil(parts);
        let mut from = 0;
        let mut is_less = false;
        while from < left.len() {
            let to = (from + size).min(left.len());
            let without: Vec<T> = left[..from].iter().chain(&left[to..]).cloned().collect();
            if fails(&without) {
                // What comes next has moved here.
                left = without;
                is_less = true;
            } else {
                from = to;
            }
        }
        if size == 1 && !is_less {
            break;
        }
        // After a whole round over single things that left some out, another round.
        parts = if size == 1 { left.len().max(1) } else { (parts * 2).min(left.len().max(1)) };
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_remains() {
        let all: Vec<u32> = (0..100).collect();
        let mut runs = 0;
        let left = ddmin(&all, |some| {
            runs += 1;
            [3, 41, 42, 97].iter().all(|needed| some.contains(needed))
        });
        assert_eq!(left, [3, 41, 42, 97]);
        assert!(runs < 200, "{runs}");
    }

    #[test]
    fn nothing_may_remain_and_everything_may() {
        assert!(ddmin(&[1, 2, 3], |_| true).is_empty());
        assert_eq!(ddmin(&[1, 2, 3], |some| some.len() == 3), [1, 2, 3]);
        assert!(ddmin(&[0; 0], |_| true).is_empty());
        assert_eq!(ddmin(&[1, 2, 3, 4, 5], |some| some.contains(&5)), [5]);
    }

    #[test]
    fn things_that_only_go_together_go() {
        // An even number of sevens fails.
        let sevens = |some: &[i32]| some.iter().filter(|&&n| n == 7).count() % 2 == 0;
        let left = ddmin(&[7, 1, 7, 2], sevens);
        assert!(!left.contains(&1) && !left.contains(&2), "{left:?}");
    }
}
