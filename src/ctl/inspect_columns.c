/*
 * Where the bytes go, by column. A section belongs to what lies in it; where several columns share one, each has its part
 * of the stored bytes by its plain bytes, which is an estimate, for they do not all compress alike. What no section
 * holds (header, section table, padding) is a line of its own, so the lines add up to the file.
 *
 * Columns of several blocks are one if level, key and type are equal.
 */
#include "inspect.h"

#include "base/hash.h"

#include <stdlib.h>

struct line {
    char *name; /* owned */
    const char *encoding;
    uint64_t values, plain;
    double stored;
};

struct column_bytes {
    struct line *lines;
    uint32_t *slots; /* open addressing: 1 + line; a power of two */
    uint32_t count, capacity, slots_count;
    uint64_t spans;
    double stored;
};

enum { LINES_FIRST = 256, NAME_MAX_BYTES = 1200 };

struct column_bytes *column_bytes_open(void)
{
    struct column_bytes *const sums = calloc(1, sizeof *sums);

    if (sums == NULL) return NULL;
    sums->capacity = LINES_FIRST;
    sums->slots_count = 2 * LINES_FIRST;
    sums->lines = calloc(sums->capacity, sizeof *sums->lines);
    sums->slots = calloc(sums->slots_count, sizeof *sums->slots);
    if (sums->lines != NULL && sums->slots != NULL) return sums;
    column_bytes_close(sums);
    return NULL;
}

void column_bytes_close(struct column_bytes *sums)
{
    for (uint32_t i = 0; i < sums->count; i++)
        free(sums->lines[i].name);
    free(sums->lines);
    free(sums->slots);
    free(sums);
}

/* ---- finding lines ----------------------------------------------------------------------------------- */

static uint32_t *slot_of(struct column_bytes *sums, const char *name)
{
    uint32_t at = (uint32_t)hash64(name, strlen(name)) & (sums->slots_count - 1);

    while (sums->slots[at] != 0 && strcmp(sums->lines[sums->slots[at] - 1].name, name) != 0)
        at = (at + 1) & (sums->slots_count - 1);
    return &sums->slots[at];
}

static bool grow(struct column_bytes *sums)
{
    struct line *const lines = realloc(sums->lines, 2 * (size_t)sums->capacity * sizeof *lines);
    if (lines == NULL) return false;
    sums->lines = lines;
    uint32_t *const slots = calloc(4 * (size_t)sums->capacity, sizeof *slots);
    if (slots == NULL) return false;
    free(sums->slots);
    sums->slots = slots;
    sums->capacity *= 2;
    sums->slots_count = 2 * sums->capacity;
    for (uint32_t i = 0; i < sums->count; i++)
        *slot_of(sums, lines[i].name) = i + 1;
    return true;
}

static struct line *line_of(struct column_bytes *sums, const char *name)
{
    uint32_t *slot = slot_of(sums, name);

    if (*slot != 0) return &sums->lines[*slot - 1];
    if (sums->count == sums->capacity) {
        if (!grow(sums)) return NULL;
        slot = slot_of(sums, name);
    }
    char *const copy = strdup(name);
    if (copy == NULL) return NULL;
    sums->lines[sums->count] = (struct line){.name = copy};
    *slot = ++sums->count;
    return &sums->lines[sums->count - 1];
}

/* ---- one block --------------------------------------------------------------------------------------- */

static const char *const level_names[LEVEL_COUNT] = {"resource", "scope", "span", "event", "link"};
static const char *const type_names[VALUE_TYPE_COUNT] = {"absent", "empty", "string", "bool",  "int",
                                                         "double", "array", "kvlist", "bytes", "raw"};

struct adding {
    struct column_bytes *sums;
    struct block_reader *reader;
    uint32_t *numbers; /* by column of the block: 1 + its line, once it is found */
    double stored;     /* all that parts have taken */
    enum err err;
};

static void name_of(const struct adding *adding, uint32_t column, char *name, size_t capacity)
{
    struct block_column entry;
    char key[NAME_MAX_BYTES - 64];
    const enum err err = block_column(adding->reader, column, &entry);

    assert(err == OK);
    if (block_look_column_name(column) != NULL) {
        snprintf(name, capacity, "%s", block_look_column_name(column));
        return;
    }
    snprintf(name, capacity, "%s.%s : %s", level_names[entry.level], out_escape(entry.key, key, sizeof key),
             type_names[entry.type]);
}

static const char *encoding_of(const struct adding *adding, const struct block_look_part *part)
{
    struct block_column entry;

    if (part->column == LOOK_NONE) return part->encoding;
    if (block_column(adding->reader, part->column, &entry) != OK) return part->encoding;
    return entry.dictionary ? "dictionary" : "raw";
}

