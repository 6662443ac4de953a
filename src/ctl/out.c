/*
 * A value is a cell of the open table or a line of its own. Cells are kept until the table ends, for only then the widths
 * are known. JSON goes through codec/json.h, which escapes by itself.
 */
#include "out.h"

#include "codec/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CELL_BYTES_MAX = 2048, NAME_WIDTH = 22 };

static enum err flush(void *context, struct slice bytes)
{
    FILE *const to = context;

    return fprintf(to, "%.*s", (int)bytes.len, (const char *)bytes.ptr) < 0 ? ERR_IO : OK;
}

void out_init(struct out *out, FILE *to, bool is_json)
{
    *out = (struct out){.to = to, .is_json = is_json};
    if (!is_json) return;
    json_init(&out->json, out->buf, sizeof out->buf, flush, to);
    json_object_begin(&out->json);
}

enum err out_finish(struct out *out)
{
    enum err err = OK;

    assert(!out->table.open && out->depth == 0);
    if (out->is_json) {
        json_object_end(&out->json);
        err = json_finish(&out->json);
        fputc('\n', out->to);
    }
    free(out->table.cells);
    out->table.cells = NULL;
    return fflush(out->to) != 0 || ferror(out->to) ? ERR_IO : err;
}

const char *out_escape(struct slice text, char *room, size_t capacity)
{
    size_t at = 0;

    assert(capacity >= 8);
    while (text.len > 0 && at + 8 < capacity) {
        const size_t len = utf8_len(text);
        const bool control = text.ptr[0] < 0x20 || text.ptr[0] == 0x7f ||
                             (len == 2 && text.ptr[0] == 0xc2 && text.ptr[1] < 0xa0);
        if (len == 0 || control) {
            at += (size_t)snprintf(room + at, capacity - at, "\\x%02x", text.ptr[0]);
            text = slice_of(text.ptr + 1, text.len - 1);
            continue;
        }
        memcpy(room + at, text.ptr, len);
        at += len;
        text = slice_of(text.ptr + len, text.len - len);
    }
    if (text.len > 0) at += (size_t)snprintf(room + at, capacity - at, "...");
    room[at] = '\0';
    return room;
}

/* ---- cells and lines ----------------------------------------------------------------------------------- */

static void cell(struct out *out, const char *name, const char *text, bool numeric)
{
    const size_t len = strlen(text) + 1;

    assert(out->table.column < OUT_COLUMNS_MAX);
    if (out->table.rows == 0) {
        out->table.names[out->table.column] = name;
        out->table.numeric[out->table.column] = numeric;
        out->table.columns = out->table.column + 1;
    }
    assert(strcmp(out->table.names[out->table.column], name) == 0);
    out->table.column++;
    if (out->table.len + len > out->table.capacity) {
        const size_t capacity = (out->table.len + len) * 2;
        char *const grown = realloc(out->table.cells, capacity);
        assert(grown != NULL); /* a tool with no memory for a line of text has nothing better to do */
        out->table.cells = grown;
        out->table.capacity = capacity;
    }
    memcpy(out->table.cells + out->table.len, text, len);
    out->table.len += len;
}

static void value(struct out *out, const char *name, const char *text, bool numeric)
{
    if (out->table.open) {
        cell(out, name, text, numeric);
        return;
    }
    fprintf(out->to, "%*s%-*s %s\n", (int)(2 * out->depth), "", NAME_WIDTH, name, text);
    out->said = true;
}

/* Columns are counted in characters, not in bytes. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(struct out *out, const char *text, unsigned column, size_t width)
{
    const int pad = (int)(width - width_of(text));
    const bool last = column + 1 == out->table.columns;

    if (column > 0) fputs("  ", out->to);
    if (out->table.numeric[column])
        fprintf(out->to, "%*s%s", pad, "", text);
    else
        fprintf(out->to, "%s%*s", text, last ? 0 : pad, "");
}

static void print_table(struct out *out)
{
    size_t widths[OUT_COLUMNS_MAX];
    const char *at = out->table.cells;

    for (unsigned i = 0; i < out->table.columns; i++)
        widths[i] = width_of(out->table.names[i]);
    for (unsigned i = 0; i < out->table.rows * out->table.columns; i++) {
        const size_t width = width_of(at);
        if (width > widths[i % out->table.columns]) widths[i % out->table.columns] = width;
        at += strlen(at) + 1;
    }
    fprintf(out->to, "%*s", (int)(2 * out->depth), "");
    for (unsigned i = 0; i < out->table.columns; i++)
        print_cell(out, out->table.names[i], i, widths[i]);
    at = out->table.cells;
    for (unsigned i = 0; i < out->table.rows * out->table.columns; i++) {
        if (i % out->table.columns == 0) fprintf(out->to, "\n%*s", (int)(2 * out->depth), "");
        print_cell(out, at, i % out->table.columns, widths[i % out->table.columns]);
        at += strlen(at) + 1;
    }
    fputc('\n', out->to);
}

/* ---- groups and tables --------------------------------------------------------------------------------- */

