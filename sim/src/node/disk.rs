//! The machine's disk, the production log on it, and the one writer that feeds it.
//!
//! As in production: one batch is written and synced at a time, and while it is under way everything
//! else gathers. Between the write, the sync and the node hearing of it there is time for a crash.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use synod::log::{GroupLog, Log, LogConfig, Maintained, OpenError, ReadError};
use synod::vfs::Vfs;
use synod_core::{Fetch, Founding, GroupId, Incarnation, Member, Stored, WriteBatch};

use super::Machine;
use super::process::Failed;
use crate::checkers::{Place, Violation};
use crate::disk::{Loss, SimVfs};
use crate::env::{Env, Inside};
use crate::faults::{Crash, Moment};
use crate::plan::Plan;
use crate::rng::{Rng, to_u64};
use crate::trace::Note;

pub(super) type Opened = synod::log::Opened<SimVfs>;

/// What a machine keeps on disk.
#[derive(Debug)]
pub(super) struct Files {
    vfs: SimVfs,
    rng: Rng,
    /// Draws what kind each power loss is, if they differ.
    losses: Option<Rng>,
    config: LogConfig,
    /// The process is to stop in the middle of what it does.
    is_armed: bool,
    /// Others have taken the space.
    is_full: bool,
}

impl Files {
    pub(super) fn new(plan: &Plan, index: usize) -> Self {
        let segment_bytes = plan.segment_bytes;
        let mut rng = Rng::numbered(plan.seed, "disk", to_u64(index));
        let losses = Rng::numbered(plan.seed, "losses", to_u64(index));
        let config = LogConfig {
            segment_bytes,
            preallocate_bytes: segment_bytes / 4,
            salt: rng.bits(),
            ..LogConfig::default()
        };
        let vfs = SimVfs::with_sectors(plan.disk.sector);
        let losses = plan.disk.varied_losses.then_some(losses);
        Self { vfs, rng, losses, config, is_armed: false, is_full: false }
    }

    /// The process is gone; what it wrote is in the page cache.
    pub(super) fn kill(&mut self) {
        self.is_armed = false;
        self.vfs.crash_process();
    }

    /// Power is gone; of what was not synced any part survives.
    pub(super) fn power_loss(&mut self) {
        self.is_armed = false;
        let rng = &mut self.rng;
        let loss = self.losses.as_mut().map_or(Loss::Any, |rng| rng.pick(&LOSSES));
        self.vfs.lose_power(loss, &mut || rng.bits());
    }

    /// The disk holds what is durable on another one, and nothing else.
    pub(super) fn replace(&mut self, by: &SimVfs) {
        self.is_armed = false;
        self.vfs.restore(by);
    }

    pub(super) const fn vfs(&self) -> &SimVfs {
        &self.vfs
    }

    /// A copy of what a power loss would leave.
    pub(super) fn durable(&self) -> SimVfs {
        self.vfs.durable_view()
    }

    pub(super) fn config(&self) -> LogConfig {
        self.config.clone()
    }

    /// Others take all space but that of so many segments.
    pub(super) fn fill(&mut self, segments: u64) {
        self.is_full = true;
        self.vfs.leave_room(Some(segments * self.config.segment_bytes));
    }

    /// Others give the space back.
    pub(super) fn give_room(&mut self) {
        self.is_full = false;
        self.vfs.leave_room(None);
    }

    /// After so many more changes to the disk the process stops.
    pub(super) fn stop_after(&mut self, operations: u64) {
        self.is_armed = true;
        self.vfs.stop_after(operations);
    }
}

/// The log of a running process, and what is on its way into it.
#[derive(Debug)]
pub(super) struct Journal {
    log: Log<SimVfs>,
    waiting: Vec<WriteBatch>,
    flying: Vec<WriteBatch>,
    phase: Phase,
    /// How many batches it wrote.
    turns: u64,
    /// What the node was told last of the room in the log.
    has_room: bool,
    /// It is going to be told again.
    is_telling: bool,
    /// A full disk is going to be asked again.
    retries: bool,
    /// The number of the log's last durable batch.
    durable: u64,
}

/// How far the batch under way is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none.
    Idle,
    /// It is written.
    Written,
    /// It is durable, and the node has not heard.
    Synced,
}

impl Journal {
    /// The journal over a log that was opened.
    pub(super) fn new(log: Log<SimVfs>) -> Self {
        Self {
            durable: log.batch(),
            log,
            waiting: Vec::new(),
            flying: Vec::new(),
            phase: Phase::Idle,
            turns: 0,
            has_room: true,
            is_telling: false,
            retries: false,
        }
    }

