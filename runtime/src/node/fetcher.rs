//! The thread that reads older log entries for peers that are behind, beside the one that writes.

use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread;

use synod_core::{Fetch, GroupId, Instance, Stored};

use super::chosen::{ChosenCommand, GetError, GetReply, commands};
use super::error::NodeError;
use super::note::answer;
use crate::log::{LogReader, ReadError as LogReadError};
use crate::vfs::Vfs;

/// The driver's end. Dropping it ends the thread.
#[derive(Debug)]
pub(super) struct Fetcher {
    requests: SyncSender<(GroupId, Want)>,
}

/// Who wants entries.
#[derive(Debug)]
pub(super) enum Want {
    /// The core of the group in this slot.
    Core(usize, Fetch),
    /// A user, the one of this instance.
    User(Instance, GetReply),
}

impl Fetcher {
    /// Starts the thread. `done` is called on it, with the slot and the request that it answers.
    pub(super) fn spawn<V: Vfs>(
        name: String,
        reader: LogReader<V>,
        done: impl Fn(usize, Fetch, Vec<Stored>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (requests, waiting) = mpsc::sync_channel::<(GroupId, Want)>(REQUESTS_MAX);
        thread::Builder::new().name(name).spawn(move || {
            while let Ok((group, want)) = waiting.recv() {
                match want {
                    Want::Core(slot, fetch) => {
                        let read = reader.read(group, fetch.from, fetch.to, fetch.bytes_max);
                        let entries = read.unwrap_or_else(|error| {
                            let from = fetch.from.0;
                            tracing::warn!(group = group.0, from, %error, "cannot read log");
                            Vec::new()
                        });
                        done(slot, fetch, entries);
                    }
                    Want::User(instance, reply) => answer(reply, one(&reader, group, instance)),
                }
            }
        })?;
        Ok(Self { requests })
    }

    /// Asks for entries; gives the request back if too many wait already: ask again when one of them
    /// was answered.
    pub(super) fn ask(&self, group: GroupId, want: Want) -> Result<(), Want> {
        match self.requests.try_send((group, want)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full((_, want)) | TrySendError::Disconnected((_, want))) => Err(want),
        }
    }
}

/// The commands of one chosen instance.
fn one<V: Vfs>(
    reader: &LogReader<V>,
    group: GroupId,
    instance: Instance,
) -> Result<Vec<ChosenCommand>, GetError> {
    match reader.read(group, instance, instance, 1) {
        Ok(entries) => {
            let value = entries.into_iter().next().and_then(|entry| entry.value);
            value.map(|value| commands(&value)).ok_or(GetError::Lost(instance))
        }
        Err(LogReadError::Cleaned { cleaned, .. }) => {
            Err(GetError::Cleaned { asked: instance, first_kept: cleaned.next() })
        }
        Err(error) => Err(NodeError::Failed { reason: error.to_string().into() }.into()),
    }
}

/// Requests that may wait for the disk.
const REQUESTS_MAX: usize = 1024;
