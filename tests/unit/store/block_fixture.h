/*
 * Blocks of live_fixture.h's rows: encoded, read from memory exactly as long as the block, and the order that their rows
 * must have. block_unpack() makes an image of a block in which every section is stored plain, and block_mend() gives any
 * image sound checksums, so that what stands behind the checksums can be spoilt and is reached.
 */
#ifndef TEST_STORE_BLOCK_FIXTURE_H
#define TEST_STORE_BLOCK_FIXTURE_H

#ifndef STORE_BLOCK_FORMAT_H /* a fuzzer finds it elsewhere */
#include "block_format.h"
#endif
#include "live_fixture.h"

#include "base/crc32c.h"
#include "store/block.h"

#include <zstd.h>

struct block_bytes {
    uint8_t *bytes; /* owned */
    size_t len;
    uint64_t reads;   /* how often the source was asked */
    uint64_t fail_at; /* the read with this number fails; 0: none */
};

static inline enum err block_bytes_read(void *context, uint64_t offset, void *buf, size_t len)
{
    struct block_bytes *const bytes = context;

    if (++bytes->reads == bytes->fail_at) return ERR_IO;
    if (offset > bytes->len || len > bytes->len - offset) return ERR_IO;
    memcpy(buf, bytes->bytes + offset, len);
    return OK;
}

static inline struct block_source block_bytes_source(struct block_bytes *bytes)
{
    return (struct block_source){block_bytes_read, bytes};
}

/* A block of the rows of a live case, with its encoder's hashes, which live until the next one. */
struct block_case {
    struct live_case live;
    struct block_encoder *encoder;
    struct block_encoded encoded;
    struct block_bytes bytes;
    struct block_reader *reader;
    uint32_t *order; /* rows of the live block in the order of the block */
};

static const struct live_case *block_order_of; /* qsort has no context */

static inline int block_order_compare(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    const struct rebuilt_span *const x = &block_order_of->expected.spans[left];
    const struct rebuilt_span *const y = &block_order_of->expected.spans[right];
    const int trace = memcmp(x->trace_id.bytes, y->trace_id.bytes, sizeof x->trace_id.bytes);

    if (trace != 0) return trace;
    if (x->start_ns != y->start_ns) return x->start_ns < y->start_ns ? -1 : 1;
    return left < right ? -1 : 1;
}

static inline struct block_case block_case_open(void)
{
    struct block_case c = {.live = live_case_open()};
    const enum err err = block_encoder_open(&c.encoder);

    assert(err == OK);
    return c;
}

static inline void block_case_drop(struct block_case *c)
{
    if (c->reader != NULL) block_close(c->reader);
    free(c->bytes.bytes);
    free(c->order);
    c->reader = NULL;
    c->bytes = (struct block_bytes){0};
    c->order = NULL;
}

static inline void block_case_close(struct block_case *c)
{
    block_case_drop(c);
    block_encoder_close(c->encoder);
    live_case_close(&c->live);
}

/* Encodes what is there and opens the block. */
static inline enum err block_case_encode(struct block_case *c)
{
    const uint32_t rows = c->live.live->counts.rows;

    block_case_drop(c);
    TRY(block_encode(c->encoder, c->live.live, &c->encoded));
    c->bytes = (struct block_bytes){.bytes = malloc(c->encoded.len), .len = c->encoded.len};
    assert(c->bytes.bytes != NULL);
    memcpy(c->bytes.bytes, c->encoded.bytes, c->encoded.len);
    c->order = malloc(sizeof *c->order * rows);
    assert(c->order != NULL);
    for (uint32_t i = 0; i < rows; i++)
        c->order[i] = i;
    block_order_of = &c->live;
    if (c->live.expected.spans_count == rows) qsort(c->order, rows, sizeof *c->order, block_order_compare);
    const struct block_source source = block_bytes_source(&c->bytes);
    return block_open(&source, &c->reader);
}

static inline const struct live_row *block_case_row(const struct block_case *c, uint32_t row)
{
    return &c->live.live->rows[c->order[row]];
}

/* ---- comparing whole rows --------------------------------------------------------------------------- */

struct block_walk {
    const struct block_case *c;
    struct block_reader *reader;
    uint32_t next;  /* row expected */
    uint32_t wrong; /* first row that differs; UINT32_MAX: none */
};

