/*
 * Reads columns: chunks of integers and bytes, dictionaries, and the values of an attribute column with their
 * rows.
 */
#include "block_reader.h"

#include "codec/wire.h"

#include <stdlib.h>

uint32_t block_pages(const struct block_reader *reader)
{
    return reader->header.pages;
}

uint32_t reader_page_rows(const struct block_reader *reader, uint32_t page)
{
    const uint32_t first = page * BLOCK_PAGE_ROWS;
    const uint32_t rest = reader->header.spans - first;

    return rest < BLOCK_PAGE_ROWS ? rest : BLOCK_PAGE_ROWS;
}

/* ---- chunks ---------------------------------------------------------------------------------------------
 */

const struct block_chunk *reader_chunk(const struct block_reader *reader, uint32_t page, uint32_t stream)
{
    return &reader->chunks[(size_t)page * reader->streams + stream];
}

static enum err part(struct block_reader *reader, uint32_t section, uint64_t offset, uint64_t len,
                     const uint8_t **out)
{
    struct slice plain;

    TRY(reader_section(reader, section, &plain));
    if (offset > plain.len || len > plain.len - offset) return ERR_CORRUPT;
    *out = plain.ptr + offset;
    return OK;
}

struct planes {
    const uint8_t *plane[8];
    unsigned width;
};

static enum err find_planes(struct block_reader *reader, const struct block_chunk *chunk, struct planes *out)
{
    const unsigned raw_count = (unsigned)__builtin_popcount(chunk->raw_mask);
    const uint8_t *packed = NULL, *raw = NULL;

    if (chunk->width == 0 || chunk->width > 8 || chunk->raw_mask >> chunk->width != 0) return ERR_CORRUPT;
    if (raw_count < chunk->width)
        TRY(part(reader, chunk->section, chunk->offset, (uint64_t)(chunk->width - raw_count) * chunk->count,
                 &packed));
    if (raw_count > 0) TRY(part(reader, chunk->raw_section, 0, (uint64_t)raw_count * chunk->count, &raw));
    out->width = chunk->width;
    for (unsigned i = 0; i < chunk->width; i++) {
        const uint8_t **const from = chunk->raw_mask >> i & 1 ? &raw : &packed;
        out->plane[i] = *from;
        *from += chunk->count;
    }
    return OK;
}

static enum err expect(const struct block_chunk *chunk, uint32_t expected, bool *constant)
{
    if (chunk->encoding == ENCODING_NONE) return expected == 0 ? OK : ERR_CORRUPT;
    if (chunk->encoding != ENCODING_CONST && chunk->encoding != ENCODING_PLANES) return ERR_CORRUPT;
    *constant = chunk->encoding == ENCODING_CONST;
    return chunk->count == expected ? OK : ERR_CORRUPT;
}

enum err reader_u64(struct block_reader *reader, uint32_t page, uint32_t stream, uint64_t *out,
                    uint32_t expected)
{
    const struct block_chunk *const chunk = reader_chunk(reader, page, stream);
    bool constant = true;
    struct planes planes;

    TRY(expect(chunk, expected, &constant));
    for (uint32_t i = 0; i < expected; i++)
        out[i] = chunk->base;
    if (constant || expected == 0) return OK;
    TRY(find_planes(reader, chunk, &planes));
    for (unsigned k = 0; k < planes.width; k++)
        for (uint32_t i = 0; i < expected; i++)
            out[i] += (uint64_t)planes.plane[k][i] << (8 * k);
    return OK;
}

enum err reader_u32(struct block_reader *reader, uint32_t page, uint32_t stream, uint32_t *out,
                    uint32_t expected)
{
    const struct block_chunk *const chunk = reader_chunk(reader, page, stream);
    bool constant = true;
    struct planes planes;

    TRY(expect(chunk, expected, &constant));
    if (expected > 0 && (chunk->base > UINT32_MAX || (!constant && chunk->width > 4))) return ERR_CORRUPT;
    for (uint32_t i = 0; i < expected; i++)
        out[i] = (uint32_t)chunk->base;
    if (constant || expected == 0) return OK;
    TRY(find_planes(reader, chunk, &planes));
    for (unsigned k = 0; k < planes.width; k++)
        for (uint32_t i = 0; i < expected; i++)
            out[i] += (uint32_t)planes.plane[k][i] << (8 * k);
    return OK;
}

enum err reader_bytes(struct block_reader *reader, uint32_t page, uint32_t stream, size_t expected,
                      struct slice *out)
{
    const struct block_chunk *const chunk = reader_chunk(reader, page, stream);
    const uint8_t *at = NULL;

    if (chunk->encoding == ENCODING_NONE) {
        *out = (struct slice){0};
        return expected == 0 ? OK : ERR_CORRUPT;
    }
    if (chunk->encoding != ENCODING_BYTES || chunk->count != expected || chunk->raw_mask > 1)
        return ERR_CORRUPT;
    TRY(chunk->raw_mask ? part(reader, chunk->raw_section, 0, expected, &at)
                        : part(reader, chunk->section, chunk->offset, expected, &at));
    *out = slice_of(at, expected);
    return OK;
}

