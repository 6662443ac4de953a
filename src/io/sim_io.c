/*
 * struct io over a simulated world.
 *
 *   submit     the op becomes a flight of the world; a write's bytes are copied, a read's buffer is scribbled
 * over io_turn    draws one flight of the whole world (of any io) and lets it take effect, until one of this
 * io has landed; sometimes one more; then runs the handlers of what has landed here waiting    names and the
 * _now calls take effect at once; half the time something else in flight lands before
 *
 * Two kinds of mistakes are caught on the way: reading a buffer before it landed finds 0xa5, and changing a
 * buffer that is being written stops the test. A write that fails may still have reached the disk in part: a
 * prefix of it becomes visible and pending.
 */
#include "sim_world.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct sim *sim_of(const struct io *io)
{
    return ((const struct sim_io *)io)->sim;
}

static uint32_t inode_of(const struct io_file *file)
{
    return ((const struct sim_file *)file)->inode;
}

static uint32_t index_of(const struct io_dir *dir)
{
    return ((const struct sim_dir *)dir)->index;
}

static uint64_t text_hash(const char *text)
{
    return hash64(text, strlen(text));
}

/* ---- life, time -----------------------------------------------------------------------------------------
 */

struct io *sim_io(struct sim *sim)
{
    struct sim_io *const io = calloc(1, sizeof *io);
    assert(io != NULL);

    io->io.backend = &sim__backend;
    io->io.wake_fd = -1;
    io->sim = sim;
    io->next = sim->ios;
    sim->ios = io;
    return &io->io;
}

static void sim_io_close(struct io *io)
{
    struct sim_io *const mine = (struct sim_io *)io;
    struct sim_io **link = &mine->sim->ios;

    assert(mine->landed_first == NULL);
    for (const struct sim_flight *flight = mine->sim->flights; flight != NULL; flight = flight->next)
        assert(flight->io != mine);
    while (*link != mine)
        link = &(*link)->next;
    *link = mine->next;
    free(mine);
}

static void sim_describe(const struct io *io, char *text, size_t capacity)
{
    snprintf(text, capacity, "simulated seed=%llu sector=%u", (unsigned long long)sim_of(io)->config.seed,
             sim_of(io)->config.sector_bytes);
}

static uint64_t sim_now_ns(const struct io *io)
{
    return sim_of(io)->now_ns;
}

static uint64_t sim_wall_ns(const struct io *io)
{
    return sim_of(io)->now_ns + (uint64_t)sim_of(io)->wall_offset_ns;
}

static void sim_random(struct io *io, void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)bytes)[i] = (uint8_t)sim__roll(&sim_of(io)->randomness, 256);
}

/* ---- flights --------------------------------------------------------------------------------------------
 */

static struct sim_flight *take_off(struct io *io, struct io_op *op, enum sim_event_kind kind,
                                   struct io_file *file, unsigned pieces_count)
{
    struct sim *const sim = sim_of(io);
    struct sim_flight *const flight = calloc(1, sizeof *flight + pieces_count * sizeof flight->pieces[0]);
    struct sim_flight **link = &sim->flights;
    assert(flight != NULL);

    flight->io = (struct sim_io *)io;
    flight->op = op;
    flight->kind = kind;
    flight->inode = inode_of(file);
    flight->durable = (file->flags & IO_DSYNC) != 0;
    const uint64_t stall_ns = sim__stall_ns(sim, kind);
    flight->earliest_ns = stall_ns > 0 ? sim->now_ns + stall_ns : 0;
    while (*link != NULL)
        link = &(*link)->next;
    *link = flight;
    return flight;
}

static struct sim_flight *read_off(struct io *io, struct io_op *op, struct io_file *file, void *buf,
                                   size_t len, uint64_t offset)
{
    struct sim_flight *const flight = take_off(io, op, EVENT_READ, file, 0);

    flight->buf = buf;
    flight->len = len;
    flight->offset = offset;
    if (len > 0) memset(buf, 0xa5, len);
    return flight;
}

