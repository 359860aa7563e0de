use super::super::{ManifestFile, Sender, SenderAction};
use super::*;
use crate::ids::SmId;
use crate::master::Mastership;
use crate::membership::History;
use crate::sessions::Sessions;
use crate::snapshot;
use crate::testing::member;
use alloc::vec;

fn manifest(at: u64, sizes: &[u64]) -> Manifest {
    let membership = crate::Membership::new(vec![member(1), member(2)], vec![]).unwrap();
    let state = snapshot::encode(
        Instance(at),
        0,
        &Sessions::default(),
        &Mastership::default(),
        &History::founded(membership),
    );
    let file = |(n, size): (usize, &u64)| ManifestFile {
        sm: SmId(0),
        name: alloc::format!("{n}"),
        size: *size,
        crc: 0,
    };
    Manifest { at: Instance(at), state, files: sizes.iter().enumerate().map(file).collect() }
}

const CHUNK: u32 = 10;

fn config() -> TransferConfig {
    TransferConfig { chunk_bytes: CHUNK, ..TransferConfig::default() }
}

fn wanted(next: u64, from: &[u64]) -> Option<Wanted> {
    let from = from.iter().map(|&node| NodeId(node)).collect();
    Some(Wanted { next: Instance(next), from })
}

/// A receiver, its disk and the peers that it asks.
struct World {
    now: Time,
    receiver: Receiver,
    /// Each with what it has.
    senders: Vec<(NodeId, Sender, Manifest)>,
    down: Vec<NodeId>,
    begun: Option<(CheckpointId, Manifest)>,
    stored: u64,
    done: bool,
    random: u64,
    /// Of a thousand messages, so many are lost, and so many come twice.
    lost: u64,
    twice: u64,
    chunks: Vec<(u64, u32, u64)>,
}

impl World {
    fn new(peers: &[(u64, Manifest)]) -> Self {
        let sender = |(node, manifest): &(u64, Manifest)| {
            let mut sender = Sender::new(config());
            sender.has(manifest.id(), manifest.encode());
            (NodeId(*node), sender, manifest.clone())
        };
        let mut receiver = Receiver::new(config());
        let from: Vec<u64> = peers.iter().map(|(node, _)| *node).collect();
        receiver.want(wanted(1, &from));
        Self {
            now: Time::ZERO,
            receiver,
            senders: peers.iter().map(sender).collect(),
            down: Vec::new(),
            begun: None,
            stored: 0,
            done: false,
            random: 1,
            lost: 0,
            twice: 0,
            chunks: Vec::new(),
        }
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.random >> 33) % 1000 < per_mille
    }

    /// What is to be done next, a while later; until everything is there or `steps` are over.
    fn run(&mut self, steps: usize) -> bool {
        let mut out = Vec::new();
        for _ in 0..steps {
            if self.done {
                break;
            }
            if out.is_empty() {
                self.now = self.receiver.deadline().expect("it goes on").max(self.now);
                self.receiver.tick(self.now, &mut out);
            }
            for action in core::mem::take(&mut out) {
                self.act(action, &mut out);
            }
        }
        self.done
    }

    fn act(&mut self, action: ReceiverAction, out: &mut Vec<ReceiverAction>) {
        match action {
            ReceiverAction::Send(to, message) => self.send(to, &message, out),
            ReceiverAction::Begin(id, manifest) => {
                let same = self.begun.as_ref().is_some_and(|(begun, _)| *begun == id);
                self.stored = if same { self.stored } else { 0 };
                let (mut file, mut offset) = (0, self.stored);
                for each in &manifest.files {
                    if offset < each.size {
                        break;
                    }
                    (file, offset) = (file + 1, offset - each.size);
                }
                self.begun = Some((id, manifest));
                self.receiver.begun(self.now, file, offset, out);
            }
            ReceiverAction::Store { file, offset, bytes } => {
                let (_, manifest) = self.begun.as_ref().unwrap();
                let before: u64 = manifest.files[..usize::try_from(file).unwrap()]
                    .iter()
                    .map(|file| file.size)
                    .sum();
                assert_eq!(before + offset, self.stored, "out of order");
                let len = u64::try_from(bytes.len()).unwrap();
                self.stored += len;
                self.receiver.stored(self.now, len, out);
            }
            ReceiverAction::Finish(id) => {
                let (begun, manifest) = self.begun.clone().unwrap();
                assert_eq!((id, self.stored), (begun, manifest.bytes()));
                let (at, state) = self.receiver.finished().unwrap();
                assert_eq!((at, state), (manifest.at, manifest.state));
                self.done = true;
            }
        }
    }

    fn send(&mut self, to: NodeId, message: &TransferMessage, out: &mut Vec<ReceiverAction>) {
        if self.down.contains(&to) || self.chance(self.lost) {
            return;
        }
        let (now, mut answers) = (self.now, Vec::new());
        let Some((_, sender, manifest)) = self.senders.iter_mut().find(|(node, ..)| *node == to)
        else {
            return;
        };
        sender.receive(now, NodeId(1), message, &mut answers);
        if let Some(deadline) = sender.deadline().filter(|_| answers.is_empty()) {
            sender.tick(deadline.max(now), &mut answers); // the rate is somebody else's test
        }
        let manifest = manifest.clone();
        for answer in answers {
            let message = match answer {
                SenderAction::Send(_, message) => message,
                SenderAction::Want(_) => continue,
                SenderAction::Check { id, manifest, .. } => TransferMessage::Offer { id, manifest },
                SenderAction::Read { id, file, offset, len, .. } => {
                    let size = manifest.files[usize::try_from(file).unwrap()].size;
                    let len = u64::from(len).min(size - offset);
                    self.chunks.push((to.0, file, offset));
                    let bytes = vec![0; usize::try_from(len).unwrap()].into();
                    TransferMessage::Chunk { id, file, offset, bytes }
                }
            };
            if self.chance(self.lost) {
                continue;
            }
            for _ in 0..1 + u32::from(self.chance(self.twice)) {
                self.receiver.receive(now, to, message.clone(), out);
            }
        }
    }
}

