/*
 * All that must hold in a block (store/look.h, block_verify()). From the outside in, and no further than what is sound:
 *
 *   header and section table      without them there is nothing to look at
 *   sections, zeros in between    each by itself, so that damage has a name and an offset
 *   tables                        as block_open() wants them
 *   pages                         rows in order, zone maps, bounds, counts; every row is written once
 *   the whole                     what the header says of all rows, columns' counts, the directory, the filters
 *
 * What stands behind sound checksums was written so by an encoder; it is checked all the same, for a block may have been
 * made wrong.
 */
#include "block_reader.h"
#include "look_gaps.h"
#include "store/ledger.h"

#include <stdlib.h>

struct totals {
    uint64_t start_min_ns, start_max_ns, end_max_ns, duration_min_ns, duration_max_ns;
    uint32_t status_mask;
};

struct verify {
    struct block_reader *reader;
    look_fault_fn *tell;
    void *context;
    uint64_t faults;
    /* over all pages */
    struct totals totals;
    uint64_t *uses;   /* by shape */
    uint64_t *values; /* by column */
    uint32_t trace;   /* whose rows are next */
    /* of one page */
    uint64_t *integers; /* of a chunk */
    size_t integers_capacity;
    uint64_t starts[BLOCK_PAGE_ROWS], durations[BLOCK_PAGE_ROWS];
    uint32_t patterns[BLOCK_PAGE_ROWS];
    uint64_t last_start_ns;
};

static void tell_at(struct verify *verify, const char *what, struct look_fault at)
{
    at.what = what;
    verify->faults++;
    verify->tell(verify->context, &at);
}

static void tell(struct verify *verify, const char *what)
{
    tell_at(verify, what, (struct look_fault){.section = LOOK_NONE, .page = LOOK_NONE, .column = LOOK_NONE});
}

static void tell_page(struct verify *verify, const char *what, uint32_t page)
{
    tell_at(verify, what, (struct look_fault){.section = LOOK_NONE, .page = page, .column = LOOK_NONE});
}

static void tell_gap(void *context, const struct look_fault *fault)
{
    tell_at(context, fault->what, *fault);
}

/* Errors that say something about the bytes are faults; the others end the look. */
static bool is_fault(enum err err)
{
    return err == ERR_CORRUPT || err == ERR_IO || err == ERR_NOT_FOUND;
}

/* ---- sections ---------------------------------------------------------------------------------------- */

static enum err check_sections(struct verify *verify)
{
    for (uint32_t i = 0; i < verify->reader->header.sections; i++) {
        struct slice plain;
        const enum err err = reader_section(verify->reader, i, &plain);
        const struct look_fault at = {.offset = verify->reader->sections[i].offset,
                                      .section = i,
                                      .page = LOOK_NONE,
                                      .column = LOOK_NONE};
        if (err == ERR_CORRUPT) tell_at(verify, "a section fails its checksum", at);
        if (err == ERR_IO) tell_at(verify, "a section cannot be read", at);
        if (err != OK && !is_fault(err)) return err;
    }
    return OK;
}

/* ---- pages ------------------------------------------------------------------------------------------- */

static void count_row(struct verify *verify, uint32_t i)
{
    struct totals *const totals = &verify->totals;
    const struct live_pattern *const pattern = &verify->reader->patterns[verify->patterns[i]];
    const uint64_t start_ns = verify->starts[i], end_ns = start_ns + verify->durations[i];
    const uint64_t duration_ns = end_ns < start_ns ? 0 : end_ns - start_ns;
    const uint32_t code = (uint32_t)pattern->status_code;

    if (start_ns < totals->start_min_ns) totals->start_min_ns = start_ns;
    if (start_ns > totals->start_max_ns) totals->start_max_ns = start_ns;
    if (end_ns > totals->end_max_ns) totals->end_max_ns = end_ns;
    if (duration_ns < totals->duration_min_ns) totals->duration_min_ns = duration_ns;
    if (duration_ns > totals->duration_max_ns) totals->duration_max_ns = duration_ns;
    totals->status_mask |= 1U << (code <= 30 ? code : 31);
    verify->uses[pattern->shape]++;
    verify->values[COLUMN_TRACE_STATE] += (pattern->bits & ROW_TRACE_STATE) != 0;
    verify->values[COLUMN_STATUS_MESSAGE] += (pattern->bits & ROW_STATUS_MESSAGE) != 0;
}

