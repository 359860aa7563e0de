//! `synodctl log verify`: the real recovery, over a view that keeps its changes in memory.

use std::path::Path;

use serde_json::json;
use synod::log::{Log, LogConfig, OpenError, Opened};
use synod::vfs::{Overlay, StdVfs};

use crate::out::Out;

/// Says what a start would make of a log; whether it could go on voting.
pub(crate) fn verify(dir: &Path, out: &mut Out) -> Result<bool, String> {
    // One small segment is begun in memory; the size is that of nothing on disk.
    let config = LogConfig { segment_bytes: 64 << 10, ..LogConfig::default() };
    match Log::open(Overlay::new(StdVfs), dir, config, &[]) {
        Ok(opened) => {
            show(&opened, out);
            Ok(true)
        }
        Err(error @ OpenError::Damaged { .. }) => {
            let why = error.to_string();
            out.say(
                || {
                    format!(
                        "{why}\nA start sets the damaged files aside and takes a new memory; the \
                         node learns, and votes again once it is swapped in. Nothing acknowledged \
                         is lost while a quorum of the other nodes is whole."
                    )
                },
                || json!({"may_vote": false, "damage": why}),
            );
            Ok(false)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn show(opened: &Opened<Overlay<StdVfs>>, out: &mut Out) {
    let report = &opened.report;
    let cluster = opened.founding.as_ref().map(|founding| founding.cluster.to_string());
    let lost = report.lost.len();
    out.say(
        || {
            let of = match &cluster {
                Some(cluster) => format!("cluster {cluster}"),
                None => "no cluster yet".to_owned(),
            };
            let mut text = format!(
                "whole: {} records in {} batches in {} segments, of {of}, started {} times",
                report.records, report.batches, report.segments, opened.boot.saturating_sub(1)
            );
            if report.bad_places > 0 {
                text.push_str(&format!(
                    "\n{} bad copies or blocks: the disk wants looking at, and `synodctl log repair` \
                     writes again what can be",
                    report.bad_places
                ));
            }
            if let Some(torn) = &report.torn {
                text.push_str(&format!(
                    "\nthe last batch ({}, at {} of {}) was being written when the power failed, and \
                     will be cut: nobody was told of it",
                    torn.batch, torn.offset, torn.path.display()
                ));
            }
            if lost > 0 {
                text.push_str(&format!("\n{lost} values are lost, and will be learned from peers"));
            }
            text
        },
        || {
            json!({"may_vote": true, "cluster": cluster, "starts": opened.boot.saturating_sub(1),
                "segments": report.segments, "batches": report.batches, "records": report.records,
                "bad_places": report.bad_places, "lost_values": lost,
                "torn": report.torn.as_ref().map(|torn| torn.batch)})
        },
    );
    for (group, log) in &opened.groups {
        let recovered = &log.recovered;
        let (promised, chosen, cleaned) = (recovered.promised, recovered.chosen, recovered.cleaned);
        let open = recovered.entries.len();
        let gone = report.lost.iter().filter(|(of, _)| of == group).map(|(_, at)| at.0);
        let gone: Vec<u64> = gone.collect();
        let memory = format!("{:016x}", log.incarnation.0);
        out.say(
            || {
                let mut text = format!(
                    "  {group}: memory {memory}, promised {promised}, chosen {chosen}, cleaned \
                     {cleaned}, {open} entries above"
                );
                if !gone.is_empty() {
                    text.push_str(&format!(", values lost at {gone:?}"));
                }
                text
            },
            || {
                json!({"group": group.0, "memory": memory, "promised": promised.to_string(),
                    "chosen": chosen.0, "cleaned": cleaned.0, "open_entries": open,
                    "lost_values": gone})
            },
        );
    }
}
