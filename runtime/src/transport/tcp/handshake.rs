//! Hellos, one each way, before anything else on a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use synod_core::NodeId;
use synod_proto::{
    CHALLENGE_BYTES, CHALLENGE_MAGIC, Decoder, FrameBuf, FrameError, FrameTooLong, Hello,
    Judgement, Packet, Seal, Secret, Verdict,
};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Settings;
use super::stream::Stream;
use crate::transport::PeerError;

/// Why a connection came to nothing, or ended.
#[derive(Debug, Error)]
pub(super) enum ConnectionError {
    #[error("cannot resolve {0:?}: {1}")]
    Resolve(String, io::Error),
    #[error("{0:?} resolves to no address")]
    NoAddress(String),
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    #[error(transparent)]
    Io(io::Error),
    #[cfg(feature = "tls")]
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    #[cfg(feature = "tls")]
    #[error(
        "the peer's certificate is not node {0}'s: give it one with the DNS name node-{0}.DOMAIN and \
         no wildcard"
    )]
    NotItsCertificate(NodeId),
    #[error("the peer closed the connection")]
    Closed,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    TooLong(#[from] FrameTooLong),
    #[error("the peer has no secret and this node has: give all nodes the same secret")]
    SecretHere,
    #[error("the peer has a secret and this node has none: give all nodes the same secret")]
    SecretThere,
    #[error("the peer has TLS and this node has none: give all nodes TLS or none")]
    TlsThere,
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("the peer sent packets on the connection that we send on")]
    Unasked,
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        // What is wrong with TLS comes out of reads and writes.
        #[cfg(feature = "tls")]
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Tls(tls.clone());
        }
        Self::Io(error)
    }
}

impl ConnectionError {
    /// Whether an operator has to mend something before it can go better.
    pub(super) const fn is_mistake(&self) -> bool {
        match self {
            Self::Resolve(..)
            | Self::NoAddress(_)
            | Self::Frame(_)
            | Self::TooLong(_)
            | Self::SecretHere
            | Self::SecretThere
            | Self::TlsThere
            | Self::Unasked => true,
            Self::Peer(error) => error.is_mistake(),
            #[cfg(feature = "tls")]
            Self::Tls(_) | Self::NotItsCertificate(_) => true,
            Self::Connect(..) | Self::TimedOut(_) | Self::Io(_) | Self::Closed => false,
        }
    }
}

/// A connection while hellos are exchanged: sealed if we have a secret.
pub(super) struct Exchange<'a> {
    stream: &'a mut Stream,
    buffer: &'a mut BytesMut,
    out: FrameBuf,
    decoder: Decoder,
}

/// Who began the connection: each side has keys of its own.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Dialler,
    Accepter,
}

impl<'a> Exchange<'a> {
    /// Exchanges challenges, if there is a secret.
    pub(super) async fn begin(
        stream: &'a mut Stream,
        buffer: &'a mut BytesMut,
        secret: Option<&Secret>,
        side: Side,
    ) -> Result<Self, ConnectionError> {
        let mut out = FrameBuf::new(HELLO_BYTES_MAX);
        // A hello lists groups, some 20 bytes each.
        let mut decoder = Decoder::new(HELLO_BYTES_MAX);
        if let Some(secret) = secret {
            let mut ours = [0; 32];
            getrandom::fill(&mut ours).map_err(io::Error::from)?;
            stream.write_all(&[&CHALLENGE_MAGIC[..], &ours].concat()).await?;
            stream.flush().await?;
            let theirs = read_challenge(stream, buffer).await?;
            let (sends, reads) = match side {
                Side::Dialler => secret.dialler(&ours, &theirs),
                Side::Accepter => secret.accepter(&theirs, &ours),
            };
            out.seal(Some(sends));
            decoder.seal(Some(reads));
        }
        Ok(Self { stream, buffer, out, decoder })
    }

