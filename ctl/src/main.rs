//! The `synodctl` program.

mod log;
mod out;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Looks after Synod nodes: their logs on disk, and the clusters that run.
///
/// Commands about a directory (`log …`) need the node stopped: two processes on one directory would
/// ruin it, so each takes the directory's lock. What they print is for people; with --json it is one
/// JSON object a line, for programs.
///
/// The exit code is 0 if all is well, 1 if something is damaged, 2 if the command could not be carried
/// out.
#[derive(Debug, Parser)]
#[command(version, after_help = "Start with:  synodctl log verify /var/lib/your-service/log")]
struct Cli {
    /// Print JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Reads, checks and mends the log of a stopped node.
    #[command(subcommand)]
    Log(log::Log),
}

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let mut out = out::Out::new(json);
    let done = match command {
        Command::Log(log) => log.run(&mut out),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => out.complain(&why),
    }
}
