/*
 * Interning: whole encoded KeyValues, strings, shapes and patterns become ids (Resources and Scopes: live_envelope.c). A small table of recent
 * pairs answers most look-ups by fingerprint. Behind it stands an open-addressing table, where bytes are compared; its hash
 * has a secret key, so that a client cannot choose collisions. Where values never repeat the look-up is left out: see
 * UNSEEN_ENOUGH.
 */
#include "live_intern.h"

#include "base/assert.h"
#include "base/hash.h"
#include "codec/wire.h"
#include "store/block.h"
#include "store/filter.h"

enum {
    /* The largest key and value with their tags and lengths, and some unknown fields. */
    KEY_VALUE_BYTES_MAX = OTLP_VALUE_BYTES_MAX + OTLP_KEY_BYTES_MAX + 64,
};

static inline void recent_set(const struct live_block *live, struct recent_pair *recent, uint64_t print,
                              uint32_t id)
{
    const struct live_pair *const pair = &live->pairs[id];

    *recent = (struct recent_pair){.print = print, .id = id, .column = pair->column, .domain = pair->domain};
}

bool intern_arena_put(struct live_block *live, struct slice bytes, uint32_t *offset)
{
    if (bytes.len > LIVE_ARENA_MAX - live->counts.arena) return false;
    *offset = live->counts.arena;
    if (bytes.len > 0) memcpy(WRITABLE(live->arena, uint8_t) + *offset, bytes.ptr, bytes.len);
    live->counts.arena += (uint32_t)bytes.len;
    return true;
}

