//! The first start of a cluster, without flags: fresh nodes agree on one founding, or wait.
//!
//! The founder with the lowest node id decides. It asks all founders in rounds; a round has a nonce
//! of its own, and only answers to it count. A round is *complete* when every founder has said that
//! it is fresh and was given the same founders and groups. When two complete rounds brought the
//! same memories, the second one asked after the first one was complete, these memories are the
//! founding membership. The decider writes it, and tells it once it is durable. Everyone else
//! adopts the first founding that it hears of, and no other, durably, before it votes in it; it votes
//! only where that names its own memory.
//!
//! # Why no acknowledged command is lost to a second founding
//!
//! What could go wrong: cluster F acknowledges a command; then founders are wiped, and with the
//! others that have not heard of F yet they found F', which is empty and has a quorum.
//!
//! Let T be the moment at which the first of the two rounds of F' was complete. Every memory named
//! by F' spoke before T, and spoke again, still fresh, after T: so **at T all of them existed, and
//! none had adopted anything**. (Two rounds are there for this snapshot. With one, a founder can
//! answer, adopt F from a message that was long under way, vote, and see another voter wiped, which
//! then answers as fresh: within one round, and with a tolerable number of losses.)
//!
//! - A command acknowledged in F before T was voted for by a quorum of F whose memories all had
//!   adopted F before T. At T each of these founders has a memory that had not: a quorum of F is
//!   lost, which is more than F tolerates.
//! - A leader of F that got any vote before T had adopted F by then, and is likewise lost at T; it
//!   counts none of the votes cast later. A later one needs promises from a quorum of F that still
//!   exists. Its memories were at T among those that F' names, and adopted F since; a memory adopts
//!   one founding, so F' has no quorum, and never acknowledges anything. Nor the other way round.
//!
//! Here F and F' have the same list of founders: lists are part of what has to be equal, so all
//! that count as fresh agree on who decides. The decider decides once in a process, and a later
//! process of the same directory finds the founding that was told. Nonces are drawn from a seed
//! that is random for every process, so answers to an earlier one do not count.
//!
//! A node that knows of a founding never says that it is fresh, also if it is not in it: so a wiped
//! founder stays out of the way, whoever is reachable. It adopts that founding as durably as a
//! member does, so it founds nothing later either, and runs its groups as a learner: votes count by
//! node *and* memory, and its memory is in no membership until a change swaps it in. A memory that
//! no founding names is in nobody's quorum, so the proof above does not meet it. A founder that
//! cannot be reached stops a founding, never a cluster that is founded.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::founding::{ClusterId, Founder, Founding, FoundingMessage};
use crate::ids::{GroupId, Incarnation, Member, NodeId};
use crate::membership::Membership;
use crate::time::Time;

pub use self::state::{FormingConflict, FormingState};

mod state;

/// Whether a fresh node may found a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bootstrap {
    /// Never: the cluster exists. The node does not count as a founder for others, either.
    Join,
    /// With all the founders listed, if they are at least two.
    #[default]
    Auto,
    /// As `Auto`, and also alone. Only for the very first start: if the only node of a cluster is
    /// wiped and started again, `Auto` waits and says so, and `Found` founds an empty cluster.
    Found,
}

/// From what a node sets out.
#[derive(Clone, Debug)]
pub struct FormingStart {
    /// This node.
    pub me: NodeId,
    /// The founders it was given, and the memories it has. A node that is not among the founders
    /// asks them, and founds nothing.
    pub founder: Founder,
    /// Whether it may found.
    pub bootstrap: Bootstrap,
    /// What its disk holds from an earlier start.
    pub founding: Option<Founding>,
    /// Random, and new for every process: nonces and the cluster's id are drawn from it.
    pub seed: u64,
    /// How long a round of questions takes at first; at least a round trip. Doubles, up to 64 times
    /// this, when answers come too late for their round.
    pub retry_interval: Duration,
    /// The time now.
    pub now: Time,
}

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormingInput {
    /// A message came.
    Receive {
        /// From this node.
        from: NodeId,
        /// What it says.
        message: FoundingMessage,
    },
    /// What [`FormingOutbox::write`] gave is on disk, with file and directory synced.
    Durable,
    /// Time passed. Step one at [`Forming::deadline`].
    Tick,
}

