/*
 * The files of a backup, from outside: its list, and how its directory goes.
 *
 *   backups/NAME/superblock    backups/NAME/segments/0000-000000000007.seg ...
 *   backups/NAME/pins, erasures    backups/NAME/backup    the list, written last
 *
 * A directory without a list is what a crash has left, while it was made or while it was removed, and goes.
 */
#include "backup_private.h"

#include "base/log.h"
#include "store/look.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct list_kind list_backup = {"backup", "backup.tmp", "SMBACK01"};

void backup_entry_free(struct backup_entry *entry)
{
    if (entry == NULL) return;
    free(entry->files);
    free(entry);
}

/* ---- the list -------------------------------------------------------------------------------------------- */

static bool is_text(const char *bytes, size_t capacity)
{
    const char *const end = memchr(bytes, '\0', capacity);

    return end != NULL && end > bytes;
}

static enum err take_files(struct backup_entry *entry, const uint8_t *bytes)
{
    const uint32_t count = entry->backup.segments;

    entry->files = calloc((size_t)count + 1, sizeof *entry->files);
    if (entry->files == NULL) return ERR_NO_MEMORY;
    memcpy(entry->files, bytes, count * sizeof *entry->files);
    for (uint32_t i = 0; i < count; i++) {
        const struct backup_file *const file = &entry->files[i];
        if (!is_text(file->name, sizeof file->name) || strchr(file->name, '/') != NULL || file->copied > 1 ||
            file->reserved != 0)
            return ERR_CORRUPT;
        if (i > 0 && strcmp(file->name, file[-1].name) <= 0) return ERR_CORRUPT;
    }
    return OK;
}

static enum err take_apart(struct backup_entry *entry, const struct list_header *header,
                           const struct list_body *body)
{
    struct backup_head head;

    if (header->count == 0 || body->len != sizeof head + (header->count - 1) * sizeof(struct backup_file))
        return ERR_CORRUPT;
    memcpy(&head, body->bytes, sizeof head);
    if (!is_text(head.name, BACKUP_NAME_MAX + 1) || !backup_name_is_good(head.name)) return ERR_CORRUPT;
    entry->backup = (struct backup){.state = BACKUP_COMPLETE,
                                    .created_ns = head.created_ns,
                                    .blocks = head.blocks,
                                    .spans = head.spans,
                                    .bytes = head.bytes,
                                    .copied_bytes = head.copied_bytes,
                                    .segments = header->count - 1};
    memcpy(entry->backup.name, head.name, sizeof entry->backup.name);
    return take_files(entry, body->bytes + sizeof head);
}

static enum err make_entry(const struct list_header *header, const struct list_body *body,
                           struct backup_entry **out)
{
    struct backup_entry *const entry = calloc(1, sizeof *entry);

    if (entry == NULL) return ERR_NO_MEMORY;
    const enum err err = take_apart(entry, header, body);
    if (err == OK)
        *out = entry;
    else
        backup_entry_free(entry);
    return err;
}

enum err backup_list_read(struct io *io, struct io_dir *dir, uint64_t instance, struct backup_entry **out)
{
    struct list_header header;
    struct list_body body;

    TRY(list_file_read(io, dir, &list_backup, instance, &header, &body));
    const enum err err = make_entry(&header, &body, out);
    list_body_free(&body);
    return err;
}

static enum err put_records(struct list_body *body, const struct backup_entry *entry)
{
    const struct backup *const backup = &entry->backup;
    struct backup_head head = {.created_ns = backup->created_ns,
                               .blocks = backup->blocks,
                               .spans = backup->spans,
                               .bytes = backup->bytes,
                               .copied_bytes = backup->copied_bytes};
    uint8_t *const first = list_body_add(body, sizeof head);

    if (first == NULL) return ERR_NO_MEMORY;
    memcpy(head.name, backup->name, sizeof backup->name);
    memcpy(first, &head, sizeof head);
    for (uint32_t i = 0; i < backup->segments; i++) {
        uint8_t *const record = list_body_add(body, sizeof entry->files[i]);
        if (record == NULL) return ERR_NO_MEMORY;
        memcpy(record, &entry->files[i], sizeof entry->files[i]);
    }
    return OK;
}

