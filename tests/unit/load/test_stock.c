#include <criterion/criterion.h>

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <zstd.h>

#include "base/hash.h"
#include "load/stock.h"
#include "otlp.pb-c.h"

#define TIME_NS 1750000000000000000ULL

typedef Opentelemetry__Proto__TracesData Traces;
typedef Opentelemetry__Proto__Span Span;

/* A span and where it stands. */
struct place {
    const Opentelemetry__Proto__ResourceSpans *resource;
    const Opentelemetry__Proto__ScopeSpans *scope;
    const Span *span;
};

static struct stock_config small(enum profile profile)
{
    return (struct stock_config){.profile = profile,
                                 .seed = 1,
                                 .run = 1,
                                 .services = profile == PROFILE_PROD ? 150 : 50,
                                 .bodies = 12,
                                 .spans_per_request = 512,
                                 .giant_spans = 2000};
}

static struct stock *open_stock(const struct stock_config *config)
{
    struct stock *stock;

    cr_assert_eq(stock_open(config, &stock), OK);
    return stock;
}

static Traces *decode(struct slice body)
{
    Traces *const traces = opentelemetry__proto__traces_data__unpack(NULL, body.len, body.ptr);

    cr_assert_not_null(traces);
    return traces;
}

static void forget(Traces *traces)
{
    opentelemetry__proto__traces_data__free_unpacked(traces, NULL);
}

/* Calls on_span for every span of a body. */
static void each_span(Traces *traces, void (*on_span)(const struct place *place, void *context),
                      void *context)
{
    for (size_t r = 0; r < traces->n_resource_spans; r++) {
        const Opentelemetry__Proto__ResourceSpans *const resource = traces->resource_spans[r];
        for (size_t s = 0; s < resource->n_scope_spans; s++) {
            for (size_t i = 0; i < resource->scope_spans[s]->n_spans; i++)
                on_span(
                    &(struct place){resource, resource->scope_spans[s], resource->scope_spans[s]->spans[i]},
                    context);
        }
    }
}

static uint64_t hash_text(const char *text)
{
    return hash64(text, strlen(text));
}

static const char *service_of(const struct place *place)
{
    return place->resource->resource->attributes[0]->value->string_value;
}

/* ---- determinism
 * ------------------------------------------------------------------------------------------- */

Test(stock, gives_the_same_bytes_for_the_same_seed_run_and_round)
{
    for (enum profile profile = 0; profile < PROFILE_COUNT; profile++) {
        const struct stock_config config = small(profile);
        struct stock *const a = open_stock(&config);
        struct stock *const b = open_stock(&config);
        cr_assert_eq(stock_checksum(a), stock_checksum(b));
        cr_assert_eq(stock_bodies(a), stock_bodies(b));
        for (uint32_t body = 0; body < stock_bodies(a); body++) {
            (void)stock_stamp(a, body, 99, 5); /* stamping leaves no trace in the next stamp */
            cr_assert(slice_equal(stock_stamp(a, body, 4, TIME_NS), stock_stamp(b, body, 4, TIME_NS)));
        }
        stock_close(a);
        stock_close(b);
    }
}

Test(stock, gives_other_bytes_for_another_seed_run_round_or_time)
{
    struct stock_config config = small(PROFILE_SHOP);
    struct stock *const stock = open_stock(&config);
    config.run = 2;
    struct stock *const other_run = open_stock(&config);
    config.run = 1;
    config.seed = 2;
    struct stock *const other_seed = open_stock(&config);

    cr_assert_neq(stock_checksum(stock), stock_checksum(other_seed));
    const struct trace_id id = stock_trace_id(stock, 0, 0);
    const struct trace_id next_round = stock_trace_id(stock, 1, 0);
    const struct trace_id next_run = stock_trace_id(other_run, 0, 0);
    cr_assert_neq(memcmp(&id, &next_round, sizeof id), 0);
    cr_assert_neq(memcmp(&id, &next_run, sizeof id), 0);
    stock_close(stock);
    stock_close(other_run);
    stock_close(other_seed);
}

