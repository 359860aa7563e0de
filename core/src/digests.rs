//! Whether all nodes execute the same log and come to the same state.
//!
//! At every [`digest_interval`](crate::Config::digest_interval)th instance each node tells the others a
//! digest of all values up to there, and one of its state machines' state if they give one. Agreement
//! is proved, and disks are checked; this finds what is left: a state machine that is not deterministic,
//! memory that flips bits, a mistake of ours. Nothing else depends on it.
//!
//! # The verdict
//!
//! A voter that reports something else is an event, whoever is wrong. If a quorum of the voters reports
//! one thing and this node has another, this node is wrong as far as anybody can tell, and stops what
//! its error could reach: with another *log* the group stops here, since its votes are part of it; with
//! another *state* it stops executing and answering, and goes on voting, which the state has no part in.
//! A quorum cannot be on both sides, so never do all stop; without a quorum on the other side, of two
//! nodes say, nobody does.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::env::Ctx;
use crate::founding::ClusterId;
use crate::ids::{Instance, Member};
use crate::membership::MembershipEntry;
use crate::message::Message;
use crate::outbox::Event;
use crate::value::Value;

/// What a node had at an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    at: Instance,
    /// Of all values up to there.
    log: u64,
    /// Of the state there; none if the machines give none, or are further.
    state: Option<u64>,
}

impl Point {
    /// Whether the two cannot both be right.
    fn differs(self, other: Self) -> bool {
        let states = self.state.zip(other.state);
        self.log != other.log || states.is_some_and(|(mine, theirs)| mine != theirs)
    }
}

/// What this node is found to be alone with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its log, up to this instance.
    Log(Instance),
    /// Its state, at this instance.
    State(Instance),
}

/// The digests of this node and of its peers, at the newest instances that they are told at.
#[derive(Debug)]
pub(crate) struct Digests {
    /// Of all values handed out.
    log: u64,
    /// Handed out, and not executed yet; ascending.
    open: VecDeque<Point>,
    own: VecDeque<Point>,
    heard: VecDeque<(Member, Point)>,
    /// The newest instance at which a quorum, this node among them or not, has what this node has.
    agreed: Instance,
    /// Where the log was found to be this node's alone.
    alone: Option<Instance>,
}

impl Digests {
    /// Goes on from a log with this digest.
    pub(crate) const fn new(log: u64) -> Self {
        Self {
            log,
            open: VecDeque::new(),
            own: VecDeque::new(),
            heard: VecDeque::new(),
            agreed: Instance::ZERO,
            alone: None,
        }
    }

    /// The digest of all values handed out.
    pub(crate) const fn log(&self) -> u64 {
        self.log
    }

    /// The newest instance at which a quorum is known to have the log and the state of this node. Counted
    /// anew from each start, and not at every interval: a digest is sent once, and a message may be lost.
    pub(crate) const fn agreed(&self) -> Instance {
        self.agreed
    }

    /// Where this node's log was found not to be that of a majority.
    pub(crate) const fn alone(&self) -> Option<Instance> {
        self.alone
    }

    /// Goes on from a checkpoint in place of what is below it.
    pub(crate) fn skip(&mut self, log: u64) {
        self.log = log;
        self.open.clear();
    }

    /// The next value is handed out. Says whether the state after it is to be digested.
    pub(crate) fn add(&mut self, at: Instance, value: &Value, interval: u64) -> bool {
        self.log = match value.membership() {
            // A recovery gives the cluster another name, and with it the entries that are there already.
            Some(entry) => {
                let mut bytes = Vec::new();
                MembershipEntry { cluster: ClusterId(0), ..entry }.encode(&mut bytes);
                mix(self.log, &bytes)
            }
            None => mix(self.log, value.bytes()),
        };
        let is_due = interval > 0 && at.0.is_multiple_of(interval) && self.open.len() < OPEN_MAX;
        if is_due {
            self.open.push_back(Point { at, log: self.log, state: None });
        }
        is_due
    }

    /// The state machines have this digest after everything up to `at`. Tells the others.
    pub(crate) fn on_digested(
        &mut self,
        at: Instance,
        state: Option<u64>,
        ctx: &mut Ctx<'_>,
    ) -> Option<Verdict> {
        while let Some(point) = self.open.front().copied().filter(|point| point.at <= at) {
            self.open.pop_front();
            if point.at < at {
                continue; // never answered: the machines had no time
            }
            let point = Point { state, ..point };
            push(&mut self.own, point, OWN_MAX);
            ctx.send_all(&Message::Digest { at, log: point.log, state });
            return self.judge(point, ctx);
        }
        None
    }

