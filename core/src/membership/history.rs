//! The membership of each instance.

use alloc::vec::Vec;

use super::Membership;
use crate::code::{Reader, put_u32, put_u64};
use crate::ids::Instance;

/// The membership of each instance (I6): which entry below it decided.
///
/// Today a group keeps its founding membership; the history is here because every count of votes
/// already asks for the membership *of an instance*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Ascending by first instance; the first entry starts at [`Instance::ZERO`].
    eras: Vec<(Instance, Membership)>,
}

impl History {
    /// The history of a group that has only its founding membership.
    #[must_use]
    pub fn founded(membership: Membership) -> Self {
        Self { eras: alloc::vec![(Instance::ZERO, membership)] }
    }

    /// The membership that decides `instance`.
    #[must_use]
    pub fn at(&self, instance: Instance) -> &Membership {
        let (first, newest) = &self.eras[self.eras.len() - 1];
        if *first <= instance {
            return newest; // nearly always
        }
        let above = self.eras.partition_point(|&(first, _)| first <= instance);
        &self.eras[above - 1].1
    }

    /// The newest membership.
    #[must_use]
    pub fn newest(&self) -> &Membership {
        &self.eras[self.eras.len() - 1].1
    }

    /// What everything up to `at` has decided: an entry there decides about the instance above it.
    pub(crate) fn through(&self, at: Instance) -> Self {
        let eras = self.eras.iter().filter(|(first, _)| *first <= at.next());
        Self { eras: eras.cloned().collect() }
    }

    /// Appends the history as bytes; [`Self::decode`] reads them.
    ///
    /// ```text
    /// eras: u32, then for each, ascending:
    ///   first: u64, then its membership
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.eras.len());
        for (first, membership) in &self.eras {
            put_u64(out, first.0);
            membership.encode(out);
        }
    }

    /// Reads a history off the front of `bytes`; `None` if there is none.
    pub(crate) fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let mut eras = Vec::new();
        for _ in 0..bytes.u32()? {
            let first = Instance(bytes.u64()?);
            if eras.last().is_some_and(|(last, _)| *last >= first) {
                return None;
            }
            eras.push((first, Membership::read(bytes)?));
        }
        let begins = eras.first().is_some_and(|(first, _)| *first == Instance::ZERO);
        begins.then_some(Self { eras })
    }

    /// Reads a history; `None` if the bytes are none, or more than one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader).filter(|_| reader.is_empty())
    }

    /// Every membership that decides `from` or an instance above it.
    pub fn since(&self, from: Instance) -> impl Iterator<Item = &Membership> {
        let above = self.eras.partition_point(|&(first, _)| first <= from);
        self.eras[above - 1..].iter().map(|(_, membership)| membership)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;
    use alloc::vec;

    #[test]
    fn a_history_comes_back_and_no_prefix_of_it_does() {
        let first = Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap();
        let second = Membership::new(vec![member(3)], vec![]).unwrap();
        let history = History { eras: vec![(Instance::ZERO, first), (Instance(9), second)] };
        let mut bytes = Vec::new();
        history.encode(&mut bytes);
        assert_eq!(History::decode(&bytes), Some(history));
        for end in 0..bytes.len() {
            assert_eq!(History::decode(&bytes[..end]), None, "prefix of {end} bytes");
        }
        bytes.push(0);
        assert_eq!(History::decode(&bytes), None);
    }
}
