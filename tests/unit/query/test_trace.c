/*
 * Trace by id: the whole trace, grouped and in order, whatever lies where; nothing twice that is the same,
 * everything that is not; cut, damaged and unknown traces.
 */
#include "otlp_text.h"
#include "query_store.h"
#include "stories.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct store store;

/* ---- against a naive assembly --------------------------------------------------------------------------- */

struct part {
    const struct story_span *span;
    struct slice message, resource, scope; /* malloc'ed */
    uint64_t id;
    unsigned resource_first, scope_first; /* place of the first span with the same */
};

static struct slice write_out(void (*write)(struct wire_writer *, const struct story_span *),
                              const struct story_span *span)
{
    uint8_t *const room = malloc(8192);
    struct wire_writer writer = {.base = room, .capacity = 8192};

    cr_assert_not_null(room);
    write(&writer, span);
    cr_assert(wire_writer_fits(&writer));
    const size_t len = writer.len;
    memmove(room, wire_writer_bytes(&writer).ptr, len);
    return slice_of(room, len);
}

static int by_time(const void *left, const void *right)
{
    const struct part *const a = left, *const b = right;

    if (a->span->start_ns != b->span->start_ns) return a->span->start_ns < b->span->start_ns ? -1 : 1;
    if (a->id != b->id) return a->id < b->id ? -1 : 1;
    return slice_compare(a->message, b->message);
}

static int by_group(const void *left, const void *right)
{
    const struct part *const a = left, *const b = right;

    if (a->resource_first != b->resource_first) return a->resource_first < b->resource_first ? -1 : 1;
    if (a->scope_first != b->scope_first) return a->scope_first < b->scope_first ? -1 : 1;
    return by_time(left, right);
}

static unsigned take_parts(const struct stories *stories, const struct trace_id *trace_id, struct part *parts)
{
    unsigned count = 0;

    for (unsigned i = 0; i < stories->count; i++) {
        const struct story_span *const span = &stories->spans[i];
        if (span->content != i || memcmp(span->trace_id.bytes, trace_id->bytes, 16) != 0) continue;
        uint64_t id;
        memcpy(&id, span->span_id.bytes, 8);
        parts[count++] = (struct part){.span = span,
                                       .message = write_out(story_write_span, span),
                                       .resource = write_out(story_write_resource, span),
                                       .scope = write_out(story_write_scope, span),
                                       .id = __builtin_bswap64(id)};
    }
    qsort(parts, count, sizeof *parts, by_time);
    for (unsigned i = 0; i < count; i++) {
        unsigned first = 0;
        while (!slice_equal(parts[first].resource, parts[i].resource))
            first++;
        parts[i].resource_first = first;
        for (first = 0; !slice_equal(parts[first].resource, parts[i].resource) ||
                        !slice_equal(parts[first].scope, parts[i].scope);
             first++)
            ;
        parts[i].scope_first = first;
    }
    qsort(parts, count, sizeof *parts, by_group);
    return count;
}

static void assemble(const struct part *parts, unsigned count, struct otlp_text *text)
{
    for (unsigned i = 0; i < count; i++) {
        const bool new_resource = i == 0 || parts[i].resource_first != parts[i - 1].resource_first;
        const bool new_scope = i == 0 || parts[i].scope_first != parts[i - 1].scope_first;
        if (i > 0 && new_scope) end(text);
        if (i > 0 && new_resource) end(text);
        if (new_resource) {
            begin(text, 1);
            bytes(text, 1, parts[i].resource.ptr, parts[i].resource.len);
        }
        if (new_scope) {
            begin(text, 2);
            bytes(text, 1, parts[i].scope.ptr, parts[i].scope.len);
        }
        bytes(text, 2, parts[i].message.ptr, parts[i].message.len);
    }
    end(text);
    end(text);
}

