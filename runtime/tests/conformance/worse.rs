//! The network in memory, made worse.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synod::NodeId;
use synod::conformance::transport::Setup;
use synod::transport::memory::MemoryNetwork;
use synod::transport::{Endpoint, Frame, LinkStatus, Links, Transport};

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
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

/// The network in memory with a bug, and the next address.
pub(crate) struct InMemory(pub(crate) MemoryNetwork, pub(crate) AtomicU64, pub(crate) Bug);

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
