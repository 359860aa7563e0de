//! What disk and network cost at least, measured as a log and a peer use them.

use std::fs::{File, create_dir_all};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The median of a 4 KiB write into a preallocated, zeroed file, and its `fdatasync`.
pub(crate) fn sync(dir: &Path) -> io::Result<Duration> {
    sync_file(dir, "floor")
}

/// The same while two more files are synced beside it: what three nodes on one disk have to share.
pub(crate) fn three_syncs(dir: &Path) -> io::Result<Duration> {
    let times: io::Result<Vec<Duration>> = thread::scope(|scope| {
        let names = ["floor-1", "floor-2", "floor-3"];
        let threads = names.map(|name| scope.spawn(move || sync_file(dir, name)));
        let ended = threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(broken())));
        ended.collect()
    });
    Ok(median(times?))
}

fn broken() -> io::Error {
    io::Error::other("the measuring thread panicked")
}

fn sync_file(dir: &Path, name: &str) -> io::Result<Duration> {
    create_dir_all(dir)?;
    let path = dir.join(name);
    let file = File::create(&path)?;
    let block = vec![0; 1 << 20];
    for at in 0..16 {
        file.write_all_at(&block, at << 20)?;
    }
    file.sync_all()?;
    let page = [0x5a; 4096];
    let mut times = Vec::new();
    for at in 0..2000 {
        let begun = Instant::now();
        file.write_all_at(&page, at * 4096)?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    drop(file);
    std::fs::remove_file(path)?;
    Ok(median(times))
}

/// The median of 100 bytes there and back, between two threads.
pub(crate) async fn round_trip() -> io::Result<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echo = thread::spawn(move || -> io::Result<()> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; 100];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer)?;
        }
        Ok(())
    });
    let (mut stream, _): (TcpStream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; 100];
    let mut times = Vec::new();
    for _ in 0..5000 {
        let begun = Instant::now();
        stream.write_all(&buffer).await?;
        stream.read_exact(&mut buffer).await?;
        times.push(begun.elapsed());
    }
    drop(stream);
    drop(echo.join());
    Ok(median(times))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
