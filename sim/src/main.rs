//! The `synod-sim` program: runs seeds, and shows what happened in one.

mod cli;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Parser, Subcommand};
use synod_sim::Preset;

use cli::campaign::Run;
use cli::hashes::Hashes;
use cli::{complain, plans};

/// Runs whole Synod clusters in virtual time, from a seed, under faults, and watches every rule.
///
/// A seed decides everything: the size of the cluster, its settings, what the clients ask, which
/// disks fail when, what becomes of every message. The same seed does the same again, so a failure
/// found once can be watched as often as you like. Build with `--profile sim`: optimised, with every
/// assertion on.
#[derive(Debug, Parser)]
#[command(version, after_help = "Start with:  synod-sim run --seeds 1000")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs many seeds and says which broke a rule.
    ///
    /// For every seed: a cluster starts, clients work, faults strike. Then the faults stop, and the
    /// cluster must answer new requests at every node within 30 election timeouts and agree. Before
    /// all that, a planted bug must be caught, or nothing is run.
    Run(Run),
    /// Prints the hash over everything that happens in each run, whether it passes or not.
    ///
    /// Builds of the same code must print the same, on any machine and with any number of jobs.
    Hash(Hashes),
    /// Shows what happens in one run: its plan, then a line for each event: time, node, what.
    ///
    /// `>` is said, `<` is heard. Everything up to a broken rule is shown, and the rule.
    Replay {
        /// Which: a seed, or the file of a plan.
        #[arg(value_name = "SEED|FILE")]
        what: String,
        /// What kind of run the seed stands for.
        #[arg(long, default_value = "mix", value_parser = preset())]
        preset: Preset,
        /// Write the plan to a file instead of running it.
        #[arg(long, value_name = "FILE")]
        save: Option<PathBuf>,
        /// Show every event, not only the last 200.
        #[arg(long, short)]
        verbose: bool,
    },
    /// Makes a failing plan small: finds the few faults, requests and messages that it takes.
    ///
    /// Everything that is left out is run without, and stays out only if the same rule still breaks.
    Shrink {
        /// Which: a seed, or the file of a plan.
        #[arg(value_name = "SEED|FILE")]
        what: String,
        /// What kind of run the seed stands for.
        #[arg(long, default_value = "mix", value_parser = preset())]
        preset: Preset,
        /// Look first among so many more seeds of the kind for one that breaks the rule sooner.
        #[arg(long, default_value_t = 2_000, value_name = "N")]
        among: u64,
        /// Where to put the small plan; by default beside the file.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Draws a picture of one run: a page for a browser, with everything in it.
    ///
    /// Nodes and time, messages and what became of them, who led, what the disks hold; what went
    /// wrong is marked, and what led to it is a click away.
    Trace {
        /// Which: a seed, or the file of a plan.
        #[arg(value_name = "SEED|FILE")]
        what: String,
        /// What kind of run the seed stands for.
        #[arg(long, default_value = "mix", value_parser = preset())]
        preset: Preset,
        /// Where to put the page.
        #[arg(long, value_name = "OUT")]
        html: PathBuf,
    },
    /// Plants known bugs, one at a time, and says how many seeds it takes to find each.
    ///
    /// Run it in the workspace: it reads tests/mutants.toml and works in a copy. All is well if every
    /// bug that endangers safety is found, and at least 95 of 100 of all.
    Mutants {
        /// Give up on a bug after so many seeds.
        #[arg(long, default_value_t = 5_000)]
        seeds: u64,
        /// Only bugs whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
        /// Where to put the copy; kept, so that the next time builds less.
        #[arg(long, default_value = "target/mutants")]
        scratch: PathBuf,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(run) => run.run(),
        Command::Hash(hashes) => hashes.show(),
        Command::Replay { what, preset, save, verbose } => match plans::planned(&what, preset) {
            Ok(file) => plans::show(&file, save.as_deref(), verbose),
            Err(why) => complain(&why),
        },
        Command::Shrink { what, preset, among, out } => {
            let out = out.unwrap_or_else(|| Path::new(&what).with_extension("small.plan"));
            let file = plans::planned(&what, preset);
            match file.and_then(|file| plans::shrink(&file, among, &out)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => complain(&why),
            }
        }
        Command::Trace { what, preset, html } => match cli::picture::draw(&what, preset, &html) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => complain(&why),
        },
        Command::Mutants { seeds, only, scratch } => cli::mutants::hunt(seeds, &only, &scratch),
    }
}

/// The kinds of runs, for the help.
fn preset() -> impl TypedValueParser<Value = Preset> {
    let names = Preset::ALL.map(|preset| PossibleValue::new(preset.name()).help(preset.about()));
    PossibleValuesParser::new(names).try_map(|name| name.parse())
}
