//! The handle from which a checkpoint is written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use super::copy::panicked;
use super::error::MirrorError;
use super::feed::{Feed, Mark};
use super::{Copied, Save};
use crate::{Checkpoint, CheckpointError, Directory};

/// Stands for the copy at a mark. Dropping it, written or not, lets the copy go on.
pub(super) struct Writing<M: Save> {
    pub(super) feed: Arc<Feed>,
    pub(super) copy: Copied<M>,
    pub(super) mark: Mark,
}

impl<M: Save> Checkpoint for Writing<M> {
    fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let place = self.feed.reach(&self.mark)?;
        let copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(machine) = &*copy else { return Err(MirrorError::Ended.into()) };
        place.write(directory)?;
        let saved = catch_unwind(AssertUnwindSafe(|| machine.save(directory)));
        drop(copy);
        saved.unwrap_or_else(|panic| {
            let error = panicked("while it was written", &*panic);
            self.feed.end(&error);
            Err(error.into())
        })
    }
}

impl<M: Save> Drop for Writing<M> {
    fn drop(&mut self) {
        self.feed.release(&self.mark);
    }
}
