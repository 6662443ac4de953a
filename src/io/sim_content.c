/* Copy on write in two steps, table and chunk; see sim_content.h. Running out of memory ends the test. */
#include "sim_content.h"

#include "base/assert.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
    uint32_t refs;
    bool hashed; /* since it was last written */
    uint64_t hash;
    uint8_t bytes[CONTENT_CHUNK_BYTES];
};

struct content_table {
    uint32_t refs;
    size_t count;
    struct chunk *chunk[];
};

static struct content_table *table_make(size_t count)
{
    struct content_table *const table = calloc(1, sizeof *table + count * sizeof table->chunk[0]);
    assert(table != NULL);

    table->refs = 1;
    table->count = count;
    return table;
}

static void chunk_release(struct chunk *chunk)
{
    if (chunk != NULL && --chunk->refs == 0) free(chunk);
}

void content_share(struct content *content, const struct content *from)
{
    if (from->table != NULL) from->table->refs++;
    content_release(content);
    content->table = from->table;
}

void content_release(struct content *content)
{
    struct content_table *const table = content->table;

    content->table = NULL;
    if (table == NULL || --table->refs > 0) return;
    for (size_t i = 0; i < table->count; i++)
        chunk_release(table->chunk[i]);
    free(table);
}

/* A table of our own with room for at least `count` chunks. */
static struct content_table *own_table(struct content *content, size_t count)
{
    struct content_table *const old = content->table;
    if (old != NULL && old->refs == 1 && old->count >= count) return old;

    const size_t old_count = old != NULL ? old->count : 0;
    struct content_table *const table = table_make(count > old_count ? count + count / 4 : old_count);
    for (size_t i = 0; i < old_count; i++) {
        table->chunk[i] = old->chunk[i];
        if (table->chunk[i] != NULL) table->chunk[i]->refs++;
    }
    content_release(content);
    content->table = table;
    return table;
}

/* To be written: what is known of its bytes is forgotten. */
static struct chunk *own_chunk(struct content_table *table, size_t index)
{
    struct chunk *const old = table->chunk[index];
    if (old != NULL && old->refs == 1) {
        old->hashed = false;
        return old;
    }

    struct chunk *const chunk = old != NULL ? malloc(sizeof *chunk) : calloc(1, sizeof *chunk);
    assert(chunk != NULL);
    if (old != NULL) memcpy(chunk->bytes, old->bytes, sizeof chunk->bytes);
    chunk->hashed = false;
    chunk->refs = 1;
    chunk_release(old);
    table->chunk[index] = chunk;
    return chunk;
}

/* The part of [offset, offset + len) that stands in the chunk of offset. */
static size_t within_chunk(uint64_t offset, size_t len)
{
    const size_t room = CONTENT_CHUNK_BYTES - (size_t)(offset % CONTENT_CHUNK_BYTES);

    return len < room ? len : room;
}

void content_read(const struct content *content, uint64_t offset, void *bytes, size_t len)
{
    const struct content_table *const table = content->table;

    for (size_t done = 0; done < len;) {
        const uint64_t at = offset + done;
        const size_t index = (size_t)(at / CONTENT_CHUNK_BYTES), count = within_chunk(at, len - done);
        const struct chunk *const chunk = table != NULL && index < table->count ? table->chunk[index] : NULL;
        if (chunk != NULL)
            memcpy((uint8_t *)bytes + done, chunk->bytes + at % CONTENT_CHUNK_BYTES, count);
        else
            memset((uint8_t *)bytes + done, 0, count);
        done += count;
    }
}

void content_write(struct content *content, uint64_t offset, const void *bytes, size_t len)
{
    if (len == 0) return;
    const size_t needed = (size_t)((offset + len - 1) / CONTENT_CHUNK_BYTES) + 1;
    struct content_table *const table = own_table(content, needed);

    for (size_t done = 0; done < len;) {
        const uint64_t at = offset + done;
        const size_t count = within_chunk(at, len - done);
        struct chunk *const chunk = own_chunk(table, (size_t)(at / CONTENT_CHUNK_BYTES));
        memcpy(chunk->bytes + at % CONTENT_CHUNK_BYTES, (const uint8_t *)bytes + done, count);
        done += count;
    }
}

void content_cut(struct content *content, uint64_t offset)
{
    if (content->table == NULL || offset >= (uint64_t)content->table->count * CONTENT_CHUNK_BYTES) return;
    struct content_table *const table = own_table(content, 0);
    const size_t first_whole = (size_t)((offset + CONTENT_CHUNK_BYTES - 1) / CONTENT_CHUNK_BYTES);

    for (size_t i = first_whole; i < table->count; i++) {
        chunk_release(table->chunk[i]);
        table->chunk[i] = NULL;
    }
    const size_t keep = (size_t)(offset % CONTENT_CHUNK_BYTES);
    if (keep == 0 || table->chunk[first_whole - 1] == NULL) return;
    struct chunk *const chunk = own_chunk(table, first_whole - 1);
    memset(chunk->bytes + keep, 0, CONTENT_CHUNK_BYTES - keep);
}

/* Of the chunk, remembered: worlds share chunks, so most of a forked one has been hashed before. */
static uint64_t chunk_hash(struct chunk *chunk)
{
    if (!chunk->hashed) chunk->hash = hash_fast(chunk->bytes, sizeof chunk->bytes, 0);
    chunk->hashed = true;
    return chunk->hash;
}

uint64_t content_hash(const struct content *content)
{
    static struct chunk zeros;
    const struct content_table *const table = content->table;
    uint64_t hash = 0;

    for (size_t i = 0; table != NULL && i < table->count; i++) {
        if (table->chunk[i] == NULL || chunk_hash(table->chunk[i]) == chunk_hash(&zeros)) continue;
        hash += hash_mix(table->chunk[i]->hash, i);
    }
    return hash;
}