/* In the table of pairs. */
static inline uint32_t pair_tag(uint32_t domain, uint64_t print)
{
    return tag_of((print ^ (uint64_t)domain << 56) * 0x9e3779b97f4a7c15ull);
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

/* Copies new bytes and gives them an id; the value is filled in by the caller. NULL: no room. */
static struct live_pair *pair_new(struct live_block *live, uint32_t domain, struct slice bytes)
{
    struct live_pair *const pair = &WRITABLE(live->pairs, struct live_pair)[live->counts.pairs];
    uint32_t offset;

    if (live->counts.pairs == LIVE_PAIRS_MAX || !intern_arena_put(live, bytes, &offset)) return NULL;
    *pair = (struct live_pair){.offset = offset, .len = (uint32_t)bytes.len, .domain = (uint8_t)domain};
    live->counts.pairs++;
    return pair;
}

static void pair_into_table(struct live_block *live, struct live_pair *pair, uint32_t tag)
{
    pair->tag = tag;
    pair->bits |= PAIR_INTERNED;
    intern_table_insert(&live->writer->pairs, tag, (uint32_t)(pair - live->pairs));
}

static uint64_t place_value(uint32_t offset, size_t len)
{
    return (uint64_t)offset << 32 | (uint32_t)len;
}

/* Its token, while the bytes are at hand: the filters of the block are built from it. */
static void pair_set_token(const struct live_block *live, struct live_pair *pair)
{
    const struct live_column *const column = &live->columns[pair->column];
    uint8_t scalar[8];
    struct slice value;

    switch (column->type) {
    case VALUE_STRING:
        value = live_bytes(live, (uint32_t)(pair->value >> 32), (uint32_t)pair->value);
        if (value.len > TOKEN_VALUE_BYTES_MAX) return;
        break;
    case VALUE_INT:
        memcpy(scalar, &pair->value, 8);
        value = slice_of(scalar, 8);
        break;
    case VALUE_BOOL:
        scalar[0] = pair->value != 0;
        value = slice_of(scalar, 1);
        break;
    default: return; /* doubles, bytes, nested: found by scanning their column; raw: by the encoder */
    }
    pair->token = filter_hash_value(column->token, value);
    pair->bits |= PAIR_HAS_TOKEN;
}

/* A new value of a column; from some point on they are all taken for new. */
static void column_grows(struct live_block *live, uint32_t index)
{
    struct live_column *const column = &WRITABLE(live->columns, struct live_column)[index];

    column->pairs_count++;
    if (column->unseen == UNSEEN_ALWAYS || index < COLUMN_FIXED_COUNT) return;
    column->unseen++;
    if (column->unseen >= UNSEEN_ENOUGH && column->pairs_count >= UNSEEN_PAIRS_MIN &&
        (column->type == VALUE_STRING || column->type == VALUE_INT))
        column->unseen = UNSEEN_ALWAYS;
}

/* NO_ID: no room. */
uint32_t intern_string(struct live_block *live, uint32_t column, struct slice bytes)
{
    if (bytes.len == 0) return 0;

    return intern_printed_string(live, column, bytes, print_of(live, bytes));
}

uint32_t intern_printed_string(struct live_block *live, uint32_t column, struct slice bytes, uint64_t print)
{
    struct recent_pair *const recent = recent_of(live, print);

    if (bytes.len == 0) return 0;
    if (__builtin_expect(recent_is(recent, column, print), 1)) return recent->id;
    const uint32_t tag = pair_tag(column, print);
    uint32_t id = pair_find(live, column, bytes, tag);
    if (id == NO_ID) {
        struct live_pair *const pair = pair_new(live, column, bytes);
        if (pair == NULL) return NO_ID;
        id = (uint32_t)(pair - live->pairs);
        pair->column = (uint16_t)column;
        pair->value = place_value(pair->offset, bytes.len);
        if (column == COLUMN_NAME) pair_set_token(live, pair);
        pair_into_table(live, pair, tag);
        column_grows(live, column);
    }
    recent_set(live, recent, print, id);
    return id;
}

static uint32_t raw_column(enum attribute_level level)
{
    return level == LEVEL_SPAN ? COLUMN_RAW_SPAN : level == LEVEL_EVENT ? COLUMN_RAW_EVENT : COLUMN_RAW_LINK;
}

static uint32_t column_tag(const struct live_block *live, uint32_t level, uint32_t key_offset,
                           uint32_t key_len, uint32_t type)
{
    return tag_of(hash_fast(live->arena + key_offset, key_len, live->writer->seed + level * 31 + type));
}

/* The column of (level, key, type); key bytes lie in the arena already. */
static uint32_t column_of(struct live_block *live, enum attribute_level level, uint32_t key_offset,
                          uint32_t key_len, enum value_type type)
{
    struct intern_table *const table = &live->writer->columns;
    const uint32_t tag = column_tag(live, level, key_offset, key_len, type);

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
        .level = (uint8_t)level,
        .type = (uint8_t)type,
        .key_offset = key_offset,
        .key_len = key_len,
        .token = filter_hash_column((uint8_t)level, live_bytes(live, key_offset, key_len), (uint8_t)type)};
    intern_table_insert(table, tag, live->counts.columns);
    return live->counts.columns++;
}

uint32_t intern_column(struct live_block *live, enum attribute_level level, struct slice key,
                       enum value_type type)
{
    uint32_t offset;

    if (!intern_arena_put(live, key, &offset)) return NO_ID;
    return column_of(live, level, offset, (uint32_t)key.len, type);
}

static int64_t intern_new_attribute(struct live_block *live, enum attribute_level level, struct slice bytes,
                                    uint32_t tag, struct otlp_fault *fault)
{
    struct attribute attribute;
    const enum err err = attribute_decode(bytes, &attribute, fault);

    if (err != OK) return err == ERR_UNSUPPORTED ? INTERN_TOO_DEEP : INTERN_MALFORMED;
    if (attribute.key.len > OTLP_KEY_BYTES_MAX || attribute.bytes.len > OTLP_VALUE_BYTES_MAX ||
        bytes.len > KEY_VALUE_BYTES_MAX)
        return INTERN_CUT;

    struct live_pair *const pair = pair_new(live, DOMAIN_KEY_VALUE + (uint32_t)level, bytes);
    if (pair == NULL) return INTERN_FULL;
    const uint32_t key_offset = attribute.key.len > 0
                                    ? pair->offset + (uint32_t)(attribute.key.ptr - bytes.ptr)
                                    : pair->offset;
    pair->column = (uint16_t)column_of(live, level, key_offset, (uint32_t)attribute.key.len, attribute.type);
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
    pair_set_token(live, pair);
    pair_into_table(live, pair, tag);
    column_grows(live, pair->column);
    return pair - live->pairs;
}

