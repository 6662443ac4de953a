/*
 * What is in use is not in the table: opening takes an entry out, closing puts it back. So nothing is shared
 * but the table, and the mutex is held for a search of some dozen entries. Blocks are opened and freed outside
 * of it.
 *
 * At most one version per kept block, per block in use and per query is held; BLOCK_CACHE_VIEWS has room for
 * all of them, since versions change a few times a second at most and one thread uses few blocks at a time.
 */
#include "block_cache.h"

#include "base/assert.h"

#include <stdlib.h>

void block_cache_init(struct block_cache *cache, struct catalog *catalog, size_t bytes_max)
{
    *cache = (struct block_cache){.catalog = catalog, .bytes_max = bytes_max};
    pthread_mutex_init(&cache->mutex, NULL);
}

/* ---- versions (under the mutex) -------------------------------------------------------------------------
 */

static struct held_view *find_view(struct block_cache *cache, const struct catalog_view *view)
{
    for (unsigned i = 0; i < BLOCK_CACHE_VIEWS; i++)
        if (cache->views[i].view == view) return &cache->views[i];
    unreachable("more versions than users of them, or one that is not held");
}

static bool is_held(const struct block_cache *cache, const struct catalog_view *view)
{
    for (unsigned i = 0; i < BLOCK_CACHE_VIEWS; i++)
        if (cache->views[i].view == view) return true;
    return false;
}

static void hold_view(struct block_cache *cache, const struct catalog_view *view)
{
    find_view(cache, view)->holds++;
}

static void drop_view(struct block_cache *cache, const struct catalog_view *view)
{
    struct held_view *const held = find_view(cache, view);

    assert(held->holds > 0);
    if (--held->holds > 0) return;
    catalog_release(cache->catalog, held->view);
    held->view = NULL;
}

const struct catalog_view *block_cache_view(struct block_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    const struct catalog_view *const view = catalog_acquire(cache->catalog);
    if (is_held(cache, view))
        catalog_release(cache->catalog, view); /* one hold of the catalog's is enough */
    else
        find_view(cache, NULL)->view = view;
    hold_view(cache, view);
    cache->queries++;
    pthread_mutex_unlock(&cache->mutex);
    return view;
}

void block_cache_settle(struct block_cache *cache, const struct catalog_view *view)
{
    pthread_mutex_lock(&cache->mutex);
    drop_view(cache, view);
    pthread_mutex_unlock(&cache->mutex);
}

/* ---- the table (under the mutex) ------------------------------------------------------------------------
 */

static struct open_block *take_out(struct block_cache *cache, unsigned index)
{
    struct open_block *const open = cache->entries[index];

    cache->entries[index] = NULL;
    cache->bytes -= open->bytes;
    return open;
}

static struct open_block *take_block(struct block_cache *cache, const struct block_summary *summary)
{
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        const struct open_block *const open = cache->entries[i];
        if (open != NULL && open->shard == summary->shard && open->seq == summary->seq &&
            open->header_crc == summary->header_crc)
            return take_out(cache, i);
    }
    return NULL;
}

/* The entry used longest ago; NULL: there is none. */
static struct open_block *take_oldest(struct block_cache *cache)
{
    int oldest = -1;

    for (int i = 0; i < BLOCK_CACHE_ENTRIES; i++)
        if (cache->entries[i] != NULL &&
            (oldest < 0 || cache->entries[i]->used < cache->entries[oldest]->used))
            oldest = i;
    return oldest < 0 ? NULL : take_out(cache, (unsigned)oldest);
}

static bool put(struct block_cache *cache, struct open_block *open)
{
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        if (cache->entries[i] != NULL) continue;
        cache->entries[i] = open;
        cache->bytes += open->bytes;
        return true;
    }
    return false;
}

/* ---- blocks ---------------------------------------------------------------------------------------------
 */

static void destroy(struct block_cache *cache, struct open_block *open)
{
    block_close(open->reader);
    pthread_mutex_lock(&cache->mutex);
    drop_view(cache, open->view);
    pthread_mutex_unlock(&cache->mutex);
    free(open);
}

static enum err open_anew(struct block_cache *cache, const struct catalog_view *view, struct io *io,
                          uint32_t block, struct open_block **out)
{
    const struct block_summary *const summary = &catalog_block(view, block)->summary;
    struct open_block *const open = calloc(1, sizeof *open);

    if (open == NULL) return ERR_NO_MEMORY;
    const enum err err = catalog_open_block(view, io, block, &open->source, &open->reader);
    if (err != OK) {
        free(open);
        return err;
    }
    open->view = view;
    open->shard = summary->shard;
    open->seq = summary->seq;
    open->header_crc = summary->header_crc;
    pthread_mutex_lock(&cache->mutex);
    hold_view(cache, view);
    pthread_mutex_unlock(&cache->mutex);
    *out = open;
    return OK;
}

enum err block_cache_open(struct block_cache *cache, const struct catalog_view *view, struct io *io,
                          uint32_t block, struct open_block **out)
{
    const struct catalog_block *const entry = catalog_block(view, block);
    struct open_block *open = NULL;

    if (!entry->fenced) {
        pthread_mutex_lock(&cache->mutex);
        open = take_block(cache, &entry->summary);
        pthread_mutex_unlock(&cache->mutex);
    }
    if (open == NULL) TRY(open_anew(cache, view, io, block, &open));
    open->source.io = io;
    open->charged_bytes = 0;
    *out = open;
    return OK;
}

void block_cache_close(struct block_cache *cache, struct open_block *open, bool keep)
{
    bool room = false;

    open->bytes = block_memory(open->reader);
    if (!keep || open->bytes > cache->bytes_max) {
        destroy(cache, open);
        return;
    }
    while (!room) {
        pthread_mutex_lock(&cache->mutex);
        open->used = cache->queries;
        room = cache->bytes + open->bytes <= cache->bytes_max && put(cache, open);
        struct open_block *const oldest = room ? NULL : take_oldest(cache);
        pthread_mutex_unlock(&cache->mutex);
        if (oldest != NULL) destroy(cache, oldest);
    }
}

void block_cache_deinit(struct block_cache *cache)
{
    struct open_block *open;

    while ((open = take_oldest(cache)) != NULL)
        destroy(cache, open);
    pthread_mutex_destroy(&cache->mutex);
}