static void heading(struct out *out, const char *name)
{
    if (out->said) fputc('\n', out->to);
    fprintf(out->to, "%*s%s\n", (int)(2 * out->depth), "", name);
    out->said = true;
}

void out_group(struct out *out, const char *name)
{
    assert(!out->table.open);
    if (out->is_json) {
        json_key(&out->json, name);
        json_object_begin(&out->json);
    } else {
        heading(out, name);
    }
    out->depth++;
}

void out_group_end(struct out *out)
{
    assert(!out->table.open && out->depth > 0);
    out->depth--;
    if (out->is_json) json_object_end(&out->json);
}

void out_table(struct out *out, const char *name)
{
    assert(!out->table.open);
    out->table.open = true;
    out->table.len = 0;
    out->table.rows = out->table.columns = 0;
    if (out->is_json) {
        json_key(&out->json, name);
        json_array_begin(&out->json);
    } else {
        heading(out, name);
    }
    out->depth++;
}

void out_table_end(struct out *out)
{
    assert(out->table.open);
    if (out->is_json) json_array_end(&out->json);
    if (!out->is_json && out->table.rows > 0) print_table(out);
    if (!out->is_json && out->table.rows == 0) fprintf(out->to, "%*snone\n", (int)(2 * out->depth), "");
    out->depth--;
    out->table.open = false;
}

void out_row(struct out *out)
{
    assert(out->table.open);
    out->table.column = 0;
    if (out->is_json) json_object_begin(&out->json);
}

void out_row_end(struct out *out)
{
    if (out->is_json) {
        json_object_end(&out->json);
        return;
    }
    assert(out->table.rows == 0 || out->table.column == out->table.columns);
    out->table.rows++;
}

/* ---- values -------------------------------------------------------------------------------------------- */

void out_number(struct out *out, const char *name, uint64_t number)
{
    char text[32];

    if (out->is_json) {
        json_member_uint(&out->json, name, number);
        return;
    }
    snprintf(text, sizeof text, "%" PRIu64, number);
    value(out, name, text, true);
}

void out_signed(struct out *out, const char *name, int64_t number)
{
    char text[32];

    if (out->is_json) {
        json_key(&out->json, name);
        json_int(&out->json, number);
        return;
    }
    snprintf(text, sizeof text, "%" PRId64, number);
    value(out, name, text, true);
}

void out_real(struct out *out, const char *name, double number, int decimals)
{
    char text[64];

    snprintf(text, sizeof text, "%.*f", decimals, number);
    if (out->is_json) {
        json_key(&out->json, name);
        json_raw(&out->json, slice_text(text));
        return;
    }
    value(out, name, text, true);
}

void out_flag(struct out *out, const char *name, bool flag)
{
    if (out->is_json) {
        json_key(&out->json, name);
        json_bool(&out->json, flag);
        return;
    }
    value(out, name, flag ? "yes" : "no", false);
}

void out_slice(struct out *out, const char *name, struct slice text)
{
    char room[CELL_BYTES_MAX];

    if (out->is_json) {
        json_key(&out->json, name);
        json_string(&out->json, text);
        return;
    }
    value(out, name, out_escape(text, room, sizeof room), false);
}

void out_text(struct out *out, const char *name, const char *text)
{
    out_slice(out, name, slice_text(text));
}

void out_hex(struct out *out, const char *name, struct slice bytes)
{
    char text[2 * 64 + 1];

    if (out->is_json) {
        json_key(&out->json, name);
        json_hex(&out->json, bytes);
        return;
    }
    assert(bytes.len <= 64);
    for (size_t i = 0; i < bytes.len; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes.ptr[i]);
    text[2 * bytes.len] = '\0';
    value(out, name, text, false);
}

void out_time(struct out *out, const char *name, uint64_t ns)
{
    const time_t seconds = (time_t)(ns / 1000000000U);
    struct tm parts;
    char day[32], text[64];

    gmtime_r(&seconds, &parts);
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, sizeof text, "%s.%09uZ", day, (unsigned)(ns % 1000000000U));
    out_text(out, name, text);
}
