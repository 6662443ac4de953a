/*
 * Two hash tables over one arena: names, and blocks. An arena cannot give back a part, and nothing here is
 * worth keeping at a price, so a full cache starts again from nothing.
 */
#include "names_cache.h"

#include "base/hash.h"

void names_cache_init(struct names_cache *cache, size_t bytes_max)
{
    *cache = (struct names_cache){.generation = 1};
    arena_init(&cache->arena, bytes_max);
    pthread_mutex_init(&cache->mutex, NULL);
}

void names_cache_deinit(struct names_cache *cache)
{
    arena_reset(&cache->arena);
    pthread_mutex_destroy(&cache->mutex);
}

static void forget_all(struct names_cache *cache)
{
    arena_reset(&cache->arena);
    cache->generation++;
    cache->names = NULL;
    cache->name_places = NULL;
    cache->blocks = NULL;
    cache->names_count = cache->names_capacity = cache->name_places_count = 0;
    cache->blocks_count = cache->block_places_count = 0;
}

/* ---- names ----------------------------------------------------------------------------------------------
 */

static size_t name_place(const struct names_cache *cache, const struct block_operation *name)
{
    const uint64_t service = hash_fast(name->service.ptr, name->service.len, (uint32_t)name->kind);
    size_t at = hash_fast(name->name.ptr, name->name.len, service) & (cache->name_places_count - 1);

    for (; cache->name_places[at] != 0; at = (at + 1) & (cache->name_places_count - 1)) {
        const struct cached_name *const found = &cache->names[cache->name_places[at] - 1];
        if (found->kind == name->kind && slice_equal(found->service, name->service) &&
            slice_equal(found->name, name->name))
            break;
    }
    return at;
}

static bool grow_names(struct names_cache *cache)
{
    if (cache->names_count == NAMES_CACHE_NAMES_MAX) return false;
    if (cache->names_count == cache->names_capacity) {
        void *const names = arena_grow(&cache->arena, cache->names, sizeof *cache->names, cache->names_count,
                                       1024, &cache->names_capacity);
        if (names == NULL) return false;
        cache->names = names;
    }
    if (2 * (cache->names_count + 1) <= cache->name_places_count) return true;
    cache->name_places_count = cache->name_places_count == 0 ? 4096 : cache->name_places_count * 2;
    cache->name_places = arena_alloc(&cache->arena, cache->name_places_count * sizeof *cache->name_places);
    if (cache->name_places == NULL) return false;
    for (size_t i = 0; i < cache->names_count; i++) {
        const struct block_operation name = {cache->names[i].service, cache->names[i].name,
                                             cache->names[i].kind};
        cache->name_places[name_place(cache, &name)] = (uint32_t)i + 1;
    }
    return true;
}

/* false: no room. */
static bool number_of(struct names_cache *cache, const struct block_operation *name, uint32_t *number)
{
    if (!grow_names(cache)) return false;
    const size_t at = name_place(cache, name);
    if (cache->name_places[at] == 0) {
        struct cached_name *const added = &cache->names[cache->names_count];
        *added = (struct cached_name){arena_copy(&cache->arena, name->service),
                                      arena_copy(&cache->arena, name->name), name->kind};
        if ((name->service.len > 0 && added->service.ptr == NULL) ||
            (name->name.len > 0 && added->name.ptr == NULL))
            return false;
        cache->name_places[at] = (uint32_t)++cache->names_count;
    }
    *number = cache->name_places[at] - 1;
    return true;
}

/* ---- blocks ---------------------------------------------------------------------------------------------
 */

static size_t block_place(const struct names_cache *cache, const struct block_summary *block)
{
    size_t at = hash_mix(block->seq, block->shard) & (cache->block_places_count - 1);

    for (; cache->blocks[at].names != NULL; at = (at + 1) & (cache->block_places_count - 1)) {
        const struct cached_block *const found = &cache->blocks[at];
        if (found->seq == block->seq && found->shard == block->shard &&
            found->header_crc == block->header_crc)
            break;
    }
    return at;
}

