/*
 * Encodes a closed live block: rows by arrival become columns by trace. Pure computation on one encoder's
 * scratch.
 *
 *   order     sort rows by (trace id, start)                                                block_order.c
 *   plan      per column: how many values, dictionary or raw; dictionary ids; tokens       block_plan.c
 *   pages     8192 rows at a time: gather fields, scatter slots to columns, write chunks   block_page.c
 *   tables    dictionaries, traces, resources, scopes, shapes, patterns, operations        block_tables.c
 *   ledger    rows by service and minute                                                   block_ledger.c
 *   finish    directories, section table, header
 */
#include "block_job.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/filter.h"

#include <stdlib.h>

/* Every growing buffer of an encoder. */
/* clang-format off */
#define BYTES_MEMBERS(X) \
    X(children.time) X(children.pattern) X(children.dropped) X(children.shape) X(children.trace) \
    X(children.span) X(children.flags) X(children.bits) X(keys) X(keys_scratch) X(buckets) \
    X(span_ids) X(plans) X(cursors) X(shape_plans) X(scatter) X(pair_ids) X(entries) \
    X(values) X(ids) X(wide) X(patterns.uses) X(patterns.touched) X(event_patterns.uses) \
    X(event_patterns.touched) X(shapes.uses) X(shapes.touched) X(shape_uses) X(parents) X(repeats) \
    X(chunk_table) X(page_table) X(pieces) X(piece_bytes) \
    X(trace_ids) X(trace_rows) X(trace_hashes) X(token_hashes) X(operations) \
    X(operation_table) X(services) X(text)
/* clang-format on */

enum err block_encoder_open(struct block_encoder **out)
{
    struct block_encoder *const encoder = calloc(1, sizeof *encoder);

    if (encoder == NULL) return ERR_NO_MEMORY;
    if (block_output_open(&encoder->output) != OK ||
        chunk_writer_open(&encoder->chunks, &encoder->output) != OK || ledger_open(&encoder->ledger) != OK) {
        block_encoder_close(encoder);
        return ERR_NO_MEMORY;
    }
    *out = encoder;
    return OK;
}

void block_encoder_close(struct block_encoder *encoder)
{
#define X(member) bytes_free(&encoder->member);
    BYTES_MEMBERS(X)
#undef X
    chunk_writer_close(&encoder->chunks);
    block_output_close(&encoder->output);
    ledger_close(encoder->ledger);
    free(encoder);
}

/* Any buffer that could not grow? */
static bool encoder_failed(const struct block_encoder *encoder)
{
    bool failed = block_output_failed(&encoder->output);

#define X(member) failed |= encoder->member.failed;
    BYTES_MEMBERS(X)
#undef X
    return failed;
}

void *job_array(struct bytes *bytes, size_t count, size_t size, int fill)
{
    void *const room = job_array_raw(bytes, count, size);

    if (room != NULL) memset(room, fill, count * size);
    return room;
}

void *job_array_raw(struct bytes *bytes, size_t count, size_t size)
{
    bytes->len = 0;
    uint8_t *const room = bytes_room(bytes, count * size);
    if (room != NULL) bytes->len = count * size;
    return room;
}

/* ---- tokens ---------------------------------------------------------------------------------------------
 */

bool block_token(uint8_t level, struct slice key, uint8_t type, struct slice bytes, uint64_t bits,
                 uint64_t *hash)
{
    uint8_t scalar[8];
    struct slice value = bytes;

    switch (type) {
    case VALUE_STRING:
        if (bytes.len > TOKEN_VALUE_BYTES_MAX) return false;
        break;
    case VALUE_INT:
        memcpy(scalar, &bits, sizeof scalar);
        value = slice_of(scalar, sizeof scalar);
        break;
    case VALUE_BOOL:
        scalar[0] = bits != 0;
        value = slice_of(scalar, 1);
        break;
    default: return false; /* doubles, bytes, nested: found by scanning their column */
    }
    *hash = filter_hash_token(level, key, type, value);
    return true;
}