enum err backup_list_write(struct io *io, struct io_dir *dir, uint64_t instance,
                           const struct backup_entry *entry)
{
    const struct list_header header = {.next_id = 1, .count = entry->backup.segments + 1};
    struct list_body body = {.bytes = NULL};

    enum err err = put_records(&body, entry);
    if (err == OK) err = list_file_write(io, dir, &list_backup, instance, &header, &body);
    list_body_free(&body);
    return err;
}

enum err backup_list_exists(struct io *io, struct io_dir *dir)
{
    struct io_file *file;

    TRY(io_file_open(io, dir, list_backup.name, 0, &file));
    io_file_close(io, file);
    return OK;
}

/* ---- removing -------------------------------------------------------------------------------------------- */

struct sweep {
    struct io *io;
    struct io_dir *dir;
    enum err err; /* the first */
};

static bool unlink_one(void *context, const char *name)
{
    struct sweep *const sweep = context;
    const enum err err = io_unlink(sweep->io, sweep->dir, name);

    if (err != OK && err != ERR_NOT_FOUND && sweep->err == OK) sweep->err = err;
    return true;
}

static enum err empty(struct io *io, struct io_dir *dir)
{
    struct sweep sweep = {.io = io, .dir = dir};

    TRY(io_dir_list(io, dir, unlink_one, &sweep));
    return sweep.err;
}

static enum err remove_segments(struct io *io, struct io_dir *dir)
{
    struct io_dir *segments;
    const enum err err = io_dir_open(io, dir, "segments", false, &segments);

    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    const enum err emptied = empty(io, segments);
    io_dir_close(io, segments);
    TRY(emptied);
    return io_dir_remove(io, dir, "segments");
}

/* Once it is durable that there is no list, a crash may come at any moment. */
static enum err remove_inside(struct io *io, struct io_dir *dir)
{
    const enum err err = io_unlink(io, dir, list_backup.name);

    if (err != OK && err != ERR_NOT_FOUND) return err;
    TRY(io_dir_sync(io, dir));
    TRY(remove_segments(io, dir));
    return empty(io, dir);
}

enum err backup_dir_remove(struct io *io, struct io_dir *home, const char *name)
{
    struct io_dir *dir;

    TRY(io_dir_open(io, home, name, false, &dir));
    const enum err err = remove_inside(io, dir);
    io_dir_close(io, dir);
    TRY(err);
    return io_dir_remove(io, home, name);
}

/* ---- arriving -------------------------------------------------------------------------------------------- */

struct arrival {
    const struct backup_entry *entry;
    bool strange;
};

static int by_name(const void *name, const void *file)
{
    return strcmp(name, ((const struct backup_file *)file)->name);
}

static bool is_listed(void *context, const char *name)
{
    struct arrival *const arrival = context;
    const struct backup_entry *const entry = arrival->entry;

    if (bsearch(name, entry->files, entry->backup.segments, sizeof *entry->files, by_name) != NULL)
        return true;
    log_error("store", "a file lies beside a restored backup; copy it to an empty directory", "file=%s",
              name);
    arrival->strange = true;
    return true;
}

static enum err size_of(struct io *io, struct io_dir *dir, const char *name, uint64_t *bytes)
{
    struct io_file *file;

    TRY(io_file_open(io, dir, name, 0, &file));
    const enum err err = io_file_size(io, file, bytes);
    io_file_close(io, file);
    return err;
}

typedef void tell_fn(void *context, const char *file, uint64_t expected_bytes);

/* All files are told that are missing or have another size. */
static enum err compare_files(struct io *io, struct io_dir *segments, const struct backup_entry *entry,
                              tell_fn *tell, void *context)
{
    enum err err = OK;

    for (uint32_t i = 0; i < entry->backup.segments; i++) {
        const struct backup_file *const file = &entry->files[i];
        uint64_t bytes = 0;
        if (size_of(io, segments, file->name, &bytes) == OK && bytes == file->bytes) continue;
        tell(context, file->name, file->bytes);
        err = ERR_CORRUPT;
    }
    return err;
}

