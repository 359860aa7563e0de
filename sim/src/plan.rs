//! Everything that is decided before a run starts: the cluster, its settings, the weather, what the
//! clients ask and what goes wrong when.
//!
//! A plan is data. A seed expands into one, a file holds one, shrinking leaves out parts of one; the
//! run itself only carries it out. What is left to chance then (how long each message takes, which
//! unsynced sectors survive) is drawn from streams of the plan's seed, by node, by link and by count,
//! so that one fault or request less shifts little else.

mod config;
mod draw;
mod ending;
mod file;
mod messages;
mod presets;
mod requests;
pub(crate) mod text;
mod vary;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_core::{Config, Time};

use crate::atlas::Budget;
use crate::clock::Skew;
use crate::disk::Sector;
use crate::faults::{Fault, Planned};
use crate::guests::Guests;
use crate::network::Noise;

pub use ending::{Ending, First, Impaired, Impairment, Links};
pub use file::{About, PlanFile, PlanFileError};
pub use messages::{MessageName, Messages};
pub use presets::Preset;
pub use requests::{Client, Load, Request};

/// The plan of one run.
///
/// The default is a calm one: three nodes, one group, nothing asked and nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plan {
    /// Where it came from, and what is left to chance.
    pub seed: u64,
    /// What kind of run.
    pub preset: Preset,
    /// How many nodes.
    pub nodes: usize,
    /// How many of them, the last ones, are no founders: they vote once an operator adds them. All
    /// others vote from the beginning.
    #[serde(skip_serializing_if = "is_zero")]
    pub spares: usize,
    /// How many groups, each on all nodes.
    pub groups: usize,
    /// Whether the nodes have to find each other first; else they start founded.
    pub is_forming: bool,
    /// Whether every restart takes new incarnations, `Restart::Rejoin`; else disks are trusted.
    pub is_rejoining: bool,
    /// How much damage to disks is allowed.
    pub budget: Budget,
    /// Settings of every group on every node; the seed of each differs.
    #[serde(with = "config::Mirror")]
    pub core: Config,
    /// Size of a log segment.
    pub segment_bytes: u64,
    /// The network's everyday behaviour.
    pub noise: Noise,
    /// How the nodes' clocks differ from true time; those beyond the end do not.
    pub clocks: Vec<Skew>,
    /// The only messages to which something may happen, if it is not any: all others come once, and
    /// in time. What happens to these is drawn as ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strange: Option<Messages>,
    /// The disks' everyday behaviour.
    pub disk: Disk,
    /// The state machines' everyday behaviour.
    pub machine: Machine,
    /// Who asks.
    pub clients: Vec<Client>,
    /// When everything is mended and clients stop.
    #[serde(with = "text::time")]
    pub until: Time,
    /// How long after that everything must work again.
    #[serde(with = "text::duration")]
    pub recovery: Duration,
    /// How it ends after that.
    pub ending: Ending,
    /// A planted bug: nodes hear of syncs that have not happened. The rules must find it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// What goes wrong, in order of time.
    #[serde(skip)]
    pub faults: Vec<Planned>,
    /// What is asked, in order for each client.
    #[serde(skip)]
    pub requests: Vec<Request>,
}

/// How long disks take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// From the start of a write to its sync.
    #[serde(with = "text::duration")]
    pub write: Duration,
    /// The mean of a sync's time, exponential.
    #[serde(with = "text::duration")]
    pub sync: Duration,
    /// The mean time until the node is told, exponential.
    #[serde(with = "text::duration")]
    pub tell: Duration,
    /// What survives a power loss together.
    pub sector: Sector,
    /// Whether each power loss is of a kind of its own, see [`Loss`](crate::disk::Loss); else any
    /// sector survives or not.
    pub varied_losses: bool,
}

/// How state machines behave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Machine {
    /// The mean time until what was handed out is executed.
    #[serde(with = "text::duration")]
    pub delay: Duration,
    /// Which nodes' machines keep their own state, so that it may be ahead of the log at a restart;
    /// those beyond the end do not.
    pub keeps: Vec<bool>,
}

impl Plan {
    /// How many nodes the cluster is founded with: the first ones.
    #[must_use]
    pub const fn founders(&self) -> usize {
        self.nodes.saturating_sub(self.spares)
    }

    /// Whether an operator changes who votes.
    #[must_use]
    pub fn is_operated(&self) -> bool {
        let is_change = |fault: &Planned| matches!(fault.what, Fault::Change { .. });
        self.spares > 0 || self.faults.iter().any(is_change)
    }

