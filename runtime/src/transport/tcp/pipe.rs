//! A connection that only we send on, written without waiting.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Buf;
use synod_proto::FrameBuf;
use tokio::net::TcpStream;

use super::handshake::ConnectionError;

/// The socket, and what encrypts for it.
#[derive(Debug)]
pub(super) struct Pipe {
    socket: Arc<TcpStream>,
    #[cfg(feature = "tls")]
    tls: Option<Box<rustls::ClientConnection>>,
}

impl Pipe {
    /// Frames are written as they are.
    pub(super) fn plain(socket: TcpStream) -> Self {
        Self {
            socket: Arc::new(socket),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Frames are encrypted.
    #[cfg(feature = "tls")]
    pub(super) fn tls(socket: TcpStream, tls: rustls::ClientConnection) -> Self {
        Self { socket: Arc::new(socket), tls: Some(Box::new(tls)) }
    }

    /// The socket, to wait for.
    pub(super) fn socket(&self) -> Arc<TcpStream> {
        Arc::clone(&self.socket)
    }

    /// Writes as much as the socket takes now; returns whether that is all.
    pub(super) fn write(&mut self, frames: &mut FrameBuf) -> io::Result<bool> {
        loop {
            match self.write_some(frames) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether nothing is left.
    fn write_some(&mut self, frames: &mut FrameBuf) -> io::Result<bool> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            if tls.wants_write() {
                tls.write_tls(&mut Unwaiting(&self.socket))?;
                return Ok(false);
            }
            return Ok(!write_vectored(frames, |slices| {
                io::Write::write_vectored(&mut tls.writer(), slices)
            })?);
        }
        Ok(!write_vectored(frames, |slices| self.socket.try_write_vectored(slices))?)
    }

    /// Reads what came, which ought to be nothing, or what TLS says to itself.
    pub(super) fn read(&mut self) -> Result<(), ConnectionError> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return read_tls(tls, &self.socket);
        }
        match self.socket.try_read(&mut [0; 1]) {
            Ok(0) => Err(ConnectionError::Closed),
            Ok(_) => Err(ConnectionError::Unasked),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns whether there was something to write.
fn write_vectored(
    frames: &mut FrameBuf,
    write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<bool> {
    if !frames.has_remaining() {
        return Ok(false);
    }
    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
    let filled = frames.chunks_vectored(&mut slices);
    let written = write(&slices[..filled])?;
    frames.advance(written);
    Ok(true)
}

#[cfg(feature = "tls")]
fn read_tls(tls: &mut rustls::ClientConnection, socket: &TcpStream) -> Result<(), ConnectionError> {
    loop {
        match tls.read_tls(&mut Unwaiting(socket)) {
            Ok(0) => return Err(ConnectionError::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let state = tls.process_new_packets().map_err(ConnectionError::Tls)?;
        if state.plaintext_bytes_to_read() > 0 {
            return Err(ConnectionError::Unasked);
        }
        if state.peer_has_closed() {
            return Err(ConnectionError::Closed);
        }
    }
}

/// A socket for code that knows nothing of waiting.
#[cfg(feature = "tls")]
struct Unwaiting<'a>(&'a TcpStream);

#[cfg(feature = "tls")]
impl io::Read for Unwaiting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

#[cfg(feature = "tls")]
impl io::Write for Unwaiting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces given to one vectored write.
const SLICES_MAX: usize = 64;
