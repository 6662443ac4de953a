/*
 * One journal file as it lies (store/look.h). A journal_replay() walks the log, which is what counts; this shows a single
 * file, with whatever is left in it of earlier laps. It goes by the lengths of the frames, and by pages where there is none.
 */
#include "io/io.h"
#include "journal_frame.h"
#include "store/look.h"

#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 1 << 20 };

static const char *const type_names[] = {
    [JOURNAL_BATCH] = "BATCH",
    [JOURNAL_NOTE] = "NOTE",
    [JOURNAL_GENERATION] = "GENERATION",
    [JOURNAL_FILE] = "FILE",
};

/* ---- header ------------------------------------------------------------------------------------------ */

enum err journal_look_file(struct io *io, struct io_file *file, struct journal_look_file *out)
{
    uint8_t page[JOURNAL_PAGE_BYTES] = {0};
    struct journal_file_header header;
    size_t count = 0;

    *out = (struct journal_look_file){.page_zero = true};
    TRY(io_file_size(io, file, &out->bytes));
    TRY(io_read_now(io, file, page, sizeof page, 0, &count));
    memcpy(&header, page, sizeof header);
    TRY(journal_file_header_check(&header));
    if (header.file_bytes % JOURNAL_PAGE_BYTES != 0 || header.file_bytes <= JOURNAL_PAGE_BYTES)
        return ERR_CORRUPT;
    for (size_t i = sizeof header; i < sizeof page; i++)
        out->page_zero &= page[i] == 0;
    out->shard = header.shard;
    out->sequence = header.sequence;
    out->salt = header.salt;
    out->file_bytes = header.file_bytes;
    out->created_ns = header.created_ns;
    return OK;
}

/* ---- frames ------------------------------------------------------------------------------------------ */

struct look_walk {
    struct io *io;
    struct io_file *file;
    const struct journal_look_file *header;
    uint64_t end; /* of what there is to read */
    uint8_t *buf;
    size_t capacity, len;
    uint64_t from; /* where buf begins in the file */
};

/* len bytes at offset; ERR_NOT_FOUND: beyond the end. */
static enum err window(struct look_walk *walk, uint64_t offset, uint64_t len, const uint8_t **out)
{
    if (offset > walk->end || len > walk->end - offset) return ERR_NOT_FOUND;
    if (offset < walk->from || offset + len > walk->from + walk->len) {
        const uint64_t left = walk->end - offset; /* a small file needs no large buffer */
        const size_t ahead = left < READ_BYTES ? (size_t)left : READ_BYTES;
        const size_t want = len > ahead ? (size_t)len : ahead;
        if (want > walk->capacity) {
            uint8_t *const grown = realloc(walk->buf, want);
            if (grown == NULL) return ERR_NO_MEMORY;
            walk->buf = grown;
            walk->capacity = want;
        }
        walk->len = 0;
        walk->from = offset;
        TRY(io_read_now(walk->io, walk->file, walk->buf, want, offset, &walk->len));
        if (walk->len < len) return ERR_NOT_FOUND;
    }
    *out = walk->buf + (offset - walk->from);
    return OK;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    uint8_t all = 0;

    for (size_t i = 0; i < len; i++)
        all |= bytes[i];
    return all == 0;
}

static bool belongs(const struct look_walk *walk, const struct journal_frame *frame, uint64_t offset)
{
    const uint64_t data = walk->header->file_bytes - JOURNAL_PAGE_BYTES;

    return frame->shard == walk->header->shard && frame->lsn <= JOURNAL_LSN_MAX &&
           frame->not_yet_durable <= frame->lsn && frame->lsn % data == offset - JOURNAL_PAGE_BYTES &&
           journal_frame_bytes(frame->body_len) <= walk->end - offset;
}

static void describe(const struct journal_frame *frame, uint64_t offset, struct journal_look_frame *out)
{
    const bool known = frame->type >= JOURNAL_BATCH && frame->type <= JOURNAL_FILE;

    *out = (struct journal_look_frame){
        .offset = offset,
        .lsn = frame->lsn,
        .lsn_end = journal_frame_end(frame),
        .next_lsn = journal_frame_next(frame),
        .generation = frame->generation,
        .prev_crc = frame->prev_crc,
        .header_crc = frame->header_crc,
        .type = frame->type,
        .type_name = known ? type_names[frame->type] : "unknown",
        .body_bytes = frame->body_len,
        .plain_bytes = frame->plain_len,
        .spans = frame->span_count,
        .arrival_ns = frame->recv_time_ns,
        .durable_lsn = frame->lsn - frame->not_yet_durable,
    };
}

/* Body and padding of a frame whose header is sound. */
static enum err look_body(struct look_walk *walk, const struct journal_frame *frame,
                          struct journal_look_frame *out)
{
    const uint64_t room = walk->end - out->offset;
    const uint64_t with_padding = out->next_lsn - out->lsn;
    const size_t len = (size_t)(with_padding < room ? with_padding : room);
    const size_t used = sizeof *frame + frame->body_len;
    const uint8_t *bytes;

    TRY(window(walk, out->offset, len, &bytes));
    out->body_sound = journal_frame_check_body(frame, bytes + sizeof *frame, walk->header->salt);
    out->padding_zero = all_zero(bytes + used, len - used);
    out->control = frame->type != JOURNAL_BATCH && frame->body_len >= sizeof(struct journal_control);
    if (out->control) {
        struct journal_control control;
        memcpy(&control, bytes + sizeof *frame, sizeof control);
        out->sealed_lsn = control.sealed_lsn;
        out->continues_lsn = control.continues_lsn;
        out->accepted_lsn = control.accepted_lsn;
    }
    return OK;
}

/* ERR_NOT_FOUND: no frame there. */
static enum err look_frame(struct look_walk *walk, uint64_t offset, struct journal_look_frame *out)
{
    struct journal_frame frame;
    const uint8_t *bytes;

    TRY(window(walk, offset, sizeof frame, &bytes));
    memcpy(&frame, bytes, sizeof frame);
    if (!journal_frame_check(&frame, walk->header->salt) || !belongs(walk, &frame, offset))
        return ERR_NOT_FOUND;
    describe(&frame, offset, out);
    return look_body(walk, &frame, out);
}

enum err journal_look_frames(struct io *io, struct io_file *file, const struct journal_look_file *header,
                             journal_look_fn *visit, void *context)
{
    struct look_walk walk = {.io = io, .file = file, .header = header};
    enum err err = OK;
    bool go_on = true;

    walk.end = header->bytes < header->file_bytes ? header->bytes : header->file_bytes;
    for (uint64_t offset = JOURNAL_PAGE_BYTES; err == OK && go_on && offset < walk.end;) {
        struct journal_look_frame frame;
        err = look_frame(&walk, offset, &frame);
        if (err == OK) {
            go_on = visit(context, &frame);
            offset += frame.next_lsn - frame.lsn;
        } else if (err == ERR_NOT_FOUND) {
            offset = journal_align(offset + 1, JOURNAL_PAGE_BYTES);
            err = OK;
        }
    }
    free(walk.buf);
    return err;
}
