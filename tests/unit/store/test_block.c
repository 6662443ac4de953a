/*
 * Blocks: rows of a live block, sorted by trace and cut into columns, come back byte for byte; and every way of asking a
 * block agrees with the rows it was made of (rows B3, B11 to B16).
 */
#include "block_fixture.h"

#include "model/often.h"
#include "store/filter.h"

#include <criterion/criterion.h>

static struct message span_of(uint64_t trace, uint64_t number)
{
    struct message span = {0};

    message_ids(&span, trace, number);
    return span;
}

static void fill(struct block_case *c, struct maker *maker, uint32_t rows)
{
    while (rows > 0) {
        const uint32_t here = rows < 500 ? rows : 500;
        struct message body = maker_body(maker, here);
        cr_assert_eq(live_case_put(&c->live, &body), OK, "%s", c->live.result.fault.reason);
        rows -= here;
    }
}

static void encode(struct block_case *c)
{
    cr_assert_eq(block_case_encode(c), OK);
}

static void assert_rows(const struct block_case *c, uint32_t first, uint32_t count)
{
    const uint32_t wrong = block_case_difference(c, c->reader, first, count);

    cr_assert_eq(wrong, UINT32_MAX, "row %u of %u..%u differs", wrong, first, first + count);
}

/* ---- summary ----------------------------------------------------------------------------------------- */

static void assert_summary(const struct block_case *c)
{
    const struct live_block *const live = c->live.live;
    const struct block_summary *const summary = block_summary(c->reader);
    uint64_t start_min = UINT64_MAX, start_max = 0, end_max = 0, duration_min = UINT64_MAX, duration_max = 0;
    uint32_t traces = 0, status = 0;
    struct block_summary peeked;

    for (uint32_t i = 0; i < live->counts.rows; i++) {
        const struct live_row *const row = block_case_row(c, i);
        const uint64_t duration = row->end_ns > row->start_ns ? row->end_ns - row->start_ns : 0;
        start_min = row->start_ns < start_min ? row->start_ns : start_min;
        start_max = row->start_ns > start_max ? row->start_ns : start_max;
        end_max = row->end_ns > end_max ? row->end_ns : end_max;
        duration_min = duration < duration_min ? duration : duration_min;
        duration_max = duration > duration_max ? duration : duration_max;
        const int32_t code = live->patterns[row->pattern].status_code;
        status |= 1u << (code >= 0 && code < 31 ? code : 31);
        traces += i == 0 || memcmp(row->trace_id.bytes, block_case_row(c, i - 1)->trace_id.bytes, 16) != 0;
    }
    cr_assert_eq(summary->spans, live->counts.rows);
    cr_assert_eq(summary->traces, traces);
    cr_assert_eq(summary->start_min_ns, start_min);
    cr_assert_eq(summary->start_max_ns, start_max);
    cr_assert_eq(summary->end_max_ns, end_max);
    cr_assert_eq(summary->duration_min_ns, duration_min);
    cr_assert_eq(summary->duration_max_ns, duration_max);
    cr_assert_eq(summary->status_mask, status);
    cr_assert_eq(summary->arrival_min_ns, live->arrival_min_ns);
    cr_assert_eq(summary->arrival_max_ns, live->arrival_max_ns);
    cr_assert_eq(summary->lsn_first, live->lsn_first);
    cr_assert_eq(summary->lsn_end, live->lsn_end);
    cr_assert_eq(summary->shard, 3);
    cr_assert_eq(summary->seq, live->seq);
    cr_assert_eq(summary->bytes, c->encoded.len);
    cr_assert_eq(summary->bytes % 4096, 0);
    cr_assert_arr_eq(summary->trace_min.bytes, block_case_row(c, 0)->trace_id.bytes, 16);
    cr_assert_arr_eq(summary->trace_max.bytes, block_case_row(c, live->counts.rows - 1)->trace_id.bytes, 16);
    cr_assert_eq(memcmp(summary, &c->encoded.summary, sizeof *summary), 0, "encoder and reader agree");
    cr_assert_eq(block_peek(c->bytes.bytes, &peeked), OK);
    cr_assert_eq(memcmp(&peeked, summary, sizeof peeked), 0);
}

/* ---- traces ------------------------------------------------------------------------------------------ */

