//! Hellos: who a process says it is when a connection comes up, and what it makes of others'.
//!
//! As in production, a connection has a direction: whoever wants to send dials and says a hello; the
//! other judges it by what it remembers and answers; and only then anything else is said there. What
//! is judged and what follows from it is decided by the production types, [`Acquaintances`] and
//! [`Welcome`]. A connection is gone when either process is, when it breaks, and when a partition
//! passes. Who sends on one that is gone says hello anew, and what it wanted to send is lost. Who
//! hears from a process whose hello it has not judged breaks the connection.
//!
//! Two things are rougher than in production. Hellos and answers are packets like any other, lost and
//! late each for itself. And what an old connection still carries is taken as long as the process
//! that said it was found fine.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_core::{ClusterId, Time, mark};
use synod_proto::{Acquaintances, Hello, Judgement, Packet, VERSION, Verdict, Welcome};

use super::{Machine, node_id};
use crate::checkers::Violation;
use crate::checkers::hellos::Started;
use crate::env::{Env, Inside};
use crate::rng::Rng;

/// What one process life says of itself and has heard of others.
#[derive(Debug)]
pub(super) struct Hellos {
    pub(super) welcome: Welcome,
    pub(super) cluster: Option<ClusterId>,
    theirs: Acquaintances,
    peers: Vec<Peer>,
    rng: Rng,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    line: Line,
    /// How many hellos were said.
    said: u32,
    /// How many of them since there was a reason to hurry.
    attempt: u32,
    /// When the last one was.
    said_at: Time,
    /// Its lives whose hellos were found fine.
    fine: BTreeSet<u64>,
}

/// How far the connection to a peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Closed,
    /// A hello is on its way, on this connection, and comes again if it is not answered well.
    Asked(u64),
    /// This life of the peer has nothing against us, on this connection.
    Open(u64, u64),
}

/// A frame that arrived, as far as it does not say so itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    /// Which node sent it.
    pub(super) from: usize,
    /// In which of its lives.
    pub(super) life: u64,
}

impl Hellos {
    /// Of a process that has just started.
    pub(super) fn new(machine: &mut Machine, boot: u64, env: &mut Env) -> Self {
        let mut rng = Rng::numbered(machine.hello_seed, "hello", machine.life);
        let (nonce, now) = (rng.bits(), machine.clock.local(env.now));
        let silent_until = now + machine.core.election_timeout;
        let started = Started { boot, nonce, at: now, is_honest: !machine.memory.was_harmed() };
        env.checkers.hellos.started(machine.index, started);
        Self {
            welcome: Welcome::new(machine.id(), boot, nonce, silent_until),
            cluster: None,
            theirs: Acquaintances::new(),
            peers: vec![Peer::default(); machine.nodes],
            rng,
        }
    }

    /// Dials everyone that is not connected.
    pub(super) fn dial(&mut self, machine: &Machine, batch: u64, env: &mut Env) {
        for to in (0..machine.nodes).filter(|&to| to != machine.index) {
            if !matches!(self.peers[to].line, Line::Open(..)) {
                self.peers[to].attempt = 0;
                self.say(machine, batch, to, env);
            }
        }
    }

    /// Whether there is a connection to send on. If there is none any more, dials.
    pub(super) fn is_open(
        &mut self,
        machine: &Machine,
        batch: u64,
        to: usize,
        env: &mut Env,
    ) -> bool {
        match self.peers[to].line {
            Line::Open(connection, _)
                if connection == env.network.connection(machine.index, to) =>
            {
                true
            }
            Line::Open(..) | Line::Closed => {
                self.peers[to].attempt = 0;
                self.say(machine, batch, to, env);
                false
            }
            Line::Asked(_) => false,
        }
    }

    /// The answer to the `nth` hello should be there by now.
    pub(super) fn again(
        &mut self,
        machine: &Machine,
        batch: u64,
        (to, nth): (usize, u32),
        env: &mut Env,
    ) {
        let peer = &self.peers[to];
        if peer.said == nth && matches!(peer.line, Line::Asked(_)) {
            self.say(machine, batch, to, env);
        }
    }

    /// Whether a frame may be taken: whether it is from a process whose hello was found fine. Breaks
    /// the connection if not.
    pub(super) fn knows(&self, machine: &Machine, arrived: Arrived, env: &mut Env) -> bool {
        let Arrived { from, life } = arrived;
        let fine = &self.peers[from].fine;
        if fine.contains(&life) {
            return true;
        }
        env.stats.lost += 1;
        env.line(machine.index, || format!("   < n{}  before its hello", from + 1));
        // An old process's connection is not that of the newer one.
        if fine.last().is_none_or(|&newest| newest < life) {
            env.network.reset(from, machine.index, env.now);
        }
        false
    }

