//! Writing a segment under another name first, so that all of it is there at once.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use synod_core::{Ballot, Founding, GroupId};

use crate::log::error::{LogError, OpenError};
use crate::log::format::{Entry, Kind, Layout, bytes};
use crate::log::founding;
use crate::log::room::is_full;
use crate::log::segment::{self, HEAD, SegmentHeader, Start};
use crate::log::writer::{Log, Segment};
use crate::vfs::{Vfs, VfsFile};

/// Records with their payloads.
pub(super) type Batch = Vec<(Entry, Option<Bytes>)>;

/// The next segment, before it is one.
const STAGED: &str = "recovering";

/// Removes what a recovery left that did not come to its end.
pub(crate) fn clear<V: Vfs>(vfs: &V, dir: &Path, names: &[String]) -> Result<(), OpenError> {
    if !names.iter().any(|name| name == STAGED) {
        return Ok(());
    }
    let path = dir.join(STAGED);
    vfs.remove(&path).map_err(OpenError::io("remove", &path))
}

impl<V: Vfs> Log<V> {
    /// Writes batches and a founding as the log's next segment, which all at once is there.
    pub(super) fn begin_cluster(
        &mut self,
        batches: Vec<Batch>,
        new: &Founding,
    ) -> Result<(), LogError> {
        let payload = founding::encode(new);
        let entry = Entry::bare(Kind::Founded, GroupId(0), 0, Ballot::ZERO).with_payload(&payload);
        // First, so that it is found whatever rots behind it.
        let first = vec![(entry, Some(payload))];
        let size =
            [&first].into_iter().chain(&batches).fold(HEAD, |size, batch| size + size_of(batch));

        let number = self.current() + 1;
        let (staged, path) = (self.dir.join(STAGED), segment::path(&self.dir, number));
        if size > u64::from(u32::MAX) {
            let large = io::ErrorKind::FileTooLarge.into();
            return Err(LogError::io("write", &staged)(large));
        }
        let file = self.vfs.create(&staged).map_err(LogError::io("create", &staged))?;
        file.preallocate(0, size).map_err(|error| {
            if is_full(&error) {
                return self.full(size); // the next start removes what there is
            }
            LogError::io("preallocate", &staged)(error)
        })?;
        let start = Start { segment: number, first: self.number + 1, chain: self.chain };
        let oldest = self.segments.first_key_value().map_or(start, |(_, segment)| segment.start);
        let header = SegmentHeader { salt: self.salt, start, oldest };
        header.write(&file).map_err(LogError::io("write", &staged))?;
        self.file = Arc::new(file);
        self.shared.write().files.insert(number, Arc::clone(&self.file));
        self.segments.insert(number, Segment { start, size });
        self.at = HEAD;

        for batch in [first].into_iter().chain(batches) {
            self.begin();
            for (entry, payload) in batch {
                self.push(entry, payload);
            }
            self.put()?;
            self.sync()?;
        }
        assert!(self.current() == number, "a segment that has no name yet was left");
        self.founded(new);
        self.vfs.rename(&staged, &path).map_err(LogError::io("rename", &staged))?;
        self.vfs.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))
    }
}

/// Bytes that a batch takes up.
fn size_of(batch: &Batch) -> u64 {
    let payload = batch.iter().flat_map(|(_, payload)| payload).map(|it| bytes(it.len())).sum();
    let records = u32::try_from(batch.len()).ok();
    let layout = records.and_then(|records| Layout::new(records, payload));
    layout.expect("a membership and its history are no gigabyte").end
}
