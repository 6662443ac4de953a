/*
 * One file of the directory at start-up (FORMAT.md, "Segment", cases A to N). It is believed in this order:
 *
 *   trailer and directory sound    closed: loaded as it is
 *   otherwise                      walked block by block, then closed: directory and trailer are written
 *                                  behind the last good block, over the torn tail. The rows of its filters
 *                                  come later (segment_filters.c)
 *   no header, no good block       nothing of ours: left alone, reported
 *   header, no good block          a first append that never finished: the file goes
 *
 * What was read must be durable before it is believed, or a journal would be released for it: hence a sync first,
 * here and for closed files, and the last block of a file that was not closed is moved (segment_move.c says why).
 * Everything here may be repeated after a crash at any point.
 *
 * Nothing is cut or written when the device failed to read something, or when a sound trailer says that blocks reach
 * further than the walk did. Such a segment is served from memory and stays as it is on disk.
 */
#include "catalog_private.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct recovery {
    struct catalog *catalog;
    struct io *io;
    const char *name;
    struct segment_file *file;
    uint64_t file_bytes;
    bool header_sound;
    struct segment_identity identity; /* from the header, if sound */
    uint64_t directory_offset;        /* from a sound trailer, else 0 */
    bool unreadable;                  /* a device error on the way */
};

/* ---- opening ----------------------------------------------------------------------------------------- */

static void let_go(struct recovery *recovery)
{
    if (recovery->file == NULL) return;
    segment_file_drop(recovery->catalog, recovery->file);
    recovery->file = NULL;
    catalog_close_files(recovery->catalog, recovery->io);
}

static enum err open_file(struct recovery *recovery, unsigned flags)
{
    struct segment_file *file;

    TRY(segment_file_open(recovery->io, recovery->catalog->dir, recovery->name, flags, &file));
    let_go(recovery);
    recovery->file = file;
    return OK;
}

static enum err read_header(struct recovery *recovery)
{
    struct segment_header header;
    enum err err = ERR_IO;

    if (recovery->file_bytes < sizeof header) return OK;
    for (unsigned i = 0; i < 2 && err == ERR_IO; i++)
        err = segment_file_read(recovery->file, recovery->io, 0, &header, sizeof header);
    if (err == OK) err = segment_header_check(&header, &recovery->identity);
    recovery->header_sound = err == OK;
    recovery->unreadable |= err == ERR_IO;
    return err == ERR_VERSION || err == ERR_NO_MEMORY ? err : OK;
}

static enum err load(struct recovery *recovery, struct segment **out)
{
    enum err err = ERR_IO;

    for (unsigned i = 0; i < 2 && err == ERR_IO; i++)
        err = segment_load(recovery->catalog, recovery->io, recovery->file, recovery->file_bytes,
                           &recovery->directory_offset, out);
    recovery->unreadable |= err == ERR_IO;
    return err;
}

/* ---- walking ----------------------------------------------------------------------------------------- */

static uint64_t seq_of_name(const char *name)
{
    unsigned shard;
    uint64_t seq;

    return sscanf(name, "%u-%" SCNu64 ".seg", &shard, &seq) == 2 ? seq : 0;
}

static enum err walk(struct recovery *recovery, struct segment_walk *out)
{
    struct catalog *const catalog = recovery->catalog;
    const uint64_t bytes = recovery->directory_offset > 0 ? recovery->directory_offset : recovery->file_bytes;

    if (!recovery->header_sound)
        recovery->identity = (struct segment_identity){.instance = catalog->config.instance,
                                                       .seq = seq_of_name(recovery->name)};
    struct segment *const segment = segment_make(&recovery->identity, recovery->file, SEGMENT_BLOCKS_MAX,
                                                 false);
    if (segment == NULL) return ERR_NO_MEMORY;

    *out = (struct segment_walk){.io = recovery->io,
                                 .file = recovery->file,
                                 .file_bytes = bytes,
                                 .based = recovery->header_sound,
                                 .segment = segment};
    const enum err err = segment_walk(out);
    if (err != OK) {
        segment_drop(catalog, segment);
        return err;
    }
    if (!recovery->header_sound && segment->blocks_count > 0)
        segment->identity.shard = segment->blocks[0].summary.shard;
    return OK;
}

/* All of the file has moved: nothing stands before the block that was its last. */
static void remove_emptied(struct recovery *recovery, struct segment *segment)
{
    segment_drop(recovery->catalog, segment);
    let_go(recovery);
    if (io_unlink(recovery->io, recovery->catalog->dir, recovery->name) != OK)
        log_warn("store", "could not remove an emptied segment", "file=%s", recovery->name);
}

/* Directory and trailer go over the torn tail (and the moved block). */
static void close_walked(struct recovery *recovery, struct segment *segment, uint64_t end,
                         struct segment_found *out)
{
    struct segment *closed;

    const enum err err = segment_finish(recovery->catalog, recovery->io, segment, end, &closed);
    if (err != OK) { /* the next start tries again; until then it is served as it lies */
        log_warn("store", "segment could not be closed", "file=%s err=\"%s\"", recovery->name, err_text(err));
        out->segment = segment;
        return;
    }
    segment_drop(recovery->catalog, segment);
    out->segment = closed;
}

static void move_and_close(struct recovery *recovery, const struct segment_walk *walked,
                           struct segment_found *out)
{
    struct segment *const segment = walked->segment;
    const uint64_t last_offset = segment->blocks[segment->blocks_count - 1].offset;

