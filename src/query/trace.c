/*
 * Collecting: every live row with that trace id, then every block whose trace filter says perhaps. Messages
 * are copied, so that a block can be closed before the next one is opened.
 *
 * Ordering: sorted by start, id, bytes, so that duplicates are neighbours; groups are numbered as they come
 * up, and a second sort brings groups together.
 */
#include "trace.h"

#include "base/assert.h"
#include "base/hash.h"
#include "codec/wire.h"

#include <stdlib.h>

/* ---- envelopes ------------------------------------------------------------------------------------------
 */

static uint64_t envelope_hash(const struct trace_envelope *envelope)
{
    const uint64_t seed = hash_fast(envelope->schema_url.ptr, envelope->schema_url.len, envelope->present);

    return hash_fast(envelope->message.ptr, envelope->message.len, seed);
}

static bool envelope_equal(const struct trace_envelope *a, const struct trace_envelope *b)
{
    return a->present == b->present && slice_equal(a->message, b->message) &&
           slice_equal(a->schema_url, b->schema_url);
}

static void place(struct envelope_set *set, uint32_t index)
{
    size_t at = envelope_hash(&set->list[index]) & (set->places_count - 1);

    while (set->places[at] != 0)
        at = (at + 1) & (set->places_count - 1);
    set->places[at] = index + 1;
}

/* At most half full. */
static bool set_has_room(struct arena *arena, struct envelope_set *set)
{
    if (set->count == set->capacity) {
        void *const list = arena_grow(arena, set->list, sizeof *set->list, set->count, 16, &set->capacity);
        if (list == NULL) return false;
        set->list = list;
    }
    if (2 * (set->count + 1) <= set->places_count) return true;
    const size_t places = set->places_count == 0 ? 64 : set->places_count * 2;
    uint32_t *const table = arena_alloc(arena, places * sizeof *table);
    if (table == NULL) return false;
    set->places = table;
    set->places_count = places;
    for (size_t i = 0; i < set->count; i++)
        place(set, (uint32_t)i);
    return true;
}

/* The index of an equal envelope, or of a copy of this one. */
static enum err envelope_index(struct arena *arena, struct envelope_set *set,
                               const struct trace_envelope *envelope, uint32_t *out)
{
    if (set->places_count > 0) {
        size_t at = envelope_hash(envelope) & (set->places_count - 1);
        for (; set->places[at] != 0; at = (at + 1) & (set->places_count - 1)) {
            *out = set->places[at] - 1;
            if (envelope_equal(&set->list[*out], envelope)) return OK;
        }
    }
    if (!set_has_room(arena, set)) return ERR_TOO_LARGE;
    struct trace_envelope *const copy = &set->list[set->count];
    *copy = (struct trace_envelope){arena_copy(arena, envelope->message),
                                    arena_copy(arena, envelope->schema_url), envelope->present};
    if ((copy->message.len > 0 && copy->message.ptr == NULL) ||
        (copy->schema_url.len > 0 && copy->schema_url.ptr == NULL))
        return ERR_TOO_LARGE;
    *out = (uint32_t)set->count++;
    place(set, *out);
    return OK;
}

/* ---- collecting -----------------------------------------------------------------------------------------
 */

struct collect {
    struct work *work;
    const struct trace_id *id;
    struct trace *trace;
    const struct open_block *open; /* the block in work */
};

/* Start and id stand near the front of the message: fields 7 and 2. Later ones win, as everywhere. */
static enum err read_key(struct slice message, uint64_t *start_ns, uint64_t *id)
{
    struct wire_reader reader = wire_reader_of(message);
    uint64_t bytes = 0;

    *start_ns = 0;
    while (reader.at < reader.end) {
        struct slice text;
        uint32_t number, wire;
        if (!wire_tag(&reader, &number, &wire)) return ERR_CORRUPT;
        if (number == 7 && wire == WIRE_FIXED64) {
            if (!wire_fixed64(&reader, start_ns)) return ERR_CORRUPT;
        } else if (number == 2 && wire == WIRE_BYTES) {
            if (!wire_bytes(&reader, &text) || text.len != sizeof bytes) return ERR_CORRUPT;
            memcpy(&bytes, text.ptr, sizeof bytes);
        } else if (number > 8) { /* the store writes fields in order */
            break;
        } else if (!wire_skip(&reader, wire)) {
            return ERR_CORRUPT;
        }
    }
    *id = __builtin_bswap64(bytes);
    return OK;
}

