//! A membership as bytes: in the log, in checkpoints and in values.
//!
//! ```text
//! voters: u32, followers: u32
//! each of them: node: u64, incarnation: u64
//! book: u32, then so many bytes of the address book
//! ```

use alloc::vec::Vec;

use bytes::Bytes;

use super::Membership;
use crate::code::{Reader, put_u32, put_u64};
use crate::ids::{Incarnation, Member, NodeId};

impl Membership {
    /// Appends the membership as bytes; [`Self::decode`] reads them.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.voters.len());
        put_u32(out, self.followers.len());
        for member in self.voters.iter().chain(&self.followers) {
            put_u64(out, member.node.0);
            put_u64(out, member.incarnation.0);
        }
        put_u32(out, self.book.len());
        out.extend_from_slice(&self.book);
    }

    /// Reads a membership; `None` if the bytes are none, or more than one.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader).filter(|_| reader.is_empty())
    }

    /// Reads a membership off the front of `bytes`; `None` if there is none.
    pub(crate) fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let (voters, followers) = (bytes.u32()?, bytes.u32()?);
        let mut members = |count: u32| {
            let mut members = Vec::new();
            for _ in 0..count {
                let node = NodeId(bytes.u64()?);
                members.push(Member { node, incarnation: Incarnation(bytes.u64()?) });
            }
            Some(members)
        };
        let (voters, followers) = (members(voters)?, members(followers)?);
        let len = bytes.u32()?;
        let book = Bytes::copy_from_slice(bytes.bytes(usize::try_from(len).ok()?)?);
        Self::new(voters, followers).and_then(|it| it.with_book(book)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::member;
    use super::*;
    use alloc::vec;

    #[test]
    fn a_membership_comes_back_and_no_prefix_of_it_does() {
        let membership = Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap();
        let membership = membership.with_book(Bytes::from_static(b"1=here")).unwrap();
        let mut bytes = Vec::new();
        membership.encode(&mut bytes);
        assert_eq!(Membership::decode(&bytes), Some(membership));
        for end in 0..bytes.len() {
            assert_eq!(Membership::decode(&bytes[..end]), None, "prefix of {end} bytes");
        }
    }

    #[test]
    fn a_count_without_members_takes_no_memory() {
        let mut bytes = vec![0xff; 8];
        bytes.extend([0; 16]);
        assert_eq!(Membership::decode(&bytes), None);
    }
}
