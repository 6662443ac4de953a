/*
 * Lists of services and operations: from the list of operations that every block carries, and from the rows
 * of live blocks. With bounds of time, live rows are judged one by one, blocks as a whole: a name may be
 * listed that a block holds just outside of them.
 */
#include "search.h"

#include "base/hash.h"
#include "coverage.h"

#include <stdlib.h>

struct name_entry {
    struct slice service, name; /* in the arena; name empty in lists of services */
    int32_t kind;
};

/* A set of names: a hash table over a list. */
struct names {
    struct work *work;
    bool services_only;
    struct name_entry *list;
    size_t count, capacity;
    uint32_t *places; /* index + 1 */
    size_t places_count;
};

static uint64_t entry_hash(const struct name_entry *entry)
{
    const uint64_t service = hash_fast(entry->service.ptr, entry->service.len, (uint32_t)entry->kind);

    return hash_fast(entry->name.ptr, entry->name.len, service);
}

static bool entry_equal(const struct name_entry *a, const struct name_entry *b)
{
    return a->kind == b->kind && slice_equal(a->service, b->service) && slice_equal(a->name, b->name);
}

/* Where the entry stands, or would stand. */
static size_t place_of(const struct names *names, const struct name_entry *entry)
{
    size_t at = entry_hash(entry) & (names->places_count - 1);

    while (names->places[at] != 0 && !entry_equal(&names->list[names->places[at] - 1], entry))
        at = (at + 1) & (names->places_count - 1);
    return at;
}

/* At most half full. */
static bool grow(struct names *names)
{
    struct arena *const arena = &names->work->arena;

    if (names->count == names->capacity) {
        void *const list = arena_grow(arena, names->list, sizeof *names->list, names->count, 64,
                                      &names->capacity);
        if (list == NULL) return false;
        names->list = list;
    }
    if (names->places != NULL && 2 * (names->count + 1) <= names->places_count) return true;
    names->places_count = names->places_count == 0 ? 256 : names->places_count * 2;
    names->places = arena_alloc(arena, names->places_count * sizeof *names->places);
    if (names->places == NULL) return false;
    for (size_t i = 0; i < names->count; i++)
        names->places[place_of(names, &names->list[i])] = (uint32_t)i + 1;
    return true;
}

static enum err add(struct names *names, struct slice service, struct slice name, int32_t kind)
{
    const struct request *const request = names->work->request;
    struct name_entry entry = {service, name, kind};

    if (service.len == 0) return OK; /* spans without a service have no place in these lists */
    if (request->has_service && !slice_equal(service, request->service)) return OK;
    if (names->services_only) entry = (struct name_entry){.service = service};
    if (names->places != NULL && names->places[place_of(names, &entry)] != 0) return OK;
    if (!grow(names)) return ERR_TOO_LARGE;
    const size_t at = place_of(names, &entry);
    entry.service = arena_copy(&names->work->arena, entry.service);
    entry.name = arena_copy(&names->work->arena, entry.name);
    if (entry.service.ptr == NULL || (entry.name.len > 0 && entry.name.ptr == NULL)) return ERR_TOO_LARGE;
    names->list[names->count] = entry;
    names->places[at] = (uint32_t)++names->count;
    return OK;
}

/* ---- gathering ------------------------------------------------------------------------------------------
 */

/* The last operations seen: rows of the same kind follow each other closely. */
struct recent_row {
    uint32_t resource, name;
    int32_t kind;
    bool given;
};
enum { RECENT_ROWS = 1024 };

static enum err add_live_row(struct names *names, const struct live_block *live, const struct live_row *row,
                             struct recent_row *recent)
{
    const struct live_pattern *const pattern = &live->patterns[row->pattern];
    const uint32_t name = names->services_only ? 0 : pattern->name;
    const int32_t kind = names->services_only ? 0 : pattern->kind;
    const uint64_t mixed = hash_mix((uint64_t)pattern->resource << 32 | name, (uint32_t)kind);
    struct recent_row *const seen = &recent[mixed % RECENT_ROWS];

