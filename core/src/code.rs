//! Numbers as bytes, little endian: how the replicated state of the core is laid out wherever it is
//! kept, in the log, in checkpoints and in values.

use alloc::vec::Vec;

/// Reads numbers off the front of bytes that may be damaged or hostile.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }
}

/// Appends a count.
///
/// # Panics
///
/// If there are four billion or more: every list that is laid out has a limit far below that.
pub(crate) fn put_u32(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("lists are bounded far below four billion");
    out.extend_from_slice(&count.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}
