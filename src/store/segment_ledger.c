/*
 * The ledgers of segments. A shard's segment has none of its own: each of its blocks has one, for a block may stand in two
 * files after a failed write, and is used once. A segment that stands for others has one, of all that it stands for.
 */
#include "catalog_private.h"
#include "ledger_bytes.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/log.h"

#include <stdlib.h>

/* ---- reading ------------------------------------------------------------------------------------------ */

static enum err read_bytes(const struct segment *segment, struct io *io, uint8_t **out)
{
    uint8_t *const bytes = malloc(segment->ledger.bytes);

    if (bytes == NULL) return ERR_NO_MEMORY;
    enum err err = segment_file_read(segment->file, io, segment->ledger.offset, bytes, segment->ledger.bytes);
    if (err == OK && crc32c(0, bytes, segment->ledger.bytes) != segment->ledger.crc) err = ERR_CORRUPT;
    if (err != OK) {
        free(bytes);
        return err;
    }
    *out = bytes;
    return OK;
}

enum err segment_ledger_read(const struct segment *segment, struct io *io, struct ledger *into)
{
    uint8_t *bytes;

    if (segment->ledger.bytes == 0) return ERR_NOT_FOUND;
    TRY(read_bytes(segment, io, &bytes));
    const enum err err = ledger_read(slice_of(bytes, segment->ledger.bytes), into);
    free(bytes);
    return err;
}

static enum err ledger_of_block(const struct catalog_view *view, struct io *io, uint32_t block,
                                struct ledger *out)
{
    struct catalog_source source;
    struct block_reader *reader;

    TRY(catalog_open_block(view, io, block, &source, &reader));
    const enum err err = block_ledger(reader, out);
    block_close(reader);
    return err;
}

struct summing {
    const struct catalog_view *view;
    struct io *io;
    uint32_t segment;
    const struct ledger_range *range;
    struct ledger *part; /* what is being read */
    struct ledger *into;
    bool *damaged;
};

static void take_part(const struct summing *summing)
{
    ledger_add_range(summing->into, summing->part, summing->range);
}

/* Of a block that cannot be read the catalog knows how many spans it had, and when the first of them began. */
static void take_unreadable(const struct summing *summing, uint32_t block)
{
    const struct block_summary *const summary = &catalog_block(summing->view, block)->summary;

    ledger_clear(summing->part);
    ledger_add(summing->part, 0, summary->start_min_ns, LEDGER_RECEIVED, summary->spans);
    ledger_add(summing->part, 0, summary->start_min_ns, LEDGER_STORED, summary->spans);
    take_part(summing);
}

static enum err read_blocks(const struct summing *summing)
{
    uint32_t first;
    const uint32_t count = catalog_segment_blocks(summing->view, summing->segment, &first);

    for (uint32_t i = first; i < first + count; i++) {
        ledger_clear(summing->part);
        const enum err err = ledger_of_block(summing->view, summing->io, i, summing->part);
        if (err != OK && err != ERR_CORRUPT) return err;
        *summing->damaged |= err == ERR_CORRUPT;
        if (err == OK)
            take_part(summing);
        else
            take_unreadable(summing, i);
    }
    return OK;
}

static enum err read_segment(const struct summing *summing)
{
    const struct segment *const segment = summing->view->segments[summing->segment];
    const enum err err = segment_ledger_read(segment, summing->io, summing->part);

    if (err == OK) {
        take_part(summing);
        return OK;
    }
    if (err != ERR_NOT_FOUND && err != ERR_CORRUPT) return err;
    if (err == ERR_CORRUPT)
        log_error("store", "the ledger of a segment is damaged", "file=%s", segment->file->name);
    *summing->damaged |= err == ERR_CORRUPT || segment->identity.shard == CATALOG_MERGED;
    return read_blocks(summing);
}

static bool may_have(const struct segment *segment, const struct ledger_range *range)
{
    const struct segment_ledger_at *const at = &segment->ledger;

    return at->bytes == 0 || (at->minute_first <= range->last && at->minute_last >= range->first);
}

enum err catalog_ledger(const struct catalog_view *view, struct io *io, uint32_t segment,
                        const struct ledger_range *range, struct ledger *into, bool *damaged)
{
    struct ledger *part;

    if (!may_have(view->segments[segment], range)) return OK;
    TRY(ledger_open(&part));
    struct summing summing = {view, io, segment, range, part, into, damaged};
    const enum err err = read_segment(&summing);
    ledger_close(part);
    if (err == OK && ledger_failed(into)) return ERR_NO_MEMORY;
    return err;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static void note_minutes(const struct ledger *ledger, struct segment_ledger_at *at)
{
    const uint64_t minutes = ledger_step_minutes(ledger_step(ledger));

    at->minute_first = UINT32_MAX;
    at->minute_last = 0;
    for (uint32_t i = 0; i < ledger_rows(ledger); i++) {
        const uint32_t first = ledger_row(ledger, i)->minute;
        const uint64_t last = minutes == 0 ? UINT32_MAX : first + minutes - 1;
        if (first < at->minute_first) at->minute_first = first;
        if (last > at->minute_last) at->minute_last = last > UINT32_MAX ? UINT32_MAX : (uint32_t)last;
    }
}

static enum err write_bytes(struct segment *segment, struct io *io, struct ledger *ledger,
                            struct bytes *bytes, uint64_t *offset)
{
    if (!ledger_write(ledger, bytes)) return ERR_NO_MEMORY;
    if (bytes->len > SEGMENT_LEDGER_BYTES_MAX) return ERR_TOO_LARGE;
    struct segment_ledger_at at = {
        .offset = *offset, .bytes = (uint32_t)bytes->len, .crc = crc32c(0, bytes->ptr, bytes->len)};
    note_minutes(ledger, &at);
    bytes_align(bytes, SEGMENT_ALIGN);
    if (bytes->failed) return ERR_NO_MEMORY;
    TRY(segment_file_write(segment->file, io, *offset, bytes->ptr, bytes->len));
    segment->ledger = at;
    *offset += bytes->len;
    return OK;
}

enum err segment_ledger_write(struct segment *segment, struct io *io, struct ledger *ledger, uint64_t *offset)
{
    struct bytes bytes = {.ptr = NULL};
    const enum err err = write_bytes(segment, io, ledger, &bytes, offset);

    bytes_free(&bytes);
    return err;
}