Test(stock, stamps_a_copy_like_the_original)
{
    const struct stock_config config = small(PROFILE_PROD);
    struct stock *const stock = open_stock(&config);
    uint8_t *const copy = malloc(stock_body_len_max(stock));

    for (uint32_t body = 0; body < stock_bodies(stock); body++) {
        const struct slice copied = stock_stamp_copy(stock, body, 7, TIME_NS, copy);
        cr_assert(slice_equal(copied, stock_stamp(stock, body, 7, TIME_NS)));
    }
    free(copy);
    stock_close(stock);
}

/* ---- what is in the bodies
 * --------------------------------------------------------------------------------- */

struct census {
    uint64_t spans, errors, events, attributes, roots, with_state, links, exceptions;
    uint64_t latest_ns, earliest_ns;
    uint64_t places; /* sum of hashes of service, scope and span name: does not depend on order */
};

static void count_span(const struct place *place, void *context)
{
    const Span *const span = place->span;
    struct census *const census = context;

    cr_assert_eq(span->trace_id.len, 16);
    cr_assert_eq(span->span_id.len, 8);
    cr_assert(span->parent_span_id.len == 0 || span->parent_span_id.len == 8);
    cr_assert(span->end_time_unix_nano >= span->start_time_unix_nano);
    cr_assert_null(span->base.unknown_fields);
    cr_assert(span->kind >= 1 && span->kind <= 5);
    census->spans++;
    census->places += hash_mix(hash_text(service_of(place)), hash_text(place->scope->scope->name)) ^
                      hash_text(span->name);
    census->errors += span->status != NULL && span->status->code == 2;
    census->events += span->n_events;
    census->attributes += span->n_attributes;
    census->roots += span->parent_span_id.len == 0;
    census->with_state += span->trace_state[0] != '\0';
    census->links += span->n_links;
    for (size_t e = 0; e < span->n_events; e++) {
        cr_assert(span->events[e]->time_unix_nano >= span->start_time_unix_nano);
        cr_assert(span->events[e]->time_unix_nano <= span->end_time_unix_nano);
        census->exceptions += strcmp(span->events[e]->name, "exception") == 0;
    }
    if (span->end_time_unix_nano > census->latest_ns) census->latest_ns = span->end_time_unix_nano;
    if (span->start_time_unix_nano < census->earliest_ns) census->earliest_ns = span->start_time_unix_nano;
}

static struct census take_census(struct stock *stock, uint32_t bodies, uint64_t *bytes)
{
    struct census census = {.earliest_ns = UINT64_MAX};

    *bytes = 0;
    for (uint32_t body = 0; body < bodies; body++) {
        const struct slice stamped = stock_stamp(stock, body, 3, TIME_NS);
        const uint64_t before = census.spans;
        Traces *const traces = decode(stamped);
        each_span(traces, count_span, &census);
        forget(traces);
        cr_assert_eq(census.spans - before, stock_body_spans(stock, body));
        *bytes += stamped.len;
    }
    return census;
}

Test(stock, has_spans_of_the_profiles_size_and_shape)
{
    const double bytes_a_span[PROFILE_COUNT] = {275, 600, 1500};
    const double attributes_a_span[PROFILE_COUNT] = {5, 10, 15};

    for (enum profile profile = 0; profile < PROFILE_COUNT; profile++) {
        struct stock_config config = small(profile);
        config.bodies = 40;
        uint64_t bytes;
        struct stock *const stock = open_stock(&config);
        const struct census census = take_census(stock, stock_bodies_in_round(stock, 0), &bytes);
        const double spans = (double)census.spans;
        cr_expect_float_eq((double)bytes / spans, bytes_a_span[profile], bytes_a_span[profile] * 0.1);
        cr_expect_float_eq((double)census.attributes / spans, attributes_a_span[profile], 0.3);
        cr_expect_float_eq((double)census.errors / spans, 0.02, 0.008);
        cr_expect_eq(census.exceptions, census.errors);
        cr_expect(census.roots > 0 && census.with_state > 0 && census.links > 0);
        cr_expect_float_eq(spans / (double)census.roots, 8, 1.2);
        cr_expect_eq(census.latest_ns, TIME_NS); /* the last ends with the round */
        cr_expect(census.earliest_ns > TIME_NS - 60000000000ULL);
        if (profile == PROFILE_SHOP)
            cr_expect_float_eq((double)(census.events - census.exceptions) / spans, 1, 0.001);
        stock_close(stock);
    }
}

