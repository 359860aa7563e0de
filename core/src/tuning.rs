//! Settings that may change while a group runs.

use core::time::Duration;

use crate::config::{Config, ConfigError};
use crate::group::Group;

/// The part of a [`Config`] that a running group may be given anew; each field means what the field
/// of that name means there.
///
/// The rest bounds memory, which is counted against it, and stays as it was at the start. Nothing
/// here bears on safety, so nodes may differ for a while; but raise `election_timeout` on all of
/// them before `heartbeat_interval` on any.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tuning {
    /// From the next wait for a leader on.
    pub election_timeout: Duration,
    /// From the next heartbeat on.
    pub heartbeat_interval: Duration,
    /// From the next repetition on.
    pub retry_interval: Duration,
    /// From the next wait for a leader on.
    pub priority: u8,
    /// At once. At most `accept_ahead_max`.
    pub window_instances_max: usize,
    /// At once.
    pub window_bytes_max: usize,
    /// From the next instance on.
    pub batch_commands_max: usize,
    /// From the next instance on.
    pub batch_bytes_max: usize,
    /// At once.
    pub batch_delay: Duration,
    /// From the next page on.
    pub page_bytes_max: usize,
    /// As more is chosen.
    pub cache_bytes_max: usize,
    /// From the next cleaning on. Lowered, more of the log goes soon; raised, what is gone stays gone.
    pub keep_instances: u64,
}

impl Config {
    /// The part that may change.
    #[must_use]
    pub const fn tuning(&self) -> Tuning {
        Tuning {
            election_timeout: self.election_timeout,
            heartbeat_interval: self.heartbeat_interval,
            retry_interval: self.retry_interval,
            priority: self.priority,
            window_instances_max: self.window_instances_max,
            window_bytes_max: self.window_bytes_max,
            batch_commands_max: self.batch_commands_max,
            batch_bytes_max: self.batch_bytes_max,
            batch_delay: self.batch_delay,
            page_bytes_max: self.page_bytes_max,
            cache_bytes_max: self.cache_bytes_max,
            keep_instances: self.keep_instances,
        }
    }

    /// These settings with another part that may change.
    ///
    /// # Errors
    ///
    /// If they cannot work together, as [`validate`](Self::validate) says.
    pub fn tuned(&self, tuning: &Tuning) -> Result<Self, ConfigError> {
        let config = Self {
            election_timeout: tuning.election_timeout,
            heartbeat_interval: tuning.heartbeat_interval,
            retry_interval: tuning.retry_interval,
            priority: tuning.priority,
            window_instances_max: tuning.window_instances_max,
            window_bytes_max: tuning.window_bytes_max,
            batch_commands_max: tuning.batch_commands_max,
            batch_bytes_max: tuning.batch_bytes_max,
            batch_delay: tuning.batch_delay,
            page_bytes_max: tuning.page_bytes_max,
            cache_bytes_max: tuning.cache_bytes_max,
            keep_instances: tuning.keep_instances,
            ..self.clone()
        };
        config.validate()?;
        Ok(config)
    }
}

impl Group {
    /// The settings of now that may change.
    #[must_use]
    pub const fn tuning(&self) -> Tuning {
        self.config().tuning()
    }

    /// Changes settings. Ask for the [`deadline`](Self::deadline) again afterwards.
    ///
    /// # Errors
    ///
    /// If they cannot work together with those that stay: then nothing has changed.
    pub fn tune(&mut self, tuning: &Tuning) -> Result<(), ConfigError> {
        let config = self.config().tuned(tuning)?;
        *self.config_mut() = config;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_what_stays_is_refused() {
        let config = Config { proposals_max: 7, ..Config::default() };
        let mut tuning = config.tuning();
        assert_eq!(config.tuned(&tuning), Ok(config.clone()), "nothing changed");
        tuning.batch_delay = Duration::from_millis(9);
        tuning.keep_instances = 3;
        let tuned = config.tuned(&tuning).unwrap();
        assert_eq!((tuned.batch_delay, tuned.proposals_max), (tuning.batch_delay, 7));
        assert_eq!(tuned.keep_instances, 3);
        assert_eq!(tuned.tuning(), tuning, "every field is taken over");
        tuning.window_instances_max = 5000;
        assert!(matches!(config.tuned(&tuning), Err(ConfigError::TooLarge { .. })));
    }
}
