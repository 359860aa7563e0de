//! Connections with a secret, and somebody in between.

use synod_proto::{Packet, Secret, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::{Node, connected, identity, listener, packet, settings, soon, start_with};
use super::*;

fn with(secret: Option<&str>) -> Settings {
    Settings { secret: secret.map(|it| Secret::new(it.as_bytes()).unwrap()), ..settings() }
}

const OURS: Option<&str> = Some("the secret of our cluster");

/// Node 1 with our secret, which dials nobody.
async fn alone() -> (Node, SocketAddr) {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let listener = listener().await;
    let at = listener.local_addr().unwrap();
    (start_with(listener, 1, None, &[(2, nobody), (3, nobody)], &with(OURS)), at)
}

#[tokio::test]
async fn holders_of_one_secret_talk() {
    let (one, two) = (listener().await, listener().await);
    let (at_one, at_two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let mut one = start_with(one, 1, None, &[(2, at_two)], &with(OURS));
    let mut two = start_with(two, 2, None, &[(1, at_one)], &with(OURS));
    connected(&one).await;
    for round in 1..200 {
        one.transport.send(NodeId(2), &packet(round));
        one.transport.flush();
    }
    for round in 1..200 {
        assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(round))));
    }
}

#[tokio::test]
async fn nobody_else_is_talked_to() {
    for other in [None, Some("the secret of another cluster")] {
        let (mut one, at_one) = alone().await;
        let there = listener().await;
        let mut two = start_with(there, 2, None, &[(1, at_one)], &with(other));
        let wait = tokio::time::sleep(Duration::from_millis(100));
        tokio::select! {
            () = wait => {}
            got = one.received.recv() => panic!("{got:?}"),
            got = two.received.recv() => panic!("{got:?}"),
        }
        assert!(two.transport.status().all(|(_, link)| !link.connected), "{other:?}");
    }
}

#[tokio::test]
async fn a_hello_without_a_challenge_is_not_believed() {
    let (_one, at) = alone().await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let hello = identity(2, None).hello(NodeId(1));
    stream.write_all(&encode_frame(&Packet::Hello(hello))).await.unwrap();
    // All it gets is a challenge.
    let mut got = Vec::new();
    drop(soon(stream.read_to_end(&mut got)).await);
    assert!(got.len() <= synod_proto::CHALLENGE_BYTES, "{} bytes", got.len());
}

/// Passes one connection on to `to`, with `change` applied to each read of what the dialler says,
/// and keeps a record of that.
async fn between(
    listener: TcpListener,
    to: SocketAddr,
    record: Arc<Mutex<Vec<u8>>>,
    change: fn(usize, &mut [u8]),
) {
    let (caller, _) = listener.accept().await.unwrap();
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(to).await.unwrap().into_split();
    let back = tokio::io::copy(&mut from_server, &mut to_caller);
    let forth = async {
        let mut bytes = vec![0; 65536];
        while let Ok(count @ 1..) = from_caller.read(&mut bytes).await {
            let at = record.lock().unwrap().len();
            record.lock().unwrap().extend_from_slice(&bytes[..count]);
            change(at, &mut bytes[..count]);
            to_server.write_all(&bytes[..count]).await.unwrap();
        }
    };
    tokio::select! {
        _ = back => {}
        () = forth => {}
    }
}

#[tokio::test]
async fn a_recorded_connection_cannot_be_played_again() {
    let (mut one, at_one) = alone().await;
    let (middle, record) = (listener().await, Arc::new(Mutex::new(Vec::new())));
    let at = middle.local_addr().unwrap();
    let man = tokio::spawn(between(middle, at_one, Arc::clone(&record), |_, _| {}));
    let mut two = start_with(listener().await, 2, None, &[(1, at)], &with(OURS));
    connected(&two).await;
    two.transport.send(NodeId(1), &packet(1));
    two.transport.flush();
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(1))));
    let record = record.lock().unwrap().clone();
    let mut again = TcpStream::connect(at_one).await.unwrap();
    again.write_all(&record).await.unwrap();
    let mut got = Vec::new();
    drop(soon(again.read_to_end(&mut got)).await);
    assert!(got.len() <= synod_proto::CHALLENGE_BYTES, "{} bytes", got.len());
    // The true connection goes on.
    two.transport.send(NodeId(1), &packet(2));
    two.transport.flush();
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(2))));
    man.abort();
}

#[tokio::test]
async fn a_hello_changed_on_its_way_is_not_believed() {
    let (mut one, at_one) = alone().await;
    let middle = listener().await;
    let at = middle.local_addr().unwrap();
    let change = |at: usize, bytes: &mut [u8]| {
        if at >= synod_proto::CHALLENGE_BYTES {
            *bytes.last_mut().unwrap() ^= 1;
        }
    };
    let two = start_with(listener().await, 2, None, &[(1, at)], &with(OURS));
    soon(between(middle, at_one, Arc::default(), change)).await;
    assert!(two.transport.status().all(|(_, link)| !link.connected));
    assert!(one.received.try_recv().is_err());
}
