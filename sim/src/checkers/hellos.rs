//! Hellos are judged by what was said before, and who was refused votes no more.
//!
//! Each node's process remembers what it found fine. The same is kept here, as a plain list, and every
//! judgement is worked out anew from it, from hellos that name a memory in common: a lower boot,
//! another process of the same boot, less that is durable than an older boot had.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_core::{Founding, GroupId, Incarnation, Member, Message, NodeId, Time};
use synod_proto::{Hello, Judgement, Verdict as Judged};

use super::voters::speaks_as_acceptor;
use super::{Place, Verdict, Violation};

/// What was said in hellos, and what came of it.
#[derive(Debug)]
pub struct Hellos {
    nodes: Vec<Process>,
    election_timeout: Duration,
}

/// A process that has just started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// Its boot.
    pub boot: u64,
    /// Its nonce.
    pub nonce: u64,
    /// When, by its clock.
    pub at: Time,
    /// Whether nothing was ever done to its disk.
    pub is_honest: bool,
}

/// The process that runs on a node, or ran last.
#[derive(Debug, Default)]
struct Process {
    is: Started,
    /// What it found fine, in this order.
    heard: Vec<Hello>,
    /// Who finds it fine.
    welcome: BTreeSet<NodeId>,
    /// Memories of the node that were refused, whatever process had them.
    refused: BTreeSet<(GroupId, Incarnation)>,
}

impl Hellos {
    /// Nobody has said anything.
    #[must_use]
    pub fn new(nodes: usize, election_timeout: Duration) -> Self {
        let nodes = std::iter::repeat_with(Process::default).take(nodes).collect();
        Self { nodes, election_timeout }
    }

    /// A process starts: it remembers nothing.
    pub fn started(&mut self, node: usize, is: Started) {
        let refused = std::mem::take(&mut self.nodes[node].refused);
        self.nodes[node] = Process { is, refused, ..Process::default() };
    }

    /// A process has new incarnations, and a new nonce.
    pub fn renewed(&mut self, node: usize, nonce: u64) {
        self.nodes[node].is.nonce = nonce;
    }

    /// A node judges a hello.
    ///
    /// # Errors
    ///
    /// If what it heard before says otherwise, or if it refuses the process that runs now on a disk
    /// that lost nothing. Hellos that come late, of a process that is gone, may be refused.
    pub fn judged(&mut self, node: usize, hello: &Hello, verdict: Judged) -> Verdict {
        let contradiction = self.contradiction(node, hello);
        let n = node + 1;
        match (verdict, contradiction) {
            (Judged::Fine, None) => {
                self.nodes[node].heard.push(hello.clone());
                Ok(())
            }
            (Judged::Rollback | Judged::Clone, Some(_)) => self.is_suspect(node, hello),
            (Judged::Fine, Some(why)) => {
                let what = format!("n{n} has nothing against {hello:?}, though {why}");
                Err(Violation::new("hellos", what))
            }
            (Judged::Rollback | Judged::Clone, None) => {
                let what = format!("n{n} refuses {hello:?} ({verdict:?}), and knows of nothing");
                Err(Violation::new("hellos", what))
            }
        }
    }

    /// What a process heard before that speaks against a hello.
    #[must_use]
    pub fn contradiction(&self, node: usize, hello: &Hello) -> Option<String> {
        let heard = || self.nodes[node].heard.iter().filter(|old| old.node == hello.node);
        let is_same = |old: &&Hello| old.groups.iter().any(|memory| hello.groups.contains(memory));
        heard().filter(is_same).find_map(|old| {
            let Hello { boot, durable_batch: batch, nonce, .. } = hello;
            let is_lower = old.boot > *boot;
            let is_other = old.boot == *boot && old.nonce != *nonce;
            let is_less = old.boot < *boot && old.durable_batch > *batch;
            (is_lower || is_other || is_less).then(|| format!("it heard {old:?}"))
        })
    }

    /// Whether a node has heard of the process that runs on another one now.
    #[must_use]
    pub fn knows(&self, node: usize, other: usize, of: NodeId) -> bool {
        let is = self.nodes[other].is;
        let mut heard = self.nodes[node].heard.iter().rev().filter(|old| old.node == of);
        heard.next().is_some_and(|old| (old.boot, old.nonce) == (is.boot, is.nonce))
    }

