/*
 * A block taken apart for those who look at it (store/look.h): its sections, and what lies in each. A section is a table
 * of its own, or chunks of pages, or pieces of dictionaries; chunk and piece entries say which bytes of it are whose.
 */
#include "block_reader.h"

#include "store/look.h"

static const char *const section_names[SECTION_TYPES_END] = {
    [SECTION_GROUP] = "GROUP",
    [SECTION_CHUNK] = "CHUNK",
    [SECTION_DICTIONARY] = "DICTIONARY",
    [SECTION_TRACES] = "TRACES",
    [SECTION_TRACE_ROWS] = "TRACE_ROWS",
    [SECTION_RESOURCES] = "RESOURCES",
    [SECTION_SCOPES] = "SCOPES",
    [SECTION_SHAPES] = "SHAPES",
    [SECTION_OPERATIONS] = "OPERATIONS",
    [SECTION_COLUMNS] = "COLUMNS",
    [SECTION_CHUNKS] = "CHUNKS",
    [SECTION_PIECES] = "PIECES",
    [SECTION_PAGES] = "PAGES",
    [SECTION_PATTERNS] = "PATTERNS",
    [SECTION_EVENT_PATTERNS] = "EVENT_PATTERNS",
    [SECTION_LEDGER] = "LEDGER",
};
static const char *const stream_names[STREAM_FIXED_COUNT] = {
    [STREAM_START_BASE] = "START_BASE",
    [STREAM_START_DELTA] = "START_DELTA",
    [STREAM_DURATION] = "DURATION",
    [STREAM_SPAN_ID] = "SPAN_ID",
    [STREAM_PARENT] = "PARENT",
    [STREAM_PARENT_RAW] = "PARENT_RAW",
    [STREAM_PATTERN] = "PATTERN",
    [STREAM_EVENTS] = "EVENTS",
    [STREAM_LINKS] = "LINKS",
    [STREAM_EVENT_TIME] = "EVENT_TIME",
    [STREAM_EVENT_PATTERN] = "EVENT_PATTERN",
    [STREAM_LINK_TRACE] = "LINK_TRACE",
    [STREAM_LINK_SPAN] = "LINK_SPAN",
    [STREAM_LINK_FLAGS] = "LINK_FLAGS",
    [STREAM_LINK_DROPPED] = "LINK_DROPPED",
    [STREAM_LINK_BITS] = "LINK_BITS",
    [STREAM_LINK_SHAPE] = "LINK_SHAPE",
};
static const char *const column_names[COLUMN_FIXED_COUNT] = {
    [COLUMN_NAME] = "NAME",
    [COLUMN_TRACE_STATE] = "TRACE_STATE",
    [COLUMN_STATUS_MESSAGE] = "STATUS_MESSAGE",
    [COLUMN_EVENT_NAME] = "EVENT_NAME",
    [COLUMN_LINK_STATE] = "LINK_STATE",
    [COLUMN_RAW_SPAN] = "RAW_SPAN",
    [COLUMN_RAW_EVENT] = "RAW_EVENT",
    [COLUMN_RAW_LINK] = "RAW_LINK",
};

enum err block_look_open(const struct block_source *source, struct block_reader **out)
{
    return reader_open(source, out);
}

enum err block_look_tables(struct block_reader *reader)
{
    return reader_tables(reader);
}

struct block_look_counts block_look_counts(const struct block_reader *reader)
{
    const struct block_header *const header = &reader->header;

    return (struct block_look_counts){.sections = header->sections,
                                      .pages = header->pages,
                                      .columns = header->columns,
                                      .streams = STREAM_FIXED_COUNT + 2 * header->columns,
                                      .shapes = header->shapes,
                                      .patterns = header->patterns,
                                      .event_patterns = header->event_patterns,
                                      .resources = header->resources,
                                      .scopes = header->scopes,
                                      .operations = header->operations,
                                      .events = header->events,
                                      .links = header->links,
                                      .pieces = header->dictionary_pieces};
}

