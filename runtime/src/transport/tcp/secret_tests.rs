//! Connections with a secret, with strangers, and with somebody in between.

use synod_proto::{CHALLENGE_BYTES, FrameError, Packet, SEAL_BYTES, Secret, encode_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::handshake::ConnectionError;
use super::tests::{
    Node, connected, endpoint, identity, inlet, listener, packet, settings, soon, start_with, until,
};
use super::*;
use crate::transport::Refused;

fn with(secret: Option<&str>) -> Settings {
    Settings { secret: secret.map(|it| Secret::new(it.as_bytes()).unwrap()), ..settings() }
}

const OURS: Option<&str> = Some("the secret of our cluster");

const OTHER: Option<&str> = Some("the secret of another cluster");

/// Node 1, which dials nobody.
async fn alone(secret: Option<&str>) -> (Node, SocketAddr) {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let listener = listener().await;
    let at = listener.local_addr().unwrap();
    (start_with(listener, 1, None, &[(2, nobody), (3, nobody)], &with(secret)), at)
}

/// A node that dials node 1.
async fn dialling(node: u64, at: SocketAddr) -> Node {
    start_with(listener().await, node, None, &[(1, at)], &with(OURS))
}

/// What becomes of one attempt of node 2 to reach node 1.
async fn attempt(at: SocketAddr, secret: Option<&str>) -> ConnectionError {
    let link = link::Link::new(NodeId(1), &settings());
    let (endpoint, at) = (endpoint(2, None, inlet().0), at.to_string());
    soon(dial::connect(&link, &at, &endpoint, &with(secret))).await.unwrap_err()
}

fn say(node: &mut Node, round: u64) {
    node.send(1, packet(round));
    node.flush();
}

/// Waits until node 1 has refused somebody for this reason, once.
async fn refused(node: &Node, why: &ConnectionError) {
    until("refused", || node.refused().count > 0).await;
    let refused = node.refused();
    let last = refused.last.unwrap_or_default();
    assert!(last.ends_with(&why.to_string()), "{last}, and not {why}");
    assert_eq!(refused.count, 1);
}

const SEAL: ConnectionError = ConnectionError::Frame(FrameError::Seal);

#[tokio::test]
async fn holders_of_one_secret_talk() {
    let (one, two) = (listener().await, listener().await);
    let (at_one, at_two) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let mut one = start_with(one, 1, None, &[(2, at_two)], &with(OURS));
    let mut two = start_with(two, 2, None, &[(1, at_one)], &with(OURS));
    connected(&one).await;
    connected(&two).await;
    for round in 1..200 {
        one.send(2, packet(round));
        one.flush();
        say(&mut two, round);
    }
    for round in 1..200 {
        assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(round))));
        assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(round))));
    }
    assert_eq!(one.refused(), Refused::default());
}

#[tokio::test]
async fn nobody_else_is_talked_to() {
    for (ours, theirs, why) in [
        (OURS, None, ConnectionError::SecretHere),
        (None, OURS, ConnectionError::SecretThere),
        (OURS, OTHER, SEAL),
        (OTHER, OURS, SEAL),
    ] {
        let (mut one, at) = alone(ours).await;
        let error = attempt(at, theirs).await;
        refused(&one, &why).await;
        // The dialler is told at least that nothing came of it.
        assert!(
            matches!(
                error,
                ConnectionError::Closed | ConnectionError::Io(_) | ConnectionError::SecretThere
            ),
            "{error}"
        );
        assert!(one.received.try_recv().is_err());
    }
}

#[tokio::test]
async fn a_hello_without_a_challenge_is_not_believed() {
    let (one, at) = alone(OURS).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let hello = identity(2, None).hello(NodeId(1));
    stream.write_all(&encode_frame(&Packet::Hello(hello))).await.unwrap();
    // All it gets is a challenge.
    let mut got = Vec::new();
    drop(soon(stream.read_to_end(&mut got)).await);
    assert!(got.len() <= CHALLENGE_BYTES, "{} bytes", got.len());
    refused(&one, &ConnectionError::SecretHere).await;
}

#[tokio::test]
async fn a_hello_without_a_seal_is_not_believed() {
    let (one, at) = alone(OURS).await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let hello = identity(2, None).hello(NodeId(1));
    let challenge = [&synod_proto::CHALLENGE_MAGIC[..], &[7; 32]].concat();
    let hello = encode_frame(&Packet::Hello(hello));
    stream.write_all(&[&challenge[..], &hello, &[0; SEAL_BYTES]].concat()).await.unwrap();
    let mut got = Vec::new();
    drop(soon(stream.read_to_end(&mut got)).await);
    assert!(got.len() <= CHALLENGE_BYTES, "{} bytes", got.len());
    refused(&one, &SEAL).await;
}

