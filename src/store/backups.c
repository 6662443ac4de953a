/*
 * The backups that there are, and the one that is being made.
 *
 *   IDLE --order--> ORDERED -> SEALING -> COPYING -> IDLE      complete, or failed and told
 *
 * The list is in memory, as the directories said at the start, under a mutex that is held for moments, and by a removal. The
 * maker works without it: its directory has no list yet, so it is nobody else's.
 */
#include "backup_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/retention.h"
#include "store/superblock.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char home_name[] = "backups";
static const uint64_t SEAL_NS_MAX = 300 * NS_PER_S; /* a disk that is full seals nothing */

enum stage { STAGE_IDLE, STAGE_ORDERED, STAGE_SEALING, STAGE_COPYING };

struct backups {
    struct backups_config config;
    struct backup_place place;
    /* the maker's */
    struct backup_making *making;
    uint32_t ticket;
    uint64_t seal_until_ns;
    uint64_t kept_bytes; /* that retention has removed, and backups have */

    pthread_mutex_t mutex; /* what follows */
    enum stage stage;
    struct backup_entry *order; /* not STAGE_IDLE; changed by the maker only */
    struct backup last;         /* BACKUP_FAILED, or without a name: the last order went well */
    struct backup_entry *entries[BACKUPS_MAX]; /* by name */
    uint32_t count;
    uint64_t failures;
};

bool backup_name_is_good(const char *name)
{
    const size_t len = strlen(name);

    if (len == 0 || len > BACKUP_NAME_MAX || !isalnum((unsigned char)name[0])) return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && strchr("._-", name[i]) == NULL) return false;
    return true;
}

/* ---- the list -------------------------------------------------------------------------------------------- */

/* The place of a name, or where it would be. */
static uint32_t place_of(const struct backups *backups, const char *name, bool *found)
{
    uint32_t at = 0;

    while (at < backups->count && strcmp(backups->entries[at]->backup.name, name) < 0)
        at++;
    *found = at < backups->count && strcmp(backups->entries[at]->backup.name, name) == 0;
    return at;
}

static void put_in(struct backups *backups, struct backup_entry *entry)
{
    bool found;
    const uint32_t at = place_of(backups, entry->backup.name, &found);

    assert(!found && backups->count < BACKUPS_MAX);
    memmove(&backups->entries[at + 1], &backups->entries[at],
            (backups->count - at) * sizeof(struct backup_entry *));
    backups->entries[at] = entry;
    backups->count++;
}

static void take_out(struct backups *backups, uint32_t at)
{
    backup_entry_free(backups->entries[at]);
    backups->count--;
    memmove(&backups->entries[at], &backups->entries[at + 1],
            (backups->count - at) * sizeof(struct backup_entry *));
}

/* ---- opening --------------------------------------------------------------------------------------------- */

struct reading {
    struct backups *backups;
    struct io *io;
    enum err err;
};

static struct backup_entry *damaged(const char *name)
{
    struct backup_entry *const entry = calloc(1, sizeof *entry);

    if (entry == NULL) return NULL;
    entry->backup.state = BACKUP_DAMAGED;
    memcpy(entry->backup.name, name, strlen(name) + 1);
    return entry;
}

static enum err read_entry(struct reading *reading, const char *name, struct backup_entry **out)
{
    struct backups *const backups = reading->backups;
    struct io_dir *dir;

    TRY(io_dir_open(reading->io, backups->place.home, name, false, &dir));
    enum err err = backup_list_exists(reading->io, dir);
    if (err == OK) err = backup_list_read(reading->io, dir, backups->config.superblock->instance, out);
    io_dir_close(reading->io, dir);
    if (err == OK && strcmp((*out)->backup.name, name) != 0) { /* renamed by hand */
        memset((*out)->backup.name, 0, sizeof(*out)->backup.name);
        memcpy((*out)->backup.name, name, strlen(name));
    }
    return err;
}

static void clear_away(struct reading *reading, const char *name)
{
    const enum err err = backup_dir_remove(reading->io, reading->backups->place.home, name);

    if (err == OK)
        log_info("store", "an unfinished backup is removed", "name=%s", name);
    else
        log_warn("store", "an unfinished backup could not be removed", "name=%s err=\"%s\"", name,
                 err_text(err));
}

