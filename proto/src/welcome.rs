//! The way of a process into its groups: what its peers make of its hellos, before its first vote.
//!
//! A directory that was restored from a copy, or whose disk lied, looks intact from inside, and its
//! votes are worth nothing. A peer that remembers more says so in answer to the hello
//! ([`Acquaintances`](crate::Acquaintances)). So the groups start once peers have answered that, with
//! this node, are a quorum, and at the latest one election timeout after the start: until then
//! nothing here speaks, which is the same as a start that came a little later, and safe for that
//! reason. In a clean start the answers are there after a round trip, and nobody would have been
//! elected within an election timeout anyway.
//!
//! A refused process takes new incarnations, durably, and then starts its groups as learners. If they
//! run already, since nobody who knows better could be reached in time, it stops: it says nothing
//! more, whatever it withheld dies with it, and the next start learns.
//!
//! With its new incarnations a process takes a new nonce. What peers still have to say of its old
//! memories is then about another process: a second refusal of what was given up already would stop
//! groups that have nothing to answer for.
//!
//! No I/O, no clock: times are arguments.

use std::collections::BTreeSet;

use synod_core::{Founding, NodeId, Time};

use crate::judge::{Judgement, Verdict};

/// How far a process is on its way into its groups.
#[derive(Clone, Debug)]
pub struct Welcome {
    me: NodeId,
    boot: u64,
    nonce: u64,
    silent_until: Time,
    /// Peers that have nothing against this process.
    fine: BTreeSet<NodeId>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// New incarnations are on their way to the disk.
    Renewing,
    Entered,
    /// Refused while the groups ran.
    Stopped,
}

/// What a process has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Nothing new.
    Wait,
    /// Start the groups. Said once; the groups count as started from then on.
    Start,
    /// Take new incarnations, durably, then call [`Welcome::renewed`].
    Renew,
    /// Say nothing more, take new incarnations, and end.
    Stop,
}

impl Welcome {
    /// A process of `me` that has just started: the groups start at `silent_until`, one election
    /// timeout from now, if not before.
    #[must_use]
    pub const fn new(me: NodeId, boot: u64, nonce: u64, silent_until: Time) -> Self {
        Self { me, boot, nonce, silent_until, fine: BTreeSet::new(), stage: Stage::Waiting }
    }

    /// The boot that hellos of this process say.
    #[must_use]
    pub const fn boot(&self) -> u64 {
        self.boot
    }

    /// The nonce that hellos of this process say.
    #[must_use]
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// Time has passed, or the founding became known.
    pub fn look(&mut self, now: Time, founding: Option<&Founding>) -> Decision {
        let Some(founding) = founding else { return Decision::Wait };
        let is_time = self.silent_until <= now || self.is_welcome(founding);
        if self.stage != Stage::Waiting || !is_time {
            return Decision::Wait;
        }
        self.stage = Stage::Entered;
        Decision::Start
    }

    /// A peer says what it makes of a hello: of this process's, or of an earlier one's.
    pub fn judged(
        &mut self,
        now: Time,
        from: NodeId,
        judgement: &Judgement,
        founding: Option<&Founding>,
    ) -> Decision {
        if (judgement.boot, judgement.nonce) != (self.boot, self.nonce) {
            return Decision::Wait; // about another process
        }
        match (judgement.verdict, self.stage) {
            (Verdict::Fine, _) => {
                self.fine.insert(from);
                self.look(now, founding)
            }
            (Verdict::Rollback | Verdict::Clone, Stage::Waiting) => {
                self.stage = Stage::Renewing;
                Decision::Renew
            }
            (Verdict::Rollback | Verdict::Clone, Stage::Entered) => {
                self.stage = Stage::Stopped;
                Decision::Stop
            }
            (Verdict::Rollback | Verdict::Clone, Stage::Renewing | Stage::Stopped) => {
                Decision::Wait
            }
        }
    }

    /// The new incarnations are durable: hellos say them from here on, with this nonce, which is
    /// drawn anew.
    pub fn renewed(&mut self, nonce: u64) {
        if self.stage == Stage::Renewing {
            self.stage = Stage::Waiting;
            self.nonce = nonce;
        }
    }

