/* The simulated disk; the model stands in sim_disk.h. Running out of memory ends the test. */
#include "sim_disk.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    if (count < *capacity) return items;

    *capacity = *capacity * 2 + 16;
    void *const larger = reallocarray(items, *capacity, item_bytes);
    assert(larger != NULL);
    return larger;
}

static void copy_text(char *to, size_t capacity, const char *from)
{
    const int length = snprintf(to, capacity, "%s", from);

    assert(length >= 0 && (size_t)length < capacity); /* names were measured at the door */
}

/* ---- life -----------------------------------------------------------------------------------------------
 */

void disk_deinit(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->inodes_count; i++) {
        content_release(&disk->inodes[i].visible);
        content_release(&disk->inodes[i].durable);
    }
    for (size_t i = 0; i < disk->changes_count; i++)
        free(disk->changes[i].bytes);
    free(disk->inodes);
    free(disk->visible.name);
    free(disk->durable.name);
    free(disk->changes);
    *disk = (struct sim_disk){0};
}

static void names_copy(struct sim_names *dst, const struct sim_names *src)
{
    *dst = (struct sim_names){.count = src->count, .capacity = src->count};
    if (src->count == 0) return;
    dst->name = malloc(src->count * sizeof dst->name[0]);
    assert(dst->name != NULL);
    memcpy(dst->name, src->name, src->count * sizeof dst->name[0]);
}

void disk_fork(struct sim_disk *dst, const struct sim_disk *src)
{
    dst->dirs_count = src->dirs_count;
    memcpy(dst->dirs, src->dirs, src->dirs_count * sizeof src->dirs[0]);
    dst->inodes_count = dst->inodes_capacity = src->inodes_count;
    dst->inodes = calloc(src->inodes_count + 1, sizeof dst->inodes[0]);
    assert(dst->inodes != NULL);
    for (uint32_t i = 0; i < src->inodes_count; i++) {
        const struct sim_inode *const from = &src->inodes[i];
        if (!from->used) continue;
        dst->inodes[i] = (struct sim_inode){.used = true, .durable_bytes = from->durable_bytes};
        content_share(&dst->inodes[i].durable, &from->durable);
    }
    names_copy(&dst->durable, &src->durable);
}

/* ---- names ----------------------------------------------------------------------------------------------
 */

enum err disk_dir(struct sim_disk *disk, const char *path, bool create, uint32_t *out)
{
    for (uint32_t i = 0; i < disk->dirs_count; i++) {
        if (strcmp(disk->dirs[i], path) != 0) continue;
        *out = i;
        return OK;
    }
    if (!create) return ERR_NOT_FOUND;
    if (disk->dirs_count == SIM_DIRS_MAX) return ERR_NO_SPACE;

    copy_text(disk->dirs[disk->dirs_count], SIM_PATH_MAX, path);
    *out = disk->dirs_count++;
    return OK;
}

static struct sim_name *names_entry(const struct sim_names *names, uint32_t dir, const char *text)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->name[i].dir == dir && strcmp(names->name[i].text, text) == 0) return &names->name[i];
    return NULL;
}

static void names_set(struct sim_names *names, uint32_t dir, const char *text, uint32_t inode)
{
    struct sim_name *entry = names_entry(names, dir, text);

    if (entry == NULL) {
        names->name = grow(names->name, names->count, &names->capacity, sizeof names->name[0]);
        entry = &names->name[names->count++];
        *entry = (struct sim_name){.dir = dir};
        copy_text(entry->text, sizeof entry->text, text);
    }
    entry->inode = inode;
}

static void names_remove(struct sim_names *names, uint32_t dir, const char *text, uint32_t inode)
{
    struct sim_name *const entry = names_entry(names, dir, text);
    if (entry == NULL || entry->inode != inode) return;

    *entry = names->name[--names->count];
}

uint32_t disk_find(const struct sim_names *names, uint32_t dir, const char *name)
{
    const struct sim_name *const entry = names_entry(names, dir, name);

    return entry != NULL ? entry->inode : SIM_NONE;
}

