//! The hand-written encoding against prost's, and what decoding refuses.

#[path = "../tests/support/mod.rs"]
mod support;

mod hot;
mod refused;
mod schema;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use crate::packet::Packet;
use crate::{encode_frame, wire};

proptest! {
    #[test]
    fn bytes_are_what_prost_would_write(packet in support::arbitrary::packet()) {
        let body = body(&packet);
        let wire = wire::Packet::decode(body.clone()).unwrap();
        prop_assert_eq!(wire.encode_to_vec(), body);
    }
}

#[test]
fn the_samples_are_what_prost_would_write() {
    for (name, packet) in support::samples::samples() {
        let body = body(&packet);
        assert_eq!(wire::Packet::decode(body.clone()).unwrap().encode_to_vec(), body, "{name}");
    }
}

fn body(packet: &Packet) -> Bytes {
    encode_frame(packet).slice(9..)
}
