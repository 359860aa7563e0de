//! The way out to one peer: a bounded queue of frames, and the connection that takes them.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use synod_core::NodeId;
use synod_proto::{FrameBuf, Seal};
use tokio::sync::Notify;

use super::Settings;
use super::handshake::ConnectionError;
use super::pipe::Pipe;
use super::{Frame, LinkStatus};
use crate::transport::limits::SMALL_BYTES_MAX;

/// A queue of frames, written by whoever flushes it, mostly the driver itself: so a message costs no
/// wake-up on its way out. Only when the connection takes no more does its own task help.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) peer: NodeId,
    queue_bytes_max: usize,
    state: Mutex<State>,
    /// Rings when the connection is full, has broken, or is to be tried at once.
    pub(super) bell: Notify,
}

#[derive(Debug)]
struct State {
    frames: FrameBuf,
    pipe: Option<Pipe>,
    /// The connection takes no more for now; its task waits for it and flushes.
    full: bool,
    /// Something was queued since the last flush.
    dirty: bool,
    dropped: u64,
}

/// What became of a flush.
#[derive(Debug)]
pub(super) enum Flushed {
    /// Nothing waits.
    All,
    /// The connection takes no more for now.
    Full,
    /// There is no connection, any more.
    Broken(Option<io::Error>),
}

impl Link {
    pub(super) fn new(peer: NodeId, settings: &Settings) -> Self {
        let frames = FrameBuf::new(settings.frame_bytes_max);
        let state = State { frames, pipe: None, full: false, dirty: false, dropped: 0 };
        Self {
            peer,
            queue_bytes_max: settings.queue_bytes_max,
            state: Mutex::new(state),
            bell: Notify::new(),
        }
    }

    /// Queues a frame or drops it; returns whether a flush is due that was not due before.
    pub(super) fn queue(&self, frame: &Frame) -> bool {
        let mut state = self.lock();
        let max = if frame.carries_values() {
            self.queue_bytes_max
        } else {
            self.queue_bytes_max.saturating_add(SMALL_BYTES_MAX)
        };
        if state.pipe.is_none() || state.frames.len() >= max {
            state.dropped += 1;
            return false;
        }
        if let Err(error) = state.frames.push(&frame.0) {
            state.dropped += 1;
            tracing::warn!(peer = self.peer.0, %error, "message dropped");
            return false;
        }
        let due = !state.dirty && !state.full;
        state.dirty = true;
        due
    }

    /// Writes as much as the connection takes now.
    pub(super) fn flush(&self) -> Flushed {
        let mut state = self.lock();
        state.dirty = false;
        let flushed = write(&mut state);
        if !matches!(flushed, Flushed::All) {
            drop(state);
            self.bell.notify_one();
        }
        flushed
    }

    /// Takes a fresh connection into use.
    pub(super) fn connect(&self, pipe: Pipe, seal: Option<Seal>) {
        let mut state = self.lock();
        state.frames.clear();
        state.frames.seal(seal);
        state.pipe = Some(pipe);
        (state.full, state.dirty) = (false, false);
    }

    /// Drops the connection, and what waited for it.
    pub(super) fn disconnect(&self) {
        let mut state = self.lock();
        state.frames.clear();
        state.pipe = None;
        (state.full, state.dirty) = (false, false);
    }

    /// Reads what came on the connection that we send on, which ought to be nothing.
    pub(super) fn read(&self) -> Result<(), ConnectionError> {
        self.lock().pipe.as_mut().map_or(Err(ConnectionError::Closed), Pipe::read)
    }

    /// Whether frames wait for the connection to take more.
    pub(super) fn is_full(&self) -> bool {
        self.lock().full
    }

    /// Whether there is a connection.
    pub(super) fn is_connected(&self) -> bool {
        self.lock().pipe.is_some()
    }

    pub(super) fn status(&self) -> LinkStatus {
        let state = self.lock();
        LinkStatus {
            connected: state.pipe.is_some(),
            queued_bytes: state.frames.len(),
            dropped: state.dropped,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write(state: &mut State) -> Flushed {
    let Some(pipe) = &mut state.pipe else { return Flushed::Broken(None) };
    match pipe.write(&mut state.frames) {
        Ok(all) => {
            state.full = !all;
            if all { Flushed::All } else { Flushed::Full }
        }
        Err(error) => {
            state.pipe = None;
            state.frames.clear();
            Flushed::Broken(Some(error))
        }
    }
}