    /// A peer tells its digests.
    pub(crate) fn on_told(
        &mut self,
        from: Member,
        (at, log, state): (Instance, u64, Option<u64>),
        ctx: &mut Ctx<'_>,
    ) -> Option<Verdict> {
        self.heard.retain(|(member, point)| (*member, point.at) != (from, at));
        push(&mut self.heard, (from, Point { at, log, state }), HEARD_MAX);
        let own = *self.own.iter().find(|point| point.at == at)?;
        self.judge(own, ctx)
    }

    fn judge(&mut self, own: Point, ctx: &mut Ctx<'_>) -> Option<Verdict> {
        let others: Vec<(Member, Point)> =
            self.heard.iter().filter(|(_, point)| point.at == own.at).copied().collect();
        let on_ours = others.iter().filter(|(_, point)| !own.differs(*point)).map(|(who, _)| *who);
        if ctx.history.newest().is_quorum_of(on_ours.chain([ctx.me])) {
            self.agreed = self.agreed.max(own.at);
        }
        let mut found = None;
        for &(member, point) in others.iter().filter(|(_, point)| own.differs(*point)) {
            if found.is_none() {
                mark!(DIGESTS_DIFFER);
                ctx.event(Event::DigestsDiffer(member.node, own.at));
            }
            let is_log = point.log != own.log;
            let agrees =
                |other: &Point| other.log == point.log && (is_log || other.state == point.state);
            let on_its_side = others.iter().filter(|(_, other)| agrees(other)).map(|(who, _)| *who);
            let is_known = ctx.history.newest().is_quorum_of(on_its_side);
            let verdict = if is_log { Verdict::Log(own.at) } else { Verdict::State(own.at) };
            found = found.or_else(|| is_known.then_some(verdict));
        }
        if let Some(Verdict::Log(at)) = found {
            self.alone.get_or_insert(at);
        }
        found
    }
}

/// Keeps the newest of so many.
fn push<T>(queue: &mut VecDeque<T>, item: T, max: usize) {
    if queue.len() >= max {
        queue.pop_front();
    }
    queue.push_back(item);
}

/// Instances whose state is still to be digested; more than that are not.
const OPEN_MAX: usize = 256;

/// Digests of this node that are kept, for peers that are behind.
const OWN_MAX: usize = 64;

/// Digests of peers that are kept, until this node gets there.
const HEARD_MAX: usize = 1_024;

