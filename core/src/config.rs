//! What can be set for a group.

use core::time::Duration;

use thiserror::Error;

use crate::sessions::SESSION_WINDOW;

/// Timeouts and limits of a group. Every queue and window has a limit here (I9), and says what
/// happens at it. All voters of a group should have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Seeds the jitter of election timeouts. Give each node its own.
    pub seed: u64,
    /// How long a node waits for a leader before it asks to become one, drawn anew between once and
    /// twice this for every wait. Default 500 ms; at least three heartbeat intervals.
    ///
    /// Also how long a leader goes on without a quorum, or with a disk that finishes nothing.
    pub election_timeout: Duration,
    /// How often a leader is heard when it has nothing else to say. Default 50 ms.
    pub heartbeat_interval: Duration,
    /// How long to wait for an answer before asking again; doubles up to eight times this.
    /// Default 100 ms.
    pub retry_interval: Duration,
    /// Who should rather lead: divides the random part of the election timeout by one more than
    /// this. Default 0.
    pub priority: u8,

    /// For how long a mastership is asked for, at a time: see [`Mastership`](crate::Mastership). Zero, the default, if
    /// this node never asks; at least 1 s is sensible, since a new master comes only when it is over.
    pub master_lease: Duration,
    /// For how long a leader may answer reads on its own after a quorum heard from it: see the module
    /// `lease`. Zero, the default, for never: then each round of reads asks a quorum, and no read depends
    /// on a clock. At most `election_timeout`, and of use if it is several `heartbeat_interval`s.
    pub read_lease: Duration,
    /// How far off the rate of a node's clock may be, in parts per million. Default 1000; a clock of
    /// boot time is rarely off by more than 200. Leases are exclusive as far as this is true.
    pub clock_rate_bound_ppm: u32,

    /// Instances that a leader may have proposed and not yet seen chosen. Default 256. At the limit
    /// commands wait in the queue.
    pub window_instances_max: usize,
    /// Bytes of values in that window. Default 16 MiB; one value always fits.
    pub window_bytes_max: usize,
    /// Commands that share an instance. Default 1024.
    pub batch_commands_max: usize,
    /// Bytes of commands that share an instance. Default 1 MiB; one command always fits.
    pub batch_bytes_max: usize,
    /// How long a command may wait for company while others are in flight. With nothing in flight
    /// it leaves at once. Default 2 ms.
    pub batch_delay: Duration,
    /// Commands waiting at the leader. Default 65,536. At the limit more are refused.
    pub queue_commands_max: usize,
    /// Bytes of commands waiting at the leader. Default 64 MiB.
    pub queue_bytes_max: usize,

    /// Largest command. Default 10 MiB, at most 1 GiB. A larger one is refused before anything is
    /// logged.
    ///
    /// Heartbeats wait behind it on their connection: with much more than the default, raise
    /// `election_timeout` and `retry_interval` well above the time that the largest command takes
    /// through the slowest link and disk, or elections and repetitions get in its way for ever.
    pub command_bytes_max: usize,
    /// Proposals made at this node and not yet resolved. Default 32,768, at most
    /// [`SESSION_WINDOW`](crate::SESSION_WINDOW). At the limit more are refused. What a master proposes to
    /// renew its lease has room beside them.
    pub proposals_max: usize,
    /// Bytes of those proposals. Default 64 MiB.
    pub proposal_bytes_max: usize,
    /// Reads waiting at this node. Default 65,536. At the limit more are refused.
    pub reads_max: usize,

    /// Bytes in a page of a promise or of learned values, 64 for each entry included. Default
    /// 1 MiB; one value always fits.
    pub page_bytes_max: usize,
    /// Bytes of chosen values kept in memory for peers that are a little behind. Default 32 MiB.
    pub cache_bytes_max: usize,
    /// How far above its chosen prefix an acceptor accepts. Default 4096; at least the window of
    /// every leader, at most 65,536. Accepts above it are dropped: the leader sends them again.
    pub accept_ahead_max: u64,
    /// Records handed out and not yet durable. Default 65,536. At the limit the group ignores
    /// `Prepare`, `Accept` and learned values, and refuses proposals.
    pub writes_in_flight_max: u64,
    /// Instances handed to the state machines and not yet applied. Default 4096. At the limit no
    /// more are handed out; voting goes on.
    pub apply_ahead_max: u64,
    /// Bytes of values handed to the state machines and not yet applied. Default 64 MiB; one value
    /// always fits.
    pub apply_bytes_max: usize,

    /// A checkpoint is taken at every multiple of so many instances, on all nodes at the same ones. One
    /// that is due while the last is still being written is taken when that is done. Default 0: never
    /// by this.
    pub checkpoint_interval: u64,
    /// A checkpoint is taken after so many bytes of values since the last. Default 0: never by this.
    pub checkpoint_bytes: u64,
    /// Instances below the last checkpoint that stay in the log when it is cleaned, so that a peer
    /// that is less behind needs no checkpoint. Default 65,536.
    pub keep_instances: u64,
    /// Whether a leader changes the membership by itself when a member has taken a new memory and has
    /// caught up: the new one takes the place of the old one. Default true.
    pub swap_in: bool,

    /// At every multiple of so many instances nodes compare digests of their logs, and of their state
    /// machines if those give any: a node that is alone with its own stops, see
    /// [`Event::Diverged`](crate::Event::Diverged). The same on all nodes, or they find nothing to
    /// compare. Default 1,000; 0 never.
    pub digest_interval: u64,
}

