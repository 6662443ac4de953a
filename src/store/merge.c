/*
 * Inputs are streams: runs of blocks whose traces ascend from one to the next, of which one block is open at a time. A
 * merged segment is one stream, a shard's segment as many as it has blocks. The trace with the smallest id among the
 * heads of all streams comes next, with its rows of every stream that has it.
 *
 * Rows go from block to block as numbers (merge_rows.c). Rows that cannot, as that file says, go as spans: written
 * as a Span message, decoded, and appended like one that comes in.
 *
 * Is a span there already? Its id says no nearly always. If not, both spans are written out, and compared by a hash of 128
 * bits with a random seed over all that was sent, resource and scope included. (One that lies in a block that its
 * stream has left, of a trace that is larger than a block, is not compared: both are kept.)
 */
#include "merge.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/seeded_bug.h"
#include "catalog_private.h"
#include "live_writer.h"
#include "merge_rows.h"
#include "merge_seen.h"

#include <endian.h>
#include <stdlib.h>

struct merge_tools {
    struct live_block *live;
    struct block_encoder *encoder;
    struct otlp_decoder *decoder;
    struct merge_seen ids;      /* of spans that were taken; note: where the first of them is */
    struct merge_seen contents; /* of those whose id came twice */
    uint64_t seed;
};

/* The first eight bytes of an id as a number, and the rest: compared faster than bytes. */
struct trace_key {
    uint64_t high, low;
};

struct stream {
    uint32_t *blocks; /* numbers in the view, ascending by trace */
    uint32_t count, next;
    struct catalog_source source;
    struct block_reader *reader; /* NULL: the stream has ended */
    bool spent;                  /* no row of the open block is left */
    uint32_t row;                /* of the head's trace, the next one */
    uint32_t rows_left;          /* of it */
    uint32_t page;               /* pages before are forgotten */
    struct trace_key key;
    struct trace_id trace;
    struct row_mover *mover;
};

struct merge {
    struct merge_tools *tools;
    const struct catalog_view *view;
    struct io *io;
    const struct merge_sieve *sieve;
    struct ledger *ledger;
    uint64_t arrival_min_ns, arrival_max_ns;
    uint64_t spans, duplicates;
    uint32_t *numbers; /* of all blocks, streams point into it */
    uint32_t streams_count;
    bool in_trace; /* the last output block ended within a trace */
    struct trace_key trace;
    struct stream streams[MERGE_STREAMS_MAX];
};

/* ---- tools -------------------------------------------------------------------------------------------- */

void merge_tools_close(struct merge_tools *tools)
{
    if (tools->live != NULL) live_close(tools->live);
    if (tools->encoder != NULL) block_encoder_close(tools->encoder);
    if (tools->decoder != NULL) otlp_decoder_close(tools->decoder);
    merge_seen_deinit(&tools->ids);
    merge_seen_deinit(&tools->contents);
    free(tools);
}

enum err merge_tools_open(struct merge_tools **out)
{
    struct merge_tools *const tools = calloc(1, sizeof *tools);

    if (tools == NULL) return ERR_NO_MEMORY;
    enum err err = live_open(CATALOG_MERGED, &tools->live);
    if (err == OK) err = block_encoder_open(&tools->encoder);
    if (err == OK) err = otlp_decoder_open(&tools->decoder);
    if (err == OK) err = merge_seen_init(&tools->ids);
    if (err == OK) err = merge_seen_init(&tools->contents);
    if (err == OK) tools->seed = tools->live->writer->seed;
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

uint32_t merge_run(const struct catalog_view *view, uint32_t first, uint32_t end, uint32_t streams_max)
{
    uint32_t streams = 0, at = first;

    for (; at < end; at++) {
        streams += at == first || !follows(view, at - 1, at);
        if (streams > streams_max) break;
    }
    return at - first;
}

static enum err add_streams(struct merge *merge, uint32_t first, uint32_t count, uint32_t *filled)
{
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
    if (stream->mover != NULL) row_mover_close(stream->mover);
    if (stream->reader != NULL) block_close(stream->reader);
    stream->reader = NULL;
    stream->mover = NULL;
}

/* A block that turns out to be damaged is fenced: it is not merged, and not asked again. */
static enum err found_damage(const struct merge *merge, const struct stream *stream, enum err err)
{
    const struct block_summary *const summary =
        &catalog_block(merge->view, stream->blocks[stream->next - 1])->summary;

    if (err == ERR_CORRUPT) catalog_fence(merge->view->catalog, summary->shard, summary->seq);
    return err;
}

static enum err open_next(struct merge *merge, struct stream *stream)
{
    close_block(stream);
    if (stream->next == stream->count) return OK;
    const uint32_t number = stream->blocks[stream->next++];

