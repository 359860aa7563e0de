//! State machines of users, run in simulated clusters beside the simulator's own.
//!
//! Every node must execute the same commands and come to the same state with the same outputs,
//! through every crash; and that is what one more machine of the same kind comes to which knows
//! nothing but the chosen log: see [`checkers::guests`](crate::checkers::guests).

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use synod::{Checkpoint, CheckpointError, Directory, StateMachine};
use synod_core::{GroupId, NodeId, Position, SmId};

use crate::clients::Ask;
use crate::disk::SimVfs;
use crate::rng::{Rng, mix};

/// What the simulator has to know of a user's state machines.
///
/// [`Simulation`](crate::Simulation) knows it of one machine in each group. Implement this for
/// several machines in one group. Seeds run on several threads, so one guest serves many clusters at
/// once.
pub trait Guest: Send + Sync {
    /// The state machines of a group on a node, made anew for each process life. Any ids but
    /// [`STORE`](crate::kv::STORE) and the one below it, the same on all nodes.
    ///
    /// A machine that says it has [`applied`](StateMachine::applied) something must keep it on the
    /// [disk](Home::disk) that it is given.
    fn machines(&self, home: &Home) -> Vec<Tenant>;

    /// The same machines once more, to replay the chosen log: what they answer is right. By default
    /// none, and what the first node answers is right.
    fn models(&self) -> Vec<Tenant> {
        Vec::new()
    }

    /// What a client asks next. Everything random about it has to come from `rng`, or seeds do not
    /// repeat.
    ///
    /// Plans limit the size of commands now and then, to some 60 bytes at the tightest: larger ones
    /// are refused in those runs.
    fn ask(&self, rng: &mut Rng) -> Ask;

    /// A client gets this answer. A panic breaks the rule `invariants`.
    fn answered(&self, ask: &Ask, answer: &[u8]) {
        let _: (&Ask, &[u8]) = (ask, answer);
    }
}

/// Where a state machine lives.
#[derive(Clone, Debug)]
pub struct Home {
    /// On which node.
    pub node: NodeId,
    /// In which group.
    pub group: GroupId,
    /// A disk of its own, for whatever it keeps across lives: a crash of the process leaves it
    /// alone, a power loss leaves any part of what was not synced.
    pub disk: SimVfs,
}

/// A state machine as the simulator hosts it, and a window to look at it.
pub struct Tenant {
    /// The machine.
    pub machine: Box<dyn StateMachine>,
    /// The window.
    pub window: Box<dyn Window>,
}

/// A look at a state machine, from outside. A panic breaks the rule `invariants`.
pub trait Window: Send {
    /// It has just executed a command.
    fn applied(&self);

    /// The run is over; every node has executed everything.
    fn ended(&self);

    /// Its state, to be compared with that of the other nodes, if anybody cares.
    fn state(&self) -> Option<Box<dyn State>>;
}

/// A state that can be compared and shown.
pub trait State: Any + fmt::Debug + Send {
    /// Whether another one is the same.
    fn is_same(&self, other: &dyn State) -> bool;
}

impl<T: PartialEq + fmt::Debug + Send + 'static> State for T {
    fn is_same(&self, other: &dyn State) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref() == Some(self)
    }
}

/// What to look at in a machine of type `M`.
pub struct Looks<M> {
    /// Called after each command.
    pub always: Vec<Look<M>>,
    /// Called at the end of a run.
    pub finally: Vec<Look<M>>,
    /// The state to compare.
    pub state: Option<StateOf<M>>,
}

/// Looks at a machine, and panics if it does not like what it sees.
pub type Look<M> = Box<dyn Fn(&M) + Send + Sync>;

/// Takes the state out of a machine.
pub type StateOf<M> = Box<dyn Fn(&M) -> Box<dyn State> + Send + Sync>;

impl<M> Default for Looks<M> {
    fn default() -> Self {
        Self { always: Vec::new(), finally: Vec::new(), state: None }
    }
}

impl Tenant {
    /// A machine and what to look at in it.
    pub fn new<M: StateMachine>(machine: M, looks: &Arc<Looks<M>>) -> Self {
        let shared = Arc::new(Mutex::new(machine));
        Self {
            machine: Box::new(Shared(Arc::clone(&shared))),
            window: Box::new(Looking { at: Shared(shared), looks: Arc::clone(looks) }),
        }
    }

    /// A machine that nobody looks at.
    pub fn unseen(machine: impl StateMachine) -> Self {
        Self::new(machine, &Arc::default())
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenant({})", self.machine.id().0)
    }
}

impl<M> fmt::Debug for Looks<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Looks({} always, {} finally)", self.always.len(), self.finally.len())
    }
}

/// A machine that is hosted and looked at.
struct Shared<M>(Arc<Mutex<M>>);

struct Looking<M> {
    at: Shared<M>,
    looks: Arc<Looks<M>>,
}

impl<M> Shared<M> {
    fn machine(&self) -> MutexGuard<'_, M> {
        // A machine that panicked is asked nothing more by the library.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: StateMachine> StateMachine for Shared<M> {
    fn id(&self) -> SmId {
        self.machine().id()
    }

