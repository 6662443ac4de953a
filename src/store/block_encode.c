/*
 * Encodes a closed live block: rows by arrival become columns by trace. Pure computation on one encoder's
 * scratch.
 *
 *   order     sort rows by (trace id, start)
 *   plan      per column: how many values, dictionary or raw
 *   pages     8192 rows at a time: gather the fixed fields, scatter the slots to their columns, write chunks
 *   tables    dictionaries, traces, resources, scopes, shapes, operations
 *   finish    directories, section table, header
 *
 * A pair id (live.h) stands for a whole KeyValue, so the scatter of an attribute is one load (its column) and
 * one store; dictionary ids are given in the order of first appearance.
 */
#include "block_buffer.h"
#include "block_order.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "store/filter.h"

#include <stdlib.h>

enum { PAGE = BLOCK_PAGE_ROWS, UNASSIGNED = 0xffffffff };
/* Bytes of all raw values of strings, bytes and nested values in a block. */
enum { RAW_BYTES_MAX = 128 << 20 };
static_assert((int)RAW_BYTES_MAX <= (int)BLOCK_SECTION_PLAIN_MAX,
              "one column of one page may hold all of them");

/* What is known of one column while encoding. */
struct column_plan {
    uint32_t values; /* in the block */
    uint8_t mode;
    uint32_t distinct;               /* dictionary ids given so far */
    uint32_t first, last;            /* chain of pairs in order of their ids */
    uint32_t empty_id;               /* id of the empty string of fixed columns */
    uint32_t page_count, page_first; /* values in the page being written */
    int64_t min, max;                /* of integer values, over all pairs */
    uint32_t longest;                /* bytes of a value, over all pairs */
    uint64_t token;                  /* the column's part of the hashes of its tokens */
};

struct operation {
    uint32_t resource, name;
    int32_t kind;
};

/* One page's fixed fields, gathered row by row and written column by column. */
struct page_fields {
    uint32_t resource[PAGE], scope[PAGE], kind[PAGE], status_code[PAGE], flags[PAGE], bits[PAGE];
    uint32_t dropped_attributes[PAGE], dropped_events[PAGE], dropped_links[PAGE];
    uint32_t shape[PAGE], events[PAGE], links[PAGE];
    uint32_t name[PAGE], trace_state[PAGE], status_message[PAGE];
    uint32_t slots_first[PAGE], slots_count[PAGE], events_first[PAGE], links_first[PAGE];
    uint32_t parent[PAGE];
    uint64_t start[PAGE];
    uint64_t duration[PAGE], start_base[PAGE], start_delta[PAGE];
    uint64_t parent_raw[PAGE];
};

struct child_fields {
    struct bytes time, dropped, shape, trace, span, flags, bits;
};

struct block_encoder {
    struct block_output output;
    struct chunk_writer chunks;
    struct page_fields fields;
    struct child_fields children;
    /* sized by the block at hand, grown only */
    struct bytes keys, keys_scratch, buckets; /* struct order_key[], uint32_t[] */
    struct bytes span_ids;                    /* uint64_t[], in order */
    struct bytes plans;                       /* struct column_plan[] */
    struct bytes cursors;                     /* uint32_t[] by column: next value in the page */
    struct bytes pair_ids, pair_next;         /* uint32_t[] by pair */
    struct bytes values, ids;                 /* uint32_t[] of a page */
    struct bytes wide;                        /* uint64_t[] */
    struct bytes shape_rows;                  /* uint32_t[] by shape: uses in the page */
    struct bytes shapes_touched;
    struct bytes parents;     /* span id -> row, for large traces */
    struct bytes chunk_table; /* struct block_chunk[pages][streams] */
    struct bytes page_table;
    struct bytes pieces, piece_bytes;
    struct bytes trace_ids, trace_rows, trace_hashes, token_hashes;
    struct bytes operations, operation_table, services;
    struct bytes text;
};

/* What one call of block_encode() works on. */
struct job {
    struct block_encoder *encoder;
    const struct live_block *live;
    uint32_t rows, pages, streams, columns;
    struct order_key *order;
    uint64_t *span_ids;
    struct column_plan *plans;
    uint32_t *cursors;
    struct block_chunk *chunk_table;
    struct block_summary summary;
    uint32_t events, links;
    uint32_t traces;
    uint32_t trace_first; /* first row of the trace that the page walk is in */
};

/* Every growing buffer of an encoder. */
/* clang-format off */
#define BYTES_MEMBERS(X) \
    X(children.time) X(children.dropped) X(children.shape) X(children.trace) X(children.span) \
    X(children.flags) X(children.bits) X(keys) X(keys_scratch) X(buckets) \
    X(span_ids) X(plans) X(cursors) X(pair_ids) X(pair_next) \
    X(values) X(ids) X(wide) X(shape_rows) X(shapes_touched) \
    X(parents) X(chunk_table) X(page_table) X(pieces) X(piece_bytes) \
    X(trace_ids) X(trace_rows) X(trace_hashes) X(token_hashes) X(operations) \
    X(operation_table) X(services) X(text)
/* clang-format on */

enum err block_encoder_open(struct block_encoder **out)
{
    struct block_encoder *const encoder = calloc(1, sizeof *encoder);

