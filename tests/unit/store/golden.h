/*
 * Golden files: tests/golden/NAME-v1.bin holds bytes of format version 1 as they were written one day, NAME-v1.json what
 * they mean. The tests of the suites golden_* read the first and must get what it was made of; tests/golden/check reads it
 * too, by the tables of FORMAT.md and nothing else, and compares with the second.
 *
 * tests/golden/make, which sets SPANMILL_WRITE_GOLDEN, makes them anew.
 */
#ifndef TEST_STORE_GOLDEN_H
#define TEST_STORE_GOLDEN_H

#include "base/assert.h"
#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>

static inline bool golden_writing(void)
{
    return getenv("SPANMILL_WRITE_GOLDEN") != NULL;
}

/* ---- files; a path begins below tests/ -------------------------------------------------------------------- */

static inline FILE *golden_file(const char *path, const char *mode)
{
    char whole[512];

    snprintf(whole, sizeof whole, "%s/tests/%s", SPANMILL_SOURCE_DIR, path);
    FILE *const file = fopen(whole, mode);
    if (file == NULL) fprintf(stderr, "cannot open %s\n", whole);
    assert(file != NULL);
    return file;
}

static inline void golden_write(const char *path, struct slice bytes)
{
    FILE *const file = golden_file(path, "wb");
    const size_t written = fwrite(bytes.ptr, 1, bytes.len, file);

    assert(written == bytes.len);
    fclose(file);
}

/* Reads a whole file into the room. */
static inline struct slice golden_read(const char *path, uint8_t *room, size_t capacity)
{
    FILE *const file = golden_file(path, "rb");
    const size_t len = fread(room, 1, capacity, file);

    assert(len > 0 && len < capacity);
    fclose(file);
    return slice_of(room, len);
}

/* ---- JSON: members of the outer objects and elements of their lists have a line each ------------------------ */

struct golden_json {
    FILE *file;
    unsigned depth;
    bool follows; /* something stands before in the same object or list */
};

/* name: NULL in a list. */
static inline void golden_name(struct golden_json *json, const char *name)
{
    if (json->follows) fputc(',', json->file);
    if (json->depth > 0 && json->depth <= 2)
        fprintf(json->file, "\n%*s", (int)json->depth * 2, "");
    else if (json->follows)
        fputc(' ', json->file);
    if (name != NULL) fprintf(json->file, "\"%s\": ", name);
    json->follows = true;
}

static inline void golden_begin(struct golden_json *json, const char *name, char bracket)
{
    golden_name(json, name);
    fputc(bracket, json->file);
    json->depth++;
    json->follows = false;
}

static inline void golden_end(struct golden_json *json, char bracket)
{
    json->depth--;
    fputc(bracket, json->file);
    json->follows = true;
}

static inline void golden_number(struct golden_json *json, const char *name, uint64_t value)
{
    golden_name(json, name);
    fprintf(json->file, "%lu", value);
}

static inline void golden_hex(struct golden_json *json, const char *name, struct slice bytes)
{
    golden_name(json, name);
    fputc('"', json->file);
    for (size_t i = 0; i < bytes.len; i++)
        fprintf(json->file, "%02x", bytes.ptr[i]);
    fputc('"', json->file);
}

static inline struct golden_json golden_json_open(const char *path)
{
    struct golden_json json = {.file = golden_file(path, "w")};

    golden_begin(&json, NULL, '{');
    return json;
}

static inline void golden_json_close(struct golden_json *json)
{
    fputc('\n', json->file);
    golden_end(json, '}');
    fputc('\n', json->file);
    fclose(json->file);
}

/* Fields of a record by the names that the tables of FORMAT.md give them. */
#define GOLDEN_NUMBER(json, record, field) golden_number((json), #field, (record)->field)
#define GOLDEN_BYTES(json, record, field)                                                                    \
    golden_hex((json), #field, slice_of((record)->field, sizeof(record)->field))

#endif
