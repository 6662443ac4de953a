/*
 * What is decided before the pages of a block are written: how many values each column has, whether they are written raw
 * or as ids of a dictionary, which ids those are, and which columns the slots of a row go to.
 *
 * Dictionary ids follow the order of the pairs, which is the order of arrival and of the bytes in the arena: one walk over
 * the pairs gives them all, and the dictionaries are read off the arena nearly in sequence.
 *
 * Columns of values that hardly ever repeat were not looked up while appending (store/live.h). They are written raw, unless
 * a sample of their tokens says that they repeat after all: then their pairs are made distinct here.
 */
#include "block_job.h"

#include "base/assert.h"
#include "base/hash.h"

/* Bytes of all raw values of strings, bytes and nested values in a block. */
enum { RAW_BYTES_MAX = 128 << 20 };
static_assert((int)RAW_BYTES_MAX <= (int)BLOCK_SECTION_PLAIN_MAX,
              "one column of one page may hold all of them");

/* ---- counting ------------------------------------------------------------------------------------------ */

static void count_rows(struct job *job, uint32_t *uses)
{
    const struct live_block *const live = job->live;

    for (uint32_t i = 0; i < job->rows; i++) {
        const struct live_pattern *const pattern = &live->patterns[live->rows[i].pattern];
        uses[pattern->shape]++;
        job->plans[COLUMN_TRACE_STATE].varying += (pattern->bits & ROW_TRACE_STATE) != 0;
        job->plans[COLUMN_STATUS_MESSAGE].varying += (pattern->bits & ROW_STATUS_MESSAGE) != 0;
    }
    for (uint32_t i = 0; i < job->events; i++)
        uses[live->event_patterns[live->events[i].pattern].shape]++;
    for (uint32_t i = 0; i < job->links; i++)
        uses[live->links[i].shape]++;
}

static void count_values(struct job *job, const uint32_t *uses)
{
    const struct live_block *const live = job->live;

    for (uint32_t i = 0; i < live->counts.shapes; i++) {
        const struct live_shape_item *const items = live->shape_items + live->shapes[i].first;
        for (uint32_t k = 0; uses[i] > 0 && k < live->shapes[i].count; k++) {
            job->plans[items[k].column].values += uses[i];
            if (items[k].constant == 0) job->plans[items[k].column].varying += uses[i];
        }
    }
    job->plans[COLUMN_LINK_STATE].varying = job->links;
    job->plans[COLUMN_NAME].values = job->rows;
    job->plans[COLUMN_EVENT_NAME].values = job->events;
    job->plans[COLUMN_TRACE_STATE].values = job->plans[COLUMN_TRACE_STATE].varying;
    job->plans[COLUMN_STATUS_MESSAGE].values = job->plans[COLUMN_STATUS_MESSAGE].varying;
    job->plans[COLUMN_LINK_STATE].values = job->links;
}

/* Spread of the distinct values, over all pairs (some may be unused after a rejected span: harmless). */
static void measure_pairs(struct job *job)
{
    const struct live_block *const live = job->live;

    for (uint32_t i = 1; i < live->counts.pairs; i++) {
        const struct live_pair *const pair = &live->pairs[i];
        struct column_plan *const plan = &job->plans[pair->column];
        const int64_t value = (int64_t)pair->value;
        if (value < plan->min) plan->min = value;
        if (value > plan->max) plan->max = value;
        if (pair->len > plan->longest) plan->longest = pair->len;
    }
}

/* ---- columns without look-ups that repeat after all ------------------------------------------------------ */

enum { SAMPLE_MASK = 31 }; /* one token in 32 */

struct sample {
    uint32_t total, distinct;
};

static bool sampled(const struct live_block *live, const struct live_pair *pair)
{
    return live->columns[pair->column].unseen == LIVE_UNSEEN_ALWAYS && pair->bits & PAIR_HAS_TOKEN &&
           (pair->token & SAMPLE_MASK) == 0;
}

/* Adds a number to a set of power-of-two size; false when it was there. 0 is taken for 1. */
static bool set_add(uint64_t *set, size_t places, uint64_t number)
{
    number += number == 0;
    for (size_t at = (number >> 5) & (places - 1);; at = (at + 1) & (places - 1)) {
        if (set[at] == number) return false;
        if (set[at] != 0) continue;
        set[at] = number;
        return true;
    }
}

static size_t places_for(size_t count)
{
    size_t places = 64;
    while (places < 2 * count)
        places *= 2;
    return places;
}