    if (encoder == NULL) return ERR_NO_MEMORY;
    if (block_output_open(&encoder->output) != OK ||
        chunk_writer_open(&encoder->chunks, &encoder->output) != OK) {
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

/* An array of count elements of size bytes in a buffer, all bytes set to fill; NULL when there is no memory.
 */
static void *array(struct bytes *bytes, size_t count, size_t size, int fill)
{
    bytes->len = 0;
    uint8_t *const room = bytes_room(bytes, count * size);
    if (room == NULL) return NULL;
    memset(room, fill, count * size);
    bytes->len = count * size;
    return room;
}

/* The same without touching what it holds. */
static void *array_raw(struct bytes *bytes, size_t count, size_t size)
{
    bytes->len = 0;
    uint8_t *const room = bytes_room(bytes, count * size);
    if (room != NULL) bytes->len = count * size;
    return room;
}

/* ---- tokens ---------------------------------------------------------------------------------------------
 */

enum { TOKEN_VALUE_BYTES_MAX = 256 };

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

static void add_token(struct job *job, uint8_t level, struct slice key, uint8_t type, struct slice bytes,
                      uint64_t bits)
{
    uint64_t hash;

    if (block_token(level, key, type, bytes, bits, &hash))
        bytes_put(&job->encoder->token_hashes, &hash, sizeof hash);
}

/* The bytes under which a scalar or string is hashed; false: values of this type or length have no token. */
static bool token_value(const struct live_block *live, const struct live_pair *pair, uint8_t type,
                        uint8_t scalar[8], struct slice *out)
{
    switch (type) {
    case VALUE_STRING:
        *out = live_bytes(live, (uint32_t)(pair->value >> 32), (uint32_t)pair->value);
        return out->len <= TOKEN_VALUE_BYTES_MAX;
    case VALUE_INT:
        memcpy(scalar, &pair->value, 8);
        *out = slice_of(scalar, 8);
        return true;
    case VALUE_BOOL:
        scalar[0] = pair->value != 0;
        *out = slice_of(scalar, 1);
        return true;
    default: return false;
    }
}

/* An overflow attribute lies in a raw column; its token is that of the attribute it holds. */
static void add_raw_token(struct job *job, uint8_t level, struct slice key_value)
{
    struct attribute attribute;
    struct otlp_fault fault;

    if (attribute_decode(key_value, &attribute, &fault) == OK)
        add_token(job, level, attribute.key, (uint8_t)attribute.type, attribute.bytes, attribute.bits);
}

/* The token of an attribute or span name, with its column's part of the hash prepared. */
static void add_pair_token(struct job *job, uint32_t index)
{
    const struct live_pair *const pair = &job->live->pairs[index];
    const struct live_column *const column = &job->live->columns[pair->column];
    uint8_t scalar[8];
    struct slice value;

    if (column->type == VALUE_RAW) {
        add_raw_token(job, column->level, live_pair_bytes(job->live, index));
        return;
    }
    if (pair->column < COLUMN_FIXED_COUNT && pair->column != COLUMN_NAME) return;
    if (!token_value(job->live, pair, column->type, scalar, &value)) return;
    const uint64_t hash = filter_hash_value(job->plans[pair->column].token, value);
    bytes_put(&job->encoder->token_hashes, &hash, sizeof hash);
}

/* ---- plan -----------------------------------------------------------------------------------------------
 */

static void count_shape(struct job *job, uint32_t shape, uint32_t uses)
{
    const struct live_shape *const at = &job->live->shapes[shape];
    const uint32_t *const columns = job->live->shape_columns + at->first;

    for (uint32_t i = 0; i < at->count; i++)
        job->plans[columns[i]].values += uses;
}

static void count_values(struct job *job, const uint32_t *uses)
{
    for (uint32_t i = 0; i < job->live->counts.shapes; i++)
        if (uses[i] > 0) count_shape(job, i, uses[i]);
    job->plans[COLUMN_NAME].values = job->plans[COLUMN_TRACE_STATE].values =
        job->plans[COLUMN_STATUS_MESSAGE].values = job->rows;
    job->plans[COLUMN_EVENT_NAME].values = job->events;
    job->plans[COLUMN_LINK_STATE].values = job->links;
}

/* Spread of the distinct values, over all pairs (some may be unused after an undone request:
 * harmless). */
static void measure_pairs(struct job *job)
{
    const struct live_block *const live = job->live;

    for (uint32_t i = 1; i < live->counts.pairs; i++) {
        const struct live_pair *const pair = &live->pairs[i];
        struct column_plan *const plan = &job->plans[pair->column];
        const int64_t value = (int64_t)pair->value;
        if (value < plan->min) plan->min = value;
        if (value > plan->max) plan->max = value;
        if (pair->len > plan->longest) plan->longest = pair->len;
    }
}

static unsigned bytes_for(uint64_t range)
{
    return range == 0 ? 1 : (unsigned)(64 - __builtin_clzll(range) + 7) / 8;
}

static uint8_t choose_mode(const struct column_plan *plan, const struct live_column *column, uint32_t index)
{
    const uint32_t distinct = column->pairs_count;

    if (index < COLUMN_RAW_SPAN) return MODE_DICTIONARY; /* names are referred to by id */
    switch (column->type) {
    case VALUE_ABSENT:
    case VALUE_EMPTY:
    case VALUE_BOOL:
    case VALUE_RAW: return MODE_RAW;
    case VALUE_INT:
        return distinct > plan->values / 2 ||
                       bytes_for((uint64_t)plan->max - (uint64_t)plan->min) <= bytes_for(distinct)
                   ? MODE_RAW
                   : MODE_DICTIONARY;
    case VALUE_DOUBLE: return distinct > plan->values / 2 ? MODE_RAW : MODE_DICTIONARY;
    default: return distinct > plan->values / 4 * 3 ? MODE_RAW : MODE_DICTIONARY;
    }
}

/*
 * Raw columns repeat their values; a few large ones that come very often would grow past every bound. Normal blocks
 * are known to be small by their longest value; only others are counted value by value.
 */
static bool raw_columns_are_small(const struct job *job)
{
    uint64_t most = 0;

    for (uint32_t i = COLUMN_RAW_SPAN; i < job->columns; i++)
        if (job->plans[i].mode == MODE_RAW && !block_type_is_scalar(job->live->columns[i].type))
            most += (uint64_t)job->plans[i].longest * job->plans[i].values;
    return most <= RAW_BYTES_MAX;
}

/* Columns in the order of their numbers stay raw as long as they fit into the bound together. */
static bool bound_raw_columns(struct job *job)
{
    const struct live_block *const live = job->live;
    uint64_t left = RAW_BYTES_MAX;

    if (raw_columns_are_small(job)) return true;
    uint64_t *const bytes = array(&job->encoder->wide, job->columns, sizeof *bytes, 0);
    if (bytes == NULL) return false;
    for (uint32_t i = 0; i < live->counts.slots; i++)
        bytes[live->pairs[live->slots[i]].column] += live->pairs[live->slots[i]].len;
    for (uint32_t i = COLUMN_RAW_SPAN; i < job->columns; i++) {
        if (job->plans[i].mode != MODE_RAW || block_type_is_scalar(live->columns[i].type)) continue;
        if (bytes[i] > left)
            job->plans[i].mode = MODE_DICTIONARY;
        else
            left -= bytes[i];
    }
    return true;
}

static void plan_column(struct job *job, uint32_t index)
{
    const struct live_column *const column = &job->live->columns[index];
    const struct slice key = live_bytes(job->live, column->key_offset, column->key_len);

    job->plans[index].mode = choose_mode(&job->plans[index], column, index);
    job->plans[index].token = index == COLUMN_NAME ? filter_hash_column(TOKEN_LEVEL_INTRINSIC,
                                                                        slice_text("name"), VALUE_STRING)
                                                   : filter_hash_column(column->level, key, column->type);
}

static bool plan_columns(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_block *const live = job->live;
    uint32_t *const uses = array(&encoder->shape_rows, live->counts.shapes, sizeof *uses, 0);
    struct column_plan *const plans = array(&encoder->plans, job->columns, sizeof *plans, 0);

    if (uses == NULL || plans == NULL) return false;
    job->plans = plans;
    job->cursors = array(&encoder->cursors, job->columns, sizeof *job->cursors, 0);
    if (job->cursors == NULL) return false;
    for (uint32_t i = 0; i < job->rows; i++)
        uses[live->rows[i].shape]++;
    for (uint32_t i = 0; i < job->events; i++)
        uses[live->events[i].shape]++;
    for (uint32_t i = 0; i < job->links; i++)
        uses[live->links[i].shape]++;
    for (uint32_t i = 0; i < job->columns; i++)
        plans[i] = (struct column_plan){.first = UNASSIGNED,
                                        .last = UNASSIGNED,
                                        .empty_id = UNASSIGNED,
                                        .min = INT64_MAX,
                                        .max = INT64_MIN};
    count_values(job, uses);
    measure_pairs(job);
    for (uint32_t i = 0; i < job->columns; i++)
        plan_column(job, i);
    memset(uses, 0, sizeof *uses * live->counts.shapes);
    return bound_raw_columns(job);
}

/* ---- dictionary ids --------------------------------------------------------------------------------------
 */

static uint32_t assign_id(struct job *job, struct column_plan *plan, uint32_t pair)
{
    uint32_t *const ids = (uint32_t *)(void *)job->encoder->pair_ids.ptr;
    uint32_t *const next = (uint32_t *)(void *)job->encoder->pair_next.ptr;

    if (pair == 0) {
        if (plan == &job->plans[COLUMN_NAME])
            add_token(job, TOKEN_LEVEL_INTRINSIC, slice_text("name"), VALUE_STRING, (struct slice){0}, 0);
        return plan->empty_id = plan->distinct++;
    }
    if (plan->last == UNASSIGNED)
        plan->first = pair;
    else
        next[plan->last] = pair;
    plan->last = pair;
    ids[pair] = plan->distinct;
    add_pair_token(job, pair);
    return plan->distinct++;
}

static inline uint32_t dictionary_id(struct job *job, struct column_plan *plan, const uint32_t *ids,
                                     uint32_t pair)
{
    const uint32_t id = pair != 0 ? ids[pair] : plan->empty_id;

    return __builtin_expect(id != UNASSIGNED, 1) ? id : assign_id(job, plan, pair);
}

/* ---- a page: attribute columns ---------------------------------------------------------------------------
 */

static struct block_chunk *chunk_of(struct job *job, uint32_t page, uint32_t stream)
{
    return &job->chunk_table[(size_t)page * job->streams + stream];
}

/* First use of a raw value: its token. Later uses are recognised by pair_ids. */
static void raw_token(struct job *job, uint32_t pair)
{
    uint32_t *const ids = (uint32_t *)(void *)job->encoder->pair_ids.ptr;

    if (ids[pair] != UNASSIGNED) return;
    ids[pair] = 0;
    add_pair_token(job, pair);
}

static void put_raw_scalars(struct job *job, uint32_t page, uint32_t column, const uint32_t *pairs,
                            uint32_t count)
{
    uint64_t *const wide = array_raw(&job->encoder->wide, count, sizeof *wide);

    if (wide == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        raw_token(job, pairs[i]);
        wide[i] = job->live->pairs[pairs[i]].value;
    }
    if (job->live->columns[column].type == VALUE_INT) /* order of int64 becomes order of uint64 */
        for (uint32_t i = 0; i < count; i++)
            wide[i] ^= 1ull << 63;
    chunk_put_u64(&job->encoder->chunks, chunk_of(job, page, STREAM_FIXED_COUNT + 2 * column), wide, count);
}

static void put_raw_bytes(struct job *job, uint32_t page, uint32_t column, const uint32_t *pairs,
                          uint32_t count)
{
    struct block_encoder *const encoder = job->encoder;
    uint32_t *const lengths = array_raw(&encoder->ids, count, sizeof *lengths);
    const uint32_t stream = STREAM_FIXED_COUNT + 2 * column;

    if (lengths == NULL) return;
    encoder->text.len = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct slice value = live_pair_bytes(job->live, pairs[i]);
        raw_token(job, pairs[i]);
        lengths[i] = (uint32_t)value.len;
        bytes_put(&encoder->text, value.ptr, value.len);
    }
    chunk_put_u32(&encoder->chunks, chunk_of(job, page, stream), lengths, count);
    chunk_put_bytes(&encoder->chunks, chunk_of(job, page, stream + 1), encoder->text.ptr, encoder->text.len,
                    true);
}

static void put_dictionary_ids(struct job *job, uint32_t page, uint32_t column, const uint32_t *pairs,
                               uint32_t count)
{
    struct block_encoder *const encoder = job->encoder;
    struct column_plan *const plan = &job->plans[column];
    const uint32_t *const ids = (const uint32_t *)(const void *)encoder->pair_ids.ptr;
    uint32_t *const out = array_raw(&encoder->ids, count, sizeof *out);

    if (out == NULL) return;
    for (uint32_t i = 0; i < count; i++)
        out[i] = dictionary_id(job, plan, ids, pairs[i]);
    chunk_put_u32(&encoder->chunks, chunk_of(job, page, STREAM_FIXED_COUNT + 2 * column), out, count);
}

static void put_columns(struct job *job, uint32_t page, const uint32_t *values)
{
    for (uint32_t i = 0; i < job->columns; i++) {
        struct column_plan *const plan = &job->plans[i];
        if (plan->page_count == 0) continue;
        const uint32_t *const pairs = values + plan->page_first;
        if (plan->mode == MODE_DICTIONARY)
            put_dictionary_ids(job, page, i, pairs, plan->page_count);
        else if (block_type_is_scalar(job->live->columns[i].type))
            put_raw_scalars(job, page, i, pairs, plan->page_count);
        else
            put_raw_bytes(job, page, i, pairs, plan->page_count);
        plan->page_count = 0;
    }
}

/* Counts the uses of a shape in the page; the touched ones are listed so that they can be cleared. */
static void touch_shape(struct job *job, uint32_t *uses, uint32_t shape)
{
    if (uses[shape]++ == 0) bytes_put(&job->encoder->shapes_touched, &shape, sizeof shape);
}

/* Where each column's values of this page begin; the total. */
static uint32_t lay_out_columns(struct job *job, uint32_t *uses)
{
    const uint32_t *const touched = (const uint32_t *)(const void *)job->encoder->shapes_touched.ptr;
    const size_t touched_count = job->encoder->shapes_touched.len / sizeof *touched;
    uint32_t total = 0;

    for (size_t i = 0; i < touched_count; i++) {
        const struct live_shape *const shape = &job->live->shapes[touched[i]];
        for (uint32_t k = 0; k < shape->count; k++)
            job->plans[job->live->shape_columns[shape->first + k]].page_count += uses[touched[i]];
        uses[touched[i]] = 0;
    }
    job->encoder->shapes_touched.len = 0;
    for (uint32_t i = 0; i < job->columns; i++) {
        job->plans[i].page_first = job->cursors[i] = total;
        total += job->plans[i].page_count;
    }
    return total;
}

static inline void scatter(struct job *job, uint32_t *values, uint32_t slots_first, uint32_t slots_count,
                           uint32_t shape)
{
    const uint32_t *const slots = job->live->slots + slots_first;
    const uint32_t *const columns = job->live->shape_columns + job->live->shapes[shape].first;
    uint32_t *const cursors = job->cursors;

    for (uint32_t i = 0; i < slots_count; i++)
        values[cursors[columns[i]]++] = slots[i];
}

/* ---- a page: fixed fields --------------------------------------------------------------------------------
 */

/* Row of the span with this id inside its trace, or UNASSIGNED. */
static uint32_t find_parent_small(const uint64_t *span_ids, uint32_t first, uint32_t count, uint64_t parent)
{
    for (uint32_t i = 0; i < count; i++)
        if (span_ids[first + i] == parent) return first + i;
    return UNASSIGNED;
}

enum { PARENT_SCAN_MAX = 24 };

/* Large traces: an open-addressing table of the trace's span ids, built once per trace. */
static bool parents_build(struct job *job, uint32_t first, uint32_t count)
{
    uint32_t places = 64;
    while (places < count * 2)
        places *= 2;
    uint32_t *const table = array(&job->encoder->parents, places, sizeof *table, 0xff);
    if (table == NULL) return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = (uint32_t)hash_mix(job->span_ids[first + i], 0) & (places - 1);
        while (table[place] != UNASSIGNED)
            place = (place + 1) & (places - 1);
        table[place] = first + i;
    }
    return true;
}