    /// A process hears what a peer makes of a hello. If it is refused, it has these memories.
    pub fn answered(
        &mut self,
        node: usize,
        from: NodeId,
        judgement: &Judgement,
        memories: &[(GroupId, Incarnation)],
    ) {
        let process = &mut self.nodes[node];
        if (judgement.boot, judgement.nonce) != (process.is.boot, process.is.nonce) {
            return;
        }
        match judgement.verdict {
            Judged::Fine => {
                process.welcome.insert(from);
            }
            Judged::Rollback | Judged::Clone => process.refused.extend(memories),
        }
    }

    /// A process starts its groups.
    ///
    /// # Errors
    ///
    /// If neither a quorum has nothing against it nor an election timeout has passed.
    pub fn entered(&self, node: usize, me: NodeId, founding: &Founding, now: Time) -> Verdict {
        let Process { is, welcome, .. } = &self.nodes[node];
        if now >= is.at + self.election_timeout {
            return Ok(());
        }
        for (group, membership) in &founding.groups {
            let voters = membership.voters();
            let fine = |node: NodeId| node == me || welcome.contains(&node);
            let count = voters.iter().filter(|voter| fine(voter.node)).count();
            if count * 2 <= voters.len() {
                let what = format!(
                    "n{} starts group {group} with {count} of {} who have nothing against it, {:?} \
                     after its start",
                    node + 1,
                    voters.len(),
                    now.since(is.at)
                );
                return Err(Violation::new("hellos", what));
            }
        }
        Ok(())
    }

    /// A node puts a message on the wire.
    ///
    /// # Errors
    ///
    /// If it speaks as an acceptor with a memory that was refused.
    pub fn said(&self, place: Place, group: GroupId, me: Member, message: &Message) -> Verdict {
        let is_refused = self.nodes[place.node].refused.contains(&(group, me.incarnation));
        if is_refused && speaks_as_acceptor(message) {
            let what = format!("{place} was refused as {me}, and says {message}");
            return Err(Violation::new("hellos", what));
        }
        Ok(())
    }

