//! A fresh connection, with TLS or without.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use synod_core::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Settings;
use super::handshake::ConnectionError;
use super::pipe::Pipe;

/// A connection while hellos are exchanged; one that a peer sends on, for as long as it lasts.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

impl Stream {
    /// Lets a peer begin TLS, if we have it. Which node it is says its hello.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_async, reason = "TLS waits"))]
    pub(super) async fn accept(
        socket: TcpStream,
        settings: &Settings,
    ) -> Result<Self, ConnectionError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &settings.tls {
            let acceptor = tokio_rustls::TlsAcceptor::from(tls.server());
            return Ok(Self::Tls(Box::new(acceptor.accept(socket).await?.into())));
        }
        #[cfg(not(feature = "tls"))]
        let _: &Settings = settings;
        Ok(Self::Plain(socket))
    }

    /// Begins TLS, if we have it, and goes on only with the peer that we want.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_async, reason = "TLS waits"))]
    pub(super) async fn dial(
        socket: TcpStream,
        peer: NodeId,
        settings: &Settings,
    ) -> Result<Self, ConnectionError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &settings.tls {
            let connector = tokio_rustls::TlsConnector::from(tls.client());
            let name = tls.name(peer).ok_or(ConnectionError::NotItsCertificate(peer))?;
            let stream = Self::Tls(Box::new(connector.connect(name, socket).await?.into()));
            stream.check_certificate(peer, settings)?;
            return Ok(stream);
        }
        #[cfg(not(feature = "tls"))]
        let _: (NodeId, &Settings) = (peer, settings);
        Ok(Self::Plain(socket))
    }

    /// An error if there is TLS and the peer's certificate is not this node's.
    pub(super) fn check_certificate(
        &self,
        node: NodeId,
        settings: &Settings,
    ) -> Result<(), ConnectionError> {
        match self {
            Self::Plain(_) => {
                let _: (NodeId, &Settings) = (node, settings);
                Ok(())
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                let chain = stream.get_ref().1.peer_certificates();
                match (chain.and_then(<[_]>::first), &settings.tls) {
                    (Some(first), Some(tls)) if tls.is_of(first, node) => Ok(()),
                    _ => Err(ConnectionError::NotItsCertificate(node)),
                }
            }
        }
    }

    /// For sending only, from now on. The peer must not have said more than was read.
    pub(super) fn into_pipe(self) -> Result<Pipe, ConnectionError> {
        match self {
            Self::Plain(socket) => Ok(Pipe::plain(socket)),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => match *stream {
                tokio_rustls::TlsStream::Client(stream) => {
                    let (socket, mut tls) = stream.into_inner();
                    let state = tls.process_new_packets().map_err(ConnectionError::Tls)?;
                    if state.plaintext_bytes_to_read() > 0 {
                        return Err(ConnectionError::Unasked);
                    }
                    Ok(Pipe::tls(socket, tls))
                }
                // Nobody sends on what a peer began.
                tokio_rustls::TlsStream::Server(_) => Err(ConnectionError::Unasked),
            },
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
