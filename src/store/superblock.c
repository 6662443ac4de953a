/*
 * The superblock file: one record, twice (FORMAT.md, "Superblock").
 *
 *    0    struct superblock_page    4096 bytes
 *   4096  the same again
 *
 * A new directory: "superblock.tmp" is made and locked, written, synced, renamed, and the directory synced.
 * The lock belongs to the file, not to its name, so there is no moment without it. A crash before the rename
 * leaves a superblock.tmp, which the next start locks and writes anew; a second process meets its lock.
 *
 * A directory with segments but without a superblock is not new: something took the file away. Starting there
 * as a new instance would show an empty store, so it is refused.
 */
#include "store/superblock.h"

#include "base/crc32c.h"
#include "base/log.h"
#include "io/io.h"
#include "store/look.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "files are little-endian and are written as they lie");

#define SUPERBLOCK_MAGIC "SMSUPER1"
#define FILE_NAME        "superblock"
#define FILE_NAME_NEW    "superblock.tmp"
enum { MAJOR = 1, MINOR = 0, MIN_READER = 1, COPIES = 2, PAGE_BYTES = 4096 };

/* OFFSET SIZE NAME MEANING */
struct superblock_page {
    char magic[8];         /*  0  8  "SMSUPER1" */
    uint16_t major, minor; /*  8  4  format version of the directory */
    uint16_t min_reader;   /* 12  2  oldest reader's major that may work here */
    uint16_t reserved;     /* 14  2 */
    uint32_t crc;          /* 16  4  CRC32C of the 4096 bytes with this field zero */
    uint32_t reserved2;    /* 20  4 */
    uint8_t uuid[16];      /* 24 16  of this instance */
    uint64_t created_ns;   /* 40  8  wall clock */
    uint8_t zero[4048];    /* 48 */
};
static_assert(sizeof(struct superblock_page) == PAGE_BYTES, "layout");
static_assert(offsetof(struct superblock_page, uuid) == 24, "layout");

static uint32_t page_crc(const struct superblock_page *page)
{
    struct superblock_page copy = *page;

    copy.crc = 0;
    return crc32c(0, &copy, sizeof copy);
}

static bool page_sound(const struct superblock_page *page)
{
    return memcmp(page->magic, SUPERBLOCK_MAGIC, sizeof page->magic) == 0 && page->crc == page_crc(page);
}

static void page_make(struct io *io, struct superblock_page *page)
{
    *page = (struct superblock_page){
        .major = MAJOR, .minor = MINOR, .min_reader = MIN_READER, .created_ns = io_wall_ns(io)};
    memcpy(page->magic, SUPERBLOCK_MAGIC, sizeof page->magic);
    io_random(io, page->uuid, sizeof page->uuid);
    page->crc = page_crc(page);
}

/* ---- a new directory --------------------------------------------------------------------------------- */

static bool note_file(void *context, const char *name)
{
    (void)name;
    *(bool *)context = true;
    return false;
}

static enum err has_segments(struct io *io, struct io_dir *dir, bool *out)
{
    struct io_dir *segments;
    const enum err err = io_dir_open(io, dir, "segments", false, &segments);

    if (err == ERR_NOT_FOUND) {
        *out = false;
        return OK;
    }
    TRY(err);
    bool found = false;
    const enum err listed = io_dir_list(io, segments, note_file, &found);
    io_dir_close(io, segments);
    TRY(listed);
    *out = found;
    return OK;
}

static enum err open_new_file(struct io *io, struct io_dir *dir, struct io_file **out)
{
    const enum err err = io_file_open(io, dir, FILE_NAME_NEW, IO_CREATE | IO_WRITABLE, out);

    /* Left by a crash, or just being written by another process: its lock will tell. */
    return err == ERR_EXISTS ? io_file_open(io, dir, FILE_NAME_NEW, IO_WRITABLE, out) : err;
}

/* Between our look and our making the file, another process may have come and finished its own. */
static enum err still_new(struct io *io, struct io_dir *dir)
{
    struct io_file *other;
    const enum err err = io_file_open(io, dir, FILE_NAME, 0, &other);

    if (err == ERR_NOT_FOUND) return OK;
    if (err == OK) io_file_close(io, other);
    return err == OK ? ERR_BUSY : err;
}

static enum err write_new(struct io *io, struct io_dir *dir, struct io_file *file)
{
    struct superblock_page pages[COPIES];

    page_make(io, &pages[0]);
    pages[1] = pages[0];
    TRY(io_file_lock(io, file));
    TRY(still_new(io, dir));
    TRY(io_write_now(io, file, pages, sizeof pages, 0));
    TRY(io_datasync_now(io, file));
    TRY(io_rename(io, dir, FILE_NAME_NEW, FILE_NAME));
    return io_dir_sync(io, dir);
}

/* The file that comes out is locked already. */
static enum err create(struct io *io, struct io_dir *dir, struct io_file **out)
{
    struct io_file *file;
    bool segments;

    TRY(has_segments(io, dir, &segments));
    if (segments) {
        log_error("store",
                  "superblock missing, but there are segments: not starting as a new, empty instance",
                  "file=%s", FILE_NAME);
        return ERR_CORRUPT;
    }
    TRY(open_new_file(io, dir, &file));
    const enum err err = write_new(io, dir, file);
    if (err != OK) {
        io_file_close(io, file);
        return err;
    }
    *out = file;
    return OK;
}