/* Rows of a trace ascend by their start, across pages, too. */
static void check_order(struct verify *verify, uint32_t page, uint32_t rows)
{
    const struct block_reader *const reader = verify->reader;
    uint64_t min = UINT64_MAX, max = 0;
    bool ordered = true;

    for (uint32_t i = 0; i < rows; i++) {
        const bool begins = verify->trace < reader->header.traces &&
                            reader->trace_first[verify->trace] == page * BLOCK_PAGE_ROWS + i;
        verify->trace += begins;
        ordered &= begins || verify->starts[i] >= verify->last_start_ns;
        verify->last_start_ns = verify->starts[i];
        min = verify->starts[i] < min ? verify->starts[i] : min;
        max = verify->starts[i] > max ? verify->starts[i] : max;
        count_row(verify, i);
    }
    if (!ordered) tell_page(verify, "rows of a trace are not in the order of their start", page);
    if (min != reader->pages[page].start_min_ns || max != reader->pages[page].start_max_ns)
        tell_page(verify, "the page's bounds of start times are not those of its rows", page);
}

static uint32_t zone_field(const struct live_pattern *pattern, enum block_zones zone)
{
    switch (zone) {
    case ZONE_RESOURCE: return pattern->resource;
    case ZONE_SCOPE: return pattern->scope;
    case ZONE_NAME: return pattern->name;
    case ZONE_KIND: return (uint32_t)pattern->kind;
    case ZONE_STATUS_CODE: return (uint32_t)pattern->status_code;
    case ZONE_COUNT: break;
    }
    unreachable("there are no other zones");
}

static void check_zones(struct verify *verify, uint32_t page, uint32_t rows)
{
    for (enum block_zones zone = 0; zone < ZONE_COUNT; zone++) {
        const struct block_zone *const said = &verify->reader->pages[page].zones[zone];
        struct block_zone is = {UINT32_MAX, 0};
        for (uint32_t i = 0; i < rows; i++) {
            const uint32_t value = zone_field(&verify->reader->patterns[verify->patterns[i]], zone);
            is.min = value < is.min ? value : is.min;
            is.max = value > is.max ? value : is.max;
        }
        if (is.min != said->min || is.max != said->max)
            tell_page(verify, "the page's bounds of a field are not those of its rows", page);
    }
}

static bool room_for(struct verify *verify, size_t count)
{
    if (count <= verify->integers_capacity) return true;
    uint64_t *const grown = realloc(verify->integers, count * sizeof *grown);
    if (grown == NULL) return false;
    verify->integers = grown;
    verify->integers_capacity = count;
    return true;
}

/* Smallest and largest integer of a chunk: queries rule pages out by them. */
static enum err check_chunk(struct verify *verify, uint32_t page, uint32_t stream)
{
    const struct block_chunk *const chunk = reader_chunk(verify->reader, page, stream);
    const bool is_column = stream >= STREAM_FIXED_COUNT;
    const uint32_t column = is_column ? (stream - STREAM_FIXED_COUNT) / 2 : LOOK_NONE;
    uint64_t min = UINT64_MAX, max = 0;

    if (chunk->encoding == ENCODING_CONST) min = max = chunk->base;
    if (chunk->encoding == ENCODING_PLANES) {
        if (!room_for(verify, chunk->count)) return ERR_NO_MEMORY;
        TRY(reader_u64(verify->reader, page, stream, verify->integers, chunk->count));
        for (uint32_t i = 0; i < chunk->count; i++) {
            min = verify->integers[i] < min ? verify->integers[i] : min;
            max = verify->integers[i] > max ? verify->integers[i] : max;
        }
    }
    const bool integers = chunk->encoding == ENCODING_CONST || chunk->encoding == ENCODING_PLANES;
    if (integers && (min != chunk->base || max != chunk->max))
        tell_at(verify, "a chunk's bounds are not those of its values",
                (struct look_fault){.section = LOOK_NONE, .page = page, .column = column});
    return OK;
}

static enum err check_chunks(struct verify *verify, uint32_t page)
{
    for (uint32_t stream = 0; stream < verify->reader->streams; stream++) {
        const enum err err = check_chunk(verify, page, stream);
        if (err == ERR_CORRUPT)
            tell_page(verify, "a chunk reaches beyond its section, or is malformed", page);
        if (err != OK && !is_fault(err)) return err;
    }
    return OK;
}

/* Shapes of events and links: what they add to the columns' counts. */
static enum err count_children(struct verify *verify, uint32_t page)
{
    struct block_reader *const reader = verify->reader;
    const uint32_t events = reader->pages[page].events, links = reader->pages[page].links;

    if (!room_for(verify, events > links ? events : links)) return ERR_NO_MEMORY;
    TRY(reader_u64(reader, page, STREAM_EVENT_PATTERN, verify->integers, events));
    for (uint32_t i = 0; i < events; i++) {
        if (verify->integers[i] >= reader->header.event_patterns) return ERR_CORRUPT;
        verify->uses[reader->event_patterns[verify->integers[i]].shape]++;
    }
    TRY(reader_u64(reader, page, STREAM_LINK_SHAPE, verify->integers, links));
    for (uint32_t i = 0; i < links; i++) {
        if (verify->integers[i] >= reader->header.shapes) return ERR_CORRUPT;
        verify->uses[verify->integers[i]]++;
    }
    return OK;
}