    /// When to [`look`](Self::look) again at the latest, once the founding is known.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        (self.stage == Stage::Waiting).then_some(self.silent_until)
    }

    /// Whether those that have nothing against this process are a quorum of every group with it.
    fn is_welcome(&self, founding: &Founding) -> bool {
        founding.groups.iter().all(|(_, membership)| {
            let voters = membership.voters().iter().map(|voter| voter.node);
            let heard = voters.filter(|node| *node == self.me || self.fine.contains(node)).count();
            u32::try_from(heard).unwrap_or(u32::MAX) >= membership.quorum()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_core::{ClusterId, GroupId, Incarnation, Member, Membership};

    const EARLY: Time = Time::from_millis(1);
    const LATE: Time = Time::from_millis(100);

    fn founding(nodes: u64) -> Founding {
        let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node) };
        let membership = Membership::new((1..=nodes).map(member).collect(), Vec::new()).unwrap();
        Founding { cluster: ClusterId(7), groups: vec![(GroupId(0), membership)] }
    }

    /// Node 1, in its fifth start.
    fn welcome() -> Welcome {
        Welcome::new(NodeId(1), 5, 50, LATE)
    }

    fn says(welcome: &mut Welcome, from: u64, nonce: u64, verdict: Verdict) -> Decision {
        let judgement = Judgement { boot: 5, nonce, verdict };
        welcome.judged(EARLY, NodeId(from), &judgement, Some(&founding(5)))
    }

    #[test]
    fn the_groups_start_with_a_quorum_of_answers_and_once() {
        let mut it = welcome();
        assert_eq!(it.look(EARLY, Some(&founding(5))), Decision::Wait);
        assert_eq!(says(&mut it, 2, 50, Verdict::Fine), Decision::Wait);
        assert_eq!(says(&mut it, 2, 50, Verdict::Fine), Decision::Wait, "one peer counts once");
        assert_eq!(says(&mut it, 9, 50, Verdict::Fine), Decision::Wait, "no voter");
        assert_eq!(says(&mut it, 3, 50, Verdict::Fine), Decision::Start);
        assert_eq!(says(&mut it, 4, 50, Verdict::Fine), Decision::Wait);
        assert_eq!(it.look(LATE, Some(&founding(5))), Decision::Wait);
    }

    #[test]
    fn without_answers_the_groups_start_when_the_silence_is_over() {
        let mut it = welcome();
        assert_eq!(it.look(LATE, None), Decision::Wait, "there is no cluster yet");
        assert_eq!(it.deadline(), Some(LATE));
        assert_eq!(it.look(LATE, Some(&founding(5))), Decision::Start);
        assert_eq!(it.deadline(), None);
    }

    #[test]
    fn a_lone_node_asks_nobody() {
        assert_eq!(welcome().look(EARLY, Some(&founding(1))), Decision::Start);
    }

    #[test]
    fn who_is_refused_renews_first_and_then_starts() {
        for verdict in [Verdict::Rollback, Verdict::Clone] {
            let mut it = welcome();
            assert_eq!(says(&mut it, 2, 50, verdict), Decision::Renew);
            assert_eq!(
                it.look(LATE, Some(&founding(5))),
                Decision::Wait,
                "not before it is durable"
            );
            assert_eq!(says(&mut it, 3, 50, verdict), Decision::Wait);
            it.renewed(51);
            assert_eq!(it.look(LATE, Some(&founding(5))), Decision::Start);
        }
    }

    #[test]
    fn who_is_refused_with_running_groups_stops() {
        let mut it = welcome();
        assert_eq!(it.look(LATE, Some(&founding(5))), Decision::Start);
        assert_eq!(says(&mut it, 2, 50, Verdict::Rollback), Decision::Stop);
        assert_eq!(says(&mut it, 3, 50, Verdict::Rollback), Decision::Wait);
    }

    #[test]
    fn what_is_said_of_another_process_is_not_heeded() {
        let mut it = welcome();
        assert_eq!(says(&mut it, 2, 49, Verdict::Clone), Decision::Wait);
        assert_eq!(says(&mut it, 2, 49, Verdict::Fine), Decision::Wait);
        assert_eq!(
            says(&mut it, 3, 50, Verdict::Fine),
            Decision::Wait,
            "the other was not counted"
        );
    }

    #[test]
    fn a_second_refusal_of_the_old_memories_stops_nothing() {
        let mut it = welcome();
        assert_eq!(says(&mut it, 2, 50, Verdict::Rollback), Decision::Renew);
        it.renewed(51);
        assert_eq!(it.look(LATE, Some(&founding(5))), Decision::Start);
        assert_eq!(says(&mut it, 3, 50, Verdict::Rollback), Decision::Wait);
        assert_eq!(says(&mut it, 3, 51, Verdict::Rollback), Decision::Stop, "of the new ones");
    }
}