static inline enum err block_walk_emit(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                                       struct slice span)
{
    struct block_walk *const walk = context;
    const struct live_case *const live = &walk->c->live;
    const struct rebuilt_span *const expected = &live->expected.spans[walk->c->order[row]];
    const struct rebuilt_envelope *const envelopes = live->expected.envelopes;
    struct envelope a, b;

    bool same = row == walk->next++ && slice_equal(span, expected->bytes) &&
                block_resource(walk->reader, resource, &a) == OK &&
                block_scope(walk->reader, scope, &b) == OK;
    same = same && slice_equal(a.message, envelopes[expected->resource].message) &&
           slice_equal(a.schema_url, envelopes[expected->resource].schema_url) &&
           a.present == envelopes[expected->resource].present;
    same = same && slice_equal(b.message, envelopes[expected->scope].message) &&
           slice_equal(b.schema_url, envelopes[expected->scope].schema_url) &&
           b.present == envelopes[expected->scope].present;
    if (!same && walk->wrong == UINT32_MAX) walk->wrong = row;
    return OK;
}

/* Reads rows [first, first + count) and returns the first that is not as expected; UINT32_MAX: all are. */
static inline uint32_t block_case_difference(const struct block_case *c, struct block_reader *reader,
                                             uint32_t first, uint32_t count)
{
    struct block_walk walk = {c, reader, first, UINT32_MAX};

    if (block_spans(reader, first, count, block_walk_emit, &walk) != OK) return first;
    return walk.wrong != UINT32_MAX ? walk.wrong : walk.next == first + count ? UINT32_MAX : walk.next;
}

/* ---- images ------------------------------------------------------------------------------------------ */

/* The section table of a sound image. */
static inline struct block_section *block_sections(uint8_t *image, uint32_t *count)
{
    struct block_header header;

    memcpy(&header, image, sizeof header);
    *count = header.sections;
    return (struct block_section *)(void *)(image + header.table_offset);
}

/* Every checksum anew. Sections and tables that lie outside are left alone. */
static inline void block_mend(uint8_t *image, size_t len)
{
    struct block_header header;

    memcpy(&header, image, sizeof header);
    const size_t table_bytes = (size_t)header.sections * sizeof(struct block_section);
    if (header.table_offset <= len && table_bytes <= len - header.table_offset) {
        for (uint32_t i = 0; i < header.sections; i++) {
            uint8_t *const at = image + header.table_offset + i * sizeof(struct block_section);
            struct block_section section;
            memcpy(&section, at, sizeof section);
            if (section.offset > len || section.stored > len - section.offset) continue;
            section.crc = crc32c(0, image + section.offset, section.stored);
            memcpy(at, &section, sizeof section);
        }
        header.table_crc = crc32c(0, image + header.table_offset, table_bytes);
    }
    header.header_crc = 0;
    memcpy(image, &header, sizeof header);
    header.header_crc = crc32c(0, image, BLOCK_HEADER_BYTES);
    memcpy(image, &header, sizeof header);
}

/* The same block with every section stored plain. The caller frees the bytes. */
static inline struct block_bytes block_unpack(const struct block_bytes *packed)
{
    struct block_header header;
    uint32_t count;
    size_t len = BLOCK_HEADER_BYTES;

    memcpy(&header, packed->bytes, sizeof header);
    const struct block_section *const sections = block_sections(packed->bytes, &count);
    for (uint32_t i = 0; i < count; i++)
        len += (sections[i].plain + BLOCK_SECTION_ALIGN - 1) / BLOCK_SECTION_ALIGN * BLOCK_SECTION_ALIGN;
    const size_t table_offset = len;
    len = (len + count * sizeof *sections + 4095) / 4096 * 4096;

    struct block_bytes image = {.bytes = calloc(1, len), .len = len};
    size_t at = BLOCK_HEADER_BYTES;
    struct block_section *const table = (struct block_section *)(void *)(image.bytes + table_offset);
    for (uint32_t i = 0; i < count; i++) {
        table[i] = sections[i];
        if (sections[i].offset == header.meta_offset) header.meta_offset = at;
        table[i].offset = at;
        table[i].codec = CODEC_PLAIN;
        table[i].stored = sections[i].plain;
        if (sections[i].codec == CODEC_PLAIN) {
            memcpy(image.bytes + at, packed->bytes + sections[i].offset, sections[i].plain);
        } else {
            const size_t size = ZSTD_decompress(image.bytes + at, sections[i].plain,
                                                packed->bytes + sections[i].offset, sections[i].stored);
            assert(size == sections[i].plain);
        }
        at += (sections[i].plain + BLOCK_SECTION_ALIGN - 1) / BLOCK_SECTION_ALIGN * BLOCK_SECTION_ALIGN;
    }
    header.table_offset = table_offset;
    header.bytes = len;
    memcpy(image.bytes, &header, sizeof header);
    block_mend(image.bytes, len);
    return image;
}

