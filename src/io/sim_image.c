/*
 * What a crash may leave behind.
 *
 * At any instant some changes are open: writes on their way, writes completed but not synced, sizes, names. A
 * restart may find each of them or not, and of a write any of its sectors. All combinations are too many; the
 * numbered images are those in which one change is torn in every simple way while all others are lost, or all
 * kept:
 *
 *   image 0                    everything open is lost
 *   image 1                    everything open is kept
 *   then for each change with v variants, variant 0 = lost, variant v-1 = whole:
 *     variants 1 .. v-1        with all others lost
 *     variants 0 .. v-2        with all others kept
 *
 *   variants of a write of s sectors:  s <= 4: every subset, 2^s
 *                                      else:   lost, prefixes 1..s-1, suffixes 1..s-1, single holes 1..s-2,
 * whole variants of a size or a name:      lost, kept
 *
 * The number grows linearly with sectors. A random image goes beyond: every change draws for itself, every
 * sector for itself, and the last write may hold garbage in sectors that were under the head.
 */
#include "sim_world.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum { SUBSET_SECTORS_MAX = 4 };

/* An open change: pending on the disk, or the same seen in a write on its way. */
struct open_change {
    enum sim_change_kind kind;
    uint32_t inode;
    uint64_t offset; /* SIZE: the size */
    size_t len;
    const uint8_t *bytes;
    const struct sim_change *name; /* LINK, UNLINK, RENAME */
};

struct open_changes {
    struct open_change *change;
    size_t count;
};

enum tear { TEAR_VARIANT, TEAR_DRAWN };

struct decision {
    enum tear tear;
    uint64_t variant;
    uint64_t *dice; /* DRAWN */
    bool garbage;   /* DRAWN: the last write */
};

/* ---- what is open ---------------------------------------------------------------------------------------
 */

static bool changes_disk(const struct sim *sim, const struct sim_flight *flight)
{
    return flight->kind == EVENT_WRITE && flight->len > 0 && sim->disk.inodes[flight->inode].used;
}

static struct open_changes gather(const struct sim *sim)
{
    size_t capacity = sim->disk.changes_count;
    for (const struct sim_flight *flight = sim->flights; flight != NULL; flight = flight->next)
        capacity += 2;
    struct open_changes open = {.change = calloc(capacity + 1, sizeof open.change[0])};
    assert(open.change != NULL);

    for (size_t i = 0; i < sim->disk.changes_count; i++) {
        const struct sim_change *const change = &sim->disk.changes[i];
        open.change[open.count++] = (struct open_change){.kind = change->kind,
                                                         .inode = change->inode,
                                                         .offset = change->offset,
                                                         .len = change->len,
                                                         .bytes = change->bytes,
                                                         .name = change};
    }
    for (const struct sim_flight *flight = sim->flights; flight != NULL; flight = flight->next) {
        if (!changes_disk(sim, flight)) continue;
        const uint64_t end = flight->offset + flight->len;
        open.change[open.count++] = (struct open_change){.kind = SIM_WRITE,
                                                         .inode = flight->inode,
                                                         .offset = flight->offset,
                                                         .len = flight->len,
                                                         .bytes = flight->bytes};
        if (end > sim->disk.inodes[flight->inode].visible_bytes)
            open.change[open.count++] = (struct open_change){
                .kind = SIM_SIZE, .inode = flight->inode, .offset = end};
    }
    return open;
}

static uint64_t sectors_of(const struct sim *sim, const struct open_change *change)
{
    const uint32_t sector = sim->config.sector_bytes;
    if (change->len == 0) return 0;

    return (change->offset + change->len - 1) / sector - change->offset / sector + 1;
}

static uint64_t variants_of(const struct sim *sim, const struct open_change *change)
{
    if (change->kind != SIM_WRITE) return 2;
    const uint64_t sectors = sectors_of(sim, change);
    if (sectors <= SUBSET_SECTORS_MAX) return 1ULL << sectors;
    return 2 + 2 * (sectors - 1) + (sectors - 2);
}

uint64_t sim_images(const struct sim *sim)
{
    const struct open_changes open = gather(sim);
    uint64_t images = open.count > 0 ? 2 : 1;

    for (size_t i = 0; i < open.count; i++)
        images += 2 * (variants_of(sim, &open.change[i]) - 1);
    free(open.change);
    return images;
}

/* ---- tearing --------------------------------------------------------------------------------------------
 */

static bool variant_keeps(uint64_t variant, uint64_t sector, uint64_t sectors)
{
    if (sectors <= SUBSET_SECTORS_MAX) return (variant >> sector & 1) != 0;
    if (variant == 0) return false;
    if (variant < sectors) return sector < variant; /* a prefix of that many */
    if (variant < 2 * sectors - 1) return sector >= sectors - (variant - sectors + 1); /* a suffix */
    const uint64_t hole = variant - (2 * sectors - 1) + 1;
    return hole >= sectors - 1 || sector != hole; /* beyond the holes: whole */
}

static void write_garbage(struct sim_inode *file, uint64_t offset, size_t len, uint64_t *dice)
{
    uint8_t bytes[4096];
    assert(len <= sizeof bytes);

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)sim__roll(dice, 256);
    content_write(&file->durable, offset, bytes, len);
}

