//! One simulated machine: what outlives its processes, and the process that runs on it, if one does.
//!
//! A crash drops the `Process` with everything in its memory. What stays is the disk, and whatever
//! a state machine keeps by itself. Everything that happens inside a process carries the number of
//! the process life, so that nothing of an earlier life reaches a later one.

mod checkpoints;
mod disk;
mod entry;
mod events;
mod harm;
mod hello;
mod hosted;
mod inspect;
mod lodging;
mod memory;
mod mood;
mod pace;
mod process;

use std::time::Duration;

use bytes::Bytes;
use synod_core::{
    Config, Founding, GroupId, Incarnation, Input, Instance, MasterAsk, Member, Membership,
    Message, NodeId, Role, Status, Time, mark,
};
use synod_proto::{Packet, decode_frame};

use crate::checkers::Violation;
use crate::clients::{Ask, CallId};
use crate::clock::Clock;
use crate::env::{Env, Event, Inside};
use crate::faults::{Crash, Moment};
use crate::kv::{Kv, Store};
use crate::network::damage::taken_for;
use crate::plan::{self, Plan};
use crate::rng::{Rng, to_u64};
use crate::trace::Note;

pub use checkpoints::CHECKPOINTS;
pub use disk::DIR as LOG;
use disk::Files;
use entry::Entry;
use hello::Arrived;
use lodging::Lodging;
use memory::{Image, Memory};
use mood::Mood;
use pace::Pace;
use process::{Failed, Process};

/// One simulated machine.
#[derive(Debug)]
pub struct Node {
    machine: Machine,
    process: Option<Process>,
}

/// What outlives a process.
#[derive(Debug)]
struct Machine {
    index: usize,
    life: u64,
    rng: Rng,
    clock: Clock,
    pace: Pace,
    files: Files,
    /// What users' state machines keep.
    lodging: Lodging,
    memory: Memory,
    image: Option<Image>,
    nodes: usize,
    /// How many of them the cluster is founded with.
    founders: usize,
    /// What the cluster was founded from before the run, if it was.
    founding: Option<Founding>,
    core: Config,
    disk: plan::Disk,
    delay: Duration,
    /// The state machines' own state, by group, if they keep any.
    stores: Option<Vec<Store>>,
    /// What would be left of that after a power loss.
    saved: Vec<Kv>,
    mood: Mood,
    /// Of the random numbers of hellos, by life.
    hello_seed: u64,
    /// Hears of syncs that have not happened: see [`Plan::canary`].
    is_lied_to: bool,
}

impl Node {
    /// A machine with an empty disk.
    #[must_use]
    pub fn new(plan: &Plan, index: usize, founding: &Founding) -> Self {
        let id = to_u64(index);
        let mut rng = Rng::numbered(plan.seed, "node", id);
        let is_founder = index < plan.founders();
        let mut spare = Rng::numbered(plan.seed, "spare", id);
        let memory = |(group, membership): &(GroupId, Membership)| {
            let me = membership.of(node_id(index)).map(|member| member.incarnation);
            (*group, me.unwrap_or_else(|| Incarnation(spare.bits() | 1)))
        };
        let memories = founding.groups.iter().map(memory).collect();
        let keeps = plan.machine.keeps.get(index).copied().unwrap_or_default();
        let machine = Machine {
            index,
            life: 0,
            clock: Clock::new(plan.clocks.get(index).copied().unwrap_or_default()),
            pace: Pace::default(),
            files: Files::new(plan, index),
            lodging: Lodging::new(plan, index),
            memory: Memory::new(plan, index, memories),
            image: None,
            nodes: plan.nodes,
            founders: plan.founders(),
            founding: (!plan.is_forming && is_founder).then(|| founding.clone()),
            core: Config { seed: rng.bits(), ..plan.core.clone() },
            disk: plan.disk.clone(),
            delay: plan.machine.delay,
            stores: keeps.then(|| (0..plan.groups).map(|_| Store::default()).collect()),
            saved: vec![Kv::default(); plan.groups],
            mood: Mood::default(),
            hello_seed: Rng::numbered(plan.seed, "hellos", id).bits(),
            is_lied_to: plan.canary,
            rng,
        };
        Self { machine, process: None }
    }

