//! The one queue into the driver, from every thread and task.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Many push, one drains. A push rings the bell only if the queue was empty, so a busy driver is
/// never woken for what it is about to find anyway: wake-ups dominate the cost of a small command.
#[derive(Debug)]
pub(crate) struct Inbox<T> {
    queue: Mutex<Queue<T>>,
    bell: Notify,
}

#[derive(Debug)]
struct Queue<T> {
    items: Vec<T>,
    closed: bool,
}

impl<T> Inbox<T> {
    pub(crate) fn new() -> Self {
        let queue = Queue { items: Vec::new(), closed: false };
        Self { queue: Mutex::new(queue), bell: Notify::new() }
    }

    /// Adds an item whose number is bounded elsewhere: by what the driver has outstanding.
    pub(crate) fn push(&self, item: T) {
        self.extend([item]);
    }

    /// Adds items with one wake-up at most. Drops them if the inbox is closed.
    pub(crate) fn extend(&self, items: impl IntoIterator<Item = T>) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        let was_empty = queue.items.is_empty();
        queue.items.extend(items);
        let ring = was_empty && !queue.items.is_empty();
        drop(queue);
        if ring {
            self.bell.notify_one();
        }
    }

    /// Adds an item, unless `max` wait already or the inbox is closed: then gives it back.
    pub(crate) fn offer(&self, item: T, max: usize) -> Result<(), T> {
        let mut queue = self.lock();
        if queue.closed || queue.items.len() >= max {
            return Err(item);
        }
        let was_empty = queue.items.is_empty();
        queue.items.push(item);
        drop(queue);
        if was_empty {
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Adds items in their order with one wake-up, if all of them find room: otherwise none.
    pub(crate) fn offer_all(&self, items: Vec<T>, max: usize) -> bool {
        let mut queue = self.lock();
        if queue.closed || queue.items.len() + items.len() > max {
            return false;
        }
        let ring = queue.items.is_empty() && !items.is_empty();
        queue.items.extend(items);
        drop(queue);
        if ring {
            self.bell.notify_one();
        }
        true
    }

    /// Swaps everything that waits into `into`, which has to be empty; its buffer is used next.
    pub(crate) fn drain_into(&self, into: &mut Vec<T>) {
        debug_assert!(into.is_empty());
        mem::swap(&mut self.lock().items, into);
    }

    /// Takes nothing more, so that nobody waits for an answer that cannot come; gives what waits.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut queue = self.lock();
        queue.closed = true;
        mem::take(&mut queue.items)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Until something was pushed since the last time this returned. Cancel-safe.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_push_into_an_empty_inbox_rings_once() {
        let inbox = Inbox::new();
        inbox.push(1);
        inbox.extend([2, 3]);
        inbox.rung().await;
        let mut got = Vec::new();
        inbox.drain_into(&mut got);
        assert_eq!(got, [1, 2, 3]);
        let again = tokio::time::timeout(std::time::Duration::from_millis(5), inbox.rung()).await;
        assert!(again.is_err(), "nothing was pushed since");
    }

    #[test]
    fn a_full_inbox_gives_the_item_back() {
        let inbox = Inbox::new();
        assert_eq!(inbox.offer("a", 1), Ok(()));
        assert_eq!(inbox.offer("b", 1), Err("b"));
        assert_eq!(inbox.len(), 1);
        assert!(!inbox.offer_all(vec!["b", "c"], 2), "one of them finds no room");
        assert!(inbox.offer_all(vec!["b", "c"], 3));
        assert_eq!(inbox.close(), ["a", "b", "c"]);
        assert!(!inbox.offer_all(vec![], 3), "it is closed");
    }

    #[test]
    fn a_closed_inbox_takes_nothing() {
        let inbox = Inbox::new();
        inbox.push("a");
        assert_eq!(inbox.close(), ["a"]);
        inbox.push("b");
        assert_eq!(inbox.offer("c", 1), Err("c"));
        assert_eq!(inbox.len(), 0);
    }
}
