//! How soon each mark must be met.

use std::fmt;

/// What is expected of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// So many seeds of the default mix suffice, with a wide margin.
    Within(u64),
    /// Seeds do not get there, for this reason.
    Elsewhere(&'static str),
}

impl Reach {
    /// What is expected of the mark with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        if let Some((_, why)) = ELSEWHERE.iter().find(|(other, _)| *other == name) {
            return Self::Elsewhere(why);
        }
        let rare = RARE.iter().find(|(names, _)| names.contains(&name));
        Self::Within(rare.map_or(OFTEN, |(_, seeds)| *seeds))
    }

    /// Whether it should have been met after so many seeds.
    #[must_use]
    pub const fn is_due(self, seeds: u64) -> bool {
        match self {
            Self::Within(budget) => budget <= seeds,
            Self::Elsewhere(_) => false,
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Within(seeds) => write!(f, "within {seeds} seeds"),
            Self::Elsewhere(why) => f.write_str(why),
        }
    }
}

/// Every name in the lists below.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let rare = RARE.iter().flat_map(|(names, _)| names.iter().copied());
    rare.chain(ELSEWHERE.iter().map(|(name, _)| *name))
}

/// The budget of a mark that is in no list: `cargo test` runs so many seeds.
const OFTEN: u64 = 300;

/// Marks that need more: by far more seeds than it takes to meet them once.
const RARE: &[(&[&str], u64)] = &[
    (
        &[
            "ACCEPT_DROPPED_DISK_BUSY",
            "ACCEPT_OF_CHOSEN_RAISES_PROMISE",
            "ACCEPT_TOO_FAR",
            "ACCEPT_TOO_LARGE",
            "BATCH_BEFORE_LAST_UNREADABLE",
            "CANVASS_PUT_OFF_DISK_FULL",
            "CHANGE_CAME_TOO_LATE",
            "CHANGE_LATE",
            "CHANGE_WAITS_FOR_ANOTHER",
            "CLONE_SEEN",
            "ERA_OPENED",
            "FORMING_LATE_ANSWER",
            "GAP_FILLED_WITH_NOOP",
            "HELD_BY_A_FORMER_MEMORY",
            "INSTALL_DEPOSES",
            "INSTALL_OVERTAKES_CHECKPOINT",
            "LAST_BATCH_CUT",
            "LEADER_HANDS_OVER_DISK_FULL",
            "LEADER_HANDS_OVER_DISK_STALLED",
            "LEADER_LEARNS_OWN_VALUE",
            "LEADER_OUTBID_BY_NACK",
            "LEADER_UNKNOWN_HERE",
            "LEARN_FROM_ANYBODY",
            "LEARN_NOTHING_NEW",
            "LEARN_WITHOUT_ROOM",
            "LEASE_LAPSED",
            "LOG_HAS_ROOM_AGAIN",
            "LOG_REFUSED",
            "LOST_VALUE_MOVED",
            "MASTER_FORGOT_ASKING",
            "MEMBERSHIP_PROPOSED",
            "OBSOLETE_SEGMENT_REMOVED",
            "PEER_BACK",
            "PEER_TOO_FAR_BEHIND",
            "PREPARE_DROPPED_DISK_BUSY",
            "PROMISED_REMINDED",
            "PROMISE_PAGED",
            "PROPOSAL_REFUSED_BYTES",
            "PROPOSAL_REFUSED_DISK_FULL",
            "PROPOSAL_REFUSED_NOT_MEMBER",
            "QUEUE_FULL_SPREAD",
            "QUEUE_REFUSED_BEFORE",
            "READ_ANSWER_OF_EARLIER_LIFE",
            "READ_AT_A_REMOVED_NODE",
            "READ_FROM_COPY",
            "READ_REFUSED",
            "READ_WHILE_SHUT",
            "REFUSAL_DECIDES_NOTHING",
            "REFUSED_BEFORE_ENTRY",
            "REMOVED",
            "REPORTS_DIFFER",
            "SECTOR_UNREADABLE",
            "SPARE_PUT_OFF_DISK_FULL",
            "STARTED_WITHOUT_A_VOTE",
            "START_PUT_OFF_DISK_FULL",
            "SWAP_IN",
            "TAIL_TORN",
            "TORN_SEGMENT_REMOVED",
            "TRANSFER_FAILED",
            "TRANSFER_FROM_ANOTHER",
            "TRANSFER_GOES_ON",
            "TRANSFER_OVERTAKEN",
            "TRANSFER_TOO_MANY_READERS",
            "VALUE_LOST",
            "WRITES_FULL",
        ],
        3_000,
    ),
    (
        &[
            "ADOPTS_CHOSEN",
            "ADOPTS_MEMBERSHIP",
            "CANDIDATE_GIVES_UP_DISK_FULL",
            "CANVASS_OF_A_STRANGER",
            "CHANGE_GIVEN_UP",
            "COMMAND_OF_THE_PAST",
            "DRAINED_IN_VAIN",
            "HEADER_ONE_COPY_BAD",
            "HELD_BY_WHO_LEFT",
            "INSTALL_CHANGES_MEMBERSHIP",
            "LARGE_BATCH_DAMAGED",
            "LEARNED_WHAT_WAS_LOST",
            "LOST_BUT_KNOWN",
            "PROMISE_REPORTS_LOST",
            "READ_MENDED",
            "READ_WAITS_AT_A_REMOVED_NODE",
            "PROMISE_WITHOUT_THE_ENTRY",
            "REMOVED_LEADER_HANDS_OVER",
            "RESTARTED_WITHOUT_VALUE",
            "RUN_PUT_OFF_DISK_FULL",
            "TRANSFER_DROPPED",
            "TRANSFER_GONE",
            "TRANSFER_OFFER_REFUSED",
            "TRANSFER_OVERTAKEN_BY_LEARNING",
            "TRANSFER_RESUMED_AFTER_RESTART",
        ],
        30_000,
    ),
    (
        &[
            "ERA_BEGINS_IN_PHASE_1",
            "FETCH_OUTDATED",
            "FETCH_REPLACED",
            "PROMISE_FROM_DISK_OUTDATED",
            "RESTARTED_BELOW_ITS_MEMBERSHIP",
        ],
        100_000,
    ),
];