    out->cut_bytes = recovery->file_bytes > walked->end ? recovery->file_bytes - walked->end : 0;
    const bool was_merged = segment->identity.shard == CATALOG_MERGED; /* complete before it had its name */
    if (recovery->directory_offset > 0 ||
        was_merged) { /* closed once, after all of its blocks were durable */
        close_walked(recovery, segment, walked->end, out);
        return;
    }
    const enum err err = segment_move_last(recovery->catalog, recovery->io, segment, &out->moved);
    if (err != OK) {
        log_warn("store", "last block of a segment could not be moved", "file=%s err=\"%s\"", recovery->name,
                 err_text(err));
        out->segment = segment;
    } else if (last_offset == SEGMENT_ALIGN) {
        remove_emptied(recovery, segment);
    } else {
        close_walked(recovery, segment, last_offset, out);
    }
}

static void nothing_good(struct recovery *recovery, const struct segment_walk *walked, bool keep,
                         struct segment_found *out)
{
    segment_drop(recovery->catalog, walked->segment);
    if (keep || !recovery->header_sound) {
        log_warn("store", "file holds no segment of this instance, left alone", "file=%s bytes=%" PRIu64,
                 recovery->name, recovery->file_bytes);
        out->ignored = true;
        return;
    }
    log_info("store", "first append of a segment was never finished, file removed", "file=%s bytes=%" PRIu64,
             recovery->name, recovery->file_bytes);
    out->cut_bytes = recovery->file_bytes;
    let_go(recovery);
    if (io_unlink(recovery->io, recovery->catalog->dir, recovery->name) != OK)
        log_warn("store", "could not remove it; the next start tries again", "file=%s", recovery->name);
}

static enum err open_for_walk(struct recovery *recovery, bool *writable)
{
    const enum err err = open_file(recovery, IO_WRITABLE | IO_DIRECT);

    *writable = err == OK;
    if (err == ERR_NO_MEMORY) return err;
    if (err != OK)
        log_warn("store", "segment cannot be opened for writing", "file=%s err=\"%s\"", recovery->name,
                 err_text(err));
    return io_datasync_now(recovery->io, recovery->file->file);
}

static enum err rebuild(struct recovery *recovery, struct segment_found *out)
{
    struct segment_walk walked;
    bool writable;

    TRY(open_for_walk(recovery, &writable));
    TRY(walk(recovery, &walked));
    const bool short_of_trailer = recovery->directory_offset > 0 && walked.end < recovery->directory_offset;
    const bool keep = walked.keep || recovery->unreadable || !writable || short_of_trailer;
    out->fenced = walked.fenced + (short_of_trailer || walked.keep ? 1 : 0);
    if (walked.segment->blocks_count == 0) {
        nothing_good(recovery, &walked, keep, out);
        return OK;
    }
    out->rebuilt = true;
    log_info("store", "segment without a sound footer: walked",
             "file=%s blocks=%" PRIu32 " fenced=%" PRIu64 " tail=%" PRIu64 " kept_as_is=%d", recovery->name,
             walked.segment->blocks_count, out->fenced, recovery->file_bytes - walked.end, keep);
    if (keep) {
        out->segment = walked.segment;
    } else {
        move_and_close(recovery, &walked, out);
    }
    return OK;
}

/* ---- the whole file ---------------------------------------------------------------------------------- */

static bool foreign(const struct recovery *recovery, const struct segment_identity *identity)
{
    return identity->instance != recovery->catalog->config.instance;
}

static enum err recover(struct recovery *recovery, struct segment_found *out)
{
    struct segment *segment;

    TRY(io_file_size(recovery->io, recovery->file->file, &recovery->file_bytes));
    TRY(read_header(recovery));
    if (recovery->header_sound && foreign(recovery, &recovery->identity)) {
        out->ignored = true;
        return OK;
    }
    const enum err err = load(recovery, &segment);
    if (err == ERR_VERSION || err == ERR_NO_MEMORY) return err;
    if (err != OK) return rebuild(recovery, out);

    if (foreign(recovery, &segment->identity)) {
        segment_drop(recovery->catalog, segment);
        out->ignored = true;
        return OK;
    }
    if (!recovery->header_sound)
        log_warn("store", "segment header damaged; its footer is used", "file=%s", recovery->name);
    out->segment = segment;
    return io_datasync_now(recovery->io, recovery->file->file);
}

enum err segment_recover(struct catalog *catalog, struct io *io, const char *name, struct segment_found *out)
{
    struct recovery recovery = {.catalog = catalog, .io = io, .name = name};

    *out = (struct segment_found){.segment = NULL};
    enum err err = open_file(&recovery, 0);
    if (err == ERR_UNSUPPORTED || err == ERR_NOT_FOUND) {
        log_warn("store", "not a regular file of ours, ignored", "file=%s err=\"%s\"", name, err_text(err));
        out->ignored = true;
        return OK;
    }
    if (err == ERR_DENIED) log_error("store", "no permission to read a segment", "file=%s", name);
    TRY(err); /* links and other non-files are not listed: starting without this file would hide its traces */
    err = recover(&recovery, out);
    if (err != OK) {
        if (out->segment != NULL) segment_drop(catalog, out->segment);
        if (out->moved != NULL) segment_drop(catalog, out->moved);
        out->segment = out->moved = NULL;
    }
    let_go(&recovery);
    if (err == ERR_VERSION) log_error("store", "segment was written by a newer version", "file=%s", name);
    return err;
}
