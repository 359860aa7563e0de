//! Planted bugs, one after the other, as a table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use synod_sim::mutants::workshop::Hunted;
use synod_sim::mutants::{Fate, Mutant, Tally, Workshop};

use super::complain;

/// Hunts those whose name contains `only`.
#[expect(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn hunt(seeds: u64, only: &str, scratch: &Path) -> ExitCode {
    let ready = fs::read_to_string(LIST).and_then(|list| {
        let workshop = Workshop::open(Path::new("."), scratch)?;
        Ok((list, workshop))
    });
    let (list, mut workshop) = match ready {
        Ok(ready) => ready,
        Err(error) => return complain(&format!("run this in the workspace's folder: {error}")),
    };
    let list = match Mutant::list(&list) {
        Ok(list) => list,
        Err(error) => return complain(&format!("{LIST}: {error}")),
    };
    let mutants: Vec<&Mutant> = list.iter().filter(|it| it.name.contains(only)).collect();

    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}  {elapsed}, {eta} left  {msg}");
    let bar = ProgressBar::new(u64::try_from(mutants.len()).expect("fits"))
        .with_style(style.expect("a good template"));
    bar.enable_steady_tick(Duration::from_millis(200));
    println!("{:<WIDTH$}  {:<8}  {:>5}  {:>5}  broke", "planted bug", "kind", "seeds", "secs");
    let mut tally = Tally::default();
    let (mut building, mut hunting) = (Duration::ZERO, Duration::ZERO);
    let (mut others, mut spoiled) = (Vec::new(), BTreeSet::new());
    let hunted = workshop.hunt(&mutants, seeds, |hunted| {
        let Hunted { mutant, fate, built_in, spoiled: seeds } = hunted;
        spoiled.extend(seeds.into_iter().map(|seed| (mutant.preset.name(), seed)));
        tally.add(mutant.kind, &fate);
        building += built_in;
        bar.inc(1);
        match &fate {
            Fate::Killed { seeds, took, broke } => {
                hunting += *took;
                bar.suspend(|| println!("{}", row(mutant, *seeds, *took, broke)));
                return;
            }
            Fate::Survived { took } => hunting += *took,
            Fate::Failed(_) => {}
        }
        others.push((mutant, fate));
        bar.set_message(format!("{} not killed", others.len()));
    });
    bar.finish_and_clear();
    if let Err(why) = hunted {
        return complain(&why);
    }
    for (mutant, fate) in &others {
        println!("{}", missed(mutant, fate, seeds));
    }
    let Tally { all, killed, safety_missed, failed } = tally;
    println!(
        "\n{killed} of {all} killed, {} safety mutants survive, {failed} could not be run; \
         {} s of building beside {} s of hunting",
        if safety_missed == 0 { "no".to_owned() } else { safety_missed.to_string() },
        building.as_secs(),
        hunting.as_secs()
    );
    for (preset, seed) in spoiled {
        println!("not counted: seed {seed} of {preset} breaks a rule without any bug");
    }
    if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(mutant: &Mutant, seeds: u64, took: Duration, broke: &str) -> String {
    let Mutant { name, kind, rule, .. } = mutant;
    let other = !broke.starts_with(&format!("{rule}:"));
    let expected = if other { format!(" (not {rule})") } else { String::new() };
    let broke: String = broke.chars().take(BROKE_MAX).collect();
    let tenths = took.as_millis() / 100;
    let secs = format!("{}.{}", tenths / 10, tenths % 10);
    format!("{name:<WIDTH$}  {kind:<8}  {seeds:>5}  {secs:>5}  {broke}{expected}")
}

fn missed(mutant: &Mutant, fate: &Fate, seeds: u64) -> String {
    let Mutant { name, kind, preset, survives, .. } = mutant;
    let (what, why) = match fate {
        Fate::Failed(why) => ("NOT RUN", why.trim()),
        Fate::Killed { .. } | Fate::Survived { .. } => {
            ("SURVIVED", survives.as_deref().unwrap_or("why is not known").trim())
        }
    };
    format!("{name:<WIDTH$}  {kind:<8}  {seeds:>5}         {what} {}: {why}", preset.name())
}

const LIST: &str = "tests/mutants.toml";

/// Of the names' column.
const WIDTH: usize = 62;

/// So much of what a broken rule has to say.
const BROKE_MAX: usize = 90;