    /// Whether a process runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// Starts a process, unless one runs.
    ///
    /// # Errors
    ///
    /// If its log does not open: no fault that is simulated may do that.
    pub fn start(&mut self, env: &mut Env) -> Result<(), Violation> {
        if self.is_up() {
            return Ok(());
        }
        self.machine.life += 1;
        env.stats.starts += 1;
        if let Some(stores) = &mut self.machine.stores {
            // The earlier process's handle goes with it.
            for store in stores {
                let state = store.state().clone();
                *store = Store::holding(state);
            }
        }
        let has_cache = std::mem::take(&mut self.machine.mood.has_cache);
        let down = self.machine.mood.power_after_start;
        if down.is_some() && self.machine.rng.percent(40) {
            // In the middle of recovery, if it gets that far.
            self.machine.mood.power_after_start = None;
            self.machine.files.stop_after(self.machine.rng.spread(1, 60));
        }
        match Process::start(&mut self.machine, env) {
            Ok(process) => self.process = Some(process),
            Err(Failed::Stopped) => {
                mark!(CRASH_WHILE_STARTING);
                env.line(self.machine.index, || "stops in the middle of its start".to_owned());
                env.crash(self.machine.index, Crash::Power, down.unwrap_or_default());
                return Ok(());
            }
            Err(Failed::Full) => {
                // Whoever looks after the machine starts the node again, until there is room.
                mark!(START_PUT_OFF_DISK_FULL);
                env.line(self.machine.index, || "does not start: the disk is full".to_owned());
                let down = self.machine.core.election_timeout;
                self.machine.mood.has_cache = has_cache;
                env.crash(self.machine.index, Crash::Kill, down);
                return Ok(());
            }
            Err(Failed::Broken(violation)) => return Err(violation),
        }
        if has_cache {
            mark!(STARTED_FROM_CACHE);
            // What it read may have been in the page cache only; it must not rest on that.
            self.machine.read_back(env)?;
        }
        if let Some(down) = self.machine.mood.power_after_start.take() {
            // Before it did anything, or after it said a little.
            let soon = Duration::from_micros(self.machine.rng.spread(1, 60_000));
            mark!(POWER_LOST_SOON_AFTER_KILL);
            env.after(soon, Event::Power { node: self.machine.index, down });
        }
        Ok(())
    }

    /// Ends the process, and decides what the disk keeps.
    pub fn crash(&mut self, how: Crash, down: Duration, env: &mut Env) {
        mark!(LEADER_CRASHED_WITH_OPEN_WINDOW
            if (0..self.machine.memory.now().len()).any(|group| self.status(group)
                .is_some_and(|it| it.role == Role::Leader && it.window > 0)));
        let machine = &mut self.machine;
        self.process = None;
        env.checkers.masters.gone(machine.index);
        env.checkers.leases.gone(machine.index);
        env.line(machine.index, || Note::crashed(how, down));
        match how {
            Crash::Kill => {
                machine.files.kill();
                machine.lodging.kill();
                machine.mood.has_cache = true;
            }
            Crash::KillThenPower => {
                machine.files.kill();
                machine.lodging.kill();
                machine.mood.has_cache = true;
                machine.mood.power_after_start = Some(down);
            }
            Crash::Power => {
                machine.files.power_loss();
                machine.lodging.power_loss();
                machine.clock.reboot(env.now);
                machine.mood.has_cache = false;
                for (store, saved) in machine.stores.iter_mut().flatten().zip(&machine.saved) {
                    *store = Store::holding(saved.clone());
                }
            }
        }
        machine.pace.crash();
        machine.mood.armed = None;
        machine.mood.middle = None;
        machine.mood.sync_fails = None;
        machine.mood.is_mute = false;
    }

