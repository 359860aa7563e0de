use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::{Incarnation, NodeId};
use crate::testing::{ballot, batch, command};
use crate::value::Command;

fn slot(round: u64) -> Slot {
    let ballot = Ballot { round, node: NodeId(1), incarnation: Incarnation(1) };
    Slot { ballot, value: Some(Value::NOOP) }
}

#[test]
fn holes_are_held_as_nothing() {
    let mut entries = Entries::new(Instance(5), Instance(2));
    entries.put(Instance(8), slot(1));
    assert_eq!(entries.slot(Instance(6)), None);
    assert_eq!(entries.slot(Instance(8)), Some(&slot(1)));
    assert_eq!(entries.highest(), Instance(8));
    entries.invariants();
}

#[test]
fn chosen_values_are_forgotten_only_once_handed_out() {
    let mut entries = Entries::new(Instance::ZERO, Instance::ZERO);
    for instance in 1..=3 {
        entries.put(Instance(instance), slot(1));
        entries.choose_next();
    }
    entries.evict(Instance(1), 0);
    assert_eq!(entries.base(), Instance(1));
    entries.evict(Instance(3), 1);
    assert_eq!(entries.base(), Instance(2));
    entries.invariants();
}

#[test]
#[should_panic(expected = "#1 is chosen and cannot change")]
fn a_chosen_value_cannot_change() {
    let mut entries = Entries::new(Instance::ZERO, Instance::ZERO);
    entries.put(Instance(1), slot(1));
    entries.choose_next();
    entries.put(Instance(1), slot(2));
}

/// What can happen to a log in memory; places count from the chosen prefix, or from the start.
#[derive(Clone, Debug)]
enum Op {
    Put { above: u64, slot: Slot },
    ChooseNext,
    Choose { round: u64, above: u64 },
    Evict { limit: u64, bytes_max: usize },
    Clean { up_to: u64, handed: u64 },
}

/// The same log without any of the arithmetic.
#[derive(Debug)]
struct Naive {
    slots: BTreeMap<u64, Slot>,
    base: u64,
    chosen: u64,
    cleaned: u64,
    highest: u64,
}

impl Naive {
    fn new(chosen: u64, cleaned: u64) -> Self {
        Self { slots: BTreeMap::new(), base: chosen, chosen, cleaned, highest: chosen }
    }

    fn bytes(&self, above: u64, up_to: u64) -> usize {
        let held = self.slots.range(..=up_to).filter(|(instance, _)| **instance > above);
        held.filter_map(|(_, slot)| slot.value.as_ref()).map(Value::len).sum()
    }

    fn next(&self) -> Option<&Slot> {
        self.slots.get(&(self.chosen + 1)).filter(|slot| slot.value.is_some())
    }
}

fn held() -> impl Strategy<Value = Slot> {
    (0..4_u64, prop::option::weighted(0.8, 0..100_usize)).prop_map(|(round, len)| {
        let payload = alloc::vec![7; len.unwrap_or(0)].into();
        let value = len.map(|_| batch(&[Command { payload, ..command(1, 1) }]));
        // Where the value is lost the ballot is known; where the ballot is zero it was learned.
        let round = if value.is_none() { round + 1 } else { round };
        let ballot = if round == 0 { Ballot::ZERO } else { ballot(round, 1) };
        Slot { ballot, value }
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1..6_u64, held()).prop_map(|(above, slot)| Op::Put { above, slot }),
        3 => Just(Op::ChooseNext),
        3 => (1..4_u64, 0..6_u64).prop_map(|(round, above)| Op::Choose { round, above }),
        2 => (0..40_u64, 0..400_usize)
            .prop_map(|(limit, bytes_max)| Op::Evict { limit, bytes_max }),
        1 => (0..40_u64, 0..40_u64).prop_map(|(up_to, handed)| Op::Clean { up_to, handed }),
    ]
}

proptest! {
    #[test]
    fn a_log_in_memory_does_what_a_naive_one_does(
        start in (0..4_u64, 0..4_u64),
        ops in prop::collection::vec(op(), 0..80),
    ) {
        let (chosen, cleaned) = (start.0 + start.1, start.0);
        let mut entries = Entries::new(Instance(chosen), Instance(cleaned));
        let mut naive = Naive::new(chosen, cleaned);
        for op in ops {
            match op.clone() {
                Op::Put { above, slot } => {
                    let instance = naive.chosen + above;
                    entries.put(Instance(instance), slot.clone());
                    naive.slots.insert(instance, slot);
                    naive.highest = naive.highest.max(instance);
                }
                Op::ChooseNext => {
                    if naive.next().is_some() {
                        entries.choose_next();
                        naive.chosen += 1;
                    }
                }
                Op::Choose { round, above } => {
                    let limit = naive.chosen + above;
                    entries.choose(ballot(round, 1), Instance(limit));
                    let fits = |slot: &Slot| [Ballot::ZERO, ballot(round, 1)].contains(&slot.ballot);
                    while naive.chosen < limit && naive.next().is_some_and(fits) {
                        naive.chosen += 1;
                    }
                }
                Op::Evict { limit, bytes_max } => {
                    entries.evict(Instance(limit), bytes_max);
                    while naive.base < limit.min(naive.chosen)
                        && naive.bytes(naive.base, naive.chosen) > bytes_max
                    {
                        naive.base += 1;
                    }
                }
                Op::Clean { up_to, handed } => {
                    entries.clean(Instance(up_to), Instance(handed));
                    let up_to = up_to.min(handed).min(naive.chosen);
                    naive.base = naive.base.max(up_to);
                    naive.cleaned = naive.cleaned.max(up_to);
                }
            }
            entries.invariants();
            let marks = [entries.cleaned(), entries.base(), entries.chosen(), entries.highest()];
            let expected = [naive.cleaned, naive.base, naive.chosen, naive.highest].map(Instance);
            prop_assert_eq!(marks, expected, "cleaned, base, chosen, highest after {:?}", op);
            prop_assert_eq!(entries.open_bytes(), naive.bytes(naive.chosen, naive.highest));
            for instance in 0..=naive.highest + 2 {
                let held = naive.slots.get(&instance).filter(|_| instance > naive.base);
                prop_assert_eq!(entries.slot(Instance(instance)), held, "at {}", instance);
            }
        }
    }
}
