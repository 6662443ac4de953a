/*
 * Zipkin v2 JSON to protobuf. A span is read (zipkin_span.h), then written; its resource and scope are written on trial behind
 * what is there, and stay only when they are not those of the span before.
 *
 *   ResourceSpans { resource, ScopeSpans { scope, span, span, ... } }  ResourceSpans ...
 *
 * Field numbers: opentelemetry-proto, trace/v1/trace.proto, common/v1/common.proto, resource/v1/resource.proto.
 */
#include "model/otlp_from_zipkin.h"

#include "base/assert.h"
#include "output.h"
#include "zipkin_packed.h"
#include "zipkin_span.h"

enum {
    TRACE_ID_BYTES = 16,
    SPAN_ID_BYTES = 8,

    LIST_LENGTH_BYTES = 3, /* that ResourceSpans and ScopeSpans usually take */
    SPAN_LENGTH_BYTES = 2,
};

/* A message that is open, or a piece of the output. */
struct piece {
    size_t at, len;
};

struct translation {
    struct json_reader reader;
    struct output output;
    struct otlp_fault *fault;
    uint32_t spans;
    bool open;                          /* resource_spans and scope_spans */
    size_t resource_spans, scope_spans; /* where their content begins */
    struct piece resource, scope;       /* of them */
    struct zipkin_span span;            /* in work */
};

/* What the tags of a span come to. */
struct verdict {
    uint64_t consumed; /* bit per enum zipkin_role: these are no attributes */
    uint64_t is_link[ZIPKIN_LINKS_MAX / 64];
    unsigned kind, status;
    struct zipkin_text status_text;
};

static enum err translate(struct translation *work);
static enum err write_span(struct translation *work);
static void close_lists(struct translation *work);

static enum err malformed(struct translation *work, const char *reason, const uint8_t *at)
{
    work->fault->reason = reason;
    work->fault->at = at;
    return ERR_MALFORMED;
}

static enum err next_token(struct translation *work, struct json_token *token)
{
    return json_next(&work->reader, token) == OK ? OK : malformed(work, work->reader.reason, work->reader.at);
}

enum err otlp_from_zipkin(struct slice json, uint8_t *out, size_t capacity, size_t *out_len,
                          struct otlp_json_changes *changes, struct otlp_fault *fault)
{
    struct translation work; /* 4 KiB of stack, most of which needs no zeros */

    json_reader_init(&work.reader, json);
    work.output = (struct output){.bytes = out, .capacity = capacity};
    work.fault = fault;
    work.spans = 0;
    work.open = false;
    *fault = (struct otlp_fault){0};
    const enum err err = translate(&work);
    if (err == OK) *out_len = work.output.len;
    if (err == OK) *changes = work.output.changes;
    if (fault->at != NULL) fault->offset = (uint64_t)(fault->at - json.ptr);
    return err;
}

static enum err translate(struct translation *work)
{
    struct json_token token;

    TRY(next_token(work, &token));
    if (token.type != JSON_ARRAY_BEGIN)
        return malformed(work, "JSON: the body is not a list of spans", token.at);
    for (;;) {
        TRY(next_token(work, &token));
        if (token.type == JSON_ARRAY_END) break;
        if (token.type != JSON_OBJECT_BEGIN)
            return malformed(work, "JSON: a span is not an object", token.at);
        if (++work->spans > OTLP_SPANS_MAX) {
            malformed(work, "more than 100000 spans in a request", token.at);
            return ERR_TOO_LARGE;
        }
        TRY(zipkin_read_span(&work->reader, &work->span, work->fault));
        TRY(write_span(work));
        if (work->output.full) return ERR_FULL;
    }
    close_lists(work);
    if (work->output.full) return ERR_FULL;
    return next_token(work, &token);
}

/* ---- pieces --------------------------------------------------------------------------------------------- */

static void put_text(struct output *output, uint32_t number, const struct zipkin_text *text)
{
    output_bytes_field(output, number, output_text(output, text->bytes, text->escaped));
}

