//! The network between nodes.

mod tcp;

pub use tcp::{LinkStatus, Refused};
#[cfg(feature = "metrics")]
pub(crate) use tcp::Ways;
pub(crate) use tcp::{Identity, Inlet, Settings, SharedIdentity, Transport, frame_bytes_max};
