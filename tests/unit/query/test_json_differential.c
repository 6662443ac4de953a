/*
 * The same requests as protobuf and as JSON, 25,000 spans and more from a seed: what the decoder makes of the
 * translated JSON must be what it makes of the protobuf, byte by byte in canonical form. Lists inside of values have none,
 * nor have envelopes: an empty text may be written or left out there, so what differs in bytes is compared as JSON
 * once more.
 */
#include "otlp_json.h"
#include "json_body.h"

#include "model/maker.h"
#include "model/otlp_from_json.h"
#include "model/rebuild.h"

#include <criterion/criterion.h>

enum { ROOM = 4 << 20 };

static uint8_t text[ROOM], plain[ROOM];
static struct otlp_json *scratch;
static struct otlp_decoder *decoder;
static uint64_t spans_compared, spans_equal_in_bytes;

/* What JSON cannot carry: text that is no UTF-8 (the maker's broken é), and the payload of a NaN. */
static void replace(struct message *body, const char *bytes, const char *by, size_t len)
{
    uint8_t *at = body->bytes;

    while ((at = memmem(at, body->len - (size_t)(at - body->bytes), bytes, len)) != NULL)
        memcpy(at, by, len);
}

typedef enum err write_fn(struct slice message, struct json *json);

static enum err write_span(struct slice message, struct json *json)
{
    return otlp_json_span(scratch, message, json);
}

static bool same_as_json(struct slice a, struct slice b, write_fn *write)
{
    static uint8_t texts[2][1 << 18];
    struct json json[2];
    const struct slice messages[2] = {a, b};

    for (unsigned i = 0; i < 2; i++) {
        json_init(&json[i], texts[i], sizeof texts[i], NULL, NULL);
        cr_assert_eq(write(messages[i], &json[i]), OK);
        cr_assert_eq(json_finish(&json[i]), OK);
    }
    return slice_equal(slice_of(texts[0], json[0].len), slice_of(texts[1], json[1].len));
}

static void same_envelope(const struct rebuilt *sent, const struct rebuilt *got, uint32_t index,
                          write_fn *write)
{
    const struct rebuilt_envelope *const a = &sent->envelopes[index], *const b = &got->envelopes[index];

    cr_assert_eq(a->present, b->present);
    cr_assert(slice_equal(a->schema_url, b->schema_url));
    cr_assert(slice_equal(a->message, b->message) || same_as_json(a->message, b->message, write));
}

static void compare(struct slice body, struct slice json)
{
    struct rebuilt sent = {0}, got = {0};
    struct otlp_result result;
    struct otlp_json_changes changes;
    struct otlp_fault fault;
    size_t len;

    cr_assert_eq(otlp_from_json(json, plain, json.len + OTLP_JSON_SLACK, &len, &changes, &fault), OK,
                 "%s at %lu of %.*s", fault.reason, fault.offset, (int)json.len, (const char *)json.ptr);
    cr_assert_leq(len, json.len);
    cr_assert_eq(rebuild(decoder, body, &sent, &result), OK, "%s", result.fault.reason);
    const uint32_t rejected = result.rejected;
    cr_assert_eq(rebuild(decoder, slice_of(plain, len), &got, &result), OK, "%s", result.fault.reason);
    cr_assert_eq(result.rejected, rejected);
    cr_assert_eq(sent.spans_count, got.spans_count);
    cr_assert_eq(sent.envelopes_count, got.envelopes_count);
    for (uint32_t i = 0; i < sent.spans_count; i++) {
        const bool equal = slice_equal(sent.spans[i].bytes, got.spans[i].bytes);
        spans_equal_in_bytes += equal;
        cr_assert(equal || same_as_json(sent.spans[i].bytes, got.spans[i].bytes, write_span),
                  "span %u of %.*s", i, (int)json.len, (const char *)json.ptr);
        cr_assert_eq(sent.spans[i].resource, got.spans[i].resource);
        cr_assert_eq(sent.spans[i].scope, got.spans[i].scope);
        cr_assert_eq(sent.spans[i].cut, got.spans[i].cut);
        same_envelope(&sent, &got, sent.spans[i].resource, otlp_json_resource);
        same_envelope(&sent, &got, sent.spans[i].scope, otlp_json_scope);
    }
    spans_compared += sent.spans_count;
    rebuilt_free(&sent);
    rebuilt_free(&got);
}

/* One thread: the thread sanitizer has nothing to see here that other tests do not show it. */
#ifdef __SANITIZE_THREAD__
enum { ROUNDS = 100, SPANS_MIN = 1900 };
#else
enum { ROUNDS = 1300, SPANS_MIN = 25000 };
#endif

Test(json_differential, requests_in_either_encoding_are_the_same_spans)
{
    struct maker maker = {.state = 20261128};

    cr_assert_eq(otlp_json_open(&scratch), OK);
    cr_assert_eq(otlp_decoder_open(&decoder), OK);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct message body = maker_body(&maker, 1 + maker_below(&maker, round % 100 == 0 ? 400 : 40));
        replace(&body, "caf\xc3", "cafe", 4);
        replace(&body, "\x01\0\0\0\0\0\xf8\x7f", "\0\0\0\0\0\0\xf8\x7f", 8);
        struct json json;
        json_init(&json, text, sizeof text, NULL, NULL);
        json_body(scratch, message_slice(&body), &json);
        cr_assert_eq(json_finish(&json), OK);
        compare(message_slice(&body), slice_of(text, json.len));
        message_free(&body);
    }
    cr_expect_geq(spans_compared, SPANS_MIN);
    cr_expect_geq(spans_equal_in_bytes, spans_compared / 10 * 7, "%lu of %lu", spans_equal_in_bytes,
                  spans_compared);
    cr_log_info("%lu spans, %lu of them equal in bytes\n", spans_compared, spans_equal_in_bytes);
    otlp_decoder_close(decoder);
    otlp_json_close(scratch);
}
