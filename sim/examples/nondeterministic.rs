//! A state machine that is not deterministic: how the simulator finds it, and what it says.
//!
//! `cargo run -p synod-sim --profile sim --example nondeterministic` shows the explanation.

use std::collections::HashMap;

use bytes::Bytes;
use synod::{Position, StateMachine};
use synod_sim::rng::Rng;
use synod_sim::simulation::{Passed, Simulation, SimulationError, Work};

/// Counts votes, and knows who is ahead.
#[derive(Default)]
struct Poll {
    votes: HashMap<Bytes, u64>,
}

impl StateMachine for Poll {
    /// A vote for somebody. Outputs the winner so far: of several with equally many votes, the last
    /// one in the order of a hash table. That order differs from process to process.
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        *self.votes.entry(command).or_default() += 1;
        self.read(Bytes::new())
    }

    fn read(&self, _query: Bytes) -> Bytes {
        let winner = self.votes.iter().max_by_key(|(_, votes)| **votes);
        winner.map_or_else(Bytes::new, |(name, _)| name.clone())
    }
}

fn vote(rng: &mut Rng) -> Work {
    Work::command(rng.pick(&["ada", "barbara", "edsger", "grace"]))
}

fn poll(seeds: u64) -> Result<Passed, SimulationError> {
    Simulation::new(Poll::default, vote).run(0..seeds)
}

fn main() -> Result<(), SimulationError> {
    poll(20).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::SystemTime;

    /// What a simulation has to say of a broken machine.
    fn says(ran: Result<Passed, SimulationError>) -> String {
        let error = ran.unwrap_err();
        assert!(matches!(error, SimulationError::Broken(_)), "{error}");
        error.to_string()
    }

    #[test]
    fn the_order_of_a_hash_map_is_found_and_explained() {
        let says = says(poll(20));
        for words in [
            "broke outputs: machine 0 of n",
            "another output at ",
            "command",
            "replay",
            "Same commands, different results",
            "HashMap",
            "use a BTreeMap",
            "seeds failed",
            "SYNOD_PLAN=",
            "cargo test tests::the_order_of_a_hash_map_is_found_and_explained",
        ] {
            assert!(says.contains(words), "{words:?} is missing:\n{says}");
        }
    }

    /// Reads the clock.
    #[derive(Default)]
    struct Stamped(Vec<SystemTime>);

    impl StateMachine for Stamped {
        fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
            self.0.push(SystemTime::now());
            Bytes::new()
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.0.len().to_string().into()
        }
    }

    #[test]
    fn a_clock_is_found_in_the_state() {
        let ran = Simulation::new(Stamped::default, vote).state(|log| log.0.clone()).run(0..5);
        let says = says(ran);
        assert!(says.contains("broke states: machine 0 of n"), "{says}");
        assert!(says.contains("another state after instance"), "{says}");
        assert!(says.contains("clocks"), "{says}");
    }

    thread_local! {
        static NEXT: Cell<u64> = const { Cell::new(0) };
    }

    /// Hands out numbers from where all machines of a process find them.
    #[derive(Default)]
    struct Tickets(u64);

    impl StateMachine for Tickets {
        fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
            self.0 = NEXT.replace(NEXT.get() + 1);
            Bytes::new()
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.0.to_string().into()
        }
    }

    #[test]
    fn a_thread_local_is_found_by_queries_alone() {
        let work = |rng: &mut Rng| {
            if rng.percent(50) { Work::query("") } else { Work::command("next") }
        };
        let says = says(Simulation::new(Tickets::default, work).run(0..5));
        assert!(says.contains("broke reads: machine 0 of n"), "{says}");
        assert!(says.contains("thread-locals"), "{says}");
    }
}
