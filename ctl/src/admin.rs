//! Talking to a running node on this machine, by the socket in its data directory.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;
use synod::ADMIN_SOCKET;

/// Which running node.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// The data directory of a node that runs on this machine.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// A group of a running node.
#[derive(Debug, Args)]
pub(crate) struct GroupOf {
    /// Which group.
    #[arg(long, value_name = "N")]
    pub(crate) group: u32,
    #[command(flatten)]
    pub(crate) node: Running,
}

/// A conversation with a node.
pub(crate) struct Talk {
    reader: BufReader<UnixStream>,
}

impl Running {
    /// Connects.
    pub(crate) fn connect(&self) -> Result<Talk, String> {
        let path = self.dir.join(ADMIN_SOCKET);
        let stream = UnixStream::connect(&path).map_err(|error| unreached(&path, &error))?;
        Ok(Talk { reader: BufReader::new(stream) })
    }

    /// Asks one question, and gives the answer.
    pub(crate) fn ask(&self, question: &Value) -> Result<Value, String> {
        let mut talk = self.connect()?;
        talk.say(question)?;
        talk.hear()?.ok_or_else(|| "the node went away before it answered".to_owned())
    }
}

impl Talk {
    pub(crate) fn say(&mut self, question: &Value) -> Result<(), String> {
        writeln!(self.reader.get_mut(), "{question}").map_err(|error| error.to_string())
    }

    /// The next answer; `None` if the node is gone.
    pub(crate) fn hear(&mut self) -> Result<Option<Value>, String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).map_err(|error| error.to_string())?;
        if read == 0 {
            return Ok(None);
        }
        let mut answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("odd answer: {error}"))?;
        match answer["error"].as_str() {
            Some(why) => Err(why.to_owned()),
            None => Ok(Some(answer["ok"].take())),
        }
    }
}

fn unreached(path: &Path, error: &io::Error) -> String {
    let whats = [
        (
            io::ErrorKind::NotFound,
            "there is none: is this the data directory of a node that runs on this machine, and was it \
             not built without the feature `admin`?",
        ),
        (io::ErrorKind::ConnectionRefused, "nobody listens: the node has ended"),
        (io::ErrorKind::PermissionDenied, "run this as the user that the node runs as"),
    ];
    let what = whats.iter().find(|(kind, _)| *kind == error.kind());
    let what = what.map_or("cannot be used", |(_, what)| what);
    format!("{}: {what} ({error})", path.display())
}
