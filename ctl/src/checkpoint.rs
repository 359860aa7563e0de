//! `synodctl checkpoint`: a running node's checkpoints.

use clap::Subcommand;
use serde_json::json;

use crate::admin::GroupOf;
use crate::out::Out;

/// What can be asked about checkpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum Checkpoint {
    /// Takes one now, and answers when it is durable: everything executed so far is in it.
    ///
    /// The log below it is then cleaned, less what the node's settings keep. Only this node takes one.
    #[command(after_help = "Example:  synodctl checkpoint now --group 0 /var/lib/your-service/log")]
    Now {
        /// How long to wait for it, in seconds; one that takes longer goes on.
        #[arg(long, value_name = "SECONDS", default_value_t = 600)]
        timeout: u64,
        #[command(flatten)]
        of: GroupOf,
    },
    /// Leaves the log as it is, checkpoints or not: for a backup, or to look at it.
    ///
    /// Holds until `resume` or the end of the process. The log grows meanwhile.
    #[command(
        after_help = "Example:  synodctl checkpoint pause --group 0 /var/lib/your-service/log"
    )]
    Pause(GroupOf),
    /// Lets the log be cleaned again below checkpoints, and cleans it.
    #[command(
        after_help = "Example:  synodctl checkpoint resume --group 0 /var/lib/your-service/log"
    )]
    Resume(GroupOf),
}

impl Checkpoint {
    /// Does it.
    pub(crate) fn run(self, out: &mut Out) -> Result<bool, String> {
        let (ask, timeout, GroupOf { group, node }) = match self {
            Self::Now { timeout, of } => ("now", Some(timeout), of),
            Self::Pause(of) => ("pause", None, of),
            Self::Resume(of) => ("resume", None, of),
        };
        let ms = timeout.map(|seconds| seconds.saturating_mul(1000));
        let question = json!({"do": "checkpoint", "group": group, "ask": ask, "ms": ms});
        let answer = node.ask(&question)?;
        let text = || match ask {
            "now" => format!(
                "group {group}: the checkpoint is durable; everything up to instance {} is in it",
                answer["checkpoint"]
            ),
            "pause" => format!(
                "group {group}: the log is not cleaned on this node until `synodctl checkpoint resume` \
                 or the end of the process"
            ),
            _ => format!("group {group}: the log is cleaned below checkpoints"),
        };
        out.say(text, || answer.clone());
        Ok(true)
    }
}

/// For the help.
pub(crate) const EXAMPLES: &str = "Examples:
  synodctl checkpoint now --group 0 /var/lib/your-service/log
  synodctl checkpoint pause --group 0 /var/lib/your-service/log   # then copy, look, …
  synodctl checkpoint resume --group 0 /var/lib/your-service/log";