/* ---- fixed fields ----------------------------------------------------------------------------------------
 */

static enum err page_starts(struct block_reader *reader, uint32_t page, uint64_t *out, uint32_t rows)
{
    const struct block_chunk *const base_chunk = reader_chunk(reader, page, STREAM_START_BASE);
    const uint32_t first = page * BLOCK_PAGE_ROWS;
    uint32_t bases = base_chunk->encoding == ENCODING_NONE ? 0 : base_chunk->count;
    uint32_t trace = 0, base = 0, delta = 0;

    if (bases == 0 || bases > rows) return ERR_CORRUPT;
    TRY(reader_traces(reader));
    uint64_t *const parts = malloc(sizeof *parts * rows);
    if (parts == NULL) return ERR_NO_MEMORY;
    enum err err = reader_u64(reader, page, STREAM_START_BASE, parts, bases);
    if (err == OK) err = reader_u64(reader, page, STREAM_START_DELTA, parts + bases, rows - bases);
    while (trace < reader->header.traces && reader->trace_first[trace] < first)
        trace++;
    for (uint32_t i = 0; err == OK && i < rows; i++) {
        const bool begins = trace < reader->header.traces && reader->trace_first[trace] == first + i;
        if (begins) trace++;
        if (begins || i == 0) {
            if (base == bases) err = ERR_CORRUPT;
            if (err == OK) out[i] = reader->header.start_min_ns + parts[base++];
        } else {
            if (delta == rows - bases) err = ERR_CORRUPT;
            if (err == OK) out[i] = out[i - 1] + parts[bases + delta++];
        }
    }
    free(parts);
    return err;
}

static enum err page_span_ids(struct block_reader *reader, uint32_t page, uint64_t *values, uint32_t rows)
{
    struct slice ids;

    TRY(reader_bytes(reader, page, STREAM_SPAN_ID, (size_t)rows * 8, &ids));
    memcpy(values, ids.ptr, ids.len);
    return OK;
}

/* Codes of parents to what FIELD_IS_ROOT says: no parent, or one that was sent as zeros. */
static enum err page_roots(struct block_reader *reader, uint32_t page, uint64_t *values, uint32_t rows)
{
    struct slice raw;
    uint32_t raw_count = 0, at = 0;

    for (uint32_t i = 0; i < rows; i++)
        raw_count += values[i] == 1;
    TRY(reader_bytes(reader, page, STREAM_PARENT_RAW, (size_t)raw_count * 8, &raw));
    for (uint32_t i = 0; i < rows; i++) {
        uint64_t parent = 1;
        if (values[i] == 1) memcpy(&parent, raw.ptr + (size_t)at++ * 8, sizeof parent);
        values[i] = values[i] == 0 || parent == 0;
    }
    return OK;
}

enum err reader_patterns(struct block_reader *reader, uint32_t page, uint32_t *out)
{
    const uint32_t count = reader_page_rows(reader, page);

    TRY(reader_u32(reader, page, STREAM_PATTERN, out, count));
    for (uint32_t i = 0; i < count; i++)
        if (out[i] >= reader->header.patterns) return ERR_CORRUPT;
    return OK;
}

static uint64_t pattern_field(const struct live_pattern *pattern, enum block_field field)
{
    switch (field) {
    case FIELD_RESOURCE: return pattern->resource;
    case FIELD_SCOPE: return pattern->scope;
    case FIELD_NAME: return pattern->name;
    case FIELD_KIND: return (uint32_t)pattern->kind;
    case FIELD_STATUS_CODE: return (uint32_t)pattern->status_code;
    default: unreachable("the others are columns of their own");
    }
}

static enum err page_pattern_field(struct block_reader *reader, uint32_t page, enum block_field field,
                                   uint64_t *values, uint32_t rows)
{
    uint32_t patterns[BLOCK_PAGE_ROWS];

    TRY(reader_patterns(reader, page, patterns));
    for (uint32_t i = 0; i < rows; i++)
        values[i] = pattern_field(&reader->patterns[patterns[i]], field);
    return OK;
}

enum err block_page_field(struct block_reader *reader, uint32_t page, enum block_field field,
                          uint64_t *values, uint32_t *count)
{
    if (page >= reader->header.pages) return ERR_NOT_FOUND;
    *count = reader_page_rows(reader, page);
    switch (field) {
    case FIELD_START: return page_starts(reader, page, values, *count);
    case FIELD_DURATION: return reader_u64(reader, page, STREAM_DURATION, values, *count);
    case FIELD_SPAN_ID: return page_span_ids(reader, page, values, *count);
    case FIELD_IS_ROOT:
        TRY(reader_u64(reader, page, STREAM_PARENT, values, *count));
        return page_roots(reader, page, values, *count);
    case FIELD_RESOURCE:
    case FIELD_SCOPE:
    case FIELD_NAME:
    case FIELD_KIND:
    case FIELD_STATUS_CODE: return page_pattern_field(reader, page, field, values, *count);
    case FIELD_COUNT: break;
    }
    return ERR_UNSUPPORTED;
}

