//! Who a peer says it is, held against what it said before: whether it is still the same acceptor.
//!
//! A directory that was restored from a copy, cloned, or kept by a disk that lied about a sync looks
//! intact from inside. A peer that remembers more can tell: what a [`Hello`] says of a memory only
//! ever grows. No I/O and no clock; the memory is that of one process, so this is best effort: it
//! needs a peer that was up at the time and still is.
//!
//! The rules, for a hello that names a memory heard of before:
//!
//! - **A lower boot is a rollback.** Every start counts one more, durably, before it says anything.
//! - **The same boot with another nonce is a clone**: two processes of one start.
//! - **A durable batch below the highest of older boots is a rollback.** Within one boot hellos may
//!   overtake each other; an older boot was over before the newer one said anything.
//! - **A memory that was replaced does not come back.** It was if a hello that names another one shows
//!   a later state of the directory, by boot and durable batch: taking new incarnations is a write.
//!
//! A memory never heard of is another acceptor, about which nothing is known. It may be that of a new,
//! empty directory, or an old one in a hello that comes late; so unless it shows a later state, it
//! does not speak against what the node has now. Only hellos are judged:
//! in any other message a lower boot is merely old. An old hello that comes late, from a process that
//! is gone, is refused as well; the answer names the process that it is about, and nobody else heeds
//! it. What is refused changes nothing here.

use std::collections::{BTreeMap, BTreeSet};

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

/// What a hello shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known that speaks against it.
    Fine,
    /// The directory held more before: it was restored from a copy, or its disk lost what it had
    /// said was synced. It takes new incarnations.
    Rollback,
    /// Another process speaks for the same start of the same directory. It takes new incarnations.
    Clone,
}

/// What was heard of each peer.
#[derive(Clone, Debug, Default)]
pub struct Acquaintances {
    peers: BTreeMap<NodeId, Peer>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    /// The directories heard of, as a rule one. No two have a memory in common.
    known: Vec<Known>,
    /// Memories that were replaced.
    retired: BTreeSet<(GroupId, Incarnation)>,
}

#[derive(Clone, Debug)]
struct Known {
    boot: u64,
    nonce: u64,
    /// The highest durable batch of that boot.
    batch: u64,
    /// The highest durable batch of older boots.
    older: u64,
    /// Ascending by group.
    memories: Vec<(GroupId, Incarnation)>,
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
        if hello.groups.iter().any(|memory| self.retired.contains(memory)) {
            return Verdict::Rollback;
        }
        let known = self.known.iter().find(|known| known.shares(hello));
        known.map_or(Verdict::Fine, |known| known.verdict(hello))
    }

    fn remember(&mut self, hello: &Hello) {
        let shared = self.known.iter().position(|known| known.shares(hello));
        let mut now = match shared {
            Some(shared) => self.known.remove(shared),
            None => Known::new(hello),
        };
        let at = (hello.boot, hello.durable_batch);
        for old in self.known.extract_if(.., |known| (known.boot, known.batch) < at) {
            self.retired.extend(old.memories);
        }
        if (now.boot, now.batch) <= at {
            let replaced = now.memories.iter().filter(|memory| !hello.groups.contains(memory));
            self.retired.extend(replaced.copied());
            now.memories.clone_from(&hello.groups);
        }
        now.hear(hello);
        self.known.push(now);
        if self.known.len() > KNOWN_MAX {
            self.known.remove(0);
        }
        while self.retired.len() > RETIRED_MAX {
            self.retired.pop_first();
        }
    }
}

impl Known {
    fn new(hello: &Hello) -> Self {
        let Hello { boot, nonce, durable_batch: batch, .. } = *hello;
        Self { boot, nonce, batch, older: 0, memories: hello.groups.clone() }
    }

    fn verdict(&self, hello: &Hello) -> Verdict {
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

    fn shares(&self, hello: &Hello) -> bool {
        hello.groups.iter().any(|memory| self.memories.contains(memory))
    }
}

/// Directories remembered of each peer; beyond that the one heard of longest ago is forgotten.
const KNOWN_MAX: usize = 16;

/// Replaced memories remembered of each peer; beyond that some are forgotten.
const RETIRED_MAX: usize = 65_536;

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
        let cases: [(&str, &[Said], Verdict); 15] = [
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
            ("a memory that was replaced", &[(7, 5, 9, 1), (8, 6, 11, 2), (7, 7, 99, 3)], Rollback),
            ("replaced without a start", &[(7, 5, 9, 1), (8, 5, 10, 2), (7, 5, 9, 1)], Rollback),
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
        assert_eq!(known.judge(&hello(7, 6, 11, 2)).verdict, Verdict::Rollback);
    }
}
