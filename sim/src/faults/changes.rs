//! An operator who changes who votes: machines that are added, followers that are promoted, members that
//! are removed, replaced or moved, one change after the other or several at once.
//!
//! Each draw is something that operators do: grow a cluster, shrink it, put one machine in the place of
//! another, send a removed one back in as new, or get in each other's way. Nobody looks whether the last
//! step worked before the next one: what makes no sense any more by then is refused. On some draws the
//! leader falls, or loses touch, about when it makes the change.

use std::time::Duration;

use super::{Alteration, Crash, Fault, Moment, Pattern, Shape, Victim, down, victim};
use crate::rng::Rng;

type Parts = Vec<(Duration, Fault)>;

pub(super) fn draw(rng: &mut Rng, shape: &Shape) -> Parts {
    let mut operator =
        Operator { group: rng.index(shape.groups), shape: *shape, parts: Vec::new() };
    match rng.below(100) {
        0..=24 => operator.grow(rng),
        25..=44 => operator.shrink(rng),
        45..=59 => operator.there_and_back(rng),
        60..=74 => operator.replace(rng),
        75..=86 => operator.storm(rng),
        87..=94 => operator.one_after_the_other(rng),
        _ => operator.stay_with_a_follower(rng),
    }
    operator.parts
}

struct Operator {
    group: usize,
    shape: Shape,
    parts: Parts,
}

impl Operator {
    /// Machines come in, each at once or as a follower first, which is promoted later.
    fn grow(&mut self, rng: &mut Rng) {
        let mut at = Duration::ZERO;
        for _ in 0..rng.within(1, 2) {
            let new = self.newcomer(rng);
            if rng.percent(50) {
                self.ask(rng, at, vec![Alteration::Add(new)]);
            } else {
                self.ask(rng, at, vec![Alteration::AddFollower(new)]);
                // A follower that never becomes more is one as well.
                if rng.percent(80) {
                    at += self.pause(rng);
                    self.ask(rng, at, vec![Alteration::Promote(new)]);
                }
            }
            at += self.pause(rng);
        }
    }

    /// Members go, and run on; some are renewed and come back.
    fn shrink(&mut self, rng: &mut Rng) {
        let mut at = Duration::ZERO;
        for _ in 0..rng.within(1, 2) {
            let old = self.member(rng);
            self.ask(rng, at, vec![Alteration::Remove(old)]);
            at += self.pause(rng);
            if let Victim::Node(node) = old
                && rng.percent(50)
            {
                let down = down(rng, &self.shape);
                self.parts.push((at, Fault::Renewal { node, down }));
                at += self.pause(rng);
                self.ask(rng, at, vec![Alteration::Add(node)]);
                at += self.pause(rng);
            }
        }
    }

    /// Two machines come in, and two members go: of one node there are three for a while.
    fn there_and_back(&mut self, rng: &mut Rng) {
        let mut at = Duration::ZERO;
        let new = [0, 1].map(|n| self.shape.founders + n).map(|n| n % self.shape.nodes);
        if rng.percent(50) {
            self.ask(rng, at, new.map(Alteration::Add).to_vec());
        } else {
            for node in new {
                self.ask(rng, at, vec![Alteration::Add(node)]);
                at += self.pause(rng);
            }
        }
        for _ in 0..2 {
            at += self.pause(rng);
            let old = self.member(rng);
            self.ask(rng, at, vec![Alteration::Remove(old)]);
        }
    }

    /// A machine comes in the place of a member, or several in the places of several.
    fn replace(&mut self, rng: &mut Rng) {
        let first = rng.index(self.shape.nodes);
        let one = Alteration::Replace(self.member(rng), self.newcomer(rng));
        let two = Alteration::Replace(Victim::Node(first), self.newcomer(rng));
        let what = if rng.percent(25) { vec![one, two] } else { vec![one] };
        self.ask(rng, Duration::ZERO, what);
        if rng.percent(50) {
            let at = self.pause(rng);
            let down = down(rng, &self.shape);
            self.parts.push((at, Fault::Renewal { node: first, down }));
        }
    }

    /// Several operators at once, who do not know of each other.
    fn storm(&mut self, rng: &mut Rng) {
        let within = self.micros() / 4 + 1;
        for _ in 0..rng.within(2, 6) {
            let at = Duration::from_micros(rng.below(within));
            let what = self.anything(rng);
            self.ask(rng, at, vec![what]);
        }
    }

