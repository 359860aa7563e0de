//! Where mutants are made and hunted: a copy of the workspace, with a target folder of its own.
//!
//! There is one copy and one target folder, so each build starts from all that the last one left,
//! and the built program is moved out of the way, so that it runs while the next one is built. What
//! breaks a rule is held against the program without any bug: a seed that fails there proves nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use super::{Fate, Mutant};
use crate::plan::Preset;

/// A copy of the workspace.
#[derive(Debug)]
pub struct Workshop {
    workspace: PathBuf,
    scratch: PathBuf,
    /// The file that holds a bug now.
    planted: Option<String>,
}

/// A mutant that was built.
#[derive(Debug)]
struct Made {
    program: PathBuf,
    built_in: Duration,
}

/// What is known of a hunt that has ended.
#[derive(Debug)]
pub struct Hunted<'a> {
    /// Which mutant.
    pub mutant: &'a Mutant,
    /// What became of it.
    pub fate: Fate,
    /// How long it took to build.
    pub built_in: Duration,
    /// Seeds that break a rule without any bug: they say nothing of this one.
    pub spoiled: Vec<u64>,
}

impl Workshop {
    /// Copies the workspace, or what has changed of it.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn open(workspace: &Path, scratch: &Path) -> io::Result<Self> {
        copy(workspace, scratch)?;
        let (workspace, scratch) = (workspace.canonicalize()?, scratch.canonicalize()?);
        Ok(Self { workspace, scratch, planted: None })
    }

    /// Makes and hunts mutants, in an order that builds least; `tell` hears of each at its end.
    ///
    /// # Errors
    ///
    /// If the workspace does not build without any bug.
    pub fn hunt<'a>(
        &mut self,
        mutants: &[&'a Mutant],
        seeds: u64,
        mut tell: impl FnMut(Hunted<'a>),
    ) -> Result<(), String> {
        let mut order = mutants.to_vec();
        order.sort_by_key(|mutant| crate_of(mutant));
        let plain = self.build("plain")?;
        let hunter = Hunter { plain, scratch: self.scratch.clone(), seeds };
        thread::scope(|scope| {
            // No room: the program that waits to be handed over is the only one that is ahead.
            let (give, take) = sync_channel(0);
            scope.spawn(move || {
                for (n, &mutant) in order.iter().enumerate() {
                    let made = self.make(mutant, if n % 2 == 0 { "mutant-0" } else { "mutant-1" });
                    if give.send((mutant, made)).is_err() {
                        return;
                    }
                }
            });
            for (mutant, made) in take {
                let mut spoiled = Vec::new();
                let built_in = made.as_ref().map_or(Duration::ZERO, |made| made.built_in);
                let fate = made.and_then(|made| {
                    let fate = hunter.hunt(&made.program, mutant.preset, &mut spoiled);
                    fate.map_err(|error| error.to_string())
                });
                let fate = fate.unwrap_or_else(Fate::Failed);
                tell(Hunted { mutant, fate, built_in, spoiled });
            }
        });
        Ok(())
    }

    /// Plants and builds.
    fn make(&mut self, mutant: &Mutant, name: &str) -> Result<Made, String> {
        let told = |error: io::Error| error.to_string();
        let began = Instant::now();
        // With the time of now: what was built from the bug has to be built again.
        if let Some(file) = self.planted.take() {
            fs::write(self.scratch.join(&file), self.original(&file).map_err(told)?)
                .map_err(told)?;
        }
        let text = self.original(&mutant.file).map_err(told)?;
        let text = mutant.plant(&text)?;
        self.planted = Some(mutant.file.clone());
        fs::write(self.scratch.join(&mutant.file), text).map_err(told)?;
        let program = self.build(name)?;
        Ok(Made { program, built_in: began.elapsed() })
    }

    /// Builds what is there, and keeps the program under this name.
    fn build(&self, name: &str) -> Result<PathBuf, String> {
        let told = |error: io::Error| error.to_string();
        let target = self.scratch.join("target");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--profile", PROFILE, "-p", "synod-sim"])
            .args(["--bin", "synod-sim"])
            .current_dir(&self.scratch)
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTFLAGS", "--cap-lints=allow")
            .output()
            .map_err(told)?;
        if !built.status.success() {
            return Err(format!("does not build: {}", String::from_utf8_lossy(&built.stderr)));
        }
        let program = self.scratch.join(name);
        fs::copy(target.join(PROFILE).join("synod-sim"), &program).map_err(told)?;
        Ok(program)
    }

    fn original(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.workspace.join(file))
    }
}

/// Lets seeds look for a bug.
#[derive(Debug)]
struct Hunter {
    /// The program without any.
    plain: PathBuf,
    scratch: PathBuf,
    seeds: u64,
}

