//! A membership on its way through the log.

use alloc::vec::Vec;

use super::{History, Membership};
use crate::code::{Reader, put_u64};
use crate::founding::ClusterId;
use crate::ids::{Incarnation, Instance};
use crate::value::CommandKey;

/// What one instance chooses to change the membership: who asked, and what is to be.
///
/// # When it takes effect
///
/// An entry chosen at `k` decides the membership of `k + 1` and everything above, from the moment the
/// chosen prefix passes `k`. Whether it does is judged from the log up to `k` alone, by
/// [`takes_effect`](Self::takes_effect), so every node judges alike:
///
/// - it names the version that is in force (compare-and-set), the version of a membership being the
///   instance of its entry. Of two entries that were made for one version the second changes
///   nothing, and an entry that is proposed again by a later leader takes effect once.
/// - it names this cluster.
/// - every member has a memory, and none that *left* before: see [`History::has_left`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipEntry {
    /// Names the request for life, like a command's key; counted apart from commands.
    pub key: CommandKey,
    /// Which cluster.
    pub cluster: ClusterId,
    /// The version that this replaces.
    pub version: Instance,
    /// The membership to be. In a request, a member without a memory (incarnation zero) stands for
    /// whatever memory the node has; the leader fills it in.
    pub membership: Membership,
}

impl MembershipEntry {
    /// Whether the entry, chosen at `instance`, changes the membership.
    #[must_use]
    pub fn takes_effect(&self, instance: Instance, cluster: ClusterId, history: &History) -> bool {
        let is_fit = |memory: Incarnation| memory.0 != 0 && !history.has_left(memory);
        self.cluster == cluster
            && self.version == history.version_at(instance)
            && self.membership.members().all(|member| is_fit(member.incarnation))
    }

    /// Appends the entry as bytes:
    ///
    /// ```text
    /// origin: u64, boot: u64, seq: u64     who asked
    /// cluster: u64, version: u64
    /// then the membership
    /// ```
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.key.origin.0);
        put_u64(out, self.key.boot);
        put_u64(out, self.key.seq);
        put_u64(out, self.cluster.0);
        put_u64(out, self.version.0);
        self.membership.encode(out);
    }

    /// Reads an entry; `None` if the bytes are none, or more than one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let origin = Incarnation(reader.u64()?);
        let key = CommandKey { origin, boot: reader.u64()?, seq: reader.u64()? };
        let (cluster, version) = (ClusterId(reader.u64()?), Instance(reader.u64()?));
        let membership = Membership::read(&mut reader)?;
        reader.is_empty().then_some(Self { key, cluster, version, membership })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;
    use alloc::vec;

    fn entry(version: u64, voters: &[u64]) -> MembershipEntry {
        let voters = voters.iter().map(|&node| member(node)).collect();
        MembershipEntry {
            key: CommandKey { origin: Incarnation(7), boot: 1, seq: 2 },
            cluster: ClusterId(5),
            version: Instance(version),
            membership: Membership::new(voters, vec![]).unwrap(),
        }
    }

    #[test]
    fn an_entry_takes_effect_once_and_for_its_version_and_cluster_only() {
        let mut history = History::founded(entry(0, &[1, 2]).membership);
        let effect = |e: &MembershipEntry, at, cluster, history: &History| {
            e.takes_effect(Instance(at), ClusterId(cluster), history)
        };
        let change = entry(0, &[1, 3]);
        assert!(effect(&change, 7, 5, &history));
        assert!(!effect(&change, 7, 6, &history), "of another cluster");
        history.begin(Instance(8), change.membership.clone());
        assert!(!effect(&change, 9, 5, &history), "of a version that is over");
        assert!(effect(&entry(7, &[1]), 9, 5, &history));
    }

    #[test]
    fn a_memory_that_left_never_comes_back() {
        let mut history = History::founded(entry(0, &[1, 2]).membership);
        history.begin(Instance(8), entry(0, &[1]).membership);
        assert!(!entry(7, &[1, 2]).takes_effect(Instance(9), ClusterId(5), &history));
        let mut unknown = entry(7, &[1]);
        let nobody = crate::ids::Member { incarnation: Incarnation(0), ..member(3) };
        unknown.membership = Membership::new(vec![member(1), nobody], vec![]).unwrap();
        assert!(!unknown.takes_effect(Instance(9), ClusterId(5), &history));
    }

    #[test]
    fn an_entry_comes_back_and_no_prefix_of_it_does() {
        let mut bytes = vec![];
        entry(3, &[1, 2]).encode(&mut bytes);
        assert_eq!(MembershipEntry::decode(&bytes), Some(entry(3, &[1, 2])));
        for end in 0..bytes.len() {
            assert_eq!(MembershipEntry::decode(&bytes[..end]), None, "prefix of {end} bytes");
        }
    }
}
