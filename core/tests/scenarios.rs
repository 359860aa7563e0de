//! Runs the scripts in `scenarios/`: each says what happens to a few nodes, command by command, and
//! everything they do about it.
//!
//! `REWRITE=1 cargo test -p synod-core --test scenarios` writes them anew; commit the difference
//! only if you can say why each line changed. Commands are in `support/script.rs`.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::path::Path;

use support::script::Script;

#[test]
fn every_script_goes_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 20, "the scripts are missing");
    let mut wrong = Vec::new();
    for path in paths {
        let expected = std::fs::read_to_string(&path).unwrap();
        let found = play(&expected);
        if std::env::var_os("REWRITE").is_some() {
            std::fs::write(&path, found).unwrap();
        } else if found != expected {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            println!("{name}:\n{}", difference(&expected, &found));
            wrong.push(name);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?} went otherwise; see above, and the top of this file");
}

/// Comments, blank lines and commands as they are, each command followed by what came of it.
fn play(text: &str) -> String {
    let (mut script, mut found) = (Script::new(), String::new());
    for line in text.lines().filter(|line| !line.starts_with("  ") && *line != "----") {
        found.push_str(line);
        found.push('\n');
        if !line.is_empty() && !line.starts_with('#') {
            let done = script.run(line);
            if !done.is_empty() {
                found.push_str("----\n");
                found.push_str(&done);
            }
        }
    }
    found
}

/// The first lines that differ, with what led to them.
fn difference(expected: &str, found: &str) -> String {
    let same = expected.lines().zip(found.lines()).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    for line in expected.lines().take(same).skip(same.saturating_sub(8)) {
        text.push_str(&format!("  {line}\n"));
    }
    for line in expected.lines().skip(same).take(8) {
        text.push_str(&format!("- {line}\n"));
    }
    for line in found.lines().skip(same).take(8) {
        text.push_str(&format!("+ {line}\n"));
    }
    text
}

#[test]
fn a_script_that_goes_otherwise_is_shown_where_it_first_differs() {
    let found = play("nodes 1 sync=auto\nrun 100ms\npropose 1 a\nstatus\n");
    let expected = found.replace("executes #2.0 a", "executes #2.0 b");
    assert_ne!(expected, found);
    assert!(difference(&expected, &found).contains("+   1: executes #2.0 a"), "{found}");
}
