/*
 * A trace as it is sent. Protobuf is written backwards, so that lengths are known when their prefix is due;
 * JSON forwards, each span first on the side, so that one too many can be left out.
 */
#include "trace.h"

#include "base/assert.h"
#include "codec/wire.h"
#include "coverage.h"
#include "otlp_json.h"

enum { TAIL_BYTES = 1024 }; /* room for what follows the last span of a cut answer */

/* ---- protobuf -------------------------------------------------------------------------------------------
 */

static void put_schema_url(struct wire_writer *writer, const struct trace_envelope *envelope)
{
    if (envelope->schema_url.len > 0) wire_put_bytes_field(writer, 3, envelope->schema_url);
}

static void put_envelope(struct wire_writer *writer, const struct trace_envelope *envelope)
{
    if (envelope->present) wire_put_bytes_field(writer, 1, envelope->message);
}

/* TracesData.resource_spans 1; ResourceSpans: resource 1, scope_spans 2, schema_url 3; ScopeSpans likewise. */
static void write_traces_data(const struct trace *trace, struct wire_writer *writer)
{
    size_t i = trace->count;

    while (i > 0) {
        const uint32_t resource = trace->spans[i - 1].resource;
        const size_t resource_mark = writer->len;
        put_schema_url(writer, &trace->resources.list[resource]);
        while (i > 0 && trace->spans[i - 1].resource == resource) {
            const uint32_t scope = trace->spans[i - 1].scope;
            const size_t scope_mark = writer->len;
            put_schema_url(writer, &trace->scopes.list[scope]);
            for (; i > 0 && trace->spans[i - 1].resource == resource && trace->spans[i - 1].scope == scope;
                 i--)
                wire_put_bytes_field(writer, 2, trace->spans[i - 1].message);
            put_envelope(writer, &trace->scopes.list[scope]);
            wire_close_message(writer, 2, scope_mark);
        }
        put_envelope(writer, &trace->resources.list[resource]);
        wire_close_message(writer, 1, resource_mark);
    }
}

/* How long the message is. A tenth of the spans goes, from the end, until it is no longer than may be. */
static size_t cut_to(struct trace *trace, size_t bytes_max)
{
    for (;;) {
        struct wire_writer writer = {0};
        write_traces_data(trace, &writer); /* counts */
        if (writer.len <= bytes_max) return writer.len;
        trace->truncated = true;
        trace->count -= trace->count / 10 + 1;
    }
}

enum err trace_protobuf(struct trace *trace, struct answer *answer)
{
    struct wire_writer writer = {.len = cut_to(trace, answer->bytes_max)};

    TRY(answer_reserve(answer, writer.len));
    writer = (struct wire_writer){.base = answer->bytes, .capacity = writer.len};
    write_traces_data(trace, &writer);
    assert(writer.len == writer.capacity);
    answer->len = writer.len;
    return OK;
}

/* ---- JSON -----------------------------------------------------------------------------------------------
 */

static void put_schema_url_json(struct json *json, const struct trace_envelope *envelope)
{
    if (envelope->schema_url.len == 0) return;
    json_key(json, "schemaUrl");
    json_string(json, envelope->schema_url);
}

static enum err begin_resource(struct json *json, const struct trace_envelope *resource)
{
    json_object_begin(json);
    if (resource->present) {
        json_key(json, "resource");
        TRY(otlp_json_resource(resource->message, json));
    }
    put_schema_url_json(json, resource);
    json_key(json, "scopeSpans");
    json_array_begin(json);
    return OK;
}

static enum err begin_scope(struct json *json, const struct trace_envelope *scope)
{
    json_object_begin(json);
    if (scope->present) {
        json_key(json, "scope");
        TRY(otlp_json_scope(scope->message, json));
    }
    put_schema_url_json(json, scope);
    json_key(json, "spans");
    json_array_begin(json);
    return OK;
}

static void end_list(struct json *json)
{
    json_array_end(json);
    json_object_end(json);
}

