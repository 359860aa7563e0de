//! Marks: names for the rare situations that a bug would hide in, and how often each was met.
//!
//! A passing simulation says little about a situation that it never got into. So `mark!` stands
//! where each of them happens, and the simulator fails if one is not met often enough:
//!
//! ```ignore
//! mark!(ACCEPT_REFUSED);                    // whenever control comes by
//! mark!(WINDOW_FULL if self.is_full());     // if this holds besides
//! ```
//!
//! A mark counts, and decides nothing. Without the feature `marks`, which only the simulator turns
//! on, this module is empty and `mark!` expands to nothing, its condition included: neither names nor
//! counters are in what users build.
//!
//! Each crate that has marks declares them in a module `marks` of its own, by `marks!`; one that is
//! never met is in its `ALL` as well, with no hits.

#[cfg(feature = "marks")]
use core::sync::atomic::{AtomicU64, Ordering};

/// A situation, and how often this process met it, on all threads together.
#[cfg(feature = "marks")]
#[derive(Debug)]
pub struct Mark {
    name: &'static str,
    about: &'static str,
    hits: AtomicU64,
}

#[cfg(feature = "marks")]
impl Mark {
    /// A situation that was not met yet.
    #[must_use]
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, hits: AtomicU64::new(0) }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What happened there, as a sentence.
    #[must_use]
    pub const fn about(&self) -> &'static str {
        self.about
    }

    /// How often it was met.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// It is met now.
    #[cold]
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts that control came by a mark of this crate, if a condition holds.
#[cfg(feature = "marks")]
#[doc(hidden)]
#[macro_export]
#[expect(clippy::crate_in_macro_def, reason = "each crate has marks of its own")]
macro_rules! mark {
    ($name:ident) => {
        crate::marks::$name.hit()
    };
    ($name:ident if $met:expr) => {
        if $met {
            crate::marks::$name.hit()
        }
    };
}

/// Nothing.
#[cfg(not(feature = "marks"))]
#[doc(hidden)]
#[macro_export]
macro_rules! mark {
    ($($any:tt)*) => {};
}

/// Declares the marks of a crate, and `ALL` of them.
#[cfg(feature = "marks")]
#[doc(hidden)]
#[macro_export]
macro_rules! marks {
    ($($name:ident = $about:literal;)*) => {
        $(
            #[doc = $about]
            pub(crate) static $name: $crate::marks::Mark =
                $crate::marks::Mark::new(stringify!($name), $about);
        )*
        /// Every mark of this crate.
        pub static ALL: &[&$crate::marks::Mark] = &[$(&$name),*];
    };
}

/// Nothing.
#[cfg(not(feature = "marks"))]
#[doc(hidden)]
#[macro_export]
macro_rules! marks {
    ($($any:tt)*) => {};
}

