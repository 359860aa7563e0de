//! Commands that wait at the leader, and how they share instances.

use alloc::collections::VecDeque;

use crate::config::Config;
use crate::ids::Incarnation;
use crate::sessions::Sessions;
use crate::time::Time;
use crate::value::{COMMAND_OVERHEAD, Command, Value, ValueWriter};

/// The commands waiting to be proposed in one leadership.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Command>,
    bytes: usize,
    /// When the oldest came.
    since: Time,
    /// What this leadership took already: origins repeat themselves.
    taken: Sessions,
    /// What it refused, and keeps refusing: an origin that heard one refusal relies on it, however
    /// often it had asked.
    refused: Sessions,
    writer: ValueWriter,
}

/// Whether the queue took a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It did, now or before.
    Yes,
    /// It is at its limit.
    Full,
}

impl Queue {
    /// Takes a command, unless the queue is full; one that was taken before is not taken twice.
    ///
    /// Its origin resolves a command that was refused as never executed, unless another leadership
    /// had it too (`spread`). So a refusal is for good, except for those: to refuse them for good
    /// would leave them without a leader until their deadline.
    pub(crate) fn push(
        &mut self,
        now: Time,
        command: Command,
        spread: bool,
        config: &Config,
    ) -> Taken {
        if !spread && (self.refused.met(command.key) || self.refused.past(command.key)) {
            mark!(QUEUE_REFUSED_BEFORE);
            return Taken::Full;
        }
        let bytes = command.payload.len() + COMMAND_OVERHEAD;
        let full = self.waiting.len() >= config.queue_commands_max
            || (self.bytes + bytes > config.queue_bytes_max && !self.waiting.is_empty());
        if full && !self.taken.met(command.key) {
            mark!(QUEUE_FULL);
            mark!(QUEUE_FULL_SPREAD if spread);
            if !spread {
                self.refused.admit(command.key, command.low);
            }
            return Taken::Full;
        }
        let new = self.taken.admit(command.key, command.low);
        mark!(COMMAND_TAKEN_BEFORE if !new);
        if new {
            if self.waiting.is_empty() {
                self.since = now;
            }
            self.bytes += bytes;
            self.waiting.push_back(command);
        }
        Taken::Yes
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes of the commands that wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a whole batch waits, so that waiting longer gains nothing.
    pub(crate) fn is_full_batch(&self, config: &Config) -> bool {
        self.waiting.len() >= config.batch_commands_max || self.bytes >= config.batch_bytes_max
    }

    /// When the oldest command has waited long enough for company; none if nothing waits.
    pub(crate) fn due(&self, config: &Config) -> Option<Time> {
        (!self.waiting.is_empty()).then(|| self.since + config.batch_delay)
    }

    /// Lays out the next batch: as many commands as the limits allow, at least one. Says whether
    /// all of them are of one origin, `me`.
    pub(crate) fn next_value(
        &mut self,
        now: Time,
        me: Incarnation,
        config: &Config,
    ) -> Option<(Value, bool)> {
        let mut bytes = 0;
        let mut count = 0;
        let mut own = true;
        while let Some(command) = self.waiting.front() {
            let size = command.payload.len() + COMMAND_OVERHEAD;
            let fits = count < config.batch_commands_max && bytes + size <= config.batch_bytes_max;
            if count > 0 && !fits {
                mark!(BATCH_FULL);
                break;
            }
            self.writer.push(command);
            own &= command.key.origin == me;
            bytes += size;
            count += 1;
            self.waiting.pop_front();
        }
        self.bytes -= bytes;
        self.since = now;
        (count > 0).then(|| (self.writer.finish(), own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::SmId;
    use crate::value::CommandKey;
    use bytes::Bytes;

    fn command(seq: u64, bytes: usize) -> Command {
        let key = CommandKey { origin: Incarnation(1), boot: 1, seq };
        Command { key, low: 1, sm: SmId(0), payload: Bytes::from(alloc::vec![7; bytes]) }
    }

    #[test]
    fn a_batch_ends_at_its_limits_and_holds_at_least_one() {
        let config = Config { batch_commands_max: 3, batch_bytes_max: 1000, ..Config::default() };
        let mut queue = Queue::default();
        for (seq, bytes) in [(1, 10), (2, 10), (3, 10), (4, 10), (5, 2000), (6, 10)] {
            assert_eq!(queue.push(Time::ZERO, command(seq, bytes), false, &config), Taken::Yes);
        }
        let mut counts = alloc::vec::Vec::new();
        while let Some((value, _)) = queue.next_value(Time::ZERO, Incarnation(1), &config) {
            counts.push(value.count());
        }
        assert_eq!(counts, [3, 1, 1, 1]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_command_that_was_taken_is_not_taken_twice() {
        let config = Config::default();
        let mut queue = Queue::default();
        assert_eq!(queue.push(Time::ZERO, command(1, 1), false, &config), Taken::Yes);
        assert_eq!(queue.push(Time::ZERO, command(1, 1), false, &config), Taken::Yes);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn what_was_refused_stays_refused_when_the_origin_has_moved_on() {
        let config = Config { queue_commands_max: 1, ..Config::default() };
        let mut queue = Queue::default();
        assert_eq!(queue.push(Time::ZERO, command(1, 1), false, &config), Taken::Yes);
        assert_eq!(queue.push(Time::ZERO, command(2, 1), false, &config), Taken::Full);
        let later = Command { low: 3, ..command(3, 1) };
        assert_eq!(queue.push(Time::ZERO, later, false, &config), Taken::Full);
        assert!(queue.next_value(Time::ZERO, Incarnation(1), &config).is_some());
        assert_eq!(
            queue.push(Time::ZERO, command(2, 1), false, &config),
            Taken::Full,
            "a late copy"
        );
    }

    #[test]
    fn what_was_refused_once_stays_refused() {
        let config = Config { queue_commands_max: 1, ..Config::default() };
        let mut queue = Queue::default();
        assert_eq!(queue.push(Time::ZERO, command(1, 1), false, &config), Taken::Yes);
        assert_eq!(queue.push(Time::ZERO, command(2, 1), false, &config), Taken::Full);
        assert_eq!(
            queue.push(Time::ZERO, command(1, 1), false, &config),
            Taken::Yes,
            "it was taken"
        );
        assert!(queue.next_value(Time::ZERO, Incarnation(1), &config).is_some());
        assert_eq!(queue.push(Time::ZERO, command(2, 1), false, &config), Taken::Full);
        assert_eq!(queue.push(Time::ZERO, command(2, 1), true, &config), Taken::Yes, "spread");
        assert_eq!(queue.len(), 1);
    }
}