static void hex_of(const struct trace_id *id, char text[33])
{
    for (unsigned i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", id->bytes[i]);
}

static void check_trace(const struct stories *stories, const struct trace_id *trace_id)
{
    static struct otlp_text text;
    static struct part parts[2000];
    char hex[33];

    text.len = 0;
    const unsigned count = take_parts(stories, trace_id, parts);
    assemble(parts, count, &text);
    hex_of(trace_id, hex);
    struct asked asked = store_ask_protobuf(&store, hex);
    cr_assert_eq(asked.err, OK);
    cr_assert(slice_equal(slice_of(asked.text, asked.len), text_slice(&text)), "trace %s: %zu bytes, not %zu",
              hex, asked.len, text.len);
    asked_free(&asked);
    for (unsigned i = 0; i < count; i++) {
        free((void *)(uintptr_t)parts[i].message.ptr);
        free((void *)(uintptr_t)parts[i].resource.ptr);
        free((void *)(uintptr_t)parts[i].scope.ptr);
    }
}

static void add_range(const struct stories *stories, unsigned first, unsigned count)
{
    size_t len;
    uint8_t *const body = stories_body(stories, first, count, &len);

    store_add(&store, slice_of(body, len));
    free(body);
}

Test(trace, comes_back_whole_from_everywhere)
{
    store_open(&store);
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct stories stories;
        stories_make(&stories, seed, 120, 8);
        store_reset(&store);
        for (unsigned part = 0; part < 4; part++) {
            store_begin(&store);
            add_range(&stories, part * 30, 30);
            store_end(&store, (seed >> (part % 3) & 1) != 0 ? STORE_SEALED : STORE_LIVE);
        }
        if (seed % 2 == 0) store_close_segment(&store);
        for (unsigned i = 0; i < stories.count; i++)
            check_trace(&stories, &stories.spans[i].trace_id);
        stories_free(&stories);
    }
    store_close(&store);
}

/* ---- envelopes ------------------------------------------------------------------------------------------ */

static const uint8_t some_id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
#define SOME_ID "0102030405060708090a0b0c0d0e0f10"

static void add_span(struct otlp_text *text, uint64_t id, uint64_t start_ns)
{
    begin(text, 2);
    bytes(text, 1, some_id, 16);
    bytes(text, 2, &id, 8);
    fixed64(text, 7, start_ns);
    end(text);
}

static void send(const struct otlp_text *text, enum store_fate fate)
{
    store_begin(&store);
    store_add(&store, text_slice(text));
    store_end(&store, fate);
}

/* Absent and empty envelopes differ, and so do schemas. */
static void write_envelopes(struct otlp_text *text)
{
    begin(text, 1); /* no resource, no scope */
    begin(text, 2);
    add_span(text, 1, 10);
    end(text);
    end(text);
    begin(text, 1); /* an empty resource, an empty scope with a schema */
    begin(text, 1);
    end(text);
    begin(text, 2);
    begin(text, 1);
    end(text);
    add_span(text, 2, 20);
    string(text, 3, "scope/1");
    end(text);
    string(text, 3, "resource/1");
    end(text);
    begin(text, 1); /* the same resource with another schema */
    begin(text, 1);
    end(text);
    begin(text, 2);
    add_span(text, 3, 30);
    end(text);
    string(text, 3, "resource/2");
    end(text);
}

Test(trace, keeps_absent_and_empty_envelopes_and_schemas_apart)
{
    static const char expected[] =
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"traceId\":\"" SOME_ID
        "\",\"spanId\":\"0100000000000000\",\"startTimeUnixNano\":\"10\"}]}]},"
        "{\"resource\":{},\"schemaUrl\":\"resource/1\",\"scopeSpans\":[{\"scope\":{},\"schemaUrl\":\"scope/"
        "1\","
        "\"spans\":[{\"traceId\":\"" SOME_ID
        "\",\"spanId\":\"0200000000000000\",\"startTimeUnixNano\":\"20\"}]}]},"
        "{\"resource\":{},\"schemaUrl\":\"resource/2\",\"scopeSpans\":[{\"spans\":[{\"traceId\":\"" SOME_ID
        "\",\"spanId\":\"0300000000000000\",\"startTimeUnixNano\":\"30\"}]}]}],\"coverage\":";
    static struct otlp_text text;

    write_envelopes(&text);
    store_open(&store);
    for (unsigned fate = STORE_LIVE; fate <= STORE_SEALED; fate++) {
        store_reset(&store);
        send(&text, (enum store_fate)fate);
        struct asked asked = store_ask(&store, REQUEST_TRACE, SOME_ID, "");
        cr_assert_eq(asked.err, OK);
        cr_assert_eq(strncmp(asked.text, expected, sizeof expected - 1), 0, "%s", asked.text);
        asked_free(&asked);
        asked = store_ask_protobuf(&store, SOME_ID);
        cr_assert(slice_equal(slice_of(asked.text, asked.len), text_slice(&text)));
        asked_free(&asked);
    }
    store_close(&store);
}