static void assert_traces(const struct block_case *c)
{
    const uint32_t rows = c->live.live->counts.rows;

    for (uint32_t first = 0, count; first < rows; first += count) {
        const struct trace_id *const id = &block_case_row(c, first)->trace_id;
        uint32_t found_first, found_count;
        struct trace_id found, missing = *id;
        for (count = 1; first + count < rows; count++)
            if (memcmp(block_case_row(c, first + count)->trace_id.bytes, id->bytes, 16) != 0) break;
        often_assert(block_find_trace(c->reader, id, &found_first, &found_count) == OK);
        often_assert(found_first == first);
        often_assert(found_count == count);
        for (uint32_t i = first; i<first + count; i += count> 100 ? 97 : 1) {
            often_assert(block_trace_of_row(c->reader, i, &found) == OK);
            often_assert(memcmp(found.bytes, id->bytes, 16) == 0);
            often_assert(block_trace_around(c->reader, i, &found, &found_first, &found_count) == OK);
            often_assert(found_first == first && found_count == count);
        }
        missing.bytes[15] ^= 0x40;
        often_assert(block_find_trace(c->reader, &missing, &found_first, &found_count) == ERR_NOT_FOUND);
    }
    struct trace_id edge;
    uint32_t first, count;
    memset(edge.bytes, 0, 16);
    often_assert(block_find_trace(c->reader, &edge, &first, &count) == ERR_NOT_FOUND);
    memset(edge.bytes, 0xff, 16);
    often_assert(block_find_trace(c->reader, &edge, &first, &count) == ERR_NOT_FOUND);
    often_assert(block_trace_of_row(c->reader, rows, &edge) == ERR_NOT_FOUND);
}

/* ---- fields ------------------------------------------------------------------------------------------ */

static uint64_t field_of(const struct block_case *c, const struct live_row *row, enum block_field field)
{
    const struct live_pattern *const pattern = &c->live.live->patterns[row->pattern];
    uint64_t span_id;

    switch (field) {
    case FIELD_START: return row->start_ns;
    case FIELD_DURATION: return row->end_ns - row->start_ns;
    case FIELD_RESOURCE: return pattern->resource;
    case FIELD_SCOPE: return pattern->scope;
    case FIELD_KIND: return (uint32_t)pattern->kind;
    case FIELD_STATUS_CODE: return (uint32_t)pattern->status_code;
    case FIELD_IS_ROOT:
        return (pattern->bits & ROW_PARENT_PRESENT) == 0 || span_id_is_zero(&row->parent_span_id);
    case FIELD_SPAN_ID: memcpy(&span_id, row->span_id.bytes, 8); return span_id;
    default: unreachable("names are compared by their text");
    }
}

static void assert_name(const struct block_case *c, const struct live_row *row, uint64_t id)
{
    struct attribute name;

    often_assert(block_dictionary_value(c->reader, COLUMN_NAME, (uint32_t)id, &name) == OK);
    often_assert(
        slice_equal(name.bytes, live_pair_bytes(c->live.live, c->live.live->patterns[row->pattern].name)));
}

static void assert_fields(const struct block_case *c)
{
    static uint64_t values[BLOCK_PAGE_ROWS];
    const uint32_t rows = c->live.live->counts.rows;

    often_assert(block_pages(c->reader) == (rows + BLOCK_PAGE_ROWS - 1) / BLOCK_PAGE_ROWS);
    for (uint32_t page = 0; page < block_pages(c->reader); page++)
        for (enum block_field field = 0; field < FIELD_COUNT; field++) {
            uint64_t min = 0, max = 0, least = UINT64_MAX, most = 0;
            uint32_t count;
            often_assert(block_page_field(c->reader, page, field, values, &count) == OK);
            often_assert(count == (page + 1 < block_pages(c->reader) ? (uint32_t)BLOCK_PAGE_ROWS
                                                                     : (rows - 1) % BLOCK_PAGE_ROWS + 1));
            for (uint32_t i = 0; i < count; i++) {
                const struct live_row *const row = block_case_row(c, page * BLOCK_PAGE_ROWS + i);
                least = values[i] < least ? values[i] : least;
                most = values[i] > most ? values[i] : most;
                if (field == FIELD_NAME)
                    assert_name(c, row, values[i]);
                else
                    often_assert_msg(values[i] == field_of(c, row, field), "page %u field %d row %u", page,
                                     field, i);
            }
            const bool kept = block_page_zone(c->reader, page, field, &min, &max);
            often_assert(kept == (field != FIELD_IS_ROOT && field != FIELD_SPAN_ID));
            if (kept) often_assert_msg(min == least && max == most, "page %u field %d", page, field);
        }
    uint32_t count;
    often_assert(block_page_field(c->reader, block_pages(c->reader), FIELD_KIND, values, &count) ==
                 ERR_NOT_FOUND);
}

