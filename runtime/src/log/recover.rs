//! The last resort: a cluster of one node, made of what one survivor's directory holds.
//!
//! When a majority of a group's voters is gone for good nothing can be chosen any more, no
//! membership change either. [`force_recover`] makes a *new cluster* of one directory that is left:
//! it has a new id, and this node, with new memories, is its only voter. Other nodes join it as
//! they join any cluster.
//!
//! # What becomes of the log
//!
//! In each group, with everything up to `e` accepted here or known chosen:
//!
//! - What is known chosen stays; so do checkpoints, sessions and mastership, byte for byte.
//! - What was accepted above it counts as chosen: it may have been, and nobody is left to say that
//!   it was not. Instances below `e` of which nothing is here become no-ops. This is what a new
//!   leader makes of the reports of its quorum (Paxos Made Simple §2.3), with one reporter in place
//!   of a quorum.
//! - `e + 1` chooses a membership whose only voter is this node with its new memory.
//! - The promise is forgotten, as with any new memory (see `renew`). The longest lease is kept.
//! - The founding is the old one under the new cluster's id. A membership entry names its cluster,
//!   so those in the log are written again with the new id. Thus whoever replays the log from
//!   anywhere, or loads a checkpoint of before, comes to the same history, and to the same commands
//!   executed: the log is one that the protocol could have written, had the old voters chosen that
//!   last entry.
//!
//! # What may be lost
//!
//! A value that the others chose, and this node never accepted. At its instance stands another
//! value or none, though its proposer may have had an answer. That is why nobody but an operator
//! decides this. For the same reason a state machine that keeps its own state must lose that state
//! if it is further than what the disk knows to be chosen ([`SurvivingGroup::chosen`]): a power
//! loss may have cost the disk the vote for a value, and not the machine its effect. It is built
//! again from the checkpoint and the log.
//!
//! # Why the two clusters never mix
//!
//! Nodes of different clusters close their connections with the first word, so no frame of the old
//! cluster reaches the new one, nor the other way. The new memory is in no membership of the old
//! one, and the old memory has left the new one, for good. So it is safe, if confusing, that old
//! survivors run on, or that the majority was not gone after all: then there are two clusters, each
//! in agreement with itself.
//!
//! # Why a crash at any point leaves one or the other
//!
//! The directory is opened as by any start: that changes nothing of what it says. Then all of the
//! above is written into the log's next segment, in a file that is not called so, and synced.
//! Giving it the name of a segment is one rename, durable with the sync of the directory: before
//! it, starts find the old log, and remove the file; after it, the new cluster. There is no batch
//! that could be torn: each was synced before its segment had a name.
//!
//! The founding comes first in that segment, and one that cannot be read is never taken for the one
//! before it, not even if rot takes the whole batch or the segment: see `salvage`.
//!
//! All of it is rehearsed first over a view in memory ([`Overlay`]), and read back from there as by
//! the node's next start. So a refusal comes before the first change.

mod plan;
mod staged;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use synod_core::{
    Ballot, ClusterId, Config, Founding, Group, GroupId, Incarnation, Instance, Member, Membership,
    NodeId, Recovered, Start, StartError, Time,
};
use thiserror::Error;

use super::config::LogConfig;
use super::error::{LogError, OpenError};
use super::opened::Opened;
use super::writer::Log;
use crate::checkpoints::Store;
use crate::vfs::{Overlay, Vfs};

use plan::Plan;

pub(crate) use staged::clear;

/// What an operator says about a recovery, beside that it is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoverOptions {
    /// Which node the directory belongs to. Needed only if the directory does not say: its memory is in
    /// no membership that it knows.
    pub node: Option<NodeId>,
    /// Values of which the disk holds a record and no copy become no-ops. Otherwise they are
    /// [`RecoverError::Lost`].
    pub give_up_lost: bool,
}

