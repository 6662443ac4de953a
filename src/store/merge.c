/*
 * Inputs are streams: runs of blocks whose traces ascend from one to the next, of which one block is open at a time. A
 * merged segment is one stream, a shard's segment as many as it has blocks. The trace with the smallest id among the
 * heads of all streams comes next, with its rows of every stream that has it.
 *
 * A span becomes a row by way of its Span message (block_spans(), span_decode(), the live block's sink). Its resource and
 * scope do not: each is handed to the live block once for a stream and output block, and is a number from then on.
 */
#include "merge.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/seeded_bug.h"
#include "catalog_private.h"
#include "live_writer.h"
#include "merge_seen.h"

#include <endian.h>
#include <stdlib.h>

struct merge_tools {
    struct live_block *live;
    struct block_encoder *encoder;
    struct otlp_decoder *decoder;
    struct merge_seen seen;
};

/* The first eight bytes of an id as a number, and the rest: compared faster than bytes. */
struct trace_key {
    uint64_t high, low;
};

/* A resource or scope of an open block, and which one of the live block it is. */
struct envelope_ref {
    uint32_t number; /* NO_ID: none yet */
    bool hashed;
    uint64_t hash; /* of its content */
};

struct stream {
    uint32_t *blocks; /* numbers in the view, ascending by trace */
    uint32_t count, next;
    struct catalog_source source;
    struct block_reader *reader; /* NULL: the stream has ended */
    uint32_t row;                /* of the head's trace, the next one */
    uint32_t rows_left;          /* of it */
    uint32_t page;               /* pages before are forgotten */
    struct trace_key key;
    struct trace_id trace;
    struct envelope_ref *resources, *scopes; /* of the open block */
};

struct merge {
    struct merge_tools *tools;
    const struct catalog_view *view;
    struct io *io;
    uint64_t arrival_min_ns, arrival_max_ns;
    uint64_t spans, duplicates;
    uint32_t *numbers; /* of all blocks, streams point into it */
    uint32_t streams_count;
    struct stream *at; /* whose rows are in work */
    bool in_trace;     /* the last output block ended within a trace */
    struct trace_key trace;
    struct stream streams[MERGE_STREAMS_MAX];
};

/* ---- tools -------------------------------------------------------------------------------------------- */

void merge_tools_close(struct merge_tools *tools)
{
    if (tools->live != NULL) live_close(tools->live);
    if (tools->encoder != NULL) block_encoder_close(tools->encoder);
    if (tools->decoder != NULL) otlp_decoder_close(tools->decoder);
    merge_seen_deinit(&tools->seen);
    free(tools);
}

enum err merge_tools_open(struct merge_tools **out)
{
    struct merge_tools *const tools = calloc(1, sizeof *tools);

    if (tools == NULL) return ERR_NO_MEMORY;
    enum err err = live_open(CATALOG_MERGED, &tools->live);
    if (err == OK) err = block_encoder_open(&tools->encoder);
    if (err == OK) err = otlp_decoder_open(&tools->decoder);
    if (err == OK) err = merge_seen_init(&tools->seen, tools->live->writer->seed);
    if (err != OK) {
        merge_tools_close(tools);
        return err;
    }
    *out = tools;
    return OK;
}

/* ---- streams ------------------------------------------------------------------------------------------ */

static struct trace_key key_of(const struct trace_id *id)
{
    struct trace_key key;

    memcpy(&key, id->bytes, sizeof key);
    key.high = be64toh(key.high);
    key.low = be64toh(key.low);
    return key;
}