/* A KeyValue with a string. */
static void put_attribute(struct output *output, uint32_t number, const struct zipkin_text *key,
                          const struct zipkin_text *value)
{
    const size_t pair = output_open(output, number, 1);
    put_text(output, 1, key);
    const size_t any = output_open(output, 2, 1);
    put_text(output, 1, value);
    output_close(output, any, 1);
    output_close(output, pair, 1);
}

/* The same under a name of ours, when there is a value. */
static void put_named(struct output *output, const char *key, const struct zipkin_text *value)
{
    const struct zipkin_text name = {slice_text(key), false};

    if (zipkin_has(value)) put_attribute(output, 9, &name, value);
}

/* With an integer (field 3 of AnyValue) or a bool (2); none when it is 0. */
static void put_number(struct output *output, const char *key, uint32_t any_field, uint64_t value)
{
    if (value == 0) return;
    const size_t pair = output_open(output, 9, 1);
    output_bytes_field(output, 1, slice_text(key));
    const size_t any = output_open(output, 2, 1);
    output_varint_field(output, any_field, value);
    output_close(output, any, 1);
    output_close(output, pair, 1);
}

/*
 * A text without escapes that stays where it is while something is put: one with escapes is made at the far end of the room,
 * which is shorter until text_release().
 */
static struct slice text_keep(struct output *output, const struct zipkin_text *text)
{
    if (!text->escaped) return text->bytes;
    if (text->bytes.len > output->capacity - output->len) {
        output->full = true;
        return slice_text("");
    }
    output->capacity -= text->bytes.len;
    uint8_t *const at = output->bytes + output->capacity;
    return slice_of(at, json_unescape(text->bytes, at, &output->changes.characters));
}

static void text_release(struct output *output, const struct zipkin_text *text)
{
    if (text->escaped && !output->full) output->capacity += text->bytes.len;
}

/* ---- ids ------------------------------------------------------------------------------------------------ */

enum id_state { ID_NONE, ID_GOOD, ID_BAD };

/* Up to two digits a byte; zeros are added in front. An id of zeros is none. */
static enum id_state read_id(const struct zipkin_text *text, size_t bytes, uint8_t *out)
{
    uint8_t plain[6 * 2 * TRACE_ID_BYTES], digits[2 * TRACE_ID_BYTES];
    struct slice hex = text->bytes;
    uint32_t replaced = 0; /* no digit */

    if (hex.len == 0) return ID_NONE;
    if (hex.len > sizeof plain) return ID_BAD;
    if (text->escaped) hex = slice_of(plain, json_unescape(hex, plain, &replaced));
    if (hex.len > 2 * bytes) return ID_BAD;
    memset(digits, '0', 2 * bytes);
    memcpy(digits + 2 * bytes - hex.len, hex.ptr, hex.len);
    if (!hex_decode(slice_of(digits, 2 * bytes), out)) return ID_BAD;
    for (size_t i = 0; i < bytes; i++)
        if (out[i] != 0) return ID_GOOD;
    return ID_NONE;
}

/* One that is no id gets a length that none has, so that the decoder rejects the span. */
static void put_id(struct output *output, uint32_t number, enum id_state state, const uint8_t *id,
                   size_t bytes)
{
    if (state != ID_NONE) output_bytes_field(output, number, slice_of(id, state == ID_GOOD ? bytes : 1));
}

struct ids {
    uint8_t trace[TRACE_ID_BYTES], span[SPAN_ID_BYTES], parent[SPAN_ID_BYTES];
    enum id_state trace_state, span_state, parent_state;
};

/* True: the span can be stored. */
static bool read_ids(const struct zipkin_span *span, struct ids *out)
{
    memset(out, 0, sizeof *out);
    out->trace_state = read_id(&span->trace_id, TRACE_ID_BYTES, out->trace);
    out->span_state = read_id(&span->id, SPAN_ID_BYTES, out->span);
    out->parent_state = read_id(&span->parent_id, SPAN_ID_BYTES, out->parent);
    if (out->parent_state == ID_GOOD && out->span_state == ID_GOOD &&
        memcmp(out->parent, out->span, SPAN_ID_BYTES) == 0)
        out->parent_state = ID_NONE;
    return out->trace_state == ID_GOOD && out->span_state == ID_GOOD && out->parent_state != ID_BAD;
}

/* ---- what the tags come to ------------------------------------------------------------------------------- */

