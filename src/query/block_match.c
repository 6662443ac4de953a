/*
 * A page's set begins with all its rows; each column takes away those that do not match. Zones (smallest and
 * largest value of a page) spare the reading of a column that would take all or nothing.
 */
#include "block_match.h"

/* ---- the whole block ------------------------------------------------------------------------------------
 */

bool block_match_possible(const struct predicate *predicate, const struct block_summary *summary)
{
    const struct request *const request = predicate->request;

    if (summary->start_max_ns < request->first_ns || summary->start_min_ns > request->last_ns) return false;
    if (summary->duration_max_ns < request->duration_min_ns ||
        summary->duration_min_ns > request->duration_max_ns)
        return false;
    return !request->has_status || (summary->status_mask >> request->status & 1) != 0;
}

static enum err match_resources(struct block_match *match, struct arena *arena)
{
    const uint32_t count = block_resources(match->reader);
    bool any = false;

    if (!match->predicate->asks_resource) return OK;
    match->resources = arena_alloc(arena, count);
    if (match->resources == NULL) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        struct envelope envelope;
        TRY(block_resource(match->reader, i, &envelope));
        match->resources[i] = predicate_resource(match->predicate, envelope.message, envelope.service);
        any |= match->resources[i];
    }
    match->none |= !any;
    return OK;
}

static enum err match_scopes(struct block_match *match, struct arena *arena)
{
    const uint32_t count = block_scopes(match->reader);
    bool any = false;

    if (!match->predicate->asks_scope) return OK;
    match->scopes = arena_alloc(arena, count);
    if (match->scopes == NULL) return ERR_TOO_LARGE;
    for (uint32_t i = 0; i < count; i++) {
        struct envelope envelope;
        TRY(block_scope(match->reader, i, &envelope));
        match->scopes[i] = predicate_scope(match->predicate, envelope.message);
        any |= match->scopes[i];
    }
    match->none |= !any;
    return OK;
}

/* ---- values to ids --------------------------------------------------------------------------------------
 */

static enum err add_id(struct match_source *source, struct arena *arena, uint32_t id)
{
    if (source->ids_count == source->ids_capacity) {
        void *const ids = arena_grow(arena, source->ids, sizeof *source->ids, source->ids_count, 4,
                                     &source->ids_capacity);
        if (ids == NULL) return ERR_TOO_LARGE;
        source->ids = ids;
    }
    source->ids[source->ids_count++] = id;
    return OK;
}

static bool value_holds(const struct condition *condition, const struct match_source *source,
                        const struct attribute *value)
{
    if (source->raw) return condition_holds_raw(condition, value->bytes);
    return condition->attribute.type == VALUE_STRING ? slice_equal(value->bytes, condition->attribute.bytes)
                                                     : value->bits == condition->attribute.bits;
}

static enum err find_ids(struct block_match *match, const struct condition *condition,
                         struct match_source *source, uint32_t distinct, struct arena *arena)
{
    for (uint32_t id = 0; id < distinct; id++) {
        struct attribute value;
        TRY(block_dictionary_value(match->reader, source->column, id, &value));
        if (value_holds(condition, source, &value)) TRY(add_id(source, arena, id));
    }
    return OK;
}

static enum err add_source(struct block_match *match, const struct condition *condition,
                           struct match_condition *out, uint32_t column, const struct block_column *at,
                           struct arena *arena)
{
    struct match_source source = {
        .column = column, .dictionary = at->dictionary, .raw = at->type == VALUE_RAW};

    if (at->values_count == 0 || out->sources_count == 2) return OK;
    if (source.dictionary) TRY(find_ids(match, condition, &source, at->distinct_count, arena));
    if (!source.dictionary || source.ids_count > 0) out->sources[out->sources_count++] = source;
    return OK;
}

static uint32_t raw_column(enum attribute_level level)
{
    return level == LEVEL_SPAN ? COLUMN_RAW_SPAN : level == LEVEL_EVENT ? COLUMN_RAW_EVENT : COLUMN_RAW_LINK;
}

static enum err match_condition(struct block_match *match, const struct condition *condition,
                                struct match_condition *out, struct arena *arena)
{
    const uint32_t raw = raw_column(condition->level);
    struct block_column at;

    TRY(block_column(match->reader, raw, &at));
    TRY(add_source(match, condition, out, raw, &at, arena));
    for (uint32_t column = COLUMN_FIXED_COUNT; column < block_columns(match->reader); column++) {
        TRY(block_column(match->reader, column, &at));
        if (at.level == condition->level && at.type == condition->attribute.type &&
            slice_equal(at.key, condition->attribute.key)) {
            TRY(add_source(match, condition, out, column, &at, arena));
            break; /* level, key and type make the column */
        }
    }
    match->none |= out->sources_count == 0;
    return OK;
}

