//! Whole Synod clusters in virtual time, from one seed, under faults, with every rule watched.
//!
//! A run is one thread and one event queue. It drives the code that production runs: the protocol
//! core, the wire codec, the file log and its recovery, the host of the state machines. Simulated are
//! only what surrounds it: network, files, clocks, crashes, clients.
//!
//! Equal seeds give equal runs, byte for byte: nothing reads a clock, a thread, an address or the
//! order of a hash table.

pub mod checkers;
pub mod clients;
pub mod disk;
pub mod env;
pub mod faults;
pub mod kv;
pub mod mutants;
pub mod network;
pub mod node;
pub mod plan;
pub mod queue;
pub mod rng;
pub mod run;
pub mod stats;
pub mod sweep;
pub mod trace;
pub mod world;

pub use plan::Plan;
pub use run::{Failure, Options, Report, replay, run_seed};
pub use stats::Stats;
