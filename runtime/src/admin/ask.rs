//! What can be asked of a running node, one object a line:
//!
//! ```text
//! {"do": "status"}                                          the node, its groups and its peers
//! {"do": "watch"}                                           the same again whenever something changed
//! {"do": "transfer", "group": 0, "to": 2}                   the leader, which this node has to be, hands over
//! {"do": "master", "group": 0, "ask": "release"}            or "campaign", or "rest"
//! {"do": "master", "group": 0, "ask": "lease", "ms": 3000}
//! {"do": "checkpoint", "group": 0, "ask": "now"}            or "pause", or "resume": cleaning the log
//! {"do": "membership", "group": 0, "ask": "show"}
//! {"do": "membership", "group": 0, "ask": "add", "node": 4, "address": "host:7001", "follower": false}
//! {"do": "membership", "group": 0, "ask": "remove", "node": 4}          or "promote"
//! {"do": "membership", "group": 0, "ask": "replace", "node": 1, "with": 4, "address": "host:7001"}
//! {"do": "membership", "group": 0, "ask": "address", "node": 4, "address": "host:7001"}
//! ```
//!
//! A change of the membership may say which `version` it is for; it, and a checkpoint, may say in `ms` how
//! long to wait.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use synod_core::{GroupId, NodeId};

use super::wait::wait;
use super::{Desk, members, show};
use crate::node::GroupHandle;

/// Says one answer.
pub(super) type Say<'a> = dyn FnMut(&Result<Value, String>) -> io::Result<()> + 'a;

/// Answers a question.
pub(super) fn answer(
    question: &Value,
    desk: &Desk,
    is_over: &AtomicBool,
    say: &mut Say<'_>,
) -> io::Result<()> {
    match question["do"].as_str() {
        Some("status") => say(&status(desk)),
        Some("watch") => watch(desk, is_over, say),
        Some("transfer") => say(&transfer(question, desk)),
        Some("master") => say(&master(question, desk)),
        Some("checkpoint") => say(&checkpoint(question, desk)),
        Some("membership") => say(&members::membership(question, desk)),
        Some(other) => say(&Err(format!(
            "{other:?} cannot be asked of this version: status, watch, transfer, master, checkpoint and \
             membership can"
        ))),
        None => say(&Err("the question names nothing to do: {\"do\": \"status\"}".into())),
    }
}

fn status(desk: &Desk) -> Result<Value, String> {
    let status = wait(desk.node.status(), ANSWER_TIME).ok_or("the node does not answer")?;
    let status = status.map_err(|error| error.to_string())?;
    let masters = desk.groups.iter().map(|(&group, handle)| (group, handle.master().now()));
    Ok(show::node(&status, &masters.collect()))
}

/// Says the status whenever it is another, looking often enough for people.
fn watch(desk: &Desk, is_over: &AtomicBool, say: &mut Say<'_>) -> io::Result<()> {
    let mut last = None;
    let mut said = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        let now = status(desk);
        // Now and then in any case, to find out whether anybody still listens.
        if last.as_ref() != Some(&now) || said.elapsed() > QUIET_MAX {
            say(&now)?;
            said = Instant::now();
        }
        if now.is_err() {
            return Ok(());
        }
        last = Some(now);
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn transfer(question: &Value, desk: &Desk) -> Result<Value, String> {
    let (id, group) = group(question, desk)?;
    let to = question["to"].as_u64().ok_or("\"to\" is to be the number of a node")?;
    let asked = wait(group.transfer_leader(NodeId(to)), ANSWER_TIME);
    asked.ok_or("the node does not answer")?.map_err(|error| error.to_string())?;
    Ok(json!({"group": id.0, "hands_over_to": to}))
}

fn master(question: &Value, desk: &Desk) -> Result<Value, String> {
    let (id, group) = group(question, desk)?;
    let master = group.master();
    match question["ask"].as_str() {
        Some("release") => master.release(),
        Some("campaign") => master.campaign(true),
        Some("rest") => master.campaign(false),
        Some("lease") => {
            let ms = question["ms"].as_u64().ok_or("\"ms\" is to be a number of milliseconds")?;
            master.set_lease(Duration::from_millis(ms));
        }
        _ => return Err("\"ask\" is to be release, campaign, rest or lease".into()),
    }
    Ok(json!({"group": id.0, "asked": question["ask"]}))
}

fn checkpoint(question: &Value, desk: &Desk) -> Result<Value, String> {
    let (id, group) = group(question, desk)?;
    let done = match question["ask"].as_str() {
        Some("now") => {
            let at_most = millis(question)?.unwrap_or(CHECKPOINT_TIME);
            let at = wait(group.checkpoint(), at_most).ok_or_else(|| {
                format!(
                    "no checkpoint in {at_most:?}; one that was begun goes on: `synodctl status` shows \
                     where the last is"
                )
            })?;
            let at = at.map_err(|error| error.to_string())?;
            return Ok(json!({"group": id.0, "asked": "now", "checkpoint": at.0}));
        }
        Some("pause") => wait(group.pause_cleaning(), ANSWER_TIME),
        Some("resume") => wait(group.continue_cleaning(), ANSWER_TIME),
        _ => return Err("\"ask\" is to be now, pause or resume".into()),
    };
    done.ok_or("the node does not answer")?.map_err(|error| error.to_string())?;
    Ok(json!({"group": id.0, "asked": question["ask"]}))
}

/// How long the question allows, if it says so.
pub(super) fn millis(question: &Value) -> Result<Option<Duration>, String> {
    let ms = number(question, "ms")?;
    Ok(ms.map(|ms| Duration::from_millis(ms.min(MILLIS_MAX))))
}

/// A number that the question may leave out.
pub(super) fn number(question: &Value, name: &str) -> Result<Option<u64>, String> {
    let number = Some(&question[name]).filter(|number| !number.is_null());
    let wrong = || format!("\"{name}\" is to be a number");
    number.map(|number| number.as_u64().ok_or_else(wrong)).transpose()
}

/// The group that the question is about.
pub(super) fn group<'a>(
    question: &Value,
    desk: &'a Desk,
) -> Result<(GroupId, &'a GroupHandle), String> {
    let group = question["group"].as_u64().and_then(|group| u32::try_from(group).ok());
    let group = GroupId(group.ok_or("\"group\" is to be the number of a group")?);
    let handle = desk.groups.get(&group).ok_or_else(|| {
        let all: Vec<u32> = desk.groups.keys().map(|group| group.0).collect();
        format!("this node has no group {group}: it has {all:?}")
    })?;
    Ok((group, handle))
}

/// How long a node that works may take for what needs no other.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// For a checkpoint to be written.
const CHECKPOINT_TIME: Duration = Duration::from_secs(600);
/// A day.
const MILLIS_MAX: u64 = 86_400_000;
const LOOK_EVERY: Duration = Duration::from_millis(250);
const QUIET_MAX: Duration = Duration::from_secs(10);