Test(stock, has_twenty_resource_attributes_in_prod)
{
    const struct stock_config config = small(PROFILE_PROD);
    struct stock *const stock = open_stock(&config);
    Traces *const traces = decode(stock_stamp(stock, 0, 0, TIME_NS));

    cr_assert(traces->n_resource_spans > 3); /* grouped, as a Collector does, but of several services */
    cr_assert(traces->n_resource_spans < 200);
    for (size_t r = 0; r < traces->n_resource_spans; r++)
        cr_assert_eq(traces->resource_spans[r]->resource->n_attributes, 20);
    forget(traces);
    stock_close(stock);
}

Test(stock, carries_the_giant_trace_in_one_round_of_sixteen)
{
    const struct stock_config config = small(PROFILE_LEAN);
    struct stock *const stock = open_stock(&config);
    uint32_t rounds = 0;
    uint32_t largest = 0;

    for (uint64_t round = 0; round < 32; round++)
        rounds += stock_bodies_in_round(stock, round) == stock_bodies(stock);
    cr_assert_eq(rounds, 2);
    for (uint32_t trace = 0; trace < stock_traces(stock); trace++) {
        const struct stock_span *spans;
        const uint32_t count = stock_trace_spans(stock, trace, &spans);
        if (count > largest) largest = count;
    }
    cr_assert_eq(largest, 2000);
    stock_close(stock);
}

/* ---- ids
 * ----------------------------------------------------------------------------------------------------- */

struct ids {
    uint64_t *span_ids;
    size_t count;
};

static void gather_id(const struct place *place, void *context)
{
    const Span *const span = place->span;
    struct ids *const ids = context;

    memcpy(&ids->span_ids[ids->count++], span->span_id.data, 8);
}

static int compare_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static size_t count_doubles(uint64_t *numbers, size_t count)
{
    size_t doubles = 0;

    qsort(numbers, count, sizeof *numbers, compare_u64);
    for (size_t i = 1; i < count; i++)
        doubles += numbers[i] == numbers[i - 1];
    return doubles;
}

Test(stock, never_gives_an_id_twice)
{
    const struct stock_config config = small(PROFILE_LEAN);
    struct stock *const stock = open_stock(&config);
    const size_t spans = (size_t)stock_round_spans(stock, 4) * 3;
    struct ids ids = {.span_ids = calloc(spans, sizeof *ids.span_ids)};
    uint64_t *const traces = calloc((size_t)stock_traces(stock) * 100, sizeof *traces);
    size_t traces_count = 0;

    for (uint64_t round = 4; round < 100; round += 32) { /* rounds with the giant trace */
        for (uint32_t body = 0; body < stock_bodies_in_round(stock, round); body++) {
            Traces *const decoded = decode(stock_stamp(stock, body, round, TIME_NS));
            each_span(decoded, gather_id, &ids);
            forget(decoded);
        }
    }
    cr_assert_eq(ids.count, spans);
    cr_assert_eq(count_doubles(ids.span_ids, ids.count), 0);
    for (uint64_t round = 0; round < 100; round++) {
        for (uint32_t trace = 0; trace < stock_traces(stock); trace++) {
            const struct trace_id id = stock_trace_id(stock, round, trace);
            memcpy(&traces[traces_count++], id.bytes + 8, 8);
        }
    }
    cr_assert_eq(count_doubles(traces, traces_count), 0);
    free(ids.span_ids);
    free(traces);
    stock_close(stock);
}

struct family {
    const struct stock *stock;
    struct trace_id trace;
    uint64_t span_ids[4096];
    uint64_t parents[4096];
    size_t spans, parents_count, roots;
    uint64_t services; /* distinct bodies, as a bit set */
};

