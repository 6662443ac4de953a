/*
 * Rows: one request body becomes rows of the open live block, not yet published. Ingest and recovery share
 * this file, so what was accepted once is read by the same parser over the same bytes when the journal is
 * replayed.
 *
 * A compressed body is inflated into a second piece of the body budget, which lives only for the decode. The
 * first guess of its size comes from the body before it; too small means a larger piece and another try, four
 * times as large each, up to plain_bytes_max. Sizes that the body declares are never believed.
 *
 * A body in JSON is translated to protobuf in one more piece, as long as the JSON, and the decoder sees only that.
 * The bytes that its faults name are those of the JSON, found by a second look at it. What Zipkin's JSON leaves unsaid OTLP
 * spells out: the rare list that grows is translated again with more room.
 *
 * The decoder appends rows as it goes. When the block runs out of room in the middle of a request the rows
 * are undone, the block is closed at the boundary of the request before, and the request starts again in an
 * empty one; if it does not fit there either it will never fit.
 */
#include "shard_private.h"

#include "base/assert.h"
#include "codec/inflate.h"
#include "io/io.h"
#include "model/otlp_from_json.h"
#include "model/otlp_from_zipkin.h"
#include "store/live.h"

enum {
    RATIO_LEAST = 4, /* first guesses for inflated sizes stay between these */
    RATIO_MOST = 16,
};
/* A block that pins this much of the journal is closed although it has room. */
static const uint64_t PINNED_CLOSE_BYTES = 256ULL << 20;

struct language;
static enum err inflate_body(struct shard *shard, struct rows_request *request, struct shard_body *plain);
static enum err decode_content(struct shard *shard, struct rows_request *request, struct slice plain);
static enum err decode_json(struct shard *shard, struct rows_request *request, struct slice json,
                            const struct language *language);
static enum err decode(struct shard *shard, struct rows_request *request, struct slice plain);
static enum err decode_into(struct shard *shard, struct rows_request *request, struct slice plain);

enum err rows_append(struct shard *shard, struct rows_request *request)
{
    if (request->codec == JOURNAL_CODEC_NONE) {
        request->plain_bytes = request->body.len;
        return decode_content(shard, request, request->body);
    }
    struct shard_body plain;
    TRY(inflate_body(shard, request, &plain));
    request->plain_bytes = plain.len;
    const enum err err = decode_content(shard, request, slice_of(plain.ptr, plain.len));
    body_release(&shard->bodies, &plain);
    return err;
}

void rows_close_if_full(struct shard *shard, struct live_slot *slot)
{
    const uint64_t quarter = shard->config.journal.cap_bytes / 4;
    const uint64_t pinned_max = quarter < PINNED_CLOSE_BYTES ? quarter : PINNED_CLOSE_BYTES;

    if (live_full(slot->block) || slot->block->lsn_end - slot->block->lsn_first >= pinned_max) {
        live_set_close(&shard->live, slot);
    }
}

/* ---- inflating -------------------------------------------------------------------------------------- */

/* The most that this body may become. */
static size_t plain_max(const struct shard *shard, size_t stored_bytes)
{
    const size_t limit = inflate_limit(stored_bytes);

    return limit < shard->config.plain_bytes_max ? limit : shard->config.plain_bytes_max;
}

static void learn_ratio(struct shard *shard, size_t stored_bytes, size_t plain_bytes)
{
    const size_t ratio = plain_bytes / stored_bytes + 1;

    shard->inflate_ratio = ratio < RATIO_LEAST  ? RATIO_LEAST
                           : ratio > RATIO_MOST ? RATIO_MOST
                                                : (unsigned)ratio;
}

static enum err inflate(struct shard *shard, struct rows_request *request, uint8_t *out, size_t capacity,
                        size_t *out_len)
{
    switch (request->codec) {
    case JOURNAL_CODEC_GZIP:
        return inflate_gzip(shard->inflater, request->body, out, capacity, out_len, &request->reason);
    case JOURNAL_CODEC_ZLIB:
        return inflate_zlib(shard->inflater, request->body, out, capacity, out_len, &request->reason);
    case JOURNAL_CODEC_ZSTD:
        return inflate_zstd(shard->inflater, request->body, out, capacity, out_len, &request->reason);
    case JOURNAL_CODEC_SNAPPY: return inflate_snappy(request->body, out, capacity, out_len, &request->reason);
    default: /* a journal of a newer version */
        request->reason = "the body is compressed in a way that is not known";
        return ERR_UNSUPPORTED;
    }
}

static enum err inflate_body(struct shard *shard, struct rows_request *request, struct shard_body *plain)
{
    const size_t most = plain_max(shard, request->body.len);
    size_t wanted = request->body.len * shard->inflate_ratio;
    for (;;) {
        if (wanted > most) wanted = most;
        if (!body_acquire(&shard->bodies, wanted, plain)) {
            request->reason = "no memory to inflate the body now";
            return ERR_FULL;
        }
        const size_t capacity = plain->capacity < most ? plain->capacity : most;
        const enum err err = inflate(shard, request, plain->ptr, capacity, &plain->len);
        if (err == OK) {
            learn_ratio(shard, request->body.len, plain->len);
            return OK;
        }
        body_release(&shard->bodies, plain);
        if (err != ERR_FULL) return err;
        if (capacity == most) {
            request->reason = "the inflated body is larger than the limit";
            return ERR_TOO_LARGE;
        }
        wanted = capacity * 4;
    }
}

