/*
 * The table holds what is kept, not what is in use: opening takes an entry out, closing puts it back. So threads
 * share nothing but the tables, and blocks are read, freed and versions released outside of the mutex.
 */
#include "block_cache.h"

#include "base/assert.h"

#include <stdlib.h>

void block_cache_init(struct block_cache *cache, struct catalog *catalog, size_t bytes_max)
{
    *cache = (struct block_cache){.catalog = catalog, .bytes_max = bytes_max};
    pthread_mutex_init(&cache->mutex, NULL);
}

/* ---- versions ------------------------------------------------------------------------------------------- */

/* The entry of this version, else a free one. Under the mutex. */
static struct held_view *find_view(struct block_cache *cache, const struct catalog_view *view)
{
    struct held_view *unused = NULL;

    for (unsigned i = 0; i < BLOCK_CACHE_VIEWS; i++) {
        struct held_view *const held = &cache->views[i];
        if (held->view == view) return held;
        if (held->view == NULL) unused = held;
    }
    assert(unused != NULL); /* one for each that may hold one */
    return unused;
}

/* The last one to drop a version gives it back to the catalog. */
static void drop_view(struct block_cache *cache, struct held_view *held)
{
    const struct catalog_view *unheld = NULL;

    pthread_mutex_lock(&cache->mutex);
    assert(held->view != NULL && held->holds > 0);
    if (--held->holds == 0) {
        unheld = held->view;
        held->view = NULL;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (unheld != NULL) catalog_release(cache->catalog, unheld);
}

/* Takes over a hold of the catalog's. */
static struct cache_view view_held(struct block_cache *cache, const struct catalog_view *view)
{
    pthread_mutex_lock(&cache->mutex);
    struct held_view *const held = find_view(cache, view);
    const bool again = held->view == view;
    held->view = view;
    held->holds++;
    const uint64_t query = ++cache->queries;
    pthread_mutex_unlock(&cache->mutex);
    if (again) catalog_release(cache->catalog, view); /* one hold of the catalog's is enough */
    return (struct cache_view){view, held, query};
}

struct cache_view block_cache_view(struct block_cache *cache)
{
    return view_held(cache, catalog_acquire(cache->catalog));
}

struct cache_view block_cache_view_of(struct block_cache *cache, const struct catalog_view *view)
{
    catalog_hold(cache->catalog, view);
    return view_held(cache, view);
}

void block_cache_settle(struct block_cache *cache, const struct cache_view *view)
{
    drop_view(cache, view->held);
}

/* ---- the table (under the mutex) ------------------------------------------------------------------------ */

static struct open_block *take_out(struct block_cache *cache, unsigned index)
{
    struct open_block *const open = cache->entries[index];

    cache->entries[index] = NULL;
    cache->bytes -= open->bytes;
    return open;
}

/* NULL: it is not kept, or in use. */
static struct open_block *take(struct block_cache *cache, const struct block_summary *summary)
{
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        const struct open_block *const open = cache->entries[i];
        if (open != NULL && open->shard == summary->shard && open->seq == summary->seq &&
            open->header_crc == summary->header_crc)
            return take_out(cache, i);
    }
    return NULL;
}

static bool goes_before(const struct open_block *a, const struct open_block *b)
{
    return a->used != b->used ? a->used < b->used : a->arrival_ns < b->arrival_ns;
}

/*
 * The one used longest ago, but before that query; NULL: there is none. Of those that the same query has used, the
 * one with the oldest spans: the next query comes to it last, so that one new block does not drive out another just
 * before that is wanted.
 */
static struct open_block *take_oldest(struct block_cache *cache, uint64_t before_query)
{
    int oldest = -1;

    for (int i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        const struct open_block *const open = cache->entries[i];
        if (open != NULL && open->used < before_query &&
            (oldest < 0 || goes_before(open, cache->entries[oldest])))
            oldest = i;
    }
    return oldest < 0 ? NULL : take_out(cache, (unsigned)oldest);
}

