//! Who votes and who follows, shown and changed for an operator.

use std::time::Duration;

use serde_json::{Value, json};
use synod_core::{Instance, NodeId};

use super::ask::{ANSWER_TIME, group, millis, number};
use super::wait::wait;
use super::{Desk, show};
use crate::node::{ChangeError, GroupHandle, MembershipHandle, MembershipView};

/// Shows or changes a membership.
pub(super) fn membership(question: &Value, desk: &Desk) -> Result<Value, String> {
    let (id, group) = group(question, desk)?;
    let ask = question["ask"].as_str().unwrap_or_default();
    if ask == "show" {
        return Ok(show::membership(id, &view(group, desk)?));
    }
    let edit = edit(ask, question)?;
    let at_most = millis(question)?.unwrap_or(CHANGE_TIME);
    let version = number(question, "version")?.map(Instance);
    let mut members = group.membership().within(at_most);
    if let Some(version) = version {
        members = members.at_version(version);
    }
    let changed = wait(edit.make(&members), at_most + ANSWER_TIME);
    let changed = changed.ok_or_else(|| silent(desk))?;
    let at = changed.map_err(|error| explained(&error, at_most, version))?;
    // It is made, whether this node can still show it or not.
    let shown = view(group, desk).map(|view| show::membership(id, &view));
    let mut shown = shown.unwrap_or_else(|why| json!({"group": id.0, "unseen": why}));
    shown["made"] = json!(at.0);
    Ok(shown)
}

/// One change of one node.
#[derive(Debug)]
enum Edit<'a> {
    Add { node: NodeId, address: &'a str, follows: bool },
    Remove(NodeId),
    Replace { old: NodeId, new: NodeId, address: &'a str },
    Promote(NodeId),
    Address { node: NodeId, address: &'a str },
}

fn edit<'a>(ask: &str, question: &'a Value) -> Result<Edit<'a>, String> {
    let node_in = |name: &str| {
        let number = number(question, name)?.filter(|&number| number > 0).map(NodeId);
        number.ok_or_else(|| format!("\"{name}\" is to be the number of a node"))
    };
    let address = || {
        let address = question["address"].as_str().filter(|address| is_address(address));
        address.ok_or("\"address\" is to be where the node listens, as host:port")
    };
    let node = || node_in("node");
    Ok(match ask {
        "add" => {
            let follows = question["follower"].as_bool().unwrap_or(false);
            Edit::Add { node: node()?, address: address()?, follows }
        }
        "remove" => Edit::Remove(node()?),
        "replace" => Edit::Replace { old: node()?, new: node_in("with")?, address: address()? },
        "promote" => Edit::Promote(node()?),
        "address" => Edit::Address { node: node()?, address: address()? },
        _ => return Err("\"ask\" is to be show, add, remove, replace, promote or address".into()),
    })
}

impl Edit<'_> {
    async fn make(self, members: &MembershipHandle<'_>) -> Result<Instance, ChangeError> {
        match self {
            Self::Add { node, address, follows: false } => members.add(node, address).await,
            Self::Add { node, address, follows: true } => members.add_follower(node, address).await,
            Self::Remove(node) => members.remove(node).await,
            Self::Replace { old, new, address } => members.replace(old, new, address).await,
            Self::Promote(node) => members.promote(node).await,
            Self::Address { node, address } => members.move_to(node, address).await,
        }
    }
}

fn view(group: &GroupHandle, desk: &Desk) -> Result<MembershipView, String> {
    let view = wait(group.membership().show(), ANSWER_TIME).ok_or_else(|| silent(desk))?;
    view.map_err(|error| error.to_string())
}

/// Why nothing came.
fn silent(desk: &Desk) -> String {
    match wait(desk.node.status(), ANSWER_TIME) {
        Some(Ok(status)) => format!("no answer in time: the node is {}", status.state),
        Some(Err(error)) => error.to_string(),
        None => "the node does not answer".to_owned(),
    }
}

/// The error, and what to do about it.
fn explained(error: &ChangeError, at_most: Duration, wanted: Option<Instance>) -> String {
    match error {
        ChangeError::VersionConflict { version: Instance(version) } => match wanted {
            Some(Instance(wanted)) => format!(
                "the membership has version {version}, as far as this node knows, and not {wanted}; \
                 nothing was changed: look at it (membership show), and ask again with version \
                 {version} if the change is still wanted"
            ),
            None => format!(
                "somebody else changed the membership meanwhile; it has version {version} now and \
                 nothing of this change was made: look at it (membership show), and ask again if the \
                 change is still wanted"
            ),
        },
        ChangeError::Unknown { waits_for: Some(node) } => format!(
            "not made in {at_most:?}, and may still be: the leader waits until the disk of node {node} \
             holds the log. See whether that node runs (status, there), whether it can be reached at the \
             address given, and whether it catches up; then look (membership show) and ask again"
        ),
        ChangeError::Unknown { waits_for: None } => format!(
            "not made in {at_most:?}, and may still be: either nobody leads the group, or another \
             change comes first. See whether a leader is there and a majority of the voters runs \
             (status); then look (membership show) and ask again"
        ),
        ChangeError::NoMember(node) => {
            format!("node {node} is no member of the right kind: look who is (membership show)")
        }
        ChangeError::Membership(_)
        | ChangeError::IsMember(_)
        | ChangeError::HasLeft(_)
        | ChangeError::Overloaded
        | ChangeError::Forming(_)
        | ChangeError::ShuttingDown
        | ChangeError::Failed { .. } => error.to_string(),
    }
}

/// Whether it reads like `host:port`. Whether the host is there is not looked at.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    !host.is_empty()
        && !text.contains(char::is_whitespace)
        && port.parse::<u16>().is_ok_and(|p| p > 0)
}

/// For a change, which waits for a node to learn the log.
const CHANGE_TIME: Duration = Duration::from_secs(60);