#[tokio::test]
async fn what_we_said_ourselves_is_not_believed() {
    let echo = listener().await;
    let at = echo.local_addr().unwrap();
    let echoing = tokio::spawn(async move {
        let (stream, _) = echo.accept().await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        drop(tokio::io::copy(&mut reader, &mut writer).await);
    });
    let error = attempt(at, OURS).await;
    assert!(matches!(error, ConnectionError::Frame(FrameError::Seal)), "{error}");
    soon(echoing).await.unwrap();
}

/// What node 2 said on each of its connections through the middle: the bytes of every frame.
type Said = Vec<Vec<Vec<u8>>>;

/// Passes the connections of one dialler on, each after the other. `meddle` sees what was said so
/// far and gives what is passed on in place of the last frame, or ends the connection.
async fn middle(
    listener: TcpListener,
    to: SocketAddr,
    mut meddle: impl FnMut(&Said) -> Option<Vec<u8>>,
) {
    let mut said = Said::new();
    loop {
        let (caller, _) = listener.accept().await.unwrap();
        let (mut from_caller, mut to_caller) = caller.into_split();
        let (mut from_server, mut to_server) = TcpStream::connect(to).await.unwrap().into_split();
        said.push(Vec::new());
        let back = tokio::io::copy(&mut from_server, &mut to_caller);
        tokio::select! {
            _ = back => {}
            _ = forth(&mut from_caller, &mut to_server, &mut said, &mut meddle) => {}
        }
    }
}

async fn forth(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    said: &mut Said,
    meddle: &mut impl FnMut(&Said) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let mut challenge = [0; CHALLENGE_BYTES];
    from.read_exact(&mut challenge).await?;
    to.write_all(&challenge).await?;
    loop {
        let mut frame = vec![0; 4];
        from.read_exact(&mut frame).await?;
        let len = u32::from_le_bytes(frame[..].try_into().unwrap());
        frame.resize(4 + usize::try_from(len).unwrap() + SEAL_BYTES, 0);
        from.read_exact(&mut frame[4..]).await?;
        said.last_mut().unwrap().push(frame);
        let Some(bytes) = meddle(said) else { return Ok(()) };
        to.write_all(&bytes).await?;
    }
}

/// Node 1 goes on with node 3 whatever somebody does between it and node 2, believes nothing of
/// that, and goes on with node 2 on a new connection. The fifth frame, node 2's third message, is
/// the first that is meddled with.
async fn meddled(mut change: impl FnMut(&[Vec<u8>]) -> Option<Vec<u8>> + Send + 'static) {
    let (mut one, at_one) = alone(OURS).await;
    let between = listener().await;
    let at = between.local_addr().unwrap();
    let meddle = move |said: &Said| {
        if said.len() == 1 { change(&said[0]) } else { said.last()?.last().cloned() }
    };
    let middle = tokio::spawn(middle(between, at_one, meddle));
    let (mut two, mut three) = (dialling(2, at).await, dialling(3, at_one).await);
    connected(&two).await;
    connected(&three).await;
    say(&mut three, 1);
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(3), packet(1))));
    for round in 1..=6 {
        say(&mut two, round);
    }
    refused(&one, &SEAL).await;
    say(&mut three, 2);
    let mut believed = Vec::new();
    loop {
        let (from, it) = soon(one.received.recv()).await.unwrap();
        if from == NodeId(3) {
            assert_eq!(it, packet(2));
            break;
        }
        believed.push(it);
    }
    let before: Vec<_> = (1..=3).map(packet).collect();
    assert!(before.starts_with(&believed), "{believed:?}");
    let again = async {
        loop {
            say(&mut two, 50);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = again => {}
        got = soon(one.received.recv()) => assert_eq!(got, Some((NodeId(2), packet(50)))),
    }
    assert_eq!(one.refused().count, 1, "the others go on");
    middle.abort();
}

#[tokio::test]
async fn a_changed_frame_ends_only_its_own_connection() {
    meddled(|said| {
        let mut frame = said.last()?.clone();
        if said.len() == 5 {
            let middle = frame.len() / 2;
            frame[middle] ^= 1;
        }
        Some(frame)
    })
    .await;
}

