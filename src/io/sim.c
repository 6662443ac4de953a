/*
 * A simulated world: its clock, its dice, its events and the faults planned for them.
 *
 * Everything that happens is drawn from two states that start from the seed and nothing else: no address, no
 * real clock, no order of a hash table. So one seed is one history, and sim_hash() over all events and
 * results says whether two runs were the same. Virtual time moves with events (20 to 300 us each) and with
 * turns that wait.
 */
#include "sim_world.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_NS      1000000000ULL
#define WALL_START_NS 1767225600000000000LL /* 2026-01-01 00:00:00 UTC */

enum { EVENT_MIN_NS = 20000, EVENT_SPREAD_NS = 280000 };

/* ---- life -----------------------------------------------------------------------------------------------
 */

struct sim *sim__open(uint64_t seed, uint32_t sector_bytes)
{
    assert(sector_bytes == 512 || sector_bytes == 4096);

    struct sim *const sim = calloc(1, sizeof *sim);
    assert(sim != NULL);
    sim->config.seed = seed;
    sim->config.sector_bytes = sector_bytes;
    sim->now_ns = START_NS;
    sim->wall_offset_ns = WALL_START_NS;
    sim->dice = hash_mix(seed, 0x64696365);
    sim->randomness = hash_mix(seed, 0x72616e64);
    sim->space_free_bytes = 1ULL << 40;
    sim->space_total_bytes = 1ULL << 41;
    return sim;
}

struct sim *sim_open(const struct sim_config *config)
{
    return sim__open(config->seed, config->sector_bytes);
}

void sim_close(struct sim *sim)
{
    if (sim == NULL) return;
    assert(sim->ios == NULL);

    sim_abandon(sim);
}

#define FREE_LIST(type, list)                                                                                \
    while ((list) != NULL) {                                                                                 \
        type *const gone = (list);                                                                           \
        (list) = gone->next;                                                                                 \
        free(gone);                                                                                          \
    }

void sim_abandon(struct sim *sim)
{
    if (sim == NULL) return;

    while (sim->flights != NULL)
        sim__free_flight(sim, sim->flights);
    FREE_LIST(struct sim_io, sim->ios);
    FREE_LIST(struct sim_dir, sim->dirs);
    FREE_LIST(struct sim_file, sim->files);
    disk_deinit(&sim->disk);
    free(sim);
}

void sim__free_flight(struct sim *sim, struct sim_flight *flight)
{
    struct sim_flight **link = &sim->flights;

    while (*link != flight)
        link = &(*link)->next;
    *link = flight->next;
    free(flight->bytes);
    free(flight);
}

/* ---- dice and time --------------------------------------------------------------------------------------
 */

uint64_t sim__roll(uint64_t *state, uint64_t below)
{
    *state += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
    uint64_t x = *state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ x >> 27) * 0x94d049bb133111ebULL;
    x ^= x >> 31;
    return below == 0 ? x : x % below;
}

void sim_advance(struct sim *sim, uint64_t ns)
{
    sim->now_ns += ns;
}

void sim_jump(struct sim *sim, int64_t wall_ns)
{
    sim->wall_offset_ns += wall_ns;
}

void sim_set_space(struct sim *sim, uint64_t free_bytes, uint64_t total_bytes)
{
    sim->space_free_bytes = free_bytes;
    sim->space_total_bytes = total_bytes;
}

/* ---- events and faults ----------------------------------------------------------------------------------
 */

static enum sim_fault fault_kind(enum sim_event_kind kind)
{
    switch (kind) {
    case EVENT_READ: return SIM_FAULT_READ;
    case EVENT_WRITE: return SIM_FAULT_WRITE;
    case EVENT_DATASYNC:
    case EVENT_DIR_SYNC: return SIM_FAULT_SYNC;
    default: return SIM_FAULT_NAME;
    }
}

/* Counts every plan of the kind down; the first that has come due is the answer. */
static const struct sim_plan *plan_due(struct sim *sim, enum sim_event_kind kind, bool stall)
{
    const enum sim_fault fault = fault_kind(kind);
    const struct sim_plan *due = NULL;

    for (unsigned i = 0; i < sim->plans_count; i++) {
        struct sim_plan *const plan = &sim->plans[i];
        if ((plan->stall_ns > 0) != stall) continue;
        if (plan->kind != SIM_FAULT_ANY && plan->kind != fault) continue;
        if (plan->nth == 0 && !plan->forever) continue; /* it has been */
        if (plan->nth > 0) plan->nth--;
        if (plan->nth == 0 && due == NULL) due = plan;
    }
    return due;
}

