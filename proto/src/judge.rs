//! Who a peer says it is, held against what it said before: whether it is still the same acceptor.
//!
//! A directory that was restored from a copy, cloned, or kept by a disk that lied about a sync looks
//! intact from inside. A peer that remembers more can tell: what a [`Hello`] says of a memory only
//! ever grows. No I/O and no clock; the memory is that of one process, so this is best effort: it
//! needs a peer that was up at the time and still is.
//!
//! Every memory of a hello is judged by itself, by what was last heard of *it*, and the worst that is
//! found is the verdict:
//!
//! - **A lower boot is a rollback.** Every start counts one more, durably, before it says anything.
//! - **A durable batch below the highest of older boots is a rollback.** Within one boot hellos may
//!   overtake each other; an older boot was over before the newer one said anything.
//! - **The same boot with another nonce is a clone**: two processes of one start.
//!
//! A memory never heard of is another acceptor, about which nothing is known, and it says nothing about
//! those heard of before. That matters: hellos come late. A node that was wiped counts its boots anew,
//! so neither boot nor batch tells which of two memories is the later one, and what was said of one may
//! arrive after what was said of the other. A memory that was given up and comes back with all it ever
//! said is what it was: an acceptor that kept its promises. Whether it has a vote is not a question of
//! its past: the membership names memories, and the one that took its place was either swapped in, and
//! then the old one's vote counts nowhere, or was not, and then it never voted.
//!
//! Only hellos are judged: in any other message a lower boot is merely old. An old hello that comes
//! late, from a process that is gone, is refused as well; the answer names the process that it is
//! about, and nobody else heeds it. What is refused changes nothing here.

use std::collections::BTreeMap;

use synod_core::{GroupId, Incarnation, NodeId};

use crate::hello::Hello;

/// What a node makes of a peer's hello. The answer to every hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The boot of the hello judged.
    pub boot: u64,
    /// The nonce of the hello judged: no other process heeds this.
    pub nonce: u64,
    /// What became of it.
    pub verdict: Verdict,
}

/// What a hello shows; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing is known that speaks against it.
    Fine,
    /// Another process speaks for the same start of the same directory. It takes new incarnations.
    Clone,
    /// The directory held more before: it was restored from a copy, or its disk lost what it had
    /// said was synced. It takes new incarnations.
    Rollback,
}

/// What was heard of each peer.
#[derive(Clone, Debug, Default)]
pub struct Acquaintances {
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    memories: BTreeMap<(GroupId, Incarnation), Known>,
    /// The memories in the order in which they were last heard of.
    order: BTreeMap<u64, (GroupId, Incarnation)>,
    /// How many memories were ever heard of, each counted as often as it was.
    heard: u64,
}

/// What was heard of a memory.
#[derive(Clone, Copy, Debug)]
struct Known {
    boot: u64,
    nonce: u64,
    /// The highest durable batch of that boot.
    batch: u64,
    /// The highest durable batch of older boots.
    older: u64,
    /// Its place in the order.
    heard: u64,
}

impl Acquaintances {
    /// Nobody is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges a hello, and remembers it unless it is refused.
    pub fn judge(&mut self, hello: &Hello) -> Judgement {
        let peer = self.peers.entry(hello.node).or_default();
        let verdict = peer.verdict(hello);
        if verdict == Verdict::Fine {
            peer.remember(hello);
        }
        Judgement { boot: hello.boot, nonce: hello.nonce, verdict }
    }
}

impl Peer {
    fn verdict(&self, hello: &Hello) -> Verdict {
        let known = hello.groups.iter().filter_map(|memory| self.memories.get(memory));
        known.map(|known| known.verdict(hello)).max().unwrap_or(Verdict::Fine)
    }

    fn remember(&mut self, hello: &Hello) {
        for memory in &hello.groups {
            let known = self.memories.entry(*memory).or_insert_with(|| Known::new(hello));
            known.hear(hello);
            self.order.remove(&known.heard);
            self.heard += 1;
            known.heard = self.heard;
            self.order.insert(known.heard, *memory);
        }
        while self.memories.len() > MEMORIES_MAX
            && let Some((_, longest_ago)) = self.order.pop_first()
        {
            self.memories.remove(&longest_ago);
        }
    }
}

impl Known {
    const fn new(hello: &Hello) -> Self {
        let Hello { boot, nonce, durable_batch: batch, .. } = *hello;
        Self { boot, nonce, batch, older: 0, heard: 0 }
    }

    fn verdict(self, hello: &Hello) -> Verdict {
        let older = if hello.boot > self.boot { self.older.max(self.batch) } else { self.older };
        if hello.boot < self.boot || hello.durable_batch < older {
            Verdict::Rollback
        } else if hello.boot == self.boot && hello.nonce != self.nonce {
            Verdict::Clone
        } else {
            Verdict::Fine
        }
    }

    fn hear(&mut self, hello: &Hello) {
        if hello.boot > self.boot {
            self.older = self.older.max(self.batch);
            (self.boot, self.batch) = (hello.boot, 0);
        }
        self.nonce = hello.nonce;
        self.batch = self.batch.max(hello.durable_batch);
    }
}