/// What a directory knows, and what a recovery makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// The node it belongs to.
    pub node: NodeId,
    /// The groups that are recovered, ascending.
    pub groups: Vec<SurvivingGroup>,
    /// Groups of the cluster of which the directory has nothing: the new cluster is without them.
    pub absent: Vec<GroupId>,
}

/// One group of a [`Survivor`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurvivingGroup {
    /// Which group.
    pub group: GroupId,
    /// The memory that the directory has of it, and gives up.
    pub incarnation: Incarnation,
    /// The membership that decided last, as far as the directory knows it to be chosen.
    pub membership: Membership,
    /// The version of that membership.
    pub version: Instance,
    /// What the old memory promised; forgotten.
    pub promised: Ballot,
    /// Everything up to here was cleaned: it is in the checkpoint alone.
    pub cleaned: Instance,
    /// The last checkpoint, if there is one.
    pub checkpoint: Option<Instance>,
    /// Everything up to here is known chosen.
    pub chosen: Instance,
    /// So many values above that were accepted here and may have been chosen. They are kept as chosen.
    pub accepted: u64,
    /// So many instances between those become no-ops: nothing was accepted there.
    pub holes: u64,
    /// So many more become no-ops: the disk lost their values, see [`RecoverOptions::give_up_lost`].
    pub lost: u64,
    /// Everything kept lies below this instance, where the new membership is chosen.
    pub entry: Instance,
}

/// Why a directory is not made a new cluster. Nothing was changed unless it says otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The log cannot be opened or written: [`OpenError::Locked`] if the node runs, [`OpenError::Damaged`]
    /// if votes or chosen values may be lost. After another error the directory may hold either cluster, and
    /// surveying it again tells which.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing was ever chosen there.
    #[error("{} belongs to no cluster yet, so there is nothing to recover", .0.display())]
    NoCluster(PathBuf),
    /// The operator means another directory.
    #[error("the directory belongs to cluster {found}, and not to {given}: is it the right one?")]
    OtherCluster {
        /// What the directory says.
        found: ClusterId,
        /// What was asked for.
        given: ClusterId,
    },
    /// Say which node it is: [`RecoverOptions::node`].
    #[error(
        "the directory does not say which node it belongs to, since its memory is in no membership \
         that it knows: the node was never added, was removed, or took a new memory and was not \
         swapped in; say which node it is, if there is no better survivor"
    )]
    UnknownNode,
    /// The directory belongs to another node than it was said to.
    #[error("the directory belongs to node {found}, and not to node {given}")]
    OtherNode {
        /// What the directory says.
        found: NodeId,
        /// What was asked for.
        given: NodeId,
    },
    /// The disk has records of values and no copy of them. Another survivor may have them; if there is none,
    /// give them up: [`RecoverOptions::give_up_lost`].
    #[error("group {group}: the values of these instances are lost in every copy: {instances:?}")]
    Lost {
        /// In which group.
        group: GroupId,
        /// Where, ascending.
        instances: Vec<u64>,
    },
    /// The log begins with a checkpoint whose files are not whole. Put them back from a copy, or take
    /// another survivor.
    #[error("group {group}: the files of the checkpoint at {at} are missing or damaged")]
    Checkpoint {
        /// In which group.
        group: GroupId,
        /// At which instance.
        at: Instance,
    },
    /// The log is not one that a node can start from.
    #[error("group {group}: {source}")]
    Log {
        /// In which group.
        group: GroupId,
        /// Why not.
        source: StartError,
    },
    /// There are no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(io::Error),
}

impl From<LogError> for RecoverError {
    fn from(error: LogError) -> Self {
        Self::Open(error.into())
    }
}

/// Who the new cluster and the node's new memories are: drawn at random, never used before.
#[derive(Clone, Debug)]
struct Identity {
    cluster: ClusterId,
    memories: BTreeMap<GroupId, Incarnation>,
}

