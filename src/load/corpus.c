/*
 * A capture as source: a file of [u32 big-endian length][TracesData protobuf], plain or one or more zstd
 * frames.
 *
 * The whole capture is read into memory and walked. Each of its messages becomes one body; with
 * spans_per_request its spans are dealt out anew, in order, so that large messages are split and small ones
 * join, each span under a copy of its own Resource and Scope (with schema URLs and whatever else stands
 * there). Spans whose ids have the wrong length or are all zero would be rejected by any receiver: they are
 * left out and counted.
 *
 * Failures: ERR_NOT_FOUND and other file errors, ERR_MALFORMED (not this format), ERR_TOO_LARGE (over 4 GiB).
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <zstd.h>

#include "base/log.h"
#include "batch.h"
#include "source.h"
#include "walk.h"

#define CORPUS_BYTES_MAX (4ULL << 30)
#define ZSTD_MAGIC       0xfd2fb528U

/* ---- the file in memory
 * ------------------------------------------------------------------------------------ */

static enum err read_file(const char *path, struct buffer *bytes)
{
    FILE *const file = fopen(path, "rb");
    if (file == NULL) return err_from_errno(errno);

    for (;;) {
        uint8_t *const at = buffer_reserve(bytes, 1 << 20);
        const size_t got = at == NULL ? 0 : fread(at, 1, 1 << 20, file);
        if (got == 0) break;
        bytes->len += got;
        if (bytes->len > CORPUS_BYTES_MAX) break;
    }
    const bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (bytes->len > CORPUS_BYTES_MAX) return ERR_TOO_LARGE;
    return bytes->failed ? ERR_NO_MEMORY : failed ? ERR_IO : OK;
}

static enum err inflate_stream(ZSTD_DStream *stream, struct slice packed, struct buffer *bytes)
{
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    size_t left = 1;

    while (in.pos < in.size || left != 0) {
        uint8_t *const at = buffer_reserve(bytes, ZSTD_DStreamOutSize());
        if (at == NULL) return ERR_NO_MEMORY;
        ZSTD_outBuffer out = {at, ZSTD_DStreamOutSize(), 0};
        left = ZSTD_decompressStream(stream, &out, &in);
        if (ZSTD_isError(left)) return ERR_MALFORMED;
        bytes->len += out.pos;
        if (bytes->len > CORPUS_BYTES_MAX) return ERR_TOO_LARGE;
        if (in.pos == in.size && out.pos < out.size && left != 0) return ERR_MALFORMED; /* cut short */
    }
    return OK;
}

static enum err inflate(struct buffer *bytes)
{
    struct buffer plain = {0};
    ZSTD_DStream *const stream = ZSTD_createDStream();
    if (stream == NULL) return ERR_NO_MEMORY;

    const enum err err = inflate_stream(stream, buffer_slice(bytes), &plain);
    (void)ZSTD_freeDStream(stream);
    buffer_deinit(bytes);
    *bytes = plain;
    return err;
}

static enum err load(const char *path, struct buffer *bytes)
{
    uint32_t magic = 0;

    TRY(read_file(path, bytes));
    if (bytes->len >= sizeof magic) memcpy(&magic, bytes->ptr, sizeof magic);
    return le32toh(magic) == ZSTD_MAGIC ? inflate(bytes) : OK;
}

/* ---- dealing its spans out
 * --------------------------------------------------------------------------------- */

struct deal {
    uint32_t spans_per_request; /* 0: one body to a message */
    struct message_sink *sink;
    struct batch batch;
    struct buffer message;
    struct buffer envelopes; /* reserved once, so that slices into it stay */
    uint64_t left_out;
};

/* Copies the fields of an envelope but those with this number. */
static struct slice copy_envelope(struct deal *deal, struct slice from, uint32_t except)
{
    struct proto_reader reader = proto_read(from);
    struct proto_field field;
    const size_t start = deal->envelopes.len;

    while (proto_next(&reader, &field)) {
        if (field.number != except) buffer_append(&deal->envelopes, field.whole.ptr, field.whole.len);
    }
    return slice_of(deal->envelopes.ptr + start, deal->envelopes.len - start);
}

static enum err emit(struct deal *deal)
{
    if (deal->batch.count == 0) return OK;
    deal->message.len = 0;
    batch_encode(&deal->batch, &deal->message);
    return deal->message.failed ? ERR_NO_MEMORY
                                : deal->sink->on_message(deal->sink, buffer_slice(&deal->message));
}

static enum err deal_message(struct deal *deal, struct slice message)
{
    struct span_walk walk = span_walk_of(message);
    struct batch_span entry = {0};
    const uint8_t *resource = NULL;
    const uint8_t *scope = NULL;
    struct span_ids ids;

    while (span_walk_next(&walk)) {
        if (resource != walk.resource_spans.ptr)
            entry.resource = copy_envelope(deal, walk.resource_spans, RESOURCE_SPANS_SCOPE_SPANS);
        if (scope != walk.scope_spans.ptr)
            entry.scope = copy_envelope(deal, walk.scope_spans, SCOPE_SPANS_SPANS);
        resource = walk.resource_spans.ptr;
        scope = walk.scope_spans.ptr;
        entry.span = walk.span;
        if (!span_ids_of(walk.span, &ids)) {
            deal->left_out++;
            continue;
        }
        TRY(batch_add(&deal->batch, entry));
        if (deal->spans_per_request > 0 && deal->batch.count == deal->spans_per_request) TRY(emit(deal));
    }
    TRY(walk.err);
    return deal->spans_per_request == 0 ? emit(deal) : OK;
}

static enum err deal_all(struct deal *deal, struct slice rest)
{
    while (rest.len > 0) {
        uint32_t len;
        if (rest.len < sizeof len) return ERR_MALFORMED;
        memcpy(&len, rest.ptr, sizeof len);
        len = be32toh(len);
        if (len > rest.len - sizeof len) return ERR_MALFORMED;
        TRY(deal_message(deal, slice_of(rest.ptr + sizeof len, len)));
        rest = slice_of(rest.ptr + sizeof len + len, rest.len - sizeof len - len);
    }
    return emit(deal);
}

enum err corpus_run(const struct stock_config *config, struct message_sink *sink)
{
    struct buffer bytes = {0};
    struct deal deal = {.spans_per_request = config->spans_per_request, .sink = sink};

    enum err err = load(config->corpus_path, &bytes);
    if (err == OK && buffer_reserve(&deal.envelopes, bytes.len + 1) == NULL) err = ERR_NO_MEMORY;
    if (err == OK) err = deal_all(&deal, buffer_slice(&bytes));
    if (deal.left_out > 0)
        log_warn("load", "spans without valid ids left out", "count=%llu", (unsigned long long)deal.left_out);
    batch_deinit(&deal.batch);
    buffer_deinit(&deal.message);
    buffer_deinit(&deal.envelopes);
    buffer_deinit(&bytes);
    return err;
}