static enum err ignore_row(void *context, uint32_t row, uint32_t resource, uint32_t scope, struct slice span)
{
    (void)context, (void)row, (void)resource, (void)scope, (void)span;
    return OK;
}

static enum err check_page(struct verify *verify, uint32_t page)
{
    struct block_reader *const reader = verify->reader;
    const uint32_t rows = reader_page_rows(reader, page);
    uint32_t count;

    TRY(reader_patterns(reader, page, verify->patterns));
    TRY(block_page_field(reader, page, FIELD_START, verify->starts, &count));
    TRY(block_page_field(reader, page, FIELD_DURATION, verify->durations, &count));
    check_order(verify, page, rows);
    check_zones(verify, page, rows);
    TRY(check_chunks(verify, page));
    TRY(count_children(verify, page));
    return block_spans(reader, page * BLOCK_PAGE_ROWS, rows, ignore_row, NULL);
}

static enum err check_pages(struct verify *verify)
{
    for (uint32_t page = 0; page < verify->reader->header.pages; page++) {
        const enum err err = check_page(verify, page);
        if (err != OK && !is_fault(err)) return err;
        if (err != OK) tell_page(verify, "rows of a page cannot be put together", page);
    }
    return OK;
}

/* ---- the whole --------------------------------------------------------------------------------------- */

static void check_traces(struct verify *verify)
{
    const struct block_reader *const reader = verify->reader;
    const uint32_t count = reader->header.traces;
    const uint8_t *const ids = reader->trace_ids;

    for (uint32_t i = 1; i < count; i++)
        if (memcmp(ids + (size_t)(i - 1) * 16, ids + (size_t)i * 16, 16) >= 0) {
            tell(verify, "trace ids do not ascend");
            break;
        }
    if (memcmp(ids, reader->header.trace_min, 16) != 0 ||
        memcmp(ids + (size_t)(count - 1) * 16, reader->header.trace_max, 16) != 0)
        tell(verify, "the header's first and last trace are not those of the rows");
}

static void check_totals(struct verify *verify)
{
    const struct block_header *const header = &verify->reader->header;
    const struct totals *const is = &verify->totals;

    if (is->start_min_ns != header->start_min_ns || is->start_max_ns != header->start_max_ns ||
        is->end_max_ns != header->end_max_ns)
        tell(verify, "the header's times are not those of the rows");
    if (is->duration_min_ns != header->duration_min_ns || is->duration_max_ns != header->duration_max_ns)
        tell(verify, "the header's durations are not those of the rows");
    if (is->status_mask != header->status_mask)
        tell(verify, "the header's status codes are not those of the rows");
    if (header->lsn_first > header->lsn_end || header->arrival_min_ns > header->arrival_max_ns)
        tell(verify, "an interval of the header ends before it begins");
}

static void check_column_counts(struct verify *verify)
{
    const struct block_reader *const reader = verify->reader;

    for (uint32_t i = 0; i < reader->header.shapes; i++)
        for (uint32_t k = 0; k < reader->shapes[i].count; k++)
            verify->values[reader->shape_items[reader->shapes[i].first + k].column] += verify->uses[i];
    verify->values[COLUMN_NAME] = reader->header.spans;
    verify->values[COLUMN_EVENT_NAME] = reader->header.events;
    verify->values[COLUMN_LINK_STATE] = reader->header.links;
    for (uint32_t i = 0; i < reader->header.columns; i++)
        if (verify->values[i] != reader->columns[i].entry.values)
            tell_at(verify, "a column's count is not that of its values",
                    (struct look_fault){.section = LOOK_NONE, .page = LOOK_NONE, .column = i});
}

static bool same_summary(const struct block_summary *a, const struct block_summary *b)
{
    return a->shard == b->shard && a->seq == b->seq && a->lsn_first == b->lsn_first &&
           a->lsn_end == b->lsn_end && a->spans == b->spans && a->traces == b->traces &&
           a->bytes == b->bytes && a->start_min_ns == b->start_min_ns && a->start_max_ns == b->start_max_ns &&
           a->end_max_ns == b->end_max_ns && a->duration_min_ns == b->duration_min_ns &&
           a->duration_max_ns == b->duration_max_ns && a->arrival_min_ns == b->arrival_min_ns &&
           a->arrival_max_ns == b->arrival_max_ns && a->status_mask == b->status_mask &&
           a->header_crc == b->header_crc && memcmp(&a->trace_min, &b->trace_min, sizeof a->trace_min) == 0 &&
           memcmp(&a->trace_max, &b->trace_max, sizeof a->trace_max) == 0;
}

