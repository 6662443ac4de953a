/*
 * One walk over the block's columns tells which conditions could hold at all; one over its pairs finds the
 * ids. One value can be encoded in several ways and values of some columns are not looked up, so a condition may have
 * more than one. Keys beyond LIVE_COLUMNS_MAX have no column of their own: their pairs are whole KeyValue messages
 * (VALUE_RAW) and are decoded to be compared.
 */
#include "live_match.h"

/* ---- envelopes ------------------------------------------------------------------------------------------
 */

static enum err match_resources(struct live_match *match, struct arena *arena)
{
    const struct live_block *const live = match->view->block;
    const uint32_t count = match->view->counts.resources;
    bool any = false;

    if (!match->predicate->asks_resource) return OK;
    match->resources = arena_alloc(arena, count);
    if (match->resources == NULL) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        const struct live_envelope *const at = &live->resources[i];
        match->resources[i] = predicate_resource(match->predicate, live_bytes(live, at->offset, at->len),
                                                 live_service(live, i));
        any |= match->resources[i];
    }
    match->none |= !any;
    return OK;
}

static enum err match_scopes(struct live_match *match, struct arena *arena)
{
    const struct live_block *const live = match->view->block;
    const uint32_t count = match->view->counts.scopes;
    bool any = false;

    if (!match->predicate->asks_scope) return OK;
    match->scopes = arena_alloc(arena, count);
    if (match->scopes == NULL) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        const struct live_envelope *const at = &live->scopes[i];
        match->scopes[i] = predicate_scope(match->predicate, live_bytes(live, at->offset, at->len));
        any |= match->scopes[i];
    }
    match->none |= !any;
    return OK;
}

/* ---- pairs ----------------------------------------------------------------------------------------------
 */

/* What pairs of a column are compared with; columns no condition asks for have none. */
struct column_wish {
    uint32_t column;
    uint8_t condition; /* index in row_conditions, or WISH_NAME */
    bool raw;
};
enum { WISH_NAME = 255, WISHES_MAX = 2 * REQUEST_CONDITIONS_MAX + 1 };

struct wishes {
    struct column_wish list[WISHES_MAX];
    unsigned count;
    uint64_t filter; /* bit column % 64 of each; most pairs are passed over by it */
};

static void wish(struct wishes *wishes, uint32_t column, unsigned condition, bool raw)
{
    wishes->list[wishes->count++] = (struct column_wish){column, (uint8_t)condition, raw};
    wishes->filter |= 1ull << column % 64;
}

static uint32_t raw_column(enum attribute_level level)
{
    return level == LEVEL_SPAN ? COLUMN_RAW_SPAN : level == LEVEL_EVENT ? COLUMN_RAW_EVENT : COLUMN_RAW_LINK;
}

static bool column_is(const struct live_block *live, uint32_t index, const struct condition *condition)
{
    const struct live_column *const column = &live->columns[index];

    return column->level == condition->level && column->type == condition->attribute.type &&
           slice_equal(live_bytes(live, column->key_offset, column->key_len), condition->attribute.key);
}

/* The raw column is always asked: it may hold the key in rows from before or after. */
static void collect_wishes(const struct live_match *match, struct wishes *wishes)
{
    const struct predicate *const predicate = match->predicate;

    if (predicate->request->has_operation) wish(wishes, COLUMN_NAME, WISH_NAME, false);
    for (unsigned i = 0; i < predicate->row_conditions_count; i++) {
        const struct condition *const condition =
            &predicate->request->conditions[predicate->row_conditions[i]];
        if (match->view->counts.columns >= LIVE_COLUMNS_MAX)
            wish(wishes, raw_column(condition->level), i, true);
        for (uint32_t column = COLUMN_FIXED_COUNT; column < match->view->counts.columns; column++)
            if (column_is(match->view->block, column, condition)) {
                wish(wishes, column, i, false);
                break; /* level, key and type make the column */
            }
    }
}

static bool pair_holds(const struct live_match *match, uint32_t pair, const struct column_wish *wish)
{
    const struct live_block *const live = match->view->block;
    const struct request *const request = match->predicate->request;

    if (wish->condition == WISH_NAME) return slice_equal(live_pair_bytes(live, pair), request->operation);
    const struct condition *const condition =
        &request->conditions[match->predicate->row_conditions[wish->condition]];
    if (wish->raw) return condition_holds_raw(condition, live_pair_bytes(live, pair));
    return condition->attribute.type == VALUE_STRING
               ? slice_equal(live_pair_bytes(live, pair), condition->attribute.bytes)
               : live->pairs[pair].value == condition->attribute.bits;
}

static enum err pair_set_add(struct pair_set *set, struct arena *arena, uint32_t id)
{
    if (set->count == set->capacity) {
        void *const ids = arena_grow(arena, set->ids, sizeof *set->ids, set->count, 4, &set->capacity);
        if (ids == NULL) return ERR_TOO_LARGE;
        set->ids = ids;
    }
    set->ids[set->count++] = id;
    return OK;
}

