/*
 * Live block: appending. See store/live.h for the promise.
 *
 * The happy path of an attribute is four loads and a memcmp: the previous span of the same name tells which
 * pair is likely at this place, and if its bytes equal the received ones the pair id is written to the row's
 * slots. Only a miss hashes, and only bytes never seen before in this block are decoded, validated and
 * copied.
 *
 *   rows     [trace id | span id | parent | times | envelope indexes | pair ids | slots_first, shape |
 * children] slots    pair ids of attributes, in order, of spans, events and links alike pairs    id -> (bytes
 * in the arena, column, value) arena    bytes, each distinct KeyValue, name, Resource, Scope once
 *
 * All arrays are reserved at their full address range when the block is opened and never move; memory is
 * touched as it fills. A request that fails is undone by setting the counts of rows, slots, events and links
 * back; pairs that it interned stay, unused.
 */
#include "live_writer.h"

#include "base/assert.h"
#include "base/hash.h"
#include "codec/wire.h"
#include "io/io.h"

#include <stdlib.h>

/* ---- memory ---------------------------------------------------------------------------------------------
 */

enum {
    PAIR_PLACES = 1 << 15,
    SMALL_PLACES = 1 << 10,
    RESERVE_ROWS = LIVE_ROWS_MAX,
};

struct region {
    size_t offset_in_block; /* of the pointer in struct live_block */
    size_t bytes;
    size_t keep_bytes; /* given back beyond this at reset */
};

#define REGION(member, type, count, keep)                                                                    \
    {                                                                                                        \
        offsetof(struct live_block, member), sizeof(type) * (size_t)(count), sizeof(type) * (size_t)(keep)   \
    }

static const struct region regions[] = {
    REGION(rows, struct live_row, RESERVE_ROWS, LIVE_ROWS_CLOSE + 8192),
    REGION(slots, uint32_t, LIVE_SLOTS_MAX, 2 << 20),
    REGION(pairs, struct live_pair, LIVE_PAIRS_MAX, 256 << 10),
    REGION(columns, struct live_column, LIVE_COLUMNS_MAX + COLUMN_FIXED_COUNT, LIVE_COLUMNS_MAX),
    REGION(events, struct live_event, LIVE_CHILDREN_MAX, 128 << 10),
    REGION(links, struct live_link, LIVE_CHILDREN_MAX, 64 << 10),
    REGION(resources, struct live_envelope, LIVE_ENVELOPES_MAX, 4096),
    REGION(scopes, struct live_envelope, LIVE_ENVELOPES_MAX, 4096),
    REGION(shapes, struct live_shape, LIVE_SHAPES_MAX, 4096),
    REGION(shape_columns, uint32_t, LIVE_SHAPES_MAX * 64, 64 << 10),
    REGION(arena, uint8_t, LIVE_ARENA_MAX, LIVE_ARENA_CLOSE + (8 << 20)),
};
enum { REGIONS = sizeof regions / sizeof regions[0], SHAPE_COLUMNS_MAX = LIVE_SHAPES_MAX * 64 };

static size_t page_up(size_t bytes)
{
    return (bytes + IO_ALIGN - 1) & ~(size_t)(IO_ALIGN - 1);
}

static void **region_at(struct live_block *live, const struct region *region)
{
    return (void **)(void *)((char *)live + region->offset_in_block);
}

static bool table_open(struct intern_table *table, uint32_t places_max)
{
    table->places_max = places_max;
    table->entries = io_memory(page_up(sizeof(struct intern_entry) * (size_t)places_max));
    return table->entries != NULL;
}

static void table_reset(struct intern_table *table, uint32_t places)
{
    const size_t used_bytes = sizeof(struct intern_entry) * ((size_t)table->mask + 1);

    if (used_bytes > (8u << 20) && table->mask != 0)
        io_memory_forget(table->entries, page_up(used_bytes));
    else if (table->mask != 0)
        memset(table->entries, 0, used_bytes);
    table->mask = (places < table->places_max ? places : table->places_max) - 1;
    table->used = 0;
}

static void table_close(struct intern_table *table)
{
    if (table->entries != NULL)
        io_memory_free(table->entries, page_up(sizeof(struct intern_entry) * (size_t)table->places_max));
}

enum err live_open(uint16_t shard, struct live_block **out)
{
    struct live_block *const live = calloc(1, sizeof *live);
    struct live_writer *const writer = calloc(1, sizeof *writer);
    bool good = live != NULL && writer != NULL;

