//! The state machines of one group, and the execution of what the core hands out.
//!
//! No thread and no clock in here: the runtime calls it on the group's state-machine thread, the
//! simulator in the middle of its event loop.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use synod_core::{Apply, Instance, Position, ProposalId, SmId};
use thiserror::Error;

use crate::proposal::Context;
use crate::{Checkpoint, CheckpointError, Directory, StateMachine};

/// The state machines of one group by their [`SmId`].
///
/// After the first error every further call gives that error again: a machine that panicked half
/// way, or missed a command, must not be asked anything more.
pub struct Machines {
    machines: BTreeMap<SmId, Hosted>,
    applied: Instance,
    failed: Option<MachineError>,
}

/// What a checkpoint of a group is written from: a handle of each machine.
pub type Handles = Vec<(SmId, Box<dyn Checkpoint>)>;

/// What came of one [`Apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Executed {
    /// A command was executed.
    Command {
        /// Where it stands in the order of execution.
        position: Position,
        /// The proposal that waits here for the output, if one does.
        proposal: Option<ProposalId>,
        /// What the state machine answered.
        output: Bytes,
    },
    /// The state machine had executed the command in an earlier life of the process.
    Skipped {
        /// Where it stands in the order of execution.
        position: Position,
        /// A proposal that waits here all the same; its output is gone.
        proposal: Option<ProposalId>,
    },
    /// Everything up to this instance is executed: tell the core with `Input::Applied`.
    Through(Instance),
    /// Exactly everything up to this instance is executed: [`Machines::checkpoint`] is due now, before
    /// anything else, and then `Input::Checkpointed` or `Input::CheckpointFailed`.
    Checkpoint(Instance, Bytes),
    /// The machines have this digest after exactly everything up to this instance: tell the core with
    /// `Input::Digested`.
    Digest(Instance, Option<u64>),
    /// [`Machines::load`] is due now, before anything else, and then `Input::Applied`.
    Install(Instance),
}

/// Why a group's state machines cannot go on, here. The other nodes and groups are not concerned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The group was given no state machine.
    #[error("the group has no state machine")]
    None,
    /// Two machines of the group have the same id.
    #[error("two state machines have the id {}; give each its own `StateMachine::id`", .0.0)]
    Twice(SmId),
    /// A machine of a user's has an id that commands of Synod itself name, or that of the simulator's
    /// own machine.
    #[error(
        "a state machine has the id {}, which is reserved: 0 to {max} are free; \
         change its `StateMachine::id`",
        .0.0,
        max = FREE_MAX
    )]
    Reserved(SmId),
    /// A command or query names a machine that this node was not given.
    #[error("no state machine has the id {}; start every node with the same machines", .0.0)]
    Unknown(SmId),
    /// The machine panicked.
    #[error("state machine {} panicked {during}: {reason}", .sm.0)]
    Panicked {
        /// Which one.
        sm: SmId,
        /// Doing what.
        during: String,
        /// The panic's message.
        reason: String,
    },
    /// The machine's part of a checkpoint cannot be loaded.
    #[error("state machine {} does not load the checkpoint at {at}: {reason}", .sm.0)]
    Load {
        /// Which one.
        sm: SmId,
        /// Where the checkpoint is.
        at: Instance,
        /// Why not.
        reason: String,
    },
    /// Commands came out of order: a mistake of ours, not of the machine.
    #[error("position {next} was handed out after {last}")]
    Order {
        /// The last one executed or skipped.
        last: Position,
        /// The one that came after it.
        next: Position,
    },
}

struct Hosted {
    machine: Box<dyn StateMachine>,
    /// The last position in the machine's state.
    applied: Position,
}

impl Hosted {
    /// Whether its state is not further than a checkpoint at `at`.
    fn needs(&self, at: Instance) -> bool {
        self.applied.instance <= at
    }
}

