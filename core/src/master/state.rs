//! A mastership as bytes, in a checkpoint.
//!
//! ```text
//! held: u32          1 if there is a holder, else 0
//! holder: u64, u64, u64   node, incarnation and process start; not there if nobody holds it
//! version: u64
//! lease: u64         nanoseconds
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use super::{Holder, Mastership};
use crate::code::{Reader, put_u32, put_u64};
use crate::ids::{Incarnation, Instance, Member, NodeId};

impl Mastership {
    /// Appends the mastership as bytes; [`Self::read`] reads them.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, usize::from(self.holder.is_some()));
        if let Some(Holder { member, boot }) = self.holder {
            put_u64(out, member.node.0);
            put_u64(out, member.incarnation.0);
            put_u64(out, boot);
        }
        put_u64(out, self.version.0);
        put_u64(out, u64::try_from(self.lease.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Reads a mastership off the front of `bytes`; `None` if there is none.
    pub(crate) fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let holder = match bytes.u32()? {
            0 => None,
            1 => {
                let node = NodeId(bytes.u64()?);
                let member = Member { node, incarnation: Incarnation(bytes.u64()?) };
                Some(Holder { member, boot: bytes.u64()? })
            }
            _ => return None,
        };
        let version = Instance(bytes.u64()?);
        let lease = Duration::from_nanos(bytes.u64()?);
        Some(Self { holder, version, lease })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::member;

    #[test]
    fn a_mastership_comes_back_and_no_prefix_of_it_does() {
        let holder = Some(Holder { member: member(2), boot: 3 });
        for holder in [holder, None] {
            let lease = Duration::from_millis(900);
            let mastership = Mastership { holder, version: Instance(7), lease };
            let mut bytes = Vec::new();
            mastership.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(Mastership::read(&mut reader), Some(mastership));
            assert!(reader.is_empty());
            for end in 0..bytes.len() {
                assert_eq!(Mastership::read(&mut Reader::new(&bytes[..end])), None);
            }
        }
    }
}
