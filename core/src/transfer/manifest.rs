//! What a checkpoint consists of.
//!
//! ```text
//! version: u32, at: u64
//! state: u32 bytes, then these
//! files: u32, then for each, ascending by machine and name:
//!   machine: u32, size: u64, crc: u32, name: u32 bytes, then these
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use super::CheckpointId;
use crate::code::{Reader, put_u32, put_u64};
use crate::ids::{Instance, SmId};

/// A checkpoint's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Everything up to here is in it.
    pub at: Instance,
    /// The group's own state there.
    pub state: Bytes,
    /// The machines' files, ascending by machine and name.
    pub files: Vec<ManifestFile>,
}

/// One file of a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestFile {
    /// Whose.
    pub sm: SmId,
    /// Its name in the machine's directory: see [`is_name`](Self::is_name).
    pub name: String,
    /// Bytes of it.
    pub size: u64,
    /// The embedder's checksum of its contents.
    pub crc: u32,
}

impl ManifestFile {
    /// Whether a name is that of a file in the directory itself, wherever that is: no path, nothing
    /// that leads out of it.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let is_odd = |c: char| c.is_control() || matches!(c, '/' | '\\' | ':');
        !name.is_empty()
            && name.len() <= NAME_MAX
            && !matches!(name, "." | "..")
            && !name.contains(is_odd)
    }
}

impl Manifest {
    /// The manifest as bytes; [`decode`](Self::decode) reads them.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        put_u32(&mut out, VERSION);
        put_u64(&mut out, self.at.0);
        put_u32(&mut out, self.state.len());
        out.extend_from_slice(&self.state);
        put_u32(&mut out, self.files.len());
        for ManifestFile { sm, name, size, crc } in &self.files {
            out.extend_from_slice(&sm.0.to_le_bytes());
            put_u64(&mut out, *size);
            out.extend_from_slice(&crc.to_le_bytes());
            put_u32(&mut out, name.len());
            out.extend_from_slice(name.as_bytes());
        }
        out.into()
    }

    /// Reads a manifest; `None` if the bytes are none that may be believed: a name that leads
    /// elsewhere, a file twice, more than there may be.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return None;
        }
        let mut reader = Reader::new(bytes);
        if usize::try_from(reader.u32()?).ok()? != VERSION {
            return None;
        }
        let at = Instance(reader.u64()?);
        let state = reader.u32()?;
        let state = Bytes::copy_from_slice(reader.bytes(state)?);
        let mut files: Vec<ManifestFile> = Vec::new();
        for _ in 0..reader.u32()? {
            let (sm, size, crc) = (SmId(reader.u32()?), reader.u64()?, reader.u32()?);
            let name = reader.u32()?;
            let name = core::str::from_utf8(reader.bytes(name)?).ok()?;
            let last = files.last().map(|last| (last.sm, last.name.as_str()));
            if !ManifestFile::is_name(name) || last >= Some((sm, name)) || files.len() >= FILES_MAX
            {
                return None;
            }
            files.push(ManifestFile { sm, name: name.into(), size, crc });
        }
        reader.is_empty().then_some(Self { at, state, files })
    }

    /// The name of this very checkpoint: its instance, and a digest of it as bytes (FNV-1a). Against
    /// mixing up checkpoints, not against an enemy; the files have checksums of their own.
    #[must_use]
    pub fn id(&self) -> CheckpointId {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        let digest = self.encode().iter().fold(0xcbf2_9ce4_8422_2325, mix);
        CheckpointId { at: self.at, digest }
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }
}

const VERSION: usize = 1;

/// Bytes of a file's name.
const NAME_MAX: usize = 255;

/// The most files of one checkpoint, of all machines together.
pub const FILES_MAX: usize = 65_536;

/// The most bytes of a manifest, the group's own state included: 16 MiB.
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn file(sm: u32, name: &str, size: u64) -> ManifestFile {
        ManifestFile { sm: SmId(sm), name: name.into(), size, crc: 7 }
    }

    fn manifest(files: Vec<ManifestFile>) -> Manifest {
        Manifest { at: Instance(9), state: Bytes::from_static(b"state"), files }
    }

    #[test]
    fn a_manifest_comes_back_and_no_prefix_of_it_does() {
        let manifest = manifest(vec![file(0, "a", 3), file(0, "b", 0), file(2, "a", u64::MAX)]);
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Some(manifest));
        for end in 0..bytes.len() {
            assert_eq!(Manifest::decode(&bytes[..end]), None, "prefix of {end} bytes");
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "/etc/passwd", "a/b", "..\\b", "c:d", "a\0", "a\n", &long] {
            let manifest = manifest(vec![file(0, name, 1)]);
            assert_eq!(Manifest::decode(&manifest.encode()), None, "{name:?}");
        }
        let manifest = manifest(vec![file(0, "000012.sst", 1), file(0, "ü", 1)]);
        assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused() {
        for files in [[file(0, "a", 1), file(0, "a", 2)], [file(0, "b", 1), file(0, "a", 1)]] {
            assert_eq!(Manifest::decode(&manifest(files.into()).encode()), None);
        }
    }

    #[test]
    fn other_files_make_another_checkpoint() {
        let one = manifest(vec![file(0, "a", 1)]);
        assert_eq!(one.id(), one.clone().id());
        assert_ne!(one.id(), manifest(vec![file(0, "a", 2)]).id());
        assert_eq!(one.id().at, Instance(9));
    }

    proptest! {
        #[test]
        fn what_is_no_manifest_is_refused_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut framed = vec![1, 0, 0, 0];
            framed.extend(&bytes);
            for bytes in [&bytes, &framed] {
                if let Some(read) = Manifest::decode(bytes) {
                    prop_assert_eq!(read.encode(), Bytes::copy_from_slice(bytes));
                }
            }
        }
    }
}
