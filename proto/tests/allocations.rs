//! Small messages are encoded and decoded without a single allocation, once buffers have grown.
#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use synod_core::{
    Ballot, Command, CommandKey, GroupId, Incarnation, Instance, Message, NodeId, SmId, Value,
    ValueWriter,
};
use synod_proto::{Decoder, FrameBuf, Packet};

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's obligations are passed on as they are.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are passed on as they are.
        unsafe { System.dealloc(place, layout) }
    }
}

#[test]
fn frequent_messages_are_encoded_without_allocating() {
    let packets = [accept(value(100)), accepted(), heartbeat(), forward(value(64))];
    let large = accept(value(10_000));
    let mut frames = FrameBuf::default();
    let mut round = |packets: &[Packet]| {
        for packet in packets {
            frames.push(packet).unwrap();
        }
        while frames.has_remaining() {
            frames.advance(frames.remaining().min(1000));
        }
    };
    round(&packets);
    round(std::slice::from_ref(&large));
    let small = allocations(|| (0..1000).for_each(|_| round(&packets)));
    assert_eq!(small, 0, "small messages");
    let shared = allocations(|| (0..1000).for_each(|_| round(std::slice::from_ref(&large))));
    assert_eq!(shared, 0, "a shared value");
}

#[test]
fn frames_without_values_are_decoded_with_one_allocation_for_a_read() {
    let mut frames = FrameBuf::default();
    for _ in 0..100 {
        frames.push(&accepted()).unwrap();
        frames.push(&heartbeat()).unwrap();
    }
    let bytes = frames.copy_to_bytes(frames.remaining());
    let mut buffer = BytesMut::with_capacity(bytes.len());
    buffer.put_slice(&bytes);
    let mut decoder = Decoder::default();
    let mut found = 0;
    let count = allocations(|| {
        while decoder.next(&mut buffer).unwrap().is_some() {
            found += 1;
        }
    });
    assert_eq!(found, 200);
    assert!(count <= 1, "{count} allocations: only the read's block is shared out");
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
}

fn allocations(work: impl FnOnce()) -> u64 {
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

const FROM: Incarnation = Incarnation(u64::MAX);
const BALLOT: Ballot = Ballot { round: 1_000_000, node: NodeId(3), incarnation: FROM };
const HERE: Instance = Instance(1_000_000_000);

fn group(message: Message) -> Packet {
    Packet::Group { group: GroupId(7), from: FROM, message }
}

fn accept(value: Value) -> Packet {
    group(Message::Accept { ballot: BALLOT, instance: HERE, value, chosen: HERE })
}

fn accepted() -> Packet {
    group(Message::Accepted { ballot: BALLOT, first: HERE, last: HERE })
}

fn heartbeat() -> Packet {
    group(Message::HeartbeatAck { ballot: BALLOT, probe: 9, chosen: HERE })
}

fn forward(commands: Value) -> Packet {
    group(Message::Forward { ballot: BALLOT, spread: false, commands })
}

fn value(len: usize) -> Value {
    let key = CommandKey { origin: FROM, boot: 1, seq: 1 };
    let mut writer = ValueWriter::default();
    writer.push(&Command { key, low: 1, sm: SmId(0), payload: Bytes::from([7].repeat(len)) });
    writer.finish()
}
