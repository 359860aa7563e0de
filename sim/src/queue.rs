//! The one event queue: what happens when, and in which order at one moment.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use synod_core::Time;

use crate::rng::{to_index, to_u64};

/// Events in order of time; those of one moment in the order in which they were put in.
///
/// The heap holds time, count and place only, in one number, so that comparing and moving its entries
/// is cheap; the events themselves lie in a slab whose places are used again.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<u128>>,
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
        assert!(to_u64(place) < PLACES_MAX, "{place} events wait");
        assert!(self.count < u64::MAX / PLACES_MAX, "{} events were put in", self.count);
        let rank = self.count * PLACES_MAX + to_u64(place);
        self.heap.push(Reverse((u128::from(at.as_nanos()) << u64::BITS) + u128::from(rank)));
    }

    /// What happens next, and when.
    pub fn pop(&mut self) -> Option<(Time, E)> {
        let Reverse(entry) = self.heap.pop()?;
        let [at, rank] = [entry >> u64::BITS, entry & u128::from(u64::MAX)]
            .map(|half| u64::try_from(half).expect("a half"));
        let (at, place) = (Time::from_nanos(at), to_index(rank % PLACES_MAX));
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

/// More events than this never wait at once.
const PLACES_MAX: u64 = 1 << 20;

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
