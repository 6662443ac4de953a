/*
 * Three readers, one inside the other: when the innermost has no more spans the next one out moves on. The
 * first error of any of them ends the walk and stays in walk->err.
 */
#include "walk.h"

struct span_walk span_walk_of(struct slice message)
{
    return (struct span_walk){.err = OK, .resources = proto_read(message)};
}

/* The next submessage with this number; other fields are stepped over. */
static bool next_message(struct span_walk *walk, struct proto_reader *reader, uint32_t number,
                         struct slice *message)
{
    struct proto_field field;

    while (proto_next(reader, &field)) {
        if (field.number != number) continue;
        if (field.type != PROTO_BYTES) {
            walk->err = ERR_MALFORMED;
            return false;
        }
        *message = field.bytes;
        return true;
    }
    walk->err = reader->err;
    return false;
}

bool span_walk_next(struct span_walk *walk)
{
    while (walk->err == OK) {
        if (next_message(walk, &walk->spans, SCOPE_SPANS_SPANS, &walk->span)) return true;
        if (walk->err != OK) return false;
        if (next_message(walk, &walk->scopes, RESOURCE_SPANS_SCOPE_SPANS, &walk->scope_spans)) {
            walk->spans = proto_read(walk->scope_spans);
            continue;
        }
        if (walk->err != OK) return false;
        if (!next_message(walk, &walk->resources, TRACES_RESOURCE_SPANS, &walk->resource_spans)) return false;
        walk->scopes = proto_read(walk->resource_spans);
    }
    return false;
}

static bool is_id(struct slice id, size_t len)
{
    uint8_t any = 0;

    if (id.len != len) return false;
    for (size_t i = 0; i < len; i++)
        any |= id.ptr[i];
    return any != 0;
}

bool span_ids_of(struct slice span, struct span_ids *ids)
{
    struct proto_reader reader = proto_read(span);
    struct proto_field field;
    struct span_ids found = {0};

    while (proto_next(&reader, &field)) {
        if (field.type != PROTO_BYTES) continue;
        if (field.number == SPAN_TRACE_ID) found.trace_id = field.bytes;
        if (field.number == SPAN_SPAN_ID) found.span_id = field.bytes;
    }
    if (reader.err != OK || !is_id(found.trace_id, 16) || !is_id(found.span_id, 8)) return false;
    *ids = found;
    return true;
}
