//! Over loopback sockets.

use std::future::Future;

use bytes::{Buf, BytesMut};
use synod_core::{ClusterId, GroupId, Incarnation, Message, Value};
use synod_proto::{Decoder, Judgement, Packet, Verdict, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::transport::{Identity, Inlet, Refused, SharedIdentity};

const SOON: Duration = Duration::from_secs(10);

struct Channel(mpsc::UnboundedSender<(NodeId, Packet)>);

impl Inlet for Channel {
    fn deliver(&self, from: NodeId, packets: &mut Vec<Packet>) {
        // What peers make of our hello comes when it comes.
        for packet in packets.drain(..).filter(|packet| !matches!(packet, Packet::Judged(_))) {
            drop(self.0.send((from, packet)));
        }
    }
    fn is_full(&self) -> bool {
        false
    }
}

pub(super) struct Node {
    pub(super) transport: Tcp,
    pub(super) received: mpsc::UnboundedReceiver<(NodeId, Packet)>,
}

impl Node {
    pub(super) fn start(
        listener: TcpListener,
        endpoint: Endpoint,
        peers: &[(u64, SocketAddr)],
        settings: &Settings,
        received: mpsc::UnboundedReceiver<(NodeId, Packet)>,
    ) -> Self {
        let mut transport = Tcp::start(listener, endpoint, settings).unwrap();
        for &(peer, at) in peers {
            transport.connect(NodeId(peer), &at.to_string());
        }
        Self { transport, received }
    }

    pub(super) fn send(&mut self, to: u64, packet: Packet) {
        self.transport.send(NodeId(to), &Frame(packet));
    }

    pub(super) fn flush(&mut self) {
        self.transport.flush();
    }

    pub(super) fn status(&self) -> impl Iterator<Item = (NodeId, LinkStatus)> {
        self.transport.known.status().into_iter()
    }

    pub(super) fn refused(&self) -> Refused {
        self.transport.endpoint.refused()
    }
}

pub(super) fn identity(node: u64, cluster: Option<u64>) -> SharedIdentity {
    SharedIdentity::new(Identity {
        node: NodeId(node),
        cluster: cluster.map(ClusterId),
        boot: 1,
        durable_batch: Arc::default(),
        nonce: node,
        groups: vec![(GroupId(0), Incarnation(node * 10))],
    })
}

pub(super) fn settings() -> Settings {
    Settings {
        backoff: (Duration::from_millis(5), Duration::from_millis(50)),
        queue_bytes_max: 1024 * 1024,
        ..Settings::default()
    }
}

fn start(
    listener: TcpListener,
    node: u64,
    cluster: Option<u64>,
    peers: &[(u64, SocketAddr)],
) -> Node {
    start_with(listener, node, cluster, peers, &settings())
}

pub(super) fn start_with(
    listener: TcpListener,
    node: u64,
    cluster: Option<u64>,
    peers: &[(u64, SocketAddr)],
    settings: &Settings,
) -> Node {
    let (inlet, received) = inlet();
    Node::start(listener, endpoint(node, cluster, inlet), peers, settings, received)
}

pub(super) fn endpoint(node: u64, cluster: Option<u64>, inlet: Arc<dyn Inlet>) -> Endpoint {
    Endpoint::new(identity(node, cluster), inlet, FrameLimits::default())
}

/// What receives packets, and where they come out again.
pub(super) fn inlet() -> (Arc<dyn Inlet>, mpsc::UnboundedReceiver<(NodeId, Packet)>) {
    let (sender, received) = mpsc::unbounded_channel();
    (Arc::new(Channel(sender)), received)
}

pub(super) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(super) fn packet(round: u64) -> Packet {
    Packet::Group { group: GroupId(0), from: Incarnation(7), message: Message::ReadIndex { round } }
}

pub(super) fn learned(bytes: usize) -> Packet {
    let mut writer = synod_core::ValueWriter::default();
    let key = synod_core::CommandKey { origin: Incarnation(7), boot: 1, seq: 1 };
    let payload = vec![b'x'; bytes].into();
    writer.push(&synod_core::Command { key, low: 1, sm: synod_core::SmId(0), payload });
    let values: Vec<Value> = vec![writer.finish()];
    let (from, chosen) = (synod_core::Instance(1), synod_core::Instance(1));
    let message = Message::Learned { from, values, chosen, cleaned: synod_core::Instance::ZERO };
    Packet::Group { group: GroupId(0), from: Incarnation(7), message }
}

/// Polls a condition until it holds; fails after [`SOON`].
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(SOON, waiting).await.is_ok(), "not in time: {what}");
}

pub(super) async fn connected(node: &Node) {
    until("connected", || node.status().all(|(_, link)| link.connected)).await;
}

pub(super) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(SOON, what).await.expect("in time")
}

#[tokio::test]
async fn packets_arrive_in_order_both_ways_whatever_their_size() {
    let (one, two) = (listener().await, listener().await);
    let (at_one, at_two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let mut one = start(one, 1, None, &[(2, at_two)]);
    let mut two = start(two, 2, None, &[(1, at_one)]);
    connected(&one).await;
    connected(&two).await;
    for round in 1..1000 {
        one.send(2, packet(round));
        two.send(1, packet(round + 5000));
        if round % 7 == 0 {
            one.flush();
        }
    }
    one.send(2, learned(900_000));
    one.send(2, packet(1000));
    one.flush();
    two.flush();
    for round in 1..1000 {
        assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(round))));
        assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(round + 5000))));
    }
    assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), learned(900_000))));
    assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(1000))));
    assert!(one.status().all(|(_, link)| link.dropped == 0));
}