    TRY(catalog_open_block(merge->view, merge->io, number, &stream->source, &stream->reader));
    stream->row = stream->page = 0;
    return row_mover_open(stream->reader, merge->tools->live, &stream->mover);
}

/* The head becomes the trace that the next row of the open block belongs to. */
static enum err take_head(struct merge *merge, struct stream *stream)
{
    uint32_t first;

    stream->spent = stream->reader == NULL || stream->row == block_summary(stream->reader)->spans;
    if (stream->spent) return OK;
    const enum err err = block_trace_around(stream->reader, stream->row, &stream->trace, &first,
                                            &stream->rows_left);
    if (err != OK) return found_damage(merge, stream, err);
    stream->key = key_of(&stream->trace);
    return OK;
}

/* Blocks that are spent stay open until the trace in work is complete, for their rows may have to be compared. */
static enum err renew_spent(struct merge *merge, bool *any)
{
    *any = false;
    for (uint32_t i = 0; i < merge->streams_count; i++) {
        struct stream *const stream = &merge->streams[i];
        if (!stream->spent || stream->reader == NULL) continue;
        *any = true;
        TRY(open_next(merge, stream));
        TRY(take_head(merge, stream));
    }
    return OK;
}

static void forget_pages(struct stream *stream)
{
    for (; stream->page < stream->row / BLOCK_PAGE_ROWS; stream->page++)
        block_forget_page(stream->reader, stream->page);
}

/* ---- equal spans -------------------------------------------------------------------------------------- */

/* Where a row is, as a note of the set of ids. */
enum { ROW_BITS = 24, BLOCK_BITS = 32 };
static const uint64_t COMPARED = UINT64_C(1) << 63;
static_assert(BLOCK_ROWS_MAX < 1 << ROW_BITS && MERGE_STREAMS_MAX <= 128, "a place fits a note");

static uint64_t place_of(const struct merge *merge, const struct stream *stream)
{
    const uint64_t number = (uint64_t)(stream - merge->streams);

    return number << (ROW_BITS + BLOCK_BITS) | (uint64_t)stream->next << ROW_BITS | stream->row;
}

static uint64_t envelope_hash(const struct envelope *envelope, uint64_t seed)
{
    const uint64_t of_url = hash_fast(envelope->schema_url.ptr, envelope->schema_url.len,
                                      seed + envelope->present);

    return hash_fast(envelope->message.ptr, envelope->message.len, of_url);
}

struct content {
    struct merge *merge;
    struct block_reader *reader;
    struct merge_key key;
};

static enum err take_content(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                             struct slice message)
{
    struct content *const content = context;
    struct envelope of_resource, of_scope;

    (void)row;
    TRY(block_resource(content->reader, resource, &of_resource));
    TRY(block_scope(content->reader, scope, &of_scope));
    const uint64_t seed = envelope_hash(&of_scope, envelope_hash(&of_resource, content->merge->tools->seed));
    const XXH128_hash_t hash = XXH3_128bits_withSeed(message.ptr, message.len, seed);
    content->key = (struct merge_key){hash.low64, hash.high64};
    return OK;
}

static enum err content_of(struct merge *merge, struct block_reader *reader, uint32_t row,
                           struct merge_key *out)
{
    struct content content = {.merge = merge, .reader = reader};

    TRY(block_spans(reader, row, 1, take_content, &content));
    *out = content.key;
    return OK;
}

/* The first span with that id joins those whose content is known, if it can still be read. */
static enum err compare_first(struct merge *merge, struct merge_seen_place *first)
{
    const struct stream *const stream = &merge->streams[first->note >> (ROW_BITS + BLOCK_BITS)];
    const uint32_t next = (uint32_t)(first->note >> ROW_BITS);
    struct merge_key key;

    if (first->note & COMPARED) return OK;
    if (stream->reader != NULL && stream->next == next) {
        TRY(content_of(merge, stream->reader, first->note & ((1U << ROW_BITS) - 1), &key));
        if (merge_seen_find(&merge->tools->contents, key) == NULL)
            merge_seen_add(&merge->tools->contents, key, 0);
    }
    first->note |= COMPARED;
    return OK;
}

/* What is known of the stream's next row, and what has to be remembered when it was taken. */
struct verdict {
    bool duplicate, id_known;
    struct merge_key id, content; /* content: only with id_known */
};

static enum err judge(struct merge *merge, const struct stream *stream, struct verdict *out)
{
    struct merge_tools *const tools = merge->tools;