    /// An error if there is TLS and the peer's certificate is not this node's.
    pub(super) fn check_certificate(
        &self,
        node: NodeId,
        settings: &Settings,
    ) -> Result<(), ConnectionError> {
        self.stream.check_certificate(node, settings)
    }

    /// Sends our hello.
    pub(super) async fn send_hello(&mut self, hello: Hello) -> Result<(), ConnectionError> {
        self.send(&Packet::Hello(hello)).await
    }

    /// Reads the peer's hello, and maybe some of what follows it, which stays in the buffer.
    pub(super) async fn read_hello(&mut self) -> Result<Hello, ConnectionError> {
        match self.read().await? {
            Packet::Hello(hello) => Ok(hello),
            Packet::Judged(_)
            | Packet::Founding(_)
            | Packet::Group { .. }
            | Packet::Transfer { .. } => Err(PeerError::NoHello.into()),
        }
    }

    /// Tells a peer what we make of its hello; an error if we do not hear it.
    pub(super) async fn send_judgement(
        &mut self,
        judgement: Judgement,
    ) -> Result<(), ConnectionError> {
        self.send(&Packet::Judged(judgement)).await?;
        match judgement.verdict {
            Verdict::Fine => Ok(()),
            refused @ (Verdict::Rollback | Verdict::Clone) => {
                Err(PeerError::RefusedThem(refused).into())
            }
        }
    }

    /// Reads what the peer makes of our hello.
    pub(super) async fn read_judgement(&mut self) -> Result<Judgement, ConnectionError> {
        match self.read().await? {
            Packet::Judged(judgement) => Ok(judgement),
            Packet::Hello(_)
            | Packet::Founding(_)
            | Packet::Group { .. }
            | Packet::Transfer { .. } => Err(PeerError::NoJudgement.into()),
        }
    }

    /// What seals and checks the frames that follow: for sending, and for reading.
    pub(super) fn end(mut self) -> (Option<Seal>, Option<Seal>) {
        (self.out.take_seal(), self.decoder.take_seal())
    }

    async fn send(&mut self, packet: &Packet) -> Result<(), ConnectionError> {
        self.out.push(packet)?;
        self.stream.write_all_buf(&mut self.out).await?;
        // TLS keeps some back otherwise.
        self.stream.flush().await?;
        Ok(())
    }

    async fn read(&mut self) -> Result<Packet, ConnectionError> {
        loop {
            // Said here, since the magic makes no sense as a frame's length.
            if self.buffer.starts_with(&CHALLENGE_MAGIC) {
                return Err(ConnectionError::SecretThere);
            }
            if is_tls(self.buffer) {
                return Err(ConnectionError::TlsThere);
            }
            if !CHALLENGE_MAGIC.starts_with(&self.buffer[..self.buffer.len().min(8)])
                && let Some(packet) = self.decoder.next(self.buffer)?
            {
                return Ok(packet);
            }
            if self.stream.read_buf(self.buffer).await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }
}

async fn read_challenge(
    stream: &mut Stream,
    buffer: &mut BytesMut,
) -> Result<[u8; 32], ConnectionError> {
    loop {
        if is_tls(buffer) {
            return Err(ConnectionError::TlsThere);
        }
        let known = buffer.len().min(CHALLENGE_MAGIC.len());
        if buffer[..known] != CHALLENGE_MAGIC[..known] {
            return Err(ConnectionError::SecretHere);
        }
        if let Some(&challenge) = buffer.get(CHALLENGE_MAGIC.len()..).and_then(<[u8]>::first_chunk)
        {
            buffer.advance(CHALLENGE_BYTES);
            return Ok(challenge);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(ConnectionError::Closed);
        }
    }
}

/// Whether this is how TLS begins: a handshake record with a client's hello in it. As a frame it would
/// be one whose packet begins with what no packet begins with.
fn is_tls(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x16, 3, 1])
        && bytes.get(5) == Some(&1)
        && bytes.get(9..11) == Some(&[3, 3])
}

/// Before a hello nobody is known, so this much is read from anybody.
const HELLO_BYTES_MAX: u32 = 1024 * 1024;