struct json_writing {
    struct work *work;
    struct trace *trace;
    struct answer *side; /* one span, or the beginning of a group */
    struct json *json;   /* the answer */
    uint64_t bytes_max;
    bool bare; /* spans, and nothing about the answer */
};

/* Moves what was written on the side into the answer if it fits. ERR_FULL: it does not. */
static bool fits(const struct json_writing *writing, size_t bytes)
{
    return json_size(writing->json) + bytes + TAIL_BYTES <= writing->bytes_max;
}

/* ERR_FULL: it would make the answer too long, and was left out. */
static enum err put_span(struct json_writing *writing, const struct trace_span *span)
{
    answer_clear(writing->side);
    struct json *const json = answer_json_begin(writing->side);
    TRY(otlp_json_span(writing->work->otlp_json, span->message, json));
    const enum err err = answer_json_end(writing->side);
    if (err == ERR_TOO_LARGE || (err == OK && !fits(writing, writing->side->len))) return ERR_FULL;
    TRY(err);
    json_raw(writing->json, slice_of(writing->side->bytes, writing->side->len));
    return OK;
}

/* Two bytes of a message make at most thirty of JSON. */
static bool envelope_fits(const struct json_writing *writing, const struct trace_envelope *envelope)
{
    return fits(writing, 16 * (envelope->message.len + envelope->schema_url.len));
}

static enum err put_scope_spans(struct json_writing *writing, size_t *at)
{
    const struct trace *const trace = writing->trace;
    const uint32_t group = trace->spans[*at].group;
    const struct trace_envelope *const scope = &trace->scopes.list[trace->spans[*at].scope];
    enum err err = OK;

    if (!envelope_fits(writing, scope)) return ERR_FULL;
    TRY(begin_scope(writing->json, scope));
    for (; err == OK && *at < trace->count && trace->spans[*at].group == group; *at += err == OK) {
        if (*at % 256 == 0) TRY(work_check(writing->work));
        err = put_span(writing, &trace->spans[*at]);
    }
    if (err == OK || err == ERR_FULL) end_list(writing->json);
    return err;
}

static enum err put_resource_spans(struct json_writing *writing, size_t *at)
{
    const struct trace *const trace = writing->trace;
    const uint32_t index = trace->spans[*at].resource;
    const struct trace_envelope *const resource = &trace->resources.list[index];
    enum err err = OK;

    if (!envelope_fits(writing, resource)) return ERR_FULL;
    TRY(begin_resource(writing->json, resource));
    while (err == OK && *at < trace->count && trace->spans[*at].resource == index)
        err = put_scope_spans(writing, at);
    if (err == OK || err == ERR_FULL) end_list(writing->json);
    return err;
}

static enum err put_trace(struct json_writing *writing)
{
    struct json *const json = writing->json;
    size_t at = 0;
    enum err err = OK;

    json_object_begin(json);
    json_key(json, "resourceSpans");
    json_array_begin(json);
    while (err == OK && at < writing->trace->count)
        err = put_resource_spans(writing, &at);
    if (err == ERR_FULL) {
        writing->trace->truncated = true;
        err = OK;
    }
    TRY(err);
    json_array_end(json);
    if (writing->trace->truncated && !writing->bare) {
        json_key(json, "truncated");
        json_bool(json, true);
    }
    if (!writing->bare) coverage_json(&writing->work->coverage, json);
    json_object_end(json);
    return OK;
}

static enum err write_json(struct work *work, struct trace *trace, struct answer *answer, bool bare)
{
    struct answer *const side = arena_alloc(&work->arena, sizeof *side);

    if (side == NULL) return ERR_TOO_LARGE;
    answer_init(side, answer->bytes_max);
    struct json_writing writing = {work, trace, side, answer_json_begin(answer), answer->bytes_max, bare};
    enum err err = put_trace(&writing);
    if (err == OK) err = answer_json_end(answer);
    answer_deinit(side);
    return err;
}

enum err trace_json(struct work *work, struct trace *trace, struct answer *answer)
{
    return write_json(work, trace, answer, false);
}

enum err trace_json_line(struct work *work, struct trace *trace, struct answer *answer)
{
    return write_json(work, trace, answer, true);
}