/// Says what [`force_recover`] would make of the directory of a stopped node. Changes nothing: the
/// recovery is made in memory, and read back from there.
///
/// # Errors
///
/// See [`RecoverError`].
pub fn survey<V: Vfs>(
    vfs: &V,
    dir: &Path,
    options: &RecoverOptions,
) -> Result<Survivor, RecoverError> {
    let mut count = 0;
    rehearse(vfs, dir, options, &mut || {
        count += 1;
        Ok(count)
    })
    .map(|(survivor, _)| survivor)
}

/// Makes a new cluster of the directory of a stopped node of cluster `of`, with this node as its only
/// voter; durable when this returns. Gives the id of the new cluster, and what was found.
///
/// The module's text says what becomes of the log, **and what may be lost**. `draw` gives random numbers: no
/// two calls may ever give the same, on any machine.
///
/// # Errors
///
/// See [`RecoverError`]. Whatever happens, also a crash, the directory holds either what it held
/// before or all of the new cluster.
pub fn force_recover<V: Vfs>(
    vfs: V,
    dir: &Path,
    options: &RecoverOptions,
    of: ClusterId,
    draw: &mut dyn FnMut() -> io::Result<u64>,
) -> Result<(ClusterId, Survivor), RecoverError> {
    let (survivor, identity) = rehearse(&vfs, dir, options, draw)?;
    if survivor.cluster != of {
        return Err(RecoverError::OtherCluster { found: survivor.cluster, given: of });
    }
    let opened = Log::open(vfs.clone(), dir, config(), &[])?;
    let survivor = recover(opened, &Overlay::new(vfs.clone()), dir, options, &identity)?;
    read_back(Overlay::new(vfs), dir, &survivor, &identity)?;
    Ok((identity.cluster, survivor))
}

/// Does it all in memory.
fn rehearse<V: Vfs>(
    vfs: &V,
    dir: &Path,
    options: &RecoverOptions,
    draw: &mut dyn FnMut() -> io::Result<u64>,
) -> Result<(Survivor, Identity), RecoverError> {
    let view = Overlay::new(vfs.clone());
    let opened = Log::open(view.clone(), dir, config(), &[])?;
    let identity = Identity::draw(&opened, draw).map_err(RecoverError::Random)?;
    let survivor = recover(opened, &Overlay::new(vfs.clone()), dir, options, &identity)?;
    read_back(view, dir, &survivor, &identity)?;
    Ok((survivor, identity))
}

/// Makes the new cluster of an opened log; `files` is where its checkpoints are looked at.
fn recover<V: Vfs>(
    mut opened: Opened<V>,
    files: &Overlay<impl Vfs>,
    dir: &Path,
    options: &RecoverOptions,
    identity: &Identity,
) -> Result<Survivor, RecoverError> {
    let Some(founding) = opened.founding.clone() else {
        return Err(RecoverError::NoCluster(dir.to_owned()));
    };
    let mut plans = Vec::new();
    let mut absent = Vec::new();
    for (group, membership) in &founding.groups {
        let Some(log) = opened.groups.get(group) else {
            absent.push(*group);
            continue;
        };
        check_files(files, dir, *group, &log.recovered)?;
        let boot = opened.boot;
        let start = |recovered| {
            let (cluster, group, membership) = (founding.cluster, *group, membership.clone());
            // The history does not depend on which node looks at it.
            let me = Member { node: NodeId(0), incarnation: log.incarnation };
            let (config, now) = (Config::default(), Time::ZERO);
            Start { cluster, group, me, boot, membership, recovered, config, now }
        };
        plans.push(Plan::make(*group, log, options, start)?);
    }
    let node = find_node(&plans, &founding, options)?;
    let mut batches = Vec::new();
    for plan in &plans {
        batches.extend(plan.batches(&opened.log, node, founding.cluster, identity)?);
    }
    let new = Founding { cluster: identity.cluster, groups: founding.groups };
    opened.log.begin_cluster(batches, &new)?;
    let groups = plans.into_iter().map(|plan| plan.outcome).collect();
    Ok(Survivor { cluster: founding.cluster, node, groups, absent })
}