    if (good) {
        live->writer = writer;
        live->shard = shard;
    }
    for (unsigned i = 0; good && i < REGIONS; i++) {
        void *const memory = io_memory(page_up(regions[i].bytes));
        memcpy(region_at(live, &regions[i]), &memory, sizeof memory);
        good = memory != NULL;
    }
    good = good && table_open(&writer->pairs, 2 * LIVE_PAIRS_MAX) && table_open(&writer->columns, 8192) &&
           table_open(&writer->shapes, 2 * LIVE_SHAPES_MAX) &&
           table_open(&writer->resources, 2 * LIVE_ENVELOPES_MAX) &&
           table_open(&writer->scopes, 2 * LIVE_ENVELOPES_MAX);
    if (!good) {
        if (live != NULL) live_close(live);
        return ERR_NO_MEMORY;
    }
    live_reset(live, 0, 0);
    *out = live;
    return OK;
}

void live_close(struct live_block *live)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        void *memory;
        memcpy(&memory, region_at(live, &regions[i]), sizeof memory);
        if (memory != NULL) io_memory_free(memory, page_up(regions[i].bytes));
    }
    if (live->writer != NULL) {
        table_close(&live->writer->pairs);
        table_close(&live->writer->columns);
        table_close(&live->writer->shapes);
        table_close(&live->writer->resources);
        table_close(&live->writer->scopes);
    }
    free(live->writer);
    free(live);
}

static size_t region_used(const struct live_block *live, unsigned index)
{
    const struct live_counts *const counts = &live->counts;
    const size_t used[REGIONS] = {
        counts->rows * sizeof(struct live_row),
        counts->slots * sizeof(uint32_t),
        counts->pairs * sizeof(struct live_pair),
        counts->columns * sizeof(struct live_column),
        counts->events * sizeof(struct live_event),
        counts->links * sizeof(struct live_link),
        counts->resources * sizeof(struct live_envelope),
        counts->scopes * sizeof(struct live_envelope),
        counts->shapes * sizeof(struct live_shape),
        counts->shape_columns * sizeof(uint32_t),
        counts->arena,
    };
    return used[index];
}

/* Unusually large blocks give their pages back; usual ones keep them warm. */
static void forget_excess(struct live_block *live)
{
    for (unsigned i = 0; i < REGIONS; i++) {
        const size_t keep = page_up(regions[i].keep_bytes), used = page_up(region_used(live, i));
        char *memory;
        memcpy(&memory, region_at(live, &regions[i]), sizeof memory);
        if (used > keep) io_memory_forget(memory + keep, used - keep);
    }
}

static uint64_t random_seed(const struct live_block *live, uint64_t seq)
{
    struct io_seed {
        uint64_t address, seq;
    } const mixed = {(uint64_t)(uintptr_t)live, seq};
    return hash64(&mixed, sizeof mixed);
}

static uint32_t intern_string(struct live_block *live, uint32_t column, struct slice bytes);

void live_reset(struct live_block *live, uint64_t seq, uint64_t lsn_first)
{
    struct live_writer *const writer = live->writer;

    forget_excess(live);
    table_reset(&writer->pairs, PAIR_PLACES);
    table_reset(&writer->columns, SMALL_PLACES);
    table_reset(&writer->shapes, SMALL_PLACES);
    table_reset(&writer->resources, SMALL_PLACES);
    table_reset(&writer->scopes, SMALL_PLACES);
    live->seq = seq;
    live->lsn_first = live->lsn_end = lsn_first;
    live->arrival_min_ns = UINT64_MAX;
    live->arrival_max_ns = 0;
    live->counts = (struct live_counts){0};
    writer->seed = random_seed(live, seq);
    writer->cut = 0;
    memset(writer->recent, 0, sizeof writer->recent);
    memset(writer->hints, 0xff, sizeof writer->hints);
    memset(writer->event_hints, 0xff, sizeof writer->event_hints);
    writer->resource = writer->scope = NO_ID;

    struct live_column *const columns = WRITABLE(live->columns, struct live_column);
    for (uint32_t i = 0; i < COLUMN_FIXED_COUNT; i++)
        columns[i] = (struct live_column){.level = LEVEL_SPAN,
                                          .type = i < COLUMN_RAW_SPAN ? VALUE_STRING : VALUE_RAW};
    columns[COLUMN_EVENT_NAME].level = columns[COLUMN_RAW_EVENT].level = LEVEL_EVENT;
    columns[COLUMN_LINK_STATE].level = columns[COLUMN_RAW_LINK].level = LEVEL_LINK;
    live->counts.columns = COLUMN_FIXED_COUNT;
    /* Pair 0 is the empty string of every fixed column; shape 0 is empty. */
    WRITABLE(live->pairs, struct live_pair)[0] = (struct live_pair){.domain = UINT32_MAX};
    live->counts.pairs = 1;
    WRITABLE(live->shapes, struct live_shape)[0] = (struct live_shape){0};
    live->counts.shapes = 1;
    const struct live_counts counts = live->counts;
    live_publish(live, &counts);
}

/* ---- interning ------------------------------------------------------------------------------------------
 */

/* memcmp for short runs, inline: two overlapping loads per 16 bytes beat a call at the usual 20 to 60 bytes.
 */
