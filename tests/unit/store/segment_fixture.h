/*
 * Blocks by number, and worlds to keep them in. Block number n of a shard has seq n, LSNs from n * 1000 to
 * n * 1000 + 1000, and a few spans whose ids and one attribute follow from the number; so a block that is
 * read back names itself. All live blocks are one, reused: opening one reserves a lot of address space.
 */
#ifndef TEST_STORE_SEGMENT_FIXTURE_H
#define TEST_STORE_SEGMENT_FIXTURE_H

#include "codec/wire.h"
#include "io/io.h"
#include "io/sim.h"
#include "store/block.h"
#include "store/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIXTURE_INSTANCE = 77, FIXTURE_LSN_STEP = 1000 };
static const uint64_t fixture_arrival_ns = 1700000000000000000ULL;

/* ---- blocks ------------------------------------------------------------------------------------------ */

struct fixture_block {
    struct block_encoded encoded; /* points into what follows */
    uint8_t *bytes;
    uint64_t *traces, *tokens;
};

static inline struct trace_id fixture_trace(uint16_t shard, uint64_t seq, uint32_t index)
{
    struct trace_id id = {{0}};
    const uint64_t words[2] = {((uint64_t)shard + 1) << 32 | (index + 1), seq};
    uint64_t mixed[2] = {0, 0};

    mixed[0] = words[0] * 0x9e3779b97f4a7c15ULL + seq;
    mixed[1] = words[1] + 1;
    memcpy(id.bytes, mixed, sizeof id.bytes);
    return id;
}

static inline uint64_t fixture_token(uint16_t shard, uint64_t seq)
{
    char text[48];
    snprintf(text, sizeof text, "block %u %llu", shard, (unsigned long long)seq);
    return filter_hash_token(LEVEL_SPAN, slice_text("which"), VALUE_STRING, slice_text(text));
}

static inline void fixture_span(struct wire_writer *writer, uint16_t shard, uint64_t seq, uint32_t index)
{
    const struct trace_id trace = fixture_trace(shard, seq, index);
    const uint64_t span_id = seq << 16 | (index + 1);
    char text[48];

    snprintf(text, sizeof text, "block %u %llu", shard, (unsigned long long)seq);
    const size_t pair = writer->len;
    wire_put_bytes_field(writer, 1, slice_text(text));
    wire_close_message(writer, 2, pair);
    wire_put_bytes_field(writer, 1, slice_text("which"));
    wire_close_message(writer, 9, pair);
    wire_put_fixed64_field(writer, 8, fixture_arrival_ns + index + 5);
    wire_put_fixed64_field(writer, 7, fixture_arrival_ns + index);
    wire_put_bytes_field(writer, 5, slice_text("work"));
    wire_put_bytes_field(writer, 2, slice_of(&span_id, 8));
    wire_put_bytes_field(writer, 1, slice_of(trace.bytes, 16));
}

static inline struct slice fixture_body(uint8_t *room, size_t capacity, uint16_t shard, uint64_t seq,
                                        uint32_t spans)
{
    struct wire_writer writer = {.base = room, .capacity = capacity};

    for (uint32_t i = spans; i-- > 0;) {
        const size_t span = writer.len;
        fixture_span(&writer, shard, seq, i);
        wire_close_message(&writer, 2, span);
    }
    wire_close_message(&writer, 2, 0);
    wire_close_message(&writer, 1, 0);
    assert(wire_writer_fits(&writer));
    return wire_writer_bytes(&writer);
}

static inline void *fixture_copy(const void *from, size_t len)
{
    void *const copy = aligned_alloc(4096, (len + 4096) / 4096 * 4096);
    assert(copy != NULL);
    memcpy(copy, from, len);
    return copy;
}

static inline struct fixture_block fixture_block_make(uint16_t shard, uint64_t seq, uint32_t spans)
{
    static struct live_block *live;
    static struct block_encoder *encoder;
    static struct otlp_decoder *decoder;
    static uint8_t room[1 << 20];
    struct otlp_result result;
    struct fixture_block block;

    if (live == NULL) {
        enum err err = live_open(shard, &live);
        if (err == OK) err = block_encoder_open(&encoder);
        if (err == OK) err = otlp_decoder_open(&decoder);
        assert(err == OK);
    }
    live->shard = shard;
    live_reset(live, seq, seq * FIXTURE_LSN_STEP);
    live_append_begin(live);
    const struct slice body = fixture_body(room, sizeof room, shard, seq, spans);
    enum err err = otlp_decode(decoder, body, live_sink(), live, &result);
    assert(err == OK && result.spans == spans);
    const struct live_counts counts = live_append_end(live, seq * FIXTURE_LSN_STEP + FIXTURE_LSN_STEP,
                                                      fixture_arrival_ns + seq);
    live_publish(live, &counts);
    err = block_encode(encoder, live, &block.encoded);
    assert(err == OK);

    block.bytes = fixture_copy(block.encoded.bytes, block.encoded.len);
    block.traces = fixture_copy(block.encoded.trace_hashes, block.encoded.trace_hashes_count * 8);
    block.tokens = fixture_copy(block.encoded.token_hashes, block.encoded.token_hashes_count * 8);
    block.encoded.bytes = block.bytes;
    block.encoded.trace_hashes = block.traces;
    block.encoded.token_hashes = block.tokens;
    return block;
}

static inline void fixture_block_free(struct fixture_block *block)
{
    free(block->bytes);
    free(block->traces);
    free(block->tokens);
}

/* ---- worlds ------------------------------------------------------------------------------------------ */