static enum err match_name(struct block_match *match, struct arena *arena)
{
    const struct request *const request = match->predicate->request;
    const struct condition as_condition = {.attribute = {.type = VALUE_STRING, .bytes = request->operation}};
    struct block_column at;

    if (!request->has_operation) return OK;
    match->name.column = COLUMN_NAME;
    TRY(block_column(match->reader, COLUMN_NAME, &at));
    TRY(find_ids(match, &as_condition, &match->name, at.distinct_count, arena));
    match->none |= match->name.ids_count == 0;
    return OK;
}

enum err block_match_init(struct block_match *match, const struct predicate *predicate,
                          struct block_reader *reader, uint64_t *values, struct arena *arena)
{
    const struct request *const request = predicate->request;

    *match = (struct block_match){.predicate = predicate, .reader = reader, .values = values};
    TRY(match_resources(match, arena));
    if (!match->none) TRY(match_scopes(match, arena));
    if (!match->none) TRY(match_name(match, arena));
    for (unsigned i = 0; i < predicate->row_conditions_count && !match->none; i++)
        TRY(match_condition(match, &request->conditions[predicate->row_conditions[i]], &match->conditions[i],
                            arena));
    return OK;
}

/* ---- fields of a page -----------------------------------------------------------------------------------
 */

static bool ids_have(const struct match_source *source, uint64_t id)
{
    for (size_t i = 0; i < source->ids_count; i++)
        if (source->ids[i] == id) return true;
    return false;
}

static uint64_t clamped(uint64_t duration)
{
    return (int64_t)duration < 0 ? 0 : duration; /* the end before the start */
}

static bool field_asked(const struct block_match *match, enum block_field field)
{
    const struct request *const request = match->predicate->request;

    switch (field) {
    case FIELD_START: return request->first_ns > 0 || request->last_ns < UINT64_MAX;
    case FIELD_DURATION: return request->duration_min_ns > 0 || request->duration_max_ns < UINT64_MAX;
    case FIELD_RESOURCE: return match->resources != NULL;
    case FIELD_SCOPE: return match->scopes != NULL;
    case FIELD_NAME: return request->has_operation;
    case FIELD_KIND: return request->has_kind;
    case FIELD_STATUS_CODE: return request->has_status;
    case FIELD_IS_ROOT:
    case FIELD_SPAN_ID:
    case FIELD_COUNT: break;
    }
    return false;
}

static bool field_holds(const struct block_match *match, enum block_field field, uint64_t value)
{
    const struct request *const request = match->predicate->request;

    switch (field) {
    case FIELD_START: return value >= request->first_ns && value <= request->last_ns;
    case FIELD_DURATION:
        return clamped(value) >= request->duration_min_ns && clamped(value) <= request->duration_max_ns;
    case FIELD_RESOURCE: return match->resources[value];
    case FIELD_SCOPE: return match->scopes[value];
    case FIELD_NAME: return ids_have(&match->name, value);
    case FIELD_KIND: return (int32_t)(uint32_t)value == request->span_kind;
    case FIELD_STATUS_CODE: return (int32_t)(uint32_t)value == request->status;
    case FIELD_IS_ROOT:
    case FIELD_SPAN_ID:
    case FIELD_COUNT: break;
    }
    return true;
}

enum verdict { NO_ROW, SOME_ROWS, ALL_ROWS };

static enum verdict range_verdict(uint64_t min, uint64_t max, uint64_t from, uint64_t to)
{
    if (max < from || min > to) return NO_ROW;
    return min >= from && max <= to ? ALL_ROWS : SOME_ROWS;
}

static enum verdict name_verdict(const struct match_source *name, uint64_t min, uint64_t max)
{
    for (size_t i = 0; i < name->ids_count; i++)
        if (name->ids[i] >= min && name->ids[i] <= max) return min == max ? ALL_ROWS : SOME_ROWS;
    return NO_ROW;
}

static uint32_t envelopes_count(const struct block_match *match, enum block_field field)
{
    return field == FIELD_RESOURCE ? block_resources(match->reader) : block_scopes(match->reader);
}

/* What the page's zone says about a field. Zones order values as unsigned numbers. */
static enum verdict zone_verdict(struct block_match *match, uint32_t page, enum block_field field)
{
    const struct request *const request = match->predicate->request;
    uint64_t min, max;

