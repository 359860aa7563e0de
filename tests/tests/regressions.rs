//! Plans that once broke a rule, made small. Each file tells its story in its second line.
//!
//! To add one: `synod-sim shrink FILE`, fill in the story, put the result into `tests/regressions`.

use std::fs;
use std::path::Path;

use synod_sim::{Options, PlanFile, run_plan};

#[test]
fn plans_that_failed_once_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "plan") {
            continue;
        }
        let name = path.display();
        let file = PlanFile::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!file.about.story.is_empty(), "{name}: what was it?");
        if let Err(failure) = run_plan(&file.plan, &Options::default()) {
            panic!("{failure}\n{name}, before that: {}", file.about.story);
        }
    }
}
