//! The `synod-sim` program: runs seeds, and shows what happened in one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use synod_sim::marks::{self, Table};
use synod_sim::mutants::{self, Fate, Mutant};
use synod_sim::shrink::{Progress, Shrinker, Shrunk};
use synod_sim::sweep::{Sweep, Swept};
use synod_sim::{About, Failure, Guests, Plan, PlanFile, Preset, Watched, watch};

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
    /// cluster must answer new requests at every node within 30 election timeouts and agree.
    Run {
        /// How many seeds to run.
        #[arg(long, default_value_t = 1_000)]
        seeds: u64,
        /// What kind of runs: mix, calm, swarm, tight, network, disk, churn, hell.
        #[arg(long, default_value_t = Preset::Mix)]
        preset: Preset,
        /// Where to put the plans of failed seeds.
        #[arg(long, default_value = "target/failures", value_name = "FOLDER")]
        failures: PathBuf,
        /// The first seed; the others follow.
        #[arg(long, default_value_t = 0)]
        first: u64,
        /// Threads to run them on; by default as many as there are cores.
        #[arg(long)]
        jobs: Option<usize>,
        /// Go on after a failure, and show all of them at the end.
        #[arg(long)]
        keep_going: bool,
        /// Run one seed in so many twice, and compare the hashes; 0 for none.
        #[arg(long, default_value_t = 100, value_name = "N")]
        twice_every: u64,
        /// Fail if a mark was not met though so many seeds should do.
        #[arg(long)]
        marks: bool,
    },
    /// Shows what happens in one run: its plan, then a line for each event: time, node, what.
    ///
    /// `>` is said, `<` is heard. Everything up to a broken rule is shown, and the rule.
    Replay {
        /// Which: a seed, or the file of a plan.
        #[arg(value_name = "SEED|FILE")]
        what: String,
        /// What kind of run the seed stands for.
        #[arg(long, default_value_t = Preset::Mix)]
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
        #[arg(long, default_value_t = Preset::Mix)]
        preset: Preset,
        /// Look first among so many more seeds of the kind for one that breaks the rule sooner.
        #[arg(long, default_value_t = 2_000, value_name = "N")]
        among: u64,
        /// Where to put the small plan; by default beside the file.
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Plants known bugs, one at a time, and says how many seeds it takes to find each.
    ///
    /// Run it in the workspace: it reads tests/mutants.toml and works in a copy.
    Mutants {
        /// Give up on a bug after so many seeds.
        #[arg(long, default_value_t = 2_000)]
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
        Command::Run { preset, failures, seeds, first, jobs, keep_going, twice_every, marks } => {
            let jobs = jobs.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
            let is_going_on = keep_going;
            let sweep = Sweep { preset, first, seeds, jobs, is_going_on, twice_every };
            run(&sweep, &failures, marks)
        }
        Command::Replay { what, preset, save, verbose } => match planned(&what, preset) {
            Ok(file) => show(&file, save.as_deref(), verbose),
            Err(why) => complain(&why),
        },
        Command::Shrink { what, preset, among, out } => {
            let out = out.unwrap_or_else(|| Path::new(&what).with_extension("small.plan"));
            match planned(&what, preset).and_then(|file| shrink(&file, among, &out)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(why) => complain(&why),
            }
        }
        Command::Mutants { seeds, only, scratch } => hunt(seeds, &only, &scratch),
    }
}

