//! The protobuf messages of `proto/synod.proto`, as prost reads them. Only decoding goes through
//! these; `encode.rs` writes the same bytes without them.

pub(crate) use self::founding_packet::Body as FoundingBody;
pub(crate) use self::group_packet::Body as GroupBody;
pub(crate) use self::packet::Body as PacketBody;
pub(crate) use self::reported::Entry as ReportedEntry;
pub(crate) use self::transfer_packet::Body as TransferBody;

use bytes::Bytes;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Packet {
    #[prost(oneof = "packet::Body", tags = "1, 2, 3, 4, 5")]
    pub(crate) body: Option<packet::Body>,
}

pub(crate) mod packet {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Body {
        #[prost(message, tag = "1")]
        Hello(super::Hello),
        #[prost(message, tag = "2")]
        Founding(super::FoundingPacket),
        #[prost(message, tag = "3")]
        Group(super::GroupPacket),
        #[prost(message, tag = "4")]
        Judged(super::Judged),
        #[prost(message, tag = "5")]
        Transfer(super::TransferPacket),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(crate) version_min: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) version_max: u32,
    #[prost(fixed64, optional, tag = "3")]
    pub(crate) cluster: Option<u64>,
    #[prost(uint64, tag = "4")]
    pub(crate) node: u64,
    #[prost(uint64, tag = "5")]
    pub(crate) to: u64,
    #[prost(uint64, tag = "6")]
    pub(crate) boot: u64,
    #[prost(uint64, tag = "7")]
    pub(crate) durable_batch: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) nonce: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) groups: Vec<Memory>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Judged {
    #[prost(uint64, tag = "1")]
    pub(crate) boot: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) nonce: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) verdict: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Memory {
    #[prost(uint32, tag = "1")]
    pub(crate) group: u32,
    #[prost(fixed64, tag = "2")]
    pub(crate) incarnation: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Member {
    #[prost(uint64, tag = "1")]
    pub(crate) node: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) incarnation: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Ballot {
    #[prost(uint64, tag = "1")]
    pub(crate) round: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) node: u64,
    #[prost(fixed64, tag = "3")]
    pub(crate) incarnation: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FoundingPacket {
    #[prost(oneof = "founding_packet::Body", tags = "1, 2, 3")]
    pub(crate) body: Option<founding_packet::Body>,
}

pub(crate) mod founding_packet {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Body {
        #[prost(message, tag = "1")]
        Ask(super::Ask),
        #[prost(message, tag = "2")]
        Fresh(super::Fresh),
        #[prost(message, tag = "3")]
        Founded(super::Founded),
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Ask {
    #[prost(fixed64, tag = "1")]
    pub(crate) nonce: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Fresh {
    #[prost(fixed64, tag = "1")]
    pub(crate) nonce: u64,
    #[prost(uint64, repeated, tag = "2")]
    pub(crate) founders: Vec<u64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) memories: Vec<Memory>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Founded {
    #[prost(fixed64, tag = "1")]
    pub(crate) nonce: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) cluster: u64,
    #[prost(message, repeated, tag = "3")]
    pub(crate) groups: Vec<Membership>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Membership {
    #[prost(uint32, tag = "1")]
    pub(crate) group: u32,
    #[prost(message, repeated, tag = "2")]
    pub(crate) voters: Vec<Member>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) followers: Vec<Member>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GroupPacket {
    #[prost(uint32, tag = "1")]
    pub(crate) group: u32,
    #[prost(fixed64, tag = "2")]
    pub(crate) from: u64,
    #[prost(
        oneof = "group_packet::Body",
        tags = "3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 24, 25, 26, 27, 30, 31, 32, 33, 34"
    )]
    pub(crate) body: Option<group_packet::Body>,
}

pub(crate) mod group_packet {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Body {
        #[prost(message, tag = "3")]
        Accept(super::Accept),
        #[prost(message, tag = "4")]
        Accepted(super::Accepted),
        #[prost(message, tag = "5")]
        Heartbeat(super::Heartbeat),
        #[prost(message, tag = "6")]
        HeartbeatAck(super::HeartbeatAck),
        #[prost(message, tag = "7")]
        Forward(super::Forward),
        #[prost(message, tag = "8")]
        Prepare(super::Prepare),
        #[prost(message, tag = "9")]
        Promise(super::Promise),
        #[prost(message, tag = "10")]
        Canvass(super::Canvass),
        #[prost(message, tag = "11")]
        CanvassReply(super::CanvassReply),
        #[prost(message, tag = "12")]
        Behind(super::Behind),
        #[prost(message, tag = "13")]
        Nack(super::Nack),
        #[prost(message, tag = "14")]
        Learn(super::Learn),
        #[prost(message, tag = "15")]
        Learned(super::Learned),
        #[prost(message, tag = "16")]
        Refused(super::Refused),
        #[prost(message, tag = "17")]
        ReadIndex(super::ReadIndex),
        #[prost(message, tag = "18")]
        ReadPoint(super::ReadPoint),
        #[prost(message, tag = "19")]
        Transfer(super::Transfer),
        #[prost(message, tag = "30")]
        Lease(super::Lease),
        #[prost(message, tag = "31")]
        Granted(super::Granted),
        #[prost(message, tag = "32")]
        Release(super::Release),
        #[prost(message, tag = "24")]
        Hold(super::Hold),
        #[prost(message, tag = "25")]
        Held(super::Held),
        #[prost(message, tag = "26")]
        Change(super::Change),
        #[prost(message, tag = "27")]
        Waits(super::Waits),
        #[prost(message, tag = "33")]
        Voted(super::Voted),
        #[prost(message, tag = "34")]
        Digest(super::Digest),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Accept {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) instance: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) chosen: u64,
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) value: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Accepted {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) first: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) last: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Heartbeat {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) probe: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) chosen: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct HeartbeatAck {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) probe: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) chosen: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Forward {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) commands: Bytes,
    #[prost(bool, tag = "3")]
    pub(crate) spread: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Prepare {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) from: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Promise {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) from: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) to: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) entries: Vec<Reported>,
    #[prost(uint64, tag = "5")]
    pub(crate) chosen: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Reported {
    #[prost(uint64, tag = "1")]
    pub(crate) instance: u64,
    #[prost(oneof = "reported::Entry", tags = "2, 3, 4")]
    pub(crate) entry: Option<reported::Entry>,
}

