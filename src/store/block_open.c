/*
 * Opens a block: header, section table, directories. Bytes are foreign here: each length is checked against
 * what contains it before use, each section's CRC before its bytes are looked at, and plain sizes are bounded
 * before any allocation. Behind this border, tables are trusted.
 *
 *   read header -> read [meta_offset, bytes) -> section table -> columns, chunks, pieces, pages, shapes,
 * envelopes
 */
#include "block_reader.h"

#include "base/crc32c.h"
#include "base/seeded_bug.h"
#include "codec/wire.h"

#include <stdlib.h>

/* ---- header ---------------------------------------------------------------------------------------------
 */

static enum err header_check(const uint8_t bytes[BLOCK_HEADER_BYTES], struct block_header *out)
{
    uint8_t copy[BLOCK_HEADER_BYTES];

    memcpy(out, bytes, sizeof *out);
    if (memcmp(out->magic, BLOCK_MAGIC, sizeof out->magic) != 0) return ERR_CORRUPT;
    memcpy(copy, bytes, sizeof copy);
    memset(copy + offsetof(struct block_header, header_crc), 0, sizeof out->header_crc);
    if (crc32c(0, copy, sizeof copy) != out->header_crc) return ERR_CORRUPT;
    if (out->min_reader > BLOCK_MAJOR) return ERR_VERSION;
    const bool sound = out->bytes % 4096 == 0 && out->bytes <= BLOCK_BYTES_MAX && out->spans > 0 &&
                       out->spans <= BLOCK_ROWS_MAX && out->traces > 0 && out->traces <= out->spans &&
                       out->pages == (out->spans + BLOCK_PAGE_ROWS - 1) / BLOCK_PAGE_ROWS &&
                       out->columns >= COLUMN_FIXED_COUNT && out->columns <= LIVE_COLUMNS_MAX &&
                       out->shapes > 0 && out->shapes <= LIVE_SHAPES_MAX && out->patterns > 0 &&
                       out->patterns <= LIVE_PATTERNS_MAX && out->event_patterns <= LIVE_CHILDREN_MAX &&
                       out->resources <= LIVE_ENVELOPES_MAX && out->scopes <= LIVE_ENVELOPES_MAX &&
                       out->operations <= out->spans && out->events <= LIVE_CHILDREN_MAX &&
                       out->links <= LIVE_CHILDREN_MAX && out->dictionary_pieces <= LIVE_PAIRS_MAX &&
                       out->meta_offset >= BLOCK_HEADER_BYTES &&
                       out->meta_offset % BLOCK_SECTION_ALIGN == 0 &&
                       out->table_offset % BLOCK_SECTION_ALIGN == 0 &&
                       out->meta_offset <= out->table_offset && out->table_offset <= out->bytes &&
                       out->sections <= (out->bytes - out->table_offset) / sizeof(struct block_section);
    return sound ? OK : ERR_CORRUPT;
}

static void summarise(const struct block_header *header, struct block_summary *out)
{
    *out = (struct block_summary){
        .shard = header->shard,
        .seq = header->seq,
        .lsn_first = header->lsn_first,
        .lsn_end = header->lsn_end,
        .spans = header->spans,
        .traces = header->traces,
        .bytes = header->bytes,
        .start_min_ns = header->start_min_ns,
        .start_max_ns = header->start_max_ns,
        .end_max_ns = header->end_max_ns,
        .duration_min_ns = header->duration_min_ns,
        .duration_max_ns = header->duration_max_ns,
        .arrival_min_ns = header->arrival_min_ns,
        .arrival_max_ns = header->arrival_max_ns,
        .status_mask = header->status_mask,
        .header_crc = header->header_crc,
    };
    memcpy(out->trace_min.bytes, header->trace_min, 16);
    memcpy(out->trace_max.bytes, header->trace_max, 16);
}

enum err block_peek(const uint8_t bytes[4096], struct block_summary *out)
{
    struct block_header header;

    TRY(header_check(bytes, &header));
    summarise(&header, out);
    return OK;
}

/* ---- tables of sections -----------------------------------------------------------------------------------
 */

/* The one section of a type; meta sections occur once. */
enum err reader_section_of(struct block_reader *reader, enum block_section_type type, struct slice *out)
{
    for (uint32_t i = reader->header.sections; i-- > 0;)
        if (reader->sections[i].type == type) return reader_section(reader, i, out);
    return ERR_NOT_FOUND;
}

