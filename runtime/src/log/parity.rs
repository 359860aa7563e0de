//! The block of a large batch that gives back any one of the others.
//!
//! A large batch is too long to be written twice. Its payloads are cut into blocks, and one more
//! block holds their exclusive-or; so the exclusive-or of all of them is zero, and any one that is
//! bad is that of the rest. Which one is bad, the checksums in the header say, and whether what came
//! out is right.

use bytes::Bytes;
use crc32c::{crc32c, crc32c_append};

/// A block of nothing.
static ZEROS: [u8; 4096] = [0; 4096];

/// Puts `block` into the exclusive-or of some; both are of one length.
pub(crate) fn add(sum: &mut [u8], block: &[u8]) {
    for (sum, byte) in sum.iter_mut().zip(block) {
        *sum ^= byte;
    }
}

/// The checksum of each block of the payloads, one after the other and padded with zeros, and of the
/// parity block, which is left in `parity`. Nothing of either if there are no payloads.
pub(crate) fn check(payloads: &[Bytes], crcs: &mut Vec<u32>, parity: &mut Vec<u8>) {
    crcs.clear();
    parity.clear();
    if payloads.iter().all(Bytes::is_empty) {
        return;
    }
    parity.extend_from_slice(&ZEROS);
    let (mut crc, mut len) = (0, 0);
    for payload in payloads {
        let mut rest = &payload[..];
        while !rest.is_empty() {
            let (part, more) = rest.split_at(rest.len().min(ZEROS.len() - len));
            crc = crc32c_append(crc, part);
            add(&mut parity[len..], part);
            len += part.len();
            rest = more;
            if len == ZEROS.len() {
                crcs.push(crc);
                (crc, len) = (0, 0);
            }
        }
    }
    if len > 0 {
        crcs.push(crc32c_append(crc, &ZEROS[len..]));
    }
    crcs.push(crc32c(parity));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_block_is_the_exclusive_or_of_the_others() {
        for lens in [vec![1], vec![4096], vec![4096, 1], vec![3000, 0, 3000, 9000], vec![50_000]] {
            let seeds = (1u8..).zip(&lens);
            let payloads: Vec<Bytes> = seeds
                .map(|(seed, &len)| (0..len).map(|at: usize| at.to_le_bytes()[0] ^ seed).collect())
                .collect();
            let (mut crcs, mut parity) = (vec![7], vec![7]);
            check(&payloads, &mut crcs, &mut parity);
            let mut all = payloads.concat();
            all.resize(all.len().next_multiple_of(ZEROS.len()), 0);
            all.extend_from_slice(&parity);
            let blocks: Vec<&[u8]> = all.chunks(ZEROS.len()).collect();
            assert_eq!(crcs, blocks.iter().map(|block| crc32c(block)).collect::<Vec<_>>());
            for bad in 0..blocks.len() {
                let mut sum = vec![0; ZEROS.len()];
                let others = blocks.iter().enumerate().filter(|&(at, _)| at != bad);
                others.for_each(|(_, block)| add(&mut sum, block));
                assert_eq!(sum, blocks[bad], "{lens:?}, block {bad}");
            }
        }
    }

    #[test]
    fn without_payloads_there_is_nothing_to_give_back() {
        let (mut crcs, mut parity) = (vec![7], vec![7]);
        check(&[Bytes::new(), Bytes::new()], &mut crcs, &mut parity);
        assert_eq!((crcs, parity), (vec![], vec![]));
    }
}
