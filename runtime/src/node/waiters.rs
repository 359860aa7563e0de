//! Who waits for an answer of the core, by the number that the core gives back.

/// A slab of waiters. A number is used again only after 2^32 others in its place, so an answer that
/// comes late finds nobody rather than somebody else.
#[derive(Debug)]
pub(crate) struct Waiters<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    waiter: Option<T>,
}

impl<T> Waiters<T> {
    pub(crate) const fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }

    /// Takes a waiter in, and names it.
    pub(crate) fn insert(&mut self, waiter: T) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place { generation: 0, waiter: None });
            u32::try_from(self.places.len() - 1).expect("waiters are bounded by the core")
        });
        let place = &mut self.places[to_usize(index)];
        place.waiter = Some(waiter);
        u64::from(place.generation) << 32 | u64::from(index)
    }

    /// Lets the named waiter go; `None` if it has gone before.
    pub(crate) fn remove(&mut self, id: u64) -> Option<T> {
        let (index, generation) = split(id);
        let place = self.places.get_mut(to_usize(index))?;
        if place.generation != generation {
            return None;
        }
        let waiter = place.waiter.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(index);
        Some(waiter)
    }

    /// Lets everybody go.
    pub(crate) fn clear(&mut self) -> impl Iterator<Item = T> {
        self.free.clear();
        self.places.drain(..).filter_map(|place| place.waiter)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

fn split(id: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = id.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn to_usize(index: u32) -> usize {
    usize::try_from(index).expect("an index of a slab in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_does_not_reach_the_next_in_the_same_place() {
        let mut waiters = Waiters::new();
        let first = waiters.insert("first");
        let other = waiters.insert("other");
        assert_eq!(waiters.remove(first), Some("first"));
        let second = waiters.insert("second");
        assert_ne!(first, second);
        assert_eq!(waiters.remove(first), None);
        assert_eq!(waiters.len(), 2);
        assert_eq!(waiters.remove(second), Some("second"));
        assert_eq!(waiters.remove(other), Some("other"));
        assert_eq!(waiters.remove(u64::MAX), None);
    }

    #[test]
    fn clearing_lets_everybody_go() {
        let mut waiters = Waiters::new();
        let gone = waiters.insert(1);
        waiters.insert(2);
        waiters.remove(gone);
        waiters.insert(3);
        let mut all: Vec<i32> = waiters.clear().collect();
        all.sort_unstable();
        assert_eq!(all, [2, 3]);
        assert_eq!(waiters.len(), 0);
    }
}
