//! Who votes at each instance, worked out from what is chosen by other code than the nodes run.
//!
//! A membership entry chosen at `k` decides who votes from `k + 1` on, if it names the membership that
//! is in force and nobody that has left one (I6). Nodes that are all wrong about that in the same way
//! agree with each other, and not with this.

use std::collections::BTreeSet;

use synod_core::{ClusterId, Incarnation, Instance, Member, Membership, NodeId, Value};

/// The memberships of one group, as far as its log is chosen.
#[derive(Debug)]
pub struct Eras {
    cluster: ClusterId,
    /// Ascending by the first instance decided; the first one is what the group was founded with.
    eras: Vec<(Instance, Membership)>,
    left: BTreeSet<Incarnation>,
}

impl Eras {
    /// Nothing is chosen.
    #[must_use]
    pub fn founded(cluster: ClusterId, membership: Membership) -> Self {
        Self { cluster, eras: vec![(Instance(1), membership)], left: BTreeSet::new() }
    }

    /// This is chosen at `at`, and everything below was before. Says whether it begins an era.
    pub fn chosen(&mut self, at: Instance, value: &Value) -> bool {
        let Some(entry) = value.membership() else { return false };
        let members: Vec<Incarnation> =
            entry.membership.members().map(|member| member.incarnation).collect();
        let is_fit = |memory: &Incarnation| memory.0 != 0 && !self.left.contains(memory);
        let (first, newest) = &self.eras[self.eras.len() - 1];
        if entry.cluster != self.cluster
            || entry.version != first.prev()
            || !members.iter().all(is_fit)
        {
            return false;
        }
        let gone = newest.members().map(|member| member.incarnation);
        self.left.extend(gone.filter(|memory| !members.contains(memory)));
        self.eras.push((at.next(), entry.membership));
        true
    }

    /// Who decides an instance, if everything below it is chosen.
    #[must_use]
    pub fn at(&self, instance: Instance) -> &Membership {
        let first = self.eras.iter().rposition(|(first, _)| *first <= instance);
        &self.eras[first.unwrap_or(0)].1
    }

    /// The instance of the entry that says who decides an instance; zero for the founding.
    #[must_use]
    pub fn version_at(&self, instance: Instance) -> Instance {
        let first = self.eras.iter().rposition(|(first, _)| *first <= instance);
        self.eras[first.unwrap_or(0)].0.prev()
    }

    /// Who decides `instance` and all above it: the newest last.
    pub fn since(&self, instance: Instance) -> impl Iterator<Item = &Membership> {
        let first = self.eras.iter().rposition(|(first, _)| *first <= instance);
        self.eras[first.unwrap_or(0)..].iter().map(|(_, membership)| membership)
    }

    /// Who decides `from` and all above it, as far as somebody knows who knows of no version above
    /// this one.
    pub fn known(&self, from: Instance, version: Instance) -> impl Iterator<Item = &Membership> {
        let last = self.eras.partition_point(|(first, _)| first.prev() <= version).max(1);
        let first = self.eras[..last].iter().rposition(|(first, _)| *first <= from);
        self.eras[first.unwrap_or(0)..last].iter().map(|(_, membership)| membership)
    }

    /// Who decides what is not chosen yet.
    #[must_use]
    pub fn newest(&self) -> &Membership {
        &self.eras[self.eras.len() - 1].1
    }

    /// The instance of the newest membership's entry; zero for the founding.
    #[must_use]
    pub fn version(&self) -> Instance {
        self.eras[self.eras.len() - 1].0.prev()
    }

    /// Whether this memory of a node votes, or ever did.
    #[must_use]
    pub fn ever(&self, member: Member) -> bool {
        self.eras.iter().any(|(_, membership)| membership.voters().contains(&member))
    }

    /// Whether this memory of a node votes or follows, or ever did.
    #[must_use]
    pub fn belonged(&self, member: Member) -> bool {
        self.eras.iter().any(|(_, membership)| membership.members().any(|it| it == member))
    }

    /// Whether a node, with whatever memory, votes or follows in the newest membership.
    #[must_use]
    pub fn names(&self, node: NodeId) -> bool {
        self.newest().of(node).is_some()
    }
}

/// Whether so many of a membership's voters are a majority.
#[must_use]
pub fn is_quorum(membership: &Membership, members: &[Member]) -> bool {
    let voters = membership.voters();
    voters.iter().filter(|voter| members.contains(voter)).count() > voters.len() / 2
}

#[cfg(test)]
mod tests {
    use super::super::testing::{member, value};
    use super::*;
    use synod_core::{CommandKey, MembershipEntry};

    const CLUSTER: ClusterId = ClusterId(5);

    fn of(members: &[u64]) -> Membership {
        Membership::new(members.iter().map(|&node| member(node)).collect(), Vec::new()).unwrap()
    }

    fn entry(cluster: u64, version: u64, members: &[u64]) -> Value {
        Value::of_membership(&MembershipEntry {
            key: CommandKey { origin: Incarnation(7), boot: 1, seq: 1 },
            cluster: ClusterId(cluster),
            version: Instance(version),
            membership: of(members),
        })
    }

    #[test]
    fn an_entry_decides_what_is_above_it() {
        let mut eras = Eras::founded(CLUSTER, of(&[0, 1, 2]));
        assert!(!eras.chosen(Instance(1), &value(1)));
        assert!(eras.chosen(Instance(2), &entry(5, 0, &[0, 1])));
        assert_eq!((eras.at(Instance(2)), eras.at(Instance(3))), (&of(&[0, 1, 2]), &of(&[0, 1])));
        assert_eq!((eras.newest(), eras.version()), (&of(&[0, 1]), Instance(2)));
        assert_eq!([2, 3].map(|from| eras.since(Instance(from)).count()), [2, 1]);
        let known = |from, version| eras.known(Instance(from), Instance(version)).count();
        assert_eq!([known(2, 2), known(3, 2), known(2, 1), known(3, 1)], [2, 1, 1, 1]);
        assert!(eras.ever(member(2)) && !eras.ever(member(3)));
        assert!(eras.belonged(member(2)) && !eras.names(member(2).node));
    }

    #[test]
    fn an_entry_for_what_is_over_or_of_who_left_changes_nothing() {
        let mut eras = Eras::founded(CLUSTER, of(&[0, 1, 2]));
        assert!(!eras.chosen(Instance(1), &entry(6, 0, &[0])), "of another cluster");
        assert!(eras.chosen(Instance(2), &entry(5, 0, &[0, 1])));
        assert!(!eras.chosen(Instance(3), &entry(5, 0, &[0])), "of a version that is over");
        assert!(!eras.chosen(Instance(4), &entry(5, 2, &[0, 2])), "who left does not come back");
        assert_eq!(eras.version(), Instance(2));
    }

    #[test]
    fn a_quorum_is_more_than_half_of_the_voters() {
        let four = of(&[0, 1, 2, 3]);
        assert!(!is_quorum(&four, &[member(0), member(1), member(7)]));
        assert!(is_quorum(&four, &[member(0), member(1), member(2)]));
    }
}
