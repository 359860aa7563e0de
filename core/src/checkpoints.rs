//! When checkpoints are taken, and how far the log may be cleaned after them (I8).
//!
//! A checkpoint goes through three hands: the executor hands it out in order with the commands, the
//! embedder makes it durable and says so, and the group writes down that it is. Only when *that*
//! record is durable is anything cleaned below it, since a restart starts from the record: cleaned
//! earlier, a power loss would leave a log without a beginning.

use bytes::Bytes;

use crate::config::Config;
use crate::entries::Entries;
use crate::env::Ctx;
use crate::ids::{Instance, WriteSeq};
use crate::outbox::Event;
use crate::proposer::Proposer;
use crate::write::Record;

/// The checkpoints of one group on this node.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    /// The newest that is durable, record and all.
    last: Instance,
    /// Handed out, and not yet said to be durable.
    taking: Option<(Instance, Bytes)>,
    /// Its record is being written.
    writing: Option<(WriteSeq, Instance)>,
    /// One was asked for.
    wanted: bool,
    /// The files of the last one are not what was written.
    is_lost: bool,
    /// Bytes of values handed out since the last one.
    bytes: u64,
    /// Nothing above this is cleaned.
    limit: Instance,
}

impl Checkpoints {
    pub(crate) const fn new(last: Instance) -> Self {
        Self {
            last,
            taking: None,
            writing: None,
            wanted: false,
            is_lost: false,
            bytes: 0,
            limit: Instance::MAX,
        }
    }

    /// The newest checkpoint that a restart would start from.
    pub(crate) const fn last(&self) -> Instance {
        self.last
    }

    /// The newest, durable or on its way there.
    pub(crate) fn newest(&self) -> Instance {
        let writing = self.writing.map_or(self.last, |(_, instance)| instance);
        self.taking.as_ref().map_or(writing, |(taking, _)| writing.max(*taking))
    }

    /// One is to be taken as soon as possible.
    pub(crate) const fn want(&mut self) {
        self.wanted = true;
    }

    /// Whether one is to be taken now that everything up to `at` is handed out, whose value there has
    /// so many bytes.
    #[inline]
    pub(crate) fn is_due(&mut self, at: Instance, bytes: usize, config: &Config) -> bool {
        let (interval, bytes_max) = (config.checkpoint_interval, config.checkpoint_bytes);
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let is_boundary = interval > 0 && at.0.is_multiple_of(interval);
        let is_due = is_boundary || (bytes_max > 0 && self.bytes >= bytes_max);
        if is_due && self.is_busy() {
            mark!(CHECKPOINT_PUT_OFF);
            self.wanted = true;
            return false;
        }
        is_due
    }

    /// Whether one that was asked for can be taken at `at`.
    pub(crate) fn is_wanted(&mut self, at: Instance) -> bool {
        if !self.wanted || self.is_busy() {
            return false;
        }
        self.wanted = false;
        at > self.last || (self.is_lost && at == self.last)
    }

    /// The files at `at` are not what was written. A restart would find no beginning, and a peer gets
    /// none.
    pub(crate) fn lose(&mut self, at: Instance) {
        if at == self.last {
            mark!(CHECKPOINT_TAKEN_AGAIN);
            (self.is_lost, self.wanted) = (true, true);
        }
    }

    /// Whether the last one is not durable yet, record and all: one at a time, so that a disk that takes
    /// its time has no more than one record of them in flight (I9).
    const fn is_busy(&self) -> bool {
        self.taking.is_some() || self.writing.is_some()
    }

    /// One is handed out.
    pub(crate) fn take(&mut self, at: Instance, state: Bytes) {
        self.taking = Some((at, state));
        self.bytes = 0;
    }

    /// The embedder has one, durably. Another than the one that was handed out last is of no use any
    /// more: a newer one was installed meanwhile.
    pub(crate) fn on_taken(&mut self, at: Instance, ctx: &mut Ctx<'_>) {
        if let Some((instance, state)) = self.taking.take_if(|(taking, _)| *taking == at) {
            ctx.write(Record::Checkpoint { instance, state });
            self.writing = Some((ctx.journal.written(), at));
        }
    }

    /// One did not come about.
    pub(crate) fn on_failed(&mut self, at: Instance) {
        self.taking.take_if(|(taking, _)| *taking == at);
    }

    /// A checkpoint of a peer takes the place of everything up to `at`; its record is written.
    pub(crate) fn install(&mut self, at: Instance, ctx: &mut Ctx<'_>) {
        mark!(INSTALL_OVERTAKES_CHECKPOINT if self.taking.is_some());
        self.taking = None;
        self.writing = Some((ctx.journal.written(), at));
        self.bytes = 0;
    }

    /// Nothing above `limit` is to be cleaned.
    pub(crate) fn limit(&mut self, limit: Instance) {
        self.limit = limit;
    }

    /// Cleans the log as far as it may be.
    #[inline]
    pub(crate) fn settle(
        &mut self,
        handed: Instance,
        proposer: &Proposer,
        entries: &mut Entries,
        ctx: &mut Ctx<'_>,
    ) {
        if let Some((seq, at)) = self.writing
            && ctx.journal.is_durable(seq)
        {
            self.writing = None;
            self.last = at;
            self.is_lost = false;
            ctx.event(Event::Checkpointed(at));
        }
        if self.last > entries.cleaned() {
            self.clean(handed, proposer.reported(ctx), entries, ctx);
        }
    }

    fn clean(
        &self,
        handed: Instance,
        reported: Instance,
        entries: &mut Entries,
        ctx: &mut Ctx<'_>,
    ) {
        let kept = Instance(self.last.0.saturating_sub(ctx.config.keep_instances));
        mark!(CLEANING_HELD_BACK if kept > self.limit);
        let upto = kept.min(self.limit).min(handed);
        mark!(CLEANING_WAITS_FOR_A_PEER if upto > reported && upto > entries.cleaned());
        let upto = upto.min(reported);
        if upto > entries.cleaned() && !ctx.writes_full() {
            mark!(LOG_CLEANED);
            entries.clean(upto, handed);
            ctx.write(Record::Cleaned(entries.cleaned()));
            // Nothing is executed from there any more, and nothing decided.
            ctx.env.history.prune(entries.cleaned().next());
            ctx.event(Event::Cleaned(entries.cleaned()));
        }
    }
}

#[cfg(test)]
mod tests;
