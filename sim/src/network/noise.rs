//! How badly the network behaves while nothing in particular is broken.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wan::Wan;
use crate::plan::text;
use crate::rng::{Rng, mix, scale, tail};

/// The network's everyday behaviour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Messages lost, out of a million.
    pub loss_ppm: u32,
    /// Messages delivered twice, out of a million.
    pub duplicate_ppm: u32,
    /// Messages that take `late_mean` longer, out of a million: the long tail, which reorders.
    pub late_ppm: u32,
    /// The shortest way.
    #[serde(with = "text::duration")]
    pub delay_min: Duration,
    /// The mean of what comes on top of it.
    #[serde(with = "text::duration")]
    pub delay_mean: Duration,
    /// How that is distributed.
    pub spread: Spread,
    /// The mean of what comes on top of that for late messages and for second copies.
    #[serde(with = "text::duration")]
    pub late_mean: Duration,
    /// Messages that change on their way, out of a million. The receiver breaks the connection.
    pub damage_ppm: u32,
    /// Messages that find their connection broken, out of a million: they are lost, and so are some
    /// of those before them that have not arrived. Until the connection is made anew, within about
    /// `late_mean`, everything is.
    pub reset_ppm: u32,
    /// How narrow links are, if they are.
    pub narrow: Option<Narrow>,
    /// How far nodes are from each other, if not all are close.
    pub wan: Option<Wan>,
}

/// How delays are distributed around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// Most are short, few are long.
    #[default]
    Exponential,
    /// Anything up to twice the mean is equally likely.
    Uniform,
    /// Half are far below the mean; each doubling is half as likely, up to 512 times the mean.
    LongTail,
}

/// Links that take so many bytes a second, and hold up what comes faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Narrow {
    /// How many bytes a link takes in a second, at least one.
    pub bytes_per_second: u64,
    /// How long the last byte of the queue may have to wait; what comes then is lost. A long queue
    /// is what is known as bufferbloat.
    #[serde(with = "text::duration")]
    pub queue: Duration,
}

impl Noise {
    /// A network that loses nothing and is as fast as this one at its best.
    #[must_use]
    pub fn calmed(&self) -> Self {
        Self {
            loss_ppm: 0,
            duplicate_ppm: 0,
            late_ppm: 0,
            damage_ppm: 0,
            reset_ppm: 0,
            delay_mean: self.delay_min / 4,
            spread: Spread::Exponential,
            narrow: None,
            ..self.clone()
        }
    }

    /// The same, so quick that a question is answered long before an election timeout is over.
    #[must_use]
    pub fn quick(self, election: Duration) -> Self {
        Self {
            delay_min: self.delay_min.min(election / 20),
            delay_mean: self.delay_mean.min(election / 50),
            ..self
        }
    }

    /// Adds the rougher kinds of weather, each on a minority of seeds; on every one if `is_rough`.
    #[must_use]
    pub fn roughened(self, seed: u64, election: Duration, is_rough: bool) -> Self {
        let mut rng = Rng::stream(seed, "weather");
        let mut is_on = |percent| rng.percent(if is_rough { percent * 2 } else { percent });
        let [damage, reset, spread, narrow] = [is_on(20), is_on(20), is_on(30), is_on(10)];
        let ppm = |rng: &mut Rng, max| u32::try_from(rng.spread(50, max)).expect("below a million");
        Self {
            damage_ppm: if damage { ppm(&mut rng, 50_000) } else { 0 },
            reset_ppm: if reset { ppm(&mut rng, 50_000) } else { 0 },
            spread: if spread {
                rng.pick(&[Spread::Uniform, Spread::LongTail])
            } else {
                self.spread
            },
            narrow: narrow.then(|| Narrow {
                bytes_per_second: rng.spread(20_000, 20_000_000),
                queue: election / 8 * u32::try_from(rng.within(1, 24)).expect("small"),
            }),
            ..self
        }
    }
}

impl Default for Noise {
    fn default() -> Self {
        let micros = Duration::from_micros;
        Self {
            loss_ppm: 0,
            duplicate_ppm: 0,
            late_ppm: 0,
            delay_min: micros(100),
            delay_mean: micros(20),
            spread: Spread::Exponential,
            late_mean: micros(1_000),
            damage_ppm: 0,
            reset_ppm: 0,
            narrow: None,
            wan: None,
        }
    }
}

impl Spread {
    /// Random bits as a time around a mean.
    #[must_use]
    pub fn draw(self, bits: u64, mean: Duration) -> Duration {
        let nanos = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(match self {
            Self::Exponential => tail(bits, nanos),
            Self::Uniform => scale(bits, nanos.saturating_mul(2)),
            Self::LongTail => {
                // Twelve octaves, each with about a twelfth of the mean.
                let octave = bits.leading_zeros().min(11);
                let base = (nanos / 8) << octave;
                base + scale(mix(bits), base)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spread_has_about_its_mean() {
        let mean = Duration::from_micros(1_000);
        for (spread, least, most) in [
            (Spread::Exponential, 900, 1_200),
            (Spread::Uniform, 950, 1_050),
            (Spread::LongTail, 900, 1_500),
        ] {
            let times = (0..100_000).map(|n| spread.draw(mix(n), mean));
            let sum: Duration = times.sum();
            let found = sum.as_micros() / 100_000;
            assert!((least..most).contains(&found), "{spread:?}: {found}");
        }
    }

    #[test]
    fn a_long_tail_is_mostly_short_and_sometimes_very_long() {
        let mean = Duration::from_micros(1_000);
        let times: Vec<Duration> =
            (0..100_000).map(|n| Spread::LongTail.draw(mix(n), mean)).collect();
        let below = times.iter().filter(|time| **time < mean / 4).count();
        let above = times.iter().filter(|time| **time > mean * 100).count();
        assert!(below > 40_000, "{below}");
        assert!((20..2_000).contains(&above), "{above}");
    }

    #[test]
    fn rough_weather_is_rare_and_all_of_it_comes_up() {
        let calm = Noise::default();
        let all =
            (0..1_000).map(|seed| calm.clone().roughened(seed, Duration::from_millis(100), false));
        let all: Vec<Noise> = all.collect();
        let count = |is: fn(&Noise) -> bool| all.iter().filter(|noise| is(noise)).count();
        assert!((150..250).contains(&count(|noise| noise.damage_ppm > 0)));
        assert!((150..250).contains(&count(|noise| noise.reset_ppm > 0)));
        assert!((60..140).contains(&count(|noise| noise.narrow.is_some())));
        assert!(count(|noise| noise.spread == Spread::Uniform) > 50);
        assert!(count(|noise| noise.spread == Spread::LongTail) > 50);
    }
}
