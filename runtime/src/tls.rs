//! TLS between the nodes, in which both sides show a certificate.
//!
//! Every node has a certificate of its own, signed by an authority that all nodes trust: best one
//! that signs for this cluster only. The certificate of node 7 has the DNS name `node-7.synod` among
//! its subject alternative names, or `node-7.` and another [domain](TlsConfig::domain), the same on
//! all nodes. Whoever dials node 7 goes on only with that name, and the hello of node 7 is believed
//! only with it; addresses do not matter. A wildcard is no node. If the certificate lists extended
//! key usages, both client and server authentication must be among them, since each node is both.
//!
//! Only TLS 1.3 is spoken, without session resumption. Certificates are looked at when a connection
//! begins: one that expires ends no connection, and lets nobody connect again. A running node is given
//! another with [`TlsConfig::replace`]. To change the authority, first let all nodes trust both, the old
//! one and the new; then give each its new certificate; then let them trust the new one only.
//! There is no revocation; short lives and an authority of the cluster's own are the way.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustls::client::{Resumption, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use synod_core::NodeId;
use thiserror::Error;

#[cfg(feature = "test-certs")]
mod test_certs;

#[cfg(feature = "test-certs")]
pub use test_certs::{Issued, TestAuthority};

/// What a node shows to its peers, and whom it trusts. The key is never printed.
///
/// Clones are one: what is [replaced](Self::replace) in one is replaced in all, and in the node that
/// was given one.
#[derive(Clone)]
pub struct TlsConfig {
    live: Arc<Live>,
    domain: String,
}

struct Live {
    parts: RwLock<Parts>,
    /// Whose it is, once a node was started with it.
    node: OnceLock<NodeId>,
}

#[derive(Clone)]
struct Parts {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    own: CertificateDer<'static>,
}

/// Why TLS cannot be used like this.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file or text in PEM cannot be read, or holds something else.
    #[error("the TLS {what} cannot be read: {reason}")]
    Unreadable {
        /// The authority, the certificate or the key.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The parts do not fit, as a key of another certificate.
    #[error("TLS cannot be set up: {0}")]
    Unusable(String),
    /// The node's certificate has not its name, or has a wildcard.
    #[error(
        "the TLS certificate is not node {node}'s: give it the DNS name node-{node}.{domain}, and no \
         wildcard"
    )]
    OtherNode {
        /// The node that has it.
        node: NodeId,
        /// As set.
        domain: String,
    },
}

impl TlsConfig {
    /// From texts in PEM: one or more authorities; the node's certificate, followed by those between
    /// it and the authority, if any; its private key.
    ///
    /// # Errors
    ///
    /// If one of them is not what it should be, or the key is not the certificate's.
    pub fn from_pem(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for root in certificates("authority", authority)? {
            roots.add(root).map_err(|error| unreadable("authority", &error))?;
        }
        let roots = Arc::new(roots);
        let chain = certificates("certificate", certificate)?;
        let own = chain[0].clone();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unreadable("key", &error))?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let unusable = |error: rustls::Error| TlsError::Unusable(error.to_string());
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        client.resumption = Resumption::disabled();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| TlsError::Unusable(error.to_string()))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        // A session taken up again would live longer than its certificate.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let parts = Parts { client: Arc::new(client), server: Arc::new(server), own };
        let live = Live { parts: RwLock::new(parts), node: OnceLock::new() };
        Ok(Self { live: Arc::new(live), domain: "synod".to_owned() })
    }

    /// The same from files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be read, or as [`from_pem`](Self::from_pem).
    pub fn from_files(
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let read = |what, path: &Path| {
            std::fs::read(path).map_err(|error| TlsError::Unreadable {
                what,
                reason: format!("{}: {error}", path.display()),
            })
        };
        Self::from_pem(
            &read("authority", authority.as_ref())?,
            &read("certificate", certificate.as_ref())?,
            &read("key", key.as_ref())?,
        )
    }

    /// What follows `node-7.` in the name of node 7, the same on all nodes. Default `synod`.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    /// Takes certificate, key and authorities of another configuration, which was read anew, say. Keep
    /// a clone of what the node was given to call this while it runs: connections that begin from here
    /// on are made with the new ones, and those that are open stay.
    ///
    /// # Errors
    ///
    /// If the certificate is not that of the node that runs with this one. Nothing has changed then.
    pub fn replace(&self, other: &Self) -> Result<(), TlsError> {
        let parts = other.parts();
        if let Some(&node) = self.live.node.get() {
            self.check_parts(&parts, node)?;
        }
        *self.live.parts.write().unwrap_or_else(PoisonError::into_inner) = parts;
        Ok(())
    }

    /// An error if this cannot be the configuration of that node; it is that node's from here on.
    pub(crate) fn check(&self, node: NodeId) -> Result<(), TlsError> {
        self.check_parts(&self.parts(), node)?;
        let owner = *self.live.node.get_or_init(|| node);
        self.check_parts(&self.parts(), owner)
    }

    fn check_parts(&self, parts: &Parts, node: NodeId) -> Result<(), TlsError> {
        if self.is_of(&parts.own, node) {
            return Ok(());
        }
        Err(TlsError::OtherNode { node, domain: self.domain.clone() })
    }

    fn parts(&self) -> Parts {
        self.live.parts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a certificate, which is trusted, is that of a node.
    pub(crate) fn is_of(&self, certificate: &CertificateDer<'_>, node: NodeId) -> bool {
        let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
        let has =
            |node| self.name(node).is_some_and(|name| verify_server_name(&parsed, &name).is_ok());
        // There is no node 0: who has its name has a wildcard, and would be everybody.
        has(node) && !has(NodeId(0))
    }

    /// The name of a node; none if the domain makes no DNS name.
    pub(crate) fn name(&self, node: NodeId) -> Option<ServerName<'static>> {
        ServerName::try_from(format!("node-{}.{}", node.0, self.domain)).ok()
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        self.parts().client
    }

    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.parts().server
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// At least one.
fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(what, &error))?;
    if all.is_empty() {
        return Err(unreadable(what, &"there is no certificate in it"));
    }
    Ok(all)
}

fn unreadable(what: &'static str, reason: &dyn fmt::Display) -> TlsError {
    TlsError::Unreadable { what, reason: reason.to_string() }
}

#[cfg(test)]
#[cfg(feature = "test-certs")]
mod tests;