/* ERR_FULL: the trace is cut here. */
static enum err add_span(struct collect *collect, const struct trace_envelope *resource,
                         const struct trace_envelope *scope, struct slice message)
{
    struct trace *const trace = collect->trace;
    struct arena *const arena = &collect->work->arena;
    struct trace_span span = {0};

    if (trace->bytes + message.len > collect->work->config->answer_bytes_max) {
        trace->truncated = true;
        return ERR_FULL;
    }
    TRY(read_key(message, &span.start_ns, &span.id));
    TRY(envelope_index(arena, &trace->resources, resource, &span.resource));
    TRY(envelope_index(arena, &trace->scopes, scope, &span.scope));
    if (trace->count == trace->capacity) {
        void *const spans = arena_grow(arena, trace->spans, sizeof span, trace->count, 64, &trace->capacity);
        if (spans == NULL) return ERR_TOO_LARGE;
        trace->spans = spans;
    }
    span.message = arena_copy(arena, message);
    if (span.message.ptr == NULL) return ERR_TOO_LARGE;
    trace->spans[trace->count++] = span;
    trace->bytes += message.len;
    return OK;
}

static struct trace_envelope live_envelope_of(const struct live_block *live,
                                              const struct live_envelope *envelope)
{
    return (struct trace_envelope){live_bytes(live, envelope->offset, envelope->len),
                                   live_bytes(live, envelope->schema_offset, envelope->schema_len),
                                   envelope->present != 0};
}

/* Written twice: the first time to know how long it is. */
static enum err add_live_row(struct collect *collect, const struct live_block *live, uint32_t row)
{
    const struct live_pattern *const pattern = &live->patterns[live->rows[row].pattern];
    const struct trace_envelope resource = live_envelope_of(live, &live->resources[pattern->resource]);
    const struct trace_envelope scope = live_envelope_of(live, &live->scopes[pattern->scope]);
    uint8_t buf[4096];
    struct wire_writer writer = {.base = buf, .capacity = sizeof buf};

    live_span_write(live, row, &writer);
    if (wire_writer_fits(&writer)) return add_span(collect, &resource, &scope, wire_writer_bytes(&writer));
    uint8_t *const large = malloc(writer.len);
    if (large == NULL) return ERR_NO_MEMORY;
    writer = (struct wire_writer){.base = large, .capacity = writer.len};
    live_span_write(live, row, &writer);
    const enum err err = add_span(collect, &resource, &scope, wire_writer_bytes(&writer));
    free(large);
    return err;
}

static enum err collect_live(struct collect *collect, const struct live_view *view)
{
    const struct live_row *const rows = view->block->rows;
    uint64_t wanted[2];

    collect->work->coverage.live_blocks++;
    memcpy(wanted, collect->id->bytes, sizeof wanted);
    for (uint32_t row = 0; row < view->counts.rows; row++) {
        uint64_t found[2];
        memcpy(found, rows[row].trace_id.bytes, sizeof found);
        if (found[0] == wanted[0] && found[1] == wanted[1]) TRY(add_live_row(collect, view->block, row));
    }
    return work_check(collect->work);
}

static enum err emit_block_span(void *context, uint32_t row, uint32_t resource_index, uint32_t scope_index,
                                struct slice span)
{
    struct collect *const collect = context;
    struct envelope resource, scope;

    if (row % 1024 == 0) TRY(work_check(collect->work));
    TRY(block_resource(collect->open->reader, resource_index, &resource));
    TRY(block_scope(collect->open->reader, scope_index, &scope));
    const struct trace_envelope of_resource = {resource.message, resource.schema_url, resource.present};
    const struct trace_envelope of_scope = {scope.message, scope.schema_url, scope.present};
    return add_span(collect, &of_resource, &of_scope, span);
}

static enum err collect_open_block(struct collect *collect, struct open_block *open)
{
    uint32_t first, count;

    const enum err err = block_find_trace(open->reader, collect->id, &first, &count);
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    collect->open = open;
    return block_spans(open->reader, first, count, emit_block_span, collect);
}

/* Damage costs this block, not the answer. */
static enum err collect_block(struct collect *collect, uint32_t block)
{
    struct work *const work = collect->work;
    const size_t spans_before = collect->trace->count;
    const uint64_t bytes_before = collect->trace->bytes;
    struct open_block *open;

    TRY(work_check(work));
    enum err err = work_open_block(work, block, &open);
    if (err == OK) {
        err = work_close_block(work, open, collect_open_block(collect, open));
        work->coverage.blocks += !work_is_damage(err);
    }
    if (!work_is_damage(err)) return err;
    work->coverage.fenced_blocks++;
    collect->trace->count = spans_before; /* all of a block or nothing */
    collect->trace->bytes = bytes_before;
    return OK;
}

static bool may_hold(const struct catalog_block *entry, const struct trace_id *id)
{
    return memcmp(id->bytes, entry->summary.trace_min.bytes, sizeof id->bytes) >= 0 &&
           memcmp(id->bytes, entry->summary.trace_max.bytes, sizeof id->bytes) <= 0;
}

/* Newest first: a trace that must be cut keeps its newest part, and recent blocks are in the page cache. */
static enum err collect_segments(struct collect *collect)
{
    struct work *const work = collect->work;
    const struct catalog_view *const view = work->snapshot.catalog.view;
    const uint64_t hash = filter_hash_trace(collect->id->bytes);
    bool may[SEGMENT_BLOCKS_MAX];