static void gather_family(const struct place *place, void *context)
{
    const Span *const span = place->span;
    struct family *const family = context;

    if (memcmp(span->trace_id.data, family->trace.bytes, 16) != 0) return;
    memcpy(&family->span_ids[family->spans++], span->span_id.data, 8);
    if (span->parent_span_id.len == 0)
        family->roots++;
    else
        memcpy(&family->parents[family->parents_count++], span->parent_span_id.data, 8);
    for (size_t i = 0; i < span->n_links; i++)
        cr_assert_eq(memcmp(span->links[i]->trace_id.data, family->trace.bytes, 16), 0);
}

Test(stock, keeps_traces_together_over_the_bodies_of_a_round)
{
    const struct stock_config config = small(PROFILE_SHOP);
    struct stock *const stock = open_stock(&config);
    const uint32_t bodies = stock_bodies_in_round(stock, 4);
    Traces **const decoded = calloc(bodies, sizeof *decoded);
    uint32_t spread = 0;

    cr_assert_not_null(decoded);
    for (uint32_t body = 0; body < bodies; body++)
        decoded[body] = decode(stock_stamp(stock, body, 4, TIME_NS));
    for (uint32_t trace = 0; trace < stock_traces(stock); trace += 37) {
        static struct family family;
        const struct stock_span *spans;
        const uint32_t count = stock_trace_spans(stock, trace, &spans);
        bool several = false;
        family = (struct family){.stock = stock, .trace = stock_trace_id(stock, 4, trace)};
        for (uint32_t body = 0; body < bodies; body++)
            each_span(decoded[body], gather_family, &family);
        for (uint32_t i = 1; i < count; i++)
            several |= spans[i].body != spans[0].body;
        spread += several;
        cr_assert_eq(family.spans, count);
        cr_assert_eq(family.roots, 1);
        for (size_t p = 0; p < family.parents_count; p++) {
            bool found = false;
            for (size_t i = 0; i < family.spans && !found; i++)
                found = family.span_ids[i] == family.parents[p];
            cr_assert(found, "a parent that is not in the trace");
        }
    }
    cr_assert(spread > 3);
    for (uint32_t body = 0; body < bodies; body++)
        forget(decoded[body]);
    free(decoded);
    stock_close(stock);
}

/* Spans of one trace and one service. */
struct siblings {
    uint64_t key;
    uint32_t body;
};

struct sibling_list {
    struct siblings *entries;
    size_t count;
    uint32_t body;
};

static void gather_sibling(const struct place *place, void *context)
{
    struct sibling_list *const list = context;

    list->entries[list->count++] = (struct siblings){
        hash64(place->span->trace_id.data, 16) ^ hash_text(service_of(place)), list->body};
}

static int compare_siblings(const void *a, const void *b)
{
    const struct siblings *const x = a;
    const struct siblings *const y = b;

    return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->body < y->body ? -1 : x->body > y->body;
}

Test(stock, sends_some_spans_later_than_their_siblings)
{
    struct stock_config config = small(PROFILE_LEAN);
    config.bodies = 40;
    struct stock *const stock = open_stock(&config);
    struct sibling_list list = {.entries = calloc((size_t)stock_round_spans(stock, 0), sizeof *list.entries)};
    size_t late = 0;

    for (; list.body < stock_bodies_in_round(stock, 0); list.body++) {
        Traces *const decoded = decode(stock_stamp(stock, list.body, 0, TIME_NS));
        each_span(decoded, gather_sibling, &list);
        forget(decoded);
    }
    qsort(list.entries, list.count, sizeof *list.entries, compare_siblings);
    for (size_t i = 1; i < list.count; i++)
        late += list.entries[i].key == list.entries[i - 1].key &&
                list.entries[i].body != list.entries[i - 1].body;
    /* one in twenty is held back, some alone in its trace and service; without holding back it would be under
     * 1 % */
    const double share = (double)late / (double)list.count;
    cr_assert(share > 0.025 && share < 0.07, "%g", share);
    free(list.entries);
    stock_close(stock);
}

