//! The state machine that simulated clusters replicate: a small key-value store whose every result
//! depends on everything executed before.
//!
//! A key holds one word. No operation is idempotent as seen from outside: executing one twice, or in
//! another order, changes an output or the digest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use synod::{Checkpoint, CheckpointError, Directory, StateMachine, Stream};
use synod_core::{Instance, Position, SmId};

use crate::rng::mix;

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Op {
    /// The key.
    pub key: u16,
    /// Names the operation: no two of one run have the same, reads aside.
    pub tag: u64,
    /// What it does.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// The key holds the tag; outputs what it held.
    Put,
    /// Mixes the tag into what the key holds; outputs the result.
    Append,
    /// Puts the tag if the key holds this; outputs what it held.
    Cas(u64),
    /// Outputs what the key holds.
    Get,
}

impl Op {
    /// What the operation does to a key that holds `held`: what it holds then, and the output.
    ///
    /// The one definition of the semantics: machine, reference and search all use it.
    #[must_use]
    pub const fn run(&self, held: u64) -> (u64, u64) {
        match self.action {
            Action::Put => (self.tag, held),
            Action::Append => {
                let now = mix(held ^ self.tag);
                (now, now)
            }
            Action::Cas(expected) if expected == held => (self.tag, held),
            Action::Cas(_) | Action::Get => (held, held),
        }
    }

    /// The operation as a command, with so many bytes of padding.
    #[must_use]
    pub fn encode(&self, padding: usize) -> Bytes {
        let mut bytes = BytesMut::with_capacity(HEAD + padding);
        let (kind, operand) = match self.action {
            Action::Put => (0, 0),
            Action::Append => (1, 0),
            Action::Cas(expected) => (2, expected),
            Action::Get => (3, 0),
        };
        bytes.put_u8(kind);
        bytes.put_u16_le(self.key);
        bytes.put_u64_le(self.tag);
        bytes.put_u64_le(operand);
        bytes.put_bytes(self.tag.to_le_bytes()[0], padding);
        bytes.freeze()
    }

    /// The operation that a command is, if it is one.
    #[must_use]
    pub fn decode(command: &[u8]) -> Option<Self> {
        let head: &[u8; HEAD] = command.first_chunk()?;
        let word = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
        let action = match head[0] {
            0 => Action::Put,
            1 => Action::Append,
            2 => Action::Cas(word(11)?),
            3 => Action::Get,
            _ => return None,
        };
        Some(Self { key: u16::from_le_bytes([head[1], head[2]]), tag: word(3)?, action })
    }
}

const HEAD: usize = 19;

/// The store's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kv {
    keys: Vec<u64>,
    digest: u64,
    applied: Position,
}

impl Kv {
    /// Executes what stands at a position.
    pub fn execute(&mut self, at: Position, op: &Op) -> u64 {
        let key = usize::from(op.key);
        if key >= self.keys.len() {
            self.keys.resize(key + 1, 0);
        }
        let (now, output) = op.run(self.keys[key]);
        self.keys[key] = now;
        self.applied = at;
        self.digest = mix(self.digest ^ at.instance.0.rotate_left(24) ^ u64::from(at.index));
        self.digest = mix(self.digest ^ op.tag) ^ output;
        output
    }

    /// What a key holds.
    #[must_use]
    pub fn held(&self, key: u16) -> u64 {
        self.keys.get(usize::from(key)).copied().unwrap_or(0)
    }

    /// A hash over everything executed, in order, with positions and outputs.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The last position executed.
    #[must_use]
    pub const fn applied(&self) -> Position {
        self.applied
    }

    /// Everything, as a checkpoint holds it.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_u64_le(self.digest);
        bytes.put_u64_le(self.applied.instance.0);
        bytes.put_u32_le(self.applied.index);
        self.keys.iter().for_each(|held| bytes.put_u64_le(*held));
        bytes.freeze()
    }

    /// What [`encode`](Self::encode) wrote.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let (digest, instance) = (bytes.try_get_u64_le().ok()?, bytes.try_get_u64_le().ok()?);
        let index = bytes.try_get_u32_le().ok()?;
        let applied = Position { instance: Instance(instance), index };
        let mut keys = Vec::new();
        while !bytes.is_empty() {
            keys.push(bytes.try_get_u64_le().ok()?);
        }
        Some(Self { keys, digest, applied })
    }
}