    /// The number of the log's last durable batch, as hellos say it.
    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    /// Gives every group a new incarnation, durably, and says what is left of them. A write that is
    /// under way comes first, as in production, and whoever waits for it never hears.
    pub(super) fn renew(
        &mut self,
        machine: &Machine,
        drawn: &[(GroupId, Incarnation)],
    ) -> Result<BTreeMap<GroupId, GroupLog>, Failed> {
        let failed = |error| machine.failed("does not take new incarnations", &error);
        if self.phase == Phase::Written {
            self.log.sync().map_err(failed)?;
        }
        let logs = self.log.renew(drawn).map_err(failed)?;
        self.durable = self.log.batch();
        Ok(logs)
    }

    pub(super) fn found(&mut self, machine: &Machine, founding: &Founding) -> Result<(), Failed> {
        self.log.found(founding).map_err(|error| machine.failed("does not found", &error))?;
        self.durable = self.log.batch();
        Ok(())
    }

    /// Takes a batch that a group wants written.
    pub(super) fn enqueue(&mut self, batch: WriteBatch) {
        self.waiting.push(batch);
    }

    /// Writes what waits, if nothing is under way.
    pub(super) fn pump(&mut self, machine: &mut Machine, env: &mut Env) -> Result<(), Violation> {
        if self.phase != Phase::Idle || self.waiting.is_empty() {
            return Ok(());
        }
        let admitted = self.log.admits(&self.waiting);
        self.tell_room(machine, env);
        match admitted {
            Ok(0) => return Ok(()), // until the disk has room
            Ok(admitted) => self.flying.extend(self.waiting.drain(..admitted)),
            Err(error) => return machine.ended("does not make room", &error, env),
        }
        self.turns += 1;
        if let Err(error) = self.log.write(&self.flying) {
            return machine.ended("does not write", &error, env);
        }
        self.phase = Phase::Written;
        let factor = machine.mood.disk_factor.max(1);
        let wait = (machine.disk.write + machine.around(machine.disk.sync)) * factor;
        if machine.is_lied_to {
            self.phase = Phase::Synced;
            machine.later(wait, Inside::Told, env);
            return Ok(());
        }
        machine.later(wait, Inside::Sync, env);
        machine.moment(Moment::Written, env);
        Ok(())
    }

    /// Syncs what was written.
    pub(super) fn sync(&mut self, machine: &mut Machine, env: &mut Env) -> Result<(), Violation> {
        if self.phase != Phase::Written {
            return Ok(());
        }
        machine.mood.stall(env.now);
        if machine.mood.stalled_until > env.now {
            machine.later(machine.mood.stalled_until.since(env.now), Inside::Sync, env);
            return Ok(());
        }
        if let Some(down) = machine.mood.sync_fails.take() {
            machine.files.vfs.fail_next_sync();
            return match self.log.sync() {
                Ok(()) => Err(broken(machine, "took a failed sync for a good one", &"")),
                Err(error) => {
                    // The node has ended; recovery will say what is there (I7).
                    env.line(machine.index, || format!("ends: {error}"));
                    env.crash(machine.index, Crash::Kill, down);
                    Ok(())
                }
            };
        }
        if let Err(error) = self.log.sync() {
            return machine.ended("does not sync", &error, env);
        }
        self.phase = Phase::Synced;
        self.durable = self.log.batch();
        env.stats.syncs += 1;
        env.line(machine.index, || Note::synced(&self.flying));
        for batch in &self.flying {
            let group = usize::try_from(batch.group().0).expect("few groups");
            env.synced(Place { node: machine.index, group }, batch.records());
        }
        let wait = machine.around(machine.disk.tell);
        machine.later(wait, Inside::Told, env);
        machine.moment(Moment::Synced, env);
        Ok(())
    }

    /// The node hears that its batches are durable.
    pub(super) fn told(
        &mut self,
        machine: &mut Machine,
        env: &mut Env,
    ) -> Result<Vec<WriteBatch>, Violation> {
        if self.phase != Phase::Synced {
            return Ok(Vec::new());
        }
        env.line(machine.index, Note::told);
        self.phase = Phase::Idle;
        // As in production: under a load that never pauses, upkeep comes between two syncs.
        if self.log.room() < machine.files.config.segment_bytes / 2 {
            self.maintain(machine, env)?;
        }
        machine.later(IDLE_AFTER, Inside::Idle(self.turns), env);
        Ok(std::mem::take(&mut self.flying))
    }