static void gather_request_id(const struct place *place, void *context)
{
    const Span *const span = place->span;
    struct ids *const ids = context;

    for (size_t i = 0; i < span->n_attributes; i++) {
        const Opentelemetry__Proto__KeyValue *const attribute = span->attributes[i];
        const char *const value = attribute->value->string_value;
        if (strcmp(attribute->key, "app.request.id") == 0) {
            unsigned parts[4];
            unsigned long long last;
            int end = 0;
            cr_assert_eq(sscanf(value, "%8x-%4x-%4x-%4x-%12llx%n", &parts[0], &parts[1], &parts[2], &parts[3],
                                &last, &end),
                         5);
            cr_assert_eq(end, 36);
            ids->span_ids[ids->count++] = (uint64_t)parts[0] << 32 ^ (uint64_t)parts[1] << 16 ^ last << 8;
        }
        if (strcmp(attribute->key, "app.idempotency.key") == 0)
            cr_assert_eq(strspn(value, "0123456789abcdef"), 32);
        if (strcmp(attribute->key, "app.correlation.key") == 0)
            cr_assert_eq(strspn(value, "0123456789abcdef"), 16);
    }
}

Test(stock, gives_unique_attribute_values_to_every_span_of_prod)
{
    const struct stock_config config = small(PROFILE_PROD);
    struct stock *const stock = open_stock(&config);
    const size_t spans = (size_t)stock_round_spans(stock, 0) * 2;
    struct ids ids = {.span_ids = calloc(spans, sizeof *ids.span_ids)};

    for (uint64_t round = 0; round < 2; round++) {
        for (uint32_t body = 0; body < stock_bodies_in_round(stock, round); body++) {
            Traces *const decoded = decode(stock_stamp(stock, body, round, TIME_NS));
            each_span(decoded, gather_request_id, &ids);
            forget(decoded);
        }
    }
    cr_assert_eq(ids.count, spans);
    cr_assert_eq(count_doubles(ids.span_ids, ids.count), 0);
    free(ids.span_ids);
    stock_close(stock);
}

/* ---- captures
 * ------------------------------------------------------------------------------------------------ */

/* Writes the bodies of a small generated stock as a capture, and names the file. */
static void write_capture(char *path, bool zstd)
{
    struct stock_config config = small(PROFILE_SHOP);
    config.bodies = 5;
    struct stock *const stock = open_stock(&config);
    const int fd = mkstemp(path);
    FILE *const file = fdopen(fd, "wb");
    size_t capacity = 4;
    for (uint32_t body = 0; body < stock_bodies(stock); body++)
        capacity += stock_body(stock, body).len + 4;
    uint8_t *const plain = malloc(capacity);
    size_t len = 0;

    for (uint32_t body = 0; body < stock_bodies_in_round(stock, 0); body++) {
        const struct slice bytes = stock_stamp(stock, body, 0, TIME_NS);
        const uint32_t body_len = htobe32((uint32_t)bytes.len);
        memcpy(plain + len, &body_len, 4);
        memcpy(plain + len + 4, bytes.ptr, bytes.len);
        len += 4 + bytes.len;
    }
    if (zstd) {
        const size_t bound = ZSTD_compressBound(len);
        void *const packed = malloc(bound);
        const size_t packed_len = ZSTD_compress(packed, bound, plain, len, 3);
        cr_assert_eq(fwrite(packed, 1, packed_len, file), packed_len);
        free(packed);
    } else {
        cr_assert_eq(fwrite(plain, 1, len, file), len);
    }
    cr_assert_eq(fclose(file), 0);
    free(plain);
    stock_close(stock);
}

static void assert_replays(const char *path, uint32_t spans_per_request)
{
    struct stock_config generated = small(PROFILE_SHOP);
    generated.bodies = 5;
    struct stock *const original = open_stock(&generated);
    const struct stock_config config = {
        .seed = 9, .run = 9, .spans_per_request = spans_per_request, .corpus_path = path};
    struct stock *const replay = open_stock(&config);
    uint64_t original_bytes;
    uint64_t replay_bytes;

    const struct census a = take_census(original, stock_bodies_in_round(original, 0), &original_bytes);
    const struct census b = take_census(replay, stock_bodies_in_round(replay, 0), &replay_bytes);
    cr_assert_eq(a.spans, b.spans);
    cr_assert_eq(a.attributes, b.attributes);
    cr_assert_eq(a.events, b.events);
    cr_assert_eq(a.errors, b.errors);
    cr_assert_eq(a.links, b.links);
    cr_assert_eq(a.roots, b.roots);
    cr_assert_eq(a.places, b.places);
    cr_assert_eq(b.latest_ns, TIME_NS);
    if (spans_per_request == 0) cr_assert_eq(stock_bodies(replay), stock_bodies_in_round(original, 0));
    for (uint32_t body = 0; spans_per_request > 0 && body + 1 < stock_bodies(replay); body++)
        cr_assert_eq(stock_body_spans(replay, body), spans_per_request);
    stock_close(original);
    stock_close(replay);
}

