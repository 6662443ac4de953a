/*
 * The set of files of a journal. Each is written with zeros once, so that no later write changes metadata,
 * and then recycled for ever. A file's header page never changes: it tells the salt and the geometry, and
 * nothing about positions. Which part of the log a file holds is told by its first frame, whose lsn is the
 * file's base: so recycling is nothing but writing that frame, and there is no second place that could
 * disagree with it.
 *
 *   NNNNNNNN.tmp    being made: zeros, header, datasync      removed at the next open
 *   NNNNNNNN        renamed, directory synced: complete      never renamed, shortened or removed again
 *
 * A file of the log is one of: mapped (base known), or unmapped (a spare). Free are the spares and those
 * mapped ones that lie wholly below the sealed LSN. The lowest base is recycled first, so the mapped ones
 * stay contiguous.
 *
 * Failures: a file that is too short or whose header is spoilt is read, but never written again (FORMAT.md,
 * "Journal", cases F to H). Files of another journal, or of two geometries, make opening fail: nothing is
 * guessed.
 */
#include "journal_private.h"

#include "base/log.h"
#include "base/seeded_bug.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ZERO_BYTES = 256 * 1024 };
/* A completed write is durable. */
#define WRITE_FLAGS (IO_WRITABLE | IO_DIRECT | (SEEDED_BUG(NO_DSYNC) ? 0 : IO_DSYNC))

struct listing {
    uint64_t *sequences;
    bool *unfinished;
    size_t count, capacity;
    enum err err;
};

static bool listing_visit(void *context, const char *name);
static enum err files_load(struct journal *journal, const struct listing *listing);
static enum err files_bound(struct journal *journal);
static enum err file_load(struct journal *journal, struct journal_file *file, bool *known);
static enum err header_apply(struct journal *journal, struct journal_file *file,
                             const struct journal_file_header *header, bool *known);
static enum err files_without_header(struct journal *journal);

/* ---- names ----------------------------------------------------------------------------------------------
 */

static void name_print(char name[JOURNAL_NAME_BYTES], uint64_t sequence, bool unfinished)
{
    snprintf(name, JOURNAL_NAME_BYTES, "%08" PRIu64 "%s", sequence, unfinished ? ".tmp" : "");
}

static bool name_parse(const char *name, uint64_t *sequence, bool *unfinished)
{
    uint64_t value = 0;
    size_t digits = 0;

    for (; name[digits] >= '0' && name[digits] <= '9'; digits++) {
        if (digits == 18) return false; /* the sum below stays in range */
        value = value * 10 + (uint64_t)(name[digits] - '0');
    }
    *sequence = value;
    *unfinished = strcmp(name + digits, ".tmp") == 0;
    return digits >= 8 && (*unfinished || name[digits] == '\0');
}

/* ---- opening --------------------------------------------------------------------------------------------
 */

enum err journal__files_open(struct journal *journal)
{
    struct listing listing = {.err = OK};

    enum err err = io_dir_list(journal->io, journal->dir, listing_visit, &listing);
    if (err == OK) err = listing.err;
    if (err == OK) err = files_load(journal, &listing);
    free(listing.sequences);
    free(listing.unfinished);
    if (err != OK || journal->config.look) return err;

    /* what a crashed process had written but not synced becomes durable before it is believed */
    TRY(io_dir_sync(journal->io, journal->dir));
    for (size_t i = 0; i < journal->files_count; i++)
        TRY(io_datasync_now(journal->io, journal->files[i].handle));
    return OK;
}

static bool listing_grow(struct listing *listing)
{
    if (listing->count < listing->capacity) return true;

    const size_t capacity = listing->capacity * 2 + 16;
    uint64_t *const sequences = realloc(listing->sequences, capacity * sizeof *sequences);
    if (sequences == NULL) return false;
    listing->sequences = sequences;
    bool *const unfinished = realloc(listing->unfinished, capacity * sizeof *unfinished);
    if (unfinished == NULL) return false;
    listing->unfinished = unfinished;
    listing->capacity = capacity;
    return true;
}

static bool listing_visit(void *context, const char *name)
{
    struct listing *const listing = context;
    uint64_t sequence;
    bool unfinished;

    if (!name_parse(name, &sequence, &unfinished)) {
        log_warn("journal", "a file that is not ours is left alone", "name=\"%s\"", name);
        return true;
    }
    if (listing->count == JOURNAL_FILES_MAX)
        listing->err = ERR_TOO_LARGE;
    else if (!listing_grow(listing))
        listing->err = ERR_NO_MEMORY;
    if (listing->err != OK) return false;

    listing->sequences[listing->count] = sequence;
    listing->unfinished[listing->count++] = unfinished;
    return true;
}

