//! What only a disk that fails shows (I7).

mod broken;
mod ended;
mod memories;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use synod_core::Bootstrap;

use super::start::start;
use super::*;
use crate::vfs::{StdFile, StdLock, StdVfs, Vfs, VfsFile};
use crate::{Position, StateMachine};

/// Real files whose syncs fail once told to.
#[derive(Clone, Debug, Default)]
struct Failing(Arc<AtomicBool>);

#[derive(Debug)]
struct FailingFile(StdFile, Failing);

impl Failing {
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is on fire"));
        }
        Ok(())
    }
}

impl Vfs for Failing {
    type File = FailingFile;
    type Lock = StdLock;

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        StdVfs.create_dir_all(path)
    }
    fn create(&self, path: &Path) -> io::Result<FailingFile> {
        Ok(FailingFile(StdVfs.create(path)?, self.clone()))
    }
    fn open(&self, path: &Path) -> io::Result<FailingFile> {
        Ok(FailingFile(StdVfs.open(path)?, self.clone()))
    }
    fn lock(&self, path: &Path) -> io::Result<Option<StdLock>> {
        StdVfs.lock(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        StdVfs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        StdVfs.remove(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        StdVfs.list(path)
    }
    fn directories(&self, path: &Path) -> io::Result<Vec<String>> {
        StdVfs.directories(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        StdVfs.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.check()?;
        StdVfs.sync_dir(path)
    }
}

impl VfsFile for FailingFile {
    fn size(&self) -> io::Result<u64> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, buf)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.0.set_size(bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.1.check()?;
        self.0.sync_data()
    }
}

struct Count(u64);

impl StateMachine for Count {
    fn apply(&mut self, _at: Position, _command: Bytes) -> Bytes {
        self.0 += 1;
        self.read(Bytes::new())
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.to_string().into()
    }
}

fn alone(dir: &Path) -> NodeBuilder {
    Node::builder()
        .id(1)
        .listen("127.0.0.1:0")
        .data_dir(dir)
        .bootstrap(Bootstrap::Found)
        .timeout(Duration::from_secs(30))
        .log(crate::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() })
        .group(GroupId(0), || vec![Box::new(Count(0))])
}

#[tokio::test]
async fn a_failed_sync_ends_the_node_and_not_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Failing::default();
    let node = start(alone(dir.path()), disk.clone()).await.unwrap();
    let group = node.group(GroupId(0)).unwrap();
    assert_eq!(group.propose("a").await.unwrap().output, "1");
    disk.0.store(true, Ordering::Relaxed);
    let error = group.propose("b").await.unwrap_err();
    assert!(
        matches!(&error, ProposeError::Failed { reason } if reason.contains("on fire")),
        "{error}"
    );
    // It stays so, and says so, whatever the disk does afterwards.
    disk.0.store(false, Ordering::Relaxed);
    let error = group.propose("c").await.unwrap_err();
    assert!(matches!(error, ProposeError::Failed { .. }), "{error}");
    let error = group.read("").await.unwrap_err();
    assert!(matches!(error, ReadError::Failed { .. }), "{error}");
    let status = node.status().await.unwrap();
    assert!(matches!(&status.state, NodeState::Failed(reason) if reason.contains("on fire")));
    assert!(status.groups[0].core.is_none(), "it votes no more");
    node.shutdown().await;

    // Only a fresh start with recovery brings it back. "b" was never acknowledged: it may be there.
    let node = start(alone(dir.path()), disk).await.unwrap();
    let group = node.group(GroupId(0)).unwrap();
    let count = group.propose("d").await.unwrap().output;
    assert!(count == "2" || count == "3", "{count:?}");
}
