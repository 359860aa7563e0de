//! The replicated state of a group itself, as a checkpoint holds it.
//!
//! What decides about later instances and is built from chosen values alone: which commands were
//! executed, who is the master, and who votes. The state machines' part of a checkpoint is theirs.
//!
//! ```text
//! version: u32, instance: u64
//! digest of all values up to there: u64 (see `digests.rs`)
//! sessions (see `sessions.rs`)
//! mastership (see `master/state.rs`)
//! history (see `membership/history.rs`)
//! ```

use alloc::vec::Vec;

use bytes::Bytes;

use crate::code::{Reader, put_u32, put_u64};
use crate::ids::Instance;
use crate::master::Mastership;
use crate::membership::History;
use crate::sessions::Sessions;

/// The state after everything up to an instance was executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Of all values up to the instance.
    pub(crate) digest: u64,
    pub(crate) sessions: Sessions,
    /// Who is the master, and by which acquisition.
    pub(crate) mastership: Mastership,
    /// Who votes, as decided up to the instance.
    pub(crate) history: History,
}

/// The first layout. A later one must be told from it, and from one that this version cannot read.
const VERSION: usize = 1;

/// The state after `at`, as bytes.
pub(crate) fn encode(
    at: Instance,
    digest: u64,
    sessions: &Sessions,
    mastership: &Mastership,
    history: &History,
) -> Bytes {
    let mut out = Vec::new();
    put_u32(&mut out, VERSION);
    put_u64(&mut out, at.0);
    put_u64(&mut out, digest);
    sessions.encode(&mut out);
    mastership.encode(&mut out);
    history.through(at).encode(&mut out);
    out.into()
}

impl Snapshot {
    /// Reads the state after `at`; `None` if the bytes are no such state, or more than one.
    pub(crate) fn decode(at: Instance, bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let version = usize::try_from(reader.u32()?).ok()?;
        if version != VERSION || reader.u64()? != at.0 {
            return None;
        }
        let digest = reader.u64()?;
        let sessions = Sessions::read(&mut reader)?;
        let mastership = Mastership::read(&mut reader)?;
        let history = History::read(&mut reader)?;
        reader.is_empty().then_some(Self { digest, sessions, mastership, history })
    }
}

/// Whether bytes are the group's own state after `at`, such as a checkpoint has to hold. For whoever
/// receives a checkpoint, before anything is made of it.
#[must_use]
pub fn is_checkpoint_state(at: Instance, bytes: &[u8]) -> bool {
    Snapshot::decode(at, bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Incarnation;
    use crate::master::Holder;
    use crate::membership::Membership;
    use crate::testing::member;
    use crate::value::CommandKey;
    use alloc::vec;
    use core::time::Duration;
    use proptest::prelude::*;

    fn history() -> History {
        History::founded(Membership::new(vec![member(1), member(2)], vec![member(3)]).unwrap())
    }

    fn mastership() -> Mastership {
        let holder = Some(Holder { member: member(2), boot: 3 });
        Mastership { holder, version: Instance(6), lease: Duration::from_millis(900) }
    }

    #[test]
    fn a_state_is_that_of_one_instance() {
        let bytes =
            encode(Instance(7), 5, &Sessions::default(), &Mastership::default(), &history());
        assert!(is_checkpoint_state(Instance(7), &bytes));
        assert!(!is_checkpoint_state(Instance(8), &bytes));
    }

    #[test]
    fn another_version_is_not_read() {
        let mut bytes =
            encode(Instance(7), 5, &Sessions::default(), &Mastership::default(), &history())
                .to_vec();
        bytes[0] = 2;
        assert!(!is_checkpoint_state(Instance(7), &bytes));
    }

    proptest! {
        #[test]
        fn a_state_comes_back_and_goes_on_as_before(
            before in prop::collection::vec((1_u64..4, 1_u64..3, 1_u64..2000, 0_u64..300), 0..100),
            after in prop::collection::vec((1_u64..4, 1_u64..3, 1_u64..2000, 0_u64..300), 1..100),
        ) {
            let mut sessions = Sessions::default();
            let call = |sessions: &mut Sessions, (origin, boot, seq, back): (u64, u64, u64, u64)| {
                let key = CommandKey { origin: Incarnation(origin), boot, seq };
                sessions.admit(key, seq.saturating_sub(back).max(1))
            };
            for each in before {
                call(&mut sessions, each);
            }
            let bytes = encode(Instance(9), 5, &sessions, &mastership(), &history());
            let mut snapshot = Snapshot::decode(Instance(9), &bytes).unwrap();
            prop_assert_eq!(&snapshot.history, &history());
            prop_assert_eq!(snapshot.mastership, mastership());
            prop_assert_eq!(encode(Instance(9), snapshot.digest, &snapshot.sessions, &snapshot.mastership, &history()), &bytes);
            for end in 0..bytes.len() {
                prop_assert_eq!(Snapshot::decode(Instance(9), &bytes[..end]), None);
            }
            for each in after {
                prop_assert_eq!(call(&mut snapshot.sessions, each), call(&mut sessions, each));
            }
        }

        #[test]
        fn what_is_no_state_is_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            prop_assert!(!is_checkpoint_state(Instance(0), &bytes));
            let mut framed = vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            framed.extend(bytes);
            prop_assert!(!is_checkpoint_state(Instance(0), &framed));
        }
    }
}