static enum err files_load(struct journal *journal, const struct listing *listing)
{
    bool known = false; /* salt and geometry */

    journal->files = calloc(listing->count + 1, sizeof *journal->files);
    if (journal->files == NULL) return ERR_NO_MEMORY;
    for (size_t i = 0; i < listing->count; i++) {
        char name[JOURNAL_NAME_BYTES];
        name_print(name, listing->sequences[i], listing->unfinished[i]);
        if (listing->sequences[i] >= journal->spare.next_sequence)
            journal->spare.next_sequence = listing->sequences[i] + 1;
        if (listing->unfinished[i]) {
            if (!journal->config.look) TRY(io_unlink(journal->io, journal->dir, name));
            continue;
        }
        struct journal_file *const file = &journal->files[journal->files_count];
        *file = (struct journal_file){
            .sequence = listing->sequences[i], .base = JOURNAL_UNMAPPED, .continues_lsn = JOURNAL_UNMAPPED};
        TRY(io_file_open(journal->io, journal->dir, name, journal->config.look ? 0 : WRITE_FLAGS,
                         &file->handle));
        journal->files_count++;
        TRY(io_file_size(journal->io, file->handle, &file->bytes));
        TRY(file_load(journal, file, &known));
    }
    if (!known) {
        TRY(files_without_header(journal));
        io_random(journal->io, &journal->salt, sizeof journal->salt);
    }
    journal->data_bytes = journal->file_bytes - JOURNAL_PAGE_BYTES;
    TRY(files_bound(journal));
    for (size_t i = 0; i < journal->files_count; i++) {
        struct journal_file *const file = &journal->files[i];
        if (file->bytes < journal->file_bytes)
            file->writable = false;
        else
            file->bytes = journal->file_bytes; /* what is longer than it was made is not read */
        if (!file->writable)
            log_warn("journal", "a file is short or has no sound header; it is read, but not written again",
                     "shard=%u file=%08" PRIu64 " bytes=%" PRIu64, journal->config.shard, file->sequence,
                     file->bytes);
    }
    return OK;
}

/* Room for every file that there may ever be: none moves afterwards. */
static enum err files_bound(struct journal *journal)
{
    const uint64_t files_max = journal->config.cap_bytes / journal->file_bytes;

    journal->files_max = files_max < 2                   ? 2
                         : files_max > JOURNAL_FILES_MAX ? JOURNAL_FILES_MAX
                                                         : (size_t)files_max;
    journal->files_capacity = journal->files_count + journal->files_max +
                              2; /* a start may go one beyond the cap */
    struct journal_file *const files = realloc(journal->files, journal->files_capacity * sizeof *files);
    if (files == NULL) return ERR_NO_MEMORY;
    journal->files = files;
    return OK;
}

static enum err file_load(struct journal *journal, struct journal_file *file, bool *known)
{
    uint8_t *const page = io_memory(JOURNAL_PAGE_BYTES);
    struct journal_file_header header = {.crc = 0};
    size_t count = 0;

    if (page == NULL) return ERR_NO_MEMORY;
    enum err err = io_read_now(journal->io, file->handle, page, JOURNAL_PAGE_BYTES, 0, &count);
    if (err == OK && count >= sizeof header) memcpy(&header, page, sizeof header);
    io_memory_free(page, JOURNAL_PAGE_BYTES);
    if (err != OK && err != ERR_IO) return err; /* an unreadable header is as good as a spoilt one */

    err = journal_file_header_check(&header);
    if (err == ERR_CORRUPT) return OK;
    return err == OK ? header_apply(journal, file, &header, known) : err;
}

/* A sound header: all of them must agree. */
static enum err header_apply(struct journal *journal, struct journal_file *file,
                             const struct journal_file_header *header, bool *known)
{
    const bool geometry = header->file_bytes % JOURNAL_PAGE_BYTES == 0 &&
                          header->file_bytes >= JOURNAL_FILE_BYTES_MIN &&
                          header->file_bytes <= JOURNAL_FILE_BYTES_MAX;
    const bool agrees = !*known ||
                        (header->salt == journal->salt && header->file_bytes == journal->file_bytes);

    if (!geometry || !agrees || header->shard != journal->config.shard) {
        log_error("journal", "a file belongs to another journal; move it away",
                  "shard=%u file=%08" PRIu64 " of_shard=%u", journal->config.shard, file->sequence,
                  header->shard);
        return ERR_CORRUPT;
    }
    if (!*known && header->file_bytes != journal->config.file_bytes)
        log_warn("journal", "the existing files keep their size",
                 "shard=%u file_bytes=%" PRIu64 " configured=%" PRIu64, journal->config.shard,
                 header->file_bytes, journal->config.file_bytes);
    *known = true;
    journal->salt = header->salt;
    journal->file_bytes = header->file_bytes;
    file->writable = true;
    return OK;
}

