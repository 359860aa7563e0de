//! The one event queue: what happens when, and in which order at one moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use synod_core::Time;

/// Events in order of time; those of one moment in the order in which they were put in.
///
/// The heap holds (time, count, place) only, so that moving its entries is cheap; the events
/// themselves lie in a slab whose places are used again.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    slab: Vec<Option<E>>,
    free: Vec<usize>,
    count: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slab: Vec::new(), free: Vec::new(), count: 0 }
    }
}

impl<E> Queue<E> {
    /// Lets `event` happen at `at`.
    pub fn push(&mut self, at: Time, event: E) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.slab.push(None);
            self.slab.len() - 1
        });
        self.slab[place] = Some(event);
        self.count += 1;
        self.heap.push(Reverse((at, self.count, place)));
    }

    /// What happens next, and when.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse((at, _, place)) = self.heap.pop()?;
        let event = self.slab[place].take().expect("every entry of the heap has its event");
        self.free.push(place);
        Some((at, event))
    }

    /// How many events wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing will ever happen again.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_of_time_and_then_of_arrival() {
        let mut queue = Queue::default();
        for (at, event) in [(3, 'c'), (1, 'a'), (3, 'd'), (2, 'b'), (3, 'e')] {
            queue.push(Time::from_millis(at), event);
        }
        let order: String = std::iter::from_fn(|| queue.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcde");
        assert!(queue.is_empty());
    }

    #[test]
    fn places_are_used_again() {
        let mut queue = Queue::default();
        for n in 0..100 {
            queue.push(Time::ZERO, n);
            assert_eq!(queue.pop(), Some((Time::ZERO, n)));
        }
        assert_eq!(queue.slab.len(), 1);
    }
}
