//! Whether a [`Transport`] keeps what [`transport`](crate::transport) says it promises.
//!
//! The suite starts nodes that are nothing but a transport, each on a thread and a tokio runtime of
//! its own as in a real node, and lets them talk. It is told how to start one, here the network in
//! memory:
//!
//! ```
//! use std::io;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use synod::conformance::Failures;
//! use synod::conformance::transport::{Setup, Suite};
//! use synod::transport::memory::MemoryNetwork;
//! use synod::transport::{Endpoint, Transport};
//!
//! #[derive(Default)]
//! struct InMemory(MemoryNetwork, AtomicU64);
//!
//! impl Setup for InMemory {
//!     fn address(&self) -> String {
//!         self.1.fetch_add(1, Ordering::Relaxed).to_string()
//!     }
//!     fn start(&self, address: &str, endpoint: Endpoint) -> io::Result<Box<dyn Transport>> {
//!         self.0.at(address)(endpoint)
//!     }
//! }
//!
//! fn main() -> Result<(), Failures> {
//!     Suite::new(InMemory::default()).run() // in a #[test] of yours
//! }
//! ```
//!
//! What it cannot see: whether a hello can be believed (who else can write into your connections?),
//! how fast the transport is, and what it does on a network that fails in ways that one machine does
//! not show.

mod ending;
mod frames;
mod host;
mod limits;
mod peers;
mod record;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Failure, Failures};
use crate::transport::{Endpoint, Transport};

/// How to start the transport under test.
pub trait Setup: Send + Sync + 'static {
    /// An address at which nobody has listened yet, for [`Transport::connect`] and
    /// [`start`](Self::start). Not all of them are used.
    fn address(&self) -> String;

    /// Starts the transport of a node that listens at this address. Called on the node's thread, in its
    /// runtime. Where a node has ended, another may start at the same address.
    ///
    /// # Errors
    ///
    /// As the transport says; where an address was in use by a node that has just ended, it is tried
    /// again for a while.
    fn start(&self, address: &str, endpoint: Endpoint) -> io::Result<Box<dyn Transport>>;
}

/// All checks, to be run on one transport.
#[derive(Clone)]
pub struct Suite {
    setup: Arc<dyn Setup>,
    patience: Duration,
}

/// One check of the suite; an error says what went wrong.
type Check = fn(&Suite) -> Result<(), String>;

const CHECKS: [(&str, Check); 9] = [
    ("frames reach their peer", frames::reach_their_peer),
    ("large frames arrive", frames::large_ones_arrive),
    ("clusters are kept apart", peers::clusters_are_kept_apart),
    ("a wrong address reaches nobody", peers::a_wrong_address_reaches_nobody),
    ("peers may move and leave", peers::may_move_and_leave),
    ("a peer may start again", peers::may_start_again),
    ("send never waits", limits::send_never_waits),
    ("memory is bounded", limits::memory_is_bounded),
    ("the end is clean", ending::is_clean),
];

impl Suite {
    /// For this transport.
    pub fn new(setup: impl Setup) -> Self {
        Self { setup: Arc::new(setup), patience: Duration::from_secs(10) }
    }

    /// How long anything may take that has to happen. Default 10 s: a transport that works takes a few
    /// seconds for all checks, and only one that fails uses it up.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Runs all checks, one after the other, and blocks until then: call it outside of any runtime.
    /// After a failure a thread may be left that the transport holds up.
    ///
    /// # Errors
    ///
    /// With every check that failed.
    pub fn run(&self) -> Result<(), Failures> {
        let failed = CHECKS.iter().filter_map(|&(check, run)| {
            let reason = run(self).err()?;
            Some(Failure { check, reason })
        });
        let failed: Vec<Failure> = failed.collect();
        Failures::of(failed, CHECKS.len())
    }

    /// Polls a condition until it holds.
    fn until(
        &self,
        what: impl Fn() -> String,
        mut holds: impl FnMut() -> Result<bool, String>,
    ) -> Result<(), String> {
        let begun = Instant::now();
        while !holds()? {
            if begun.elapsed() > self.patience {
                return Err(format!("not within {:?}: {}", self.patience, what()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("patience", &self.patience).finish_non_exhaustive()
    }
}
