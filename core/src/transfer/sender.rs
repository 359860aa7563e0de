//! The sender's side of a transfer.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{CheckpointId, TransferConfig, TransferMessage};
use crate::ids::{Instance, NodeId};
use crate::time::Time;

/// What the embedder is to do for a sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SenderAction {
    /// Send this.
    Send(NodeId, TransferMessage),
    /// Read a part of a file, and send it as a [`TransferMessage::Chunk`]; fewer bytes, from the front,
    /// are fine. If it cannot be read, send [`TransferMessage::Nothing`].
    Read {
        /// For whom.
        to: NodeId,
        /// Of which checkpoint.
        id: CheckpointId,
        /// The place of the file in the manifest.
        file: u32,
        /// Where in the file.
        offset: u64,
        /// So many bytes.
        len: u32,
    },
    /// Read all of this checkpoint and compare it with its manifest, since somebody who had it offered
    /// before asks again. Send the offer if it is whole, otherwise [`TransferMessage::Nothing`].
    Check {
        /// For whom.
        to: NodeId,
        /// Which checkpoint.
        id: CheckpointId,
        /// Its manifest.
        manifest: Bytes,
    },
    /// Somebody needs a checkpoint at or above this, and there is none: see
    /// [`Input::CheckpointFor`](crate::Input::CheckpointFor).
    Want(Instance),
}

/// Serves the newest checkpoint, and older ones to those who have begun to read them.
#[derive(Debug)]
pub struct Sender {
    config: TransferConfig,
    newest: Option<(CheckpointId, Bytes)>,
    readers: Vec<Reader>,
    /// What was asked for and is still to be read: one part for each reader.
    queue: VecDeque<(NodeId, CheckpointId, u32, u64, u32)>,
    /// Nothing is read before this: what was sent last fills the time until then.
    free: Time,
}

#[derive(Debug)]
struct Reader {
    node: NodeId,
    id: CheckpointId,
    /// When it is forgotten, if it asks for nothing more.
    until: Time,
}

impl Sender {
    /// One that has nothing yet.
    #[must_use]
    pub const fn new(config: TransferConfig) -> Self {
        Self { config, newest: None, readers: Vec::new(), queue: VecDeque::new(), free: Time::ZERO }
    }

    /// There is a newer checkpoint; this is its manifest.
    pub fn has(&mut self, id: CheckpointId, manifest: Bytes) {
        self.newest = Some((id, manifest));
    }

    /// The files of this checkpoint are not what they should be.
    pub fn lost(&mut self, id: CheckpointId) {
        self.newest.take_if(|(newest, _)| *newest == id);
        self.readers.retain(|reader| reader.id != id);
        self.queue.retain(|(_, queued, ..)| *queued != id);
    }

    /// The checkpoints that somebody is reading: they stay, and so does the log above them.
    pub fn pinned(&self) -> impl Iterator<Item = CheckpointId> {
        self.readers.iter().map(|reader| reader.id)
    }

    /// Nothing in the log above this is to be cleaned, so that readers can go on learning from where
    /// their checkpoint ends.
    #[must_use]
    pub fn clean_limit(&self) -> Instance {
        self.pinned().map(|id| id.at).min().unwrap_or(Instance::MAX)
    }

    /// When to tick next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let free = (!self.queue.is_empty()).then_some(self.free);
        let until = self.readers.iter().map(|reader| reader.until).min();
        free.into_iter().chain(until).min()
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time, out: &mut Vec<SenderAction>) {
        self.readers.retain(|reader| reader.until > now);
        self.serve(now, out);
    }

    /// A message came.
    pub fn receive(
        &mut self,
        now: Time,
        from: NodeId,
        message: &TransferMessage,
        out: &mut Vec<SenderAction>,
    ) {
        match message {
            TransferMessage::Ask { next } => {
                let had_it = |id| self.readers.iter().any(|it| it.node == from && it.id == id);
                let message = match self.newest.clone().filter(|(id, _)| id.at >= *next) {
                    Some((id, manifest)) if had_it(id) => {
                        self.pin(now, from, id);
                        return out.push(SenderAction::Check { to: from, id, manifest });
                    }
                    Some((id, manifest)) if self.pin(now, from, id) => {
                        TransferMessage::Offer { id, manifest }
                    }
                    newest => {
                        if newest.is_none() {
                            out.push(SenderAction::Want(*next));
                        }
                        TransferMessage::Nothing { id: CheckpointId::default() }
                    }
                };
                out.push(SenderAction::Send(from, message));
            }
            TransferMessage::Fetch { id, file, offset, len } => {
                let is_newest = self.newest.as_ref().is_some_and(|(newest, _)| newest == id);
                let is_pinned = self.pinned().any(|pinned| pinned == *id);
                if !(is_newest || is_pinned) || !self.pin(now, from, *id) {
                    let message = TransferMessage::Nothing { id: *id };
                    return out.push(SenderAction::Send(from, message));
                }
                // Asked again, it is read once.
                self.queue.retain(|(to, ..)| *to != from);
                let len = (*len).min(self.config.chunk_bytes);
                self.queue.push_back((from, *id, *file, *offset, len));
                self.serve(now, out);
            }
            TransferMessage::Offer { .. }
            | TransferMessage::Chunk { .. }
            | TransferMessage::Nothing { .. } => {}
        }
    }

    /// Remembers who reads what; false if there are too many already.
    fn pin(&mut self, now: Time, node: NodeId, id: CheckpointId) -> bool {
        self.readers.retain(|reader| reader.until > now);
        let until = now + self.config.pinned_max;
        if let Some(reader) = self.readers.iter_mut().find(|reader| reader.node == node) {
            (reader.id, reader.until) = (id, until);
            return true;
        }
        let has_room = self.readers.len() < self.config.receivers_max;
        mark!(TRANSFER_TOO_MANY_READERS if !has_room);
        if has_room {
            self.readers.push(Reader { node, id, until });
        }
        has_room
    }

    fn serve(&mut self, now: Time, out: &mut Vec<SenderAction>) {
        while self.free <= now
            && let Some((to, id, file, offset, len)) = self.queue.pop_front()
        {
            let nanos = u64::from(len).saturating_mul(1_000_000_000);
            let takes = nanos / self.config.bytes_per_second.max(1);
            self.free = now + Duration::from_nanos(takes);
            out.push(SenderAction::Read { to, id, file, offset, len });
        }
        mark!(TRANSFER_HELD_BACK if !self.queue.is_empty());
    }
}

#[cfg(test)]
mod tests;
