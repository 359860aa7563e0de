//! The rules in words, for somebody who sees a broken one for the first time.

/// What a broken rule means.
#[must_use]
pub(super) fn in_words(rule: &str) -> &'static str {
    let found = WORDS.iter().find(|(name, _)| *name == rule);
    found.map_or("A rule that every run has to keep was broken.", |(_, words)| words)
}

/// By the rules' names.
pub(super) const WORDS: &[(&str, &str)] = &[
    (
        "acknowledged",
        "What a client was told did not stay true: an acknowledged command is not where it was said to be, or a refused one was chosen after all.",
    ),
    (
        "answers",
        "A request was answered twice, or with an answer that does not fit what was asked.",
    ),
    (
        "ballots",
        "A ballot belongs to one node in one of its lives. This one was used by somebody else, or again after it had been given up.",
    ),
    (
        "changes",
        "A change of the membership was taken for complete before a quorum of the new voters held the log. The old ones might have been thrown away.",
    ),
    (
        "digests",
        "Nodes that executed the same log have other digests of it, or of the state that it led to.",
    ),
    ("bounds", "A queue, a batch or a cache grew past its limit."),
    (
        "budget",
        "The run takes far more events than it should: the nodes keep each other busy without getting anywhere.",
    ),
    (
        "choices",
        "Two different values for one place in the log, or something taken for chosen that no quorum of disks holds. This is what consensus must never do.",
    ),
    (
        "checkpoints",
        "A node's log says that it starts from a checkpoint, and the files of that are gone or do not open, though nobody harmed the disk.",
    ),
    ("codec", "A node got bytes that it cannot read, though nobody damaged them."),
    ("damage", "A node says that its disk lost something, though nobody harmed that disk."),
    ("deadlines", "A node still sits on a request whose deadline has passed."),
    ("determinism", "The same plan was run twice and did not do the same both times."),
    (
        "disk",
        "A node vouched for something that is not on its disk, or lost something that was. If the power failed now, it would break its word.",
    ),
    (
        "excuse",
        "The cluster works, and the disks say that it might be stuck: one of the two is wrong.",
    ),
    ("failed", "A group met something that cannot be, and stopped itself."),
    (
        "files",
        "What a node would read from its disk is not what it believes, or lacks something chosen.",
    ),
    ("founding", "Two nodes disagree about what their cluster was founded from."),
    (
        "hellos",
        "A process was taken for what it is not, voted after it was refused, or did not wait for word.",
    ),
    ("incarnations", "A node took a new identity as a voter though it had lost nothing."),
    ("invariants", "What a user wants to be true of a state machine, or of its answers, is not."),
    (
        "liveness",
        "The faults are over, and the cluster still does not answer, or its nodes do not agree.",
    ),
    ("log", "A log on disk does not open, write or read as it must."),
    (
        "leases",
        "Two processes hold a read lease at once, or one comes to lead beside a lease, or who votes changes under it: local reads may be stale.",
    ),
    (
        "machines",
        "A state machine answered with an error, or was handed something that it must not see.",
    ),
    (
        "mandates",
        "A node leads, or proposes, without the promises of a quorum of those who vote there.",
    ),
    ("masters", "Two processes take themselves for the master at once."),
    ("once", "A command was executed twice, or commands were executed out of their order."),
    (
        "order",
        "An answer contradicts real time: something that had finished before is not seen by what began later.",
    ),
    (
        "outputs",
        "A state machine gave another output than the same commands give elsewhere: it is not deterministic.",
    ),
    ("panic", "The code itself found that something is wrong, and stopped."),
    (
        "promises",
        "A node went back on a promise: it promised or accepted below a ballot that it had promised before.",
    ),
    ("quiet", "A cluster that has nothing to do says or writes more than its heartbeats."),
    (
        "reads",
        "A state machine answered a query with something else than the log says at that place.",
    ),
    ("reference", "What was executed is not what the chosen log says when other code replays it."),
    (
        "reports",
        "A node promised without reporting something that it had accepted. A new leader could overwrite a chosen value.",
    ),
    (
        "search",
        "No order of the operations explains what the clients saw: the history is not linearizable.",
    ),
    ("start", "A node could not start a group from what its disk holds."),
    ("states", "Two nodes executed the same instances and came to different states."),
    ("storm", "Somebody asked to lead sooner than its timeout allows, or when all was well."),
    ("values", "One ballot brought two different values to one place in the log."),
    (
        "voters",
        "Somebody voted or led who is not a member, or not with the memory that it was admitted with.",
    ),
];
