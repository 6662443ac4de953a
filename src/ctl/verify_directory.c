/*
 * The whole directory: superblock, segments, order of their blocks, journals. The lock is taken, though nothing is
 * written, for a server that starts meanwhile would change what is being looked at.
 */
#include "verify_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- findings ------------------------------------------------------------------------------------------ */

void verify_tell(struct verify *verify, const struct finding *finding)
{
    verify->totals.damaged += finding->damage;
    verify->totals.notes += !finding->damage;
    verify->tell(verify->context, finding);
}

static struct finding finding_of(const struct verify *verify, bool damage, uint64_t offset, uint32_t block)
{
    struct finding finding = {.damage = damage,
                              .offset = offset,
                              .block = block,
                              .section = LOOK_NONE,
                              .page = LOOK_NONE,
                              .column = LOOK_NONE};

    memcpy(finding.file, verify->file, sizeof finding.file);
    return finding;
}

void verify_damage(struct verify *verify, uint64_t offset, uint32_t block, const char *format, ...)
{
    struct finding finding = finding_of(verify, true, offset, block);
    va_list list;

    va_start(list, format);
    vsnprintf(finding.what, sizeof finding.what, format, list);
    va_end(list);
    verify_tell(verify, &finding);
}

void verify_note(struct verify *verify, uint64_t offset, const char *format, ...)
{
    struct finding finding = finding_of(verify, false, offset, LOOK_NONE);
    va_list list;

    va_start(list, format);
    vsnprintf(finding.what, sizeof finding.what, format, list);
    va_end(list);
    verify_tell(verify, &finding);
}

void verify_on_fault(void *context, const struct look_fault *fault)
{
    verify_damage(context, fault->offset, LOOK_NONE, "%s", fault->what);
}

/* ---- files --------------------------------------------------------------------------------------------- */

static bool note_name(void *context, const char *name)
{
    struct name_list *const list = context;

    if (strlen(name) >= sizeof list->names[0]) return true; /* none of ours is so long */
    if (list->count == list->capacity) {
        const uint32_t capacity = list->capacity * 2 + 64;
        void *const grown = realloc(list->names, capacity * sizeof list->names[0]);
        list->no_memory = grown == NULL;
        if (grown == NULL) return false;
        list->names = grown;
        list->capacity = capacity;
    }
    memcpy(list->names[list->count++], name, strlen(name) + 1);
    return true;
}

enum err verify_list(struct verify *verify, struct io_dir *dir, struct name_list *list)
{
    *list = (struct name_list){.count = 0};
    TRY(io_dir_list(verify->io, dir, note_name, list));
    return list->no_memory ? ERR_NO_MEMORY : OK;
}

void verify_bytes(struct verify *verify, uint64_t bytes)
{
    verify->totals.bytes += bytes;
    progress_add(verify->progress, bytes, io_now_ns(verify->io));
}

enum err verify_journal_open(struct verify *verify, unsigned shard, struct io_dir **dir)
{
    char name[32];

    snprintf(name, sizeof name, "journal-%u", shard);
    return io_dir_open(verify->io, verify->dir, name, false, dir);
}

/* What there is to read, for the progress line; what cannot be opened is found later. */
static uint64_t size_of_dir(struct verify *verify, struct io_dir *dir)
{
    struct name_list list = {.count = 0};
    uint64_t total = 0;

    (void)verify_list(verify, dir, &list);
    for (uint32_t i = 0; i < list.count; i++) {
        struct io_file *file;
        uint64_t bytes;
        if (io_file_open(verify->io, dir, list.names[i], 0, &file) != OK) continue;
        if (io_file_size(verify->io, file, &bytes) == OK) total += bytes;
        io_file_close(verify->io, file);
    }
    free(list.names);
    return total;
}

static uint64_t size_of_all(struct verify *verify)
{
    struct io_dir *segments;
    uint64_t total = 0;

    if (io_dir_open(verify->io, verify->dir, "segments", false, &segments) == OK) {
        total = size_of_dir(verify, segments);
        io_dir_close(verify->io, segments);
    }
    if (verify->options.while_running) return total;
    for (unsigned shard = 0, end = VERIFY_MISSING_MAX; shard < end && shard < CATALOG_SHARDS_MAX; shard++) {
        struct io_dir *dir;
        if (verify_journal_open(verify, shard, &dir) != OK) continue;
        total += size_of_dir(verify, dir);
        io_dir_close(verify->io, dir);
        end = shard + 1 + VERIFY_MISSING_MAX;
    }
    return total;
}