#[tokio::test]
async fn a_dropped_frame_ends_only_its_own_connection() {
    meddled(|said| if said.len() == 5 { Some(Vec::new()) } else { said.last().cloned() }).await;
}

#[tokio::test]
async fn a_repeated_frame_ends_only_its_own_connection() {
    meddled(|said| {
        let frame = said.last()?;
        Some(if said.len() == 5 { [&frame[..], frame].concat() } else { frame.clone() })
    })
    .await;
}

#[tokio::test]
async fn frames_in_another_order_end_only_their_own_connection() {
    meddled(|said| match said.len() {
        5 => Some(Vec::new()),
        6 => Some([&said[5][..], &said[4]].concat()),
        _ => said.last().cloned(),
    })
    .await;
}

#[tokio::test]
async fn a_frame_cut_short_ends_only_its_own_connection() {
    meddled(|said| {
        let frame = said.last()?;
        Some(if said.len() == 5 { frame[..frame.len() - 3].to_vec() } else { frame.clone() })
    })
    .await;
}

#[tokio::test]
async fn a_frame_of_the_hellos_said_again_ends_only_its_own_connection() {
    meddled(|said| if said.len() == 5 { said.get(1).cloned() } else { said.last().cloned() }).await;
}

#[tokio::test]
async fn a_connection_cut_within_a_frame_is_no_ones_mistake() {
    let (mut one, at_one) = alone(OURS).await;
    let between = listener().await;
    let at = between.local_addr().unwrap();
    let mut is_cut = false;
    let middle = tokio::spawn(middle(between, at_one, move |said| {
        let frame = said.last()?.last()?;
        if said[0].len() < 5 {
            return Some(frame.clone());
        }
        if said.len() > 1 {
            return Some(frame.clone());
        }
        // Half a frame, and with the next one the end.
        (!std::mem::replace(&mut is_cut, true)).then(|| frame[..frame.len() / 2].to_vec())
    }));
    let mut two = dialling(2, at).await;
    connected(&two).await;
    for round in 1..=4 {
        say(&mut two, round);
    }
    for round in 1..=2 {
        assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(round))));
    }
    until("loss noticed", || two.status().all(|(_, link)| !link.connected)).await;
    connected(&two).await;
    say(&mut two, 5);
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(5))));
    assert_eq!(one.refused(), Refused::default());
    middle.abort();
}

#[tokio::test]
async fn frames_of_an_older_connection_cannot_be_spliced_in() {
    let (mut one, at_one) = alone(OURS).await;
    let between = listener().await;
    let at = between.local_addr().unwrap();
    // The first connection ends after its fourth frame. On the second the third frame, which has the
    // same place and says something else, is replaced by that of the first.
    let middle = tokio::spawn(middle(between, at_one, |said| {
        let (connection, frame) = (said.len(), said.last()?.len());
        match (connection, frame) {
            (1, 4..) => None,
            (2, 3) => Some(said[0][2].clone()),
            _ => said.last()?.last().cloned(),
        }
    }));
    let mut two = dialling(2, at).await;
    connected(&two).await;
    say(&mut two, 1);
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(1))));
    say(&mut two, 2);
    until("loss noticed", || two.status().all(|(_, link)| !link.connected)).await;
    connected(&two).await;
    say(&mut two, 3);
    refused(&one, &SEAL).await;
    assert!(one.received.try_recv().is_err(), "nothing more was believed");
    middle.abort();
}

#[tokio::test]
async fn a_recorded_connection_cannot_be_played_again() {
    let (mut one, at_one) = alone(OURS).await;
    let between = listener().await;
    let at = between.local_addr().unwrap();
    let record = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&record);
    let middle = tokio::spawn(middle(between, at_one, move |said| {
        kept.lock().unwrap().clone_from(&said[0]);
        said.last()?.last().cloned()
    }));
    let mut two = dialling(2, at).await;
    connected(&two).await;
    say(&mut two, 1);
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(1))));
    let frames = record.lock().unwrap().concat();
    let challenge = [&synod_proto::CHALLENGE_MAGIC[..], &[7; 32]].concat();
    let mut again = TcpStream::connect(at_one).await.unwrap();
    again.write_all(&[challenge, frames].concat()).await.unwrap();
    let mut got = Vec::new();
    drop(soon(again.read_to_end(&mut got)).await);
    assert!(got.len() <= CHALLENGE_BYTES, "{} bytes", got.len());
    refused(&one, &SEAL).await;
    // The true connection goes on.
    say(&mut two, 2);
    assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(2))));
    middle.abort();
}
