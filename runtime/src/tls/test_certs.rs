//! Certificates for tests.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

use super::{TlsConfig, TlsError};

/// An authority that lives in memory, for tests. Keep no secrets with it.
#[derive(Debug)]
pub struct TestAuthority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl TestAuthority {
    /// Another one each time.
    ///
    /// # Errors
    ///
    /// If the operating system gives no random numbers.
    pub fn new() -> Result<Self, TlsError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(Vec::new()).map_err(failed)?;
        // Authorities that are named alike would be told apart by their keys only.
        let number = getrandom::u64().map_err(|error| TlsError::Unusable(error.to_string()))?;
        let name = format!("synod test authority {number:016x}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).map_err(failed)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Its own certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What a node of the domain `synod` needs.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn node(&self, node: u64) -> Result<TlsConfig, TlsError> {
        self.named(&format!("node-{node}.synod"))
    }

    /// The same with any DNS name.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), or if it is no DNS name.
    pub fn named(&self, name: &str) -> Result<TlsConfig, TlsError> {
        self.config(&self.issue(name, 4000)?)
    }

    /// The same with a certificate that expired long ago.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn expired(&self, node: u64) -> Result<TlsConfig, TlsError> {
        self.config(&self.issue(&format!("node-{node}.synod"), 2001)?)
    }

    /// A certificate with a DNS name, valid until a year begins.
    ///
    /// # Errors
    ///
    /// As [`named`](Self::named).
    pub fn issue(&self, name: &str, until: i32) -> Result<Issued, TlsError> {
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }

    fn config(&self, issued: &Issued) -> Result<TlsConfig, TlsError> {
        TlsConfig::from_pem(
            self.pem.as_bytes(),
            issued.certificate.as_bytes(),
            issued.key.as_bytes(),
        )
    }
}

fn failed(error: rcgen::Error) -> TlsError {
    TlsError::Unusable(error.to_string())
}
