//! Connections with TLS, and those who lack something for it.

use rustls::{CertificateError, Error};
use synod_proto::Secret;
use tokio::net::TcpStream;

use super::handshake::ConnectionError;
use super::tests::{
    Node, connected, endpoint, inlet, learned, listener, packet, settings, soon, start_with, until,
};
use super::*;
use crate::tls::{TestAuthority, TlsConfig};
use crate::transport::Refused;

fn with(tls: Option<TlsConfig>) -> Settings {
    Settings { tls, ..settings() }
}

/// Node 1, which dials nobody.
async fn alone(tls: Option<TlsConfig>) -> (Node, SocketAddr) {
    let nobody = "127.0.0.1:1".parse().unwrap();
    let listener = listener().await;
    let at = listener.local_addr().unwrap();
    (start_with(listener, 1, None, &[(2, nobody)], &with(tls)), at)
}

/// What becomes of one attempt of node 2 to reach node 1.
async fn attempt(at: SocketAddr, tls: Option<TlsConfig>) -> ConnectionError {
    let link = link::Link::new(NodeId(1), &settings());
    let (endpoint, at) = (endpoint(2, None, inlet().0), at.to_string());
    soon(dial::connect(&link, &at, &endpoint, &with(tls))).await.unwrap_err()
}

/// Waits until node 1 has refused somebody, and gives the reason.
async fn refused(node: &mut Node) -> String {
    until("refused", || node.refused().count > 0).await;
    assert!(node.received.try_recv().is_err());
    node.refused().last.unwrap().to_string()
}

async fn everything_arrives(one: &Settings, two: &Settings) {
    let (first, second) = (listener().await, listener().await);
    let (at_one, at_two) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    let mut one = start_with(first, 1, None, &[(2, at_two)], one);
    let mut two = start_with(second, 2, None, &[(1, at_one)], two);
    connected(&one).await;
    connected(&two).await;
    for round in 1..200 {
        one.send(2, packet(round));
        two.send(1, packet(round + 5000));
        if round % 7 == 0 {
            one.flush();
        }
    }
    two.flush();
    // Much more than the socket and TLS take at once, so the link's own task writes too.
    for _ in 0..20 {
        one.send(2, learned(900_000));
        one.flush();
        until("room", || one.status().all(|(_, link)| link.queued_bytes < 1000)).await;
    }
    one.send(2, packet(200));
    one.flush();
    for round in 1..200 {
        assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(round))));
        assert_eq!(soon(one.received.recv()).await, Some((NodeId(2), packet(round + 5000))));
    }
    for _ in 0..20 {
        assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), learned(900_000))));
    }
    assert_eq!(soon(two.received.recv()).await, Some((NodeId(1), packet(200))));
    assert!(one.status().all(|(_, link)| link.dropped == 0));
    assert_eq!(one.refused(), Refused::default());
    drop(two);
    until("loss noticed", || one.status().all(|(_, link)| !link.connected)).await;
}

#[tokio::test]
async fn nodes_with_certificates_talk() {
    let authority = TestAuthority::new().unwrap();
    let of = |node: u64| with(Some(authority.node(node).unwrap()));
    everything_arrives(&of(1), &of(2)).await;
}

#[tokio::test]
async fn a_secret_goes_with_certificates() {
    let authority = TestAuthority::new().unwrap();
    let of = |node: u64| Settings {
        secret: Some(Secret::new(b"the secret of our cluster").unwrap()),
        ..with(Some(authority.node(node).unwrap()))
    };
    everything_arrives(&of(1), &of(2)).await;
}

#[tokio::test]
async fn nothing_is_said_in_the_clear() {
    let authority = TestAuthority::new().unwrap();
    let (_one, at) = alone(Some(authority.node(1).unwrap())).await;
    let error = attempt(at, None).await;
    let is_refused = matches!(
        error,
        ConnectionError::Frame(_) | ConnectionError::Closed | ConnectionError::Io(_)
    );
    assert!(is_refused, "{error}");
    // Nor by a node that has TLS to one that has none.
    let (mut one, at) = alone(None).await;
    attempt(at, Some(authority.node(2).unwrap())).await;
    let why = refused(&mut one).await;
    assert!(why.ends_with(&ConnectionError::TlsThere.to_string()), "{why}");
}

