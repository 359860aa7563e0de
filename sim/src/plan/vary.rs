//! A plan a little different from another: what a search for interesting plans goes by.

use std::time::Duration;

use synod_core::Time;

use super::requests::Load;
use super::{Client, Plan, Preset};
use crate::faults::{self, Family, Planned, Shape};
use crate::rng::{Rng, to_u64};

impl Plan {
    /// Changes one thing: a fault or a request more, less, sooner or later; other settings; another
    /// fate of every message. What comes of it works, see [`check`](Self::check), and has at most
    /// `entries_max` faults and requests.
    pub fn vary(&mut self, rng: &mut Rng, entries_max: usize) {
        match rng.below(16) {
            0 => self.seed = rng.bits(),
            1 => self.weather(rng),
            2 => self.settings(rng),
            3 => self.is_forming = !self.is_forming,
            4..=6 => self.move_fault(rng),
            7 => self.double_fault(rng),
            8..=10 => self.add_fault(rng),
            11 => self.change_request(rng),
            12 | 13 => self.add_request(rng),
            _ => self.drop_one(rng),
        }
        while self.entries() > entries_max {
            self.drop_one(rng);
        }
        self.faults.sort_by_key(|fault| fault.at);
    }

    /// Another network, or none worth mentioning.
    fn weather(&mut self, rng: &mut Rng) {
        let preset = rng.pick(&[Preset::Calm, Preset::Swarm, Preset::Hell]);
        let Self { noise, disk, machine, .. } = Self::draw(rng.bits(), preset);
        match rng.below(3) {
            0 => self.noise = noise,
            1 => self.disk = disk,
            _ => self.machine = machine,
        }
    }

    /// The core's limits from elsewhere; its times stay, since faults go by them.
    fn settings(&mut self, rng: &mut Rng) {
        let preset = rng.pick(&[Preset::Tight, Preset::Swarm]);
        let before = self.core.clone();
        self.core = Self::draw(rng.bits(), preset).core;
        self.core.election_timeout = before.election_timeout;
        self.core.heartbeat_interval = before.heartbeat_interval;
        self.core.retry_interval = before.retry_interval;
        // A lease is no longer than the timeout that it rests on.
        self.core.read_lease = self.core.read_lease.min(before.election_timeout);
    }

    fn move_fault(&mut self, rng: &mut Rng) {
        let (at, count) = (self.sometime(rng), self.faults.len());
        if let Some(fault) = self.faults.get_mut(rng.index(count)) {
            let near = Duration::from_nanos(rng.tail(2_000_000));
            fault.at = match rng.below(3) {
                0 => at,
                1 => (fault.at + near).min(self.until),
                _ => Time::ZERO + fault.at.since(Time::ZERO + near),
            };
        }
    }

    fn double_fault(&mut self, rng: &mut Rng) {
        let at = self.sometime(rng);
        if let Some(fault) = self.faults.get(rng.index(self.faults.len())).cloned() {
            self.faults.push(Planned { at, ..fault });
        }
    }

    fn add_fault(&mut self, rng: &mut Rng) {
        let shape = Shape {
            nodes: self.nodes,
            founders: self.founders(),
            groups: self.groups,
            election: self.core.election_timeout,
            until: self.until,
        };
        let appetite = [(rng.pick(&Family::ALL), 1)].into();
        self.faults.extend(faults::draw(rng.bits(), &appetite, &shape));
    }

    fn change_request(&mut self, rng: &mut Rng) {
        let (count, nodes, groups) = (self.requests.len(), self.nodes, self.groups);
        if let Some(request) = self.requests.get_mut(rng.index(count)) {
            match rng.below(4) {
                0 => request.pause /= 2,
                1 => request.pause *= 2,
                2 => request.elsewhere = Some(rng.index(nodes)),
                _ => request.group = rng.index(groups),
            }
        }
    }

    fn add_request(&mut self, rng: &mut Rng) {
        let election = self.core.election_timeout;
        let load = Load {
            clients: 1,
            open_percent: 50,
            requests: rng.within(1, 3),
            think: election / 4,
            keys: 2,
            hot_percent: 50,
            read_percent: 30,
            padding_max: rng.pick(&[0, 400]),
            patience: (election / 2, election * 6),
            fickle_percent: 50,
        };
        let (_, mut more) = load.expand(rng.bits(), self.nodes, self.groups);
        if self.clients.is_empty() || rng.percent(20) && self.clients.len() < CLIENTS_MAX {
            self.clients.push(Client { home: rng.index(self.nodes), is_open: rng.percent(50) });
        }
        let client = rng.index(self.clients.len());
        let taken = self.requests.iter().filter_map(|request| request.ask.tag()).max();
        let begins = self.sometime(rng).since(Time::ZERO);
        for (n, request) in more.iter_mut().enumerate() {
            request.client = client;
            request.ask.retag(taken.unwrap_or(0) + to_u64(n) + 1);
        }
        if let Some(first) = more.first_mut() {
            first.pause = begins / 4;
        }
        self.requests.append(&mut more);
    }

    fn drop_one(&mut self, rng: &mut Rng) {
        let place = rng.index(self.entries());
        if place < self.faults.len() {
            self.faults.remove(place);
        } else if place < self.entries() {
            self.requests.remove(place - self.faults.len());
        }
    }

    fn sometime(&self, rng: &mut Rng) -> Time {
        Time::from_nanos(rng.below(self.until.as_nanos()))
    }
}

const CLIENTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PlanFile;
    use std::collections::BTreeSet;

    #[test]
    fn what_comes_of_it_works_and_survives_its_file() {
        let mut rng = Rng::stream(1, "vary");
        let mut plan = Plan::default();
        let mut kinds = BTreeSet::new();
        for n in 0..2_000 {
            plan.vary(&mut rng, 40);
            assert_eq!(plan.check(), Ok(()), "{n}");
            assert!(plan.entries() <= 40, "{n}");
            let tags: Vec<u64> = plan.requests.iter().filter_map(|it| it.ask.tag()).collect();
            assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), tags.len(), "{n}: {tags:?}");
            kinds.extend(plan.faults.iter().map(|fault| fault.what.kind()));
        }
        assert!(kinds.len() > 10, "{kinds:?}");
        let file = PlanFile { about: Default::default(), plan };
        assert_eq!(PlanFile::parse(&file.text()).unwrap(), file);
    }
}