/* ---- reading all of a block, whatever it is ----------------------------------------------------------- */

struct block_tour {
    struct block_reader *reader;
    uint32_t spans, distinct; /* of the block; of the column at hand */
    bool dictionary;
    uint64_t visits;
};

static inline enum err block_tour_span(void *context, uint32_t row, uint32_t resource, uint32_t scope,
                                       struct slice span)
{
    struct block_tour *const tour = context;
    struct envelope envelope;

    assert(row < tour->spans && span.len > 0);
    const enum err resource_err = block_resource(tour->reader, resource, &envelope);
    const enum err scope_err = block_scope(tour->reader, scope, &envelope);
    assert(resource_err == OK && scope_err == OK);
    tour->visits += span.ptr[0] + span.ptr[span.len - 1];
    return OK;
}

static inline bool block_tour_value(void *context, uint32_t row, uint32_t id,
                                    const struct attribute *attribute)
{
    struct block_tour *const tour = context;

    assert(row < tour->spans);
    assert(tour->dictionary == (attribute == NULL));
    if (tour->dictionary)
        assert(id < tour->distinct);
    else if (attribute->bytes.len > 0)
        tour->visits += attribute->bytes.ptr[0] + attribute->bytes.ptr[attribute->bytes.len - 1];
    return true;
}

static inline bool block_tour_hash(void *context, bool is_trace, uint64_t hash)
{
    struct block_tour *const tour = context;

    tour->visits += hash + is_trace;
    return true;
}

static inline void block_tour_page(struct block_tour *tour, uint32_t page)
{
    uint64_t *const values = malloc(sizeof *values * BLOCK_PAGE_ROWS);
    uint64_t min, max;
    uint32_t count;

    for (enum block_field field = 0; field < FIELD_COUNT; field++) {
        count = 0;
        if (block_page_field(tour->reader, page, field, values, &count) == OK)
            assert(count > 0 && count <= BLOCK_PAGE_ROWS);
        (void)block_page_zone(tour->reader, page, field, &min, &max);
    }
    for (uint32_t i = 0; i < block_columns(tour->reader); i++) {
        struct block_column column;
        const enum err err = block_column(tour->reader, i, &column);
        assert(err == OK);
        tour->dictionary = column.dictionary;
        tour->distinct = column.distinct_count;
        (void)block_page_values(tour->reader, page, i, block_tour_value, tour);
    }
    free(values);
}

/* Asks a reader for everything. Nothing may crash; answers are OK or an error. */
static inline enum err block_tour(struct block_reader *reader)
{
    struct block_tour tour = {.reader = reader, .spans = block_summary(reader)->spans};
    struct trace_id trace = {{0}};
    uint32_t first, count;

    for (uint32_t page = 0; page < block_pages(reader); page++)
        block_tour_page(&tour, page);
    for (uint32_t i = 0; i < block_operations(reader); i++) {
        struct block_operation operation;
        (void)block_operation(reader, i, &operation);
    }
    (void)block_find_trace(reader, &trace, &first, &count);
    if (block_trace_around(reader, tour.spans - 1, &trace, &first, &count) == OK)
        assert(first < tour.spans && count <= tour.spans - first);
    (void)block_hashes(reader, block_tour_hash, &tour);
    (void)block_spans(reader, tour.spans / 2, tour.spans - tour.spans / 2, block_tour_span, &tour);
    const enum err spans = block_spans(reader, 0, tour.spans, block_tour_span, &tour);
    const enum err check = block_check(reader);
    return spans != OK ? spans : check;
}

/* Opens foreign bytes and asks for everything. */
static inline enum err block_tour_bytes(struct block_bytes *bytes)
{
    const struct block_source source = block_bytes_source(bytes);
    struct block_reader *reader;

    TRY(block_open(&source, &reader));
    const enum err err = block_tour(reader);
    block_close(reader);
    return err;
}

#endif