Test(corpus, keeps_every_span_as_it_is_split_and_joined)
{
    for (int zstd = 0; zstd < 2; zstd++) {
        char path[] = "/tmp/spanmill-load-test-XXXXXX";
        write_capture(path, zstd == 1);
        assert_replays(path, 0);
        assert_replays(path, 100);
        assert_replays(path, 2000);
        (void)unlink(path);
    }
}

static void write_bytes(char *path, const void *bytes, size_t len)
{
    const int fd = mkstemp(path);

    cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
    (void)close(fd);
}

static enum err open_bytes(const void *bytes, size_t len)
{
    char path[] = "/tmp/spanmill-load-test-XXXXXX";
    struct stock *stock;
    write_bytes(path, bytes, len);
    const struct stock_config config = {.seed = 9, .run = 9, .corpus_path = path};

    const enum err err = stock_open(&config, &stock);
    if (err == OK) stock_close(stock);
    (void)unlink(path);
    return err;
}

Test(corpus, refuses_what_is_not_a_capture)
{
    cr_assert_eq(open_bytes("", 0), ERR_MALFORMED);
    cr_assert_eq(open_bytes("\0\0\0", 3), ERR_MALFORMED);
    cr_assert_eq(open_bytes("\0\0\0\5abc", 7), ERR_MALFORMED);         /* cut short */
    cr_assert_eq(open_bytes("\0\0\0\2\x0a\x05", 6), ERR_MALFORMED);    /* not a message */
    cr_assert_eq(open_bytes("\x28\xb5\x2f\xfd zz", 7), ERR_MALFORMED); /* zstd in name only */
    const struct stock_config config = {.corpus_path = "/nonexistent/capture"};
    struct stock *stock;
    cr_assert_eq(stock_open(&config, &stock), ERR_NOT_FOUND);
}

/* {resource_spans {resource {} scope_spans {scope {} spans {…}}}} with ids of the given lengths */
static size_t message_with_ids(uint8_t *out, uint8_t trace_len, uint8_t span_len)
{
    const uint8_t span = (uint8_t)(4 + trace_len + span_len);
    const uint8_t head[] = {0,    0,   0,    (uint8_t)(span + 10), 0x0a, (uint8_t)(span + 8),
                            0x0a, 0,   0x12, (uint8_t)(span + 4),  0x0a, 0,
                            0x12, span};
    size_t len = sizeof head;

    memcpy(out, head, sizeof head);
    out[len++] = 0x0a;
    out[len++] = trace_len;
    memset(out + len, 7, trace_len);
    len += trace_len;
    out[len++] = 0x12;
    out[len++] = span_len;
    memset(out + len, 7, span_len);
    return len + span_len;
}

Test(corpus, leaves_spans_without_valid_ids_out)
{
    uint8_t bytes[256];
    size_t len = message_with_ids(bytes, 16, 8);
    cr_assert_eq(open_bytes(bytes, len), OK);
    len = message_with_ids(bytes, 15, 8);
    cr_assert_eq(open_bytes(bytes, len), ERR_MALFORMED); /* nothing is left to send */
    len = message_with_ids(bytes, 16, 9);
    cr_assert_eq(open_bytes(bytes, len), ERR_MALFORMED);
    len = message_with_ids(bytes, 15, 8);
    len += message_with_ids(bytes + len, 16, 8);
    cr_assert_eq(open_bytes(bytes, len), OK);
}
