//! The receiver's side of a transfer.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{CheckpointId, Manifest, TransferConfig, TransferMessage};
use crate::group::Wanted;
use crate::ids::{Instance, NodeId};
use crate::snapshot::is_checkpoint_state;
use crate::time::Time;

/// What the embedder is to do for a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiverAction {
    /// Send this.
    Send(NodeId, TransferMessage),
    /// Get a place ready for the files of this checkpoint, in place of any other that was coming; what
    /// is there of the same one already may stay. Answer with [`Receiver::begun`].
    Begin(CheckpointId, Manifest),
    /// Write this; answer with [`Receiver::stored`].
    Store {
        /// The place of the file in the manifest.
        file: u32,
        /// Where in the file.
        offset: u64,
        /// What is there.
        bytes: Bytes,
    },
    /// Everything is there. Check every file against the manifest, make all of it durable, and
    /// answer with [`Receiver::finished`].
    Finish(CheckpointId),
}

/// Gets one checkpoint at a time from whichever peer has it.
#[derive(Debug)]
pub struct Receiver {
    config: TransferConfig,
    wanted: Option<Wanted>,
    state: State,
    /// Who is asked, and was asked last.
    from: NodeId,
    /// Questions in a row without an answer.
    unanswered: u32,
    /// The same, whoever was asked: patience grows with it, for peers that are far away.
    silence: u32,
    /// The next chunk that is missing of what was begun.
    coming: Option<Coming>,
    /// What a peer offered and had nothing of any more.
    gone: Option<(NodeId, CheckpointId)>,
}

#[derive(Debug)]
struct Coming {
    id: CheckpointId,
    manifest: Manifest,
    file: u32,
    offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is under way until then.
    Waiting(Time),
    /// A question is under way.
    Asking(Time),
    /// A chunk is under way.
    Fetching(Time),
    /// The embedder is at work.
    Working,
    /// A whole checkpoint is there, and is being installed.
    Done(Instance),
}

impl Receiver {
    /// One that receives nothing yet.
    #[must_use]
    pub const fn new(config: TransferConfig) -> Self {
        Self {
            config,
            wanted: None,
            state: State::Waiting(Time::ZERO),
            from: NodeId(0),
            unanswered: 0,
            silence: 0,
            coming: None,
            gone: None,
        }
    }

    /// What the group wants, as [`Group::wanted`](crate::Group::wanted) says after every step.
    pub fn want(&mut self, wanted: Option<Wanted>) {
        if let (State::Done(at), Some(wanted)) = (self.state, &wanted)
            && wanted.next > at
        {
            self.state = State::Waiting(Time::ZERO);
        }
        if wanted.is_none() && !matches!(self.state, State::Working | State::Done(_)) {
            self.state = State::Waiting(Time::ZERO);
        }
        self.wanted = wanted;
    }

    /// The checkpoint that was finished is of no use after all, or is installed.
    pub fn settled(&mut self) {
        if matches!(self.state, State::Done(_)) {
            self.state = State::Waiting(Time::ZERO);
        }
    }

