//! Laws that hold for all inputs: quorums meet, values give back what was laid out.

use bytes::Bytes;
use proptest::prelude::*;
use synod_core::{
    Command, CommandKey, Incarnation, Member, Membership, NodeId, SmId, Value, ValueWriter,
    VoterSet,
};

fn membership(voters: u64) -> Membership {
    let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node * 7 + 1) };
    Membership::new((0..voters).map(member).collect(), vec![]).expect("no node twice")
}

/// The first voters in a drawn order that make a quorum.
fn quorum(membership: &Membership, order: &[usize]) -> VoterSet {
    let mut votes = VoterSet::default();
    for slot in order.iter().copied().filter(|slot| *slot < membership.voters().len()) {
        if membership.is_quorum(votes) {
            break;
        }
        votes.insert(slot);
    }
    votes
}

fn order() -> impl Strategy<Value = Vec<usize>> {
    Just((0..64).collect::<Vec<usize>>()).prop_shuffle()
}

fn command() -> impl Strategy<Value = Command> {
    let key = (any::<u64>(), any::<u64>(), 1..=u64::MAX);
    (key, any::<u64>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(
        |((origin, boot, seq), low, sm, payload)| Command {
            key: CommandKey { origin: Incarnation(origin), boot, seq },
            low: low.clamp(1, seq),
            sm: SmId(sm),
            payload: Bytes::from(payload),
        },
    )
}

proptest! {
    #[test]
    fn any_two_quorums_of_a_membership_meet(voters in 1_u64..=64, a in order(), b in order()) {
        let membership = membership(voters);
        let (a, b) = (quorum(&membership, &a), quorum(&membership, &b));
        prop_assert!(membership.is_quorum(a) && membership.is_quorum(b));
        prop_assert!(a.len() + b.len() > membership.everyone().len());
        let meet = (0..membership.voters().len()).any(|slot| a.contains(slot) && b.contains(slot));
        prop_assert!(meet, "{a:?} and {b:?} of {voters} voters");
    }

    #[test]
    fn a_value_gives_back_its_commands(commands in prop::collection::vec(command(), 0..9)) {
        let mut writer = ValueWriter::new();
        commands.iter().for_each(|command| writer.push(command));
        let value = writer.finish();
        let parsed = Value::parse(Bytes::copy_from_slice(value.bytes())).unwrap();
        prop_assert_eq!(&parsed, &value);
        prop_assert_eq!(parsed.commands().collect::<Vec<_>>(), commands);
    }

    #[test]
    fn bytes_are_a_value_only_if_they_lay_out_the_same(
        commands in prop::collection::vec(command(), 0..4),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut writer = ValueWriter::new();
        commands.iter().for_each(|command| writer.push(command));
        let mut bytes = writer.finish().into_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(value) = Value::parse(Bytes::from(bytes.clone())) {
            value.commands().for_each(|command| writer.push(&command));
            let again = writer.finish();
            prop_assert_eq!(again.bytes().as_ref(), bytes.as_slice());
        }
    }
}
