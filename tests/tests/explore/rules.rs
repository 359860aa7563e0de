//! The rules that hold in every state, and which of them are broken.

use std::collections::{BTreeMap, BTreeSet};

use synod_core::Ballot;

/// A rule. What I1 to I5 say stands in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Whatever is chosen at an instance, or taken for chosen anywhere, is one value.
    Agreement,
    /// What a message says of the sender's disk is on it.
    I1,
    /// The promise goes up only, on disk and in memory, and is at least what was said of it.
    I2,
    /// A ballot is used by one leadership of one process life.
    I3,
    /// No vote is below the promise, and who counts votes takes for chosen what a quorum voted for.
    I4,
    /// Who is told takes for chosen what a quorum voted for.
    I5,
    /// The core's own assertions hold.
    Sound,
}

impl Rule {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Agreement => "agreement",
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::Sound => "assertions",
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Agreement => 1,
            Self::I1 => 2,
            Self::I2 => 4,
            Self::I3 => 8,
            Self::I4 => 16,
            Self::I5 => 32,
            Self::Sound => 64,
        }
    }
}

/// The rules that are broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Broken(u8);

impl Broken {
    pub(crate) fn unless(&mut self, holds: bool, rule: Rule) {
        if !holds {
            self.0 |= rule.bit();
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) const fn any(self) -> bool {
        self.0 != 0
    }

    pub(crate) const fn has(self, rule: Rule) -> bool {
        self.0 & rule.bit() != 0
    }
}

/// Instance, ballot and value of a vote that was given.
pub(crate) type Vote = (u64, Ballot, String);

/// What is taken for chosen at an instance, and whether votes were counted for it here.
pub(crate) type Known = BTreeMap<u64, (String, bool)>;

/// Looks at all nodes together: their votes, and what they take for chosen.
pub(crate) fn together(nodes: [(&BTreeSet<Vote>, &Known); 3]) -> Broken {
    let mut broken = Broken::default();
    let mut chosen: BTreeMap<u64, &str> = BTreeMap::new();
    let [(a, _), (b, _), (c, _)] = nodes;
    let twice = a.iter().filter(|v| b.contains(v) || c.contains(v));
    for (instance, _, value) in twice.chain(b.iter().filter(|vote| c.contains(vote))) {
        let first = *chosen.entry(*instance).or_insert(value);
        broken.unless(first == value, Rule::Agreement);
    }
    let mut taken = chosen.clone();
    for (_, known) in nodes {
        for (instance, (value, is_counted)) in known {
            let first = *taken.entry(*instance).or_insert(value);
            broken.unless(first == value, Rule::Agreement);
            let rule = if *is_counted { Rule::I4 } else { Rule::I5 };
            broken.unless(chosen.get(instance) == Some(&value.as_str()), rule);
        }
    }
    broken
}
