//! Other builds of the simulator do the same: a seed that fails in a campaign is the same seed in a
//! debugger.
//!
//! They have to be built, so they are asked for: `cargo test -p synod-tests --test builds --
//! --ignored`. `.ci/run` does.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::Command;

use synod_sim::Preset;
use synod_sim::sweep::hashes;

/// Not the seeds that `synod-sim run` begins with.
const FIRST: u64 = 2_000_000;

/// Of each kind.
const SEEDS: u64 = 3;

#[test]
fn any_number_of_jobs_does_the_same() {
    let alone = hashes(&Preset::ALL, FIRST, SEEDS, 1);
    assert_eq!(alone.len(), Preset::ALL.len() * usize::try_from(SEEDS).unwrap());
    assert_eq!(hashes(&Preset::ALL, FIRST, SEEDS, 2), alone);
    assert_ne!(hashes(&Preset::ALL, FIRST + 1, SEEDS, 2), alone, "the hash says nothing");
}

/// Optimised, without any debug assertion.
#[test]
#[ignore = "builds the simulator anew, for a minute or two"]
fn the_release_build_does_the_same() {
    does_the_same("release");
}

/// Optimised, with every check: what campaigns run.
#[test]
#[ignore = "builds the simulator anew, for a minute or two"]
fn the_build_for_campaigns_does_the_same() {
    does_the_same("sim");
}

/// Builds the program with a profile, and compares what it prints with what happens here.
fn does_the_same(profile: &str) {
    let run = |jobs: &str| {
        let (seeds, first) = (SEEDS.to_string(), FIRST.to_string());
        let output = Command::new(env!("CARGO"))
            .args(["run", "--quiet", "--locked", "--profile", profile, "-p", "synod-sim", "--"])
            .args(["hash", "--seeds", &seeds, "--first", &first, "--jobs", jobs])
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut here = String::new();
    for (preset, seed, hash) in hashes(&Preset::ALL, FIRST, SEEDS, 1) {
        here += &format!("{preset} {seed} {hash:016x}\n");
    }
    assert_eq!(run("1"), here, "the {profile} build goes another way");
    assert_eq!(run("2"), here, "the {profile} build goes another way on two threads");
}
