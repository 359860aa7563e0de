//! Frames that prove that they come from a holder of the cluster's secret.
//!
//! Each side of a connection begins with a challenge: [`CHALLENGE_MAGIC`] and 32 fresh random bytes.
//! The secret and both challenges give two keys, one per direction, and behind every frame stand 16
//! bytes of a keyed BLAKE3 over the frame's number on this connection and the frame as written:
//!
//! - a frame of another connection or another time fails, since its challenges were others;
//! - one sent back to its sender fails, since each direction has its own key;
//! - one repeated, left out or moved fails, since the number is not written and only counted.
//!
//! Identities are in the hello, which is the first sealed frame: none is believed before the proof.
//! Whoever holds the secret may claim to be any node; a secret tells members from strangers, and not
//! members from each other. Nothing is encrypted.

use std::fmt;

use thiserror::Error;

/// What every challenge starts with. Read as the length of a frame it is above every limit, so
/// nobody takes one for the other.
pub const CHALLENGE_MAGIC: [u8; 8] = *b"\xff\xff\xff\xffSYN1";

/// Bytes of a challenge, its magic included.
pub const CHALLENGE_BYTES: usize = 40;

/// Bytes behind every sealed frame. The frame's length does not count them.
pub const SEAL_BYTES: usize = 16;

/// The fewest bytes of a secret.
pub const SECRET_BYTES_MIN: usize = 16;

/// What all nodes of a cluster know and nobody else. Never printed.
#[derive(Clone)]
pub struct Secret([u8; 32]);

/// The secret is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a cluster secret of {0} bytes is too short: use at least {SECRET_BYTES_MIN} random bytes, the \
     same on all nodes"
)]
pub struct SecretTooShort(pub usize);

impl Secret {
    /// A secret of random bytes; a password that can be guessed is none.
    ///
    /// # Errors
    ///
    /// If it has fewer than [`SECRET_BYTES_MIN`] bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretTooShort> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(SecretTooShort(bytes.len()));
        }
        Ok(Self(blake3::derive_key("synod 2026-11 cluster secret", bytes)))
    }

    /// The keys of one connection as its dialler has them: for what it sends and what it reads.
    #[must_use]
    pub fn dialler(&self, dialler: &[u8; 32], accepter: &[u8; 32]) -> (Seal, Seal) {
        let seal = |context| Seal::new(context, &self.0, dialler, accepter);
        (seal("synod 2026-11 dialler to accepter"), seal("synod 2026-11 accepter to dialler"))
    }

    /// The same as the accepter has them.
    #[must_use]
    pub fn accepter(&self, dialler: &[u8; 32], accepter: &[u8; 32]) -> (Seal, Seal) {
        let (theirs, ours) = self.dialler(dialler, accepter);
        (ours, theirs)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The key of one direction of one connection, and how many frames it sealed or checked. It has no
/// copy: two that count from the same number would seal two frames alike.
pub struct Seal {
    key: [u8; 32],
    count: u64,
}

impl Seal {
    fn new(context: &str, secret: &[u8; 32], dialler: &[u8; 32], accepter: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(secret).update(dialler).update(accepter);
        Self { key: *hasher.finalize().as_bytes(), count: 0 }
    }

    /// What stands behind the next frame, whose bytes are given in pieces, in order.
    pub fn next<'a>(&mut self, pieces: impl IntoIterator<Item = &'a [u8]>) -> [u8; SEAL_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&self.count.to_le_bytes());
        for piece in pieces {
            hasher.update(piece);
        }
        self.count += 1;
        let mut seal = [0; SEAL_BYTES];
        seal.copy_from_slice(&hasher.finalize().as_bytes()[..SEAL_BYTES]);
        seal
    }

    /// Whether `seal` belongs to the next frame, in time that does not depend on the bytes. If not,
    /// close the connection.
    #[must_use]
    pub fn check(&mut self, frame: &[u8], seal: &[u8; SEAL_BYTES]) -> bool {
        let widened = |seal: &[u8; SEAL_BYTES]| {
            let mut hash = [0; 32];
            hash[..SEAL_BYTES].copy_from_slice(seal);
            blake3::Hash::from_bytes(hash) // compares in constant time
        };
        widened(&self.next([frame])) == widened(seal)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
