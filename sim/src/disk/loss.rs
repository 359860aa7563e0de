//! What a power loss leaves of a file.

use super::image::{Image, put};
use super::{PAGE, SECTOR, Sector, index};
use crate::rng::mix;

/// How much of what was not synced survives a power loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// Each sector has its new content, its old content, or the new one up to some byte.
    #[default]
    Any,
    /// As [`Any`](Self::Any), but behind that byte is garbage.
    Garbage,
    /// In each file the sectors up to some one, and none behind it.
    Prefix,
    /// All of it but one sector of each file.
    One,
    /// All of it: durable, though nobody was told.
    All,
    /// None of it.
    Nothing,
}

impl Loss {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Any, Self::Garbage, Self::Prefix, Self::One, Self::All, Self::Nothing];

    /// How many of so many changes of names survive.
    pub(super) fn changes(self, count: usize, random: &mut dyn FnMut() -> u64) -> usize {
        match self {
            Self::Any | Self::Garbage | Self::Prefix => below(random, count + 1),
            Self::One | Self::All => count,
            Self::Nothing => 0,
        }
    }

    fn keeps_size(self, random: &mut dyn FnMut() -> u64) -> bool {
        match self {
            Self::Any | Self::Garbage | Self::Prefix => random().is_multiple_of(2),
            Self::One | Self::All => true,
            Self::Nothing => false,
        }
    }
}

impl Image {
    /// The power fails; see [`Loss`]. What a failed sync had marked clean is lost in any case.
    pub(super) fn power_loss(
        &mut self,
        loss: Loss,
        sector: Sector,
        random: &mut dyn FnMut() -> u64,
    ) {
        self.lied = false;
        if self.resized() && loss.keeps_size(random) {
            self.settle_size();
        }
        let dirty = std::mem::take(&mut self.dirty);
        let all = || dirty.values().map(|&mask| units(mask, sector).count()).sum::<usize>();
        let mut left = match loss {
            Loss::Prefix => below(random, all() + 1),
            Loss::One => below(random, all().max(1)),
            Loss::Any | Loss::Garbage | Loss::All | Loss::Nothing => 0,
        };
        for (&page, &mask) in &dirty {
            let mut survive = 0;
            for unit in units(mask, sector) {
                match loss {
                    Loss::All => survive |= unit,
                    Loss::Nothing => {}
                    Loss::Prefix if left == 0 => {}
                    Loss::One if left == 0 => left = usize::MAX,
                    Loss::One => {
                        left -= 1;
                        survive |= unit;
                    }
                    Loss::Prefix => {
                        left -= 1;
                        survive |= unit;
                    }
                    Loss::Any | Loss::Garbage => {
                        let draw = random();
                        match draw % 3 {
                            0 => survive |= unit,
                            1 => {}
                            _ => self.tear(page, unit, sector, draw, loss == Loss::Garbage),
                        }
                    }
                }
            }
            if survive != 0 {
                self.settle(page, survive);
            }
        }
        let forgotten = std::mem::take(&mut self.forgotten);
        self.revert(dirty.into_keys().chain(forgotten.into_keys()));
    }

    /// The disk has the new content of a sector up to some byte, and behind it the old, or garbage.
    fn tear(&mut self, page: usize, unit: u8, sector: Sector, draw: u64, garbage: bool) {
        let len = sector.bytes();
        let at = match sector {
            Sector::Small => index(unit.trailing_zeros().into()) * SECTOR,
            Sector::Large => 0,
        };
        let bytes = index((draw >> 8) % (to_word(len) - 1)) + 1;
        let new = self.cache.get(page).cloned().flatten();
        match new {
            Some(from) => put(&mut self.disk, page, at, &from[at..at + bytes]),
            None => put(&mut self.disk, page, at, &[0; PAGE][..bytes]),
        }
        if garbage {
            let words = (0..).map(|n| mix(draw.wrapping_add(n)).to_le_bytes());
            let rest: Vec<u8> = words.flatten().take(len - bytes).collect();
            put(&mut self.disk, page, at + bytes, &rest);
        }
    }
}

