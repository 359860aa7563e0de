//! What a picture has to know of a message: its kind, and which ballot and instances it is about.

use synod_core::{Ballot, Instance, Message};

/// The few facts by which messages are drawn and looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What kind it is, in the paper's words.
    pub kind: &'static str,
    /// The ballot it is about, if any.
    pub ballot: Option<Ballot>,
    /// The first and the last instance it is about, if any.
    pub instances: Option<(Instance, Instance)>,
}

/// The facts of a message about a group.
#[must_use]
pub fn facts(message: &Message) -> Facts {
    let (kind, ballot, instances) = match message {
        Message::Canvass { ballot } => ("canvass", Some(*ballot), None),
        Message::CanvassReply { ballot, .. } => ("canvass reply", Some(*ballot), None),
        Message::Prepare { ballot, from } => ("prepare", Some(*ballot), Some((*from, *from))),
        Message::Promise(promise) => {
            // Only what it names: that nothing is held above is no news about any instance.
            let first = promise.entries.first().map(|entry| entry.instance);
            let last = promise.entries.last().map(|entry| entry.instance);
            ("promise", Some(promise.ballot), first.zip(last))
        }
        Message::Behind { ballot, .. } => ("behind", Some(*ballot), None),
        Message::Nack { ballot, .. } => ("nack", Some(*ballot), None),
        Message::Accept { ballot, instance, .. } => {
            ("accept", Some(*ballot), Some((*instance, *instance)))
        }
        Message::Accepted { ballot, first, last } => {
            ("accepted", Some(*ballot), Some((*first, *last)))
        }
        Message::Heartbeat { ballot, .. } => ("heartbeat", Some(*ballot), None),
        Message::HeartbeatAck { ballot, .. } => ("heartbeat ack", Some(*ballot), None),
        Message::Learn { from, .. } => ("learn", None, Some((*from, *from))),
        Message::Learned { from, values, .. } => {
            let count = u64::try_from(values.len()).unwrap_or(u64::MAX);
            let last = Instance(from.0.saturating_add(count)).prev();
            ("learned", None, (count > 0).then_some((*from, last)))
        }
        Message::Voted { instance, ballot, .. } => {
            ("voted", Some(*ballot), Some((*instance, *instance)))
        }
        Message::Forward { ballot, .. } => ("forward", Some(*ballot), None),
        Message::Refused { ballot, .. } => ("refused", Some(*ballot), None),
        Message::ReadIndex { .. } => ("read index", None, None),
        Message::ReadPoint { instance, .. } => ("read point", None, Some((*instance, *instance))),
        Message::Lease { ballot, .. } => ("lease", Some(*ballot), None),
        Message::Granted { ballot, .. } => ("granted", Some(*ballot), None),
        Message::Release { ballot } => ("release", Some(*ballot), None),
        Message::Transfer { ballot } => ("transfer", Some(*ballot), None),
        Message::Digest { at, .. } => ("digest", None, Some((*at, *at))),
        Message::Hold { ballot, .. } => ("hold", Some(*ballot), None),
        Message::Held { ballot, .. } => ("held", Some(*ballot), None),
        Message::Change { ballot, .. } => ("change", Some(*ballot), None),
        Message::Waits { .. } => ("waits", None, None),
    };
    Facts { kind, ballot, instances }
}
