//! Whether frames arrive, where they should, as they were sent.

use bytes::Bytes;
use synod_core::{
    CheckpointId, FoundingMessage, GroupId, Incarnation, Instance, Message, TransferMessage,
};
use synod_proto::Packet;

use super::Suite;
use super::host::{Host, LIMITS, cluster, end};
use crate::transport::{Frame, Refused};

/// A small frame; no two numbers give the same.
pub(super) fn small(number: u64) -> Packet {
    let message = Message::ReadIndex { round: number };
    Packet::Group { group: GroupId(0), from: Incarnation(3), message }
}

/// A frame with so many bytes of payload.
pub(super) fn large(bytes: usize) -> Packet {
    let id = CheckpointId { at: Instance(1), digest: 1 };
    let bytes: Bytes = (0..=u8::MAX).cycle().take(bytes).collect::<Vec<u8>>().into();
    let message = TransferMessage::Chunk { id, file: 1, offset: 0, bytes };
    Packet::Transfer { group: GroupId(7), message }
}

/// The bytes that [`large`] was asked for; 0 for others.
pub(super) fn payload_bytes(packet: &Packet) -> usize {
    match packet {
        Packet::Transfer { message: TransferMessage::Chunk { bytes, .. }, .. } => bytes.len(),
        Packet::Hello(_)
        | Packet::Judged(_)
        | Packet::Founding(_)
        | Packet::Group { .. }
        | Packet::Transfer { .. } => 0,
    }
}

/// The largest frame that may be sent.
fn largest() -> Packet {
    let max = usize::try_from(LIMITS.frame_bytes_max).unwrap_or(usize::MAX);
    let frame = |payload| Frame(large(payload)).encode().len() - 4;
    // What surrounds a payload of about this size does not depend on the size.
    let around = frame(max - 1024) - (max - 1024);
    large(max - around)
}

/// Sends until it has arrived, since the first may be lost; gives the last error of what is to hold
/// all the while.
pub(super) fn until_arrived(
    suite: &Suite,
    from: &Host,
    to: &Host,
    packet: &Packet,
    mut meanwhile: impl FnMut() -> Result<(), String>,
) -> Result<(), String> {
    let mut tries = 0_u32;
    let before = to.refused()?.count;
    let what = || {
        let meanwhile = match to.refused() {
            Ok(Refused { last: Some(last), count }) if count > before => {
                format!("; meanwhile node {} refused {last}", to.node)
            }
            Ok(_) | Err(_) => String::new(),
        };
        let (from, to, bytes) = (from.node, to.node, Frame(packet.clone()).encode().len());
        format!(
            "a frame of {bytes} bytes from node {from}, sent repeatedly, arrives at node {to}\
             {meanwhile}"
        )
    };
    suite.until(what, || {
        // Not at every look, so that a slow transport is not swamped.
        if tries.is_multiple_of(20) {
            from.send(to.node, vec![packet.clone()])?;
        }
        tries += 1;
        meanwhile()?;
        Ok(to.record.has(from.node, packet))
    })
}

/// What one node says to another, different for any two.
fn between(from: u64, to: u64) -> Vec<Packet> {
    let number = from * 100 + to * 10;
    let of = |group, round| Packet::Group {
        group: GroupId(group),
        from: Incarnation(from),
        message: Message::ReadIndex { round },
    };
    let next = Instance(number + 2);
    vec![
        of(0, number),
        of(7, number + 1),
        Packet::Transfer { group: GroupId(7), message: TransferMessage::Ask { next } },
        Packet::Founding(FoundingMessage::Ask { nonce: number + 3 }),
    ]
}

/// Three nodes, each saying something else to each other, about several groups.
pub(super) fn reach_their_peer(suite: &Suite) -> Result<(), String> {
    let (hosts, _) = cluster(suite, 3)?;
    let mut tries = 0_u32;
    let mut missing = String::new();
    let arrived = |missing: &mut String| -> Result<bool, String> {
        for to in &hosts {
            for from in hosts.iter().filter(|from| from.node != to.node) {
                for packet in between(from.node, to.node) {
                    if !to.record.has(from.node, &packet) {
                        *missing = format!("{packet:?} from node {} at {}", from.node, to.node);
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    };
    let begun = std::time::Instant::now();
    while !arrived(&mut missing)? {
        if tries.is_multiple_of(20) {
            for from in &hosts {
                for to in hosts.iter().filter(|to| from.node != to.node) {
                    from.send(to.node, between(from.node, to.node))?;
                }
            }
        }
        tries += 1;
        for to in &hosts {
            for (from, packet) in &to.record.got().packets {
                if !between(from.0, to.node).contains(packet) {
                    return Err(misdelivered(to.node, from.0, packet));
                }
            }
        }
        if begun.elapsed() > suite.patience {
            let patience = suite.patience;
            return Err(format!(
                "sent again and again, and not there within {patience:?}: {missing}"
            ));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    end(suite, hosts)
}

fn misdelivered(at: u64, from: u64, packet: &Packet) -> String {
    let mut pairs = (1..=3).flat_map(|from| (1..=3).map(move |to| (from, to)));
    match pairs.find(|&(from, to)| from != to && between(from, to).contains(packet)) {
        Some((sender, meant)) => format!(
            "node {at} was handed a frame as node {from}'s that node {sender} sent to node {meant}"
        ),
        None => format!("node {at} was handed a frame that nobody sent: {packet:?}"),
    }
}

/// Frames of all sizes up to the limit arrive unchanged.
pub(super) fn large_ones_arrive(suite: &Suite) -> Result<(), String> {
    let (hosts, _) = cluster(suite, 2)?;
    let [one, two] = &hosts[..] else { return Err("two nodes were not started".into()) };
    let mut sizes: Vec<Packet> = [1, 1000, 1500, 10_000, 65_536, 1_000_000].map(large).into();
    sizes.push(largest());
    for packet in &sizes {
        until_arrived(suite, one, two, packet, || {
            let got = two.record.got();
            match got.packets.iter().find(|(_, it)| !sizes.contains(it)) {
                Some((_, changed)) => Err(format!(
                    "a frame with {} bytes of payload arrived changed",
                    payload_bytes(changed)
                )),
                None => Ok(()),
            }
        })?;
    }
    end(suite, hosts)
}