/* ---- columns ----------------------------------------------------------------------------------------- */

/* The values of a column in the order of the block's rows, from the live block. */
struct column_value {
    uint32_t row, pair;
};

struct column_values {
    struct column_value *list;
    uint32_t count, capacity;
};

static void note(struct column_values *values, uint32_t row, uint32_t pair)
{
    if (values->count == values->capacity) {
        values->capacity = values->capacity * 2 + 64;
        values->list = realloc(values->list, sizeof *values->list * values->capacity);
        often_assert(values->list != NULL);
    }
    values->list[values->count++] = (struct column_value){row, pair};
}

static void note_list(const struct live_block *live, struct column_values *by_column, uint32_t row,
                      uint32_t shape, const uint32_t *values)
{
    for (uint32_t i = 0; i < live->shapes[shape].count; i++) {
        const struct live_shape_item *const item = &live->shape_items[live->shapes[shape].first + i];
        note(&by_column[item->column], row, item->constant != 0 ? item->constant : *values++);
    }
}

static void note_row(const struct live_block *live, struct column_values *by_column, uint32_t at,
                     const struct live_row *row)
{
    const struct live_parts parts = live_parts(live, row);

    note(&by_column[COLUMN_NAME], at, parts.pattern->name);
    if (parts.trace_state != 0) note(&by_column[COLUMN_TRACE_STATE], at, parts.trace_state);
    if (parts.status_message != 0) note(&by_column[COLUMN_STATUS_MESSAGE], at, parts.status_message);
    note_list(live, by_column, at, parts.pattern->shape, parts.values);
    for (uint32_t i = 0; i < row->events_count; i++) {
        const struct live_event *const event = &live->events[row->events_first + i];
        const struct live_event_pattern *const pattern = &live->event_patterns[event->pattern];
        note(&by_column[COLUMN_EVENT_NAME], at, pattern->name);
        note_list(live, by_column, at, pattern->shape, live->slots + event->slots_first);
    }
    for (uint32_t i = 0; i < row->links_count; i++) {
        const struct live_link *const link = &live->links[parts.links_first + i];
        note(&by_column[COLUMN_LINK_STATE], at, link->trace_state);
        note_list(live, by_column, at, link->shape, live->slots + link->slots_first);
    }
}

struct value_walk {
    const struct block_case *c;
    const struct column_values *expected;
    uint32_t column, at;
    uint32_t stop_at; /* visits after which to stop */
};

static bool check_value(void *context, uint32_t row, uint32_t id, const struct attribute *attribute)
{
    struct value_walk *const walk = context;
    const struct live_block *const live = walk->c->live.live;
    struct attribute value;

    often_assert_msg(walk->at < walk->expected->count, "a value too many in column %u", walk->column);
    const struct column_value *const expected = &walk->expected->list[walk->at++];
    often_assert(row == expected->row);
    if (attribute != NULL)
        value = *attribute;
    else
        often_assert(block_dictionary_value(walk->c->reader, walk->column, id, &value) == OK);
    if (walk->column < COLUMN_RAW_SPAN) {
        often_assert(slice_equal(value.bytes, live_pair_bytes(live, expected->pair)));
    } else {
        const struct attribute original = live_attribute(live, expected->pair);
        often_assert(value.type == original.type);
        often_assert(value.bits == original.bits);
        often_assert(slice_equal(value.key, original.key));
        if (original.type != VALUE_EMPTY && original.type != VALUE_ABSENT)
            often_assert(slice_equal(value.bytes, original.bytes));
    }
    return walk->at != walk->stop_at;
}