static int compare_keys(struct trace_key a, struct trace_key b)
{
    if (a.high != b.high) return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

static int compare_traces(const struct trace_id *a, const struct trace_id *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* In a merged segment the blocks follow one another; in a shard's, each has traces of the whole range. */
static bool follows(const struct catalog_view *view, uint32_t before, uint32_t block)
{
    return compare_traces(&catalog_block(view, before)->summary.trace_max,
                          &catalog_block(view, block)->summary.trace_min) < 0;
}

uint32_t merge_streams(const struct catalog_view *view, uint32_t segment)
{
    uint32_t first, streams = 0;
    const uint32_t count = catalog_segment_blocks(view, segment, &first);

    for (uint32_t i = 0; i < count; i++)
        streams += i == 0 || !follows(view, first + i - 1, first + i);
    return streams;
}

static enum err add_streams(struct merge *merge, uint32_t segment, uint32_t *filled)
{
    uint32_t first;
    const uint32_t count = catalog_segment_blocks(merge->view, segment, &first);

    for (uint32_t i = first; i < first + count; i++) {
        const struct block_summary *const summary = &catalog_block(merge->view, i)->summary;
        if (i == first || !follows(merge->view, i - 1, i)) {
            if (merge->streams_count == MERGE_STREAMS_MAX) return ERR_TOO_LARGE;
            merge->streams[merge->streams_count++].blocks = merge->numbers + *filled;
        }
        merge->streams[merge->streams_count - 1].count++;
        merge->numbers[(*filled)++] = i;
        if (summary->arrival_min_ns < merge->arrival_min_ns) merge->arrival_min_ns = summary->arrival_min_ns;
        if (summary->arrival_max_ns > merge->arrival_max_ns) merge->arrival_max_ns = summary->arrival_max_ns;
    }
    return OK;
}

static void close_block(struct stream *stream)
{
    if (stream->reader != NULL) block_close(stream->reader);
    free(stream->resources);
    stream->reader = NULL;
    stream->resources = stream->scopes = NULL;
}

/* A block that turns out to be damaged is fenced: it is not merged, and not asked again. */
static enum err found_damage(const struct merge *merge, const struct stream *stream, enum err err)
{
    const struct block_summary *const summary =
        &catalog_block(merge->view, stream->blocks[stream->next - 1])->summary;

    if (err == ERR_CORRUPT) catalog_fence(merge->view->catalog, summary->shard, summary->seq);
    return err;
}

static void forget_numbers(struct stream *stream)
{
    if (stream->reader == NULL) return;
    const uint32_t count = block_resources(stream->reader) + block_scopes(stream->reader);
    for (uint32_t i = 0; i < count; i++)
        stream->resources[i].number = NO_ID;
}

static enum err open_next(struct merge *merge, struct stream *stream)
{
    close_block(stream);
    if (stream->next == stream->count) return OK;
    const uint32_t number = stream->blocks[stream->next++];

    TRY(catalog_open_block(merge->view, merge->io, number, &stream->source, &stream->reader));
    const size_t resources = block_resources(stream->reader), scopes = block_scopes(stream->reader);
    stream->resources = calloc(resources + scopes + 1, sizeof *stream->resources);
    if (stream->resources == NULL) return ERR_NO_MEMORY;
    stream->scopes = stream->resources + resources;
    stream->row = stream->page = 0;
    forget_numbers(stream);
    return OK;
}

/* The head becomes the trace that the stream's next row belongs to. */
static enum err take_head(struct merge *merge, struct stream *stream)
{
    uint32_t first;

    if (stream->reader != NULL && stream->row == block_summary(stream->reader)->spans)
        TRY(open_next(merge, stream));
    if (stream->reader == NULL) return OK;
    const enum err err = block_trace_around(stream->reader, stream->row, &stream->trace, &first,
                                            &stream->rows_left);
    if (err != OK) return found_damage(merge, stream, err);
    stream->key = key_of(&stream->trace);
    return OK;
}

static void forget_pages(struct stream *stream)
{
    for (; stream->page < stream->row / BLOCK_PAGE_ROWS; stream->page++)
        block_forget_page(stream->reader, stream->page);
}

/* ---- a span ------------------------------------------------------------------------------------------- */

static struct resource_view view_of(const struct envelope *envelope)
{
    return (struct resource_view){
        .message = envelope->message, .present = envelope->present, .schema_url = envelope->schema_url};
}

static uint64_t hash_of(const struct envelope *envelope)
{
    const uint64_t seed = hash_fast(envelope->schema_url.ptr, envelope->schema_url.len, envelope->present);

    return hash_fast(envelope->message.ptr, envelope->message.len, seed);
}

static enum err select_resource(struct merge *merge, uint32_t index)
{
    struct envelope_ref *const ref = &merge->at->resources[index];
    struct live_block *const live = merge->tools->live;
    struct envelope envelope;
    struct otlp_fault fault;

    if (ref->number == NO_ID) {
        TRY(block_resource(merge->at->reader, index, &envelope));
        const struct resource_view view = view_of(&envelope);
        TRY(live_sink()->on_resource(live, &view, &fault));
        if (!ref->hashed) *ref = (struct envelope_ref){.hashed = true, .hash = hash_of(&envelope)};
        ref->number = live->writer->resource;
    }
    live->writer->resource = ref->number;
    return OK;
}

static enum err select_scope(struct merge *merge, uint32_t index)
{
    struct envelope_ref *const ref = &merge->at->scopes[index];
    struct live_block *const live = merge->tools->live;
    struct envelope envelope;
    struct otlp_fault fault;

    if (ref->number == NO_ID) {
        TRY(block_scope(merge->at->reader, index, &envelope));
        const struct scope_view view = {envelope.message, envelope.present, envelope.schema_url};
        TRY(live_sink()->on_scope(live, &view, &fault));
        if (!ref->hashed) *ref = (struct envelope_ref){.hashed = true, .hash = hash_of(&envelope)};
        ref->number = live->writer->scope;
    }
    live->writer->scope = ref->number;
    return OK;
}

/* What was accepted once is accepted again, unless the block is full. */
static enum err append(struct merge *merge, const struct span_view *view)
{
    struct live_block *const live = merge->tools->live;
    struct otlp_fault fault = {0};

    live_append_begin(live);
    const enum err err = live_sink()->on_span(live, view, &fault);
    if (err == OK) return OK;
    live_append_undo(live);
    return err == ERR_FULL || err == ERR_NO_MEMORY ? err : ERR_CORRUPT;
}

static struct merge_span span_of(const struct merge *merge, const struct span_view *view, uint32_t resource,
                                 uint32_t scope, struct slice message)
{
    const struct stream *const stream = merge->at;

    if (SEEDED_BUG(MERGE_DROPS_EQUAL_IDS))
        message = slice_of(view->span_id.bytes, sizeof view->span_id.bytes);
    return merge_span_of(&merge->tools->seen, message,
                         hash_mix(stream->resources[resource].hash, stream->scopes[scope].hash));
}

static enum err take_span(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                          struct slice message)
{
    struct merge *const merge = context;
    struct merge_seen *const seen = &merge->tools->seen;
    struct otlp_fault fault;
    struct span_view view;

    if (span_decode(merge->tools->decoder, message, &view, &fault) != OK) return ERR_CORRUPT;
    TRY(select_resource(merge, resource));
    TRY(select_scope(merge, scope));
    const struct merge_span span = span_of(merge, &view, resource, scope, message);
    if (merge_seen_has(seen, &span)) {
        merge->duplicates++;
    } else {
        TRY(append(merge, &view));
        merge_seen_add(seen, &span);
    }
    merge->spans++;
    merge->at->row = row + 1;
    merge->at->rows_left--;
    return OK;
}

/* ---- a block ------------------------------------------------------------------------------------------ */

/* The stream whose head has the smallest id; NULL: all have ended. */
static struct stream *smallest(struct merge *merge)
{
    struct stream *found = NULL;

    for (uint32_t i = 0; i < merge->streams_count; i++) {
        struct stream *const stream = &merge->streams[i];
        if (stream->reader == NULL) continue;
        if (found == NULL || compare_keys(stream->key, found->key) < 0) found = stream;
    }
    return found;
}

static bool block_is_full(const struct live_block *live)
{
    return live->counts.rows >= MERGE_ROWS_CLOSE || live_crowded(live);
}

/* Rows of one stream that belong to its head. ERR_FULL: not all of them. */
static enum err take_rows(struct merge *merge, struct stream *stream)
{
    merge->at = stream;
    const enum err err = block_spans(stream->reader, stream->row, stream->rows_left, take_span, merge);
    if (err != OK) return found_damage(merge, stream, err);
    forget_pages(stream);
    return take_head(merge, stream);
}

static enum err fill(struct merge *merge)
{
    const struct live_block *const live = merge->tools->live;
    struct stream *stream;

    while ((stream = smallest(merge)) != NULL) {
        const bool same = merge->in_trace && compare_keys(stream->key, merge->trace) == 0;
        if (!same && block_is_full(live)) return OK;
        if (!same) merge_seen_next_trace(&merge->tools->seen);
        merge->in_trace = true;
        merge->trace = stream->key;
        const enum err err = take_rows(merge, stream);
        if (err == ERR_FULL && live->counts.rows > 0) return OK;
        TRY(err);
    }
    return OK;
}

enum err merge_next(struct merge *merge, uint64_t seq, struct block_encoded *out)
{
    struct live_block *const live = merge->tools->live;

    *out = (struct block_encoded){.bytes = NULL};
    live_reset(live, seq, 0);
    for (uint32_t i = 0; i < merge->streams_count; i++)
        forget_numbers(&merge->streams[i]);
    TRY(fill(merge));
    if (live->counts.rows == 0) return OK;
    if (SEEDED_BUG(MERGE_LOSES_LAST) && smallest(merge) == NULL) return OK;
    live_append_end(live, 0, merge->arrival_min_ns);
    const struct live_counts counts = live_append_end(live, 0, merge->arrival_max_ns);
    live_publish(live, &counts);
    return block_encode(merge->tools->encoder, live, out);
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

void merge_close(struct merge *merge)
{
    for (uint32_t i = 0; i < merge->streams_count; i++)
        close_block(&merge->streams[i]);
    free(merge->numbers);
    free(merge);
}

static enum err open_streams(struct merge *merge, const uint32_t *segments, uint32_t count)
{
    uint32_t blocks = 0, filled = 0, first;

    for (uint32_t i = 0; i < count; i++)
        blocks += catalog_segment_blocks(merge->view, segments[i], &first);
    merge->numbers = calloc(blocks + 1, sizeof *merge->numbers);
    if (merge->numbers == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        TRY(add_streams(merge, segments[i], &filled));
    for (uint32_t i = 0; i < merge->streams_count; i++) {
        TRY(open_next(merge, &merge->streams[i]));
        TRY(take_head(merge, &merge->streams[i]));
    }
    return OK;
}

enum err merge_open(struct merge_tools *tools, const struct catalog_view *view, struct io *io,
                    const uint32_t *segments, uint32_t count, struct merge **out)
{
    struct merge *const merge = calloc(1, sizeof *merge);

    if (merge == NULL) return ERR_NO_MEMORY;
    merge->tools = tools;
    merge->view = view;
    merge->io = io;
    merge->arrival_min_ns = UINT64_MAX;
    const enum err err = open_streams(merge, segments, count);
    if (err != OK) {
        merge_close(merge);
        return err;
    }
    *out = merge;
    return OK;
}

void merge_counts(const struct merge *merge, uint64_t *spans, uint64_t *duplicates)
{
    *spans = merge->spans;
    *duplicates = merge->duplicates;
}
