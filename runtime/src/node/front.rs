//! What handles and the driver share of one group.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_core::{Config, GroupId, Master, SmId};
use tokio::sync::watch;

use super::admission::{Admission, Ended, Pool};
use super::error::ProposeError;
use super::observing::{Observing, Seen};
use super::settings::Settings;
use super::stats::GroupStats;
use super::ticket::Outcome;

/// Sees a command before it is proposed: see
/// [`NodeBuilder::before_propose`](crate::NodeBuilder::before_propose).
pub(super) type BeforePropose =
    Arc<dyn Fn(GroupId, SmId, Bytes) -> Result<Bytes, String> + Send + Sync>;

/// One group as its handles see it.
pub(super) struct Front {
    pub(super) group: GroupId,
    /// What the group was started with.
    pub(super) config: Config,
    pub(super) settings: Mutex<Settings>,
    /// As the settings say, for every proposal to read.
    timeout_nanos: AtomicU64,
    admission: Mutex<Admission>,
    pool: Arc<Pool>,
    /// The zero of the admission's times.
    epoch: Instant,
    pub(super) stats: GroupStats,
    pub(super) observing: Observing,
    pub(super) before_propose: Option<BeforePropose>,
    /// Who is master, as far as this node knows.
    pub(super) master: watch::Sender<Master>,
}

impl Front {
    pub(super) fn new(
        group: GroupId,
        config: Config,
        timeout: Duration,
        pool: Arc<Pool>,
        observing: Observing,
        before_propose: Option<BeforePropose>,
    ) -> Self {
        let settings = Settings::of(&config, timeout);
        Self {
            group,
            config,
            timeout_nanos: AtomicU64::new(nanos(timeout)),
            admission: Mutex::new(Admission::new(settings.overload.clone())),
            settings: Mutex::new(settings),
            pool,
            epoch: Instant::now(),
            stats: GroupStats::default(),
            observing,
            before_propose,
            master: watch::channel(Master::default()).0,
        }
    }

    /// Takes a proposal of so many bytes, which [`release`](Self::release) gives back; says when, in
    /// the group's own time.
    ///
    /// # Errors
    ///
    /// If more is under way than can be finished soon.
    pub(super) fn admit(&self, bytes: usize) -> Result<Duration, ProposeError> {
        let now = self.now();
        let admitted = self.admission().admit(now, bytes, &self.pool);
        admitted.map_err(|retry_after| ProposeError::Overloaded { retry_after })?;
        Ok(now)
    }

    /// The group's own time.
    pub(super) fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    /// A proposal that was admitted has ended.
    pub(super) fn release(&self, now: Duration, bytes: usize, ended: Ended) {
        self.admission().done(now, bytes, ended, &self.pool);
    }

    /// How long proposals and reads without a time of their own may take.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout_nanos.load(Relaxed))
    }

    /// What to tell whoever a queue further on refuses.
    pub(super) fn overloaded(&self) -> ProposeError {
        ProposeError::Overloaded { retry_after: self.admission().retry_after() }
    }

    /// Another node leads.
    pub(super) fn moved(&self) {
        self.admission().moved(self.now());
    }

    /// Takes over what the settings say.
    pub(super) fn set(&self, settings: &Settings) {
        self.timeout_nanos.store(nanos(settings.timeout), Relaxed);
        self.admission().set(settings.overload.clone());
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts how a proposal ended, so long after the call.
    ///
    /// What stops with it under way is counted by its error, which does not say whether it was taken: so
    /// it is among those that were refused, where the observer hears the reason.
    pub(super) fn ended(&self, outcome: &Outcome, took: Duration) {
        match outcome {
            Ok(done) => {
                self.stats.commit.record(took);
                self.observing.tell(|| Seen::Committed(self.group, done.position, took));
            }
            Err(ProposeError::Unknown | ProposeError::OutputLost { .. }) => {
                self.stats.unknown.add(1);
                self.observing.tell(|| Seen::Unknown(self.group, took));
            }
            Err(error) => self.refused(error),
        }
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, error: &ProposeError) {
        self.stats.refused.add(1);
        self.observing.tell(|| Seen::Refused(self.group, error.to_string()));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Default for Front {
    fn default() -> Self {
        let (config, timeout) = (Config::default(), Duration::from_secs(5));
        let pool = Arc::default();
        Self::new(GroupId(0), config, timeout, pool, Observing::default(), None)
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").field("group", &self.group).finish_non_exhaustive()
    }
}
