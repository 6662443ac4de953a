/*
 * A store to ask: live blocks and sealed blocks over a simulated disk, without shards and sockets. Bodies are
 * OTLP requests; each goes whole into the block that is open.
 *
 *   store_open() -> store_begin(), store_add() ..., store_end(sealed or live), ... -> store_ask() -> store_close()
 */
#ifndef TEST_QUERY_STORE_H
#define TEST_QUERY_STORE_H

#include "io/sim.h"
#include "work.h"

enum { STORE_LIVE_MAX = 4 };

struct store {
    struct sim *sim;
    struct io *io;
    struct io_dir *dir;
    struct catalog *catalog;
    struct live_block *live[STORE_LIVE_MAX];
    struct live_block *open; /* being filled */
    unsigned live_count;
    struct block_encoder *encoder;
    struct otlp_decoder *decoder;
    uint64_t seq;
    uint64_t arrival_ns;

    struct query_config config;
    struct otlp_json *otlp_json;
    struct page_fields *page;
    struct block_cache cache;
    struct names_cache *names;
    struct live_view views[STORE_LIVE_MAX];
    atomic_bool stopping;
};

void store_open(struct store *store);
void store_close(struct store *store);
/* Forgets all spans; live blocks keep their memory. */
void store_reset(struct store *store);
/* Blocks will be read again, and their names. */
void store_forget_blocks(struct store *store);

void store_begin(struct store *store);
void store_add(struct store *store, struct slice body);
enum store_fate { STORE_LIVE, STORE_SEALED };
void store_end(struct store *store, enum store_fate fate);
/* The stories' 60 spans in three blocks, live or sealed by the bits of fates, in place of what was there. */
struct stories;
void store_place(struct store *store, const struct stories *stories, unsigned fates);
/* Writes the footer of the open segment, so that filters are asked on disk. */
void store_close_segment(struct store *store);

/* What came out; text, with a terminating zero, is malloc'ed; NULL unless err is OK. */
struct asked {
    enum err err;
    char *text;
    size_t len;
    struct coverage coverage;
    bool truncated;
    char message[512];
};
/* kind of question, trace id for REQUEST_TRACE (else NULL), query string as in the URL. */
struct asked store_ask(struct store *store, enum request_kind kind, const char *trace_id, const char *query);
struct asked store_ask_protobuf(struct store *store, const char *trace_id);
void asked_free(struct asked *asked);

#endif