static inline bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len)
{
    uint64_t x, y, u, v;

    if (__builtin_expect(len < 8, 0)) return memcmp(a, b, len) == 0;
    for (; len > 16; len -= 16, a += 16, b += 16) {
        memcpy(&x, a, 8);
        memcpy(&y, b, 8);
        memcpy(&u, a + 8, 8);
        memcpy(&v, b + 8, 8);
        if (((x ^ y) | (u ^ v)) != 0) return false;
    }
    if (len < 8) { /* step back: these bytes were compared in part already */
        memcpy(&x, a + len - 8, 8);
        memcpy(&y, b + len - 8, 8);
        return x == y;
    }
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    memcpy(&u, a + len - 8, 8);
    memcpy(&v, b + len - 8, 8);
    return ((x ^ y) | (u ^ v)) == 0;
}

/*
 * The place in `recent` for some bytes: from their length, first and last eight. Attributes of one key begin
 * alike and differ at their end, so this tells most values apart without reading them whole.
 */
static inline uint32_t *recent_of(struct live_block *live, uint32_t domain, struct slice bytes)
{
    uint64_t first = 0, last = 0;

    if (bytes.len >= 8) {
        memcpy(&first, bytes.ptr, 8);
        memcpy(&last, bytes.ptr + bytes.len - 8, 8);
    } else {
        memcpy(&first, bytes.ptr, bytes.len);
    }
    const uint64_t mixed = (first ^ live->writer->seed) * 0x9e3779b97f4a7c15ull ^
                           (last + bytes.len + ((uint64_t)domain << 56)) * 0xc2b2ae3d27d4eb4full;
    return &live->writer->recent[(mixed ^ mixed >> 29) * 0x9e3779b97f4a7c15ull >> (64 - RECENT_BITS)];
}

/* Is this pair those bytes? Ids in `recent` may be stale, but are always of pairs of this block or 0. */
static inline bool pair_is(const struct live_block *live, uint32_t id, uint32_t domain, struct slice bytes)
{
    const struct live_pair *const pair = &live->pairs[id];

    return pair->len == bytes.len && pair->domain == domain &&
           same_bytes(live->arena + pair->offset, bytes.ptr, bytes.len);
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> 32) | 1; /* never 0, so that an empty place is not mistaken */
}

static void table_place(struct intern_table *table, uint32_t tag, uint32_t id)
{
    uint32_t place = tag & table->mask;

    /* tags are odd: drop the lowest bit so that all places are used */
    place = (tag >> 1) & table->mask;
    while (table->entries[place].tag != 0)
        place = (place + 1) & table->mask;
    table->entries[place] = (struct intern_entry){tag, id};
}

static void table_grow(struct intern_table *table)
{
    const uint32_t old_places = table->mask + 1;
    struct intern_entry *const copy = malloc(sizeof *copy * old_places);

    if (copy == NULL) return; /* stays correct, only fuller; grows at the next insert */
    memcpy(copy, table->entries, sizeof *copy * old_places);
    memset(table->entries, 0, sizeof *copy * old_places);
    table->mask = old_places * 2 - 1;
    for (uint32_t i = 0; i < old_places; i++)
        if (copy[i].tag != 0) table_place(table, copy[i].tag, copy[i].id);
    free(copy);
}

static void table_insert(struct intern_table *table, uint32_t tag, uint32_t id)
{
    if (table->used + 1 > (table->mask + 1) / 2 && (table->mask + 1) * 2 <= table->places_max)
        table_grow(table);
    assert(table->used < table->mask);
    table_place(table, tag, id);
    table->used++;
}

static bool arena_put(struct live_block *live, struct slice bytes, uint32_t *offset)
{
    if (bytes.len > LIVE_ARENA_MAX - live->counts.arena) return false;
    *offset = live->counts.arena;
    if (bytes.len > 0) memcpy(WRITABLE(live->arena, uint8_t) + *offset, bytes.ptr, bytes.len);
    live->counts.arena += (uint32_t)bytes.len;
    return true;
}

static inline uint64_t bytes_hash(const struct live_block *live, uint32_t domain, struct slice bytes)
{
    return hash_fast(bytes.ptr, bytes.len, live->writer->seed ^ ((uint64_t)domain << 56));
}

static uint32_t pair_find(const struct live_block *live, uint32_t domain, struct slice bytes, uint32_t tag)
{
    const struct intern_table *const table = &live->writer->pairs;

    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask) {
        if (table->entries[place].tag != tag) continue;
        const struct live_pair *const pair = &live->pairs[table->entries[place].id];
        if (pair->domain == domain && pair->len == bytes.len &&
            memcmp(live->arena + pair->offset, bytes.ptr, bytes.len) == 0)
            return table->entries[place].id;
    }
    return NO_ID;
}

