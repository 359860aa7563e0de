//! New incarnations: a directory that may have lost a vote is another acceptor from then on.
//!
//! # When
//!
//! - **Damage**: a batch that was vouched for cannot be read, or a segment is missing. Votes may be
//!   lost with it, and the log cannot tell whose: the directory of records is what is gone. So all
//!   groups take new incarnations ([`Log::start`]). A value that is lost while its record is there
//!   is no such damage: the vote is known, and the value is learned again.
//! - **Distrust**: under [`Restart::Rejoin`] every start of a directory that was used before.
//! - **Word from a peer**: it has heard more of this directory than the directory remembers
//!   ([`Log::renew`]).
//!
//! # Why that is safe
//!
//! Votes are counted by node *and* incarnation, and the new one is in no membership. So to the others
//! it looks as if the old acceptor had stopped for good, which Paxos allows at any moment: whatever
//! it had said, and is still on its way, it had said before it stopped. Nobody speaks for it again,
//! because the new incarnation is durable before this module returns, and nothing brings the old one
//! back: the log forgets it with the record that replaces it.
//!
//! What is kept is what needs no trust in the old acceptor: the founding, and the chosen prefix
//! of an intact log, as learned values. The promise and the votes above that prefix are forgotten;
//! a log that lost some of them is no better than one that lost all.
//!
//! # How damage is set aside
//!
//! The log begins anew in a segment above all others, whose header says that none of them is needed.
//! The sync of that header is the moment from which the old acceptor is gone; before it, every start
//! finds the same damage and does the same. Only then are the old segments renamed, for somebody to
//! look at. Nothing is set aside of a directory that no longer says which cluster it belongs to: with
//! [`Bootstrap::Found`](synod_core::Bootstrap::Found) it would go on to found an empty second one;
//! `salvage` says when that is.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use synod_core::{Ballot, GroupId, Incarnation};
use thiserror::Error;

use super::clean::{Moving, Spares};
use super::config::LogConfig;
use super::error::{LogError, OpenError};
use super::format::{Entry, Kind};
use super::index::Index;
use super::open::{self, recover_groups};
use super::opened::{GroupLog, Opened, RecoveryReport};
use super::reader::Shared;
use super::salvage::salvage;
use super::segment::{self, NUMBER_MAX};
use super::writer::{Log, Scratch};
use crate::vfs::Vfs;

/// What a start believes of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// That it holds what it said it had synced. A disk that lied, or a directory restored from a
    /// copy, is noticed only if a peer remembers more, so this is best effort against those.
    #[default]
    TrustDisk,
    /// Nothing: every start of a directory that was used before takes new incarnations, learns, and
    /// votes again once a membership change has swapped it in. Safe with disks that lie about syncs,
    /// as long as a quorum of the *other* nodes is up. For clusters of three and more.
    Rejoin,
}

/// Why a way to restart cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestartError {
    /// The others are no quorum without the node that restarts, so nobody could swap it in.
    #[error(
        "Restart::Rejoin needs at least 3 nodes, and the cluster has {0}: whoever restarts is \
         swapped in again by a quorum of the others"
    )]
    TooFewNodes(usize),
}

impl Restart {
    /// Whether nodes of a cluster of so many nodes can restart like this.
    ///
    /// # Errors
    ///
    /// If the first restart would end the cluster.
    pub const fn check(self, nodes: usize) -> Result<(), RestartError> {
        match self {
            Self::Rejoin if nodes < 3 => Err(RestartError::TooFewNodes(nodes)),
            Self::Rejoin | Self::TrustDisk => Ok(()),
        }
    }
}

/// Why all groups of a directory took new incarnations at a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// Something that the directory had vouched for cannot be read.
    Damage {
        /// What was found, as [`OpenError::Damaged`] says it.
        found: String,
        /// The old segments, renamed. Nobody reads them but people; remove them when they are of no
        /// more use.
        aside: Vec<PathBuf>,
    },
    /// [`Restart::Rejoin`] says so.
    Rejoin,
}

impl<V: Vfs> Log<V> {
    /// Opens the log in `dir` for a node that is to vote with it as far as it may.
    ///
    /// As [`open`](Self::open), and where votes may be lost all groups have taken the incarnations
    /// given in `groups` when this returns, durably: they are drawn anew for every start.
    /// [`Opened::renewed`] says why.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; [`OpenError::Damaged`] if the directory no longer says which cluster it
    /// belongs to. [`OpenError::Full`] leaves everything to the next start: damage as it was found, and
    /// the incarnations, which nobody has heard of.
    pub fn start(
        vfs: V,
        dir: &Path,
        config: LogConfig,
        groups: &[(GroupId, Incarnation)],
        restart: Restart,
    ) -> Result<Opened<V>, OpenError> {
        let segment_bytes = config.segment_bytes;
        let started = Self::start_or_fail(vfs, dir, config, groups, restart);
        started.map_err(|error| error.of_start(dir, segment_bytes))
    }

