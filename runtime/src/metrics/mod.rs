//! What a node counts, for Prometheus: a registry for each node, and a small server for scrapes.

mod serve;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::node::{Counter, Durations, Gauge, GroupStats, NodeStats, Source};
use crate::transport::LinkStatus;

/// The metrics of one node: counters, gauges and histograms in the text format of OpenMetrics, which
/// Prometheus reads. Made by [`Node::metrics`](crate::Node::metrics); cheap to clone, outlives the
/// node.
///
/// Times are in seconds, sizes in bytes; everything of a group has the label `group`, everything of a
/// way to a peer the label `peer`. Reading them takes no lock that the node waits for.
#[derive(Clone, Debug)]
pub struct Metrics {
    source: Source,
}

impl Metrics {
    pub(crate) const fn new(source: Source) -> Self {
        Self { source }
    }

    /// Adds this node's metrics to a registry of the caller's, to be scraped with others. Two nodes of
    /// one process need registries with different prefixes or labels.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// All metrics as text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut registry = Registry::default();
        self.register(&mut registry);
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &registry) {
            Ok(()) => text,
            Err(error) => format!("# {error}\n"),
        }
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let to = &mut encoder;
        for (name, help, of) in GROUP_COUNTERS {
            self.of_groups(to, name, help, MetricType::Counter, |stats| One::Counter(of(stats)))?;
        }
        for (name, help, of) in GROUP_GAUGES {
            self.of_groups(to, name, help, MetricType::Gauge, |stats| One::Gauge(of(stats)))?;
        }
        let (name, help) = ("synod_commit_seconds", "From the call to the answer of a proposal");
        self.of_groups(to, name, help, MetricType::Histogram, |stats| {
            One::Durations(&stats.commit)
        })?;
        let node = self.source.node();
        for (name, help, of) in NODE_COUNTERS {
            One::Counter(of(node)).encode(to.encode_descriptor(
                name,
                help,
                None,
                MetricType::Counter,
            )?)?;
        }
        for (name, help, of) in NODE_GAUGES {
            One::Gauge(of(node)).encode(to.encode_descriptor(
                name,
                help,
                None,
                MetricType::Gauge,
            )?)?;
        }
        One::Durations(&node.sync).encode(to.encode_descriptor(
            "synod_log_sync_seconds",
            "One write and one sync of the log",
            None,
            MetricType::Histogram,
        )?)?;
        self.of_peers(to)
    }
}

type Of<S, M> = (&'static str, &'static str, fn(&S) -> &M);

const GROUP_COUNTERS: [Of<GroupStats, Counter>; 13] = [
    ("synod_proposed", "Proposals taken here", |s| &s.proposed),
    ("synod_proposed_bytes", "Bytes of the proposals taken here", |s| &s.proposed_bytes),
    ("synod_refused", "Proposals made here and refused", |s| &s.refused),
    ("synod_unknown", "Proposals made here whose outcome is not known", |s| &s.unknown),
    ("synod_reads", "Reads asked here", |s| &s.reads),
    ("synod_reads_failed", "Reads asked here that found no read point", |s| &s.reads_failed),
    ("synod_led", "How often this node began to lead", |s| &s.led),
    ("synod_prepared", "How often this node began phase 1", |s| &s.prepared),
    ("synod_leader_changes", "How often another leader was heard", |s| &s.leader_changes),
    ("synod_messages_received", "Messages from peers", |s| &s.received),
    ("synod_messages_sent", "Messages to peers", |s| &s.sent),
    ("synod_values_lost", "Chosen values that the disk lost", |s| &s.values_lost),
    ("synod_digests_differ", "How often a peer had another log or state", |s| &s.digests_differ),
];

