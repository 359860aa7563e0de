//! The network between nodes, and how to bring your own.
//!
//! A node talks over TCP, with TLS and a secret if asked to. A [`Transport`] of your own takes that
//! place with [`NodeBuilder::transport`](crate::NodeBuilder::transport): over QUIC, a message bus,
//! or nothing but memory, as [`memory`] does for tests. It carries [`Frame`]s, without a look into
//! them, over connections that it makes as it likes.
//!
//! # What it promises
//!
//! Paxos needs little. Frames may be lost, duplicated, reordered and delayed, as long as some of
//! those that are repeated arrive in the end. But:
//!
//! - **Whole.** A frame arrives as it was sent or not at all, whatever its size up to
//!   [`Endpoint::frame_bytes_max`].
//! - **From whom it says.** Frames are handed in only by the [`Incoming`] of the connection on which
//!   they came. It exists only once the hello of that connection was checked, so nobody of another
//!   cluster gets in, and no frame counts for another node than its sender. Whether a hello can be
//!   *believed* is up to the transport: whoever can write into its connections can be any node.
//! - **Without waiting.** [`send`](Transport::send) and [`flush`](Transport::flush) run on the thread
//!   that votes. They never block: what does not fit is dropped.
//! - **Bounded.** For one peer at most [`Endpoint::queue_bytes_max`] wait, and one more mebibyte of
//!   frames without values; nothing is handed in while [`Endpoint::is_full`].
//! - **Fresh.** Every connection begins with a hello of its own, which is made when the connection is:
//!   it says how far this node's disk is, and a peer that remembers more finds out a directory that
//!   was restored from a copy.
//! - **Over when closed.** After [`close`](Transport::close) nothing is handed in, and soon nothing is
//!   left of the transport: no task, no thread, no clone of the [`Endpoint`].
//!
//! `synod::conformance` (feature `conformance`) checks all of it on a transport of yours.
//!
//! # How a connection begins
//!
//! A node dials each of its peers, and sends only on connections that it dialled:
//!
//! | step | the node that dials | the node that is dialled |
//! | --- | --- | --- |
//! | 1 | [`Endpoint::dial`], sends [`Dialling::hello`] | |
//! | 2 | | gives it to [`Endpoint::accept`], sends the answer, in any case |
//! | 3 | gives it to [`Dialling::receive`], sends what that gives | has an [`Incoming`], unless it refused |
//! | 4 | sends frames ([`Frame::encode`]) | gives everything from here on to [`Incoming::receive`] |
//!
//! Where bytes come as a stream and not as messages, [`whole_frames`] cuts it. A dialler tries again
//! until it is told to [`disconnect`](Transport::disconnect), and again when a connection is lost; a
//! pause between attempts that grows to a second is kind.

mod endpoint;
mod frame;
mod greeting;
mod identity;
mod limits;
pub mod memory;
mod network;
mod refusals;
mod tcp;

use std::fmt::Debug;

use synod_core::NodeId;
pub use synod_proto::{DecodeError, FrameError, HelloError, Verdict};

pub use endpoint::Endpoint;
pub use frame::{Frame, whole_frames};
pub use greeting::{Dialling, Incoming, PeerError};
pub use refusals::Refused;

pub(crate) use endpoint::Inlet;
pub(crate) use identity::{Identity, SharedIdentity};
pub(crate) use limits::FrameLimits;
pub(crate) use network::Network;
pub(crate) use tcp::{Settings, Tcp};

/// Carries frames from one node to its peers; see the [module](self) for what it has to promise.
///
/// Made on the node's own thread, inside its tokio runtime, which has that one thread: tasks spawned
/// there run between the turns of the protocol, so they must not block it. All calls come from there,
/// too. Dropping it does what [`close`](Self::close) does.
pub trait Transport: Debug + Send + 'static {
    /// Keeps a connection to a peer at this address from now on, and instead of the one to any former
    /// address of it. What an address looks like is the transport's business: it is what was given to
    /// [`NodeBuilder::peer`](crate::NodeBuilder::peer) or stands in the membership. One that makes no
    /// sense is a peer that cannot be reached.
    fn connect(&mut self, peer: NodeId, address: &str);

    /// Knows this peer no longer: gives up the connection to it, and what waits for it.
    fn disconnect(&mut self, peer: NodeId);

    /// Queues a frame for a peer, or drops it if the peer is unknown, not connected or too far behind.
    /// Never waits. May leave at once, and leaves with the next [`flush`](Self::flush) at the latest.
    ///
    /// Where the queue is full, frames that [carry values](Frame::carries_values) had better go first:
    /// the others are small, and what a cluster needs to get out of a jam.
    fn send(&mut self, to: NodeId, frame: &Frame);

    /// Passes on what was queued, as far as that goes without waiting; the rest follows by itself.
    /// Called once after all the frames of a turn, so that they can leave together.
    fn flush(&mut self);

    /// The ways out to the peers, to look at from any thread. Asked for once, at the start.
    fn links(&self) -> std::sync::Arc<dyn Links>;

    /// Ends every connection, and stops to listen. Whatever is called afterwards does nothing.
    fn close(&mut self);
}

/// How the ways out to the peers are, at any time and from any thread.
///
/// A node that shuts down hands over to a peer that is connected; the rest is for people and metrics.
pub trait Links: Debug + Send + Sync + 'static {
    /// The ways out to the peers that are known, ascending by node.
    fn status(&self) -> Vec<(NodeId, LinkStatus)>;
}

/// What is known of the way out to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// Whether there is a connection to the peer.
    pub connected: bool,
    /// Bytes that wait to be written.
    pub queued_bytes: usize,
    /// Messages dropped since the start: the peer was not connected, or too far behind.
    pub dropped: u64,
}

impl LinkStatus {
    /// A way out that is like this.
    #[must_use]
    pub const fn new(connected: bool, queued_bytes: usize, dropped: u64) -> Self {
        Self { connected, queued_bytes, dropped }
    }
}