/* ---- an existing one --------------------------------------------------------------------------------- */

/* Puts the sound copy in the place of the damaged one; the sound one is not touched. */
static enum err repair(struct io *io, struct io_file *file, const struct superblock_page *sound,
                       unsigned damaged)
{
    log_warn("store", "superblock repaired from its other copy", "copy=%u", damaged);
    TRY(io_write_now(io, file, sound, sizeof *sound, (uint64_t)damaged * PAGE_BYTES));
    return io_datasync_now(io, file);
}

static enum err read_page(struct io *io, struct io_file *file, struct superblock_page *out)
{
    struct superblock_page pages[COPIES];
    size_t count = 0;

    memset(pages, 0, sizeof pages);
    TRY(io_read_now(io, file, pages, sizeof pages, 0, &count));
    const bool sound[COPIES] = {page_sound(&pages[0]), page_sound(&pages[1])};
    if (!sound[0] && !sound[1]) {
        log_error("store", "superblock damaged in both copies", "file=%s", FILE_NAME);
        return ERR_CORRUPT;
    }
    *out = sound[0] ? pages[0] : pages[1];
    if (out->min_reader > MAJOR) {
        log_error("store", "data directory was written by a newer version",
                  "major=%u minor=%u needs=%u have=%u", out->major, out->minor, out->min_reader,
                  (unsigned)MAJOR);
        return ERR_VERSION;
    }
    if (!sound[0] || !sound[1]) return repair(io, file, out, sound[0] ? 1 : 0);
    return OK;
}

static enum err read_locked(struct io *io, struct io_file *file, struct superblock_page *out)
{
    TRY(io_file_lock(io, file));
    TRY(io_datasync_now(io, file)); /* what is believed must be durable */
    return read_page(io, file, out);
}

enum err superblock_open(struct io *io, struct io_dir *dir, struct superblock *out)
{
    struct superblock_page page;
    struct io_file *file = NULL;

    enum err err = io_file_open(io, dir, FILE_NAME, IO_WRITABLE, &file);
    if (err == ERR_NOT_FOUND) err = create(io, dir, &file);
    if (err == OK) {
        err = read_locked(io, file, &page);
        if (err != OK) io_file_close(io, file);
    }
    if (err == ERR_BUSY)
        log_error("store", "another process works in this data directory", "file=%s", FILE_NAME);
    TRY(err);

    *out = (struct superblock){
        .created_ns = page.created_ns, .major = page.major, .minor = page.minor, .file = file};
    memcpy(out->uuid, page.uuid, sizeof out->uuid);
    memcpy(&out->instance, page.uuid, sizeof out->instance);
    return OK;
}

static enum err write_copy(struct io *io, struct io_file *file, const struct superblock *superblock)
{
    struct superblock_page pages[COPIES] = {{.major = superblock->major,
                                             .minor = superblock->minor,
                                             .min_reader = MIN_READER,
                                             .created_ns = superblock->created_ns}};

    memcpy(pages[0].magic, SUPERBLOCK_MAGIC, sizeof pages[0].magic);
    memcpy(pages[0].uuid, superblock->uuid, sizeof pages[0].uuid);
    pages[0].crc = page_crc(&pages[0]);
    pages[1] = pages[0];
    TRY(io_write_now(io, file, pages, sizeof pages, 0));
    return io_datasync_now(io, file);
}

enum err superblock_copy(const struct superblock *superblock, struct io *io, struct io_dir *to)
{
    struct io_file *file;

    TRY(io_file_open(io, to, FILE_NAME, IO_CREATE | IO_WRITABLE, &file));
    const enum err err = write_copy(io, file, superblock);
    io_file_close(io, file);
    return err;
}

void superblock_close(struct superblock *superblock, struct io *io)
{
    io_file_close(io, superblock->file);
    superblock->file = NULL;
}

/* ---- looking ----------------------------------------------------------------------------------------- */

enum err superblock_look(struct io *io, struct io_file *file, struct superblock_look *out)
{
    struct superblock_page pages[COPIES];
    size_t count = 0;

    memset(pages, 0, sizeof pages);
    *out = (struct superblock_look){.differ = false};
    TRY(io_file_size(io, file, &out->file_bytes));
    TRY(io_read_now(io, file, pages, sizeof pages, 0, &count));
    for (unsigned i = 0; i < COPIES; i++)
        out->sound[i] = page_sound(&pages[i]);
    if (!out->sound[0] && !out->sound[1]) return OK;
    const struct superblock_page *const page = &pages[out->sound[0] ? 0 : 1];
    if (page->min_reader > MAJOR) return ERR_VERSION;
    out->differ = out->sound[0] && out->sound[1] && memcmp(&pages[0], &pages[1], PAGE_BYTES) != 0;
    out->major = page->major;
    out->minor = page->minor;
    out->created_ns = page->created_ns;
    memcpy(out->uuid, page->uuid, sizeof out->uuid);
    memcpy(&out->instance, page->uuid, sizeof out->instance);
    return OK;
}
