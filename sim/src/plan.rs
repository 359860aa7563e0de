//! Everything that a seed decides before the run starts: the cluster, its settings, the weather, what
//! the clients do and what goes wrong when.
//!
//! Seeds differ in kind, not only in numbers. A swarm seed leaves out most features by the toss of a
//! coin, so that what remains can go far; others turn everything on, or set every limit as tight as
//! it goes. Which kind finds a given bug is not known in advance, so there is a mix.

use std::fmt;
use std::time::Duration;

use synod_core::{Config, Time};

use crate::faults::{self, Appetite, Fault, Shape};
use crate::network::Noise;
use crate::rng::{Rng, to_index};

/// The plan of one run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it came from.
    pub seed: u64,
    /// What kind of run.
    pub style: Style,
    /// How many nodes; all vote.
    pub nodes: usize,
    /// How many groups, each on all nodes.
    pub groups: usize,
    /// Whether the nodes have to find each other first; else they start founded.
    pub is_forming: bool,
    /// Settings of every group on every node; the seed of each differs.
    pub core: Config,
    /// Size of a log segment.
    pub segment_bytes: u64,
    /// The network's everyday behaviour.
    pub noise: Noise,
    /// The disks' everyday behaviour.
    pub disk: Disk,
    /// The state machines' everyday behaviour.
    pub machine: Machine,
    /// What clients do.
    pub load: Load,
    /// What goes wrong, in order of time.
    pub faults: Vec<(Time, Fault)>,
    /// When everything is mended and clients stop.
    pub until: Time,
    /// How long after that everything must work again.
    pub recovery: Duration,
}

/// A kind of run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Style {
    /// Each feature by the toss of a coin.
    Swarm,
    /// Everything at once.
    Everything,
    /// Limits as tight as they go.
    Tight,
    /// Little but crashes, many of them.
    Crashes,
    /// Little but partitions and leader changes, many of them.
    Partitions,
    /// Nothing goes wrong.
    Calm,
}

/// How long disks take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// From the start of a write to its sync.
    pub write: Duration,
    /// The mean of a sync's time, exponential.
    pub sync: Duration,
    /// The mean time until the node is told, exponential.
    pub tell: Duration,
}

/// How state machines behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The mean time until what was handed out is executed.
    pub delay: Duration,
    /// Which nodes' machines keep their own state, so that it may be ahead of the log at a restart.
    pub keeps: Vec<bool>,
}

/// What clients do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// How many there are.
    pub clients: usize,
    /// Out of a hundred, how many do not wait for an answer before they ask again.
    pub open_percent: u64,
    /// How many requests there are in all.
    pub requests: u64,
    /// The mean time between two requests of a client.
    pub think: Duration,
    /// How many keys there are.
    pub keys: u64,
    /// Out of a hundred, how many requests go to the first key.
    pub hot_percent: u64,
    /// Out of a hundred, how many requests are linearizable reads.
    pub read_percent: u64,
    /// Bytes that commands are padded with, at most.
    pub padding_max: u64,
    /// How long clients wait, at least and at most.
    pub patience: (Duration, Duration),
    /// Out of a hundred, how often a client that was disappointed asks another node.
    pub fickle_percent: u64,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, "plan");
        let style = match rng.below(100) {
            0..=44 => Style::Swarm,
            45..=59 => Style::Everything,
            60..=74 => Style::Tight,
            75..=86 => Style::Crashes,
            87..=96 => Style::Partitions,
            _ => Style::Calm,
        };
        let nodes = rng.pick(&[1, 3, 3, 3, 3, 3, 3, 5, 5, 5]);
        let groups = rng.pick(&[1, 1, 1, 1, 2, 3]);
        let election = Duration::from_micros(rng.spread(20_000, 400_000));
        let until = Time::ZERO + election * u32::try_from(rng.within(8, 30)).expect("small");
        let shape = Shape { nodes, groups, election, until };
        let on = |rng: &mut Rng| match style {
            Style::Everything => true,
            Style::Calm => false,
            Style::Swarm | Style::Tight | Style::Crashes | Style::Partitions => rng.percent(50),
        };
        let mut appetite = appetite(&mut rng, style);
        appetite.transfers = transfers(seed, style);
        appetite.stops = stops(seed, style);
        let machine_delay = if on(&mut rng) { rng.spread(10, 20_000) } else { 10 };
        let mut plan = Self {
            seed,
            style,
            nodes,
            groups,
            is_forming: rng.percent(15),
            core: config(&mut rng, style, election),
            segment_bytes: rng.pick(&[64 << 10, 64 << 10, 128 << 10]),
            noise: Noise {
                loss_ppm: if on(&mut rng) { small(&mut rng, 200_000) } else { 0 },
                duplicate_ppm: if on(&mut rng) { small(&mut rng, 300_000) } else { 0 },
                late_ppm: if on(&mut rng) { small(&mut rng, 200_000) } else { 0 },
                delay_min: Duration::from_micros(rng.spread(10, 1_000)),
                delay_mean: Duration::from_micros(rng.spread(10, 4_000)),
                late_mean: Duration::from_micros(rng.spread(500, 500_000)),
            },
            disk: Disk {
                write: Duration::from_micros(rng.spread(1, 500)),
                sync: Duration::from_micros(rng.spread(10, 8_000)),
                tell: Duration::from_micros(rng.spread(1, 2_000)),
            },
            machine: Machine {
                delay: Duration::from_micros(machine_delay),
                keeps: (0..nodes).map(|_| rng.percent(40)).collect(),
            },
            load: load(&mut rng, election, until),
            faults: faults::draw(seed, appetite, &shape),
            until,
            recovery: election * 30,
        };
        plan.produce();
        plan
    }

    /// Now and then, takes the limits that production starts with, and enough work to reach them.
    fn produce(&mut self) {
        let mut rng = Rng::stream(self.seed, "production");
        if self.style == Style::Tight || !rng.percent(12) {
            return;
        }
        self.core = Config {
            election_timeout: self.core.election_timeout,
            heartbeat_interval: self.core.heartbeat_interval,
            retry_interval: self.core.retry_interval,
            // Small batches fill the window.
            batch_commands_max: rng.pick(&[1, 4, 1_024]),
            ..Config::default()
        };
        self.load.open_percent = 100;
        self.load.requests *= 3;
        self.load.think /= 60;
    }
}