struct world {
    struct sim *sim; /* NULL: a real directory */
    struct io *io;
    struct io_dir *dir;
    struct catalog *catalog; /* NULL when closed */
    struct catalog_report report;
    struct segment_config config;
    char path[64];
};

static inline struct segment_config fixture_config(void)
{
    return (struct segment_config){.instance = FIXTURE_INSTANCE, .shards = 4, .blocks_max = 4};
}

static inline enum err world_open_catalog(struct world *world)
{
    return catalog_open(world->io, world->dir, &world->config, &world->catalog, &world->report);
}

static inline struct world world_sim(struct sim *sim)
{
    struct world world = {.sim = sim, .config = fixture_config()};

    world.io = sim_io(sim);
    const enum err err = io_dir_open(world.io, NULL, "data", true, &world.dir);
    assert(err == OK);
    return world;
}

static inline struct world world_sim_new(uint64_t seed)
{
    const struct sim_config config = {.seed = seed, .sector_bytes = 4096};
    return world_sim(sim_open(&config));
}

static inline struct world world_real(void)
{
    struct world world = {.config = fixture_config(), .path = "/tmp/test_segment_XXXXXX"};

    assert(mkdtemp(world.path) != NULL);
    enum err err = io_open_plain(&world.io);
    assert(err == OK);
    err = io_dir_open(world.io, NULL, world.path, false, &world.dir);
    assert(err == OK);
    return world;
}

static inline void world_close_catalog(struct world *world)
{
    if (world->catalog != NULL) catalog_close(world->catalog, world->io);
    world->catalog = NULL;
}

/* ---- removing a real directory ----------------------------------------------------------------------- */

struct fixture_names {
    char names[256][64];
    unsigned count;
};

static inline bool fixture_note_name(void *context, const char *name)
{
    struct fixture_names *const list = context;
    if (list->count < 256) snprintf(list->names[list->count++], sizeof list->names[0], "%s", name);
    return true;
}

static inline void fixture_empty_dir(struct io *io, struct io_dir *dir)
{
    static struct fixture_names list;

    list.count = 0;
    if (io_dir_list(io, dir, fixture_note_name, &list) != OK) return;
    for (unsigned i = 0; i < list.count; i++)
        (void)io_unlink(io, dir, list.names[i]);
}

static inline void fixture_remove(struct world *world)
{
    char path[96];
    struct io_dir *dir;

    if (io_dir_open(world->io, world->dir, "segments", false, &dir) == OK) {
        fixture_empty_dir(world->io, dir);
        io_dir_close(world->io, dir);
    }
    fixture_empty_dir(world->io, world->dir);
    snprintf(path, sizeof path, "%s/segments", world->path);
    rmdir(path);
    rmdir(world->path);
}

static inline void world_close(struct world *world)
{
    world_close_catalog(world);
    if (world->path[0] != 0) fixture_remove(world);
    io_dir_close(world->io, world->dir);
    io_close(world->io);
    if (world->sim != NULL) sim_close(world->sim);
}

static inline enum err world_append(struct world *world, uint16_t shard, uint64_t seq)
{
    struct fixture_block block = fixture_block_make(shard, seq, 3 + (uint32_t)seq % 5);
    const enum err err = segment_append(world->catalog, world->io, shard, &block.encoded);

    fixture_block_free(&block);
    return err;
}

/* ---- judging ----------------------------------------------------------------------------------------- */

static inline enum err fixture_count_row(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                                         struct slice span)
{
    (void)row;
    (void)resource;
    (void)scope;
    assert(span.len > 0);
    ++*(uint32_t *)context;
    return OK;
}

/* The block opens, is whole, has all its spans, and both filters know it. */
static inline bool world_block_reads(const struct world *world, const struct catalog_view *view,
                                     uint32_t number)
{
    const struct catalog_block *const entry = catalog_block(view, number);
    const struct block_summary *const summary = &entry->summary;
    struct catalog_source source;
    struct block_reader *reader;
    uint32_t rows = 0;

    if (catalog_open_block(view, world->io, number, &source, &reader) != OK) return false;
    const struct trace_id trace = fixture_trace(summary->shard, summary->seq, 0);
    uint32_t first, count;
    bool good = block_check(reader) == OK && block_find_trace(reader, &trace, &first, &count) == OK &&
                count == 1;
    good = good && block_spans(reader, 0, summary->spans, fixture_count_row, &rows) == OK;
    good = good && rows == summary->spans && summary->spans == 3 + summary->seq % 5;
    good = good && catalog_may_have_trace(view, world->io, number, filter_hash_trace(trace.bytes));
    good = good &&
           catalog_may_have_token(view, world->io, number, fixture_token(summary->shard, summary->seq));
    block_close(reader);
    return good;
}

/* Every block of the current version that is not fenced reads back; returns how many, or -1. */
static inline int world_count_blocks(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    int count = 0;

    for (uint32_t i = 0; i < catalog_blocks(view) && count >= 0; i++) {
        if (catalog_block(view, i)->fenced) continue;
        count = world_block_reads(world, view, i) ? count + 1 : -1;
    }
    catalog_release(world->catalog, view);
    return count;
}

static inline bool world_has(struct world *world, uint16_t shard, uint64_t seq)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    bool has = false;

    for (uint32_t i = 0; i < catalog_blocks(view) && !has; i++) {
        const struct block_summary *const summary = &catalog_block(view, i)->summary;
        has = summary->shard == shard && summary->seq == seq;
    }
    catalog_release(world->catalog, view);
    return has;
}

#endif
