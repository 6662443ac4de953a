/*
 * The journal of one shard: append-only, makes a request durable before it is answered. Frames are addressed
 * by LSN, their byte position in the shard's infinite log; the log lives in a set of recycled files of fixed
 * size that were written with zeros once (src/store/FORMAT.md, "Journal").
 *
 *   journal_open()      locks nothing, reads the files' headers, removes half-made files, believes no frame
 * yet journal_replay()    walks from the sealed LSN to the tail, hands every BATCH frame to the visitor
 *   journal_start()     writes the GENERATION frame; from here on the journal takes frames
 *   journal_append() ...
 *   journal_release()   what is below the sealed LSN may be recycled
 *   journal_resume()    after a failed write: goes on, in another file
 *   journal_close()     after everything in flight has landed (journal_idle())
 *
 * Frames become durable in LSN order: done callbacks run in the order of the appends. After a failed write
 * every pending and later frame fails with ERR_READ_ONLY until journal_resume(). What failed so may be found by a
 * recovery, unless the first frame after the resumption is durable: then it is gone for good.
 */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct io;
struct io_dir;
struct metrics;
struct journal;

enum {
    JOURNAL_FRAME_HEADER_BYTES = 64,
    JOURNAL_SMALL_BYTES = 64 * 1024, /* bodies up to this are copied into the commit buffer */
};

struct journal_config {
    uint16_t shard;
    uint64_t file_bytes;           /* multiple of 4096; default 64 MiB */
    uint64_t cap_bytes;            /* files beyond this are never made; default 1 GiB */
    uint64_t body_bytes_max;       /* largest body that will be appended */
    unsigned writes_in_flight_max; /* 1..4, default 2 */
    uint64_t further_bytes;        /* a write beside another goes out when so much waits; 0: whatever waits */
    struct metrics *metrics;       /* borrowed; may be NULL */
    bool look; /* for who only looks: nothing is written, removed or synced, and journal_start() may
                                      not be called */
};

/* What ingest decided about a request; kept in the frame, never decided again at replay. */
struct journal_batch {
    uint64_t arrival_ns;  /* wall clock */
    uint32_t span_count;  /* accepted spans */
    uint32_t plain_bytes; /* body bytes after decompression */
    uint8_t codec;        /* enum journal_codec: how the stored body is compressed */
    uint8_t content_type; /* enum journal_content */
};
enum journal_codec {
    JOURNAL_CODEC_NONE = 0,
    JOURNAL_CODEC_GZIP = 1,
    JOURNAL_CODEC_ZLIB = 2,
    JOURNAL_CODEC_ZSTD = 3,
    JOURNAL_CODEC_SNAPPY = 4,
};
enum journal_content {
    JOURNAL_CONTENT_PROTOBUF = 0,
    JOURNAL_CONTENT_JSON = 1, /* of OTLP */
    JOURNAL_CONTENT_ZIPKIN = 2,
};

/*
 * One append in flight, embedded in its owner. body is borrowed until done has run.
 * A body longer than JOURNAL_SMALL_BYTES is written in place: body.ptr must lie JOURNAL_FRAME_HEADER_BYTES
 * behind an address aligned to 4096, and the owner lends those 64 bytes and the bytes up to the next multiple
 * of 4096 behind the body (they are overwritten). Smaller bodies may lie anywhere and are copied before
 * journal_append() returns.
 */
struct journal_append {
    void (*done)(struct journal_append *append, enum err err); /* runs from io_turn(), in LSN order */
    struct slice body;
    struct journal_batch batch;
    uint64_t lsn_end; /* set by journal_append(): the commit position; durable LSN >= lsn_end once done */
    /* private */
    struct journal_append *next;
    uint64_t lsn;
    uint8_t type;
    bool in_place, starts_group, starts_file;
};

enum err journal_open(struct io *io, struct io_dir *dir, const struct journal_config *config,
                      struct journal **out);

