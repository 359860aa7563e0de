//! The state machine: executes commands on its store, and tells those who watch.

use bytes::Bytes;
use prost::Message;
use synod::{Checkpoint, CheckpointError, Directory, Position, StateMachine};

use crate::checkpoint;
use crate::command::{Answer, Command, Versioned};
use crate::feed::{Change, Feed};
use crate::store::{Store, StoreError};

/// The state machine of one group.
#[derive(Debug)]
pub struct KvMachine {
    store: Store,
    feed: Feed,
    applied: Position,
}

impl KvMachine {
    /// A machine over a store.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub fn new(store: Store) -> Result<Self, StoreError> {
        let progress = store.progress()?;
        Ok(Self { store, feed: Feed::new(progress.revision), applied: progress.applied })
    }

    /// What it executes, to be watched.
    #[must_use]
    pub fn feed(&self) -> Feed {
        self.feed.clone()
    }
}

// A store that fails panics: the state in memory and the file might differ then. The group stops on this
// node, its status says why, and the other nodes go on.
impl StateMachine for KvMachine {
    fn applied(&self) -> Position {
        self.applied
    }

    fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
        let Ok(command) = Command::decode(command) else {
            return sure(self.store.skip(at)).encode_to_vec().into();
        };
        let outcome = sure(self.store.execute(at, &command));
        if outcome.changed {
            // Copies: a slice would keep all of the batch in memory that it was chosen with.
            let key = Bytes::copy_from_slice(&command.key);
            let entry = command.value.map(|value| Versioned {
                value: Bytes::copy_from_slice(&value),
                version: outcome.version,
            });
            self.feed.push(Change { revision: outcome.revision, key, entry });
        }
        outcome.encode_to_vec().into()
    }

    fn read(&self, query: Bytes) -> Bytes {
        Answer { entry: sure(self.store.get(&query)) }.encode_to_vec().into()
    }

    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Ok(Box::new(self.store.freeze()?))
    }

    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        checkpoint::load(&self.store, directory)?;
        self.feed.restart(self.store.progress()?.revision);
        Ok(())
    }
}

fn sure<T>(result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