static bool zone_of(const struct block_page *page, enum block_zones zone, uint64_t *min, uint64_t *max)
{
    *min = page->zones[zone].min;
    *max = page->zones[zone].max;
    return true;
}

bool block_page_zone(struct block_reader *reader, uint32_t page, enum block_field field, uint64_t *min,
                     uint64_t *max)
{
    if (page >= reader->header.pages) return false;
    const struct block_page *const at = &reader->pages[page];
    const struct block_chunk *const duration = reader_chunk(reader, page, STREAM_DURATION);
    switch (field) {
    case FIELD_START:
        *min = at->start_min_ns;
        *max = at->start_max_ns;
        return true;
    case FIELD_DURATION:
        *min = duration->base;
        *max = duration->max;
        return duration->encoding == ENCODING_CONST || duration->encoding == ENCODING_PLANES;
    case FIELD_RESOURCE: return zone_of(at, ZONE_RESOURCE, min, max);
    case FIELD_SCOPE: return zone_of(at, ZONE_SCOPE, min, max);
    case FIELD_NAME: return zone_of(at, ZONE_NAME, min, max);
    case FIELD_KIND: return zone_of(at, ZONE_KIND, min, max);
    case FIELD_STATUS_CODE: return zone_of(at, ZONE_STATUS_CODE, min, max);
    case FIELD_IS_ROOT:
    case FIELD_SPAN_ID:
    case FIELD_COUNT: break;
    }
    return false;
}

/* ---- columns and dictionaries ----------------------------------------------------------------------------
 */

uint32_t block_columns(const struct block_reader *reader)
{
    return reader->header.columns;
}

enum err block_column(struct block_reader *reader, uint32_t column, struct block_column *out)
{
    if (column >= reader->header.columns) return ERR_NOT_FOUND;
    const struct reader_column *const at = &reader->columns[column];
    *out = (struct block_column){.level = at->entry.level,
                                 .type = at->entry.type,
                                 .key = at->key,
                                 .values_count = at->entry.values,
                                 .dictionary = at->entry.mode == MODE_DICTIONARY,
                                 .distinct_count = at->entry.mode == MODE_DICTIONARY ? at->entry.distinct
                                                                                     : 0};
    return OK;
}

static enum err piece_open(struct block_reader *reader, uint32_t index, bool scalar)
{
    const struct block_piece *const piece = &reader->pieces[index];
    struct reader_piece *const opened = &reader->opened[index];
    const uint8_t *at = NULL;
    uint64_t total = 0;

    TRY(part(reader, piece->section, piece->offset, piece->len, &at));
    if (scalar) {
        if (piece->len != (uint64_t)piece->count * 8) return ERR_CORRUPT;
        opened->bytes = at;
        return OK;
    }
    if (piece->count > piece->len) return ERR_CORRUPT; /* a length of at least one byte each */
    struct wire_reader in = wire_reader_of(slice_of(at, piece->len));
    uint32_t *const offsets = reader_alloc(reader, (size_t)piece->count + 1, sizeof *offsets);
    if (offsets == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < piece->count; i++) {
        uint64_t len;
        offsets[i] = (uint32_t)total;
        if (!wire_varint(&in, &len) || len > piece->len) return ERR_CORRUPT;
        total += len;
        if (total > piece->len) return ERR_CORRUPT;
    }
    offsets[piece->count] = (uint32_t)total;
    if (total != (uint64_t)(in.end - in.at)) return ERR_CORRUPT;
    opened->offsets = offsets;
    opened->bytes = in.at;
    return OK;
}

static uint32_t piece_of(const struct block_reader *reader, const struct reader_column *column, uint32_t id)
{
    uint32_t low = column->pieces_first, high = column->pieces_first + column->pieces_count;

    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (reader->pieces[middle].first <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

enum err block_dictionary_value(struct block_reader *reader, uint32_t column, uint32_t id,
                                struct attribute *out)
{
    if (column >= reader->header.columns) return ERR_NOT_FOUND;
    const struct reader_column *const at = &reader->columns[column];
    if (id >= at->entry.distinct) return ERR_CORRUPT;
    const bool scalar = block_type_is_scalar(at->entry.type);
    const uint32_t piece = piece_of(reader, at, id);
    if (reader->opened[piece].bytes == NULL) TRY(piece_open(reader, piece, scalar));

    const struct reader_piece *const opened = &reader->opened[piece];
    const uint32_t index = id - reader->pieces[piece].first;
    *out = (struct attribute){.key = at->key, .type = (enum value_type)at->entry.type};
    if (scalar)
        memcpy(&out->bits, opened->bytes + (size_t)index * 8, 8);
    else
        out->bytes = slice_of(opened->bytes + opened->offsets[index],
                              opened->offsets[index + 1] - opened->offsets[index]);
    return OK;
}