/* Case G: files, but no salt that could prove a frame. Empty ones are as none; others need a human. */
static enum err files_without_header(struct journal *journal)
{
    uint8_t *const buf = io_memory(ZERO_BYTES);
    enum err err = buf == NULL ? ERR_NO_MEMORY : OK;

    for (size_t i = 0; err == OK && i < journal->files_count; i++) {
        size_t count = 1;
        for (uint64_t at = 0; err == OK && count > 0; at += count) {
            err = io_read_now(journal->io, journal->files[i].handle, buf, ZERO_BYTES, at, &count);
            for (size_t k = 0; err == OK && k < count; k++)
                if (buf[k] != 0) err = ERR_CORRUPT;
            if (count < ZERO_BYTES) break;
        }
    }
    if (err == ERR_CORRUPT)
        log_error("journal", "no file has a sound header, but there is data; restore one or move them away",
                  "shard=%u files=%zu", journal->config.shard, journal->files_count);
    if (buf != NULL) io_memory_free(buf, ZERO_BYTES);
    return err;
}

void journal__files_close(struct journal *journal)
{
    assert(journal->spare.stage != SPARE_MAKING);

    for (size_t i = 0; i < journal->files_count; i++)
        if (journal->files[i].handle != NULL) io_file_close(journal->io, journal->files[i].handle);
    if (journal->spare.stage == SPARE_READY) io_file_close(journal->io, journal->spare.file.handle);
    free(journal->files);
}

/* ---- which file -----------------------------------------------------------------------------------------
 */

struct journal_file *journal__file_at(struct journal *journal, uint64_t lsn)
{
    const uint64_t base = journal__base_of(journal, lsn);

    for (size_t i = 0; i < journal->files_count; i++)
        if (journal->files[i].base == base) return &journal->files[i];
    return NULL;
}

static bool file_is_free(const struct journal *journal, const struct journal_file *file)
{
    if (!file->writable) return false;
    return file->base == JOURNAL_UNMAPPED || file->base + journal->data_bytes <= journal->sealed_lsn;
}

struct journal_file *journal__file_take(struct journal *journal, uint64_t base)
{
    struct journal_file *best = journal__file_at(journal, base);

    /* a file may claim base already: a frame of an earlier life that never became part of the log */
    if (best != NULL && !best->writable) {
        best->base = JOURNAL_UNMAPPED;
        best = NULL;
    }
    for (size_t i = 0; best == NULL && i < journal->files_count; i++)
        if (file_is_free(journal, &journal->files[i]) && journal->files[i].base == JOURNAL_UNMAPPED)
            best = &journal->files[i];
    if (best == NULL) {
        for (size_t i = 0; i < journal->files_count; i++)
            if (file_is_free(journal, &journal->files[i]) &&
                (best == NULL || journal->files[i].base < best->base))
                best = &journal->files[i];
    }
    if (best != NULL) {
        best->base = base;
        best->generation = journal->generation;
        best->continues_lsn = JOURNAL_UNMAPPED; /* only recovery asks */
    }
    return best;
}

size_t journal__files_free(const struct journal *journal)
{
    size_t count = 0;

    for (size_t i = 0; i < journal->files_count; i++)
        count += file_is_free(journal, &journal->files[i]);
    return count;
}

void journal__file_fence(struct journal *journal, uint64_t lsn)
{
    struct journal_file *const file = journal__file_at(journal, lsn);

    assert(file != NULL);
    if (!file->writable) return;
    file->writable = false;
    log_warn("journal", "a file is not written again until the next start", "shard=%u file=%08" PRIu64,
             journal->config.shard, file->sequence);
}

void journal__files_forget(struct journal *journal, uint64_t lsn)
{
    for (size_t i = 0; i < journal->files_count; i++)
        if (journal->files[i].base >= lsn) journal->files[i].base = JOURNAL_UNMAPPED;
}

/* ---- making files ---------------------------------------------------------------------------------------
 */

/* Those that take frames, or hold some and will take others again. */
static size_t files_usable(const struct journal *journal)
{
    size_t count = 0;

    for (size_t i = 0; i < journal->files_count; i++)
        count += journal->files[i].writable;
    return count;
}