/* Directories with names that no backup has are somebody else's. */
static bool visit_dir(void *context, const char *name)
{
    struct reading *const reading = context;
    struct backups *const backups = reading->backups;
    struct backup_entry *entry = NULL;

    if (!backup_name_is_good(name) || backups->count == BACKUPS_MAX) {
        log_warn("store", "a directory among the backups is left alone", "name=%.64s", name);
        return true;
    }
    const enum err err = read_entry(reading, name, &entry);
    if (err == ERR_NOT_FOUND) {
        clear_away(reading, name);
        return true;
    }
    if (err != OK) {
        log_error("store", "the list of a backup cannot be read", "name=%s err=\"%s\"", name, err_text(err));
        entry = damaged(name);
    }
    if (entry == NULL)
        reading->err = ERR_NO_MEMORY;
    else
        put_in(backups, entry);
    return entry != NULL;
}

static enum err read_all(struct backups *backups, struct io *io)
{
    struct reading reading = {.backups = backups, .io = io};

    TRY(io_dir_open(io, backups->config.data, home_name, true, &backups->place.home));
    TRY(io_dir_list_dirs(io, backups->place.home, visit_dir, &reading));
    return reading.err;
}

enum err backups_open(struct io *io, const struct backups_config *config, struct backups **out)
{
    struct backups *const backups = calloc(1, sizeof *backups);

    if (backups == NULL) return ERR_NO_MEMORY;
    pthread_mutex_init(&backups->mutex, NULL);
    backups->config = *config;
    backups->place = (struct backup_place){
        .data = config->data, .superblock = config->superblock, .catalog = config->catalog};
    const enum err err = read_all(backups, io);
    if (err == OK)
        *out = backups;
    else
        backups_close(backups, io);
    return err;
}

/* ---- making ---------------------------------------------------------------------------------------------- */

/* The order has come to its end; NULL: well. Its entry is in the list, or gone. */
static void end_order(struct backups *backups, struct io *io, enum err err)
{
    struct backup_entry *const order = backups->order;

    if (backups->making != NULL) backup_making_close(backups->making, io);
    backups->making = NULL;
    pthread_mutex_lock(&backups->mutex);
    backups->stage = STAGE_IDLE;
    backups->order = NULL;
    if (err == OK) {
        order->backup.state = BACKUP_COMPLETE;
        put_in(backups, order);
    } else {
        backups->failures++;
        backups->last = order->backup;
        backups->last.state = BACKUP_FAILED;
        backups->last.err = err;
        backup_entry_free(order);
    }
    pthread_mutex_unlock(&backups->mutex);
}

static void fail(struct backups *backups, struct io *io, enum err err)
{
    log_warn("store", "a backup could not be made", "name=%s err=\"%s\"", backups->order->backup.name,
             err_text(err));
    end_order(backups, io, err);
}

static enum err begin(struct backups *backups, struct io *io)
{
    const enum err err = backup_dir_remove(io, backups->place.home, backups->order->backup.name);

    if (err != OK && err != ERR_NOT_FOUND) return err; /* a rest that the start could not remove */
    return backup_making_open(&backups->place, io, backups->order, &backups->making);
}

static enum err go_on(struct backups *backups, struct io *io, bool *complete)
{
    TRY(backup_making_step(backups->making, io, complete));
    return *complete ? backup_making_finish(backups->making, io) : OK;
}

static void enter(struct backups *backups, enum stage stage)
{
    pthread_mutex_lock(&backups->mutex);
    backups->stage = stage;
    pthread_mutex_unlock(&backups->mutex);
}

static bool copy(struct backups *backups, struct io *io)
{
    bool complete = false;
    const enum err err = go_on(backups, io, &complete);

    if (err != OK) {
        fail(backups, io, err);
        return true;
    }
    if (!complete) return true;
    const struct backup *const made = &backups->order->backup;
    log_info("store", "backup is complete",
             "name=%s segments=%" PRIu32 " spans=%" PRIu64 " bytes=%" PRIu64 " copied_bytes=%" PRIu64,
             made->name, made->segments, made->spans, made->bytes, made->copied_bytes);
    end_order(backups, io, OK);
    return true;
}

