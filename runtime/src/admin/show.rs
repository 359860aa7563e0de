//! The state of a node as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use synod_core::{Ballot, GroupId, Member};

use crate::node::{GroupStatus, MasterState, MembershipView, NodeStatus};

/// A node with its groups and peers.
pub(super) fn node(status: &NodeStatus, masters: &BTreeMap<GroupId, MasterState>) -> Value {
    let groups: Vec<Value> =
        status.groups.iter().map(|it| group(it, masters.get(&it.group))).collect();
    let peers: Vec<Value> = status
        .peers
        .iter()
        .map(|(peer, link)| json!({"node": peer.0, "connected": link.connected}))
        .collect();
    json!({
        "node": status.node.0,
        "cluster": status.cluster.map(|cluster| cluster.to_string()),
        "state": status.state.to_string(),
        "groups": groups,
        "peers": peers,
        "refused": {"count": status.refused.count, "last": status.refused.last.as_deref()},
    })
}

fn group(status: &GroupStatus, master: Option<&MasterState>) -> Value {
    let mut shown = json!({
        "group": status.group.0,
        "memory": format!("{:016x}", status.member.incarnation.0),
        "failed": status.failed.as_deref(),
        "master": master.map(|master| json!({
            "holder": master.holder.map(|holder| holder.0),
            "is_mine": master.is_mine,
            "version": master.version.0,
        })),
    });
    if let Some(core) = &status.core {
        let leader = (core.leader != Ballot::ZERO).then_some(core.leader.node.0);
        let more = json!({
            "role": format!("{:?}", core.role).to_lowercase(),
            "votes": core.votes,
            "leader": leader,
            "ballot": core.leader.to_string(),
            "promised": core.promised.to_string(),
            "chosen": core.chosen.0,
            "applied": core.applied.0,
            "first_kept": core.cleaned.0 + 1,
            "checkpoint": core.checkpoint.0,
            "digests_agreed": core.digests_agreed.0,
            "membership": core.version.0,
            "changing": core.changing,
            "proposals": core.proposals,
            "queued": core.queued,
            "window": core.window,
            "writes_in_flight": core.writes_in_flight,
        });
        if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
            shown.extend(more);
        }
    }
    shown
}

/// A membership. A member whose address is null listens where the settings of the others say.
pub(super) fn membership(group: GroupId, view: &MembershipView) -> Value {
    let addresses = view.addresses();
    let member = |member: &Member, part: &str| {
        json!({
            "node": member.node.0,
            "part": part,
            "address": addresses.get(&member.node),
            "memory": format!("{:016x}", member.incarnation.0),
        })
    };
    let voters = view.membership.voters().iter().map(|it| member(it, "voter"));
    let followers = view.membership.followers().iter().map(|it| member(it, "follower"));
    json!({
        "group": group.0,
        "version": view.version.0,
        "complete": view.complete,
        "members": voters.chain(followers).collect::<Vec<Value>>(),
    })
}