static struct sim_flight *write_off(struct io *io, struct io_op *op, struct io_file *file,
                                    const struct io_piece *pieces, unsigned pieces_count, uint64_t offset)
{
    struct sim_flight *const flight = take_off(io, op, EVENT_WRITE, file, pieces_count);

    for (unsigned i = 0; i < pieces_count; i++)
        flight->len += pieces[i].len;
    flight->offset = offset;
    flight->bytes = malloc(flight->len + 1);
    assert(flight->bytes != NULL);
    size_t done = 0;
    for (unsigned i = 0; i < pieces_count; i++) {
        if (pieces[i].len > 0) memcpy(flight->bytes + done, pieces[i].ptr, pieces[i].len);
        flight->pieces[i] = pieces[i];
        done += pieces[i].len;
    }
    flight->pieces_count = pieces_count;
    sim_of(io)->changes++;
    return flight;
}

static struct sim_flight *sync_off(struct io *io, struct io_op *op, struct io_file *file)
{
    struct sim_flight *const flight = take_off(io, op, EVENT_DATASYNC, file, 0);

    flight->sequence = sim_of(io)->disk.sequence;
    return flight;
}

/* ---- taking effect --------------------------------------------------------------------------------------
 */

static void read_lands(struct sim *sim, struct sim_flight *flight)
{
    const struct sim_inode *const file = &sim->disk.inodes[flight->inode];
    const uint64_t there = file->visible_bytes > flight->offset ? file->visible_bytes - flight->offset : 0;

    flight->count = there < flight->len ? there : flight->len;
    if (flight->cut_short) flight->count /= 2;
    content_read(&file->visible, flight->offset, flight->buf, (size_t)flight->count);
}

static void check_untouched(const struct sim_flight *flight)
{
    size_t done = 0;

    for (unsigned i = 0; i < flight->pieces_count; i++) {
        const struct io_piece *const piece = &flight->pieces[i];
        /* A buffer must not change while it is being written. */
        assert(piece->len == 0 || memcmp(flight->bytes + done, piece->ptr, piece->len) == 0);
        done += piece->len;
    }
}

static void write_lands(struct sim *sim, struct sim_flight *flight)
{
    check_untouched(flight);
    flight->count = flight->len;
    disk_write(&sim->disk, flight->inode, flight->offset, flight->bytes, flight->len, flight->durable);
    flight->bytes = NULL; /* the disk has it */
}

static void write_fails(struct sim *sim, struct sim_flight *flight)
{
    const uint32_t sector = sim->config.sector_bytes;
    const uint64_t reached = sim__roll(&sim->dice, flight->len / sector + 1) * sector;

    if (reached == 0) return;
    disk_write(&sim->disk, flight->inode, flight->offset, flight->bytes, (size_t)reached, false);
    flight->bytes = NULL;
}

static enum err take_effect(struct sim *sim, struct sim_flight *flight, enum err fault)
{
    switch (flight->kind) {
    case EVENT_READ:
        if (fault == OK) read_lands(sim, flight);
        break;
    case EVENT_WRITE:
        if (fault == OK)
            write_lands(sim, flight);
        else
            write_fails(sim, flight);
        break;
    default:
        if (fault == OK)
            disk_datasync(&sim->disk, flight->inode, flight->sequence);
        else
            disk_datasync_failed(&sim->disk, flight->inode, flight->sequence);
        break;
    }
    return fault;
}

static void landed_push(struct sim_io *io, struct io_op *op)
{
    op->private_words[0] = 0;
    if (io->landed_last != NULL)
        io->landed_last->private_words[0] = (uintptr_t)op;
    else
        io->landed_first = op;
    io->landed_last = op;
}

/* The event of a flight. The flight is still among those in flight while the watcher looks. */
static enum err land(struct sim *sim, struct sim_flight *flight, uint64_t *count)
{
    const uint64_t said = flight->bytes != NULL ? hash_fast(flight->bytes, flight->len, 0) : flight->len;
    const uint64_t met = sim->met;
    enum err fault = sim__event(sim, flight->kind, flight->inode, flight->offset, said);
    if (fault == OK) fault = sim__place(sim, flight->kind, flight->inode, NULL);
    flight->cut_short = sim->met > met && sim->place.short_read;
    const enum err err = take_effect(sim, flight, fault);

