//! A socket in the data directory by which an operator on the same machine sees and steers a running node:
//! what `synodctl` talks to.
//!
//! A Unix socket, `admin.sock`, open to whoever may write in the directory, and to nobody else: there is
//! no password, since whoever can write there can ruin the node anyway. One JSON object a line asks, one
//! answers: `{"ok": …}` or `{"error": "…"}`. The questions are in [`ask`].
//!
//! The server has a thread of its own and asks the node like any user does; it holds nothing up. A node
//! that cannot make the socket (a path longer than a socket's may be, say) says so in its log and runs
//! without.

mod ask;
mod members;
mod show;
mod wait;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use synod_core::GroupId;

use crate::node::{GroupHandle, NodeView};

/// The name of the socket in the data directory.
pub const ADMIN_SOCKET: &str = "admin.sock";

/// The server of one node; ends with it.
#[derive(Debug)]
pub(crate) struct Admin {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the server can ask.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) node: NodeView,
    pub(crate) groups: BTreeMap<GroupId, GroupHandle>,
}

impl Admin {
    /// Listens in `dir`, which this process holds the lock of.
    pub(crate) fn start(dir: &Path, desk: Desk) -> io::Result<Self> {
        let path = dir.join(ADMIN_SOCKET);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::Builder::new()
            .name(format!("synod-{}-admin", desk.node.id()))
            .spawn(move || listen(&listener, &desk, &over))?;
        Ok(Self { path, is_over, thread: Some(thread) })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // It waits for somebody to come.
        let woken = UnixStream::connect(&self.path);
        if let (Ok(_), Some(thread)) = (woken, self.thread.take()) {
            drop(thread.join());
        }
        drop(std::fs::remove_file(&self.path));
    }
}

fn listen(listener: &UnixListener, desk: &Desk, is_over: &Arc<AtomicBool>) {
    let talking = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if talking.fetch_add(1, Ordering::Relaxed) >= TALKS_MAX {
            talking.fetch_sub(1, Ordering::Relaxed);
            continue; // closed; whoever it is may try again
        }
        let place = Place(Arc::clone(&talking));
        let (desk, over) = (desk.clone(), Arc::clone(is_over));
        let spawned =
            std::thread::Builder::new().name("synod-admin-talk".into()).spawn(move || {
                drop(talk(&stream, &desk, &over));
                drop(place);
            });
        drop(spawned);
    }
}

/// Answers one question after the other, until whoever asks goes.
fn talk(stream: &UnixStream, desk: &Desk, is_over: &AtomicBool) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = (&mut reader).take(QUESTION_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let mut say = |answer: &Result<Value, String>| {
            let answer = match answer {
                Ok(answer) => json!({ "ok": answer }),
                Err(why) => json!({ "error": why }),
            };
            writeln!(&mut &*stream, "{answer}")
        };
        match serde_json::from_slice::<Value>(&line) {
            Ok(question) => ask::answer(&question, desk, is_over, &mut say)?,
            Err(error) => say(&Err(format!("not a JSON object on a line: {error}")))?,
        }
    }
}

#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Operators who talk to one node at a time.
const TALKS_MAX: usize = 16;

/// How long one question may take to come, and its answer to go.
const PATIENCE: Duration = Duration::from_secs(60);

const QUESTION_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests;
