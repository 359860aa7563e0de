//! The directories and files of checkpoints.
//!
//! ```text
//! <instance>/            one checkpoint
//!   manifest             what it consists of; not there before it is complete and durable
//!   offer                the manifest of one that is being received
//!   <machine>/<name>     the machines' files
//! ```
//!
//! Both `manifest` and `offer` are a magic, a CRC-32C, and a [`Manifest`] as bytes.

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use crc32c::crc32c_append;
use synod_core::{Instance, Manifest, ManifestFile, SmId, mark};

use super::part::PartDirectory;
use crate::machines::Handles;
use crate::state_machine::CheckpointError;
use crate::vfs::{Vfs, VfsFile};

/// One group's checkpoints on disk. Clones are the same.
#[derive(Clone, Debug)]
pub struct Store<V: Vfs> {
    vfs: V,
    dir: PathBuf,
}

impl<V: Vfs> Store<V> {
    /// The checkpoints in a directory, which is created. Of what an earlier process left, only the
    /// checkpoint that the log records stays, and one that was being received above it.
    ///
    /// Gives the recorded one, if it is whole: its files have their sizes, and those of the machines that
    /// need it hold what was written. The others are not read, since the files may be large. A file that
    /// cannot be read counts as changed: a peer's checkpoint will do, and a disk that is gone altogether
    /// shows in the log.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn open(
        vfs: V,
        dir: &Path,
        recorded: Option<Instance>,
        mut needs: impl FnMut(SmId) -> bool,
    ) -> io::Result<(Self, Option<Manifest>)> {
        vfs.create_dir_all(dir)?;
        let store = Self { vfs, dir: dir.to_owned() };
        let mut found = None;
        let mut incoming: Vec<Instance> = Vec::new();
        for name in store.vfs.directories(dir)? {
            let Ok(at) = name.parse().map(Instance) else { continue };
            let manifest = store.manifest(at, MANIFEST)?;
            if Some(at) == recorded && store.is_whole(manifest.as_ref(), &mut needs)? {
                found = manifest;
            } else if Some(at) > recorded && store.manifest(at, OFFER)?.is_some() {
                incoming.push(at);
            } else {
                store.remove(at)?;
            }
        }
        incoming.pop(); // the newest one goes on
        for at in incoming {
            store.remove(at)?;
        }
        Ok((store, found))
    }

    /// Writes a checkpoint; it is complete and durable when this returns.
    ///
    /// # Errors
    ///
    /// As the machines or the file system say; what was written is removed with the next start, or
    /// when another one at the same instance is written.
    pub fn write(
        &self,
        at: Instance,
        state: Bytes,
        handles: Handles,
    ) -> Result<Manifest, CheckpointError> {
        self.remove(at)?;
        let mut files = Vec::new();
        for (sm, handle) in handles {
            let part = self.part(at, sm);
            self.vfs.create_dir_all(&part.dir)?;
            handle.write(&part)?;
            for name in self.vfs.list(&part.dir)? {
                if !ManifestFile::is_name(&name) {
                    let what = format!("a file cannot be called {name:?}");
                    return Err(CheckpointError::Contents(what));
                }
                let file = self.vfs.open(&part.dir.join(&name))?;
                let (size, crc) = checksum(&file)?;
                // The checksum is to stand for what the machine wrote, not for what the disk made of it.
                if part.written(&name).is_some_and(|written| written != (size, crc)) {
                    mark!(CHECKPOINT_WRITTEN_BADLY);
                    let what = format!("the file {name:?} does not hold what was written");
                    return Err(CheckpointError::Contents(what));
                }
                file.sync_data()?;
                files.push(ManifestFile { sm, name, size, crc });
            }
            self.vfs.sync_dir(&part.dir)?;
        }
        files.sort();
        let manifest = Manifest { at, state, files };
        if Manifest::decode(&manifest.encode()).is_none() {
            return Err(CheckpointError::Contents("there are too many files".to_owned()));
        }
        self.seal(&manifest)?;
        Ok(manifest)
    }

    /// Gets ready to receive a checkpoint; says how much of it is there already.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn begin(&self, manifest: &Manifest) -> io::Result<(u32, u64)> {
        let at = manifest.at;
        let there = [self.manifest(at, MANIFEST)?, self.manifest(at, OFFER)?];
        if there.iter().flatten().any(|there| there == manifest) {
            return self.progress(manifest);
        }
        self.remove(at)?;
        let dir = self.directory(at);
        self.vfs.create_dir_all(&dir)?;
        for file in &manifest.files {
            self.vfs.create_dir_all(&self.part(at, file.sm).dir)?;
        }
        self.put_manifest(manifest, OFFER)?;
        Ok((0, 0))
    }

    /// Writes a part of a file of a checkpoint that is being received.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn put(&self, manifest: &Manifest, file: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(manifest, file)?;
        self.open_or_create(&path)?.write_at(offset, bytes)
    }

    /// Checks what was received against its manifest, and makes it durable; `false` if something is
    /// not what was announced.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn finish(&self, manifest: &Manifest) -> io::Result<bool> {
        for (place, announced) in (0..).zip(&manifest.files) {
            let path = self.path(manifest, place)?;
            let file = self.open_or_create(&path)?; // one without any bytes was never written
            if checksum(&file)? != (announced.size, announced.crc) {
                self.remove(manifest.at)?;
                return Ok(false);
            }
            file.sync_data()?;
        }
        let mut machines: Vec<SmId> = manifest.files.iter().map(|file| file.sm).collect();
        machines.dedup();
        for sm in machines {
            self.vfs.sync_dir(&self.part(manifest.at, sm).dir)?;
        }
        self.seal(manifest)?;
        Ok(true)
    }

    /// Reads a part of a file; fewer bytes at its end, none behind it.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn read(&self, manifest: &Manifest, file: u32, offset: u64, len: u32) -> io::Result<Bytes> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let mut bytes = BytesMut::zeroed(len);
        let read = self.vfs.open(&self.path(manifest, file)?)?.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes.freeze())
    }

    /// Removes a checkpoint, if there is one.
    ///
    /// # Errors
    ///
    /// As the file system says.
    pub fn remove(&self, at: Instance) -> io::Result<()> {
        let dir = self.directory(at);
        if !self.vfs.directories(&self.dir)?.contains(&at.0.to_string()) {
            return Ok(());
        }
        // Not complete any more before anything else goes.
        for name in self.vfs.list(&dir)? {
            self.vfs.remove(&dir.join(name))?;
        }
        self.vfs.sync_dir(&dir)?;
        self.vfs.remove_dir(&dir)
    }

    /// A machine's part of a complete checkpoint, to load. A file that changed after it was checked last
    /// is an error at its end.
    ///
    /// # Errors
    ///
    /// If there is no such checkpoint, or as the file system says.
    pub fn loaded(&self, at: Instance, sm: SmId) -> io::Result<PartDirectory<V>> {
        let manifest = self.manifest(at, MANIFEST)?.ok_or(io::ErrorKind::NotFound)?;
        let files = manifest.files.into_iter().filter(|file| file.sm == sm);
        let expected = files.map(|file| (file.name, (file.size, file.crc))).collect();
        Ok(self.part(at, sm).expecting(expected))
    }

    /// The directory of a machine's part.
    #[must_use]
    pub fn part(&self, at: Instance, sm: SmId) -> PartDirectory<V> {
        PartDirectory::new(self.vfs.clone(), self.directory(at).join(sm.0.to_string()))
    }

    fn directory(&self, at: Instance) -> PathBuf {
        self.dir.join(at.0.to_string())
    }

    fn path(&self, manifest: &Manifest, file: u32) -> io::Result<PathBuf> {
        let place = usize::try_from(file).map_err(io::Error::other)?;
        let file = manifest.files.get(place).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.part(manifest.at, file.sm).dir.join(&file.name))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<V::File> {
        match self.vfs.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.vfs.create(path),
            opened => opened,
        }
    }

    /// How much of a checkpoint is there: whole files, and so many bytes of the next. What a power loss
    /// made of them shows when it is finished.
    fn progress(&self, manifest: &Manifest) -> io::Result<(u32, u64)> {
        for (place, file) in (0..).zip(&manifest.files) {
            let size = match self.vfs.open(&self.path(manifest, place)?) {
                Ok(opened) => opened.size()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
            if size < file.size {
                return Ok((place, size));
            }
        }
        Ok((u32::try_from(manifest.files.len()).unwrap_or(u32::MAX), 0))
    }

    /// Whether all files of a checkpoint hold what was written.
    pub fn is_intact(&self, manifest: &Manifest) -> bool {
        self.is_whole(Some(manifest), |_| true).unwrap_or(false)
    }

    fn is_whole(
        &self,
        manifest: Option<&Manifest>,
        mut needs: impl FnMut(SmId) -> bool,
    ) -> io::Result<bool> {
        let Some(manifest) = manifest else { return Ok(false) };
        let there = self.progress(manifest)?;
        if usize::try_from(there.0).is_ok_and(|files| files < manifest.files.len()) {
            return Ok(false);
        }
        for (place, file) in (0..).zip(&manifest.files).filter(|(_, file)| needs(file.sm)) {
            let opened = self.vfs.open(&self.path(manifest, place)?)?;
            if checksum(&opened).ok() != Some((file.size, file.crc)) {
                mark!(CHECKPOINT_DAMAGED);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// From here on the checkpoint is complete.
    fn seal(&self, manifest: &Manifest) -> io::Result<()> {
        self.put_manifest(manifest, MANIFEST)?;
        let offer = self.directory(manifest.at).join(OFFER);
        match self.vfs.remove(&offer) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn put_manifest(&self, manifest: &Manifest, name: &str) -> io::Result<()> {
        let dir = self.directory(manifest.at);
        self.vfs.create_dir_all(&dir)?;
        let bytes = manifest.encode();
        let mut out = BytesMut::from(MAGIC);
        out.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        out.extend_from_slice(&bytes);
        let new = dir.join(format!("{name}.new"));
        let file = self.open_or_create(&new)?;
        file.set_size(0)?;
        file.write_at(0, &out)?;
        file.sync_data()?;
        self.vfs.rename(&new, &dir.join(name))?;
        self.vfs.sync_dir(&dir)
    }

    /// What a file says of a checkpoint; nothing if there is none, or it makes no sense.
    fn manifest(&self, at: Instance, name: &str) -> io::Result<Option<Manifest>> {
        let path = self.directory(at).join(name);
        let file = match self.vfs.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut all = vec![0; usize::try_from(file.size()?).map_err(io::Error::other)?];
        if file.read_exact_at(0, &mut all).is_err() {
            return Ok(None); // as good as changed
        }
        let body = all.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk());
        let Some((crc, bytes)) = body else { return Ok(None) };
        if u32::from_le_bytes(*crc) != crc32c::crc32c(bytes) {
            return Ok(None);
        }
        Ok(Manifest::decode(bytes).filter(|manifest| manifest.at == at))
    }
}

/// Bytes of a file, and their CRC-32C.
fn checksum(file: &impl VfsFile) -> io::Result<(u64, u32)> {
    let (mut at, mut crc) = (0, 0);
    let mut buf = vec![0; BUFFER];
    loop {
        let read = file.read_at(at, &mut buf)?;
        if read == 0 {
            return Ok((at, crc));
        }
        crc = crc32c_append(crc, &buf[..read]);
        at += u64::try_from(read).map_err(io::Error::other)?;
    }
}

const MAGIC: &[u8] = b"synodcp1";
const MANIFEST: &str = "manifest";
const OFFER: &str = "offer";

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;
