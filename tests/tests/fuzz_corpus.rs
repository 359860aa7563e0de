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

/// Panics where the target does; the file's name is printed before.
fn over_corpus(target: &str, run: fn(&[u8])) {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut count = 0;
    for folder in ["corpus", "artifacts"] {
        let Ok(files) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for file in files {
            let path = file.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(&path).unwrap());
            count += 1;
        }
    }
    assert!(count > 0, "no corpus for {target}");
}
