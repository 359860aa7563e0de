//! Whole Synod clusters in virtual time, from one seed, under faults, with every rule watched.
//!
//! A run is one thread and one event queue. It drives the code that production runs: the protocol
//! core, the wire codec, the file log and its recovery, the host of the state machines. Simulated are
//! only what surrounds it: network, files, clocks, crashes, clients.
//!
//! Equal seeds give equal runs, byte for byte: nothing reads a clock, a thread, an address or the
//! order of a hash table.
//!
//! # Your own state machine in it
//!
//! Clusters replicate the simulator's own key-value store. Give them a [`Guest`], and your state
//! machines run beside it, under the same faults; a seed fails if two nodes, or two lives of one,
//! come to different states or outputs:
//!
//! ```
//! use bytes::Bytes;
//! use synod::{Position, StateMachine};
//! use synod_core::{GroupId, NodeId, SmId};
//! use synod_sim::rng::Rng;
//! use synod_sim::{Guest, Guests, Options, run_seed};
//!
//! #[derive(Default)]
//! struct Counter(u64);
//!
//! impl StateMachine for Counter {
//!     fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
//!         self.0 += u64::try_from(command.len()).unwrap_or(0);
//!         self.read(Bytes::new())
//!     }
//!     fn read(&self, _query: Bytes) -> Bytes {
//!         self.0.to_string().into()
//!     }
//! }
//!
//! struct Counters;
//!
//! impl Guest for Counters {
//!     fn machines(&self, _node: NodeId, _group: GroupId) -> Vec<Box<dyn StateMachine>> {
//!         vec![Box::new(Counter::default())]
//!     }
//!     fn command(&self, rng: &mut Rng) -> (SmId, Bytes) {
//!         (SmId(0), vec![0; rng.index(10)].into())
//!     }
//! }
//!
//! let options = Options { guests: Guests::new(Counters), ..Options::default() };
//! for seed in 0..5 {
//!     run_seed(seed, &options).unwrap_or_else(|failure| panic!("{failure}"));
//! }
//! ```

pub mod atlas;
pub mod campaign;
pub mod checkers;
pub mod clients;
pub mod disk;
pub mod env;
pub mod faults;
pub mod guests;
pub mod kv;
pub mod marks;
pub mod mutants;
pub mod network;
pub mod node;
pub mod picture;
pub mod plan;
pub mod queue;
pub mod rng;
pub mod run;
pub mod shrink;
pub mod stats;
pub mod sweep;
pub mod trace;
pub mod world;

pub use guests::{Guest, Guests};
pub use plan::{About, Plan, PlanFile, Preset};
pub use run::{Failure, Options, Report, Watched, run_plan, run_seed, watch};
pub use stats::Stats;