/* ---- translating ------------------------------------------------------------------------------------ */

/* What is translated: how, with how much room at first and at most, and where a byte of the outcome lies in it. */
struct language {
    enum err (*translate)(struct slice json, uint8_t *out, size_t capacity, size_t *out_len,
                          struct otlp_json_changes *changes, struct otlp_fault *fault);
    size_t (*room_max)(size_t json_len);
    uint64_t (*locate)(struct slice json, struct slice plain, uint64_t offset);
};

static size_t json_room(size_t json_len)
{
    return json_len + OTLP_JSON_SLACK;
}

static const struct language otlp_language = {otlp_from_json, json_room, otlp_from_json_locate};
static const struct language zipkin_language = {otlp_from_zipkin, otlp_from_zipkin_room,
                                                otlp_from_zipkin_locate};

static enum err decode_content(struct shard *shard, struct rows_request *request, struct slice plain)
{
    switch (request->content_type) {
    case JOURNAL_CONTENT_PROTOBUF: return decode(shard, request, plain);
    case JOURNAL_CONTENT_JSON: return decode_json(shard, request, plain, &otlp_language);
    case JOURNAL_CONTENT_ZIPKIN: return decode_json(shard, request, plain, &zipkin_language);
    default: /* a journal of a newer version */
        request->reason = "the body is of a type that is not known";
        return ERR_UNSUPPORTED;
    }
}

/* Memory for the translation. ERR_TOO_LARGE: the budget could not hold it beside the body, however idle. */
static enum err acquire_translation(struct shard *shard, struct rows_request *request, size_t bytes,
                                    struct shard_body *out)
{
    if (bytes <= body_capacity_max() && body_acquire(&shard->bodies, bytes, out)) return OK;

    const uint64_t inflated = request->codec == JOURNAL_CODEC_NONE ? 0 : body_weight(request->plain_bytes);
    if (bytes > body_capacity_max() ||
        body_weight(request->body.len) + inflated + body_weight(bytes) > shard->bodies.budget_bytes) {
        request->reason = "the body is larger than this server has memory to translate";
        return ERR_TOO_LARGE;
    }
    request->reason = "no memory to translate the body now";
    return ERR_FULL;
}

/* Into *room, which is the caller's when it is OK. */
static enum err translate(struct shard *shard, struct rows_request *request, struct slice json,
                          const struct language *language, struct shard_body *room)
{
    struct otlp_fault *const fault = &request->result.fault;
    const size_t most = language->room_max(json.len);

    for (size_t wanted = json_room(json.len);; wanted *= 2) {
        if (wanted > most) wanted = most;
        TRY(acquire_translation(shard, request, wanted, room));
        const enum err err = language->translate(json, room->ptr, room->capacity, &room->len,
                                                 &request->changes, fault);
        if (err == OK) return OK;
        body_release(&shard->bodies, room);
        request->reason = fault->reason;
        if (err != ERR_FULL) return err;
        if (wanted < most) continue;
        request->reason =
            "the body takes more room as protobuf than as JSON"; /* very many long strings in lists */
        return ERR_TOO_LARGE;
    }
}

static void locate(struct otlp_fault *fault, const struct language *language, struct slice json,
                   struct slice plain)
{
    if (fault->reason != NULL) fault->offset = language->locate(json, plain, fault->offset);
}

static enum err decode_json(struct shard *shard, struct rows_request *request, struct slice json,
                            const struct language *language)
{
    struct shard_body room;

    TRY(translate(shard, request, json, language, &room));
    const struct slice plain = slice_of(room.ptr, room.len);
    const enum err err = decode(shard, request, plain);
    locate(&request->result.fault, language, json, plain);
    locate(&request->result.rejection, language, json, plain);
    body_release(&shard->bodies, &room);
    return err;
}

/* ---- decoding --------------------------------------------------------------------------------------- */

static enum err decode(struct shard *shard, struct rows_request *request, struct slice plain)
{
    const enum err first = decode_into(shard, request, plain);
    if (first != ERR_FULL || request->slot == NULL) return first;

    if (request->slot->block->counts.rows > 0) { /* complete as it is; an empty block may have the room */
        live_set_close(&shard->live, request->slot);
        const enum err second = decode_into(shard, request, plain);
        if (second != ERR_FULL || request->slot == NULL) return second;
    }
    request->reason = "request has more distinct attributes than a block holds";
    return ERR_TOO_LARGE;
}

static enum err decode_into(struct shard *shard, struct rows_request *request, struct slice plain)
{
    request->slot = live_set_open(&shard->live);
    if (request->slot == NULL) {
        request->reason = "no live block is free";
        return ERR_FULL;
    }
    struct live_block *block = request->slot->block;
    live_append_begin(block);
    const enum err err = otlp_decode(shard->decoder, plain, live_sink(), block, &request->result);
    request->cut = live_take_cut(block);
    if (err != OK) {
        request->reason = request->result.fault.reason;
        live_append_undo(block);
    }
    return err;
}
