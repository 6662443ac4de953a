/*
 * Makes and writes random spans.
 */
#include "stories.h"

#include "base/assert.h"
#include "base/hash.h"
#include "codec/wire.h"

#include <stdlib.h>

static const uint64_t base_ns = 1700000000000000000u;
enum { REUSED_ID = 7 };

uint64_t stories_roll(struct stories *stories, uint64_t below)
{
    stories->dice = hash_mix(stories->dice + 0x9e3779b97f4a7c15u, 5);
    return (stories->dice >> 16) % below;
}

static bool one_in(struct stories *stories, uint64_t n)
{
    return stories_roll(stories, n) == 0;
}

static const char *pick(struct stories *stories, const char *const *words, unsigned count)
{
    return words[stories_roll(stories, count)];
}
#define PICK(stories, words) pick(stories, words, sizeof(words) / sizeof(words)[0])

struct story_attribute stories_attribute(struct stories *stories, enum attribute_level level)
{
    static const char *const keys[LEVEL_COUNT][3] = {{"host.name", "zone", "shared"},
                                                     {"library.kind", "shared", "deep"},
                                                     {"http.method", "shared", "code"},
                                                     {"exception.type", "shared", "code"},
                                                     {"reason", "shared", "code"}};
    static const char *const texts[] = {
        "a", "b", "200", "true", "", "0.5", "\xc3\xa4 \"x\"", "a longer value, &=%"};
    static const double reals[] = {0.5, -1.25, 1e300, 200.0};
    struct story_attribute attribute = {.key = keys[level][stories_roll(stories, 3)]};

    switch (stories_roll(stories, 6)) {
    case 0:
        attribute.type = VALUE_BOOL;
        attribute.number = (int64_t)stories_roll(stories, 2);
        break;
    case 1:
    case 2:
        attribute.type = VALUE_INT;
        attribute.number = one_in(stories, 3) ? -1 : (int64_t)(199 + stories_roll(stories, 3));
        break;
    case 3:
        attribute.type = VALUE_DOUBLE;
        attribute.real = reals[stories_roll(stories, 4)];
        break;
    default: attribute.type = VALUE_STRING; attribute.text = PICK(stories, texts);
    }
    return attribute;
}

static struct story_list make_list(struct stories *stories, enum attribute_level level, unsigned max)
{
    struct story_list list = {.count = (unsigned)stories_roll(stories, max + 1)};

    for (unsigned i = 0; i < list.count; i++)
        list.items[i] = stories_attribute(stories, level);
    return list;
}

static void make_ids(struct stories *stories, struct story_span *span, unsigned traces)
{
    const uint64_t high = hash_mix(stories_roll(stories, traces) + 1, 3), low = hash_mix(high, 4);
    uint64_t id = stories_roll(stories, 1u << 20) + 1, parent = stories_roll(stories, 8);

    memcpy(span->trace_id.bytes, &high, 8);
    memcpy(span->trace_id.bytes + 8, &low, 8);
    if (one_in(stories, 20)) id = REUSED_ID;
    memcpy(span->span_id.bytes, &id, 8);
    span->has_parent = !one_in(stories, 5);
    if (parent > 1) memcpy(span->parent.bytes, &parent, 8); /* else zeros */
}

static void make_times(struct stories *stories, struct story_span *span)
{
    static const uint64_t durations[] = {0, 1, 999, 1000000, 10000000, 1500000000};
    const uint64_t duration = durations[stories_roll(stories, 6)];

    span->start_ns = base_ns + stories_roll(stories, 200) * 1000000; /* equal starts are wanted */
    span->end_ns = one_in(stories, 8) ? span->start_ns - 5000 : span->start_ns + duration;
}

static void make_span(struct stories *stories, struct story_span *span, unsigned traces)
{
    static const char *const names[] = {"GET /", "POST /cart", "query", "", "publish"};
    static const char *const services[] = {"cart", "checkout", "front end", "db"};

    make_ids(stories, span, traces);
    make_times(stories, span);
    span->name = PICK(stories, names);
    span->service = one_in(stories, 9) ? NULL : PICK(stories, services);
    span->kind = (int)stories_roll(stories, 6);
    span->status = (int)stories_roll(stories, 3);
    span->resource = make_list(stories, LEVEL_RESOURCE, 1);
    span->scope = make_list(stories, LEVEL_SCOPE, 1);
    span->span = make_list(stories, LEVEL_SPAN, STORY_ATTRIBUTES_MAX);
    span->events_count = (unsigned)stories_roll(stories, STORY_CHILDREN_MAX + 1);
    span->links_count = (unsigned)stories_roll(stories, STORY_CHILDREN_MAX + 1);
    for (unsigned i = 0; i < span->events_count; i++)
        span->events[i] = make_list(stories, LEVEL_EVENT, 2);
    for (unsigned i = 0; i < span->links_count; i++)
        span->links[i] = make_list(stories, LEVEL_LINK, 2);
}

/* Spans that share their id differ in their start, or nobody could say which of them is the root. */
static void part(struct story_span *span, unsigned index)
{
    uint64_t id;

    memcpy(&id, span->span_id.bytes, sizeof id);
    if (id != REUSED_ID) return;
    span->start_ns += index + 1;
    span->end_ns += index + 1;
}

