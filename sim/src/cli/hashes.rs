//! The hashes of runs: to compare builds, machines and numbers of threads.

use std::process::ExitCode;

use clap::Args;
use synod_sim::Preset;
use synod_sim::sweep::hashes;

use crate::preset;

/// The options of `hash`.
#[derive(Debug, Args)]
pub(crate) struct Hashes {
    /// How many seeds of each kind.
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first seed; the others follow.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// What kind of runs; all kinds if none is named.
    #[arg(long, value_parser = preset())]
    preset: Option<Preset>,
    /// Threads to run them on.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
}

impl Hashes {
    /// Prints them: what kind, which seed, the hash.
    #[expect(clippy::print_stdout, reason = "the program's output")]
    pub(crate) fn show(self) -> ExitCode {
        let Self { seeds, first, preset, jobs } = self;
        let presets = preset.map_or_else(|| Preset::ALL.to_vec(), |preset| vec![preset]);
        for (preset, seed, hash) in hashes(&presets, first, seeds, jobs) {
            println!("{preset} {seed} {hash:016x}");
        }
        ExitCode::SUCCESS
    }
}
