#include <criterion/criterion.h>

#include "otlp.pb-c.h"
#include "load/stock.h"
#include "verifier.h"

/* A generated trace over several bodies, and the answer that a good store would give; the tests spoil the
 * answer. */
static struct stock *stock;
static struct verifier verifier;
static uint32_t trace;
static const struct stock_span *spans;
static uint32_t spans_count;
static struct buffer answer;

static void set_up(void)
{
    const struct stock_config config = {
        .profile = PROFILE_SHOP, .seed = 5, .run = 1, .services = 50, .bodies = 10, .spans_per_request = 200};

    cr_assert_eq(stock_open(&config, &stock), OK);
    for (uint32_t body = 0; body < stock_bodies(stock); body++)
        (void)stock_stamp(stock, body, 2, 1750000000000000000ULL);
    for (trace = 0, spans_count = 0; spans_count < 12; trace++) /* one of a good size */
        spans_count = stock_trace_spans(stock, trace, &spans);
    trace--;
    verifier_init(&verifier);
    answer = (struct buffer){0};
}

static void tear_down(void)
{
    verifier_deinit(&verifier);
    buffer_deinit(&answer);
    stock_close(stock);
}

TestSuite(verifier, .init = set_up, .fini = tear_down);

static struct slice span_bytes(uint32_t i)
{
    return slice_of(stock_body(stock, spans[i].body).ptr + spans[i].offset, spans[i].len);
}

/* Appends a span in envelopes of its own, with everything but its own fields as it was sent. */
static void answer_with(uint32_t i, struct slice span)
{
    Opentelemetry__Proto__ResourceSpans *const resource = opentelemetry__proto__resource_spans__unpack(
        NULL, stock_envelope(stock, spans[i].body, spans[i].resource).len,
        stock_envelope(stock, spans[i].body, spans[i].resource).ptr);
    Opentelemetry__Proto__ScopeSpans *const scope = opentelemetry__proto__scope_spans__unpack(
        NULL, stock_envelope(stock, spans[i].body, spans[i].scope).len,
        stock_envelope(stock, spans[i].body, spans[i].scope).ptr);
    uint8_t packed[4096];

    cr_assert(resource != NULL && scope != NULL);
    const size_t resource_mark = proto_open(&answer, 1);
    cr_assert(opentelemetry__proto__resource__get_packed_size(resource->resource) < sizeof packed);
    proto_bytes(&answer, 1, packed, opentelemetry__proto__resource__pack(resource->resource, packed));
    const size_t scope_mark = proto_open(&answer, 2);
    proto_bytes(&answer, 1, packed, opentelemetry__proto__instrumentation_scope__pack(scope->scope, packed));
    proto_bytes(&answer, 2, span.ptr, span.len);
    proto_close(&answer, scope_mark);
    proto_close(&answer, resource_mark);
    opentelemetry__proto__resource_spans__free_unpacked(resource, NULL);
    opentelemetry__proto__scope_spans__free_unpacked(scope, NULL);
}

static struct verify_counts compare_with(uint32_t acked_below)
{
    struct verify_counts counts = {0};

    verifier_begin(&verifier);
    for (uint32_t i = 0; i < spans_count; i++)
        cr_assert_eq(verifier_expect(&verifier, stock_envelope(stock, spans[i].body, spans[i].resource),
                                     stock_envelope(stock, spans[i].body, spans[i].scope), span_bytes(i),
                                     i < acked_below),
                     OK);
    cr_assert_eq(verifier_compare(&verifier, buffer_slice(&answer), &counts), OK);
    return counts;
}

static void assert_counts(struct verify_counts counts, uint64_t acked, uint64_t missing, uint64_t doubled,
                          uint64_t altered)
{
    cr_assert_eq(counts.acked, acked);
    cr_assert_eq(counts.missing, missing, "missing %d: %s", (int)counts.missing, verifier.note);
    cr_assert_eq(counts.doubled, doubled, "doubled %d: %s", (int)counts.doubled, verifier.note);
    cr_assert_eq(counts.altered, altered, "altered %d: %s", (int)counts.altered, verifier.note);
    cr_assert_eq(verifier.note[0] == '\0', missing + doubled + altered == 0);
}

Test(verifier, is_content_with_all_spans_in_another_order_and_encoding)
{
    uint8_t packed[65536];

    for (uint32_t i = spans_count; i-- > 0;) { /* packed anew by the oracle */
        const struct slice bytes = span_bytes(i);
        Opentelemetry__Proto__Span *const span = opentelemetry__proto__span__unpack(NULL, bytes.len,
                                                                                    bytes.ptr);
        cr_assert(opentelemetry__proto__span__get_packed_size(span) < sizeof packed);
        answer_with(i, slice_of(packed, opentelemetry__proto__span__pack(span, packed)));
        opentelemetry__proto__span__free_unpacked(span, NULL);
    }
    assert_counts(compare_with(spans_count), spans_count, 0, 0, 0);
}

