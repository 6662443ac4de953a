/*
 * Where a fault is. The decoder names a byte of the protobuf that a request was translated to; who sent the request knows
 * only the text. What holds the byte is a span, and spans come in the same order in both: it is counted in the one and looked
 * up in the other. This happens only when there is a fault to tell about.
 */
#include "codec/json_reader.h"
#include "codec/wire.h"
#include "model/otlp_from_json.h"
#include "model/otlp_from_zipkin.h"

static bool next_message(struct wire_reader *reader, uint32_t number, struct slice *out)
{
    uint32_t found, type;

    while (wire_tag(reader, &found, &type)) {
        if (found == number && type == WIRE_BYTES) return wire_bytes(reader, out);
        if (!wire_skip(reader, type)) return false;
    }
    return false;
}

/* Which span, counted from 0, is the first that ends behind that byte. */
static uint32_t span_at(struct slice plain, uint64_t offset)
{
    struct wire_reader body = wire_reader_of(plain);
    struct slice resource_spans_bytes, scope_spans_bytes, bytes;
    uint32_t index = 0;

    while (next_message(&body, 1, &resource_spans_bytes)) {
        struct wire_reader scopes = wire_reader_of(resource_spans_bytes);
        while (next_message(&scopes, 2, &scope_spans_bytes)) {
            struct wire_reader spans = wire_reader_of(scope_spans_bytes);
            for (; next_message(&spans, 2, &bytes); index++)
                if ((uint64_t)(bytes.ptr + bytes.len - plain.ptr) >= offset) return index;
        }
    }
    return index;
}

uint64_t otlp_from_json_locate(struct slice json, struct slice plain, uint64_t offset)
{
    static const char *const keys[] = {"resourceSpans", "scopeSpans", "spans"};
    const uint32_t wanted = span_at(plain, offset);
    struct json_reader reader;
    struct json_token token;
    unsigned on_path =
        0; /* so many of the open levels lead to spans: object, list, object, ... list is six */
    bool key_leads = true;
    uint32_t seen = 0;

    json_reader_init(&reader, json);
    while (json_next(&reader, &token) == OK && token.type != JSON_END) {
        const unsigned depth = json_depth(&reader);
        const bool begins = token.type == JSON_OBJECT_BEGIN || token.type == JSON_ARRAY_BEGIN;
        const unsigned outside = begins ? depth - 1 : depth;
        if (on_path > outside) on_path = outside;
        if (on_path == 6 && outside == 6 && (token.type == JSON_OBJECT_BEGIN || token.type == JSON_NULL) &&
            seen++ == wanted)
            break;
        if (token.type == JSON_KEY)
            key_leads = on_path == depth && depth % 2 == 1 && depth < 6 &&
                        slice_is(token.text, keys[depth / 2]);
        else if (begins && on_path == outside && outside < 6 && (outside % 2 == 0 || key_leads))
            on_path = depth;
    }
    return (uint64_t)(token.at - json.ptr);
}

uint64_t otlp_from_zipkin_locate(struct slice json, struct slice plain, uint64_t offset)
{
    const uint32_t wanted = span_at(plain, offset);
    struct json_reader reader;
    struct json_token token;
    uint32_t seen = 0;

    json_reader_init(&reader, json);
    while (json_next(&reader, &token) == OK && token.type != JSON_END)
        if (token.type == JSON_OBJECT_BEGIN && json_depth(&reader) == 2 && seen++ == wanted) break;
    return (uint64_t)(token.at - json.ptr);
}