static enum err only_section(struct block_reader *reader, enum block_section_type type, struct slice *out)
{
    const enum err err = reader_section_of(reader, type, out);

    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

/* ---- tables ---------------------------------------------------------------------------------------------
 */

static enum err open_columns(struct block_reader *reader)
{
    const uint32_t count = reader->header.columns;
    struct slice bytes;
    size_t at = 0;

    TRY(only_section(reader, SECTION_COLUMNS, &bytes));
    reader->columns = reader_alloc_zero(reader, count, sizeof *reader->columns);
    if (reader->columns == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct reader_column *const column = &reader->columns[i];
        if (bytes.len - at < sizeof column->entry) return ERR_CORRUPT;
        memcpy(&column->entry, bytes.ptr + at, sizeof column->entry);
        at += sizeof column->entry;
        if (column->entry.key_len > bytes.len - at || column->entry.level >= LEVEL_COUNT ||
            column->entry.type >= VALUE_TYPE_COUNT || column->entry.mode > MODE_DICTIONARY)
            return ERR_CORRUPT;
        column->key = slice_of(bytes.ptr + at, column->entry.key_len);
        at += column->entry.key_len;
    }
    return at == bytes.len ? OK : ERR_CORRUPT;
}

static enum err open_chunks(struct block_reader *reader)
{
    struct slice bytes;

    reader->streams = STREAM_FIXED_COUNT + 2 * reader->header.columns;
    TRY(only_section(reader, SECTION_CHUNKS, &bytes));
    if (bytes.len != (size_t)reader->header.pages * reader->streams * sizeof(struct block_chunk))
        return ERR_CORRUPT;
    reader->chunks = (const struct block_chunk *)(const void *)bytes.ptr;
    return OK;
}

/* Pieces ascend by column, and cover each dictionary without a gap. */
static enum err open_pieces(struct block_reader *reader)
{
    const uint32_t count = reader->header.dictionary_pieces;
    struct slice bytes;
    uint32_t at = 0;

    TRY(only_section(reader, SECTION_PIECES, &bytes));
    if (bytes.len != (size_t)count * sizeof(struct block_piece)) return ERR_CORRUPT;
    reader->pieces = (const struct block_piece *)(const void *)bytes.ptr;
    reader->opened = reader_alloc_zero(reader, count, sizeof *reader->opened);
    if (reader->opened == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < reader->header.columns; i++) {
        struct reader_column *const column = &reader->columns[i];
        uint32_t next = 0;
        column->pieces_first = at;
        for (; at < count && reader->pieces[at].column == i; at++) {
            const struct block_piece *const piece = &reader->pieces[at];
            if (piece->first != next || piece->count == 0 || piece->count > column->entry.distinct - next)
                return ERR_CORRUPT;
            next += piece->count;
        }
        if (next != column->entry.distinct) return ERR_CORRUPT;
        column->pieces_count = at - column->pieces_first;
    }
    return at == count ? OK : ERR_CORRUPT;
}

static enum err open_pages(struct block_reader *reader)
{
    struct slice bytes;
    uint64_t events = 0, links = 0;