/// What to do. Owned by the caller, appended to by each step; the order does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormingOutbox {
    /// Send these. Losing some is harmless.
    pub messages: Vec<(NodeId, FoundingMessage)>,
    /// Write this, sync it, then step [`FormingInput::Durable`]. At most one in a process life.
    pub write: Option<Founding>,
}

/// One node on its way into a cluster, and its answers to others from then on: it lives as long as
/// the node. No I/O, clock or hidden randomness. The module's text has the rules and the proof.
#[derive(Clone, Debug)]
pub struct Forming {
    me: NodeId,
    founder: Founder,
    bootstrap: Bootstrap,
    random: u64,
    retry_interval: Duration,
    retry_max: Duration,
    round: Round,
    previous: Round,
    /// The memories that the last complete round brought.
    complete: Option<BTreeMap<NodeId, Founder>>,
    phase: Phase,
    /// The groups in which the founding of that phase and our memories differ, ascending.
    outside: Vec<GroupId>,
    /// Another cluster, and who is in it.
    foreign: Option<(NodeId, ClusterId)>,
}

/// One question to all founders.
#[derive(Clone, Debug, Default)]
struct Round {
    nonce: u64,
    ends: Time,
    heard: BTreeMap<NodeId, Founder>,
    /// An answer to an earlier question came during this round.
    late: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    Fresh,
    Writing { founding: Founding, decided: bool },
    Founded(Founding),
}

impl Forming {
    /// Sets out. Step a [`FormingInput::Tick`] at once: its deadline has come.
    #[must_use]
    pub fn new(start: FormingStart) -> Self {
        let FormingStart { me, mut founder, bootstrap, founding, seed, retry_interval, now } =
            start;
        founder.founders.sort_unstable();
        founder.founders.dedup();
        founder.memories.sort_unstable();
        let outside = founding.as_ref().map(|founding| outside(me, &founder, founding));
        Self {
            me,
            founder,
            bootstrap,
            random: seed,
            retry_interval,
            retry_max: retry_interval.saturating_mul(64),
            round: Round { ends: now, ..Round::default() },
            previous: Round::default(),
            complete: None,
            phase: founding.map_or(Phase::Fresh, Phase::Founded),
            outside: outside.unwrap_or_default(),
            foreign: None,
        }
    }

    /// The cluster that this node belongs to, once that is durable. Groups may run from then on:
    /// where this node's memory is not in the membership, as learners.
    #[must_use]
    pub const fn founding(&self) -> Option<&Founding> {
        match &self.phase {
            Phase::Founded(founding) => Some(founding),
            Phase::Fresh | Phase::Writing { .. } => None,
        }
    }

    /// The directory has taken new incarnations, durably: these, ascending by group. What was heard
    /// and said of the old ones founds nothing.
    pub fn renew(&mut self, memories: Vec<(GroupId, Incarnation)>, now: Time) {
        self.founder.memories = memories;
        self.complete = None;
        self.round = Round { ends: now, ..Round::default() };
        match &self.phase {
            Phase::Fresh => {}
            Phase::Writing { founding, .. } | Phase::Founded(founding) => {
                self.outside = outside(self.me, &self.founder, founding);
            }
        }
    }

