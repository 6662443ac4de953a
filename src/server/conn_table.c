/*
 * The table of connections: slots, the blocks that they borrow while bytes are on the way, the list of idle
 * ones by age, and deadlines.
 *
 * All of it is reserved when the server opens and touched as it is used. An idle connection holds its slot
 * (about a kilobyte) and no block. Blocks stand at page boundaries and go out last in, first out, so a
 * thousand slow heads of a few bytes touch one page each, and normal traffic stays in the same few blocks.
 */
#include "conn.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define poison(ptr, len)   ASAN_POISON_MEMORY_REGION(ptr, len)
#define unpoison(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define poison(ptr, len)   ((void)0)
#define unpoison(ptr, len) ((void)0)
#endif

static_assert(sizeof(struct conn) <= 2048, "what an idle connection may cost");

/* A head and an answer of every connection, and early input of a quarter of them; with TLS a record and encrypted input. */
static unsigned blocks_count(const struct server *server)
{
    const unsigned of_each = server->config.tls != NULL ? 3 : 2,
                   of_a_quarter = server->config.tls != NULL ? 2 : 1;

    return server->slots * of_each + server->slots / 4 * of_a_quarter;
}

static enum err block_pool_open(struct server *server)
{
    struct block_pool *const pool = &server->blocks;
    const unsigned chunks = (blocks_count(server) + BLOCKS_PER_CHUNK - 1) / BLOCKS_PER_CHUNK;

    pool->count = chunks * BLOCKS_PER_CHUNK;
    pool->chunks = calloc(chunks, sizeof *pool->chunks);
    pool->free = malloc(pool->count * sizeof *pool->free);
    if (pool->chunks == NULL || pool->free == NULL) return ERR_NO_MEMORY;
    for (; pool->chunks_count < chunks; pool->chunks_count++) {
        uint8_t *const chunk = io_memory(BLOCKS_PER_CHUNK * BLOCK_BYTES);
        if (chunk == NULL) return ERR_NO_MEMORY;
        pool->chunks[pool->chunks_count] = chunk;
        for (unsigned i = 0; i < BLOCKS_PER_CHUNK; i++)
            pool->free[pool->free_count++] = chunk + (size_t)i * BLOCK_BYTES;
        poison(chunk, BLOCKS_PER_CHUNK * BLOCK_BYTES);
    }
    return OK;
}

static void block_pool_close(struct block_pool *pool)
{
    for (unsigned i = 0; i < pool->chunks_count; i++) {
        unpoison(pool->chunks[i], BLOCKS_PER_CHUNK * BLOCK_BYTES);
        io_memory_free(pool->chunks[i], BLOCKS_PER_CHUNK * BLOCK_BYTES);
    }
    free(pool->chunks);
    free(pool->free);
}

uint8_t *block_take(struct server *server)
{
    struct block_pool *const pool = &server->blocks;

    if (pool->free_count == 0) return NULL;
    uint8_t *const block = pool->free[--pool->free_count];
    unpoison(block, BLOCK_BYTES);
    return block;
}

void block_give(struct server *server, uint8_t *block)
{
    struct block_pool *const pool = &server->blocks;

    assert(pool->free_count < pool->count);

    if (pool->count - pool->free_count > BLOCKS_WARM) io_memory_forget(block, BLOCK_BYTES);
    poison(block, BLOCK_BYTES);
    pool->free[pool->free_count++] = block;
}

enum err conn_table_open(struct server *server)
{
    server->slots = server->config.limits.conns_max + CONN_SPARE;
    server->conns = io_memory(server->slots * sizeof *server->conns);
    server->deadline_ns = malloc(server->slots * sizeof *server->deadline_ns);
    server->generations = calloc(server->slots, sizeof *server->generations);
    if (server->conns == NULL || server->deadline_ns == NULL || server->generations == NULL)
        return ERR_NO_MEMORY;
    TRY(source_table_open(&server->sources, server->slots, server->random));
    TRY(block_pool_open(server));

    server->idle_oldest = server->idle_newest = server->starving_first = server->free_first = CONN_NONE;
    server->touched_first = CONN_NONE;
    for (unsigned i = server->slots; i-- > 0;) {
        server->deadline_ns[i] = UINT64_MAX;
        server->conns[i].free_next = server->free_first;
        server->free_first = (int32_t)i;
    }
    return OK;
}

void conn_table_close(struct server *server)
{
    block_pool_close(&server->blocks);
    if (server->sources.entries != NULL) source_table_close(&server->sources);
    free(server->generations);
    free(server->deadline_ns);
    if (server->conns != NULL) io_memory_free(server->conns, server->slots * sizeof *server->conns);
}

struct conn *conn_take_slot(struct server *server)
{
    if (server->free_first == CONN_NONE) return NULL;

    struct conn *const conn = &server->conns[server->free_first];
    const uint32_t index = (uint32_t)server->free_first;
    server->free_first = conn->free_next;
    server->conns_busy++;
    assert(conn->stage == CONN_FREE);
    *conn = (struct conn){
        .server = server, .index = index, .starving_next = CONN_NONE, .touched_next = CONN_NONE};
    return conn;
}

void conn_give_slot(struct conn *conn)
{
    struct server *const server = conn->server;

    assert(conn->stage == CONN_FREE && server->conns_busy > 0);
    assert(!conn->receive.in_flight && !conn->receive_op.in_flight && !conn->send_op.in_flight);

    server->conns_busy--;
    server->deadline_ns[conn->index] = UINT64_MAX;
    conn->free_next = server->free_first;
    server->free_first = (int32_t)conn->index;
}

void conn_idle_add(struct conn *conn)
{
    struct server *const server = conn->server;

    conn->idle_next = CONN_NONE;
    conn->idle_previous = server->idle_newest;
    if (server->idle_newest == CONN_NONE)
        server->idle_oldest = (int32_t)conn->index;
    else
        server->conns[server->idle_newest].idle_next = (int32_t)conn->index;
    server->idle_newest = (int32_t)conn->index;
}

void conn_idle_remove(struct conn *conn)
{
    struct server *const server = conn->server;

    if (conn->idle_previous == CONN_NONE)
        server->idle_oldest = conn->idle_next;
    else
        server->conns[conn->idle_previous].idle_next = conn->idle_next;
    if (conn->idle_next == CONN_NONE)
        server->idle_newest = conn->idle_previous;
    else
        server->conns[conn->idle_next].idle_previous = conn->idle_previous;
}

void conn_deadline(struct conn *conn, uint64_t at_ns)
{
    conn->server->deadline_ns[conn->index] = at_ns;
}
