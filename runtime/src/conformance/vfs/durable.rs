//! Whether what was synced is there when the file system is found anew.

use std::path::PathBuf;

use super::{Setup, done, holds, pattern, same};
use crate::vfs::{Vfs, VfsFile};

/// When everything is looked at.
const ANEW: &str = "after a sync, in the file system as it is found anew";

/// Contents and length of a file whose name is durable.
pub(super) fn synced_bytes_stay(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let path = dir.join("file");
    let mut expected = pattern(200_000);
    {
        let vfs = setup.vfs();
        let file = done("create", vfs.create(&path))?;
        done("sync_dir", vfs.sync_dir(&dir))?;
        done("write_at", file.write_at(0, &expected))?;
        done("sync_data", file.sync_data())?;
    }
    setup.lose_power();
    holds(&setup.vfs(), &path, &expected, ANEW)?;
    {
        let file = done("open", setup.vfs().open(&path))?;
        done("write_at", file.write_at(100_000, b"changed"))?;
        done("set_size", file.set_size(150_000))?;
        done("sync_data", file.sync_data())?;
    }
    expected[100_000..100_007].copy_from_slice(b"changed");
    expected.truncate(150_000);
    setup.lose_power();
    holds(&setup.vfs(), &path, &expected, ANEW)
}

/// A file that was written aside, synced and given the name of an older one.
pub(super) fn a_rename_stays(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let (path, aside) = (dir.join("file"), dir.join("aside"));
    let vfs = setup.vfs();
    for (path, contents) in [(&path, "old, and longer"), (&aside, "new")] {
        let file = done("create", vfs.create(path))?;
        done("write_at", file.write_at(0, contents.as_bytes()))?;
        done("sync_data", file.sync_data())?;
    }
    done("sync_dir", vfs.sync_dir(&dir))?;
    done("rename", vfs.rename(&aside, &path))?;
    holds(&vfs, &path, b"new", "after `rename` onto it")?;
    done("sync_dir", vfs.sync_dir(&dir))?;
    drop(vfs);
    setup.lose_power();
    let vfs = setup.vfs();
    holds(&vfs, &path, b"new", ANEW)?;
    same("`list` after a rename", &done("list", vfs.list(&dir))?, &vec!["file".to_owned()])
}

/// What was removed does not come back, and directories stay.
pub(super) fn a_removal_stays(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    {
        let vfs = setup.vfs();
        done("create_dir_all", vfs.create_dir_all(&dir.join("made/by/all")))?;
        for name in ["kept", "gone"] {
            let file = done("create", vfs.create(&dir.join(name)))?;
            done("sync_data", file.sync_data())?;
        }
        done("sync_dir", vfs.sync_dir(&dir))?;
        done("remove", vfs.remove(&dir.join("gone")))?;
        done("sync_dir", vfs.sync_dir(&dir))?;
    }
    setup.lose_power();
    let vfs = setup.vfs();
    same("`list` after a removal", &done("list", vfs.list(&dir))?, &vec!["kept".to_owned()])?;
    let made = done("directories", vfs.directories(&dir.join("made/by")))?;
    same("`directories`, whose names are durable at once", &made, &vec!["all".to_owned()])
}