bool journal_wants_file(const struct journal *journal)
{
    if (journal->stage != JOURNAL_STARTED || journal->files_count >= journal->files_capacity) return false;
    if (journal->read_only) {
        if (journal->proven || !journal_idle(journal)) return false;
    } else if (files_usable(journal) >= journal->files_max || journal__files_free(journal) > 0) {
        return false;
    }

    pthread_mutex_t *const lock = (pthread_mutex_t *)&journal->spare.lock;
    pthread_mutex_lock(lock);
    const bool wants = journal->spare.stage == SPARE_NONE;
    pthread_mutex_unlock(lock);
    return wants;
}

static enum err file_fill(const struct journal *journal, struct io *io, struct io_file *file,
                          uint64_t sequence)
{
    uint8_t *const zeros = io_memory(ZERO_BYTES);
    struct journal_file_header header = {
        .shard = journal->config.shard,
        .sequence = sequence,
        .salt = journal->salt,
        .file_bytes = journal->file_bytes,
        .created_ns = io_wall_ns(io),
    };
    enum err err = zeros == NULL ? ERR_NO_MEMORY : io_file_allocate(io, file, 0, journal->file_bytes);

    if (err == ERR_UNSUPPORTED) err = OK; /* else a full disk is told before it is filled up with zeros */
    for (uint64_t at = 0; err == OK && at < journal->file_bytes; at += ZERO_BYTES) {
        const uint64_t left = journal->file_bytes - at;
        err = io_write_now(io, file, zeros, left < ZERO_BYTES ? (size_t)left : ZERO_BYTES, at);
    }
    if (err == OK) {
        journal_file_header_seal(&header);
        memcpy(zeros, &header, sizeof header);
        err = io_write_now(io, file, zeros, JOURNAL_PAGE_BYTES, 0);
    }
    if (err == OK && !SEEDED_BUG(NO_JOURNAL_FILE_SYNC)) err = io_datasync_now(io, file);
    if (zeros != NULL) io_memory_free(zeros, ZERO_BYTES);
    return err;
}

/* Makes one complete, durable, named file and opens it as the shard will use it. */
static enum err file_make(const struct journal *journal, struct io *io, uint64_t sequence,
                          struct io_file **out)
{
    char unfinished[JOURNAL_NAME_BYTES], name[JOURNAL_NAME_BYTES];
    struct io_file *file;

    name_print(unfinished, sequence, true);
    name_print(name, sequence, false);
    TRY(io_file_open(io, journal->dir, unfinished, IO_CREATE | IO_WRITABLE | IO_DIRECT, &file));
    enum err err = file_fill(journal, io, file, sequence);
    io_file_close(io, file);
    if (err == OK) err = io_rename(io, journal->dir, unfinished, name);
    if (err != OK) {
        (void)io_unlink(io, journal->dir, unfinished); /* if that fails too, the next open does it */
        return err;
    }
    err = SEEDED_BUG(NO_JOURNAL_DIR_SYNC) ? OK : io_dir_sync(io, journal->dir);
    if (err == OK) err = io_file_open(io, journal->dir, name, WRITE_FLAGS, out);
    if (err != OK) (void)io_unlink(io, journal->dir, name); /* else each attempt would leave a file behind */
    return err;
}

enum err journal_prepare_file(struct journal *journal, struct io *background)
{
    struct journal_spare *const spare = &journal->spare;

    pthread_mutex_lock(&spare->lock);
    const bool busy = spare->stage != SPARE_NONE;
    const uint64_t sequence = spare->next_sequence;
    if (!busy) {
        spare->stage = SPARE_MAKING;
        spare->next_sequence++;
    }
    pthread_mutex_unlock(&spare->lock);
    if (busy) return OK;

    struct io_file *handle = NULL;
    const enum err err = file_make(journal, background, sequence, &handle);

    pthread_mutex_lock(&spare->lock);
    if (err == OK)
        spare->file = (struct journal_file){.handle = handle,
                                            .sequence = sequence,
                                            .bytes = journal->file_bytes,
                                            .base = JOURNAL_UNMAPPED,
                                            .continues_lsn = JOURNAL_UNMAPPED,
                                            .writable = true};
    spare->stage = err == OK ? SPARE_READY : SPARE_NONE;
    pthread_mutex_unlock(&spare->lock);
    return err;
}

void journal__file_adopt(struct journal *journal)
{
    struct journal_spare *const spare = &journal->spare;

    pthread_mutex_lock(&spare->lock);
    if (spare->stage == SPARE_READY && journal->files_count < journal->files_capacity) {
        journal->files[journal->files_count++] = spare->file;
        spare->stage = SPARE_NONE;
        journal->proven = journal->read_only;
    }
    pthread_mutex_unlock(&spare->lock);
}
