/*
 * The journal of each shard, twice over. As a whole it is replayed as a start would do it, which proves that everything
 * that was durable is there, from what is sealed in blocks up to the tail. Then each file by itself: header page, padding, and
 * the frames below the sealed position, which a start does not need, but which must not have changed either.
 *
 * What cannot be told: the last group, if no frame proves that it was durable, looks like one that was torn; and what lies
 * behind the tail belongs to nobody.
 */
#include "verify_private.h"

#include "store/journal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct journal_at {
    struct verify *verify;
    struct io_dir *dir;
    uint16_t shard;
    uint64_t sealed_lsn;
    bool any_blocks;
    bool known; /* header is a sound one of this journal */
    struct journal_look_file header;
    struct name_list names;
    struct file_place {
        uint64_t base;          /* UINT64_MAX: not known */
        uint64_t next_lsn;      /* behind its last frame */
        uint64_t continues_lsn; /* where the file before ended, as its first frame says */
    } * places;                 /* of the files, by name */
};

/* ---- as a whole ---------------------------------------------------------------------------------------- */

static enum err take_batch(void *context, const struct journal_batch *batch, struct slice body, uint64_t lsn,
                           uint64_t lsn_end)
{
    (void)context, (void)batch, (void)body, (void)lsn, (void)lsn_end;
    return OK;
}

/* Makes the file that holds the LSN the one at hand, if there is one, and returns its place there. */
static uint64_t enter_place(struct journal_at *at, uint64_t lsn)
{
    struct verify *const verify = at->verify;
    const uint64_t data = at->known ? at->header.file_bytes - 4096 : 1;

    snprintf(verify->file, sizeof verify->file, "journal-%u", at->shard);
    for (uint32_t i = 0; i < at->names.count; i++) {
        if (at->places[i].base != lsn / data * data) continue;
        snprintf(verify->file, sizeof verify->file, "journal-%u/%s", at->shard, at->names.names[i]);
        return lsn - at->places[i].base + 4096;
    }
    return 0;
}

static void judge(struct journal_at *at, enum err err, const struct journal_report *report)
{
    struct verify *const verify = at->verify;
    const uint64_t place = enter_place(at, report->missing_bytes > 0 ? report->damaged_at_lsn : UINT64_MAX);

    if (report->missing_bytes > 0)
        verify_damage(verify, place, LOOK_NONE,
                      "acknowledged requests are damaged or missing: up to %" PRIu64
                      " bytes from LSN %" PRIu64,
                      report->missing_bytes, report->damaged_at_lsn);
    else if (err == ERR_CORRUPT)
        verify_damage(verify, 0, LOOK_NONE,
                      "its files do not fit together, or no header is sound, or it is not of these segments");
    if (err == ERR_IO) verify_damage(verify, 0, LOOK_NONE, "cannot be read: %s", err_text(err));
    if (report->unsealed_bytes > 0 && at->any_blocks)
        verify_damage(verify, 0, LOOK_NONE,
                      "%" PRIu64 " bytes from LSN %" PRIu64 " were sealed, but are in no block",
                      report->unsealed_bytes, at->sealed_lsn);
    if (report->unsealed_bytes > 0 && !at->any_blocks)
        verify_note(verify, 0, "its first %" PRIu64 " bytes were sealed in blocks that are gone",
                    report->unsealed_bytes);
}

static enum err replay(struct journal_at *at)
{
    const struct journal_config config = {.shard = at->shard,
                                          .file_bytes = 64U << 20, /* that of the files counts */
                                          .cap_bytes = 256U << 20,
                                          .body_bytes_max = 4096,
                                          .writes_in_flight_max = 1,
                                          .look = true};
    struct journal_report report = {0};
    struct journal *journal;

    enum err err = journal_open(at->verify->io, at->dir, &config, &journal);
    if (err == OK) {
        err = journal_replay(journal, at->sealed_lsn, false, take_batch, NULL, &report);
        journal_close(journal);
    }
    judge(at, err, &report);
    return err == ERR_CORRUPT || err == ERR_IO ? OK : err;
}

/* ---- one file ------------------------------------------------------------------------------------------ */