    /// Whether all clocks run as leases need it: at rates within the bound, and not standing still while
    /// others run.
    #[must_use]
    pub fn keeps_clocks_in_bound(&self) -> bool {
        let keeps = |ppm: i32| ppm.unsigned_abs() <= self.core.clock_rate_bound_ppm;
        self.clocks.iter().all(|clock| keeps(clock.ppm))
            && self.faults.iter().all(|fault| {
                let is_off = matches!(fault.what, Fault::ClockRate { ppm, .. } if !keeps(ppm));
                !is_off && !matches!(fault.what, Fault::Pause { is_frozen: true, .. })
            })
    }

    /// The plan of a seed of the default mix.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self::draw(seed, Preset::Mix)
    }

    /// The plan of a seed of a kind.
    #[must_use]
    pub fn draw(seed: u64, preset: Preset) -> Self {
        draw::plan(seed, preset, None)
    }

    /// The same with a number of nodes that the seed does not decide, from 1 to [`NODES_MAX`].
    #[must_use]
    pub fn draw_for(seed: u64, preset: Preset, nodes: usize) -> Self {
        draw::plan(seed, preset, Some(nodes))
    }

    /// The same plan with a user's state machines, if there are any: all requests go to them.
    #[must_use]
    pub fn inviting(mut self, guests: &Guests) -> Self {
        requests::invite(&mut self.requests, guests, self.seed);
        self
    }

    /// What to call it: the seed and the kind of run that it was drawn for.
    #[must_use]
    pub fn name(&self) -> String {
        format!("seed {} ({})", self.seed, self.preset)
    }

    /// How many entries it has: faults and requests.
    #[must_use]
    pub const fn entries(&self) -> usize {
        self.faults.len() + self.requests.len()
    }

    /// Whether a run can be made of it.
    ///
    /// # Errors
    ///
    /// What does not fit, in words.
    pub fn check(&self) -> Result<(), String> {
        self.core.validate().map_err(|error| error.to_string())?;
        if !(1..=NODES_MAX).contains(&self.nodes) || !(1..=GROUPS_MAX).contains(&self.groups) {
            let Self { nodes, groups, .. } = self;
            return Err(format!(
                "{nodes} nodes and {groups} groups; 1 to {NODES_MAX} and 1 to {GROUPS_MAX} work"
            ));
        }
        if self.spares >= self.nodes {
            let Self { nodes, spares, .. } = self;
            return Err(format!(
                "of {nodes} nodes {spares} are no founders; at least one has to be"
            ));
        }
        if let Some(client) = self.clients.iter().find(|client| client.home >= self.nodes) {
            return Err(format!("a client of n{}, which there is not", client.home + 1));
        }
        for Request { client, group, elsewhere, .. } in &self.requests {
            if *client >= self.clients.len() {
                return Err(format!("a request of client {client}, which there is not"));
            }
            if *group >= self.groups {
                return Err(format!("a request to group {group}, which there is not"));
            }
            if elsewhere.is_some_and(|node| node >= self.nodes) {
                return Err(format!("a request that goes to {elsewhere:?}, which there is not"));
            }
        }
        if self.noise.wan.as_ref().is_some_and(|wan| !wan.is_whole()) {
            return Err("regions are 0 to 2, and there are three ways between them".to_owned());
        }
        for Planned { what, .. } in &self.faults {
            if !what.fits(self.nodes, self.groups) {
                return Err(format!("there is no such node or group: {what}"));
            }
        }
        Ok(())
    }
}