fn run(sweep: &Sweep, failures: &Path, wants_marks: bool) -> ExitCode {
    let style = "{bar:40} {pos}/{len} seeds  {per_sec}  {eta} left";
    let style = ProgressStyle::with_template(style).expect("a good template");
    let bar = ProgressBar::new(sweep.seeds).with_style(style);
    let swept = sweep.run(|| bar.inc(1));
    bar.finish_and_clear();
    for failure in swept.failures.values() {
        tell(failure, failures);
    }
    summarise(&swept);
    let has_marks = show_marks(sweep) || !wants_marks;
    if swept.failures.is_empty() && has_marks { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows which marks were met; says whether all that should be were.
#[expect(clippy::print_stdout, reason = "the program's output")]
fn show_marks(sweep: &Sweep) -> bool {
    // Budgets are of the default mix.
    let seeds = if sweep.preset == Preset::Mix { sweep.seeds } else { 0 };
    let rows = marks::table();
    print!("{}", Table { rows: &rows, seeds });
    marks::overdue(&rows, seeds).is_empty()
}

/// The plan of a seed, or one from a file.
fn planned(what: &str, preset: Preset) -> Result<PlanFile, String> {
    if let Ok(seed) = what.parse() {
        return Ok(PlanFile { about: About::default(), plan: Plan::draw(seed, preset) });
    }
    PlanFile::read(Path::new(what)).map_err(|error| format!("{what}: {error}"))
}

#[expect(clippy::print_stderr, reason = "the program's output")]
fn complain(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn show(file: &PlanFile, save: Option<&Path>, verbose: bool) -> ExitCode {
    if let Some(path) = save {
        return match file.write(path) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("{}: {error}", path.display())),
        };
    }
    let PlanFile { about, plan } = file;
    println!("{plan}");
    let steps_max = if verbose { usize::MAX } else { 200 };
    let Watched { broken, stats, hash, steps } = watch(plan, &Guests::default(), steps_max);
    for step in steps {
        println!("{step}");
    }
    let hash = format!("{hash:016x}");
    println!("\n{} events, {}, trace hash {hash}", stats.events, plan.name());
    if !about.hash.is_empty() && about.hash != hash {
        println!("the file was written by other code: its run had the hash {}", about.hash);
    }
    match broken {
        None => {
            println!("passed");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("broke {violation}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn shrink(file: &PlanFile, among: u64, out: &Path) -> Result<(), String> {
    let bar = ProgressBar::new_spinner();
    let mut tell = |Progress { step, runs, entries, events }: Progress| {
        bar.set_message(format!("{entries} entries, {events} events, {runs} runs: {step}"));
        bar.tick();
    };
    let guests = Guests::default();
    let mut shrinker = Shrinker::new(&file.plan, &guests, &mut tell)
        .ok_or("this plan breaks no rule: there is nothing to shrink")?;
    shrinker.look_among(among);
    let Shrunk { plan, violation, events, hash } = shrinker.run_to_end();
    bar.finish_and_clear();
    let about = About {
        rule: violation.rule.to_owned(),
        broke: violation.what.clone(),
        hash: format!("{hash:016x}"),
        commit: commit().unwrap_or_default(),
        story: file.about.story.clone(),
    };
    let (faults, requests) = (plan.faults.len(), plan.requests.len());
    PlanFile { about, plan }.write(out).map_err(|error| format!("{}: {error}", out.display()))?;
    println!("{faults} faults and {requests} requests are left, {events} events until it broke");
    println!("{violation}");
    println!("  to watch it: synod-sim replay --verbose {}", out.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn hunt(seeds: u64, only: &str, scratch: &Path) -> ExitCode {
    let ready = mutants::copy(Path::new("."), scratch).and_then(|()| {
        let scratch = scratch.canonicalize()?;
        Ok((std::fs::read_to_string("tests/mutants.toml")?, scratch))
    });
    let (list, scratch) = match ready {
        Ok(ready) => ready,
        Err(error) => {
            println!("run this in the workspace's folder: {error}");
            return ExitCode::FAILURE;
        }
    };
    let list = match Mutant::list(&list) {
        Ok(list) => list,
        Err(error) => {
            println!("tests/mutants.toml: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("{:<50}   seeds  broke", "planted bug");
    let mut all_killed = true;
    for mutant in list.iter().filter(|mutant| mutant.name.contains(only)) {
        let fate = mutant.hunt(Path::new("."), &scratch, seeds);
        println!("{:<50}  {fate}", mutant.name);
        all_killed &= matches!(fate, Fate::Killed { .. });
    }
    if all_killed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Shows a failure, and writes its plan to a file.
#[expect(clippy::print_stdout, reason = "the program's output")]
fn tell(failure: &Failure, folder: &Path) {
    println!("{failure}");
    let Failure { plan, violation, hash, .. } = failure;
    let about = About {
        rule: violation.rule.to_owned(),
        broke: violation.what.clone(),
        hash: format!("{hash:016x}"),
        commit: commit().unwrap_or_default(),
        ..About::default()
    };
    let path = folder.join(format!("{}-{}.plan", plan.preset, plan.seed));
    let file = PlanFile { about, plan: plan.clone() };
    match std::fs::create_dir_all(folder).and_then(|()| file.write(&path)) {
        Ok(()) => println!("  to watch it: synod-sim replay --verbose {}\n", path.display()),
        Err(error) => println!("  {}: {error}\n", path.display()),
    }
}

/// Which code this is, if it runs in a checkout.
fn commit() -> Option<String> {
    let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = git.ok().filter(|git| git.status.success())?.stdout;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn summarise(swept: &Swept) {
    let Swept { stats, passed, twice, failures, took } = swept;
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let rate = |count: u64| count.saturating_mul(1_000) / millis;
    let simulated = u64::try_from(stats.simulated.as_millis()).unwrap_or(u64::MAX);
    println!("{passed} seeds passed, {} failed, in {:.1?}", failures.len(), took);
    if !failures.is_empty() {
        let seeds: Vec<String> = failures.keys().map(ToString::to_string).collect();
        println!("  failed seeds          {}", seeds.join(" "));
    }
    let rows = [
        ("seeds per second", rate(*passed)),
        ("events per second", rate(stats.events)),
        ("simulated seconds", simulated / 1_000),
        ("  per second", simulated / millis),
        ("run twice, same hash", *twice),
        ("starts of nodes", stats.starts),
        ("elections", stats.elections),
        ("stopped in the middle", stats.stopped),
        ("syncs", stats.syncs),
        ("logs looked after", stats.upkeep),
        ("messages", stats.messages),
        ("  lost", stats.lost),
        ("  doubled", stats.duplicated),
        ("instances chosen", stats.chosen),
        ("commands executed", stats.executed),
        ("  acknowledged", stats.acknowledged),
        ("  refused", stats.refused),
        ("reads answered", stats.reads),
        ("ends unknown", stats.unknown),
        ("histories searched", stats.searched),
        ("disks read back", stats.read_back),
    ];
    for (name, count) in rows {
        println!("  {name:<21} {count:>12}");
    }
    println!("election timeouts to recover   p50     p90     p99   p99.9     max");
    for (what, times) in &stats.times {
        println!("  {what:<17} {:>5} {times}", times.total());
    }
    println!("faults");
    for (kind, count) in &stats.faults {
        println!("  {kind:<25} {count:>8}");
    }
}
