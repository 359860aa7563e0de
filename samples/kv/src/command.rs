//! What is proposed, and what is answered, as bytes. They stand in logs: fields may be added, with a
//! default that keeps old commands what they were, and are never given another meaning.

use bytes::Bytes;
use prost::Message;

/// A change of one key.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Command {
    /// Which key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// What it is set to; none: it is deleted.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
    /// The version that it must have, or nothing is done; 0: it must be absent.
    #[prost(uint64, optional, tag = "3")]
    pub if_version: Option<u64>,
}

/// What a command came to.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Outcome {
    /// Whether anything was changed.
    #[prost(bool, tag = "1")]
    pub changed: bool,
    /// The key's version afterwards; 0: it is absent.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// How many changes the group has seen.
    #[prost(uint64, tag = "3")]
    pub revision: u64,
    /// The command made no sense to this version of the program.
    #[prost(bool, tag = "4")]
    pub malformed: bool,
}

/// The answer to a query, which is a key: its entry, if it has one.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Answer {
    /// The entry.
    #[prost(message, optional, tag = "1")]
    pub entry: Option<Versioned>,
}

/// A value, and its version: the number of the change that set it, among those of its group, from 1.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Versioned {
    /// The value.
    #[prost(bytes = "bytes", tag = "1")]
    pub value: Bytes,
    /// The version.
    #[prost(uint64, tag = "2")]
    pub version: u64,
}

impl Command {
    /// Sets a key.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: Some(value.into()), if_version: None }
    }

    /// Removes a key.
    pub fn delete(key: impl Into<Bytes>) -> Self {
        Self { key: key.into(), value: None, if_version: None }
    }

    /// Sets a key that has this version.
    pub fn compare_and_set(key: impl Into<Bytes>, value: impl Into<Bytes>, version: u64) -> Self {
        Self { if_version: Some(version), ..Self::put(key, value) }
    }

    /// As bytes, to be proposed.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_of_today_are_read_tomorrow() {
        let cases = [
            (Command::put("k", "v"), &b"\x0a\x01k\x12\x01v"[..]),
            (Command::put("k", ""), b"\x0a\x01k\x12\x00"),
            (Command::delete("k"), b"\x0a\x01k"),
            (Command::compare_and_set("k", "v", 0), b"\x0a\x01k\x12\x01v\x18\x00"),
            (Command::compare_and_set("k", "v", 300), b"\x0a\x01k\x12\x01v\x18\xac\x02"),
        ];
        for (command, bytes) in cases {
            assert_eq!(command.to_bytes(), bytes);
            assert_eq!(Command::decode(bytes).unwrap(), command);
        }
        let outcome = Outcome { changed: true, version: 7, revision: 8, malformed: false };
        assert_eq!(outcome.encode_to_vec(), b"\x08\x01\x10\x07\x18\x08");
        let entry = Some(Versioned { value: "v".into(), version: 7 });
        assert_eq!(Answer { entry }.encode_to_vec(), b"\x0a\x05\x0a\x01v\x10\x07");
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Command::decode(&b"\x0a\x05k"[..]).is_err());
        assert!(Command::decode(&b"\xff"[..]).is_err());
    }
}