static bool find_repeats(struct job *job)
{
    const struct live_block *const live = job->live;
    size_t count = 0;

    for (uint32_t i = 1; i < live->counts.pairs; i++)
        count += sampled(live, &live->pairs[i]);
    if (count == 0) return true;
    const size_t places = places_for(count);
    uint64_t *const set = job_array(&job->encoder->repeats, places, sizeof *set, 0);
    struct sample *const samples = job_array(&job->encoder->wide, job->columns, sizeof *samples, 0);
    if (set == NULL || samples == NULL) return false;
    for (uint32_t i = 1; i < live->counts.pairs; i++) {
        const struct live_pair *const pair = &live->pairs[i];
        if (!sampled(live, pair)) continue;
        samples[pair->column].total++;
        samples[pair->column].distinct += set_add(set, places, pair->token);
    }
    for (uint32_t i = 0; i < job->columns; i++)
        job->plans[i].repeats = samples[i].distinct < samples[i].total / 4 * 3;
    return true;
}

static bool same_value(const struct live_block *live, const struct live_pair *a, const struct live_pair *b)
{
    if (a->column != b->column) return false;
    if (block_type_is_scalar(live->columns[a->column].type)) return a->value == b->value;
    return slice_equal(live_pair_bytes(live, (uint32_t)(a - live->pairs)),
                       live_pair_bytes(live, (uint32_t)(b - live->pairs)));
}

/* The first pair with the value of this one; the table holds pairs by their tokens. */
static uint32_t first_alike(const struct live_block *live, uint32_t *table, size_t places, uint32_t pair)
{
    const struct live_pair *const self = &live->pairs[pair];

    for (size_t at = hash_mix(self->token, 0) & (places - 1);; at = (at + 1) & (places - 1)) {
        if (table[at] == 0) return table[at] = pair;
        const struct live_pair *const other = &live->pairs[table[at]];
        if (other->token == self->token && same_value(live, self, other)) return table[at];
    }
}

/* ---- modes ----------------------------------------------------------------------------------------------- */

static unsigned bytes_for(uint64_t range)
{
    return range == 0 ? 1 : (unsigned)(64 - __builtin_clzll(range) + 7) / 8;
}

static uint8_t choose_mode(const struct column_plan *plan, const struct live_column *column, uint32_t index)
{
    const uint32_t distinct = column->pairs_count;

    if (index < COLUMN_RAW_SPAN || plan->varying == 0) return MODE_DICTIONARY;
    switch (column->type) {
    case VALUE_ABSENT:
    case VALUE_EMPTY:
    case VALUE_BOOL:
    case VALUE_RAW: return MODE_RAW;
    case VALUE_INT:
        return (distinct > plan->varying / 2 && !plan->repeats) ||
                       bytes_for((uint64_t)plan->max - (uint64_t)plan->min) <= bytes_for(distinct)
                   ? MODE_RAW
                   : MODE_DICTIONARY;
    case VALUE_DOUBLE: return distinct > plan->varying / 2 ? MODE_RAW : MODE_DICTIONARY;
    default: return distinct > plan->varying / 4 * 3 && !plan->repeats ? MODE_RAW : MODE_DICTIONARY;
    }
}

/*
 * Raw columns repeat their values; a few large ones that come very often would grow past every bound. Normal blocks
 * are known to be small by their longest value; only others are counted value by value.
 */
static bool raw_columns_are_small(const struct job *job)
{
    uint64_t most = 0;

    for (uint32_t i = COLUMN_RAW_SPAN; i < job->columns; i++)
        if (job->plans[i].mode == MODE_RAW && !block_type_is_scalar(job->live->columns[i].type))
            most += (uint64_t)job->plans[i].longest * job->plans[i].varying;
    return most <= RAW_BYTES_MAX;
}

static void weigh_slots(const struct live_block *live, uint64_t *bytes, uint32_t shape,
                        const uint32_t *values)
{
    const struct live_shape_item *const items = live->shape_items + live->shapes[shape].first;

    for (uint32_t i = 0; i < live->shapes[shape].count; i++)
        if (items[i].constant == 0) bytes[items[i].column] += live->pairs[*values++].len;
}

