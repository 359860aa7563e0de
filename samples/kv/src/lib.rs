//! A replicated key-value server: what a complete service on Synod looks like. Copy it.
//!
//! From a client's request inwards:
//!
//! - [`api`]: the gRPC messages and traits, generated from `samples/kv/proto/kv.proto`;
//! - [`client`]: the command line that speaks it;
//! - [`server`]: starts a node with its state machines and serves them, until it is told to stop;
//! - `service`: turns requests into proposals and reads, and errors into status codes;
//! - [`routing`]: which group a key belongs to;
//! - [`command`]: what is proposed and answered, as bytes;
//! - [`machine`]: the state machine, which executes commands; `feed`: the last changes, for watchers;
//! - [`store`]: the state, in a redb file; `checkpoint`: the state as a file that moves between nodes.

#[rustfmt::skip]
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::as_conversions,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]
pub mod api;
mod checkpoint;
pub mod client;
pub mod command;
mod feed;
pub mod machine;
pub mod routing;
pub mod server;
mod service;
pub mod store;

pub use feed::{Change, Feed, NotKept};
