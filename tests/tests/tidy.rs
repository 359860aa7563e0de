//! Rules about the source itself: what core may depend on, how long a file may be, and that the
//! docs point at what exists.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything below core. To add to this list is a decision: core is what users have to trust.
const CORE_DEPENDS_ON: [&str; 8] = [
    "bytes",
    "proc-macro2",
    "quote",
    "syn",
    "synod-core",
    "thiserror",
    "thiserror-impl",
    "unicode-ident",
];

/// Past this many lines, look for the second idea in a file.
const LINES_MAX: usize = 600;

#[test]
fn core_depends_on_what_the_list_says() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "synod-core", "-e", "normal", "--prefix", "none"])
        .args(["--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let found: BTreeSet<&str> = text.lines().filter_map(|l| l.split_whitespace().next()).collect();
    assert_eq!(found, BTreeSet::from(CORE_DEPENDS_ON));
}

#[test]
fn no_file_holds_two_ideas() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.ends_with("samples/kv/src/api.rs"))
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn the_docs_name_files_that_exist() {
    let mut missing = Vec::new();
    for doc in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(doc)).unwrap();
        for quoted in text.split('`').skip(1).step_by(2) {
            let path = quoted.split([':', ',']).next().unwrap_or(quoted);
            let looks_like_path = path.contains('/')
                && !path.contains([' ', '*', '$', '(', '<'])
                && !path.starts_with('/')
                && !path.contains("foo");
            if looks_like_path && !root().join(path).exists() {
                missing.push(format!("{doc}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn nothing_in_the_tree_is_left_half_done() {
    let words = ["todo!(", "unimplemented!(", "FIXME", "XXX", "dbg!("];
    let mut found = Vec::new();
    for path in sources().into_iter().filter(|path| !path.ends_with("tidy.rs")) {
        for (number, line) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["core", "proto", "runtime", "ctl", "samples", "sim", "tests", "fuzz"]
            .iter()
            .map(|folder| root().join(folder))
            .collect();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found: {}", found.len());
    found
}
