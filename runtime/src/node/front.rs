//! What handles and the driver share of one group.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_core::{Config, GroupId, Master, SmId};
use tokio::sync::watch;

use super::admission::{Admission, Ended, Overload, Pool};
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

    /// Takes a proposal of so many bytes, which [`release`](Self::release) gives back.
    ///
    /// # Errors
    ///
    /// If more is under way than can be finished soon.
    pub(super) fn admit(&self, bytes: usize) -> Result<(), ProposeError> {
        let admitted = self.admission().admit(self.epoch.elapsed(), bytes, &self.pool);
        admitted.map_err(|retry_after| ProposeError::Overloaded { retry_after })
    }

    /// A proposal that was admitted has ended.
    pub(super) fn release(&self, bytes: usize, ended: Ended) {
        self.admission().done(self.epoch.elapsed(), bytes, ended, &self.pool);
    }

    /// How long proposals and reads without a time of their own may take.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner).timeout
    }

    /// What to tell whoever a queue further on refuses.
    pub(super) fn overloaded(&self) -> ProposeError {
        ProposeError::Overloaded { retry_after: self.admission().retry_after() }
    }

    /// Another node leads.
    pub(super) fn moved(&self) {
        self.admission().moved(self.epoch.elapsed());
    }

    pub(super) fn set_overload(&self, overload: Overload) {
        self.admission().set(overload);
    }

    fn admission(&self) -> MutexGuard<'_, Admission> {
        self.admission.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts how a proposal ended, so long after the call.
    pub(super) fn ended(&self, outcome: &Outcome, took: Duration) {
        match outcome {
            Ok(done) => {
                self.stats.commit.record(took);
                self.observing.tell(|| Seen::Committed(self.group, done.position, took));
            }
            Err(ProposeError::Unknown) => {
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