    /// A while has passed since the log's turn `turn`: if it was the last, it looks after itself.
    pub(super) fn idle(
        &mut self,
        turn: u64,
        machine: &mut Machine,
        env: &mut Env,
    ) -> Result<(), Violation> {
        if self.phase != Phase::Idle || turn != self.turns {
            return Ok(());
        }
        if machine.mood.stalled_until > env.now {
            machine.later(machine.mood.stalled_until.since(env.now), Inside::Idle(turn), env);
            return Ok(());
        }
        if self.maintain(machine, env)? == Maintained::More {
            machine.later(IDLE_AFTER, Inside::Idle(turn), env);
        }
        Ok(())
    }

    fn maintain(&mut self, machine: &mut Machine, env: &mut Env) -> Result<Maintained, Violation> {
        env.line(machine.index, || "looks after its log".to_owned());
        env.stats.upkeep += 1;
        let maintained = self.log.maintain();
        self.tell_room(machine, env);
        match maintained {
            Ok(maintained) => {
                self.durable = self.log.batch();
                Ok(maintained)
            }
            Err(error) => {
                machine.ended("does not maintain itself", &error, env)?;
                Ok(Maintained::Done)
            }
        }
    }

    /// Asks a full disk for space again.
    pub(super) fn retry(&mut self, machine: &mut Machine, env: &mut Env) -> Result<(), Violation> {
        if machine.mood.stalled_until > env.now {
            machine.later(machine.mood.stalled_until.since(env.now), Inside::Retry, env);
            return Ok(());
        }
        self.retries = false;
        if let Err(error) = self.log.try_again() {
            return machine.ended("does not make room", &error, env);
        }
        self.tell_room(machine, env);
        Ok(())
    }

    /// Whether a full disk is going to be asked again.
    pub(super) const fn retries(&self) -> bool {
        self.retries
    }

    /// Whether the log takes values; the node is told so now.
    pub(super) fn told_room(&mut self) -> bool {
        self.is_telling = false;
        self.has_room = self.log.has_room();
        self.has_room
    }

    /// Sees to it that the node hears whether there is room, and that a full disk is asked again.
    fn tell_room(&mut self, machine: &mut Machine, env: &mut Env) {
        if let Some(after) = self.log.retry_after()
            && !self.retries
        {
            self.retries = true;
            machine.later(after, Inside::Retry, env);
        }
        if self.log.has_room() != self.has_room && !self.is_telling {
            self.is_telling = true;
            let wait = machine.around(machine.disk.tell);
            machine.later(wait, Inside::Room, env);
        }
    }

    /// Reads older entries.
    pub(super) fn read(&self, group: GroupId, fetch: Fetch) -> Result<Vec<Stored>, Violation> {
        match self.log.reader().read(group, fetch.from, fetch.to, fetch.bytes_max) {
            // Since it was asked for: as in production, there is nothing then.
            Err(ReadError::Cleaned { .. }) => Ok(Vec::new()),
            read => read
                .map_err(|error| Violation::new("log", format!("a fetch of {fetch:?}: {error}"))),
        }
    }
}

impl Machine {
    /// Opens the log.
    pub(super) fn open(&mut self, env: &mut Env) -> Result<Opened, Failed> {
        let names = self.files.vfs.list(Path::new(DIR));
        let drawn = self.memory.draw(names.map_or(true, |names| names.is_empty()));
        let opened = match self.start_log(&drawn) {
            // The directory no longer says which cluster it belongs to: the operator replaces it.
            Err(OpenError::Damaged { .. }) if self.memory.is_harmed() => {
                self.wipe();
                self.forget_founding(env);
                self.start_log(&drawn)
            }
            opened => opened,
        };
        let opened = opened.map_err(|error| match error {
            full if full.is_disk_full() && self.files.is_full => Failed::Full,
            error => self.failed("does not open", &error),
        })?;
        env.line(self.index, || Note::started(opened.boot, &opened.report));
        if self.memory.is_harmed() {
            (0..self.memory.now().len())
                .for_each(|group| env.checkers.harmed(Place { node: self.index, group }));
        }
        if self.memory.opened(self.index, &opened).map_err(Failed::Broken)? {
            self.reborn(env);
        }
        if !self.memory.is_harmed() {
            (0..self.memory.now().len())
                .for_each(|group| env.checkers.mended(Place { node: self.index, group }));
        }
        Ok(opened)
    }