    /// Loses power, running or not.
    pub fn power(&mut self, down: Duration, env: &mut Env) {
        self.crash(Crash::Power, down, env);
    }

    /// Something happens to the process. Gives it back if that is now; else it waits until the
    /// process gets round to it. Nothing waits for a process that does not run, or for that of an
    /// earlier life.
    pub fn take(&mut self, event: Event, env: &mut Env) -> Option<Event> {
        let Machine { index, life, pace, .. } = &mut self.machine;
        let is_disk = matches!(event, Event::Node { what: Inside::Sync, .. });
        let is_old = matches!(event, Event::Node { life: old, .. } if old != *life);
        if self.process.is_none() || is_old || is_disk && pace.disk_runs(env.now) {
            return Some(event);
        }
        match pace.take(event, env.now) {
            Ok(event) => Some(event),
            Err(turn) => {
                if let Some(at) = turn {
                    env.queue.push(at, Event::Turn { node: *index, life: *life });
                }
                None
            }
        }
    }

    /// The process gets round to something that waited.
    pub fn turn(&mut self, life: u64, env: &mut Env) -> Option<Event> {
        if life != self.machine.life {
            return None;
        }
        let (event, again) = self.machine.pace.turn(env.now);
        if let Some(at) = again {
            env.queue.push(at, Event::Turn { node: self.machine.index, life });
        }
        event
    }

    /// From when on the process has no excuse for what it should have done by this time of its clock.
    #[must_use]
    pub fn due(&self, local: Time, now: Time) -> Time {
        let when = self.machine.clock.when(local);
        self.machine.pace.behind(now).map_or(when, |behind| when.max(behind))
    }

    /// A time from now, by the node's clock.
    #[must_use]
    pub fn deadline(&self, wait: Duration, now: Time) -> Time {
        self.machine.clock.local(now) + wait
    }

    /// A frame arrives.
    ///
    /// # Errors
    ///
    /// If it is none and was not damaged, or is one although it was: a damaged one only breaks the
    /// connection.
    pub fn deliver(
        &mut self,
        (from, life): (usize, u64),
        frame: Bytes,
        is_damaged: bool,
        env: &mut Env,
    ) -> Result<(), Violation> {
        let arrived = Arrived { from, life };
        let Some(process) = &mut self.process else { return Ok(()) };
        if is_damaged {
            if let Some(packet) = taken_for(frame) {
                let what = format!("a damaged frame from n{} is taken for {packet}", from + 1);
                return Err(Violation::new("codec", what));
            }
            env.line(self.machine.index, || format!("   < n{}  a damaged frame", from + 1));
            env.stats.damaged += 1;
            env.network.reset(from, self.machine.index, env.now);
            return Ok(());
        }
        match decode_frame(frame) {
            Ok(Packet::Group { .. } | Packet::Founding(_) | Packet::Transfer { .. })
                if !process.hellos.knows(&self.machine, arrived, env) =>
            {
                Ok(())
            }
            Ok(Packet::Group { group, from: incarnation, message }) => {
                let from = Member { node: node_id(from), incarnation };
                process.receive(&mut self.machine, group, from, message, env);
                self.machine.count(env);
                Ok(())
            }
            Ok(Packet::Founding(message)) => {
                let id = env.arriving;
                env.line(self.machine.index, || Note::heard_founding(id, from, &message));
                process.form(&mut self.machine, Entry::heard(from, message), env)
            }
            Ok(Packet::Transfer { group, message }) => {
                process.transferred(&mut self.machine, group, node_id(from), message, env);
                self.machine.count(env);
                Ok(())
            }
            Ok(Packet::Hello(hello)) => process.greeted(&self.machine, arrived, &hello, env),
            Ok(Packet::Judged(judgement)) => {
                process.judged(&mut self.machine, arrived, &judgement, env)
            }
            Err(error) => {
                let what = format!("a frame from n{} does not decode: {error}", from + 1);
                Err(Violation::new("codec", what))
            }
        }
    }