struct sought {
    const struct filter *filters;
    uint64_t missing[2]; /* by enum filter_kind */
};

static bool seek(void *context, bool is_trace, uint64_t hash)
{
    struct sought *const sought = context;
    const enum filter_kind kind = is_trace ? FILTER_TRACE : FILTER_TOKEN;

    sought->missing[kind] += sought->filters[kind].cells > 0 &&
                             !filter_may_contain(&sought->filters[kind], hash);
    return true;
}

static enum err check_filters(struct verify *verify, const struct filter *filters)
{
    struct sought sought = {.filters = filters};
    const enum err err = block_hashes(verify->reader, seek, &sought);

    if (is_fault(err)) tell(verify, "values that filters are made of cannot be read");
    if (err != OK && !is_fault(err)) return err;
    if (sought.missing[FILTER_TRACE] > 0) tell(verify, "the trace filter denies traces that are there");
    if (sought.missing[FILTER_TOKEN] > 0) tell(verify, "the token filter denies values that are there");
    return OK;
}

/* What it says of its rows must be what they say. */
static enum err compare_ledger(struct verify *verify, struct ledger *said, struct ledger *counted)
{
    enum err err = block_ledger(verify->reader, said);

    if (err == OK) err = block_ledger_count(verify->reader, counted);
    if (is_fault(err)) tell(verify, "the ledger cannot be read");
    if (err != OK) return is_fault(err) ? OK : err;
    if (!ledger_balances(said)) tell(verify, "a row of the ledger does not add up");
    if (!ledger_agree(said, counted, LEDGER_STORED)) tell(verify, "the ledger does not have the rows");
    return OK;
}

static enum err check_ledger(struct verify *verify)
{
    struct ledger *said = NULL, *counted = NULL;
    enum err err = ledger_open(&said);

    if (err == OK) err = ledger_open(&counted);
    if (err == OK) err = compare_ledger(verify, said, counted);
    ledger_close(said);
    ledger_close(counted);
    return err;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static enum err check_inside(struct verify *verify, const struct filter *filters)
{
    struct block_reader *const reader = verify->reader;
    enum err err = reader_tables(reader);

    if (err == OK) err = reader_traces(reader);
    if (is_fault(err)) tell(verify, "the tables contradict each other");
    if (err != OK) return is_fault(err) ? OK : err;
    verify->uses = calloc(reader->header.shapes, sizeof *verify->uses);
    verify->values = calloc(reader->header.columns, sizeof *verify->values);
    if (verify->uses == NULL || verify->values == NULL) return ERR_NO_MEMORY;
    verify->totals = (struct totals){.start_min_ns = UINT64_MAX, .duration_min_ns = UINT64_MAX};
    check_traces(verify);
    TRY(check_pages(verify));
    if (verify->faults == 0) { /* what cannot be read cannot be counted */
        check_totals(verify);
        check_column_counts(verify);
        TRY(check_ledger(verify));
    }
    return filters != NULL ? check_filters(verify, filters) : OK;
}

static enum err check(struct verify *verify, const struct block_summary *expected,
                      const struct filter *filters)
{
    if (expected != NULL && !same_summary(expected, &verify->reader->summary))
        tell(verify, "the block is not the one that the directory means");
    TRY(check_sections(verify));
    TRY(look_block_gaps(verify->reader, tell_gap, verify));
    return verify->faults == 0 ? check_inside(verify, filters) : OK;
}

/* Which of the two it was that could not be opened. */
static void tell_unopened(const struct block_source *source, look_fault_fn *tell_fault, void *context)
{
    uint8_t header[BLOCK_HEADER_BYTES];
    struct block_summary summary;
    struct block_header raw;

    if (source->read(source->context, 0, header, sizeof header) != OK) {
        look_tell(tell_fault, context, "the block's header cannot be read", 0);
    } else if (block_peek(header, &summary) != OK) {
        look_tell(tell_fault, context, "the block's header fails its checksum", 0);
    } else {
        memcpy(&raw, header, sizeof raw);
        look_tell(tell_fault, context, "the section table fails its checksum, or cannot be read",
                  raw.table_offset);
    }
}

enum err block_verify(const struct block_source *source, const struct block_summary *expected,
                      const struct filter *filters, look_fault_fn *tell_fault, void *context)
{
    struct verify *const verify = calloc(1, sizeof *verify);

    if (verify == NULL) return ERR_NO_MEMORY;
    verify->tell = tell_fault;
    verify->context = context;
    enum err err = reader_open(source, &verify->reader);
    if (err == OK) {
        err = check(verify, expected, filters);
        block_close(verify->reader);
    } else if (is_fault(err)) {
        tell_unopened(source, tell_fault, context);
        err = OK;
    }
    free(verify->uses);
    free(verify->values);
    free(verify->integers);
    free(verify);
    return err;
}
