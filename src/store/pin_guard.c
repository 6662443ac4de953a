/*
 * Three tables: blocks that were looked into, pinned traces with the pin that ends last, and shares of segments. Files never
 * change, so the first two are good until the list of pins, or which of them have ended, changes; the third until another
 * trace is pinned.
 */
#include "pin_guard.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/seeded_bug.h"
#include "compaction_plan.h"
#include "id_map.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    LOOKED_SPARE = 1 << 16, /* blocks that are remembered though the version does not have them any more */
    ASK_FILTERS_MAX = 64,   /* so few traces are looked for in filters before blocks are opened */
    PIN_BITS = 16,          /* of a share; the rest is spans */
};
static_assert(PINS_MAX < 1 << PIN_BITS, "a pin's place fits a share");
static const uint64_t DAY_NS = 86400 * NS_PER_S;

struct pin_guard {
    struct pins *pins;
    struct selector_matcher matcher;
    size_t traces_max;
    struct pin_guard_look look;
    const struct pin_list *list; /* held; NULL: none yet */
    uint64_t from_ns, until_ns;  /* as long as the horizon is in here, the same pins have ended */
    uint32_t live;               /* pins that have not */
    bool overflown;              /* more traces than are remembered */
    bool told;                   /* that it has */
    bool looked_now;             /* into all blocks of this version */
    struct id_map looked;        /* blocks */
    struct id_map traces;        /* by filter_hash_trace(): place of the pin */
    struct id_map shares;        /* by segment: spans and place of the pin */
    size_t shares_of;            /* how many traces were pinned when shares was begun, */
    bool shares_overflown;       /* and whether there were more */
};

enum err pin_guard_open(struct pins *pins, const struct selector_matcher *matcher, size_t traces_max,
                        struct pin_guard **out)
{
    struct pin_guard *const guard = calloc(1, sizeof *guard);

    if (guard == NULL) return ERR_NO_MEMORY;
    guard->pins = pins;
    guard->matcher = *matcher;
    guard->traces_max = traces_max;
    *out = guard;
    return OK;
}

static void forget(struct pin_guard *guard)
{
    id_map_deinit(&guard->looked);
    id_map_deinit(&guard->traces);
    id_map_deinit(&guard->shares);
    guard->overflown = guard->told = false;
}

void pin_guard_close(struct pin_guard *guard)
{
    forget(guard);
    if (guard->list != NULL) pins_release(guard->pins, guard->list);
    free(guard);
}

const struct pin_list *pin_guard_list(const struct pin_guard *guard)
{
    return guard->list;
}

/* ---- which pins count --------------------------------------------------------------------------------- */

static bool counts(const struct pin_guard *guard, uint32_t place)
{
    return pin_is_live(&guard->list->pins[place], guard->look.horizon_ns);
}

/* Does the pin at a place end later than the one at another? */
static bool ends_later(const struct pin_guard *guard, uint32_t place, uint32_t other)
{
    const uint64_t a = guard->list->pins[place].expires_ns, b = guard->list->pins[other].expires_ns;

    return b != 0 && (a == 0 || a > b);
}

static void pin_trace(struct pin_guard *guard, uint64_t hash, uint32_t place)
{
    const uint64_t *const known = id_map_find(&guard->traces, hash);

    if (known != NULL && !ends_later(guard, place, (uint32_t)*known)) return;
    if (known == NULL && guard->traces.count >= guard->traces_max)
        guard->overflown = true;
    else if (!id_map_put(&guard->traces, hash, place))
        guard->overflown = true;
}

static void note_list(struct pin_guard *guard)
{
    const uint64_t horizon_ns = guard->look.horizon_ns;

    guard->live = 0;
    guard->from_ns = 0;
    guard->until_ns = UINT64_MAX;
    for (uint32_t i = 0; i < guard->list->count; i++) {
        const struct pin *const pin = &guard->list->pins[i];
        if (!counts(guard, i)) {
            if (pin->expires_ns > guard->from_ns) guard->from_ns = pin->expires_ns;
            continue;
        }
        guard->live++;
        if (pin->expires_ns > horizon_ns && pin->expires_ns < guard->until_ns)
            guard->until_ns = pin->expires_ns;
        if (pin->selector.by_trace) pin_trace(guard, filter_hash_trace(pin->selector.trace_id.bytes), i);
    }
}

