//! The core's settings as plans write them. The core itself knows nothing of files.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_core::Config;

use super::text;

/// [`Config`], field by field: one that is added there has to be added here.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Config", default = "Config::default", deny_unknown_fields)]
pub(super) struct Mirror {
    seed: u64,
    #[serde(with = "text::duration")]
    election_timeout: Duration,
    #[serde(with = "text::duration")]
    heartbeat_interval: Duration,
    #[serde(with = "text::duration")]
    retry_interval: Duration,
    priority: u8,
    #[serde(with = "text::duration")]
    master_lease: Duration,
    #[serde(with = "text::duration")]
    read_lease: Duration,
    clock_rate_bound_ppm: u32,
    window_instances_max: usize,
    window_bytes_max: usize,
    batch_commands_max: usize,
    batch_bytes_max: usize,
    #[serde(with = "text::duration")]
    batch_delay: Duration,
    queue_commands_max: usize,
    queue_bytes_max: usize,
    command_bytes_max: usize,
    proposals_max: usize,
    proposal_bytes_max: usize,
    reads_max: usize,
    page_bytes_max: usize,
    cache_bytes_max: usize,
    accept_ahead_max: u64,
    writes_in_flight_max: u64,
    apply_ahead_max: u64,
    apply_bytes_max: usize,
    checkpoint_interval: u64,
    checkpoint_bytes: u64,
    keep_instances: u64,
    /// Off where a plan does not say: wiped nodes of older plans stay without a vote.
    #[serde(default)]
    swap_in: bool,
    /// Never, where a plan does not say.
    #[serde(default)]
    digest_interval: u64,
}