void stories_make(struct stories *stories, uint64_t seed, unsigned count, unsigned traces)
{
    assert(count <= STORY_SPANS_MAX);

    *stories = (struct stories){
        .spans = calloc(count + 1, sizeof *stories->spans), .count = count, .dice = seed};
    assert(stories->spans != NULL);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0 && one_in(stories, 12)) { /* a retry */
            stories->spans[i] = stories->spans[stories_roll(stories, i)];
            continue;
        }
        make_span(stories, &stories->spans[i], traces);
        stories->spans[i].content = i;
        part(&stories->spans[i], i);
    }
}

void stories_free(struct stories *stories)
{
    free(stories->spans);
}

/* ---- as OTLP -------------------------------------------------------------------------------------------- */

static void write_attribute(struct wire_writer *writer, uint32_t field,
                            const struct story_attribute *attribute)
{
    const size_t mark = writer->len;
    uint64_t bits;

    switch (attribute->type) {
    case VALUE_STRING: wire_put_bytes_field(writer, 1, slice_text(attribute->text)); break;
    case VALUE_BOOL: wire_put_varint_field(writer, 2, (uint64_t)attribute->number); break;
    case VALUE_INT: wire_put_varint_field(writer, 3, (uint64_t)attribute->number); break;
    default: memcpy(&bits, &attribute->real, 8); wire_put_fixed64_field(writer, 4, bits);
    }
    wire_close_message(writer, 2, mark);
    wire_put_bytes_field(writer, 1, slice_text(attribute->key));
    wire_close_message(writer, field, mark);
}

static void write_list(struct wire_writer *writer, uint32_t field, const struct story_list *list)
{
    for (unsigned i = list->count; i-- > 0;)
        write_attribute(writer, field, &list->items[i]);
}

static void write_children(struct wire_writer *writer, const struct story_span *span)
{
    for (unsigned i = span->links_count; i-- > 0;) {
        const size_t mark = writer->len;
        write_list(writer, 4, &span->links[i]);
        wire_put_bytes_field(writer, 2, slice_of(span->span_id.bytes, 8));
        wire_put_bytes_field(writer, 1, slice_of(span->trace_id.bytes, 16));
        wire_close_message(writer, 13, mark);
    }
    for (unsigned i = span->events_count; i-- > 0;) {
        const size_t mark = writer->len;
        write_list(writer, 3, &span->events[i]);
        wire_put_bytes_field(writer, 2, slice_text("event"));
        wire_put_fixed64_field(writer, 1, span->start_ns + i);
        wire_close_message(writer, 11, mark);
    }
}

void story_write_span(struct wire_writer *writer, const struct story_span *span)
{
    const size_t status = writer->len;

    if (span->status != 0) wire_put_varint_field(writer, 3, (uint64_t)span->status);
    wire_close_message(writer, 15, status);
    write_children(writer, span);
    write_list(writer, 9, &span->span);
    wire_put_fixed64_field(writer, 8, span->end_ns);
    wire_put_fixed64_field(writer, 7, span->start_ns);
    if (span->kind != 0) wire_put_varint_field(writer, 6, (uint64_t)span->kind);
    if (span->name[0] != '\0') wire_put_bytes_field(writer, 5, slice_text(span->name));
    if (span->has_parent) wire_put_bytes_field(writer, 4, slice_of(span->parent.bytes, 8));
    wire_put_bytes_field(writer, 2, slice_of(span->span_id.bytes, 8));
    wire_put_bytes_field(writer, 1, slice_of(span->trace_id.bytes, 16));
}

void story_write_scope(struct wire_writer *writer, const struct story_span *span)
{
    write_list(writer, 3, &span->scope);
}

void story_write_resource(struct wire_writer *writer, const struct story_span *span)
{
    write_list(writer, 1, &span->resource);
    if (span->service != NULL) {
        const struct story_attribute name = {
            .key = "service.name", .type = VALUE_STRING, .text = span->service};
        write_attribute(writer, 1, &name);
    }
}

static void write_resource_spans(struct wire_writer *writer, const struct story_span *span)
{
    const size_t resource_spans = writer->len;
    story_write_span(writer, span);
    wire_close_message(writer, 2, resource_spans);
    const size_t scope = writer->len;
    story_write_scope(writer, span);
    wire_close_message(writer, 1, scope);
    wire_close_message(writer, 2, resource_spans);
    const size_t resource = writer->len;
    story_write_resource(writer, span);
    wire_close_message(writer, 1, resource);
    wire_close_message(writer, 1, resource_spans);
}

uint8_t *stories_body(const struct stories *stories, unsigned first, unsigned count, size_t *len)
{
    const size_t capacity = (size_t)count * 4096 + 1;
    uint8_t *const body = malloc(capacity);
    struct wire_writer writer = {.base = body, .capacity = capacity};

    assert(body != NULL);
    for (unsigned i = first + count; i-- > first;)
        write_resource_spans(&writer, &stories->spans[i]);
    assert(wire_writer_fits(&writer));
    *len = writer.len;
    memmove(body, wire_writer_bytes(&writer).ptr, writer.len);
    return body;
}