/// One digest of another and some bytes. Not against forgers: nobody gains by being quarantined.
fn mix(digest: u64, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |digest: u64, word: u64| {
        let product = u128::from(digest ^ word ^ ODD) * u128::from(ODD | 1 << 63);
        u64::try_from(product >> 64).unwrap_or(0)
            ^ u64::try_from(product & u128::from(u64::MAX)).unwrap_or(0)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let digest = words.iter().fold(digest, |digest, word| step(digest, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let digest = step(digest, u64::from_le_bytes(last));
    step(digest, u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;
    use crate::testing::{Kit, member, value};

    const AT: Instance = Instance(4);

    /// A node of so many that has handed out four values and was told the state after them.
    fn node(nodes: u64, state: Option<u64>) -> (Kit, Digests) {
        let (mut kit, mut digests) = (Kit::new(nodes), Digests::new(0));
        for at in 1..=4 {
            assert_eq!(digests.add(Instance(at), &value(at), 4), at == 4);
        }
        assert_eq!(digests.on_digested(AT, state, &mut kit.ctx()), None);
        (kit, digests)
    }

    fn told(
        kit: &mut Kit,
        digests: &mut Digests,
        from: u64,
        log: u64,
        state: Option<u64>,
    ) -> Option<Verdict> {
        digests.on_told(member(from), (AT, log, state), &mut kit.ctx())
    }

    #[test]
    fn everybody_is_told_at_each_interval() {
        let (mut kit, digests) = node(3, Some(7));
        let message = Message::Digest { at: AT, log: digests.log(), state: Some(7) };
        assert_eq!(kit.sent(), [(2, message.clone()), (3, message)]);
        let mut off = Digests::new(0);
        assert!(!off.add(Instance(1), &value(1), 0), "never");
    }

    #[test]
    fn those_who_agree_are_no_news() {
        let (mut kit, mut digests) = node(3, Some(7));
        let log = digests.log();
        for from in [2, 3] {
            assert_eq!(told(&mut kit, &mut digests, from, log, Some(7)), None);
            assert_eq!(told(&mut kit, &mut digests, from, log, None), None, "gives none");
        }
        assert_eq!(kit.out.events, []);
        assert_eq!((digests.agreed(), digests.alone()), (AT, None));
    }

    #[test]
    fn a_quorum_with_this_node_agrees_and_no_fewer() {
        let (mut kit, mut digests) = node(5, Some(7));
        let log = digests.log();
        for (from, log, state) in
            [(2, log, Some(7)), (3, log, Some(8)), (4, log + 1, Some(7)), (9, log, Some(7))]
        {
            told(&mut kit, &mut digests, from, log, state);
            assert_eq!(digests.agreed(), Instance::ZERO, "after node {from}");
        }
        told(&mut kit, &mut digests, 5, log, None);
        assert_eq!(digests.agreed(), AT, "with nodes 1, 2 and 5");
        let (_, alone) = node(1, None);
        assert_eq!(alone.agreed(), AT, "it is a quorum");
    }

    #[test]
    fn a_quorum_that_agrees_on_another_log_or_state_is_right() {
        let (mut kit, mut digests) = node(5, Some(7));
        let log = digests.log();
        assert_eq!(told(&mut kit, &mut digests, 2, log, Some(8)), None, "one of five");
        assert_eq!(kit.out.events.pop(), Some(Event::DigestsDiffer(NodeId(2), AT)));
        assert_eq!(told(&mut kit, &mut digests, 3, log, Some(9)), None, "each another");
        assert_eq!(told(&mut kit, &mut digests, 4, log, Some(8)), None);
        assert_eq!(told(&mut kit, &mut digests, 9, log, Some(8)), None, "no voter");
        let verdict = told(&mut kit, &mut digests, 5, log, Some(8));
        assert_eq!(verdict, Some(Verdict::State(AT)));
        for from in [2, 3] {
            assert_eq!(told(&mut kit, &mut digests, from, log + 1, Some(7)), None);
        }
        let verdict = told(&mut kit, &mut digests, 4, log + 1, None);
        assert_eq!(verdict, Some(Verdict::Log(AT)), "whatever their states");
        assert_eq!((digests.agreed(), digests.alone()), (Instance::ZERO, Some(AT)));
    }

    #[test]
    fn of_two_nodes_nobody_is_right() {
        let (mut kit, mut digests) = node(2, Some(7));
        let log = digests.log();
        assert_eq!(told(&mut kit, &mut digests, 2, log + 1, Some(8)), None);
        assert_eq!(kit.out.events, [Event::DigestsDiffer(NodeId(2), AT)]);
        assert_eq!((digests.agreed(), digests.alone()), (Instance::ZERO, None));
    }

    #[test]
    fn what_was_heard_early_is_held_against_it_later() {
        let (mut kit, mut digests) = (Kit::new(3), Digests::new(0));
        for from in [2, 3] {
            assert_eq!(told(&mut kit, &mut digests, from, 99, None), None);
        }
        for at in 1..=4 {
            digests.add(Instance(at), &value(at), 4);
        }
        let verdict = digests.on_digested(AT, None, &mut kit.ctx());
        assert_eq!(verdict, Some(Verdict::Log(AT)));
    }

    #[test]
    fn the_name_of_the_cluster_does_not_count() {
        let of = |cluster, voter| {
            let entry = MembershipEntry {
                key: crate::testing::command(1, 1).key,
                cluster: ClusterId(cluster),
                version: Instance(3),
                membership: crate::Membership::new(alloc::vec![member(voter)], Vec::new()).unwrap(),
            };
            let mut digests = Digests::new(7);
            digests.add(AT, &Value::of_membership(&entry), 0);
            digests.log()
        };
        assert_eq!(of(1, 2), of(9, 2));
        assert_ne!(of(1, 2), of(1, 3));
    }

    #[test]
    fn every_byte_and_the_order_count() {
        let of = |parts: &[&[u8]]| parts.iter().fold(0, |digest, part| mix(digest, part));
        let whole = of(&[b"one", b"and another"]);
        assert_ne!(whole, of(&[b"and another", b"one"]));
        assert_ne!(whole, of(&[b"onea", b"nd another"]));
        assert_ne!(of(&[b""]), of(&[b"\0"]));
        let bytes = [3_u8; 40];
        for at in 0..bytes.len() {
            let mut other = bytes;
            other[at] ^= 1;
            assert_ne!(of(&[&bytes]), of(&[&other]), "byte {at}");
        }
    }
}
