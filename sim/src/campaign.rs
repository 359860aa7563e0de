//! Many seeds over a long time, or on many machines: shards, and a state that survives.
//!
//! A campaign runs its seeds in blocks. After each the state goes to a file, whole or not at all, so
//! that a campaign that was stopped goes on where it was. Before the first block it makes sure that
//! it would notice anything: a [canary](Plan::canary) has to be caught.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::marks;
use crate::plan::{Plan, Preset};
use crate::run::{Failure, Options, run_plan};
use crate::stats::Stats;
use crate::sweep::{Sweep, Swept};

/// Which seeds a campaign runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// What kind of plans they stand for.
    pub preset: Preset,
    /// How many nodes they have; if none, the seed decides.
    #[serde(default)]
    pub nodes: Option<usize>,
    /// The first seed of all shards.
    pub first: u64,
    /// How many there are in all shards together.
    pub seeds: u64,
    /// Which part of them.
    pub shard: Shard,
    /// The code that runs them, if that is known.
    pub commit: String,
}

/// One of several equal parts: every `of`-th seed from the `part`-th on, written `2/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Which part, from 1.
    pub part: u64,
    /// How many parts there are.
    pub of: u64,
}

/// How far a campaign is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What it is about.
    pub goal: Goal,
    /// Seeds of this shard that were run.
    pub done: u64,
    /// Those that passed.
    pub passed: u64,
    /// Those that were run twice.
    pub twice: u64,
    /// Those that did not pass, and what they broke.
    pub failures: BTreeMap<u64, String>,
    /// The counts of those that passed.
    pub stats: Stats,
    /// How often each mark was met.
    pub marks: BTreeMap<String, u64>,
    /// How long it ran.
    pub took: Duration,
}

/// Why a campaign does not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum CampaignError {
    /// Its file cannot be read or written.
    Io(PathBuf, io::Error),
    /// Its file is none.
    Format(PathBuf, String),
    /// Its file is of another campaign.
    Other(PathBuf, Box<Goal>),
    /// So many seeds did not notice a planted bug: the rules are blind, and passing means nothing.
    Blind(u64),
}

/// A campaign at work.
#[derive(Debug)]
pub struct Campaign {
    state: State,
    file: Option<PathBuf>,
    /// What this process had met before.
    marks: BTreeMap<String, u64>,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { part: 1, of: 1 };

    /// How many of so many seeds are in this part.
    #[must_use]
    pub const fn share(self, seeds: u64) -> u64 {
        (seeds + self.of - self.part) / self.of
    }
}

impl Campaign {
    /// Begins a campaign, or goes on with that of the file if there is one.
    ///
    /// # Errors
    ///
    /// If the file is of another campaign, or none.
    pub fn begin(goal: Goal, file: Option<&Path>) -> Result<Self, CampaignError> {
        let fresh = State {
            goal,
            done: 0,
            passed: 0,
            twice: 0,
            failures: BTreeMap::new(),
            stats: Stats::default(),
            marks: BTreeMap::new(),
            took: Duration::ZERO,
        };
        let state = match file.map(|path| (path, fs::read_to_string(path))) {
            None => fresh,
            Some((_, Err(error))) if error.kind() == io::ErrorKind::NotFound => fresh,
            Some((path, Err(error))) => return Err(CampaignError::Io(path.into(), error)),
            Some((path, Ok(text))) => {
                let state: State = serde_json::from_str(&text)
                    .map_err(|error| CampaignError::Format(path.into(), error.to_string()))?;
                if state.goal != fresh.goal {
                    return Err(CampaignError::Other(path.into(), Box::new(state.goal)));
                }
                state
            }
        };
        let marks = state.marks.clone();
        Ok(Self { state, file: file.map(Path::to_owned), marks })
    }

    /// How far it is.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Whether all seeds have been run.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        let Goal { shard, seeds, .. } = self.state.goal;
        self.state.done >= shard.share(seeds)
    }

    /// Makes sure that a planted bug is caught; says by how many seeds.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn canary(&self) -> Result<u64, CampaignError> {
        let Goal { preset, first, .. } = self.state.goal;
        for n in 0..CANARY_SEEDS {
            let plan = Plan { canary: true, ..Plan::draw(first + n, preset) };
            if run_plan(&plan, &Options::default()).is_err() {
                return Ok(n + 1);
            }
        }
        Err(CampaignError::Blind(CANARY_SEEDS))
    }

    /// Runs the next block of seeds, and writes down how far it got. Returns what failed.
    ///
    /// # Errors
    ///
    /// If its file cannot be written.
    pub fn block(
        &mut self,
        settings: &Settings,
        tick: impl Fn() + Sync,
    ) -> Result<Vec<Box<Failure>>, CampaignError> {
        let state = &mut self.state;
        let Goal { preset, nodes, first, seeds, shard, .. } = state.goal;
        let left = shard.share(seeds) - state.done;
        let sweep = Sweep {
            preset,
            nodes,
            first: first + shard.part - 1 + state.done * shard.of,
            step: shard.of,
            seeds: left.min(settings.block),
            jobs: settings.jobs,
            is_going_on: settings.is_going_on,
            twice_every: settings.twice_every,
        };
        let Swept { stats, passed, twice, hashes: _, failures, took } = sweep.run(tick);
        let broke = failures.iter().map(|(seed, failure)| (*seed, failure.violation.to_string()));
        state.failures.extend(broke);
        state.stats.add(&stats);
        state.done += sweep.seeds;
        state.passed += passed;
        state.twice += twice;
        state.took += took;
        for row in marks::table() {
            let before = self.marks.get(row.name).copied().unwrap_or_default();
            state.marks.insert(row.name.to_owned(), before + row.hits);
        }
        self.save()?;
        Ok(failures.into_values().collect())
    }

    fn save(&self) -> Result<(), CampaignError> {
        let Some(path) = &self.file else { return Ok(()) };
        let text = serde_json::to_string(&self.state).expect("names are strings");
        let new = path.with_extension("new");
        let written = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
        written.map_err(|error| CampaignError::Io(path.clone(), error))
    }
}