    if (seen->given && seen->resource == pattern->resource && seen->name == name && seen->kind == kind)
        return OK;
    *seen = (struct recent_row){pattern->resource, name, kind, true};
    const struct live_envelope *const resource = &live->resources[pattern->resource];
    return add(names, live_bytes(live, resource->service_offset, resource->service_len),
               live_pair_bytes(live, pattern->name), pattern->kind);
}

static enum err add_live(struct names *names, const struct live_view *view)
{
    const struct request *const request = names->work->request;
    struct recent_row recent[RECENT_ROWS] = {{0}};

    names->work->coverage.live_blocks++;
    TRY(work_check(names->work));
    for (uint32_t i = 0; i < view->counts.rows; i++) {
        const struct live_row *const row = &view->block->rows[i];
        if (row->start_ns < request->first_ns || row->start_ns > request->last_ns) continue;
        TRY(add_live_row(names, view->block, row, recent));
    }
    return OK;
}

static enum err add_open_block(struct names *names, struct open_block *open)
{
    for (uint32_t i = 0; i < block_operations(open->reader); i++) {
        struct block_operation operation;
        TRY(block_operation(open->reader, i, &operation));
        TRY(add(names, operation.service, operation.name, operation.kind));
    }
    return OK;
}

/* A block may be skipped when it lies outside of the time asked for, or lacks the service. */
static bool may_hold(const struct names *names, uint32_t block)
{
    const struct work *const work = names->work;
    const struct request *const request = work->request;
    const struct block_summary *const summary = &catalog_block(work->snapshot.catalog.view, block)->summary;
    uint64_t hash;

    if (summary->start_max_ns < request->first_ns || summary->start_min_ns > request->last_ns) return false;
    if (!request->has_service) return true;
    return !block_token(LEVEL_RESOURCE, slice_text("service.name"), VALUE_STRING, request->service, 0,
                        &hash) ||
           catalog_may_have_token(work->snapshot.catalog.view, work->io, block, hash);
}

static enum err add_block(struct names *names, uint32_t block)
{
    struct work *const work = names->work;
    struct open_block *open;

    TRY(work_check(work));
    enum err err = work_open_block(work, block, &open);
    if (err == OK) err = work_close_block(work, open, add_open_block(names, open));
    if (err == OK) work->coverage.blocks++;
    if (err != ERR_CORRUPT) return err;
    work->coverage.fenced_blocks++;
    return OK;
}

static int by_name(const void *left, const void *right)
{
    const struct name_entry *const a = left, *const b = right;
    int order = slice_compare(a->service, b->service);

    if (order == 0) order = slice_compare(a->name, b->name);
    return order != 0 ? order : (a->kind > b->kind) - (a->kind < b->kind);
}

static enum err gather(struct names *names)
{
    struct work *const work = names->work;

    for (unsigned i = 0; i < work->snapshot.live_count; i++)
        TRY(add_live(names, &work->snapshot.live[i]));
    for (uint32_t block = catalog_blocks(work->snapshot.catalog.view); block-- > 0;) {
        if (may_hold(names, block))
            TRY(add_block(names, block));
        else
            work->coverage.blocks_skipped++;
    }
    if (names->count > 0) qsort(names->list, names->count, sizeof *names->list, by_name);
    return OK;
}

/* ---- answering ------------------------------------------------------------------------------------------
 */

static enum err answer_names(struct work *work, struct answer *answer, bool services_only)
{
    struct names names = {.work = work, .services_only = services_only};

    TRY(gather(&names));
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_key(json, services_only ? "services" : "operations");
    json_array_begin(json);
    for (size_t i = 0; i < names.count; i++) {
        json_object_begin(json);
        json_key(json, "name");
        json_string(json, services_only ? names.list[i].service : names.list[i].name);
        if (!services_only) {
            json_key(json, "kind");
            json_int(json, names.list[i].kind);
        }
        json_object_end(json);
    }
    json_array_end(json);
    coverage_json(&work->coverage, json);
    json_object_end(json);
    return answer_json_end(answer);
}

enum err services_answer(struct work *work, struct answer *answer)
{
    return answer_names(work, answer, true);
}

enum err operations_answer(struct work *work, struct answer *answer)
{
    return answer_names(work, answer, false);
}