static unsigned kind_of(const struct zipkin_text *text)
{
    static const char *const names[] = {
        [KIND_INTERNAL] = "internal", [KIND_SERVER] = "server",     [KIND_CLIENT] = "client",
        [KIND_PRODUCER] = "producer", [KIND_CONSUMER] = "consumer",
    };

    for (unsigned kind = KIND_INTERNAL; kind <= KIND_CONSUMER; kind++)
        if (zipkin_text_is_any_case(text, names[kind])) return kind;
    return 0;
}

/* False: not one that is known. */
static bool status_of(const struct zipkin_text *text, unsigned *out)
{
    static const char *const names[][2] = {
        [STATUS_UNSET] = {"STATUS_CODE_UNSET", "UNSET"},
        [STATUS_OK] = {"STATUS_CODE_OK", "OK"},
        [STATUS_ERROR] = {"STATUS_CODE_ERROR", "ERROR"},
    };

    for (unsigned code = STATUS_UNSET; code <= STATUS_ERROR; code++) {
        if (!zipkin_text_is_any_case(text, names[code][0]) && !zipkin_text_is_any_case(text, names[code][1]))
            continue;
        *out = code;
        return true;
    }
    return false;
}

static void consume(struct verdict *verdict, enum zipkin_role role)
{
    verdict->consumed |= 1ULL << role;
}

static void judge_kind(const struct zipkin_span *span, struct verdict *verdict)
{
    const struct zipkin_text *const tag = &span->known[TAG_KIND];

    verdict->kind = kind_of(&span->kind);
    if (zipkin_has(&span->kind) || !zipkin_has(tag)) return;
    verdict->kind = kind_of(tag);
    if (verdict->kind != 0) consume(verdict, TAG_KIND);
}

static void judge_status(const struct zipkin_span *span, struct verdict *verdict)
{
    const struct zipkin_text *const error = &span->known[TAG_ERROR];
    const bool told = status_of(&span->known[TAG_STATUS_CODE], &verdict->status);

    if (told) {
        verdict->status_text = span->known[TAG_STATUS_TEXT];
        consume(verdict, TAG_STATUS_CODE);
        consume(verdict, TAG_STATUS_TEXT);
    }
    if (error->bytes.ptr == NULL || zipkin_text_is(error, "false")) return;
    if (zipkin_text_is(error, "true")) {
        verdict->status = STATUS_ERROR;
        consume(verdict, TAG_ERROR);
    } else if (!told) {
        verdict->status = STATUS_ERROR;
        verdict->status_text = *error;
    }
}

static void judge_tags(const struct zipkin_span *span, struct verdict *verdict)
{
    *verdict = (struct verdict){0};
    judge_kind(span, verdict);
    judge_status(span, verdict);
    consume(verdict, TAG_RESOURCE);
    consume(verdict, TAG_SCOPE_NAME);
    consume(verdict, TAG_SCOPE_VERSION);
    consume(verdict, TAG_LIBRARY_NAME);
    consume(verdict, TAG_LIBRARY_VERSION);
    consume(verdict, TAG_TRACE_STATE);
    if (zipkin_has(&span->local.service))
        consume(verdict, TAG_SERVICE_KEY);
    else
        consume(verdict, TAG_SERVICE_NAME); /* it is the resource's */
}

/* ---- resource and scope ----------------------------------------------------------------------------------- */

static void put_resource(struct output *output, const struct zipkin_span *span)
{
    static const struct zipkin_text usual_key = {{(const uint8_t *)"service.name", 12}, false};
    const struct zipkin_text *const service = &span->local.service, *const key =
                                                                        &span->known[TAG_SERVICE_KEY];
    const size_t resource = output_open(output, 1, 1);
    struct json_reader reader;
    struct zipkin_tag tag;

    if (zipkin_has(service)) put_attribute(output, 1, zipkin_has(key) ? key : &usual_key, service);
    if (span->has_resource_tags ||
        (!zipkin_has(service) && span->known[TAG_SERVICE_NAME].bytes.ptr != NULL)) {
        zipkin_tags_begin(span, &reader);
        while (zipkin_tags_next(&reader, &tag))
            if (tag.role == TAG_RESOURCE || (tag.role == TAG_SERVICE_NAME && !zipkin_has(service)))
                put_attribute(output, 1, &tag.key, &tag.value);
    }
    output_close(output, resource, 1);
}