/// How a campaign runs its seeds.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// On how many threads.
    pub jobs: usize,
    /// Go on after a failure.
    pub is_going_on: bool,
    /// Every so many seeds one is run twice, and must do the same again; 0 is never.
    pub twice_every: u64,
    /// Seeds between two looks at the state.
    pub block: u64,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text
            .split_once('/')
            .and_then(|(part, of)| Some(Self { part: part.parse().ok()?, of: of.parse().ok()? }));
        let is_good = |shard: &Self| (1..=shard.of).contains(&shard.part);
        parts.filter(is_good).ok_or_else(|| format!("{text:?} is no shard; try 1/4, 2/4 … 4/4"))
    }
}

impl fmt::Display for CampaignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Format(path, why) => {
                write!(f, "{} is no campaign: {why}; remove it to begin anew", path.display())
            }
            Self::Other(path, goal) => {
                let Goal { preset, nodes, first, seeds, shard, commit } = &**goal;
                let nodes = nodes.map_or_else(String::new, |nodes| format!(" with {nodes} nodes"));
                write!(
                    f,
                    "{} is of another campaign: {seeds} seeds of {preset}{nodes} from {first}, shard \
                     {shard}, by {commit:?}; name another file, or remove it to begin anew",
                    path.display()
                )
            }
            Self::Blind(seeds) => write!(
                f,
                "a planted bug (votes before the sync) passed {seeds} seeds: the rules do not see \
                 what happens, and passing means nothing"
            ),
        }
    }
}

impl std::error::Error for CampaignError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Format(..) | Self::Other(..) | Self::Blind(_) => None,
        }
    }
}

/// Within so many seeds a planted bug has to be caught.
const CANARY_SEEDS: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(seeds: u64, shard: Shard) -> Goal {
        Goal {
            preset: Preset::Calm,
            nodes: None,
            first: 3,
            seeds,
            shard,
            commit: "here".to_owned(),
        }
    }

    const SETTINGS: Settings =
        Settings { jobs: 2, is_going_on: true, twice_every: 0, block: BLOCK };

    const BLOCK: u64 = 15;

    #[test]
    fn shards_share_the_seeds() {
        for of in 1..6 {
            let shares = (1..=of).map(|part| Shard { part, of }.share(17));
            assert_eq!(shares.sum::<u64>(), 17);
        }
        assert_eq!("2/3".parse(), Ok(Shard { part: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "3", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_canary_is_caught_at_once_whatever_the_preset() {
        for preset in Preset::ALL {
            let goal = Goal { preset, ..goal(1, Shard::WHOLE) };
            let caught = Campaign::begin(goal, None).unwrap().canary().unwrap();
            assert!(caught <= 10, "{preset}: {caught}");
        }
    }

    #[test]
    fn a_campaign_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        let shard = Shard { part: 2, of: 2 };
        let mut campaign = Campaign::begin(goal(2 * BLOCK + 10, shard), Some(&file)).unwrap();
        campaign.block(&SETTINGS, || ()).unwrap();
        assert!(!campaign.is_done());
        let mut again = Campaign::begin(goal(2 * BLOCK + 10, shard), Some(&file)).unwrap();
        assert_eq!(again.state(), campaign.state());
        again.block(&SETTINGS, || ()).unwrap();
        assert!(again.is_done());
        assert_eq!((again.state().done, again.state().passed), (BLOCK + 5, BLOCK + 5));
        let other = Campaign::begin(goal(7, Shard::WHOLE), Some(&file));
        assert!(matches!(other, Err(CampaignError::Other(..))));
        fs::write(&file, "{").unwrap();
        let broken = Campaign::begin(goal(7, Shard::WHOLE), Some(&file));
        assert!(broken.unwrap_err().to_string().contains("begin anew"));
    }
}
