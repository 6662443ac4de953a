/*
 * Seeded bugs: a test suite that has never failed proves little. Each is one line of wrong behaviour at the
 * place where it could be written by mistake, switched on by the crash campaign (tools/crash-campaign --bug
 * NAME), which must then fail. They exist only in builds with SPANMILL_SEEDED_BUGS; in any other SEEDED_BUG()
 * is the constant 0 and the compiler removes the branch.
 */
#ifndef BASE_SEEDED_BUG_H
#define BASE_SEEDED_BUG_H

/*  name                     where            what goes wrong */
#define SEEDED_BUG_TABLE(X)                                                                                  \
    X(ANSWER_BEFORE_DURABLE, "shard/ingest", "a request is answered when its frame is queued")               \
    X(PUBLISH_EARLY, "shard/ingest", "rows are visible before their frame is durable")                       \
    X(REUSE_JOURNAL_FILE, "shard/backlog", "journal files are released when a block is closed, not sealed")  \
    X(SEAL_OUT_OF_ORDER, "shard/live_set", "the newest closed block is sealed first")                        \
    X(FORGET_LIVE_BLOCK, "shard/backlog", "a block whose seal failed leaves the live set")                   \
    X(SKIP_BODY_CRC, "store/journal", "a frame's body is believed without its checksum")                     \
    X(NO_CHAIN, "store/journal", "a frame need not follow the frame before it")                              \
    X(ACCEPT_OLD_GENERATION, "store/journal", "a frame of an older generation is accepted")                  \
    X(NO_DSYNC, "store/journal", "journal writes are not synchronous")                                       \
    X(NO_JOURNAL_DIR_SYNC, "store/journal", "a new journal file's name is not synced")                       \
    X(ANSWER_OUT_OF_ORDER, "store/journal", "a write that lands first is answered first")                    \
    X(SKIP_BLOCK_CRC, "store/segment", "recovery of an open segment believes blocks unchecked")              \
    X(NO_SEGMENT_SYNC, "store/segment", "a block is published before its segment is synced")                 \
    X(NO_SEGMENT_DIR_SYNC, "store/segment", "a new segment's name is not synced")

enum seeded_bug {
    SEEDED_BUG_NONE,
#define X(name, where, what) BUG_##name,
    SEEDED_BUG_TABLE(X)
#undef X
};

#ifdef SPANMILL_SEEDED_BUGS
extern enum seeded_bug seeded_bug;
/* SEEDED_BUG_NONE when there is no such name. */
enum seeded_bug seeded_bug_by_name(const char *name);
#define SEEDED_BUG(name) (__builtin_expect(seeded_bug == BUG_##name, 0))
#else
#define SEEDED_BUG(name) 0
#endif

#endif
