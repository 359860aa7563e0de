//! Planted bugs, one after the other.

use std::path::Path;
use std::process::ExitCode;

use synod_sim::mutants::{self, Fate, Mutant};

#[expect(clippy::print_stdout, reason = "the program's output")]
pub(crate) fn hunt(seeds: u64, only: &str, scratch: &Path) -> ExitCode {
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