// By the file that they stand in.
marks! {
    // acceptor.rs
    ACCEPT_AGAIN = "an acceptor is asked again to accept what it has accepted";
    ACCEPT_DROPPED_DISK_BUSY = "an acceptor leaves out a value, since too many writes are in flight";
    ACCEPT_DROPPED_DISK_FULL = "an acceptor leaves out a value, since its disk is full";
    ACCEPT_OF_CHOSEN = "a leader proposes where the acceptor knows a chosen value";
    ACCEPT_OF_CHOSEN_RAISES_PROMISE = "the same, in a ballot that was not promised yet";
    ACCEPT_RAISES_PROMISE = "an acceptor accepts in a ballot that it had not been asked to promise";
    ACCEPT_REFUSED = "an acceptor refuses a value below its promise";
    ACCEPT_REPLACES_VOTE = "an acceptor that voted for one value votes for another, in a higher ballot";
    ACCEPT_TOO_FAR = "an acceptor leaves out a value that is too far above its chosen prefix";
    ACCEPT_TOO_LARGE = "an acceptor leaves out a value, since it holds too many bytes that are not chosen";
    ACCEPT_WHERE_ANOTHER_WAS_LEARNED = "an acceptor gives no vote to another value than the one it learned, above a gap";
    ACCEPT_WHERE_LOST = "an acceptor accepts again, in the same ballot, a value that its disk had lost";
    PREPARE_BELOW_CLEANED = "an acceptor is asked about instances that it has cleaned";
    PREPARE_DROPPED_DISK_BUSY = "an acceptor does not promise, since too many writes are in flight";
    PREPARE_REFUSED = "an acceptor refuses a promise, since it made a higher one";
    PREPARE_REFUSED_LEASE = "an acceptor promises nothing, since it granted a lease";
    PROMISE_FROM_DISK = "a promise has to report entries that have left memory";
    PROMISE_FROM_DISK_OUTDATED = "while entries for a promise are read from disk, a higher promise is made";
    PROMISE_PAGED = "a promise does not fit into one message";
    PROMISE_REPORTS_LOST = "a promise reports a vote for a value that the disk lost";

    // checkpoints.rs, group/install.rs
    CHECKPOINT_FOR_A_PEER = "a checkpoint is taken since a peer has lost its own";
    CHECKPOINT_TAKEN_AGAIN = "the files of a checkpoint went bad while its node runs, and it is taken again";
    CHECKPOINT_PUT_OFF = "a checkpoint is due while the last is still being written";
    CLEANING_WAITS_FOR_A_PEER = "a leader keeps a part of the log that a live peer lacks";
    CLEANING_HELD_BACK = "the log is not cleaned as far as it could be, since cleaning is paused or a transfer needs it";
    INSTALL_CHANGES_MEMBERSHIP = "a checkpoint is installed that skips a membership entry";
    INSTALL_DEPOSES = "a leader or candidate installs a checkpoint, and gives up";
    INSTALL_FOR_LOST_VALUES = "a checkpoint is installed in place of chosen values that the disk lost";
    INSTALL_OVERTAKES_CHECKPOINT = "a checkpoint of a peer is installed while one is being taken";
    INSTALL_REFUSED = "a checkpoint was transferred for nothing";
    INSTALL_UNDER_VOTES = "a checkpoint is installed under entries that were accepted above it";
    LOG_CLEANED = "a log is cleaned below a checkpoint";
    PROPOSAL_IN_INSTALLED_CHECKPOINT = "a proposal was executed within a checkpoint that its origin installs";

    // transfer/
    TRANSFER_FAILED = "a checkpoint that was being received cannot be written, or is not what was announced";
    TRANSFER_FROM_ANOTHER = "a receiver turns to another peer in the middle of a checkpoint";
    TRANSFER_GOES_ON = "a receiver is offered again what it has begun to receive, and goes on with it";
    TRANSFER_GONE = "a sender does not have any more what it had begun to send";
    TRANSFER_HELD_BACK = "a chunk waits, so that values are not starved";
    TRANSFER_OFFER_REFUSED = "a receiver is offered a checkpoint that makes no sense or leads no further";
    TRANSFER_OVERTAKEN_BY_LEARNING = "a receiver learns past the checkpoint that it was receiving";
    TRANSFER_RESUMED_AFTER_RESTART = "a receiver goes on with what an earlier process life received";
    TRANSFER_TOO_MANY_READERS = "a sender has too many receivers already";

    // election.rs
    CANVASS_HASTENED = "a node that hears no leader either waits less, since another one asks to lead";
    CANVASS_REFUSED_COURTED = "a canvass is refused, since a candidate was at work a moment ago, another or this one";
    CANVASS_REFUSED_LEADER_HEARD = "a canvass is refused by one who hears a leader";
    CANVASS_REFUSED_LEASE = "a canvass is refused, since the voter granted a lease";
    CANVASS_LEFT_TO_OTHERS = "a node whose state machines lost what they start from does not canvass";
    CANVASS_PUT_OFF_DISK_FULL = "a node does not canvass, since its disk is full";
    CANVASS_PUT_OFF_DISK_STALLED = "a node does not canvass, since its disk is stuck";

    // digests.rs
    DIGESTS_DIFFER = "a peer has another log or state";
    DIVERGED = "a node's state is not that of a majority";

    // entries.rs, executor.rs
    COMMAND_CHOSEN_TWICE = "a command is chosen a second time, and not executed a second time";
    COMMAND_OF_THE_PAST = "a command is skipped, since its origin had moved past it";
    ENTRY_EVICTED = "a chosen value leaves memory";
    EXECUTE_FROM_DISK = "a value has to be read from the log to be executed";
    EXECUTION_HELD_BACK = "chosen values wait, since the state machines do not keep up";

    // fetches.rs
    FETCH_OUTDATED = "entries come from disk that nobody waits for any more";
    FETCH_REPLACED = "somebody asks for other entries before the first come from disk";

    // forming.rs
    FORMING_ADOPTED = "a node that asks who is there hears that there is a cluster";
    FORMING_CLUSTERS_DIFFER = "a node hears of a second cluster";
    FORMING_FOUNDERS_DISAGREE = "two founders were told to found different clusters";
    FORMING_LATE_ANSWER = "a founder answers a question of an earlier round";
    FORMING_MEMORY_CHANGED = "between two rounds, a founder lost its memory";
    FORMING_SECOND_ROUND = "all founders have answered once, and are asked again";

    // group.rs, group/receive.rs
    CANDIDATE_GIVES_UP_DISK_FULL = "a candidate gives up, since its disk is full";
    CANDIDATE_GIVES_UP = "a candidate does not get its promises in time";
    DEPOSED_BEYOND_WINDOW = "a leader learns a chosen value where it has proposed nothing";
    DEPOSED_BY_FOREIGN_VALUE = "a leader learns that another value is chosen in its window";
    FORWARD_REFUSED = "a leader refuses a command of another node";
    FORWARD_TO_FORMER_LEADER = "a command comes to a node that does not lead in that ballot";
    LEADER_HANDS_OVER_DISK_FULL = "a leader whose disk is full hands over";
    LEADER_HANDS_OVER_DISK_STALLED = "a leader whose disk is stuck hands over";
    LEADER_LEARNS_OWN_VALUE = "a leader learns from another that what it proposed is chosen";
    LEADER_OUTBID_BY_PREPARE = "a leader or candidate is asked to promise a higher ballot";
    LEADER_OUTBID_BY_NACK = "a leader hears from an acceptor that there is a higher ballot";
    LEADER_SILENCED = "a leader that no quorum answers steps down";
    LEARN_WHAT_THE_MEMBERSHIP_TELLS = "only the membership record says that there is something to learn";
    LEARN_WITHOUT_ROOM = "a chosen value comes while too many writes are in flight";
    RUN_PUT_OFF_DISK_FULL = "a node that could lead does not run, since its disk is full";
    RESTARTED_WITH_VOTES = "a node starts with votes of which it does not know whether they were decided";
    RESTARTED_WITHOUT_VALUE = "a node starts with a vote of which the disk lost the value";
    STARTED_WITHOUT_A_VOTE = "a node starts whose memory is in no membership";
    TRANSFER_DONE = "a leader has handed over as it was asked to";
    TRANSFER_OVERTAKEN = "a node is handed a ballot when it has promised a higher one";

    // journal.rs
    PREPARE_RETRACTED = "a ballot is released while its question for promises waits for the disk";
    PROMISE_OF_EARLIER_LIFE = "a node's first words after a restart report votes of its earlier life";
    PROMISE_REPLACED = "a candidate asks again while the first answer waits for the disk";

    // learner.rs
    CHOSEN_UNKNOWN_HERE = "a leader says that an instance is chosen where an acceptor holds another ballot's value";
    EXECUTED_WHAT_WAS_LOST = "what the disk lost before it was executed comes from a peer";
    VOTE_TOLD = "a node tells its vote to one that knows the instance to be chosen, and lost the value";
    LEARN_BELOW_CLEANED = "a node asks for values that were cleaned";
    LEARN_FROM_ANOTHER = "a node that asked a silent peer asks another one";
    LEARN_ANSWER_LATE = "who was given up for silent answers, and is asked again";
    LEARN_FROM_THE_MUTE = "all who are ahead were asked in vain, and are asked again in turn";
    LEARN_FROM_ANYBODY = "the only peer known to be ahead had nothing to give, so another one is asked";
    LEARN_FROM_DISK = "a peer asks for values that have left memory";
    LEARN_NOTHING_NEW = "a peer that was asked has nothing to give";
    LEARNED_INSTEAD = "a chosen value is learned where another was accepted";
    LEARNED_WHAT_WAS_LOST = "a chosen value is learned where the disk had lost one";

    // lease.rs
    LEASE_LAPSED = "a leader gives up its lease, since the membership changes";
    LEASE_RELEASED = "a leader releases a lease that had not run out";
    QUIET_AFTER_START = "a node promises nothing for a while after a start";

    // master/
    MASTER_ASKS = "a node asks for the mastership";
    MASTER_CHANGED = "the mastership changes hands";
    MASTER_FORGOT_ASKING = "an acquisition is chosen that this process does not remember asking for";
    MASTER_OF_EARLIER_LIFE = "the mastership is that of an earlier process of this node";
    MASTER_RELEASED = "the master releases the mastership";
    MASTER_RENEWS = "the master renews its lease";
    MASTER_WAITS_FOR_ITS_ORDER = "a node does not ask for the mastership again, since its last order is still under way";
    MASTER_TOO_LATE = "an acquisition or release builds on a mastership that is over";
    // mender.rs
    WANTED_WHAT_WAS_LOST = "a peer asks for a value that the disk lost after it was executed";

    // origin.rs
    DEADLINE_PASSED = "a proposal's deadline passes";
    DEADLINE_PASSED_UNSENT = "a proposal's deadline passes before there was a leader to take it";
    FORWARDED = "commands go to a leader elsewhere";
    FORWARDED_AGAIN = "commands are handed to the same leader again";
    FORWARDED_TO_SECOND_LEADER = "a command is handed to a second leader";
    PROPOSAL_REFUSED_BYTES = "a proposal is refused, since those that wait have too many bytes";
    PROPOSAL_REFUSED_COUNT = "a proposal is refused, since too many wait";
    PROPOSAL_REFUSED_DISK_FULL = "a proposal is refused, since the disk of its node is full";
    PROPOSAL_REFUSED_NOT_MEMBER = "a proposal is refused, since this node's memory is not in the group";
    PROPOSAL_REFUSED_TOO_LARGE = "a proposal is refused, since it is too large";
    REFUSAL_DECIDES_NOTHING = "a leader refuses a command that another leader had as well";
    RESULT_TOO_LATE = "a command of this node is executed that nobody waits for any more";

    // asking.rs, group/turn.rs, proposer/change.rs, proposer/turn.rs
    ADOPTS_MEMBERSHIP = "a new leader proposes a membership entry again";
    ASKS_AROUND = "a node without a vote hears no leader, and asks who else knows more";
    CANVASS_PUT_OFF_TO_LEARN = "a node that lost values below its newest membership does not ask to lead";
    CANVASS_OF_A_STRANGER = "a node asks to lead that votes in no membership known here";
    CHANGE_CAME_TOO_LATE = "a change was asked for of a version that is over";
    CHANGE_GIVEN_UP = "a leader drops a change that nobody asks for any more";
    CHANGE_LATE = "a change's deadline passes";
    CHANGE_WAITS_FOR_ANOTHER = "a change is asked for while the leader is at another";
    DRAINED_IN_VAIN = "a window was drained for a change whose members did not catch up";
    ERA_BEGINS_IN_PHASE_1 = "a candidate learns that other members vote from here on";
    ERA_OPENED = "a leader asks the new members for promises";
    HELD_BY_A_FORMER_MEMORY = "a memory that is no member does not hold the entry that named the one which is";
    HELD_BY_WHO_LEFT = "late word comes of a memory that has left the membership";
    LEADER_UNKNOWN_HERE = "a leader speaks that votes in no membership known here";
    MEMBERSHIP_PROPOSED = "a leader proposes another membership";
    MEMBERSHIP_WITHOUT_EFFECT = "a membership entry is chosen for a version that is over";
    PROMISE_WITHOUT_THE_ENTRY = "a promise does not count, since its voter lacks some of the log";
    READ_WHILE_SHUT = "a read comes while a membership entry is not settled";
    REMOVED = "a node learns that it is no member any more";
    REMOVED_LEADER_HANDS_OVER = "a leader has completed its own removal";
    RESTARTED_BELOW_ITS_MEMBERSHIP = "a node restarts with a membership that begins above its chosen prefix";
    SWAP_IN = "a leader swaps in a node that has taken a new memory";

    // proposer/
    ADOPTS_CHOSEN = "a new leader proposes a value again that was reported as chosen";
    ADOPTS_LOWER_BALLOT = "a new leader proposes a value of a lower ballot again";
    BATCH_FULL = "a batch of commands ends at a limit";
    COMMAND_TAKEN_BEFORE = "a command comes to a leader that has taken it already";
    GAP_FILLED_WITH_NOOP = "a new leader fills a gap with a no-op";
    LOST_BUT_HARMLESS = "a vote for a lost value does not matter, since no quorum can have voted for it";
    LOST_BUT_KNOWN = "a vote for a lost value does not matter, since another promise reports one as high";
    LOST_IN_THE_WAY = "a candidate waits, since a lost value may have been chosen";
    PEER_BACK = "a peer that was too far behind for accepts has caught up";
    PEER_TOO_FAR_BEHIND = "a peer is too far behind for accepts";
    PREPARE_REPEATED = "a candidate asks again those who have not answered";
    PROMISE_OF_OLD_PAGE = "a page of a promise comes that is not asked for any more";
    PROMISED_REMINDED = "a candidate that is told page after page reminds those who have told it all";
    PROMISE_ODD = "a page of a promise says what no acceptor says";
    QUEUE_FULL = "a leader's queue is full";
    QUEUE_FULL_SPREAD = "a leader's queue is full for a command that another leader had as well";
    QUEUE_REFUSED_BEFORE = "a command comes again that the same leader has refused";
    REPEATS_ACCEPT = "a leader repeats a proposal to one who has not voted";
    REPORTS_DIFFER = "two promises report different ballots at an instance";
    TRANSFER_DROPPED = "a transfer is dropped, since the window did not empty in time";
    TRANSFER_WAITS = "a leader is asked to hand over while its window is open";
    WINDOW_BYTES_FULL = "a leader's window is full of bytes";
    WINDOW_FULL = "a leader's window is full";
    WRITES_FULL = "a leader does not propose, since too many writes are in flight";

    // reads.rs
    QUESTION_DROPPED = "a leader steps down while somebody waits for a read point";
    QUESTION_REPLACED = "a node asks for a read point again before it was answered";
    READ_ANSWERED = "a read is served after a round to a quorum";
    READ_BY_LEASE = "a read is served by a lease";
    READ_ANSWER_OF_EARLIER_LIFE = "a read point comes that an earlier life of this node asked for";
    READ_ASKED_AGAIN = "a node asks for a read point again, or a new leader";
    READ_BEYOND_CHOSEN = "a read waits for values that a new leader took over and does not know chosen";
    READ_FORWARDED = "a read asks a leader elsewhere";
    READ_AT_A_REMOVED_NODE = "a node that knows that it was removed is asked to read";
    READ_LATE = "a read's deadline passes";
    READ_STALE = "a read that may be stale is served from the last answer";
    READ_REFUSED = "a read is refused, since too many wait";
    READ_WAITS_AT_A_REMOVED_NODE = "a node learns that it was removed while reads wait there";

    // recall.rs
    RECALLED_BY_BALLOT = "a lost value is found by a vote in the ballot in which it was accepted";
    RECALLED_BY_A_QUORUM = "a lost value is found as the highest vote of a quorum";
}

#[cfg(all(test, feature = "marks"))]
mod tests {
    use super::*;

    #[test]
    fn a_mark_counts_how_often_it_is_met() {
        let mark = Mark::new("DOOR_OPEN", "the door is open");
        assert_eq!(mark.hits(), 0);
        mark.hit();
        mark.hit();
        assert_eq!((mark.name(), mark.about(), mark.hits()), ("DOOR_OPEN", "the door is open", 2));
    }
}