static bool changes_something(enum sim_event_kind kind)
{
    return kind != EVENT_READ && kind != EVENT_SIZE && kind != EVENT_LOCK && kind != EVENT_SPACE &&
           kind != EVENT_DIR_LIST;
}

enum err sim__event(struct sim *sim, enum sim_event_kind kind, uint64_t a, uint64_t b, uint64_t c)
{
    if (sim->watch != NULL) sim->watch(sim->watch_context, sim);
    sim->events++;
    sim->changes += changes_something(kind);
    sim->now_ns += EVENT_MIN_NS + sim__roll(&sim->dice, EVENT_SPREAD_NS);
    const uint64_t said[] = {kind, a, b, c, sim->now_ns};
    sim->hash = hash_fast(said, sizeof said, sim->hash);

    const struct sim_plan *const plan = plan_due(sim, kind, false);
    return plan != NULL ? plan->err : OK;
}

void sim__result(struct sim *sim, enum err err, uint64_t value)
{
    const uint64_t said[] = {err, value};

    sim->hash = hash_fast(said, sizeof said, sim->hash);
}

static bool is_of_directory(enum sim_event_kind kind)
{
    return kind == EVENT_DIR_SYNC || kind == EVENT_DIR_OPEN || kind == EVENT_DIR_LIST ||
           kind == EVENT_SPACE || kind == EVENT_DIR_REMOVE;
}

static bool path_has(const struct sim *sim, uint32_t dir, const char *text, const char *part)
{
    char path[SIM_PATH_MAX + SIM_NAME_MAX + 1];

    snprintf(path, sizeof path, "%s/%s", dir < sim->disk.dirs_count ? sim->disk.dirs[dir] : "", text);
    const size_t len = strlen(path), part_len = strlen(part);
    if (part_len == 0 || part[part_len - 1] != '$') return strstr(path, part) != NULL;
    return len >= part_len - 1 && strncmp(path + len - (part_len - 1), part, part_len - 1) == 0;
}

static bool is_at(const struct sim *sim, enum sim_event_kind kind, uint64_t a, const char *text)
{
    const char *const part = sim->place.part;

    if (text != NULL) return path_has(sim, (uint32_t)a, text, part);
    if (is_of_directory(kind)) return path_has(sim, (uint32_t)a, "", part);
    for (size_t i = 0; i < sim->disk.visible.count; i++) {
        const struct sim_name *const name = &sim->disk.visible.name[i];
        if (name->inode == a && path_has(sim, name->dir, name->text, part)) return true;
    }
    return false;
}

enum err sim__place(struct sim *sim, enum sim_event_kind kind, uint64_t a, const char *text)
{
    if (sim->place.times == 0 || (enum sim_event_kind)sim->place.op != kind || !is_at(sim, kind, a, text))
        return OK;
    if (sim->place.after > 0) {
        sim->place.after--;
        return OK;
    }
    sim->place.times--;
    sim->met++;
    sim->now_ns += sim->place.stall_ns;
    return sim->place.err;
}

void sim_fail_at(struct sim *sim, const struct sim_place *place)
{
    sim->place = *place;
    sim->met = 0;
}

uint64_t sim_met(const struct sim *sim)
{
    return sim->met;
}

uint64_t sim__stall_ns(struct sim *sim, enum sim_event_kind kind)
{
    const struct sim_plan *const plan = plan_due(sim, kind, true);

    return plan != NULL ? plan->stall_ns : 0;
}

static void plan_add(struct sim *sim, struct sim_plan plan)
{
    unsigned kept = 0;

    assert(plan.nth > 0);
    for (unsigned i = 0; i < sim->plans_count; i++)
        if (sim->plans[i].nth > 0 || sim->plans[i].forever) sim->plans[kept++] = sim->plans[i];
    sim->plans_count = kept;
    assert(sim->plans_count < SIM_FAULTS_MAX);
    sim->plans[sim->plans_count++] = plan;
}

