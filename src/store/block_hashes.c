/*
 * The filter hashes of a block once more, from its columns: for a segment that was not closed before a crash.
 */
#include "block_reader.h"

#include "store/filter.h"

struct hash_walk {
    struct block_reader *reader;
    bool (*visit)(void *context, bool is_trace, uint64_t hash);
    void *context;
    uint8_t level, type;
    struct slice key;
    bool go_on;
};

static void hash_attribute(struct hash_walk *walk, uint8_t level, const struct attribute *attribute)
{
    uint64_t hash;

    if (walk->go_on && block_token(level, attribute->key, (uint8_t)attribute->type, attribute->bytes,
                                   attribute->bits, &hash))
        walk->go_on = walk->visit(walk->context, false, hash);
}

static enum err hash_envelope(void *context, const struct attribute *attribute)
{
    struct hash_walk *const walk = context;

    hash_attribute(walk, walk->level, attribute);
    return OK;
}

static bool hash_value(void *context, uint32_t row, uint32_t id, const struct attribute *attribute)
{
    struct hash_walk *const walk = context;
    struct attribute inner = *attribute;
    struct otlp_fault fault;

    (void)row, (void)id;
    if (attribute->type == VALUE_RAW && attribute_decode(attribute->bytes, &inner, &fault) != OK) return true;
    hash_attribute(walk, walk->level, &inner);
    return walk->go_on;
}

/* Of the columns before COLUMN_RAW_SPAN only names have tokens. */
static bool has_tokens(uint32_t column)
{
    return column == COLUMN_NAME || column >= COLUMN_RAW_SPAN;
}

/* The first entry of the names is the empty one, used or not. */
static bool has_empty_name(const struct block_reader *reader)
{
    for (uint32_t i = 0; i < reader->header.patterns; i++)
        if (reader->patterns[i].name == 0) return true;
    return false;
}

static enum err hash_dictionary(struct hash_walk *walk, uint32_t column, uint32_t distinct)
{
    const uint32_t first = column == COLUMN_NAME && !has_empty_name(walk->reader);

    for (uint32_t id = first; id < distinct && walk->go_on; id++) {
        struct attribute attribute;
        TRY(block_dictionary_value(walk->reader, column, id, &attribute));
        if (column == COLUMN_NAME) attribute.key = slice_text("name");
        hash_value(walk, 0, id, &attribute);
    }
    return OK;
}

static enum err hash_dictionaries(struct hash_walk *walk)
{
    for (uint32_t i = 0; i < walk->reader->header.columns && walk->go_on; i++) {
        struct block_column at;
        TRY(block_column(walk->reader, i, &at));
        walk->level = i == COLUMN_NAME ? TOKEN_LEVEL_INTRINSIC : at.level;
        if (at.dictionary && has_tokens(i)) TRY(hash_dictionary(walk, i, at.distinct_count));
    }
    return OK;
}

static enum err hash_raw_columns(struct hash_walk *walk, uint32_t page)
{
    for (uint32_t i = 0; i < walk->reader->header.columns && walk->go_on; i++) {
        struct block_column at;
        TRY(block_column(walk->reader, i, &at));
        walk->level = at.level;
        if (!at.dictionary && has_tokens(i)) TRY(block_page_values(walk->reader, page, i, hash_value, walk));
    }
    return OK;
}

enum err block_hashes(struct block_reader *reader, bool (*visit)(void *context, bool is_trace, uint64_t hash),
                      void *context)
{
    struct hash_walk walk = {.reader = reader, .visit = visit, .context = context, .go_on = true};
    const struct envelope_visitor visitor = {hash_envelope, &walk};
    struct otlp_fault fault;

    TRY(reader_traces(reader));
    for (uint32_t i = 0; i < reader->header.traces && walk.go_on; i++)
        walk.go_on = visit(context, true, filter_hash_trace(reader->trace_ids + (size_t)i * 16));
    walk.level = LEVEL_RESOURCE;
    for (uint32_t i = 0; i < reader->header.resources; i++)
        resource_check(reader->resources[i].message, &visitor, &fault);
    walk.level = LEVEL_SCOPE;
    for (uint32_t i = 0; i < reader->header.scopes; i++)
        scope_check(reader->scopes[i].message, &visitor, &fault);
    TRY(hash_dictionaries(&walk));
    for (uint32_t i = 0; i < block_pages(reader) && walk.go_on;
         i++) /* the rows of a page are taken apart once */
        TRY(hash_raw_columns(&walk, i));
    return OK;
}