    /// Nobody knows what was in the directory. Is there a cluster that goes on without the node, or that it
    /// founded alone, then the operator does not start it to found one.
    pub(super) fn forget_founding(&mut self, env: &mut Env) {
        env.checkers.unfounded(self.index);
        let mut groups = (0..self.memory.now().len()).map(|group| env.checkers.choices.eras(group));
        let is_founded = groups.clone().any(|eras| eras.is_some());
        let is_named = groups.any(|eras| eras.is_some_and(|eras| eras.names(self.id())));
        let was_alone = self.founders == 1 && self.nodes > 1;
        if is_founded && (!is_named || was_alone) {
            self.memory.join();
        }
    }

    fn start_log(&self, drawn: &[(GroupId, Incarnation)]) -> Result<Opened, OpenError> {
        let (vfs, config) = (self.files.vfs.clone(), self.files.config.clone());
        Log::start(vfs, Path::new(DIR), config, drawn, self.memory.restart)
    }

    /// The machine has new incarnations: to the rules it is another one.
    pub(super) fn reborn(&self, env: &mut Env) {
        env.stats.reborn += 1;
        env.line(self.index, || "took new incarnations".to_owned());
        for group in 0..self.memory.now().len() {
            let incarnation = self.memory.now()[group].1;
            let me = Member { node: self.id(), incarnation };
            env.checkers.reborn(Place { node: self.index, group }, me);
        }
    }

    /// The process started: from here on it goes on until something else happens.
    pub(super) fn disarm(&mut self) {
        if self.files.is_armed {
            self.files.is_armed = false;
            self.files.vfs.disarm();
        }
    }

    /// Whether what recovery would read from the durable image is what was promised.
    pub(super) fn read_back(&mut self, env: &mut Env) -> Result<(), Violation> {
        if self.memory.is_harmed() {
            return Ok(());
        }
        let image = self.files.vfs.durable_view();
        let opened = Log::open(image, Path::new(DIR), self.files.config.clone(), self.memory.now())
            .map_err(|error| broken(self, "does not open a second time", &error))?;
        env.stats.read_back += 1;
        for (group, log) in &opened.groups {
            let group = usize::try_from(group.0).expect("few groups");
            env.checkers.read_back(Place { node: self.index, group }, &log.recovered);
        }
        Ok(())
    }

    /// The log of a running process is through with an error: planned, or a broken rule.
    fn ended(
        &mut self,
        what: &str,
        error: &dyn fmt::Display,
        env: &mut Env,
    ) -> Result<(), Violation> {
        match self.failed(what, error) {
            Failed::Broken(violation) => Err(violation),
            Failed::Stopped | Failed::Full => {
                env.line(self.index, || format!("stops: the log {what}: {error}"));
                self.stopped(env);
                Ok(())
            }
        }
    }

    /// The process is through, as planned; or a rule is broken.
    pub(super) fn is_through(&mut self, failed: Failed, env: &mut Env) -> Result<(), Violation> {
        match failed {
            Failed::Broken(violation) => Err(violation),
            Failed::Stopped | Failed::Full => {
                self.stopped(env);
                Ok(())
            }
        }
    }

    /// The disk has stopped the process. What it still says until the end of its step may be heard.
    pub(super) fn stopped(&mut self, env: &mut Env) {
        if let Some((how, down)) = self.mood.middle.take() {
            env.stats.stopped += 1;
            env.crash(self.index, how, down);
        }
    }

    /// An error of the log: planned, or a broken rule.
    pub(super) fn failed(&self, what: &str, error: &dyn fmt::Display) -> Failed {
        if self.files.is_armed {
            Failed::Stopped
        } else {
            Failed::Broken(broken(self, what, error))
        }
    }
}

fn broken(machine: &Machine, what: &str, error: &dyn fmt::Display) -> Violation {
    Violation::new("log", format!("the log of n{} {what}: {error}", machine.index + 1))
}

/// Of what kinds power losses are, and how often.
const LOSSES: [Loss; 8] = [
    Loss::Any,
    Loss::Any,
    Loss::One,
    Loss::Garbage,
    Loss::Garbage,
    Loss::Prefix,
    Loss::All,
    Loss::Nothing,
];

/// Where each machine has its log.
pub const DIR: &str = "/log";

/// A quiet time after which the log looks after itself, as in production.
const IDLE_AFTER: Duration = Duration::from_millis(10);
