//! From a seed to a plan.
//!
//! Seeds differ in kind, not only in numbers, see [`Preset`]. What is added later draws from a stream
//! of its own, so that it leaves the rest of a plan alone.

use std::time::Duration;

use synod_core::{Config, Time};

use super::{Disk, Ending, First, Load, Machine, NODES_MAX, Plan, Preset, requests};
use crate::atlas::Budget;
use crate::clock::{DRIFT_MAX_PPM, Skew};
use crate::disk::Sector;
use crate::faults::{self, Family, Shape};
use crate::network::{Noise, Wan};
use crate::rng::{Rng, to_index};

/// The plan of a seed, for so many nodes if that is decided.
pub(super) fn plan(seed: u64, preset: Preset, nodes: Option<usize>) -> Plan {
    let mut rng = Rng::stream(seed, "plan");
    let preset = preset.settle(&mut rng);
    let drawn = rng.pick(&[1, 3, 3, 3, 3, 3, 3, 5, 5, 5]);
    let mut appetite = preset.appetite(&mut Rng::stream(seed, "appetite"));
    // With fewer there is no quorum beside the two of them.
    let drawn = if appetite.contains_key(&Family::Recalls) { 5 } else { drawn };
    let drawn = if preset == Preset::Rivals { rivals(seed) } else { drawn };
    let relearns = appetite.contains_key(&Family::Relearns);
    let drawn = if relearns { 5 } else { drawn };
    let operator = Operator::draw(seed, preset);
    let founders = nodes.or_else(|| operator.as_ref().map(|it| it.founders)).unwrap_or(drawn);
    let spares = operator.as_ref().map_or(0, |it| it.spares).min(NODES_MAX - founders);
    let nodes = founders + spares;
    let groups = rng.pick(&[1, 1, 1, 1, 2, 3]);
    let groups = if relearns { 1 } else { groups };
    let election = Duration::from_micros(rng.spread(20_000, 400_000));
    let (wan, election) = wan(seed, preset, nodes, election);
    let until = Time::ZERO + election * u32::try_from(rng.within(8, 30)).expect("small");
    let until = if preset == Preset::Rivals { until + election * 15 } else { until };
    let until = if relearns { until + election * 10 } else { until };
    let shape = Shape { nodes, founders, groups, election, until };
    if let Some(operator) = &operator {
        appetite.insert(Family::Changes, operator.changes);
        appetite.extend(operator.damage.iter().copied());
    }
    let machine_delay = if preset.is_on(&mut rng) { rng.spread(10, 20_000) } else { 10 };
    let mut core = config(&mut rng, preset, election);
    let mut load = Load::draw(&mut rng, election, until);
    // A disk that is lost before it knows its cluster is no loss.
    let is_forming = rng.percent(15) && matches!(budget(preset), Budget::Within);
    let segment_bytes = rng.pick(&[64 << 10, 64 << 10, 128 << 10]);
    let noise = Noise { wan, ..noise(&mut rng, preset) };
    let noise = if preset == Preset::Calm {
        noise
    } else if preset == Preset::Copies {
        noise.quick(election)
    } else if preset == Preset::Rivals {
        let way = election / 200;
        Noise { delay_min: way, delay_mean: way / 2, ..noise }
    } else {
        noise.roughened(seed, election, preset == Preset::Hell)
    };
    let disk = Disk {
        write: Duration::from_micros(rng.spread(1, 500)),
        sync: Duration::from_micros(rng.spread(10, 8_000)),
        tell: Duration::from_micros(rng.spread(1, 2_000)),
        sector: Rng::stream(seed, "sectors").pick(&[Sector::Small, Sector::Large]),
        varied_losses: true,
    };
    let machine = Machine {
        delay: Duration::from_micros(machine_delay),
        keeps: (0..nodes).map(|_| rng.percent(40)).collect(),
    };
    produce(seed, preset, &mut core, &mut load);
    checkpoint(seed, preset, &mut core);
    if preset == Preset::Rivals {
        contend(seed, until, &mut core, &mut load);
    }
    if relearns {
        teach(seed, until, &mut core, &mut load);
    }
    if preset == Preset::LonelyLeader {
        load.read();
    }
    core.master_lease = master_lease(seed, preset, election);
    core.read_lease = read_lease(seed, preset, election);
    core.swap_in = swap_in(seed, preset);
    core.digest_interval = Rng::stream(seed, "digests").pick(&[0, 1, 7, 40]);
    let (mut clients, mut requests) = load.expand(seed, nodes, groups);
    let bursts = if preset == Preset::RestartsInWindow { 80 } else { 15 };
    requests::burst(&mut clients, &mut requests, seed, bursts);
    requests::relax(&mut requests, seed, election);
    let mut ending = Ending::draw(seed, nodes, is_forming);
    if preset == Preset::Copies {
        // Whoever could tell that a disk is an older one is there to the end.
        ending.first = First::All;
    }
    let catching_up = catching_up(&core, &noise, requests.len());
    Plan {
        seed,
        preset,
        nodes,
        spares,
        groups,
        is_forming,
        is_rejoining: is_rejoining(seed, preset, founders) && !relearns,
        budget: budget(preset),
        core,
        segment_bytes,
        noise,
        strange: None,
        clocks: clocks(seed, preset, nodes),
        disk,
        machine,
        clients,
        until,
        recovery: election * 30 + catching_up,
        ending,
        canary: false,
        faults: faults::draw(seed, &appetite, &shape),
        requests,
    }
}