/* Copies new bytes and gives them an id; column and value are filled in by the caller. NULL: no room. */
static struct live_pair *pair_new(struct live_block *live, uint32_t domain, struct slice bytes, uint32_t tag)
{
    struct live_pair *const pair = &WRITABLE(live->pairs, struct live_pair)[live->counts.pairs];
    uint32_t offset;

    if (live->counts.pairs == LIVE_PAIRS_MAX || !arena_put(live, bytes, &offset)) return NULL;
    *pair = (struct live_pair){.offset = offset, .len = (uint32_t)bytes.len, .hash = tag, .domain = domain};
    table_insert(&live->writer->pairs, tag, live->counts.pairs);
    live->counts.pairs++;
    return pair;
}

static uint64_t place_value(uint32_t offset, size_t len)
{
    return (uint64_t)offset << 32 | (uint32_t)len;
}

/* NO_ID: no room. */
static uint32_t intern_string(struct live_block *live, uint32_t column, struct slice bytes)
{
    if (bytes.len == 0) return 0;

    uint32_t *const recent = recent_of(live, column, bytes);
    if (__builtin_expect(pair_is(live, *recent, column, bytes), 1)) return *recent;
    const uint32_t tag = tag_of(bytes_hash(live, column, bytes));
    const uint32_t id = pair_find(live, column, bytes, tag);
    if (id != NO_ID) return *recent = id;

    struct live_pair *const pair = pair_new(live, column, bytes, tag);
    if (pair == NULL) return NO_ID;
    pair->column = column;
    pair->value = place_value(pair->offset, bytes.len);
    WRITABLE(live->columns, struct live_column)[column].pairs_count++;
    return live->counts.pairs - 1;
}

static uint32_t raw_column(enum attribute_level level)
{
    return level == LEVEL_SPAN ? COLUMN_RAW_SPAN : level == LEVEL_EVENT ? COLUMN_RAW_EVENT : COLUMN_RAW_LINK;
}

/* The column of (level, key, type); key bytes lie in the arena already. */
static uint32_t column_of(struct live_block *live, enum attribute_level level, uint32_t key_offset,
                          uint32_t key_len, enum value_type type)
{
    struct intern_table *const table = &live->writer->columns;
    const uint64_t salt = live->writer->seed + (uint64_t)level * 31 + (uint64_t)type;
    const uint32_t tag = tag_of(hash_fast(live->arena + key_offset, key_len, salt));

    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask) {
        const uint32_t id = table->entries[place].id;
        const struct live_column *const column = &live->columns[id];
        if (table->entries[place].tag == tag && column->level == level && column->type == type &&
            column->key_len == key_len &&
            memcmp(live->arena + column->key_offset, live->arena + key_offset, key_len) == 0)
            return id;
    }
    if (live->counts.columns == LIVE_COLUMNS_MAX) return raw_column(level);
    WRITABLE(live->columns, struct live_column)
    [live->counts.columns] = (struct live_column){
        .level = (uint8_t)level, .type = (uint8_t)type, .key_offset = key_offset, .key_len = key_len};
    table_insert(table, tag, live->counts.columns);
    return live->counts.columns++;
}

/* What becomes of an attribute: an id, or one of these. */
enum { INTERN_FULL = -1, INTERN_CUT = -2, INTERN_MALFORMED = -3, INTERN_TOO_DEEP = -4 };

static int64_t intern_new_attribute(struct live_block *live, enum attribute_level level, struct slice bytes,
                                    uint32_t tag, struct otlp_fault *fault)
{
    struct attribute attribute;
    const enum err err = attribute_decode(bytes, &attribute, fault);

    if (err != OK) return err == ERR_UNSUPPORTED ? INTERN_TOO_DEEP : INTERN_MALFORMED;
    if (attribute.key.len > OTLP_KEY_BYTES_MAX || bytes.len > OTLP_VALUE_BYTES_MAX + OTLP_KEY_BYTES_MAX ||
        attribute.bytes.len > OTLP_VALUE_BYTES_MAX)
        return INTERN_CUT;

    struct live_pair *const pair = pair_new(live, DOMAIN_KEY_VALUE + (uint32_t)level, bytes, tag);
    if (pair == NULL) return INTERN_FULL;
    const uint32_t key_offset = attribute.key.len > 0
                                    ? pair->offset + (uint32_t)(attribute.key.ptr - bytes.ptr)
                                    : pair->offset;
    pair->column = column_of(live, level, key_offset, (uint32_t)attribute.key.len, attribute.type);
    switch (live->columns[pair->column].type) {
    case VALUE_BOOL:
    case VALUE_INT:
    case VALUE_DOUBLE: pair->value = attribute.bits; break;
    case VALUE_RAW: pair->value = place_value(pair->offset, bytes.len); break;
    default:
        pair->value = attribute.bytes.len > 0
                          ? place_value(pair->offset + (uint32_t)(attribute.bytes.ptr - bytes.ptr),
                                        attribute.bytes.len)
                          : place_value(pair->offset, 0);
    }
    WRITABLE(live->columns, struct live_column)[pair->column].pairs_count++;
    return live->counts.pairs - 1;
}