static void assert_columns(const struct block_case *c, unsigned modes[2])
{
    const struct live_block *const live = c->live.live;
    struct column_values *const by_column = calloc(live->counts.columns, sizeof *by_column);

    for (uint32_t i = 0; i < live->counts.rows; i++)
        note_row(live, by_column, i, block_case_row(c, i));
    often_assert(block_columns(c->reader) == live->counts.columns);
    for (uint32_t i = 0; i < live->counts.columns; i++) {
        struct value_walk walk = {.c = c, .expected = &by_column[i], .column = i};
        struct block_column column;
        often_assert(block_column(c->reader, i, &column) == OK);
        often_assert(column.values_count == by_column[i].count);
        often_assert(column.level == live->columns[i].level);
        often_assert(column.type == live->columns[i].type);
        if (i >= COLUMN_FIXED_COUNT) modes[column.dictionary]++;
        for (uint32_t page = 0; page < block_pages(c->reader); page++)
            often_assert_msg(block_page_values(c->reader, page, i, check_value, &walk) == OK, "column %u", i);
        often_assert_msg(walk.at == by_column[i].count, "column %u", i);
        if (by_column[i].count > 1) { /* stopped in the middle, then from the start again */
            walk = (struct value_walk){.c = c, .expected = &by_column[i], .column = i, .stop_at = 1};
            often_assert(block_page_values(c->reader, by_column[i].list[0].row / BLOCK_PAGE_ROWS, i,
                                           check_value, &walk) == OK);
            often_assert(walk.at == 1);
        }
        free(by_column[i].list);
    }
    free(by_column);
    struct block_column column;
    often_assert(block_column(c->reader, live->counts.columns, &column) == ERR_NOT_FOUND);
    often_assert(block_page_values(c->reader, 0, live->counts.columns, check_value, NULL) == ERR_NOT_FOUND);
}

/* ---- hashes, operations -------------------------------------------------------------------------------- */

struct hashes {
    uint64_t *list[2]; /* tokens, traces */
    size_t count[2], capacity[2];
};

static bool note_hash(void *context, bool is_trace, uint64_t hash)
{
    struct hashes *const hashes = context;

    if (hashes->count[is_trace] == hashes->capacity[is_trace]) {
        hashes->capacity[is_trace] = hashes->capacity[is_trace] * 2 + 64;
        hashes->list[is_trace] = realloc(hashes->list[is_trace],
                                         sizeof(uint64_t) * hashes->capacity[is_trace]);
    }
    hashes->list[is_trace][hashes->count[is_trace]++] = hash;
    return true;
}

static int compare_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static size_t sort_distinct(uint64_t *list, size_t count)
{
    size_t kept = 0;

    if (count > 0) qsort(list, count, sizeof *list, compare_hash);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || list[i] != list[kept - 1]) list[kept++] = list[i];
    return kept;
}

/* A recovered segment must not exclude anything that a closed one does not, and the other way round. */
static void assert_hashes(const struct block_case *c)
{
    struct hashes read = {.count = {0}};
    uint64_t *const tokens = malloc(sizeof(uint64_t) * (c->encoded.token_hashes_count + 1));

    often_assert(block_hashes(c->reader, note_hash, &read) == OK);
    often_assert(read.count[1] == c->encoded.trace_hashes_count);
    often_assert(memcmp(read.list[1], c->encoded.trace_hashes, read.count[1] * sizeof(uint64_t)) == 0);
    memcpy(tokens, c->encoded.token_hashes, sizeof(uint64_t) * c->encoded.token_hashes_count);
    const size_t encoded = sort_distinct(tokens, c->encoded.token_hashes_count);
    const size_t from_block = sort_distinct(read.list[0], read.count[0]);
    often_assert(encoded == from_block);
    often_assert(memcmp(tokens, read.list[0], encoded * sizeof(uint64_t)) == 0);
    free(tokens);
    free(read.list[0]);
    free(read.list[1]);
}

static bool has_token(const struct block_case *c, uint8_t level, const char *key, uint8_t type,
                      struct slice bytes, uint64_t bits)
{
    uint64_t hash;

    often_assert(block_token(level, slice_text(key), type, bytes, bits, &hash));
    for (size_t i = 0; i < c->encoded.token_hashes_count; i++)
        if (c->encoded.token_hashes[i] == hash) return true;
    return false;
}

static void assert_operations(const struct block_case *c)
{
    const struct live_block *const live = c->live.live;
    const uint32_t count = block_operations(c->reader);
    uint32_t *const seen = calloc(count, sizeof *seen);

    for (uint32_t i = 0; i < live->counts.rows; i++) {
        const struct live_row *const row = &live->rows[i];
        const struct live_pattern *const pattern = &live->patterns[row->pattern];
        const struct live_envelope *const resource = &live->resources[pattern->resource];
        const struct slice service = live_bytes(live, resource->service_offset, resource->service_len);
        uint32_t found = 0;
        for (uint32_t k = 0; k < count; k++) {
            struct block_operation operation;
            often_assert(block_operation(c->reader, k, &operation) == OK);
            if (slice_equal(operation.service, service) && operation.kind == pattern->kind &&
                slice_equal(operation.name, live_pair_bytes(live, pattern->name))) {
                found++;
                seen[k]++;
            }
        }
        often_assert_msg(found == 1, "each row has one operation");
    }
    for (uint32_t k = 0; k < count; k++)
        often_assert_msg(seen[k] > 0, "each operation has a row");
    struct block_operation operation;
    often_assert(block_operation(c->reader, count, &operation) == ERR_NOT_FOUND);
    free(seen);
}