    sim__result(sim, err, flight->count);
    *count = flight->count;
    if (flight->op != NULL) {
        flight->op->err = err;
        flight->op->count = flight->count;
        landed_push(flight->io, flight->op);
    }
    sim__free_flight(sim, flight);
    return err;
}

/* Lets one flight of the world land that is not held up; false when there is none. */
static bool land_one(struct sim *sim)
{
    uint64_t ready = 0, ignored;

    for (const struct sim_flight *flight = sim->flights; flight != NULL; flight = flight->next)
        ready += flight->earliest_ns <= sim->now_ns;
    if (ready == 0) return false;

    uint64_t chosen = sim__roll(&sim->dice, ready);
    for (struct sim_flight *flight = sim->flights;; flight = flight->next) {
        if (flight->earliest_ns > sim->now_ns) continue;
        if (chosen-- > 0) continue;
        land(sim, flight, &ignored);
        return true;
    }
}

/* Others do not stand still while one waits: half the time one of them gets in first. */
static void jostle(struct sim *sim)
{
    if (sim->flights != NULL && sim__roll(&sim->dice, 2) == 0) land_one(sim);
}

/* The waiting form: takes effect now. A stall only makes it late. */
static enum err land_now(struct sim *sim, struct sim_flight *flight, uint64_t *count)
{
    if (flight->earliest_ns > sim->now_ns) sim->now_ns = flight->earliest_ns;
    return land(sim, flight, count);
}

/* ---- turning --------------------------------------------------------------------------------------------
 */

static bool ready_flight_of(const struct sim_io *io)
{
    for (const struct sim_flight *flight = io->sim->flights; flight != NULL; flight = flight->next)
        if (flight->io == io && flight->earliest_ns <= io->sim->now_ns) return true;
    return false;
}

static void pass_time(struct sim_io *io, uint64_t wait_ns)
{
    struct sim *const sim = io->sim;

    if (atomic_load(&io->io.wake_pending)) return;
    jostle(sim);
    uint64_t until_ns = sim->now_ns + wait_ns;
    for (const struct sim_flight *flight = sim->flights; flight != NULL; flight = flight->next)
        if (flight->io == io && flight->earliest_ns < until_ns && flight->earliest_ns > sim->now_ns)
            until_ns = flight->earliest_ns;
    sim->now_ns = until_ns;
}

static enum err sim_turn(struct io *io, uint64_t wait_ns, unsigned *handlers_run)
{
    struct sim_io *const mine = (struct sim_io *)io;
    struct sim *const sim = mine->sim;

    if (mine->landed_first == NULL) {
        if (!ready_flight_of(mine)) pass_time(mine, wait_ns);
        while (mine->landed_first == NULL && ready_flight_of(mine))
            land_one(sim);
        if (mine->landed_first != NULL && sim__roll(&sim->dice, 4) == 0) land_one(sim);
    }

    unsigned run = 0;
    struct io_op *const last = mine->landed_last;
    for (bool more = last != NULL; more && mine->landed_first != NULL; run++) {
        struct io_op *const op = mine->landed_first;
        mine->landed_first = (struct io_op *)(uintptr_t)op->private_words[0];
        if (mine->landed_first == NULL) mine->landed_last = NULL;
        more = op != last;
        io__land(op, op->err);
    }
    run += io__deliver_wake(io);
    *handlers_run = run;
    return OK;
}

/* ---- operations -----------------------------------------------------------------------------------------
 */

static void sim_read(struct io *io, struct io_op *op, struct io_file *file, void *buf, size_t len,
                     uint64_t offset)
{
    read_off(io, op, file, buf, len, offset);
}

static void sim_writev(struct io *io, struct io_op *op, struct io_file *file, const struct io_piece *pieces,
                       unsigned pieces_count, uint64_t offset)
{
    write_off(io, op, file, pieces, pieces_count, offset);
}

