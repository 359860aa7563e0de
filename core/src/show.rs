//! How messages, records, events and outcomes read in a trace: short, in the words of the paper.
//!
//! `round.node` is a ballot, `#7` an instance, `?3` a probe. A command is its payload if that is a
//! short printable text, else its key.

use alloc::format;
use core::fmt::{self, Display, Formatter};

use crate::ids::Member;
use crate::membership::Membership;
use crate::message::{Message, Promise, Report, Reported};
use crate::outbox::{Event, Outcome};
use crate::value::{Command, CommandKey, Value, ValueKind};
use crate::write::Record;

impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canvass { ballot } => write!(f, "canvass {ballot}"),
            Self::CanvassReply { ballot, granted, promised, chosen } => {
                let word = if *granted { "yes" } else { "no" };
                write!(f, "canvass {ballot}? {word}, promised {promised}, chosen {chosen}")
            }
            Self::Prepare { ballot, from } => write!(f, "prepare {ballot} from {from}"),
            Self::Promise(Promise { ballot, from, to, chosen: _, entries }) => {
                write!(f, "promise {ballot} {from}..{to}")?;
                entries.iter().try_for_each(|entry| write!(f, ", {entry}"))
            }
            Self::Behind { ballot, cleaned } => write!(f, "behind {ballot}, cleaned {cleaned}"),
            Self::Nack { ballot, promised } => write!(f, "nack {ballot}, promised {promised}"),
            Self::Accept { ballot, instance, value, chosen } => {
                write!(f, "accept {ballot} {instance} {value}, chosen {chosen}")
            }
            Self::Accepted { ballot, first, last } if first == last => {
                write!(f, "accepted {ballot} {first}")
            }
            Self::Accepted { ballot, first, last } => {
                write!(f, "accepted {ballot} {first}..{last}")
            }
            Self::Heartbeat { ballot, probe, chosen } => {
                write!(f, "heartbeat {ballot} ?{probe}, chosen {chosen}")
            }
            Self::HeartbeatAck { ballot, probe, chosen } => {
                write!(f, "heard {ballot} ?{probe}, chosen {chosen}")
            }
            Self::Learn { from, lost: false } => write!(f, "learn from {from}"),
            Self::Learn { from, lost: true } => write!(f, "learn from {from}, which is lost"),
            Self::Voted { instance, ballot, value } => {
                write!(f, "voted {ballot} {instance} {value}")
            }
            Self::Learned { from, values, chosen, cleaned } => {
                write!(f, "learned {from} [")?;
                list(f, values, " ")?;
                write!(f, "], chosen {chosen}, cleaned {cleaned}")
            }
            Self::Forward { ballot, spread, commands } => {
                let spread = if *spread { " (spread)" } else { "" };
                write!(f, "forward {ballot} {commands}{spread}")
            }
            Self::Refused { ballot, keys } => {
                write!(f, "refused {ballot}")?;
                keys.iter().try_for_each(|key| write!(f, " {}", key.seq))
            }
            // Questions are counted from a number that differs from life to life.
            Self::ReadIndex { round } => write!(f, "read index {}", round & 0xffff_ffff),
            Self::ReadPoint { round, instance } => {
                write!(f, "read point {} {instance}", round & 0xffff_ffff)
            }
            Self::Lease { ballot, question, length } => {
                write!(f, "lease {ballot} ?{question} for {length:?}")
            }
            Self::Granted { ballot, question } => write!(f, "granted {ballot} ?{question}"),
            Self::Release { ballot } => write!(f, "release {ballot}"),
            Self::Transfer { ballot } => write!(f, "transfer {ballot}"),
            Self::Hold { ballot, chosen } => write!(f, "hold {ballot}? chosen {chosen}"),
            Self::Held { ballot, held } => write!(f, "held {ballot} {held}"),
            Self::Change { ballot, entry } => write!(f, "change {ballot} {entry}"),
            Self::Digest { at, log, state: Some(state) } => {
                write!(f, "digest {at}: log {log:x}, state {state:x}")
            }
            Self::Digest { at, log, state: None } => write!(f, "digest {at}: log {log:x}"),
            Self::Waits { key, on: Some(node) } => write!(f, "change {key} waits for {node}"),
            Self::Waits { key, on: None } => write!(f, "change {key} waits for another"),
        }
    }
}

impl Display for Reported {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let instance = self.instance;
        match &self.entry {
            Report::Accepted(ballot, value) => write!(f, "{instance} {ballot} {value}"),
            Report::Lost(ballot) => write!(f, "{instance} {ballot} lost"),
            Report::Chosen(value) => write!(f, "{instance} chosen {value}"),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kind() {
            ValueKind::Noop => f.write_str("noop"),
            ValueKind::Commands => list(f, self.commands(), "+"),
            ValueKind::Membership => match self.membership() {
                Some(entry) => write!(f, "members {} after {}", entry.membership, entry.version),
                None => f.write_str("members"),
            },
        }
    }
}

