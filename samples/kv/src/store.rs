//! The state of one group, in one redb file: keys with their values and versions, and how far it is.
//!
//! A command and the position it stands at are written in one transaction. None of them waits for the disk:
//! after a power loss the file holds an older state, complete and consistent, and the log gives the
//! commands since then once more, or the node's checkpoint if the log begins later. The file is synced
//! when a checkpoint is taken: no promise needs it, but a restart has less to do then, and redb needs
//! memory for each transaction that is not synced yet.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use redb::{
    Builder, Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageBackend, Table, TableDefinition, WriteTransaction,
};
use synod::vfs::{Vfs, VfsFile};
use synod::{Instance, Position};
use thiserror::Error;

use crate::command::{Command, Outcome, Versioned};

/// The store of one group. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Store(Arc<Database>);

/// How far a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last command executed.
    pub applied: Position,
    /// How many of them changed anything.
    pub revision: u64,
}

/// The store's file cannot be used. Nothing of the state is lost for the cluster: see the disk, and if it
/// works, remove the file while the server is stopped. It is built anew from the log.
#[derive(Debug, Error)]
#[error("the store: {0}")]
pub struct StoreError(#[from] redb::Error);

impl Store {
    /// Opens a store's file, or creates it.
    ///
    /// # Errors
    ///
    /// If it cannot be read or written.
    pub fn open(vfs: &impl Vfs, directory: &Path, name: &str) -> Result<Self, StoreError> {
        let path = directory.join(name);
        let there = vfs.list(directory).map_err(redb::Error::Io)?;
        if !there.iter().any(|there| there == name) {
            create(vfs, directory, name)?;
        }
        let file = vfs.open(&path).map_err(redb::Error::Io)?;
        Ok(Self(Arc::new(database(file)?)))
    }

    /// How far it is.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn progress(&self) -> Result<Progress, StoreError> {
        Ok(progress_of(&self.0.begin_read().map_err(any)?)?)
    }

    /// What a key is.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Versioned>, StoreError> {
        let entries = self.0.begin_read().map_err(any)?.open_table(ENTRIES).map_err(any)?;
        Ok(entry_of(&entries, key)?)
    }

    /// Executes a command.
    pub(crate) fn execute(&self, at: Position, command: &Command) -> Result<Outcome, StoreError> {
        let work = self.begin(Durability::None)?;
        let outcome = change(&work, at, command)?;
        work.commit().map_err(any)?;
        Ok(outcome)
    }

    /// Passes over a command that nobody understands.
    pub(crate) fn skip(&self, at: Position) -> Result<Outcome, StoreError> {
        let work = self.begin(Durability::None)?;
        let mut meta = work.open_table(META).map_err(any)?;
        let revision = progress_in(&meta)?.revision;
        set_progress(&mut meta, Progress { applied: at, revision })?;
        drop(meta);
        work.commit().map_err(any)?;
        Ok(Outcome { malformed: true, revision, ..Outcome::default() })
    }

    /// Syncs everything, and gives a view of it that later commands do not change.
    pub(crate) fn freeze(&self) -> Result<Frozen, StoreError> {
        self.begin(Durability::Immediate)?.commit().map_err(any)?;
        Ok(Frozen(self.0.begin_read().map_err(any)?))
    }

    /// Replaces everything, or, if an entry cannot be had, nothing.
    pub(crate) fn replace<E: From<StoreError>>(
        &self,
        progress: Progress,
        entries: impl Iterator<Item = Result<(Bytes, Versioned), E>>,
    ) -> Result<(), E> {
        let work = self.begin(Durability::Immediate)?;
        work.delete_table(ENTRIES).map_err(store)?;
        let mut table = work.open_table(ENTRIES).map_err(store)?;
        for entry in entries {
            let (key, Versioned { value, version }) = entry?;
            table.insert(&*key, (version, &*value)).map_err(store)?;
        }
        drop(table);
        set_progress(&mut work.open_table(META).map_err(store)?, progress)
            .map_err(StoreError::from)?;
        work.commit().map_err(store)?;
        Ok(())
    }

    fn begin(&self, durability: Durability) -> Result<WriteTransaction, StoreError> {
        let mut work = self.0.begin_write().map_err(any)?;
        work.set_durability(durability).map_err(any)?;
        Ok(work)
    }
}

/// A store as it was at one moment.
pub(crate) struct Frozen(ReadTransaction);

impl Frozen {
    pub(crate) fn progress(&self) -> Result<Progress, StoreError> {
        Ok(progress_of(&self.0)?)
    }