impl Machines {
    /// Takes over the state machines of a group, and asks each how far its own state reaches.
    ///
    /// # Errors
    ///
    /// If there is none, one has a reserved id, two have the same id, or one panics.
    pub fn new(machines: Vec<Box<dyn StateMachine>>) -> Result<Self, MachineError> {
        if machines.is_empty() {
            return Err(MachineError::None);
        }
        Self::take(None, machines)
    }

    /// As [`new`](Self::new), with a machine of the host's own besides, whose id may be a reserved one:
    /// for the simulator.
    ///
    /// # Errors
    ///
    /// As for `new`, but that there may be no other machine.
    pub fn beside(
        own: Box<dyn StateMachine>,
        machines: Vec<Box<dyn StateMachine>>,
    ) -> Result<Self, MachineError> {
        Self::take(Some(own), machines)
    }

    fn take(
        own: Option<Box<dyn StateMachine>>,
        machines: Vec<Box<dyn StateMachine>>,
    ) -> Result<Self, MachineError> {
        let mut hosted = BTreeMap::new();
        let own = own.into_iter().map(|machine| (machine, u32::MAX));
        for (machine, max) in own.chain(machines.into_iter().map(|machine| (machine, FREE_MAX))) {
            let (sm, applied) =
                catch_unwind(AssertUnwindSafe(|| (machine.id(), machine.applied())))
                    .map_err(|panic| panicked(SmId(0), "when asked for its position", &*panic))?;
            if sm.0 > max {
                return Err(MachineError::Reserved(sm));
            }
            if hosted.insert(sm, Hosted { machine, applied }).is_some() {
                return Err(MachineError::Twice(sm));
            }
        }
        Ok(Self { machines: hosted, applied: Instance::ZERO, failed: None })
    }

