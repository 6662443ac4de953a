/*
 * Memory of HTTP/2 connections, counted: nghttp2 allocates for every stream, field and frame, and what a
 * client can make it allocate must end somewhere. A connection that reaches its limit gets no more and is
 * closed by whoever wanted it; one that finds the memory of all connections used up, too.
 *
 *   piece    | its size, 16 bytes | what the caller sees ...
 */
#include "http2_private.h"

#include <stdalign.h>
#include <stdlib.h>

struct piece {
    alignas(16) size_t bytes; /* with this header */
};

static bool take(struct http2 *http2, size_t bytes)
{
    struct http2_memory *const shared = http2->config.memory;

    if (bytes > HTTP2_CONN_MEMORY_MAX - http2->memory_bytes) return false;
    if (bytes > shared->bytes_max - shared->used_bytes) return false;
    http2->memory_bytes += bytes;
    shared->used_bytes += bytes;
    return true;
}

static void give(struct http2 *http2, size_t bytes)
{
    assert(bytes <= http2->memory_bytes && bytes <= http2->config.memory->used_bytes);

    http2->memory_bytes -= bytes;
    http2->config.memory->used_bytes -= bytes;
}

void *http2_allocate(struct http2 *http2, size_t bytes)
{
    if (bytes > HTTP2_CONN_MEMORY_MAX || !take(http2, bytes + sizeof(struct piece))) return NULL;

    struct piece *const piece = malloc(bytes + sizeof *piece);
    if (piece == NULL) {
        give(http2, bytes + sizeof *piece);
        return NULL;
    }
    piece->bytes = bytes + sizeof *piece;
    return piece + 1;
}

void http2_free(struct http2 *http2, void *memory)
{
    if (memory == NULL) return;

    struct piece *const piece = (struct piece *)memory - 1;
    give(http2, piece->bytes);
    free(piece);
}

/* ---- as the library wants them --------------------------------------------------------------------------
 */

static void *on_malloc(size_t bytes, void *context)
{
    return http2_allocate(context, bytes);
}

static void on_free(void *memory, void *context)
{
    http2_free(context, memory);
}

static void *on_calloc(size_t count, size_t bytes, void *context)
{
    size_t all;

    if (__builtin_mul_overflow(count, bytes, &all)) return NULL;
    void *const memory = http2_allocate(context, all);
    if (memory != NULL) memset(memory, 0, all);
    return memory;
}

static void *on_realloc(void *memory, size_t bytes, void *context)
{
    void *const larger = http2_allocate(context, bytes);

    if (larger == NULL || memory == NULL) return larger;
    const size_t held = ((struct piece *)memory - 1)->bytes - sizeof(struct piece);
    memcpy(larger, memory, held < bytes ? held : bytes);
    http2_free(context, memory);
    return larger;
}

nghttp2_mem http2_memory_functions(struct http2 *http2)
{
    return (nghttp2_mem){
        .mem_user_data = http2,
        .malloc = on_malloc,
        .free = on_free,
        .calloc = on_calloc,
        .realloc = on_realloc,
    };
}
