//! The part of the log that is in memory: everything not yet chosen, and the newest chosen values.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::ids::{Ballot, Instance};
use crate::value::{Value, ValueKind};

/// What is held at one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The ballot accepted in; zero if nothing was accepted, or if the value was learned.
    pub(crate) ballot: Ballot,
    /// The value; none if nothing is held, or if the disk lost it (then `ballot` is not zero).
    pub(crate) value: Option<Value>,
}

impl Slot {
    /// Whether the value was learned, and so is chosen even above a gap.
    pub(crate) fn is_learned(&self) -> bool {
        self.ballot == Ballot::ZERO && self.value.is_some()
    }
}

/// The log in memory, and how much of it is chosen.
///
/// `cleaned ≤ base ≤ chosen`; instances in `(base, base + slots]` are held here, those in
/// `(cleaned, base]` are on disk only, and are all chosen.
#[derive(Debug)]
pub(crate) struct Entries {
    base: Instance,
    slots: VecDeque<Slot>,
    chosen: Instance,
    cleaned: Instance,
    chosen_bytes: usize,
    open_bytes: usize,
    /// Membership entries that the chosen prefix has passed, and nobody has looked at yet.
    turns: Vec<(Instance, Value)>,
}

impl Entries {
    pub(crate) const fn new(chosen: Instance, cleaned: Instance) -> Self {
        Self {
            base: chosen,
            slots: VecDeque::new(),
            chosen,
            cleaned,
            chosen_bytes: 0,
            open_bytes: 0,
            turns: Vec::new(),
        }
    }

    /// Takes the membership entries that the chosen prefix has passed since the last time, ascending.
    pub(crate) fn take_turns(&mut self) -> Vec<(Instance, Value)> {
        core::mem::take(&mut self.turns)
    }

    /// Every instance up to here is known chosen.
    pub(crate) const fn chosen(&self) -> Instance {
        self.chosen
    }

    /// Every instance up to here may be gone from the log.
    pub(crate) const fn cleaned(&self) -> Instance {
        self.cleaned
    }

    /// Instances up to here are on disk only.
    pub(crate) const fn base(&self) -> Instance {
        self.base
    }

    /// The highest instance held.
    pub(crate) fn highest(&self) -> Instance {
        Instance(self.base.0 + u64::try_from(self.slots.len()).expect("fits"))
    }

    /// Bytes of chosen values in memory.
    pub(crate) const fn chosen_bytes(&self) -> usize {
        self.chosen_bytes
    }

    /// Bytes of values that are not chosen yet.
    pub(crate) const fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// What is held at an instance above [`base`](Self::base), if anything.
    pub(crate) fn slot(&self, instance: Instance) -> Option<&Slot> {
        let slot = self.slots.get(self.offset(instance)?)?;
        (slot.value.is_some() || slot.ballot > Ballot::ZERO).then_some(slot)
    }

    /// The value held in memory at an instance, if any.
    pub(crate) fn value(&self, instance: Instance) -> Option<&Value> {
        self.slot(instance)?.value.as_ref()
    }

    /// Holds a slot at an instance that is not chosen yet, in place of what was there.
    pub(crate) fn put(&mut self, instance: Instance, slot: Slot) {
        assert!(instance > self.chosen, "{instance} is chosen and cannot change");
        let offset = self.offset(instance).expect("above chosen, so above base");
        self.open_bytes += slot.value.as_ref().map_or(0, Value::len);
        if offset == self.slots.len() {
            self.slots.push_back(slot); // nearly always: the one after the last
            return;
        }
        while self.slots.len() <= offset {
            self.slots.push_back(Slot::default());
        }
        let old = core::mem::replace(&mut self.slots[offset], slot);
        self.open_bytes -= old.value.as_ref().map_or(0, Value::len);
    }

    /// Moves the chosen prefix up by one, over the value held there.
    pub(crate) fn choose_next(&mut self) {
        let next = self.chosen.next();
        let value = self.value(next).expect("only a value that is held can be known chosen");
        let bytes = value.len();
        if value.kind() == ValueKind::Membership {
            let value = value.clone();
            self.turns.push((next, value));
        }
        self.open_bytes -= bytes;
        self.chosen_bytes += bytes;
        self.chosen = next;
    }

    /// Moves the chosen prefix up to at most `limit`, over values that were accepted in `ballot` or
    /// learned.
    pub(crate) fn choose(&mut self, ballot: Ballot, limit: Instance) {
        while self.chosen < limit
            && self.slot(self.chosen.next()).is_some_and(|slot| {
                slot.is_learned() || (slot.ballot == ballot && slot.value.is_some())
            })
        {
            self.choose_next();
        }
    }

    /// Forgets old chosen values in memory while there are more than `bytes_max`, up to `limit`: what
    /// is durable.
    pub(crate) fn evict(&mut self, limit: Instance, bytes_max: usize) {
        while self.chosen_bytes > bytes_max && self.base < limit.min(self.chosen) {
            mark!(ENTRY_EVICTED);
            self.forget_first();
        }
    }

    /// Forgets instances up to here, which are executed everywhere they need to be.
    pub(crate) fn clean(&mut self, up_to: Instance, handed_out: Instance) {
        let up_to = up_to.min(handed_out).min(self.chosen);
        while self.base < up_to {
            self.forget_first();
        }
        self.cleaned = self.cleaned.max(up_to);
    }

    #[inline]
    pub(crate) fn invariants(&self) {
        assert!(self.cleaned <= self.base, "cleaned {} passed base {}", self.cleaned, self.base);
        assert!(self.base <= self.chosen, "base {} passed chosen {}", self.base, self.chosen);
        assert!(
            self.chosen <= self.highest(),
            "chosen {} passed the highest entry {}",
            self.chosen,
            self.highest()
        );
    }

    fn forget_first(&mut self) {
        let slot = self.slots.pop_front().expect("chosen instances above base are held");
        self.base = self.base.next();
        self.chosen_bytes -= slot.value.as_ref().map_or(0, Value::len);
    }

    fn offset(&self, instance: Instance) -> Option<usize> {
        let above = instance.0.checked_sub(self.base.0 + 1)?;
        usize::try_from(above).ok()
    }
}

#[cfg(test)]
mod tests;
