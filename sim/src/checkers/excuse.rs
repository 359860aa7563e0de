//! Whether a cluster that is stuck was entitled to be: judged from its disks alone.
//!
//! Disks may lose more than the protocol can do without. Then the right thing is to refuse and wait,
//! and a run that wants everything to work again asks too much. What is left on the disks decides,
//! not what was done to them: with nothing lost there is never an excuse.

use std::fmt;

use synod_core::{Ballot, Instance, Member, Recovered};

use super::eras::{Eras, is_quorum};

/// What one node's disk gives back of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    /// The memory on it: a node that lost its memory is another acceptor, and no voter until it is
    /// swapped in. `None` if the node does not go on with that memory.
    pub member: Option<Member>,
    /// What it gives back; `None` if its log does not open. Whether the files of the last checkpoint
    /// are lost is said in it, too.
    pub log: Option<Recovered>,
}

/// Why a group may be stuck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excuse {
    /// So many can vote, which is no quorum.
    TooFewVoters(usize),
    /// Whatever quorum answers a candidate, a value that may be chosen here is lost to all of it.
    ValueLost(Instance),
    /// Whatever quorum answers a candidate, one of it has cleaned everything up to here and lost the
    /// checkpoint, and none of the others is that far.
    CheckpointLost(Instance),
}

impl Excuse {
    /// Which line of the statistics counts it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::TooFewVoters(_) => "too few voters left",
            Self::ValueLost(_) => "a value lost everywhere",
            Self::CheckpointLost(_) => "a checkpoint lost where it is needed",
        }
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewVoters(count) => write!(f, "only {count} can vote"),
            Self::ValueLost(at) => write!(f, "the value of {at} is lost"),
            Self::CheckpointLost(at) => write!(f, "the checkpoint at {at} is lost"),
        }
    }
}

/// Why a group of which only these nodes hear each other may be stuck; `None` if it may not.
///
/// Who leads has to hear a quorum of every membership that decides something above what it knows to be
/// chosen, and what the others know it can learn.
#[must_use]
pub fn excuse(voters: &[Voter], eras: &Eras) -> Option<Excuse> {
    let able: Vec<(Member, &Recovered)> = voters
        .iter()
        .filter_map(|voter| voter.member.zip(voter.log.as_ref()))
        .filter(|(member, _)| eras.ever(*member))
        .collect();
    let mut lost = None;
    for set in 0_u64..1 << able.len() {
        let chosen = || (0..).zip(&able).filter(|(n, _)| set >> n & 1 == 1).map(|(_, it)| it);
        let members = || chosen().map(|(_, log)| *log);
        let known = members().map(|log| log.chosen).max().unwrap_or_default();
        let who: Vec<Member> = chosen().map(|(member, _)| *member).collect();
        if !eras.since(known.next()).all(|membership| is_quorum(membership, &who)) {
            continue;
        }
        let unknown = members()
            .flat_map(losses)
            .find(|&(at, ballot)| !members().any(|log| tells(log, at, ballot)));
        match (unknown, out_of_reach(members())) {
            (None, None) => return None, // this quorum elects a leader
            (Some((at, _)), _) => lost = Some(Excuse::ValueLost(at)),
            (None, Some(at)) => lost = Some(Excuse::CheckpointLost(at)),
        }
    }
    lost.or(Some(Excuse::TooFewVoters(able.len())))
}

/// Up to where one of these has cleaned its log, having lost the checkpoint, and further than all that
/// have theirs know what is chosen.
fn out_of_reach<'a>(members: impl Iterator<Item = &'a Recovered> + Clone) -> Option<Instance> {
    let whole = members.clone().filter(|log| !log.files_lost);
    let known = whole.map(|log| log.chosen).max();
    let lost = members.filter(|log| log.files_lost).map(|log| log.cleaned).max()?;
    known.is_none_or(|known| known < lost).then_some(lost)
}

/// Where a disk holds a vote and no longer its value.
fn losses(log: &Recovered) -> impl Iterator<Item = (Instance, Ballot)> {
    let lost = log.entries.iter().filter(|stored| stored.value.is_none());
    // What was learned and lost may hide a vote in any ballot that was promised.
    let vote = |ballot| if ballot == Ballot::ZERO { log.promised } else { ballot };
    lost.map(move |stored| (stored.instance, vote(stored.ballot)))
}

