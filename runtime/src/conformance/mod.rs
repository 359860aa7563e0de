//! Checks for what you put in the place of a part of Synod: whether it keeps the promises that the
//! rest relies on.
//!
//! For the tests of that part; feature `conformance`.

use std::fmt;

#[cfg(feature = "node")]
pub mod transport;
pub mod vfs;

/// A check that was not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The promise that was checked.
    pub check: &'static str,
    /// What happened instead.
    pub reason: String,
}

/// The checks that were not passed; at least one.
#[derive(Clone, PartialEq, Eq)]
pub struct Failures {
    failed: Vec<Failure>,
    checks: usize,
}

impl Failures {
    /// An error if there are any, of so many checks.
    fn of(failed: Vec<Failure>, checks: usize) -> Result<(), Self> {
        if failed.is_empty() { Ok(()) } else { Err(Self { failed, checks }) }
    }

    /// One for each check that failed, in the order in which they ran.
    #[must_use]
    pub fn list(&self) -> &[Failure] {
        &self.failed
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} checks failed", self.failed.len(), self.checks)?;
        self.failed
            .iter()
            .try_for_each(|Failure { check, reason }| write!(f, "\n- {check}: {reason}"))
    }
}

/// The same as for people, so that `unwrap` shows it well.
impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failures {}
