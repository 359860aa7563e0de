//! The last changes of a group, for those who watch it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::watch;

use crate::command::Versioned;

/// A key has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The number of the change in its group.
    pub revision: u64,
    /// Which key.
    pub key: Bytes,
    /// What it is now; none: it was deleted.
    pub entry: Option<Versioned>,
}

/// The last changes that this node has executed in a group, in memory: they begin at the process's start,
/// or at a checkpoint that came from another node. Watchers read at their own pace, and the feed waits for
/// nobody: who is too slow is told so. Clones are the same feed.
#[derive(Clone, Debug)]
pub struct Feed {
    kept: Arc<Mutex<Kept>>,
    last: watch::Sender<u64>,
}

/// Changes that are not kept here: read the keys, and watch from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("changes after {after} are not kept here, only those after {since} up to {last}")]
pub struct NotKept {
    /// Those after this change were asked for.
    pub after: u64,
    /// Those after this one are kept.
    pub since: u64,
    /// And this is the last.
    pub last: u64,
}

#[derive(Debug)]
struct Kept {
    /// The change before the first one kept.
    since: u64,
    changes: VecDeque<Change>,
    bytes: usize,
}

impl Feed {
    /// A feed of a group that has seen so many changes.
    #[must_use]
    pub fn new(revision: u64) -> Self {
        let kept = Kept { since: revision, changes: VecDeque::new(), bytes: 0 };
        Self { kept: Arc::new(Mutex::new(kept)), last: watch::Sender::new(revision) }
    }

    /// The number of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        *self.last.borrow()
    }

    pub(crate) fn push(&self, change: Change) {
        let revision = change.revision;
        let mut kept = self.kept();
        kept.bytes += change.bytes();
        kept.changes.push_back(change);
        while kept.changes.len() > CHANGES_MAX || kept.bytes > BYTES_MAX {
            let Some(first) = kept.changes.pop_front() else { break };
            kept.bytes -= first.bytes();
            kept.since = first.revision;
        }
        drop(kept);
        self.last.send_replace(revision);
    }

    /// The state was replaced: what lies between is not known.
    pub(crate) fn restart(&self, revision: u64) {
        *self.kept() = Kept { since: revision, changes: VecDeque::new(), bytes: 0 };
        self.last.send_replace(revision);
    }

    /// Some changes after that one, as soon as there are any.
    ///
    /// # Errors
    ///
    /// If they are not kept. One that has not happened here yet is waited for: other nodes may be ahead.
    pub async fn after(&self, after: u64) -> Result<Vec<Change>, NotKept> {
        let mut last = self.last.subscribe();
        loop {
            last.mark_unchanged();
            let changes = self.now_after(after)?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            // Cannot fail: the sender is in `self`.
            last.changed().await.unwrap_or_default();
        }
    }

    /// Those changes that there are, some at a time.
    pub(crate) fn now_after(&self, after: u64) -> Result<Vec<Change>, NotKept> {
        let kept = self.kept();
        let last = kept.changes.back().map_or(kept.since, |change| change.revision);
        if after < kept.since {
            return Err(NotKept { after, since: kept.since, last });
        }
        // Numbers have no gaps.
        let skip = usize::try_from(after - kept.since).unwrap_or(usize::MAX);
        Ok(kept.changes.iter().skip(skip).take(CHANGES_AT_A_TIME).cloned().collect())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    fn bytes(&self) -> usize {
        self.key.len() + self.entry.as_ref().map_or(0, |entry| entry.value.len())
    }
}

const CHANGES_MAX: usize = 10_000;
const BYTES_MAX: usize = 64 << 20;
const CHANGES_AT_A_TIME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn change(revision: u64) -> Change {
        Change { revision, key: "k".into(), entry: None }
    }

    #[tokio::test]
    async fn a_watcher_gets_each_change_once_and_in_order() {
        let feed = Feed::new(5);
        assert_eq!(feed.now_after(5), Ok(vec![]));
        let waiting = tokio::spawn({
            let feed = feed.clone();
            async move { feed.after(5).await }
        });
        tokio::task::yield_now().await;
        feed.push(change(6));
        assert_eq!(waiting.await.unwrap(), Ok(vec![change(6)]));
        feed.push(change(7));
        assert_eq!(feed.after(6).await, Ok(vec![change(7)]));
        assert_eq!(feed.after(5).await, Ok(vec![change(6), change(7)]));
    }

    #[tokio::test]
    async fn what_is_not_kept_is_said_and_not_skipped() {
        let feed = Feed::new(0);
        (1..=20_000).for_each(|revision| feed.push(change(revision)));
        let refused = NotKept { after: 9_999, since: 10_000, last: 20_000 };
        assert_eq!(feed.after(9_999).await, Err(refused));
        assert_eq!(feed.after(10_000).await.unwrap()[0], change(10_001));
        assert_eq!(feed.now_after(20_001), Ok(vec![]), "another node is ahead");
        feed.restart(30_000);
        assert!(feed.after(20_000).await.is_err());
        assert_eq!(feed.revision(), 30_000);
    }
}