static void weigh_columns(struct job *job, uint64_t *bytes)
{
    const struct live_block *const live = job->live;

    for (uint32_t i = 0; i < job->rows; i++) {
        const struct live_parts parts = live_parts(live, &live->rows[i]);
        weigh_slots(live, bytes, parts.pattern->shape, parts.values);
    }
    for (uint32_t i = 0; i < job->events; i++)
        weigh_slots(live, bytes, live->event_patterns[live->events[i].pattern].shape,
                    live->slots + live->events[i].slots_first);
    for (uint32_t i = 0; i < job->links; i++)
        weigh_slots(live, bytes, live->links[i].shape, live->slots + live->links[i].slots_first);
}

/* Columns in the order of their numbers stay raw as long as they fit into the bound together. */
static bool bound_raw_columns(struct job *job)
{
    const struct live_block *const live = job->live;
    uint64_t left = RAW_BYTES_MAX;

    if (raw_columns_are_small(job)) return true;
    uint64_t *const bytes = job_array(&job->encoder->wide, job->columns, sizeof *bytes, 0);
    if (bytes == NULL) return false;
    weigh_columns(job, bytes);
    for (uint32_t i = COLUMN_RAW_SPAN; i < job->columns; i++) {
        if (job->plans[i].mode != MODE_RAW || block_type_is_scalar(live->columns[i].type)) continue;
        if (bytes[i] > left)
            job->plans[i].mode = MODE_DICTIONARY;
        else
            left -= bytes[i];
    }
    return true;
}

/* ---- tokens and dictionary ids ----------------------------------------------------------------------------- */

/* An overflow attribute lies in a raw column; its token is that of the attribute it holds. */
static void add_raw_token(struct job *job, uint8_t level, struct slice key_value)
{
    struct attribute attribute;
    struct otlp_fault fault;
    uint64_t hash;

    if (attribute_decode(key_value, &attribute, &fault) == OK &&
        block_token(level, attribute.key, (uint8_t)attribute.type, attribute.bytes, attribute.bits, &hash))
        bytes_put(&job->encoder->token_hashes, &hash, sizeof hash);
}

static void add_tokens(struct job *job)
{
    const struct live_block *const live = job->live;
    struct bytes *const out = &job->encoder->token_hashes;
    uint64_t *const room = (uint64_t *)(void *)bytes_room(out, live->counts.pairs * sizeof *room);
    size_t count = 0;

    if (room == NULL) return;
    for (uint32_t i = 1; i < live->counts.pairs; i++) {
        room[count] = live->pairs[i].token;
        count += (live->pairs[i].bits & PAIR_HAS_TOKEN) != 0;
    }
    out->len += count * sizeof *room;
    const uint32_t raws = live->columns[COLUMN_RAW_SPAN].pairs_count +
                          live->columns[COLUMN_RAW_EVENT].pairs_count +
                          live->columns[COLUMN_RAW_LINK].pairs_count;
    for (uint32_t i = 1; raws > 0 && i < live->counts.pairs; i++)
        if (live->columns[live->pairs[i].column].type == VALUE_RAW)
            add_raw_token(job, live->columns[live->pairs[i].column].level, live_pair_bytes(live, i));
    uint64_t empty_name;
    for (uint32_t i = 0; i < live->counts.patterns; i++) {
        if (live->patterns[i].name != 0) continue;
        block_token(TOKEN_LEVEL_INTRINSIC, slice_text("name"), VALUE_STRING, (struct slice){0}, 0,
                    &empty_name);
        bytes_put(out, &empty_name, sizeof empty_name);
        return;
    }
}

static void enter(struct job *job, uint32_t pair)
{
    struct column_plan *const plan = &job->plans[job->live->pairs[pair].column];

    job->entries[plan->first + plan->distinct] = pair;
    job->pair_ids[pair] = plan->distinct++;
}

/* Where each column's entries begin; entry 0 of the fixed strings is the empty one, pair 0. */
static bool lay_out_entries(struct job *job)
{
    const struct live_block *const live = job->live;
    uint32_t total = 0;

    for (uint32_t i = 0; i < job->columns; i++) {
        job->plans[i].first = total;
        total += live->columns[i].pairs_count + 1;
    }
    job->entries = job_array_raw(&job->encoder->entries, total, sizeof *job->entries);
    job->pair_ids = job_array(&job->encoder->pair_ids, live->counts.pairs, sizeof *job->pair_ids, 0xff);
    if (job->entries == NULL || job->pair_ids == NULL) return false;
    for (uint32_t i = 0; i < COLUMN_RAW_SPAN; i++)
        job->entries[job->plans[i].first + job->plans[i].distinct++] = 0;
    return true;
}

