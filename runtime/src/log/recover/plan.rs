//! What a recovery makes of one group, and the records that say so.

use std::collections::BTreeMap;

use bytes::Bytes;
use synod_core::{
    Ballot, ClusterId, CommandKey, Group, GroupId, History, Instance, Member, Membership,
    MembershipEntry, NodeId, Record, Recovered, Start, Stored, Value, ValueKind,
};

use super::staged::Batch;
use super::{Identity, RecoverError, RecoverOptions, SurvivingGroup};
use crate::log::error::OpenError;
use crate::log::format::{Entry, Kind};
use crate::log::opened::GroupLog;
use crate::log::reader::read_value;
use crate::log::segment;
use crate::log::writer::Log;
use crate::vfs::Vfs;

/// What is to be done with one group.
pub(super) struct Plan {
    pub(super) outcome: SurvivingGroup,
    /// The history through everything that is kept.
    pub(super) history: History,
    /// Instances that become no-ops.
    noops: Vec<Instance>,
}

impl Plan {
    pub(super) fn make(
        group: GroupId,
        log: &GroupLog,
        options: &RecoverOptions,
        start: impl Fn(Recovered) -> Start,
    ) -> Result<Self, RecoverError> {
        let begin = |recovered| {
            Group::start(start(recovered)).map_err(|source| RecoverError::Log { group, source })
        };
        let known = begin(log.recovered.clone())?;
        let (status, membership) = (known.status(), known.history().newest().clone());
        let above: BTreeMap<Instance, &Stored> = log
            .recovered
            .entries
            .iter()
            .filter(|entry| entry.instance > status.chosen)
            .map(|entry| (entry.instance, entry))
            .collect();
        let lost = above.values().filter(|entry| entry.value.is_none()).map(|it| it.instance);
        let lost: Vec<Instance> = lost.collect();
        if !lost.is_empty() && !options.give_up_lost {
            let instances = lost.iter().map(|instance| instance.0).collect();
            return Err(RecoverError::Lost { group, instances });
        }
        let with_values = above.values().filter(|entry| entry.value.is_some());
        let end = with_values.map(|entry| entry.instance).max().unwrap_or(status.chosen);

        let mut kept = log.recovered.clone();
        kept.entries.retain(|entry| entry.instance <= status.chosen);
        let mut noops = Vec::new();
        for instance in (status.chosen.0 + 1..=end.0).map(Instance) {
            let value = above.get(&instance).and_then(|entry| entry.value.clone());
            if value.is_none() {
                noops.push(instance);
            }
            let value = Some(value.unwrap_or(Value::NOOP));
            kept.entries.push(Stored { instance, ballot: Ballot::ZERO, value });
        }
        let after = begin(kept)?;
        assert!(after.status().chosen == end, "not all up to {end} counts as chosen");

        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let lost = lost.iter().filter(|&&instance| instance < end).count();
        let outcome = SurvivingGroup {
            group,
            incarnation: log.incarnation,
            membership,
            version: status.version,
            promised: log.recovered.promised,
            cleaned: status.cleaned,
            checkpoint: log.recovered.checkpoint.as_ref().map(|(at, _)| *at),
            chosen: status.chosen,
            accepted: end.above(status.chosen) - count(noops.len()),
            holes: count(noops.len() - lost),
            lost: count(lost),
            entry: end.next(),
        };
        Ok(Self { outcome, history: after.history().clone(), noops })
    }

    /// What is to be written of the group, batch by batch.
    pub(super) fn batches<V: Vfs>(
        &self,
        log: &Log<V>,
        node: NodeId,
        old: ClusterId,
        identity: &Identity,
    ) -> Result<Vec<Batch>, RecoverError> {
        let SurvivingGroup { group, entry: at, .. } = self.outcome;
        let me = Member { node, incarnation: identity.memories[&group] };
        let learned = |instance, value| Entry::of(group, &Record::Learned { instance, value });
        let mut batches: Vec<Batch> = Vec::new();
        for (instance, entry) in self.memberships(log, old)? {
            let entry = MembershipEntry { cluster: identity.cluster, ..entry };
            batches.push(vec![learned(instance, Value::of_membership(&entry))]);
        }
        for noops in self.noops.chunks(NOOPS_MAX) {
            batches.push(noops.iter().map(|&instance| learned(instance, Value::NOOP)).collect());
        }

        let alone = Membership::new(vec![me], Vec::new()).expect("a voter");
        let alone = alone
            .with_book(book(node, self.history.newest().book()))
            .expect("no larger than the one it is a part of");
        let entry = MembershipEntry {
            // Askers count from boot 1, so nobody waits for this key.
            key: CommandKey { origin: me.incarnation, boot: 0, seq: at.0 },
            cluster: identity.cluster,
            version: self.history.version_at(at),
            membership: alone.clone(),
        };
        let mut history = self.history.clone();
        assert!(entry.takes_effect(at, identity.cluster, &history), "{entry:?} changes nothing");
        history.begin(at.next(), alone);
        let memory = Ballot { incarnation: me.incarnation, ..Ballot::ZERO };
        batches.push(vec![
            learned(at, Value::of_membership(&entry)),
            (Entry::bare(Kind::Renewed, group, at.0, memory), None),
            Entry::of(group, &Record::Membership(history)),
        ]);
        Ok(batches)
    }

    /// The membership entries in the log that name the old cluster.
    fn memberships<V: Vfs>(
        &self,
        log: &Log<V>,
        old: ClusterId,
    ) -> Result<Vec<(Instance, MembershipEntry)>, RecoverError> {
        let shared = log.shared.read();
        let of = &shared.groups[&self.outcome.group];
        let mut found = Vec::new();
        for (&instance, slot) in of.slots.range(..self.outcome.entry) {
            let Some(file) = shared.files.get(&slot.segment) else { continue };
            let path = segment::path(&log.dir, slot.segment);
            let bytes = read_value(file.as_ref(), slot).map_err(OpenError::io("read", &path))?;
            let value = bytes.and_then(|bytes| Value::parse(bytes).ok());
            let value = value.filter(|value| value.kind() == ValueKind::Membership);
            let entry = value.and_then(|value| value.membership());
            found.extend(entry.filter(|entry| entry.cluster == old).map(|it| (instance, it)));
        }
        Ok(found)
    }
}

/// This node's line of an address book, if it has one: whoever else is in it is gone.
fn book(node: NodeId, book: &[u8]) -> Bytes {
    let text = std::str::from_utf8(book).unwrap_or_default();
    let is_ours =
        |line: &&str| line.split_once(' ').is_some_and(|(of, _)| of == node.0.to_string());
    let lines = text.lines().filter(is_ours).map(|line| format!("{line}\n"));
    lines.collect::<String>().into()
}

/// No-ops in one batch: as many as fit one that is written twice, whole.
const NOOPS_MAX: usize = 128;