/// Shows `voters+followers`: their nodes, and of their memories as much as tells a few apart.
impl Display for Membership {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let short = |m: &Member| format!("{}/{:x}", m.node, m.incarnation.0 & 0xffff);
        list(f, self.voters().iter().map(short), ",")?;
        if !self.followers().is_empty() {
            f.write_str("+")?;
        }
        list(f, self.followers().iter().map(short), ",")
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let printable = self.payload.iter().all(|byte| byte.is_ascii_graphic());
        match core::str::from_utf8(&self.payload) {
            Ok(text) if printable && (1..=TEXT_MAX).contains(&text.len()) => f.write_str(text),
            Ok(_) | Err(_) => self.key.fmt(f),
        }
    }
}

/// Shows `@origin.boot.seq`, of the origin only as much as tells a few nodes apart.
impl Display for CommandKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "@{:04x}.{}.{}", self.origin.0 & 0xffff, self.boot, self.seq)
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promised(ballot) => write!(f, "promised {ballot}"),
            Self::Accepted { instance, ballot, value } => {
                write!(f, "accepted {ballot} {instance} {value}")
            }
            Self::Learned { instance, value } => write!(f, "learned {instance} {value}"),
            Self::Chosen(up_to) => write!(f, "chosen {up_to}"),
            Self::Cleaned(up_to) => write!(f, "cleaned {up_to}"),
            Self::Checkpoint { instance, .. } => write!(f, "checkpoint {instance}"),
            Self::Lease(length) => write!(f, "lease of {length:?}"),
            Self::Membership(history) => {
                write!(f, "members {} from {}", history.newest(), history.version())
            }
        }
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canvassing(ballot) => write!(f, "canvasses {ballot}"),
            Self::Preparing(ballot) => write!(f, "prepares {ballot}"),
            Self::Leading(ballot) => write!(f, "leads {ballot}"),
            Self::ValuesLost(first, last) => write!(f, "lost the values of {first}..{last}"),
            Self::SteppedDown(ballot, why) => write!(f, "steps down from {ballot}: {why:?}"),
            Self::Following(ballot) => write!(f, "follows {ballot}"),
            Self::Chosen(up_to) => write!(f, "knows chosen {up_to}"),
            Self::PeerLearns(member) => write!(f, "leaves {} to learn", member.node),
            Self::Checkpointed(at) => write!(f, "has a checkpoint {at}"),
            Self::Cleaned(up_to) => write!(f, "cleans the log {up_to}"),
            Self::Installed(at) => write!(f, "goes on from a peer's checkpoint {at}"),
            Self::DigestsDiffer(node, at) => write!(f, "has another digest at {at} than {node}"),
            Self::Diverged(at) => write!(f, "has another state at {at} than a majority"),
            Self::InstallRefused(at) => write!(f, "has no use for a checkpoint {at}"),
            Self::Master(Some(holder), version) => write!(f, "master is {holder} since {version}"),
            Self::Master(None, version) => write!(f, "nobody is master since {version}"),
            Self::MembershipChosen(at) => write!(f, "knows new members from {at}"),
            Self::MembershipChanged(at) => write!(f, "knows the change at {at} complete"),
            Self::Removed(at) => write!(f, "is removed by {at}"),
            Self::Failed(why, instance) => write!(f, "FAILS at {instance}: {why}"),
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(id, why) => write!(f, "proposal {} refused: {why:?}", id.0),
            Self::Unknown(id) => write!(f, "proposal {} unknown", id.0),
            Self::Executed(id, at) => write!(f, "proposal {} executed by {at}", id.0),
            Self::ReadAt(id, at) => write!(f, "read {} at {at}", id.0),
            Self::ReadFailed(id, why) => write!(f, "read {} failed: {why:?}", id.0),
            Self::Changed(id, at) => write!(f, "change {} made at {at}", id.0),
            Self::ChangeRefused(id, why) => write!(f, "change {} refused: {why:?}", id.0),
            Self::ChangeUnknown(id, Some(on)) => {
                write!(f, "change {} unknown, waited for {on}", id.0)
            }
            Self::ChangeUnknown(id, None) => write!(f, "change {} unknown", id.0),
        }
    }
}

fn list<T: Display>(
    f: &mut Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    between: &str,
) -> fmt::Result {
    for (n, item) in items.into_iter().enumerate() {
        if n > 0 {
            f.write_str(between)?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

/// The longest payload that stands for its command.
const TEXT_MAX: usize = 24;
