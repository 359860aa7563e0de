//! Packets about checkpoints, both ways.

use synod_core::{CheckpointId, GroupId, Instance, MANIFEST_BYTES_MAX, TransferMessage};

use crate::decode::{DecodeError, Result, at_least_one, within};
use crate::encode::{Encode, Fields, Sink};
use crate::packet::Packet;
use crate::wire::{self, TransferBody};

/// The fields of a packet about a transfer.
pub(crate) struct TransferPacket<'a> {
    pub(crate) group: GroupId,
    pub(crate) message: &'a TransferMessage,
}

impl Encode for TransferPacket<'_> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.uint(1, self.group.0.into());
        let tag = match self.message {
            TransferMessage::Ask { .. } => 2,
            TransferMessage::Offer { .. } => 3,
            TransferMessage::Fetch { .. } => 4,
            TransferMessage::Chunk { .. } => 5,
            TransferMessage::Nothing { .. } => 6,
        };
        sink.message(tag, &Fields(self.message));
    }
}

impl Encode for Fields<'_, TransferMessage> {
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self.0 {
            TransferMessage::Ask { next } => sink.uint(1, next.0),
            TransferMessage::Offer { id, manifest } => {
                put_id(*id, sink);
                sink.bytes_if_any(3, manifest);
            }
            TransferMessage::Fetch { id, file, offset, len } => {
                put_id(*id, sink);
                sink.uint(3, (*file).into());
                sink.uint(4, *offset);
                sink.uint(5, (*len).into());
            }
            TransferMessage::Chunk { id, file, offset, bytes } => {
                put_id(*id, sink);
                sink.uint(3, (*file).into());
                sink.uint(4, *offset);
                sink.bytes_if_any(5, bytes);
            }
            TransferMessage::Nothing { id } => put_id(*id, sink),
        }
    }
}

fn put_id<S: Sink>(id: CheckpointId, sink: &mut S) {
    sink.uint(1, id.at.0);
    sink.fixed(2, id.digest);
}

/// What a packet says. Checkpoints are at an instance from 1 on, manifests are no longer than they
/// may be, and chunks not empty.
pub(crate) fn read(packet: wire::TransferPacket) -> Result<Packet> {
    let group = GroupId(packet.group);
    let message = match packet.body.ok_or(DecodeError::Missing("transfer message"))? {
        TransferBody::Ask(ask) => TransferMessage::Ask { next: instance("ask next", ask.next)? },
        TransferBody::Offer(wire::TransferOffer { at, digest, manifest }) => {
            if manifest.len() > MANIFEST_BYTES_MAX {
                let value = u64::try_from(manifest.len()).unwrap_or(u64::MAX);
                return Err(DecodeError::Beyond { field: "manifest length", value });
            }
            TransferMessage::Offer { id: id(at, digest)?, manifest }
        }
        TransferBody::Fetch(wire::TransferFetch { at, digest, file, offset, len }) => {
            at_least_one("fetch length", len.into())?;
            let (id, offset) = (id(at, digest)?, within("fetch offset", offset)?);
            TransferMessage::Fetch { id, file, offset, len }
        }
        TransferBody::Chunk(wire::TransferChunk { at, digest, file, offset, data: bytes }) => {
            if bytes.is_empty() {
                return Err(DecodeError::Missing("chunk data"));
            }
            let (id, offset) = (id(at, digest)?, within("chunk offset", offset)?);
            TransferMessage::Chunk { id, file, offset, bytes }
        }
        TransferBody::Nothing(wire::TransferNothing { at, digest }) => {
            let at = Instance(within("nothing at", at)?);
            TransferMessage::Nothing { id: CheckpointId { at, digest } }
        }
    };
    Ok(Packet::Transfer { group, message })
}

fn id(at: u64, digest: u64) -> Result<CheckpointId> {
    Ok(CheckpointId { at: instance("checkpoint at", at)?, digest })
}

fn instance(field: &'static str, number: u64) -> Result<Instance> {
    at_least_one(field, number)?;
    Ok(Instance(within(field, number)?))
}