static void sim_datasync(struct io *io, struct io_op *op, struct io_file *file)
{
    sync_off(io, op, file);
}

static enum err sim_read_now(struct io *io, struct io_file *file, void *buf, size_t len, uint64_t offset,
                             size_t *count)
{
    uint64_t moved = 0;

    jostle(sim_of(io));
    TRY(land_now(sim_of(io), read_off(io, NULL, file, buf, len, offset), &moved));
    *count = (size_t)moved;
    return OK;
}

static enum err sim_write_now(struct io *io, struct io_file *file, const void *buf, size_t len,
                              uint64_t offset)
{
    const struct io_piece piece = {.ptr = buf, .len = len};
    uint64_t moved;

    jostle(sim_of(io));
    return land_now(sim_of(io), write_off(io, NULL, file, &piece, 1, offset), &moved);
}

static enum err sim_datasync_now(struct io *io, struct io_file *file)
{
    uint64_t moved;

    jostle(sim_of(io));
    return land_now(sim_of(io), sync_off(io, NULL, file), &moved);
}

/* ---- names ----------------------------------------------------------------------------------------------
 */

static enum err event(struct io *io, enum sim_event_kind kind, uint64_t a, uint64_t b, uint64_t c,
                      const char *name)
{
    jostle(sim_of(io));
    TRY(sim__event(sim_of(io), kind, a, b, c));
    return sim__place(sim_of(io), kind, a, name);
}

static enum err result(struct io *io, enum err err)
{
    sim__result(sim_of(io), err, 0);
    return err;
}

static bool name_fits(const char *name)
{
    const size_t len = strlen(name);

    return len > 0 && len < SIM_NAME_MAX && strchr(name, '/') == NULL;
}

static enum err sim_dir_open(struct io *io, struct io_dir *parent, const char *path, bool create,
                             struct io_dir **out)
{
    struct sim *const sim = sim_of(io);
    char full[SIM_PATH_MAX];
    uint32_t index;

    const int length = parent != NULL
                           ? snprintf(full, sizeof full, "%s/%s", sim->disk.dirs[index_of(parent)], path)
                           : snprintf(full, sizeof full, "%s", path);
    if (length <= 0 || (size_t)length >= sizeof full) return ERR_UNSUPPORTED;
    TRY(event(io, EVENT_DIR_OPEN, SIM_NONE, text_hash(full), create, full));
    TRY(result(io, disk_dir(&sim->disk, full, create, &index)));

    struct sim_dir *const dir = calloc(1, sizeof *dir);
    assert(dir != NULL);
    *dir = (struct sim_dir){.dir.kind = IO_KIND_SIM, .next = sim->dirs, .index = index};
    sim->dirs = dir;
    *out = &dir->dir;
    return OK;
}

static void sim_dir_close(struct io *io, struct io_dir *dir)
{
    struct sim_dir **link = &sim_of(io)->dirs;

    while (&(*link)->dir != dir)
        link = &(*link)->next;
    *link = (*link)->next;
    free(dir);
}

static enum err sim_dir_sync(struct io *io, struct io_dir *dir)
{
    TRY(event(io, EVENT_DIR_SYNC, index_of(dir), 0, 0, NULL));
    disk_dir_sync(&sim_of(io)->disk, index_of(dir));
    disk_sweep(&sim_of(io)->disk);
    return result(io, OK);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct sim_name *)a)->text, ((const struct sim_name *)b)->text);
}

/* Visits a copy: the visitor may rename and unlink. */
static enum err sim_dir_list(struct io *io, struct io_dir *dir,
                             bool (*visit)(void *context, const char *name), void *context)
{
    TRY(event(io, EVENT_DIR_LIST, index_of(dir), 0, 0, NULL));
    const struct sim_names *const names = &sim_of(io)->disk.visible;
    struct sim_name *const copy = malloc((names->count + 1) * sizeof *copy);
    size_t count = 0;

    assert(copy != NULL);
    for (size_t i = 0; i < names->count; i++)
        if (names->name[i].dir == index_of(dir)) copy[count++] = names->name[i];
    qsort(copy, count, sizeof *copy, by_text);
    for (size_t i = 0; i < count; i++)
        if (!visit(context, copy[i].text)) break;
    free(copy);
    return OK;
}

