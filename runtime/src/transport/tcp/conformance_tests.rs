//! TCP keeps what a transport promises, with and without a secret and TLS.

use std::net::TcpListener;
use std::sync::Mutex;

use synod_core::NodeId;

use super::*;
use crate::conformance::transport::{Setup, Suite};

/// Settings for each node.
type Of = Box<dyn Fn(NodeId) -> Settings + Send + Sync>;

struct Loopback {
    of: Of,
    /// Bound, so that nobody else gets the address, until it is used.
    bound: Mutex<BTreeMap<String, TcpListener>>,
}

impl Setup for Loopback {
    fn address(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        self.bound.lock().unwrap().insert(address.clone(), listener);
        address
    }

    fn start(&self, address: &str, endpoint: Endpoint) -> io::Result<Box<dyn Transport>> {
        let bound = self.bound.lock().unwrap().remove(address);
        let listener = match bound {
            Some(listener) => listener,
            None => {
                // As tokio does it, since a node that starts again finds its old connections waiting.
                let socket = tokio::net::TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(address.parse().unwrap())?;
                socket.listen(64)?.into_std()?
            }
        };
        listener.set_nonblocking(true)?;
        let settings = Settings {
            queue_bytes_max: endpoint.queue_bytes_max(),
            frame_bytes_max: u32::try_from(endpoint.frame_bytes_max() - 4).unwrap(),
            backoff: (Duration::from_millis(5), Duration::from_millis(100)),
            ..(self.of)(endpoint.node())
        };
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(Box::new(Tcp::start(listener, endpoint, &settings)?))
    }
}

fn check(of: impl Fn(NodeId) -> Settings + Send + Sync + 'static) {
    let suite = Suite::new(Loopback { of: Box::new(of), bound: Mutex::default() });
    suite.patience(Duration::from_secs(30)).run().unwrap();
}

#[test]
fn tcp_keeps_what_a_transport_promises() {
    check(|_| Settings::default());
}

#[test]
fn tcp_with_a_secret_keeps_what_a_transport_promises() {
    check(|_| Settings {
        secret: Some(Secret::new(b"the secret of our cluster").unwrap()),
        ..Settings::default()
    });
}

#[test]
#[cfg(feature = "test-certs")]
fn tcp_with_tls_keeps_what_a_transport_promises() {
    let authority = crate::tls::TestAuthority::new().unwrap();
    check(move |node| Settings {
        tls: Some(authority.node(node.0).unwrap()),
        ..Settings::default()
    });
}
