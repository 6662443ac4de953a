/*
 * Stores for tests of pins and erasures: spans of known traces, times and names, in closed segments, and a matcher that
 * understands filters of one word: the name of the span.
 */
#ifndef TEST_STORE_PINS_FIXTURE_H
#define TEST_STORE_PINS_FIXTURE_H

#include "catalog_private.h"
#include "compaction_fixture.h"
#include "ledger_fixture.h"
#include "store/pins.h"
#include "store/retention.h"

static const uint64_t day_ns = 86400 * NS_PER_S;

/* A span of trace number `trace` that begins then. */
struct plain_span {
    uint32_t trace, span;
    uint64_t start_ns;
    const char *name;
};

static inline struct trace_id plain_trace(uint32_t number)
{
    struct trace_id id = {{0}};

    for (unsigned i = 0; i < 4; i++)
        id.bytes[i] = (uint8_t)(number >> (24 - 8 * i));
    id.bytes[15] = 1;
    return id;
}

static inline void plain_write(struct wire_writer *writer, const struct plain_span *span)
{
    const struct trace_id trace = plain_trace(span->trace);
    const uint64_t span_id = (uint64_t)span->span + 1;

    wire_put_fixed64_field(writer, 8, span->start_ns + 5);
    wire_put_fixed64_field(writer, 7, span->start_ns);
    wire_put_bytes_field(writer, 5, slice_text(span->name));
    wire_put_bytes_field(writer, 2, slice_of(&span_id, 8));
    wire_put_bytes_field(writer, 1, slice_of(trace.bytes, 16));
}

/* One block with these spans, which arrived then, in a closed segment of its own. */
static inline void store_append_plain(struct world *world, uint64_t seq, uint64_t arrival_ns,
                                      const struct plain_span *spans, uint32_t count)
{
    static uint8_t room[1 << 20];
    struct wire_writer writer = {.base = room, .capacity = sizeof room};

    for (uint32_t i = count; i-- > 0;) {
        const size_t span = writer.len;
        plain_write(&writer, &spans[i]);
        wire_close_message(&writer, 2, span);
    }
    wire_close_message(&writer, 2, 0);
    wire_close_message(&writer, 1, 0);
    cr_assert(wire_writer_fits(&writer));
    store_append(world, 0, seq, arrival_ns, wire_writer_bytes(&writer));
    cr_assert_eq(segment_seal(world->catalog, world->io, 0), OK);
}

/* A segment, by number in the version, leaves, and its file cannot be removed at once: it is left behind. */
static inline void store_leave_a_grave(struct world *world, uint32_t number)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    struct segment *const segment = view->segments[number];

    sim_fail(world->sim, SIM_FAULT_NAME, 1, ERR_IO, false);
    cr_assert_eq(catalog_retire(world->catalog, world->io, &segment, 1, NULL), OK);
    catalog_release(world->catalog, view);
    cr_assert_eq(world->catalog->graves_count, 1);
}

/* ---- a matcher ----------------------------------------------------------------------------------------- */

static inline enum err plain_match_rows(struct block_reader *reader, uint32_t page,
                                        const struct selector *selector, selector_row_fn *visit,
                                        void *visit_context)
{
    static uint64_t starts[BLOCK_PAGE_ROWS], names[BLOCK_PAGE_ROWS];
    uint32_t count;

    TRY(block_page_field(reader, page, FIELD_START, starts, &count));
    TRY(block_page_field(reader, page, FIELD_NAME, names, &count));
    for (uint32_t row = 0; row < count; row++) {
        struct attribute name;
        TRY(block_dictionary_value(reader, COLUMN_NAME, (uint32_t)names[row], &name));
        if (starts[row] < selector->start_ns || starts[row] >= selector->end_ns) continue;
        if (selector->filter[0] != '\0' && !slice_is(name.bytes, selector->filter)) continue;
        if (!visit(visit_context, reader, page * BLOCK_PAGE_ROWS + row)) break;
    }
    return OK;
}

