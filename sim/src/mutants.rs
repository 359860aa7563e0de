//! Planted bugs: whether the simulator finds what it is there to find.
//!
//! `tests/mutants.toml` lists them, a replacement of text each. Every one is made alone, in a
//! [copy](workshop) of the workspace, and seeds run until one breaks a rule. One that survives is a
//! gap: in what clients ask, in the faults, or in the rules.

pub mod workshop;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::plan::Preset;

pub use workshop::Workshop;

/// A planted bug.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// What it is called.
    pub name: String,
    /// In which file of the workspace.
    pub file: String,
    /// What stands there, exactly once.
    pub find: String,
    /// What is to stand there.
    pub replace: String,
    /// The rule that is expected to break; others count, too.
    pub rule: String,
    /// What it takes for the bug to show.
    pub rare: String,
    /// What it endangers.
    #[serde(default)]
    pub kind: Kind,
    /// The kind of runs that hunt it.
    #[serde(default)]
    pub preset: Preset,
    /// Why it is known to survive, if it is.
    pub survives: Option<String>,
}

/// What a planted bug endangers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// What was said or answered: every one of these has to be killed.
    #[default]
    Safety,
    /// Progress, or what it may cost.
    Liveness,
}

/// What became of a mutant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A seed broke a rule.
    Killed {
        /// Seeds up to that one, itself included.
        seeds: u64,
        /// How long they ran.
        took: Duration,
        /// The broken rule, and how.
        broke: String,
    },
    /// All seeds passed: the simulator has a gap.
    Survived {
        /// How long they ran.
        took: Duration,
    },
    /// It was not made, did not build, or did not end.
    Failed(String),
}

/// How many of what became of all mutants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Mutants.
    pub all: u32,
    /// Those that were killed.
    pub killed: u32,
    /// Those that endanger safety and were not.
    pub safety_missed: u32,
    /// Those of which nothing is known, since they could not be run.
    pub failed: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutant: Vec<Mutant>,
}

impl Mutant {
    /// Reads the list: TOML, tables `[[mutant]]`.
    ///
    /// # Errors
    ///
    /// What is not understood, and where.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let list: List = toml::from_str(text).map_err(|error| error.to_string())?;
        Ok(list.mutant)
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
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, kind: Kind, fate: &Fate) {
        self.all += 1;
        match fate {
            Fate::Killed { .. } => self.killed += 1,
            Fate::Survived { .. } => self.safety_missed += u32::from(kind == Kind::Safety),
            Fate::Failed(_) => self.failed += 1,
        }
    }

    /// Whether the simulator is as sharp as it has to be: every safety mutant is killed, and at least
    /// 95 of 100 of all.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failed == 0 && self.safety_missed == 0 && self.killed * 100 >= self.all * 95
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Safety => "safety",
            Self::Liveness => "liveness",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_list_is_read_and_every_mutant_still_fits() {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let list = fs::read_to_string(workspace.join("tests/mutants.toml")).unwrap();
        let mutants = Mutant::list(&list).unwrap();
        let mut names = BTreeSet::new();
        for mutant in &mutants {
            let name = &mutant.name;
            let text = fs::read_to_string(workspace.join(&mutant.file))
                .unwrap_or_else(|error| panic!("{name}: {}: {error}", mutant.file));
            let planted = mutant.plant(&text).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert_ne!(planted, text, "{name}");
            assert!(!mutant.rule.is_empty() && !mutant.rare.is_empty(), "{name}");
            assert!(names.insert(name), "{name} is there twice");
        }
        assert!(mutants.len() >= 45, "{} mutants", mutants.len());
    }

    #[test]
    fn a_text_that_stands_twice_or_not_at_all_is_refused() {
        let mutant = Mutant { find: "a".into(), replace: "b".into(), ..Mutant::default() };
        assert_eq!(mutant.plant("cat"), Ok("cbt".to_owned()));
        assert!(mutant.plant("dog").is_err());
        assert!(mutant.plant("llama").is_err());
    }

    #[test]
    fn what_is_unknown_or_missing_in_the_list_is_an_error() {
        let good = "[[mutant]]\nname = 'a'\nfile = 'b'\nfind = 'c'\nreplace = 'd'\nrule = 'e'\n\
                    rare = 'f'\n";
        let [mutant] = &Mutant::list(good).unwrap()[..] else { panic!("one") };
        assert_eq!((mutant.kind, mutant.preset), (Kind::Safety, Preset::Mix));
        let more = |line: &str| Mutant::list(&format!("{good}{line}\n"));
        assert_eq!(more("kind = 'liveness'").unwrap()[0].kind, Kind::Liveness);
        assert_eq!(more("preset = 'worn'").unwrap()[0].preset, Preset::Worn);
        assert!(more("colour = 'red'").unwrap_err().contains("colour"));
        assert!(Mutant::list("[[mutant]]\nname = 'a'\n").is_err());
    }

    #[test]
    fn one_safety_mutant_that_survives_is_one_too_many() {
        let took = Duration::ZERO;
        let killed = Fate::Killed { seeds: 1, took, broke: String::new() };
        let mut tally = Tally::default();
        for _ in 0..19 {
            tally.add(Kind::Safety, &killed);
        }
        let with = |kind, fate| {
            let mut tally = tally;
            tally.add(kind, &fate);
            tally.is_good()
        };
        assert!(with(Kind::Liveness, Fate::Survived { took }));
        assert!(!with(Kind::Safety, Fate::Survived { took }));
        assert!(!with(Kind::Liveness, Fate::Failed(String::new())));
        let mut few = Tally::default();
        few.add(Kind::Safety, &killed);
        few.add(Kind::Liveness, &Fate::Survived { took });
        assert!(!few.is_good());
    }
}