/// An operator who changes who votes, on some seeds.
struct Operator {
    /// What the cluster begins with: from one node, which grows, to five.
    founders: usize,
    /// The machines that there are beside.
    spares: usize,
    /// How many things the operator does at most, each of several changes.
    changes: u64,
    /// How much is done to disks at most, where that is not as ever.
    damage: Vec<(Family, u64)>,
}

impl Operator {
    fn draw(seed: u64, preset: Preset) -> Option<Self> {
        let mut rng = Rng::stream(seed, "operator");
        let is_drawn = match preset {
            Preset::Reconfiguration => rng.percent(50),
            Preset::Swarm => rng.percent(5),
            Preset::Mix
            | Preset::Calm
            | Preset::Tight
            | Preset::Network
            | Preset::Disk
            | Preset::Churn
            | Preset::Clock
            | Preset::Wan
            | Preset::LonelyLeader
            | Preset::RestartsInWindow
            | Preset::Blackouts
            | Preset::Checkpoints
            | Preset::Hell
            | Preset::Worn
            | Preset::Liars
            | Preset::Copies
            | Preset::Beyond
            | Preset::Trusting
            | Preset::Rivals
            | Preset::Leases => false,
        };
        is_drawn.then(|| Self {
            founders: rng.pick(&[1, 1, 1, 2, 3, 3, 3, 3, 4, 5]),
            spares: rng.pick(&[1, 2, 2, 3]),
            changes: rng.pick(&[4, 10, 20]),
            damage: match rng.below(10) {
                _ if preset != Preset::Reconfiguration => Vec::new(),
                0..=3 => vec![(Family::Images, 0)],
                4..=5 => vec![(Family::Images, 3)],
                6..=7 => vec![(Family::Images, 1), (Family::Rot, 30)],
                _ => Vec::new(),
            },
        })
    }
}

/// For how long a node may catch up, and a leader may take for what was asked before the rest: each
/// page is a question and an answer, and so is each window of instances. All that there is to ask for
/// may come before what the end of a run waits for.
fn catching_up(core: &Config, noise: &Noise, requests: usize) -> Duration {
    let pages = if core.page_bytes_max <= SMALL { requests } else { 0 };
    let window = if core.window_bytes_max <= SMALL { 1 } else { core.window_instances_max };
    let batch = if core.batch_bytes_max <= SMALL { 1 } else { core.batch_commands_max };
    let rounds = pages.max(requests / (window * batch));
    let longest = noise.wan.as_ref().and_then(|wan| wan.ways.iter().max()).copied();
    let way = noise.delay_min + noise.delay_mean + longest.unwrap_or_default();
    way * 2 * u32::try_from(rounds).unwrap_or(u32::MAX)
}

/// So many bytes may hold no more than one command.
const SMALL: usize = 1_000;

fn noise(rng: &mut Rng, preset: Preset) -> Noise {
    let ppm = |rng: &mut Rng, max| {
        let ppm = u32::try_from(rng.spread(100, max)).expect("below a million");
        if preset.is_on(rng) { ppm } else { 0 }
    };
    Noise {
        loss_ppm: ppm(rng, 200_000),
        duplicate_ppm: ppm(rng, 300_000),
        late_ppm: ppm(rng, 200_000),
        delay_min: Duration::from_micros(rng.spread(10, 1_000)),
        delay_mean: Duration::from_micros(rng.spread(10, 4_000)),
        late_mean: Duration::from_micros(rng.spread(500, 500_000)),
        ..Noise::default()
    }
}