uint32_t disk_find_path(const struct sim_disk *disk, const char *path)
{
    char full[SIM_PATH_MAX + SIM_NAME_MAX];
    const size_t wanted = strlen(path);

    for (size_t i = 0; i < disk->visible.count; i++) {
        const struct sim_name *const entry = &disk->visible.name[i];
        const int length = snprintf(full, sizeof full, "%s/%s", disk->dirs[entry->dir], entry->text);
        if (length < 0 || (size_t)length < wanted) continue;
        const size_t skip = (size_t)length - wanted;
        if (strcmp(full + skip, path) == 0 && (skip == 0 || full[skip - 1] == '/')) return entry->inode;
    }
    return SIM_NONE;
}

uint64_t disk_hash(const struct sim_disk *disk)
{
    uint64_t hash = disk->dirs_count;

    for (size_t i = 0; i < disk->visible.count; i++) {
        const struct sim_name *const name = &disk->visible.name[i];
        const struct sim_inode *const file = &disk->inodes[name->inode];
        const uint64_t named = hash_fast(name->text, strlen(name->text), name->dir);
        hash += hash_mix(hash_mix(named, file->visible_bytes), content_hash(&file->visible));
    }
    return hash;
}

static struct sim_change *change_add(struct sim_disk *disk, enum sim_change_kind kind, uint32_t inode)
{
    disk->changes = grow(disk->changes, disk->changes_count, &disk->changes_capacity,
                         sizeof disk->changes[0]);

    struct sim_change *const change = &disk->changes[disk->changes_count++];
    *change = (struct sim_change){.kind = kind, .inode = inode, .sequence = disk->sequence++};
    return change;
}

static uint32_t inode_make(struct sim_disk *disk)
{
    uint32_t index = 0;

    while (index < disk->inodes_count && disk->inodes[index].used)
        index++;
    if (index == disk->inodes_count) {
        size_t capacity = disk->inodes_capacity;
        disk->inodes = grow(disk->inodes, disk->inodes_count, &capacity, sizeof disk->inodes[0]);
        disk->inodes_capacity = (uint32_t)capacity;
        disk->inodes_count++;
    }
    disk->inodes[index] = (struct sim_inode){.used = true};
    return index;
}

enum err disk_create(struct sim_disk *disk, uint32_t dir, const char *name, uint32_t *inode)
{
    if (disk_find(&disk->visible, dir, name) != SIM_NONE) return ERR_EXISTS;

    *inode = inode_make(disk);
    struct sim_change *const change = change_add(disk, SIM_LINK, *inode);
    change->dir = dir;
    copy_text(change->to, sizeof change->to, name);
    disk_apply_name(disk, &disk->visible, change);
    return OK;
}

enum err disk_rename(struct sim_disk *disk, uint32_t dir, const char *from, const char *to)
{
    const uint32_t inode = disk_find(&disk->visible, dir, from);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;
    if (disk_find(&disk->visible, dir, to) == inode) return OK;

    struct sim_change *const change = change_add(disk, SIM_RENAME, inode);
    change->dir = dir;
    copy_text(change->from, sizeof change->from, from);
    copy_text(change->to, sizeof change->to, to);
    disk_apply_name(disk, &disk->visible, change);
    return OK;
}

enum err disk_unlink(struct sim_disk *disk, uint32_t dir, const char *name)
{
    const uint32_t inode = disk_find(&disk->visible, dir, name);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;

    struct sim_change *const change = change_add(disk, SIM_UNLINK, inode);
    change->dir = dir;
    copy_text(change->from, sizeof change->from, name);
    disk_apply_name(disk, &disk->visible, change);
    return OK;
}

enum err disk_link(struct sim_disk *disk, uint32_t dir, const char *name, uint32_t to_dir, const char *to)
{
    const uint32_t inode = disk_find(&disk->visible, dir, name);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;
    if (disk_find(&disk->visible, to_dir, to) != SIM_NONE) return ERR_EXISTS;

    struct sim_change *const change = change_add(disk, SIM_LINK, inode);
    change->dir = to_dir;
    copy_text(change->to, sizeof change->to, to);
    disk_apply_name(disk, &disk->visible, change);
    return OK;
}