/* In the block, those that are constant in their shape included. */
static uint32_t values_of(const struct adding *adding, uint32_t column)
{
    struct block_column entry;

    return block_column(adding->reader, column, &entry) == OK ? entry.values_count : 0;
}

static struct line *find_line(struct adding *adding, const struct block_look_part *part)
{
    char name[NAME_MAX_BYTES];

    if (part->column == LOOK_NONE) return line_of(adding->sums, part->name);
    uint32_t *const number = &adding->numbers[part->column];
    if (*number != 0) return &adding->sums->lines[*number - 1];
    name_of(adding, part->column, name, sizeof name);
    struct line *const line = line_of(adding->sums, name);
    if (line == NULL) return NULL;
    *number = (uint32_t)(line - adding->sums->lines) + 1;
    line->values += values_of(adding, part->column);
    return line;
}

static void add_part(void *context, const struct block_look_part *part)
{
    struct adding *const adding = context;

    if (adding->err != OK || part->section >= block_look_counts(adding->reader).sections) return;
    const struct block_look_section section = block_look_section(adding->reader, part->section);
    struct line *const line = find_line(adding, part);
    if (line == NULL) {
        adding->err = ERR_NO_MEMORY;
        return;
    }
    const double stored = section.plain > 0 ? (double)section.stored * (double)part->bytes / section.plain
                                            : 0;
    const char *const encoding = encoding_of(adding, part);
    line->encoding = line->encoding == NULL || line->encoding == encoding ? encoding : "several";
    line->plain += part->bytes;
    line->values += part->column == LOOK_NONE ? part->values : 0;
    line->stored += stored;
    adding->stored += stored;
}

enum err column_bytes_add_other(struct column_bytes *sums, const char *name, uint64_t bytes)
{
    struct line *const line = line_of(sums, name);

    if (line == NULL) return ERR_NO_MEMORY;
    line->encoding = "-";
    line->plain += bytes;
    line->stored += (double)bytes;
    sums->stored += (double)bytes;
    return OK;
}

enum err column_bytes_add(struct column_bytes *sums, const struct block_reader *reader)
{
    struct adding adding = {.sums = sums, .reader = (struct block_reader *)(uintptr_t)reader};
    const struct block_summary *const summary = block_summary(reader);

    adding.numbers = calloc(block_columns(reader), sizeof *adding.numbers);
    if (adding.numbers == NULL) return ERR_NO_MEMORY;
    block_look_parts(reader, add_part, &adding);
    free(adding.numbers);
    TRY(adding.err);
    sums->spans += summary->spans;
    sums->stored += adding.stored;
    const double rest = (double)summary->bytes - adding.stored;
    return column_bytes_add_other(sums, "(block headers, section tables, padding)",
                                  rest > 0 ? (uint64_t)(rest + 0.5) : 0);
}

/* ---- the table --------------------------------------------------------------------------------------- */

static int by_stored(const void *a, const void *b)
{
    const struct line *const left = a, *const right = b;

    if (left->stored != right->stored) return left->stored < right->stored ? 1 : -1;
    return strcmp(left->name, right->name);
}

void column_bytes_print(struct column_bytes *sums, struct out *out)
{
    qsort(sums->lines, sums->count, sizeof *sums->lines, by_stored);
    memset(sums->slots, 0, sums->slots_count * sizeof *sums->slots);
    for (uint32_t i = 0; i < sums->count; i++)
        *slot_of(sums, sums->lines[i].name) = i + 1;
    out_table(out, "columns");
    for (uint32_t i = 0; i < sums->count; i++) {
        const struct line *const line = &sums->lines[i];
        out_row(out);
        out_number(out, "bytes", (uint64_t)(line->stored + 0.5));
        out_real(out, "bytes_per_span", sums->spans > 0 ? line->stored / (double)sums->spans : 0, 3);
        out_real(out, "share_percent", sums->stored > 0 ? 100 * line->stored / sums->stored : 0, 2);
        out_number(out, "plain", line->plain);
        out_number(out, "values", line->values);
        out_text(out, "encoding", line->encoding);
        out_text(out, "column", line->name);
        out_row_end(out);
    }
    out_table_end(out);
    out_group(out, "total");
    out_number(out, "bytes", (uint64_t)(sums->stored + 0.5));
    out_number(out, "spans", sums->spans);
    out_real(out, "bytes_per_span", sums->spans > 0 ? sums->stored / (double)sums->spans : 0, 2);
    out_group_end(out);
}
