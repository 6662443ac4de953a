/* Foreign bytes: lengths are looked at before memory is taken for them. */
#include "records.h"

#include "model/otlp_from_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

struct room {
    uint8_t *bytes;
    size_t capacity;
};

struct records {
    struct stream_in *stream;
    uint64_t place;
    const char *reason;
    char fault[200];
    struct room raw, plain, made;
};

static bool grow(struct room *room, size_t wanted)
{
    if (wanted <= room->capacity) return true;
    const size_t capacity = wanted + wanted / 4 + 4096;
    uint8_t *const grown = realloc(room->bytes, capacity);
    if (grown == NULL) return false;
    *room = (struct room){grown, capacity};
    return true;
}

enum err records_open(struct stream_in *stream, struct records **out)
{
    struct records *const records = calloc(1, sizeof *records);

    if (records == NULL) return ERR_NO_MEMORY;
    records->stream = stream;
    records->reason = "";
    *out = records;
    return OK;
}

void records_close(struct records *records)
{
    free(records->raw.bytes);
    free(records->plain.bytes);
    free(records->made.bytes);
    free(records);
}

uint64_t records_place(const struct records *records)
{
    return records->place;
}

const char *records_reason(const struct records *records)
{
    return records->reason;
}

static enum err fail(struct records *records, enum err err, const char *reason)
{
    records->reason = reason;
    return err;
}

/* ---- raw ------------------------------------------------------------------------------------------------- */

static enum err read_exactly(struct records *records, void *to, size_t len)
{
    size_t count;

    const enum err err = stream_in_read(records->stream, to, len, &count);
    if (err != OK)
        return fail(records, err,
                    err == ERR_CORRUPT ? "the file is no sound zstd, or ends too soon" : err_text(err));
    return count == len ? OK : fail(records, ERR_CORRUPT, "the file ends in the middle of a record");
}

static enum err read_sized(struct records *records, struct slice *out)
{
    uint32_t len;

    TRY(read_exactly(records, &len, sizeof len));
    len = __builtin_bswap32(len);
    if (len > RECORD_BYTES_MAX)
        return fail(records, ERR_TOO_LARGE, "no length of a record, or of one of more than 128 MiB");
    if (!grow(&records->raw, len)) return ERR_NO_MEMORY;
    TRY(read_exactly(records, records->raw.bytes, len));
    *out = slice_of(records->raw.bytes, len);
    return OK;
}

/* Without its end, which the last line may lack. */
static enum err read_line(struct records *records, struct slice *out)
{
    size_t len = 0;

    for (int byte = stream_in_peek(records->stream); byte >= 0 && byte != '\n';
         byte = stream_in_peek(records->stream)) {
        if (len == RECORD_BYTES_MAX) return fail(records, ERR_TOO_LARGE, "a line of more than 128 MiB");
        if (!grow(&records->raw, len + 1)) return ERR_NO_MEMORY;
        TRY(read_exactly(records, records->raw.bytes + len++, 1));
    }
    *out = slice_of(records->raw.bytes, len);
    return OK;
}

/* ---- as protobuf ----------------------------------------------------------------------------------------- */

static enum err unpack(struct records *records, struct slice *bytes)
{
    static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd};

    if (bytes->len < sizeof magic || memcmp(bytes->ptr, magic, sizeof magic) != 0) return OK;
    const unsigned long long said = ZSTD_getFrameContentSize(bytes->ptr, bytes->len);
    const size_t len = said > RECORD_BYTES_MAX ? RECORD_BYTES_MAX : (size_t)said; /* or unknown */
    if (!grow(&records->plain, len)) return ERR_NO_MEMORY;
    const size_t got = ZSTD_decompress(records->plain.bytes, len, bytes->ptr, bytes->len);
    if (ZSTD_isError(got))
        return fail(records, ERR_CORRUPT, "a record is no sound zstd, or of more than 128 MiB");
    *bytes = slice_of(records->plain.bytes, got);
    return OK;
}

static enum err translate(struct records *records, struct slice *bytes)
{
    struct otlp_json_changes changes;
    struct otlp_fault fault = {.reason = ""};
    size_t len;

    if (bytes->len == 0 || bytes->ptr[0] != '{') return OK;
    const size_t room = bytes->len + OTLP_JSON_SLACK;
    if (!grow(&records->made, room)) return ERR_NO_MEMORY;
    const enum err err = otlp_from_json(*bytes, records->made.bytes, room, &len, &changes, &fault);
    if (err != OK) {
        snprintf(records->fault, sizeof records->fault, "%s",
                 fault.reason != NULL ? fault.reason : err_text(err));
        return fail(records, ERR_MALFORMED, records->fault);
    }
    *bytes = slice_of(records->made.bytes, len);
    return OK;
}

static bool skip_blank(struct records *records)
{
    int byte;
    char dropped;
    size_t count;

    while ((byte = stream_in_peek(records->stream)) == '\n' || byte == '\r' || byte == ' ' || byte == '\t')
        if (stream_in_read(records->stream, &dropped, 1, &count) != OK) return false;
    return byte >= 0;
}

static bool is_blank(int byte)
{
    return byte == '\n' || byte == '\r' || byte == ' ' || byte == '\t';
}

/* A length that begins with a bracket, or a blank, is far beyond what a record may have. */
enum err records_next(struct records *records, struct slice *out, bool *more)
{
    const int first = stream_in_peek(records->stream);
    const bool line = first == '{' || is_blank(first);
    char nothing;
    size_t count;

    *more = line ? skip_blank(records) : first >= 0;
    records->place = stream_in_place(records->stream);
    if (!*more) { /* the end, or an error that it hides */
        const enum err err = stream_in_read(records->stream, &nothing, 1, &count);
        return err == OK ? OK
                         : fail(records, err, "the file is no sound zstd, ends too soon, or cannot be read");
    }
    TRY(line ? read_line(records, out) : read_sized(records, out));
    TRY(unpack(records, out));
    return translate(records, out);
}
