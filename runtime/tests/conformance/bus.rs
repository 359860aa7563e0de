//! A message bus that checks a sender once, and from then on believes whoever says that it is the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use synod::NodeId;
use synod::conformance::transport::Setup;
use synod::transport::{Endpoint, Frame, Incoming, LinkStatus, Links, Transport};

/// Who listens at which address.
type Boxes = Arc<Mutex<BTreeMap<String, Mailbox>>>;

#[derive(Debug)]
struct Mailbox {
    endpoint: Endpoint,
    /// By node, and that is the bug: a connection is more than the name of who began it.
    known: BTreeMap<NodeId, Incoming>,
}

/// A message bus.
#[derive(Debug, Default)]
pub(crate) struct Bus(Boxes, AtomicU64);

impl Setup for Bus {
    fn address(&self) -> String {
        self.1.fetch_add(1, Ordering::Relaxed).to_string()
    }

    fn start(&self, address: &str, endpoint: Endpoint) -> io::Result<Box<dyn Transport>> {
        let mailbox = Mailbox { endpoint: endpoint.clone(), known: BTreeMap::new() };
        self.0.lock().unwrap().insert(address.to_owned(), mailbox);
        let (boxes, ways) = (Arc::clone(&self.0), Ways::default());
        Ok(Box::new(Sender { boxes, address: Some(address.to_owned()), endpoint, ways }))
    }
}

/// Where each peer is, and how the way there is.
#[derive(Clone, Debug, Default)]
struct Ways(Arc<Mutex<BTreeMap<NodeId, (String, LinkStatus)>>>);

impl Links for Ways {
    fn status(&self) -> Vec<(NodeId, LinkStatus)> {
        self.0.lock().unwrap().iter().map(|(&peer, (_, status))| (peer, *status)).collect()
    }
}

#[derive(Debug)]
struct Sender {
    boxes: Boxes,
    /// None once it is closed.
    address: Option<String>,
    endpoint: Endpoint,
    ways: Ways,
}

impl Transport for Sender {
    fn connect(&mut self, peer: NodeId, address: &str) {
        let way = (address.to_owned(), LinkStatus::default());
        self.ways.0.lock().unwrap().insert(peer, way);
    }

    fn disconnect(&mut self, peer: NodeId) {
        self.ways.0.lock().unwrap().remove(&peer);
    }

    fn send(&mut self, to: NodeId, frame: &Frame) {
        let (mut ways, mut boxes) = (self.ways.0.lock().unwrap(), self.boxes.lock().unwrap());
        let (Some((address, status)), Some(_)) = (ways.get_mut(&to), &self.address) else { return };
        let mailbox = boxes.get_mut(address);
        status.connected &= mailbox.is_some();
        status.dropped += 1;
        let Some(Mailbox { endpoint, known }) = mailbox else { return };
        let me = self.endpoint.node();
        if !status.connected || !known.contains_key(&me) {
            let mut dialling = self.endpoint.dial(to);
            let (answer, accepted) = endpoint.accept(dialling.hello());
            let confirmation = dialling.receive(answer);
            status.connected = false;
            if let (Ok(Some(confirmation)), Ok(mut incoming)) = (confirmation, accepted) {
                status.connected = incoming.receive(confirmation).is_ok();
                known.insert(me, incoming);
            }
        }
        if let Some(incoming) = known.get_mut(&me)
            && !endpoint.is_full()
            && incoming.receive(frame.encode()).is_ok()
        {
            status.dropped -= 1;
        }
    }

    fn flush(&mut self) {}

    fn links(&self) -> Arc<dyn Links> {
        Arc::new(self.ways.clone())
    }

    fn close(&mut self) {
        if let Some(address) = self.address.take() {
            self.boxes.lock().unwrap().remove(&address);
        }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}