/* A table of pairs for the columns that repeat; NULL and *places 0: there are none. */
static bool repeat_table(struct job *job, uint32_t **table, size_t *places)
{
    size_t count = 0;

    *places = 0;
    for (uint32_t i = 0; i < job->columns; i++)
        if (job->plans[i].repeats) count += job->live->columns[i].pairs_count;
    if (count == 0) return true;
    *places = places_for(count);
    *table = job_array(&job->encoder->repeats, *places, sizeof **table, 0);
    return *table != NULL;
}

static bool number_pairs(struct job *job)
{
    const struct live_block *const live = job->live;
    uint32_t *table = NULL;
    size_t places;

    if (!lay_out_entries(job) || !repeat_table(job, &table, &places)) return false;
    for (uint32_t i = 1; i < live->counts.pairs; i++) {
        const struct column_plan *const plan = &job->plans[live->pairs[i].column];
        if (plan->mode != MODE_DICTIONARY) continue;
        const uint32_t first = plan->repeats && live->pairs[i].bits & PAIR_HAS_TOKEN
                                   ? first_alike(live, table, places, i)
                                   : i;
        if (first == i)
            enter(job, i);
        else
            job->pair_ids[i] = job->pair_ids[first];
    }
    return true;
}

/* Raw columns have a dictionary of the constants that shapes in use have of them. */
static void number_constants(struct job *job, const uint32_t *uses)
{
    const struct live_block *const live = job->live;

    for (uint32_t i = 0; i < live->counts.shapes; i++) {
        const struct live_shape *const shape = &live->shapes[i];
        if (uses[i] == 0 || shape->varying == shape->count) continue;
        for (uint32_t k = 0; k < shape->count; k++) {
            const uint32_t pair = live->shape_items[shape->first + k].constant;
            if (pair != 0 && job->pair_ids[pair] == UNASSIGNED) enter(job, pair);
        }
    }
}

/* ---- where slots go ------------------------------------------------------------------------------------------ */

static bool plan_shapes(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_block *const live = job->live;
    uint32_t used = 0;

    job->shape_plans = job_array_raw(&encoder->shape_plans, live->counts.shapes, sizeof *job->shape_plans);
    job->scatter = job_array_raw(&encoder->scatter, live->counts.shape_items + 1, sizeof *job->scatter);
    if (job->shape_plans == NULL || job->scatter == NULL) return false;
    for (uint32_t i = 0; i < live->counts.shapes; i++) {
        const struct live_shape_item *const items = live->shape_items + live->shapes[i].first;
        job->shape_plans[i] = (struct shape_plan){used, live->shapes[i].varying};
        for (uint32_t k = 0; k < live->shapes[i].count; k++)
            if (items[k].constant == 0) job->scatter[used++] = (uint16_t)items[k].column;
    }
    return true;
}

static bool prepare_uses(struct page_uses *uses, uint32_t count)
{
    uses->touched.len = 0;
    return job_array(&uses->uses, count, sizeof(uint32_t), 0) != NULL;
}

bool plan_block(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    const struct live_counts *const counts = &job->live->counts;
    uint32_t *const uses = job_array(&encoder->shape_uses, counts->shapes, sizeof *uses, 0);

    job->plans = job_array(&encoder->plans, job->columns, sizeof *job->plans, 0);
    job->cursors = job_array(&encoder->cursors, job->columns, sizeof *job->cursors, 0);
    if (uses == NULL || job->plans == NULL || job->cursors == NULL) return false;
    if (!prepare_uses(&encoder->patterns, counts->patterns) ||
        !prepare_uses(&encoder->shapes, counts->shapes) ||
        !prepare_uses(&encoder->event_patterns, counts->event_patterns))
        return false;
    for (uint32_t i = 0; i < job->columns; i++) {
        job->plans[i].min = INT64_MAX;
        job->plans[i].max = INT64_MIN;
    }
    count_rows(job, uses);
    count_values(job, uses);
    measure_pairs(job);
    if (!find_repeats(job)) return false;
    for (uint32_t i = 0; i < job->columns; i++)
        job->plans[i].mode = choose_mode(&job->plans[i], &job->live->columns[i], i);
    if (!bound_raw_columns(job) || !number_pairs(job) || !plan_shapes(job)) return false;
    number_constants(job, uses);
    add_tokens(job);
    return true;
}
