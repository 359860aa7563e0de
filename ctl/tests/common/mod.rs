//! The program, and nodes for it to talk to.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use synod::{
    Checkpoint, CheckpointError, Directory, GroupId, Node, NodeBuilder, Position, StateMachine,
    Stream,
};

/// Says which commands it was given, one a line.
#[derive(Default)]
struct Heard(String);

impl StateMachine for Heard {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.0.push_str(&format!("{}\n", command.escape_ascii()));
        Bytes::new()
    }
    fn read(&self, _query: Bytes) -> Bytes {
        self.0.clone().into()
    }
    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Ok(Box::new(Stream(self.0.clone().into())))
    }
    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        let bytes = Stream::load(directory)?;
        self.0 = String::from_utf8(bytes.to_vec())
            .map_err(|error| CheckpointError::Contents(error.to_string()))?;
        Ok(())
    }
}

/// A node on any free port, with group 0.
pub(crate) fn builder(id: u64, dir: &Path) -> NodeBuilder {
    Node::builder()
        .id(id)
        .listen("127.0.0.1:0")
        .data_dir(dir)
        .log(synod::log::LogConfig { segment_bytes: 1 << 20, ..Default::default() })
        .group(GroupId(0), || vec![Box::new(Heard::default())])
}

/// Runs the program on a node's directory; gives its standard output as text, too.
pub(crate) fn synodctl(args: &[&str], dir: &Path) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synodctl"));
    let output = command.args(args).arg(dir).output().unwrap();
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    (output, text)
}