/// The sectors among these bits of a page, as bits.
fn units(mask: u8, sector: Sector) -> impl Iterator<Item = u8> {
    let small = (0..8).map(|bit| 1 << bit).filter(move |bit| mask & bit != 0);
    let large = (mask != 0).then_some(mask);
    let count = match sector {
        Sector::Small => usize::MAX,
        Sector::Large => 0,
    };
    small.take(count).chain(large.filter(|_| sector == Sector::Large))
}

fn below(random: &mut dyn FnMut() -> u64, count: usize) -> usize {
    index(random() % to_word(count))
}

fn to_word(n: usize) -> u64 {
    u64::try_from(n).expect("fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pages of ones on the disk, overwritten with twos in the cache.
    fn overwritten() -> Image {
        let mut image = Image::default();
        image.write(0, &[1; 2 * PAGE]);
        image.sync();
        image.write(0, &[2; 2 * PAGE]);
        image
    }

    fn after(loss: Loss, sector: Sector, seed: u64) -> Vec<u8> {
        let mut image = overwritten();
        let mut n = seed * 1_000;
        image.power_loss(loss, sector, &mut || {
            n += 1;
            mix(n)
        });
        assert!(image.is_clean());
        let mut read = vec![0; 2 * PAGE];
        assert_eq!(image.read(0, &mut read), 2 * PAGE);
        read
    }

    fn kinds(read: &[u8], sector: Sector) -> Vec<&'static str> {
        let kind = |sector: &[u8]| {
            let torn = sector.iter().position(|&byte| byte != 2).unwrap_or(sector.len());
            match (torn, sector[torn..].iter().all(|&byte| byte == 1)) {
                (0, true) => "old",
                (all, _) if all == sector.len() => "new",
                (_, true) => "torn",
                (_, false) => "garbage",
            }
        };
        read.chunks(sector.bytes()).map(kind).collect()
    }

    #[test]
    fn all_nothing_and_prefixes_are_what_they_say() {
        for sector in [Sector::Small, Sector::Large] {
            assert_eq!(after(Loss::All, sector, 1), [2; 2 * PAGE]);
            assert_eq!(after(Loss::Nothing, sector, 1), [1; 2 * PAGE]);
            let mut lengths = std::collections::BTreeSet::new();
            for seed in 0..200 {
                let kinds = kinds(&after(Loss::Prefix, sector, seed), sector);
                let kept = kinds.iter().take_while(|&&kind| kind == "new").count();
                assert!(kinds[kept..].iter().all(|&kind| kind == "old"), "{kinds:?}");
                lengths.insert(kept);
            }
            assert_eq!(lengths.len(), 2 * PAGE / sector.bytes() + 1);
        }
    }

    #[test]
    fn each_sector_may_be_the_only_one_that_is_lost() {
        for sector in [Sector::Small, Sector::Large] {
            let mut lost = std::collections::BTreeSet::new();
            for seed in 0..400 {
                let kinds = kinds(&after(Loss::One, sector, seed), sector);
                let old: Vec<usize> = (0..kinds.len()).filter(|&at| kinds[at] == "old").collect();
                assert!(old.len() == 1 && !kinds.contains(&"torn"), "{kinds:?}");
                lost.extend(old);
            }
            assert_eq!(lost.len(), 2 * PAGE / sector.bytes());
        }
    }

    #[test]
    fn any_subset_survives_and_sectors_are_torn_with_old_bytes_or_with_garbage() {
        for sector in [Sector::Small, Sector::Large] {
            let mut any = std::collections::BTreeSet::new();
            let mut garbage = std::collections::BTreeSet::new();
            for seed in 0..50 {
                any.extend(kinds(&after(Loss::Any, sector, seed), sector));
                garbage.extend(kinds(&after(Loss::Garbage, sector, seed), sector));
            }
            assert!(any.iter().eq(&["new", "old", "torn"]), "{any:?}");
            assert!(garbage.iter().eq(&["garbage", "new", "old"]), "{garbage:?}");
        }
    }
}