static uint32_t find_parent_large(const struct job *job, uint64_t parent)
{
    const uint32_t *const table = (const uint32_t *)(const void *)job->encoder->parents.ptr;
    const uint32_t mask = (uint32_t)(job->encoder->parents.len / sizeof *table) - 1;

    if (table == NULL || job->encoder->parents.failed) return UNASSIGNED; /* the block fails in the end */
    for (uint32_t place = (uint32_t)hash_mix(parent, 0) & mask; table[place] != UNASSIGNED;
         place = (place + 1) & mask)
        if (job->span_ids[table[place]] == parent) return table[place];
    return UNASSIGNED;
}

/* The value of STREAM_PARENT; explicit parents go to parent_raw. */
static uint32_t parent_code(struct job *job, const struct live_row *row, uint32_t at, uint32_t trace_count,
                            uint32_t *raw_count)
{
    uint64_t parent;

    if ((row->bits & ROW_PARENT_PRESENT) == 0) return 0;
    memcpy(&parent, row->parent_span_id.bytes, sizeof parent);
    const uint32_t found = trace_count <= PARENT_SCAN_MAX
                               ? find_parent_small(job->span_ids, job->trace_first, trace_count, parent)
                               : find_parent_large(job, parent);
    if (found != UNASSIGNED) return 2 + (uint32_t)zigzag((uint64_t)((int64_t)found - (int64_t)at));
    job->encoder->fields.parent_raw[(*raw_count)++] = parent;
    return 1;
}

