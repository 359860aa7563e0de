//! What comes back from the file log after crashes, power losses and rot.
//!
//! `crashes`: any history of crashes gives back everything whose sync returned, and nothing that was
//! not written. `damage`: one thing goes wrong, and what recovery must make of it. `moved`: the power
//! fails while values are moved. `full`: a disk without room. `renewal`: when a directory
//! takes new incarnations, and what it keeps. `recover`: a new cluster of one survivor. `model`: what a log should hold, worked out the slow way.
#![expect(clippy::unwrap_used, reason = "tests")]

mod checkpoints;
mod crashes;
mod damage;
mod full;
mod model;
mod moved;
mod recover;
mod renewal;
mod rewriting;
