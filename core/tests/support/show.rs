//! How the transcripts write what a group does.

use std::fmt::Write as _;

use synod_core::*;

pub fn message(message: &Message) -> String {
    match message {
        Message::Canvass { ballot } => format!("canvass {ballot}"),
        Message::CanvassReply { ballot, granted, promised, chosen } => {
            let word = if *granted { "yes" } else { "no" };
            format!("canvass {ballot}? {word}, promised {promised}, chosen {chosen}")
        }
        Message::Prepare { ballot, from } => format!("prepare {ballot} from {from}"),
        Message::Promise(Promise { ballot, from, to, entries }) => {
            let mut text = format!("promise {ballot} {from}..{to}");
            for Reported { instance, entry } in entries {
                match entry {
                    Report::Accepted(b, v) => write!(text, ", {instance} {b} {}", value(v)),
                    Report::Lost(b) => write!(text, ", {instance} {b} lost"),
                    Report::Chosen(v) => write!(text, ", {instance} chosen {}", value(v)),
                }
                .unwrap();
            }
            text
        }
        Message::Behind { ballot, cleaned } => format!("behind {ballot}, cleaned {cleaned}"),
        Message::Nack { ballot, promised } => format!("nack {ballot}, promised {promised}"),
        Message::Accept { ballot, instance, value: v, chosen } => {
            format!("accept {ballot} {instance} {}, chosen {chosen}", value(v))
        }
        Message::Accepted { ballot, first, last } if first == last => {
            format!("accepted {ballot} {first}")
        }
        Message::Accepted { ballot, first, last } => format!("accepted {ballot} {first}..{last}"),
        Message::Heartbeat { ballot, probe, chosen } => {
            format!("heartbeat {ballot} ?{probe}, chosen {chosen}")
        }
        Message::HeartbeatAck { ballot, probe, chosen } => {
            format!("heard {ballot} ?{probe}, chosen {chosen}")
        }
        Message::Learn { from } => format!("learn from {from}"),
        Message::Learned { from, values, chosen, cleaned } => {
            let values: Vec<String> = values.iter().map(value).collect();
            format!("learned {from} [{}], chosen {chosen}, cleaned {cleaned}", values.join(" "))
        }
        Message::Forward { ballot, commands, spread } => {
            let again = if *spread { " (spread)" } else { "" };
            format!("forward {ballot} {}{again}", value(commands))
        }
        Message::Refused { ballot, keys } => {
            let keys: Vec<String> = keys.iter().map(|key| key.seq.to_string()).collect();
            format!("refused {ballot} {}", keys.join(" "))
        }
        Message::ReadIndex { round } => format!("read index {}", round & 0xffff_ffff),
        Message::ReadPoint { round, instance } => {
            format!("read point {} {instance}", round & 0xffff_ffff)
        }
        Message::Transfer { ballot } => format!("transfer {ballot}"),
    }
}

pub fn value(value: &Value) -> String {
    if value.kind() == ValueKind::Noop {
        return "noop".into();
    }
    let names = value.commands().map(|c| String::from_utf8_lossy(&c.payload).into_owned());
    names.collect::<Vec<_>>().join("+")
}

pub fn records(records: &[Record]) -> String {
    let shown = records.iter().map(|record| match record {
        Record::Promised(ballot) => format!("promised {ballot}"),
        Record::Accepted { instance, ballot, value: v } => {
            format!("accepted {ballot} {instance} {}", value(v))
        }
        Record::Learned { instance, value: v } => format!("learned {instance} {}", value(v)),
        Record::Chosen(up_to) => format!("chosen {up_to}"),
        Record::Cleaned(up_to) => format!("cleaned {up_to}"),
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(id, why) => format!("proposal {} refused: {why:?}", id.0),
        Outcome::Unknown(id) => format!("proposal {} unknown", id.0),
        Outcome::ReadAt(id, at) => format!("read {} at {at}", id.0),
        Outcome::ReadFailed(id, why) => format!("read {} failed: {why:?}", id.0),
    }
}

/// Events that a reader wants; the others show in messages.
pub fn event(event: &Event) -> Option<String> {
    match event {
        Event::Canvassing(ballot) => Some(format!("canvasses {ballot}")),
        Event::Preparing(ballot) => Some(format!("prepares {ballot}")),
        Event::Leading(ballot) => Some(format!("leads {ballot}")),
        Event::SteppedDown(ballot, why) => Some(format!("steps down from {ballot}: {why:?}")),
        Event::Following(ballot) => Some(format!("follows {ballot}")),
        Event::PeerLearns(member) => Some(format!("leaves {} to learn", member.node)),
        Event::Failed(why, instance) => Some(format!("FAILS at {instance}: {why}")),
        Event::Chosen(_) => None,
    }
}