/* ---- round trips --------------------------------------------------------------------------------------- */

static void assert_all(const struct block_case *c, struct maker *maker, unsigned modes[2])
{
    const uint32_t rows = c->live.live->counts.rows;

    assert_summary(c);
    assert_rows(c, 0, rows);
    for (unsigned i = 0; i < 20; i++) {
        const uint32_t first = maker_below(maker, rows), count = maker_below(maker, rows - first + 1);
        assert_rows(c, first, count < 300 ? count : 300);
    }
    assert_traces(c);
    assert_fields(c);
    assert_columns(c, modes);
    assert_hashes(c);
    if (rows < 5000) assert_operations(c);
    cr_assert_eq(block_check(c->reader), OK);
    cr_assert_eq(block_spans(c->reader, rows, 1, NULL, NULL), ERR_NOT_FOUND);
    cr_assert_eq(block_spans(c->reader, 0, rows + 1, NULL, NULL), ERR_NOT_FOUND);
    cr_assert_eq(block_spans(c->reader, rows, 0, NULL, NULL), OK);
    cr_assert_gt(block_memory(c->reader), 0);
}

static void round_trip(uint64_t seed, uint32_t rows, unsigned traces, unsigned keys)
{
    struct maker maker = {.state = seed, .wildness = 3, .traces = traces, .keys = keys};
    struct block_case c = block_case_open();
    unsigned modes[2] = {0};

    fill(&c, &maker, rows);
    encode(&c);
    assert_all(&c, &maker, modes);
    if (rows > 1000) cr_assert(modes[0] > 0 && modes[1] > 0, "raw and dictionary columns were tried");
    block_case_close(&c);
}

Test(block, small_blocks_come_back)
{
    for (uint64_t seed = 1; seed <= 15; seed++)
        round_trip(seed, (uint32_t)seed, 3, 5);
    for (uint64_t seed = 20; seed < 26; seed++)
        round_trip(seed, 300, seed % 2 == 0 ? 1 : 1000, 12);
}

Test(block, pages_end_where_they_should)
{
    for (uint32_t rows = BLOCK_PAGE_ROWS - 1; rows <= BLOCK_PAGE_ROWS + 1; rows++)
        round_trip(rows, rows, 1000, 12);
}

Test(block, B3_traces_straddle_pages_with_parents_on_either_side)
{
    round_trip(77, 20000, 3, 12); /* parents up to 30 spans away, missing, self, of other traces */
}

Test(block, more_rows_than_a_live_block_is_closed_at)
{
    enum { ROWS = LIVE_ROWS_CLOSE + 3000 };
    struct block_case c = block_case_open();

    for (uint32_t row = 0; row < ROWS; row += 8567) {
        struct message scope_spans = {0};
        for (uint32_t i = row; i < row + 8567 && i < ROWS; i++) {
            struct message span = span_of(i % 5000, i);
            message_fixed64(&span, 7, 1700000000000000000ull + i * 37 % 1000);
            message_int_attribute(&span, 9, "distinct", i);
            message_string_attribute(&span, 9, "few", i % 3 == 0 ? "a" : "b");
            message_put(&scope_spans, 2, &span);
        }
        struct message body = message_body_of_scope_spans(&scope_spans);
        cr_assert_eq(live_case_put(&c.live, &body), OK);
    }
    encode(&c);
    assert_summary(&c);
    assert_rows(&c, 0, ROWS);
    assert_traces(&c);
    assert_hashes(&c);
    block_case_close(&c);
}