static int64_t intern_attribute(struct live_block *live, enum attribute_level level, struct slice bytes,
                                struct otlp_fault *fault)
{
    const uint32_t domain = DOMAIN_KEY_VALUE + (uint32_t)level;
    uint32_t *const recent = recent_of(live, domain, bytes);
    if (__builtin_expect(pair_is(live, *recent, domain, bytes), 1)) return *recent;
    const uint32_t tag = tag_of(bytes_hash(live, domain, bytes));
    const uint32_t id = pair_find(live, domain, bytes, tag);
    if (id != NO_ID) return *recent = id;
    const int64_t added = intern_new_attribute(live, level, bytes, tag, fault);
    if (added >= 0) *recent = (uint32_t)added;
    return added;
}

static uint32_t shape_hash(const uint32_t *columns, uint32_t count)
{
    return tag_of(hash_fast(columns, count * sizeof *columns, 0));
}

/* NO_ID: no room. */
static uint32_t intern_shape(struct live_block *live, const uint32_t *columns, uint32_t count)
{
    struct intern_table *const table = &live->writer->shapes;
    struct live_counts *const counts = &live->counts;

    if (count == 0) return 0;
    const uint32_t tag = shape_hash(columns, count);
    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask) {
        const struct live_shape *const shape = &live->shapes[table->entries[place].id];
        if (table->entries[place].tag == tag && shape->count == count &&
            memcmp(live->shape_columns + shape->first, columns, count * sizeof *columns) == 0)
            return table->entries[place].id;
    }
    if (counts->shapes == LIVE_SHAPES_MAX || counts->shape_columns + count > SHAPE_COLUMNS_MAX) return NO_ID;
    memcpy(WRITABLE(live->shape_columns, uint32_t) + counts->shape_columns, columns, count * sizeof *columns);
    WRITABLE(live->shapes, struct live_shape)
    [counts->shapes] = (struct live_shape){.first = counts->shape_columns, .count = count, .hash = tag};
    counts->shape_columns += count;
    table_insert(table, tag, counts->shapes);
    return counts->shapes++;
}

/* ---- attributes of one span, event or link ---------------------------------------------------------------
 */

/* The slots of an earlier thing of the same name, likely to be alike. */
struct prediction {
    const uint32_t *slots;
    uint32_t count, shape;
};

struct slots {
    uint32_t first, count, shape;
    uint32_t cut;
};

static enum err slots_fail(int64_t why)
{
    return why == INTERN_FULL ? ERR_FULL : why == INTERN_TOO_DEEP ? ERR_UNSUPPORTED : ERR_MALFORMED;
}

static enum err append_slots(struct live_block *live, enum attribute_level level,
                             const struct slice *attributes, uint32_t attributes_count,
                             const struct prediction *prediction, struct slots *out, struct otlp_fault *fault)
{
    uint32_t *const slots = WRITABLE(live->slots, uint32_t) + live->counts.slots;
    const uint32_t predicted_count = prediction->count;
    uint32_t count = 0;
    bool same_shape = true;

    if (attributes_count > LIVE_SLOTS_MAX - live->counts.slots) return ERR_FULL;
    for (uint32_t i = 0; i < attributes_count; i++) {
        const struct slice bytes = attributes[i];
        if (__builtin_expect(count < predicted_count, 1)) {
            const uint32_t guess = prediction->slots[count];
            const struct live_pair *const pair = &live->pairs[guess];
            if (pair->len == bytes.len && same_bytes(live->arena + pair->offset, bytes.ptr, bytes.len)) {
                slots[count++] = guess;
                continue;
            }
            const int64_t id = intern_attribute(live, level, bytes, fault);
            if (__builtin_expect(id >= 0, 1)) {
                same_shape &= live->pairs[id].column == pair->column;
                slots[count++] = (uint32_t)id;
                continue;
            }
            if (id != INTERN_CUT) return slots_fail(id);
        } else {
            const int64_t id = intern_attribute(live, level, bytes, fault);
            if (__builtin_expect(id >= 0, 1)) {
                slots[count++] = (uint32_t)id;
                continue;
            }
            if (id != INTERN_CUT) return slots_fail(id);
        }
        out->cut++;
    }
    out->first = live->counts.slots;
    out->count = count;
    live->counts.slots += count;
    if (same_shape && count == predicted_count) {
        out->shape = prediction->shape;
        return OK;
    }
    uint32_t *const columns = live->writer->shape_scratch;
    for (uint32_t i = 0; i < count; i++)
        columns[i] = live->pairs[slots[i]].column;
    out->shape = intern_shape(live, columns, count);
    return out->shape == NO_ID ? ERR_FULL : OK;
}

/* ---- events and links -----------------------------------------------------------------------------------
 */