struct block_look_section block_look_section(const struct block_reader *reader, uint32_t section)
{
    assert(section < reader->header.sections);

    const struct block_section *const at = &reader->sections[section];
    const bool known = at->type > 0 && at->type < SECTION_TYPES_END;
    return (struct block_look_section){.type = at->type,
                                       .name = known ? section_names[at->type] : "unknown",
                                       .packed = at->codec == CODEC_ZSTD,
                                       .offset = at->offset,
                                       .stored = at->stored,
                                       .plain = at->plain};
}

enum err block_look_check_section(struct block_reader *reader, uint32_t section)
{
    struct slice plain;

    return reader_section(reader, section, &plain);
}

const char *block_look_column_name(uint32_t column)
{
    return column < COLUMN_FIXED_COUNT ? column_names[column] : NULL;
}

/* ---- parts ------------------------------------------------------------------------------------------- */

static void look_tables(const struct block_reader *reader, block_look_part_fn *visit, void *context)
{
    for (uint32_t i = 0; i < reader->header.sections; i++) {
        const struct block_look_section section = block_look_section(reader, i);
        if (section.type >= SECTION_GROUP && section.type <= SECTION_DICTIONARY) continue;
        const struct block_look_part part = {.kind = LOOK_TABLE,
                                             .section = i,
                                             .bytes = section.plain,
                                             .name = section.name,
                                             .column = LOOK_NONE,
                                             .encoding = "table"};
        visit(context, &part);
    }
}

static struct block_look_part part_of(const struct block_chunk *chunk, uint32_t stream)
{
    const bool field = stream < STREAM_FIXED_COUNT;

    return (struct block_look_part){.kind = field ? LOOK_FIELD : LOOK_VALUES,
                                    .name = field ? stream_names[stream] : NULL,
                                    .column = field ? LOOK_NONE : (stream - STREAM_FIXED_COUNT) / 2,
                                    .encoding = chunk->encoding == ENCODING_PLANES ? "planes" : "bytes",
                                    .width = chunk->width,
                                    .values = chunk->encoding == ENCODING_PLANES ? chunk->count : 0};
}

/* Planes that are raw lie in a section of their own. */
static void look_chunk(const struct block_chunk *chunk, uint32_t stream, block_look_part_fn *visit,
                       void *context)
{
    const bool planes = chunk->encoding == ENCODING_PLANES;
    const unsigned units = planes ? chunk->width : 1;
    const unsigned raw = (unsigned)__builtin_popcount(chunk->raw_mask);
    struct block_look_part part = part_of(chunk, stream);

    if (!planes && chunk->encoding != ENCODING_BYTES) return;
    if (raw < units) {
        part.section = chunk->section;
        part.bytes = (uint64_t)(units - raw) * chunk->count;
        visit(context, &part);
    }
    if (raw > 0) {
        part.section = chunk->raw_section;
        part.bytes = (uint64_t)(raw < units ? raw : units) * chunk->count;
        part.values = raw < units ? 0 : part.values; /* they are counted once */
        visit(context, &part);
    }
}

static void look_pieces(const struct block_reader *reader, block_look_part_fn *visit, void *context)
{
    for (uint32_t i = 0; i < reader->header.dictionary_pieces; i++) {
        const struct block_piece *const piece = &reader->pieces[i];
        const struct block_look_part part = {.kind = LOOK_DICTIONARY,
                                             .section = piece->section,
                                             .bytes = piece->len,
                                             .column = piece->column,
                                             .encoding = "dictionary",
                                             .values = piece->count};
        visit(context, &part);
    }
}

void block_look_parts(const struct block_reader *reader, block_look_part_fn *visit, void *context)
{
    look_tables(reader, visit, context);
    for (uint32_t page = 0; page < reader->header.pages; page++)
        for (uint32_t stream = 0; stream < reader->streams; stream++)
            look_chunk(reader_chunk(reader, page, stream), stream, visit, context);
    look_pieces(reader, visit, context);
}
