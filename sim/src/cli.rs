//! What the program's commands do, a file each.

pub(crate) mod campaign;
pub(crate) mod hashes;
pub(crate) mod mutants;
pub(crate) mod picture;
pub(crate) mod plans;
mod summary;

use std::process::ExitCode;

/// Which code this is, if it runs in a checkout.
pub(crate) fn commit() -> Option<String> {
    let git = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = git.ok().filter(|git| git.status.success())?.stdout;
    Some(String::from_utf8(text).ok()?.trim().to_owned())
}

#[expect(clippy::print_stderr, reason = "the program's output")]
pub(crate) fn complain(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