#[test]
fn files_come_chunk_by_chunk_in_order() {
    let mut world = World::new(&[(2, manifest(9, &[25, 0, 10]))]);
    assert!(world.run(100));
    assert_eq!(world.chunks, [(2, 0, 0), (2, 0, 10), (2, 0, 20), (2, 2, 0)]);
}

#[test]
fn a_checkpoint_without_files_is_done_at_once() {
    assert!(World::new(&[(2, manifest(9, &[]))]).run(10));
}

#[test]
fn lost_and_doubled_messages_cost_time_only() {
    for seed in 0..50 {
        let mut world = World::new(&[(2, manifest(9, &[95, 40])), (3, manifest(9, &[95, 40]))]);
        (world.random, world.lost, world.twice) = (seed, 300, 300);
        assert!(world.run(5000), "seed {seed}");
    }
}

#[test]
fn another_peer_with_the_same_files_goes_on_where_the_first_stopped() {
    let mut world = World::new(&[(2, manifest(9, &[95])), (3, manifest(9, &[95]))]);
    assert!(!world.run(6));
    let before = world.stored;
    assert!(before > 0);
    world.down.push(NodeId(2));
    assert!(world.run(100));
    let first = world.chunks.iter().find(|(peer, ..)| *peer == 3);
    assert_eq!(first, Some(&(3, 0, before)));
}

#[test]
fn another_peer_with_other_files_begins_anew() {
    let mut world = World::new(&[(2, manifest(9, &[95])), (3, manifest(9, &[94, 1]))]);
    assert!(!world.run(6));
    world.down.push(NodeId(2));
    assert!(world.run(100));
    let first = world.chunks.iter().find(|(peer, ..)| *peer == 3);
    assert_eq!(first, Some(&(3, 0, 0)));
}

#[test]
fn a_restart_goes_on_with_what_is_on_disk() {
    let mut world = World::new(&[(2, manifest(9, &[95]))]);
    assert!(!world.run(6));
    let before = world.stored;
    world.receiver = Receiver::new(config());
    world.receiver.want(wanted(1, &[2]));
    assert!(world.run(100));
    let times = world.chunks.iter().filter(|(_, _, offset)| *offset < before).count();
    assert_eq!(u64::try_from(times).unwrap(), before / u64::from(CHUNK), "nothing comes twice");
}