/// Why a configuration cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Followers would run for leader between two heartbeats.
    #[error(
        "election_timeout {election:?} is less than three times heartbeat_interval {heartbeat:?}"
    )]
    ElectionTimeout {
        /// As configured.
        election: Duration,
        /// As configured.
        heartbeat: Duration,
    },
    /// Whoever granted a lease would hold up elections.
    #[error("read_lease {lease:?} is longer than election_timeout {election:?}")]
    ReadLease {
        /// As configured.
        lease: Duration,
        /// As configured.
        election: Duration,
    },
    /// A limit is zero where at least one must fit, or a duration is zero.
    #[error("{0} is zero")]
    Zero(&'static str),
    /// A duration is longer than a day.
    #[error("{0} is {1:?}, longer than a day")]
    TooLong(&'static str, Duration),
    /// A limit is above what its counterpart allows.
    #[error("{name} is {value}, above the {max} that {bound} allows")]
    TooLarge {
        /// Which one.
        name: &'static str,
        /// As configured.
        value: u64,
        /// The most that works.
        max: u64,
        /// What sets that limit.
        bound: &'static str,
    },
}

impl Default for Config {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            seed: 0,
            election_timeout: Duration::from_millis(500),
            heartbeat_interval: Duration::from_millis(50),
            retry_interval: Duration::from_millis(100),
            priority: 0,
            master_lease: Duration::ZERO,
            read_lease: Duration::ZERO,
            clock_rate_bound_ppm: 1000,
            window_instances_max: 256,
            window_bytes_max: 16 * MIB,
            batch_commands_max: 1024,
            batch_bytes_max: MIB,
            batch_delay: Duration::from_millis(2),
            queue_commands_max: 65_536,
            queue_bytes_max: 64 * MIB,
            command_bytes_max: 10 * MIB,
            proposals_max: 32_768,
            proposal_bytes_max: 64 * MIB,
            reads_max: 65_536,
            page_bytes_max: MIB,
            cache_bytes_max: 32 * MIB,
            accept_ahead_max: 4096,
            writes_in_flight_max: 65_536,
            apply_ahead_max: 4096,
            apply_bytes_max: 64 * MIB,
            checkpoint_interval: 0,
            checkpoint_bytes: 0,
            keep_instances: 65_536,
            swap_in: true,
            digest_interval: 1_000,
        }
    }
}