/// Marks that seeds do not meet.
const ELSEWHERE: &[(&str, &str)] = &[
    ("ACCEPTED_BELOW_HINT", NO_ROT),
    ("ACCEPT_WHERE_ANOTHER_WAS_LEARNED", TWO_LEADERS),
    ("ACCEPT_WHERE_LOST", NO_ROT),
    ("CANVASS_PUT_OFF_TO_LEARN", NO_ROT),
    ("CANVASS_LEFT_TO_OTHERS", NO_ROT),
    ("CHECKPOINT_FOR_A_PEER", NO_ROT),
    ("CHECKPOINT_TAKEN_AGAIN", NO_ROT),
    ("CHAIN_BROKEN", NO_ROT),
    ("DEPOSED_BEYOND_WINDOW", TWO_LEADERS),
    ("DEPOSED_BY_FOREIGN_VALUE", TWO_LEADERS),
    ("CHECKPOINT_DAMAGED", NO_ROT),
    ("CHECKPOINT_WRITTEN_BADLY", NO_ROT),
    ("DIGESTS_DIFFER", "no machine here is wrong; tests of the core and of nodes"),
    ("DIVERGED", "no machine here is wrong; tests of the core and of nodes"),
    ("EXECUTED_WHAT_WAS_LOST", NO_ROT),
    ("FORMING_CLUSTERS_DIFFER", FORMED),
    ("FORMING_FOUNDERS_DISAGREE", FORMED),
    ("FORMING_MEMORY_CHANGED", FORMED),
    ("INSTALL_FOR_LOST_VALUES", NO_ROT),
    ("INSTALL_REFUSED", "it would have to be learned while it is verified; torture of the core"),
    ("LEARN_WHAT_THE_MEMBERSHIP_TELLS", NO_ROT),
    ("LOST_BUT_HARMLESS", NO_ROT),
    ("LOST_IN_THE_WAY", NO_ROT),
    ("MEMBERSHIP_WITHOUT_EFFECT", ASKED_BEFORE),
    (
        "PREPARE_RETRACTED",
        "a disk would have to stand still just before a node leads; the preset rivals",
    ),
    ("PROMISE_ODD", "no node says so: nobody lies here; unit tests"),
    ("READ_BESIDE_CLEANING", ONE_THREAD),
    ("READ_BESIDE_FORGETTING", ONE_THREAD),
    ("READ_LOST", NO_ROT),
    ("RECALLED_BY_A_QUORUM", NO_ROT),
    ("RECALLED_BY_BALLOT", NO_ROT),
    ("REFUSED_WHILE_RUNNING", "whoever could tell is reached in time here; tests of the world"),
    ("VOTE_TOLD", NO_ROT),
    ("WANTED_WHAT_WAS_LOST", NO_ROT),
];

const ASKED_BEFORE: &str = "a leader asks of an entry what the log will ask, before it proposes it at the one instance where it \
     can be chosen; tests of entries";
const FORMED: &str = "all founders are given one list, and keep their memory; tests of forming";
const NO_ROT: &str =
    "few disks of the mix rot; the preset worn, scenarios of the core, tests of the log";
const ONE_THREAD: &str = "nothing is read beside the writer; tests of the log";
const TWO_LEADERS: &str =
    "a leader would have to miss a whole election; the preset rivals, scenarios of the core";
