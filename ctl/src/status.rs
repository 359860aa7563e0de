//! `synodctl status` and `synodctl watch`.

use serde_json::{Value, json};

use crate::admin::Running;
use crate::out::Out;
use crate::table::{table, word};

/// Shows what a node does, once.
pub(crate) fn status(node: &Running, out: &mut Out) -> Result<bool, String> {
    let status = node.ask(&json!({"do": "status"}))?;
    let is_well = is_well(&status);
    out.say(|| shown(&status), || status.clone());
    Ok(is_well)
}

/// Shows it again whenever it is another, until the node ends.
pub(crate) fn watch(node: &Running, out: &mut Out) -> Result<bool, String> {
    let mut talk = node.connect()?;
    talk.say(&json!({"do": "watch"}))?;
    let mut last = Value::Null;
    while let Some(status) = talk.hear()? {
        if status != last {
            out.say(|| format!("{}\n", shown(&status)), || status.clone());
            out.flush();
        }
        last = status;
    }
    Ok(true)
}

/// Whether the node runs and no group has stopped.
fn is_well(status: &Value) -> bool {
    let groups = status["groups"].as_array().into_iter().flatten();
    status["state"] == "running" && groups.into_iter().all(|group| group["failed"].is_null())
}

fn shown(status: &Value) -> String {
    let cluster = status["cluster"].as_str().unwrap_or("none yet");
    let mut text =
        format!("node {} of cluster {cluster}: {}\n", status["node"], word(&status["state"]));
    let peers = status["peers"].as_array().into_iter().flatten().map(|peer| {
        let is_up = peer["connected"].as_bool().unwrap_or(false);
        format!("{}{}", peer["node"], if is_up { "" } else { " (not connected)" })
    });
    let peers: Vec<String> = peers.collect();
    if !peers.is_empty() {
        text.push_str(&format!("peers: {}\n", peers.join(", ")));
    }
    if let Some(last) = status["refused"]["last"].as_str() {
        let count = &status["refused"]["count"];
        text.push_str(&format!("connections refused: {count}, the last from {last}\n"));
    }
    let heads = [
        "group",
        "role",
        "leader",
        "master",
        "chosen",
        "applied",
        "kept from",
        "checkpoint",
        "window",
    ];
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    for group in status["groups"].as_array().into_iter().flatten() {
        let role = match (group["votes"].as_bool(), &group["role"]) {
            (Some(false), role) => format!("{} (no vote)", word(role)),
            (_, role) => word(role),
        };
        rows.push([
            word(&group["group"]),
            role,
            word(&group["leader"]),
            word(&group["master"]["holder"]),
            word(&group["chosen"]),
            word(&group["applied"]),
            word(&group["first_kept"]),
            word(&group["checkpoint"]),
            word(&group["window"]),
        ]);
        if group["changing"].as_bool() == Some(true) {
            notes
                .push(format!("group {}: a change of the membership is under way", group["group"]));
        }
        if let Some(why) = group["failed"].as_str() {
            notes.push(format!("group {} has stopped here: {why}", group["group"]));
        }
    }
    text.push_str(&table(heads, rows));
    text.push_str(&notes.join("\n"));
    text.trim_end().to_owned()
}
