//! Where a rule was broken, as far as what is said about it tells.

use serde::Serialize;

/// A node, a group, an instance: what of them is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// The node's index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<usize>,
    /// The group's index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// The number of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u64>,
}

impl Spot {
    /// What a text names first of each: `n2`, `group 1`, and `#17` or `Instance(17)`.
    #[must_use]
    pub fn named(text: &str) -> Self {
        let node = after(text, "n").and_then(|n| usize::try_from(n).ok()?.checked_sub(1));
        let group = after(text, "group ").and_then(|n| usize::try_from(n).ok());
        let instance = after(text, "#").or_else(|| after(text, "Instance("));
        Self { node, group, instance }
    }
}

/// The number right after the first `mark` that begins a word and has one.
fn after(text: &str, mark: &str) -> Option<u64> {
    text.match_indices(mark).find_map(|(at, _)| {
        let is_word = text[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric());
        let rest = &text[at + mark.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if is_word { rest[..end].parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_text_names_is_found() {
        let spot = |node, group, instance| Spot { node, group, instance };
        let cases = [
            ("n2 in group 1 promised 3.1 below", spot(Some(1), Some(1), None)),
            ("#17 of group 0 has chosen x", spot(None, Some(0), Some(17))),
            ("the log of n3 does not open", spot(Some(2), None, None)),
            ("Position { instance: Instance(4), index: 0 }", spot(None, None, Some(4))),
            ("in n, group , #end", Spot::default()),
        ];
        for (text, expected) in cases {
            assert_eq!(Spot::named(text), expected, "{text}");
        }
    }
}
