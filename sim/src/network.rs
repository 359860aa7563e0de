//! The network between nodes: who reaches whom, and what becomes of each message.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_core::Time;

use crate::plan::{MessageName, Messages, text};
use crate::rng::{mix, scale, tail};

/// How badly the network behaves while nothing in particular is broken.
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
    /// The mean of what comes on top of it, exponential.
    #[serde(with = "text::duration")]
    pub delay_mean: Duration,
    /// The mean of what comes on top of that for late messages and for second copies.
    #[serde(with = "text::duration")]
    pub late_mean: Duration,
}

impl Noise {
    /// A network that loses nothing and is as fast as this one at its best.
    #[must_use]
    pub fn calmed(&self) -> Self {
        Self {
            loss_ppm: 0,
            duplicate_ppm: 0,
            late_ppm: 0,
            delay_mean: self.delay_min / 4,
            ..self.clone()
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
            late_mean: micros(1_000),
        }
    }
}

/// What becomes of one message: up to two arrivals, each after a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives once.
    Once(Duration),
    /// It arrives twice.
    Twice(Duration, Duration),
}

impl Fate {
    /// When a message with this fate arrives that leaves now.
    #[must_use]
    pub fn arrivals(self, now: Time) -> Vec<Time> {
        match self {
            Self::Lost => Vec::new(),
            Self::Once(wait) => vec![now + wait],
            Self::Twice(first, second) => vec![now + first, now + second],
        }
    }
}

/// Every link between two nodes, each direction for itself.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    nodes: usize,
    noise: Noise,
    links: Vec<Link>,
    /// The only messages to which something may happen, if it is not any.
    only: Option<Messages>,
    /// Those to which something has happened, if that is to be known.
    strange: Option<Messages>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    sent: u64,
    /// How many faults cut it at present.
    cuts: u32,
    /// Multiplies delays, if not zero.
    slow: u32,
}

impl Network {
    /// A whole network of so many nodes.
    #[must_use]
    pub fn new(seed: u64, nodes: usize, noise: Noise) -> Self {
        Self {
            seed: mix(seed ^ 0x6e65_7477),
            nodes,
            noise,
            links: vec![Link::default(); nodes * nodes],
            only: None,
            strange: None,
        }
    }

    /// The same network, in which something happens to these messages only.
    #[must_use]
    pub fn only(self, only: Option<Messages>) -> Self {
        Self { only, ..self }
    }

    /// From now on, remembers to which messages something happens.
    pub fn watch(&mut self) {
        self.strange = Some(Messages::default());
    }

    /// To which messages something has happened since [`watch`](Self::watch): they were lost on a
    /// whole link, came late or came twice.
    #[must_use]
    pub fn strange(&self) -> Messages {
        self.strange.clone().unwrap_or_default()
    }

    /// Decides over the next message from one node to another.
    ///
    /// Drawn by counting: the n-th message of a link has the same fate whatever happens elsewhere.
    pub fn send(&mut self, from: usize, to: usize) -> Fate {
        let place = from * self.nodes + to;
        let link = &mut self.links[place];
        link.sent += 1;
        let nth = link.sent;
        let bits = mix(self.seed ^ mix(nth.rotate_left(20) ^ crate::rng::to_u64(place)));
        if link.cuts > 0 {
            return Fate::Lost;
        }
        let plain = Fate::Once(self.plain(place, bits));
        let drawn = self.drawn(place, bits);
        if drawn == plain || (self.only.is_none() && self.strange.is_none()) {
            return drawn;
        }
        let name = MessageName { from, to, nth };
        if self.only.as_ref().is_some_and(|only| !only.0.contains(&name)) {
            return plain;
        }
        if let Some(strange) = &mut self.strange {
            strange.0.insert(name);
        }
        drawn
    }

    /// How long a message takes to which nothing happens.
    fn plain(&self, place: usize, bits: u64) -> Duration {
        let spread = tail(draw(bits, 2), nanos(self.noise.delay_mean));
        (self.noise.delay_min + Duration::from_nanos(spread)) * self.links[place].slow.max(1)
    }