    /// When to step a `Tick` next; `None` if there is nothing left to ask.
    #[must_use]
    pub const fn deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Fresh => Some(self.round.ends),
            Phase::Writing { .. } | Phase::Founded(_) => None,
        }
    }

    /// Feeds one input at `now`; appends what to do to `out`.
    ///
    /// # Panics
    ///
    /// On a `Durable` that answers no write: the embedder vouches for what it was not given.
    pub fn step(&mut self, now: Time, input: FormingInput, out: &mut FormingOutbox) {
        match input {
            FormingInput::Receive { from, message } => self.on_message(now, from, message, out),
            FormingInput::Durable => self.on_durable(out),
            FormingInput::Tick => {}
        }
        if matches!(self.phase, Phase::Fresh) && self.round.ends <= now {
            self.ask(now, out);
        }
    }

    fn on_message(
        &mut self,
        now: Time,
        from: NodeId,
        message: FoundingMessage,
        out: &mut FormingOutbox,
    ) {
        if let FoundingMessage::Ask { nonce } = message {
            out.messages.extend(self.answer(nonce).map(|answer| (from, answer)));
            return;
        }
        if from == self.me || !self.founder.founders.contains(&from) {
            return; // only those we were told to ask have a say
        }
        match message {
            FoundingMessage::Ask { .. } => {}
            FoundingMessage::Fresh { nonce, founder } => {
                self.on_fresh(now, from, nonce, founder, out);
            }
            FoundingMessage::Founded { founding, .. } => self.on_founded(from, founding, out),
        }
    }

    /// What we say of ourselves; nothing while it could become untrue before it arrives.
    fn answer(&self, nonce: u64) -> Option<FoundingMessage> {
        match &self.phase {
            Phase::Fresh if self.bootstrap == Bootstrap::Join || !self.is_founder() => None,
            Phase::Fresh => Some(FoundingMessage::Fresh { nonce, founder: self.founder.clone() }),
            // Ours is not durable yet, so it may never have been; another's is durable where it
            // was decided.
            Phase::Writing { decided: true, .. } => None,
            Phase::Writing { founding, decided: false } | Phase::Founded(founding) => {
                Some(FoundingMessage::Founded { nonce, founding: founding.clone() })
            }
        }
    }

    /// Starts the next round.
    fn ask(&mut self, now: Time, out: &mut FormingOutbox) {
        if self.decides() && self.founder.founders.len() == 1 {
            return self.decide(&BTreeMap::new(), out);
        }
        let nonce = self.draw();
        let next = Round { nonce, ends: now + self.retry_interval, ..Round::default() };
        self.previous = core::mem::replace(&mut self.round, next);
        out.messages.extend(self.others().map(|node| (node, FoundingMessage::Ask { nonce })));
    }

    fn on_fresh(
        &mut self,
        now: Time,
        from: NodeId,
        nonce: u64,
        founder: Founder,
        out: &mut FormingOutbox,
    ) {
        if !matches!(self.phase, Phase::Fresh) || nonce == 0 {
            return; // zero is no question's nonce
        }
        if nonce != self.round.nonce {
            mark!(FORMING_LATE_ANSWER);
            self.previous.heard.insert(from, founder); // shows that it is up, and counts for nothing
            if !core::mem::replace(&mut self.round.late, true) {
                self.retry_interval = self.retry_interval.saturating_mul(2).min(self.retry_max);
            }
            return;
        }
        mark!(FORMING_FOUNDERS_DISAGREE if !self.agrees(&founder));
        self.round.heard.insert(from, founder);
        let complete = self.decides()
            && self.others().all(|node| self.round.heard.contains_key(&node))
            && self.round.heard.values().all(|theirs| self.agrees(theirs));
        if complete {
            let heard = self.round.heard.clone();
            if self.complete.as_ref() == Some(&heard) {
                self.decide(&heard, out);
            } else {
                mark!(FORMING_SECOND_ROUND if self.complete.is_none());
                mark!(FORMING_MEMORY_CHANGED if self.complete.is_some());
                self.complete = Some(heard);
                self.ask(now, out);
            }
        }
    }

    /// Founds a cluster of our own memories and those heard.
    fn decide(&mut self, heard: &BTreeMap<NodeId, Founder>, out: &mut FormingOutbox) {
        let groups = self.founder.memories.iter().enumerate().map(|(index, &(group, mine))| {
            let me = Member { node: self.me, incarnation: mine };
            let others = heard.iter().map(|(&node, theirs)| {
                let (_, incarnation) = theirs.memories[index]; // the same groups, ascending
                Member { node, incarnation }
            });
            Some((
                group,
                Membership::new([me].into_iter().chain(others).collect(), Vec::new()).ok()?,
            ))
        });
        let Some(groups) = groups.collect::<Option<Vec<_>>>() else {
            return; // more founders than a membership can have
        };
        let founding = Founding { cluster: ClusterId(self.draw()), groups };
        self.write(founding, true, out);
    }

    fn write(&mut self, founding: Founding, decided: bool, out: &mut FormingOutbox) {
        out.write = Some(founding.clone());
        self.outside = outside(self.me, &self.founder, &founding);
        self.phase = Phase::Writing { founding, decided };
    }

    fn on_durable(&mut self, out: &mut FormingOutbox) {
        match core::mem::replace(&mut self.phase, Phase::Fresh) {
            Phase::Writing { founding, decided } => {
                if decided {
                    out.messages.extend(self.others().map(|node| {
                        (node, FoundingMessage::Founded { nonce: 0, founding: founding.clone() })
                    }));
                }
                self.phase = Phase::Founded(founding);
            }
            other @ (Phase::Fresh | Phase::Founded(_)) => {
                panic!("durable without a write: {other:?}")
            }
        }
    }

    /// Adopts the first founding heard of, and no second one ever.
    fn on_founded(&mut self, from: NodeId, founding: Founding, out: &mut FormingOutbox) {
        match &self.phase {
            Phase::Fresh => {
                mark!(FORMING_ADOPTED);
                self.write(founding, false, out);
            }
            Phase::Writing { founding: ours, .. } | Phase::Founded(ours) => {
                if *ours != founding {
                    mark!(FORMING_CLUSTERS_DIFFER);
                    self.foreign = Some((from, founding.cluster));
                }
            }
        }
    }

    fn is_founder(&self) -> bool {
        self.founder.founders.contains(&self.me)
    }

    /// Whether it is on us to decide.
    fn decides(&self) -> bool {
        match self.bootstrap {
            Bootstrap::Join => false,
            Bootstrap::Auto if self.founder.founders.len() < 2 => false,
            Bootstrap::Auto | Bootstrap::Found => self.founder.founders.first() == Some(&self.me),
        }
    }

    /// Whether another founder was given what we were given.
    fn agrees(&self, theirs: &Founder) -> bool {
        theirs.founders == self.founder.founders && groups_of(theirs).eq(groups_of(&self.founder))
    }

    fn others(&self) -> impl Iterator<Item = NodeId> {
        self.founder.founders.iter().copied().filter(|&node| node != self.me)
    }

    /// The next random number, never zero (SplitMix64).
    fn draw(&mut self) -> u64 {
        loop {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            if z != 0 {
                return z;
            }
        }
    }
}

/// The groups in which a founding and a node's memories differ, ascending.
fn outside(me: NodeId, founder: &Founder, founding: &Founding) -> Vec<GroupId> {
    let ours: BTreeMap<GroupId, Incarnation> = founder.memories.iter().copied().collect();
    let theirs: BTreeMap<GroupId, &Membership> =
        founding.groups.iter().map(|(group, membership)| (*group, membership)).collect();
    let mut groups: Vec<GroupId> = ours.keys().chain(theirs.keys()).copied().collect();
    groups.sort_unstable();
    groups.dedup();
    groups.retain(|group| {
        let (Some(&incarnation), Some(membership)) = (ours.get(group), theirs.get(group)) else {
            return true;
        };
        membership.slot(Member { node: me, incarnation }).is_none()
    });
    groups
}

fn groups_of(founder: &Founder) -> impl Iterator<Item = GroupId> {
    founder.memories.iter().map(|&(group, _)| group)
}

#[cfg(test)]
mod tests;
