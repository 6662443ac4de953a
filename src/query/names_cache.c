/*
 * Two tables with chains, of names and of blocks, and a list of the blocks by age, under one mutex that is held for
 * one block at a time; what blocks hold is read outside of it.
 *
 * A name counts the blocks that have it and goes with the last one. Its number must not get another meaning while a
 * reader may have it among those it has met, so it is retired, and free only when no reader is left. Should readers
 * overlap without end, numbers run out, and blocks with new names are not remembered until there is a pause.
 */
#include "names_cache.h"

#include "base/assert.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>

enum { BLOCK_PLACES = 1 << 14, NONE = UINT32_MAX /* no number */ };

struct cached_name {
    struct block_operation name; /* in text */
    uint8_t *text;               /* owned: service and name */
    uint32_t next;               /* in its chain, or among the retired or free */
    uint32_t blocks;             /* that have it */
};

struct cached_block {
    struct cached_block *next;          /* in its chain */
    struct cached_block *newer, *older; /* by age */
    uint64_t arrival_ns, seq;
    uint32_t header_crc;
    uint16_t shard;
    uint32_t count;
    uint32_t names[];
};

struct names_cache {
    size_t bytes_max;
    uint64_t seed;
    pthread_mutex_t mutex; /* guards the rest */
    unsigned readers;
    size_t bytes;              /* of names with their place in the table, and of blocks */
    struct cached_name *names; /* by number */
    uint32_t *name_places;     /* the first of each chain */
    uint32_t names_used;       /* numbers from here on were never given */
    uint32_t free_first, retired_first;
    size_t names_count;
    struct cached_block **block_places;
    struct cached_block *newest, *oldest;
    size_t blocks_count;
};

static bool make_tables(struct names_cache *cache)
{
    cache->names = calloc(NAMES_CACHE_NAMES_MAX, sizeof *cache->names);
    cache->name_places = calloc(NAMES_CACHE_NAMES_MAX, sizeof *cache->name_places);
    cache->block_places = calloc(BLOCK_PLACES, sizeof(struct cached_block *));
    if (cache->names == NULL || cache->name_places == NULL || cache->block_places == NULL) return false;
    for (uint32_t i = 0; i < NAMES_CACHE_NAMES_MAX; i++)
        cache->name_places[i] = NONE;
    return true;
}

static void free_all(struct names_cache *cache)
{
    free(cache->names);
    free(cache->name_places);
    free((void *)cache->block_places);
    free(cache);
}

enum err names_cache_open(size_t bytes_max, struct names_cache **out)
{
    struct names_cache *const cache = calloc(1, sizeof *cache);

    if (cache == NULL) return ERR_NO_MEMORY;
    if (!make_tables(cache)) {
        free_all(cache);
        return ERR_NO_MEMORY;
    }
    cache->bytes_max = bytes_max;
    cache->seed = (uint64_t)(uintptr_t)cache->names; /* not for clients to know */
    cache->free_first = cache->retired_first = NONE;
    pthread_mutex_init(&cache->mutex, NULL);
    *out = cache;
    return OK;
}

/* ---- names (under the mutex, as all that follows up to the contract) ------------------------------------ */

static uint32_t *place_of_name(const struct names_cache *cache, const struct block_operation *name)
{
    const uint64_t seed = cache->seed ^ (uint32_t)name->kind;
    const uint64_t service = hash_fast(name->service.ptr, name->service.len, seed);

    return &cache->name_places[hash_fast(name->name.ptr, name->name.len, service) % NAMES_CACHE_NAMES_MAX];
}

/* NONE: it is not here. */
static uint32_t find_name(const struct names_cache *cache, const struct block_operation *name)
{
    uint32_t at = *place_of_name(cache, name);

    for (; at != NONE; at = cache->names[at].next) {
        const struct block_operation *const found = &cache->names[at].name;
        if (found->kind == name->kind && slice_equal(found->service, name->service) &&
            slice_equal(found->name, name->name))
            break;
    }
    return at;
}

static size_t name_bytes(const struct block_operation *name)
{
    return sizeof(struct cached_name) + name->service.len + name->name.len;
}