#[test]
fn a_sender_that_has_a_newer_one_by_now_offers_that() {
    let mut world = World::new(&[(2, manifest(9, &[95]))]);
    assert!(!world.run(6));
    let newer = manifest(20, &[33]);
    let mut sender = Sender::new(config()); // it restarted
    sender.has(newer.id(), newer.encode());
    world.senders = vec![(NodeId(2), sender, newer.clone())];
    assert!(world.run(100));
    assert_eq!(world.begun.map(|(_, manifest)| manifest), Some(newer));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let sound = manifest(9, &[5]);
    let other = Manifest { at: Instance(8), ..sound.clone() };
    let stateless = Manifest { state: Bytes::from_static(b"?"), ..sound.clone() };
    let mut world = World::new(&[(2, other), (3, stateless), (4, sound.clone())]);
    assert!(world.run(100));
    assert_eq!(world.begun.map(|(_, manifest)| manifest), Some(sound));
}

#[test]
fn what_failed_to_be_stored_begins_anew_with_another() {
    let mut world = World::new(&[(2, manifest(9, &[95])), (3, manifest(9, &[95]))]);
    assert!(!world.run(6));
    world.receiver.failed(world.now);
    world.begun = None;
    let chunks = world.chunks.len();
    assert!(world.run(100));
    assert_eq!(world.chunks[chunks], (3, 0, 0));
}

#[test]
fn a_peer_that_is_further_away_than_patience_reaches_is_heard_all_the_same() {
    let sound = manifest(9, &[]);
    let mut receiver = Receiver::new(config());
    receiver.want(wanted(1, &[2, 3]));
    let (mut out, mut now) = (Vec::new(), Time::ZERO);
    let mut waits = Vec::new();
    for _ in 0..8 {
        receiver.tick(now, &mut out);
        let deadline = receiver.deadline().unwrap();
        waits.push(deadline.since(now));
        now = deadline;
    }
    assert_eq!(waits.last().copied(), Some(config().patience * 8), "{waits:?}");
    let asked = out.iter().filter(|it| matches!(it, ReceiverAction::Send(NodeId(2), _))).count();
    assert!(asked > 1 && asked < out.len(), "both are asked: {out:?}");
    let other = if receiver.from == NodeId(2) { NodeId(3) } else { NodeId(2) };
    let offer = TransferMessage::Offer { id: sound.id(), manifest: sound.encode() };
    receiver.tick(now, &mut out);
    receiver.receive(now, other, offer, &mut out);
    assert!(matches!(out.last(), Some(ReceiverAction::Begin(..))), "{out:?}");
}

#[test]
fn nobody_is_asked_once_nothing_is_wanted() {
    let mut world = World::new(&[(2, manifest(9, &[95]))]);
    assert!(!world.run(6));
    world.receiver.want(None);
    assert_eq!(world.receiver.deadline(), None);
}

#[test]
fn who_offers_and_has_nothing_is_not_asked_again_at_once() {
    let manifest = manifest(5, &[30]);
    let id = manifest.id();
    let (mut receiver, mut out) = (Receiver::new(config()), Vec::new());
    receiver.want(wanted(1, &[2]));
    let offer = TransferMessage::Offer { id, manifest: manifest.encode() };
    receiver.tick(Time::ZERO, &mut out);
    receiver.receive(Time::ZERO, NodeId(2), offer.clone(), &mut out);
    receiver.begun(Time::ZERO, 0, 0, &mut out);
    out.clear();
    receiver.receive(Time::ZERO, NodeId(2), TransferMessage::Nothing { id }, &mut out);
    let ask = ReceiverAction::Send(NodeId(2), TransferMessage::Ask { next: Instance(1) });
    assert_eq!(out, [ask], "it may have another one");
    out.clear();
    receiver.receive(Time::ZERO, NodeId(2), offer, &mut out);
    assert_eq!(out, [], "the same");
    assert_eq!(receiver.deadline(), Some(Time::ZERO + config().patience));
}
