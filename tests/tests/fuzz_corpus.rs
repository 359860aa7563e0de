//! Every fuzz target's body over its checked-in corpus, and over what fuzzing here has found.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, too")]

use std::fs;
use std::path::PathBuf;

#[test]
fn frames() {
    over_corpus("frames", synod_fuzz::frames::run);
}

#[test]
fn group() {
    over_corpus("group", synod_fuzz::group::run);
}

#[test]
fn log_recovery() {
    over_corpus("log_recovery", synod_fuzz::log_recovery::run);
}

#[test]
fn schedule() {
    over_corpus("schedule", synod_fuzz::schedule::run);
}

/// Panics where the target does; the file's name is printed before.
fn over_corpus(target: &str, run: fn(&[u8])) {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let fuzz = tests.join("../fuzz");
    let mut count = 0;
    // Plans are inputs of one of the targets.
    let more = tests.join(if target == "schedule" { "regressions" } else { "none" });
    for folder in [fuzz.join("corpus").join(target), fuzz.join("artifacts").join(target), more] {
        let Ok(files) = fs::read_dir(folder) else { continue };
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(&path).unwrap());
            count += 1;
        }
    }
    assert!(count > 0, "no corpus for {target}");
}