static int64_t intern_at(struct live_block *live, enum attribute_level level, struct slice bytes,
                         uint64_t print, uint16_t *column, struct otlp_fault *fault)
{
    const uint32_t domain = DOMAIN_KEY_VALUE + (uint32_t)level;
    struct recent_pair *const recent = recent_of(live, print);

    if (__builtin_expect(recent_is(recent, domain, print), 1)) {
        column_saw(live, recent->column);
        *column = recent->column;
        return recent->id;
    }
    const uint32_t tag = pair_tag(domain, print);
    int64_t id = pair_find(live, domain, bytes, tag);
    if (id == NO_ID)
        id = intern_new_attribute(live, level, bytes, tag, fault);
    else
        column_saw(live, live->pairs[id].column);
    if (id < 0) return id;
    recent_set(live, recent, print, (uint32_t)id);
    *column = recent->column;
    return id;
}

int64_t intern_attribute(struct live_block *live, enum attribute_level level, struct slice bytes,
                         struct otlp_fault *fault)
{
    uint16_t column;

    return intern_at(live, level, bytes, print_of(live, bytes), &column, fault);
}

void intern_ahead_again(const struct live_block *live, enum attribute_level level, uint64_t print)
{
    const uint32_t domain = DOMAIN_KEY_VALUE + (uint32_t)level;
    const struct intern_table *const pairs = &live->writer->pairs;

    if (!recent_is(recent_of(live, print), domain, print))
        __builtin_prefetch(&pairs->entries[pair_tag(domain, print) >> 1 & pairs->mask]);
}

/* ---- values under a known key ----------------------------------------------------------------------- */

/* common.proto: KeyValue.key 1, .value 2; AnyValue.string_value 1, .int_value 3 */
enum { TAG_KEY = 0x0a, TAG_VALUE = 0x12, TAG_STRING = 0x0a, TAG_INT = 0x18 };

struct known_value {
    uint32_t offset, len; /* of a string, in the KeyValue */
    uint64_t bits;
};

/*
 * key, value, nothing else, lengths below 128: what exporters write. True when `bytes` are such a KeyValue with the
 * column's key and a value of its type, wholly valid.
 */
static inline bool value_under_key(const struct live_block *live, struct slice bytes,
                                   const struct live_column *column, struct known_value *out)
{
    const uint8_t *const at = bytes.ptr;
    const size_t value = 2 + (size_t)column->key_len; /* of the value's tag */

    if (column->key_len >= 0x80 || bytes.len < value + 4 || at[0] != TAG_KEY || at[1] != column->key_len ||
        !same_bytes(at + 2, live->arena + column->key_offset, column->key_len))
        return false;
    if (at[value] != TAG_VALUE || at[value + 1] != bytes.len - value - 2 || at[value + 1] >= 0x80)
        return false;
    if (column->type == VALUE_STRING) {
        out->offset = (uint32_t)value + 4;
        out->len = at[value + 3];
        return at[value + 2] == TAG_STRING && out->len == bytes.len - value - 4 && out->len < 0x80;
    }
    if (column->type != VALUE_INT || at[value + 2] != TAG_INT) return false;
    struct wire_reader reader = {at + value + 3, at + bytes.len};
    return wire_varint(&reader, &out->bits) && reader.at == reader.end;
}

