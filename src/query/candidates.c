/*
 * A hash table over an array of four times what is wanted and some. When the array is full it is sorted, cut
 * to what is wanted, and the last key left becomes the bound below which nothing is taken any more. So each
 * offer costs one probe, and the sorting is spread over many of them.
 */
#include "candidates.h"

#include "base/assert.h"
#include "base/hash.h"

#include <stdlib.h>

enum { SLACK = 256 };

enum err candidates_init(struct candidates *candidates, size_t wanted, struct arena *arena)
{
    size_t places = 1;

    *candidates = (struct candidates){.wanted = wanted, .capacity = 4 * wanted + SLACK};
    while (places < 2 * candidates->capacity)
        places *= 2;
    candidates->places_count = places;
    candidates->list = arena_alloc(arena, candidates->capacity * sizeof *candidates->list);
    candidates->places = arena_alloc(arena, places * sizeof *candidates->places);
    candidates->seed = (uint64_t)(uintptr_t)candidates->list;
    return candidates->list == NULL || candidates->places == NULL ? ERR_TOO_LARGE : OK;
}

int candidate_compare(uint64_t key_a, const struct trace_id *a, uint64_t key_b, const struct trace_id *b)
{
    if (key_a != key_b) return key_a > key_b ? -1 : 1;
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* Excluded ones last: they are the first to be forgotten. */
static int by_order(const void *left, const void *right)
{
    const struct candidate *const a = left, *const b = right;

    if (a->excluded != b->excluded) return a->excluded ? 1 : -1;
    return candidate_compare(a->key_ns, &a->trace_id, b->key_ns, &b->trace_id);
}

static size_t home_of(const struct candidates *candidates, const struct trace_id *trace_id)
{
    return hash_fast(trace_id->bytes, sizeof trace_id->bytes, candidates->seed) &
           (candidates->places_count - 1);
}

/* The place of the trace, or the free one where it belongs. */
static size_t place_of(const struct candidates *candidates, const struct trace_id *trace_id)
{
    size_t at = home_of(candidates, trace_id);

    for (; candidates->places[at] != 0; at = (at + 1) & (candidates->places_count - 1))
        if (memcmp(candidates->list[candidates->places[at] - 1].trace_id.bytes, trace_id->bytes,
                   sizeof trace_id->bytes) == 0)
            break;
    return at;
}

static void rebuild(struct candidates *candidates)
{
    memset(candidates->places, 0, candidates->places_count * sizeof *candidates->places);
    for (size_t i = 0; i < candidates->count; i++)
        candidates->places[place_of(candidates, &candidates->list[i].trace_id)] = (uint32_t)i + 1;
}

static size_t without_excluded(const struct candidates *candidates)
{
    size_t count = candidates->count;

    while (count > 0 && candidates->list[count - 1].excluded)
        count--;
    return count;
}

/* Makes room: keeps the best that are wanted, and some of the excluded ones, newest knowledge last. */
static void cut(struct candidates *candidates)
{
    qsort(candidates->list, candidates->count, sizeof *candidates->list, by_order);
    const size_t good = without_excluded(candidates);
    const size_t excluded = candidates->count - good;
    const size_t kept = good < candidates->wanted ? good : candidates->wanted;
    const size_t hints = excluded < candidates->capacity / 4 ? excluded : 0;

    if (good > kept) candidates->forgot = true;
    if (kept == candidates->wanted) candidates->least_key_ns = candidates->list[kept - 1].key_ns;
    memmove(&candidates->list[kept], &candidates->list[good], hints * sizeof *candidates->list);
    candidates->count = kept + hints;
    rebuild(candidates);
}

static struct candidate *find_or_add(struct candidates *candidates, const struct trace_id *trace_id)
{
    size_t at = place_of(candidates, trace_id);

    if (candidates->places[at] != 0) return &candidates->list[candidates->places[at] - 1];
    if (candidates->count == candidates->capacity) {
        cut(candidates);
        at = place_of(candidates, trace_id);
    }
    assert(candidates->count < candidates->capacity);
    struct candidate *const added = &candidates->list[candidates->count++];
    *added = (struct candidate){.trace_id = *trace_id};
    candidates->places[at] = (uint32_t)candidates->count;
    return added;
}

void candidates_offer(struct candidates *candidates, const struct trace_id *trace_id, uint64_t key_ns)
{
    if (key_ns < candidates->least_key_ns) {
        candidates->forgot = true;
        return;
    }
    struct candidate *const candidate = find_or_add(candidates, trace_id);
    if (key_ns > candidate->key_ns) candidate->key_ns = key_ns;
}

void candidates_exclude(struct candidates *candidates, const struct trace_id *trace_id)
{
    find_or_add(candidates, trace_id)->excluded = true;
}

void candidates_sort(struct candidates *candidates)
{
    qsort(candidates->list, candidates->count, sizeof *candidates->list, by_order);
    candidates->count = without_excluded(candidates);
    if (candidates->least_key_ns > 0) candidates->forgot = true; /* what came before it was not looked at */
    if (candidates->count > candidates->wanted) {
        candidates->count = candidates->wanted;
        candidates->forgot = true;
    }
}
