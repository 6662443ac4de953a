/*
 * A dozen entries, searched from the first; the one used longest ago goes. Memory is looked at after each
 * query, when the readers have grown as far as they will.
 */
#include "block_cache.h"

#include "base/assert.h"

#include <stdlib.h>

void block_cache_init(struct block_cache *cache, struct catalog *catalog, size_t bytes_max)
{
    *cache = (struct block_cache){.catalog = catalog, .bytes_max = bytes_max};
}

/* ---- versions -------------------------------------------------------------------------------------------
 */

static struct held_view *find_view(struct block_cache *cache, const struct catalog_view *view)
{
    for (unsigned i = 0; i < BLOCK_CACHE_VIEWS; i++)
        if (cache->views[i].view == view) return &cache->views[i];
    return NULL;
}

static void drop_view(struct block_cache *cache, const struct catalog_view *view)
{
    struct held_view *const held = find_view(cache, view);

    assert(held != NULL && held->holds > 0);
    if (--held->holds > 0) return;
    catalog_release(cache->catalog, held->view);
    held->view = NULL;
}

static void evict(struct block_cache *cache, unsigned index)
{
    struct open_block *const open = cache->entries[index];

    assert(!open->busy);
    block_close(open->reader);
    drop_view(cache, open->view);
    free(open);
    cache->entries[index] = NULL;
}

const struct catalog_view *block_cache_view(struct block_cache *cache)
{
    const struct catalog_view *const view = catalog_acquire(cache->catalog);
    struct held_view *held = find_view(cache, view);

    if (held != NULL) {
        catalog_release(cache->catalog, view); /* one hold of the catalog's is enough */
    } else {
        held = find_view(cache, NULL);
        assert(held != NULL); /* one more than entries */
        *held = (struct held_view){view, 0};
    }
    held->holds++;
    cache->queries++;
    return view;
}

/* ---- blocks ---------------------------------------------------------------------------------------------
 */

static struct open_block *find_block(struct block_cache *cache, const struct catalog_block *entry)
{
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        struct open_block *const open = cache->entries[i];
        if (open != NULL && open->shard == entry->summary.shard && open->seq == entry->summary.seq &&
            open->header_crc == entry->summary.header_crc)
            return open;
    }
    return NULL;
}

/* A free place, or that of the entry used longest ago; -1: all are busy. */
static int place_for_one(struct block_cache *cache)
{
    int oldest = -1;

    for (int i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        const struct open_block *const open = cache->entries[i];
        if (open == NULL) return i;
        if (!open->busy && (oldest < 0 || open->used < cache->entries[oldest]->used)) oldest = i;
    }
    if (oldest >= 0) evict(cache, (unsigned)oldest);
    return oldest;
}

enum err block_cache_open(struct block_cache *cache, const struct catalog_view *view, struct io *io,
                          uint32_t block, struct open_block **out)
{
    const struct catalog_block *const entry = catalog_block(view, block);
    struct open_block *open = entry->fenced ? NULL : find_block(cache, entry);

    if (open == NULL) {
        const int place = place_for_one(cache);
        assert(place >= 0); /* a query has few open at once */
        open = calloc(1, sizeof *open);
        if (open == NULL) return ERR_NO_MEMORY;
        const enum err err = catalog_open_block(view, io, block, &open->source, &open->reader);
        if (err != OK) {
            free(open);
            return err;
        }
        open->view = view;
        open->shard = entry->summary.shard;
        open->seq = entry->summary.seq;
        open->header_crc = entry->summary.header_crc;
        find_view(cache, view)->holds++;
        cache->entries[place] = open;
    }
    assert(!open->busy);
    open->busy = true;
    open->used = cache->queries;
    *out = open;
    return OK;
}

void block_cache_close(struct block_cache *cache, struct open_block *open, bool keep)
{
    open->busy = false;
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES && !keep; i++)
        if (cache->entries[i] == open) {
            evict(cache, i);
            return;
        }
}

static size_t held_bytes(const struct block_cache *cache, unsigned *oldest)
{
    size_t bytes = 0;

    *oldest = BLOCK_CACHE_ENTRIES;
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        if (cache->entries[i] == NULL) continue;
        bytes += block_memory(cache->entries[i]->reader);
        if (*oldest == BLOCK_CACHE_ENTRIES || cache->entries[i]->used < cache->entries[*oldest]->used)
            *oldest = i;
    }
    return bytes;
}

void block_cache_settle(struct block_cache *cache, const struct catalog_view *view)
{
    unsigned oldest;

    while (held_bytes(cache, &oldest) > cache->bytes_max)
        evict(cache, oldest);
    drop_view(cache, view);
}

void block_cache_deinit(struct block_cache *cache)
{
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++)
        if (cache->entries[i] != NULL) evict(cache, i);
}
