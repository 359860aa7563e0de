#![doc = include_str!("../README.md")]

pub mod atlas;
pub mod campaign;
pub mod checkers;
pub mod clients;
pub mod clock;
pub mod disk;
pub mod env;
pub mod faults;
pub mod guests;
pub mod kv;
pub mod marks;
#[cfg(feature = "cli")]
pub mod mutants;
pub mod network;
pub mod node;
pub mod picture;
pub mod plan;
pub mod queue;
pub mod rng;
pub mod run;
pub mod shrink;
pub mod simulation;
pub mod stats;
pub mod sweep;
pub mod trace;
pub mod world;

pub use clients::Ask;
pub use guests::{Guest, Guests};
pub use plan::{About, Plan, PlanFile, Preset};
pub use run::{Failure, Options, Report, Watched, run_plan, run_seed, watch};
pub use simulation::{Simulation, Work};
pub use stats::Stats;