static uint8_t *copy_text(const struct block_operation *name)
{
    uint8_t *const text = malloc(name->service.len + name->name.len + 1);

    if (text == NULL) return NULL;
    if (name->service.len > 0) memcpy(text, name->service.ptr, name->service.len);
    if (name->name.len > 0) memcpy(text + name->service.len, name->name.ptr, name->name.len);
    return text;
}

/* NONE: numbers or memory have run out. */
static uint32_t take_number(struct names_cache *cache)
{
    const uint32_t number = cache->free_first;

    if (number == NONE) return cache->names_used < NAMES_CACHE_NAMES_MAX ? cache->names_used++ : NONE;
    cache->free_first = cache->names[number].next;
    return number;
}

static void give_number(struct names_cache *cache, uint32_t *first, uint32_t number)
{
    cache->names[number].next = *first;
    *first = number;
}

static uint32_t add_name(struct names_cache *cache, const struct block_operation *name)
{
    uint32_t *const place = place_of_name(cache, name);
    uint8_t *const text = copy_text(name);
    const uint32_t number = text != NULL ? take_number(cache) : NONE;

    if (number == NONE) {
        free(text);
        return NONE;
    }
    cache->names[number] = (struct cached_name){
        .name = {slice_of(text, name->service.len), slice_of(text + name->service.len, name->name.len),
                 name->kind},
        .text = text,
        .next = *place,
    };
    *place = number;
    cache->bytes += name_bytes(name);
    cache->names_count++;
    return number;
}

static void drop_name(struct names_cache *cache, uint32_t number)
{
    struct cached_name *const name = &cache->names[number];
    uint32_t *at = place_of_name(cache, &name->name);

    while (*at != number)
        at = &cache->names[*at].next;
    *at = name->next;
    cache->bytes -= name_bytes(&name->name);
    cache->names_count--;
    free(name->text);
    give_number(cache, &cache->retired_first, number);
}

static void free_retired(struct names_cache *cache)
{
    while (cache->retired_first != NONE) {
        const uint32_t number = cache->retired_first;
        cache->retired_first = cache->names[number].next;
        give_number(cache, &cache->free_first, number);
    }
}

/* ---- blocks --------------------------------------------------------------------------------------------- */

static size_t block_bytes(uint32_t count)
{
    return sizeof(struct cached_block) + count * sizeof(uint32_t);
}

static struct cached_block **place_of_block(const struct names_cache *cache, uint16_t shard, uint64_t seq)
{
    return &cache->block_places[hash_mix(seq, shard) % BLOCK_PLACES];
}

static struct cached_block *find_block(const struct names_cache *cache, const struct block_summary *block)
{
    struct cached_block *found = *place_of_block(cache, block->shard, block->seq);

    while (found != NULL && (found->seq != block->seq || found->shard != block->shard ||
                             found->header_crc != block->header_crc))
        found = found->next;
    return found;
}

/* New blocks are newer than all others, or come from a list that goes from new to old. */
static void link_block(struct names_cache *cache, struct cached_block *block)
{
    struct cached_block **const place = place_of_block(cache, block->shard, block->seq);
    struct cached_block *newer = cache->oldest;

    block->next = *place;
    *place = block;
    if (cache->newest != NULL && block->arrival_ns >= cache->newest->arrival_ns) newer = NULL;
    while (newer != NULL && newer->arrival_ns < block->arrival_ns)
        newer = newer->newer;
    block->newer = newer;
    block->older = newer != NULL ? newer->older : cache->newest;
    *(block->newer != NULL ? &block->newer->older : &cache->newest) = block;
    *(block->older != NULL ? &block->older->newer : &cache->oldest) = block;
    cache->bytes += block_bytes(block->count);
    cache->blocks_count++;
}

static void unlink_block(struct names_cache *cache, struct cached_block *block)
{
    struct cached_block **at = place_of_block(cache, block->shard, block->seq);

    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    *(block->newer != NULL ? &block->newer->older : &cache->newest) = block->older;
    *(block->older != NULL ? &block->older->newer : &cache->oldest) = block->newer;
    cache->bytes -= block_bytes(block->count);
    cache->blocks_count--;
}