    fn is_suspect(&self, node: usize, hello: &Hello) -> Verdict {
        let of = self.nodes.iter().zip(1_u64..).find(|(_, id)| NodeId(*id) == hello.node);
        let Some((process, _)) = of else { return Ok(()) };
        let is = process.is;
        if is.is_honest && (is.boot, is.nonce) == (hello.boot, hello.nonce) {
            let what = format!("n{} refuses {hello:?}, whose disk lost nothing", node + 1);
            return Err(Violation::new("hellos", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, place};
    use super::*;
    use synod_core::{ClusterId, Instance, Membership};

    const ELECTION: Duration = Duration::from_millis(100);

    /// Memory, boot, durable batch and nonce of node 2.
    fn hello(memory: u64, boot: u64, durable_batch: u64, nonce: u64) -> Hello {
        Hello {
            version_min: 1,
            version_max: 1,
            cluster: None,
            node: NodeId(2),
            to: NodeId(1),
            boot,
            durable_batch,
            nonce,
            groups: vec![(GroupId(0), Incarnation(memory))],
        }
    }

    fn hellos() -> Hellos {
        Hellos::new(3, ELECTION)
    }

    #[test]
    fn what_was_said_before_is_not_to_be_contradicted() {
        let old = hello(7, 5, 9, 1);
        for (bad, new) in [
            (false, hello(7, 5, 9, 1)),
            (false, hello(7, 5, 8, 1)),
            (false, hello(7, 6, 9, 2)),
            (false, hello(8, 1, 0, 2)),
            (true, hello(7, 4, 20, 2)),
            (true, hello(7, 5, 9, 2)),
            (true, hello(7, 6, 8, 2)),
        ] {
            let mut it = hellos();
            assert_eq!(it.judged(0, &old, Judged::Fine), Ok(()));
            assert_eq!(it.judged(0, &new, Judged::Fine).is_err(), bad, "{new:?}");
            let mut it = hellos();
            it.judged(0, &old, Judged::Fine).unwrap();
            assert_eq!(it.judged(0, &new, Judged::Rollback).is_err(), !bad, "{new:?}");
            assert_eq!(it.judged(1, &new, Judged::Fine), Ok(()), "another node heard nothing");
        }
        let mut it = hellos();
        it.judged(0, &old, Judged::Fine).unwrap();
        it.judged(0, &hello(8, 6, 10, 2), Judged::Fine).unwrap();
        assert!(it.judged(0, &hello(7, 4, 9, 3), Judged::Fine).is_err(), "it lost a start");
        it.started(0, Started::default());
        assert_eq!(it.judged(0, &hello(7, 4, 9, 3), Judged::Fine), Ok(()), "a new life");
    }

    #[test]
    fn who_lost_nothing_is_not_refused() {
        let mut it = hellos();
        it.judged(0, &hello(7, 5, 9, 1), Judged::Fine).unwrap();
        let honest = Started { boot: 4, nonce: 2, is_honest: true, ..Started::default() };
        it.started(1, honest);
        assert!(it.judged(0, &hello(7, 4, 9, 2), Judged::Rollback).is_err());
        assert_eq!(it.judged(0, &hello(7, 3, 9, 2), Judged::Rollback), Ok(()), "an older process");
        it.started(1, Started { is_honest: false, ..honest });
        assert_eq!(it.judged(0, &hello(7, 4, 9, 2), Judged::Rollback), Ok(()));
    }

    #[test]
    fn who_was_refused_votes_no_more_not_even_after_a_restart() {
        let mut it = hellos();
        let me = Member { node: NodeId(2), incarnation: Incarnation(7) };
        let (group, one) = (GroupId(0), Instance(1));
        let vote = Message::Accepted { ballot: ballot(1, 1), first: one, last: one };
        let refused = Judgement { boot: 5, nonce: 1, verdict: Judged::Clone };
        it.started(1, Started { boot: 5, nonce: 1, ..Started::default() });
        let other = Judgement { nonce: 2, ..refused };
        it.answered(1, NodeId(1), &other, &[(group, me.incarnation)]);
        assert_eq!(it.said(place(1), group, me, &vote), Ok(()), "another process was refused");
        it.answered(1, NodeId(1), &refused, &[(group, me.incarnation)]);
        assert!(it.said(place(1), group, me, &vote).is_err());
        it.started(1, Started::default());
        assert!(it.said(place(1), group, me, &vote).is_err());
        let new = Member { incarnation: Incarnation(8), ..me };
        assert_eq!(it.said(place(1), group, new, &vote), Ok(()));
        assert_eq!(
            it.said(place(1), group, me, &Message::Learn { from: one, lost: false }),
            Ok(())
        );
    }

    #[test]
    fn groups_start_with_a_quorum_or_late() {
        let member = |node| Member { node: NodeId(node), incarnation: Incarnation(node) };
        let membership = Membership::new((1..=3).map(member).collect(), Vec::new()).unwrap();
        let founding = Founding { cluster: ClusterId(7), groups: vec![(GroupId(0), membership)] };
        let (mut it, me, at) = (hellos(), NodeId(2), Time::from_millis(50));
        it.started(1, Started { boot: 5, nonce: 1, at, is_honest: true });
        assert!(it.entered(1, me, &founding, at + ELECTION / 2).is_err());
        assert_eq!(it.entered(1, me, &founding, at + ELECTION), Ok(()));
        let fine = Judgement { boot: 5, nonce: 1, verdict: Judged::Fine };
        it.answered(1, NodeId(3), &Judgement { nonce: 9, ..fine }, &[]);
        assert!(it.entered(1, me, &founding, at).is_err(), "another process was meant");
        it.answered(1, NodeId(3), &fine, &[]);
        assert_eq!(it.entered(1, me, &founding, at), Ok(()));
        it.started(1, Started { boot: 6, nonce: 2, at, is_honest: true });
        assert!(it.entered(1, me, &founding, at).is_err(), "the next process asks anew");
    }
}
