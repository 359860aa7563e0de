//! The bytes of every kind of packet, checked in: a change of format is seen in review.
//!
//! `REWRITE=1 cargo test -p synod-proto` writes them anew. A changed line means that nodes of the
//! version before cannot talk to this one: raise the format version.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

mod support;

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use support::samples::{MESSAGE_NAMES, samples};
use synod_proto::{decode_frame, encode_frame};

#[test]
fn every_packet_has_the_bytes_on_record() {
    let found = record();
    if std::env::var_os("REWRITE").is_some() {
        return std::fs::write(on_record(), &found).unwrap();
    }
    let expected = std::fs::read_to_string(on_record()).unwrap();
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(found, expected, "the format changed; see the top of tests/fixtures.rs");
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "a packet without bytes on record");
}

#[test]
fn the_bytes_on_record_decode_to_their_packets() {
    if std::env::var_os("REWRITE").is_some() {
        return; // the file is being written
    }
    let record = std::fs::read_to_string(on_record()).unwrap();
    for (name, packet) in samples() {
        let (_, rest) = record.split_once(&format!("\n{name}\n")).expect(&name);
        let hex: Vec<&str> =
            rest.lines().take_while(|line| line.starts_with(' ')).map(str::trim).collect();
        let bytes: Vec<u8> = hex
            .iter()
            .flat_map(|line| line.split(' '))
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        assert_eq!(decode_frame(Bytes::from(bytes)), Ok(packet), "{name}");
    }
}

#[test]
fn every_kind_of_message_has_a_sample() {
    let names: Vec<String> = samples().into_iter().map(|(name, _)| name).collect();
    for kind in MESSAGE_NAMES {
        let name = format!("group.{kind}");
        let found = names.iter().any(|n| *n == name || n.starts_with(&format!("{name}.")));
        assert!(found, "no sample of {kind}");
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "two samples share a name");
}

/// A name, then its frame in lines: length and checksum, version, then 16 bytes of body a line.
fn record() -> String {
    let mut text = String::from(
        "# Frames: u32 length, u32 CRC-32C | u8 version | body. Written by tests/fixtures.rs.\n",
    );
    for (name, packet) in samples() {
        let frame = encode_frame(&packet);
        writeln!(text, "\n{name}").unwrap();
        let (head, body) = frame.split_at(9);
        for line in [&head[..8], &head[8..]].into_iter().chain(body.chunks(16)) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "  {}", hex.join(" ")).unwrap();
        }
    }
    text
}

fn on_record() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/frames.txt")
}
