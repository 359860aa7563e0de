//! Exactly once: which commands have been executed, as part of the replicated state.
//!
//! Every command carries a key for life: its origin's incarnation, process start and count. An
//! origin sends a command again when it does not hear what became of it, so one key may be chosen
//! at several instances; here it is executed at the first and skipped at the others. Every node
//! decides that from chosen values alone, so all decide alike.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::ids::Incarnation;
use crate::value::CommandKey;

/// The most unresolved proposals of one origin: how far a command's `seq` may lie above its `low`.
/// Part of the replicated state, so the same everywhere.
pub const SESSION_WINDOW: u64 = 65_536;

/// The sessions of all origins.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// Ascending by origin.
    by_origin: Vec<(Incarnation, Session)>,
    /// Where the last origin stands: commands of one origin come together.
    last: usize,
}

impl Sessions {
    /// Whether a command is met for the first time; remembers it.
    ///
    /// Skipped are keys met before, keys that the origin had resolved before it proposed this or a
    /// later command (below its `low`), and keys of an earlier process start than one already met.
    #[inline(always)] // a few instructions, and called four times for a command
    pub(crate) fn admit(&mut self, key: CommandKey, low: u64) -> bool {
        match self.by_origin.get_mut(self.last) {
            Some((last, session)) if *last == key.origin => session.admit(key.boot, key.seq, low),
            _ => self.turn_to(key.origin).admit(key.boot, key.seq, low),
        }
    }

    /// Whether a command's origin is known to have resolved it, or to have started anew since.
    pub(crate) fn past(&self, key: CommandKey) -> bool {
        let session = self.session(key.origin);
        session.is_some_and(|session| (key.boot, key.seq) < (session.boot, session.low))
    }

    /// Whether a command was admitted before and is not below its origin's `low` since.
    pub(crate) fn met(&self, key: CommandKey) -> bool {
        self.session(key.origin).is_some_and(|session| session.met(key.boot, key.seq))
    }

    /// Forgets the sessions of origins that are not to be kept: they left the membership.
    pub(crate) fn retain(&mut self, keep: impl Fn(Incarnation) -> bool) {
        self.by_origin.retain(|(origin, _)| keep(*origin));
        self.last = 0;
    }

    /// How many sessions there are, and how many words the longest has.
    pub(crate) fn size(&self) -> (usize, usize) {
        let words = self.by_origin.iter().map(|(_, session)| session.words.len());
        (self.by_origin.len(), words.max().unwrap_or(0))
    }

    fn session(&self, origin: Incarnation) -> Option<&Session> {
        self.place(origin).ok().map(|place| &self.by_origin[place].1)
    }

    /// Another origin than the last one.
    #[cold]
    fn turn_to(&mut self, origin: Incarnation) -> &mut Session {
        self.last = self.place(origin).unwrap_or_else(|place| {
            self.by_origin.insert(place, (origin, Session::default()));
            place
        });
        &mut self.by_origin[self.last].1
    }

    /// Where an origin stands, or where it would.
    fn place(&self, origin: Incarnation) -> Result<usize, usize> {
        match self.by_origin.get(self.last) {
            Some((last, _)) if *last == origin => Ok(self.last),
            _ => self.by_origin.binary_search_by_key(&origin, |(origin, _)| *origin),
        }
    }
}

/// What one origin's last process life has had executed: a bit for each `seq` from `low` on.
#[derive(Debug, Default)]
struct Session {
    boot: u64,
    low: u64,
    /// 64 sequence numbers a word; the first word holds `low`.
    words: VecDeque<u64>,
    /// The number of the first word.
    base: u64,
}

impl Session {
    /// Inlined where it is met for every command: nearly always of the same boot, and in a word
    /// that is there.
    #[inline(always)]
    fn admit(&mut self, boot: u64, seq: u64, low: u64) -> bool {
        if boot != self.boot && !self.renew(boot) {
            return false;
        }
        if low > self.low {
            self.raise(low);
        }
        if seq.checked_sub(self.low).is_none_or(|above| above >= SESSION_WINDOW) {
            return false;
        }
        let word = usize::try_from(seq / 64 - self.base).expect("within the window");
        let bit = 1 << (seq % 64);
        if let Some(bits) = self.words.get_mut(word) {
            let new = *bits & bit == 0;
            *bits |= bit;
            return new;
        }
        self.extend(word, bit);
        true
    }

    /// Forgets an earlier boot; false if `boot` is the earlier one.
    #[cold]
    fn renew(&mut self, boot: u64) -> bool {
        if boot > self.boot {
            self.words.clear();
            (self.boot, self.low, self.base) = (boot, 0, 0);
        }
        boot >= self.boot
    }