    /// One change after the other, each as soon as the last one may be through.
    fn one_after_the_other(&mut self, rng: &mut Rng) {
        let mut at = Duration::ZERO;
        for _ in 0..rng.within(2, 5) {
            let what = self.anything(rng);
            self.ask(rng, at, vec![what]);
            at += Duration::from_micros(rng.within(self.micros() / 8, self.micros()));
        }
    }

    /// A follower comes in, and later only it and one of the founders hear each other: if that one
    /// leads, nobody else of whom it hears counts, and the others elect another leader meanwhile.
    fn stay_with_a_follower(&mut self, rng: &mut Rng) {
        let (new, founder) = (self.newcomer(rng), rng.index(self.shape.founders));
        self.ask(rng, Duration::ZERO, vec![Alteration::AddFollower(new)]);
        let at = self.pause(rng) + self.shape.election;
        let is_inside = |node: usize| node == new || node == founder;
        let all = || 0..self.shape.nodes;
        let links = all().flat_map(|from| all().map(move |to| (from, to)));
        let links = links.filter(|&(from, to)| is_inside(from) != is_inside(to)).collect();
        let lasting = Duration::from_micros(rng.within(self.micros() * 3, self.micros() * 8));
        self.parts.push((at, Fault::Cut { links, pattern: Pattern::Split, lasting }));
    }

    fn anything(&self, rng: &mut Rng) -> Alteration {
        match rng.below(6) {
            0 => Alteration::Add(self.newcomer(rng)),
            1 => Alteration::AddFollower(self.newcomer(rng)),
            2 => Alteration::Remove(self.member(rng)),
            3 => Alteration::Replace(self.member(rng), self.newcomer(rng)),
            4 => Alteration::Promote(rng.index(self.shape.nodes)),
            _ => Alteration::Move(rng.index(self.shape.nodes)),
        }
    }

    /// Asks for a change; now and then the leader does not live to see it, or is not heard.
    fn ask(&mut self, rng: &mut Rng, at: Duration, what: Vec<Alteration>) {
        let Self { group, shape, .. } = *self;
        let patience = Duration::from_micros(rng.spread(self.micros(), self.micros() * 16));
        let (asked, is_late) = (victim(rng, &shape, 50), rng.percent(8));
        self.parts.push((at, Fault::Change { group, asked, what, is_late, patience }));
        let soon = at + Duration::from_micros(rng.spread(self.micros() / 500 + 1, self.micros()));
        let leader = Victim::Leader(group);
        match rng.below(100) {
            0..=11 => {
                let how = rng.pick(&[Crash::Kill, Crash::Power]);
                let moment = match rng.below(4) {
                    0 => Moment::Accepts(rng.below(4)),
                    1 => Moment::Synced,
                    2 => Moment::Told,
                    _ => Moment::Event(rng.spread(1, 60)),
                };
                let down = down(rng, &shape);
                self.parts.push((soon, Fault::Crash { victim: leader, how, moment, down }));
            }
            12..=21 => {
                let (out, into) = rng.pick(&[(true, true), (true, false), (false, true)]);
                let lasting = Duration::from_micros(rng.spread(self.micros(), self.micros() * 5));
                self.parts.push((soon, Fault::CutLeader { group, out, into, lasting }));
            }
            22..=26 => {
                self.parts.push((soon, Fault::Transfer { group, to: rng.index(shape.nodes) }));
            }
            _ => {}
        }
    }

    /// One that is no founder, mostly.
    fn newcomer(&self, rng: &mut Rng) -> usize {
        let Shape { nodes, founders, .. } = self.shape;
        if nodes > founders && rng.percent(75) {
            founders + rng.index(nodes - founders)
        } else {
            rng.index(nodes)
        }
    }

    /// Any node, or whoever leads.
    fn member(&self, rng: &mut Rng) -> Victim {
        if rng.percent(25) {
            Victim::Leader(self.group)
        } else {
            Victim::Node(rng.index(self.shape.nodes))
        }
    }

    /// Until the last change is through, more or less.
    fn pause(&self, rng: &mut Rng) -> Duration {
        Duration::from_micros(rng.spread(self.micros() / 4, self.micros() * 6))
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.shape.election.as_micros()).unwrap_or(u64::MAX).max(8)
    }
}
