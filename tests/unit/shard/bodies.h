/*
 * Request bodies for tests of the shard: a request is a number, and everything in it follows from that
 * number. A span's id is (request << 32 | index + 1), so whoever reads spans back knows where each came from
 * and, by writing it again, what it must look like. Spans are written as the store writes them (fields in
 * order, zeros left out), so equal means equal bytes.
 */
#ifndef TESTS_SHARD_BODIES_H
#define TESTS_SHARD_BODIES_H

#include "base/assert.h"
#include "base/hash.h"
#include "codec/wire.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODIES_SPAN_BYTES_MAX = 70 * 1024 };

struct bodies_request {
    uint32_t id;
    uint32_t spans;
    uint32_t padding; /* bytes of a string that no other span has */
};

static inline uint64_t bodies_span_id(uint32_t request, uint32_t index)
{
    return (uint64_t)request << 32 | (index + 1);
}

static inline void bodies__big_endian(uint64_t value, uint8_t out[8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

/* The request and index that a span id names. */
static inline uint64_t bodies_read_span_id(const uint8_t bytes[8])
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline void bodies__string(struct wire_writer *writer, uint32_t field, const char *key,
                                  struct slice value)
{
    const size_t pair = writer->len;
    const size_t any = writer->len;
    wire_put_bytes_field(writer, 1, value); /* AnyValue.string_value */
    wire_close_message(writer, 2, any);
    wire_put_bytes_field(writer, 1, slice_text(key));
    wire_close_message(writer, field, pair);
}

static inline void bodies__int(struct wire_writer *writer, uint32_t field, const char *key, uint64_t value)
{
    const size_t pair = writer->len;
    const size_t any = writer->len;
    wire_put_varint_field(writer, 3, value); /* AnyValue.int_value */
    wire_close_message(writer, 2, any);
    wire_put_bytes_field(writer, 1, slice_text(key));
    wire_close_message(writer, field, pair);
}

/* Three requests in a row share a trace. */
static inline uint32_t bodies_trace_number(uint32_t request)
{
    return request / 3;
}

static inline void bodies_trace_id(uint32_t request, uint8_t out[16])
{
    const uint64_t number = bodies_trace_number(request) + 1;
    const uint64_t low = hash_mix(number, 11), high = hash_mix(number, 13) | 1;
    memcpy(out, &high, 8);
    memcpy(out + 8, &low, 8);
}

/* When its first span begins; all of them before the first one of the next request. */
static inline uint64_t bodies_start_ns(uint32_t request)
{
    return 1700000000000000000ULL + (uint64_t)request * 1000003;
}

/* Writes the Span message, backwards. */
static inline void bodies_span(const struct bodies_request *request, uint32_t index,
                               struct wire_writer *writer)
{
    static const char *const methods[] = {"GET", "PUT", "POST"};
    const uint32_t odd = request->id + index;
    const uint64_t start_ns = bodies_start_ns(request->id) + index * 977;
    uint8_t trace_id[16], span_id[8], parent[8];
    char name[32];

    bodies_trace_id(request->id, trace_id);
    bodies__big_endian(bodies_span_id(request->id, index), span_id);
    bodies__big_endian(bodies_span_id(request->id, index / 2), parent);
    snprintf(name, sizeof name, "op-%u", odd % 5);

    wire_put_fixed32_field(writer, 16, 0x101);
    if (odd % 4 == 0) {
        const size_t status = writer->len;
        wire_put_varint_field(writer, 3, 2);
        wire_put_bytes_field(writer, 2, slice_text("it broke"));
        wire_close_message(writer, 15, status);
    }
    if (odd % 7 == 0) {
        const size_t link = writer->len;
        bodies__int(writer, 4, "link.weight", odd);
        wire_put_bytes_field(writer, 2, slice_of(parent, 8));
        wire_put_bytes_field(writer, 1, slice_of(trace_id, 16));
        wire_close_message(writer, 13, link);
    }
    if (odd % 3 == 0) {
        const size_t event = writer->len;
        bodies__string(writer, 3, "exception.type", slice_text("TimeoutError"));
        wire_put_bytes_field(writer, 2, slice_text("exception"));
        wire_put_fixed64_field(writer, 1, start_ns + 5);
        wire_close_message(writer, 11, event);
    }
    if (request->padding > 0) {
        char *text = malloc(request->padding);
        assert(text != NULL);
        for (uint32_t i = 0; i < request->padding; i++) {
            text[i] = (char)('a' + hash_mix((uint64_t)odd << 32 | i / 8, request->id) % 26);
        }
        bodies__string(writer, 9, "db.statement", slice_of(text, request->padding));
        free(text);
    }
    bodies__int(writer, 9, "http.response.size", (uint64_t)odd * 37);
    bodies__string(writer, 9, "http.request.method", slice_text(methods[odd % 3]));
    wire_put_fixed64_field(writer, 8, start_ns + 1000 + odd);
    wire_put_fixed64_field(writer, 7, start_ns);
    wire_put_varint_field(writer, 6, 1 + odd % 5);
    wire_put_bytes_field(writer, 5, slice_text(name));
    if (index > 0) wire_put_bytes_field(writer, 4, slice_of(parent, 8));
    if (odd % 6 == 0) wire_put_bytes_field(writer, 3, slice_text("vendor=1"));
    wire_put_bytes_field(writer, 2, slice_of(span_id, 8));
    wire_put_bytes_field(writer, 1, slice_of(trace_id, 16));
}

static inline void bodies__write(const struct bodies_request *request, struct wire_writer *writer)
{
    const size_t resource_spans = writer->len, scope_spans = writer->len;
    for (uint32_t i = request->spans; i-- > 0;) {
        const size_t span = writer->len;
        bodies_span(request, i, writer);
        wire_close_message(writer, 2, span);
    }
    const size_t scope = writer->len;
    wire_put_bytes_field(writer, 1, slice_text("tests"));
    wire_close_message(writer, 1, scope);
    wire_close_message(writer, 2, scope_spans);
    const size_t resource = writer->len;
    bodies__string(writer, 1, "service.name", slice_text(request->id % 2 == 0 ? "cart" : "checkout"));
    wire_close_message(writer, 1, resource);
    wire_close_message(writer, 1, resource_spans);
}

/* The whole ExportTraceServiceRequest, malloc'ed; *len bytes. */
static inline uint8_t *bodies_make(const struct bodies_request *request, size_t *len)
{
    struct wire_writer writer = {0};
    bodies__write(request, &writer); /* counts */
    const size_t bytes = writer.len;
    uint8_t *body = malloc(bytes + 1);
    assert(body != NULL);
    writer = (struct wire_writer){.base = body, .capacity = bytes};
    bodies__write(request, &writer);
    assert(writer.len == bytes);
    *len = bytes;
    return body;
}

/* The same, as a gzip member. */
static inline uint8_t *bodies_make_gzip(const struct bodies_request *request, size_t *len)
{
    size_t plain_len;
    uint8_t *plain = bodies_make(request, &plain_len);
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(1);
    assert(compressor != NULL);
    const size_t bound = libdeflate_gzip_compress_bound(compressor, plain_len);
    uint8_t *packed = malloc(bound);
    assert(packed != NULL);
    *len = libdeflate_gzip_compress(compressor, plain, plain_len, packed, bound);
    assert(*len > 0);
    libdeflate_free_compressor(compressor);
    free(plain);
    return packed;
}

/* Is this the span that was sent? */
static inline bool bodies_is_span(const struct bodies_request *request, uint32_t index, struct slice span)
{
    static _Thread_local uint8_t buffer[BODIES_SPAN_BYTES_MAX];
    struct wire_writer writer = {.base = buffer, .capacity = sizeof buffer};

    if (index >= request->spans) return false;
    bodies_span(request, index, &writer);
    return wire_writer_fits(&writer) && slice_equal(wire_writer_bytes(&writer), span);
}

#endif
