//! The log's files hold what the node believes, and what is chosen.
//!
//! Read by the production reader from the durable image, as a start would. While nothing is on its
//! way to the disk, disk and memory are the same acceptor: the same promise, the same entries. And
//! every chosen instance that the node knows of can be read back, and is what was chosen.

use synod_core::{Ballot, GroupId, Instance, Recovered, Status, Stored, Usage};

use super::choices::Choices;
use super::values::same;
use super::{Place, Verdict, Violation};
use crate::rng::to_index;

/// What a running group believes, when none of its records is on its way to the disk.
#[derive(Clone, Copy, Debug)]
pub struct Belief {
    /// Where it stands.
    pub status: Status,
    /// What it holds.
    pub usage: Usage,
}

/// Whether a disk gives back what the group believes.
///
/// # Errors
///
/// If the promise or the highest instance differ, or the disk believes more chosen than the group.
pub fn agree(place: Place, belief: &Belief, disk: &Recovered) -> Verdict {
    let Belief { status, usage } = belief;
    let highest = Instance(status.chosen.0 + usage.open_instances);
    let held = disk.entries.last().map_or(disk.chosen, |stored| stored.instance);
    if disk.promised != status.promised || held != highest || disk.chosen > status.chosen {
        let what = format!(
            "{place} believes promise {}, chosen {} and entries up to {highest}; its disk gives \
             promise {}, chosen {} and entries up to {held}",
            status.promised, status.chosen, disk.promised, disk.chosen
        );
        return Err(Violation::new("files", what));
    }
    Ok(())
}

/// Whether the entries read from a log, from instance `from` on, are those chosen up to `chosen`.
///
/// Values that the log itself says are `lost` may be missing up to the checkpoint. A batch that the
/// power cut tore in one place counts as written, since it may have been synced; what of it is gone is
/// lost to the log, not cut. A restart needs none of it below the checkpoint, and a peer that asks for it
/// has it fetched again.
///
/// # Errors
///
/// If one is missing, unreadable, or holds another value.
pub fn replay(
    choices: &Choices,
    place: Place,
    from: Instance,
    (chosen, checkpoint): (Instance, Instance),
    entries: &[Stored],
    lost: &[(GroupId, Instance)],
) -> Verdict {
    let mut at = from;
    for stored in entries.iter().take_while(|stored| stored.instance <= chosen) {
        let right = choices.value(place.group, at);
        let is_given_up = stored.instance == at
            && at <= checkpoint
            && stored.value.is_none()
            && lost
                .iter()
                .any(|(group, lost)| to_index(u64::from(group.0)) == place.group && *lost == at);
        let is_right = stored.instance == at
            && stored.value.as_ref().zip(right).is_some_and(|(held, right)| same(held, right));
        if !is_right && !is_given_up {
            let what = format!(
                "the log of {place} gives {stored:?} at {at}, where {right:?} is chosen (learned: {})",
                stored.ballot == Ballot::ZERO
            );
            return Err(Violation::new("files", what));
        }
        at = at.next();
    }
    if at <= chosen {
        let what = format!("the log of {place} ends before {at}; up to {chosen} is chosen there");
        return Err(Violation::new("files", what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, choices, member, place, value};
    use super::*;
    use synod_core::Role;

    fn belief() -> Belief {
        let status = Status {
            role: Role::Follower,
            votes: true,
            removed: false,
            version: Instance::ZERO,
            changing: false,
            leader: ballot(2, 1),
            promised: ballot(2, 1),
            chosen: Instance(2),
            handed_out: Instance(2),
            applied: Instance(2),
            digests_agreed: Instance::ZERO,
            log_differs: None,
            diverged: None,
            checkpoint: Instance::ZERO,
            cleaned: Instance(0),
            writes_in_flight: 0,
            proposals: 0,
            queued: 0,
            window: 0,
        };
        Belief { status, usage: Usage { open_instances: 1, ..Usage::default() } }
    }

    fn entry(at: u64, seq: u64) -> Stored {
        Stored { instance: Instance(at), ballot: ballot(2, 1), value: Some(value(seq)) }
    }

    #[test]
    fn disk_and_memory_are_one_acceptor() {
        let disk = |round, chosen, entries: &[Stored]| Recovered {
            promised: ballot(round, 1),
            chosen: Instance(chosen),
            entries: entries.to_vec(),
            ..Recovered::default()
        };
        let all = [entry(2, 2), entry(3, 3)];
        assert_eq!(agree(place(0), &belief(), &disk(2, 1, &all)), Ok(()));
        assert!(agree(place(0), &belief(), &disk(1, 1, &all)).is_err(), "promise");
        assert!(agree(place(0), &belief(), &disk(2, 1, &all[..1])).is_err(), "an entry less");
        assert!(agree(place(0), &belief(), &disk(2, 3, &[])).is_err(), "chosen above");
    }

    #[test]
    fn what_is_chosen_can_be_read() {
        let mut choices = choices(1);
        for at in 1..=3 {
            choices.stored(0, member(0), Instance(at), ballot(2, 1), &value(at)).unwrap();
        }
        let replay_from = |checkpoint: u64, entries: &[Stored], lost: &[(GroupId, Instance)]| {
            let known = (Instance(2), Instance(checkpoint));
            replay(&choices, place(0), Instance(1), known, entries, lost)
        };
        let replay = |entries: &[Stored]| replay_from(2, entries, &[]);
        assert_eq!(replay(&[entry(1, 1), entry(2, 2), entry(3, 9)]), Ok(()), "#3 is not known");
        assert!(replay(&[entry(1, 1)]).is_err(), "too short");
        assert!(replay(&[entry(1, 1), entry(2, 7)]).is_err(), "another value");
        assert!(replay(&[entry(1, 1), entry(3, 3)]).is_err(), "a gap");
        let lost = Stored { value: None, ..entry(2, 2) };
        let entries = [entry(1, 1), lost];
        assert!(replay(&entries).is_err(), "lost, and the log does not say so");
        let said = [(GroupId(0), Instance(2))];
        assert_eq!(replay_from(2, &entries, &said), Ok(()));
        assert!(replay_from(1, &entries, &said).is_err(), "it is needed at a restart");
        assert!(replay_from(2, &entries, &[(GroupId(1), Instance(2))]).is_err(), "another group");
    }
}