/// How many transfers at most; a stream of its own, which leaves the rest of a plan alone.
fn transfers(seed: u64, style: Style) -> u64 {
    let mut rng = Rng::stream(seed, "hand over");
    match style {
        Style::Calm | Style::Crashes => 0,
        Style::Everything | Style::Partitions => 8,
        Style::Swarm | Style::Tight => rng.pick(&[0, 0, 3, 12]),
    }
}

/// How many crashes between two changes to a disk at most, likewise.
fn stops(seed: u64, style: Style) -> u64 {
    let mut rng = Rng::stream(seed, "stop");
    match style {
        Style::Calm | Style::Partitions => 0,
        Style::Everything => 8,
        Style::Crashes => 15,
        Style::Swarm | Style::Tight => rng.pick(&[0, 0, 4, 12]),
    }
}

fn appetite(rng: &mut Rng, style: Style) -> Appetite {
    let (low, high) = (4, 14);
    match style {
        Style::Calm => Appetite::default(),
        Style::Everything => Appetite {
            partitions: high,
            crashes: high,
            disks: high,
            machines: low,
            relays: low,
            transfers: 0,
            stops: 0,
        },
        Style::Crashes => Appetite { crashes: 30, ..Appetite::default() },
        Style::Partitions => {
            Appetite { partitions: 8, crashes: 1, relays: 12, ..Appetite::default() }
        }
        Style::Swarm | Style::Tight => {
            let mut some = |max| if rng.percent(50) { rng.within(1, max) } else { 0 };
            Appetite {
                partitions: some(high),
                crashes: some(high),
                disks: some(high),
                machines: some(low),
                relays: some(low),
                transfers: 0,
                stops: 0,
            }
        }
    }
}

