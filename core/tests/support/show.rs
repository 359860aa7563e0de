//! How the transcripts write what a group does: as traces do, with two exceptions.

use synod_core::*;

pub fn records(records: &[Record]) -> String {
    records.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Events that a reader wants; what is chosen shows in messages.
pub fn event(event: &Event) -> Option<String> {
    (!matches!(event, Event::Chosen(_))).then(|| event.to_string())
}