impl Hunter {
    /// Runs seeds until one breaks a rule that does not break without the bug.
    fn hunt(&self, program: &Path, preset: Preset, spoiled: &mut Vec<u64>) -> io::Result<Fate> {
        let began = Instant::now();
        let mut first = 0;
        while first < self.seeds {
            match self.run(program, preset, first, self.seeds - first)? {
                Ran::Passed => break,
                Ran::Ended(how) => return Ok(Fate::Failed(how)),
                Ran::Broke(seed, _) if self.run(&self.plain, preset, seed, 1)? != Ran::Passed => {
                    spoiled.push(seed);
                    first = seed + 1;
                }
                Ran::Broke(seed, broke) => {
                    let took = began.elapsed();
                    return Ok(Fate::Killed { seeds: seed + 1, took, broke });
                }
            }
        }
        Ok(Fate::Survived { took: began.elapsed() })
    }

    fn run(&self, program: &Path, preset: Preset, first: u64, seeds: u64) -> io::Result<Ran> {
        let began = Instant::now();
        // A file, since a failure prints more than a pipe holds.
        let (printed, failures) = (self.scratch.join("printed"), self.scratch.join("failures"));
        let mut child = Command::new(program)
            .args(["run", "--twice-every", "0", "--preset", preset.name()])
            .args(["--first", &first.to_string(), "--seeds", &seeds.to_string()])
            .arg("--failures")
            .arg(failures)
            .current_dir(&self.scratch)
            .stdout(File::create(&printed)?)
            .stderr(Stdio::null())
            .spawn()?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > RUN_MAX {
                child.kill()?;
                child.wait()?;
                return Ok(Ran::Ended(format!("did not end within {RUN_MAX:?}")));
            }
            thread::sleep(Duration::from_millis(20));
        };
        Ok(match lowest(&String::from_utf8_lossy(&fs::read(&printed)?)) {
            Some((seed, broke)) => Ran::Broke(seed, broke),
            None if status.success() => Ran::Passed,
            None => Ran::Ended(format!("the run ended with {status}")),
        })
    }
}

/// How some seeds ended.
#[derive(Debug, PartialEq, Eq)]
enum Ran {
    Passed,
    /// The lowest seed that broke a rule.
    Broke(u64, String),
    Ended(String),
}

/// Reads what `synod-sim run` printed: the lowest seed that broke a rule, since several run at once.
fn lowest(printed: &str) -> Option<(u64, String)> {
    let broken = printed.lines().filter_map(|line| {
        let (seed, broke) = line.strip_prefix("seed ")?.split_once(" broke ")?;
        Some((seed.parse().ok()?, broke.to_owned()))
    });
    broken.min()
}

/// Mutants of one crate are made one after the other: between them nothing below it is built.
fn crate_of(mutant: &Mutant) -> &str {
    mutant.file.split('/').next().unwrap_or_default()
}

/// Copies what Cargo needs of a workspace, without what it built.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else if fs::read(&from)? != fs::read(&to).unwrap_or_default() {
            // What did not change keeps its time, so that it is not built again.
            fs::write(&to, fs::read(&from)?)?;
        }
    }
    Ok(())
}

/// Built fast, and with every check on.
const PROFILE: &str = "mutants";

/// A hunt that takes longer has met a bug that keeps one step from ending.
const RUN_MAX: Duration = Duration::from_secs(1_800);

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn the_lowest_of_the_failed_seeds_counts() {
        let printed = "n1 > n2\nseed 17 broke once: twice\nseed 4 broke disk: a: b\n9 passed\n";
        assert_eq!(lowest(printed), Some((4, "disk: a: b".to_owned())));
        assert_eq!(lowest("2000 passed\n"), None);
    }

    #[test]
    fn a_copy_takes_over_what_changed_and_touches_nothing_else() {
        let (from, to) = (tempdir().unwrap(), tempdir().unwrap());
        fs::create_dir(from.path().join("target")).unwrap();
        fs::write(from.path().join("target/big"), "x").unwrap();
        fs::create_dir(from.path().join("core")).unwrap();
        for name in ["a", "core/b"] {
            fs::write(from.path().join(name), name).unwrap();
        }
        copy(from.path(), to.path()).unwrap();
        assert!(!to.path().join("target").exists());
        let time = |name: &str| to.path().join(name).metadata().unwrap().modified().unwrap();
        let before = (time("a"), time("core/b"));
        thread::sleep(Duration::from_millis(10));
        fs::write(from.path().join("core/b"), "changed").unwrap();
        copy(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("core/b")).unwrap(), "changed");
        assert_eq!(time("a"), before.0);
        assert!(time("core/b") > before.1);
    }
}