/* The name's pair: that of the event that is likely alike, or looked up. */
static uint32_t event_name(struct live_block *live, const struct live_event *like, struct slice name)
{
    if (like != NULL) {
        const struct live_pair *const pair = &live->pairs[like->name];
        if (pair->len == name.len &&
            (name.len == 0 || same_bytes(live->arena + pair->offset, name.ptr, name.len)))
            return like->name;
    }
    return intern_string(live, COLUMN_EVENT_NAME, name);
}

static enum err append_event(struct live_block *live, struct slice message, const struct live_event *like,
                             uint32_t *cut, struct otlp_fault *fault)
{
    struct live_event *const event = &WRITABLE(live->events, struct live_event)[live->counts.events];
    struct event_view view;
    struct slots slots = {0};

    if (live->counts.events == LIVE_CHILDREN_MAX) return ERR_FULL;
    TRY(event_decode(message, live->writer->attribute_scratch, &view, fault));
    const uint32_t name = event_name(live, like, view.name);
    if (name == NO_ID) return ERR_FULL;
    uint32_t *const hint = &live->writer->event_hints[(name ^ view.attributes_count << 6) % EVENT_HINTS];
    if (like == NULL || like->name != name || like->slots_count != view.attributes_count)
        like = *hint < live->counts.events ? &live->events[*hint] : NULL;
    *hint = live->counts.events;
    const struct prediction prediction = like != NULL ? (struct prediction){live->slots + like->slots_first,
                                                                            like->slots_count, like->shape}
                                                      : (struct prediction){0};
    TRY(append_slots(live, LEVEL_EVENT, view.attributes, view.attributes_count, &prediction, &slots, fault));
    *event = (struct live_event){.time_ns = view.time_ns,
                                 .name = name,
                                 .dropped_attributes_count = view.dropped_attributes_count + slots.cut,
                                 .slots_first = slots.first,
                                 .slots_count = slots.count,
                                 .shape = slots.shape};
    live->counts.events++;
    *cut += view.cut + slots.cut;
    return OK;
}

static enum err append_link(struct live_block *live, struct slice message, uint32_t *cut,
                            struct otlp_fault *fault)
{
    struct live_link *const link = &WRITABLE(live->links, struct live_link)[live->counts.links];
    const struct prediction none = {0};
    struct link_view view;
    struct slots slots = {0};

    if (live->counts.links == LIVE_CHILDREN_MAX) return ERR_FULL;
    TRY(link_decode(message, live->writer->attribute_scratch, &view, fault));
    const uint32_t trace_state = intern_string(live, COLUMN_LINK_STATE, view.trace_state);
    if (trace_state == NO_ID) return ERR_FULL;
    TRY(append_slots(live, LEVEL_LINK, view.attributes, view.attributes_count, &none, &slots, fault));
    *link = (struct live_link){.trace_id = view.trace_id,
                               .span_id = view.span_id,
                               .trace_state = trace_state,
                               .flags = view.flags,
                               .dropped_attributes_count = view.dropped_attributes_count + slots.cut,
                               .bits = (view.trace_id_present ? LINK_TRACE_PRESENT : 0u) |
                                       (view.span_id_present ? LINK_SPAN_PRESENT : 0u),
                               .slots_first = slots.first,
                               .slots_count = slots.count,
                               .shape = slots.shape};
    live->counts.links++;
    *cut += view.cut + slots.cut;
    return OK;
}

static enum err append_children(struct live_block *live, const struct span_view *view,
                                const struct live_row *like, uint32_t *cut, struct otlp_fault *fault)
{
    for (uint32_t i = 0; i < view->events_count; i++) {
        const struct live_event *const like_event = like != NULL && i < like->events_count
                                                        ? &live->events[like->events_first + i]
                                                        : NULL;
        TRY(append_event(live, view->events[i], like_event, cut, fault));
    }
    for (uint32_t i = 0; i < view->links_count; i++)
        TRY(append_link(live, view->links[i], cut, fault));
    return OK;
}

/* ---- spans ----------------------------------------------------------------------------------------------
 */

/* Where the newest row of spans like this one is noted: same sender, name, kind and number of attributes. */
static uint32_t *hint_of(struct live_block *live, const struct span_view *view, uint32_t name)
{
    const uint64_t who = (uint64_t)live->writer->resource << 48 ^ (uint64_t)live->writer->scope << 32 ^ name;
    const uint64_t what = (uint64_t)view->attributes_count << 8 ^ (uint64_t)(uint32_t)view->kind;

    return &live->writer
                ->hints[(who * 0x9e3779b97f4a7c15ull ^ what * 0xc2b2ae3d27d4eb4full) >> (64 - HINT_BITS)];
}

static enum err append_row(struct live_block *live, const struct span_view *view, struct otlp_fault *fault)
{
    struct live_row *const row = &WRITABLE(live->rows, struct live_row)[live->counts.rows];
    const uint32_t events_first = live->counts.events, links_first = live->counts.links;
    struct slots slots = {0};
    uint32_t cut = view->cut;