static bool wait_for_seals(struct backups *backups, struct io *io)
{
    if (!backups->config.is_sealed(backups->config.context, backups->ticket)) {
        if (io_now_ns(io) < backups->seal_until_ns) return false;
        fail(backups, io, ERR_DEADLINE);
        return true;
    }
    const enum err err = begin(backups, io);
    if (err == OK)
        enter(backups, STAGE_COPYING);
    else
        fail(backups, io, err);
    return true;
}

bool backups_step(struct backups *backups, struct io *io)
{
    pthread_mutex_lock(&backups->mutex);
    const enum stage stage = backups->stage; /* only an order changes it besides, from STAGE_IDLE */
    pthread_mutex_unlock(&backups->mutex);

    switch (stage) {
    case STAGE_IDLE: return false;
    case STAGE_ORDERED:
        backups->ticket = backups->config.seal(backups->config.context);
        backups->seal_until_ns = io_now_ns(io) + SEAL_NS_MAX;
        enter(backups, STAGE_SEALING);
        return true;
    case STAGE_SEALING: return wait_for_seals(backups, io);
    case STAGE_COPYING: return copy(backups, io);
    }
    unreachable("all stages are listed");
}

void backups_close(struct backups *backups, struct io *io)
{
    if (backups->making != NULL) backup_making_close(backups->making, io);
    backup_entry_free(backups->order);
    while (backups->count > 0)
        take_out(backups, backups->count - 1);
    if (backups->place.home != NULL) io_dir_close(io, backups->place.home);
    pthread_mutex_destroy(&backups->mutex);
    free(backups);
}

/* ---- orders ---------------------------------------------------------------------------------------------- */

static enum err may_order(const struct backups *backups, const char *name)
{
    bool found;

    if (!backup_name_is_good(name)) return ERR_MALFORMED;
    if (backups->stage != STAGE_IDLE) return ERR_BUSY;
    (void)place_of(backups, name, &found);
    if (found) return ERR_EXISTS;
    return backups->count == BACKUPS_MAX ? ERR_FULL : OK;
}

static enum err take_order(struct backups *backups, const char *name, uint64_t now_ns)
{
    TRY(may_order(backups, name));
    struct backup_entry *const order = calloc(1, sizeof *order);
    if (order == NULL) return ERR_NO_MEMORY;
    memcpy(order->backup.name, name, strlen(name));
    order->backup.created_ns = now_ns;
    backups->order = order;
    backups->last = (struct backup){.name = ""};
    backups->stage = STAGE_ORDERED;
    return OK;
}

enum err backups_order(struct backups *backups, const char *name, uint64_t now_ns)
{
    pthread_mutex_lock(&backups->mutex);
    const enum err err = take_order(backups, name, now_ns);
    pthread_mutex_unlock(&backups->mutex);
    return err;
}

static enum err remove_named(struct backups *backups, struct io *io, const char *name)
{
    bool found;

    if (!backup_name_is_good(name)) return ERR_NOT_FOUND;
    if (backups->stage != STAGE_IDLE && strcmp(backups->order->backup.name, name) == 0) return ERR_BUSY;
    const uint32_t at = place_of(backups, name, &found);
    if (!found) return ERR_NOT_FOUND;
    const enum err err = backup_dir_remove(io, backups->place.home, name);
    if (err != OK && err != ERR_NOT_FOUND) return err;
    take_out(backups, at);
    return OK;
}

enum err backups_remove(struct backups *backups, struct io *io, const char *name)
{
    pthread_mutex_lock(&backups->mutex);
    const enum err err = remove_named(backups, io, name);
    pthread_mutex_unlock(&backups->mutex);
    return err;
}