/// Starts from what was made, as the node will: with this node's vote everything can be chosen.
fn read_back<V: Vfs>(
    view: Overlay<V>,
    dir: &Path,
    survivor: &Survivor,
    identity: &Identity,
) -> Result<(), RecoverError> {
    let opened = Log::open(view, dir, config(), &[])?;
    let founding = opened.founding.expect("it was just written");
    assert!(founding.cluster == identity.cluster, "another founding came back");
    for of in &survivor.groups {
        let group = of.group;
        let log = &opened.groups[&group];
        let incarnation = identity.memories[&group];
        assert!(log.incarnation == incarnation, "{group} came back with another memory");
        let membership = founding.groups.iter().find(|(it, _)| *it == group);
        let membership = membership.expect("its groups are the founding's").1.clone();
        let started = Group::start(Start {
            cluster: founding.cluster,
            group,
            me: Member { node: survivor.node, incarnation },
            boot: opened.boot,
            membership,
            recovered: log.recovered.clone(),
            config: Config::default(),
            now: Time::ZERO,
        });
        let status = started.map_err(|source| RecoverError::Log { group, source })?.status();
        assert!(
            status.votes && status.chosen == of.entry && status.version == of.entry,
            "{group} came back as {status:?}"
        );
    }
    Ok(())
}

/// The node's own settings are not known here; what is written fits a small segment nearly always.
fn config() -> LogConfig {
    LogConfig { segment_bytes: 64 << 10, ..LogConfig::default() }
}

fn check_files<V: Vfs>(
    files: &Overlay<V>,
    dir: &Path,
    group: GroupId,
    recovered: &Recovered,
) -> Result<(), RecoverError> {
    let Some((at, _)) = &recovered.checkpoint else { return Ok(()) };
    let dir = dir.join("checkpoints").join(group.0.to_string());
    match Store::open(files.clone(), &dir, Some(*at), |_| true) {
        Ok((_, Some(_))) => Ok(()),
        Ok((_, None)) => Err(RecoverError::Checkpoint { group, at: *at }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(RecoverError::Checkpoint { group, at: *at })
        }
        Err(error) => Err(OpenError::io("read", &dir)(error).into()),
    }
}

/// Which node the directory belongs to: its memories are in the memberships under that name.
fn find_node(
    plans: &[Plan],
    founding: &Founding,
    options: &RecoverOptions,
) -> Result<NodeId, RecoverError> {
    let known = plans.iter().find_map(|plan| {
        let memory = plan.outcome.incarnation;
        let founded = founding.groups.iter().find(|(group, _)| *group == plan.outcome.group);
        let mut memberships =
            plan.history.since(Instance::ZERO).chain(founded.map(|(_, membership)| membership));
        memberships.find_map(|membership| membership.member(memory))
    });
    match (known.map(|member| member.node), options.node) {
        (Some(found), Some(given)) if found != given => {
            Err(RecoverError::OtherNode { found, given })
        }
        (Some(node), _) | (None, Some(node)) => Ok(node),
        (None, None) => Err(RecoverError::UnknownNode),
    }
}

impl Identity {
    fn draw<V: Vfs>(
        opened: &Opened<V>,
        draw: &mut dyn FnMut() -> io::Result<u64>,
    ) -> io::Result<Self> {
        let mut used: BTreeSet<u64> = opened.groups.values().map(|log| log.incarnation.0).collect();
        used.extend(opened.founding.iter().map(|founding| founding.cluster.0));
        used.insert(0);
        let mut fresh = || -> io::Result<u64> {
            loop {
                let number = draw()?;
                if used.insert(number) {
                    return Ok(number);
                }
            }
        };
        let cluster = ClusterId(fresh()?);
        let memories = opened.groups.keys().map(|&group| Ok((group, Incarnation(fresh()?))));
        Ok(Self { cluster, memories: memories.collect::<io::Result<_>>()? })
    }
}
