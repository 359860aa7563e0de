//! The network between nodes: who reaches whom, and what becomes of each message.

pub mod damage;
mod noise;
mod wan;

use std::time::Duration;

use synod_core::Time;

use crate::plan::{MessageName, Messages};
use crate::rng::{mix, scale, tail, to_u64};

pub use noise::{Narrow, Noise, Spread};
pub use wan::Wan;

/// What becomes of a message that is not lost at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The how manieth of its link it is, from 1.
    pub number: u64,
    /// After how long it arrives.
    pub wait: Duration,
    /// After how long it arrives a second time, if it does.
    pub again: Option<Duration>,
    /// Random bits to change it by, if it changes on its way. A second copy does not.
    pub damage: Option<u64>,
}

impl Sent {
    /// When the message arrives if it leaves now.
    #[must_use]
    pub fn arrivals(self, now: Time) -> Vec<Time> {
        std::iter::once(self.wait).chain(self.again).map(|wait| now + wait).collect()
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

#[derive(Clone, Debug, Default)]
struct Link {
    sent: u64,
    /// The shortest way, on top of the noise's.
    way: Duration,
    /// How many faults cut it at present.
    cuts: u32,
    /// Multiplies delays, if not zero.
    slow: u32,
    /// Those of its messages were lost with a connection: from and up to their numbers.
    broken: (u64, u64),
    /// When its connection works again.
    back: Time,
    /// How many connections there were before the one of now.
    connection: u64,
    /// When the last byte of its queue has left.
    free: Time,
}

/// What is out of the ordinary about one message; as a rule nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Luck {
    is_lost: bool,
    late: Duration,
    /// How much after the first copy the second one comes.
    again: Option<Duration>,
    damage: Option<u64>,
    /// It finds its connection broken: how many messages are lost, and how long until it is back.
    reset: Option<(u64, Duration)>,
}

impl Network {
    /// A whole network of so many nodes.
    #[must_use]
    pub fn new(seed: u64, nodes: usize, noise: Noise) -> Self {
        let way = |place: usize| {
            noise.wan.as_ref().map_or(Duration::ZERO, |wan| wan.way(place / nodes, place % nodes))
        };
        let links = (0..nodes * nodes).map(|place| Link { way: way(place), ..Link::default() });
        Self {
            seed: mix(seed ^ 0x6e65_7477),
            nodes,
            links: links.collect(),
            noise,
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
    /// whole link, came late, came twice, came damaged or broke their connection.
    #[must_use]
    pub fn strange(&self) -> Messages {
        self.strange.clone().unwrap_or_default()
    }

    /// Decides over the next message, of so many bytes, from one node to another; `None` is lost.
    ///
    /// Drawn by counting: the n-th message of a link has the same luck whatever happens elsewhere.
    pub fn send(&mut self, from: usize, to: usize, bytes: usize, now: Time) -> Option<Sent> {
        let place = from * self.nodes + to;
        let link = &mut self.links[place];
        link.sent += 1;
        let number = link.sent;
        let bits = mix(self.seed ^ mix(number.rotate_left(20) ^ to_u64(place)));
        if link.cuts > 0 {
            return None;
        }
        let luck = self.luck(MessageName { from, to, nth: number }, bits);
        let (noise, link) = (&self.noise, &mut self.links[place]);
        if let Some((messages, back)) = luck.reset {
            link.break_off(messages, now + back);
        }
        if luck.is_lost || now < link.back {
            return None;
        }
        let spread = noise.spread.draw(draw(bits, 2), noise.delay_mean);
        let mut wait = (noise.delay_min + spread) * link.slow.max(1) + link.way + luck.late;
        if let Some(wan) = &noise.wan {
            wait += wan.jitter(draw(bits, 10), link.way);
        }
        if let Some(narrow) = noise.narrow {
            wait += link.queue(narrow, bytes, now)?;
        }
        let again = luck.again.map(|later| wait + later);
        Some(Sent { number, wait, again, damage: luck.damage })
    }

    /// What is out of the ordinary about a message on a whole link.
    fn luck(&mut self, name: MessageName, bits: u64) -> Luck {
        let noise = &self.noise;
        let ppm = |what, n: u32| n > 0 && scale(draw(bits, what), 1_000_000) < n.into();
        let late = |what| Duration::from_nanos(tail(draw(bits, what), nanos(noise.late_mean)));
        let luck = Luck {
            is_lost: ppm(1, noise.loss_ppm),
            late: if ppm(3, noise.late_ppm) { late(4) } else { Duration::ZERO },
            again: ppm(5, noise.duplicate_ppm).then(|| late(6)),
            reset: ppm(7, noise.reset_ppm)
                .then(|| (1 + tail(draw(bits, 8), SUFFIX_MEAN * 1_000) / 1_000, late(9))),
            damage: ppm(11, noise.damage_ppm).then(|| draw(bits, 12)),
        };
        if luck == Luck::default() || (self.only.is_none() && self.strange.is_none()) {
            return luck;
        }
        if self.only.as_ref().is_some_and(|only| !only.0.contains(&name)) {
            return Luck::default();
        }
        if let Some(strange) = &mut self.strange {
            strange.0.insert(name);
        }
        luck
    }

    /// Whether a message that is under way may still arrive: cutting a link and breaking its
    /// connection lose those too.
    #[must_use]
    pub fn arrives(&self, from: usize, to: usize, number: u64) -> bool {
        let link = &self.links[from * self.nodes + to];
        let (first, last) = link.broken;
        link.cuts == 0 && !(first..=last).contains(&number)
    }

    /// The receiver breaks the connection: everything under way is lost.
    pub fn reset(&mut self, from: usize, to: usize, now: Time) {
        let link = &mut self.links[from * self.nodes + to];
        link.break_off(link.sent, now + self.noise.delay_min + link.way);
    }

    /// Which connection of the link there is now: another one after each that broke, and after a
    /// partition.
    #[must_use]
    pub fn connection(&self, from: usize, to: usize) -> u64 {
        self.links[from * self.nodes + to].connection
    }

    /// Whether no fault cuts the link, in either direction.
    #[must_use]
    pub fn joins(&self, one: usize, other: usize) -> bool {
        let is_whole = |from: usize, to: usize| self.links[from * self.nodes + to].cuts == 0;
        is_whole(one, other) && is_whole(other, one)
    }

    /// Cuts one direction of a link once more; [`join`](Self::join) undoes one cut.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.links[from * self.nodes + to].cuts += 1;
    }

    /// Undoes one cut; without any nothing happens, since [`heal`](Self::heal) may have come first.
    pub fn join(&mut self, from: usize, to: usize) {
        let link = &mut self.links[from * self.nodes + to];
        link.connection += u64::from(link.cuts == 1);
        link.cuts = link.cuts.saturating_sub(1);
    }

    /// Makes one direction of a link so many times slower; 1 or less is full speed.
    pub fn slow(&mut self, from: usize, to: usize, factor: u32) {
        self.links[from * self.nodes + to].slow = factor;
    }

    /// Joins every link, and from now on loses nothing.
    pub fn heal(&mut self) {
        for link in &mut self.links {
            link.connection += u64::from(link.cuts > 0);
            (link.cuts, link.slow) = (0, 0);
            (link.back, link.free) = (Time::ZERO, Time::ZERO);
        }
        self.noise = self.noise.calmed();
    }
}

impl Link {
    /// Loses the last so many messages sent, those that have not arrived, and works again later.
    fn break_off(&mut self, messages: u64, back: Time) {
        let first = (self.sent + 1).saturating_sub(messages.max(1));
        let goes_on = first <= self.broken.1;
        self.broken = (if goes_on { first.min(self.broken.0) } else { first }, self.sent);
        self.back = self.back.max(back);
        self.connection += 1;
    }

