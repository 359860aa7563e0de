//! How plans are written: durations as `12ms 500us`, nodes from `n1`, links as `n1>n2`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use synod_core::Time;

/// A duration, or a time since the start of the run.
pub(crate) mod duration {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&humantime::format_duration(*time))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|error| D::Error::custom(wrong(&text, &error)))
    }
}

/// Several durations.
pub(crate) mod durations {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(all: &[Duration], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all.iter().map(|one| humantime::format_duration(*one).to_string()))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<Duration>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        let parse = |text: &String| {
            humantime::parse_duration(text).map_err(|error| D::Error::custom(wrong(text, &error)))
        };
        texts.iter().map(parse).collect()
    }
}

/// A time since the start of the run.
pub(crate) mod time {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
        duration::serialize(&time.since(Time::ZERO), to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Time, D::Error> {
        duration::deserialize(from).map(|since| Time::ZERO + since)
    }
}

/// A node's index, from zero, as `n1` and up.
pub(crate) mod node {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(index: &usize, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("n{}", index + 1))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<usize, D::Error> {
        let text = String::deserialize(from)?;
        parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no node; try n1")))
    }

    pub(in crate::plan) fn parse(text: &str) -> Option<usize> {
        text.strip_prefix('n')?.parse::<usize>().ok()?.checked_sub(1)
    }
}

/// A node's index or none.
pub(crate) mod some_node {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Node(#[serde(with = "node")] usize);

    pub(crate) fn serialize<S: Serializer>(it: &Option<usize>, to: S) -> Result<S::Ok, S::Error> {
        it.map(Node).serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<usize>, D::Error> {
        Ok(Option::<Node>::deserialize(from)?.map(|node| node.0))
    }
}

/// Nodes' indices in some order, as `n1 n2`.
pub(crate) mod nodes {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(nodes: &[usize], to: S) -> Result<S::Ok, S::Error> {
        let nodes = nodes.iter().map(|node| format!("n{}", node + 1));
        to.collect_str(&nodes.collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Vec<usize>, D::Error> {
        let text = String::deserialize(from)?;
        let nodes = text.split_whitespace().map(|word| {
            node::parse(word)
                .ok_or_else(|| D::Error::custom(format!("{word:?} is no node; try n1")))
        });
        nodes.collect()
    }
}

/// One-way links between node indices, as `n1>n2 n2>n1`.
pub(crate) mod links {
    use super::*;

    type Links = Vec<(usize, usize)>;

    pub(crate) fn serialize<S: Serializer>(
        links: &[(usize, usize)],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let links = links.iter().map(|(from, to)| format!("n{}>n{}", from + 1, to + 1));
        to.collect_str(&links.collect::<Vec<_>>().join(" "))
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Links, D::Error> {
        let text = String::deserialize(from)?;
        let link = |word: &str| {
            let (from, to) = word.split_once('>')?;
            node::parse(from).zip(node::parse(to))
        };
        let links = text.split_whitespace().map(|word| {
            link(word).ok_or_else(|| D::Error::custom(format!("{word:?} is no link; try n1>n2")))
        });
        links.collect()
    }
}

/// A state machine's number.
pub(crate) mod sm {
    use super::*;
    use synod_core::SmId;

    pub(crate) fn serialize<S: Serializer>(sm: &SmId, to: S) -> Result<S::Ok, S::Error> {
        sm.0.serialize(to)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<SmId, D::Error> {
        Deserialize::deserialize(from).map(SmId)
    }
}

/// Bytes, two digits each.
pub(crate) mod hex {
    use super::*;
    use bytes::Bytes;
    use std::fmt::Write as _;

    pub(crate) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            write!(text, "{byte:02x}").expect("writing to a string does not fail");
        }
        to.serialize_str(&text)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        let byte = |n: usize| u8::from_str_radix(text.get(n * 2..n * 2 + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..text.len().div_ceil(2)).map(byte).collect();
        bytes.map(Bytes::from).ok_or_else(|| {
            D::Error::custom(format!("{text:?} is not an even number of hexadecimal digits"))
        })
    }
}

fn wrong(text: &str, error: &humantime::DurationError) -> String {
    format!("{text:?} is no duration, {error}; try 12ms 500us")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct All {
        #[serde(with = "duration")]
        lasting: Duration,
        #[serde(with = "time")]
        at: Time,
        #[serde(with = "node")]
        node: usize,
        #[serde(with = "some_node")]
        other: Option<usize>,
        #[serde(with = "links")]
        links: Vec<(usize, usize)>,
        #[serde(with = "nodes")]
        order: Vec<usize>,
    }

    #[test]
    fn what_is_written_is_read() {
        let all = All {
            lasting: Duration::from_nanos(1_002_003_004),
            at: Time::from_nanos(7),
            node: 2,
            other: Some(0),
            links: vec![(0, 1), (4, 2)],
            order: vec![2, 0],
        };
        let text = serde_json::to_string(&all).unwrap();
        let expected = r#"{"lasting":"1s 2ms 3us 4ns","at":"7ns","node":"n3","other":"n1","links":"n1>n2 n5>n3","order":"n3 n1"}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<All>(&text).unwrap(), all);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            (r#"{"lasting":"soon"}"#, "soon"),
            (r#"{"lasting":"1s","at":"1s","node":"n0"}"#, "n0"),
            (r#"{"lasting":"1s","at":"1s","node":"n1","other":null,"links":"n1-n2"}"#, "n1-n2"),
        ] {
            let error = serde_json::from_str::<All>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