static uint32_t trace_length(const struct job *job, uint32_t first)
{
    const struct order_key *const key = &job->order[first];
    uint32_t count = 1;

    while (first + count < job->rows && job->order[first + count].hi == key->hi &&
           job->order[first + count].lo == key->lo)
        count++;
    return count;
}

static void note_trace(struct job *job, uint32_t first, uint32_t count)
{
    const uint8_t *const id = job->live->rows[job->order[first].row].trace_id.bytes;
    const uint64_t hash = filter_hash_trace(id);

    bytes_put(&job->encoder->trace_ids, id, 16);
    bytes_put_varint(&job->encoder->trace_rows, count);
    bytes_put(&job->encoder->trace_hashes, &hash, sizeof hash);
    job->traces++;
}

/* Walks traces along with rows: the trace that row `at` is in, [trace_first, + returned). */
static uint32_t enter_trace(struct job *job, uint32_t at, uint32_t current_count)
{
    if (at < job->trace_first + current_count) return current_count;
    const uint32_t count = trace_length(job, at);
    job->trace_first = at;
    note_trace(job, at, count);
    if (count > PARENT_SCAN_MAX) parents_build(job, at, count);
    return count;
}

struct page_counts {
    uint32_t rows, bases, deltas, parents_raw, events, links;
    uint64_t start_min, start_max;
};

