//! The suite for transports finds those that break a promise, and passes the one in memory.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synod::NodeId;
use synod::conformance::transport::{Failures, Setup, Suite};
use synod::transport::memory::MemoryNetwork;
use synod::transport::{Endpoint, Frame, LinkStatus, Links, Transport};

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    Nothing,
    DropsLarge,
    WrongPeer,
    BlocksInSend,
    SlowFlush,
    QueuesForEver,
    NeverCloses,
    KeepsTheEndpoint,
    ForgetsToDisconnect,
    NothingDropped,
}

/// The network in memory, made worse.
struct InMemory(MemoryNetwork, AtomicU64, Bug);

impl Setup for InMemory {
    fn address(&self) -> String {
        self.1.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn start(&self, address: &str, endpoint: Endpoint) -> io::Result<Box<dyn Transport>> {
        let inner = self.0.at(address)(endpoint.clone())?;
        if self.2 == Bug::Nothing {
            return Ok(inner);
        }
        let queue = VecDeque::new();
        Ok(Box::new(Worse { inner: Some(inner), bug: self.2, endpoint, queue, peers: Vec::new() }))
    }
}

#[derive(Debug)]
struct Worse {
    inner: Option<Box<dyn Transport>>,
    bug: Bug,
    endpoint: Endpoint,
    queue: VecDeque<(NodeId, Frame)>,
    peers: Vec<NodeId>,
}

impl Worse {
    fn inner(&mut self) -> &mut dyn Transport {
        self.inner.as_deref_mut().expect("until the drop")
    }

    /// Whether the peer took it.
    fn took(&mut self, to: NodeId, frame: &Frame) -> bool {
        let dropped = |it: &mut Self| {
            let status = it.inner().links().status();
            status.iter().find(|(peer, _)| *peer == to).map_or(0, |(_, link)| link.dropped)
        };
        let before = dropped(self);
        self.inner().send(to, frame);
        dropped(self) == before
    }
}

impl Transport for Worse {
    fn connect(&mut self, peer: NodeId, address: &str) {
        self.peers.push(peer);
        self.inner().connect(peer, address);
    }

    fn disconnect(&mut self, peer: NodeId) {
        if self.bug != Bug::ForgetsToDisconnect {
            self.inner().disconnect(peer);
        }
    }

    fn send(&mut self, to: NodeId, frame: &Frame) {
        let bytes = frame.encode().len();
        let to = match self.bug {
            Bug::DropsLarge if bytes > 100_000 => return,
            Bug::WrongPeer => self.peers.iter().copied().find(|peer| *peer != to).unwrap_or(to),
            Bug::BlocksInSend => {
                // As one does who waits for room.
                while !self.took(to, frame) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                return;
            }
            Bug::QueuesForEver => return self.queue.push_back((to, frame.clone())),
            Bug::SlowFlush if bytes > 100_000 => {
                std::thread::sleep(Duration::from_millis(1100));
                to
            }
            Bug::Nothing
            | Bug::DropsLarge
            | Bug::SlowFlush
            | Bug::NeverCloses
            | Bug::KeepsTheEndpoint
            | Bug::ForgetsToDisconnect
            | Bug::NothingDropped => to,
        };
        self.inner().send(to, frame);
    }

    fn flush(&mut self) {
        while let Some((to, frame)) = self.queue.pop_front() {
            if !self.took(to, &frame) {
                self.queue.push_front((to, frame));
                break;
            }
        }
    }

    fn links(&self) -> Arc<dyn Links> {
        let inner = self.inner.as_ref().expect("until the drop").links();
        if self.bug == Bug::NothingDropped { Arc::new(Rosy(inner)) } else { inner }
    }