/// Whether a disk gives an instance as chosen, or its value in this ballot or a higher one.
fn tells(log: &Recovered, at: Instance, ballot: Ballot) -> bool {
    let held = || log.entries.iter().find(|stored| stored.instance == at);
    at <= log.chosen
        || held().is_some_and(|stored| {
            stored.value.is_some() && (stored.ballot == Ballot::ZERO || stored.ballot >= ballot)
        })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, member, value};
    use super::*;
    use synod_core::{
        ClusterId, CommandKey, Incarnation, Membership, MembershipEntry, Stored, Value,
    };

    fn of(members: impl IntoIterator<Item = Member>) -> Membership {
        Membership::new(members.into_iter().collect(), Vec::new()).unwrap()
    }

    /// Of nodes that were all founded with the memories they have, but for strangers.
    fn excused(voters: &[Voter]) -> Option<Excuse> {
        let named = |(n, voter): (u64, &Voter)| {
            let member = voter.member.map(|_| member(n));
            Voter { member, ..voter.clone() }
        };
        let count = u64::try_from(voters.len()).unwrap();
        let eras = Eras::founded(ClusterId(1), of((0..count).map(member)));
        excuse(&(0..).zip(voters).map(named).collect::<Vec<_>>(), &eras)
    }

    /// Holds an entry at #4: in a ballot of this round, with its value or without.
    fn holding(round: u64, has_value: bool) -> Voter {
        let ballot = if round == 0 { Ballot::ZERO } else { ballot(round, 1) };
        let entry = Stored { instance: Instance(4), ballot, value: has_value.then(|| value(1)) };
        let log = Recovered { entries: vec![entry], ..whole().log.unwrap() };
        Voter { member: Some(member(0)), log: Some(log) }
    }

    fn whole() -> Voter {
        let log = Recovered { chosen: Instance(3), ..Recovered::default() };
        Voter { member: Some(member(0)), log: Some(log) }
    }

    fn gone() -> Voter {
        Voter { log: None, ..whole() }
    }

    fn stranger() -> Voter {
        Voter { member: None, ..whole() }
    }

    #[test]
    fn with_nothing_lost_there_is_no_excuse() {
        assert_eq!(excused(&[whole(), whole(), whole()]), None);
        assert_eq!(excused(&[holding(2, true), holding(1, true), whole()]), None);
        assert_eq!(excused(&[whole()]), None);
    }

    #[test]
    fn a_quorum_that_is_left_has_no_excuse() {
        assert_eq!(excused(&[whole(), gone(), whole()]), None);
        assert_eq!(excused(&[whole(), stranger(), whole(), gone(), whole()]), None);
    }

    #[test]
    fn fewer_than_a_quorum_may_be_stuck() {
        assert_eq!(excused(&[whole(), gone(), stranger()]), Some(Excuse::TooFewVoters(1)));
        assert_eq!(excused(&[gone()]), Some(Excuse::TooFewVoters(0)));
    }

    #[test]
    fn a_lost_value_excuses_only_if_every_quorum_needs_it() {
        let lost = Some(Excuse::ValueLost(Instance(4)));
        assert_eq!(
            excused(&[holding(2, false), whole(), whole()]),
            None,
            "two others are a quorum"
        );
        assert_eq!(excused(&[holding(2, false), whole(), gone()]), lost);
        assert_eq!(excused(&[holding(2, false), holding(1, true), gone()]), lost, "a lower ballot");
        assert_eq!(excused(&[holding(2, false), holding(2, true), gone()]), None);
        assert_eq!(excused(&[holding(2, false), holding(0, true), gone()]), None, "learned");
        assert_eq!(excused(&[holding(2, false), holding(2, false), holding(1, true)]), lost);
        let chosen = Recovered { chosen: Instance(4), ..Recovered::default() };
        let chosen = Voter { member: Some(member(0)), log: Some(chosen) };
        assert_eq!(excused(&[holding(2, false), chosen, gone()]), None);
    }

    #[test]
    fn a_lost_checkpoint_excuses_only_if_nobody_else_is_as_far() {
        let voter = |chosen, cleaned, files_lost| {
            let [chosen, cleaned] = [chosen, cleaned].map(Instance);
            let log = Recovered { chosen, cleaned, files_lost, ..Recovered::default() };
            Voter { member: Some(member(0)), log: Some(log) }
        };
        let lost = Some(Excuse::CheckpointLost(Instance(9)));
        let without = voter(12, 9, true);
        assert_eq!(excused(&[without.clone(), voter(8, 5, false), gone()]), lost);
        assert_eq!(excused(&[without.clone(), voter(9, 5, false), gone()]), None);
        assert_eq!(excused(&[without.clone(), voter(8, 5, false), voter(8, 0, false)]), None);
        assert_eq!(excused(&[without.clone(), without, voter(8, 5, false)]), lost);
    }

    #[test]
    fn every_membership_that_is_still_to_decide_something_is_asked() {
        let other = Member { incarnation: Incarnation(77), ..member(2) };
        let mut eras = Eras::founded(ClusterId(1), of([0, 1, 2].map(member)));
        let entry = MembershipEntry {
            key: CommandKey { origin: Incarnation(11), boot: 1, seq: 1 },
            cluster: ClusterId(1),
            version: Instance::ZERO,
            membership: of([member(0), member(1), other]),
        };
        assert!(eras.chosen(Instance(5), &Value::of_membership(&entry)));
        let voter = |member, chosen| {
            let log = Recovered { chosen: Instance(chosen), ..Recovered::default() };
            Voter { member: Some(member), log: Some(log) }
        };
        let judge = |voters: [Voter; 2]| excuse(&voters, &eras);
        assert_eq!(judge([voter(member(0), 5), voter(other, 0)]), None, "it can learn");
        let few = Some(Excuse::TooFewVoters(2));
        assert_eq!(judge([voter(member(0), 4), voter(other, 0)]), few, "one of those before");
        assert_eq!(judge([voter(member(0), 4), voter(member(1), 0)]), None);
        assert_eq!(judge([voter(member(0), 5), voter(member(2), 5)]), few, "one of those after");
    }
}