/// The id of the [`Store`] in every group: out of the way of any other machine's.
pub const STORE: SmId = SmId(u32::MAX);

/// The store as the library hosts it. Clones share the state, which may outlive the process: that
/// is a machine which keeps its own state on disk.
#[derive(Clone, Debug, Default)]
pub struct Store(Arc<Mutex<Kv>>);

impl Store {
    /// A store with this state, shared with nobody yet.
    #[must_use]
    pub fn holding(state: Kv) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// The state, to look at.
    pub fn state(&self) -> MutexGuard<'_, Kv> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Whether this is the machine `sm`, and it goes on from a checkpoint at `at`, not from further.
    pub(crate) fn needs(&self, sm: SmId, at: Instance) -> bool {
        sm == STORE && self.state().applied().instance <= at
    }
}

impl StateMachine for Store {
    fn id(&self) -> SmId {
        STORE
    }

    fn applied(&self) -> Position {
        self.state().applied()
    }

    fn digest(&self) -> Option<u64> {
        Some(self.state().digest())
    }

    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        // A foreign command changes nothing; the reference execution will notice the difference.
        let Some(op) = Op::decode(&command) else { return Bytes::new() };
        Bytes::copy_from_slice(&self.state().execute(at, &op).to_le_bytes())
    }

    fn read(&self, query: Bytes) -> Bytes {
        let key = query.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
        Bytes::copy_from_slice(&self.state().held(key).to_le_bytes())
    }

    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Ok(Box::new(Stream(self.state().encode())))
    }

    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let state = Kv::decode(&Stream::load(directory)?);
        *self.state() = state.ok_or_else(|| CheckpointError::Contents("no store".to_owned()))?;
        Ok(())
    }
}

/// The word that an output or answer of a [`Store`] holds.
#[must_use]
pub fn word(output: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(output.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_round_trip_with_padding() {
        for action in [Action::Put, Action::Append, Action::Cas(77), Action::Get] {
            let op = Op { key: 513, tag: 1 << 40, action };
            assert_eq!(Op::decode(&op.encode(9)), Some(op));
        }
        assert_eq!(Op::decode(b"short"), None);
        assert_eq!(Op::decode(&[9; 19]), None);
    }

    #[test]
    fn a_state_comes_back() {
        let mut kv = Kv::default();
        for key in [3, 0] {
            let at = Position { instance: Instance(u64::from(key) + 1), index: 2 };
            kv.execute(at, &Op { key, tag: 7, action: Action::Append });
            assert_eq!(Kv::decode(&kv.encode()), Some(kv.clone()));
        }
        assert_eq!(Kv::decode(&kv.encode()[..27]), None);
    }

    #[test]
    fn executing_twice_shows_in_an_output_or_in_the_digest() {
        for action in [Action::Put, Action::Append, Action::Cas(0), Action::Get] {
            let op = Op { key: 1, tag: 5, action };
            let mut kv = Kv::default();
            kv.execute(Position { instance: Instance(1), index: 0 }, &op);
            let once = kv.clone();
            kv.execute(Position { instance: Instance(2), index: 0 }, &op);
            assert_ne!(kv.digest(), once.digest(), "{action:?}");
        }
    }

    #[test]
    fn a_store_that_is_kept_says_how_far_it_is() {
        let store = Store::default();
        let at = Position { instance: Instance(4), index: 2 };
        store.clone().apply(at, Op { key: 0, tag: 9, action: Action::Put }.encode(0));
        assert_eq!(StateMachine::applied(&store), at);
        assert_eq!(word(&store.read(Bytes::from_static(&[0, 0]))), Some(9));
    }
}