void pin_guard_begin(struct pin_guard *guard, const struct pin_guard_look *look)
{
    const struct pin_list *const list = pins_acquire(guard->pins);
    const size_t looked_max = 4 * (size_t)catalog_blocks(look->view) + LOOKED_SPARE;
    const bool same = guard->list == list && look->horizon_ns >= guard->from_ns &&
                      look->horizon_ns < guard->until_ns && guard->looked.count <= looked_max;

    if (guard->list != NULL) pins_release(guard->pins, guard->list);
    guard->list = list;
    guard->look = *look;
    guard->looked_now = false;
    if (same) return;
    forget(guard);
    note_list(guard);
}

static enum err check(const struct pin_guard *guard)
{
    return guard->look.check != NULL ? guard->look.check(guard->look.context) : OK;
}

/* ---- looking into blocks ------------------------------------------------------------------------------ */

struct noting {
    struct pin_guard *guard;
    uint32_t place, end; /* of the pin; rows below end belong to the trace that was noted last */
    enum err err;
};

static bool note_row(void *context, struct block_reader *reader, uint32_t row)
{
    struct noting *const noting = context;
    struct trace_id id;
    uint32_t first, count;

    if (row < noting->end) return true;
    noting->err = block_trace_around(reader, row, &id, &first, &count);
    if (noting->err != OK) return false;
    noting->end = first + count;
    pin_trace(noting->guard, filter_hash_trace(id.bytes), noting->place);
    return !noting->guard->overflown;
}

/* A block that is damaged has no traces to tell; its segment is kept whole. */
static enum err look_into(struct pin_guard *guard, uint32_t block)
{
    const struct block_summary *const summary = &catalog_block(guard->look.view, block)->summary;
    bool checked = false;

    for (uint32_t i = 0; i < guard->list->count; i++) {
        const struct selector *const selector = &guard->list->pins[i].selector;
        struct noting noting = {.guard = guard, .place = i};
        if (selector->by_trace || !counts(guard, i) || !selector_range_touches(selector, summary)) continue;
        if (!checked) TRY(check(guard));
        checked = true;
        enum err err = guard->matcher.match(guard->matcher.context, guard->look.view, guard->look.io, block,
                                            selector, note_row, &noting);
        if (err == OK) err = noting.err;
        if (err != OK && err != ERR_CORRUPT) return err;
    }
    return OK;
}

static uint64_t key_of(uint16_t shard, uint64_t seq)
{
    return hash_mix(seq, (uint64_t)shard << 48 | 1);
}

static enum err look_into_all(struct pin_guard *guard)
{
    const uint32_t blocks = catalog_blocks(guard->look.view);

    if (guard->looked_now) return OK;
    for (uint32_t i = 0; i < blocks && !guard->overflown; i++) {
        const struct block_summary *const summary = &catalog_block(guard->look.view, i)->summary;
        const uint64_t key = key_of(summary->shard, summary->seq);
        if (catalog_block(guard->look.view, i)->fenced || id_map_find(&guard->looked, key) != NULL) continue;
        TRY(look_into(guard, i));
        if (!id_map_put(&guard->looked, key, 1)) return ERR_NO_MEMORY;
    }
    if (guard->overflown && !guard->told)
        log_warn("store", "pins mean more traces than are told apart: segments near their ranges stay whole",
                 "traces_max=%zu", guard->traces_max);
    guard->told = guard->overflown;
    guard->looked_now = true;
    return OK;
}

/* ---- shares ------------------------------------------------------------------------------------------- */

/* The pin with the widest claim on a block from within a day of a range; count: none. */
static uint32_t near_pin(const struct pin_guard *guard, const struct block_summary *summary)
{
    uint32_t found = guard->list->count;

    for (uint32_t i = 0; i < guard->list->count; i++) {
        const struct selector *const selector = &guard->list->pins[i].selector;
        const bool before = selector->start_ns > DAY_NS &&
                            summary->start_max_ns < selector->start_ns - DAY_NS;
        const bool after = selector->end_ns < UINT64_MAX - DAY_NS &&
                           summary->start_min_ns >= selector->end_ns + DAY_NS;
        if (selector->by_trace || !counts(guard, i) || before || after) continue;
        if (found == guard->list->count || ends_later(guard, i, found)) found = i;
    }
    return found;
}

/* The segment stays whole for the pin at a place. */
static void keep_whole(const struct segment *segment, uint32_t place, struct pin_share *share)
{
    share->spans = segment_spans(segment);
    share->pin_id = place;
}

/* Some live pin, of those that end last: for what cannot be read. */
static uint32_t last_pin(const struct pin_guard *guard)
{
    uint32_t found = guard->list->count;

    for (uint32_t i = 0; i < guard->list->count; i++)
        if (counts(guard, i) && (found == guard->list->count || ends_later(guard, i, found))) found = i;
    return found;
}

