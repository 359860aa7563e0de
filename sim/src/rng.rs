//! Random numbers from one seed: named streams, integers only.
//!
//! Every concern draws from its own stream, so that a new draw in one place does not shift the draws
//! of another, and old seeds keep their meaning longer. What happens to a network message is not
//! drawn from a stream at all: it is a hash of (seed, link, n-th message), see [`mix`], so that one
//! message more or less on one link changes nothing on the others.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// One named stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream of this seed with this name. Different names give independent streams.
    #[must_use]
    pub fn stream(seed: u64, name: &str) -> Self {
        Self::numbered(seed, name, 0)
    }

    /// The `n`-th of several streams with one name: one per node, say.
    #[must_use]
    pub fn numbered(seed: u64, name: &str, n: u64) -> Self {
        let mut key = [0; 32];
        let mut word = mix(seed ^ 0x5be0_cd19_137e_2179);
        for byte in name.bytes() {
            word = mix(word ^ u64::from(byte));
        }
        for part in key.chunks_exact_mut(8) {
            word = mix(word ^ n);
            part.copy_from_slice(&word.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n`, evenly; zero if `n` is zero.
    pub fn below(&mut self, n: u64) -> u64 {
        scale(self.bits(), n)
    }

    /// A number in `low..=high`, evenly; `low` if the range is empty.
    pub fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// A number in `low..=high` whose number of digits is even: small ones are as likely as large.
    pub fn spread(&mut self, low: u64, high: u64) -> u64 {
        let floor = low.max(1);
        let octaves = high.max(1).ilog2().saturating_sub(floor.ilog2());
        let octave = self.within(0, octaves.into());
        let from = floor << octave;
        self.within(from, from.saturating_mul(2) - 1).clamp(low, high)
    }

    /// True `n` times out of a million.
    pub fn ppm(&mut self, n: u32) -> bool {
        self.below(1_000_000) < n.into()
    }

    /// True `n` times out of a hundred.
    pub fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }

    /// An index into something of this length; zero if it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        to_index(self.below(to_u64(len)))
    }

    /// One of these.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A number whose mean is about `mean`, with an exponential tail cut at sixteen times the mean.
    pub fn tail(&mut self, mean: u64) -> u64 {
        tail(self.bits(), mean)
    }
}

/// Scrambles a word: equal words give equal results, and any bit that differs changes them all.
#[must_use]
pub const fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random bits as a number below `n`.
#[must_use]
pub fn scale(bits: u64, n: u64) -> u64 {
    let wide = u128::from(bits) * u128::from(n);
    u64::try_from(wide >> 64).expect("the upper half of a product of two words is a word")
}

/// Random bits as a number whose mean is about `mean`, with an exponential tail: each doubling of a
/// run of leading zeros is half as likely, and within a step the number is even. No logarithm, so
/// the same on every machine.
#[must_use]
pub fn tail(bits: u64, mean: u64) -> u64 {
    let step = (mean / 10).saturating_mul(7).max(1);
    let steps = u64::from(bits.leading_zeros().min(22));
    let within = scale(mix(bits), step);
    steps * step + within
}

/// A count as a word.
#[must_use]
pub fn to_u64(n: usize) -> u64 {
    u64::try_from(n).expect("a usize fits into 64 bits")
}

/// A word as a count.
#[must_use]
pub fn to_index(n: u64) -> usize {
    usize::try_from(n).expect("within memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_every_time_and_names_are_independent() {
        let take = |name| {
            let mut rng = Rng::stream(7, name);
            [rng.bits(), rng.bits()]
        };
        assert_eq!(take("plan"), take("plan"));
        assert_ne!(take("plan"), take("disk"));
        // Old seeds keep their meaning: this number may not change.
        assert_eq!(Rng::stream(7, "plan").below(1000), 282);
    }

    #[test]
    fn draws_stay_within_their_ranges_and_reach_both_ends() {
        let mut rng = Rng::stream(1, "range");
        let draws: Vec<u64> = (0..1000).map(|_| rng.within(3, 6)).collect();
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&3), Some(&6)));
        let draws: Vec<u64> = (0..1000).map(|_| rng.spread(1, 1000)).collect();
        assert!(draws.iter().all(|&n| (1..=1000).contains(&n)));
        assert!(draws.iter().filter(|&&n| n < 10).count() > 100, "small ones are not rare");
    }

    #[test]
    fn a_tail_has_about_the_mean_it_was_asked_for() {
        let mut rng = Rng::stream(1, "tail");
        let sum: u64 = (0..10_000).map(|_| rng.tail(1000)).sum();
        assert!((900..1200).contains(&(sum / 10_000)), "mean {}", sum / 10_000);
    }
}