Test(block, one_encoder_makes_many_blocks_and_the_same_one_twice)
{
    struct block_case c = block_case_open();
    struct maker maker = {.state = 79};

    for (unsigned i = 0; i < 12; i++) {
        const uint32_t rows = 1 + maker_below(&maker, i % 4 == 0 ? 3000 : 40);
        unsigned modes[2];
        fill(&c, &maker, rows);
        encode(&c);
        uint8_t *const first = malloc(c.bytes.len);
        const size_t len = c.bytes.len;
        memcpy(first, c.bytes.bytes, len);
        encode(&c);
        cr_assert_eq(len, c.bytes.len);
        cr_assert_eq(memcmp(first, c.bytes.bytes, len), 0, "an encoder's past leaves no trace in a block");
        free(first);
        assert_all(&c, &maker, modes);
        live_case_reset(&c.live);
    }
    block_case_close(&c);
}

/* ---- odd content --------------------------------------------------------------------------------------- */

static void put(struct block_case *c, struct message *span)
{
    struct message body = message_body_of_span(span);

    cr_assert_eq(live_case_put(&c->live, &body), OK, "%s", c->live.result.fault.reason);
}

static void assert_whole(struct block_case *c)
{
    struct maker maker = {.state = 1};
    unsigned modes[2];

    encode(c);
    assert_all(c, &maker, modes);
}

Test(block, B13_times_at_both_ends_and_backwards)
{
    static const uint64_t times[] = {0, 1, 1ull << 63, UINT64_MAX, 1700000000000000000ull};
    struct block_case c = block_case_open();

    for (unsigned i = 0; i < 25; i++) {
        struct message span = span_of(i % 4, i), event = {0};
        message_fixed64(&span, 7, times[i / 5]);
        message_fixed64(&span, 8, times[i % 5]);
        message_fixed64(&event, 1, times[(i * 3) % 5]);
        message_put(&span, 11, &event);
        put(&c, &span);
    }
    assert_whole(&c);
    block_case_close(&c);
}

Test(block, B14_numbers_keep_every_bit)
{
    static const uint64_t numbers[] = {0x7ff8000000000001ull,
                                       0xfff8dead0000beefull,
                                       0xfff0000000000000ull,
                                       0x8000000000000000ull,
                                       1,
                                       UINT64_MAX,
                                       INT64_MAX,
                                       0};
    struct block_case c = block_case_open();

    for (unsigned repeat = 0; repeat < 6; repeat++) /* 1: distinct values; more: dictionaries */
        for (unsigned i = 0; i < 8; i++)
            for (unsigned k = 0; k < (repeat == 0 ? 1 : 4); k++) {
                struct message span = span_of(i, repeat * 100 + i * 10 + k), pair = {0}, value = {0};
                char key[8];
                snprintf(key, sizeof key, "d%u", repeat == 0);
                message_fixed64(&value, 4, numbers[i]);
                message_text(&pair, 1, key);
                message_put(&pair, 2, &value);
                message_put(&span, 9, &pair);
                snprintf(key, sizeof key, "i%u", repeat == 0);
                message_int_attribute(&span, 9, key, numbers[i]);
                put(&c, &span);
            }
    assert_whole(&c);
    block_case_close(&c);
}

Test(block, B16_B3_equal_spans_equal_ids_and_spans_that_are_their_own_parents)
{
    struct block_case c = block_case_open();

    for (unsigned i = 0; i < 60; i++) {
        struct message span = span_of(1, i % 7);
        const uint64_t parent = i % 5 == 0 ? i % 7 + 1 : 3; /* message_ids(): number + 1 */
        message_bytes(&span, 4, slice_of(&parent, 8));
        message_text(&span, 5, i % 2 == 0 ? "a" : "b");
        put(&c, &span);
    }
    assert_whole(&c);
    block_case_close(&c);
}

Test(block, B3_parents_in_large_traces_are_found_and_missing_ones_are_kept)
{
    struct block_case c = block_case_open();

    for (unsigned i = 0; i < 500; i++) {
        struct message span = span_of(i % 2, i);
        uint64_t parent = i % 3 == 0 ? i * 7919 : (i * 31) % 500 + 1;
        if (i % 50 == 0) parent = 0; /* a root with zeros */
        if (i % 11 > 0) message_bytes(&span, 4, slice_of(&parent, 8));
        put(&c, &span);
    }
    assert_whole(&c);
    block_case_close(&c);
}

