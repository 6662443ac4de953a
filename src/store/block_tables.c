/*
 * The tables of a block: dictionaries, and what the pages refer to by number.
 */
#include "block_job.h"

#include "base/hash.h"
#include "store/filter.h"

/* ---- dictionaries -------------------------------------------------------------------------------------------- */

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

static void put_piece(struct piece_writer *writer, uint32_t column, uint32_t *id)
{
    struct job *const job = writer->job;
    struct bytes *const out = &job->encoder->piece_bytes;
    struct bytes *const text = &job->encoder->text;
    const struct column_plan *const plan = &job->plans[column];
    const bool scalar = block_type_is_scalar(job->live->columns[column].type);
    struct block_piece piece = {.column = column, .first = *id, .offset = (uint32_t)out->len};

    text->len = 0;
    while (*id < plan->distinct && out->len + text->len < BLOCK_DICTIONARY_BYTES) {
        const uint32_t pair = job->entries[plan->first + (*id)++];
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

void put_dictionaries(struct job *job)
{
    struct piece_writer writer = {.job = job};

    job->encoder->pieces.len = job->encoder->piece_bytes.len = 0;
    for (uint32_t i = 0; i < job->columns; i++)
        for (uint32_t id = 0; id < job->plans[i].distinct;)
            put_piece(&writer, i, &id);
    pieces_flush(&writer);
}

/* ---- envelopes ------------------------------------------------------------------------------------------------- */

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

/* Tokens of resource and scope attributes. */
struct envelope_tokens {
    struct job *job;
    uint8_t level;
};

static enum err envelope_token(void *context, const struct attribute *attribute)
{
    const struct envelope_tokens *const tokens = context;
    uint64_t hash;

    if (block_token(tokens->level, attribute->key, (uint8_t)attribute->type, attribute->bytes,
                    attribute->bits, &hash))
        bytes_put(&tokens->job->encoder->token_hashes, &hash, sizeof hash);
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

/* ---- shapes and patterns ---------------------------------------------------------------------------------------- */

/* Shapes that no row has may name constants without an entry: they are written without items. */
static bool shape_in_use(const struct job *job, uint32_t shape)
{
    return as_u32(&job->encoder->shape_uses)[shape] > 0;
}

static uint32_t shape_count(const struct job *job, uint32_t shape)
{
    return shape_in_use(job, shape) ? job->live->shapes[shape].count : 0;
}

/* Three runs of varints: items of each shape, column of each item, 0 or 1 + the entry of its constant. */
static void put_shapes(struct job *job)
{
    const struct live_block *const live = job->live;
    struct bytes *const out = &job->encoder->text;

    out->len = 0;
    for (uint32_t i = 0; i < live->counts.shapes; i++)
        bytes_put_varint(out, shape_count(job, i));
    for (uint32_t i = 0; i < live->counts.shapes; i++)
        for (uint32_t k = 0; k < shape_count(job, i); k++)
            bytes_put_varint(out, live->shape_items[live->shapes[i].first + k].column);
    for (uint32_t i = 0; i < live->counts.shapes; i++)
        for (uint32_t k = 0; k < shape_count(job, i); k++) {
            const uint32_t pair = live->shape_items[live->shapes[i].first + k].constant;
            bytes_put_varint(out, pair == 0 ? 0 : 1 + job->pair_ids[pair]);
        }
    block_output_section(&job->encoder->output, SECTION_SHAPES, out->ptr, out->len, true);
}

/* Byte planes of 32-bit fields: byte b of field f of record i at (4 f + b) * count + i. */
static void put_field(uint8_t *planes, uint32_t count, uint32_t field, uint32_t i, uint32_t value)
{
    for (uint32_t b = 0; b < 4; b++)
        planes[(size_t)(4 * field + b) * count + i] = (uint8_t)(value >> 8 * b);
}

static void put_patterns(struct job *job)
{
    const struct live_block *const live = job->live;
    const uint32_t count = live->counts.patterns;
    uint8_t *const out = job_array_raw(&job->encoder->text, count, PATTERN_FIELDS * 4);

    if (out == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        const struct live_pattern *const at = &live->patterns[i];
        put_field(out, count, PATTERN_RESOURCE, i, at->resource);
        put_field(out, count, PATTERN_SCOPE, i, at->scope);
        put_field(out, count, PATTERN_NAME, i, string_id(job, at->name));
        put_field(out, count, PATTERN_KIND, i, (uint32_t)at->kind);
        put_field(out, count, PATTERN_STATUS_CODE, i, (uint32_t)at->status_code);
        put_field(out, count, PATTERN_FLAGS, i, at->flags);
        put_field(out, count, PATTERN_BITS, i, at->bits);
        put_field(out, count, PATTERN_DROPPED_ATTRIBUTES, i, at->dropped_attributes_count);
        put_field(out, count, PATTERN_DROPPED_EVENTS, i, at->dropped_events_count);
        put_field(out, count, PATTERN_DROPPED_LINKS, i, at->dropped_links_count);
        put_field(out, count, PATTERN_SHAPE, i, at->shape);
    }
    block_output_section(&job->encoder->output, SECTION_PATTERNS, out, (size_t)count * PATTERN_FIELDS * 4,
                         true);
}

static void put_event_patterns(struct job *job)
{
    const struct live_block *const live = job->live;
    const uint32_t count = live->counts.event_patterns;
    uint8_t *const out = job_array_raw(&job->encoder->text, count, EVENT_PATTERN_FIELDS * 4);

    if (out == NULL) return;
    for (uint32_t i = 0; i < count; i++) {
        const struct live_event_pattern *const at = &live->event_patterns[i];
        put_field(out, count, EVENT_PATTERN_NAME, i, string_id(job, at->name));
        put_field(out, count, EVENT_PATTERN_DROPPED_ATTRIBUTES, i, at->dropped_attributes_count);
        put_field(out, count, EVENT_PATTERN_SHAPE, i, at->shape);
    }
    block_output_section(&job->encoder->output, SECTION_EVENT_PATTERNS, out,
                         (size_t)count * EVENT_PATTERN_FIELDS * 4, true);
}

/* ---- operations ---------------------------------------------------------------------------------------------------- */

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
    if (job_array(&encoder->operation_table, places, sizeof(uint32_t), 0xff) == NULL) return false;
    for (uint32_t i = 0; i < count; i++)
        operation_insert(&encoder->operation_table, places - 1,
                         (const struct operation *)(const void *)encoder->operations.ptr, i);
    return true;
}

/* services[resource] is the first resource with the same service name. */
static void note_operation(struct job *job, const struct live_pattern *pattern)
{
    struct block_encoder *const encoder = job->encoder;
    const uint32_t *const services = (const uint32_t *)(const void *)encoder->services.ptr;
    const struct operation operation = {services[pattern->resource], pattern->name, pattern->kind};
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

static bool group_services(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_block *const live = job->live;
    const uint32_t count = live->counts.resources;
    uint32_t places = 64;
    while (places < count * 2)
        places *= 2;
    uint32_t *const services = job_array(&encoder->services, count, sizeof *services, 0);
    uint32_t *const table = job_array(&encoder->operation_table, places, sizeof *table, 0xff);
    if (services == NULL || table == NULL) return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct slice service = live_service(live, i);
        uint32_t place = (uint32_t)hash64(service.ptr, service.len) & (places - 1);
        while (table[place] != UNASSIGNED && !slice_equal(live_service(live, table[place]), service))
            place = (place + 1) & (places - 1);
        if (table[place] == UNASSIGNED) table[place] = i;
        services[i] = table[place];
    }
    encoder->operations.len = 0;
    return operations_grow(encoder, 0);
}

static bool find_operations(struct job *job)
{
    if (!group_services(job)) return false;
    for (uint32_t i = 0; i < job->live->counts.patterns; i++)
        note_operation(job, &job->live->patterns[i]);
    return !job->encoder->operations.failed && !job->encoder->operation_table.failed;
}

static void put_operations(struct job *job)
{
    struct bytes *const out = &job->encoder->text;
    const struct operation *const list = (const struct operation *)(const void *)job->encoder->operations.ptr;
    const size_t count = job->encoder->operations.len / sizeof *list;

    out->len = 0;
    for (size_t i = 0; i < count; i++) {
        bytes_put_varint(out, list[i].resource);
        bytes_put_varint(out, string_id(job, list[i].name));
        bytes_put_varint(out, zigzag((uint64_t)(int64_t)list[i].kind));
    }
    block_output_section(&job->encoder->output, SECTION_OPERATIONS, out->ptr, out->len, true);
}

/* ---- directories ----------------------------------------------------------------------------------------------------- */

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

bool put_tables(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    struct block_output *const output = &encoder->output;

    if (!find_operations(job)) return false;
    block_output_section(output, SECTION_TRACES, encoder->trace_ids.ptr, encoder->trace_ids.len, false);
    block_output_section(output, SECTION_TRACE_ROWS, encoder->trace_rows.ptr, encoder->trace_rows.len, true);
    put_envelopes(job, SECTION_RESOURCES, job->live->resources, job->live->counts.resources);
    put_envelopes(job, SECTION_SCOPES, job->live->scopes, job->live->counts.scopes);
    add_envelope_tokens(job);
    put_shapes(job);
    put_patterns(job);
    put_event_patterns(job);
    put_operations(job);
    put_column_directory(job);
    if (!put_ledger(job)) return false;
    block_output_section(output, SECTION_CHUNKS, encoder->chunk_table.ptr, encoder->chunk_table.len, true);
    block_output_section(output, SECTION_PIECES, encoder->pieces.ptr, encoder->pieces.len, true);
    block_output_section(output, SECTION_PAGES, encoder->page_table.ptr, encoder->page_table.len, true);
    return true;
}
