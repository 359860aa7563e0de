//! What a node talks over: TCP, or what its builder was given.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use synod_core::NodeId;
use synod_proto::Secret;
use tokio::net::TcpListener;

use super::builder::NodeBuilder;
use super::error::StartError;
use crate::transport::{Endpoint, FrameLimits, Settings, Tcp, Transport};

/// Makes a transport, once there is something to connect.
pub(super) type MakeTransport = Box<dyn FnOnce(Endpoint) -> io::Result<Box<dyn Transport>> + Send>;

/// What a node is to talk over.
pub(super) enum Way {
    Tcp { listen: String, settings: Box<Settings> },
    Own(MakeTransport),
}

/// A way that listens, if it is TCP.
pub(super) enum Listening {
    Tcp { listen: String, settings: Box<Settings>, listener: TcpListener },
    Own(MakeTransport),
}

impl NodeBuilder {
    /// Checks what was said of the network.
    pub(super) fn way(&mut self, id: NodeId) -> Result<Way, StartError> {
        if let Some(make) = self.transport.take() {
            #[cfg(feature = "tls")]
            let has_tls = self.tls.is_some();
            #[cfg(not(feature = "tls"))]
            let has_tls = false;
            for (what, is_set) in [
                ("the address to listen at", self.listen.is_some()),
                ("a secret", self.secret.is_some()),
                ("TLS", has_tls),
            ] {
                if is_set {
                    return Err(StartError::NotTcp(what));
                }
            }
            return Ok(Way::Own(make));
        }
        let listen = self.listen.clone().ok_or(StartError::Missing("the address to listen at"))?;
        let secret = self.secret.as_deref().map(Secret::new).transpose()?;
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            tls.check(id)?;
        }
        #[cfg(not(feature = "tls"))]
        let _: NodeId = id;
        let settings = Settings {
            secret,
            #[cfg(feature = "tls")]
            tls: self.tls.take(),
            ..Settings::within(FrameLimits::fitting(&self.config))
        };
        Ok(Way::Tcp { listen, settings: Box::new(settings) })
    }
}

impl Way {
    /// Listens at once, so that an address that is taken is found out before anything is touched.
    pub(super) async fn listen(
        self,
        bound: Option<std::net::TcpListener>,
    ) -> Result<Listening, StartError> {
        match self {
            Self::Tcp { listen, settings } => match bind(bound, &listen).await {
                Ok(listener) => Ok(Listening::Tcp { listen, settings, listener }),
                Err(error) => Err(StartError::Listen(listen, error)),
            },
            Self::Own(make) => Ok(Listening::Own(make)),
        }
    }
}

impl Listening {
    /// The transport, and where it listens if it is TCP.
    pub(super) fn start(
        self,
        endpoint: Endpoint,
    ) -> Result<(Box<dyn Transport>, SocketAddr), StartError> {
        match self {
            Self::Tcp { listen, settings, listener } => {
                let tcp = Tcp::start(listener, endpoint, &settings)
                    .map_err(|error| StartError::Listen(listen, error))?;
                let local = tcp.local();
                Ok((Box::new(tcp), local))
            }
            Self::Own(make) => {
                let transport = make(endpoint).map_err(StartError::Transport)?;
                Ok((transport, (Ipv4Addr::UNSPECIFIED, 0).into()))
            }
        }
    }
}

async fn bind(bound: Option<std::net::TcpListener>, address: &str) -> io::Result<TcpListener> {
    match bound {
        Some(listener) => {
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        }
        None => TcpListener::bind(address).await,
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { listen, .. } => write!(f, "tcp at {listen}"),
            Self::Own(_) => f.write_str("a transport of its own"),
        }
    }
}