/* False is certain: no block of the segment has a pinned trace, as its filters say. */
static bool may_share(const struct pin_guard *guard, uint32_t segment)
{
    bool may[SEGMENT_BLOCKS_MAX];
    uint32_t first;
    const uint32_t count = catalog_segment_blocks(guard->look.view, segment, &first);

    if (guard->traces.count == 0) return false;
    if (guard->traces.count > ASK_FILTERS_MAX) return true;
    for (size_t i = 0; i <= guard->traces.mask; i++) {
        if (guard->traces.places[i].key == 0) continue;
        catalog_filter(guard->look.view, guard->look.io, segment, FILTER_TRACE, guard->traces.places[i].key,
                       may);
        for (uint32_t block = 0; block < count; block++)
            if (may[block]) return true;
    }
    return false;
}

static enum err count_rows(const struct pin_guard *guard, struct block_reader *reader,
                           struct pin_share *share)
{
    const uint32_t rows = block_summary(reader)->spans;
    struct trace_id id;
    uint32_t first, count = 0;

    for (uint32_t row = 0; row < rows; row += count) {
        TRY(block_trace_around(reader, row, &id, &first, &count));
        const uint64_t *const place = id_map_find(&guard->traces, filter_hash_trace(id.bytes));
        if (place == NULL) continue;
        if (share->spans == 0 || ends_later(guard, (uint32_t)*place, (uint32_t)share->pin_id))
            share->pin_id = *place;
        share->spans += count;
    }
    return OK;
}

static enum err count_block(const struct pin_guard *guard, uint32_t block, struct pin_share *share)
{
    struct catalog_source source;
    struct block_reader *reader;

    TRY(catalog_open_block(guard->look.view, guard->look.io, block, &source, &reader));
    const enum err err = count_rows(guard, reader, share);
    block_close(reader);
    return err;
}

/* In share->pin_id stands the place of the pin. */
static enum err count_share(struct pin_guard *guard, uint32_t number, struct pin_share *share)
{
    const struct segment *const segment = guard->look.view->segments[number];
    uint32_t first;
    const uint32_t blocks = catalog_segment_blocks(guard->look.view, number, &first);
    enum err err = OK;

    for (uint32_t i = first; i < first + blocks; i++) {
        const struct catalog_block *const block = catalog_block(guard->look.view, i);
        const uint32_t place = block->fenced      ? last_pin(guard)
                               : guard->overflown ? near_pin(guard, &block->summary)
                                                  : guard->list->count;
        if (place == guard->list->count) continue;
        keep_whole(segment, place, share);
        return OK;
    }
    if (!may_share(guard, number)) return OK;
    TRY(check(guard));
    for (uint32_t i = first; i < first + blocks && err == OK; i++)
        err = count_block(guard, i, share);
    if (err == ERR_CORRUPT) { /* found now */
        keep_whole(segment, last_pin(guard), share);
        return OK;
    }
    return err;
}

static enum err find_share(struct pin_guard *guard, uint32_t number, struct pin_share *share)
{
    const struct segment_identity *const identity = &guard->look.view->segments[number]->identity;
    const uint64_t key = key_of(identity->shard, identity->seq);

    if (guard->shares_of != guard->traces.count || guard->shares_overflown != guard->overflown) {
        id_map_deinit(&guard->shares);
        guard->shares_of = guard->traces.count;
        guard->shares_overflown = guard->overflown;
    }
    const uint64_t *const known = id_map_find(&guard->shares, key);
    if (known != NULL) {
        *share = (struct pin_share){*known >> PIN_BITS, *known & ((1U << PIN_BITS) - 1)};
        return OK;
    }
    TRY(count_share(guard, number, share));
    return id_map_put(&guard->shares, key, share->spans << PIN_BITS | share->pin_id) ? OK : ERR_NO_MEMORY;
}

enum err pin_guard_share(struct pin_guard *guard, uint32_t segment, struct pin_share *out)
{
    *out = (struct pin_share){.spans = 0};
    if (guard->list->damaged) {
        out->spans = segment_spans(guard->look.view->segments[segment]);
        return OK;
    }
    if (guard->live == 0 || SEEDED_BUG(IGNORE_PINS)) return OK;
    TRY(look_into_all(guard));
    TRY(find_share(guard, segment, out));
    out->pin_id = out->spans > 0 ? guard->list->pins[out->pin_id].id : 0;
    return OK;
}

bool pin_guard_keeps(const struct pin_guard *guard, const struct trace_id *id)
{
    return id_map_find(&guard->traces, filter_hash_trace(id->bytes)) != NULL;
}