    /// How long so many bytes have to queue before they are on their way; `None` is lost, since the
    /// queue is full.
    fn queue(&mut self, narrow: Narrow, bytes: usize, now: Time) -> Option<Duration> {
        if self.free.since(now) > narrow.queue {
            return None;
        }
        let nanos = to_u64(bytes).saturating_mul(1_000_000_000) / narrow.bytes_per_second.max(1);
        self.free = self.free.max(now) + Duration::from_nanos(nanos);
        Some(self.free.since(now))
    }
}

/// The `what`-th random number about one message.
const fn draw(bits: u64, what: u64) -> u64 {
    mix(bits ^ (what << 48))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many messages a broken connection loses, about: the suffix that had not arrived.
const SUFFIX_MEAN: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy() -> Noise {
        Noise {
            loss_ppm: 100_000,
            duplicate_ppm: 100_000,
            late_ppm: 100_000,
            damage_ppm: 100_000,
            delay_mean: Duration::from_micros(100),
            late_mean: Duration::from_millis(50),
            ..Noise::default()
        }
    }

    #[test]
    fn every_fate_happens_about_as_often_as_asked() {
        let mut network = Network::new(1, 3, noisy());
        let fates: Vec<_> = (0..10_000).map(|_| network.send(0, 1, 10, Time::ZERO)).collect();
        let lost = fates.iter().filter(|fate| fate.is_none()).count();
        let twice = fates.iter().flatten().filter(|sent| sent.again.is_some()).count();
        let damaged = fates.iter().flatten().filter(|sent| sent.damage.is_some()).count();
        assert!((800..1200).contains(&lost), "{lost} lost");
        assert!((700..1100).contains(&twice), "{twice} twice");
        assert!((700..1100).contains(&damaged), "{damaged} damaged");
    }

    #[test]
    fn traffic_on_one_link_does_not_change_another() {
        let mut quiet = Network::new(1, 3, noisy());
        let mut busy = Network::new(1, 3, noisy());
        for _ in 0..100 {
            busy.send(0, 2, 10, Time::ZERO);
            assert_eq!(quiet.send(0, 1, 10, Time::ZERO), busy.send(0, 1, 10, Time::ZERO));
        }
    }

    #[test]
    fn something_happens_to_the_named_messages_only() {
        let fates = |only| {
            let mut network = Network::new(1, 3, noisy()).only(only);
            network.watch();
            let fates: Vec<_> = (0..100).map(|_| network.send(0, 1, 10, Time::ZERO)).collect();
            (fates, network.strange())
        };
        let (all, strange) = fates(None);
        assert!((10..70).contains(&strange.0.len()), "{strange:?}");
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
        let mut network = Network::new(1, 3, Noise::default());
        network.cut(0, 1);
        network.cut(0, 1);
        network.join(0, 1);
        assert_eq!(network.send(0, 1, 10, Time::ZERO), None);
        assert!(network.send(1, 0, 10, Time::ZERO).is_some());
        assert!(!network.arrives(0, 1, 1));
        network.heal();
        network.join(0, 1);
        assert!(network.send(0, 1, 10, Time::ZERO).is_some());
    }

    #[test]
    fn a_broken_connection_loses_what_is_under_way_and_works_again_later() {
        let mut network = Network::new(1, 3, Noise::default());
        for _ in 0..5 {
            network.send(0, 1, 10, Time::ZERO);
        }
        network.reset(0, 1, Time::ZERO);
        assert!((1..=5).all(|number| !network.arrives(0, 1, number)));
        assert_eq!(network.send(0, 1, 10, Time::ZERO), None, "there is no connection yet");
        let later = Time::from_millis(1);
        let sent = network.send(0, 1, 10, later).unwrap();
        assert!(network.arrives(0, 1, sent.number));
        assert!(network.send(1, 0, 10, Time::ZERO).is_some(), "the other direction is another one");
    }

    #[test]
    fn a_connection_ends_when_it_breaks_and_when_a_partition_passes() {
        let mut network = Network::new(1, 3, Noise::default());
        network.cut(0, 1);
        network.cut(0, 1);
        network.join(0, 1);
        assert_eq!((network.connection(0, 1), network.joins(1, 0)), (0, false));
        network.join(0, 1);
        assert_eq!((network.connection(0, 1), network.joins(1, 0)), (1, true));
        network.join(0, 1);
        assert_eq!(network.connection(0, 1), 1, "it was whole already");
        network.reset(0, 1, Time::ZERO);
        network.cut(0, 1);
        network.heal();
        assert_eq!((network.connection(0, 1), network.connection(1, 0)), (3, 0));
    }

    #[test]
    fn connections_that_break_by_themselves_lose_a_suffix() {
        let mut network = Network::new(1, 2, Noise { reset_ppm: 10_000, ..Noise::default() });
        let (mut broke, mut before) = (0, 0);
        for n in 0..10_000 {
            let was = network.links[1].broken;
            let sent = network.send(0, 1, 10, Time::from_millis(n * 10));
            let (first, last) = network.links[1].broken;
            if (first, last) != was {
                assert_eq!((sent, last), (None, n + 1));
                assert!(!network.arrives(0, 1, n + 1));
                broke += 1;
                before += u64::from(first <= n);
            }
        }
        assert!((60..140).contains(&broke), "{broke}");
        assert!(before > broke / 2, "{before} of {broke} lost something sent before");
    }

    #[test]
    fn a_narrow_link_delays_by_what_queues_and_then_loses() {
        let narrow = Narrow { bytes_per_second: 1_000, queue: Duration::from_secs(1) };
        let mut link = Link::default();
        let mut queue = |at| link.queue(narrow, 500, Time::from_millis(at));
        let millis = |n| Some(Duration::from_millis(n));
        assert_eq!([queue(0), queue(0), queue(0)], [500, 1_000, 1_500].map(millis));
        assert_eq!(queue(0), None);
        assert_eq!(queue(600), millis(1_400));
        assert_eq!(queue(9_000), millis(500));
    }

    #[test]
    fn a_message_between_regions_takes_at_least_the_way() {
        let ways = [20, 30, 40].map(Duration::from_millis);
        let wan = Wan { regions: vec![0, 1, 2], ways: ways.to_vec(), jitter_percent: 10 };
        let mut network = Network::new(1, 3, Noise { wan: Some(wan), ..Noise::default() });
        let wait = network.send(1, 2, 10, Time::ZERO).unwrap().wait;
        assert!((ways[2]..ways[2] * 2).contains(&wait), "{wait:?}");
    }
}
