/*
 * Seeded bugs: a test suite that has never failed proves little. Each is one line of wrong behaviour at the
 * place where it could be written by mistake, switched on by the crash campaign or the fault matrix
 * (tools/crash-campaign --bug NAME), one of which must then fail. They exist only in builds with SPANMILL_SEEDED_BUGS; in any other SEEDED_BUG()
 * is the constant 0 and the compiler removes the branch.
 *
 * Not in the list are bugs that another defence makes harmless: a frame that does not follow its chain has an
 * older generation, too, and the other way round, so only the loss of both checks can be seen (ACCEPT_ANY_FRAME).
 */
#ifndef BASE_SEEDED_BUG_H
#define BASE_SEEDED_BUG_H

/*  name                     where            what goes wrong */
#define SEEDED_BUG_TABLE(X)                                                                                  \
    X(ANSWER_BEFORE_DURABLE, "shard/ingest", "a request is answered when its frame is queued")               \
    X(PUBLISH_EARLY, "shard/ingest", "rows are visible before their frame is durable")                       \
    X(REUSE_JOURNAL_FILE, "shard/backlog",                                                                   \
      "the journal is released when a seal begins, not when it is done")                                     \
    X(FORGET_LIVE_BLOCK, "shard/backlog", "a block whose seal failed leaves the live set")                   \
    X(SEAL_OUT_OF_ORDER, "shard/live_set", "the second oldest block is sealed first")                        \
    X(REPLAY_ALL, "shard/recovery", "replay begins at the start, not at the sealed LSN")                     \
    X(SKIP_BODY_CRC, "store/journal_replay", "a frame's body is believed without its checksum")              \
    X(ACCEPT_ANY_FRAME, "store/journal_replay", "neither chain nor generation of a frame is looked at")      \
    X(IGNORE_WRITE_ERROR, "store/journal", "a failed journal write counts as done")                          \
    X(NO_DSYNC, "store/journal_files", "journal writes are not synchronous")                                 \
    X(NO_JOURNAL_FILE_SYNC, "store/journal_files", "a new journal file is used before it is synced")         \
    X(NO_JOURNAL_DIR_SYNC, "store/journal_files", "a new journal file's name is not synced")                 \
    X(SKIP_BLOCK_CRC, "store/block_sections", "sections of a block are believed without their checksum")     \
    X(NO_SEGMENT_SYNC, "store/catalog_append", "a block is published before its file is synced")             \
    X(NO_SEGMENT_DIR_SYNC, "store/catalog_append", "a new segment's name is not synced")                     \
    X(KEEP_DUPLICATES, "store/catalog_open", "a block that is present twice is shown twice")                 \
    X(KEEP_REPLACED, "store/catalog_open", "what a merged segment stands for is used beside it")             \
    X(NO_MERGED_DIR_SYNC, "store/segment_merged", "inputs are removed before the output's name is durable")  \
    X(NO_LINEAGE, "store/segment_merged", "a merged segment does not say what it stands for")                \
    X(NO_POSITIONS, "store/segment_merged", "a merged segment does not say how far shards had come")         \
    X(MERGE_LOSES_LAST, "store/merge", "the last block of a merge is not written")                           \
    X(NO_LIST_SYNC, "store/list_file", "a list takes the old one's place before it is synced")               \
    X(NO_LIST_DIR_SYNC, "store/list_file", "a list's new name is not synced")                                \
    X(IGNORE_PINS, "store/pin_guard", "pins hold nothing")                                                   \
    X(REWRITE_REUSES_SEQ, "store/rewrite", "a rewrite takes the numbers of an unfinished merge")             \
    X(ERASE_FORGETS_LIVE, "store/eraser", "an erasure is done while live blocks are not sealed")             \
    X(ERASE_FORGETS_OPEN, "store/eraser", "an erasure is done while a segment is not closed")                \
    X(FOLLOW_FAILED_FRAMES, "store/journal_replay", "frames whose write had failed are taken for the log")   \
    X(KEEP_FAILED_ROWS, "shard/live_set", "rows whose journal write failed stay when the journal goes on")   \
    X(RESUME_SAME_CHAIN, "store/journal", "a journal that goes on is chained to a frame that had failed")    \
    X(RESUME_OLD_GENERATION, "store/journal", "a journal that goes on does so under its old generation")     \
    X(IGNORE_FOOTER_SYNC, "store/segment_footer", "a failed sync of a closed segment counts as done")        \
    X(NO_WATCHDOG, "shard/trouble", "a disk that does not answer is not noticed")                            \
    X(SCRUB_SKIPS_SECTIONS, "store/scrub_check", "only the header of a block is looked at")                  \
    X(SCRUB_ONLY_COUNTS, "store/scrub", "a rotten block is told, but not fenced")

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