void disk_apply_name(struct sim_disk *disk, struct sim_names *names, const struct sim_change *change)
{
    (void)disk;
    if (change->kind != SIM_UNLINK) names_set(names, change->dir, change->to, change->inode);
    if (change->kind != SIM_LINK) names_remove(names, change->dir, change->from, change->inode);
}

static bool is_name(const struct sim_change *change)
{
    return change->kind >= SIM_LINK;
}

/*
 * Takes the changes out that `save` says it has dealt with. In two passes: saving looks at older changes, so
 * none may move or go before all have been judged.
 */
static void changes_filter(struct sim_disk *disk,
                           bool (*save)(struct sim_disk *, struct sim_change *, uint64_t argument),
                           uint64_t argument)
{
    size_t kept = 0;

    for (size_t i = 0; i < disk->changes_count; i++)
        disk->changes[i].saved = save(disk, &disk->changes[i], argument);
    for (size_t i = 0; i < disk->changes_count; i++) {
        if (disk->changes[i].saved)
            free(disk->changes[i].bytes);
        else
            disk->changes[kept++] = disk->changes[i];
    }
    disk->changes_count = kept;
}

static bool save_name(struct sim_disk *disk, struct sim_change *change, uint64_t dir)
{
    if (!is_name(change) || change->dir != dir) return false;

    disk_apply_name(disk, &disk->durable, change);
    return true;
}

void disk_dir_sync(struct sim_disk *disk, uint32_t dir)
{
    changes_filter(disk, save_name, dir);
}

static bool is_in(const struct sim_disk *disk, uint32_t dir, const char *path)
{
    const size_t len = strlen(path);

    return strncmp(disk->dirs[dir], path, len) == 0 && disk->dirs[dir][len] == '/';
}

static bool drop_name(struct sim_disk *disk, struct sim_change *change, uint64_t dir)
{
    (void)disk;
    return is_name(change) && change->dir == dir;
}

/* A directory that is durably gone has durably lost its files. */
enum err disk_dir_remove(struct sim_disk *disk, const char *path)
{
    uint32_t dir;

    TRY(disk_dir(disk, path, false, &dir));
    for (size_t i = 0; i < disk->visible.count; i++)
        if (disk->visible.name[i].dir == dir) return ERR_EXISTS;
    for (uint32_t i = 0; i < disk->dirs_count; i++)
        if (is_in(disk, i, path)) return ERR_EXISTS;
    changes_filter(disk, drop_name, dir);
    for (size_t i = disk->durable.count; i-- > 0;)
        if (disk->durable.name[i].dir == dir)
            disk->durable.name[i] = disk->durable.name[--disk->durable.count];
    disk->dirs[dir][0] = '\0';
    return OK;
}

/* ---- unreachable files ----------------------------------------------------------------------------------
 */

static bool named(const struct sim_names *names, uint32_t inode)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->name[i].inode == inode) return true;
    return false;
}

static bool reachable(const struct sim_disk *disk, uint32_t inode)
{
    if (disk->inodes[inode].handles > 0) return true;
    if (named(&disk->visible, inode) || named(&disk->durable, inode)) return true;
    for (size_t i = 0; i < disk->changes_count; i++)
        if (is_name(&disk->changes[i]) && disk->changes[i].inode == inode) return true;
    return false;
}

static bool drop(struct sim_disk *disk, struct sim_change *change, uint64_t inode)
{
    (void)disk;
    return change->inode == inode;
}

void disk_sweep(struct sim_disk *disk)
{
    for (uint32_t i = 0; i < disk->inodes_count; i++) {
        if (!disk->inodes[i].used || reachable(disk, i)) continue;
        changes_filter(disk, drop, i);
        content_release(&disk->inodes[i].visible);
        content_release(&disk->inodes[i].durable);
        disk->inodes[i] = (struct sim_inode){0};
    }
}

/* ---- bytes ----------------------------------------------------------------------------------------------
 */