Test(verifier, finds_a_missing_span)
{
    for (uint32_t i = 0; i < spans_count; i++) {
        if (i != 3) answer_with(i, span_bytes(i));
    }
    assert_counts(compare_with(spans_count), spans_count, 1, 0, 0);
}

Test(verifier, finds_all_missing_when_nothing_is_there)
{
    assert_counts(compare_with(spans_count), spans_count, spans_count, 0, 0);
}

Test(verifier, does_not_miss_a_span_that_was_not_acknowledged)
{
    for (uint32_t i = 0; i < spans_count - 2; i++)
        answer_with(i, span_bytes(i));
    assert_counts(compare_with(spans_count - 2), spans_count - 2, 0, 0, 0);
    answer_with(spans_count - 1, span_bytes(spans_count - 1)); /* and does not mind it either */
    assert_counts(compare_with(spans_count - 2), spans_count - 2, 0, 0, 0);
}

Test(verifier, finds_a_doubled_span)
{
    for (uint32_t i = 0; i < spans_count; i++)
        answer_with(i, span_bytes(i));
    answer_with(2, span_bytes(2));
    assert_counts(compare_with(spans_count), spans_count, 0, 1, 0);
}

Test(verifier, takes_a_span_that_was_sent_twice_for_one)
{
    struct verify_counts counts = {0};

    answer_with(0, span_bytes(0));
    verifier_begin(&verifier);
    for (int twice = 0; twice < 2; twice++)
        cr_assert_eq(verifier_expect(&verifier, stock_envelope(stock, spans[0].body, spans[0].resource),
                                     stock_envelope(stock, spans[0].body, spans[0].scope), span_bytes(0),
                                     twice == 1),
                     OK);
    cr_assert_eq(verifier_compare(&verifier, buffer_slice(&answer), &counts), OK);
    assert_counts(counts, 1, 0, 0, 0);
}

/* Every byte of the span that is not a tag or a length may be spoilt; many spoilt messages do not parse at
 * all. */
Test(verifier, finds_every_spoilt_field_of_a_span)
{
    uint8_t spoilt[65536];
    const struct slice original = span_bytes(1);
    uint32_t altered = 0;
    uint32_t refused = 0;

    for (size_t at = 0; at < original.len; at++) {
        struct verify_counts counts = {0};
        memcpy(spoilt, original.ptr, original.len);
        spoilt[at] ^= 1;
        answer.len = 0;
        answer_with(1, slice_of(spoilt, original.len));
        verifier_begin(&verifier);
        cr_assert_eq(verifier_expect(&verifier, stock_envelope(stock, spans[1].body, spans[1].resource),
                                     stock_envelope(stock, spans[1].body, spans[1].scope), original, true),
                     OK);
        const enum err err = verifier_compare(&verifier, buffer_slice(&answer), &counts);
        refused += err == ERR_MALFORMED;
        altered += counts.altered == 1;
        cr_assert(err == ERR_MALFORMED || counts.altered == 1, "byte %zu of %zu went unnoticed", at,
                  original.len);
    }
    cr_assert(altered > original.len / 2, "%u altered, %u refused", altered, refused);
}

Test(verifier, finds_another_resource_and_a_span_that_was_never_sent)
{
    uint8_t foreign[65536];

    for (uint32_t i = 0; i < spans_count; i++)
        answer_with(i, span_bytes(i));
    /* "service.name" becomes "servicf.name" in the first resource */
    uint8_t *const at = memmem(answer.ptr, answer.len, "service.name", 12);
    cr_assert_not_null(at);
    at[6] = 'f';
    assert_counts(compare_with(spans_count), spans_count, 0, 0, 1);

    const struct slice span = span_bytes(4);
    memcpy(foreign, span.ptr, span.len);
    foreign[21] ^= 0x55; /* within the span id: tag, length, 16 bytes, tag, length, 8 bytes */
    at[6] = 'e';
    answer_with(4, slice_of(foreign, span.len));
    assert_counts(compare_with(spans_count), spans_count, 0, 0, 1);
    cr_assert_not_null(strstr(verifier.note, "never sent"));
}

Test(verifier, refuses_an_answer_that_is_not_a_message)
{
    struct verify_counts counts = {0};

    verifier_begin(&verifier);
    cr_assert_eq(verifier_compare(&verifier, slice_text("not found"), &counts), ERR_MALFORMED);
    cr_assert_eq(counts.missing + counts.altered + counts.acked, 0);
}
