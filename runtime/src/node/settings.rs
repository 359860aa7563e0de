//! Settings of a group that may change while it runs.

use std::sync::PoisonError;
use std::time::Duration;

use synod_core::{Config, ConfigError, Tuning};
use thiserror::Error;

use super::admission::Overload;
use super::error::NodeError;
use super::handle::GroupHandle;
use super::note::Note;
use crate::transport::FrameLimits;

/// What may change while a group runs; see [`GroupHandle::tune`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How long proposals and reads without a time of their own may take; those that start later.
    pub timeout: Duration,
    /// How the group protects itself from too many proposals at this node. At once.
    pub overload: Overload,
    /// Timeouts, batches and windows of the protocol, and how much of the log stays below
    /// checkpoints. Give all nodes the same.
    pub protocol: Tuning,
}

/// Why settings were not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TuneError {
    /// They cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Messages could become larger than what connections were opened for: only a start with larger
    /// `page_bytes_max`, `batch_bytes_max` or `command_bytes_max` changes that.
    #[error("messages of up to {bytes} bytes are above the {max} that connections take")]
    Frame {
        /// What a message could have.
        bytes: u32,
        /// What connections take.
        max: u32,
    },
    /// The node is shutting down, or has stopped.
    #[error(transparent)]
    Node(#[from] NodeError),
}

impl Settings {
    /// The settings that a builder's `config` and timeout come to.
    pub(super) fn of(config: &Config, timeout: Duration) -> Self {
        Self {
            timeout,
            overload: Overload {
                adaptive: true,
                delay_target: Duration::from_millis(25),
                proposals_max: config.proposals_max,
                bytes_max: config.proposal_bytes_max,
            },
            protocol: config.tuning(),
        }
    }

    fn check(&self, config: &Config) -> Result<(), TuneError> {
        let tuned = config.tuned(&self.protocol)?;
        for (name, is_zero) in [
            ("timeout", self.timeout.is_zero()),
            ("overload.delay_target", self.overload.delay_target.is_zero()),
            ("overload.proposals_max", self.overload.proposals_max == 0),
            ("overload.bytes_max", self.overload.bytes_max == 0),
        ] {
            if is_zero {
                return Err(ConfigError::Zero(name).into());
            }
        }
        for (name, time) in
            [("timeout", self.timeout), ("overload.delay_target", self.overload.delay_target)]
        {
            if time > DAY {
                return Err(ConfigError::TooLong(name, time).into());
            }
        }
        let frame_bytes_max = |config| FrameLimits::fitting(config).frame_bytes_max;
        let (bytes, max) = (frame_bytes_max(&tuned), frame_bytes_max(config));
        if bytes > max {
            return Err(TuneError::Frame { bytes, max });
        }
        Ok(())
    }
}

impl GroupHandle {
    /// The settings of now.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.front.settings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes settings of this group at this node, all or none, and gives what they are now. Those
    /// of a restart are the builder's again.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # fn slow_network(group: &synod::GroupHandle) -> Result<(), synod::TuneError> {
    /// group.tune(|settings| {
    ///     settings.protocol.election_timeout = Duration::from_secs(3);
    ///     settings.protocol.batch_delay = Duration::from_millis(5);
    ///     settings.protocol.keep_instances = 1_000_000;
    ///     settings.overload.delay_target = Duration::from_millis(100);
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// `change` is called once, at once; let it not call the group.
    ///
    /// # Errors
    ///
    /// See [`TuneError`].
    pub fn tune(&self, change: impl FnOnce(&mut Settings)) -> Result<Settings, TuneError> {
        if !self.shared.is_open() {
            return Err(self.shared.node_error().into());
        }
        // Held until the driver is told, so that it hears of changes in their order.
        let mut settings = self.front.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tuned = settings.clone();
        change(&mut tuned);
        tuned.check(&self.front.config)?;
        self.front.set(&tuned);
        if tuned.protocol != settings.protocol {
            let protocol = tuned.protocol.clone();
            self.shared.inbox.push(Note::Tune { slot: self.slot, protocol });
        }
        settings.clone_from(&tuned);
        Ok(tuned)
    }
}

const DAY: Duration = Duration::from_secs(86_400);