    fn close(&mut self) {
        if self.bug != Bug::NeverCloses {
            self.inner().close();
        }
    }
}

impl Drop for Worse {
    fn drop(&mut self) {
        if self.bug == Bug::KeepsTheEndpoint {
            std::mem::forget(self.endpoint.clone());
        }
    }
}

/// Shows nothing dropped, ever.
#[derive(Debug)]
struct Rosy(Arc<dyn Links>);

impl Links for Rosy {
    fn status(&self) -> Vec<(NodeId, LinkStatus)> {
        let links = self.0.status().into_iter();
        links.map(|(peer, link)| (peer, LinkStatus::new(link.connected, 0, 0))).collect()
    }
}

fn check(bug: Bug, patience: Duration) -> Result<(), Failures> {
    let setup = InMemory(MemoryNetwork::new(), AtomicU64::new(1), bug);
    Suite::new(setup).patience(patience).run()
}

/// What each failed check says, of a transport with this bug.
fn failures(bug: Bug) -> Vec<(&'static str, String)> {
    let failures = check(bug, Duration::from_secs(3)).expect_err("it has a bug");
    println!("{bug:?}: {failures}");
    failures.list().iter().map(|failure| (failure.check, failure.reason.clone())).collect()
}

/// That this check, and no other, failed with these words.
fn only(bug: Bug, check: &str, words: &str) {
    let failures = failures(bug);
    let [(found, reason)] = &failures[..] else { panic!("not just {check}: {failures:#?}") };
    assert_eq!(*found, check);
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn the_network_in_memory_keeps_every_promise() {
    check(Bug::Nothing, Duration::from_secs(30)).unwrap();
}

#[test]
fn who_drops_large_frames_is_found() {
    let failures = failures(Bug::DropsLarge);
    let (_, reason) =
        failures.iter().find(|(check, _)| *check == "large frames arrive").expect("found");
    assert!(reason.contains("a frame of 10000"), "{reason}");
    assert!(
        reason.contains("from node 1 to node 2, sent again and again, has arrived"),
        "{reason}"
    );
}

#[test]
fn who_delivers_to_the_wrong_peer_is_found() {
    let failures = failures(Bug::WrongPeer);
    let words = "was handed a frame as node ";
    let found = |(check, reason): &(&str, String)| {
        *check == "frames reach their peer" && reason.contains(words)
    };
    assert!(failures.iter().any(found), "{failures:#?}");
}

#[test]
fn who_blocks_in_send_is_found() {
    let failures = failures(Bug::BlocksInSend);
    let words = "`send` at node 1 did not return within 3s: it must not wait for anything";
    let found =
        |(check, reason): &(&str, String)| *check == "send never waits" && reason.contains(words);
    assert!(failures.iter().any(found), "{failures:#?}");
}

#[test]
fn who_is_slow_in_send_is_found() {
    let failures = failures(Bug::SlowFlush);
    assert!(failures.iter().any(|(check, _)| *check == "send never waits"), "{failures:#?}");
}

#[test]
fn who_queues_without_a_bound_is_found() {
    let failures = failures(Bug::QueuesForEver);
    assert!(failures.iter().any(|(check, _)| *check == "memory is bounded"), "{failures:#?}");
}

#[test]
fn who_hides_what_is_dropped_is_found() {
    only(Bug::NothingDropped, "memory is bounded", "shows none dropped");
}

#[test]
fn who_goes_on_after_close_is_found() {
    only(Bug::NeverCloses, "the end is clean", "handed in at node 1 after `close`");
}

#[test]
fn who_keeps_the_endpoint_is_found() {
    let failures = failures(Bug::KeepsTheEndpoint);
    let words = "all clones of the endpoint of node 1 are gone";
    assert!(failures.iter().any(|(_, reason)| reason.contains(words)), "{failures:#?}");
}

#[test]
fn who_ignores_disconnect_is_found() {
    let failures = failures(Bug::ForgetsToDisconnect);
    let words = "lists [2, 3], not [3]";
    assert!(failures.iter().any(|(_, reason)| reason.contains(words)), "{failures:#?}");
}
