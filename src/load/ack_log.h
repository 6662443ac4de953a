/*
 * The acknowledgement log: one line for each request that the server has said OK to, with what it takes to
 * make that request again. Text, appended to; several runs may follow one another in a file.
 *
 *   run seed=1 run=170 profile=shop services=50 bodies=64 spans=512 giant=20000 checksum=9f… corpus=/path
 *   a 0 17 1750000000000000000        acknowledged: round, body, the round's time
 *   p 0 18 1750000000000000000 3      the same, but 3 spans of it rejected: which ones nobody knows
 *
 * Writing: ack_log_open, ack_log_begin, ack_log_add …, ack_log_flush once per turn of the loop,
 * ack_log_close. A line that was flushed survives the death of this process. Reading: ack_log_read() with a
 * callback for each run.
 */
#ifndef LOAD_ACK_LOG_H
#define LOAD_ACK_LOG_H

#include "load/stock.h"
#include "proto.h"

struct ack_log {
    int fd; /* -1: no log */
    struct buffer pending;
};

/* Appends to the file, or makes it. */
enum err ack_log_open(const char *path, struct ack_log *log);
void ack_log_begin(struct ack_log *log, const struct stock_config *config, uint64_t checksum);
void ack_log_add(struct ack_log *log, uint64_t round, uint32_t body, uint64_t time_ns, uint64_t rejected);
enum err ack_log_flush(struct ack_log *log);
void ack_log_close(struct ack_log *log);

struct ack {
    uint64_t round;
    uint64_t time_ns;
    uint32_t body;
    bool whole; /* no span rejected */
};

/* One run of a log: how its stock was made and what was acknowledged. */
struct ack_run {
    struct stock_config config; /* corpus_path points into corpus */
    uint64_t checksum;
    char corpus[4096];
    struct buffer acks; /* struct ack, in the order of the log */
};

/*
 * Reads the next run from the text and moves *text behind it. ERR_NOT_FOUND when there is none, ERR_MALFORMED
 * when a line is not understood (a last line without its end was torn by a crash and is ignored).
 */
enum err ack_run_read(struct slice *text, struct ack_run *run);
void ack_run_deinit(struct ack_run *run);

#endif
