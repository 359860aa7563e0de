//! Many seeds.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Args;
use clap::builder::{RangedU64ValueParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use synod_sim::Preset;
use synod_sim::campaign::{Campaign, CampaignError, Goal, Settings, Shard};
use synod_sim::plan::NODES_MAX;
use synod_sim::rng::to_u64;

use super::plans::tell;
use super::summary::Summary;
use super::{commit, complain};
use crate::preset;

/// The options of `run`.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// What kind of runs.
    #[arg(long, default_value = "mix", value_parser = preset())]
    preset: Preset,
    /// How many nodes they have; by default the seed decides.
    #[arg(long, value_parser = nodes())]
    nodes: Option<usize>,
    /// The first seed; the others follow.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run only one of several equal parts, as in 2/8: for a batch of machines, each with its own.
    #[arg(long, default_value_t = Shard::WHOLE, value_name = "K/N")]
    shard: Shard,
    /// Keep how far it got in this file, and go on from there if it exists.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Threads to run them on; by default as many as there are cores.
    #[arg(long)]
    jobs: Option<usize>,
    /// Go on after a failure, and show all of them at the end.
    #[arg(long)]
    keep_going: bool,
    /// Where to put the plans of failed seeds.
    #[arg(long, default_value = "target/failures", value_name = "FOLDER")]
    failures: PathBuf,
    /// Run one seed in so many twice, and compare the hashes; 0 for none.
    #[arg(long, default_value_t = 100, value_name = "N")]
    twice_every: u64,
    /// Fail if a mark was not met though so many seeds should do.
    #[arg(long)]
    marks: bool,
}

impl Run {
    /// Runs it; a planted bug first.
    #[expect(clippy::print_stdout, reason = "the program's output")]
    pub(crate) fn run(self) -> ExitCode {
        let jobs = self.jobs.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
        let campaign = match self.play(jobs) {
            Ok(campaign) => campaign,
            Err(error) => return complain(&error.to_string()),
        };
        let summary = Summary { state: campaign.state(), jobs };
        print!("{summary}");
        let is_good = campaign.state().failures.is_empty() && campaign.is_done();
        let has_marks = !self.marks || summary.has_marks();
        if is_good && has_marks { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn play(&self, jobs: usize) -> Result<Campaign, CampaignError> {
        let Self { preset, nodes, first, seeds, shard, keep_going, twice_every, .. } = *self;
        let commit = commit().unwrap_or_default();
        let goal = Goal { preset, nodes, first, seeds, shard, commit };
        let mut campaign = Campaign::begin(goal, self.state.as_deref())?;
        campaign.canary()?;
        let style = "{bar:40} {pos}/{len} seeds  {per_sec}  {eta} left  {msg}";
        let style = ProgressStyle::with_template(style).expect("a good template");
        let bar = ProgressBar::new(shard.share(seeds)).with_style(style);
        bar.set_position(campaign.state().done);
        bar.reset_eta();
        let settings = Settings { jobs, is_going_on: keep_going, twice_every, block: BLOCK };
        while !campaign.is_done() {
            let failures = campaign.block(&settings, || bar.inc(1))?;
            bar.suspend(|| failures.iter().for_each(|failure| tell(failure, &self.failures)));
            let failed = campaign.state().failures.len();
            if failed > 0 {
                bar.set_message(format!("{failed} failed"));
            }
            if !failures.is_empty() && !keep_going {
                break;
            }
        }
        bar.finish_and_clear();
        Ok(campaign)
    }
}

/// Seeds between two looks at the state: some seconds' worth.
const BLOCK: u64 = 500;

/// How many nodes there may be.
fn nodes() -> impl TypedValueParser<Value = usize> {
    RangedU64ValueParser::<usize>::new().range(1..=to_u64(NODES_MAX))
}