#[tokio::test]
async fn who_shows_no_certificate_is_not_listened_to() {
    let authority = TestAuthority::new().unwrap();
    let ours = authority.node(1).unwrap();
    let (mut one, at) = alone(Some(ours.clone())).await;
    let mut roots = rustls::RootCertStore::empty();
    let root = rustls::pki_types::pem::PemObject::from_pem_slice(authority.pem().as_bytes());
    roots.add(root.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let nameless = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(nameless));
    let stream = TcpStream::connect(at).await.unwrap();
    // To the dialler TLS looks done before its certificate is asked for.
    let stream = soon(connector.connect(ours.name(NodeId(1)).unwrap(), stream)).await;
    let why = refused(&mut one).await;
    assert!(why.ends_with(&Error::NoCertificatesPresented.to_string()), "{why}");
    drop(stream);
}

#[tokio::test]
async fn a_node_with_the_certificate_of_another_is_not_believed() {
    let authority = TestAuthority::new().unwrap();
    let of = |node: u64| Some(authority.node(node).unwrap());
    let (mut one, at) = alone(of(1)).await;
    attempt(at, of(3)).await;
    let why = refused(&mut one).await;
    assert!(why.ends_with(&ConnectionError::NotItsCertificate(NodeId(2)).to_string()), "{why}");
    // Nor is one who answers for another.
    let (_three, at) = alone(of(3)).await;
    let error = attempt(at, of(2)).await;
    assert!(matches!(error, ConnectionError::Tls(Error::InvalidCertificate(_))), "{error:?}");
    assert!(error.to_string().contains("node-1.synod"), "{error}");
}

#[tokio::test]
async fn a_wildcard_is_not_believed() {
    let authority = TestAuthority::new().unwrap();
    let of = |name: &str| Some(authority.named(name).unwrap().domain("db.synod"));
    let (mut one, at) = alone(of("node-1.db.synod")).await;
    attempt(at, of("*.db.synod")).await;
    let why = refused(&mut one).await;
    assert!(why.ends_with(&ConnectionError::NotItsCertificate(NodeId(2)).to_string()), "{why}");
    let (_any, at) = alone(of("*.db.synod")).await;
    let error = attempt(at, of("node-2.db.synod")).await;
    assert!(matches!(error, ConnectionError::NotItsCertificate(NodeId(1))), "{error:?}");
}

#[tokio::test]
async fn certificates_of_another_authority_are_not_believed() {
    let (ours, other) = (TestAuthority::new().unwrap(), TestAuthority::new().unwrap());
    let (mut one, at) = alone(Some(ours.node(1).unwrap())).await;
    // The dialler, which knows only its own, does not like ours either.
    let error = attempt(at, Some(other.node(2).unwrap())).await;
    assert!(is(&error, &CertificateError::UnknownIssuer), "{error:?}");
    // One that would take any goes on, and is told.
    let mixed = other.issue("node-2.synod", 4000).unwrap();
    let mixed = TlsConfig::from_pem(
        ours.pem().as_bytes(),
        mixed.certificate.as_bytes(),
        mixed.key.as_bytes(),
    );
    attempt(at, Some(mixed.unwrap())).await;
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer).to_string();
    until("refused twice", || one.refused().count == 2).await;
    let why = refused(&mut one).await;
    assert!(why.ends_with(&unknown), "{why}");
}

#[tokio::test]
async fn expired_certificates_are_not_believed() {
    let authority = TestAuthority::new().unwrap();
    let (mut one, at) = alone(Some(authority.node(1).unwrap())).await;
    attempt(at, Some(authority.expired(2).unwrap())).await;
    let why = refused(&mut one).await;
    assert!(why.contains("expired"), "{why}");
    let (_one, at) = alone(Some(authority.expired(1).unwrap())).await;
    let error = attempt(at, Some(authority.node(2).unwrap())).await;
    assert!(matches!(error, ConnectionError::Tls(Error::InvalidCertificate(_))), "{error:?}");
    assert!(error.to_string().contains("expired"), "{error}");
}

fn is(error: &ConnectionError, why: &CertificateError) -> bool {
    matches!(error, ConnectionError::Tls(Error::InvalidCertificate(found)) if found == why)
}
