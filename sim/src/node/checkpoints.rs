//! A process's checkpoints: when they are written, and their way to other nodes.
//!
//! The production [`Keeper`] over the machine's own disk, beside the log. So whatever is done to the
//! disk is done to both, and a process may stop between any two changes of either.

use std::fmt::Display;
use std::path::PathBuf;

use synod::checkpoints::Keeper;
use synod_core::{
    GroupId, Input, Instance, NodeId, Recovered, SmId, Time, TransferConfig, TransferMessage,
};
use synod_proto::Packet;

use super::Machine;
use super::hosted::Taking;
use super::process::{Failed, Process};
use crate::checkers::{Place, Violation};
use crate::disk::SimVfs;
use crate::env::{Env, Inside};
use crate::faults::Crash;
use crate::rng::to_index;

/// Opens the checkpoints of a group. Says in what was recovered whether the one that counts is lost.
pub(super) fn open(
    machine: &Machine,
    place: Place,
    recovered: &mut Recovered,
    needs: impl Fn(SmId, Instance) -> bool,
    env: &mut Env,
) -> Result<Keeper<SimVfs>, Failed> {
    let dir = directory(place.group);
    let vfs = machine.files.vfs();
    let recorded = recovered.checkpoint.as_ref().map(|(at, _)| *at);
    let needs = |sm| recorded.is_some_and(|at| needs(sm, at));
    let election = machine.core.election_timeout;
    let config = TransferConfig {
        chunk_bytes: 40,
        bytes_per_second: 100_000,
        patience: election / 4,
        receivers_max: 2,
        pinned_max: election * 2,
    };
    let (keeper, is_whole) =
        Keeper::open(vfs.clone(), &dir, recorded, needs, config).map_err(|error| {
            if vfs.has_stopped() {
                return Failed::Stopped;
            }
            let what = format!("{place}: its checkpoints do not open: {error}");
            Failed::Broken(Violation::new("checkpoints", what))
        })?;
    if vfs.has_stopped() {
        return Err(Failed::Stopped);
    }
    if !is_whole {
        if !machine.memory.is_harmed() {
            let at = recorded.unwrap_or_default();
            let what =
                format!("{place} records a checkpoint at {at}, and a whole disk has no files");
            env.checkers.note(Err(Violation::new("checkpoints", what)));
        }
        recovered.files_lost = true;
    }
    Ok(keeper)
}

impl Machine {
    /// The files of a checkpoint that was just checked are not what was written. The group has stopped;
    /// here the whole process ends, and the next start finds the damage.
    ///
    /// # Errors
    ///
    /// If nothing was done to the disk.
    pub(super) fn unloadable(&self, why: &Violation, env: &mut Env) -> Result<(), Violation> {
        if !self.memory.is_harmed() {
            return Err(why.clone());
        }
        env.line(self.index, || format!("ends: {why}"));
        env.crash(self.index, Crash::Kill, self.core.election_timeout / 4);
        Ok(())
    }
}

impl Process {
    /// A peer said something about a transfer.
    pub(super) fn transferred(
        &mut self,
        machine: &mut Machine,
        group: GroupId,
        from: NodeId,
        message: TransferMessage,
        env: &mut Env,
    ) {
        let index = usize::try_from(group.0).unwrap_or(usize::MAX);
        let now = machine.clock.local(env.now);
        let Some(hosted) = self.groups.get_mut(index) else { return };
        hosted.keeper.receive(now, from, message);
        self.follow(machine, index, env);
    }

    /// A checkpoint that was handed out is written after a while.
    pub(super) fn write_later(&self, machine: &mut Machine, group: usize, env: &mut Env) {
        if self.groups[group].taking.is_some() {
            let wait = machine.around(machine.disk.sync) + machine.around(machine.delay);
            machine.later(wait, Inside::Checkpoint(group), env);
        }
    }

    /// A checkpoint is written.
    pub(super) fn write(&mut self, machine: &mut Machine, group: usize, env: &mut Env) {
        let hosted = &mut self.groups[group];
        let Some(Taking { at, state, handles }) = hosted.taking.take() else { return };
        let written = handles.and_then(|handles| hosted.keeper.store().write(at, state, handles));
        match written {
            Ok(manifest) => hosted.keeper.taken(manifest),
            Err(_) if machine.files.vfs().has_stopped() => return machine.stopped(env),
            Err(error) => {
                env.line(machine.index, || format!("g{group}   no checkpoint {at}: {error}"));
                hosted.keeper.inputs.push(Input::CheckpointFailed(at));
            }
        }
        self.follow(machine, group, env);
    }

    /// The keeper's time has come.
    pub(super) fn keep(&mut self, machine: &mut Machine, group: usize, env: &mut Env) {
        let hosted = &mut self.groups[group];
        if hosted.keep <= env.now {
            hosted.keep = Time::MAX;
            let now = machine.clock.local(env.now);
            hosted.keeper.tick(now);
            self.follow(machine, group, env);
        }
    }

    /// Does what the keeper wants, and lets it know what the group wants.
    pub(super) fn follow(&mut self, machine: &mut Machine, group: usize, env: &mut Env) {
        if machine.files.vfs().has_stopped() {
            return machine.stopped(env);
        }
        let place = Place { node: machine.index, group };
        let hosted = &mut self.groups[group];
        let id = GroupId(u32::try_from(group).expect("few groups"));
        for (to, message) in std::mem::take(&mut hosted.keeper.messages) {
            if !machine.mood.is_mute {
                env.line(machine.index, || format!("g{group}   > {to}  {}", show(&message)));
                let to = to_index(to.0 - 1);
                env.checkers.quiet.said(place, to);
                let durable = self.journal.durable();
                if self.hellos.is_open(machine, durable, to, env) {
                    env.send(
                        place.node,
                        machine.life,
                        to,
                        &Packet::Transfer { group: id, message },
                    );
                }
            }
        }
        let inputs = std::mem::take(&mut hosted.keeper.inputs);
        if !inputs.is_empty() {
            for input in inputs {
                self.step(machine, group, input, env);
            }
            return; // each step ends here
        }
        let hosted = &mut self.groups[group];
        hosted.keeper.want(hosted.group.wanted());
        if let Some(deadline) = hosted.keeper.deadline() {
            let wake = machine.clock.when(deadline).max(env.now);
            if wake < hosted.keep {
                hosted.keep = wake;
                machine.later(wake.since(env.now), Inside::Keep(group), env);
            }
        }
    }
}

fn show(message: &TransferMessage) -> String {
    let id = |at: &Instance| format!("checkpoint {at}");
    match message {
        TransferMessage::Ask { next } => format!("asks for a checkpoint from {next}"),
        TransferMessage::Offer { id: it, .. } => format!("offers {}", id(&it.at)),
        TransferMessage::Fetch { id: it, file, offset, .. } => {
            format!("fetches {file}:{offset} of {}", id(&it.at))
        }
        TransferMessage::Chunk { id: it, file, offset, bytes } => {
            format!("sends {file}:{offset} of {}, {} bytes", id(&it.at), bytes.len())
        }
        TransferMessage::Nothing { id: it } => format!("has nothing of {}", id(&it.at)),
    }
}

/// Where those of a group are.
pub(super) fn directory(group: impl Display) -> PathBuf {
    PathBuf::from(CHECKPOINTS).join(group.to_string())
}

/// Where they are, on every machine.
pub const CHECKPOINTS: &str = "/checkpoints";