static enum err sim_rename(struct io *io, struct io_dir *dir, const char *from, const char *to)
{
    if (!name_fits(from) || !name_fits(to)) return ERR_UNSUPPORTED;
    TRY(event(io, EVENT_RENAME, index_of(dir), text_hash(from), text_hash(to), to));
    return result(io, disk_rename(&sim_of(io)->disk, index_of(dir), from, to));
}

static enum err sim_unlink(struct io *io, struct io_dir *dir, const char *name)
{
    if (!name_fits(name)) return ERR_UNSUPPORTED;
    TRY(event(io, EVENT_UNLINK, index_of(dir), text_hash(name), 0, name));
    return result(io, disk_unlink(&sim_of(io)->disk, index_of(dir), name));
}

static enum err sim_link(struct io *io, struct io_dir *dir, const char *name, struct io_dir *to_dir,
                         const char *to)
{
    if (!name_fits(name) || !name_fits(to)) return ERR_UNSUPPORTED;
    TRY(event(io, EVENT_LINK, index_of(to_dir), text_hash(name), text_hash(to), to));
    return result(io, disk_link(&sim_of(io)->disk, index_of(dir), name, index_of(to_dir), to));
}

/* The path of a directory that stands in this one, behind it; NULL: it does not. */
static const char *name_in(const char *path, const char *parent)
{
    const size_t len = strlen(parent);

    if (strncmp(path, parent, len) != 0 || path[len] != '/') return NULL;
    return strchr(path + len + 1, '/') == NULL ? path + len + 1 : NULL;
}

static enum err sim_dir_list_dirs(struct io *io, struct io_dir *dir,
                                  bool (*visit)(void *context, const char *name), void *context)
{
    TRY(event(io, EVENT_DIR_LIST, index_of(dir), 1, 0, NULL));
    const struct sim_disk *const disk = &sim_of(io)->disk;
    struct sim_name *const copy = calloc(disk->dirs_count + 1, sizeof *copy);
    size_t count = 0;

    assert(copy != NULL);
    for (uint32_t i = 0; i < disk->dirs_count; i++) {
        const char *const name = name_in(disk->dirs[i], disk->dirs[index_of(dir)]);
        if (name != NULL && name_fits(name)) snprintf(copy[count++].text, SIM_NAME_MAX, "%s", name);
    }
    if (count > 1) qsort(copy, count, sizeof *copy, by_text);
    for (size_t i = 0; i < count; i++)
        if (!visit(context, copy[i].text)) break;
    free(copy);
    return OK;
}

static enum err sim_dir_remove(struct io *io, struct io_dir *parent, const char *name)
{
    struct sim *const sim = sim_of(io);
    char full[SIM_PATH_MAX];

    const int length = snprintf(full, sizeof full, "%s/%s", sim->disk.dirs[index_of(parent)], name);
    if (length <= 0 || (size_t)length >= sizeof full) return ERR_UNSUPPORTED;
    TRY(event(io, EVENT_DIR_REMOVE, index_of(parent), text_hash(full), 0, name));
    TRY(result(io, disk_dir_remove(&sim->disk, full)));
    disk_sweep(&sim->disk);
    return OK;
}

static enum err sim_space(struct io *io, struct io_dir *dir, uint64_t *free_bytes, uint64_t *total_bytes)
{
    TRY(event(io, EVENT_SPACE, index_of(dir), 0, 0, NULL));
    *free_bytes = sim_of(io)->space_free_bytes;
    *total_bytes = sim_of(io)->space_total_bytes;
    return OK;
}

/* ---- files ----------------------------------------------------------------------------------------------
 */

static enum err find_or_make(struct sim_disk *disk, uint32_t dir, const char *name, bool create,
                             uint32_t *inode)
{
    if (create) return disk_create(disk, dir, name, inode);

    *inode = disk_find(&disk->visible, dir, name);
    return *inode != SIM_NONE ? OK : ERR_NOT_FOUND;
}