/* ---- finish ----------------------------------------------------------------------------------------------
 */

static void fill_header(const struct job *job, struct block_header *header, uint64_t meta_offset,
                        uint64_t table_offset)
{
    const struct block_encoder *const encoder = job->encoder;
    const struct block_summary *const summary = &job->summary;
    const struct live_counts *const counts = &job->live->counts;

    *header = (struct block_header){
        .major = BLOCK_MAJOR,
        .minor = BLOCK_MINOR,
        .min_reader = BLOCK_MIN_READER,
        .shard = summary->shard,
        .pages = job->pages,
        .seq = summary->seq,
        .lsn_first = summary->lsn_first,
        .lsn_end = summary->lsn_end,
        .spans = summary->spans,
        .traces = summary->traces,
        .bytes = summary->bytes,
        .start_min_ns = summary->start_min_ns,
        .start_max_ns = summary->start_max_ns,
        .end_max_ns = summary->end_max_ns,
        .duration_min_ns = summary->duration_min_ns,
        .duration_max_ns = summary->duration_max_ns,
        .arrival_min_ns = summary->arrival_min_ns,
        .arrival_max_ns = summary->arrival_max_ns,
        .status_mask = summary->status_mask,
        .columns = job->columns,
        .meta_offset = meta_offset,
        .table_offset = table_offset,
        .sections = block_output_sections(&encoder->output),
        .table_crc = crc32c(0, encoder->output.sections.ptr, encoder->output.sections.len),
        .shapes = counts->shapes,
        .patterns = counts->patterns,
        .event_patterns = counts->event_patterns,
        .resources = counts->resources,
        .scopes = counts->scopes,
        .operations = (uint32_t)(encoder->operations.len / sizeof(struct operation)),
        .events = job->events,
        .links = job->links,
        .dictionary_pieces = (uint32_t)(encoder->pieces.len / sizeof(struct block_piece)),
    };
    memcpy(header->magic, BLOCK_MAGIC, sizeof header->magic);
    memcpy(header->trace_min, summary->trace_min.bytes, 16);
    memcpy(header->trace_max, summary->trace_max.bytes, 16);
}

static enum err finish(struct job *job, struct block_encoded *out)
{
    struct block_encoder *const encoder = job->encoder;
    struct block_output *const output = &encoder->output;

    put_dictionaries(job);
    bytes_align(&output->bytes, BLOCK_SECTION_ALIGN);
    const uint64_t meta_offset = output->bytes.len;
    if (!put_tables(job)) return ERR_NO_MEMORY;
    bytes_align(&output->bytes, BLOCK_SECTION_ALIGN);
    const uint64_t table_offset = output->bytes.len;
    bytes_put(&output->bytes, output->sections.ptr, output->sections.len);
    bytes_align(&output->bytes, 4096);
    if (encoder_failed(encoder)) return ERR_NO_MEMORY;
    assert(output->bytes.len <= BLOCK_BYTES_MAX);

    struct block_header header;
    job->summary.bytes = output->bytes.len;
    job->summary.traces = job->traces;
    fill_header(job, &header, meta_offset, table_offset);
    memcpy(output->bytes.ptr, &header, sizeof header);
    header.header_crc = crc32c(0, output->bytes.ptr, BLOCK_HEADER_BYTES);
    memcpy(output->bytes.ptr, &header, sizeof header);
    job->summary.header_crc = header.header_crc;
    *out = (struct block_encoded){
        .bytes = output->bytes.ptr,
        .len = output->bytes.len,
        .summary = job->summary,
        .trace_hashes = (const uint64_t *)(const void *)encoder->trace_hashes.ptr,
        .trace_hashes_count = encoder->trace_hashes.len / sizeof(uint64_t),
        .token_hashes = (const uint64_t *)(const void *)encoder->token_hashes.ptr,
        .token_hashes_count = encoder->token_hashes.len / sizeof(uint64_t),
        .ledger = encoder->ledger,
    };
    return OK;
}