Test(block, B11_names_may_be_empty_and_odd)
{
    static const struct slice names[] = {
        {(const uint8_t *)"", 0}, {(const uint8_t *)"\0\xff", 2}, {(const uint8_t *)"name", 4}};
    struct block_case c = block_case_open();

    for (unsigned i = 0; i < 30; i++) {
        struct message span = span_of(i, i), event = {0}, link = {0}, status = {0};
        message_bytes(&span, 5, names[i % 3]);
        message_bytes(&span, 3, names[(i + 1) % 3]);
        message_bytes(&event, 2, names[(i + 2) % 3]);
        message_bytes(&link, 3, names[i % 3]);
        message_bytes(&status, 2, names[(i + 1) % 3]);
        message_put(&span, 11, &event);
        message_put(&span, 13, &link);
        message_put(&span, 15, &status);
        put(&c, &span);
    }
    assert_whole(&c);
    for (unsigned i = 0; i < 3; i++)
        cr_assert(has_token(&c, TOKEN_LEVEL_INTRINSIC, "name", VALUE_STRING, names[i], 0), "name %u", i);
    block_case_close(&c);
}

Test(block, tokens_of_every_level_and_type)
{
    struct block_case c = block_case_open();
    struct message body = {0}, resource_spans = {0}, resource = {0}, scope = {0}, scope_spans = {0};
    struct message span = span_of(1, 1), event = {0}, link = {0}, pair = {0}, value = {0};

    message_string_attribute(&resource, 1, "service.name", "shop");
    message_int_attribute(&scope, 3, "n", 5);
    message_string_attribute(&span, 9, "k", "v");
    message_varint(&value, 2, 1);
    message_text(&pair, 1, "flag");
    message_put(&pair, 2, &value);
    message_put(&span, 9, &pair);
    message_int_attribute(&event, 3, "k", UINT64_MAX);
    message_string_attribute(&link, 4, "k", "");
    message_put(&span, 11, &event);
    message_put(&span, 13, &link);
    message_put(&scope_spans, 1, &scope);
    message_put(&scope_spans, 2, &span);
    message_put(&resource_spans, 1, &resource);
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(live_case_put(&c.live, &body), OK);
    assert_whole(&c);
    cr_assert(has_token(&c, LEVEL_RESOURCE, "service.name", VALUE_STRING, slice_text("shop"), 0));
    cr_assert(has_token(&c, LEVEL_SCOPE, "n", VALUE_INT, (struct slice){0}, 5));
    cr_assert(has_token(&c, LEVEL_SPAN, "k", VALUE_STRING, slice_text("v"), 0));
    cr_assert(has_token(&c, LEVEL_SPAN, "flag", VALUE_BOOL, (struct slice){0}, 1));
    cr_assert(has_token(&c, LEVEL_EVENT, "k", VALUE_INT, (struct slice){0}, UINT64_MAX));
    cr_assert(has_token(&c, LEVEL_LINK, "k", VALUE_STRING, (struct slice){0}, 0));
    cr_assert_not(has_token(&c, LEVEL_EVENT, "k", VALUE_STRING, slice_text("v"), 0));
    block_case_close(&c);
}

Test(block, strings_have_tokens_up_to_256_bytes)
{
    char text[300];
    uint64_t hash;

    memset(text, 'x', sizeof text);
    for (size_t len = 255; len <= 257; len++)
        cr_assert_eq(block_token(LEVEL_SPAN, slice_text("k"), VALUE_STRING, slice_of(text, len), 0, &hash),
                     len <= 256);
    cr_assert_not(block_token(LEVEL_SPAN, slice_text("k"), VALUE_DOUBLE, (struct slice){0}, 1, &hash));
    cr_assert_not(block_token(LEVEL_SPAN, slice_text("k"), VALUE_ARRAY, slice_text(""), 0, &hash));
}

/* ---- large things ---------------------------------------------------------------------------------------- */

static struct message many_keys(void)
{
    struct message scope_spans = {0};

    for (unsigned i = 0; i < LIVE_COLUMNS_MAX; i += 512) {
        struct message span = span_of(i, i);
        for (unsigned k = 0; k < 512; k++) {
            char key[16];
            snprintf(key, sizeof key, "key.%u", i + k);
            message_int_attribute(&span, 9, key, k);
        }
        message_put(&scope_spans, 2, &span);
    }
    return message_body_of_scope_spans(&scope_spans);
}

Test(block, keys_beyond_the_columns_have_tokens_and_come_back)
{
    struct block_case c = block_case_open();
    struct message body = many_keys();

    cr_assert_eq(live_case_put(&c.live, &body), OK);
    for (unsigned i = 0; i < 50; i++) {
        struct message span = span_of(i, 100000 + i), event = {0};
        message_string_attribute(&span, 9, "beyond", i % 2 == 0 ? "even" : "odd");
        message_int_attribute(&event, 3, "beyond", i);
        message_put(&span, 11, &event);
        put(&c, &span);
    }
    assert_whole(&c);
    cr_assert(has_token(&c, LEVEL_SPAN, "beyond", VALUE_STRING, slice_text("odd"), 0));
    cr_assert(has_token(&c, LEVEL_EVENT, "beyond", VALUE_INT, (struct slice){0}, 49));
    block_case_close(&c);
}

