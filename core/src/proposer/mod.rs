//! The proposer: phase 1 when it wants to lead, phase 2 while it leads.

pub(crate) mod change;
pub(crate) mod leadership;
mod peers;
pub(crate) mod phase1;
pub(crate) mod queue;
mod turn;

use alloc::boxed::Box;

use crate::env::Env;
use crate::ids::{Ballot, Instance};
use leadership::Leadership;
use phase1::Phase1;

/// What the proposer is at.
#[derive(Debug)]
pub(crate) enum Proposer {
    /// Nothing: another node leads, or none does.
    Idle,
    /// It asks for promises.
    Preparing(Box<Phase1>),
    /// Its phase 1 is done.
    Leading(Box<Leadership>),
}

impl Proposer {
    /// The ballot it acts in, if it acts.
    pub(crate) fn ballot(&self) -> Option<Ballot> {
        match self {
            Self::Idle => None,
            Self::Preparing(phase1) => Some(phase1.ballot()),
            Self::Leading(leadership) => Some(leadership.ballot()),
        }
    }

    /// Up to where the log may be cleaned for the sake of those whom this node leads.
    ///
    /// A full disk keeps nothing for them: what it needs most is room.
    pub(crate) fn reported(&self, env: &Env) -> Instance {
        match self {
            Self::Leading(leadership) if env.has_room => leadership.reported(env),
            Self::Leading(_) | Self::Idle | Self::Preparing(_) => Instance::MAX,
        }
    }

    /// The leadership, if it leads.
    pub(crate) fn leading(&mut self) -> Option<&mut Leadership> {
        match self {
            Self::Leading(leadership) => Some(leadership),
            Self::Idle | Self::Preparing(_) => None,
        }
    }
}