static int64_t append_alike(struct live_block *live, enum attribute_level level, struct slice bytes,
                            uint32_t column, const struct known_value *value)
{
    struct live_pair *const pair = pair_new(live, DOMAIN_KEY_VALUE + (uint32_t)level, bytes);

    if (pair == NULL) return INTERN_FULL;
    pair->column = (uint16_t)column;
    pair->value = live->columns[column].type == VALUE_STRING
                      ? place_value(pair->offset + value->offset, value->len)
                      : value->bits;
    pair_set_token(live, pair);
    column_grows(live, column);
    return pair - live->pairs;
}

int64_t intern_fresh(struct live_block *live, enum attribute_level level, uint32_t column, struct slice bytes,
                     const struct attribute *attribute)
{
    const uint32_t len = (uint32_t)attribute->bytes.len; /* a string is the last thing in its KeyValue */
    const struct known_value value = {
        .offset = (uint32_t)bytes.len - len, .len = len, .bits = attribute->bits};

    assert(live->columns[column].type == VALUE_STRING || live->columns[column].type == VALUE_INT);
    return append_alike(live, level, bytes, column, &value);
}

int64_t intern_alike(struct live_block *live, enum attribute_level level, struct slice bytes,
                     struct alike *alike, struct otlp_fault *fault)
{
    const struct live_column *const column = &live->columns[alike->column];
    struct known_value value;

    if (column->unseen == UNSEEN_ALWAYS && value_under_key(live, bytes, column, &value)) {
        alike->fresh = true;
        return append_alike(live, level, bytes, alike->column, &value);
    }
    if (alike->fresh) alike->print = print_of(live, bytes);
    alike->fresh = false;
    return intern_at(live, level, bytes, alike->print, &alike->column, fault);
}

/* ---- shapes and patterns ----------------------------------------------------------------------------- */

static uint32_t record_tag(const struct live_block *live, const void *bytes, size_t len)
{
    return tag_of(hash_fast(bytes, len, live->writer->seed));
}

/* NO_ID: no room. */
uint32_t intern_shape(struct live_block *live, const struct live_shape_item *items, uint32_t count)
{
    struct intern_table *const table = &live->writer->shapes;
    struct live_counts *const counts = &live->counts;
    uint32_t varying = 0;

    if (count == 0) return 0;
    const uint32_t tag = record_tag(live, items, count * sizeof *items);
    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask) {
        const struct live_shape *const shape = &live->shapes[table->entries[place].id];
        if (table->entries[place].tag == tag && shape->count == count &&
            memcmp(live->shape_items + shape->first, items, count * sizeof *items) == 0)
            return table->entries[place].id;
    }
    if (counts->shapes == LIVE_SHAPES_MAX || counts->shape_items + count > LIVE_SHAPE_ITEMS_MAX) return NO_ID;
    memcpy(WRITABLE(live->shape_items, struct live_shape_item) + counts->shape_items, items,
           count * sizeof *items);
    for (uint32_t i = 0; i < count; i++)
        varying += items[i].constant == 0;
    WRITABLE(live->shapes, struct live_shape)
    [counts->shapes] = (struct live_shape){
        .first = counts->shape_items, .count = count, .varying = varying, .tag = tag};
    counts->shape_items += count;
    intern_table_insert(table, tag, counts->shapes);
    return counts->shapes++;
}

/* Patterns are compared and hashed as bytes. */
static_assert(sizeof(struct live_pattern) == 44 && sizeof(struct live_event_pattern) == 12, "no padding");

static uint32_t record_find(const struct intern_table *table, const void *list, const void *record,
                            size_t size, uint32_t tag)
{
    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask)
        if (table->entries[place].tag == tag &&
            memcmp((const char *)list + table->entries[place].id * size, record, size) == 0)
            return table->entries[place].id;
    return NO_ID;
}