    #[cold]
    fn extend(&mut self, word: usize, bits: u64) {
        self.words.resize(word, 0);
        self.words.push_back(bits);
    }

    fn met(&self, boot: u64, seq: u64) -> bool {
        let word = (seq / 64).checked_sub(self.base).and_then(|word| usize::try_from(word).ok());
        let bits = word.and_then(|word| self.words.get(word));
        boot == self.boot && seq >= self.low && bits.is_some_and(|bits| bits & 1 << (seq % 64) != 0)
    }

    #[inline(never)]
    fn raise(&mut self, low: u64) {
        self.low = low;
        while self.base < low / 64 {
            if self.words.pop_front().is_none() {
                self.base = low / 64;
                return;
            }
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    fn key(boot: u64, seq: u64) -> CommandKey {
        CommandKey { origin: Incarnation(1), boot, seq }
    }

    #[test]
    fn a_key_is_admitted_once_in_any_order() {
        let mut sessions = Sessions::default();
        for seq in [1, 3, 200, 2, 130] {
            assert!(sessions.admit(key(1, seq), 1), "{seq}");
        }
        for seq in [1, 2, 3, 130, 200] {
            assert!(!sessions.admit(key(1, seq), 1), "{seq}");
        }
    }

    #[test]
    fn what_the_origin_had_resolved_is_skipped() {
        let mut sessions = Sessions::default();
        assert!(sessions.admit(key(1, 500), 400));
        assert!(!sessions.admit(key(1, 399), 300));
        assert!(sessions.admit(key(1, 400), 300));
        assert!(sessions.admit(key(1, 10_000), 9_999));
        assert!(!sessions.admit(key(1, 501), 400));
    }

    #[test]
    fn an_earlier_process_start_is_over() {
        let mut sessions = Sessions::default();
        assert!(sessions.admit(key(2, 7), 1));
        assert!(!sessions.admit(key(1, 8), 1));
        assert!(sessions.admit(key(3, 7), 1));
    }

    #[test]
    fn origins_do_not_touch_each_other() {
        let mut sessions = Sessions::default();
        let of = |origin, seq| CommandKey { origin: Incarnation(origin), boot: 1, seq };
        for (origin, seq) in [(5, 1), (1, 1), (9, 2), (3, 1), (9, 1), (5, 2)] {
            assert!(!sessions.met(of(origin, seq)), "{origin} {seq}");
            assert!(sessions.admit(of(origin, seq), 1), "{origin} {seq}");
        }
        for (origin, seq) in [(9, 1), (5, 1), (3, 1), (5, 2), (1, 1), (9, 2)] {
            assert!(sessions.met(of(origin, seq)), "{origin} {seq}");
            assert!(!sessions.admit(of(origin, seq), 1), "{origin} {seq}");
        }
        assert!(!sessions.met(of(4, 1)));
    }

    #[test]
    fn a_session_is_bounded() {
        let mut sessions = Sessions::default();
        assert!(sessions.admit(key(1, 1), 1));
        assert!(!sessions.admit(key(1, 1 + SESSION_WINDOW), 1));
        assert!(sessions.admit(key(1, SESSION_WINDOW), 1));
        assert!(sessions.by_origin[0].1.words.len() <= 1025);
    }

    /// What a session does, without its bits.
    #[derive(Default)]
    struct Naive {
        boot: u64,
        low: u64,
        met: BTreeSet<u64>,
    }

    impl Naive {
        fn admit(&mut self, boot: u64, seq: u64, low: u64) -> bool {
            if boot > self.boot {
                *self = Self { boot, ..Self::default() };
            }
            if boot < self.boot {
                return false;
            }
            self.low = self.low.max(low);
            (self.low..self.low + SESSION_WINDOW).contains(&seq) && self.met.insert(seq)
        }
    }

    proptest! {
        #[test]
        fn a_session_does_what_a_naive_one_does(
            calls in prop::collection::vec((1_u64..3, 1_u64..400, 0_u64..300, 0_u64..40), 1..200),
        ) {
            let (mut sessions, mut naive) = (Sessions::default(), Naive::default());
            for (boot, seq, back, far) in calls {
                let seq = if far == 0 { seq * 1000 } else { seq };
                let low = seq.saturating_sub(back).max(1);
                let key = key(boot, seq);
                prop_assert_eq!(sessions.admit(key, low), naive.admit(boot, seq, low));
                let met = boot == naive.boot && seq >= naive.low && naive.met.contains(&seq);
                prop_assert_eq!(sessions.met(key), met);
            }
        }
    }
}
