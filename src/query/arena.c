/*
 * Pieces of 64 KiB or more from the heap, in a list. Small requests are cut from the newest piece; one that
 * does not fit begins a new piece, at least twice as large as what is asked for, so at most half is wasted.
 */
#include "arena.h"

#include "base/assert.h"

#include <stdlib.h>

enum { PIECE_BYTES = 64 << 10, PIECE_BYTES_MAX = 4 << 20, ALIGN = 16 };

struct arena_piece {
    struct arena_piece *next;
    size_t used, capacity;
    uint64_t reserved; /* keeps bytes[] aligned */
    uint8_t bytes[];
};
static_assert(sizeof(struct arena_piece) % ALIGN == 0, "pieces begin aligned");

void arena_init(struct arena *arena, size_t bytes_max)
{
    *arena = (struct arena){.bytes_max = bytes_max};
}

void arena_reset(struct arena *arena)
{
    while (arena->pieces != NULL) {
        struct arena_piece *const piece = arena->pieces;
        arena->pieces = piece->next;
        free(piece);
    }
    arena->bytes = 0;
    arena->charged_bytes = 0;
}

size_t arena_left(const struct arena *arena)
{
    const size_t held = arena->bytes + arena->charged_bytes;

    return held < arena->bytes_max ? arena->bytes_max - held : 0;
}

static bool has_room(const struct arena *arena, size_t bytes)
{
    return bytes <= arena_left(arena);
}

/* Pieces double with what is held already, up to a bound: few pieces, little waste. */
static struct arena_piece *piece_new(struct arena *arena, size_t bytes)
{
    size_t capacity = arena->bytes < PIECE_BYTES ? PIECE_BYTES : arena->bytes;

    if (capacity > PIECE_BYTES_MAX) capacity = PIECE_BYTES_MAX;
    if (capacity < bytes) capacity = bytes;
    if (!has_room(arena, capacity)) capacity = bytes;
    if (!has_room(arena, capacity)) return NULL;
    struct arena_piece *const piece = calloc(1, sizeof *piece + capacity);
    if (piece == NULL) return NULL;
    piece->capacity = capacity;
    piece->next = arena->pieces;
    arena->pieces = piece;
    arena->bytes += capacity;
    return piece;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    struct arena_piece *piece = arena->pieces;

    if (bytes > SIZE_MAX - ALIGN) return NULL;
    const size_t padded = (bytes + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (piece == NULL || piece->capacity - piece->used < padded) piece = piece_new(arena, padded);
    if (piece == NULL) return NULL;
    void *const memory = piece->bytes + piece->used;
    piece->used += padded;
    return memory;
}

struct slice arena_copy(struct arena *arena, struct slice bytes)
{
    if (bytes.len == 0) return (struct slice){0};
    uint8_t *const copy = arena_alloc(arena, bytes.len);
    if (copy != NULL) memcpy(copy, bytes.ptr, bytes.len);
    return slice_of(copy, bytes.len);
}

void *arena_grow(struct arena *arena, void *array, size_t element_bytes, size_t count, size_t wanted,
                 size_t *capacity)
{
    size_t larger = *capacity < 16 ? 16 : *capacity * 2;

    if (larger < wanted) larger = wanted;
    if (larger > SIZE_MAX / element_bytes) return NULL;
    void *const memory = arena_alloc(arena, larger * element_bytes);
    if (memory == NULL) return NULL;
    if (count > 0) memcpy(memory, array, count * element_bytes);
    *capacity = larger;
    return memory;
}

bool arena_charge(struct arena *arena, size_t bytes)
{
    if (!has_room(arena, bytes)) return false;
    arena->charged_bytes += bytes;
    return true;
}

void arena_discharge(struct arena *arena, size_t bytes)
{
    assert(bytes <= arena->charged_bytes);

    arena->charged_bytes -= bytes;
}