void sim_fail(struct sim *sim, enum sim_fault kind, uint64_t nth, enum err err, bool forever)
{
    assert(err != OK);

    plan_add(sim, (struct sim_plan){.kind = kind, .nth = nth, .err = err, .forever = forever});
}

void sim_stall(struct sim *sim, enum sim_fault kind, uint64_t nth, uint64_t ns)
{
    assert(ns > 0);
    assert(kind == SIM_FAULT_READ || kind == SIM_FAULT_WRITE || kind == SIM_FAULT_SYNC);

    plan_add(sim, (struct sim_plan){.kind = kind, .nth = nth, .stall_ns = ns});
}

void sim_forgive(struct sim *sim)
{
    sim->plans_count = 0;
    sim->place.times = 0;
    for (struct sim_flight *flight = sim->flights; flight != NULL; flight = flight->next)
        flight->earliest_ns = 0;
}

void sim_watch(struct sim *sim, sim_watch_fn *watch, void *context)
{
    sim->watch = watch;
    sim->watch_context = context;
}

uint64_t sim_events(const struct sim *sim)
{
    return sim->events;
}

uint64_t sim_changes(const struct sim *sim)
{
    return sim->changes;
}

uint64_t sim_disk_hash(const struct sim *sim)
{
    return disk_hash(&sim->disk);
}

uint64_t sim_hash(const struct sim *sim)
{
    return sim->hash;
}

/* ---- files, as a test sees them -------------------------------------------------------------------------
 */

static void flip_in(struct content *content, uint64_t bit)
{
    uint8_t byte;

    content_read(content, bit / 8, &byte, 1);
    byte ^= (uint8_t)(1U << (bit % 8));
    content_write(content, bit / 8, &byte, 1);
}

enum err sim_flip(struct sim *sim, const char *path, uint64_t bit)
{
    const uint32_t inode = disk_find_path(&sim->disk, path);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;
    struct sim_inode *const file = &sim->disk.inodes[inode];
    if (bit / 8 >= file->visible_bytes) return ERR_NOT_FOUND;

    flip_in(&file->visible, bit);
    if (bit / 8 < file->durable_bytes) flip_in(&file->durable, bit);
    return OK;
}

enum err sim_file_bytes(struct sim *sim, const char *path, uint64_t *bytes)
{
    const uint32_t inode = disk_find_path(&sim->disk, path);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;

    *bytes = sim->disk.inodes[inode].visible_bytes;
    return OK;
}

enum err sim_peek(struct sim *sim, const char *path, uint64_t offset, void *bytes, size_t len)
{
    const uint32_t inode = disk_find_path(&sim->disk, path);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;

    content_read(&sim->disk.inodes[inode].visible, offset, bytes, len);
    return OK;
}

enum err sim_poke(struct sim *sim, const char *path, uint64_t offset, const void *bytes, size_t len)
{
    const uint32_t inode = disk_find_path(&sim->disk, path);
    if (inode == SIM_NONE) return ERR_NOT_FOUND;
    struct sim_inode *const file = &sim->disk.inodes[inode];
    if (offset > file->visible_bytes || len > file->visible_bytes - offset) return ERR_NOT_FOUND;

    content_write(&file->visible, offset, bytes, len);
    content_write(&file->durable, offset, bytes, len);
    content_cut(&file->durable, file->durable_bytes);
    return OK;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, so that what a test does with the list does not depend on the order of past unlinks. */
void sim_list(struct sim *sim, void (*visit)(void *context, const char *path), void *context)
{
    enum { PATH = SIM_PATH_MAX + SIM_NAME_MAX };
    const size_t count = sim->disk.visible.count;
    char *const texts = malloc(count * PATH + 1);
    char **const paths = malloc((count + 1) * sizeof *paths);
    assert(texts != NULL && paths != NULL);

    for (size_t i = 0; i < count; i++) {
        const struct sim_name *const name = &sim->disk.visible.name[i];
        paths[i] = texts + i * PATH;
        snprintf(paths[i], PATH, "%s/%s", sim->disk.dirs[name->dir], name->text);
    }
    qsort(paths, count, sizeof *paths, by_path);
    for (size_t i = 0; i < count; i++)
        visit(context, paths[i]);
    free(paths);
    free(texts);
}