/// How much damage to disks there may be.
const fn budget(preset: Preset) -> Budget {
    match preset {
        Preset::Beyond => Budget::Exceeded,
        Preset::Copies => Budget::Remembered,
        Preset::Trusting => Budget::Unpromised,
        Preset::Mix
        | Preset::Calm
        | Preset::Swarm
        | Preset::Tight
        | Preset::Network
        | Preset::Disk
        | Preset::Churn
        | Preset::Clock
        | Preset::Wan
        | Preset::LonelyLeader
        | Preset::RestartsInWindow
        | Preset::Blackouts
        | Preset::Checkpoints
        | Preset::Hell
        | Preset::Worn
        | Preset::Liars
        | Preset::Reconfiguration
        | Preset::Rivals
        | Preset::Leases => Budget::Within,
    }
}

/// Whether who has lost its memory votes again once it has caught up. Where disks are trusted and lie
/// nothing is promised, and nobody takes a new memory.
fn swap_in(seed: u64, preset: Preset) -> bool {
    let by_chance = Rng::stream(seed, "swap in").percent(60) && preset != Preset::Trusting;
    by_chance || matches!(preset, Preset::Reconfiguration | Preset::Rivals)
}

/// Whether every start takes new memories, which others have to swap in.
fn is_rejoining(seed: u64, preset: Preset, nodes: usize) -> bool {
    let may = matches!(preset, Preset::Reconfiguration | Preset::Rivals);
    let percent = if preset == Preset::Rivals { 70 } else { 40 };
    let by_chance = Rng::stream(seed, "rejoin").percent(percent) && may;
    nodes >= 3 && (by_chance || preset == Preset::Liars)
}

/// For how long leaders may read on their own, if they may.
fn read_lease(seed: u64, preset: Preset, election: Duration) -> Duration {
    let mut rng = Rng::stream(seed, "read leases");
    let percent = if preset == Preset::Leases { 100 } else { 35 };
    let tenths = if preset == Preset::Leases { rng.pick(&[7, 10, 10]) } else { rng.within(4, 10) };
    let lease = election * u32::try_from(tenths).expect("small") / 10;
    if rng.percent(percent) { lease } else { Duration::ZERO }
}

/// For how long nodes ask to be master, if they do.
fn master_lease(seed: u64, preset: Preset, election: Duration) -> Duration {
    let mut rng = Rng::stream(seed, "masters");
    let percent = if preset == Preset::Leases { 100 } else { 35 };
    let lease = election * u32::try_from(rng.within(2, 8)).expect("small");
    if rng.percent(percent) { lease } else { Duration::ZERO }
}

/// Whether nodes are in different regions, and the election timeout that fits.
fn wan(seed: u64, preset: Preset, nodes: usize, election: Duration) -> (Option<Wan>, Duration) {
    let mut rng = Rng::stream(seed, "wan");
    let percent = if preset == Preset::Wan { 100 } else { 5 };
    if matches!(preset, Preset::Calm | Preset::Copies) || !rng.percent(percent) {
        return (None, election);
    }
    let wan = Wan::draw(&mut rng, nodes);
    let election = wan.election(&mut rng, election);
    (Some(wan), election)
}

/// Whether clocks are off, and how much: on some seeds by more than clocks ever may.
fn clocks(seed: u64, preset: Preset, nodes: usize) -> Vec<Skew> {
    let mut rng = Rng::stream(seed, "clocks");
    let percent = match preset {
        Preset::Calm | Preset::Copies | Preset::Rivals => 0,
        Preset::Clock | Preset::Hell => 100,
        Preset::LonelyLeader | Preset::Leases => 70,
        Preset::Mix
        | Preset::Swarm
        | Preset::Tight
        | Preset::Network
        | Preset::Disk
        | Preset::Churn
        | Preset::Reconfiguration
        | Preset::Worn
        | Preset::Liars
        | Preset::Beyond
        | Preset::Trusting
        | Preset::Wan
        | Preset::RestartsInWindow
        | Preset::Blackouts
        | Preset::Checkpoints => 25,
    };
    if !rng.percent(percent) {
        return Vec::new();
    }
    let is_wild = rng.percent(if preset == Preset::Leases { 5 } else { 30 });
    (0..nodes).map(|_| Skew::draw(&mut rng, is_wild)).collect()
}

