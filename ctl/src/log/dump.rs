//! `synodctl log dump`.

use clap::Args;
use serde_json::{Value, json};
use synod::log::{BatchInfo, Item, RecordInfo, inspect};
use synod::vfs::StdVfs;

use super::Dir;
use crate::out::Out;

/// Which part of a log to show.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    #[command(flatten)]
    dir: Dir,
    /// Only records of this group.
    #[arg(long, value_name = "N")]
    group: Option<u32>,
    /// Only records of this instance and later ones.
    #[arg(long, value_name = "INSTANCE", default_value_t = 0)]
    from: u64,
    /// Only records up to this instance.
    #[arg(long, value_name = "INSTANCE", default_value_t = u64::MAX)]
    to: u64,
    /// Show the first bytes of each value, too; all of them with --json, in hexadecimal.
    #[arg(long)]
    values: bool,
}

impl Dump {
    pub(crate) fn run(&self, out: &mut Out) -> Result<bool, String> {
        let dir = self.dir.find()?;
        let mut is_well = true;
        inspect(&StdVfs, &dir, self.values, &mut |item| is_well &= self.show(item, out))
            .map_err(|error| error.to_string())?;
        Ok(is_well)
    }

    /// Shows one thing; says whether it is whole.
    fn show(&self, item: Item, out: &mut Out) -> bool {
        match item {
            Item::Segment(it) => {
                let text = || {
                    let bad = bad(it.bad_copies, "copy of its header", "copies of its header");
                    let (number, first, size) = (it.number, it.first, it.size);
                    format!("segment {number}: from batch {first}, {size} bytes{bad}")
                };
                out.say(text, || {
                    json!({"segment": it.number, "file": it.path, "bytes": it.size,
                        "first_batch": it.first, "oldest_needed": it.oldest,
                        "bad_copies": it.bad_copies})
                });
                it.bad_copies == 0
            }
            Item::Batch(batch) => self.batch(&batch, out),
            Item::Damage(it) => {
                let text = || format!("DAMAGE {} at {}: {}", it.path.display(), it.offset, it.what);
                out.say(text, || json!({"damage": it.what, "file": it.path, "offset": it.offset}));
                false
            }
            Item::End { segment, offset, is_torn } => {
                let torn = if is_torn { ", where a batch was being written" } else { "" };
                out.say(
                    || format!("segment {segment} ends at {offset}{torn}"),
                    || json!({"end_of_segment": segment, "offset": offset, "torn": is_torn}),
                );
                true
            }
        }
    }

    fn batch(&self, batch: &BatchInfo, out: &mut Out) -> bool {
        let (number, offset) = (batch.number, batch.offset);
        let shown: Vec<&RecordInfo> =
            batch.records.iter().filter(|record| self.is_wanted(record)).collect();
        if shown.is_empty() && batch.bad_places == 0 {
            return true;
        }
        let text = || {
            let bad = bad(batch.bad_places, "place", "places");
            format!("  batch {number} at {offset}, {} bytes{bad}", batch.bytes)
        };
        out.say(text, || {
            json!({"batch": number, "segment": batch.segment, "offset": offset,
                "bytes": batch.bytes, "bad_places": batch.bad_places})
        });
        for record in shown {
            out.say(|| self.line(record), || object(number, record));
        }
        batch.bad_places == 0
    }

    fn is_wanted(&self, record: &RecordInfo) -> bool {
        let of_directory = matches!(record.kind, "boot" | "founded" | "oldest");
        match self.group {
            Some(group) if of_directory || record.group.0 != group => false,
            _ => (self.from..=self.to).contains(&record.instance.0) || self.from == 0,
        }
    }

    fn line(&self, record: &RecordInfo) -> String {
        let RecordInfo { kind, group, instance, ballot, len, value } = record;
        let mut line = match *kind {
            "boot" => format!("    start {}", instance.0),
            "founded" => "    founded".to_owned(),
            "oldest" => format!("    oldest segment needed {}", instance.0),
            "formatted" => format!("    {group} has memory {:016x}", ballot.incarnation.0),
            "promised" => format!("    {group} promised {ballot}"),
            "accepted" => format!("    {group} accepted {instance} in {ballot}"),
            "lost" => format!("    {group} accepted {instance} in {ballot}, value lost"),
            "renewed" => format!(
                "    {group} has memory {:016x} from now on, and {instance} is chosen",
                ballot.incarnation.0
            ),
            kind => format!("    {group} {kind} {instance}"),
        };
        if *len > 0 {
            line.push_str(&format!(", {len} bytes"));
        }
        match value {
            None => line.push_str(", VALUE LOST"),
            Some(value) if self.values && !value.is_empty() => {
                let start = &value[..value.len().min(SHOWN)];
                let more = if value.len() > SHOWN { "…" } else { "" };
                line.push_str(&format!(": \"{}\"{more}", start.escape_ascii()));
            }
            Some(_) => {}
        }
        line
    }
}

fn object(batch: u64, record: &RecordInfo) -> Value {
    let RecordInfo { kind, group, instance, ballot, len, value } = record;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    json!({"record": kind, "batch": batch, "group": group.0, "instance": instance.0,
        "ballot": {"round": ballot.round, "node": ballot.node.0,
            "incarnation": format!("{:016x}", ballot.incarnation.0)},
        "bytes": len, "is_lost": value.is_none(),
        "value": value.as_ref().filter(|value| !value.is_empty()).map(|value| hex(value))})
}

fn bad(count: u64, one: &str, many: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!(", 1 bad {one}"),
        count => format!(", {count} bad {many}"),
    }
}

/// Bytes of a value that a line shows.
const SHOWN: usize = 60;