/// Memories remembered of each peer, over all groups; beyond that the one heard of longest ago is
/// forgotten.
const MEMORIES_MAX: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory, boot, durable batch, nonce.
    type Said = (u64, u64, u64, u64);

    /// Of a directory whose memory is `memory`: boot, batch and nonce.
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
            groups: vec![(GroupId(0), Incarnation(memory)), (GroupId(1), Incarnation(memory))],
        }
    }

    fn judged(hellos: &[Said]) -> Vec<Verdict> {
        let mut known = Acquaintances::new();
        let judge = |&(memory, boot, batch, nonce): &Said| {
            known.judge(&hello(memory, boot, batch, nonce)).verdict
        };
        hellos.iter().map(judge).collect()
    }

    #[test]
    fn each_rule() {
        use Verdict::{Clone, Fine, Rollback};
        let cases: [(&str, &[Said], Verdict); 16] = [
            ("never heard of", &[(7, 5, 9, 1)], Fine),
            ("the same process again", &[(7, 5, 9, 1), (7, 5, 9, 1)], Fine),
            ("overtaken by a later hello of its boot", &[(7, 5, 9, 1), (7, 5, 8, 1)], Fine),
            ("the next start", &[(7, 5, 9, 1), (7, 6, 10, 2)], Fine),
            ("an earlier start", &[(7, 5, 9, 1), (7, 4, 20, 2)], Rollback),
            ("the same start, another process", &[(7, 5, 9, 1), (7, 5, 9, 2)], Clone),
            ("a later start that holds less", &[(7, 5, 9, 1), (7, 6, 8, 2)], Rollback),
            (
                "it holds less than two starts ago",
                &[(7, 5, 9, 1), (7, 6, 10, 2), (7, 6, 8, 2)],
                Rollback,
            ),
            ("another memory", &[(7, 5, 9, 1), (8, 1, 1, 2)], Fine),
            ("a memory that comes back", &[(7, 5, 9, 1), (8, 6, 11, 2), (7, 7, 99, 3)], Fine),
            ("and lost something", &[(7, 5, 9, 1), (8, 6, 11, 2), (7, 6, 8, 3)], Rollback),
            ("and starts twice", &[(7, 5, 9, 1), (8, 6, 11, 2), (7, 5, 9, 3)], Clone),
            (
                "a late hello of an older memory does not replace the newer one",
                &[(8, 6, 11, 2), (7, 5, 9, 1), (8, 6, 11, 2)],
                Fine,
            ),
            ("nor does one of the same boot", &[(8, 6, 11, 2), (7, 6, 10, 1), (8, 6, 11, 2)], Fine),
            (
                "the directory of before an empty one, with all that it had",
                &[(7, 5, 9, 1), (8, 1, 1, 2), (7, 6, 9, 3)],
                Fine,
            ),
            (
                "what was refused is not remembered",
                &[(7, 5, 9, 1), (7, 4, 99, 2), (7, 5, 9, 1)],
                Fine,
            ),
        ];
        for (name, hellos, expected) in cases {
            assert_eq!(judged(hellos).last(), Some(&expected), "{name}");
        }
    }

    #[test]
    fn the_answer_names_the_process_it_is_about() {
        let mut known = Acquaintances::new();
        known.judge(&hello(7, 5, 9, 1));
        let refused = known.judge(&hello(7, 4, 9, 3));
        assert_eq!(refused, Judgement { boot: 4, nonce: 3, verdict: Verdict::Rollback });
    }

    #[test]
    fn one_group_may_be_renewed_alone() {
        let mut known = Acquaintances::new();
        known.judge(&hello(7, 5, 9, 1));
        let mut part = hello(7, 5, 10, 1);
        part.groups[1].1 = Incarnation(8);
        assert_eq!(known.judge(&part).verdict, Verdict::Fine);
        let late = hello(7, 6, 11, 2);
        assert_eq!(known.judge(&late).verdict, Verdict::Fine, "what it was, and nothing is lost");
        part.nonce = 3;
        assert_eq!(
            known.judge(&part).verdict,
            Verdict::Rollback,
            "the other group's start is older"
        );
    }

    #[test]
    fn the_worst_of_all_memories_decides() {
        let mut known = Acquaintances::new();
        let of = |memory: u64, group: u32, boot, nonce| Hello {
            groups: vec![(GroupId(group), Incarnation(memory))],
            ..hello(memory, boot, 9, nonce)
        };
        known.judge(&of(7, 0, 5, 1));
        known.judge(&of(8, 1, 6, 2));
        let mut both = of(7, 0, 5, 2);
        both.groups.push((GroupId(1), Incarnation(8)));
        assert_eq!(known.judge(&both).verdict, Verdict::Rollback, "and a clone");
        both.groups.pop();
        assert_eq!(known.judge(&both).verdict, Verdict::Clone);
    }

    #[test]
    fn the_memory_heard_of_longest_ago_is_forgotten_first() {
        let mut known = Acquaintances::new();
        let of = |memory: u64, boot| Hello {
            groups: vec![(GroupId(0), Incarnation(memory))],
            ..hello(memory, boot, 9, memory)
        };
        let max = u64::try_from(MEMORIES_MAX).unwrap();
        for memory in 0..max {
            known.judge(&of(memory, 5));
        }
        known.judge(&of(0, 5));
        known.judge(&of(max, 5));
        assert_eq!(known.judge(&of(0, 4)).verdict, Verdict::Rollback);
        assert_eq!(known.judge(&of(2, 4)).verdict, Verdict::Rollback);
        assert_eq!(known.judge(&of(1, 4)).verdict, Verdict::Fine, "forgotten");
    }
}