static enum err sim_file_open(struct io *io, struct io_dir *dir, const char *name, unsigned flags,
                              struct io_file **out)
{
    struct sim *const sim = sim_of(io);
    uint32_t inode = SIM_NONE;

    if (!name_fits(name)) return ERR_UNSUPPORTED;
    TRY(event(io, EVENT_OPEN, index_of(dir), text_hash(name), flags, name));
    TRY(result(io, find_or_make(&sim->disk, index_of(dir), name, (flags & IO_CREATE) != 0, &inode)));

    struct sim_file *const file = calloc(1, sizeof *file);
    assert(file != NULL);
    *file = (struct sim_file){
        .file = {.kind = IO_KIND_SIM, .flags = flags}, .next = sim->files, .inode = inode};
    sim->files = file;
    sim->disk.inodes[inode].handles++;
    *out = &file->file;
    return OK;
}

static void sim_file_close(struct io *io, struct io_file *file)
{
    struct sim *const sim = sim_of(io);
    struct sim_inode *const inode = &sim->disk.inodes[inode_of(file)];
    struct sim_file **link = &sim->files;

    while (&(*link)->file != file)
        link = &(*link)->next;
    *link = (*link)->next;
    inode->handles--;
    if (inode->lock_owner == file) inode->lock_owner = NULL;
    free(file);
    disk_sweep(&sim->disk);
}

static enum err sim_file_size(struct io *io, struct io_file *file, uint64_t *bytes)
{
    TRY(event(io, EVENT_SIZE, inode_of(file), 0, 0, NULL));
    *bytes = sim_of(io)->disk.inodes[inode_of(file)].visible_bytes;
    sim__result(sim_of(io), OK, *bytes);
    return OK;
}

static enum err sim_file_allocate(struct io *io, struct io_file *file, uint64_t offset, uint64_t bytes)
{
    struct sim_disk *const disk = &sim_of(io)->disk;

    TRY(event(io, EVENT_ALLOCATE, inode_of(file), offset, bytes, NULL));
    if (offset + bytes > disk->inodes[inode_of(file)].visible_bytes)
        disk_resize(disk, inode_of(file), offset + bytes);
    return result(io, OK);
}

static enum err sim_file_truncate(struct io *io, struct io_file *file, uint64_t bytes)
{
    TRY(event(io, EVENT_TRUNCATE, inode_of(file), bytes, 0, NULL));
    disk_resize(&sim_of(io)->disk, inode_of(file), bytes);
    return result(io, OK);
}

static enum err sim_file_lock(struct io *io, struct io_file *file)
{
    struct sim_inode *const inode = &sim_of(io)->disk.inodes[inode_of(file)];

    TRY(event(io, EVENT_LOCK, inode_of(file), 0, 0, NULL));
    if (inode->lock_owner != NULL && inode->lock_owner != file) return result(io, ERR_BUSY);
    inode->lock_owner = file;
    return result(io, OK);
}

const struct io_backend sim__backend = {
    .kind = IO_KIND_SIM,
    .close = sim_io_close,
    .turn = sim_turn,
    .describe = sim_describe,
    .now_ns = sim_now_ns,
    .wall_ns = sim_wall_ns,
    .random = sim_random,
    .dir_open = sim_dir_open,
    .dir_close = sim_dir_close,
    .dir_sync = sim_dir_sync,
    .dir_list = sim_dir_list,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .link = sim_link,
    .dir_list_dirs = sim_dir_list_dirs,
    .dir_remove = sim_dir_remove,
    .space = sim_space,
    .file_open = sim_file_open,
    .file_close = sim_file_close,
    .file_size = sim_file_size,
    .file_allocate = sim_file_allocate,
    .file_truncate = sim_file_truncate,
    .file_lock = sim_file_lock,
    .read = sim_read,
    .writev = sim_writev,
    .datasync = sim_datasync,
    .read_now = sim_read_now,
    .write_now = sim_write_now,
    .datasync_now = sim_datasync_now,
};
