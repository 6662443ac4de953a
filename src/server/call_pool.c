/*
 * Slots of calls, and what a call holds of the shard's memory. Slots are reserved when the server opens and
 * touched as they are used, last in, first out.
 */
#include "call.h"
#include "conn.h"

enum err call_pool_open(struct call_pool *pool, unsigned count)
{
    *pool = (struct call_pool){.count = count, .free_first = CONN_NONE};
    if (count == 0) return OK;
    pool->calls = io_memory(count * sizeof *pool->calls);
    return pool->calls != NULL ? OK : ERR_NO_MEMORY;
}

void call_pool_close(struct call_pool *pool)
{
    if (pool->calls != NULL) io_memory_free(pool->calls, pool->count * sizeof *pool->calls);
}

/* The slot that was given back last, or one that was never used; NULL: none is left. */
static struct call *take_slot(struct call_pool *pool)
{
    if (pool->free_first == CONN_NONE) return pool->used < pool->count ? &pool->calls[pool->used++] : NULL;
    struct call *const call = &pool->calls[pool->free_first];
    pool->free_first = call->free_next;
    return call;
}

struct call *call_take(struct conn *conn, int32_t id)
{
    struct call *const call = conn->calls_count < HTTP2_STREAMS_MAX ? take_slot(&conn->server->calls) : NULL;

    if (call == NULL) return NULL;
    *call = (struct call){.conn = conn, .id = id, .next = conn->calls};
    if (call->next != NULL) call->next->previous = call;
    conn->calls = call;
    conn->calls_count++;
    return call;
}

void call_hold(struct conn *conn, uint64_t before, uint64_t after)
{
    conn->calls_held_bytes = conn->calls_held_bytes - before + after;
}

void call_release_body(struct call *call)
{
    if (call->body.ptr == NULL) return;
    if (!call->ingesting && !call->complete) call_hold(call->conn, call->body.capacity, 0);
    shard_body_release(call->conn->server->config.shard, &call->body);
    call->body = (struct shard_body){0};
}

void call_give(struct call *call)
{
    struct conn *const conn = call->conn;
    struct call_pool *const pool = &conn->server->calls;

    assert(!call->ingesting);

    call_release_body(call);
    if (call->next != NULL) call->next->previous = call->previous;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        conn->calls = call->next;
    conn->calls_count--;
    call->conn = NULL;
    call->free_next = pool->free_first;
    pool->free_first = (int32_t)(call - pool->calls);
    if (conn->stage != CONN_CLOSING) conn_grpc_rest(conn);
}
