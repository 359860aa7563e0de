//! Hellos, one each way, before anything else on a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use synod_core::NodeId;
use synod_proto::{
    Decoder, FrameError, Hello, HelloError, Judgement, Packet, Verdict, encode_frame,
};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
    Io(#[from] io::Error),
    #[error("the peer closed the connection")]
    Closed,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the first packet is no hello")]
    NoHello,
    #[error("the peer does not say what it makes of our hello")]
    NoJudgement,
    #[error("the peer's directory is not what it was ({0:?}): it takes new incarnations")]
    RefusedThem(Verdict),
    #[error("the peer remembers more of our directory than it holds ({0:?})")]
    RefusedUs(Verdict),
    #[error("a second hello")]
    SecondHello,
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error("node {0} is not among our peers")]
    Stranger(NodeId),
    #[error("the peer sent packets on the connection that we send on")]
    Unasked,
}

impl ConnectionError {
    /// Whether an operator has to mend something before it can go better.
    pub(super) const fn is_mistake(&self) -> bool {
        match self {
            Self::Resolve(..)
            | Self::NoAddress(_)
            | Self::Frame(_)
            | Self::NoHello
            | Self::NoJudgement
            | Self::SecondHello
            | Self::Hello(_)
            | Self::Stranger(_)
            | Self::Unasked => true,
            // Mended by the node itself, and said loudly where that happens.
            Self::RefusedThem(_) | Self::RefusedUs(_) => false,
            Self::Connect(..) | Self::TimedOut(_) | Self::Io(_) | Self::Closed => false,
        }
    }
}

/// Sends our hello.
pub(super) async fn send_hello(
    stream: &mut TcpStream,
    hello: Hello,
) -> Result<(), ConnectionError> {
    stream.write_all(&encode_frame(&Packet::Hello(hello))).await?;
    Ok(())
}

/// Reads the peer's hello, and maybe some of what follows it, which stays in `buffer`.
pub(super) async fn read_hello(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> Result<Hello, ConnectionError> {
    match read_packet(stream, buffer).await? {
        Packet::Hello(hello) => Ok(hello),
        Packet::Judged(_)
        | Packet::Founding(_)
        | Packet::Group { .. }
        | Packet::Transfer { .. } => Err(ConnectionError::NoHello),
    }
}

/// Tells a peer what we make of its hello; an error if we do not hear it.
pub(super) async fn send_judgement(
    stream: &mut TcpStream,
    judgement: Judgement,
) -> Result<(), ConnectionError> {
    stream.write_all(&encode_frame(&Packet::Judged(judgement))).await?;
    match judgement.verdict {
        Verdict::Fine => Ok(()),
        refused @ (Verdict::Rollback | Verdict::Clone) => {
            Err(ConnectionError::RefusedThem(refused))
        }
    }
}

/// Reads what the peer makes of our hello.
pub(super) async fn read_judgement(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> Result<Judgement, ConnectionError> {
    match read_packet(stream, buffer).await? {
        Packet::Judged(judgement) => Ok(judgement),
        Packet::Hello(_) | Packet::Founding(_) | Packet::Group { .. } | Packet::Transfer { .. } => {
            Err(ConnectionError::NoJudgement)
        }
    }
}

async fn read_packet(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
) -> Result<Packet, ConnectionError> {
    // A hello lists groups, some 20 bytes each.
    let mut decoder = Decoder::new(HELLO_BYTES_MAX);
    loop {
        if let Some(packet) = decoder.next(buffer)? {
            return Ok(packet);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(ConnectionError::Closed);
        }
    }
}

/// Before a hello nobody is known, so this much is read from anybody.
const HELLO_BYTES_MAX: u32 = 1024 * 1024;