    /// A peer says hello: judges it, and answers.
    pub(super) fn heard(
        &mut self,
        machine: &Machine,
        batch: u64,
        arrived: Arrived,
        hello: &Hello,
        env: &mut Env,
    ) -> Result<(), Violation> {
        let Arrived { from, life } = arrived;
        let ours = self.hello(machine, batch, from);
        hello.agree(&ours).map_err(|error| {
            Violation::new("hellos", format!("n{} refuses a hello: {error}", machine.index + 1))
        })?;
        let judgement = self.theirs.judge(hello);
        env.line(machine.index, || {
            format!("   < n{}  hello of boot {}: {:?}", from + 1, hello.boot, judgement.verdict)
        });
        env.checkers.judged(machine.index, hello, judgement.verdict);
        env.send(machine.index, machine.life, from, &Packet::Judged(judgement));
        let peer = &mut self.peers[from];
        match judgement.verdict {
            Verdict::Fine => {}
            Verdict::Rollback | Verdict::Clone => {
                mark!(CLONE_SEEN if judgement.verdict == Verdict::Clone);
                return Ok(());
            }
        }
        if let Line::Open(_, old) = peer.line
            && old < life
            && peer.fine.last().is_none_or(|&newest| newest < life)
        {
            // The process at the other end is gone, and its connections.
            peer.line = Line::Closed;
        }
        peer.fine.insert(life);
        // Who has just dialled us is there: then we do not wait.
        let first = self.backoff(machine, 0);
        let peer = &mut self.peers[from];
        let is_due = match peer.line {
            Line::Closed => true,
            Line::Asked(_) => peer.said_at + first <= env.now,
            Line::Open(..) => false,
        };
        if is_due {
            peer.attempt = 0;
            self.say(machine, batch, from, env);
        }
        Ok(())
    }

    /// A peer has answered a hello: if it was ours, it takes what we send from here on, or does not.
    pub(super) fn answered(&mut self, arrived: Arrived, judgement: &Judgement) {
        let is_ours =
            (judgement.boot, judgement.nonce) == (self.welcome.boot(), self.welcome.nonce());
        let peer = &mut self.peers[arrived.from];
        match (is_ours, judgement.verdict, peer.line) {
            (true, Verdict::Fine, Line::Asked(connection)) => {
                peer.line = Line::Open(connection, arrived.life);
            }
            (true, Verdict::Rollback | Verdict::Clone, Line::Open(..)) => peer.line = Line::Closed,
            (true | false, ..) => {}
        }
    }

    /// New incarnations are durable: hellos say so from here on.
    pub(super) fn renewed(&mut self, machine: &Machine, batch: u64, env: &mut Env) {
        let nonce = self.rng.bits();
        env.checkers.hellos.renewed(machine.index, nonce);
        self.welcome.renewed(nonce);
        self.dial(machine, batch, env);
    }

    /// A second process of the same start says hello to everyone, and is not heard of again.
    pub(super) fn say_twice(&mut self, machine: &Machine, batch: u64, env: &mut Env) {
        let nonce = self.rng.bits();
        for to in (0..machine.nodes).filter(|&to| to != machine.index) {
            let hello = Hello { nonce, ..self.hello(machine, batch, to) };
            env.line(machine.index, || format!("a second process says hello to n{}", to + 1));
            env.send(machine.index, SECOND, to, &Packet::Hello(hello));
        }
    }

    fn say(&mut self, machine: &Machine, batch: u64, to: usize, env: &mut Env) {
        let hello = self.hello(machine, batch, to);
        env.line(machine.index, || {
            format!("   > n{}  hello of boot {}, batch {batch}", to + 1, hello.boot)
        });
        // Before the hello, which may find that its connection is broken.
        let connection = env.network.connection(machine.index, to);
        env.send(machine.index, machine.life, to, &Packet::Hello(hello));
        let wait = self.backoff(machine, self.peers[to].attempt);
        let wait = wait / 2 + wait * u32::try_from(self.rng.below(512)).unwrap_or(0) / 1_024;
        let peer = &mut self.peers[to];
        peer.line = Line::Asked(connection);
        peer.said_at = env.now;
        peer.attempt += 1;
        peer.said += 1;
        machine.later(wait, Inside::Greet(to, peer.said), env);
    }

    fn hello(&self, machine: &Machine, batch: u64, to: usize) -> Hello {
        Hello {
            version_min: u32::from(VERSION),
            version_max: u32::from(VERSION),
            cluster: self.cluster,
            node: machine.id(),
            to: node_id(to),
            boot: self.welcome.boot(),
            durable_batch: batch,
            nonce: self.welcome.nonce(),
            groups: machine.memory.now().to_vec(),
        }
    }

    /// How long an answer may take before the next hello: doubles, up to a limit.
    fn backoff(&self, machine: &Machine, attempt: u32) -> Duration {
        let first = machine.core.election_timeout / 16;
        (first * (1 << attempt.min(5))).min(machine.core.election_timeout * 2)
    }
}

/// The life of a process that is none of the machine's: it says hello, and nothing else.
const SECOND: u64 = u64::MAX;