uint32_t intern_pattern(struct live_block *live, const struct live_pattern *pattern)
{
    struct intern_table *const table = &live->writer->patterns;
    const uint32_t tag = record_tag(live, pattern, sizeof *pattern);
    const uint32_t id = record_find(table, live->patterns, pattern, sizeof *pattern, tag);

    if (id != NO_ID || live->counts.patterns == LIVE_PATTERNS_MAX) return id;
    WRITABLE(live->patterns, struct live_pattern)[live->counts.patterns] = *pattern;
    intern_table_insert(table, tag, live->counts.patterns);
    return live->counts.patterns++;
}

uint32_t intern_event_pattern(struct live_block *live, const struct live_event_pattern *pattern)
{
    struct intern_table *const table = &live->writer->event_patterns;
    const uint32_t tag = record_tag(live, pattern, sizeof *pattern);
    const uint32_t id = record_find(table, live->event_patterns, pattern, sizeof *pattern, tag);

    if (id != NO_ID || live->counts.event_patterns == LIVE_CHILDREN_MAX) return id;
    WRITABLE(live->event_patterns, struct live_event_pattern)[live->counts.event_patterns] = *pattern;
    intern_table_insert(table, tag, live->counts.event_patterns);
    return live->counts.event_patterns++;
}

/* ---- undo ------------------------------------------------------------------------------------------ */

static void undo_pairs(struct live_block *live, uint32_t kept)
{
    struct live_column *const columns = WRITABLE(live->columns, struct live_column);

    for (uint32_t i = live->counts.pairs; i-- > kept;) {
        if (live->pairs[i].bits & PAIR_INTERNED)
            intern_table_remove(&live->writer->pairs, live->pairs[i].tag, i);
        columns[live->pairs[i].column].pairs_count--;
    }
    live->counts.pairs = kept;
}

static void undo_columns(struct live_block *live, uint32_t kept)
{
    for (uint32_t i = live->counts.columns; i-- > kept;) {
        const struct live_column *const column = &live->columns[i];
        intern_table_remove(
            &live->writer->columns,
            column_tag(live, column->level, column->key_offset, column->key_len, column->type), i);
    }
    live->counts.columns = kept;
}

static void undo_shapes(struct live_block *live, const struct live_counts *mark)
{
    for (uint32_t i = live->counts.shapes; i-- > mark->shapes;)
        intern_table_remove(&live->writer->shapes, live->shapes[i].tag, i);
    live->counts.shapes = mark->shapes;
    live->counts.shape_items = mark->shape_items;
}

static void undo_patterns(struct live_block *live, const struct live_counts *mark)
{
    for (uint32_t i = live->counts.patterns; i-- > mark->patterns;)
        intern_table_remove(&live->writer->patterns,
                            record_tag(live, &live->patterns[i], sizeof live->patterns[i]), i);
    for (uint32_t i = live->counts.event_patterns; i-- > mark->event_patterns;)
        intern_table_remove(&live->writer->event_patterns,
                            record_tag(live, &live->event_patterns[i], sizeof live->event_patterns[i]), i);
    live->counts.patterns = mark->patterns;
    live->counts.event_patterns = mark->event_patterns;
}

static void undo_envelopes(struct intern_table *table, const struct live_envelope *list, uint32_t *count,
                           uint32_t kept)
{
    for (uint32_t i = *count; i-- > kept;)
        intern_table_remove(table, list[i].hash, i);
    *count = kept;
}

void intern_undo(struct live_block *live, const struct live_counts *mark)
{
    struct live_writer *const writer = live->writer;

    if (live->counts.pairs > mark->pairs) memset(writer->recent, 0, sizeof writer->recent);
    undo_pairs(live, mark->pairs);
    undo_columns(live, mark->columns);
    undo_patterns(live, mark);
    undo_shapes(live, mark);
    undo_envelopes(&writer->resources, live->resources, &live->counts.resources, mark->resources);
    undo_envelopes(&writer->scopes, live->scopes, &live->counts.scopes, mark->scopes);
    writer->resource = writer->scope = NO_ID;
    live->counts.arena = mark->arena; /* last: keys of columns lie there */
}
