//! How a founding is laid out in the log. Little endian.
//!
//! ```text
//! cluster: u64
//! groups: u32, then for each:
//!   group: u32
//!   voters: u32, followers: u32
//!   each of them: node: u64, incarnation: u64
//! ```

use bytes::Bytes;
use synod_core::{ClusterId, Founding, GroupId, Incarnation, Member, Membership, NodeId};

use super::format::{index, read_u32, read_u64};

pub(crate) fn encode(founding: &Founding) -> Bytes {
    let count = |n: usize| u32::try_from(n).expect("fewer than four billion").to_le_bytes();
    let mut out = Vec::new();
    out.extend_from_slice(&founding.cluster.0.to_le_bytes());
    out.extend_from_slice(&count(founding.groups.len()));
    for (group, membership) in &founding.groups {
        out.extend_from_slice(&group.0.to_le_bytes());
        out.extend_from_slice(&count(membership.voters().len()));
        out.extend_from_slice(&count(membership.followers().len()));
        for member in membership.voters().iter().chain(membership.followers()) {
            out.extend_from_slice(&member.node.0.to_le_bytes());
            out.extend_from_slice(&member.incarnation.0.to_le_bytes());
        }
    }
    out.into()
}

/// `None` if the bytes are no founding.
pub(crate) fn decode(from: &[u8]) -> Option<Founding> {
    let cluster = ClusterId(read_u64(from, 0)?);
    let mut at = 12;
    let mut groups = Vec::new();
    for _ in 0..read_u32(from, 8)? {
        let group = GroupId(read_u32(from, at)?);
        let (voters, followers) = (read_u32(from, at + 4)?, read_u32(from, at + 8)?);
        at += 12;
        let mut members = |count: u32| {
            let len = index(u64::from(count)).checked_mul(16)?;
            let part = from.get(at..at.checked_add(len)?)?;
            at += len;
            part.chunks_exact(16)
                .map(|each| {
                    let node = NodeId(read_u64(each, 0)?);
                    Some(Member { node, incarnation: Incarnation(read_u64(each, 8)?) })
                })
                .collect::<Option<Vec<_>>>()
        };
        groups.push((group, Membership::new(members(voters)?, members(followers)?).ok()?));
    }
    (at == from.len()).then_some(Founding { cluster, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_founding_comes_back_and_no_prefix_of_it_does() {
        let member = |n| Member { node: NodeId(n), incarnation: Incarnation(n + 100) };
        let both = Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap();
        let one = Membership::new(vec![member(1)], vec![]).unwrap();
        let groups = vec![(GroupId(1), both), (GroupId(4), one)];
        let founding = Founding { cluster: ClusterId(77), groups };
        let bytes = encode(&founding);
        assert_eq!(decode(&bytes), Some(founding));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "prefix of {end} bytes");
        }
    }
}
