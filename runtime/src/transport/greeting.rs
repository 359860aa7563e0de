//! How two nodes make sure of each other before anything else is said on a connection.
//!
//! No I/O: what to send comes out, and what came goes in.

use bytes::Bytes;
use synod_core::NodeId;
use synod_proto::{FrameError, Hello, HelloError, Packet, Verdict, encode_frame};
use thiserror::Error;

use super::Endpoint;
use super::frame::next_packet;

/// Why a peer is not talked to, or no longer on this connection, which has to end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// What came is no frame, or not all of one.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Something else came where a hello should stand.
    #[error("the first packet is no hello")]
    NoHello,
    /// Something else came where the peer should say whether it takes us.
    #[error("the peer does not say what it makes of our hello")]
    NoJudgement,
    /// A hello came on a connection that has had one.
    #[error("a second hello")]
    SecondHello,
    /// The peer is not who it should be, or of another cluster.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The node is none of those that this one was told of. If it is to join, it will be.
    #[error("node {0} is not among our peers")]
    Stranger(NodeId),
    /// The peer's directory was restored from a copy, or is used twice. It is told so by the answer.
    #[error("the peer's directory is not what it was ({0:?}): it takes new incarnations")]
    RefusedThem(Verdict),
    /// Our directory was, says the peer; this node takes new incarnations, and has to dial again.
    #[error("the peer remembers more of our directory than it holds ({0:?})")]
    RefusedUs(Verdict),
}

impl PeerError {
    /// Whether an operator has to mend something before it can go better.
    pub(super) const fn is_mistake(&self) -> bool {
        match self {
            Self::Frame(_)
            | Self::NoHello
            | Self::NoJudgement
            | Self::SecondHello
            | Self::Hello(_)
            | Self::Stranger(_) => true,
            // Mended by the node itself, and said loudly where that happens.
            Self::RefusedThem(_) | Self::RefusedUs(_) => false,
        }
    }
}

/// A connection that this node begins, until the peer has answered.
#[derive(Debug)]
pub struct Dialling {
    endpoint: Endpoint,
    ours: Hello,
    theirs: Option<Hello>,
}

impl Dialling {
    /// What to send first: one frame.
    #[must_use]
    pub fn hello(&self) -> Bytes {
        encode_frame(&Packet::Hello(self.ours.clone()))
    }

    /// Takes the peer's answer, which is two frames: both, or one after the other. Once that is all,
    /// it gives what to send next, one frame, and then the connection is ready for
    /// [`Frame`](super::Frame)s.
    ///
    /// # Errors
    ///
    /// If this is not the peer that was wanted, or it does not take us. Try again later.
    pub fn receive(&mut self, mut answer: Bytes) -> Result<Option<Bytes>, PeerError> {
        let (peer, max) = (self.ours.to, self.endpoint.frame_bytes_max());
        while let Some(packet) = next_packet(&mut answer, max)? {
            let Some(theirs) = &self.theirs else {
                let Packet::Hello(hello) = packet else { return Err(PeerError::NoHello) };
                hello.agree(&self.ours)?;
                self.theirs = Some(hello);
                continue;
            };
            let Packet::Judged(ours) = packet else { return Err(PeerError::NoJudgement) };
            let confirmation = Packet::Judged(self.endpoint.identity().judge(theirs));
            self.endpoint.inlet().deliver(peer, &mut vec![Packet::Judged(ours)]);
            if ours.verdict != Verdict::Fine {
                return Err(PeerError::RefusedUs(ours.verdict));
            }
            return Ok(Some(encode_frame(&confirmation)));
        }
        Ok(None)
    }
}

/// A connection of a peer that was checked: the only way to hand its frames in.
#[derive(Debug)]
pub struct Incoming {
    endpoint: Endpoint,
    peer: NodeId,
    packets: Vec<Packet>,
}

impl Incoming {
    /// Who speaks on it.
    #[must_use]
    pub const fn peer(&self) -> NodeId {
        self.peer
    }

    /// Hands frames in, one or several whole ones, one behind the other. Never waits. Values in them
    /// are kept as slices of these bytes, so they should not be much larger than what is in them.
    ///
    /// # Errors
    ///
    /// If these are no frames, or the peer is known no longer. None of them was handed in; the
    /// connection has to end.
    pub fn receive(&mut self, frames: Bytes) -> Result<(), PeerError> {
        let taken = self.take(frames);
        match &taken {
            Ok(()) => self.endpoint.inlet().deliver(self.peer, &mut self.packets),
            Err(error) => {
                self.packets.clear();
                self.endpoint.refuse(Some(self.peer), error);
            }
        }
        taken
    }

    fn take(&mut self, mut frames: Bytes) -> Result<(), PeerError> {
        if !self.endpoint.knows(self.peer) {
            return Err(PeerError::Stranger(self.peer));
        }
        let max = self.endpoint.frame_bytes_max();
        while let Some(packet) = next_packet(&mut frames, max)? {
            if matches!(packet, Packet::Hello(_)) {
                return Err(PeerError::SecondHello);
            }
            self.packets.push(packet);
        }
        Ok(())
    }
}

impl Endpoint {
    /// Begins a connection to a peer, on which this node will send. For each attempt anew.
    #[must_use]
    pub fn dial(&self, peer: NodeId) -> Dialling {
        Dialling { endpoint: self.clone(), ours: self.identity().hello(peer), theirs: None }
    }

    /// Answers a connection that a peer has begun, given the first frame on it. The answer is to be
    /// sent *in any case*: who is refused has to know why. It is empty if the frame was no hello.
    pub fn accept(&self, hello: Bytes) -> (Bytes, Result<Incoming, PeerError>) {
        let mut answer = Vec::new();
        let mut peer = None;
        let outcome = self.answer(hello, &mut answer, &mut peer);
        if let Err(error) = &outcome {
            self.refuse(peer, error);
        }
        (answer.into(), outcome)
    }

    fn answer(
        &self,
        mut frame: Bytes,
        answer: &mut Vec<u8>,
        peer: &mut Option<NodeId>,
    ) -> Result<Incoming, PeerError> {
        let Some(Packet::Hello(theirs)) = next_packet(&mut frame, self.frame_bytes_max())? else {
            return Err(PeerError::NoHello);
        };
        if !frame.is_empty() {
            return Err(PeerError::NoHello);
        }
        *peer = Some(theirs.node);
        let ours = self.identity().hello(theirs.node);
        answer.extend_from_slice(&encode_frame(&Packet::Hello(ours.clone())));
        theirs.agree(&ours)?;
        if !self.knows(theirs.node) {
            return Err(PeerError::Stranger(theirs.node));
        }
        let judgement = self.identity().judge(&theirs);
        answer.extend_from_slice(&encode_frame(&Packet::Judged(judgement)));
        match judgement.verdict {
            Verdict::Fine => {
                Ok(Incoming { endpoint: self.clone(), peer: theirs.node, packets: Vec::new() })
            }
            refused @ (Verdict::Rollback | Verdict::Clone) => Err(PeerError::RefusedThem(refused)),
        }
    }

    /// Counts a connection that was turned away or broken off, for whoever looks after the node.
    fn refuse(&self, peer: Option<NodeId>, error: &PeerError) {
        let (node, who) = (self.node().0, peer.map(|peer| peer.0));
        if error.is_mistake() {
            let from = peer.map_or_else(|| "somebody".to_owned(), |peer| format!("node {peer}"));
            self.refusals().add(&from, error);
            tracing::warn!(node, peer = who, %error, "connection refused or broken off");
        } else {
            tracing::debug!(node, peer = who, %error, "connection ended");
        }
    }
}
