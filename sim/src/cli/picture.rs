//! The picture of a run.

use std::path::Path;

use synod_sim::{Guests, Preset, picture, watch};

use super::plans::planned;

/// Runs a plan, and writes its picture.
#[expect(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn draw(what: &str, preset: Preset, html: &Path) -> Result<(), String> {
    let plan = planned(what, preset)?.plan;
    let watched = watch(&plan, &Guests::default(), usize::MAX);
    let is_plain = preset == Preset::Mix || what.parse::<u64>().is_err();
    let kind = if is_plain { String::new() } else { format!(" --preset {preset}") };
    let page = picture::page(&plan, &watched, &format!("synod-sim replay {what}{kind} --verbose"));
    std::fs::write(html, &page).map_err(|error| format!("{}: {error}", html.display()))?;
    let (steps, size) = (watched.steps.len(), page.len() / 1024);
    let verdict = watched.broken.map_or_else(|| "passed".to_owned(), |why| format!("broke {why}"));
    println!("{}: {steps} steps, {size} KiB; {verdict}", html.display());
    Ok(())
}