    /// Something happens inside the process of this life.
    ///
    /// # Errors
    ///
    /// What a state machine or the log has to say.
    pub fn inside(&mut self, life: u64, what: Inside, env: &mut Env) -> Result<(), Violation> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if life != self.machine.life {
            return Ok(());
        }
        process.inside(&mut self.machine, what, env)?;
        self.machine.count(env);
        Ok(())
    }

    /// A client asks something. Says whether anybody heard.
    pub fn ask(
        &mut self,
        id: CallId,
        group: usize,
        ask: &Ask,
        deadline: Time,
        env: &mut Env,
    ) -> bool {
        let Some(process) = &mut self.process else { return false };
        let is_heard = process.ask(&mut self.machine, id, group, ask, deadline, env);
        self.machine.count(env);
        is_heard
    }

    /// Something is asked of this node's part in the mastership of a group.
    pub fn master(&mut self, group: usize, ask: MasterAsk, env: &mut Env) {
        if let Some(process) = &mut self.process {
            process.master(&mut self.machine, group, ask, env);
        }
    }

    /// Whether the groups run.
    #[must_use]
    pub fn has_entered(&self) -> bool {
        self.process.as_ref().is_some_and(Process::has_entered)
    }

    /// A second process of the same directory and start says hello to everyone.
    pub fn say_twice(&mut self, env: &mut Env) {
        if let Some(process) = &mut self.process {
            process.say_twice(&self.machine, env);
        }
    }

    /// The membership of a group as this node knows it, and its version.
    #[must_use]
    pub fn membership(&self, group: usize) -> Option<(Instance, &Membership)> {
        self.process.as_ref()?.membership(group)
    }

    /// Somebody asks for something of a group that is not a client.
    pub fn input(&mut self, group: usize, input: Input, env: &mut Env) {
        if let Some(process) = &mut self.process {
            process.input(&mut self.machine, group, input, env);
        }
    }

    /// The leader of a group is asked to hand over to another node.
    pub fn transfer(&mut self, group: usize, to: usize, env: &mut Env) {
        if let Some(process) = &mut self.process {
            process.transfer(&mut self.machine, group, node_id(to), env);
        }
    }

    /// Lets a user look at the state machines at the end of the run.
    ///
    /// # Errors
    ///
    /// What the user does not like.
    pub fn look(&self) -> Result<(), Violation> {
        self.process.as_ref().map_or(Ok(()), |process| process.look(self.machine.index))
    }

    /// What a group does here, if anything.
    #[must_use]
    pub fn status(&self, group: usize) -> Option<Status> {
        self.process.as_ref()?.status(group)
    }

    /// Does nothing for a while; if it is frozen, its disk and its clock stand still, too.
    pub fn pause(&mut self, lasting: Duration, is_frozen: bool, env: &mut Env) {
        let (machine, until) = (&mut self.machine, env.now + lasting);
        machine.pace.pause(until, is_frozen);
        if is_frozen {
            machine.clock.stop_until(until, env.now);
        }
        env.line(machine.index, || Note::paused(lasting, is_frozen));
    }

    /// Takes so long for each event from now on.
    pub const fn slow(&mut self, cost: Duration) {
        self.machine.pace.slow(cost);
    }

    /// The clock runs at another rate; without one as it did at first.
    pub fn set_rate(&mut self, ppm: Option<i32>, env: &mut Env) {
        match ppm {
            Some(ppm) => self.machine.clock.run_at(ppm, env.now),
            None => self.machine.clock.recover(env.now),
        }
        if let Some(process) = &mut self.process {
            process.sleep_anew(&mut self.machine, env);
        }
    }

    /// Crashes at the next moment of this kind.
    pub const fn arm(&mut self, moment: Moment, how: Crash, down: Duration) {
        self.machine.mood.armed = Some((moment, how, down));
    }

    /// Crashes after so many more changes to the disk, whatever it is doing then.
    pub fn stop_after(&mut self, changes: u64, how: Crash, down: Duration) {
        self.machine.files.stop_after(changes);
        self.machine.lodging.stop_soon();
        self.machine.mood.middle = Some((how, down));
    }

    /// The next sync fails.
    pub const fn fail_sync(&mut self, down: Duration) {
        self.machine.mood.sync_fails = Some(down);
    }

    /// The disk takes so many times longer; 1 is its own speed.
    pub const fn slow_disk(&mut self, factor: u32) {
        self.machine.mood.disk_factor = factor;
    }

    /// Of the space on the disk so many segments are left.
    pub fn fill_disk(&mut self, segments: u64) {
        self.machine.files.fill(segments);
    }

    /// The disk has space again.
    pub fn give_room(&mut self) {
        self.machine.files.give_room();
    }

    /// State machines take so much longer.
    pub const fn slow_machines(&mut self, delay: Duration) {
        self.machine.mood.delay = delay;
    }

    /// Nothing is wrong any more, and everything is fast.
    pub fn mend(&mut self, env: &mut Env) {
        let machine = &mut self.machine;
        machine.clock.mend(env.now);
        if machine.pace.mend() {
            env.queue.push(env.now, Event::Turn { node: machine.index, life: machine.life });
        }
        if let Some(process) = &mut self.process {
            process.hurry(machine, env);
            process.sleep_anew(machine, env);
        }
        machine.disarm();
        machine.files.vfs().lie(false);
        machine.files.give_room();
        machine.lodging.disarm();
        machine.mood = Mood::default();
        machine.delay = machine.delay.min(Duration::from_micros(50));
        machine.disk.sync = machine.disk.sync.min(machine.core.election_timeout / 50);
        machine.disk.tell = machine.disk.tell.min(machine.core.election_timeout / 50);
    }

    /// Whether what recovery would read from the durable image is what was promised.
    ///
    /// # Errors
    ///
    /// If a vote on the wire is not on the disk.
    pub fn read_back(&mut self, env: &mut Env) -> Result<(), Violation> {
        self.machine.read_back(env)
    }
}