static bool grow_blocks(struct names_cache *cache)
{
    struct cached_block *const old = cache->blocks;
    const size_t old_count = cache->block_places_count;

    if (2 * (cache->blocks_count + 1) <= old_count) return true;
    cache->block_places_count = old_count == 0 ? 64 : old_count * 2;
    cache->blocks = arena_alloc(&cache->arena, cache->block_places_count * sizeof *cache->blocks);
    if (cache->blocks == NULL) return false;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].names == NULL) continue;
        const struct block_summary block = {
            .shard = old[i].shard, .seq = old[i].seq, .header_crc = old[i].header_crc};
        cache->blocks[block_place(cache, &block)] = old[i];
    }
    return true;
}

static enum err fill(struct names_cache *cache, struct block_reader *reader, struct cached_block *out)
{
    const uint32_t count = block_operations(reader);

    out->names = arena_alloc(&cache->arena, (count + 1) * sizeof *out->names);
    if (out->names == NULL) return ERR_FULL;
    for (uint32_t i = 0; i < count; i++) {
        struct block_operation operation;
        TRY(block_operation(reader, i, &operation));
        if (!number_of(cache, &operation, &out->names[i])) return ERR_FULL;
    }
    out->count = count;
    return OK;
}

static void mark(struct name_marks *marks, const struct cached_block *block)
{
    for (uint32_t i = 0; i < block->count; i++)
        marks->bits[block->names[i] / 64] |= 1ull << block->names[i] % 64;
}

static enum err add(struct names_cache *cache, struct block_reader *reader, struct name_marks *marks)
{
    const struct block_summary *const summary = block_summary(reader);
    struct cached_block made = {
        .shard = summary->shard, .seq = summary->seq, .header_crc = summary->header_crc};

    if (marks->generation != cache->generation) return ERR_BUSY;
    const enum err err = grow_blocks(cache) ? fill(cache, reader, &made) : ERR_FULL;
    if (err == ERR_FULL) {
        forget_all(cache);
        return ERR_BUSY;
    }
    TRY(err);
    const size_t at = block_place(cache, summary);
    cache->blocks_count += cache->blocks[at].names == NULL;
    cache->blocks[at] = made;
    mark(marks, &made);
    return OK;
}

/* ---- marks ----------------------------------------------------------------------------------------------
 */

void name_marks_init(struct name_marks *marks, struct names_cache *cache)
{
    memset(marks, 0, sizeof *marks);
    pthread_mutex_lock(&cache->mutex);
    marks->generation = cache->generation;
    pthread_mutex_unlock(&cache->mutex);
}

enum err names_cache_add(struct names_cache *cache, struct block_reader *reader, struct name_marks *marks)
{
    pthread_mutex_lock(&cache->mutex);
    const enum err err = add(cache, reader, marks);
    pthread_mutex_unlock(&cache->mutex);
    return err;
}

enum err names_cache_mark(struct names_cache *cache, const struct block_summary *block,
                          struct name_marks *marks)
{
    enum err err = ERR_NOT_FOUND;

    pthread_mutex_lock(&cache->mutex);
    if (marks->generation != cache->generation) {
        err = ERR_BUSY;
    } else if (cache->block_places_count > 0) {
        const struct cached_block *const found = &cache->blocks[block_place(cache, block)];
        if (found->names != NULL) {
            mark(marks, found);
            err = OK;
        }
    }
    pthread_mutex_unlock(&cache->mutex);
    return err;
}

static enum err visit_marked(const struct names_cache *cache, const struct name_marks *marks,
                             names_visit_fn *visit, void *context)
{
    if (marks->generation != cache->generation) return ERR_BUSY;
    for (size_t i = 0; i < cache->names_count; i++)
        if (marks->bits[i / 64] >> i % 64 & 1)
            TRY(visit(context, cache->names[i].service, cache->names[i].name, cache->names[i].kind));
    return OK;
}

enum err names_cache_visit(struct names_cache *cache, const struct name_marks *marks, names_visit_fn *visit,
                           void *context)
{
    pthread_mutex_lock(&cache->mutex);
    const enum err err = visit_marked(cache, marks, visit, context);
    pthread_mutex_unlock(&cache->mutex);
    return err;
}
