//! What is said to the mastership through the log, as bytes.
//!
//! ```text
//! kind: u32         0 acquire or renew, 1 release
//! expected: u64     the version built on
//! lease: u64        nanoseconds; zero in a release
//! ```

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::code::{Reader, put_u32, put_u64};
use crate::ids::Instance;

/// A command to the mastership. It changes nothing unless the version is still the expected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The sender becomes the holder, or stays it.
    Acquire { expected: Instance, lease: Duration },
    /// The sender is the holder no more.
    Release { expected: Instance },
}

impl Order {
    pub(crate) fn encode(self) -> Bytes {
        let (kind, expected, lease) = match self {
            Self::Acquire { expected, lease } => (0, expected, lease),
            Self::Release { expected } => (1, expected, Duration::ZERO),
        };
        let mut out = Vec::with_capacity(20);
        put_u32(&mut out, kind);
        put_u64(&mut out, expected.0);
        put_u64(&mut out, u64::try_from(lease.as_nanos()).unwrap_or(u64::MAX));
        out.into()
    }

    /// `None` if the bytes are none: of a newer version, or of nobody. Then nothing happens, everywhere.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (kind, expected) = (reader.u32()?, Instance(reader.u64()?));
        let lease = Duration::from_nanos(reader.u64()?);
        match kind {
            _ if !reader.is_empty() => None,
            0 => Some(Self::Acquire { expected, lease }),
            1 => Some(Self::Release { expected }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_comes_back_and_nothing_else_is_one() {
        let lease = Duration::from_millis(900);
        for order in [
            Order::Acquire { expected: Instance(7), lease },
            Order::Release { expected: Instance(9) },
        ] {
            let bytes = order.encode();
            assert_eq!(Order::decode(&bytes), Some(order));
            for end in 0..bytes.len() {
                assert_eq!(Order::decode(&bytes[..end]), None);
            }
        }
        assert_eq!(Order::decode(&[2; 20]), None);
    }
}