impl Machine {
    fn id(&self) -> NodeId {
        node_id(self.index)
    }

    /// A process's own event, after a while.
    fn later(&self, wait: Duration, what: Inside, env: &mut Env) {
        env.after(wait, Event::Node { node: self.index, life: self.life, what });
    }

    /// Crashes now if that was planned for this kind of moment.
    fn moment(&mut self, moment: Moment, env: &mut Env) {
        if let Some((armed, how, down)) = self.mood.armed
            && armed == moment
        {
            mark!(CRASH_BETWEEN_WRITE_AND_SYNC if armed == Moment::Written);
            mark!(CRASH_BETWEEN_SYNC_AND_WORD if armed == Moment::Synced);
            mark!(CRASH_RIGHT_AFTER_WORD if armed == Moment::Told);
            env.crash(self.index, how, down);
            self.mood.armed = None;
        }
    }

    /// One more event is over: crashes now if that was planned for after so many.
    fn count(&mut self, env: &mut Env) {
        if let Some((Moment::Event(left), how, down)) = &mut self.mood.armed {
            if *left == 0 {
                env.crash(self.index, *how, *down);
                self.mood.armed = None;
            } else {
                *left -= 1;
            }
        }
    }

    /// Whether a message leaves: none does after the last `Accept` before a crash.
    fn says(&mut self, message: &Message, env: &mut Env) -> bool {
        if self.mood.is_mute {
            return false;
        }
        if matches!(message, Message::Accept { .. })
            && let Some((Moment::Accepts(left), how, down)) = &mut self.mood.armed
        {
            if *left == 0 {
                env.crash(self.index, *how, *down);
                self.mood.armed = None;
                self.mood.is_mute = true;
            } else {
                *left -= 1;
            }
        }
        true
    }

    /// A random time around a mean.
    fn around(&mut self, mean: Duration) -> Duration {
        let nanos = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.rng.tail(nanos))
    }
}

/// The node at an index.
#[must_use]
pub fn node_id(index: usize) -> NodeId {
    NodeId(to_u64(index) + 1)
}