    fn applied(&self) -> Position {
        self.machine().applied()
    }

    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        self.machine().apply(at, command)
    }

    fn read(&self, query: Bytes) -> Bytes {
        self.machine().read(query)
    }

    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        self.machine().checkpoint()
    }

    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        self.machine().load(directory)
    }
}

impl<M: StateMachine> Window for Looking<M> {
    fn applied(&self) {
        let machine = self.at.machine();
        self.looks.always.iter().for_each(|look| look(&machine));
    }

    fn ended(&self) {
        let machine = self.at.machine();
        self.looks.finally.iter().for_each(|look| look(&machine));
    }

    fn state(&self) -> Option<Box<dyn State>> {
        Some(self.looks.state.as_ref()?(&self.at.machine()))
    }
}

/// The guest of a run, if it has one.
#[derive(Clone, Default)]
pub struct Guests(Option<Arc<dyn Guest>>);

impl Guests {
    /// This one.
    pub fn new(guest: impl Guest + 'static) -> Self {
        Self(Some(Arc::new(guest)))
    }

    /// What a client asks the guest, if there is one.
    pub(crate) fn ask(&self, rng: &mut Rng) -> Option<Ask> {
        Some(self.0.as_ref()?.ask(rng))
    }

    /// The machines of a group on a node, if there is a guest.
    pub(crate) fn machines(&self, home: &Home) -> Vec<Tenant> {
        self.0.as_ref().map_or_else(Vec::new, |guest| guest.machines(home))
    }

    /// The machines that know nothing but the log.
    pub(crate) fn models(&self) -> Vec<Tenant> {
        self.0.as_ref().map_or_else(Vec::new, |guest| guest.models())
    }

    /// A client gets an answer of a guest.
    pub(crate) fn answered(&self, ask: &Ask, answer: &[u8]) {
        if let Some(guest) = &self.0 {
            guest.answered(ask, answer);
        }
    }
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Guests(some)" } else { "Guests(none)" })
    }
}

/// A hash of an output or of a state.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    let length = mix(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    bytes.iter().fold(length, |hash, byte| mix(hash ^ u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::Options;
    use crate::run::run_seed;

    /// What is wrong with a [`Sum`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Wrong {
        Nothing,
        State,
        Output,
        Read,
    }

    /// Adds up bytes; a wrong one lets in what other machines of the process have done.
    struct Sum {
        sum: u64,
        wrong: Wrong,
        all: Arc<AtomicU64>,
    }

    impl Sum {
        fn shown(&self, wrong: Wrong) -> Bytes {
            let others = self.all.load(Ordering::Relaxed);
            (self.sum + if self.wrong == wrong { others } else { 0 }).to_string().into()
        }
    }

    impl StateMachine for Sum {
        fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
            let others = self.all.fetch_add(1, Ordering::Relaxed);
            self.sum += command.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            self.sum += if self.wrong == Wrong::State { others } else { 0 };
            if self.wrong == Wrong::State { Bytes::new() } else { self.shown(Wrong::Output) }
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.shown(Wrong::Read)
        }
    }

    struct Sums(Wrong, Arc<AtomicU64>);

    impl Sums {
        fn sum(&self) -> Vec<Tenant> {
            let state = |sum: &Sum| -> Box<dyn State> { Box::new(sum.sum) };
            let looks = Looks { state: Some(Box::new(state)), ..Looks::default() };
            let sum = Sum { sum: 0, wrong: self.0, all: Arc::clone(&self.1) };
            vec![Tenant::new(sum, &Arc::new(looks))]
        }
    }

    impl Guest for Sums {
        fn machines(&self, _home: &Home) -> Vec<Tenant> {
            self.sum()
        }

        fn models(&self) -> Vec<Tenant> {
            self.sum()
        }

        fn ask(&self, rng: &mut Rng) -> Ask {
            if rng.percent(30) {
                return Ask::Query(SmId(0), Bytes::new());
            }
            Ask::Guest(SmId(0), rng.bits().to_le_bytes().to_vec().into())
        }
    }

    fn run(wrong: Wrong, seeds: u64) -> (Vec<&'static str>, u64) {
        let executed = Arc::new(AtomicU64::new(0));
        let guests = Guests::new(Sums(wrong, Arc::clone(&executed)));
        let options = Options { guests, ..Options::default() };
        let broken = (0..seeds).filter_map(|seed| run_seed(seed, &options).err());
        (broken.map(|failure| failure.violation.rule).collect(), executed.load(Ordering::Relaxed))
    }

    #[test]
    fn a_deterministic_guest_passes_and_works() {
        let (broken, executed) = run(Wrong::Nothing, 20);
        assert_eq!(broken, [""; 0]);
        assert!(executed > 1_000, "{executed}");
    }

    #[test]
    fn what_depends_on_more_than_the_log_is_found() {
        for (wrong, right) in
            [(Wrong::State, "states"), (Wrong::Output, "outputs"), (Wrong::Read, "reads")]
        {
            let (broken, _) = run(wrong, 20);
            assert!(broken.len() >= 12, "{wrong:?}: {broken:?}");
            assert!(broken.iter().all(|rule| *rule == right), "{wrong:?}: {broken:?}");
        }
    }
}