void backups_visit(struct backups *backups, void (*visit)(void *context, const struct backup *backup),
                   void *context)
{
    pthread_mutex_lock(&backups->mutex);
    for (uint32_t i = 0; i < backups->count; i++)
        visit(context, &backups->entries[i]->backup);
    if (backups->stage != STAGE_IDLE) {
        const struct backup *const order = &backups->order->backup; /* the maker counts meanwhile */
        struct backup making = {.state = BACKUP_MAKING, .created_ns = order->created_ns};
        memcpy(making.name, order->name, sizeof making.name);
        visit(context, &making);
    } else if (backups->last.name[0] != '\0') {
        visit(context, &backups->last);
    }
    pthread_mutex_unlock(&backups->mutex);
}

/* ---- figures --------------------------------------------------------------------------------------------- */

static int by_file_name(const void *a, const void *b)
{
    return strcmp(((const struct backup_file *)a)->name, ((const struct backup_file *)b)->name);
}

/* All second names of all backups, sorted; under the mutex. NULL: none, or no memory. */
static struct backup_file *linked_files(const struct backups *backups, size_t *count)
{
    size_t total = 0;

    *count = 0;
    for (uint32_t i = 0; i < backups->count; i++)
        total += backups->entries[i]->backup.segments;
    struct backup_file *const files = total > 0 ? calloc(total, sizeof *files) : NULL;
    if (files == NULL) return NULL;
    for (uint32_t i = 0; i < backups->count; i++) {
        const struct backup_entry *const entry = backups->entries[i];
        for (uint32_t j = 0; j < entry->backup.segments; j++)
            if (!entry->files[j].copied) files[(*count)++] = entry->files[j];
    }
    if (*count > 1) qsort(files, *count, sizeof *files, by_file_name);
    return files;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of a version's files, sorted; they are the version's. NULL: no memory. */
static const char **names_in_use(const struct catalog_view *view)
{
    const char **const names = calloc((size_t)view->segments_count + 1, sizeof *names);

    if (names == NULL) return NULL;
    for (uint32_t i = 0; i < view->segments_count; i++)
        names[i] = view->segments[i]->file->name;
    if (view->segments_count > 1) qsort((void *)names, view->segments_count, sizeof *names, by_key);
    return names;
}

static uint64_t held_beside(const struct catalog_view *view, const struct backup_file *files, size_t count)
{
    const char **const names = names_in_use(view);
    uint64_t bytes = 0;

    for (size_t i = 0; names != NULL && i < count; i++) {
        const char *const name = files[i].name;
        if (i > 0 && strcmp(name, files[i - 1].name) == 0) continue;
        if (bsearch(&name, (const void *)names, view->segments_count, sizeof *names, by_key) == NULL)
            bytes += files[i].bytes;
    }
    free((void *)names);
    return bytes;
}

struct backups_counts backups_counts(struct backups *backups)
{
    struct backups_counts counts = {.complete = 0};
    size_t files_count;

    pthread_mutex_lock(&backups->mutex);
    counts.failures = backups->failures;
    for (uint32_t i = 0; i < backups->count; i++) {
        const struct backup *const backup = &backups->entries[i]->backup;
        counts.complete += backup->state == BACKUP_COMPLETE;
        if (backup->created_ns > counts.last_ns) counts.last_ns = backup->created_ns;
    }
    struct backup_file *const files = linked_files(backups, &files_count);
    pthread_mutex_unlock(&backups->mutex);
    if (files == NULL) return counts;
    const struct catalog_view *const view = catalog_acquire(backups->config.catalog);
    counts.held_bytes = held_beside(view, files, files_count);
    catalog_release(backups->config.catalog, view);
    free(files);
    return counts;
}

bool backups_retain(struct backups *backups, struct retention *retention, struct io *io, uint64_t now_ns)
{
    struct catalog *const catalog = backups->config.catalog;
    const uint64_t before = backups_counts(backups).held_bytes;

    if (backups->kept_bytes > before) backups->kept_bytes = before; /* backups have been removed */
    catalog_set_kept_bytes(catalog, backups->kept_bytes);
    const bool more = retention_step(retention, io, now_ns);
    const uint64_t after = backups_counts(backups).held_bytes;
    if (after > before) backups->kept_bytes += after - before;
    catalog_set_kept_bytes(catalog, backups->kept_bytes);
    return more;
}