pub(crate) mod reported {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Entry {
        #[prost(message, tag = "2")]
        Accepted(super::Vote),
        #[prost(message, tag = "3")]
        Lost(super::Ballot),
        #[prost(bytes = "bytes", tag = "4")]
        Chosen(bytes::Bytes),
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Vote {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) value: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Canvass {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct CanvassReply {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(bool, tag = "2")]
    pub(crate) granted: bool,
    #[prost(message, optional, tag = "3")]
    pub(crate) promised: Option<Ballot>,
    #[prost(uint64, tag = "4")]
    pub(crate) chosen: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Behind {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) cleaned: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Nack {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(message, optional, tag = "2")]
    pub(crate) promised: Option<Ballot>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Learn {
    #[prost(uint64, tag = "1")]
    pub(crate) from: u64,
    #[prost(bool, tag = "2")]
    pub(crate) lost: bool,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Digest {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) log: u64,
    #[prost(fixed64, optional, tag = "3")]
    pub(crate) state: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Voted {
    #[prost(uint64, tag = "1")]
    pub(crate) instance: u64,
    #[prost(message, optional, tag = "2")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Learned {
    #[prost(uint64, tag = "1")]
    pub(crate) from: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) chosen: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) cleaned: u64,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub(crate) values: Vec<Bytes>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Refused {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) keys: Vec<CommandKey>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct CommandKey {
    #[prost(fixed64, tag = "1")]
    pub(crate) origin: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) boot: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) seq: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ReadIndex {
    #[prost(uint64, tag = "1")]
    pub(crate) round: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct ReadPoint {
    #[prost(uint64, tag = "1")]
    pub(crate) round: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) instance: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Transfer {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Hold {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) chosen: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Held {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) held: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Change {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) entry: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Waits {
    #[prost(message, optional, tag = "1")]
    pub(crate) key: Option<CommandKey>,
    #[prost(uint64, tag = "2")]
    pub(crate) on: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Lease {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) question: u64,
    #[prost(uint64, tag = "3")]
    pub(crate) length_nanos: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Granted {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
    #[prost(uint64, tag = "2")]
    pub(crate) question: u64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Release {
    #[prost(message, optional, tag = "1")]
    pub(crate) ballot: Option<Ballot>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferPacket {
    #[prost(uint32, tag = "1")]
    pub(crate) group: u32,
    #[prost(oneof = "transfer_packet::Body", tags = "2, 3, 4, 5, 6")]
    pub(crate) body: Option<transfer_packet::Body>,
}

pub(crate) mod transfer_packet {
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(crate) enum Body {
        #[prost(message, tag = "2")]
        Ask(super::TransferAsk),
        #[prost(message, tag = "3")]
        Offer(super::TransferOffer),
        #[prost(message, tag = "4")]
        Fetch(super::TransferFetch),
        #[prost(message, tag = "5")]
        Chunk(super::TransferChunk),
        #[prost(message, tag = "6")]
        Nothing(super::TransferNothing),
    }
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct TransferAsk {
    #[prost(uint64, tag = "1")]
    pub(crate) next: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferOffer {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) digest: u64,
    #[prost(bytes = "bytes", tag = "3")]
    pub(crate) manifest: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct TransferFetch {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) digest: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) file: u32,
    #[prost(uint64, tag = "4")]
    pub(crate) offset: u64,
    #[prost(uint32, tag = "5")]
    pub(crate) len: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct TransferChunk {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) digest: u64,
    #[prost(uint32, tag = "3")]
    pub(crate) file: u32,
    #[prost(uint64, tag = "4")]
    pub(crate) offset: u64,
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) data: Bytes,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct TransferNothing {
    #[prost(uint64, tag = "1")]
    pub(crate) at: u64,
    #[prost(fixed64, tag = "2")]
    pub(crate) digest: u64,
}