struct file_walk {
    struct journal_at *at;
    uint64_t data_bytes; /* LSNs in a file */
    bool any;
    uint64_t base;
    uint64_t next_lsn;
    uint32_t chain;
    uint64_t continues_lsn; /* of the first frame */
    bool spoilt_padding;    /* of the frame before */
    uint64_t offset;        /* of the frame before */
};

/* The frame before was followed by this one, so all of it was durable. */
static void look_back(struct file_walk *walk, const struct journal_look_frame *frame)
{
    if (walk->spoilt_padding && frame->lsn == walk->next_lsn && frame->prev_crc == walk->chain)
        verify_damage(walk->at->verify, walk->offset, LOOK_NONE, "the padding behind a frame is not zero");
}

/* Nothing between two frames of one lap, unless a new life began at the next page. */
static void look_at_gap(struct file_walk *walk, const struct journal_look_frame *frame)
{
    const bool bridged = frame->control && frame->continues_lsn == walk->next_lsn;

    if (frame->lsn <= walk->next_lsn || bridged || walk->next_lsn >= walk->at->sealed_lsn) return;
    verify_damage(walk->at->verify, walk->next_lsn - walk->base + 4096, LOOK_NONE,
                  "frames are damaged, LSN %" PRIu64 " to %" PRIu64 "; all of it is in blocks",
                  walk->next_lsn, frame->lsn);
}

/* A file that is taken again begins with a write that may be torn; but only one that is sealed as a whole is taken. */
static void look_at_head(struct file_walk *walk)
{
    if (walk->base + walk->data_bytes <= walk->at->sealed_lsn)
        verify_note(walk->at->verify, 4096,
                    "its first frame is not sound: torn when the file was taken again, "
                    "or damaged; all of it is in blocks");
    else
        verify_damage(walk->at->verify, 4096, LOOK_NONE, "the first frame of a journal file is damaged");
}

static bool look_at_frame(void *context, const struct journal_look_frame *frame)
{
    struct file_walk *const walk = context;
    struct verify *const verify = walk->at->verify;

    if (!walk->any) walk->base = frame->lsn / walk->data_bytes * walk->data_bytes;
    if (frame->lsn < walk->base || frame->lsn >= walk->base + walk->data_bytes)
        return false; /* what is left of an earlier lap */
    if (walk->any) {
        look_back(walk, frame);
        look_at_gap(walk, frame);
    } else if (frame->lsn > walk->base) {
        look_at_head(walk);
    } else {
        walk->continues_lsn = frame->continues_lsn;
    }
    if (!frame->body_sound && frame->lsn_end <= walk->at->sealed_lsn)
        verify_damage(verify, frame->offset, LOOK_NONE,
                      "the body of a frame fails its checksum, LSN %" PRIu64 "; it is in blocks", frame->lsn);
    walk->any = true;
    walk->next_lsn = frame->next_lsn;
    walk->chain = frame->header_crc;
    walk->spoilt_padding = !frame->padding_zero;
    walk->offset = frame->offset;
    return true;
}

static enum err walk_file(struct journal_at *at, struct io_file *file, const struct journal_look_file *header,
                          struct file_place *place)
{
    struct file_walk walk = {.at = at, .data_bytes = header->file_bytes - 4096};

    TRY(journal_look_frames(at->verify->io, file, header, look_at_frame, &walk));
    if (walk.any) *place = (struct file_place){walk.base, walk.next_lsn, walk.continues_lsn};
    return OK;
}

/* A spoilt header page: the salt of another file serves as well. */
static enum err look_at_header(struct journal_at *at, struct io_file *file, struct journal_look_file *out)
{
    struct verify *const verify = at->verify;
    const enum err err = journal_look_file(verify->io, file, out);

    if (err == ERR_CORRUPT) {
        verify_damage(verify, 0, LOOK_NONE, "the header of a journal file fails its checksum");
        const uint64_t bytes = out->bytes;
        *out = at->header;
        out->bytes = bytes;
        return at->known ? OK : ERR_NOT_FOUND;
    }
    TRY(err);
    if (!out->page_zero) verify_damage(verify, 64, LOOK_NONE, "the rest of the header page is not zero");
    if (out->bytes != out->file_bytes)
        verify_damage(verify, out->bytes, LOOK_NONE, "the file is %s than it was made",
                      out->bytes < out->file_bytes ? "shorter" : "longer");
    return OK;
}

