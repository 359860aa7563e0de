//! State machines of users, run in simulated clusters beside the simulator's own.
//!
//! The simulator cannot know what a guest should answer. It knows that every node must execute the
//! same commands and come to the same state with the same outputs, at every instance, through every
//! crash: that is what it compares.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use synod::StateMachine;
use synod_core::{GroupId, NodeId, SmId};

use crate::rng::{Rng, mix};

/// What the simulator has to know of a user's state machines.
///
/// The crate's front page shows one at work. Seeds run on several threads, so one guest serves
/// many clusters at once.
pub trait Guest: Send + Sync {
    /// The state machines of a group on a node, made anew for each process life. Any ids but
    /// [`STORE`](crate::kv::STORE), the same on all nodes.
    ///
    /// A machine that says it has [`applied`](StateMachine::applied) something keeps state across
    /// lives, and the guest has to decide what a simulated crash leaves of it: the simulator takes
    /// the guest's word for it.
    fn machines(&self, node: NodeId, group: GroupId) -> Vec<Box<dyn StateMachine>>;

    /// A command, and for which machine. Everything random about it has to come from `rng`, or
    /// seeds do not repeat.
    ///
    /// Plans limit the size of commands now and then, to some 60 bytes at the tightest: larger ones
    /// are refused in those runs.
    fn command(&self, rng: &mut Rng) -> (SmId, Bytes);

    /// A query whose answer tells states of this machine apart, if any two differ: the whole state,
    /// or a digest of it. It is asked on every node after every instance. Empty by default.
    fn digest(&self, sm: SmId) -> Bytes {
        let _: SmId = sm;
        Bytes::new()
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

    /// A command of the guest, if there is one and this is its turn.
    pub(crate) fn command(&self, rng: &mut Rng) -> Option<(SmId, Bytes)> {
        let guest = self.0.as_ref()?;
        rng.percent(GUEST_PERCENT).then(|| guest.command(rng))
    }

    /// The machines of a group on a node, if there is a guest.
    pub(crate) fn machines(&self, node: NodeId, group: GroupId) -> Vec<Box<dyn StateMachine>> {
        self.0.as_ref().map_or_else(Vec::new, |guest| guest.machines(node, group))
    }

    /// The query for a machine's state.
    pub(crate) fn digest(&self, sm: SmId) -> Bytes {
        self.0.as_ref().map_or_else(Bytes::new, |guest| guest.digest(sm))
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

/// Out of a hundred, how many requests go to guests where there are some.
const GUEST_PERCENT: u64 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, Ordering};

    use synod_core::Position;

    use crate::Options;
    use crate::run::run_seed;

    /// What is wrong with a [`Sum`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Wrong {
        Nothing,
        State,
        Output,
    }

    /// Adds up bytes; a wrong one lets in what other machines of the process have done.
    struct Sum {
        sum: u64,
        wrong: Wrong,
        all: Arc<AtomicU64>,
    }

    impl StateMachine for Sum {
        fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
            let others = self.all.fetch_add(1, Ordering::Relaxed);
            self.sum += command.iter().map(|byte| u64::from(*byte)).sum::<u64>();
            self.sum += if self.wrong == Wrong::State { others } else { 0 };
            let lie = if self.wrong == Wrong::Output { others } else { 0 };
            (self.sum + lie).to_string().into()
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.sum.to_string().into()
        }
    }

    struct Sums(Wrong, Arc<AtomicU64>);

    impl Guest for Sums {
        fn machines(&self, _node: NodeId, _group: GroupId) -> Vec<Box<dyn StateMachine>> {
            vec![Box::new(Sum { sum: 0, wrong: self.0, all: Arc::clone(&self.1) })]
        }

        fn command(&self, rng: &mut Rng) -> (SmId, Bytes) {
            (SmId(0), rng.bits().to_le_bytes().to_vec().into())
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
    fn a_state_that_depends_on_more_than_the_log_is_found() {
        let (broken, _) = run(Wrong::State, 10);
        assert!(broken.len() >= 8 && broken.iter().all(|rule| *rule == "states"), "{broken:?}");
    }

    #[test]
    fn an_output_that_depends_on_more_than_the_log_is_found() {
        let (broken, _) = run(Wrong::Output, 10);
        assert!(broken.len() >= 8 && broken.iter().all(|rule| *rule == "states"), "{broken:?}");
    }

    /// Machines that survive every crash with all that they executed.
    struct Kept(Mutex<BTreeMap<(NodeId, GroupId), State>>);

    struct Keeper(State);

    type State = Arc<Mutex<(u64, Position)>>;

    impl StateMachine for Keeper {
        fn applied(&self) -> Position {
            self.0.lock().unwrap().1
        }

        fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
            let mut kept = self.0.lock().unwrap();
            *kept = (mix(kept.0 ^ fingerprint(&command)), at);
            Bytes::new()
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.0.lock().unwrap().0.to_le_bytes().to_vec().into()
        }
    }

    impl Guest for Kept {
        fn machines(&self, node: NodeId, group: GroupId) -> Vec<Box<dyn StateMachine>> {
            let mut all = self.0.lock().unwrap();
            vec![Box::new(Keeper(Arc::clone(all.entry((node, group)).or_default())))]
        }

        fn command(&self, rng: &mut Rng) -> (SmId, Bytes) {
            (SmId(0), rng.bits().to_le_bytes().to_vec().into())
        }
    }

    #[test]
    fn a_guest_whose_state_outlives_crashes_passes() {
        for seed in 0..20 {
            let guests = Guests::new(Kept(Mutex::default()));
            let ran = run_seed(seed, &Options { guests, ..Options::default() });
            ran.unwrap_or_else(|failure| panic!("{failure}"));
        }
    }
}