static inline enum err plain_match(void *context, const struct catalog_view *view, struct io *io,
                                   uint32_t block, const struct selector *selector, selector_row_fn *visit,
                                   void *visit_context)
{
    struct catalog_source source;
    struct block_reader *reader;
    enum err err = OK;

    (*(unsigned *)context)++;
    TRY(catalog_open_block(view, io, block, &source, &reader));
    for (uint32_t page = 0; page < block_pages(reader) && err == OK; page++)
        err = plain_match_rows(reader, page, selector, visit, visit_context);
    block_close(reader);
    return err;
}

static unsigned plain_matches; /* blocks that the matcher has opened */
static const struct selector_matcher plain_matcher = {plain_match, &plain_matches};

/* ---- what is there ------------------------------------------------------------------------------------- */

struct plain_count {
    uint32_t trace, spans;
};

/* Spans of a trace in the store now. */
static inline uint32_t spans_of(struct world *world, uint32_t trace)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    const struct trace_id id = plain_trace(trace);
    uint32_t spans = 0;

    for (uint32_t i = 0; i < catalog_blocks(view); i++) {
        struct catalog_source source;
        struct block_reader *reader;
        uint32_t first, count = 0;
        cr_assert_eq(catalog_open_block(view, world->io, i, &source, &reader), OK);
        if (block_find_trace(reader, &id, &first, &count) == OK) spans += count;
        block_close(reader);
    }
    catalog_release(world->catalog, view);
    return spans;
}

static inline uint64_t all_spans_of(struct world *world)
{
    const uint64_t spans = catalog_size(world->catalog).spans;

    cr_assert_eq(counted_as(world, LEDGER_STORED), spans);
    return spans;
}

/* ---- pins ----------------------------------------------------------------------------------------------- */

static inline struct pin pin_of_trace(uint32_t trace, uint64_t expires_ns)
{
    return (struct pin){.expires_ns = expires_ns,
                        .selector = {.by_trace = true, .trace_id = plain_trace(trace)},
                        .owner = "me",
                        .reason = "incident 7"};
}

static inline struct pin pin_of_range(uint64_t start_ns, uint64_t end_ns, const char *filter,
                                      uint64_t expires_ns)
{
    struct pin pin = {.expires_ns = expires_ns,
                      .selector = {.start_ns = start_ns, .end_ns = end_ns},
                      .owner = "me",
                      .reason = "audit"};

    snprintf(pin.selector.filter, sizeof pin.selector.filter, "%s", filter);
    return pin;
}

static inline struct pins *pins_of(struct world *world)
{
    struct pins *pins;

    cr_assert_eq(pins_open(world->io, world->dir, FIXTURE_INSTANCE, &pins), OK);
    return pins;
}

static inline uint64_t set_pin(struct pins *pins, struct world *world, struct pin pin)
{
    cr_assert_eq(pins_add(pins, world->io, 0, &pin), OK);
    return pin.id;
}

/* ---- retention ------------------------------------------------------------------------------------------ */

static inline struct retention *retention_with(struct world *world, const struct retention_config *config,
                                               struct pins *pins)
{
    struct retention *retention;

    cr_assert_eq(
        retention_open(world->catalog, config, pins, pins != NULL ? &plain_matcher : NULL, &retention), OK);
    return retention;
}

static inline unsigned steps_of(struct retention *retention, struct world *world, uint64_t now_ns)
{
    unsigned steps = 0;

    while (retention_step(retention, world->io, now_ns))
        cr_assert_lt(++steps, 10000);
    return steps;
}

struct preview {
    struct retention_row rows[128];
    unsigned count;
};

static inline bool note_row(void *context, const struct retention_row *row)
{
    struct preview *const preview = context;

    preview->rows[preview->count++] = *row;
    return preview->count < 128;
}

static inline struct preview preview_of(struct retention *retention, struct world *world, uint64_t now_ns,
                                        bool *waits)
{
    struct preview preview = {.count = 0};
    const struct retention_question question = {.io = world->io,
                                                .now_ns = now_ns,
                                                .free_bytes = UINT64_MAX / 2,
                                                .matcher = &plain_matcher,
                                                .visit = note_row,
                                                .context = &preview};

    cr_assert_eq(retention_preview(retention, &question, waits), OK);
    return preview;
}

#endif