    /// Does what the core asks for; feed every [`Apply`] in the order handed out.
    ///
    /// # Errors
    ///
    /// If the command's state machine is unknown or panics, or the order is broken: from then on
    /// always that error.
    pub fn apply(&mut self, apply: Apply) -> Result<Executed, MachineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let done = self.execute(apply);
        if let Err(error) = &done {
            self.failed = Some(error.clone());
        }
        done
    }

    /// Asks a state machine, at its present state.
    ///
    /// # Errors
    ///
    /// If the machines have failed before. If the machine panics: from then on always that error. If
    /// it is unknown: only this question.
    pub fn read(&mut self, sm: SmId, query: Bytes) -> Result<Bytes, MachineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let hosted = self.machines.get(&sm).ok_or(MachineError::Unknown(sm))?;
        let answer = catch_unwind(AssertUnwindSafe(|| hosted.machine.read(query)));
        answer.map_err(|panic| {
            let error = panicked(sm, "answering a query", &*panic);
            self.failed = Some(error.clone());
            error
        })
    }

    /// What each machine's state at `at` can be written from: see [`StateMachine::checkpoint`].
    ///
    /// A machine that keeps its own state may be further after a restart. Its state of now is not that
    /// of `at`: whoever loaded it there would execute again what is in it.
    ///
    /// # Errors
    ///
    /// If one has no checkpoints, is further, or cannot give one now: then there is none of the group, and
    /// everything else goes on. If one panics: from then on always that error.
    pub fn checkpoint(&mut self, at: Instance) -> Result<Handles, CheckpointError> {
        let mut handles = Handles::new();
        for (&sm, hosted) in &mut self.machines {
            if let Some(error) = &self.failed {
                return Err(CheckpointError::Contents(error.to_string()));
            }
            if hosted.applied.instance > at {
                return Err(CheckpointError::Ahead { sm, applied: hosted.applied, at });
            }
            match catch_unwind(AssertUnwindSafe(|| hosted.machine.checkpoint())) {
                Ok(handle) => handles.push((sm, handle?)),
                Err(panic) => {
                    self.failed = Some(panicked(sm, "giving a checkpoint", &*panic));
                }
            }
        }
        match &self.failed {
            Some(error) => Err(CheckpointError::Contents(error.to_string())),
            None => Ok(handles),
        }
    }

    /// Whether a machine goes on from its part of a checkpoint at `at`, and not from further.
    #[must_use]
    pub fn needs(&self, sm: SmId, at: Instance) -> bool {
        self.machines.get(&sm).is_some_and(|hosted| hosted.needs(at))
    }

    /// The machines go on from a checkpoint at `at`: each that is not further already loads its own
    /// part, which `part` opens.
    ///
    /// # Errors
    ///
    /// If a part cannot be opened or loaded, or a machine panics: from then on always that error.
    pub fn load<D: Directory>(
        &mut self,
        at: Instance,
        mut part: impl FnMut(SmId) -> io::Result<D>,
    ) -> Result<(), MachineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        for (&sm, hosted) in &mut self.machines {
            if !hosted.needs(at) {
                continue;
            }
            let loaded = part(sm).map_err(CheckpointError::Files).and_then(|part| {
                let load = AssertUnwindSafe(|| hosted.machine.load(&part));
                catch_unwind(load).unwrap_or_else(|panic| {
                    let error = panicked(sm, "loading a checkpoint", &*panic);
                    Err(CheckpointError::Contents(error.to_string()))
                })
            });
            if let Err(error) = loaded {
                let error = MachineError::Load { sm, at, reason: error.to_string() };
                self.failed = Some(error.clone());
                return Err(error);
            }
            hosted.applied = Position { instance: at, index: u32::MAX };
        }
        self.applied = self.applied.max(at);
        Ok(())
    }

    /// Shows a state machine that a command which it has just executed was proposed here, with this
    /// context.
    ///
    /// # Errors
    ///
    /// If the machine panics: from then on always that error.
    pub fn proposed_here(
        &mut self,
        sm: SmId,
        at: Position,
        output: &Bytes,
        context: Context,
    ) -> Result<(), MachineError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let hosted = self.machines.get(&sm).ok_or(MachineError::Unknown(sm))?;
        let shown =
            catch_unwind(AssertUnwindSafe(|| hosted.machine.proposed_here(at, output, context)));
        shown.map_err(|panic| {
            let error = panicked(sm, format!("after {at}, shown its context"), &*panic);
            self.failed = Some(error.clone());
            error
        })
    }

    /// Every command up to and including this instance is executed.
    #[must_use]
    pub const fn applied(&self) -> Instance {
        self.applied
    }

    /// Why the machines have stopped, if they have.
    #[must_use]
    pub const fn failed(&self) -> Option<&MachineError> {
        self.failed.as_ref()
    }

    /// One digest of all machines that give one; none if none does, or one is further than `at`.
    fn digest(&self, at: Instance) -> Result<Option<u64>, MachineError> {
        let mut all: Option<u64> = None;
        for (&sm, hosted) in &self.machines {
            if hosted.applied.instance > at {
                return Ok(None);
            }
            let digest = catch_unwind(AssertUnwindSafe(|| hosted.machine.digest()))
                .map_err(|panic| panicked(sm, "giving its digest", &*panic))?;
            if let Some(digest) = digest {
                let before = all.unwrap_or_default().rotate_left(23);
                all = Some((before ^ digest ^ u64::from(sm.0)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            }
        }
        Ok(all)
    }

    fn execute(&mut self, apply: Apply) -> Result<Executed, MachineError> {
        match apply {
            Apply::Command { position, sm, payload, proposal, key: _ } => {
                if position.instance <= self.applied {
                    let last = Position { instance: self.applied, index: u32::MAX };
                    return Err(MachineError::Order { last, next: position });
                }
                let hosted = self.machines.get_mut(&sm).ok_or(MachineError::Unknown(sm))?;
                if position <= hosted.applied {
                    return Ok(Executed::Skipped { position, proposal });
                }
                let output =
                    catch_unwind(AssertUnwindSafe(|| hosted.machine.apply(position, payload)))
                        .map_err(|panic| panicked(sm, format!("at {position}"), &*panic))?;
                hosted.applied = position;
                Ok(Executed::Command { position, proposal, output })
            }
            Apply::Through(instance) => {
                if instance < self.applied {
                    let last = Position { instance: self.applied, index: u32::MAX };
                    let next = Position { instance, index: u32::MAX };
                    return Err(MachineError::Order { last, next });
                }
                self.applied = instance;
                Ok(Executed::Through(instance))
            }
            // Part of what the next `Through` is about; said to nobody before that.
            Apply::Checkpoint { at, state } => Ok(Executed::Checkpoint(at, state)),
            Apply::Install(at) => Ok(Executed::Install(at)),
            Apply::Digest(at) => Ok(Executed::Digest(at, self.digest(at)?)),
        }
    }
}

impl fmt::Debug for Machines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machines")
            .field("ids", &self.machines.keys())
            .field("applied", &self.applied)
            .field("failed", &self.failed)
            .finish()
    }
}

