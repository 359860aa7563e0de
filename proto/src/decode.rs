//! Bytes to packets: everything that the core may count on is checked here, once.

use core::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use synod_core::{
    Ballot, ClusterId, CommandKey, Founder, Founding, FoundingMessage, GroupId, Incarnation,
    Instance, Member, Membership, MembershipError, Message, NodeId, Promise, Report, Reported,
    Value, ValueError, ValueKind,
};
use thiserror::Error;

use crate::NUMBER_LIMIT;
use crate::encode::count;
use crate::hello::Hello;
use crate::hot;
use crate::judge::{Judgement, Verdict};
use crate::packet::Packet;
use crate::wire;
use crate::wire::{FoundingBody, GroupBody, PacketBody, ReportedEntry};

/// Why the body of a frame is no packet, although its checksum is right: the peer runs another
/// version, or is broken. Close the connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is not protobuf.
    #[error("not protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
    /// A required field is absent, or is of a kind that this version does not know.
    #[error("{0} is missing, or of a kind that is unknown here")]
    Missing(&'static str),
    /// A number is zero where it counts from one.
    #[error("{0} is zero")]
    Zero(&'static str),
    /// A number is above [`NUMBER_LIMIT`].
    #[error("{field} is {value}, beyond every number in use")]
    Beyond {
        /// Which one.
        field: &'static str,
        /// As sent.
        value: u64,
    },
    /// The end of a range is below its start.
    #[error("{field} ends at {last}, below its start {first}")]
    Reversed {
        /// Which range.
        field: &'static str,
        /// Its start, as sent.
        first: u64,
        /// Its end, as sent.
        last: u64,
    },
    /// A list is not in ascending order, or names something twice.
    #[error("{0} are not in ascending order, or name one twice")]
    Order(&'static str),
    /// A promise reports an instance that is not in its page.
    #[error("instance {instance} is reported outside the page {from}..={to}")]
    OutsidePage {
        /// As reported.
        instance: Instance,
        /// The page's start.
        from: Instance,
        /// The page's end.
        to: Instance,
    },
    /// Forwarded commands are none.
    #[error("a no-op is forwarded where commands should be")]
    NoCommands,
    /// A change of the membership holds no membership.
    #[error("a change without a membership")]
    NoMembership,
    /// A value is malformed.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// Members do not make a membership.
    #[error("group {group}: {error}")]
    Membership {
        /// The group.
        group: GroupId,
        /// Why not.
        error: MembershipError,
    },
}

pub(crate) type Result<T> = core::result::Result<T, DecodeError>;

/// One packet, whose values are slices of `body`.
pub(crate) fn packet(body: Bytes) -> Result<Packet> {
    if let Some(packet) = hot::read(&body) {
        return group_packet(packet);
    }
    match wire::Packet::decode(body)?.body {
        Some(PacketBody::Hello(hello)) => Ok(Packet::Hello(self::hello(&hello)?)),
        Some(PacketBody::Founding(message)) => Ok(Packet::Founding(founding_message(message)?)),
        Some(PacketBody::Group(packet)) => group_packet(packet),
        Some(PacketBody::Judged(judged)) => Ok(Packet::Judged(judgement(judged)?)),
        Some(PacketBody::Transfer(packet)) => crate::transfer::read(packet),
        None => Err(DecodeError::Missing("packet body")),
    }
}

fn group_packet(packet: wire::GroupPacket) -> Result<Packet> {
    Ok(Packet::Group {
        group: GroupId(packet.group),
        from: incarnation(packet.from)?,
        message: message(packet.body)?,
    })
}

/// Versions count from 1 and make a range; `boot` counts from 1; groups ascend.
fn hello(wire: &wire::Hello) -> Result<Hello> {
    let (first, last) = (wire.version_min, wire.version_max);
    at_least_one("hello version", first.into())?;
    if last < first {
        let (first, last) = (first.into(), last.into());
        return Err(DecodeError::Reversed { field: "hello version range", first, last });
    }
    Ok(Hello {
        version_min: first,
        version_max: last,
        cluster: wire.cluster.map(ClusterId),
        node: NodeId(wire.node),
        to: NodeId(wire.to),
        boot: at_least_one("hello boot", wire.boot)?,
        durable_batch: wire.durable_batch,
        nonce: wire.nonce,
        groups: memories(&wire.groups)?,
    })
}

/// `boot` counts from 1, and the verdict is one of those known here.
fn judgement(wire: wire::Judged) -> Result<Judgement> {
    let verdict = match wire.verdict {
        1 => Verdict::Fine,
        2 => Verdict::Rollback,
        3 => Verdict::Clone,
        _ => return Err(DecodeError::Missing("verdict")),
    };
    Ok(Judgement { boot: at_least_one("judged boot", wire.boot)?, nonce: wire.nonce, verdict })
}

/// Questions have a nonce other than 0; founders are not empty and ascend, like memories and
/// founded groups; each founded membership is one.
fn founding_message(packet: wire::FoundingPacket) -> Result<FoundingMessage> {
    Ok(match packet.body.ok_or(DecodeError::Missing("founding message"))? {
        FoundingBody::Ask(ask) => {
            FoundingMessage::Ask { nonce: at_least_one("ask nonce", ask.nonce)? }
        }
        FoundingBody::Fresh(fresh) => {
            if fresh.founders.is_empty() {
                return Err(DecodeError::Missing("founders"));
            }
            ascending("founders", &fresh.founders, |&node| node)?;
            FoundingMessage::Fresh {
                nonce: at_least_one("fresh nonce", fresh.nonce)?,
                founder: Founder {
                    founders: fresh.founders.into_iter().map(NodeId).collect(),
                    memories: memories(&fresh.memories)?,
                },
            }
        }
        FoundingBody::Founded(founded) => {
            ascending("founded groups", &founded.groups, |group| group.group.into())?;
            FoundingMessage::Founded {
                nonce: founded.nonce,
                founding: Founding {
                    cluster: ClusterId(founded.cluster),
                    groups: founded.groups.iter().map(membership).collect::<Result<_>>()?,
                },
            }
        }
    })
}

fn membership(wire: &wire::Membership) -> Result<(GroupId, Membership)> {
    let members = |wire: &[wire::Member]| wire.iter().map(member).collect::<Result<Vec<Member>>>();
    let group = GroupId(wire.group);
    Membership::new(members(&wire.voters)?, members(&wire.followers)?)
        .map(|membership| (group, membership))
        .map_err(|error| DecodeError::Membership { group, error })
}

fn member(wire: &wire::Member) -> Result<Member> {
    Ok(Member { node: NodeId(wire.node), incarnation: incarnation(wire.incarnation)? })
}

fn memories(wire: &[wire::Memory]) -> Result<Vec<(GroupId, Incarnation)>> {
    ascending("memories", wire, |memory| memory.group.into())?;
    wire.iter()
        .map(|memory| Ok((GroupId(memory.group), incarnation(memory.incarnation)?)))
        .collect()
}

/// Every ballot is one in use, except that a voter may have promised none. Instances that something
/// is asked or said *about* are at least 1; prefixes (`chosen`, `cleaned`) may be 0. Rounds
/// count from 1, and so do probes; a heartbeat with probe 0 asks for no answer, and an
/// acknowledgement of probe 0 answers none.
fn message(body: Option<GroupBody>) -> Result<Message> {
    Ok(match body.ok_or(DecodeError::Missing("group message"))? {
        GroupBody::Accept(accept) => Message::Accept {
            ballot: ballot(accept.ballot)?,
            instance: instance("accept instance", accept.instance)?,
            value: Value::parse(accept.value)?,
            chosen: prefix("accept chosen", accept.chosen)?,
        },
        GroupBody::Accepted(accepted) => {
            let first = instance("accepted first", accepted.first)?;
            let last = instance("accepted last", accepted.last)?;
            not_reversed("accepted", first, last)?;
            Message::Accepted { ballot: ballot(accepted.ballot)?, first, last }
        }
        GroupBody::Heartbeat(heartbeat) => Message::Heartbeat {
            ballot: ballot(heartbeat.ballot)?,
            probe: heartbeat.probe,
            chosen: prefix("heartbeat chosen", heartbeat.chosen)?,
        },
        GroupBody::HeartbeatAck(ack) => Message::HeartbeatAck {
            ballot: ballot(ack.ballot)?,
            probe: ack.probe,
            chosen: prefix("heartbeat ack chosen", ack.chosen)?,
        },
        GroupBody::Forward(forward) => {
            let commands = Value::parse(forward.commands)?;
            if commands.kind() != ValueKind::Commands {
                return Err(DecodeError::NoCommands);
            }
            let (ballot, spread) = (ballot(forward.ballot)?, forward.spread);
            Message::Forward { ballot, spread, commands }
        }
        GroupBody::Prepare(prepare) => Message::Prepare {
            ballot: ballot(prepare.ballot)?,
            from: instance("prepare from", prepare.from)?,
        },
        GroupBody::Promise(promise) => Message::Promise(self::promise(promise)?),
        GroupBody::Canvass(canvass) => Message::Canvass { ballot: ballot(canvass.ballot)? },
        GroupBody::CanvassReply(reply) => Message::CanvassReply {
            ballot: ballot(reply.ballot)?,
            granted: reply.granted,
            promised: ballot_or_zero(reply.promised)?,
            chosen: prefix("canvass reply chosen", reply.chosen)?,
        },
        GroupBody::Behind(behind) => Message::Behind {
            ballot: ballot(behind.ballot)?,
            cleaned: instance("behind cleaned", behind.cleaned)?,
        },
        GroupBody::Nack(nack) => {
            Message::Nack { ballot: ballot(nack.ballot)?, promised: ballot(nack.promised)? }
        }
        GroupBody::Learn(learn) => {
            Message::Learn { from: instance("learn from", learn.from)?, lost: learn.lost }
        }
        GroupBody::Digest(digest) => Message::Digest {
            at: instance("digest at", digest.at)?,
            log: digest.log,
            state: digest.state,
        },
        GroupBody::Voted(voted) => Message::Voted {
            instance: instance("voted instance", voted.instance)?,
            ballot: ballot(voted.ballot)?,
            value: Value::parse(voted.value)?,
        },
        GroupBody::Learned(learned) => Message::Learned {
            from: instance("learned from", learned.from)?,
            chosen: prefix("learned chosen", learned.chosen)?,
            cleaned: prefix("learned cleaned", learned.cleaned)?,
            values: {
                let end = learned.from.saturating_add(count(learned.values.len()));
                prefix("learned end", end)?;
                values(learned.values)?
            },
        },
        GroupBody::Refused(refused) => Message::Refused {
            ballot: ballot(refused.ballot)?,
            keys: refused.keys.iter().map(command_key).collect::<Result<_>>()?,
        },
        GroupBody::ReadIndex(read) => {
            Message::ReadIndex { round: at_least_one("read round", read.round)? }
        }
        GroupBody::ReadPoint(point) => Message::ReadPoint {
            round: at_least_one("read round", point.round)?,
            instance: prefix("read point", point.instance)?,
        },
        GroupBody::Hold(hold) => Message::Hold {
            ballot: ballot(hold.ballot)?,
            chosen: prefix("hold chosen", hold.chosen)?,
        },
        GroupBody::Held(held) => {
            Message::Held { ballot: ballot(held.ballot)?, held: prefix("held", held.held)? }
        }
        GroupBody::Change(change) => {
            let entry = Value::parse(change.entry)?;
            if entry.kind() != ValueKind::Membership {
                return Err(DecodeError::NoMembership);
            }
            Message::Change { ballot: ballot(change.ballot)?, entry }
        }
        GroupBody::Waits(waits) => Message::Waits {
            key: command_key(&waits.key.ok_or(DecodeError::Missing("change key"))?)?,
            on: (waits.on != 0).then_some(NodeId(waits.on)),
        },
        GroupBody::Transfer(transfer) => Message::Transfer { ballot: ballot(transfer.ballot)? },
        GroupBody::Lease(lease) => Message::Lease {
            ballot: ballot(lease.ballot)?,
            question: at_least_one("lease question", lease.question)?,
            length: Duration::from_nanos(at_least_one("lease length", lease.length_nanos)?),
        },
        GroupBody::Granted(granted) => Message::Granted {
            ballot: ballot(granted.ballot)?,
            question: at_least_one("lease question", granted.question)?,
        },
        GroupBody::Release(release) => Message::Release { ballot: ballot(release.ballot)? },
    })
}

/// The page is not empty, and ends at 0 if it is the last one; entries ascend within it.
fn promise(wire: wire::Promise) -> Result<Promise> {
    let from = instance("promise from", wire.from)?;
    let to = match wire.to {
        0 => Instance::MAX,
        to => instance("promise to", to)?,
    };
    not_reversed("promise", from, to)?;
    ascending("promised entries", &wire.entries, |entry| entry.instance)?;
    let entries = wire.entries.into_iter().map(|entry| {
        let entry = reported(entry)?;
        let instance = entry.instance;
        if (from..=to).contains(&instance) {
            Ok(entry)
        } else {
            Err(DecodeError::OutsidePage { instance, from, to })
        }
    });
    let entries = entries.collect::<Result<_>>()?;
    let chosen = prefix("promise chosen", wire.chosen)?;
    Ok(Promise { ballot: ballot(wire.ballot)?, from, to, chosen, entries })
}

fn reported(wire: wire::Reported) -> Result<Reported> {
    let entry = match wire.entry.ok_or(DecodeError::Missing("reported entry"))? {
        ReportedEntry::Accepted(vote) => {
            Report::Accepted(ballot(vote.ballot)?, Value::parse(vote.value)?)
        }
        ReportedEntry::Lost(lost) => Report::Lost(ballot(Some(lost))?),
        ReportedEntry::Chosen(value) => Report::Chosen(Value::parse(value)?),
    };
    Ok(Reported { instance: instance("reported instance", wire.instance)?, entry })
}

fn values(wire: Vec<Bytes>) -> Result<Vec<Value>> {
    wire.into_iter().map(|bytes| Ok(Value::parse(bytes)?)).collect()
}

fn command_key(wire: &wire::CommandKey) -> Result<CommandKey> {
    Ok(CommandKey {
        origin: incarnation(wire.origin)?,
        boot: wire.boot,
        seq: at_least_one("command seq", wire.seq)?,
    })
}

/// A ballot that is left out where there is none.
fn ballot_or_zero(wire: Option<wire::Ballot>) -> Result<Ballot> {
    if wire.is_none() { Ok(Ballot::ZERO) } else { ballot(wire) }
}

/// A ballot in use: its round and incarnation are at least 1.
fn ballot(wire: Option<wire::Ballot>) -> Result<Ballot> {
    let wire = wire.ok_or(DecodeError::Missing("ballot"))?;
    let round = at_least_one("ballot round", within("ballot round", wire.round)?)?;
    Ok(Ballot { round, node: NodeId(wire.node), incarnation: incarnation(wire.incarnation)? })
}

fn incarnation(number: u64) -> Result<Incarnation> {
    at_least_one("incarnation", number).map(Incarnation)
}

/// An instance of the log.
fn instance(field: &'static str, number: u64) -> Result<Instance> {
    at_least_one(field, within(field, number)?).map(Instance)
}

/// The end of a prefix of the log, which may be empty.
fn prefix(field: &'static str, number: u64) -> Result<Instance> {
    within(field, number).map(Instance)
}

pub(crate) fn at_least_one(field: &'static str, number: u64) -> Result<u64> {
    if number == 0 { Err(DecodeError::Zero(field)) } else { Ok(number) }
}

pub(crate) fn within(field: &'static str, number: u64) -> Result<u64> {
    if number < NUMBER_LIMIT {
        Ok(number)
    } else {
        Err(DecodeError::Beyond { field, value: number })
    }
}

fn not_reversed(field: &'static str, first: Instance, last: Instance) -> Result<()> {
    if first <= last {
        Ok(())
    } else {
        Err(DecodeError::Reversed { field, first: first.0, last: last.0 })
    }
}

fn ascending<T>(field: &'static str, list: &[T], key: impl Fn(&T) -> u64) -> Result<()> {
    if list.windows(2).all(|pair| key(&pair[0]) < key(&pair[1])) {
        Ok(())
    } else {
        Err(DecodeError::Order(field))
    }
}