    TRY(only_section(reader, SECTION_PAGES, &bytes));
    if (bytes.len != (size_t)reader->header.pages * sizeof(struct block_page)) return ERR_CORRUPT;
    reader->pages = (const struct block_page *)(const void *)bytes.ptr;
    for (uint32_t i = 0; i < reader->header.pages; i++) {
        events += reader->pages[i].events;
        links += reader->pages[i].links;
    }
    return events == reader->header.events && links == reader->header.links ? OK : ERR_CORRUPT;
}

static bool read_u32(struct wire_reader *in, uint32_t *out)
{
    uint64_t value;

    if (!wire_varint(in, &value) || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

/* How many items each shape has; *total: all of them, at most one a byte of the section. */
static enum err open_shape_counts(struct block_reader *reader, struct wire_reader *in, size_t bytes,
                                  uint32_t *total)
{
    *total = 0;
    for (uint32_t i = 0; i < reader->header.shapes; i++) {
        struct reader_shape *const shape = &reader->shapes[i];
        if (!read_u32(in, &shape->count) || shape->count > OTLP_ATTRIBUTES_MAX ||
            shape->count > bytes - *total)
            return ERR_CORRUPT;
        shape->first = *total;
        *total += shape->count;
    }
    return OK;
}

static enum err open_shape_items(struct block_reader *reader, struct wire_reader *in, uint32_t total)
{
    for (uint32_t i = 0; i < total; i++)
        if (!read_u32(in, &reader->shape_items[i].column) ||
            reader->shape_items[i].column >= reader->header.columns)
            return ERR_CORRUPT;
    for (uint32_t i = 0; i < total; i++) {
        struct reader_item *const item = &reader->shape_items[i];
        if (!read_u32(in, &item->constant) || item->constant > reader->columns[item->column].entry.distinct)
            return ERR_CORRUPT;
    }
    for (uint32_t i = 0; i < reader->header.shapes; i++)
        for (uint32_t k = 0; k < reader->shapes[i].count; k++)
            reader->shapes[i].varying += reader->shape_items[reader->shapes[i].first + k].constant == 0;
    return OK;
}

static enum err open_shapes(struct block_reader *reader)
{
    struct slice bytes;
    uint32_t total;

    TRY(only_section(reader, SECTION_SHAPES, &bytes));
    struct wire_reader in = wire_reader_of(bytes);
    reader->shapes = reader_alloc_zero(reader, reader->header.shapes, sizeof *reader->shapes);
    if (reader->shapes == NULL) return ERR_NO_MEMORY;
    TRY(open_shape_counts(reader, &in, bytes.len, &total));
    reader->shape_items = reader_alloc(reader, total, sizeof *reader->shape_items);
    if (reader->shape_items == NULL) return ERR_NO_MEMORY;
    TRY(open_shape_items(reader, &in, total));
    return in.at == in.end ? OK : ERR_CORRUPT;
}

static uint32_t field_at(struct slice planes, uint32_t count, uint32_t field, uint32_t i)
{
    uint32_t value = 0;

    for (uint32_t b = 0; b < 4; b++)
        value |= (uint32_t)planes.ptr[(size_t)(4 * field + b) * count + i] << 8 * b;
    return value;
}

static enum err open_patterns(struct block_reader *reader)
{
    const struct block_header *const header = &reader->header;
    const uint32_t count = header->patterns;
    struct slice planes;

    TRY(only_section(reader, SECTION_PATTERNS, &planes));
    if (planes.len != (size_t)count * PATTERN_FIELDS * 4) return ERR_CORRUPT;
    reader->patterns = reader_alloc(reader, count, sizeof *reader->patterns);
    if (reader->patterns == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct live_pattern *const at = &reader->patterns[i];
        *at = (struct live_pattern){
            .resource = field_at(planes, count, PATTERN_RESOURCE, i),
            .scope = field_at(planes, count, PATTERN_SCOPE, i),
            .name = field_at(planes, count, PATTERN_NAME, i),
            .kind = (int32_t)field_at(planes, count, PATTERN_KIND, i),
            .status_code = (int32_t)field_at(planes, count, PATTERN_STATUS_CODE, i),
            .flags = field_at(planes, count, PATTERN_FLAGS, i),
            .bits = field_at(planes, count, PATTERN_BITS, i),
            .dropped_attributes_count = field_at(planes, count, PATTERN_DROPPED_ATTRIBUTES, i),
            .dropped_events_count = field_at(planes, count, PATTERN_DROPPED_EVENTS, i),
            .dropped_links_count = field_at(planes, count, PATTERN_DROPPED_LINKS, i),
            .shape = field_at(planes, count, PATTERN_SHAPE, i),
        };
        if (at->resource >= header->resources || at->scope >= header->scopes ||
            at->name >= reader->columns[COLUMN_NAME].entry.distinct || at->shape >= header->shapes)
            return ERR_CORRUPT;
    }
    return OK;
}

static enum err open_event_patterns(struct block_reader *reader)
{
    const uint32_t count = reader->header.event_patterns;
    struct slice planes;

    TRY(only_section(reader, SECTION_EVENT_PATTERNS, &planes));
    if (planes.len != (size_t)count * EVENT_PATTERN_FIELDS * 4) return ERR_CORRUPT;
    reader->event_patterns = reader_alloc(reader, count, sizeof *reader->event_patterns);
    if (reader->event_patterns == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct live_event_pattern *const at = &reader->event_patterns[i];
        at->name = field_at(planes, count, EVENT_PATTERN_NAME, i);
        at->dropped_attributes_count = field_at(planes, count, EVENT_PATTERN_DROPPED_ATTRIBUTES, i);
        at->shape = field_at(planes, count, EVENT_PATTERN_SHAPE, i);
        if (at->name >= reader->columns[COLUMN_EVENT_NAME].entry.distinct ||
            at->shape >= reader->header.shapes)
            return ERR_CORRUPT;
    }
    return OK;
}

static enum err note_service(void *context, const struct attribute *attribute)
{
    struct envelope *const envelope = context;

    if (attribute->type == VALUE_STRING && slice_is(attribute->key, "service.name"))
        envelope->service = attribute->bytes;
    return OK;
}

static enum err open_envelopes(struct block_reader *reader, enum block_section_type type, uint32_t count,
                               struct envelope **out)
{
    struct slice bytes;

    TRY(only_section(reader, type, &bytes));
    struct wire_reader in = wire_reader_of(bytes);
    struct envelope *const list = reader_alloc_zero(reader, count, sizeof *list);
    if (list == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t present;
        struct otlp_fault fault;
        if (!read_u32(&in, &present) || present > 1 || !wire_bytes(&in, &list[i].message) ||
            !wire_bytes(&in, &list[i].schema_url))
            return ERR_CORRUPT;
        list[i].present = present != 0;
        const struct envelope_visitor visitor = {note_service, &list[i]};
        if (type == SECTION_RESOURCES && resource_check(list[i].message, &visitor, &fault) != OK)
            return ERR_CORRUPT;
        if (type == SECTION_SCOPES && scope_check(list[i].message, NULL, &fault) != OK) return ERR_CORRUPT;
    }
    *out = list;
    return in.at == in.end ? OK : ERR_CORRUPT;
}

static enum err open_operations(struct block_reader *reader)
{
    const uint32_t count = reader->header.operations;
    struct slice bytes;

    TRY(only_section(reader, SECTION_OPERATIONS, &bytes));
    struct wire_reader in = wire_reader_of(bytes);
    reader->operations = reader_alloc(reader, count, sizeof *reader->operations);
    if (reader->operations == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t kind;
        if (!read_u32(&in, &reader->operations[i].resource) || !read_u32(&in, &reader->operations[i].name) ||
            !wire_varint(&in, &kind) || reader->operations[i].resource >= reader->header.resources ||
            reader->operations[i].name >= reader->columns[COLUMN_NAME].entry.distinct)
            return ERR_CORRUPT;
        reader->operations[i].kind = (int32_t)unzigzag(kind);
    }
    return in.at == in.end ? OK : ERR_CORRUPT;
}

enum err reader_traces(struct block_reader *reader)
{
    struct slice ids, counts;
    uint32_t row = 0;

    if (reader->trace_first != NULL) return OK;
    TRY(only_section(reader, SECTION_TRACES, &ids));
    TRY(only_section(reader, SECTION_TRACE_ROWS, &counts));
    if (ids.len != (size_t)reader->header.traces * 16) return ERR_CORRUPT;
    struct wire_reader in = wire_reader_of(counts);
    uint32_t *const first = reader_alloc(reader, (size_t)reader->header.traces + 1, sizeof *first);
    if (first == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < reader->header.traces; i++) {
        uint32_t count;
        if (!read_u32(&in, &count) || count == 0 || count > reader->header.spans - row) return ERR_CORRUPT;
        first[i] = row;
        row += count;
    }
    first[reader->header.traces] = row;
    if (row != reader->header.spans || in.at != in.end) return ERR_CORRUPT;
    reader->trace_first = first;
    reader->trace_ids = ids.ptr;
    return OK;
}

/* ---- opening and closing ---------------------------------------------------------------------------------
 */

static enum err open_sections(struct block_reader *reader)
{
    const struct block_header *const header = &reader->header;
    const size_t meta_bytes = (size_t)(header->bytes - header->meta_offset);

    reader->meta = reader_alloc(reader, meta_bytes, 1);
    if (reader->meta == NULL) return ERR_NO_MEMORY;
    TRY(reader->source.read(reader->source.context, header->meta_offset, reader->meta, meta_bytes));
    const uint8_t *const table = reader->meta + (header->table_offset - header->meta_offset);
    const size_t table_bytes = (size_t)header->sections * sizeof(struct block_section);
    if (crc32c(0, table, table_bytes) != header->table_crc) return ERR_CORRUPT;
    reader->sections = (const struct block_section *)(const void *)table;
    for (uint32_t i = 0; i < header->sections; i++) {
        const struct block_section *const section = &reader->sections[i];
        if (!section_sound(header, section)) return ERR_CORRUPT;
        if ((section->type == 0 || section->type >= SECTION_TYPES_END) && section->flags & SECTION_CRITICAL)
            return ERR_VERSION;
    }
    reader->plain = reader_alloc_zero(reader, header->sections, sizeof *reader->plain);
    return reader->plain == NULL ? ERR_NO_MEMORY : OK;
}

enum err reader_tables(struct block_reader *reader)
{
    TRY(open_columns(reader));
    TRY(open_chunks(reader));
    TRY(open_pieces(reader));
    TRY(open_pages(reader));
    TRY(open_shapes(reader));
    TRY(open_patterns(reader));
    TRY(open_event_patterns(reader));
    TRY(open_envelopes(reader, SECTION_RESOURCES, reader->header.resources, &reader->resources));
    TRY(open_envelopes(reader, SECTION_SCOPES, reader->header.scopes, &reader->scopes));
    return open_operations(reader);
}

enum err reader_open(const struct block_source *source, struct block_reader **out)
{
    struct block_reader *const reader = calloc(1, sizeof *reader);
    uint8_t *const header = malloc(BLOCK_HEADER_BYTES);
    enum err err = reader == NULL || header == NULL ? ERR_NO_MEMORY : OK;

    if (err == OK) {
        reader->source = *source;
        reader->zstd = ZSTD_createDCtx();
        if (reader->zstd == NULL) err = ERR_NO_MEMORY;
    }
    if (err == OK) err = source->read(source->context, 0, header, BLOCK_HEADER_BYTES);
    if (err == OK) err = header_check(header, &reader->header);
    free(header);
    if (err == OK) {
        summarise(&reader->header, &reader->summary);
        err = open_sections(reader);
    }
    if (err != OK) {
        if (reader != NULL) block_close(reader);
        return err;
    }
    *out = reader;
    return OK;
}

enum err block_open(const struct block_source *source, struct block_reader **out)
{
    struct block_reader *reader;

    TRY(reader_open(source, &reader));
    const enum err err = reader_tables(reader);
    if (err != OK) {
        block_close(reader);
        return err;
    }
    *out = reader;
    return OK;
}

void block_close(struct block_reader *reader)
{
    page_rows_free(reader->page_rows);
    ZSTD_freeDCtx(reader->zstd);
    reader_free_all(reader);
    free(reader);
}

const struct block_summary *block_summary(const struct block_reader *reader)
{
    return &reader->summary;
}

size_t block_memory(const struct block_reader *reader)
{
    return reader->memory + sizeof *reader;
}

/* ---- traces, envelopes, operations -----------------------------------------------------------------------
 */

enum err block_find_trace(struct block_reader *reader, const struct trace_id *id, uint32_t *first,
                          uint32_t *count)
{
    uint32_t low = 0, high = reader->header.traces;

    TRY(reader_traces(reader));
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = memcmp(reader->trace_ids + (size_t)middle * 16, id->bytes, 16);
        if (order == 0) {
            *first = reader->trace_first[middle];
            *count = reader->trace_first[middle + 1] - *first;
            return OK;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return ERR_NOT_FOUND;
}

enum err block_trace_around(struct block_reader *reader, uint32_t row, struct trace_id *out, uint32_t *first,
                            uint32_t *count)
{
    uint32_t low = 0, high = reader->header.traces;

    TRY(reader_traces(reader));
    if (row >= reader->header.spans) return ERR_NOT_FOUND;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (reader->trace_first[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    memcpy(out->bytes, reader->trace_ids + (size_t)low * 16, 16);
    *first = reader->trace_first[low];
    *count = reader->trace_first[low + 1] - *first;
    return OK;
}

enum err block_trace_of_row(struct block_reader *reader, uint32_t row, struct trace_id *out)
{
    uint32_t first, count;

    return block_trace_around(reader, row, out, &first, &count);
}

uint32_t block_resources(const struct block_reader *reader)
{
    return reader->header.resources;
}

uint32_t block_scopes(const struct block_reader *reader)
{
    return reader->header.scopes;
}

enum err block_resource(struct block_reader *reader, uint32_t index, struct envelope *out)
{
    if (index >= reader->header.resources) return ERR_CORRUPT;
    *out = reader->resources[index];
    return OK;
}

enum err block_scope(struct block_reader *reader, uint32_t index, struct envelope *out)
{
    if (index >= reader->header.scopes) return ERR_CORRUPT;
    *out = reader->scopes[index];
    return OK;
}

uint32_t block_operations(const struct block_reader *reader)
{
    return reader->header.operations;
}

enum err block_operation(struct block_reader *reader, uint32_t index, struct block_operation *out)
{
    struct attribute name;

    if (index >= reader->header.operations) return ERR_NOT_FOUND;
    TRY(block_dictionary_value(reader, COLUMN_NAME, reader->operations[index].name, &name));
    *out = (struct block_operation){reader->resources[reader->operations[index].resource].service, name.bytes,
                                    reader->operations[index].kind};
    return OK;
}