/* ---- superblock ---------------------------------------------------------------------------------------- */

static enum err look_superblock(struct verify *verify, struct io_file *file)
{
    struct superblock_look look;

    TRY(superblock_look(verify->io, file, &look));
    for (unsigned i = 0; i < 2; i++)
        if (!look.sound[i])
            verify_damage(verify, i * 4096, LOOK_NONE, "copy %u of the superblock fails its checksum", i);
    if (look.differ) verify_damage(verify, 4096, LOOK_NONE, "the copies of the superblock differ");
    if (look.file_bytes > 8192) verify_damage(verify, 8192, LOOK_NONE, "bytes behind the superblock");
    verify->instance_known = look.sound[0] || look.sound[1];
    verify->instance = look.instance;
    verify_bytes(verify, look.file_bytes);
    return OK;
}

static enum err look_list(struct verify *verify, struct io_file *file)
{
    struct list_look look;

    TRY(list_look(verify->io, file, verify->file, verify->instance, &look));
    if (!look.sound)
        verify_damage(verify, 0, LOOK_NONE,
                      "the list fails its check: a server lets nothing expire, and carries out no deletion");
    verify_bytes(verify, look.file_bytes);
    return OK;
}

/* Pins and erasures; most directories have none. */
static enum err look_lists(struct verify *verify)
{
    static const char *const names[] = {"pins", "erasures"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        struct io_file *file;
        enum err err = io_file_open(verify->io, verify->dir, names[i], 0, &file);
        if (err == ERR_NOT_FOUND) continue;
        TRY(err);
        snprintf(verify->file, sizeof verify->file, "%s", names[i]);
        err = look_list(verify, file);
        io_file_close(verify->io, file);
        TRY(err);
    }
    return OK;
}

static void tell_of_backup(void *context, const char *file, uint64_t expected_bytes)
{
    struct verify *const verify = context;

    if (expected_bytes == 0) {
        snprintf(verify->file, sizeof verify->file, "backup");
        verify_damage(verify, 0, LOOK_NONE, "the list of files fails its check: no server starts here");
        return;
    }
    snprintf(verify->file, sizeof verify->file, "segments/%.60s", file);
    verify_damage(verify, 0, LOOK_NONE, "is missing, or has not the %llu bytes that the backup's list says",
                  (unsigned long long)expected_bytes);
}

static enum err look_backup(struct verify *verify)
{
    bool found;

    return backup_look(verify->io, verify->dir, verify->instance, tell_of_backup, verify, &found);
}

/* *file is locked, unless a server may be running; NULL: there is none. */
static enum err open_superblock(struct verify *verify, struct io_file **file)
{
    snprintf(verify->file, sizeof verify->file, "superblock");
    *file = NULL;
    const enum err err = io_file_open(verify->io, verify->dir, "superblock", 0, file);
    if (err == ERR_NOT_FOUND) {
        struct io_dir *segments;
        TRY(io_dir_open(verify->io, verify->dir, "segments", false, &segments));
        io_dir_close(verify->io, segments);
        verify_damage(verify, 0, LOOK_NONE, "the superblock is missing: no server starts here");
        return OK;
    }
    TRY(err);
    return verify->options.while_running ? OK : io_file_lock(verify->io, *file);
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static enum err verify_all(struct verify *verify, struct io_file *superblock)
{
    progress_begin(verify->progress, size_of_all(verify), io_now_ns(verify->io));
    if (superblock != NULL) TRY(look_superblock(verify, superblock));
    if (verify->instance_known) TRY(look_lists(verify));
    if (verify->instance_known) TRY(look_backup(verify));
    TRY(verify_segments(verify));
    if (verify->options.while_running) return OK;
    verify_order(verify);
    return verify_journals(verify);
}

enum err verify_directory(struct io *io, struct io_dir *dir, const struct verify_options *options,
                          struct progress *progress, finding_fn *tell, void *context,
                          struct verify_totals *out)
{
    struct verify verify = {
        .io = io, .dir = dir, .options = *options, .progress = progress, .tell = tell, .context = context};
    struct io_file *superblock;

    enum err err = open_superblock(&verify, &superblock);
    if (err == OK) err = verify_all(&verify, superblock);
    if (superblock != NULL) io_file_close(io, superblock);
    free(verify.segments.names);
    free(verify.placed);
    free(verify.replaced);
    progress_clear(progress);
    *out = verify.totals;
    return err;
}