static void apply_write(struct sim *world, const struct open_change *change, const struct decision *decision)
{
    struct sim_inode *const file = &world->disk.inodes[change->inode];
    const uint32_t sector_bytes = world->config.sector_bytes;
    const uint64_t sectors = sectors_of(world, change);
    const uint64_t mode = decision->tear == TEAR_DRAWN ? sim__roll(decision->dice, 4) : 0;
    size_t done = 0;

    for (uint64_t i = 0; i < sectors; i++) {
        const uint64_t at = change->offset + done;
        const size_t room = sector_bytes - (size_t)(at % sector_bytes);
        const size_t len = change->len - done < room ? change->len - done : room;
        bool keep = variant_keeps(decision->variant, i, sectors);
        if (decision->tear == TEAR_DRAWN) /* a quarter all lost, a quarter whole, the rest sector by sector */
            keep = mode == 1 || (mode >= 2 && sim__roll(decision->dice, 2) == 1);
        if (keep)
            content_write(&file->durable, at, change->bytes + done, len);
        else if (mode >= 2 && decision->garbage && sim__roll(decision->dice, 8) == 0)
            write_garbage(file, at, len, decision->dice);
        done += len;
    }
}

static void apply(struct sim *world, const struct open_change *change, const struct decision *decision)
{
    if (!world->disk.inodes[change->inode].used) return;
    if (change->kind == SIM_WRITE) {
        apply_write(world, change, decision);
        return;
    }
    const bool keep = decision->tear == TEAR_DRAWN ? sim__roll(decision->dice, 2) == 1
                                                   : decision->variant > 0;
    if (!keep) return;
    if (change->kind == SIM_SIZE)
        disk_apply_size(&world->disk.inodes[change->inode], change->offset);
    else
        disk_apply_name(&world->disk, &world->disk.durable, change->name);
}

/* ---- the world after the crash --------------------------------------------------------------------------
 */

static struct sim *fork_world(const struct sim *sim, uint64_t seed)
{
    struct sim *const world = sim__open(seed, sim->config.sector_bytes);

    world->now_ns = sim->now_ns;
    world->wall_offset_ns = sim->wall_offset_ns;
    world->space_free_bytes = sim->space_free_bytes;
    world->space_total_bytes = sim->space_total_bytes;
    disk_fork(&world->disk, &sim->disk);
    return world;
}

/* What is durable now is what programs will see. */
static void settle(struct sim *world)
{
    struct sim_disk *const disk = &world->disk;

    for (uint32_t i = 0; i < disk->inodes_count; i++) {
        struct sim_inode *const file = &disk->inodes[i];
        if (!file->used) continue;
        content_cut(&file->durable, file->durable_bytes);
        content_share(&file->visible, &file->durable);
        file->visible_bytes = file->durable_bytes;
    }
    if (disk->durable.count > 0) {
        disk->visible.name = malloc(disk->durable.count * sizeof disk->visible.name[0]);
        assert(disk->visible.name != NULL);
        memcpy(disk->visible.name, disk->durable.name, disk->durable.count * sizeof disk->visible.name[0]);
    }
    disk->visible.count = disk->visible.capacity = disk->durable.count;
    disk_sweep(disk);
}

static const struct decision lost = {.tear = TEAR_VARIANT, .variant = 0};

struct sim *sim_crash(const struct sim *sim, uint64_t image, uint64_t seed)
{
    const struct open_changes open = gather(sim);
    struct sim *const world = fork_world(sim, seed);
    size_t target = open.count; /* none */
    struct decision torn = lost;
    bool others_kept = image == 1;

    for (uint64_t left = image - 2, i = 0; image >= 2 && target == open.count; i++) {
        assert(i < open.count); /* image < sim_images() */
        const uint64_t half = variants_of(sim, &open.change[i]) - 1;
        if (left < 2 * half) {
            target = i;
            others_kept = left >= half;
            torn.variant = others_kept ? left - half : left + 1;
        }
        left -= 2 * half;
    }
    for (size_t i = 0; i < open.count; i++) {
        const uint64_t whole = variants_of(sim, &open.change[i]) - 1;
        const struct decision other = {.tear = TEAR_VARIANT, .variant = others_kept ? whole : 0};
        apply(world, &open.change[i], i == target ? &torn : &other);
    }
    settle(world);
    free(open.change);
    return world;
}

struct sim *sim_crash_random(const struct sim *sim, uint64_t seed)
{
    const struct open_changes open = gather(sim);
    struct sim *const world = fork_world(sim, seed);
    uint64_t dice = hash_mix(seed, 0x7465617273);
    size_t last = open.count;

    for (size_t i = 0; i < open.count; i++)
        if (open.change[i].kind == SIM_WRITE) last = i;
    for (size_t i = 0; i < open.count; i++) {
        const struct decision drawn = {.tear = TEAR_DRAWN, .dice = &dice, .garbage = i == last};
        apply(world, &open.change[i], &drawn);
    }
    settle(world);
    free(open.change);
    return world;
}