#[tokio::test]
async fn a_peer_that_comes_back_is_reached_again() {
    let (one, two) = (listener().await, listener().await);
    let (at_one, at_two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let mut one = start(one, 1, None, &[(2, at_two)]);
    let two = start(two, 2, None, &[(1, at_one)]);
    connected(&one).await;
    drop(two);
    until("loss noticed", || one.status().all(|(_, link)| !link.connected)).await;
    one.send(2, packet(1));
    one.flush();
    assert_eq!(one.status().next().unwrap().1.dropped, 1, "nobody to send to");
    let again = TcpListener::bind(at_two).await.unwrap();
    let mut two = start(again, 2, None, &[(1, at_one)]);
    connected(&one).await;
    one.send(2, packet(2));
    one.flush();
    assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(2))));
}

/// Says a hello by hand and gives the connection and our hello back, if any.
async fn dial(at: SocketAddr, as_node: u64, to: u64, cluster: Option<u64>) -> (TcpStream, Packet) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let hello = identity(as_node, cluster).hello(NodeId(to));
    stream.write_all(&encode_frame(&Packet::Hello(hello))).await.unwrap();
    let mut buffer = BytesMut::new();
    let answer = loop {
        if let Some(answer) = Decoder::default().next(&mut buffer).unwrap() {
            break answer;
        }
        assert_ne!(soon(stream.read_buf(&mut buffer)).await.unwrap(), 0, "closed without a hello");
    };
    // Whoever is let in is told so.
    while Decoder::default().next(&mut buffer).unwrap().is_none() {
        if !matches!(soon(stream.read_buf(&mut buffer)).await, Ok(1..)) {
            break;
        }
    }
    assert!(!buffer.has_remaining());
    (stream, answer)
}

pub(super) async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(soon(stream.read(&mut [0; 16])).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn wrong_hellos_are_refused_and_told_who_we_are() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let one = listener().await;
    let at = one.local_addr().unwrap();
    let mut one = start(one, 1, Some(77), &[(2, nobody)]);
    for (what, as_node, to, cluster) in [
        ("another cluster", 2, 1, Some(78)),
        ("meant for another node", 2, 3, Some(77)),
        ("our own id", 1, 1, Some(77)),
        ("a stranger", 9, 1, Some(77)),
    ] {
        let (mut stream, answer) = dial(at, as_node, to, cluster).await;
        let Packet::Hello(hello) = answer else { panic!("{what}: {answer:?}") };
        assert_eq!((hello.node, hello.cluster), (NodeId(1), Some(ClusterId(77))), "{what}");
        assert!(is_closed(&mut stream).await, "{what} was let in");
    }
    let (mut stream, _) = dial(at, 2, 1, Some(77)).await;
    stream.write_all(&encode_frame(&packet(5))).await.unwrap();
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(5))), "the right one");
}

#[tokio::test]
async fn a_malformed_frame_closes_only_its_own_connection() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let one = listener().await;
    let at = one.local_addr().unwrap();
    let mut one = start(one, 1, None, &[(2, nobody), (3, nobody)]);
    let (mut good, _) = dial(at, 2, 1, None).await;
    let (mut bad, _) = dial(at, 3, 1, None).await;
    bad.write_all(&encode_frame(&packet(1))).await.unwrap();
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(3), packet(1))));
    let mut frame = encode_frame(&packet(2)).to_vec();
    *frame.last_mut().unwrap() ^= 1;
    bad.write_all(&frame).await.unwrap();
    assert!(is_closed(&mut bad).await);
    good.write_all(&encode_frame(&packet(3))).await.unwrap();
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(3))));
}

#[tokio::test]
async fn a_newer_connection_of_a_peer_ends_the_older() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let one = listener().await;
    let at = one.local_addr().unwrap();
    let _one = start(one, 1, None, &[(2, nobody)]);
    let (mut old, _) = dial(at, 2, 1, None).await;
    let (_new, _) = dial(at, 2, 1, None).await;
    assert!(is_closed(&mut old).await);
}

#[tokio::test]
async fn what_a_slow_peer_does_not_take_is_dropped_and_counted() {
    let peer = listener().await;
    let mut one = start(listener().await, 1, None, &[(2, peer.local_addr().unwrap())]);
    let (mut stream, _) = soon(peer.accept()).await.unwrap();
    let hello = identity(2, None).hello(NodeId(1));
    stream.write_all(&encode_frame(&Packet::Hello(hello))).await.unwrap();
    let fine = Judgement { boot: 1, nonce: 1, verdict: Verdict::Fine };
    stream.write_all(&encode_frame(&Packet::Judged(fine))).await.unwrap();
    connected(&one).await;
    // It never reads. The kernel takes some megabytes, the queue one more.
    for _ in 0..64 {
        one.send(2, learned(256 * 1024));
        one.flush();
    }
    let (_, full) = one.status().next().unwrap();
    assert!(full.dropped > 0, "{full:?}");
    assert!(full.queued_bytes >= 1024 * 1024 && full.queued_bytes < 1536 * 1024, "{full:?}");
    one.send(2, packet(1));
    let (_, after) = one.status().next().unwrap();
    assert_eq!(after.dropped, full.dropped, "small messages still find room");
    // Now it reads: everything queued arrives, by the connection's own task.
    let reading = tokio::spawn(async move { while stream.read(&mut [0; 65536]).await.is_ok() {} });
    until("drained", || one.status().all(|(_, link)| link.queued_bytes == 0)).await;
    reading.abort();
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let at;
    let _one = {
        let (inlet, received) = inlet();
        let listener = listener().await;
        at = listener.local_addr().unwrap();
        let settings = Settings { connect_timeout: Duration::from_millis(20), ..settings() };
        Node::start(listener, endpoint(1, None, inlet), &[(2, nobody)], &settings, received)
    };
    let mut silent = TcpStream::connect(at).await.unwrap();
    assert!(is_closed(&mut silent).await);
}
