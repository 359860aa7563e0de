//! Which checkpoints of a group stay, which is offered, and which is received.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use synod_core::{
    CheckpointId, Event, Input, Instance, Manifest, NodeId, Receiver, ReceiverAction, Sender,
    SenderAction, SmId, Time, TransferConfig, TransferMessage, Wanted,
};

use super::store::Store;
use crate::vfs::Vfs;

/// One group's checkpoints. What it wants done is in [`messages`](Self::messages) and
/// [`inputs`](Self::inputs) after every call.
#[derive(Debug)]
pub struct Keeper<V: Vfs> {
    store: Store<V>,
    sender: Sender,
    receiver: Receiver,
    /// Those that are complete.
    complete: BTreeMap<Instance, Manifest>,
    /// The one that the log records.
    recorded: Instance,
    /// The one that is being received.
    incoming: Option<Manifest>,
    limit: Instance,
    /// To send.
    pub messages: Vec<(NodeId, TransferMessage)>,
    /// For the group.
    pub inputs: Vec<Input>,
}

impl<V: Vfs> Keeper<V> {
    /// Opens the checkpoints in a directory, of which the log records one. Says whether that one is
    /// whole: see [`Recovered::files_lost`](synod_core::Recovered). The files of machines that need it
    /// are read to tell.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn open(
        vfs: V,
        dir: &Path,
        recorded: Option<Instance>,
        needs: impl FnMut(SmId) -> bool,
        config: TransferConfig,
    ) -> io::Result<(Self, bool)> {
        let (store, manifest) = Store::open(vfs, dir, recorded, needs)?;
        let is_whole = manifest.is_some() || recorded.is_none();
        let mut keeper = Self {
            store,
            sender: Sender::new(config),
            receiver: Receiver::new(config),
            complete: manifest.into_iter().map(|manifest| (manifest.at, manifest)).collect(),
            recorded: Instance::ZERO,
            incoming: None,
            limit: Instance::MAX,
            messages: Vec::new(),
            inputs: Vec::new(),
        };
        keeper.recorded(recorded.unwrap_or_default())?;
        Ok((keeper, is_whole))
    }

    /// The files.
    pub const fn store(&self) -> &Store<V> {
        &self.store
    }

    /// A checkpoint was taken here, and written by [`Store::write`].
    pub fn taken(&mut self, manifest: Manifest) {
        let at = manifest.at;
        self.complete.insert(at, manifest);
        self.inputs.push(Input::Checkpointed(at));
    }

    /// Something happened in the group.
    ///
    /// # Errors
    ///
    /// As the file system says: what should have been removed was not.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        if let Event::Checkpointed(at) = event {
            return self.recorded(*at);
        }
        if let Event::Installed(_) = event {
            self.receiver.settled();
        }
        if let Event::InstallRefused(at) = event {
            self.receiver.settled();
            if *at != self.recorded && self.complete.remove(at).is_some() {
                return self.store.remove(*at);
            }
        }
        Ok(())
    }

    /// What the group wants, as [`Group::wanted`](synod_core::Group::wanted) says after every step.
    pub fn want(&mut self, wanted: Option<Wanted>) {
        self.receiver.want(wanted);
    }

    /// When to tick next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.sender.deadline().into_iter().chain(self.receiver.deadline()).min()
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time) {
        let (mut sends, mut receives) = (Vec::new(), Vec::new());
        self.sender.tick(now, &mut sends);
        self.receiver.tick(now, &mut receives);
        self.act(now, sends, receives);
    }

    /// A peer said something about a transfer.
    pub fn receive(&mut self, now: Time, from: NodeId, message: TransferMessage) {
        let (mut sends, mut receives) = (Vec::new(), Vec::new());
        self.sender.receive(now, from, &message, &mut sends);
        self.receiver.receive(now, from, message, &mut receives);
        self.act(now, sends, receives);
    }

    fn recorded(&mut self, at: Instance) -> io::Result<()> {
        self.recorded = self.recorded.max(at);
        if let Some(manifest) = self.complete.get(&self.recorded) {
            self.sender.has(manifest.id(), manifest.encode());
        }
        self.prune()
    }

    /// Removes what is below the recorded one and read by nobody.
    fn prune(&mut self) -> io::Result<()> {
        let pinned: Vec<Instance> = self.sender.pinned().map(|id| id.at).collect();
        let is_old = |at: &Instance| *at < self.recorded && !pinned.contains(at);
        let old: Vec<Instance> = self.complete.keys().copied().filter(is_old).collect();
        for at in old {
            self.complete.remove(&at);
            self.store.remove(at)?;
        }
        if let Some(incoming) = self.incoming.take_if(|incoming| incoming.at <= self.recorded)
            && !self.complete.contains_key(&incoming.at)
        {
            self.store.remove(incoming.at)?;
        }
        Ok(())
    }

    fn act(&mut self, now: Time, sends: Vec<SenderAction>, receives: Vec<ReceiverAction>) {
        for action in sends {
            match action {
                SenderAction::Send(to, message) => self.messages.push((to, message)),
                SenderAction::Want(next) => self.inputs.push(Input::CheckpointFor(next)),
                SenderAction::Check { to, id, manifest } => {
                    let message = self.checked(id, manifest);
                    self.messages.push((to, message));
                }
                SenderAction::Read { to, id, file, offset, len } => {
                    let message = self.chunk(id, file, offset, len);
                    self.messages.push((to, message));
                }
            }
        }
        let mut receives = receives;
        while !receives.is_empty() {
            for action in std::mem::take(&mut receives) {
                // A disk that refuses is asked again later, from the beginning.
                if self.work(now, action, &mut receives).is_err() {
                    self.receiver.failed(now);
                }
            }
        }
        let limit = self.sender.clean_limit();
        if limit != self.limit {
            self.limit = limit;
            self.inputs.push(Input::CleanLimit(limit));
            // What cannot be removed now is removed with the next start.
            drop(self.prune());
        }
    }

    fn chunk(&mut self, id: CheckpointId, file: u32, offset: u64, len: u32) -> TransferMessage {
        let Some(manifest) = self.complete.get(&id.at).filter(|manifest| manifest.id() == id)
        else {
            return TransferMessage::Nothing { id };
        };
        let place = usize::try_from(file).ok();
        let is_there = place.and_then(|place| manifest.files.get(place));
        if is_there.is_none_or(|file| offset >= file.size) {
            return TransferMessage::Nothing { id };
        }
        match self.store.read(manifest, file, offset, len) {
            Ok(bytes) if !bytes.is_empty() => TransferMessage::Chunk { id, file, offset, bytes },
            Ok(_) | Err(_) => self.lost(id),
        }
    }

    /// Offers a checkpoint that is whole.
    fn checked(&mut self, id: CheckpointId, bytes: Bytes) -> TransferMessage {
        match self.complete.get(&id.at).filter(|manifest| manifest.id() == id) {
            Some(manifest) if self.store.is_intact(manifest) => {
                TransferMessage::Offer { id, manifest: bytes }
            }
            Some(_) => self.lost(id),
            None => TransferMessage::Nothing { id },
        }
    }

    /// The files of a checkpoint are not what they should be: nobody gets them, and the group takes
    /// another.
    fn lost(&mut self, id: CheckpointId) -> TransferMessage {
        self.sender.lost(id);
        self.complete.remove(&id.at);
        if id.at == self.recorded {
            self.inputs.push(Input::CheckpointLost(id.at));
        }
        TransferMessage::Nothing { id }
    }

    fn work(
        &mut self,
        now: Time,
        action: ReceiverAction,
        out: &mut Vec<ReceiverAction>,
    ) -> io::Result<()> {
        match action {
            ReceiverAction::Send(to, message) => self.messages.push((to, message)),
            ReceiverAction::Begin(id, manifest) => {
                if let Some(old) = self.incoming.take_if(|old| old.at != id.at) {
                    self.store.remove(old.at)?;
                }
                let (file, offset) = self.store.begin(&manifest)?;
                self.incoming = Some(manifest);
                self.receiver.begun(now, file, offset, out);
            }
            ReceiverAction::Store { file, offset, bytes } => {
                let incoming = self.incoming.as_ref().ok_or(io::ErrorKind::NotFound)?;
                self.store.put(incoming, file, offset, &bytes)?;
                let len = u64::try_from(bytes.len()).map_err(io::Error::other)?;
                self.receiver.stored(now, len, out);
            }
            ReceiverAction::Finish(_) => {
                let incoming = self.incoming.take().ok_or(io::ErrorKind::NotFound)?;
                if !self.store.finish(&incoming)? {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                self.complete.insert(incoming.at, incoming);
                if let Some((at, state)) = self.receiver.finished() {
                    self.inputs.push(Input::Install { at, state });
                }
            }
        }
        Ok(())
    }
}
