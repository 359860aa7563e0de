//! Single messages by name: the n-th from one node to another.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::text::node;

/// One message: the `nth` that `from` sent to `to`, counted from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MessageName {
    /// Who sent it, as an index.
    pub from: usize,
    /// Who was to get it, as an index.
    pub to: usize,
    /// Which of those that went this way.
    pub nth: u64,
}

/// Some messages; written as `n1>n2#3 n2>n1#17`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages(pub BTreeSet<MessageName>);

impl fmt::Display for MessageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}>n{}#{}", self.from + 1, self.to + 1, self.nth)
    }
}

impl FromStr for MessageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (from, rest) = text.split_once('>')?;
            let (to, nth) = rest.split_once('#')?;
            Some(Self { from: node::parse(from)?, to: node::parse(to)?, nth: nth.parse().ok()? })
        };
        parse().ok_or_else(|| format!("{text:?} names no message; try n1>n2#3"))
    }
}

impl Serialize for Messages {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let names: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        to.serialize_str(&names.join(" "))
    }
}

impl<'a> Deserialize<'a> for Messages {
    fn deserialize<D: Deserializer<'a>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let names: Result<_, String> = text.split_whitespace().map(str::parse).collect();
        names.map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        let name = MessageName { from: 0, to: 2, nth: 7 };
        let messages = Messages([name, MessageName { nth: 5, ..name }].into());
        let text = serde_json::to_string(&messages).unwrap();
        assert_eq!(text, r#""n1>n3#5 n1>n3#7""#);
        assert_eq!(serde_json::from_str::<Messages>(&text).unwrap(), messages);
        assert!(serde_json::from_str::<Messages>(r#""n1>n3""#).is_err());
    }
}