void disk_apply_size(struct sim_inode *inode, uint64_t bytes)
{
    content_cut(&inode->durable, bytes); /* also bytes whose own growth was lost */
    inode->durable_bytes = bytes;
}

/* Older pending bytes under a durable write become the new ones: the old ones are nowhere any more. */
static void overwrite_pending(struct sim_disk *disk, uint32_t inode, uint64_t sequence, uint64_t offset,
                              const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < disk->changes_count; i++) {
        struct sim_change *const change = &disk->changes[i];
        if (change->kind != SIM_WRITE || change->inode != inode || change->sequence >= sequence) continue;
        const uint64_t from = change->offset > offset ? change->offset : offset;
        const uint64_t change_end = change->offset + change->len, end = offset + len;
        const uint64_t until = change_end < end ? change_end : end;
        if (from < until)
            memcpy(change->bytes + (from - change->offset), bytes + (from - offset), until - from);
    }
}

static bool save_size(struct sim_disk *disk, struct sim_change *change, uint64_t inode)
{
    if (change->kind != SIM_SIZE || change->inode != inode) return false;

    disk_apply_size(&disk->inodes[inode], change->offset);
    return true;
}

void disk_write(struct sim_disk *disk, uint32_t inode, uint64_t offset, uint8_t *bytes, size_t len,
                bool durable)
{
    struct sim_inode *const file = &disk->inodes[inode];
    const uint64_t end = offset + len;
    const bool grows = len > 0 && end > file->visible_bytes;

    content_write(&file->visible, offset, bytes, len);
    if (grows) file->visible_bytes = end;
    if (!durable) {
        struct sim_change *const change = change_add(disk, SIM_WRITE, inode);
        change->offset = offset;
        change->len = len;
        change->bytes = bytes;
    }
    if (grows) change_add(disk, SIM_SIZE, inode)->offset = end;
    if (!durable) return;

    /* What is needed to read the bytes again is durable too: the size. */
    if (len > 0 && end > file->durable_bytes) changes_filter(disk, save_size, inode);
    content_write(&file->durable, offset, bytes, len);
    overwrite_pending(disk, inode, disk->sequence, offset, bytes, len);
    free(bytes);
}

void disk_resize(struct sim_disk *disk, uint32_t inode, uint64_t bytes)
{
    struct sim_inode *const file = &disk->inodes[inode];
    if (bytes == file->visible_bytes) return;

    if (bytes < file->visible_bytes) content_cut(&file->visible, bytes);
    file->visible_bytes = bytes;
    change_add(disk, SIM_SIZE, inode)->offset = bytes;
}

struct span_of_sync {
    uint32_t inode;
    uint64_t sequence;
};

static bool covered(const struct sim_change *change, const struct span_of_sync *sync)
{
    return !is_name(change) && change->inode == sync->inode && change->sequence < sync->sequence;
}

static bool save_data(struct sim_disk *disk, struct sim_change *change, uint64_t argument)
{
    const struct span_of_sync *const sync = (const struct span_of_sync *)(uintptr_t)argument;
    if (!covered(change, sync) || change->forgotten) return false;

    struct sim_inode *const file = &disk->inodes[change->inode];
    if (change->kind == SIM_SIZE) {
        disk_apply_size(file, change->offset);
        return true;
    }
    content_write(&file->durable, change->offset, change->bytes, change->len);
    overwrite_pending(disk, change->inode, change->sequence, change->offset, change->bytes, change->len);
    return true;
}

void disk_datasync(struct sim_disk *disk, uint32_t inode, uint64_t sequence)
{
    const struct span_of_sync sync = {.inode = inode, .sequence = sequence};

    changes_filter(disk, save_data, (uintptr_t)&sync);
}

void disk_datasync_failed(struct sim_disk *disk, uint32_t inode, uint64_t sequence)
{
    const struct span_of_sync sync = {.inode = inode, .sequence = sequence};

    for (size_t i = 0; i < disk->changes_count; i++)
        if (disk->changes[i].kind == SIM_WRITE && covered(&disk->changes[i], &sync))
            disk->changes[i].forgotten = true;
}