    /// When to tick next.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        self.wanted.as_ref()?;
        match self.state {
            State::Waiting(until) | State::Asking(until) | State::Fetching(until) => Some(until),
            State::Working | State::Done(_) => None,
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Time, out: &mut Vec<ReceiverAction>) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        match self.state {
            State::Waiting(_) => self.go_on(now, out),
            State::Asking(_) | State::Fetching(_) => {
                self.unanswered += 1;
                self.silence = self.silence.saturating_add(1);
                if matches!(self.state, State::Fetching(_)) && self.unanswered < PATIENT_TIMES {
                    self.fetch(now, out);
                } else {
                    self.turn_to_another(now, out);
                }
            }
            State::Working | State::Done(_) => {}
        }
    }

    /// A message came.
    pub fn receive(
        &mut self,
        now: Time,
        from: NodeId,
        message: TransferMessage,
        out: &mut Vec<ReceiverAction>,
    ) {
        let Some(wanted) = &self.wanted else { return };
        // Late, it is as good: the peer may be further away than patience reached.
        let is_late_offer = matches!(message, TransferMessage::Offer { .. })
            && matches!(self.state, State::Asking(_) | State::Waiting(_))
            && wanted.from.contains(&from);
        if is_late_offer {
            self.from = from;
        }
        if from != self.from {
            return;
        }
        match (self.state, message) {
            (State::Asking(_) | State::Waiting(_), TransferMessage::Offer { id, manifest }) => {
                self.offered(now, id, &manifest, out);
            }
            (State::Fetching(_), TransferMessage::Chunk { id, file, offset, bytes }) => {
                let Some(coming) = self.coming.as_mut().filter(|coming| coming.id == id) else {
                    return;
                };
                let end = offset.checked_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                let size = coming.size();
                let fits = end.is_some_and(|end| end <= size) && !bytes.is_empty();
                if (file, offset) == (coming.file, coming.offset) && fits {
                    self.unanswered = 0;
                    self.state = State::Working;
                    out.push(ReceiverAction::Store { file, offset, bytes });
                }
            }
            (State::Asking(_), TransferMessage::Nothing { .. }) => self.turn_to_another(now, out),
            (State::Fetching(_), TransferMessage::Nothing { id })
                if self.coming.as_ref().is_some_and(|coming| coming.id == id) =>
            {
                // It has another one by now.
                mark!(TRANSFER_GONE);
                self.gone = Some((from, id));
                self.ask(now, out);
            }
            // Late, doubled, or for the other side.
            (State::Waiting(_) | State::Asking(_) | State::Fetching(_), _)
            | (State::Working | State::Done(_), _) => {}
        }
    }

    /// The place is ready, and this much of the checkpoint is there already: all files before one,
    /// and so many bytes of that one.
    pub fn begun(&mut self, now: Time, file: u32, offset: u64, out: &mut Vec<ReceiverAction>) {
        if let Some(coming) = &mut self.coming {
            mark!(TRANSFER_RESUMED_AFTER_RESTART if (file, offset) > (0, 0));
            (coming.file, coming.offset) = (file, offset);
        }
        self.fetch(now, out);
    }

    /// The last chunk is written.
    pub fn stored(&mut self, now: Time, bytes: u64, out: &mut Vec<ReceiverAction>) {
        if let Some(coming) = &mut self.coming {
            coming.offset += bytes;
        }
        self.silence = 0;
        self.fetch(now, out);
    }

    /// The embedder could not write, or what came is not what was announced: from the beginning, and
    /// from somebody else.
    pub fn failed(&mut self, now: Time) {
        mark!(TRANSFER_FAILED);
        self.coming = None;
        self.unanswered = PATIENT_TIMES;
        self.state = State::Waiting(now + self.config.patience);
    }

    /// The whole checkpoint is there, checked and durable: it is to be installed. Says at which
    /// instance, and the group's own state.
    pub fn finished(&mut self) -> Option<(Instance, Bytes)> {
        let Coming { manifest: Manifest { at, state, .. }, .. } = self.coming.take()?;
        self.state = State::Done(at);
        Some((at, state))
    }

    /// How long to wait for an answer: longer and longer, up to eight times.
    fn patience(&self) -> Duration {
        self.config.patience * (1 << self.silence.min(3))
    }

    fn go_on(&mut self, now: Time, out: &mut Vec<ReceiverAction>) {
        if self.unanswered > 0 {
            self.turn_to_another(now, out);
        } else {
            self.ask(now, out);
        }
    }

    /// Asks who was asked last, if it is still one of those that may have something.
    fn ask(&mut self, now: Time, out: &mut Vec<ReceiverAction>) {
        let Some(Wanted { next, from }) = &self.wanted else { return };
        let first = from.first().copied().unwrap_or(self.from);
        if !from.contains(&self.from) {
            self.from = first;
        }
        self.state = State::Asking(now + self.patience());
        out.push(ReceiverAction::Send(self.from, TransferMessage::Ask { next: *next }));
    }

    fn turn_to_another(&mut self, now: Time, out: &mut Vec<ReceiverAction>) {
        let Some(Wanted { from, .. }) = &self.wanted else { return };
        let above = from.iter().filter(|peer| **peer > self.from).min();
        let Some(other) = above.or_else(|| from.iter().min()).copied() else { return };
        mark!(TRANSFER_FROM_ANOTHER if other != self.from && self.coming.is_some());
        // Once around without success, take a breath.
        if other <= self.from && matches!(self.state, State::Asking(_)) {
            self.unanswered = 0;
            self.from = other;
            self.state = State::Waiting(now + self.config.patience);
            return;
        }
        self.from = other;
        self.unanswered = 0;
        self.ask(now, out);
    }

    fn offered(
        &mut self,
        now: Time,
        id: CheckpointId,
        bytes: &Bytes,
        out: &mut Vec<ReceiverAction>,
    ) {
        let next = self.wanted.as_ref().map_or(Instance::MAX, |wanted| wanted.next);
        let manifest = Manifest::decode(bytes).filter(|manifest| {
            manifest.id() == id && id.at >= next && is_checkpoint_state(id.at, &manifest.state)
        });
        // What cannot be had there is not asked for there again at once.
        let is_gone = self.gone.take() == Some((self.from, id));
        let Some(manifest) = manifest.filter(|_| !is_gone) else {
            mark!(TRANSFER_OFFER_REFUSED);
            return self.turn_to_another(now, out);
        };
        self.unanswered = 0;
        if self.coming.as_ref().is_some_and(|coming| coming.id == id) {
            mark!(TRANSFER_GOES_ON);
            return self.fetch(now, out);
        }
        self.coming = Some(Coming { id, manifest: manifest.clone(), file: 0, offset: 0 });
        self.state = State::Working;
        out.push(ReceiverAction::Begin(id, manifest));
    }

    /// Asks for the next chunk that is missing, or finishes.
    fn fetch(&mut self, now: Time, out: &mut Vec<ReceiverAction>) {
        let patience = self.patience();
        let Some(coming) = &mut self.coming else {
            self.state = State::Waiting(now + self.config.patience);
            return;
        };
        let next = self.wanted.as_ref().map(|wanted| wanted.next);
        if next.is_none_or(|next| next > coming.id.at) {
            mark!(TRANSFER_OVERTAKEN_BY_LEARNING);
            self.state = State::Waiting(now);
            return;
        }
        while coming.file() < coming.manifest.files.len() && coming.offset >= coming.size() {
            (coming.file, coming.offset) = (coming.file + 1, 0);
        }
        let (id, file, offset) = (coming.id, coming.file, coming.offset);
        if coming.file() >= coming.manifest.files.len() {
            self.state = State::Working;
            out.push(ReceiverAction::Finish(id));
            return;
        }
        self.state = State::Fetching(now + patience);
        let len = self.config.chunk_bytes;
        let message = TransferMessage::Fetch { id, file, offset, len };
        out.push(ReceiverAction::Send(self.from, message));
    }
}

impl Coming {
    fn file(&self) -> usize {
        usize::try_from(self.file).unwrap_or(usize::MAX)
    }

    /// Bytes of the file that is coming.
    fn size(&self) -> u64 {
        self.manifest.files.get(self.file()).map_or(0, |file| file.size)
    }
}

/// A peer is asked for one chunk so many times before another peer is.
const PATIENT_TIMES: u32 = 3;

#[cfg(test)]
mod tests;
