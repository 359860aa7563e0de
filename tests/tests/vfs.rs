//! One body of tests for every file system: what the log relies on holds on real files and on the
//! simulated disk alike. Then what only the simulated disk can show.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::path::{Path, PathBuf};

use synod::vfs::{StdVfs, Vfs, VfsFile};
use synod_sim::disk::{SimVfs, WriteFault};

fn conforms<V: Vfs>(vfs: &V, root: &Path) {
    let dir = root.join("a/b");
    let file = |name: &str| dir.join(name);
    assert_eq!(vfs.list(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(vfs.create(&file("f")).unwrap_err().kind(), io::ErrorKind::NotFound);
    vfs.create_dir_all(&dir).unwrap();
    vfs.create_dir_all(&dir).unwrap();
    assert_eq!(vfs.open(&file("f")).unwrap_err().kind(), io::ErrorKind::NotFound);

    let f = vfs.create(&file("f")).unwrap();
    assert_eq!(vfs.create(&file("f")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(f.size().unwrap(), 0);
    f.write_at(5000, b"hello").unwrap();
    assert_eq!(f.size().unwrap(), 5005);
    let mut buf = [9; 8];
    assert_eq!(f.read_at(4998, &mut buf).unwrap(), 7, "up to the end");
    assert_eq!(&buf, b"\0\0hello\x09", "what was skipped reads as zeros");
    assert_eq!(f.read_at(5005, &mut buf).unwrap(), 0);
    assert_eq!(f.read_at(90_000, &mut buf).unwrap(), 0);
    let eof = f.read_exact_at(5000, &mut buf).unwrap_err();
    assert_eq!(eof.kind(), io::ErrorKind::UnexpectedEof);
    f.write_at(4999, b"JJ").unwrap();
    f.read_exact_at(4998, &mut buf[..7]).unwrap();
    assert_eq!(&buf[..7], b"\0JJello");

    f.set_size(5002).unwrap();
    f.set_size(9000).unwrap();
    f.read_exact_at(4999, &mut buf).unwrap();
    assert_eq!(&buf, b"JJe\0\0\0\0\0", "what was cut does not come back");
    f.preallocate(4096, 300_000).unwrap();
    assert_eq!(f.size().unwrap(), 300_000);
    f.read_exact_at(4999, &mut buf).unwrap();
    assert_eq!(buf, [0; 8]);
    f.sync_data().unwrap();

    vfs.create(&file("g")).unwrap().write_at(0, b"g").unwrap();
    f.write_at(0, b"f").unwrap();
    assert_eq!(vfs.list(&dir).unwrap(), ["f", "g"]);
    vfs.rename(&file("f"), &file("g")).unwrap();
    vfs.sync_dir(&dir).unwrap();
    assert_eq!(vfs.list(&dir).unwrap(), ["g"]);
    let mut one = [0];
    vfs.open(&file("g")).unwrap().read_exact_at(0, &mut one).unwrap();
    assert_eq!(&one, b"f", "renamed over the other");
    f.write_at(0, b"x").unwrap();
    vfs.remove(&file("g")).unwrap();
    assert_eq!(vfs.remove(&file("g")).unwrap_err().kind(), io::ErrorKind::NotFound);
    f.read_exact_at(0, &mut one).unwrap();
    assert_eq!(&one, b"x", "an open file outlives its name");

    let lock = vfs.lock(&file("lock")).unwrap().unwrap();
    assert!(vfs.lock(&file("lock")).unwrap().is_none(), "held");
    drop(lock);
    assert!(vfs.lock(&file("lock")).unwrap().is_some(), "released");
}

#[test]
fn real_files_conform() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&StdVfs, dir.path());
}

#[test]
fn simulated_files_conform() {
    conforms(&SimVfs::new(), Path::new("/root"));
}

/// A directory, a file in it that is durable with 8 KiB of ones, and a random source that counts.
fn synced() -> (SimVfs, PathBuf) {
    let vfs = SimVfs::new();
    let dir = Path::new("/d");
    vfs.create_dir_all(dir).unwrap();
    let path = dir.join("f");
    let file = vfs.create(&path).unwrap();
    file.write_at(0, &[1; 8192]).unwrap();
    file.sync_data().unwrap();
    vfs.sync_dir(dir).unwrap();
    (vfs, path)
}

fn all(vfs: &SimVfs, path: &Path) -> Vec<u8> {
    let file = vfs.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn an_unsynced_sector_survives_is_lost_or_is_torn_each_for_itself() {
    let (vfs, path) = synced();
    vfs.open(&path).unwrap().write_at(512, &[2; 3 * 512]).unwrap();
    assert_eq!(all(&vfs.durable_view(), &path), [1; 8192], "the view is without it");
    let mut draws = [1, 0, 2 | (99 << 8)].into_iter();
    vfs.power_loss(&mut || draws.next().unwrap());
    let bytes = all(&vfs, &path);
    assert_eq!(bytes[..1024], [1; 1024], "lost");
    assert_eq!(bytes[1024..1536], [2; 512], "survived");
    assert_eq!((&bytes[1536..1636], &bytes[1636..2048]), (&[2; 100][..], &[1; 412][..]), "torn");
    assert_eq!(bytes[2048..], [1; 6144]);
}

#[test]
fn a_killed_process_loses_its_handles_and_locks_and_nothing_it_wrote() {
    let (vfs, path) = synced();
    let file = vfs.open(&path).unwrap();
    file.write_at(0, &[2]).unwrap();
    let lock = vfs.lock(Path::new("/d/lock")).unwrap().unwrap();
    vfs.crash_process();
    assert!(file.write_at(0, &[3]).is_err());
    assert!(file.read_at(0, &mut [0]).is_err());
    let again = vfs.lock(Path::new("/d/lock")).unwrap();
    assert!(again.is_some());
    drop(lock);
    assert!(vfs.lock(Path::new("/d/lock")).unwrap().is_none(), "a dead lock releases nothing");
    assert_eq!(all(&vfs, &path)[0], 2);
    vfs.power_loss(&mut || 1);
    assert_eq!(all(&vfs, &path)[0], 1, "it was in the cache only");
}

#[test]
fn a_failed_sync_leaves_pages_that_look_written_until_the_power_fails() {
    let (vfs, path) = synced();
    let file = vfs.open(&path).unwrap();
    file.write_at(0, &[2; 4096]).unwrap();
    vfs.fail_next_sync();
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(all(&vfs, &path)[..4096], [2; 4096]);
    file.write_at(512, &[3; 512]).unwrap();
    file.sync_data().unwrap();
    vfs.power_loss(&mut || 0);
    let bytes = all(&vfs, &path);
    assert_eq!((bytes[0], bytes[512], bytes[1024]), (1, 3, 1), "only what was written again");
}

#[test]
fn names_survive_a_power_loss_up_to_some_change_in_their_order() {
    for survive in 0..=3 {
        let (vfs, path) = synced();
        let dir = Path::new("/d");
        vfs.rename(&path, &dir.join("g")).unwrap();
        vfs.create(&dir.join("h")).unwrap();
        vfs.remove(&dir.join("g")).unwrap();
        assert_eq!(vfs.durable_view().list(dir).unwrap(), ["f"]);
        vfs.power_loss(&mut || survive);
        let expected: [&[&str]; 4] = [&["f"], &["g"], &["g", "h"], &["h"]];
        assert_eq!(vfs.list(dir).unwrap(), expected[usize::try_from(survive).unwrap()]);
    }
}

#[test]
fn a_size_that_was_not_synced_survives_or_not() {
    for (survives, size) in [(0, 4096), (1, 8192)] {
        let (vfs, path) = synced();
        vfs.open(&path).unwrap().set_size(4096).unwrap();
        vfs.power_loss(&mut || survives);
        assert_eq!(all(&vfs, &path), vec![1; size]);
    }
}

#[test]
fn faults_happen_when_they_were_armed_for() {
    let (vfs, path) = synced();
    let file = vfs.open(&path).unwrap();
    vfs.fail_write_after(1, WriteFault::Short(3));
    file.write_at(0, &[2; 8]).unwrap();
    assert!(file.write_at(8, &[2; 8]).is_err());
    assert_eq!(all(&vfs, &path)[..16], [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
    vfs.set_capacity(Some(9000));
    let full = file.write_at(8000, &[2; 2000]).unwrap_err();
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    file.write_at(8000, &[2; 1000]).unwrap();
    vfs.corrupt(&path, 8999, 1, 0x80);
    assert_eq!(all(&vfs, &path)[8999], 0x82);
    vfs.stop_after(1);
    file.write_at(0, &[7]).unwrap();
    assert!(file.write_at(1, &[7]).is_err());
    assert!(file.sync_data().is_err());
    vfs.crash_process();
    assert_eq!(all(&vfs, &path)[..2], [7, 2]);
    assert_eq!(vfs.counters().faults, 1);
}