fn panicked(sm: SmId, during: impl Into<String>, panic: &(dyn Any + Send)) -> MachineError {
    let reason = panic_message(panic);
    MachineError::Panicked { sm, during: during.into(), reason }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// The highest id of a user's machine.
const FREE_MAX: u32 = SmId::MASTER.0 - 1;

#[cfg(test)]
mod tests {
    use super::*;
    use synod_core::CommandKey;

    /// Remembers what it executed; panics on "boom".
    struct Memo {
        id: u32,
        survived: Position,
        log: Vec<Bytes>,
    }

    impl StateMachine for Memo {
        fn id(&self) -> SmId {
            SmId(self.id)
        }
        fn applied(&self) -> Position {
            self.survived
        }
        fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
            assert!(command != "boom", "cannot digest {command:?}");
            self.log.push(command.clone());
            command
        }
        fn read(&self, query: Bytes) -> Bytes {
            assert!(query != "boom", "no answer");
            self.log.len().to_string().into()
        }
    }

    fn memo(id: u32, survived: Position) -> Box<dyn StateMachine> {
        Box::new(Memo { id, survived, log: vec![] })
    }

    fn at(instance: u64, index: u32) -> Position {
        Position { instance: Instance(instance), index }
    }

    fn command(position: Position, sm: u32, payload: &'static str) -> Apply {
        let proposal = Some(ProposalId(u64::from(position.index)));
        let key = CommandKey::default();
        Apply::Command { position, key, sm: SmId(sm), payload: payload.into(), proposal }
    }

    #[test]
    fn each_command_goes_to_its_own_machine() {
        let mut machines =
            Machines::new(vec![memo(0, at(0, 0)), memo(7, at(0, 0))]).expect("two ids");
        let executed = machines.apply(command(at(1, 0), 7, "a")).unwrap();
        let expected = Executed::Command {
            position: at(1, 0),
            proposal: Some(ProposalId(0)),
            output: "a".into(),
        };
        assert_eq!(executed, expected);
        assert_eq!(machines.apply(Apply::Through(Instance(1))), Ok(Executed::Through(Instance(1))));
        assert_eq!(machines.applied(), Instance(1));
        assert_eq!(machines.read(SmId(7), Bytes::new()), Ok("1".into()));
        assert_eq!(machines.read(SmId(0), Bytes::new()), Ok("0".into()));
        assert_eq!(machines.read(SmId(1), Bytes::new()), Err(MachineError::Unknown(SmId(1))));
        assert_eq!(machines.failed(), None, "a wrong question is the asker's mistake only");
    }

    #[test]
    fn what_survived_a_restart_is_not_executed_again() {
        let mut machines = Machines::new(vec![memo(0, at(2, 0))]).unwrap();
        for position in [at(1, 0), at(2, 0)] {
            let executed = machines.apply(command(position, 0, "old")).unwrap();
            assert!(matches!(executed, Executed::Skipped { .. }), "{position}: {executed:?}");
        }
        let executed = machines.apply(command(at(2, 1), 0, "new")).unwrap();
        assert!(matches!(executed, Executed::Command { .. }), "{executed:?}");
        assert_eq!(machines.read(SmId(0), Bytes::new()), Ok("1".into()));
    }

    #[test]
    fn a_panic_ends_the_machines_and_not_the_caller() {
        let mut machines = Machines::new(vec![memo(0, at(0, 0))]).unwrap();
        let error = machines.apply(command(at(1, 0), 0, "boom")).unwrap_err();
        assert_eq!(error.to_string(), "state machine 0 panicked at #1.0: cannot digest b\"boom\"");
        assert_eq!(machines.apply(command(at(1, 1), 0, "next")), Err(error.clone()));
        assert_eq!(machines.read(SmId(0), Bytes::new()), Err(error));

        let mut machines = Machines::new(vec![memo(0, at(0, 0))]).unwrap();
        let error = machines.read(SmId(0), "boom".into()).unwrap_err();
        assert_eq!(machines.failed(), Some(&error));
    }

    #[test]
    fn a_machine_that_is_further_gives_no_checkpoint() {
        let mut machines = Machines::new(vec![memo(0, at(4, 0))]).unwrap();
        let error = machines.checkpoint(Instance(3)).err().unwrap();
        assert!(matches!(error, CheckpointError::Ahead { .. }), "{error}");
        let error = machines.checkpoint(Instance(4)).err().unwrap();
        assert!(matches!(error, CheckpointError::Unsupported(_)), "{error}");
    }

    #[test]
    fn a_command_for_an_unknown_machine_ends_the_machines() {
        let mut machines = Machines::new(vec![memo(0, at(0, 0))]).unwrap();
        let error = machines.apply(command(at(1, 0), 3, "a")).unwrap_err();
        assert_eq!(error, MachineError::Unknown(SmId(3)));
        assert_eq!(machines.apply(command(at(1, 1), 0, "b")), Err(error));
    }

    #[test]
    fn positions_that_go_back_are_refused() {
        let mut machines = Machines::new(vec![memo(0, at(0, 0))]).unwrap();
        machines.apply(command(at(3, 0), 0, "a")).unwrap();
        machines.apply(Apply::Through(Instance(3))).unwrap();
        let error = machines.apply(command(at(3, 1), 0, "b")).unwrap_err();
        assert!(matches!(error, MachineError::Order { .. }), "{error}");
    }

    #[test]
    fn machines_with_one_id_are_refused() {
        assert_eq!(Machines::new(vec![]).err(), Some(MachineError::None));
        let twice = Machines::new(vec![memo(4, at(0, 0)), memo(4, at(0, 0))]).err();
        assert_eq!(twice, Some(MachineError::Twice(SmId(4))));
    }

    #[test]
    fn machines_with_a_reserved_id_are_refused() {
        let reserved = SmId::MASTER.0;
        assert!(Machines::new(vec![memo(reserved - 1, at(0, 0))]).is_ok());
        for id in [reserved, reserved + 1] {
            let error = Machines::new(vec![memo(0, at(0, 0)), memo(id, at(0, 0))]).err();
            assert_eq!(error, Some(MachineError::Reserved(SmId(id))));
        }
        assert_eq!(
            MachineError::Reserved(SmId::MASTER).to_string(),
            "a state machine has the id 4294967294, which is reserved: 0 to 4294967293 are free; \
             change its `StateMachine::id`"
        );
        assert!(Machines::beside(memo(reserved + 1, at(0, 0)), vec![]).is_ok());
        let error = Machines::beside(memo(0, at(0, 0)), vec![memo(reserved, at(0, 0))]).err();
        assert_eq!(error, Some(MachineError::Reserved(SmId::MASTER)));
    }
}