    for (uint32_t segment = catalog_segments(view); segment-- > 0;) {
        uint32_t first;
        const uint32_t count = catalog_segment_blocks(view, segment, &first);
        catalog_filter(view, work->io, segment, FILTER_TRACE, hash, may);
        for (uint32_t i = 0; i < count; i++) {
            if (!may[i] || !may_hold(catalog_block(view, first + i), collect->id)) {
                work->coverage.blocks_skipped++;
                continue;
            }
            TRY(collect_block(collect, first + i));
        }
    }
    return OK;
}

/* ---- order ----------------------------------------------------------------------------------------------
 */

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int by_start(const void *left, const void *right)
{
    const struct trace_span *const a = left, *const b = right;
    int order = compare_u64(a->start_ns, b->start_ns);

    if (order == 0) order = compare_u64(a->id, b->id);
    if (order == 0) order = slice_compare(a->message, b->message);
    if (order == 0) order = compare_u64(a->resource, b->resource);
    return order != 0 ? order : compare_u64(a->scope, b->scope);
}

static int by_group(const void *left, const void *right)
{
    const struct trace_span *const a = left, *const b = right;
    const int order = compare_u64(a->group, b->group);

    return order != 0 ? order : by_start(left, right);
}

static void drop_duplicates(struct trace *trace)
{
    size_t kept = 0;

    for (size_t i = 0; i < trace->count; i++)
        if (kept == 0 || by_start(&trace->spans[kept - 1], &trace->spans[i]) != 0)
            trace->spans[kept++] = trace->spans[i];
    trace->count = kept;
}

/* A pair of resource and scope, as it first comes up among the spans in order. */
struct group {
    uint32_t resource_rank; /* order of the resource's first span */
    uint32_t first;         /* order of the pair's first span */
    uint32_t old;           /* number before sorting */
};

static int by_rank(const void *left, const void *right)
{
    const struct group *const a = left, *const b = right;
    const int order = compare_u64(a->resource_rank, b->resource_rank);

    return order != 0 ? order : compare_u64(a->first, b->first);
}

/* Numbers the groups in order of appearance: span->group. Places of the hash table: group + 1. */
static bool number_groups(struct arena *arena, struct trace *trace, struct group **out, size_t *out_count)
{
    size_t places = 64, count = 0;

    while (places < 2 * trace->count)
        places *= 2;
    uint32_t *const table = arena_alloc(arena, places * sizeof *table);
    uint32_t *const ranks = arena_alloc(arena, trace->resources.count * sizeof *ranks); /* + 1; 0: none */
    struct group *const groups = arena_alloc(arena, trace->count * sizeof *groups);
    if (table == NULL || ranks == NULL || groups == NULL) return false;
    for (size_t i = 0; i < trace->count; i++) {
        struct trace_span *const span = &trace->spans[i];
        size_t at = hash_mix((uint64_t)span->resource << 32 | span->scope, 0) & (places - 1);
        if (ranks[span->resource] == 0) ranks[span->resource] = (uint32_t)i + 1;
        for (; table[at] != 0; at = (at + 1) & (places - 1)) {
            const struct trace_span *const first = &trace->spans[groups[table[at] - 1].first];
            if (first->resource == span->resource && first->scope == span->scope) break;
        }
        if (table[at] == 0) {
            groups[count] = (struct group){ranks[span->resource], (uint32_t)i, (uint32_t)count};
            table[at] = (uint32_t)++count;
        }
        span->group = table[at] - 1;
    }
    *out = groups;
    *out_count = count;
    return true;
}

static enum err arrange(struct arena *arena, struct trace *trace)
{
    struct group *groups;
    size_t count;

    qsort(trace->spans, trace->count, sizeof *trace->spans, by_start);
    drop_duplicates(trace);
    if (!number_groups(arena, trace, &groups, &count)) return ERR_TOO_LARGE;
    qsort(groups, count, sizeof *groups, by_rank);
    uint32_t *const number = arena_alloc(arena, count * sizeof *number);
    if (number == NULL) return ERR_TOO_LARGE;
    for (size_t i = 0; i < count; i++)
        number[groups[i].old] = (uint32_t)i;
    for (size_t i = 0; i < trace->count; i++)
        trace->spans[i].group = number[trace->spans[i].group];
    qsort(trace->spans, trace->count, sizeof *trace->spans, by_group);
    return OK;
}

enum err trace_collect(struct work *work, const struct trace_id *id, struct trace *out)
{
    struct collect collect = {.work = work, .id = id, .trace = out};
    enum err err = OK;

    *out = (struct trace){.id = *id};
    for (unsigned i = 0; i < work->snapshot.live_count && err == OK; i++)
        err = collect_live(&collect, &work->snapshot.live[i]);
    if (err == OK) err = collect_segments(&collect);
    if (err != OK && err != ERR_FULL) return err;
    if (out->count == 0) return out->truncated ? ERR_TOO_LARGE : ERR_NOT_FOUND;
    return arrange(&work->arena, out);
}