    /// Shows all entries, in the order of their keys.
    pub(crate) fn each<E: From<StoreError>>(
        &self,
        mut show: impl FnMut(&[u8], Versioned) -> Result<(), E>,
    ) -> Result<(), E> {
        let entries = self.0.open_table(ENTRIES).map_err(store)?;
        for entry in entries.iter().map_err(store)? {
            let (key, entry) = entry.map_err(store)?;
            let (version, value) = entry.value();
            show(key.value(), Versioned { value: Bytes::copy_from_slice(value), version })?;
        }
        Ok(())
    }
}

/// Under another name first: a file that has its name is complete.
fn create(vfs: &impl Vfs, directory: &Path, name: &str) -> Result<(), StoreError> {
    let new = format!("{name}.new");
    let path = directory.join(&new);
    if vfs.list(directory).map_err(redb::Error::Io)?.contains(&new) {
        vfs.remove(&path).map_err(redb::Error::Io)?;
    }
    let database = database(vfs.create(&path).map_err(redb::Error::Io)?)?;
    let work = database.begin_write().map_err(any)?;
    drop(work.open_table(ENTRIES).map_err(any)?);
    drop(work.open_table(META).map_err(any)?);
    work.commit().map_err(any)?;
    drop(database);
    vfs.rename(&path, &directory.join(name)).map_err(redb::Error::Io)?;
    Ok(vfs.sync_dir(directory).map_err(redb::Error::Io)?)
}

fn database(file: impl VfsFile) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    Ok(builder.create_with_backend(Backend(file))?)
}

fn change(
    work: &WriteTransaction,
    at: Position,
    command: &Command,
) -> Result<Outcome, redb::Error> {
    let mut entries = work.open_table(ENTRIES)?;
    let mut meta = work.open_table(META)?;
    let before = progress_in(&meta)?.revision;
    let version = entry_of(&entries, &command.key)?.map_or(0, |entry| entry.version);
    let fits = command.if_version.is_none_or(|wanted| wanted == version);
    let outcome = match &command.value {
        Some(value) if fits => {
            let revision = before + 1;
            entries.insert(&*command.key, (revision, &**value))?;
            Outcome { changed: true, version: revision, revision, malformed: false }
        }
        None if fits && version > 0 => {
            entries.remove(&*command.key)?;
            Outcome { changed: true, version: 0, revision: before + 1, malformed: false }
        }
        Some(_) | None => Outcome { changed: false, version, revision: before, malformed: false },
    };
    set_progress(&mut meta, Progress { applied: at, revision: outcome.revision })?;
    Ok(outcome)
}

fn entry_of(
    entries: &impl ReadableTable<&'static [u8], (u64, &'static [u8])>,
    key: &[u8],
) -> Result<Option<Versioned>, redb::Error> {
    let found = entries.get(key)?;
    Ok(found.map(|found| {
        let (version, value) = found.value();
        Versioned { value: Bytes::copy_from_slice(value), version }
    }))
}

fn progress_of(view: &ReadTransaction) -> Result<Progress, redb::Error> {
    progress_in(&view.open_table(META)?)
}

fn progress_in(meta: &impl ReadableTable<(), Meta>) -> Result<Progress, redb::Error> {
    Ok(meta.get(())?.map_or_else(Progress::default, |meta| {
        let (instance, index, revision) = meta.value();
        Progress { applied: Position { instance: Instance(instance), index }, revision }
    }))
}

fn set_progress(meta: &mut Table<'_, (), Meta>, progress: Progress) -> Result<(), redb::Error> {
    let Progress { applied, revision } = progress;
    meta.insert((), (applied.instance.0, applied.index, revision))?;
    Ok(())
}

fn any(error: impl Into<redb::Error>) -> redb::Error {
    error.into()
}

fn store(error: impl Into<redb::Error>) -> StoreError {
    StoreError(error.into())
}

/// redb over the file system that the log uses, too, so that the simulator can stand in for it.
#[derive(Debug)]
struct Backend<F>(F);

impl<F: VfsFile> StorageBackend for Backend<F> {
    fn len(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_size(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}

/// Instance and index of the last command executed, and the number of changes.
type Meta = (u64, u32, u64);

const ENTRIES: TableDefinition<'static, &[u8], (u64, &[u8])> = TableDefinition::new("entries");
const META: TableDefinition<'static, (), Meta> = TableDefinition::new("meta");

/// For each group.
const CACHE_BYTES: usize = 64 << 20;