    if (!block_page_zone(match->reader, page, field, &min, &max)) return SOME_ROWS;
    switch (field) {
    case FIELD_START: return range_verdict(min, max, request->first_ns, request->last_ns);
    case FIELD_DURATION: /* with a negative one in the page the zone tells nothing */
        return (int64_t)max < 0 ? SOME_ROWS
                                : range_verdict(min, max, request->duration_min_ns, request->duration_max_ns);
    case FIELD_NAME: return name_verdict(&match->name, min, max);
    case FIELD_KIND:
        return range_verdict(min, max, (uint32_t)request->span_kind, (uint32_t)request->span_kind);
    case FIELD_STATUS_CODE:
        return range_verdict(min, max, (uint32_t)request->status, (uint32_t)request->status);
    case FIELD_RESOURCE:
    case FIELD_SCOPE:
        if (min != max || max >= envelopes_count(match, field)) return SOME_ROWS;
        return field_holds(match, field, min) ? ALL_ROWS : NO_ROW;
    case FIELD_IS_ROOT:
    case FIELD_SPAN_ID:
    case FIELD_COUNT: break;
    }
    return SOME_ROWS;
}

static bool set_is_empty(const struct page_rows_set *set)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < PAGE_WORDS; i++)
        any |= set->words[i];
    return any == 0;
}

static enum err keep_by_field(struct block_match *match, uint32_t page, enum block_field field,
                              struct page_rows_set *set)
{
    uint32_t count;

    TRY(block_page_field(match->reader, page, field, match->values, &count));
    for (uint32_t word = 0; word < (count + 63) / 64; word++) {
        for (uint64_t left = set->words[word]; left != 0; left &= left - 1) {
            const unsigned bit = (unsigned)__builtin_ctzll(left);
            if (!field_holds(match, field, match->values[word * 64 + bit]))
                set->words[word] &= ~(1ull << bit);
        }
    }
    return OK;
}

/* ---- conditions in a page -------------------------------------------------------------------------------
 */

struct visiting {
    const struct condition *condition;
    const struct match_source *source;
    struct page_rows_set *found;
    uint32_t first_row;
};

static bool visit_value(void *context, uint32_t row, uint32_t id, const struct attribute *value)
{
    const struct visiting *const visiting = context;
    const uint32_t at = row - visiting->first_row;
    const bool holds = value == NULL ? ids_have(visiting->source, id)
                                     : value_holds(visiting->condition, visiting->source, value);

    if (holds) visiting->found->words[at / 64] |= 1ull << at % 64;
    return true;
}

static enum err keep_by_condition(struct block_match *match, uint32_t page, unsigned index,
                                  struct page_rows_set *set)
{
    const struct match_condition *const sources = &match->conditions[index];
    struct page_rows_set found = {0};
    struct visiting visiting = {
        .condition = &match->predicate->request->conditions[match->predicate->row_conditions[index]],
        .found = &found,
        .first_row = page * BLOCK_PAGE_ROWS,
    };

    for (unsigned i = 0; i < sources->sources_count; i++) {
        visiting.source = &sources->sources[i];
        TRY(block_page_values(match->reader, page, visiting.source->column, visit_value, &visiting));
    }
    for (unsigned i = 0; i < PAGE_WORDS; i++)
        set->words[i] &= found.words[i];
    return OK;
}

/* ---- a page ---------------------------------------------------------------------------------------------
 */

static void all_rows(struct page_rows_set *set, uint32_t count)
{
    for (uint32_t i = 0; i < PAGE_WORDS; i++) {
        const uint32_t first = i * 64;
        set->words[i] = count >= first + 64 ? UINT64_MAX : count > first ? (1ull << (count - first)) - 1 : 0;
    }
}

static uint32_t page_rows_count(const struct block_reader *reader, uint32_t page)
{
    const uint32_t rest = block_summary(reader)->spans - page * BLOCK_PAGE_ROWS;

    return rest < BLOCK_PAGE_ROWS ? rest : BLOCK_PAGE_ROWS;
}

enum err block_match_page(struct block_match *match, uint32_t page, struct page_rows_set *out, bool *any)
{
    static const enum block_field fields[] = {FIELD_RESOURCE, FIELD_NAME,     FIELD_STATUS_CODE, FIELD_KIND,
                                              FIELD_SCOPE,    FIELD_DURATION, FIELD_START};
    enum { FIELDS = sizeof fields / sizeof fields[0] };
    enum verdict verdicts[FIELDS];

    *any = false;
    if (match->none) return OK;
    for (unsigned i = 0; i < FIELDS; i++) {
        verdicts[i] = field_asked(match, fields[i]) ? zone_verdict(match, page, fields[i]) : ALL_ROWS;
        if (verdicts[i] == NO_ROW) return OK;
    }
    all_rows(out, page_rows_count(match->reader, page));
    for (unsigned i = 0; i < FIELDS; i++) {
        if (verdicts[i] == ALL_ROWS) continue;
        TRY(keep_by_field(match, page, fields[i], out));
        if (set_is_empty(out)) return OK;
    }
    for (unsigned i = 0; i < match->predicate->row_conditions_count; i++) {
        TRY(keep_by_condition(match, page, i, out));
        if (set_is_empty(out)) return OK;
    }
    *any = true;
    return OK;
}
