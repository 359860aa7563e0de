//! The `synodctl` program.

mod admin;
mod checkpoint;
mod log;
mod membership;
mod out;
mod recover;
mod status;
mod table;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};

use admin::Running;

/// Looks after Synod nodes: their logs on disk, and the clusters that run.
///
/// Commands about a log, and `force-recover`, need the node stopped: two processes on one directory
/// would ruin it, so each takes the directory's lock. The others need it running, and talk to it by a
/// socket in its data directory: run them on the same machine, as the same user. What they print is for
/// people; with --json it is one JSON object a line, for programs.
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
    /// Makes a new cluster of what one survivor's directory holds: the last resort.
    ///
    /// For when a majority of a group's voters is gone for good, disks and all, so that nothing can be chosen
    /// any more and no membership change can be made. While a majority can be brought back, bring it back.
    /// Without --yes-lose-data it only says what it would do, and changes nothing.
    #[command(name = "force-recover", after_help = recover::MORE)]
    ForceRecover(recover::ForceRecover),
    /// Shows what a running node does. Exit code 1 if a group has stopped or the node takes no part.
    Status(Running),
    /// Shows it again whenever something has changed, until the node ends.
    Watch(Running),
    /// Has the leader of a group, which the node has to be, hand over to another node.
    Transfer {
        /// Which group.
        #[arg(long, value_name = "N")]
        group: u32,
        /// Which node is to lead.
        #[arg(long, value_name = "NODE")]
        to: u64,
        #[command(flatten)]
        node: Running,
    },
    /// Steers a node's part in the mastership of a group.
    Master {
        /// What it is to do.
        ask: Ask,
        /// Which group.
        #[arg(long, value_name = "N")]
        group: u32,
        /// For how long to be master at a time, in milliseconds; with `lease`.
        #[arg(long, value_name = "MS", default_value_t = 3000)]
        ms: u64,
        #[command(flatten)]
        node: Running,
    },
    /// Shows who votes and who follows in a group, and changes it while the cluster runs.
    ///
    /// Any member can be asked: it passes the change on to the leader. A change answers when it is
    /// complete: a majority of the new voters holds the log, and whoever was removed may be stopped.
    #[command(subcommand, after_help = membership::EXAMPLES)]
    Membership(membership::Membership),
    /// Has a node take a checkpoint, or leave its log as it is for a while.
    #[command(subcommand, after_help = checkpoint::EXAMPLES)]
    Checkpoint(checkpoint::Checkpoint),
}

/// What a node can be asked about a mastership.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Ask {
    /// Try to become master whenever there is none.
    Campaign,
    /// Leave it to others; a master goes on until its lease ends.
    Rest,
    /// Stop being master at once, and leave it to others for two leases.
    Release,
    /// Ask for another length of lease.
    Lease,
}

fn main() -> ExitCode {
    let Cli { json, command } = Cli::parse();
    let mut out = out::Out::new(json);
    let done = match command {
        Command::Log(log) => log.run(&mut out),
        Command::ForceRecover(recover) => recover.run(&mut out),
        Command::Status(node) => status::status(&node, &mut out),
        Command::Watch(node) => status::watch(&node, &mut out),
        Command::Transfer { group, to, node } => {
            told(&node, &json!({"do": "transfer", "group": group, "to": to}), &mut out)
        }
        Command::Master { ask, group, ms, node } => {
            let ask = ask.to_possible_value().map(|value| value.get_name().to_owned());
            let question = json!({"do": "master", "group": group, "ask": ask, "ms": ms});
            told(&node, &question, &mut out)
        }
        Command::Membership(membership) => membership.run(&mut out),
        Command::Checkpoint(checkpoint) => checkpoint.run(&mut out),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(why) => out.complain(&why),
    }
}

/// Has a node do something, and shows what it says.
fn told(node: &Running, question: &Value, out: &mut out::Out) -> Result<bool, String> {
    let answer = node.ask(question)?;
    out.say(|| "asked; `synodctl watch` shows what comes of it".to_owned(), || answer.clone());
    Ok(true)
}