static const struct zipkin_text *first_of(const struct zipkin_text *a, const struct zipkin_text *b)
{
    return zipkin_has(a) ? a : b;
}

static void put_scope(struct output *output, const struct zipkin_span *span)
{
    const struct zipkin_text *const known = span->known;
    const struct zipkin_text *const name = first_of(&known[TAG_SCOPE_NAME], &known[TAG_LIBRARY_NAME]),
                                    *const version = first_of(&known[TAG_SCOPE_VERSION],
                                                              &known[TAG_LIBRARY_VERSION]);

    if (!zipkin_has(name) && !zipkin_has(version)) return;
    const size_t scope = output_open(output, 1, 1);
    if (zipkin_has(name)) put_text(output, 1, name);
    if (zipkin_has(version)) put_text(output, 2, version);
    output_close(output, scope, 1);
}

static bool same(const struct output *output, struct piece a, struct piece b)
{
    return a.len == b.len && (a.len == 0 || memcmp(output->bytes + a.at, output->bytes + b.at, a.len) == 0);
}

static struct piece piece_from(const struct output *output, size_t begin)
{
    return (struct piece){begin, output->len - begin};
}

static void close_lists(struct translation *work)
{
    if (!work->open) return;
    output_close(&work->output, work->scope_spans, LIST_LENGTH_BYTES);
    output_close(&work->output, work->resource_spans, LIST_LENGTH_BYTES);
    work->open = false;
}

/* The lists that are open have the span's resource and scope. */
static bool lists_fit(struct translation *work, const struct zipkin_span *span)
{
    struct output *const output = &work->output;
    const size_t begin = output->len;

    if (!work->open) return false;
    put_resource(output, span);
    const struct piece resource = piece_from(output, begin);
    put_scope(output, span);
    const struct piece scope = piece_from(output, begin + resource.len);
    const bool fit = !output->full && same(output, resource, work->resource) &&
                     same(output, scope, work->scope);
    output->len = begin;
    return fit;
}

static void open_lists(struct translation *work, const struct zipkin_span *span)
{
    struct output *const output = &work->output;

    if (lists_fit(work, span)) return;
    close_lists(work);
    work->resource_spans = output_open(output, 1, LIST_LENGTH_BYTES);
    put_resource(output, span);
    work->resource = piece_from(output, work->resource_spans);
    work->scope_spans = output_open(output, 2, LIST_LENGTH_BYTES);
    put_scope(output, span);
    work->scope = piece_from(output, work->scope_spans);
    work->open = true;
}

/* ---- events and links ------------------------------------------------------------------------------------ */

/* Name and attributes of an event. */
static void put_event_text(struct output *output, const struct zipkin_text *value)
{
    static const struct zipkin_text whole_key = {{(const uint8_t *)"zipkin.annotation", 17}, false};
    const struct slice text = text_keep(output, value);
    const uint8_t *const bar = text.len > 0 ? memchr(text.ptr, '|', text.len) : NULL;
    struct zipkin_packed packed;

    if (bar == NULL) {
        output_bytes_field(output, 2, text);
    } else if (zipkin_unpack(text, 1, &packed)) {
        output_bytes_field(output, 2, packed.heads[0]);
        zipkin_write_attributes(output, 3, &packed);
        if (packed.dropped > 0) output_varint_field(output, 4, packed.dropped);
    } else if (memchr(bar + 1, '|', text.len - (size_t)(bar + 1 - text.ptr)) != NULL) {
        output_bytes_field(output, 2, text);
    } else {
        const struct zipkin_text whole = {text, false};
        output_bytes_field(output, 2, slice_of(text.ptr, (size_t)(bar - text.ptr)));
        put_attribute(output, 3, &whole_key, &whole);
    }
    text_release(output, value);
}

static uint64_t nanoseconds(uint64_t microseconds)
{
    return microseconds > UINT64_MAX / 1000 ? UINT64_MAX : microseconds * 1000;
}