static enum err look_at_file(struct journal_at *at, uint32_t number)
{
    const char *const name = at->names.names[number];
    struct verify *const verify = at->verify;
    struct journal_look_file header;
    struct io_file *file;

    snprintf(verify->file, sizeof verify->file, "journal-%u/%s", at->shard, name);
    if (strspn(name, "0123456789") != strlen(name)) {
        verify_note(verify, 0,
                    strstr(name, ".tmp") != NULL ? "half made: the next start removes it"
                                                 : "not a journal file by its name: left alone");
        return OK;
    }
    TRY(io_file_open(verify->io, at->dir, name, 0, &file));
    enum err err = look_at_header(at, file, &header);
    if (err == OK) err = walk_file(at, file, &header, &at->places[number]);
    io_file_close(verify->io, file);
    verify_bytes(verify, header.bytes);
    if (err == ERR_IO) verify_damage(verify, 0, LOOK_NONE, "cannot be read: %s", err_text(err));
    return err == ERR_NOT_FOUND || err == ERR_IO ? OK : err;
}

/* What is sealed goes on without a gap from file to file: is the end of a file missing? */
static void look_at_end(struct journal_at *at, uint32_t number)
{
    const struct file_place *const place = &at->places[number];
    const uint64_t end = place->base + at->header.file_bytes - 4096;

    if (place->base == UINT64_MAX || place->next_lsn >= at->sealed_lsn) return;
    for (uint32_t i = 0; i < at->names.count; i++) {
        if (at->places[i].base != end || at->places[i].continues_lsn <= place->next_lsn) continue;
        snprintf(at->verify->file, sizeof at->verify->file, "journal-%u/%s", at->shard,
                 at->names.names[number]);
        verify_damage(at->verify, place->next_lsn - place->base + 4096, LOOK_NONE,
                      "frames are damaged, from LSN %" PRIu64 " to %" PRIu64 "; below %" PRIu64
                      " all is in blocks",
                      place->next_lsn, at->places[i].continues_lsn, at->sealed_lsn);
    }
}

/* ---- one journal --------------------------------------------------------------------------------------- */

static void find_header(struct journal_at *at)
{
    for (uint32_t i = 0; i < at->names.count && !at->known; i++) {
        struct io_file *file;
        if (io_file_open(at->verify->io, at->dir, at->names.names[i], 0, &file) != OK) continue;
        at->known = journal_look_file(at->verify->io, file, &at->header) == OK;
        io_file_close(at->verify->io, file);
    }
}

static enum err verify_journal(struct journal_at *at)
{
    TRY(verify_list(at->verify, at->dir, &at->names));
    at->places = malloc(((size_t)at->names.count + 1) * sizeof *at->places);
    if (at->places == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < at->names.count; i++)
        at->places[i] = (struct file_place){.base = UINT64_MAX};
    find_header(at);
    for (uint32_t i = 0; i < at->names.count; i++)
        TRY(look_at_file(at, i));
    for (uint32_t i = 0; i < at->names.count && at->known; i++)
        look_at_end(at, i);
    return replay(at);
}

enum err verify_journals(struct verify *verify)
{
    for (unsigned shard = 0, end = VERIFY_MISSING_MAX; shard < end && shard < CATALOG_SHARDS_MAX; shard++) {
        struct journal_at at = {.verify = verify, .shard = (uint16_t)shard};

        if (verify_journal_open(verify, shard, &at.dir) != OK) continue;
        end = shard + 1 + VERIFY_MISSING_MAX;
        at.sealed_lsn = verify_sealed_lsn(verify, at.shard, &at.any_blocks);
        const enum err err = verify_journal(&at);
        free(at.names.names);
        free(at.places);
        io_dir_close(verify->io, at.dir);
        TRY(err);
    }
    return OK;
}
