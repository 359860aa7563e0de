//! The copy's thread.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use synod_core::Position;

use super::error::MirrorError;
use super::feed::{Digest, Entry, Feed};
use super::{Copied, Save};
use crate::machines::panic_message;

/// Starts the thread, which ends with the feed and drops the copy.
pub(super) fn spawn<M: Save>(feed: &Arc<Feed>, copy: &Copied<M>) -> io::Result<()> {
    let (feed, copy) = (Arc::clone(feed), Arc::clone(copy));
    let name = format!("synod-mirror-{}", feed.sm.0);
    thread::Builder::new().name(name).spawn(move || {
        let ran = catch_unwind(AssertUnwindSafe(|| {
            while let Some((entry, place)) = feed.next() {
                feed.executed(execute(&copy, &entry, place));
            }
            let copy = copy.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(copy);
        }));
        if let Err(panic) = ran {
            feed.end(&panicked("outside of its commands", &*panic));
        }
    })?;
    Ok(())
}

/// Gives the copy a command, unless it is in its state already; says where it is then.
fn execute<M: Save>(
    copy: &Mutex<Option<M>>,
    entry: &Entry,
    place: Position,
) -> Result<Position, MirrorError> {
    if entry.at <= place {
        return Ok(place);
    }
    let mut copy = copy.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(copy) = &mut *copy else { return Err(MirrorError::Ended) };
    let apply = AssertUnwindSafe(|| copy.apply(entry.at, entry.command.clone()));
    let output =
        catch_unwind(apply).map_err(|panic| panicked(&format!("at {}", entry.at), &*panic))?;
    if entry.output.is_some_and(|expected| expected != Digest::of(&output)) {
        return Err(MirrorError::Diverged { at: entry.at });
    }
    Ok(entry.at)
}

pub(super) fn panicked(during: &str, panic: &(dyn std::any::Any + Send)) -> MirrorError {
    MirrorError::Panicked { during: during.to_owned(), reason: panic_message(panic) }
}