static bool put(struct block_cache *cache, struct open_block *open)
{
    if (open->bytes > cache->bytes_max - cache->bytes) return false;
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES; i++) {
        if (cache->entries[i] != NULL) continue;
        cache->entries[i] = open;
        cache->bytes += open->bytes;
        return true;
    }
    return false;
}

/* ---- blocks --------------------------------------------------------------------------------------------- */

static enum err open_anew(struct block_cache *cache, const struct cache_view *view, struct io *io,
                          uint32_t block, struct open_block **out)
{
    const struct block_summary *const summary = &catalog_block(view->view, block)->summary;
    struct open_block *const open = calloc(1, sizeof *open);

    if (open == NULL) return ERR_NO_MEMORY;
    const enum err err = catalog_open_block(view->view, io, block, &open->source, &open->reader);
    if (err != OK) {
        free(open);
        return err;
    }
    open->held = view->held;
    open->shard = summary->shard;
    open->seq = summary->seq;
    open->header_crc = summary->header_crc;
    open->arrival_ns = summary->arrival_max_ns;
    pthread_mutex_lock(&cache->mutex);
    open->held->holds++;
    pthread_mutex_unlock(&cache->mutex);
    *out = open;
    return OK;
}

static void destroy(struct block_cache *cache, struct open_block *open)
{
    block_close(open->reader);
    drop_view(cache, open->held);
    free(open);
}

/* A kept block that was fenced meanwhile is not used; it goes when it is the oldest. */
enum err block_cache_open(struct block_cache *cache, const struct cache_view *view, struct io *io,
                          uint32_t block, struct open_block **out)
{
    const struct catalog_block *const entry = catalog_block(view->view, block);
    struct open_block *open = NULL;

    if (!entry->fenced) {
        pthread_mutex_lock(&cache->mutex);
        open = take(cache, &entry->summary);
        pthread_mutex_unlock(&cache->mutex);
    }
    if (open == NULL) TRY(open_anew(cache, view, io, block, &open));
    open->source.io = io;
    open->used = view->query;
    open->charged_bytes = 0;
    *out = open;
    return OK;
}

/* True: it is kept. Else there was no room, and *oldest (NULL: none that may go) was taken out to make some. */
static bool keep_or_make_room(struct block_cache *cache, struct open_block *open, struct open_block **oldest)
{
    pthread_mutex_lock(&cache->mutex);
    const bool kept = put(cache, open);
    *oldest = kept ? NULL : take_oldest(cache, open->used);
    pthread_mutex_unlock(&cache->mutex);
    return kept;
}

void block_cache_close(struct block_cache *cache, struct open_block *open, bool keep)
{
    struct open_block *oldest;

    open->bytes = block_memory(open->reader);
    while (keep && open->bytes <= cache->bytes_max) {
        if (keep_or_make_room(cache, open, &oldest)) return;
        keep = oldest != NULL;
        if (keep) destroy(cache, oldest);
    }
    destroy(cache, open);
}

static struct open_block *take_old(struct block_cache *cache, const struct catalog_view *current)
{
    struct open_block *open = NULL;

    pthread_mutex_lock(&cache->mutex);
    for (unsigned i = 0; i < BLOCK_CACHE_ENTRIES && open == NULL; i++)
        if (cache->entries[i] != NULL && cache->entries[i]->held->view != current) open = take_out(cache, i);
    pthread_mutex_unlock(&cache->mutex);
    return open;
}

void block_cache_forget_old(struct block_cache *cache)
{
    const struct catalog_view *const current = catalog_acquire(cache->catalog);
    struct open_block *open;

    while ((open = take_old(cache, current)) != NULL)
        destroy(cache, open);
    catalog_release(cache->catalog, current);
}

void block_cache_deinit(struct block_cache *cache)
{
    struct open_block *open;

    while ((open = take_oldest(cache, UINT64_MAX)) != NULL)
        destroy(cache, open);
    for (unsigned i = 0; i < BLOCK_CACHE_VIEWS; i++)
        assert(cache->views[i].view == NULL);
    pthread_mutex_destroy(&cache->mutex);
}
