/*
 * What a command has found, told once and shown in one of two ways: as text with aligned tables, or as one JSON object.
 *
 *   out_init(&out, stdout, json);
 *   out_group(&out, "segment");  out_number(&out, "blocks", 3);  out_group_end(&out);
 *   out_table(&out, "blocks");   out_row(&out); out_number(&out, "seq", 7); ... out_row_end(&out); ... out_table_end(&out);
 *   code = out_finish(&out);
 *
 * All rows of a table have the same names, in the same order. Text is escaped: nothing that a client has sent reaches
 * the terminal as a control byte.
 */
#ifndef CTL_OUT_H
#define CTL_OUT_H

#include "base/err.h"
#include "base/slice.h"
#include "codec/json.h"

#include <stdio.h>

enum { OUT_COLUMNS_MAX = 16 };

struct out {
    FILE *to;
    bool is_json;
    struct json json;
    uint8_t buf[4096];
    unsigned depth; /* of groups, text */
    bool said;      /* something stands above: a group begins after an empty line */
    /* the table at hand, text only: cells are NUL-terminated, row after row */
    struct {
        bool open;
        unsigned columns, column;
        const char *names[OUT_COLUMNS_MAX];
        bool numeric[OUT_COLUMNS_MAX]; /* aligned to the right */
        char *cells;
        size_t len, capacity;
        unsigned rows;
    } table;
};

void out_init(struct out *out, FILE *to, bool is_json);
/* ERR_IO: not all could be written; ERR_NO_MEMORY. */
enum err out_finish(struct out *out);

/* A heading with values below it; groups may lie in groups. */
void out_group(struct out *out, const char *name);
void out_group_end(struct out *out);
/* A list of rows, each with the same values. Not inside another table. */
void out_table(struct out *out, const char *name);
void out_table_end(struct out *out);
void out_row(struct out *out);
void out_row_end(struct out *out);

/* Values. Names are those of src/store/FORMAT.md where it has one. */
void out_number(struct out *out, const char *name, uint64_t value);
void out_signed(struct out *out, const char *name, int64_t value);
void out_real(struct out *out, const char *name, double value, int decimals);
void out_flag(struct out *out, const char *name, bool value);
void out_text(struct out *out, const char *name, const char *text);
void out_slice(struct out *out, const char *name, struct slice text);
void out_hex(struct out *out, const char *name, struct slice bytes);
/* Nanoseconds since 1970, in UTC; exact. */
void out_time(struct out *out, const char *name, uint64_t ns);

/* For lines that are no table: the text as it may stand in a terminal. Returns room. */
const char *out_escape(struct slice text, char *room, size_t capacity);

#endif
