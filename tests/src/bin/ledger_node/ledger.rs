//! A state machine with sessions of clients, so that what a client repeats is executed once.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use synod::{Checkpoint, CheckpointError, Directory, Position, StateMachine, Stream};

/// What was executed, in order.
///
/// A command is `client number`, in text; a client counts from 1, and asks for the next only when this one
/// was acknowledged.
#[derive(Clone, Default)]
pub(crate) struct Ledger {
    entries: Vec<(u64, u64)>,
    last: BTreeMap<u64, u64>,
    /// Commands that came again and were left out.
    repeated: u64,
    /// Bytes that make its checkpoints large.
    ballast: u64,
}

impl Ledger {
    pub(crate) fn new(ballast: u64) -> Self {
        Self { ballast, ..Self::default() }
    }

    fn execute(&mut self, command: &[u8]) -> &'static str {
        let Some((client, number)) = parse(command) else { return "odd" };
        let last = self.last.entry(client).or_default();
        match number.checked_sub(*last) {
            Some(1) => {
                *last = number;
                self.entries.push((client, number));
                "ok"
            }
            None | Some(0) => {
                self.repeated += 1;
                "ok"
            }
            // What the client was told is done is not here.
            Some(_) => "gap",
        }
    }

    fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u64(self.repeated);
        out.put_u64(u64::try_from(self.entries.len()).unwrap_or(u64::MAX));
        for (client, number) in &self.entries {
            out.put_u64(*client);
            out.put_u64(*number);
        }
        let byte = self.filler();
        out.put_bytes(byte, usize::try_from(self.ballast).unwrap_or(0));
        out.freeze()
    }

    fn decode(mut bytes: Bytes, ballast: u64) -> Option<Self> {
        let repeated = bytes.try_get_u64().ok()?;
        let mut ledger = Self { repeated, ballast, ..Self::default() };
        for _ in 0..bytes.try_get_u64().ok()? {
            let (client, number) = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
            ledger.entries.push((client, number));
            ledger.last.insert(client, number);
        }
        let (byte, length) = (ledger.filler(), u64::try_from(bytes.len()).ok()?);
        (length == ballast && bytes.iter().all(|it| *it == byte)).then_some(ledger)
    }

    /// Differs from checkpoint to checkpoint.
    fn filler(&self) -> u8 {
        self.entries.len().to_le_bytes()[0]
    }
}

impl StateMachine for Ledger {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.execute(&command).into()
    }

    /// The entries, a line each, and then how many were repeated.
    fn read(&self, query: Bytes) -> Bytes {
        let mut text = String::new();
        if query == "list" {
            for (client, number) in &self.entries {
                text.push_str(&format!("{client} {number}\n"));
            }
            text.push_str(&format!("repeated {}\n", self.repeated));
        }
        text.into()
    }

    fn checkpoint(&mut self) -> Result<Box<dyn Checkpoint>, CheckpointError> {
        Ok(Box::new(Stream(self.encode())))
    }

    fn load(&mut self, directory: &dyn Directory) -> Result<(), CheckpointError> {
        crate::say("loading");
        let odd = || CheckpointError::Contents("not a ledger".to_owned());
        *self = Self::decode(Stream::load(directory)?, self.ballast).ok_or_else(odd)?;
        crate::say("loaded");
        Ok(())
    }
}

fn parse(command: &[u8]) -> Option<(u64, u64)> {
    let (client, number) = std::str::from_utf8(command).ok()?.split_once(' ')?;
    Some((client.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_is_left_out_and_what_is_missing_is_told() {
        let mut ledger = Ledger::new(3);
        let all = [("1 1", "ok"), ("2 1", "ok"), ("1 1", "ok"), ("1 3", "gap"), ("1 2", "ok")];
        for (command, answer) in all {
            assert_eq!(ledger.execute(command.as_bytes()), answer, "{command}");
        }
        assert_eq!(ledger.read("list".into()), "1 1\n2 1\n1 2\nrepeated 1\n");
        let loaded = Ledger::decode(ledger.encode(), 3).unwrap();
        assert_eq!(loaded.read("list".into()), ledger.read("list".into()));
        assert!(Ledger::decode(ledger.encode(), 2).is_none());
        assert!(Ledger::decode(ledger.encode().slice(1..), 3).is_none());
    }
}
