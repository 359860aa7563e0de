//! What a group holds in memory, to be held against its limits.

use super::Group;
use crate::proposer::Proposer;

/// What a group holds in memory: counts, and bytes of values or commands.
///
/// Everything here has a limit (I9), in [`Config`](crate::Config) where none is named. For metrics,
/// and for tests that watch the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Instances proposed and not yet chosen, if this node leads: `window_instances_max`, or as many
    /// as it took over.
    pub window_instances: usize,
    /// Their bytes: below `window_bytes_max` before the last value, unless some were taken over.
    pub window_bytes: usize,
    /// Of the instances in the window, those taken over from earlier leaders.
    pub window_inherited: usize,
    /// Commands waiting to be proposed, if this node leads: `queue_commands_max`.
    pub queue_commands: usize,
    /// Their bytes: `queue_bytes_max`, or a single command.
    pub queue_bytes: usize,
    /// Proposals made here and not yet resolved, but for those that renew a mastership: `proposals_max`.
    pub proposals: usize,
    /// Their bytes: `proposal_bytes_max`, or a single proposal.
    pub proposal_bytes: usize,
    /// From the oldest of them to the newest: [`SESSION_WINDOW`](crate::SESSION_WINDOW).
    pub proposal_span: usize,
    /// Reads waiting here: `reads_max`.
    pub reads: usize,
    /// Questions of nodes whose reads wait here for a probe, if this node leads: two of each.
    pub questions: usize,
    /// Messages waiting for the disk: [`WITHHELD_MAX`](Self::WITHHELD_MAX).
    pub withheld: usize,
    /// Bytes of chosen values in memory: `cache_bytes_max`, and what is not durable yet or was not
    /// handed out before.
    pub cache_bytes: usize,
    /// Instances whose chosen values are in memory and may not leave it yet.
    pub cache_pinned: u64,
    /// From the chosen prefix to the highest instance held: `accept_ahead_max`, or what the log gave
    /// back at the start.
    pub open_instances: u64,
    /// Bytes of values held there.
    pub open_bytes: usize,
    /// Records handed out and not yet durable: `writes_in_flight_max`, and what follows from one
    /// input.
    pub writes_in_flight: u64,
    /// Instances handed to the state machines and not yet applied: `apply_ahead_max`.
    pub apply_instances: u64,
    /// Their bytes: below `apply_bytes_max` before the last value.
    pub apply_bytes: usize,
    /// Entries asked back from the log: one request for ourselves, and one of each kind for a peer.
    pub fetches: usize,
    /// Origins that have a session: members of the group.
    pub sessions: usize,
    /// Words of the longest session: one for 64 commands of
    /// [`SESSION_WINDOW`](crate::SESSION_WINDOW), and one more.
    pub session_words: usize,
}

impl Usage {
    /// The most messages that wait for the disk; more are lost, as any message may be.
    pub const WITHHELD_MAX: usize = crate::journal::WITHHELD_MAX;
}

impl Group {
    /// What the group holds in memory.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            proposals: self.origin.len(),
            proposal_bytes: self.origin.bytes(),
            proposal_span: self.origin.span(),
            reads: self.reads.len(),
            questions: self.questions.len(),
            withheld: self.env.journal.withheld(),
            cache_bytes: self.entries.chosen_bytes(),
            cache_pinned: self.entries.chosen().above(self.env.journal.settled_last()),
            open_instances: self.entries.highest().above(self.entries.chosen()),
            open_bytes: self.entries.open_bytes(),
            writes_in_flight: self.env.journal.in_flight(),
            apply_instances: self.executor.ahead(),
            apply_bytes: self.executor.ahead_bytes(),
            fetches: self.fetches.len(),
            ..Usage::default()
        };
        (usage.sessions, usage.session_words) = self.executor.sessions();
        if let Proposer::Leading(leadership) = &self.proposer {
            leadership.usage(&self.entries, &mut usage);
        }
        usage
    }
}