impl Default for Plan {
    fn default() -> Self {
        // Its checkers know the founding membership only.
        let core = Config { swap_in: false, ..Config::default() };
        Self {
            seed: 0,
            preset: Preset::Calm,
            nodes: 3,
            spares: 0,
            groups: 1,
            is_forming: false,
            is_rejoining: false,
            budget: Budget::Within,
            segment_bytes: 64 << 10,
            noise: Noise::default(),
            clocks: Vec::new(),
            strange: None,
            disk: Disk::default(),
            machine: Machine::default(),
            clients: Vec::new(),
            until: Time::ZERO + core.election_timeout * 8,
            recovery: core.election_timeout * 30,
            ending: Ending::default(),
            core,
            canary: false,
            faults: Vec::new(),
            requests: Vec::new(),
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        let micros = Duration::from_micros;
        Self {
            write: micros(10),
            sync: micros(100),
            tell: micros(10),
            sector: Sector::Small,
            varied_losses: false,
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self { delay: Duration::from_micros(10), keeps: Vec::new() }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, preset, nodes, groups, core, noise, clocks, disk, machine, .. } = self;
        let start = if self.is_forming { "find each other first" } else { "start founded" };
        writeln!(f, "seed {seed}, {preset}: {nodes} nodes, {groups} groups, {start}")?;
        if self.spares > 0 {
            writeln!(f, "  founders the first {}; others are added or not", self.founders())?;
        }
        writeln!(f, "  core     {core:?}")?;
        writeln!(f, "  network  {noise:?}")?;
        writeln!(f, "  clocks   {clocks:?}")?;
        writeln!(f, "  disks    {disk:?}, segments of {} bytes", self.segment_bytes)?;
        writeln!(f, "  machines {machine:?}")?;
        writeln!(
            f,
            "  load     {} requests of {} clients",
            self.requests.len(),
            self.clients.len()
        )?;
        writeln!(f, "  faults until {}, then {:?} to recover", self.until, self.recovery)?;
        writeln!(f, "  ending   {}", self.ending)?;
        for Planned { at, what } in &self.faults {
            writeln!(f, "    {at}  {what}")?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// More nodes than this are not simulated.
pub const NODES_MAX: usize = 9;

/// More groups than this are not simulated.
pub const GROUPS_MAX: usize = 9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Fault;
    use std::collections::BTreeSet;

    #[test]
    fn every_plan_works() {
        for preset in Preset::ALL {
            for seed in 0..300 {
                let plan = Plan::draw(seed, preset);
                assert_eq!(plan.check(), Ok(()), "{preset} {seed}");
                assert!(plan.faults.iter().all(|fault| fault.at <= plan.until), "{preset} {seed}");
            }
        }
        assert_eq!(Plan::default().check(), Ok(()));
    }

    #[test]
    fn some_plans_have_the_limits_of_production_and_some_have_transfers() {
        let plans: Vec<Plan> = (0..300).map(Plan::of).collect();
        let window = Config::default().window_instances_max;
        let wide = plans.iter().filter(|plan| plan.core.window_instances_max == window);
        assert!((10..100).contains(&wide.count()));
        let is_transfer = |fault: &Planned| matches!(fault.what, Fault::Transfer { .. });
        let transfers = plans.iter().filter(|plan| plan.faults.iter().any(is_transfer));
        assert!((50..250).contains(&transfers.count()));
    }

    #[test]
    fn every_size_comes_up_and_plans_repeat() {
        let plans: Vec<Plan> = (0..300).map(Plan::of).collect();
        let is_fixed = |plan: &&Plan| plan.spares == 0;
        let sizes: BTreeSet<usize> = plans.iter().filter(is_fixed).map(|plan| plan.nodes).collect();
        assert_eq!(sizes.len(), 3);
        assert_eq!(Plan::of(7), plans[7]);
    }

    #[test]
    fn on_some_seeds_an_operator_changes_who_votes() {
        let operated = |preset| {
            let plans = (0..300).map(|seed| Plan::draw(seed, preset));
            plans.filter(Plan::is_operated).map(|plan| plan.founders()).collect::<Vec<_>>()
        };
        let founders = operated(Preset::Reconfiguration);
        assert!((100..200).contains(&founders.len()));
        assert_eq!(founders.into_iter().collect::<BTreeSet<usize>>(), (1..=5).collect());
        assert!((1..30).contains(&operated(Preset::Swarm).len()));
        assert!(operated(Preset::Hell).is_empty());
    }

    /// Clock 94146627: what had been asked before took 160 round trips between regions.
    #[test]
    fn who_takes_a_round_trip_for_each_command_has_time_for_those_that_wait() {
        let plans = (0..2_000).map(|seed| Plan::draw(seed, Preset::Clock));
        let single = plans
            .filter(|plan| plan.core.window_instances_max == 1 && plan.core.page_bytes_max > 1_000);
        let is_narrow =
            |plan: &Plan| plan.core.batch_bytes_max <= 1_000 || plan.core.batch_commands_max == 1;
        let (narrow, wide): (Vec<Plan>, Vec<Plan>) = single.partition(is_narrow);
        let more = |plan: &Plan| plan.recovery - plan.core.election_timeout * 30;
        let way = |plan: &Plan| plan.noise.delay_min + plan.noise.delay_mean;
        let trips = |plan: &Plan| way(plan) * 2 * u32::try_from(plan.requests.len()).expect("few");
        assert!(!narrow.is_empty() && narrow.iter().all(|plan| more(plan) >= trips(plan)));
        assert!(!wide.is_empty() && wide.iter().all(|plan| more(plan) <= trips(plan) / 2));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let at_node =
            |home| Plan { clients: vec![Client { home, is_open: false }], ..Plan::default() };
        assert_eq!(at_node(2).check(), Ok(()));
        assert!(at_node(3).check().unwrap_err().contains("n4"));
        assert!(Plan { nodes: 0, ..Plan::default() }.check().is_err());
        assert!(Plan { spares: 3, ..Plan::default() }.check().unwrap_err().contains("founders"));
        let what = Fault::StalledDisk { node: 3, lasting: Duration::ZERO };
        let faults = vec![Planned { at: Time::ZERO, what }];
        assert!(Plan { faults, ..Plan::default() }.check().unwrap_err().contains("n4"));
    }
}
