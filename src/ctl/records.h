/*
 * Requests out of a stream, in each of the forms in which they are kept:
 *
 *   [length, 4 bytes big-endian][TracesData]...    what export writes, and the Collector's file exporter with `format: proto`
 *   a TracesData as JSON on each line              what it writes with `format: json`
 *   the first with messages packed by zstd, or in JSON    what it writes with `compression: zstd`
 *
 * Each comes out as protobuf, whatever it was.
 */
#ifndef CTL_RECORDS_H
#define CTL_RECORDS_H

#include "stream.h"

enum { RECORD_BYTES_MAX = 128 << 20 };

struct records;
enum err records_open(struct stream_in *stream, struct records **out); /* borrowed */
/*
 * The next one; it lives until the next call. *more false: the end. ERR_MALFORMED, ERR_CORRUPT, ERR_TOO_LARGE: records_place()
 * and records_reason() say where and what.
 */
enum err records_next(struct records *records, struct slice *out, bool *more);
/* Where the record begins that came last, or that could not be read, in plain bytes of the stream. */
uint64_t records_place(const struct records *records);
const char *records_reason(const struct records *records);
void records_close(struct records *records);

#endif
