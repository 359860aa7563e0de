//! What was handed in at a node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use synod_core::NodeId;
use synod_proto::{Judgement, Packet};

use super::frames::payload_bytes;
use crate::transport::Inlet;

/// What was handed in at a node, and whether it has room for more.
#[derive(Debug, Default)]
pub(super) struct Record {
    got: Mutex<Got>,
    pub(super) is_full: AtomicBool,
}

/// What was handed in so far.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// Without what is said of hellos.
    pub(super) packets: Vec<(NodeId, Packet)>,
    /// What peers said of our hellos.
    pub(super) judged: Vec<(NodeId, Judgement)>,
    /// Bytes of payloads that were handed in while there was no room, by peer.
    pub(super) pushed: BTreeMap<NodeId, usize>,
}

impl Record {
    pub(super) fn got(&self) -> MutexGuard<'_, Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this came from there.
    pub(super) fn has(&self, from: u64, packet: &Packet) -> bool {
        self.got().packets.iter().any(|(node, it)| node.0 == from && it == packet)
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }
}

impl Inlet for Record {
    fn deliver(&self, from: NodeId, packets: &mut Vec<Packet>) {
        let is_full = self.is_full();
        let mut got = self.got();
        for packet in packets.drain(..) {
            if is_full {
                *got.pushed.entry(from).or_default() += payload_bytes(&packet);
            }
            match packet {
                Packet::Judged(judgement) => got.judged.push((from, judgement)),
                packet @ (Packet::Hello(_)
                | Packet::Founding(_)
                | Packet::Group { .. }
                | Packet::Transfer { .. }) => got.packets.push((from, packet)),
            }
        }
    }

    fn is_full(&self) -> bool {
        self.is_full.load(Ordering::SeqCst)
    }
}
