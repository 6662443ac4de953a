/*
 * A whole request as OTLP JSON, from its protobuf bytes: what a sender of JSON would have sent. Fields of an envelope
 * that come several times are written as often. The spans must be such that a store keeps them.
 */
#ifndef TEST_QUERY_JSON_BODY_H
#define TEST_QUERY_JSON_BODY_H

#include "codec/wire.h"

#include <assert.h>

typedef void json_body_fn(struct otlp_json *scratch, struct slice message, struct json *json);

/* Message: each of its fields of bytes as a member, in the order of numbers; lists as one list. */
struct json_body_member {
    uint32_t number;
    const char *key;
    bool list;
    json_body_fn *write;
};

static inline void json_body_message(struct otlp_json *scratch, struct slice message, struct json *json,
                                     const struct json_body_member *members, unsigned count)
{
    json_object_begin(json);
    for (unsigned i = 0; i < count; i++) {
        struct wire_reader reader = wire_reader_of(message);
        bool begun = false;
        while (reader.at < reader.end) {
            struct slice bytes;
            uint32_t number, type;
            const bool good = wire_tag(&reader, &number, &type);
            assert(good);
            if (number != members[i].number) {
                wire_skip(&reader, type);
                continue;
            }
            const bool whole = wire_bytes(&reader, &bytes);
            assert(whole);
            if (!begun || !members[i].list) json_key(json, members[i].key);
            if (!begun && members[i].list) json_array_begin(json);
            members[i].write(scratch, bytes, json);
            begun = true;
        }
        if (begun && members[i].list) json_array_end(json);
    }
    json_object_end(json);
}

static inline void json_body_text(struct otlp_json *scratch, struct slice text, struct json *json)
{
    (void)scratch;
    json_string(json, text);
}

static inline void json_body_resource(struct otlp_json *scratch, struct slice message, struct json *json)
{
    (void)scratch;
    const enum err err = otlp_json_resource(message, json);
    assert(err == OK);
}

static inline void json_body_scope(struct otlp_json *scratch, struct slice message, struct json *json)
{
    (void)scratch;
    const enum err err = otlp_json_scope(message, json);
    assert(err == OK);
}

static inline void json_body_span(struct otlp_json *scratch, struct slice message, struct json *json)
{
    const enum err err = otlp_json_span(scratch, message, json);
    assert(err == OK);
}

static inline void json_body_scope_spans(struct otlp_json *scratch, struct slice message, struct json *json)
{
    static const struct json_body_member members[] = {
        {1, "scope", false, json_body_scope},
        {2, "spans", true, json_body_span},
        {3, "schemaUrl", false, json_body_text},
    };
    json_body_message(scratch, message, json, members, 3);
}

static inline void json_body_resource_spans(struct otlp_json *scratch, struct slice message,
                                            struct json *json)
{
    static const struct json_body_member members[] = {
        {1, "resource", false, json_body_resource},
        {2, "scopeSpans", true, json_body_scope_spans},
        {3, "schemaUrl", false, json_body_text},
    };
    json_body_message(scratch, message, json, members, 3);
}

static inline void json_body(struct otlp_json *scratch, struct slice body, struct json *json)
{
    static const struct json_body_member members[] = {{1, "resourceSpans", true, json_body_resource_spans}};

    json_body_message(scratch, body, json, members, 1);
}

#endif
