//! `synodctl force-recover`: a new cluster of what one survivor holds.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use synod::log::{
    OpenError, RecoverError, RecoverOptions, SurvivingGroup, Survivor, force_recover, survey,
};
use synod::vfs::StdVfs;
use synod_core::{ClusterId, Member};

use crate::log::Dir;
use crate::out::Out;

/// What is to be recovered.
#[derive(Debug, Args)]
pub(crate) struct ForceRecover {
    #[command(flatten)]
    dir: Dir,
    /// Do it: CLUSTER is the id of the cluster that is given up, as it was shown without this.
    #[arg(long, value_name = "CLUSTER", value_parser = cluster)]
    yes_lose_data: Option<ClusterId>,
    /// Which node the directory belongs to. Needed only if the directory does not say.
    #[arg(long, value_name = "NODE")]
    node: Option<u64>,
    /// Give up values that the disk has a record of and no copy: they become no-ops.
    #[arg(long)]
    give_up_lost_values: bool,
}

impl ForceRecover {
    /// Does it, or says what would be done.
    pub(crate) fn run(self, out: &mut Out) -> Result<bool, String> {
        let dir = self.dir.find()?;
        let options = RecoverOptions {
            node: self.node.map(synod_core::NodeId),
            give_up_lost: self.give_up_lost_values,
        };
        match self.yes_lose_data {
            None => {
                let survivor = survey(&StdVfs, &dir, &options).map_err(|error| refused(&error))?;
                show(&survivor, None, out);
                let more = if options.give_up_lost { " --give-up-lost-values" } else { "" };
                let node = self.node.map(|node| format!(" --node {node}")).unwrap_or_default();
                let cluster = survivor.cluster;
                out.say(
                    || {
                        format!(
                            "\nNothing was changed. What the others chose and this node never accepted would \
                             be lost: `synodctl force-recover --help` says more. If no majority can be brought \
                             back, and no other survivor holds more, copy the directory, then:\n  \
                             synodctl force-recover{node}{more} --yes-lose-data {cluster} {}",
                            dir.display()
                        )
                    },
                    || json!({"done": false, "confirm_with": cluster.to_string()}),
                );
            }
            Some(of) => {
                let mut draw = || getrandom::u64().map_err(std::io::Error::other);
                let done = force_recover(StdVfs, &dir, &options, of, &mut draw);
                let (cluster, survivor) = done.map_err(|error| refused(&error))?;
                show(&survivor, Some(cluster), out);
                out.say(
                    || next(&survivor, &dir),
                    || json!({"done": true, "cluster": cluster.to_string()}),
                );
            }
        }
        Ok(true)
    }
}

/// Reads a cluster's id as it is shown.
fn cluster(text: &str) -> Result<ClusterId, String> {
    let number = (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
    let why =
        "a cluster's id has 16 hexadecimal digits, and is shown by this command without the flag";
    number.map(ClusterId).ok_or_else(|| why.to_owned())
}

fn show(survivor: &Survivor, made: Option<ClusterId>, out: &mut Out) {
    let Survivor { cluster, node, groups, absent } = survivor;
    let text = || {
        let mut text = match made {
            None => format!(
                "node {node} of cluster {cluster} would be the only voter of a new cluster, with a new id \
                 and new memories"
            ),
            Some(new) => format!(
                "node {node} of cluster {cluster} is the only voter of the new cluster {new}, with new memories"
            ),
        };
        if !absent.is_empty() {
            let names: Vec<String> = absent.iter().map(ToString::to_string).collect();
            text.push_str(&format!(
                "\nwithout group {}, of which the directory has nothing",
                names.join(" and group ")
            ));
        }
        text
    };
    out.say(text, || {
        let absent: Vec<u32> = absent.iter().map(|group| group.0).collect();
        json!({"node": node.0, "old_cluster": cluster.to_string(),
            "new_cluster": made.map(|new| new.to_string()), "absent_groups": absent})
    });
    for group in groups {
        out.say(|| lines(group, *node), || object(group, *node));
    }
}

/// What this node is in the membership that decided last.
fn part(of: &SurvivingGroup) -> &'static str {
    let is_ours = |member: &Member| member.incarnation == of.incarnation;
    if of.membership.voters().iter().any(is_ours) {
        "a voter"
    } else if of.membership.followers().iter().any(is_ours) {
        "a follower"
    } else {
        "no member"
    }
}