struct journal_report {
    uint64_t frames, batches, spans;
    uint64_t lsn_tail;       /* where writing goes on */
    uint64_t missing_bytes;  /* 0: clean. Otherwise a damaged middle: bytes between the bad frame and later
                                evidence */
    uint64_t damaged_at_lsn; /* valid when missing_bytes > 0 */
    uint64_t short_files;    /* files that have lost their end; what stood there is gone */
    /* 0: fine. Otherwise so many bytes are sealed, as the journal knows, but in no block of the catalog: the
     * blocks were lost, and the journal has recycled the files. */
    uint64_t unsealed_bytes;
};
typedef enum err journal_visit_fn(void *context, const struct journal_batch *batch, struct slice body,
                                  uint64_t lsn, uint64_t lsn_end);
/*
 * Walks frames from sealed_lsn. visit may fail, which ends the walk with its error. progress (may be NULL) is
 * told bytes done now and then. With accept_damage false, a damaged middle ends in ERR_CORRUPT with the
 * report filled in; with true the frames after it are visited too.
 */
enum err journal_replay(struct journal *journal, uint64_t sealed_lsn, bool accept_damage,
                        journal_visit_fn *visit, void *context, struct journal_report *report);
/* Durable GENERATION frame at the tail; spare files made as needed. */
enum err journal_start(struct journal *journal);

/*
 * Queues one frame; it goes out with the next journal_flush() (natural batching: while writes_in_flight_max
 * writes are out, or one and less than further_bytes wait, frames gather). ERR_FULL: the cap is reached, nothing was queued; ERR_READ_ONLY after a
 * failure.
 */
enum err journal_append(struct journal *journal, struct journal_append *append);
/* Submits what may go out now. Called once per turn of the shard after all appends. */
void journal_flush(struct journal *journal);
/*
 * The shard has had nothing to do for about a second, or is about to stop: queues one small frame that proves
 * that everything before it is durable, so that rot in the last group is found at the next start. Nothing
 * happens when the last frame is such a note already, or while frames are under way.
 */
void journal_note_idle(struct journal *journal);

uint64_t journal_durable_lsn(const struct journal *journal);
uint64_t journal_end_lsn(const struct journal *journal); /* position of the next frame */
bool journal_read_only(const struct journal *journal);
bool journal_idle(const struct journal *journal);
/* Bytes between the sealed LSN and the end, and the cap: admission answers 503 at 80 %. */
uint64_t journal_pinned_bytes(const struct journal *journal);

/* Everything below is in durable blocks: files wholly below it are recycled. Never moves back. */
void journal_release(struct journal *journal, uint64_t sealed_lsn);
/*
 * True when the next file should be prepared (zero-written) by a background thread: it calls
 * journal_prepare_file() with its own io; the shard then adopts the file. Thread-safe hand-over inside. At
 * most one preparation runs at once: a second call meanwhile returns OK and does nothing. ERR_NO_SPACE,
 * ERR_IO: nothing is left behind, call again later.
 */
bool journal_wants_file(const struct journal *journal);
enum err journal_prepare_file(struct journal *journal, struct io *background);

/*
 * The way out of a failure. The file whose write failed is not written again in this life. While the journal is read-only
 * and idle, journal_wants_file() asks for one more file: that it could be made, synced and named proves that the disk takes
 * writes again. Once it is adopted (by journal_flush()) journal_may_resume() is true, and journal_resume() queues a
 * GENERATION frame that takes up the log where it is durable; frames are accepted behind it. Each failure costs a file until
 * the process is restarted; when there may be no more of them, the journal stays read-only.
 */
bool journal_may_resume(const struct journal *journal);
void journal_resume(struct journal *journal);
/* How long the oldest write that is under way has been waiting for the disk; 0: none is. */
uint64_t journal_waiting_ns(const struct journal *journal);

/* Nothing may be in flight and no preparation running. */
void journal_close(struct journal *journal);

#endif
