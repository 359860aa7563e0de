//! The thread that reads older log entries for peers that are behind, beside the one that writes.

use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread;

use synod_core::{Fetch, GroupId, Stored};

use crate::log::LogReader;
use crate::vfs::Vfs;

/// The driver's end. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Fetcher {
    requests: SyncSender<(usize, GroupId, Fetch)>,
}

impl Fetcher {
    /// Starts the thread. `done` is called on it, with the slot and the request that it answers.
    pub(super) fn spawn<V: Vfs>(
        name: String,
        reader: LogReader<V>,
        done: impl Fn(usize, Fetch, Vec<Stored>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (requests, waiting) = mpsc::sync_channel::<(usize, GroupId, Fetch)>(REQUESTS_MAX);
        thread::Builder::new().name(name).spawn(move || {
            while let Ok((slot, group, fetch)) = waiting.recv() {
                let read = reader.read(group, fetch.from, fetch.to, fetch.bytes_max);
                let entries = read.unwrap_or_else(|error| {
                    tracing::warn!(group = group.0, from = fetch.from.0, %error, "cannot read log");
                    Vec::new()
                });
                done(slot, fetch, entries);
            }
        })?;
        Ok(Self { requests })
    }

    /// Asks for entries of the group in `slot`; `false` if too many requests wait already: ask again
    /// when one of them was answered.
    #[must_use]
    pub(super) fn fetch(&self, slot: usize, group: GroupId, fetch: Fetch) -> bool {
        match self.requests.try_send((slot, group, fetch)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Requests that may wait for the disk.
const REQUESTS_MAX: usize = 1024;
