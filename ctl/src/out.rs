//! What the program says: to people in lines, to programs as JSON.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::Value;

/// Where everything goes that is printed.
#[derive(Debug)]
pub(crate) struct Out {
    is_json: bool,
    to: io::BufWriter<io::Stdout>,
}

impl Out {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json, to: io::BufWriter::new(io::stdout()) }
    }

    /// Says one thing, as `text` or as `json`. A reader that went away ends the program quietly.
    pub(crate) fn say(&mut self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
        let said = if self.is_json {
            writeln!(self.to, "{}", json())
        } else {
            writeln!(self.to, "{}", text())
        };
        if said.is_err() {
            std::process::exit(2);
        }
    }

    /// Lets a reader see what was said so far.
    pub(crate) fn flush(&mut self) {
        if self.to.flush().is_err() {
            std::process::exit(2);
        }
    }

    /// Says why nothing came of it.
    #[expect(clippy::print_stderr, reason = "the program's output")]
    pub(crate) fn complain(&mut self, why: &str) -> ExitCode {
        if self.to.flush().is_ok() {
            eprintln!("synodctl: {why}");
        }
        ExitCode::from(2)
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        if self.to.flush().is_err() {
            std::process::exit(2);
        }
    }
}
