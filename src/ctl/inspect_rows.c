/* Spans of a block as they came, field by field: for a look at what is in there, not for machines to load. */
#include "inspect.h"

#include "model/otlp.h"

#include <inttypes.h>
#include <stdlib.h>

struct showing {
    struct out *out;
    struct block_reader *reader;
    struct otlp_decoder *decoder;
};

static const char *const kind_names[] = {"UNSPECIFIED", "INTERNAL", "SERVER",
                                         "CLIENT",      "PRODUCER", "CONSUMER"};
static const char *const status_names[] = {"UNSET", "OK", "ERROR"};

static void show_enum(struct out *out, const char *name, int32_t value, const char *const *names,
                      int32_t count)
{
    if (value >= 0 && value < count)
        out_text(out, name, names[value]);
    else
        out_signed(out, name, value); /* kept as it was sent */
}

static const char *const type_names[VALUE_TYPE_COUNT] = {"absent", "empty", "string", "bool",  "int",
                                                         "double", "array", "kvlist", "bytes", "raw"};

/* As a text whatever it is, for the values of a table are of one kind; nested ones by their size. */
static void show_value(struct out *out, const struct attribute *attribute)
{
    char text[64] = "";
    double real;

    switch (attribute->type) {
    case VALUE_STRING: out_slice(out, "value", attribute->bytes); return;
    case VALUE_BOOL: snprintf(text, sizeof text, "%s", attribute->bits != 0 ? "true" : "false"); break;
    case VALUE_INT: snprintf(text, sizeof text, "%" PRId64, (int64_t)attribute->bits); break;
    case VALUE_DOUBLE:
        memcpy(&real, &attribute->bits, sizeof real);
        snprintf(text, sizeof text, "%.17g", real);
        break;
    case VALUE_ABSENT:
    case VALUE_EMPTY: break;
    default: snprintf(text, sizeof text, "(%zu bytes)", attribute->bytes.len); break;
    }
    out_text(out, "value", text);
}

/* Keys may repeat, and their order is kept: so they are rows. */
static void show_attribute(struct out *out, const struct attribute *attribute)
{
    out_row(out);
    out_slice(out, "key", attribute->key);
    out_text(out, "type", type_names[attribute->type]);
    show_value(out, attribute);
    out_row_end(out);
}

static void show_pairs(struct out *out, const char *name, const struct slice *pairs, uint32_t count)
{
    out_table(out, name);
    for (uint32_t i = 0; i < count; i++) {
        struct attribute attribute;
        struct otlp_fault fault;
        if (attribute_decode(pairs[i], &attribute, &fault) == OK) show_attribute(out, &attribute);
    }
    out_table_end(out);
}

static enum err show_envelope_attribute(void *context, const struct attribute *attribute)
{
    show_attribute(context, attribute);
    return OK;
}

static void show_resource(struct showing *showing, uint32_t resource)
{
    const struct envelope_visitor visitor = {show_envelope_attribute, showing->out};
    struct envelope envelope;
    struct otlp_fault fault;

    if (block_resource(showing->reader, resource, &envelope) != OK) return;
    out_table(showing->out, "resource");
    (void)resource_check(envelope.message, &visitor, &fault);
    out_table_end(showing->out);
}

static enum err show_span(void *context, uint32_t row, uint32_t resource, uint32_t scope, struct slice span)
{
    struct showing *const showing = context;
    struct out *const out = showing->out;
    struct span_view view;
    struct otlp_fault fault;
    char name[32];

    (void)scope;
    if (span_decode(showing->decoder, span, &view, &fault) != OK) return ERR_CORRUPT;
    snprintf(name, sizeof name, "row %" PRIu32, row);
    out_group(out, name);
    out_slice(out, "name", view.name);
    out_hex(out, "trace_id", slice_of(view.trace_id.bytes, 16));
    out_hex(out, "span_id", slice_of(view.span_id.bytes, 8));
    if (view.parent_present) out_hex(out, "parent_span_id", slice_of(view.parent_span_id.bytes, 8));
    if (view.trace_state.len > 0) out_slice(out, "trace_state", view.trace_state);
    show_enum(out, "kind", view.kind, kind_names, 6);
    out_time(out, "start", view.start_ns);
    out_signed(out, "duration_ns", (int64_t)(view.end_ns - view.start_ns));
    if (view.status_present) show_enum(out, "status", view.status_code, status_names, 3);
    if (view.status_message.len > 0) out_slice(out, "status_message", view.status_message);
    out_number(out, "events", view.events_count);
    out_number(out, "links", view.links_count);
    show_pairs(out, "attributes", view.attributes, view.attributes_count);
    show_resource(showing, resource);
    out_group_end(out);
    return OK;
}

static enum err show_rows(struct showing *showing, uint64_t count)
{
    const uint32_t spans = block_summary(showing->reader)->spans;

    if (count > spans) count = spans;
    for (uint64_t i = 0; i < count; i++)
        TRY(block_spans(showing->reader, (uint32_t)(i * spans / count), 1, show_span, showing));
    return OK;
}

enum err inspect_rows(struct out *out, struct block_reader *reader, uint64_t count)
{
    struct showing showing = {.out = out, .reader = reader};

    TRY(otlp_decoder_open(&showing.decoder));
    out_group(out, "rows");
    const enum err err = show_rows(&showing, count);
    otlp_decoder_close(showing.decoder);
    out_group_end(out);
    return err;
}
