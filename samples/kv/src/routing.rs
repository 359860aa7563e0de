//! Which group a key belongs to.

use synod::GroupId;

/// The group of a key, among so many: its 64-bit FNV-1a hash modulo their number.
///
/// Part of the data's format: another function, or another number of groups, looks for keys where they
/// are not.
///
/// # Panics
///
/// Without groups.
#[must_use]
pub fn group_of(key: &[u8], groups: u32) -> GroupId {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    GroupId(u32::try_from(hash % u64::from(groups)).expect("below a u32"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_where_it_is_for_ever() {
        // Published values of FNV-1a: "a" af63dc4c8601ec8c, "foobar" 85944171f73967e8.
        assert_eq!(group_of(b"a", 16), GroupId(0xc));
        assert_eq!(group_of(b"foobar", 16), GroupId(0x8));
    }

    #[test]
    fn keys_are_spread() {
        let mut counts = [0; 4];
        for number in 0..4000 {
            let group = group_of(format!("key-{number}").as_bytes(), 4);
            counts[usize::try_from(group.0).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
