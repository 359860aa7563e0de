//! Whether files hold what is written to them.

use std::path::PathBuf;

use super::{Setup, contents, done, fails, holds, pattern, same};
use crate::vfs::{Vfs, VfsFile};

/// Bytes come back from where they were written, and nowhere else.
pub(super) fn bytes_come_back(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let (vfs, path) = (setup.vfs(), dir.join("file"));
    let file = done("create", vfs.create(&path))?;
    same("the size of a new file", &done("size", file.size())?, &0)?;
    let mut expected = pattern(300_000);
    done("write_at", file.write_at(0, &expected))?;
    for (offset, length) in [(0, 1), (511, 2), (4095, 4098), (299_999, 1), (100_000, 70_000)] {
        let bytes: Vec<u8> = pattern(length).iter().map(|byte| byte ^ 0xff).collect();
        let at = u64::try_from(offset).unwrap_or(u64::MAX);
        done("write_at", file.write_at(at, &bytes))?;
        expected[offset..offset + length].copy_from_slice(&bytes);
    }
    holds(&vfs, &path, &expected, "after `write_at` over some of it")?;
    let mut some = [0; 1000];
    same("bytes read at 4000", &done("read_at", file.read_at(4000, &mut some))?, &1000)?;
    same("what `read_at` read at 4000", &some[..], &expected[4000..5000])?;
    same("bytes read across the end", &done("read_at", file.read_at(299_990, &mut some))?, &10)?;
    same("bytes read at the end", &done("read_at", file.read_at(300_000, &mut some))?, &0)?;
    same("bytes read beyond the end", &done("read_at", file.read_at(1 << 40, &mut some))?, &0)?;
    let beyond = file.read_exact_at(299_990, &mut some);
    fails("read_exact_at", beyond, std::io::ErrorKind::UnexpectedEof)
}

/// Sizes are as set, and what was never written is zero.
pub(super) fn grow_and_shrink(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let (vfs, path) = (setup.vfs(), dir.join("file"));
    let file = done("create", vfs.create(&path))?;
    done("write_at", file.write_at(10_000, b"end"))?;
    let mut expected = vec![0; 10_000];
    expected.extend_from_slice(b"end");
    holds(&vfs, &path, &expected, "after `write_at` beyond the end")?;
    done("write_at", file.write_at(0, &pattern(10_003)))?;
    done("set_size", file.set_size(5000))?;
    holds(&vfs, &path, &pattern(5000), "after `set_size` to less")?;
    done("set_size", file.set_size(20_000))?;
    let mut expected = pattern(5000);
    expected.resize(20_000, 0);
    holds(&vfs, &path, &expected, "after `set_size` to more, which adds zeros")?;
    done("preallocate", file.preallocate(4000, 200_000))?;
    expected.truncate(4000);
    expected.resize(200_000, 0);
    holds(&vfs, &path, &expected, "after `preallocate`, which writes zeros")
}

/// Two handles and two clones are of one file.
pub(super) fn are_shared(setup: &impl Setup, dir: PathBuf) -> Result<(), String> {
    let (vfs, path) = (setup.vfs(), dir.join("file"));
    let first = done("create", vfs.create(&path))?;
    let second = done("open", vfs.clone().open(&path))?;
    done("write_at", first.write_at(0, b"one"))?;
    same("what another handle sees", &contents(&second)?, &b"one".to_vec())?;
    done("write_at", second.write_at(3, b" and two"))?;
    same("what another handle sees", &contents(&first)?, &b"one and two".to_vec())?;
    done("set_size", second.set_size(3))?;
    same("the size that another handle sees", &done("size", first.size())?, &3)?;
    holds(&setup.vfs(), &path, b"one", "in the file system as it is found anew")
}

/// Threads that write to their own parts of a file by one handle do not disturb each other.
pub(super) fn threads_write_beside_each_other(
    setup: &impl Setup,
    dir: PathBuf,
) -> Result<(), String> {
    let (vfs, path) = (setup.vfs(), dir.join("file"));
    let file = done("create", vfs.create(&path))?;
    done("set_size", file.set_size(PARTS * PART))?;
    std::thread::scope(|scope| {
        let write = |part: u8| {
            let file = &file;
            move || {
                for piece in 0..PART / PIECE {
                    let at = u64::from(part) * PART + piece * PIECE;
                    let (mut read, bytes) = ([0; 1000], [part + 1; 1000]);
                    done("write_at", file.write_at(at, &bytes))?;
                    done("read_exact_at", file.read_exact_at(at, &mut read))?;
                    same("what a thread wrote and reads", &read, &bytes)?;
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (0..4).map(|part| scope.spawn(write(part))).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err("a thread has panicked".to_owned()))
        })
    })?;
    let part = usize::try_from(PART).unwrap_or(usize::MAX);
    let expected: Vec<u8> = (1..=4).flat_map(|part_of| vec![part_of; part]).collect();
    holds(&vfs, &path, &expected, "after threads wrote to it")
}

/// Threads, each with a part of the file.
const PARTS: u64 = 4;

/// Bytes of a part.
const PART: u64 = 200_000;

/// Bytes written at once.
const PIECE: u64 = 1000;
