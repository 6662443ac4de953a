/*
 * Lists of services and operations: from the list of operations that every block carries, and from the rows
 * of live blocks. With bounds of time, live rows are judged one by one, blocks as a whole: a name may be
 * listed that a block holds just outside of them.
 *
 * What blocks carry is remembered (names_cache.h), so a block is opened for its names once, by the first list that
 * wants it. A block that is too rich to be remembered, or too old when there is little room, is opened each time.
 */
#include "search.h"

#include "base/hash.h"
#include "coverage.h"
#include "name_set.h"

#include <stdlib.h>

/* A list in the making. */
struct names {
    struct work *work;
    bool services_only;
    struct name_set found; /* name and kind are empty in lists of services */
    struct name_set block; /* all names of the block that is open, to be remembered */
    struct names_reader *reader;
};

static enum err add(struct names *names, struct slice service, struct slice name, int32_t kind)
{
    const struct request *const request = names->work->request;
    struct arena *const arena = &names->work->arena;
    struct block_operation entry = {service, name, kind};
    struct block_operation *added;

    if (service.len == 0) return OK; /* spans without a service have no place in these lists */
    if (request->has_service && !slice_equal(service, request->service)) return OK;
    if (names->services_only) entry = (struct block_operation){.service = service};
    if (!name_set_put(&names->found, &entry, &added)) return ERR_TOO_LARGE;
    if (added == NULL) return OK;
    added->service = arena_copy(arena, entry.service);
    added->name = arena_copy(arena, entry.name);
    const bool copied = added->service.ptr != NULL && (added->name.len == 0 || added->name.ptr != NULL);
    return copied ? OK : ERR_TOO_LARGE;
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
    return add(names, live_service(live, pattern->resource), live_pair_bytes(live, pattern->name),
               pattern->kind);
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

/*
 * A block has an operation once for each resource, hence repeated ones. One that has too many, or of which one cannot
 * be read, is not remembered.
 */
static enum err add_open_block(struct names *names, struct open_block *open)
{
    struct name_set *const all = &names->block;
    bool room = true;

    name_set_clear(all);
    for (uint32_t i = 0; i < block_operations(open->reader); i++) {
        struct block_operation name, *added;
        TRY(block_operation(open->reader, i, &name));
        TRY(add(names, name.service, name.name, name.kind));
        room = room && all->count < NAMES_CACHE_BLOCK_MAX && name_set_put(all, &name, &added);
    }
    if (room)
        names_cache_add(names->work->names, block_summary(open->reader), all->list, (uint32_t)all->count);
    return OK;
}

static enum err add_remembered(void *context, const struct block_operation *name)
{
    return add(context, name->service, name->name, name->kind);
}

/* Can it have spans within the time asked for? */
static bool within_time(const struct request *request, const struct block_summary *summary)
{
    return summary->start_max_ns >= request->first_ns && summary->start_min_ns <= request->last_ns;
}

/* Asks the filters for the service: seldom needed, because what is remembered of a block says more for less. */
static bool may_have_service(const struct work *work, uint32_t block)
{
    const struct request *const request = work->request;
    uint64_t hash;

    return !request->has_service ||
           !block_token(LEVEL_RESOURCE, slice_text("service.name"), VALUE_STRING, request->service, 0,
                        &hash) ||
           catalog_may_have_token(work->snapshot.catalog.view, work->io, block, hash);
}

static enum err read_block(struct names *names, uint32_t block)
{
    struct work *const work = names->work;
    struct open_block *open;

    const enum err err = work_open_block(work, block, &open);
    return err == OK ? work_close_block(work, open, add_open_block(names, open)) : err;
}

/*
 * ERR_NOT_FOUND: nothing in it can matter. A damaged block is told even when its names are remembered, because a search
 * would not find what they promise.
 */
static enum err look_into(struct names *names, uint32_t block, const struct catalog_block *entry)
{
    struct work *const work = names->work;
    enum err err = ERR_NOT_FOUND;

    if (!within_time(work->request, &entry->summary)) return ERR_NOT_FOUND;
    if (!entry->fenced)
        err = names_cache_visit(work->names, names->reader, &entry->summary, add_remembered, names);
    if (err != ERR_NOT_FOUND) return err;
    return may_have_service(work, block) ? read_block(names, block) : ERR_NOT_FOUND;
}

static enum err add_block(struct names *names, uint32_t block)
{
    struct work *const work = names->work;
    struct coverage *const coverage = &work->coverage;

    TRY(work_check(work));
    const enum err err = look_into(names, block, catalog_block(work->snapshot.catalog.view, block));
    switch (err) {
    case OK: coverage->blocks++; return OK;
    case ERR_NOT_FOUND: coverage->blocks_skipped++; return OK;
    case ERR_CORRUPT:
    case ERR_IO: coverage->fenced_blocks++; return OK; /* work_is_damage() */
    default: return err;
    }
}

static enum err add_blocks(struct names *names)
{
    for (uint32_t block = catalog_blocks(names->work->snapshot.catalog.view); block-- > 0;)
        TRY(add_block(names, block));
    return OK;
}

static enum err gather(struct names *names)
{
    struct work *const work = names->work;
    struct name_set *const found = &names->found;

    for (unsigned i = 0; i < work->snapshot.live_count; i++)
        TRY(add_live(names, &work->snapshot.live[i]));
    names->reader = arena_alloc(&work->arena, sizeof *names->reader);
    if (names->reader == NULL) return ERR_TOO_LARGE;
    names_cache_begin(work->names, names->reader);
    const enum err err = add_blocks(names);
    names_cache_end(work->names);
    TRY(err);
    if (found->count > 0) qsort(found->list, found->count, sizeof *found->list, name_compare);
    return OK;
}

/* ---- answering ------------------------------------------------------------------------------------------
 */

static enum err answer_names(struct work *work, struct answer *answer, bool services_only)
{
    struct names names = {.work = work,
                          .services_only = services_only,
                          .found = {.arena = &work->arena},
                          .block = {.arena = &work->arena}};
    const struct name_set *const found = &names.found;

    TRY(gather(&names));
    struct json *const json = answer_json_begin(answer);
    json_object_begin(json);
    json_key(json, services_only ? "services" : "operations");
    json_array_begin(json);
    for (size_t i = 0; i < found->count; i++) {
        json_object_begin(json);
        json_key(json, "name");
        json_string(json, services_only ? found->list[i].service : found->list[i].name);
        if (!services_only) {
            json_key(json, "kind");
            json_int(json, found->list[i].kind);
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