static void gather_row(struct job *job, const struct live_row *row, uint32_t at, uint32_t i,
                       uint32_t trace_count, struct page_counts *counts)
{
    struct page_fields *const fields = &job->encoder->fields;

    if (at == job->trace_first || i == 0)
        fields->start_base[counts->bases++] = row->start_ns - job->summary.start_min_ns;
    else
        fields->start_delta[counts->deltas++] = row->start_ns - job->order[at - 1].start_ns;
    if (row->start_ns < counts->start_min) counts->start_min = row->start_ns;
    if (row->start_ns > counts->start_max) counts->start_max = row->start_ns;
    fields->duration[i] = row->end_ns - row->start_ns;
    fields->parent[i] = parent_code(job, row, at, trace_count, &counts->parents_raw);
    fields->resource[i] = row->resource;
    fields->scope[i] = row->scope;
    fields->kind[i] = (uint32_t)row->kind;
    fields->status_code[i] = (uint32_t)row->status_code;
    fields->flags[i] = row->flags;
    fields->bits[i] = row->bits;
    fields->dropped_attributes[i] = row->dropped_attributes_count;
    fields->dropped_events[i] = row->dropped_events_count;
    fields->dropped_links[i] = row->dropped_links_count;
    fields->shape[i] = row->shape;
    fields->events[i] = row->events_count;
    fields->links[i] = row->links_count;
    fields->start[i] = row->start_ns;
    fields->name[i] = row->name;
    fields->trace_state[i] = row->trace_state;
    fields->status_message[i] = row->status_message;
    fields->slots_first[i] = row->slots_first;
    fields->slots_count[i] = row->slots_count;
    fields->events_first[i] = row->events_first;
    fields->links_first[i] = row->links_first;
    __builtin_prefetch(&job->live->slots[row->slots_first]); /* the scatter will want them */
    counts->events += row->events_count;
    counts->links += row->links_count;
}

static void put_fields(struct job *job, uint32_t page, const struct page_counts *counts)
{
    struct chunk_writer *const chunks = &job->encoder->chunks;
    const struct page_fields *const fields = &job->encoder->fields;
    const struct {
        enum block_stream stream;
        const uint32_t *values;
    } narrow[] = {
        {STREAM_PARENT, fields->parent},
        {STREAM_RESOURCE, fields->resource},
        {STREAM_SCOPE, fields->scope},
        {STREAM_KIND, fields->kind},
        {STREAM_STATUS_CODE, fields->status_code},
        {STREAM_FLAGS, fields->flags},
        {STREAM_BITS, fields->bits},
        {STREAM_DROPPED_ATTRIBUTES, fields->dropped_attributes},
        {STREAM_DROPPED_EVENTS, fields->dropped_events},
        {STREAM_DROPPED_LINKS, fields->dropped_links},
        {STREAM_SHAPE, fields->shape},
        {STREAM_EVENTS, fields->events},
        {STREAM_LINKS, fields->links},
    };

    chunk_put_u64(chunks, chunk_of(job, page, STREAM_START_BASE), fields->start_base, counts->bases);
    chunk_put_u64(chunks, chunk_of(job, page, STREAM_START_DELTA), fields->start_delta, counts->deltas);
    chunk_put_u64(chunks, chunk_of(job, page, STREAM_DURATION), fields->duration, counts->rows);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_SPAN_ID), job->span_ids + (size_t)page * PAGE,
                    (size_t)counts->rows * 8, false);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_PARENT_RAW), fields->parent_raw,
                    (size_t)counts->parents_raw * 8, false);
    for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++)
        chunk_put_u32(chunks, chunk_of(job, page, narrow[i].stream), narrow[i].values, counts->rows);
}

/* ---- a page: events and links ----------------------------------------------------------------------------
 */

/* Room for the page's events and links in the child columns. */
static bool size_children(struct job *job, const struct page_counts *counts)
{
    struct child_fields *const fields = &job->encoder->children;
    const size_t most = counts->events > counts->links ? counts->events : counts->links;

    return array_raw(&fields->time, counts->events, sizeof(uint64_t)) != NULL &&
           array_raw(&fields->dropped, most, sizeof(uint32_t)) != NULL &&
           array_raw(&fields->shape, most, sizeof(uint32_t)) != NULL &&
           array_raw(&fields->trace, counts->links, 16) != NULL &&
           array_raw(&fields->span, counts->links, 8) != NULL &&
           array_raw(&fields->flags, counts->links, sizeof(uint32_t)) != NULL &&
           array_raw(&fields->bits, counts->links, sizeof(uint32_t)) != NULL;
}

static uint32_t *narrow(const struct bytes *bytes)
{
    return (uint32_t *)(void *)bytes->ptr;
}

static void gather_events(struct job *job, uint32_t rows, uint32_t *values)
{
    const struct page_fields *const fields = &job->encoder->fields;
    uint64_t *const time = (uint64_t *)(void *)job->encoder->children.time.ptr;
    uint32_t *const dropped = narrow(&job->encoder->children.dropped);
    uint32_t *const shape = narrow(&job->encoder->children.shape);
    uint32_t *const names = values + job->plans[COLUMN_EVENT_NAME].page_first;
    uint32_t count = 0;

    for (uint32_t i = 0; i < rows; i++)
        for (uint32_t k = 0; k < fields->events[i]; k++, count++) {
            const struct live_event *const event = &job->live->events[fields->events_first[i] + k];
            time[count] = zigzag(event->time_ns - fields->start[i]);
            dropped[count] = event->dropped_attributes_count;
            shape[count] = event->shape;
            names[count] = event->name;
            scatter(job, values, event->slots_first, event->slots_count, event->shape);
        }
}

static void put_events(struct job *job, uint32_t page, const struct page_counts *counts, uint32_t *values)
{
    struct chunk_writer *const chunks = &job->encoder->chunks;
    const struct child_fields *const fields = &job->encoder->children;

    gather_events(job, counts->rows, values);
    chunk_put_u64(chunks, chunk_of(job, page, STREAM_EVENT_TIME),
                  (const uint64_t *)(const void *)fields->time.ptr, counts->events);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_EVENT_DROPPED), narrow(&fields->dropped),
                  counts->events);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_EVENT_SHAPE), narrow(&fields->shape), counts->events);
}