/* ---- duplicates ----------------------------------------------------------------------------------------- */

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word))
        count++;
    return count;
}

static unsigned spans_of_trace(void)
{
    struct asked asked = store_ask(&store, REQUEST_TRACE, SOME_ID, "");

    cr_assert_eq(asked.err, OK);
    const unsigned count = count_of(asked.text, "\"spanId\"");
    asked_free(&asked);
    return count;
}

static void one_span(struct otlp_text *text, uint64_t start_ns, const char *service)
{
    begin(text, 1);
    if (service != NULL) {
        begin(text, 1);
        begin(text, 1);
        string(text, 1, "service.name");
        begin(text, 2);
        string(text, 1, service);
        end(text);
        end(text);
        end(text);
    }
    begin(text, 2);
    add_span(text, 9, start_ns);
    end(text);
    end(text);
}

Test(trace, tells_a_retry_from_another_span_of_that_id)
{
    static struct otlp_text text, other, elsewhere;

    one_span(&text, 10, "a");
    one_span(&other, 11, "a");
    one_span(&elsewhere, 10, "b");
    store_open(&store);
    send(&text, STORE_SEALED);
    cr_assert_eq(spans_of_trace(), 1);
    send(&text, STORE_SEALED);
    cr_assert_eq(spans_of_trace(), 1, "in two blocks");
    send(&text, STORE_LIVE);
    cr_assert_eq(spans_of_trace(), 1, "and live");
    send(&other, STORE_LIVE);
    cr_assert_eq(spans_of_trace(), 2, "other content");
    send(&elsewhere, STORE_SEALED);
    cr_assert_eq(spans_of_trace(), 3, "another resource");
    store_close(&store);
}

/* ---- limits and trouble --------------------------------------------------------------------------------- */

Test(trace, that_is_unknown_is_not_found)
{
    static struct otlp_text text;

    one_span(&text, 10, "a");
    store_open(&store);
    cr_assert_eq(store_ask(&store, REQUEST_TRACE, SOME_ID, "").err, ERR_NOT_FOUND, "empty store");
    send(&text, STORE_LIVE);
    send(&text, STORE_SEALED);
    cr_assert_eq(store_ask(&store, REQUEST_TRACE, "ffffffffffffffffffffffffffffffff", "").err, ERR_NOT_FOUND);
    cr_assert_eq(store_ask(&store, REQUEST_TRACE, "00000000000000000000000000000001", "").err, ERR_NOT_FOUND);
    store_close(&store);
}

static void many_spans(struct otlp_text *text, unsigned count)
{
    begin(text, 1);
    begin(text, 2);
    for (unsigned i = 0; i < count; i++)
        add_span(text, i + 1, 1000 + i);
    end(text);
    end(text);
}

static bool is_balanced(const char *text)
{
    int depth = 0;

    for (; *text != '\0'; text++)
        depth += (*text == '{' || *text == '[') - (*text == '}' || *text == ']');
    return depth == 0;
}

Test(trace, that_is_too_long_is_cut_and_says_so)
{
    static struct otlp_text text;

    many_spans(&text, 1000);
    store_open(&store);
    send(&text, STORE_SEALED);
    for (size_t max = 4096; max < 400000; max = max * 3 / 2) {
        store.config.answer_bytes_max = max;
        struct asked asked = store_ask(&store, REQUEST_TRACE, SOME_ID, "");
        const unsigned spans = count_of(asked.text, "\"spanId\"");
        cr_assert_eq(asked.err, OK);
        cr_assert_leq(asked.len, max);
        cr_assert_eq(asked.truncated, spans < 1000);
        cr_assert_eq(strstr(asked.text, "\"truncated\":true") != NULL, spans < 1000);
        cr_assert(is_balanced(asked.text));
        cr_assert_gt(spans, max / 400, "%u spans in %zu bytes", spans, max);
        asked_free(&asked);

        asked = store_ask_protobuf(&store, SOME_ID);
        cr_assert_eq(asked.err, OK);
        cr_assert_leq(asked.len, max);
        cr_assert_eq(asked.truncated, text.len > max, "%zu", max);
        cr_assert(asked.truncated || slice_equal(slice_of(asked.text, asked.len), text_slice(&text)));
        asked_free(&asked);
    }
    store_close(&store);
}