/* Frees one that is not linked, or not yet, with the names that only it has. */
static void free_block(struct names_cache *cache, struct cached_block *block)
{
    for (uint32_t i = 0; i < block->count; i++)
        if (--cache->names[block->names[i]].blocks == 0) drop_name(cache, block->names[i]);
    free(block);
}

/* Drops blocks older than this one until that many bytes are left; false: there are not enough of them. */
static bool make_room(struct names_cache *cache, const struct cached_block *block, size_t bytes)
{
    while (cache->bytes + bytes > cache->bytes_max) {
        struct cached_block *const oldest = cache->oldest;
        if (oldest == NULL || oldest->arrival_ns >= block->arrival_ns) return false;
        unlink_block(cache, oldest);
        free_block(cache, oldest);
    }
    return true;
}

/* False: no room; what was filled in so far is the caller's to free. */
static bool fill_block(struct names_cache *cache, struct cached_block *block,
                       const struct block_operation *names, uint32_t count)
{
    const size_t own_bytes = block_bytes(count);

    if (!make_room(cache, block, own_bytes)) return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = find_name(cache, &names[i]);
        if (number == NONE && make_room(cache, block, own_bytes + name_bytes(&names[i])))
            number = add_name(cache, &names[i]);
        if (number == NONE) return false;
        cache->names[number].blocks++;
        block->names[block->count++] = number;
    }
    return true;
}

/* ---- the contract --------------------------------------------------------------------------------------- */

void names_cache_close(struct names_cache *cache)
{
    assert(cache->readers == 0);

    while (cache->oldest != NULL) {
        struct cached_block *const block = cache->oldest;
        unlink_block(cache, block);
        free_block(cache, block);
    }
    assert(cache->names_count == 0 && cache->blocks_count == 0 && cache->bytes == 0);
    pthread_mutex_destroy(&cache->mutex);
    free_all(cache);
}

void names_cache_begin(struct names_cache *cache, struct names_reader *reader)
{
    memset(reader, 0, sizeof *reader);
    pthread_mutex_lock(&cache->mutex);
    cache->readers++;
    pthread_mutex_unlock(&cache->mutex);
}

void names_cache_end(struct names_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    assert(cache->readers > 0);
    if (--cache->readers == 0) free_retired(cache);
    pthread_mutex_unlock(&cache->mutex);
}

static enum err show(const struct names_cache *cache, struct names_reader *reader,
                     const struct cached_block *block, names_visit_fn *visit, void *context)
{
    for (uint32_t i = 0; i < block->count; i++) {
        const uint32_t number = block->names[i];
        const uint64_t bit = 1ull << number % 64;
        if (reader->seen[number / 64] & bit) continue;
        reader->seen[number / 64] |= bit;
        TRY(visit(context, &cache->names[number].name));
    }
    return OK;
}

enum err names_cache_visit(struct names_cache *cache, struct names_reader *reader,
                           const struct block_summary *block, names_visit_fn *visit, void *context)
{
    pthread_mutex_lock(&cache->mutex);
    const struct cached_block *const found = find_block(cache, block);
    const enum err err = found != NULL ? show(cache, reader, found, visit, context) : ERR_NOT_FOUND;
    pthread_mutex_unlock(&cache->mutex);
    return err;
}

void names_cache_add(struct names_cache *cache, const struct block_summary *block,
                     const struct block_operation *names, uint32_t count)
{
    assert(count <= NAMES_CACHE_BLOCK_MAX);

    struct cached_block *const made = malloc(block_bytes(count));
    if (made == NULL) return;
    *made = (struct cached_block){.arrival_ns = block->arrival_max_ns,
                                  .seq = block->seq,
                                  .shard = block->shard,
                                  .header_crc = block->header_crc};
    pthread_mutex_lock(&cache->mutex);
    const bool news = find_block(cache, block) == NULL;
    if (news && fill_block(cache, made, names, count))
        link_block(cache, made);
    else
        free_block(cache, made);
    pthread_mutex_unlock(&cache->mutex);
}

struct names_cache_load names_cache_load(struct names_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    const struct names_cache_load load = {cache->blocks_count, cache->names_count, cache->bytes};
    pthread_mutex_unlock(&cache->mutex);
    return load;
}