static void gather_link(struct job *job, const struct live_link *link, uint32_t at, uint32_t *values)
{
    const struct child_fields *const fields = &job->encoder->children;

    memcpy(fields->trace.ptr + (size_t)at * 16, link->trace_id.bytes, 16);
    memcpy(fields->span.ptr + (size_t)at * 8, link->span_id.bytes, 8);
    narrow(&fields->flags)[at] = link->flags;
    narrow(&fields->bits)[at] = link->bits;
    narrow(&fields->dropped)[at] = link->dropped_attributes_count;
    narrow(&fields->shape)[at] = link->shape;
    values[job->plans[COLUMN_LINK_STATE].page_first + at] = link->trace_state;
    scatter(job, values, link->slots_first, link->slots_count, link->shape);
}

static void put_links(struct job *job, uint32_t page, const struct page_counts *counts, uint32_t *values)
{
    struct chunk_writer *const chunks = &job->encoder->chunks;
    const struct page_fields *const rows = &job->encoder->fields;
    const struct child_fields *const fields = &job->encoder->children;
    const uint32_t count = counts->links;
    uint32_t at = 0;

    for (uint32_t i = 0; i < counts->rows; i++)
        for (uint32_t k = 0; k < rows->links[i]; k++)
            gather_link(job, &job->live->links[rows->links_first[i] + k], at++, values);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_LINK_TRACE), fields->trace.ptr, (size_t)count * 16,
                    false);
    chunk_put_bytes(chunks, chunk_of(job, page, STREAM_LINK_SPAN), fields->span.ptr, (size_t)count * 8,
                    false);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_FLAGS), narrow(&fields->flags), count);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_BITS), narrow(&fields->bits), count);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_DROPPED), narrow(&fields->dropped), count);
    chunk_put_u32(chunks, chunk_of(job, page, STREAM_LINK_SHAPE), narrow(&fields->shape), count);
}

/* ---- operations ------------------------------------------------------------------------------------------
 */

enum { OPERATION_PLACES_MIN = 1024 };

static uint64_t operation_hash(const struct operation *operation)
{
    return hash_mix(((uint64_t)operation->resource << 32 | operation->name) * 31 + (uint32_t)operation->kind,
                    0);
}

static void operation_insert(struct bytes *table, uint32_t mask, const struct operation *list, uint32_t index)
{
    uint32_t *const places = (uint32_t *)(void *)table->ptr;
    uint32_t place = (uint32_t)operation_hash(&list[index]) & mask;

    while (places[place] != UNASSIGNED)
        place = (place + 1) & mask;
    places[place] = index;
}

static bool operations_grow(struct block_encoder *encoder, uint32_t count)
{
    uint32_t places = OPERATION_PLACES_MIN;
    while (places < count * 4)
        places *= 2;
    if (array(&encoder->operation_table, places, sizeof(uint32_t), 0xff) == NULL) return false;
    for (uint32_t i = 0; i < count; i++)
        operation_insert(&encoder->operation_table, places - 1,
                         (const struct operation *)(const void *)encoder->operations.ptr, i);
    return true;
}

/* services[resource] is the first resource with the same service name. */
static void note_operation(struct job *job, const struct live_row *row)
{
    struct block_encoder *const encoder = job->encoder;
    const uint32_t *const services = (const uint32_t *)(const void *)encoder->services.ptr;
    const struct operation operation = {services[row->resource], row->name, row->kind};
    const uint32_t *const places = (const uint32_t *)(const void *)encoder->operation_table.ptr;
    const uint32_t mask = (uint32_t)(encoder->operation_table.len / sizeof *places) - 1;
    const struct operation *const list = (const struct operation *)(const void *)encoder->operations.ptr;

    if (encoder->operation_table.failed) return;
    for (uint32_t place = (uint32_t)operation_hash(&operation) & mask; places[place] != UNASSIGNED;
         place = (place + 1) & mask) {
        const struct operation *const at = &list[places[place]];
        if (at->resource == operation.resource && at->name == operation.name && at->kind == operation.kind)
            return;
    }
    bytes_put(&encoder->operations, &operation, sizeof operation);
    const uint32_t count = (uint32_t)(encoder->operations.len / sizeof operation);
    if (encoder->operations.failed) return;
    if (count * 2 > mask) {
        operations_grow(encoder, count);
        return;
    }
    operation_insert(&encoder->operation_table, mask,
                     (const struct operation *)(const void *)encoder->operations.ptr, count - 1);
}

static struct slice service_of(const struct live_block *live, uint32_t resource)
{
    return live_bytes(live, live->resources[resource].service_offset, live->resources[resource].service_len);
}

static bool group_services(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_block *const live = job->live;
    const uint32_t count = live->counts.resources;
    uint32_t places = 64;
    while (places < count * 2)
        places *= 2;
    uint32_t *const services = array(&encoder->services, count, sizeof *services, 0);
    uint32_t *const table = array(&encoder->operation_table, places, sizeof *table, 0xff);
    if (services == NULL || table == NULL) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct slice service = service_of(live, i);
        uint32_t place = (uint32_t)hash64(service.ptr, service.len) & (places - 1);
        while (table[place] != UNASSIGNED && !slice_equal(service_of(live, table[place]), service))
            place = (place + 1) & (places - 1);
        if (table[place] == UNASSIGNED) table[place] = i;
        services[i] = table[place];
    }
    encoder->operations.len = 0;
    return operations_grow(encoder, 0);
}

/* ---- pages -----------------------------------------------------------------------------------------------
 */

static void count_child_shapes(struct job *job, const struct live_row *row, uint32_t *uses)
{
    for (uint32_t k = 0; k < row->events_count; k++)
        touch_shape(job, uses, job->live->events[row->events_first + k].shape);
    for (uint32_t k = 0; k < row->links_count; k++)
        touch_shape(job, uses, job->live->links[row->links_first + k].shape);
}

static void scatter_rows(struct job *job, uint32_t count, uint32_t *values)
{
    const struct page_fields *const fields = &job->encoder->fields;

    memcpy(values + job->plans[COLUMN_NAME].page_first, fields->name, count * sizeof *values);
    memcpy(values + job->plans[COLUMN_TRACE_STATE].page_first, fields->trace_state, count * sizeof *values);
    memcpy(values + job->plans[COLUMN_STATUS_MESSAGE].page_first, fields->status_message,
           count * sizeof *values);
    for (uint32_t i = 0; i < count; i++)
        scatter(job, values, fields->slots_first[i], fields->slots_count[i], fields->shape[i]);
}

