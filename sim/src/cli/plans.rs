//! Single plans: to watch and to shrink.

use std::path::Path;
use std::process::ExitCode;

use indicatif::ProgressBar;
use synod_sim::shrink::{Progress, Shrinker, Shrunk};
use synod_sim::{About, Failure, Guests, Plan, PlanFile, Preset, Watched, watch};

use super::{commit, complain};

/// The plan of a seed, or one from a file.
pub(crate) fn planned(what: &str, preset: Preset) -> Result<PlanFile, String> {
    if let Ok(seed) = what.parse() {
        return Ok(PlanFile { about: About::default(), plan: Plan::draw(seed, preset) });
    }
    PlanFile::read(Path::new(what)).map_err(|error| format!("{what}: {error}"))
}

#[expect(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn show(file: &PlanFile, save: Option<&Path>, verbose: bool) -> ExitCode {
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
pub(crate) fn shrink(file: &PlanFile, among: u64, out: &Path) -> Result<(), String> {
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

/// Shows a failure, and writes its plan to a file.
#[expect(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn tell(failure: &Failure, folder: &Path) {
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