/* Two large attributes in very many rows: their raw column would be larger than any bound. */
Test(block, large_values_that_repeat_become_a_dictionary)
{
    enum { ROWS = 3000, BYTES = 60000 };
    struct block_case c = block_case_open();
    char *const text = malloc(BYTES + 1);
    struct message body = many_keys();

    cr_assert_eq(live_case_put(&c.live, &body), OK); /* so that the key below has no column */
    memset(text, 'x', BYTES);
    text[BYTES] = 0;
    for (unsigned request = 0; request < 10; request++) {
        struct message scope_spans = {0};
        for (unsigned i = 0; i < ROWS / 10; i++) {
            struct message span = span_of(i % 7, 100000 + request * 1000 + i);
            text[0] = "xy"[i % 2]; /* so that it is no constant of a pattern */
            message_string_attribute(&span, 9, "beyond", text);
            message_put(&scope_spans, 2, &span);
        }
        body = message_body_of_scope_spans(&scope_spans);
        cr_assert_eq(live_case_try(&c.live, message_slice(&body)), OK);
        message_free(&body);
    }
    cr_assert_eq(block_case_encode(&c), OK);
    struct block_column column;
    struct block_tour tour = {.reader = c.reader, .spans = block_summary(c.reader)->spans};
    cr_assert_eq(block_column(c.reader, COLUMN_RAW_SPAN, &column), OK);
    cr_assert(column.dictionary);
    cr_assert_gt(column.values_count, ROWS - 1);
    cr_assert(has_token(&c, LEVEL_SPAN, "key.2045", VALUE_INT, (struct slice){0}, 2045 % 512));
    assert_hashes(&c);
    cr_assert_eq(block_spans(c.reader, 0, tour.spans, block_tour_span, &tour), OK);
    free(text);
    block_case_close(&c);
}

static void put_resource(struct block_case *c, unsigned number, size_t len)
{
    struct message body = {0}, resource_spans = {0}, resource = {0}, scope_spans = {0},
                   span = span_of(number, number);
    uint8_t *const filler = calloc(1, len);

    memcpy(filler, &number, sizeof number);
    message_bytes(&resource, 100, slice_of(filler, len));
    message_put(&resource_spans, 1, &resource);
    message_put(&scope_spans, 2, &span);
    message_put(&resource_spans, 2, &scope_spans);
    message_put(&body, 1, &resource_spans);
    cr_assert_eq(live_case_put(&c->live, &body), OK);
    free(filler);
}

Test(block, resources_of_more_than_64_MiB_together)
{
    struct block_case c = block_case_open();

    for (unsigned i = 0; i < 70; i++)
        put_resource(&c, i, 1000000);
    encode(&c);
    assert_rows(&c, 0, 70);
    block_case_close(&c);
}

Test(block, B11_a_name_as_long_as_a_request_can_be)
{
    enum { NAME_BYTES = 64 * 1024 * 1024 - 100 };
    struct block_case c = block_case_open();
    uint8_t *const name = calloc(1, NAME_BYTES);

    for (unsigned i = 0; i < 4; i++) { /* before and behind others, whose dictionary piece it joins */
        struct message span = span_of(i, i);
        message_bytes(&span, 5, slice_of(name, i == 2 ? (size_t)NAME_BYTES : 10000 + i));
        put(&c, &span);
    }
    encode(&c);
    assert_rows(&c, 0, 4);
    free(name);
    block_case_close(&c);
}

Test(block, many_events_links_and_attributes_in_few_rows)
{
    struct maker maker = {.state = 91, .children_max = 12};
    struct block_case c = block_case_open();
    unsigned modes[2];

    fill(&c, &maker, 400);
    struct message span = span_of(1, 1000000), empty = {0};
    for (unsigned i = 0; i < 1024; i++) {
        message_put(&span, 9, &empty);
        message_put(&span, 11, &empty);
        message_put(&span, 13, &empty);
    }
    put(&c, &span);
    encode(&c);
    assert_all(&c, &maker, modes);
    block_case_close(&c);
}