struct annotation {
    uint64_t timestamp_us;
    struct zipkin_text value;
};

/* One annotation, behind its brace. */
static enum err read_annotation(struct translation *work, struct json_reader *reader, struct annotation *out)
{
    struct json_token key, token;
    bool clamped;

    *out = (struct annotation){0};
    for (;;) {
        if (json_next(reader, &key) != OK) unreachable("read before");
        if (key.type == JSON_OBJECT_END) return OK;
        const struct zipkin_text name = {key.text, key.escaped};
        const bool is_value = zipkin_text_is(&name, "value"), is_time = zipkin_text_is(&name, "timestamp");
        if (!is_value && !is_time) {
            (void)json_skip(reader);
            continue;
        }
        if (json_next(reader, &token) != OK) unreachable("read before");
        if (token.type == JSON_NULL) continue;
        if (is_value) {
            if (token.type != JSON_STRING) return malformed(work, "Annotation.value: not a string", token.at);
            out->value = (struct zipkin_text){token.text, token.escaped};
        } else if ((token.type != JSON_NUMBER &&
                    (token.type != JSON_STRING || !json_is_number(token.text))) ||
                   !json_to_uint64(token.text, &out->timestamp_us, &clamped)) {
            return malformed(work, "Annotation.timestamp: not an integer", token.at);
        } else {
            work->output.changes.numbers += clamped;
        }
    }
}

static enum err put_events(struct translation *work)
{
    struct output *const output = &work->output;
    struct json_reader reader;
    struct json_token token;
    struct annotation annotation;

    if (work->span.annotations.ptr == NULL) return OK;
    json_reader_init(&reader, work->span.annotations);
    if (json_next(&reader, &token) != OK) unreachable("read before");
    for (;;) {
        if (json_next(&reader, &token) != OK) unreachable("read before");
        if (token.type == JSON_ARRAY_END) return OK;
        if (token.type != JSON_OBJECT_BEGIN)
            return malformed(work, "Span.annotations: an element is not an object", token.at);
        TRY(read_annotation(work, &reader, &annotation));
        const size_t event = output_open(output, 11, 1);
        if (annotation.timestamp_us > 0)
            output_fixed64_field(output, 1, nanoseconds(annotation.timestamp_us));
        if (zipkin_has(&annotation.value)) put_event_text(output, &annotation.value);
        output_close(output, event, 1);
    }
}

/* False: of another form, nothing is put. */
static bool put_link(struct output *output, const struct zipkin_text *text)
{
    uint8_t trace_id[TRACE_ID_BYTES], span_id[SPAN_ID_BYTES];
    struct zipkin_packed packed;

    const bool good = zipkin_unpack(text_keep(output, text), 3, &packed) &&
                      packed.heads[0].len == 2 * TRACE_ID_BYTES && packed.heads[1].len == 2 * SPAN_ID_BYTES &&
                      hex_decode(packed.heads[0], trace_id) && hex_decode(packed.heads[1], span_id);
    if (good) {
        const size_t link = output_open(output, 13, 1);
        output_bytes_field(output, 1, slice_of(trace_id, sizeof trace_id));
        output_bytes_field(output, 2, slice_of(span_id, sizeof span_id));
        if (packed.heads[2].len > 0) output_bytes_field(output, 3, packed.heads[2]);
        zipkin_write_attributes(output, 4, &packed);
        if (packed.dropped > 0) output_varint_field(output, 5, packed.dropped);
        output_close(output, link, 1);
    }
    text_release(output, text);
    return good;
}

/* In the order of their numbers; those that are none are attributes. */
static void put_links(struct output *output, const struct zipkin_span *span, struct verdict *verdict)
{
    for (unsigned i = 0; i < ZIPKIN_LINKS_MAX; i++) {
        const uint64_t bit = 1ULL << i % 64;
        if ((span->has_link[i / 64] & bit) != 0 && put_link(output, &span->links[i]))
            verdict->is_link[i / 64] |= bit;
    }
}

/* ---- the span --------------------------------------------------------------------------------------------- */

static bool is_attribute(const struct zipkin_tag *tag, const struct verdict *verdict)
{
    if (tag->role == TAG_LINK) return (verdict->is_link[tag->link / 64] & 1ULL << tag->link % 64) == 0;
    return (verdict->consumed & 1ULL << tag->role) == 0;
}