    if (live->counts.rows == LIVE_ROWS_MAX) return ERR_FULL;
    const uint32_t name = intern_string(live, COLUMN_NAME, view->name);
    const uint32_t trace_state = intern_string(live, COLUMN_TRACE_STATE, view->trace_state);
    const uint32_t status_message = intern_string(live, COLUMN_STATUS_MESSAGE, view->status_message);
    if (name == NO_ID || trace_state == NO_ID || status_message == NO_ID) return ERR_FULL;

    uint32_t *const hint = hint_of(live, view, name);
    /* Any valid row will do for a hint; one that was undone has slots that no longer match its shape. */
    const struct live_row *const like = *hint < live->counts.rows ? &live->rows[*hint] : NULL;
    const struct prediction prediction = like != NULL ? (struct prediction){live->slots + like->slots_first,
                                                                            like->slots_count, like->shape}
                                                      : (struct prediction){0};
    TRY(append_slots(live, LEVEL_SPAN, view->attributes, view->attributes_count, &prediction, &slots, fault));
    TRY(append_children(live, view, like, &cut, fault));
    cut += slots.cut;
    *row = (struct live_row){
        .trace_id = view->trace_id,
        .span_id = view->span_id,
        .parent_span_id = view->parent_span_id,
        .start_ns = view->start_ns,
        .end_ns = view->end_ns,
        .resource = live->writer->resource,
        .scope = live->writer->scope,
        .name = name,
        .trace_state = trace_state,
        .status_message = status_message,
        .kind = view->kind,
        .status_code = view->status_code,
        .flags = view->flags,
        .dropped_attributes_count = view->dropped_attributes_count + slots.cut,
        .dropped_events_count = view->dropped_events_count,
        .dropped_links_count = view->dropped_links_count,
        .bits = (view->parent_present ? ROW_PARENT_PRESENT : 0u) |
                (view->status_present ? ROW_STATUS_PRESENT : 0u),
        .slots_first = slots.first,
        .shape = slots.shape,
        .slots_count = (uint16_t)slots.count,
        .events_count = (uint16_t)view->events_count,
        .links_count = (uint16_t)view->links_count,
        .events_first = events_first,
        .links_first = links_first,
    };
    *hint = live->counts.rows;
    live->counts.rows++;
    if (cut > 0) live->writer->cut++;
    return OK;
}

static enum err on_span(void *context, const struct span_view *view, struct otlp_fault *fault)
{
    struct live_block *const live = context;
    const uint32_t slots = live->counts.slots, events = live->counts.events, links = live->counts.links;
    const enum err err = append_row(live, view, fault);

    if (__builtin_expect(err != OK, 0)) {
        live->counts.slots = slots;
        live->counts.events = events;
        live->counts.links = links;
        if (err == ERR_FULL) fault->reason = "the live block is full";
    }
    return err;
}

/* ---- envelopes ------------------------------------------------------------------------------------------
 */

static enum err note_service(void *context, const struct attribute *attribute)
{
    struct slice *const service = context;

    if (attribute->type == VALUE_STRING && slice_is(attribute->key, "service.name"))
        *service = attribute->bytes;
    return OK;
}

struct envelope_table {
    struct intern_table *table;
    struct live_envelope *list;
    uint32_t *count;
};

static bool envelope_is(const struct live_block *live, const struct live_envelope *envelope,
                        const struct resource_view *view)
{
    return envelope->present == (uint32_t)view->present && envelope->len == view->message.len &&
           envelope->schema_len == view->schema_url.len &&
           slice_equal(live_bytes(live, envelope->offset, envelope->len), view->message) &&
           slice_equal(live_bytes(live, envelope->schema_offset, envelope->schema_len), view->schema_url);
}

static uint32_t envelope_find(const struct live_block *live, const struct envelope_table *in,
                              const struct resource_view *view, uint32_t tag)
{
    const struct intern_table *const table = in->table;

    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask)
        if (table->entries[place].tag == tag && envelope_is(live, &in->list[table->entries[place].id], view))
            return table->entries[place].id;
    return NO_ID;
}

static enum err envelope_add(struct live_block *live, const struct envelope_table *in,
                             const struct resource_view *view, struct slice service, uint32_t tag)
{
    struct live_envelope *const envelope = &in->list[*in->count];

    *envelope = (struct live_envelope){.len = (uint32_t)view->message.len,
                                       .schema_len = (uint32_t)view->schema_url.len,
                                       .present = view->present,
                                       .hash = tag};
    if (*in->count == LIVE_ENVELOPES_MAX || !arena_put(live, view->message, &envelope->offset) ||
        !arena_put(live, view->schema_url, &envelope->schema_offset))
        return ERR_FULL;
    if (service.len > 0) {
        envelope->service_offset = envelope->offset + (uint32_t)(service.ptr - view->message.ptr);
        envelope->service_len = (uint32_t)service.len;
    }
    table_insert(in->table, tag, *in->count);
    (*in->count)++;
    return OK;
}

