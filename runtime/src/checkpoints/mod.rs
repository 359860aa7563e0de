//! A group's checkpoints on disk, and their way from node to node.
//!
//! - [`Store`]: the files. What is taken or received is complete once its `manifest` has its name;
//!   whether it counts is said by the log alone.
//! - [`Keeper`]: which checkpoints stay, which is offered to peers, and which is received, by the core's
//!   [`Sender`](synod_core::Sender) and [`Receiver`](synod_core::Receiver).
//!
//! Like the log, all of it is synchronous and free of threads and clocks: the simulator runs it over
//! its own [`Vfs`](crate::vfs::Vfs).
//!
//! # Recovery
//!
//! A restart begins from the newest record in the log. Its files were durable, under their final names,
//! before the record was written, for a checkpoint taken here and for one that was received alike. So
//! there is nothing to finish, unless the disk lost them: the machines that are not further load what the record names, as often as
//! it takes; any other directory is one that no record names, and is removed, or received on.

mod keeper;
mod part;
mod store;

pub use keeper::Keeper;
pub use part::PartDirectory;
pub use store::Store;

#[cfg(test)]
mod tests;