static uint32_t gather_rows(struct job *job, uint32_t first, uint32_t count, uint32_t trace_count,
                            struct page_counts *counts)
{
    const struct live_row *const rows = job->live->rows;
    uint32_t *const uses = (uint32_t *)(void *)job->encoder->shape_rows.ptr;

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = first + i;
        const struct live_row *const row = &rows[job->order[at].row];
        if (at + 8 < job->rows) {
            __builtin_prefetch(&rows[job->order[at + 8].row]);
            __builtin_prefetch((const char *)&rows[job->order[at + 8].row] + 64);
        }
        trace_count = enter_trace(job, at, trace_count);
        gather_row(job, row, at, i, trace_count, counts);
        touch_shape(job, uses, row->shape);
        if ((row->events_count | row->links_count) != 0) count_child_shapes(job, row, uses);
        note_operation(job, row);
    }
    return trace_count;
}

static uint32_t encode_page(struct job *job, uint32_t page, uint32_t trace_count)
{
    struct block_encoder *const encoder = job->encoder;
    const uint32_t first = page * PAGE;
    struct page_counts counts = {.rows = job->rows - first < PAGE ? job->rows - first : PAGE,
                                 .start_min = UINT64_MAX};

    trace_count = gather_rows(job, first, counts.rows, trace_count, &counts);
    put_fields(job, page, &counts);
    job->plans[COLUMN_NAME].page_count = job->plans[COLUMN_TRACE_STATE].page_count =
        job->plans[COLUMN_STATUS_MESSAGE].page_count = counts.rows;
    job->plans[COLUMN_EVENT_NAME].page_count = counts.events;
    job->plans[COLUMN_LINK_STATE].page_count = counts.links;
    const uint32_t total = lay_out_columns(job, (uint32_t *)(void *)encoder->shape_rows.ptr);
    uint32_t *const values = array_raw(&encoder->values, total, sizeof *values);
    if (values == NULL || !size_children(job, &counts)) return trace_count;
    scatter_rows(job, counts.rows, values);
    if (counts.events > 0) put_events(job, page, &counts, values);
    if (counts.links > 0) put_links(job, page, &counts, values);
    put_columns(job, page, values);
    chunk_writer_end_page(&encoder->chunks);
    const struct block_page entry = {counts.start_min, counts.start_max, counts.events, counts.links};
    bytes_put(&encoder->page_table, &entry, sizeof entry);
    return trace_count;
}

/* ---- tables ----------------------------------------------------------------------------------------------
 */

/* Pieces of several columns share a section until it is full. */
struct piece_writer {
    struct job *job;
    size_t pending_first; /* piece whose section is not known yet */
};

static void pieces_flush(struct piece_writer *writer)
{
    struct block_encoder *const encoder = writer->job->encoder;
    struct block_piece *const pieces = (struct block_piece *)(void *)encoder->pieces.ptr;
    const size_t count = encoder->pieces.len / sizeof *pieces;

    if (writer->pending_first == count) return;
    const uint32_t section = block_output_section(&encoder->output, SECTION_DICTIONARY,
                                                  encoder->piece_bytes.ptr, encoder->piece_bytes.len, true);
    for (size_t i = writer->pending_first; i < count; i++)
        pieces[i].section = section;
    writer->pending_first = count;
    encoder->piece_bytes.len = 0;
}

/* The pair with the next dictionary id; *pair 0: the empty string. */
static uint32_t next_entry(const struct job *job, const struct column_plan *plan, uint32_t id,
                           uint32_t *chain)
{
    const uint32_t *const next = (const uint32_t *)(const void *)job->encoder->pair_next.ptr;
    const uint32_t pair = *chain;

    if (id == plan->empty_id) return 0;
    *chain = next[pair];
    return pair;
}

static void put_piece(struct piece_writer *writer, uint32_t column, uint32_t *id, uint32_t *chain)
{
    struct job *const job = writer->job;
    struct bytes *const out = &job->encoder->piece_bytes;
    struct bytes *const text = &job->encoder->text;
    const struct column_plan *const plan = &job->plans[column];
    const bool scalar = block_type_is_scalar(job->live->columns[column].type);
    struct block_piece piece = {.column = column, .first = *id, .offset = (uint32_t)out->len};

    text->len = 0;
    while (*id < plan->distinct && out->len + text->len < BLOCK_DICTIONARY_BYTES) {
        const uint32_t pair = next_entry(job, plan, (*id)++, chain);
        if (scalar) {
            bytes_put(out, &job->live->pairs[pair].value, 8);
        } else {
            const struct slice value = live_pair_bytes(job->live, pair);
            bytes_put_varint(out, value.len);
            bytes_put(text, value.ptr, value.len);
        }
        piece.count++;
    }
    bytes_put(out, text->ptr, text->len);
    piece.len = (uint32_t)out->len - piece.offset;
    bytes_put(&job->encoder->pieces, &piece, sizeof piece);
    if (out->len >= BLOCK_DICTIONARY_BYTES) pieces_flush(writer);
}

static void put_dictionaries(struct job *job)
{
    struct piece_writer writer = {.job = job};

    job->encoder->pieces.len = job->encoder->piece_bytes.len = 0;
    for (uint32_t i = 0; i < job->columns; i++) {
        uint32_t chain = job->plans[i].first;
        for (uint32_t id = 0; id < job->plans[i].distinct;)
            put_piece(&writer, i, &id, &chain);
    }
    pieces_flush(&writer);
}

static void put_text(struct bytes *out, struct slice text)
{
    bytes_put_varint(out, text.len);
    bytes_put(out, text.ptr, text.len);
}

static void put_envelopes(struct job *job, enum block_section_type type, const struct live_envelope *list,
                          uint32_t count)
{
    struct bytes *const out = &job->encoder->text;

    out->len = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes_put_varint(out, list[i].present);
        put_text(out, live_bytes(job->live, list[i].offset, list[i].len));
        put_text(out, live_bytes(job->live, list[i].schema_offset, list[i].schema_len));
    }
    block_output_section(&job->encoder->output, type, out->ptr, out->len, true);
}

