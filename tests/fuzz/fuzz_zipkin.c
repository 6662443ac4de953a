/*
 * Foreign bytes as a list of spans in Zipkin's JSON.
 *
 *   - what is translated is never malformed for the decoder, fits the room that is promised to be enough, and holds a span
 *     for each object of the list
 *   - one byte of room less than the translation has is too little, and nothing is written beyond the room
 *   - what is no JSON is refused, with a reason and a byte that lies in the body
 *
 *   input   the body
 */
#include "codec/json_reader.h"
#include "model/otlp_from_zipkin.h"
#include "model/rebuild.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_MAX = 16384 };

static struct otlp_decoder *decoder;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

/* Room of exactly that size; the caller frees it. */
static enum err translate(struct slice json, size_t capacity, uint8_t **out, size_t *len)
{
    struct otlp_fault fault;

    *out = malloc(capacity > 0 ? capacity : 1);
    struct otlp_json_changes changes;
    const enum err err = otlp_from_zipkin(json, *out, capacity, len, &changes, &fault);
    CHECK(err == OK || err == ERR_FULL || (fault.reason != NULL && fault.offset <= json.len));
    return err;
}

/* Objects that are elements of the outermost list; *good: it is JSON. */
static uint32_t count_objects(struct slice json, bool *good)
{
    struct json_reader reader;
    struct json_token token = {.type = JSON_NULL};
    uint32_t count = 0;

    json_reader_init(&reader, json);
    for (*good = true; *good && token.type != JSON_END;) {
        *good = json_next(&reader, &token) == OK;
        count += *good && token.type == JSON_OBJECT_BEGIN && json_depth(&reader) == 2;
    }
    return count;
}

static void check_content(struct slice json, struct slice plain, uint32_t objects)
{
    struct rebuilt spans = {0};
    struct otlp_result result;
    const enum err err = rebuild(decoder, plain, &spans, &result);

    CHECK(err == OK || err == ERR_TOO_LARGE);
    if (err == OK) CHECK(spans.spans_count + result.rejected == objects);
    if (err == OK && result.rejected > 0) {
        const uint64_t at = otlp_from_zipkin_locate(json, plain, result.rejection.offset);
        CHECK(at < json.len && json.ptr[at] == '{');
    }
    rebuilt_free(&spans);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice json = slice_of(data, size);
    uint8_t *out, *small;
    size_t len = 0, ignored;
    bool good;

    if (decoder == NULL) CHECK(otlp_decoder_open(&decoder) == OK);
    if (size > BODY_MAX) return 0;
    const uint32_t objects = count_objects(json, &good);
    const enum err err = translate(json, otlp_from_zipkin_room(size), &out, &len);
    CHECK(err == OK || err == ERR_MALFORMED);
    if (err == OK) {
        CHECK(good);
        check_content(json, slice_of(out, len), objects);
        if (len > 0) {
            CHECK(translate(json, len - 1, &small, &ignored) == ERR_FULL);
            free(small);
        }
    }
    free(out);
    return 0;
}