const GROUP_GAUGES: [Of<GroupStats, Gauge>; 14] = [
    ("synod_chosen", "Every instance up to here is known chosen", |s| &s.chosen),
    ("synod_applied", "Every instance up to here is executed", |s| &s.applied),
    ("synod_handed_out", "Every instance up to here went to the machines", |s| &s.handed_out),
    ("synod_cleaned", "Every instance up to here is cleaned", |s| &s.cleaned),
    ("synod_digests_agreed", "A quorum had the log and state of this node here", |s| {
        &s.digests_agreed
    }),
    ("synod_diverged", "1 once the group has stopped here since its digests differ", |s| {
        &s.diverged
    }),
    ("synod_leader", "The node that leads, 0 if none is known", |s| &s.leader),
    ("synod_round", "The round of the leader's ballot", |s| &s.round),
    ("synod_leads", "1 while this node leads", |s| &s.leads),
    ("synod_failed", "1 once the group has stopped here", |s| &s.failed),
    ("synod_window", "Instances proposed and not yet chosen", |s| &s.window),
    ("synod_queued", "Commands that wait at the leader", |s| &s.queued),
    ("synod_proposals", "Proposals made here and not yet resolved", |s| &s.proposals),
    ("synod_writes_in_flight", "Records not yet durable", |s| &s.writes_in_flight),
];

const NODE_COUNTERS: [Of<NodeStats, Counter>; 3] = [
    ("synod_log_bytes", "Bytes of values written to the log", |s| &s.written_bytes),
    ("synod_log_batches", "Batches of records written to the log", |s| &s.written_batches),
    ("synod_turns", "Turns of the protocol thread", |s| &s.turns),
];

const NODE_GAUGES: [Of<NodeStats, Gauge>; 2] = [
    ("synod_log_has_room", "0 while the disk is full and the log takes no values", |s| {
        &s.log_has_room
    }),
    ("synod_inbox", "Notes that the last turn of the protocol thread took", |s| &s.inbox),
];

impl Metrics {
    fn of_groups<'a>(
        &'a self,
        to: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        kind: MetricType,
        of: impl Fn(&'a GroupStats) -> One<'a>,
    ) -> fmt::Result {
        let mut family = to.encode_descriptor(name, help, None, kind)?;
        for (group, stats) in self.source.groups() {
            let labels = [("group", group.0)];
            of(stats).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn of_peers(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Of = (&'static str, &'static str, MetricType, fn(&LinkStatus) -> u64);
        let peers: Vec<_> = self.source.links().collect();
        let all: [Of; 3] = [
            (
                "synod_peer_connected",
                "1 while there is a way to the peer",
                MetricType::Gauge,
                |l| u64::from(l.connected),
            ),
            ("synod_peer_queued_bytes", "Bytes that wait for the peer", MetricType::Gauge, |l| {
                u64::try_from(l.queued_bytes).unwrap_or(u64::MAX)
            }),
            (
                "synod_peer_dropped",
                "Messages to the peer that were dropped",
                MetricType::Counter,
                |l| l.dropped,
            ),
        ];
        for (name, help, kind, of) in all {
            let is_gauge = matches!(kind, MetricType::Gauge);
            let mut family = to.encode_descriptor(name, help, None, kind)?;
            for (peer, link) in &peers {
                let labels = [("peer", peer.0)];
                let mut one = family.encode_family(&labels)?;
                if is_gauge {
                    one.encode_gauge(&of(link))?;
                } else {
                    one.encode_counter::<NoLabelSet, u64, f64>(&of(link), None)?;
                }
            }
        }
        Ok(())
    }
}

/// One metric, whatever its labels.
enum One<'a> {
    Counter(&'a Counter),
    Gauge(&'a Gauge),
    Durations(&'a Durations),
}

impl One<'_> {
    fn encode(self, mut to: prometheus_client::encoding::MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Counter(counter) => {
                to.encode_counter::<NoLabelSet, u64, f64>(&counter.load(), None)
            }
            Self::Gauge(gauge) => to.encode_gauge(&gauge.load()),
            Self::Durations(durations) => {
                let counts = durations.counts();
                let bound = |i| Durations::bound(i).map_or(f64::MAX, |bound| bound.as_secs_f64());
                let buckets: [(f64, u64); Durations::BUCKETS] =
                    std::array::from_fn(|i| (bound(i), counts[i]));
                let sum = durations.sum().as_secs_f64();
                to.encode_histogram::<NoLabelSet>(sum, counts.iter().sum(), &buckets, None)
            }
        }
    }
}