    fn start_or_fail(
        vfs: V,
        dir: &Path,
        config: LogConfig,
        groups: &[(GroupId, Incarnation)],
        restart: Restart,
    ) -> Result<Opened<V>, OpenError> {
        let mut opened = match Self::open(vfs.clone(), dir, config.clone(), groups) {
            Err(damage @ OpenError::Damaged { .. }) => {
                return Self::begin_anew(vfs, dir, config, groups, damage);
            }
            opened => opened?,
        };
        if restart == Restart::Rejoin && opened.boot > 1 {
            opened.groups = opened.log.renew(groups)?;
            opened.batch = opened.log.batch();
            opened.renewed = Some(Renewed::Rejoin);
        }
        Ok(opened)
    }

    /// Gives each of these groups a new incarnation, durably, and says what is left of them. A group
    /// that has the given one stays as it is.
    ///
    /// # Errors
    ///
    /// If the file system refuses: final, see [`LogError`]. [`LogError::Full`] if there is no room,
    /// which [`admits_renewal`](Self::admits_renewal) says without an error.
    ///
    /// # Panics
    ///
    /// If the last batch is not synced yet, or the log was not opened for a group.
    pub fn renew(
        &mut self,
        groups: &[(GroupId, Incarnation)],
    ) -> Result<BTreeMap<GroupId, GroupLog>, LogError> {
        self.check()?;
        self.begin();
        let entries: Vec<Entry> = {
            let shared = self.shared.read();
            let renewed = groups.iter().filter_map(|&(group, incarnation)| {
                let of = shared.groups.get(&group);
                let of = of.unwrap_or_else(|| panic!("the log was not opened for group {group}"));
                let ballot = Ballot { incarnation, ..Ballot::ZERO };
                let entry = Entry::bare(Kind::Renewed, group, of.chosen().0, ballot);
                (of.incarnation != incarnation).then_some(entry)
            });
            renewed.collect()
        };
        if !entries.is_empty() {
            for entry in entries {
                self.push(entry, None);
            }
            self.put()?;
            self.sync()?;
        }
        let shared = self.shared.read();
        recover_groups(&self.dir, &shared, &mut RecoveryReport::default()).map_err(|error| {
            LogError::io("recover", &self.dir)(io::Error::other(error.to_string()))
        })
    }

    /// Begins a log above the damaged one, with its founding and nothing else of it.
    fn begin_anew(
        vfs: V,
        dir: &Path,
        config: LogConfig,
        groups: &[(GroupId, Incarnation)],
        damage: OpenError,
    ) -> Result<Opened<V>, OpenError> {
        let path = dir.join("lock");
        let lock = open::lock(&vfs, &path)?;
        let names = vfs.list(dir).map_err(OpenError::io("list", dir))?;
        let old: Vec<u32> = names.iter().filter_map(|name| segment::number(name)).collect();
        let salvaged = salvage(&vfs, dir, &old)?;
        let Some(founding) = salvaged.founding else { return Err(damage) };

        let floor = old.iter().copied().filter(|&number| number <= NUMBER_MAX).max();
        let index = Index { boot: salvaged.boot, ..Index::default() };
        // Replaced before it is written to: the next segment begins first.
        let file = Arc::new(vfs.open(&path).map_err(OpenError::io("open", &path))?);
        let mut log = Self {
            vfs,
            dir: Arc::new(dir.to_owned()),
            salt: config.salt,
            config,
            shared: Arc::new(Shared::new(index)),
            segments: BTreeMap::new(),
            floor: floor.unwrap_or(0),
            file,
            at: 0,
            number: salvaged.batch,
            chain: 0,
            unsynced: false,
            failed: None,
            spares: Spares::default(),
            refused: super::room::Refused::default(),
            moving: Moving::default(),
            scratch: Scratch::default(),
            lock,
        };
        log.adopt_spares(&names)?;
        let boot = log.begin_life(groups, Some(&founding), 0)?;
        let aside = log.set_aside(&old)?;
        let report = RecoveryReport::default();
        let mut opened = log.opened(boot, groups, BTreeMap::new(), report);
        opened.renewed = Some(Renewed::Damage { found: damage.to_string(), aside });
        Ok(opened)
    }

    /// Renames the segments of a damaged log; gives the new paths.
    fn set_aside(&self, segments: &[u32]) -> Result<Vec<PathBuf>, OpenError> {
        let mut aside = Vec::new();
        for &number in segments {
            let from = segment::path(&self.dir, number);
            let to = self.dir.join(format!("damaged-{number:08}"));
            self.vfs.rename(&from, &to).map_err(OpenError::io("rename", &from))?;
            aside.push(to);
        }
        self.vfs.sync_dir(&self.dir).map_err(OpenError::io("sync", &self.dir))?;
        Ok(aside)
    }
}