    *out = (struct verdict){.duplicate = false};
    TRY(row_mover_span_id(stream->mover, stream->row, &out->id.low));
    struct merge_seen_place *const first = merge_seen_find(&tools->ids, out->id);
    if (first == NULL) return OK;
    out->id_known = true;
    TRY(compare_first(merge, first));
    TRY(content_of(merge, stream->reader, stream->row, &out->content));
    out->duplicate = merge_seen_find(&tools->contents, out->content) != NULL;
    return OK;
}

static void remember(struct merge *merge, const struct stream *stream, const struct verdict *verdict)
{
    if (!verdict->id_known) {
        merge_seen_add(&merge->tools->ids, verdict->id, place_of(merge, stream));
    } else {
        merge_seen_add(&merge->tools->contents, verdict->content, 0);
    }
}

/* ---- a span ------------------------------------------------------------------------------------------- */

struct sending {
    struct merge *merge;
    struct stream *stream;
};

/* What was accepted once is accepted again, unless the block is full. */
static enum err take_message(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                             struct slice message)
{
    const struct sending *const sending = context;
    struct live_block *const live = sending->merge->tools->live;
    struct otlp_fault fault;
    struct span_view view;

    (void)row;
    if (span_decode(sending->merge->tools->decoder, message, &view, &fault) != OK) return ERR_CORRUPT;
    TRY(row_mover_envelopes(sending->stream->mover, resource, scope, &live->writer->resource,
                            &live->writer->scope));
    const enum err err = live_sink()->on_span(live, &view, &fault);
    return err == OK || err == ERR_FULL || err == ERR_NO_MEMORY ? err : ERR_CORRUPT;
}

static enum err append(struct merge *merge, struct stream *stream)
{
    const enum err err = row_mover_append(stream->mover, stream->row, &stream->trace);
    struct sending sending = {merge, stream};

    if (err != ERR_UNSUPPORTED) return err;
    return block_spans(stream->reader, stream->row, 1, take_message, &sending);
}

static enum err leave_out(struct merge *merge, const struct stream *stream, uint32_t row,
                          enum ledger_count count)
{
    struct row_origin origin;

    TRY(row_mover_origin(stream->mover, row, &origin));
    ledger_move(merge->ledger, origin.service, origin.start_ns, LEDGER_STORED, count, 1);
    return OK;
}

static enum err takes_row(const struct merge *merge, const struct stream *stream, bool *takes)
{
    const struct merge_sieve *const sieve = merge->sieve;
    struct row_origin origin;

    *takes = sieve->takes_row == NULL ||
             sieve->takes_row(sieve->context, stream->blocks[stream->next - 1], stream->row);
    if (!*takes || sieve->takes_span == NULL) return OK;
    TRY(row_mover_origin(stream->mover, stream->row, &origin));
    *takes = sieve->takes_span(sieve->context, &stream->trace, origin.service);
    return OK;
}

static enum err take_row(struct merge *merge, struct stream *stream)
{
    struct verdict verdict;

    TRY(judge(merge, stream, &verdict));
    if (verdict.duplicate) {
        TRY(leave_out(merge, stream, stream->row, LEDGER_DUPLICATE));
        merge->duplicates++;
    } else {
        TRY(append(merge, stream));
        remember(merge, stream, &verdict);
    }
    merge->spans++;
    return OK;
}

/* ---- a block ------------------------------------------------------------------------------------------ */

/* The stream whose head has the smallest id; NULL: all are spent. */
static struct stream *smallest(struct merge *merge)
{
    struct stream *found = NULL;