/* Resources and scopes alike: seen before by their bytes, or checked once and copied. */
static enum err intern_envelope(struct live_block *live, bool is_resource, const struct resource_view *view,
                                uint32_t *id, struct otlp_fault *fault)
{
    const struct envelope_table in =
        is_resource
            ? (struct envelope_table){&live->writer->resources,
                                      WRITABLE(live->resources, struct live_envelope),
                                      &live->counts.resources}
            : (struct envelope_table){&live->writer->scopes, WRITABLE(live->scopes, struct live_envelope),
                                      &live->counts.scopes};

    if (*id != NO_ID && envelope_is(live, &in.list[*id], view)) return OK;
    const uint64_t seed = live->writer->seed ^
                          hash_fast(view->schema_url.ptr, view->schema_url.len, view->present);
    const uint32_t tag = tag_of(hash_fast(view->message.ptr, view->message.len, seed));
    *id = envelope_find(live, &in, view, tag);
    if (*id != NO_ID) return OK;

    struct slice service = {0};
    const struct envelope_visitor visitor = {note_service, &service};
    TRY(is_resource ? resource_check(view->message, &visitor, fault)
                    : scope_check(view->message, NULL, fault));
    TRY(envelope_add(live, &in, view, service, tag));
    *id = *in.count - 1;
    return OK;
}

static enum err on_resource(void *context, const struct resource_view *resource, struct otlp_fault *fault)
{
    struct live_block *const live = context;

    return intern_envelope(live, true, resource, &live->writer->resource, fault);
}

static enum err on_scope(void *context, const struct scope_view *scope, struct otlp_fault *fault)
{
    struct live_block *const live = context;
    const struct resource_view view = {scope->message, scope->present, scope->schema_url};

    return intern_envelope(live, false, &view, &live->writer->scope, fault);
}

const struct otlp_sink *live_sink(void)
{
    static const struct otlp_sink sink = {on_resource, on_scope, on_span};
    return &sink;
}

/* ---- requests and publication ---------------------------------------------------------------------------
 */

void live_append_begin(struct live_block *live)
{
    live->writer->mark = live->counts;
}

struct live_counts live_append_end(struct live_block *live, uint64_t lsn_end, uint64_t arrival_ns)
{
    assert(lsn_end >= live->lsn_end);

    live->lsn_end = lsn_end;
    if (arrival_ns < live->arrival_min_ns) live->arrival_min_ns = arrival_ns;
    if (arrival_ns > live->arrival_max_ns) live->arrival_max_ns = arrival_ns;
    return live->counts;
}

void live_append_undo(struct live_block *live)
{
    const struct live_counts *const mark = &live->writer->mark;

    live->counts.rows = mark->rows;
    live->counts.slots = mark->slots;
    live->counts.events = mark->events;
    live->counts.links = mark->links;
}

uint32_t live_take_cut(struct live_block *live)
{
    const uint32_t cut = live->writer->cut;

    live->writer->cut = 0;
    return cut;
}

bool live_full(const struct live_block *live)
{
    return live->counts.rows >= LIVE_ROWS_CLOSE || live->counts.arena >= LIVE_ARENA_CLOSE ||
           live->counts.pairs >= LIVE_PAIRS_CLOSE || live->counts.slots >= LIVE_SLOTS_MAX / 2 ||
           live->counts.events >= LIVE_CHILDREN_MAX / 2 || live->counts.links >= LIVE_CHILDREN_MAX / 2 ||
           live->counts.shapes >= LIVE_SHAPES_MAX / 2 || live->counts.resources >= LIVE_ENVELOPES_MAX / 2 ||
           live->counts.scopes >= LIVE_ENVELOPES_MAX / 2;
}

#define PUBLISH(member) atomic_store_explicit(&live->published.member, counts->member, memory_order_release)

void live_publish(struct live_block *live, const struct live_counts *counts)
{
    PUBLISH(pairs);
    PUBLISH(columns);
    PUBLISH(resources);
    PUBLISH(scopes);
    PUBLISH(shapes);
    PUBLISH(rows); /* last: whoever sees the rows sees all they refer to */
}

#define PUBLISHED(member) .member = atomic_load_explicit(&live->published.member, memory_order_acquire)

struct live_counts live_published(const struct live_block *live)
{
    const uint32_t rows = atomic_load_explicit(&live->published.rows, memory_order_acquire);

    return (struct live_counts){.rows = rows,
                                PUBLISHED(pairs),
                                PUBLISHED(columns),
                                PUBLISHED(resources),
                                PUBLISHED(scopes),
                                PUBLISHED(shapes)};
}