    /// What becomes of a message on a whole link.
    fn drawn(&self, place: usize, bits: u64) -> Fate {
        let ppm = |what, n: u32| scale(draw(bits, what), 1_000_000) < n.into();
        let late = |what| Duration::from_nanos(tail(draw(bits, what), nanos(self.noise.late_mean)));
        if ppm(1, self.noise.loss_ppm) {
            return Fate::Lost;
        }
        let mut first = self.plain(place, bits);
        if ppm(3, self.noise.late_ppm) {
            first += late(4);
        }
        if ppm(5, self.noise.duplicate_ppm) {
            return Fate::Twice(first, first + late(6));
        }
        Fate::Once(first)
    }

    /// Whether a message that is under way may still arrive: cutting a link loses those too.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.links[from * self.nodes + to].cuts > 0
    }

    /// Cuts one direction of a link once more; [`join`](Self::join) undoes one cut.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.links[from * self.nodes + to].cuts += 1;
    }

    /// Undoes one cut; without any nothing happens, since [`heal`](Self::heal) may have come first.
    pub fn join(&mut self, from: usize, to: usize) {
        let cuts = &mut self.links[from * self.nodes + to].cuts;
        *cuts = cuts.saturating_sub(1);
    }

    /// Makes one direction of a link so many times slower; 1 or less is full speed.
    pub fn slow(&mut self, from: usize, to: usize, factor: u32) {
        self.links[from * self.nodes + to].slow = factor;
    }

    /// Joins every link, and from now on loses nothing.
    pub fn heal(&mut self) {
        for link in &mut self.links {
            (link.cuts, link.slow) = (0, 0);
        }
        self.noise = self.noise.calmed();
    }
}

/// The `what`-th random number about one message.
const fn draw(bits: u64, what: u64) -> u64 {
    mix(bits ^ (what << 48))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy() -> Noise {
        Noise {
            loss_ppm: 100_000,
            duplicate_ppm: 100_000,
            late_ppm: 100_000,
            delay_min: Duration::from_micros(100),
            delay_mean: Duration::from_micros(100),
            late_mean: Duration::from_millis(50),
        }
    }

    #[test]
    fn every_fate_happens_about_as_often_as_asked() {
        let mut network = Network::new(1, 3, noisy());
        let fates: Vec<Fate> = (0..10_000).map(|_| network.send(0, 1)).collect();
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        let twice = fates.iter().filter(|fate| matches!(fate, Fate::Twice(..))).count();
        assert!((800..1200).contains(&lost), "{lost} lost");
        assert!((700..1100).contains(&twice), "{twice} twice");
    }

    #[test]
    fn traffic_on_one_link_does_not_change_another() {
        let mut quiet = Network::new(1, 3, noisy());
        let mut busy = Network::new(1, 3, noisy());
        for _ in 0..100 {
            busy.send(0, 2);
            assert_eq!(quiet.send(0, 1), busy.send(0, 1));
        }
    }

    #[test]
    fn something_happens_to_the_named_messages_only() {
        let fates = |only| {
            let mut network = Network::new(1, 3, noisy()).only(only);
            network.watch();
            let fates: Vec<Fate> = (0..100).map(|_| network.send(0, 1)).collect();
            (fates, network.strange())
        };
        let (all, strange) = fates(None);
        assert!((10..60).contains(&strange.0.len()), "{strange:?}");
        assert_eq!(fates(Some(strange.clone())), (all.clone(), strange.clone()));
        let first = *strange.0.first().unwrap();
        let (some, left) = fates(Some(Messages([first].into())));
        assert_eq!(left.0.len(), 1);
        for (nth, (all, some)) in (1..).zip(all.iter().zip(&some)) {
            let is_strange = strange.0.contains(&MessageName { nth, ..first }) && nth != first.nth;
            assert_eq!(all != some, is_strange, "{nth}");
        }
    }

    #[test]
    fn a_cut_is_one_way_and_nests() {
        let mut network = Network::new(1, 3, noisy().calmed());
        network.cut(0, 1);
        network.cut(0, 1);
        network.join(0, 1);
        assert_eq!(network.send(0, 1), Fate::Lost);
        assert!(matches!(network.send(1, 0), Fate::Once(_)));
        network.heal();
        network.join(0, 1);
        assert!(matches!(network.send(0, 1), Fate::Once(_)));
    }
}