static void put_endpoint_address(struct output *output, const struct zipkin_endpoint *endpoint,
                                 const char *ip_key, const char *ipv4_key, const char *port_key)
{
    const bool both = zipkin_has(&endpoint->ipv4) && zipkin_has(&endpoint->ipv6);

    put_named(output, ip_key, first_of(&endpoint->ipv6, &endpoint->ipv4));
    if (both) put_named(output, ipv4_key, &endpoint->ipv4);
    put_number(output, port_key, 3, endpoint->port);
}

static void put_attributes(struct output *output, const struct zipkin_span *span,
                           const struct verdict *verdict)
{
    struct json_reader reader;
    struct zipkin_tag tag;

    zipkin_tags_begin(span, &reader);
    while (zipkin_tags_next(&reader, &tag))
        if (is_attribute(&tag, verdict)) put_attribute(output, 9, &tag.key, &tag.value);
    put_endpoint_address(output, &span->local, "net.host.ip", "net.host.ipv4", "net.host.port");
    put_named(output, "peer.service", &span->remote.service);
    put_endpoint_address(output, &span->remote, "net.peer.ip", "net.peer.ipv4", "net.peer.port");
    if (span->timestamp_us == 0) put_number(output, "otel.zipkin.absentField.startTime", 2, 1);
    if (verdict->kind == 0) put_named(output, "zipkin.kind", &span->kind);
    put_number(output, "zipkin.debug", 2, span->debug);
    put_number(output, "zipkin.shared", 2, span->shared);
}

static void put_times(struct output *output, const struct zipkin_span *span)
{
    const uint64_t start = nanoseconds(span->timestamp_us), duration = nanoseconds(span->duration_us);
    const uint64_t end = duration > UINT64_MAX - start ? UINT64_MAX : start + duration;

    if (start > 0) output_fixed64_field(output, 7, start);
    if (end > 0) output_fixed64_field(output, 8, end);
}

static void put_status(struct output *output, const struct verdict *verdict)
{
    if (verdict->status == STATUS_UNSET && !zipkin_has(&verdict->status_text)) return;
    const size_t status = output_open(output, 15, 1);
    if (zipkin_has(&verdict->status_text)) put_text(output, 2, &verdict->status_text);
    if (verdict->status != STATUS_UNSET) output_varint_field(output, 3, verdict->status);
    output_close(output, status, 1);
}

/* Links come before attributes, because what is no link is one; protobuf's fields have no order. */
static enum err put_content(struct translation *work, const struct ids *ids)
{
    struct output *const output = &work->output;
    const struct zipkin_span *const span = &work->span;
    struct verdict verdict;

    judge_tags(span, &verdict);
    if (zipkin_has(&span->known[TAG_TRACE_STATE])) put_text(output, 3, &span->known[TAG_TRACE_STATE]);
    put_id(output, 4, ids->parent_state, ids->parent, SPAN_ID_BYTES);
    if (zipkin_has(&span->name)) put_text(output, 5, &span->name);
    if (verdict.kind != 0) output_varint_field(output, 6, verdict.kind);
    put_times(output, span);
    put_links(output, span, &verdict);
    put_attributes(output, span, &verdict);
    TRY(put_events(work));
    put_status(output, &verdict);
    return OK;
}

static enum err write_span(struct translation *work)
{
    struct output *const output = &work->output;
    struct ids ids;

    const bool good = read_ids(&work->span, &ids);
    if (good || !work->open) open_lists(work, &work->span);
    const size_t span = output_open(output, 2, SPAN_LENGTH_BYTES);
    put_id(output, 1, ids.trace_state, ids.trace, TRACE_ID_BYTES);
    put_id(output, 2, ids.span_state, ids.span, SPAN_ID_BYTES);
    if (good)
        TRY(put_content(work, &ids));
    else /* the decoder tells which id is wrong, and nothing else of it is kept */
        put_id(output, 4, ids.parent_state, ids.parent, SPAN_ID_BYTES);
    output_close(output, span, SPAN_LENGTH_BYTES);
    return OK;
}
