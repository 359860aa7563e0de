//! Bounded queues and memory: whatever has a limit stays within it, after every step (I9).
//!
//! The limits are written down here a second time, from what [`Config`] says of each; where a limit
//! lets one more thing fit than it counts, that is allowed and no more.

use synod_core::{COMMAND_OVERHEAD, Config, SESSION_WINDOW, Usage, VALUE_OVERHEAD};

use super::{Place, Verdict, Violation};
use crate::rng::{to_index, to_u64};

/// The limits, and what processes held when they started.
#[derive(Debug)]
pub struct Bounds {
    nodes: usize,
    config: Config,
    /// Bytes that an address book has for each node.
    book_bytes: usize,
    /// The most instances above the chosen prefix that any log gave back, by group. A log knows of
    /// the chosen prefix by hints only, and a leader takes over whatever others found.
    found: Vec<u64>,
}

impl Bounds {
    /// The limits of a cluster with these settings.
    #[must_use]
    pub fn new(nodes: usize, groups: usize, config: &Config) -> Self {
        Self { nodes, config: config.clone(), book_bytes: 0, found: vec![0; groups] }
    }

    /// An operator writes into memberships where nodes listen.
    pub const fn has_books(&mut self) {
        self.book_bytes = BOOK_BYTES;
    }

    /// A process starts, and its log gave back this much above the chosen prefix.
    pub fn started(&mut self, place: Place, usage: &Usage) {
        let found = &mut self.found[place.group];
        *found = usage.open_instances.max(*found);
    }

    /// A node has done a step, and said so many messages.
    ///
    /// # Errors
    ///
    /// If it holds more than it may, or said more.
    pub fn stepped(&self, place: Place, usage: &Usage, messages: usize) -> Verdict {
        let found = self.found[place.group];
        let config = &self.config;
        // What a value takes: as many commands as fit, or a single one of any size; or a membership.
        let commands = config.batch_bytes_max.max(config.command_bytes_max + COMMAND_OVERHEAD);
        let member = MEMBER_BYTES + self.book_bytes;
        let value = VALUE_OVERHEAD + commands.max(ENTRY_BYTES + self.nodes * member);
        let inherited = usage.window_inherited;
        let inherited_bytes = inherited.saturating_mul(value);
        let open = config.accept_ahead_max.max(found);
        let lone = |count: usize, bytes: usize, max: usize| if count <= 1 { bytes } else { max };
        let pinned = to_index(usage.cache_pinned).saturating_mul(value);
        let peers = to_u64(self.nodes - 1);
        // A new leader takes over all that is open, with a record for each; so does whoever learns a
        // page. Beside them a step may raise the promise and leave a hint.
        let writes = config.writes_in_flight_max + open + WRITES_BESIDE;
        let said = Usage::WITHHELD_MAX
            + self.nodes * (to_index(open) + MESSAGES_BESIDE)
            + config.proposals_max.min(config.window_instances_max + usage.proposals);
        let limits = [
            (
                "instances in the window",
                to_u64(usage.window_instances),
                to_u64(config.window_instances_max.max(inherited)),
            ),
            (
                "bytes in the window",
                to_u64(usage.window_bytes),
                to_u64(config.window_bytes_max - 1 + value + inherited_bytes),
            ),
            ("inherited instances", to_u64(inherited), open + 1),
            (
                "commands in the queue",
                to_u64(usage.queue_commands),
                to_u64(config.queue_commands_max),
            ),
            (
                "bytes in the queue",
                to_u64(usage.queue_bytes),
                to_u64(lone(usage.queue_commands, usage.queue_bytes, config.queue_bytes_max)),
            ),
            ("proposals", to_u64(usage.proposals), to_u64(config.proposals_max)),
            (
                "bytes of proposals",
                to_u64(usage.proposal_bytes),
                to_u64(lone(usage.proposals, usage.proposal_bytes, config.proposal_bytes_max)),
            ),
            ("the span of proposals", to_u64(usage.proposal_span), SESSION_WINDOW),
            ("reads", to_u64(usage.reads), to_u64(config.reads_max)),
            ("questions", to_u64(usage.questions), to_u64(self.nodes) * 2),
            ("withheld messages", to_u64(usage.withheld), to_u64(Usage::WITHHELD_MAX)),
            (
                "bytes of chosen values",
                to_u64(usage.cache_bytes),
                to_u64(config.cache_bytes_max.saturating_add(pinned)),
            ),
            ("instances above the chosen prefix", usage.open_instances, open + 1),
            ("writes in flight", usage.writes_in_flight, writes),
            ("instances handed out", usage.apply_instances, config.apply_ahead_max),
            (
                "bytes handed out",
                to_u64(usage.apply_bytes),
                to_u64(config.apply_bytes_max - 1 + value),
            ),
            ("fetches", to_u64(usage.fetches), 2 * peers + 1),
            ("sessions", to_u64(usage.sessions), to_u64(self.nodes)),
            ("words of a session", to_u64(usage.session_words), SESSION_WINDOW / 64 + 1),
            ("messages of one step", to_u64(messages), to_u64(said)),
        ];
        match limits.iter().find(|(_, held, max)| held > max) {
            None => Ok(()),
            Some((what, held, max)) => {
                let what = format!("{place}: {what} are {held}, above {max}: {usage:?}");
                Err(Violation::new("bounds", what))
            }
        }
    }
}

