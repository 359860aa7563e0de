//! The membership of each instance.

use alloc::vec::Vec;

use super::Membership;
use crate::code::{Reader, put_u32, put_u64};
use crate::ids::{Incarnation, Instance, Member};

/// The membership of each instance (I6): which entry below it decided.
///
/// An entry chosen at `k` starts the *era* `k + 1`. The history is known up to the chosen prefix and
/// no further, since each era follows from chosen values alone; so [`since`](Self::since) the chosen
/// prefix gives every membership that may still decide anything: two while the prefix ends at an
/// entry, else one. That is what *complete* means: the change at `k` is complete exactly when the
/// chosen prefix is above `k`. An instance above `k` can be chosen only by a leader that the new
/// members promised, each of which holds the log through `k` on its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Ascending by first instance. What lies below the first one is decided by it, too: nobody asks.
    eras: Vec<(Instance, Membership)>,
    /// Memories that were members and are not any more, the last ones at the end.
    left: Vec<Incarnation>,
}

impl History {
    /// The history of a group that has only its founding membership.
    #[must_use]
    pub fn founded(membership: Membership) -> Self {
        Self { eras: alloc::vec![(Instance::ZERO, membership)], left: Vec::new() }
    }

    /// The membership that decides `instance`.
    #[must_use]
    pub fn at(&self, instance: Instance) -> &Membership {
        let (first, newest) = &self.eras[self.eras.len() - 1];
        if *first <= instance {
            return newest; // nearly always
        }
        &self.eras[self.era(instance)].1
    }

    /// The newest membership.
    #[must_use]
    pub fn newest(&self) -> &Membership {
        &self.eras[self.eras.len() - 1].1
    }

    /// The version of the membership that decides `instance`: the instance of its entry, zero for
    /// the founding.
    #[must_use]
    pub fn version_at(&self, instance: Instance) -> Instance {
        self.eras[self.era(instance)].0.prev()
    }

    /// The version of the newest membership. Everything up to there is chosen.
    #[must_use]
    pub fn version(&self) -> Instance {
        self.eras[self.eras.len() - 1].0.prev()
    }

    /// Every membership that decides `from` or an instance above it.
    pub fn since(&self, from: Instance) -> impl Iterator<Item = &Membership> {
        self.eras_since(from).map(|(_, membership)| membership)
    }

    /// The same, each with the first instance that it decides.
    pub fn eras_since(&self, from: Instance) -> impl Iterator<Item = (Instance, &Membership)> {
        self.eras[self.era(from)..].iter().map(|(first, membership)| (*first, membership))
    }

    /// Everybody who belongs to one of the memberships [`since`](Self::since) `from`, voter or
    /// follower, ascending, nobody twice.
    #[must_use]
    pub fn members_since(&self, from: Instance) -> Vec<Member> {
        let mut members: Vec<Member> = self.since(from).flat_map(Membership::members).collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    /// Whether a memory was a member once and has left.
    ///
    /// It never comes back: the node has to take a new one. When a memory leaves, its session is
    /// dropped, and with it the knowledge which of its commands were executed. If it could return, a
    /// command chosen before it left might be handed over again by the origin, which has not heard
    /// of that yet, and be executed twice. A membership entry that names such a memory changes
    /// nothing; the list is part of the replicated state, so all nodes judge alike.
    ///
    /// Remembered are the last 4096. A copy of a command would have to be on its way while so many
    /// others leave.
    #[must_use]
    pub fn has_left(&self, memory: Incarnation) -> bool {
        self.left.contains(&memory)
    }

    /// Begins an era at `first`.
    ///
    /// # Panics
    ///
    /// If it does not lie above the newest one.
    pub fn begin(&mut self, first: Instance, membership: Membership) {
        assert!(first.prev() > self.version() || self.version() == Instance::ZERO);
        let gone = self.newest().members().filter(|m| !membership.has(m.incarnation));
        self.left.extend(gone.map(|m| m.incarnation).collect::<Vec<_>>());
        let surplus = self.left.len().saturating_sub(LEFT_MAX);
        self.left.drain(..surplus);
        self.eras.push((first, membership));
    }

    /// Forgets the eras that decide only instances below `from`.
    pub fn prune(&mut self, from: Instance) {
        let era = self.era(from);
        self.eras.drain(..era);
    }

    /// Appends the history as bytes; [`Self::decode`] reads them.
    ///
    /// ```text
    /// eras: u32, then for each, ascending:
    ///   first: u64, then its membership
    /// left: u32, then for each the memory: u64
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.eras.len());
        for (first, membership) in &self.eras {
            put_u64(out, first.0);
            membership.encode(out);
        }
        put_u32(out, self.left.len());
        self.left.iter().for_each(|memory| put_u64(out, memory.0));
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
        let mut left = Vec::new();
        for _ in 0..bytes.u32()? {
            left.push(Incarnation(bytes.u64()?));
        }
        (!eras.is_empty() && left.len() <= LEFT_MAX).then_some(Self { eras, left })
    }

    /// Reads a history; `None` if the bytes are none, or more than one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader).filter(|_| reader.is_empty())
    }

    /// Which era decides an instance.
    fn era(&self, instance: Instance) -> usize {
        self.eras.partition_point(|&(first, _)| first <= instance).saturating_sub(1)
    }
}

/// Memories that left and are remembered.
const LEFT_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;
    use alloc::vec;

    fn history() -> History {
        let first = Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap();
        let mut history = History::founded(first);
        history.begin(Instance(9), Membership::new(vec![member(3)], vec![]).unwrap());
        history
    }

    #[test]
    fn a_history_comes_back_and_no_prefix_of_it_does() {
        let history = history();
        let mut bytes = Vec::new();
        history.encode(&mut bytes);
        assert_eq!(History::decode(&bytes), Some(history));
        for end in 0..bytes.len() {
            assert_eq!(History::decode(&bytes[..end]), None, "prefix of {end} bytes");
        }
        bytes.push(0);
        assert_eq!(History::decode(&bytes), None);
    }

    #[test]
    fn two_memberships_are_open_only_while_the_prefix_ends_at_the_entry() {
        let history = history();
        let open = |chosen| history.since(Instance(chosen)).count();
        assert_eq!([open(7), open(8), open(9)], [2, 2, 1]);
        assert_eq!(history.at(Instance(8)).voters().len(), 2);
        assert_eq!(history.at(Instance(9)).voters(), [member(3)]);
        assert_eq!(history.version_at(Instance(8)), Instance::ZERO);
        assert_eq!(
            (history.version_at(Instance(9)), history.version()),
            (Instance(8), Instance(8))
        );
        assert_eq!(history.members_since(Instance(8)).len(), 3);
    }

    #[test]
    fn who_left_is_remembered_and_who_was_promoted_has_not_left() {
        let history = history();
        assert!(history.has_left(member(1).incarnation) && history.has_left(member(2).incarnation));
        assert!(!history.has_left(member(3).incarnation));
    }

    #[test]
    fn old_eras_can_be_forgotten() {
        let mut pruned = history();
        pruned.prune(Instance(8));
        assert_eq!(pruned, history());
        pruned.prune(Instance(9));
        assert_eq!(pruned.version(), Instance(8));
        assert_eq!(pruned.at(Instance(3)), pruned.newest());
        let mut bytes = Vec::new();
        pruned.encode(&mut bytes);
        assert_eq!(History::decode(&bytes), Some(pruned));
    }
}