impl Config {
    /// Checks that the settings can work together.
    ///
    /// # Errors
    ///
    /// The first setting that cannot, with its value.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        for (name, duration) in [
            ("heartbeat_interval", self.heartbeat_interval),
            ("retry_interval", self.retry_interval),
        ] {
            if duration.is_zero() {
                return Err(ConfigError::Zero(name));
            }
        }
        for (name, duration) in [
            ("election_timeout", self.election_timeout),
            ("heartbeat_interval", self.heartbeat_interval),
            ("retry_interval", self.retry_interval),
            ("batch_delay", self.batch_delay),
            ("master_lease", self.master_lease),
        ] {
            if duration > DURATION_MAX {
                return Err(ConfigError::TooLong(name, duration));
            }
        }
        for (name, value) in [
            ("window_instances_max", count(self.window_instances_max)),
            ("window_bytes_max", count(self.window_bytes_max)),
            ("batch_commands_max", count(self.batch_commands_max)),
            ("batch_bytes_max", count(self.batch_bytes_max)),
            ("queue_commands_max", count(self.queue_commands_max)),
            ("queue_bytes_max", count(self.queue_bytes_max)),
            ("command_bytes_max", count(self.command_bytes_max)),
            ("proposals_max", count(self.proposals_max)),
            ("proposal_bytes_max", count(self.proposal_bytes_max)),
            ("reads_max", count(self.reads_max)),
            ("page_bytes_max", count(self.page_bytes_max)),
            ("writes_in_flight_max", self.writes_in_flight_max),
            ("apply_ahead_max", self.apply_ahead_max),
            ("apply_bytes_max", count(self.apply_bytes_max)),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.election_timeout < self.heartbeat_interval * 3 {
            return Err(ConfigError::ElectionTimeout {
                election: self.election_timeout,
                heartbeat: self.heartbeat_interval,
            });
        }
        if self.read_lease > self.election_timeout {
            return Err(ConfigError::ReadLease {
                lease: self.read_lease,
                election: self.election_timeout,
            });
        }
        for (name, value, max, bound) in [
            (
                "window_instances_max",
                count(self.window_instances_max),
                self.accept_ahead_max,
                "accept_ahead_max",
            ),
            ("accept_ahead_max", self.accept_ahead_max, ACCEPT_AHEAD_LIMIT, "phase 1"),
            ("proposals_max", count(self.proposals_max), SESSION_WINDOW, "SESSION_WINDOW"),
            (
                "clock_rate_bound_ppm",
                u64::from(self.clock_rate_bound_ppm),
                CLOCK_RATE_BOUND_LIMIT,
                "a clock that is one",
            ),
            (
                "command_bytes_max",
                count(self.command_bytes_max),
                COMMAND_BYTES_LIMIT,
                "the value format",
            ),
            (
                "batch_bytes_max",
                count(self.batch_bytes_max),
                COMMAND_BYTES_LIMIT,
                "the value format",
            ),
        ] {
            if value > max {
                return Err(ConfigError::TooLarge { name, value, max, bound });
            }
        }
        Ok(())
    }
}

/// The most that [`Config::accept_ahead_max`] can be: a promise with a wider gap is not believed.
pub(crate) const ACCEPT_AHEAD_LIMIT: u64 = 65_536;

/// Longer waits than a day are a mistake, and their multiples must not overflow.
const DURATION_MAX: Duration = Duration::from_secs(86_400);

/// Ten percent: beyond that a lease has no use.
const CLOCK_RATE_BOUND_LIMIT: u64 = 100_000;

/// A value's bytes are counted in 32 bits; this leaves room for the headers.
const COMMAND_BYTES_LIMIT: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_work() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn an_election_timeout_below_three_heartbeats_is_refused() {
        let config = Config { election_timeout: Duration::from_millis(149), ..Config::default() };
        assert!(matches!(config.validate(), Err(ConfigError::ElectionTimeout { .. })));
    }

    #[test]
    fn a_window_beyond_what_acceptors_take_is_refused() {
        let config = Config { window_instances_max: 5000, ..Config::default() };
        let error = config.validate().unwrap_err();
        assert_eq!(
            alloc::format!("{error}"),
            "window_instances_max is 5000, above the 4096 that accept_ahead_max allows"
        );
    }
}
