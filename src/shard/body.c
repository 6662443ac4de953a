/*
 * Body pool. A piece of class k is one mapping:
 *
 *   base                base + 64                                    base + 16 KiB * 4^k + 4 KiB
 *   | lent to the journal | body: up to the end of the piece           |
 *
 * body.ptr is base + 64, so the journal may write header, body and zeros up to the next page boundary in
 * place. The class is found again from the capacity, and a piece that lies idle is linked through its first
 * bytes: there is no bookkeeping beside the pieces and nothing is allocated for a request once the pool is
 * warm.
 *
 * What counts is weight: the size of the piece, not of the body in it, taken when the piece is acquired,
 * before a byte is received or inflated. Idle pieces count as well; when a request needs room that idle
 * pieces of other sizes hold, those go back to the system, largest first. Nobody waits for weight: who gets
 * none is answered 503, so two requests can never block each other.
 *
 * In builds with the address sanitizer an idle piece is poisoned, except for its link.
 */
#include "body.h"

#include "base/assert.h"
#include "base/metric.h"
#include "io/io.h"
#include "store/journal.h"

#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BODY_POISON 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define BODY_POISON 1
#endif
#ifdef BODY_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

static_assert((int)BODY_EXTRA_BYTES >= (int)JOURNAL_FRAME_HEADER_BYTES,
              "the header fits in front of a round body");
static_assert(BODY_SMALLEST_BYTES % 4096 == 0 && BODY_EXTRA_BYTES % 4096 == 0, "pieces are whole pages");

static const uint64_t IDLE_BYTES_MAX = 32ULL << 20; /* about two bodies of the largest size as received */

static size_t piece_bytes(unsigned class);
static unsigned class_for(size_t bytes);
static unsigned class_of(const struct shard_body *body);
static void *take_idle(struct body_pool *pool, unsigned class);
static bool make_room(struct body_pool *pool, uint64_t bytes);
static void count_lent(struct body_pool *pool);

void body_pool_init(struct body_pool *pool, uint64_t budget_bytes, struct metrics *metrics)
{
    *pool = (struct body_pool){
        .budget_bytes = budget_bytes,
        .idle_bytes_max = budget_bytes / 4 < IDLE_BYTES_MAX ? budget_bytes / 4 : IDLE_BYTES_MAX,
        .metrics = metrics,
    };
}

void body_pool_deinit(struct body_pool *pool)
{
    assert(pool->lent_bytes == 0);

    for (unsigned class = 0; class < BODY_CLASSES; class ++) {
        while (pool->idle[class] != NULL)
            io_memory_free(take_idle(pool, class), piece_bytes(class));
    }
    assert(pool->idle_bytes == 0);
}

bool body_acquire(struct body_pool *pool, size_t bytes, struct shard_body *out)
{
    if (bytes > body_capacity_max()) return false;
    const unsigned class = class_for(bytes);
    const size_t piece = piece_bytes(class);

    uint8_t *base = pool->idle[class] != NULL ? take_idle(pool, class) : NULL;
    if (base == NULL) {
        if (!make_room(pool, piece)) return false;
        base = io_memory(piece);
        if (base == NULL) return false;
    }
    pool->lent_bytes += piece;
    count_lent(pool);
    *out = (struct shard_body){
        .ptr = base + JOURNAL_FRAME_HEADER_BYTES,
        .capacity = piece - JOURNAL_FRAME_HEADER_BYTES,
        .private_block = base,
    };
    return true;
}

bool body_grow(struct body_pool *pool, struct shard_body *body, size_t bytes)
{
    if (bytes <= body->capacity) return true;

    struct shard_body larger;
    if (!body_acquire(pool, bytes, &larger)) return false;
    if (body->len > 0) memcpy(larger.ptr, body->ptr, body->len);
    larger.len = body->len;
    body_release(pool, body);
    *body = larger;
    return true;
}

void body_release(struct body_pool *pool, struct shard_body *body)
{
    const unsigned class = class_of(body);
    const size_t piece = piece_bytes(class);
    void *base = body->private_block;
    assert(body->ptr == (uint8_t *)base + JOURNAL_FRAME_HEADER_BYTES);
    assert(pool->lent_bytes >= piece);

    *body = (struct shard_body){0};
    pool->lent_bytes -= piece;
    count_lent(pool);
    if (pool->idle_bytes + piece > pool->idle_bytes_max) {
        io_memory_free(base, piece);
        return;
    }
    memcpy(base, &pool->idle[class], sizeof(void *));
    pool->idle[class] = base;
    pool->idle_bytes += piece;
    ASAN_POISON_MEMORY_REGION((uint8_t *)base + sizeof(void *), piece - sizeof(void *));
}

uint64_t body_weight(size_t bytes)
{
    return piece_bytes(class_for(bytes));
}

size_t body_capacity_max(void)
{
    return piece_bytes(BODY_CLASSES - 1) - JOURNAL_FRAME_HEADER_BYTES;
}

/* ---- sizes ------------------------------------------------------------------------------------------ */

static size_t piece_bytes(unsigned class)
{
    assert(class < BODY_CLASSES);

    return ((size_t)BODY_SMALLEST_BYTES << (2 * class)) + BODY_EXTRA_BYTES;
}

static unsigned class_for(size_t bytes)
{
    unsigned class = 0;
    while (piece_bytes(class) - JOURNAL_FRAME_HEADER_BYTES < bytes)
        class ++;
    return class;
}

static unsigned class_of(const struct shard_body *body)
{
    const unsigned class = class_for(body->capacity);
    assert(piece_bytes(class) - JOURNAL_FRAME_HEADER_BYTES == body->capacity);

    return class;
}

/* ---- idle pieces ------------------------------------------------------------------------------------ */

static void *take_idle(struct body_pool *pool, unsigned class)
{
    void *base = pool->idle[class];
    assert(base != NULL);

    memcpy(&pool->idle[class], base, sizeof(void *));
    pool->idle_bytes -= piece_bytes(class);
    ASAN_UNPOISON_MEMORY_REGION(base, piece_bytes(class));
    return base;
}

static bool make_room(struct body_pool *pool, uint64_t bytes)
{
    if (pool->lent_bytes + bytes > pool->budget_bytes) return false; /* no idle piece can change that */

    for (unsigned class = BODY_CLASSES; class -- > 0;) {
        while (pool->lent_bytes + pool->idle_bytes + bytes > pool->budget_bytes &&
               pool->idle[class] != NULL) {
            io_memory_free(take_idle(pool, class), piece_bytes(class));
        }
    }
    return true;
}

static void count_lent(struct body_pool *pool)
{
    if (pool->metrics != NULL) metric_set(pool->metrics, METRIC_INFLIGHT_BYTES, pool->lent_bytes);
}