static void put_shapes(struct job *job)
{
    struct bytes *const out = &job->encoder->text;

    out->len = 0;
    for (uint32_t i = 0; i < job->live->counts.shapes; i++) {
        const struct live_shape *const shape = &job->live->shapes[i];
        bytes_put_varint(out, shape->count);
        for (uint32_t k = 0; k < shape->count; k++)
            bytes_put_varint(out, job->live->shape_columns[shape->first + k]);
    }
    block_output_section(&job->encoder->output, SECTION_SHAPES, out->ptr, out->len, true);
}

static void put_operations(struct job *job)
{
    struct bytes *const out = &job->encoder->text;
    const struct operation *const list = (const struct operation *)(const void *)job->encoder->operations.ptr;
    const uint32_t *const ids = (const uint32_t *)(const void *)job->encoder->pair_ids.ptr;
    const size_t count = job->encoder->operations.len / sizeof *list;

    out->len = 0;
    for (size_t i = 0; i < count; i++) {
        bytes_put_varint(out, list[i].resource);
        bytes_put_varint(out, list[i].name == 0 ? job->plans[COLUMN_NAME].empty_id : ids[list[i].name]);
        bytes_put_varint(out, zigzag((uint64_t)(int64_t)list[i].kind));
    }
    block_output_section(&job->encoder->output, SECTION_OPERATIONS, out->ptr, out->len, true);
}

static void put_column_directory(struct job *job)
{
    struct bytes *const out = &job->encoder->text;

    out->len = 0;
    for (uint32_t i = 0; i < job->columns; i++) {
        const struct live_column *const column = &job->live->columns[i];
        const struct column_plan *const plan = &job->plans[i];
        const struct block_column_entry entry = {column->level, column->type,   plan->mode,     0,
                                                 plan->values,  plan->distinct, column->key_len};
        bytes_put(out, &entry, sizeof entry);
        bytes_put(out, job->live->arena + column->key_offset, column->key_len);
    }
    block_output_section(&job->encoder->output, SECTION_COLUMNS, out->ptr, out->len, true);
}

/* Tokens of resource and scope attributes. */
struct envelope_tokens {
    struct job *job;
    uint8_t level;
};

static enum err envelope_token(void *context, const struct attribute *attribute)
{
    const struct envelope_tokens *const tokens = context;

    add_token(tokens->job, tokens->level, attribute->key, (uint8_t)attribute->type, attribute->bytes,
              attribute->bits);
    return OK;
}

static void add_envelope_tokens(struct job *job)
{
    const struct live_block *const live = job->live;
    struct envelope_tokens tokens = {job, LEVEL_RESOURCE};
    const struct envelope_visitor visitor = {envelope_token, &tokens};
    struct otlp_fault fault;

    for (uint32_t i = 0; i < live->counts.resources; i++)
        resource_check(live_bytes(live, live->resources[i].offset, live->resources[i].len), &visitor, &fault);
    tokens.level = LEVEL_SCOPE;
    for (uint32_t i = 0; i < live->counts.scopes; i++)
        scope_check(live_bytes(live, live->scopes[i].offset, live->scopes[i].len), &visitor, &fault);
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
    block_output_section(output, SECTION_TRACES, encoder->trace_ids.ptr, encoder->trace_ids.len, false);
    block_output_section(output, SECTION_TRACE_ROWS, encoder->trace_rows.ptr, encoder->trace_rows.len, true);
    put_envelopes(job, SECTION_RESOURCES, job->live->resources, job->live->counts.resources);
    put_envelopes(job, SECTION_SCOPES, job->live->scopes, job->live->counts.scopes);
    put_shapes(job);
    put_operations(job);
    put_column_directory(job);
    block_output_section(output, SECTION_CHUNKS, encoder->chunk_table.ptr, encoder->chunk_table.len, true);
    block_output_section(output, SECTION_PIECES, encoder->pieces.ptr, encoder->pieces.len, true);
    block_output_section(output, SECTION_PAGES, encoder->page_table.ptr, encoder->page_table.len, true);
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
        const bool plain_code = row->status_code >= 0 && row->status_code <= 30;
        if (row->start_ns < summary->start_min_ns) summary->start_min_ns = row->start_ns;
        if (row->start_ns > summary->start_max_ns) summary->start_max_ns = row->start_ns;
        if (row->end_ns > summary->end_max_ns) summary->end_max_ns = row->end_ns;
        if (duration < summary->duration_min_ns) summary->duration_min_ns = duration;
        if (duration > summary->duration_max_ns) summary->duration_max_ns = duration;
        summary->status_mask |= 1u << (plain_code ? row->status_code : 31);
    }
}

static bool sort_rows(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_row *const rows = job->live->rows;
    struct order_key *const scratch = array_raw(&encoder->keys_scratch, job->rows, sizeof *scratch);
    uint32_t *const buckets = array_raw(&encoder->buckets, ORDER_BUCKETS + 1, sizeof *buckets);

    job->order = array_raw(&encoder->keys, job->rows, sizeof *job->order);
    job->span_ids = array_raw(&encoder->span_ids, job->rows, sizeof *job->span_ids);
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
    const uint32_t pairs = job->live->counts.pairs;

    block_output_reset(&encoder->output);
    encoder->trace_ids.len = encoder->trace_rows.len = encoder->trace_hashes.len = encoder->token_hashes.len =
        0;
    encoder->page_table.len = encoder->shapes_touched.len = 0;
    encoder->chunks.group.len = encoder->chunks.waiting_count = 0;
    job->chunk_table = array(&encoder->chunk_table, (size_t)job->pages * job->streams,
                             sizeof *job->chunk_table, 0);
    return job->chunk_table != NULL && array(&encoder->pair_ids, pairs, sizeof(uint32_t), 0xff) != NULL &&
           array(&encoder->pair_next, pairs, sizeof(uint32_t), 0xff) != NULL;
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
    if (!prepare(&job) || !sort_rows(&job) || !plan_columns(&job) || !group_services(&job))
        return ERR_NO_MEMORY;
    for (uint32_t page = 0; page < job.pages; page++)
        trace_count = encode_page(&job, page, trace_count);
    add_envelope_tokens(&job);
    return finish(&job, out);
}