/// Settings of the core. Tight ones make every limit bite; the others now and then one.
fn config(rng: &mut Rng, style: Style, election: Duration) -> Config {
    let is_tight = style == Style::Tight;
    let mut limit = |tight: &[u64], wide: u64| {
        if rng.percent(if is_tight { 80 } else { 15 }) { rng.pick(tight) } else { wide }
    };
    let window = limit(&[1, 2, 4, 8], 64);
    let window_bytes = limit(&[1, 300, 2_000], 1 << 20);
    let batch_commands = limit(&[1, 2, 5], 1_024);
    let batch_bytes = limit(&[1, 200, 1_000], 1 << 20);
    let queue_commands = limit(&[2, 8], 65_536);
    let queue_bytes = limit(&[500, 4_000], 1 << 20);
    let command_bytes = limit(&[60, 200], 1 << 20);
    let proposals = limit(&[1, 3, 10], 32_768);
    let proposal_bytes = limit(&[300, 4_000], 1 << 20);
    let reads = limit(&[1, 4], 65_536);
    let page_bytes = limit(&[1, 100, 1_000], 1 << 20);
    let cache_bytes = limit(&[0, 200, 2_000], 1 << 20);
    let ahead = limit(&[1, 2], 16);
    let writes = limit(&[4, 16], 65_536);
    let apply_ahead = limit(&[1, 3, 10], 4_096);
    let batch_delay = limit(&[0, 100, 20_000], 1_000);
    Config {
        seed: 0,
        election_timeout: election,
        heartbeat_interval: election / u32::try_from(rng.within(4, 10)).expect("small"),
        retry_interval: election / u32::try_from(rng.within(3, 10)).expect("small"),
        priority: 0,
        window_instances_max: to_index(window),
        window_bytes_max: to_index(window_bytes),
        batch_commands_max: to_index(batch_commands),
        batch_bytes_max: to_index(batch_bytes),
        batch_delay: Duration::from_micros(batch_delay),
        queue_commands_max: to_index(queue_commands),
        queue_bytes_max: to_index(queue_bytes),
        command_bytes_max: to_index(command_bytes),
        proposals_max: to_index(proposals),
        proposal_bytes_max: to_index(proposal_bytes),
        reads_max: to_index(reads),
        page_bytes_max: to_index(page_bytes),
        cache_bytes_max: to_index(cache_bytes),
        accept_ahead_max: window * ahead,
        writes_in_flight_max: writes,
        apply_ahead_max: apply_ahead,
        apply_bytes_max: to_index(page_bytes), // not drawn anew, so that older seeds stay what they are
    }
}

/// What clients do: as a rule just enough requests to fill the run, sometimes a burst.
fn load(rng: &mut Rng, election: Duration, until: Time) -> Load {
    let clients = rng.spread(1, 40);
    let requests = rng.spread(30, 500);
    let nanos = until.as_nanos() / requests.max(1) * clients;
    let think = if rng.percent(80) { nanos } else { nanos / 20 };
    Load {
        clients: to_index(clients),
        open_percent: rng.pick(&[0, 0, 30, 100]),
        requests,
        think: Duration::from_nanos(think),
        keys: rng.spread(1, 64),
        hot_percent: rng.pick(&[0, 20, 90]),
        read_percent: rng.pick(&[0, 10, 30, 70]),
        padding_max: rng.pick(&[0, 0, 40, 400, 3_000]),
        patience: (election / 4, election * u32::try_from(rng.within(1, 12)).expect("small")),
        fickle_percent: rng.pick(&[0, 50, 100]),
    }
}

fn small(rng: &mut Rng, max: u64) -> u32 {
    u32::try_from(rng.spread(100, max)).expect("below a million")
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, style, nodes, groups, core, noise, disk, machine, load, .. } = self;
        let start = if self.is_forming { "find each other first" } else { "start founded" };
        writeln!(f, "seed {seed}, {style:?}: {nodes} nodes, {groups} groups, {start}")?;
        writeln!(f, "  core     {core:?}")?;
        writeln!(f, "  network  {noise:?}")?;
        writeln!(f, "  disks    {disk:?}, segments of {} bytes", self.segment_bytes)?;
        writeln!(f, "  machines {machine:?}")?;
        writeln!(f, "  load     {load:?}")?;
        writeln!(f, "  faults until {}, then {:?} to recover", self.until, self.recovery)?;
        for (at, fault) in &self.faults {
            writeln!(f, "    {at}  {fault}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_plan_has_settings_that_work() {
        for seed in 0..2_000 {
            let plan = Plan::of(seed);
            assert_eq!(plan.core.validate(), Ok(()), "seed {seed}");
            assert!(plan.faults.iter().all(|(at, _)| *at <= plan.until), "seed {seed}");
        }
    }

    #[test]
    fn some_plans_have_the_limits_of_production_and_some_have_transfers() {
        let plans: Vec<Plan> = (0..300).map(Plan::of).collect();
        let window = Config::default().window_instances_max;
        let wide = plans.iter().filter(|plan| plan.core.window_instances_max == window);
        assert!((10..100).contains(&wide.count()));
        let is_transfer = |(_, fault): &(Time, Fault)| matches!(fault, Fault::Transfer { .. });
        let transfers = plans.iter().filter(|plan| plan.faults.iter().any(is_transfer));
        assert!((50..250).contains(&transfers.count()));
    }

    #[test]
    fn every_style_and_size_comes_up_and_plans_repeat() {
        let plans: Vec<Plan> = (0..300).map(Plan::of).collect();
        let styles: BTreeSet<Style> = plans.iter().map(|plan| plan.style).collect();
        assert_eq!(styles.len(), 6);
        let sizes: BTreeSet<usize> = plans.iter().map(|plan| plan.nodes).collect();
        assert_eq!(sizes.len(), 3);
        assert_eq!(Plan::of(7).to_string(), plans[7].to_string());
    }
}