static struct pair_set *set_of(struct live_match *match, const struct column_wish *wish)
{
    return wish->condition == WISH_NAME ? &match->name : &match->conditions[wish->condition];
}

static enum err match_pairs(struct live_match *match, struct arena *arena)
{
    const struct live_pair *const pairs = match->view->block->pairs;
    struct wishes wishes = {.count = 0};

    collect_wishes(match, &wishes);
    if (match->predicate->request->has_operation && match->predicate->request->operation.len == 0)
        TRY(pair_set_add(&match->name, arena, 0)); /* the empty string is pair 0 of every fixed column */
    for (uint32_t pair = 1; pair < match->view->counts.pairs && wishes.count > 0; pair++) {
        const uint32_t column = pairs[pair].column;
        if (!(wishes.filter >> column % 64 & 1)) continue;
        for (unsigned i = 0; i < wishes.count; i++)
            if (wishes.list[i].column == column && pair_holds(match, pair, &wishes.list[i]))
                TRY(pair_set_add(set_of(match, &wishes.list[i]), arena, pair));
    }
    match->none |= match->predicate->request->has_operation && match->name.count == 0;
    for (unsigned i = 0; i < match->predicate->row_conditions_count; i++)
        match->none |= match->conditions[i].count == 0;
    return OK;
}

/* ---- rows -----------------------------------------------------------------------------------------------
 */

static bool set_has(const struct pair_set *set, uint32_t id)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (set->ids[middle] == id) return true;
        if (set->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Which shapes have a constant of the set. */
static enum err match_shapes(struct live_match *match, struct pair_set *set, struct arena *arena)
{
    const struct live_block *const live = match->view->block;
    const uint32_t count = match->view->counts.shapes;

    set->shapes = arena_alloc(arena, count);
    if (set->shapes == NULL) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        const struct live_shape *const shape = &live->shapes[i];
        set->shapes[i] = false;
        for (uint32_t k = 0; shape->varying < shape->count && k < shape->count; k++) {
            const uint32_t constant = live->shape_items[shape->first + k].constant;
            set->shapes[i] |= constant != 0 && set_has(set, constant);
        }
    }
    return OK;
}

enum err live_match_init(struct live_match *match, const struct predicate *predicate,
                         const struct live_view *view, struct arena *arena)
{
    *match = (struct live_match){.predicate = predicate, .view = view};
    TRY(match_resources(match, arena));
    if (!match->none) TRY(match_scopes(match, arena));
    if (!match->none) TRY(match_pairs(match, arena));
    for (unsigned i = 0; i < predicate->row_conditions_count && !match->none; i++)
        TRY(match_shapes(match, &match->conditions[i], arena));
    return OK;
}

/* values: the slots of what varies in the shape. */
static bool list_has(const struct live_block *live, uint32_t shape, const uint32_t *values,
                     const struct pair_set *set)
{
    if (set->shapes[shape]) return true;
    for (uint32_t i = 0; i < live->shapes[shape].varying; i++)
        if (set_has(set, values[i])) return true;
    return false;
}

static bool row_has(const struct live_block *live, const struct live_row *row, enum attribute_level level,
                    const struct pair_set *set)
{
    const struct live_parts parts = live_parts(live, row);

    if (level == LEVEL_SPAN) return list_has(live, parts.pattern->shape, parts.values, set);
    if (level == LEVEL_EVENT) {
        for (uint32_t i = 0; i < row->events_count; i++) {
            const struct live_event *const event = &live->events[row->events_first + i];
            if (list_has(live, live->event_patterns[event->pattern].shape, live->slots + event->slots_first,
                         set))
                return true;
        }
        return false;
    }
    for (uint32_t i = 0; i < row->links_count; i++) {
        const struct live_link *const link = &live->links[parts.links_first + i];
        if (list_has(live, link->shape, live->slots + link->slots_first, set)) return true;
    }
    return false;
}

bool live_match_row(const struct live_match *match, uint32_t index)
{
    const struct predicate *const predicate = match->predicate;
    const struct live_block *const live = match->view->block;
    const struct live_row *const row = &live->rows[index];
    const struct live_pattern *const pattern = &live->patterns[row->pattern];

    if (match->none) return false;
    if (!predicate_fields(predicate, row->start_ns, duration_of(row->start_ns, row->end_ns), pattern->kind,
                          pattern->status_code))
        return false;
    if (match->resources != NULL && !match->resources[pattern->resource]) return false;
    if (match->scopes != NULL && !match->scopes[pattern->scope]) return false;
    if (predicate->request->has_operation && !set_has(&match->name, pattern->name)) return false;
    for (unsigned i = 0; i < predicate->row_conditions_count; i++)
        if (!row_has(live, row, predicate->request->conditions[predicate->row_conditions[i]].level,
                     &match->conditions[i]))
            return false;
    return true;
}
