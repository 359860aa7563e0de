//! `synodctl membership`: who votes and who follows in a group of a running cluster.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin::GroupOf;
use crate::out::Out;
use crate::table::{table, word};

/// What can be asked about a membership.
#[derive(Debug, Subcommand)]
pub(crate) enum Membership {
    /// Shows the members, where they listen, and the version, which a change may name.
    #[command(
        after_help = "Example:  synodctl membership show --group 0 /var/lib/your-service/log"
    )]
    Show(GroupOf),
    /// Adds a node. It has to run already, with nodes of the cluster as its peers: it learns the log first.
    #[command(
        after_help = "Example:  synodctl membership add --group 0 --node 4 --address host4:7001 DIR

Start node 4 first, on an empty directory, with `Bootstrap::Join`. As a follower it costs nobody a vote
while it learns; `promote` makes it a voter."
    )]
    Add {
        #[command(flatten)]
        which: Which,
        /// Where it listens: host:port.
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
        /// Only to learn and to answer reads.
        #[arg(long)]
        follower: bool,
        #[command(flatten)]
        change: Change,
    },
    /// Removes a node, which may be stopped then. What it has on disk never counts again.
    #[command(after_help = "Example:  synodctl membership remove --group 0 --node 1 DIR

To bring it back later, start it on an empty directory and add it.")]
    Remove {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        change: Change,
    },
    /// Puts a new node in the place of another one, in one step; it votes if the other one did.
    #[command(
        after_help = "Example:  synodctl membership replace --group 0 --node 1 --with 4 --address host4:7001 DIR"
    )]
    Replace {
        #[command(flatten)]
        which: Which,
        /// The node that takes its place.
        #[arg(long, value_name = "NODE")]
        with: u64,
        /// Where the new one listens: host:port.
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
        #[command(flatten)]
        change: Change,
    },
    /// Makes a follower a voter.
    #[command(after_help = "Example:  synodctl membership promote --group 0 --node 4 DIR")]
    Promote {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        change: Change,
    },
    /// Tells all members where a node listens from now on.
    #[command(
        after_help = "Example:  synodctl membership address --group 0 --node 2 --address new-host:7001 DIR

The node itself is told by its own settings where to listen."
    )]
    Address {
        #[command(flatten)]
        which: Which,
        /// Where it listens: host:port.
        #[arg(long, value_name = "HOST:PORT")]
        address: String,
        #[command(flatten)]
        change: Change,
    },
}

/// Which member.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// The number of the node that the change is about.
    #[arg(long, value_name = "NODE")]
    node: u64,
}

/// How a change is made.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// Make the change only if the membership has this version, as `show` gave it. Without it: what the
    /// asked node knows.
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// How long to wait until it is complete, in seconds. It may still be made afterwards.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    of: GroupOf,
}

impl Membership {
    /// Does it.
    pub(crate) fn run(self, out: &mut Out) -> Result<bool, String> {
        let (mut question, change) = match self {
            Self::Show(GroupOf { group, node }) => {
                let question = json!({"do": "membership", "group": group, "ask": "show"});
                let answer = node.ask(&question)?;
                out.say(|| shown(&answer), || answer.clone());
                return Ok(true);
            }
            Self::Add { which, address, follower, change } => {
                let node = which.node;
                let asked =
                    json!({"ask": "add", "node": node, "address": address, "follower": follower});
                (asked, change)
            }
            Self::Remove { which, change } => {
                (json!({"ask": "remove", "node": which.node}), change)
            }
            Self::Replace { which, with, address, change } => {
                let node = which.node;
                let asked =
                    json!({"ask": "replace", "node": node, "with": with, "address": address});
                (asked, change)
            }
            Self::Promote { which, change } => {
                (json!({"ask": "promote", "node": which.node}), change)
            }
            Self::Address { which, address, change } => {
                (json!({"ask": "address", "node": which.node, "address": address}), change)
            }
        };
        let Change { version, timeout, of: GroupOf { group, node } } = change;
        question["do"] = json!("membership");
        question["group"] = json!(group);
        question["version"] = json!(version);
        question["ms"] = json!(timeout.saturating_mul(1000));
        let answer = node.ask(&question)?;
        out.say(|| format!("made, and complete\n{}", shown(&answer)), || answer.clone());
        Ok(true)
    }
}

fn shown(membership: &Value) -> String {
    let group = &membership["group"];
    if let Some(why) = membership["unseen"].as_str() {
        return format!("group {group}: version {}; not shown: {why}", membership["made"]);
    }
    let complete = match membership["complete"].as_bool() {
        Some(false) => ", not complete: whoever it removes is still needed",
        _ => "",
    };
    let mut text = format!("group {group}: version {}{complete}\n", membership["version"]);
    let members = membership["members"].as_array().into_iter().flatten();
    let cell = |member: &Value, name: &str| match (&member[name], name) {
        (Value::Null, "address") => "as the settings say".to_owned(),
        (value, _) => word(value),
    };
    let heads = ["node", "part", "address", "memory"];
    let rows = members.map(|member| heads.map(|head| cell(member, head))).collect();
    text.push_str(&table(heads, rows));
    text.trim_end().to_owned()
}

/// For the help.
pub(crate) const EXAMPLES: &str = "Examples:
  synodctl membership show --group 0 DIR
  synodctl membership replace --group 0 --node 1 --with 4 --address host4:7001 DIR
  synodctl membership remove --group 0 --node 2 --version 1234 DIR

DIR is the data directory of a member that runs on this machine.";