/// Records that a step writes beside those of the instances it concerns.
const WRITES_BESIDE: u64 = 4;

/// Messages that a step sends to a peer beside those of the instances it concerns.
const MESSAGES_BESIDE: usize = 16;

/// What a membership entry takes without its members, and with each of them.
const ENTRY_BYTES: usize = 56;
const MEMBER_BYTES: usize = 16;

/// What a line of an address book takes at most.
const BOOK_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::testing::place;
    use super::*;

    fn config() -> Config {
        Config {
            window_instances_max: 4,
            window_bytes_max: 1_000,
            batch_bytes_max: 500,
            command_bytes_max: 400,
            queue_commands_max: 5,
            queue_bytes_max: 600,
            proposals_max: 6,
            proposal_bytes_max: 700,
            reads_max: 7,
            cache_bytes_max: 800,
            accept_ahead_max: 8,
            writes_in_flight_max: 9,
            apply_ahead_max: 10,
            apply_bytes_max: 900,
            ..Config::default()
        }
    }

    fn verdict(usage: &Usage) -> Verdict {
        Bounds::new(3, 1, &config()).stepped(place(0), usage, 0)
    }

    #[test]
    fn limits_may_be_reached() {
        let full = Usage {
            window_instances: 4,
            window_bytes: 1_400,
            queue_commands: 5,
            queue_bytes: 600,
            proposals: 6,
            proposal_bytes: 700,
            reads: 7,
            cache_bytes: 800,
            open_instances: 8,
            writes_in_flight: 9,
            apply_instances: 10,
            apply_bytes: 900,
            fetches: 5,
            sessions: 3,
            session_words: 1_025,
            ..Usage::default()
        };
        assert_eq!(verdict(&full), Ok(()));
        let one_large = Usage { queue_commands: 1, queue_bytes: 5_000, ..Usage::default() };
        assert_eq!(verdict(&one_large), Ok(()));
        let taken_over = Usage {
            window_instances: 7,
            window_inherited: 7,
            window_bytes: 3_000,
            ..Usage::default()
        };
        assert_eq!(verdict(&taken_over), Ok(()));
    }

    #[test]
    fn each_limit_that_is_passed_is_found() {
        let none = Usage::default();
        for (what, usage) in [
            ("instances in the window", Usage { window_instances: 5, ..none }),
            ("bytes in the window", Usage { window_bytes: 9_000, ..none }),
            ("inherited", Usage { window_inherited: 10, window_instances: 10, ..none }),
            ("commands in the queue", Usage { queue_commands: 6, ..none }),
            ("bytes in the queue", Usage { queue_commands: 2, queue_bytes: 601, ..none }),
            ("proposals", Usage { proposals: 7, ..none }),
            ("bytes of proposals", Usage { proposals: 2, proposal_bytes: 701, ..none }),
            ("span", Usage { proposal_span: 65_537, ..none }),
            ("reads", Usage { reads: 8, ..none }),
            ("questions", Usage { questions: 7, ..none }),
            ("withheld", Usage { withheld: Usage::WITHHELD_MAX + 1, ..none }),
            ("chosen values", Usage { cache_bytes: 801, ..none }),
            ("above the chosen prefix", Usage { open_instances: 10, ..none }),
            ("writes", Usage { writes_in_flight: 99, ..none }),
            ("instances handed out", Usage { apply_instances: 11, ..none }),
            ("bytes handed out", Usage { apply_bytes: 9_000, ..none }),
            ("fetches", Usage { fetches: 6, ..none }),
            ("sessions", Usage { sessions: 4, ..none }),
            ("words", Usage { session_words: 1_026, ..none }),
        ] {
            let violation = verdict(&usage).unwrap_err();
            assert!(violation.what.contains(what), "{violation}");
        }
        let bounds = Bounds::new(3, 1, &config());
        assert!(bounds.stepped(place(0), &none, 100_000).is_err(), "messages");
    }

    #[test]
    fn what_a_log_gave_back_may_stay_and_be_taken_over() {
        let mut bounds = Bounds::new(3, 1, &config());
        let found = Usage { open_instances: 30, ..Usage::default() };
        assert!(bounds.stepped(place(0), &found, 0).is_err());
        bounds.started(place(0), &found);
        assert_eq!(bounds.stepped(place(0), &found, 0), Ok(()));
        let taken_over = Usage { window_instances: 30, window_inherited: 30, ..found };
        assert_eq!(bounds.stepped(place(1), &taken_over, 0), Ok(()));
    }
}