    for (uint32_t i = 0; i < merge->streams_count; i++) {
        struct stream *const stream = &merge->streams[i];
        if (stream->spent) continue;
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
    for (; stream->rows_left > 0; stream->rows_left--, stream->row++) {
        bool takes;
        enum err err = takes_row(merge, stream, &takes);
        if (err == OK)
            err = takes ? take_row(merge, stream)
                        : leave_out(merge, stream, stream->row, merge->sieve->left_out_as);
        if (err != OK) return found_damage(merge, stream, err);
    }
    forget_pages(stream);
    return take_head(merge, stream);
}

static bool takes_trace(const struct merge *merge, const struct stream *stream)
{
    const struct merge_sieve *const sieve = merge->sieve;

    return sieve->takes_trace == NULL || sieve->takes_trace(sieve->context, &stream->trace);
}

static enum err pass_over(struct merge *merge, struct stream *stream)
{
    for (; stream->rows_left > 0; stream->rows_left--, stream->row++) {
        const enum err err = leave_out(merge, stream, stream->row, merge->sieve->left_out_as);
        if (err != OK) return found_damage(merge, stream, err);
    }
    forget_pages(stream);
    return take_head(merge, stream);
}

static void begin_trace(struct merge *merge, struct trace_key key)
{
    merge_seen_next_trace(&merge->tools->ids);
    merge_seen_next_trace(&merge->tools->contents);
    merge->in_trace = true;
    merge->trace = key;
}

/* The stream that is next; NULL: the merge has come to its end. */
static enum err next_stream(struct merge *merge, struct stream **out, bool *same_trace)
{
    for (bool renewed = true; renewed;) {
        *out = smallest(merge);
        *same_trace = *out != NULL && merge->in_trace && compare_keys((*out)->key, merge->trace) == 0;
        if (*same_trace) return OK;
        TRY(renew_spent(merge, &renewed));
    }
    return OK;
}

static enum err fill(struct merge *merge)
{
    const struct live_block *const live = merge->tools->live;
    struct stream *stream;
    bool same_trace;

    for (;;) {
        TRY(next_stream(merge, &stream, &same_trace));
        if (stream == NULL || (!same_trace && block_is_full(live))) return OK;
        if (!same_trace && !takes_trace(merge, stream)) {
            TRY(pass_over(merge, stream));
            continue;
        }
        if (!same_trace) begin_trace(merge, stream->key);
        const enum err err = take_rows(merge, stream);
        if (err == ERR_FULL && live->counts.rows > 0) return OK;
        TRY(err);
    }
}

enum err merge_next(struct merge *merge, uint64_t seq, struct block_encoded *out)
{
    struct live_block *const live = merge->tools->live;

    *out = (struct block_encoded){.bytes = NULL};
    live_reset(live, seq, 0);
    for (uint32_t i = 0; i < merge->streams_count; i++)
        if (merge->streams[i].mover != NULL) row_mover_forget(merge->streams[i].mover);
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

static enum err open_all(struct merge *merge)
{
    for (uint32_t i = 0; i < merge->streams_count; i++) {
        TRY(open_next(merge, &merge->streams[i]));
        TRY(take_head(merge, &merge->streams[i]));
    }
    return OK;
}

static enum err merge_make(struct merge_tools *tools, const struct catalog_view *view, struct io *io,
                           uint32_t blocks, struct ledger *ledger, struct merge **out)
{
    static const struct merge_sieve all = {.context = NULL};
    struct merge *const merge = calloc(1, sizeof *merge);

    if (merge == NULL) return ERR_NO_MEMORY;
    merge->tools = tools;
    merge->view = view;
    merge->io = io;
    merge->sieve = &all;
    merge->ledger = ledger;
    merge->arrival_min_ns = UINT64_MAX;
    merge->numbers = calloc(blocks + 1, sizeof *merge->numbers);
    if (merge->numbers == NULL) {
        merge_close(merge);
        return ERR_NO_MEMORY;
    }
    *out = merge;
    return OK;
}

enum err merge_open(struct merge_tools *tools, const struct catalog_view *view, struct io *io,
                    const uint32_t *segments, uint32_t count, struct ledger *ledger, struct merge **out)
{
    uint32_t blocks = 0, filled = 0, first;
    struct merge *merge;

    for (uint32_t i = 0; i < count; i++)
        blocks += catalog_segment_blocks(view, segments[i], &first);
    TRY(merge_make(tools, view, io, blocks, ledger, &merge));
    enum err err = OK;
    for (uint32_t i = 0; i < count && err == OK; i++) {
        blocks = catalog_segment_blocks(view, segments[i], &first);
        err = add_streams(merge, first, blocks, &filled);
    }
    if (err == OK) err = open_all(merge);
    if (err == OK)
        *out = merge;
    else
        merge_close(merge);
    return err;
}

enum err merge_open_some(struct merge_tools *tools, const struct catalog_view *view, struct io *io,
                         uint32_t first, uint32_t count, const struct merge_sieve *sieve,
                         struct ledger *ledger, struct merge **out)
{
    uint32_t filled = 0;
    struct merge *merge;

    TRY(merge_make(tools, view, io, count, ledger, &merge));
    merge->sieve = sieve;
    enum err err = add_streams(merge, first, count, &filled);
    if (err == OK) err = open_all(merge);
    if (err == OK)
        *out = merge;
    else
        merge_close(merge);
    return err;
}

void merge_counts(const struct merge *merge, uint64_t *spans, uint64_t *duplicates)
{
    *spans = merge->spans;
    *duplicates = merge->duplicates;
}
