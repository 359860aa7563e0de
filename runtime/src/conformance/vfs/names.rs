//! Whether names lead to files, and what is wrong is said.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::{Setup, done, fails, holds, same};
use crate::vfs::{Vfs, VfsFile};

/// Directories list what is in them, and nothing else.
pub(super) fn are_what_was_made(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let vfs = setup.vfs();
    done("create_dir_all", vfs.create_dir_all(&dir.join("c/deep/er")))?;
    done("create_dir_all", vfs.create_dir_all(&dir.join("c/deep")))?;
    done("create_dir_all", vfs.create_dir_all(&dir.join("a")))?;
    for name in ["z", "b", "10", "9", "c/inside"] {
        done("create", vfs.create(&dir.join(name)))?;
    }
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let list = |vfs: &_| done("list", Vfs::list(vfs, &dir));
    same(
        "`list`, ascending and without directories",
        &list(&vfs)?,
        &names(&["10", "9", "b", "z"]),
    )?;
    let directories = done("directories", vfs.directories(&dir))?;
    same("`directories`, ascending and without files", &directories, &names(&["a", "c"]))?;
    same("`list` of an empty directory", &done("list", vfs.list(&dir.join("a")))?, &names(&[]))?;
    done("rename", vfs.rename(&dir.join("b"), &dir.join("y")))?;
    done("rename", vfs.rename(&dir.join("9"), &dir.join("z")))?;
    done("remove", vfs.remove(&dir.join("10")))?;
    same("`list` after renaming and removing", &list(&vfs)?, &names(&["y", "z"]))?;
    done("remove_dir", vfs.remove_dir(&dir.join("c")))?;
    let directories = done("directories", vfs.directories(&dir))?;
    same("`directories` after `remove_dir`", &directories, &names(&["a"]))?;
    same("`list` in the file system as it is found anew", &list(&setup.vfs())?, &names(&["y", "z"]))
}

/// What cannot be done is an error, and of the kind that is promised.
pub(super) fn errors_are_reported(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let vfs = setup.vfs();
    let (there, missing) = (dir.join("there"), dir.join("missing"));
    let file = done("create", vfs.create(&there))?;
    done("write_at", file.write_at(0, b"kept"))?;
    fails("create where the name is taken", vfs.create(&there), ErrorKind::AlreadyExists)?;
    holds(&vfs, &there, b"kept", "after a second `create`, which has to fail")?;
    let gone = ErrorKind::NotFound;
    fails("open of a file that is not there", vfs.open(&missing), gone)?;
    fails("create in a directory that is not there", vfs.create(&missing.join("file")), gone)?;
    fails("rename of a file that is not there", vfs.rename(&missing, &dir.join("to")), gone)?;
    fails("remove of a file that is not there", vfs.remove(&missing), gone)?;
    fails("list of a directory that is not there", vfs.list(&missing), gone)?;
    fails("directories of one that is not there", vfs.directories(&missing), gone)?;
    fails("sync_dir of a directory that is not there", vfs.sync_dir(&missing), gone)?;
    match vfs.create_dir_all(&there.join("below")) {
        Ok(()) => Err("`create_dir_all` below a file succeeded".into()),
        Err(_) => {
            holds(&vfs, &there, b"kept", "after `create_dir_all` below it, which has to fail")
        }
    }
}

/// Nobody gets a lock that is held, and everybody one that is not.
pub(super) fn a_lock_is_exclusive(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let (vfs, path) = (setup.vfs(), dir.join("lock"));
    let lock = || done("lock", vfs.lock(&path));
    let held = lock()?;
    if held.is_none() {
        return Err("`lock` of a file that nobody holds gave none".into());
    }
    for (who, second) in [
        ("the same file system", lock()?),
        ("a clone of it", done("lock", vfs.clone().lock(&path))?),
        ("the file system as it is found anew", done("lock", setup.vfs().lock(&path))?),
    ] {
        if second.is_some() {
            return Err(format!("a lock that is held was given again, to {who}"));
        }
    }
    let other = done("lock", vfs.lock(&dir.join("other lock")))?;
    if other.is_none() {
        return Err("`lock` gave none, while another file's lock is held".into());
    }
    drop(held);
    if lock()?.is_none() {
        return Err("a lock was not free again when it was dropped".into());
    }
    Ok(())
}