Test(trace, that_needs_too_much_memory_is_refused)
{
    static struct otlp_text text;

    many_spans(&text, 1000);
    store_open(&store);
    send(&text, STORE_LIVE);
    store.config.memory_bytes_max = 100 << 10;
    cr_assert_eq(store_ask(&store, REQUEST_TRACE, SOME_ID, "").err, ERR_TOO_LARGE);
    store.config.memory_bytes_max = 10 << 20;
    struct asked asked = store_ask(&store, REQUEST_TRACE, SOME_ID, "");
    cr_assert_eq(asked.err, OK);
    asked_free(&asked);
    store_close(&store);
}

static void note_path(void *context, const char *path)
{
    if (strstr(path, ".seg") != NULL) snprintf(context, 128, "%s", path);
}

Test(trace, in_a_damaged_block_makes_the_answer_partial)
{
    static struct otlp_text text, other;
    char path[128] = "";
    uint64_t file_bytes = 0;

    one_span(&text, 10, "a");
    many_spans(&other, 200);
    store_open(&store);
    send(&other, STORE_SEALED);
    sim_list(store.sim, note_path, path);
    cr_assert_eq(sim_file_bytes(store.sim, path, &file_bytes), OK);
    send(&text, STORE_LIVE);
    cr_assert_eq(spans_of_trace(), 201);
    store_forget_blocks(&store);
    for (uint64_t byte = 8192; byte < file_bytes; byte += 64) /* behind the headers of file and block */
        (void)sim_flip(store.sim, path, byte * 8);

    for (unsigned round = 0; round < 2; round++) {
        struct asked asked = store_ask(&store, REQUEST_TRACE, SOME_ID, "");
        cr_assert_eq(asked.err, OK);
        cr_assert_eq(count_of(asked.text, "\"spanId\""), 1);
        cr_assert_eq(asked.coverage.fenced_blocks, 1);
        cr_assert_not_null(strstr(asked.text, "\"partial\":true"));
        asked_free(&asked);
        asked = store_ask(&store, REQUEST_SEARCH, NULL, "");
        cr_assert_eq(asked.err, OK);
        cr_assert_eq(asked.coverage.fenced_blocks, 1);
        cr_assert_not_null(strstr(asked.text, "\"partial\":true"));
        cr_assert_not_null(strstr(asked.text, SOME_ID));
        asked_free(&asked);
        asked = store_ask(&store, REQUEST_SERVICES, NULL, "");
        cr_assert_eq(asked.err, OK);
        cr_assert_eq(asked.coverage.fenced_blocks, 1);
        asked_free(&asked);
    }
    cr_assert_eq(catalog_fenced(store.catalog), 1);
    store_close(&store);
}

/* A device error costs the block for this answer only: the next question tries again. */
Test(trace, in_a_block_that_cannot_be_read_makes_the_answer_partial)
{
    static const enum request_kind kinds[] = {REQUEST_TRACE, REQUEST_SEARCH, REQUEST_SERVICES};
    static struct otlp_text text, other;

    one_span(&text, 10, "a");
    many_spans(&other, 200);
    store_open(&store);
    send(&other, STORE_SEALED);
    send(&text, STORE_LIVE);
    for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        store_forget_blocks(&store);
        sim_fail(store.sim, SIM_FAULT_READ, 1, ERR_IO, true);
        struct asked asked = store_ask(&store, kinds[i], kinds[i] == REQUEST_TRACE ? SOME_ID : NULL, "");
        cr_assert_eq(asked.err, OK);
        cr_assert_eq(asked.coverage.fenced_blocks, 1);
        cr_assert_not_null(strstr(asked.text, "\"partial\":true"));
        asked_free(&asked);
        sim_forgive(store.sim);
    }
    cr_assert_eq(catalog_fenced(store.catalog), 0);
    cr_assert_eq(spans_of_trace(), 201);
    store_close(&store);
}