static void log_missing(void *context, const char *file, uint64_t expected_bytes)
{
    (void)context;
    log_error("store", "a file of a backup is missing, or not whole", "file=segments/%s bytes=%" PRIu64, file,
              expected_bytes);
}

static enum err check_alone(struct io *io, struct io_dir *data, struct io_dir *segments,
                            const struct backup_entry *entry)
{
    struct arrival arrival = {.entry = entry};
    struct io_dir *journal;

    TRY(io_dir_list(io, segments, is_listed, &arrival));
    const enum err err = io_dir_open(io, data, "journal-0", false, &journal);
    if (err == OK) {
        io_dir_close(io, journal);
        log_error("store", "a journal lies beside a restored backup; copy it to an empty directory", "%s",
                  "");
        return ERR_CORRUPT;
    }
    if (err != ERR_NOT_FOUND) return err;
    return arrival.strange ? ERR_CORRUPT : OK;
}

static enum err check_arrival(struct io *io, struct io_dir *data, const struct backup_entry *entry)
{
    struct io_dir *segments;

    TRY(io_dir_open(io, data, "segments", true, &segments));
    enum err err = check_alone(io, data, segments, entry);
    if (err == OK) err = compare_files(io, segments, entry, log_missing, NULL);
    io_dir_close(io, segments);
    return err;
}

/* The list goes last: until then each start looks again. */
enum err backup_arrive(struct io *io, struct io_dir *data, uint64_t instance, bool *arrived)
{
    struct backup_entry *entry;
    const enum err err = backup_list_exists(io, data);

    *arrived = false;
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    TRY(backup_list_read(io, data, instance, &entry));
    enum err found = check_arrival(io, data, entry);
    if (found == OK) found = io_unlink(io, data, list_backup.name);
    if (found == OK) found = io_dir_sync(io, data);
    if (found == OK)
        log_info("store", "restored from a backup",
                 "name=%s created_ns=%" PRIu64 " segments=%" PRIu32 " spans=%" PRIu64, entry->backup.name,
                 entry->backup.created_ns, entry->backup.segments, entry->backup.spans);
    *arrived = found == OK;
    backup_entry_free(entry);
    return found;
}

/* ---- looking --------------------------------------------------------------------------------------------- */

static enum err look_list(struct io *io, struct io_file *file, uint64_t instance, struct backup_entry **out)
{
    struct list_header header;
    struct list_body body = {.bytes = NULL};

    enum err err = list_file_check(io, file, &list_backup, instance, &header, &body);
    if (err == OK) err = make_entry(&header, &body, out);
    list_body_free(&body);
    return err;
}

static enum err look_files(struct io *io, struct io_dir *dir, const struct backup_entry *entry, tell_fn *tell,
                           void *context)
{
    struct io_dir *segments;

    TRY(io_dir_open(io, dir, "segments", false, &segments));
    (void)compare_files(io, segments, entry, tell, context);
    io_dir_close(io, segments);
    return OK;
}

enum err backup_look(struct io *io, struct io_dir *dir, uint64_t instance,
                     void (*tell)(void *context, const char *file, uint64_t expected_bytes), void *context,
                     bool *found)
{
    struct backup_entry *entry;
    struct io_file *file;

    enum err err = io_file_open(io, dir, list_backup.name, 0, &file);
    *found = err == OK;
    if (err == ERR_NOT_FOUND) return OK;
    TRY(err);
    err = look_list(io, file, instance, &entry);
    io_file_close(io, file);
    if (err == ERR_CORRUPT) tell(context, list_backup.name, 0);
    if (err != OK) return err == ERR_CORRUPT ? OK : err;
    err = look_files(io, dir, entry, tell, context);
    backup_entry_free(entry);
    return err;
}
