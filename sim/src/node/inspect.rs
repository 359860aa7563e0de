//! Looking at a machine's disk from outside: what a start would find on it now.

use std::path::Path;

use synod::checkpoints::Store;
use synod::log::Log;
use synod_core::{GroupId, Incarnation, Instance, Member, Recovered};
use synod_proto::{Hello, VERSION};

use super::Node;
use super::checkpoints::directory;
use super::disk::{DIR, Opened};
use crate::checkers::excuse::Voter;
use crate::checkers::files::{self, Belief};
use crate::checkers::{Place, Violation};
use crate::disk::SimVfs;
use crate::env::Env;

impl Node {
    /// What the disk gives back of each group.
    pub(crate) fn voters(&self) -> Vec<Voter> {
        self.seats(self.open_durable().as_ref())
    }

    fn seats(&self, opened: Option<&Opened>) -> Vec<Voter> {
        let Some(opened) = opened else {
            return vec![Voter { member: None, log: None }; self.machine.memory.now().len()];
        };
        let node = self.machine.id();
        let seat = |&(ref group, incarnation): &(GroupId, Incarnation)| {
            let log = opened.groups.get(group);
            // A disk that lies may have forgotten that the node took a new memory since.
            let is_known = log.is_some_and(|log| log.incarnation == incarnation);
            Voter {
                member: is_known.then_some(Member { node, incarnation }),
                log: log.map(|log| log.recovered.clone()),
            }
        };
        self.machine.memory.now().iter().map(seat).collect()
    }

    /// What a process that starts from the copy of the disk will say of it, if there is one that
    /// opens.
    pub(crate) fn copied_hello(&self) -> Option<Hello> {
        let image = self.machine.image.as_ref()?;
        let opened = self.open(image.disk())?;
        Some(Hello {
            version_min: u32::from(VERSION),
            version_max: u32::from(VERSION),
            cluster: None,
            node: self.machine.id(),
            to: self.machine.id(),
            boot: opened.boot,
            durable_batch: opened.batch,
            nonce: 0,
            groups: opened.groups.iter().map(|(&group, log)| (group, log.incarnation)).collect(),
        })
    }

    /// Compares what the disk gives back with what the running groups believe, and with what is
    /// chosen. Returns the [`voters`](Self::voters), so that nobody opens the log again for them.
    ///
    /// # Errors
    ///
    /// If they differ, or the log does not open.
    pub(crate) fn replay_files(&self, env: &Env) -> Result<Vec<Voter>, Violation> {
        let Some(opened) = self.open_durable() else {
            let what = format!("the log of n{} does not open", self.machine.index + 1);
            return Err(Violation::new("files", what));
        };
        let reader = opened.log.reader();
        for (index, (group, log)) in opened.groups.iter().enumerate() {
            let place = Place { node: self.machine.index, group: index };
            let Recovered { chosen, cleaned, .. } = log.recovered;
            let mut chosen = chosen;
            if let Some(belief) = self.belief(index) {
                files::agree(place, &belief, &log.recovered)?;
                chosen = belief.status.chosen;
            }
            let from = cleaned.next();
            let entries = reader
                .read(*group, from, Instance(chosen.0.max(from.0)), usize::MAX)
                .map_err(|error| Violation::new("files", format!("{place}: {error}")))?;
            let checkpoint = log.recovered.checkpoint.as_ref().map_or(Instance::ZERO, |it| it.0);
            let (known, lost) = ((chosen, checkpoint), &opened.report.lost);
            files::replay(&env.checkers.choices, place, from, known, &entries, lost)?;
        }
        Ok(self.seats(Some(&opened)))
    }

    /// What a running group believes, if none of its records is on its way to the disk.
    fn belief(&self, group: usize) -> Option<Belief> {
        let belief = self.process.as_ref()?.belief(group)?;
        (belief.usage.writes_in_flight == 0).then_some(belief)
    }

    /// The log, and of each group whether the files of its last checkpoint are lost.
    fn open_durable(&self) -> Option<Opened> {
        let disk = self.machine.files.durable();
        let mut opened = self.open(disk.clone())?;
        for (group, log) in &mut opened.groups {
            let recorded = log.recovered.checkpoint.as_ref().map(|(at, _)| *at);
            let found = Store::open(disk.clone(), &directory(group), recorded, |_| true);
            log.recovered.files_lost =
                recorded.is_some() && !found.is_ok_and(|(_, manifest)| manifest.is_some());
        }
        Some(opened)
    }

    fn open(&self, disk: SimVfs) -> Option<Opened> {
        // A directory without a format is formatted as nobody's.
        let nobody: Vec<(GroupId, Incarnation)> =
            self.machine.memory.now().iter().map(|(group, _)| (*group, NOBODY)).collect();
        Log::open(disk, Path::new(DIR), self.machine.files.config(), &nobody).ok()
    }
}

/// The memory of no node: those that are drawn are odd.
const NOBODY: Incarnation = Incarnation(2);
