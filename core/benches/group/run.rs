//! The closed loop of clients, and what it measures.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};

use crate::allocations;
use crate::omni::Omni;
use crate::synod::Synod;

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) system: System,
    /// Commands in flight.
    pub(crate) window: usize,
    /// Bytes of a command.
    pub(crate) payload: usize,
    pub(crate) form: Form,
}

/// Which library runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum System {
    Synod,
    Omnipaxos,
}

/// How messages get to the other node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Moved.
    Structs,
    /// Encoded, copied once as through a socket, and decoded.
    Codec,
}

/// Three nodes and what lies between them.
pub(crate) trait Cluster {
    /// Proposes a command at the leader; it leaves in the next turn.
    fn propose(&mut self, command: Bytes);

    /// Lets each node handle what has reached it. Returns how many commands were executed at the
    /// node that proposed them.
    fn turn(&mut self) -> usize;

    /// Messages sent between nodes so far, and the bytes they took if they were encoded.
    fn sent(&self) -> (u64, u64);
}

/// What a number of commands cost, all three nodes and the loop together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    commands: f64,
    nanos: f64,
    pub(crate) messages: f64,
    pub(crate) bytes: f64,
    pub(crate) allocations: f64,
}

impl Cost {
    pub(crate) fn per_second(&self) -> f64 {
        self.commands / self.nanos * 1e9
    }

    pub(crate) fn per_command(&self, total: f64) -> f64 {
        total / self.commands
    }
}

/// Warms a cluster up and measures it in its steady state.
pub(crate) fn measure(setup: Setup, commands: usize) -> Cost {
    match (setup.system, setup.form) {
        (System::Synod, form) => cost(Synod::new(form), setup, commands),
        (System::Omnipaxos, form) => cost(Omni::new(form), setup, commands),
    }
}

/// Warms a cluster up and runs it, for an instruction count or a profile. Asks no clock, which
/// valgrind does not survive.
pub(crate) fn steady(setup: Setup, commands: usize) {
    let clients = &mut Clients::new(setup);
    match setup.system {
        System::Synod => clients.run(&mut Synod::new(setup.form), WARM_UP + commands),
        System::Omnipaxos => clients.run(&mut Omni::new(setup.form), WARM_UP + commands),
    }
}

fn cost<C: Cluster>(mut cluster: C, setup: Setup, commands: usize) -> Cost {
    let mut clients = Clients::new(setup);
    clients.run(&mut cluster, WARM_UP);
    let allocations = allocations::count();
    let (messages, bytes) = cluster.sent();
    let nanos = cpu_nanos();
    clients.run(&mut cluster, commands);
    let nanos = cpu_nanos() - nanos;
    let (messages, bytes) = (cluster.sent().0 - messages, cluster.sent().1 - bytes);
    let allocations = allocations::count() - allocations;
    Cost {
        commands: float(u64::try_from(commands).expect("fits")),
        nanos: float(nanos),
        messages: float(messages),
        bytes: float(bytes),
        allocations: float(allocations),
    }
}

/// All clients together: they share one payload, so that its memory counts for nobody.
struct Clients {
    window: usize,
    in_flight: usize,
    payload: Bytes,
}

impl Clients {
    fn new(setup: Setup) -> Self {
        Self { window: setup.window, in_flight: 0, payload: vec![7; setup.payload].into() }
    }

    fn run(&mut self, cluster: &mut impl Cluster, commands: usize) {
        let (mut done, mut idle) = (0, 0);
        while done < commands {
            while self.in_flight < self.window {
                cluster.propose(self.payload.clone());
                self.in_flight += 1;
            }
            let executed = cluster.turn();
            self.in_flight -= executed;
            done += executed;
            idle = if executed == 0 { idle + 1 } else { 0 };
            assert!(idle < 100_000, "nothing is executed any more");
        }
    }
}

/// Commands that run before measuring starts; the same number for any number measured.
const WARM_UP: usize = 10_000;

fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).expect("not negative")
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "a count to be printed")]
fn float(count: u64) -> f64 {
    count as f64
}

impl FromStr for System {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "synod" => Ok(Self::Synod),
            "omnipaxos" => Ok(Self::Omnipaxos),
            other => Err(format!("unknown system {other}")),
        }
    }
}

impl FromStr for Form {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "structs" => Ok(Self::Structs),
            "codec" => Ok(Self::Codec),
            other => Err(format!("unknown form {other}")),
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Structs => "structs",
            Self::Codec => "codec",
        })
    }
}
