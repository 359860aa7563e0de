//! The marks of the log: see [`synod_core::marks`]. Empty without the feature `marks`.

synod_core::marks! {
    // log/open.rs
    HEADER_ONE_COPY_BAD = "one of the two headers of a segment is bad";
    LAST_BATCH_REPAIRED = "the last batch has one bad place, counts, and is written whole again";
    LAST_BATCH_CUT = "the last batch has a good header and two bad places, and is cut as torn";
    LOG_REFUSED = "a log is too damaged to vote with";
    OBSOLETE_SEGMENT_REMOVED = "recovery finds a segment that was freed";
    TAIL_TORN = "recovery cuts a torn tail";
    TORN_SEGMENT_REMOVED = "recovery finds a last segment without a header";
    VALUE_LOST = "recovery knows of a record and has lost its value";

    // log/scan.rs, log/format.rs
    BATCH_OF_EARLIER_SEGMENT = "a recycled segment still holds a batch of the segment it was before";
    BATCH_BEFORE_LAST_UNREADABLE = "a batch that was synced cannot be read in either copy";
    BATCH_SAVED_BY_COPY = "a batch is read, of which one copy is bad";
    CHAIN_BROKEN = "a batch with the right number does not follow from the one before";
    BLOCK_MENDED = "the only bad block of a large batch is computed from the others";
    LARGE_BATCH_DAMAGED = "a block of a large batch is bad";

    // log/writer.rs
    LARGE_BATCH = "a batch is too large to be written twice";
    LOG_FAILED = "the file system refuses something, and the log ends";
    SEGMENT_FULL = "a batch does not fit into the segment, and begins the next";

    // log/index.rs
    ACCEPTED_BELOW_HINT = "a node votes where it knew a chosen value, which its disk lost";

    // log/gaps.rs
    SECTOR_UNREADABLE = "part of a file cannot be read, and counts as rotten";

    // log/room.rs
    BATCH_WAITS_FOR_ROOM = "a batch waits, since a full disk has no room for it";
    LOG_HAS_NO_ROOM = "the disk refuses space for another segment";
    LOG_HAS_ROOM_AGAIN = "a disk that was full gives space again";

    // log/clean.rs
    CHECKPOINT_CARRIED_AHEAD = "the record of a checkpoint is written again, since its segment is freed";
    LOST_VALUE_MOVED = "cleaning comes upon a value that the disk lost, and writes down that it did";
    SEGMENT_FREED = "a segment of which nothing is live is freed";
    SEGMENT_RECYCLED = "a freed segment becomes a spare one";
    SPARE_LEFT_UNFINISHED = "recovery finds a spare segment that was not filled";
    SPARE_MISSING = "a segment begins, and no spare one is ready";
    SPARE_PUT_OFF_DISK_FULL = "no spare segment is made, since the disk is full";
    VALUES_MOVED = "live values are moved out of the oldest segment";

    // log/reader.rs
    READ_BESIDE_CLEANING = "a value was moved while it was read";
    READ_BESIDE_FORGETTING = "a value was forgotten while it was read";
    READ_FROM_COPY = "a value is read from its second copy";
    READ_MENDED = "a value is read of which a block is bad, and computed from the others";
    READ_LOST = "a value is asked for that the disk lost";

    // checkpoints/store.rs
    CHECKPOINT_WRITTEN_BADLY = "a file of a new checkpoint does not hold what the machine wrote";
    CHECKPOINT_DAMAGED = "a file of the last checkpoint does not hold what was written";
}