fn names(members: &[Member]) -> String {
    let names: Vec<String> = members.iter().map(|member| member.node.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn lines(of: &SurvivingGroup, node: synod_core::NodeId) -> String {
    let SurvivingGroup {
        group,
        version,
        promised,
        cleaned,
        chosen,
        accepted,
        holes,
        lost,
        entry,
        ..
    } = of;
    let (voters, followers) = (names(of.membership.voters()), names(of.membership.followers()));
    let mut text = format!(
        "  group {group}: voters {voters}, followers {followers} (version {version}); node {node} is {}\n    \
         holds: chosen {chosen}, cleaned {cleaned}, checkpoint {}, memory {:016x}, promised {promised}\n    \
         kept as chosen: everything up to {}, of that {accepted} values that were accepted here and may \
         have been chosen",
        part(of),
        of.checkpoint.map_or_else(|| "none".to_owned(), |at| at.to_string()),
        of.incarnation.0,
        entry.prev(),
    );
    if *holes > 0 {
        text.push_str(&format!("; {holes} instances between them were never heard of: no-ops"));
    }
    if *lost > 0 {
        text.push_str(&format!("; {lost} values lost by the disk: no-ops"));
    }
    text.push_str(&format!("\n    new: node {node} votes alone, by the entry at {entry}"));
    text
}

fn object(of: &SurvivingGroup, node: synod_core::NodeId) -> Value {
    let nodes = |members: &[Member]| members.iter().map(|member| member.node.0).collect::<Vec<_>>();
    json!({"group": of.group.0, "node": node.0, "part": part(of),
        "voters": nodes(of.membership.voters()), "followers": nodes(of.membership.followers()),
        "version": of.version.0, "memory": format!("{:016x}", of.incarnation.0),
        "promised": of.promised.to_string(), "chosen": of.chosen.0, "cleaned": of.cleaned.0,
        "checkpoint": of.checkpoint.map(|at| at.0), "accepted_kept": of.accepted,
        "holes": of.holes, "lost_values": of.lost, "kept_up_to": of.entry.prev().0,
        "new_membership_at": of.entry.0})
}

/// What to do now.
fn next(survivor: &Survivor, dir: &Path) -> String {
    let dir = dir.display();
    let node = survivor.node;
    let group = match &survivor.groups[..] {
        [only] => only.group.0.to_string(),
        _ => "GROUP".to_owned(),
    };
    let each = if survivor.groups.len() == 1 { "" } else { ", for each group" };
    [
        "",
        "Next:",
        &format!("  1. Start node {node} on this directory, with the settings and the address that it had;"),
        "     with Restart::Rejoin not before two others have joined. If a state machine keeps its own",
        "     state, and that is further than `chosen` above, remove it first: it may hold what the log does",
        "     not, and is built again from the checkpoint and the log.",
        "  2. Wipe the data directories of all other old nodes. With an old one they are refused.",
        &format!("  3. Start each with Bootstrap::Join and node {node} as its only peer, and add it{each}:"),
        &format!(
            "       synodctl membership add --group {group} --node NODE --address HOST:PORT {dir}"
        ),
    ]
    .join("\n")
}

/// Why it is not done, and what to do first.
fn refused(error: &RecoverError) -> String {
    let first = match error {
        RecoverError::Open(OpenError::Locked { .. }) => "stop the node first",
        RecoverError::Open(OpenError::Damaged { .. }) => {
            "look for another survivor; `synodctl log verify` and `log dump` show what is left here, and \
             `log repair` mends what has a good copy. Do not start the node: it would set this log aside"
        }
        RecoverError::Lost { .. } => {
            "look for another survivor; if none has them, --give-up-lost-values puts no-ops in their place"
        }
        RecoverError::Checkpoint { .. } => {
            "put them back from a copy of the directory, or look for another survivor"
        }
        RecoverError::UnknownNode => "look for a survivor that votes, or say --node NODE",
        RecoverError::OtherCluster { .. } => "without --yes-lose-data the command shows the id",
        RecoverError::NoCluster(_)
        | RecoverError::OtherNode { .. }
        | RecoverError::Log { .. }
        | RecoverError::Random(_)
        | _ => return error.to_string(),
    };
    format!("{error}\n{first}")
}

/// For the help.
pub(crate) const MORE: &str = "What it does:
  The node of DIR becomes the only voter of a new cluster with an id of its own. It keeps all that the
  directory knows to be chosen, its checkpoints, and what it accepted above that, which may have been
  chosen. What is missing in between becomes no-ops. It takes new memories, so that nothing it said before
  counts. A crash meanwhile leaves the old log or the new cluster, never a part.

What may be lost:
  Whatever the others chose and this node never accepted, although it was acknowledged. Of several
  survivors take the one that holds the most: run this without flags on each, and compare what would be
  kept. All groups in the directory go to the new cluster, also those that had a majority left.

The other old nodes:
  Wipe their directories before they join again. Until then they are of the old cluster, and every connection
  between the two is refused. If the old majority was not gone, it goes on as a cluster of its own, and
  the two never agree again: stop it for good.

Examples:
  synodctl force-recover /var/lib/your-service/log
  cp -a /var/lib/your-service/log /var/lib/your-service/log-before
  synodctl force-recover --yes-lose-data 0123456789abcdef /var/lib/your-service/log";
