#include "retention_answer.h"

#include "io/io.h"
#include "query/selection.h"

struct leaving {
    struct json *json;
    uint32_t listed, limit; /* segments */
    uint64_t segments, spans, bytes;
    uint64_t held_segments, held_spans;
    const struct work *work;
};

static void put_held(struct json *json, const struct retention_row *row)
{
    if (row->by_service) {
        json_member_uint_quoted(json, "keptSpans", row->held_spans);
        json_member_uint_quoted(json, "keptBytes", row->held_bytes);
        return;
    }
    json_member_uint_quoted(json, "pinnedSpans", row->held_spans);
    json_member_uint_quoted(json, "pinnedBytes", row->held_bytes);
    if (row->pin_id != 0) json_member_uint_quoted(json, "pin", row->pin_id);
}

static bool put_row(void *context, const struct retention_row *row)
{
    static const char *const reasons[RETENTION_REASONS] = {"age", "bytes", "free"};
    struct leaving *const leaving = context;
    struct json *const json = leaving->json;

    leaving->segments += row->held_spans < row->spans;
    leaving->spans += row->spans - row->held_spans;
    leaving->bytes += row->bytes - row->held_bytes;
    if (!row->by_service) leaving->held_segments += row->held_spans > 0;
    if (!row->by_service) leaving->held_spans += row->held_spans;
    if (leaving->listed == leaving->limit) return true;
    leaving->listed++;
    json_object_begin(json);
    json_key(json, "reason");
    json_string(json, slice_text(reasons[row->reason]));
    json_member_uint_quoted(json, "arrivalFirstUnixNano", row->arrival_min_ns);
    json_member_uint_quoted(json, "arrivalLastUnixNano", row->arrival_max_ns);
    json_member_uint_quoted(json, "spans", row->spans);
    json_member_uint_quoted(json, "bytes", row->bytes);
    if (row->held_spans > 0) put_held(json, row);
    json_object_end(json);
    return true;
}

static enum err check(void *context)
{
    return work_check(((const struct leaving *)context)->work);
}

static struct retention_config limits_of(const struct work *work)
{
    const struct request *const request = work->request;
    struct retention_config limits = work->config->retention;

    if (request->has_age) limits.age_ns = request->retention.age_ns;
    if (request->has_bytes) limits.bytes_max = request->retention.bytes_max;
    if (request->has_free) limits.free_min = request->retention.free_min;
    return limits;
}

static void put_limits(struct json *json, const struct retention_config *limits)
{
    json_key(json, "limits");
    json_object_begin(json);
    json_member_uint_quoted(json, "ageNano", limits->age_ns);
    json_member_uint_quoted(json, "bytes", limits->bytes_max);
    json_member_uint_quoted(json, "freeBytes", limits->free_min);
    json_key(json, "services");
    json_array_begin(json);
    for (uint32_t i = 0; i < limits->services_count; i++) {
        json_object_begin(json);
        json_key(json, "service");
        json_text(json, limits->services[i].name);
        json_member_uint_quoted(json, "ageNano", limits->services[i].age_ns);
        json_object_end(json);
    }
    json_array_end(json);
    json_object_end(json);
}

static void put_store(struct json *json, struct catalog *catalog, uint64_t free_bytes, uint64_t total_bytes)
{
    const struct catalog_size size = catalog_size(catalog);

    json_key(json, "store");
    json_object_begin(json);
    json_member_uint(json, "segments", size.segments);
    json_member_uint(json, "blocks", size.blocks);
    json_member_uint_quoted(json, "spans", size.spans);
    json_member_uint_quoted(json, "bytes", size.bytes);
    json_member_uint_quoted(json, "ledgerBytes", size.ledger_bytes);
    json_member_uint_quoted(json, "arrivalFirstUnixNano", size.arrival_min_ns);
    json_member_uint_quoted(json, "arrivalLastUnixNano", size.arrival_max_ns);
    json_member_uint_quoted(json, "retiredBytes", catalog_retired_bytes(catalog));
    json_member_uint_quoted(json, "keptBytes", catalog_kept_bytes(catalog));
    json_member_uint_quoted(json, "diskFreeBytes", free_bytes);
    json_member_uint_quoted(json, "diskTotalBytes", total_bytes);
    json_object_end(json);
}

static enum err list_leaving(struct json *json, const struct work *work,
                             const struct retention_config *limits, uint64_t free_bytes,
                             struct leaving *leaving, bool *waits)
{
    struct selection *selection;

    TRY(selection_open(&selection));
    const struct selector_matcher matcher = selection_matcher(selection);
    const struct retention_question question = {.config = limits,
                                                .io = work->io,
                                                .now_ns = io_wall_ns(work->io),
                                                .free_bytes = free_bytes,
                                                .matcher = &matcher,
                                                .check = check,
                                                .visit = put_row,
                                                .context = leaving};
    json_key(json, "leaving");
    json_array_begin(json);
    const enum err err = retention_preview(work->config->keeping, &question, waits);
    json_array_end(json);
    selection_close(selection);
    return err;
}

static enum err put_leaving(struct json *json, const struct work *work, const struct retention_config *limits,
                            uint64_t free_bytes)
{
    struct leaving leaving = {.json = json, .limit = work->request->limit, .work = work};
    bool waits = false;

    const struct catalog *const catalog = work->config->catalog;
    const uint64_t coming_bytes = catalog_retired_bytes(catalog) + catalog_kept_bytes(catalog);
    TRY(list_leaving(json, work, limits, free_bytes + coming_bytes, &leaving, &waits));
    json_member_uint(json, "leavingSegments", leaving.segments);
    json_member_uint_quoted(json, "leavingSpans", leaving.spans);
    json_member_uint_quoted(json, "leavingBytes", leaving.bytes);
    json_member_uint(json, "pinnedSegments", leaving.held_segments);
    json_member_uint_quoted(json, "pinnedSpans", leaving.held_spans);
    json_key(json, "waits");
    json_bool(json, waits);
    return OK;
}

enum err retention_answer(struct work *work, struct answer *answer)
{
    struct catalog *const catalog = work->config->catalog;
    const struct retention_config limits = limits_of(work);
    uint64_t free_bytes, total_bytes;

    TRY(catalog_space(catalog, work->io, &free_bytes, &total_bytes));
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    put_limits(json, &limits);
    put_store(json, catalog, free_bytes, total_bytes);
    const enum err err = put_leaving(json, work, &limits, free_bytes);
    if (err != OK) return err; /* the text is thrown away as it is */
    json_object_end(json);
    return answer_json_end(answer);
}
