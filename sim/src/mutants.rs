//! Planted bugs: whether the simulator finds what it is there to find.
//!
//! `tests/mutants.toml` lists them as one replacement of text each. Every one is made alone, in a
//! copy of the workspace with its own target directory, and seeds run until one breaks a rule.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A planted bug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// In which file of the workspace.
    pub file: String,
    /// What stands there, exactly once.
    pub find: String,
    /// What is to stand there.
    pub replace: String,
    /// The rule that is expected to break.
    pub rule: String,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// So many seeds were needed, and this is what the last one broke.
    Killed {
        /// Seeds run, the failed one included.
        seeds: u64,
        /// The broken rule.
        broke: String,
    },
    /// All seeds passed: the simulator has a gap.
    Survived,
    /// It was not made, or did not build.
    Failed(String),
}

impl Mutant {
    /// Reads the list: tables `[[mutant]]` of strings, a small part of TOML.
    ///
    /// # Errors
    ///
    /// The first line that is not understood.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let mut mutants: Vec<Self> = Vec::new();
        let mut rest = text;
        while let Some((line, after)) = rest.split_once('\n') {
            rest = after;
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == "[[mutant]]" {
                mutants.push(Self::default());
                continue;
            }
            let wrong = || format!("not understood: {line}");
            let (key, value) = line.split_once(" = ").ok_or_else(wrong)?;
            let value = if let Some(begun) = value.strip_prefix("'''") {
                match begun.split_once("'''") {
                    Some((whole, _)) => whole.to_owned(),
                    None => {
                        let (more, after) = rest.split_once("'''").ok_or_else(wrong)?;
                        rest = after;
                        // As in TOML, a line's end right after the quotes does not count.
                        if begun.is_empty() { more.to_owned() } else { format!("{begun}\n{more}") }
                    }
                }
            } else {
                let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                quoted.ok_or_else(wrong)?.to_owned()
            };
            let mutant = mutants.last_mut().ok_or_else(wrong)?;
            let field = match key {
                "name" => &mut mutant.name,
                "file" => &mut mutant.file,
                "find" => &mut mutant.find,
                "replace" => &mut mutant.replace,
                "rule" => &mut mutant.rule,
                _ => return Err(wrong()),
            };
            *field = value;
        }
        Ok(mutants)
    }

    /// The text with the bug in it.
    ///
    /// # Errors
    ///
    /// If what is to be replaced does not stand there exactly once.
    pub fn plant(&self, text: &str) -> Result<String, String> {
        match text.matches(&self.find).count() {
            1 => Ok(text.replacen(&self.find, &self.replace, 1)),
            count => Err(format!("{} holds the text to replace {count} times", self.file)),
        }
    }

    /// Makes the mutant in `scratch`, a copy of `workspace`, and lets seeds look for it.
    #[must_use]
    pub fn hunt(&self, workspace: &Path, scratch: &Path, seeds: u64) -> Fate {
        self.attempt(workspace, scratch, seeds).unwrap_or_else(Fate::Failed)
    }

    fn attempt(&self, workspace: &Path, scratch: &Path, seeds: u64) -> Result<Fate, String> {
        let told = |error: io::Error| error.to_string();
        let file = scratch.join(&self.file);
        let text = fs::read_to_string(workspace.join(&self.file)).map_err(told)?;
        fs::write(&file, self.plant(&text)?).map_err(told)?;
        let fate = self.build_and_run(scratch, seeds);
        fs::write(&file, text).map_err(told)?;
        fate
    }

    fn build_and_run(&self, scratch: &Path, seeds: u64) -> Result<Fate, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--profile", "sim", "-p", "synod-sim"])
            .current_dir(scratch)
            .env("CARGO_TARGET_DIR", scratch.join("target"))
            .env("RUSTFLAGS", "--cap-lints=allow")
            .output()
            .map_err(|error| error.to_string())?;
        if !built.status.success() {
            return Err(format!("does not build: {}", String::from_utf8_lossy(&built.stderr)));
        }
        let run = Command::new(scratch.join("target/sim/synod-sim"))
            .args(["run", "--twice-every", "0", "--seeds", &seeds.to_string()])
            .output()
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&run.stdout);
        // "seed 7 broke rule: …"; the lowest, since several may run at once.
        let broken = text.lines().filter_map(|line| {
            let (seed, broke) = line.strip_prefix("seed ")?.split_once(" broke ")?;
            Some((seed.parse::<u64>().ok()?, broke.to_owned()))
        });
        Ok(match broken.min() {
            Some((seed, broke)) => Fate::Killed { seeds: seed + 1, broke },
            None if run.status.success() => Fate::Survived,
            None => Fate::Failed(format!("the run ended with {}", run.status)),
        })
    }
}

/// Copies what Cargo needs of a workspace, without what it built.
///
/// # Errors
///
/// As the file system says.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "target" || name.to_string_lossy().starts_with('.') {
            continue;
        }
        let (from, to): (PathBuf, PathBuf) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else if fs::read(&from)? != fs::read(&to).unwrap_or_default() {
            // What did not change keeps its time, so that it is not built again.
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed { seeds, broke } => {
                let broke: String = broke.chars().take(70).collect();
                write!(f, "{seeds:>6}  {broke}")
            }
            Self::Survived => write!(f, "     -  SURVIVED"),
            Self::Failed(why) => write!(f, "     ?  {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_every_mutant_still_fits() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let list = fs::read_to_string(workspace.join("tests/mutants.toml")).unwrap();
        let mutants = Mutant::list(&list).unwrap();
        assert!(mutants.len() >= 9);
        for mutant in mutants {
            let text = fs::read_to_string(workspace.join(&mutant.file)).unwrap();
            let planted =
                mutant.plant(&text).unwrap_or_else(|why| panic!("{}: {why}", mutant.name));
            assert_ne!(planted, text, "{}", mutant.name);
            assert!(!mutant.rule.is_empty(), "{}", mutant.name);
        }
    }

    #[test]
    fn a_text_that_stands_twice_or_not_at_all_is_refused() {
        let mutant = Mutant { find: "a".into(), replace: "b".into(), ..Mutant::default() };
        assert_eq!(mutant.plant("cat"), Ok("cbt".to_owned()));
        assert!(mutant.plant("dog").is_err());
        assert!(mutant.plant("llama").is_err());
        assert!(Mutant::list("find = 7\n").is_err());
    }
}