/* ---- the story -------------------------------------------------------------------------------------------
 */

static void summarise(struct job *job)
{
    const struct live_block *const live = job->live;
    struct block_summary *const summary = &job->summary;

    *summary = (struct block_summary){
        .shard = live->shard,
        .seq = live->seq,
        .lsn_first = live->lsn_first,
        .lsn_end = live->lsn_end,
        .spans = job->rows,
        .start_min_ns = UINT64_MAX,
        .duration_min_ns = UINT64_MAX,
        .arrival_min_ns = live->arrival_min_ns,
        .arrival_max_ns = live->arrival_max_ns,
    };
    for (uint32_t i = 0; i < job->rows; i++) {
        const struct live_row *const row = &live->rows[i];
        const uint64_t duration = row->end_ns > row->start_ns ? row->end_ns - row->start_ns : 0;
        if (row->start_ns < summary->start_min_ns) summary->start_min_ns = row->start_ns;
        if (row->start_ns > summary->start_max_ns) summary->start_max_ns = row->start_ns;
        if (row->end_ns > summary->end_max_ns) summary->end_max_ns = row->end_ns;
        if (duration < summary->duration_min_ns) summary->duration_min_ns = duration;
        if (duration > summary->duration_max_ns) summary->duration_max_ns = duration;
    }
    for (uint32_t i = 0; i < live->counts.patterns; i++) {
        const int32_t code = live->patterns[i].status_code;
        summary->status_mask |= 1u << (code >= 0 && code <= 30 ? code : 31);
    }
}

static bool sort_rows(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_row *const rows = job->live->rows;
    struct order_key *const scratch = job_array_raw(&encoder->keys_scratch, job->rows, sizeof *scratch);
    uint32_t *const buckets = job_array_raw(&encoder->buckets, ORDER_BUCKETS + 1, sizeof *buckets);

    job->order = job_array_raw(&encoder->keys, job->rows, sizeof *job->order);
    job->span_ids = job_array_raw(&encoder->span_ids, job->rows, sizeof *job->span_ids);
    if (scratch == NULL || buckets == NULL || job->order == NULL || job->span_ids == NULL) return false;
    block_order(rows, job->rows, job->order, scratch, buckets);
    for (uint32_t i = 0; i < job->rows; i++)
        memcpy(&job->span_ids[i], rows[job->order[i].row].span_id.bytes, 8);
    job->summary.trace_min = rows[job->order[0].row].trace_id;
    job->summary.trace_max = rows[job->order[job->rows - 1].row].trace_id;
    return true;
}

static bool prepare(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;

    block_output_reset(&encoder->output);
    encoder->trace_ids.len = encoder->trace_rows.len = encoder->trace_hashes.len = encoder->token_hashes.len =
        0;
    encoder->page_table.len = 0;
    encoder->chunks.group.len = encoder->chunks.waiting_count = 0;
    job->chunk_table = job_array(&encoder->chunk_table, (size_t)job->pages * job->streams,
                                 sizeof *job->chunk_table, 0);
    return job->chunk_table != NULL;
}

enum err block_encode(struct block_encoder *encoder, const struct live_block *live, struct block_encoded *out)
{
    const uint32_t rows = live->counts.rows;
    struct job job = {.encoder = encoder,
                      .live = live,
                      .rows = rows,
                      .pages = (rows + PAGE - 1) / PAGE,
                      .columns = live->counts.columns,
                      .streams = STREAM_FIXED_COUNT + 2 * live->counts.columns,
                      .events = live->counts.events,
                      .links = live->counts.links};
    uint32_t trace_count = 0;

    assert(rows > 0 && rows <= BLOCK_ROWS_MAX);

    summarise(&job);
    if (!prepare(&job) || !sort_rows(&job) || !plan_block(&job)) return ERR_NO_MEMORY;
    for (uint32_t page = 0; page < job.pages; page++)
        trace_count = encode_page(&job, page, trace_count);
    return finish(&job, out);
}
