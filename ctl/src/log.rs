//! `synodctl log`: the log of a stopped node.

mod dump;
mod repair;
mod verify;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::out::Out;

/// What can be done with a log.
#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Shows everything that is in a log: segments, batches, records, and what is damaged.
    ///
    /// Goes on behind damage at the next batch that can be read. Changes nothing, and does not need the
    /// node stopped, though what it writes meanwhile may look torn.
    Dump(dump::Dump),
    /// Says what the node would make of its log if it were started now. Changes nothing.
    ///
    /// Runs the real recovery over a copy in memory of what it would write. Exit code 1 if votes may be
    /// lost, so that the node would take a new memory.
    Verify(Dir),
    /// Mends what one copy of the log lost from the other, where there is one.
    ///
    /// Nothing else is changed: a value lost in both copies is learned again from the peers at the next
    /// start, and where votes may be lost the node takes a new memory by itself. Exit code 1 if some of
    /// the damage stays.
    Repair {
        #[command(flatten)]
        dir: Dir,
        /// Only say what would be written.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which log.
#[derive(Debug, Args)]
pub(crate) struct Dir {
    /// The data directory of a node: it holds the files 00000001.log and so on.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Log {
    /// Does it; says whether all is well.
    pub(crate) fn run(self, out: &mut Out) -> Result<bool, String> {
        match self {
            Self::Dump(dump) => dump.run(out),
            Self::Verify(dir) => verify::verify(&dir.find()?, out),
            Self::Repair { dir, dry_run } => repair::repair(&dir.find()?, dry_run, out),
        }
    }
}

impl Dir {
    /// The directory with the segments.
    pub(crate) fn find(&self) -> Result<PathBuf, String> {
        let dir = &self.dir;
        let is_segment = |name: &str| {
            name.strip_suffix(".log").is_some_and(|number| number.parse::<u32>().is_ok())
        };
        let entries = std::fs::read_dir(dir);
        let mut entries = entries.map_err(|error| format!("{}: {error}", dir.display()))?.flatten();
        if entries.any(|entry| entry.file_name().to_str().is_some_and(is_segment)) {
            return Ok(dir.clone());
        }
        Err(format!(
            "there is no log in {}: give the data directory of a node, which holds 00000001.log or \
             a later one",
            dir.display()
        ))
    }
}