/// Now and then, takes the limits that production starts with, and enough work to reach them.
fn produce(seed: u64, preset: Preset, core: &mut Config, load: &mut Load) {
    let mut rng = Rng::stream(seed, "production");
    if preset == Preset::Tight || !rng.percent(12) {
        return;
    }
    *core = Config {
        election_timeout: core.election_timeout,
        heartbeat_interval: core.heartbeat_interval,
        retry_interval: core.retry_interval,
        // Small batches fill the window.
        batch_commands_max: rng.pick(&[1, 4, 1_024]),
        swap_in: false, // see `swap_in`
        ..Config::default()
    };
    load.open_percent = 100;
    load.requests *= 3;
    load.think /= 60;
}

/// How many nodes there are where several lead at once. Mostly five: only there can a leader keep a
/// follower while a majority elects another.
fn rivals(seed: u64) -> usize {
    Rng::stream(seed, "rivals").pick(&[3, 5, 5, 5])
}

/// Takes limits with which much is open when leaders change: small batches, pages of one value, and
/// next to nothing in memory of what is chosen. Clients ask for little at a time, from beginning to
/// end.
fn contend(seed: u64, until: Time, core: &mut Config, load: &mut Load) {
    let mut rng = Rng::stream(seed, "contention");
    core.page_bytes_max = to_index(rng.pick(&[1, 1, 100, 1 << 20, 1 << 20]));
    core.cache_bytes_max = to_index(rng.pick(&[0, 0, 200, 2_000]));
    core.window_instances_max = to_index(rng.pick(&[2, 4, 8, 64]));
    core.accept_ahead_max = core.accept_ahead_max.max(64);
    core.batch_commands_max = to_index(rng.pick(&[1, 1, 2, 1_024]));
    core.batch_delay = Duration::from_micros(rng.pick(&[0, 100, 1_000]));
    let clients = rng.within(2, 10);
    load.clients = to_index(clients);
    load.requests = rng.within(80, 200);
    load.think = Duration::from_nanos(until.as_nanos() / load.requests * clients);
    load.padding_max = load.padding_max.min(40);
}

/// Takes limits with which a follower learns much at once, in one large batch, and leaders have much
/// under way. The log is kept, so that it is values that are lost.
fn teach(seed: u64, until: Time, core: &mut Config, load: &mut Load) {
    let mut rng = Rng::stream(seed, "lessons");
    core.page_bytes_max = 1 << 20;
    core.cache_bytes_max = 1 << 20;
    core.writes_in_flight_max = Config::default().writes_in_flight_max;
    core.window_instances_max = 64;
    core.accept_ahead_max = 1_024;
    core.checkpoint_interval = Config::default().checkpoint_interval;
    core.checkpoint_bytes = Config::default().checkpoint_bytes;
    core.keep_instances = Config::default().keep_instances;
    let clients = rng.within(10, 20);
    load.clients = to_index(clients);
    load.requests = rng.within(600, 1_500);
    load.think = Duration::from_nanos(until.as_nanos() / load.requests * clients);
    load.padding_max = rng.pick(&[1_000, 3_000, 6_000]);
    (load.read_percent, load.open_percent) = (0, 100);
    core.batch_commands_max = 1;
}

/// Now and then, takes checkpoints, often and at odd places, and keeps little of the log.
fn checkpoint(seed: u64, preset: Preset, core: &mut Config) {
    let mut rng = Rng::stream(seed, "checkpoints");
    if preset != Preset::Checkpoints && !rng.percent(30) {
        return;
    }
    core.checkpoint_interval = rng.pick(&[1, 2, 5, 10, 30]);
    core.checkpoint_bytes = rng.pick(&[0, 0, 500, 5_000]);
    core.keep_instances = rng.pick(&[0, 0, 2, 10]);
}

/// Settings of the core. Tight ones make every limit bite; the others now and then one.
fn config(rng: &mut Rng, preset: Preset, election: Duration) -> Config {
    let is_tight = preset == Preset::Tight;
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
        master_lease: Duration::ZERO, // see `master_lease`
        read_lease: Duration::ZERO,   // see `read_lease`
        clock_rate_bound_ppm: DRIFT_MAX_PPM,
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
        swap_in: false,                        // see `swap_in`
        apply_bytes_max: to_index(page_bytes), // not drawn anew, so that older seeds stay what they are
        ..Config::default()
    }
}
