/*
 * The rot campaign: bits of a store at rest change, pages are lost or end up elsewhere, files are cut; then the store
 * is started. What it shows must be as it was sent, and what it does not show must have been reported.
 *
 *   sim_rot --spots N --seed S [--verbose]
 *
 * A workload of the crash campaign runs to its orderly stop: some of its spans are in blocks, some in the journal.
 * Each spot is then tried on a copy of that disk:
 *
 *   half of them   one bit flips, in a file drawn first, so that small files are hit as often as large ones
 *   the others     a page of 4096 bytes becomes zeros, becomes that of another place, swaps two sectors, or the file
 *                  ends there
 *
 * and the start has one of these outcomes:
 *
 *   harmless   everything is there
 *   refused    the start fails: an operator decides
 *   reported   something is missing, and the report of the journal or the catalog says so
 *   silent     something is missing and nothing was said                                             a failure
 *   doubled    a span is there twice: a block behind a damaged header is served, but not trusted to shorten
 *              the replay of the journal; queries collapse equal spans
 *   wrong      a span is altered, or from nowhere                                              a failure
 *
 * A start that was refused is tried again with damage accepted: then it must not show anything wrong either.
 * The last line is  spots=N silent=0 wrong=0 seed=S , with exit code 1 when one of the two is not 0.
 */
#include "life.h"

#include "base/log.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FILES_MAX = 64,
    PAGE = 4096,
    SPOTS_PER_STORE = 500,
    SHOWN_MAX = 10,
};

struct rot {
    uint64_t spots_max, seed;
    bool verbose;
    /* state */
    uint64_t spots, harmless, refused, reported, doubled, silent, wrong, accepted;
    uint64_t store_seed;
    char paths[FILES_MAX][160];
    unsigned files;
    char what[256]; /* the spot, for the report */
};

static struct rot rot = {.spots_max = 2000, .seed = 1};

/* ---- spoiling --------------------------------------------------------------------------------------- */

static void note_file(void *context, const char *path)
{
    (void)context;
    assert(rot.files < FILES_MAX && strlen(path) < sizeof rot.paths[0]);
    memcpy(rot.paths[rot.files++], path, strlen(path) + 1);
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random = hash_mix(*random + 0x9e3779b97f4a7c15ULL, 31);
    return *random % below;
}

static void lose_page(struct sim *sim, const char *path, uint64_t at, size_t len)
{
    static const uint8_t zeros[PAGE];
    sim_poke(sim, path, at, zeros, len);
}

/* What belonged to another place lies here: a misdirected write, or two sectors the wrong way round. */
static void misplace(struct sim *sim, const char *path, uint64_t at, const char *from, uint64_t from_at,
                     size_t len, bool swap)
{
    uint8_t here[PAGE], there[PAGE];
    if (sim_peek(sim, path, at, here, len) != OK || sim_peek(sim, from, from_at, there, len) != OK) return;
    sim_poke(sim, path, at, there, len);
    if (swap) sim_poke(sim, from, from_at, here, len);
}

static void cut(struct sim *sim, const char *path, uint64_t at)
{
    struct io *io = sim_io(sim);
    struct io_dir *dir;
    struct io_file *file;
    char folder[160];
    const size_t len = (size_t)(strrchr(path, '/') - path);
    memcpy(folder, path, len);
    folder[len] = '\0';
    if (io_dir_open(io, NULL, folder, false, &dir) == OK) {
        if (io_file_open(io, dir, path + len + 1, IO_WRITABLE, &file) == OK) {
            io_file_truncate(io, file, at);
            io_datasync_now(io, file);
            io_file_close(io, file);
        }
        io_dir_close(io, dir);
    }
    io_close(io);
}

static void spoil(struct sim *sim, uint64_t random)
{
    const char *path = rot.paths[draw(&random, rot.files)], *other = rot.paths[draw(&random, rot.files)];
    uint64_t bytes = 0, other_bytes = 0;
    sim_file_bytes(sim, path, &bytes);
    sim_file_bytes(sim, other, &other_bytes);
    if (bytes == 0 || other_bytes == 0) return;

    const uint64_t kind = draw(&random, 8), at = draw(&random, (bytes + PAGE - 1) / PAGE) * PAGE;
    const uint64_t other_at = draw(&random, (other_bytes + PAGE - 1) / PAGE) * PAGE;
    const size_t len = bytes - at < PAGE ? (size_t)(bytes - at) : PAGE;
    const bool fits = other_at + len <= other_bytes;
    snprintf(rot.what, sizeof rot.what, "kind %" PRIu64 " at %" PRIu64 " of %s", kind, at, path);
    if (kind < 4 || !fits) {
        const uint64_t bit = draw(&random, bytes * 8);
        snprintf(rot.what, sizeof rot.what, "bit %" PRIu64 " of %s", bit, path);
        sim_flip(sim, path, bit);
    } else if (kind == 4) {
        lose_page(sim, path, at, len);
    } else if (kind == 5) {
        misplace(sim, path, at, other, other_at, len, false);
    } else if (kind == 6) {
        const uint64_t sector = draw(&random, 7) * 512;
        if (len == PAGE) misplace(sim, path, at + sector, path, at + sector + 512, 512, true);
    } else {
        cut(sim, path, at);
    }
}

/* ---- judging ---------------------------------------------------------------------------------------- */

static void fail(uint64_t *count, const char *word)
{
    if ((*count)++ >= SHOWN_MAX && !rot.verbose) return;
    printf("%s: --seed %" PRIu64 ", %s\n", word, rot.store_seed, rot.what);
    fflush(stdout);
}

static bool reported(const struct world *world)
{
    const struct journal_report *journal = &world->recovery.journal;
    const struct catalog_report *catalog = &world->catalog_report;

    return journal->missing_bytes > 0 || journal->unsealed_bytes > 0 || journal->short_files > 0 ||
           catalog->fenced > 0 || catalog->gaps > 0 || catalog->ignored > 0 || catalog->cut_bytes > 0 ||
           catalog_fenced(world->catalog) > 0;
}

static void judge(const struct model *model, struct life *life)
{
    bool missing = false;
    const enum verdict verdict = model_check_shown(model, &life->world, &missing);

    if (verdict == WRONG) {
        fail(&rot.wrong, "wrong");
    } else if (missing && !reported(&life->world)) {
        fail(&rot.silent, "silent");
    } else if (verdict == DOUBLED) {
        rot.doubled++;
    } else if (missing) {
        rot.reported++;
    } else {
        rot.harmless++;
    }
}

static void try_accepted(struct sim *sim, const struct model *model)
{
    struct life *life = lives[1];
    bool missing;

    struct world_config config = life_config(sim, 1);
    config.accept_damage = true;
    life->model = *model;
    life->sendings_count = 0;
    if (world_start(&life->world, &config) != OK) return;
    rot.accepted++;
    if (model_check_shown(model, &life->world, &missing) == WRONG) fail(&rot.wrong, "wrong, damage accepted");
    life_finish(life);
}

static void try_spot(const struct sim *store, const struct model *model, uint64_t random)
{
    struct life *life = lives[1];
    struct sim *sim = sim_crash(store, 0, random);

    spoil(sim, hash_mix(random, 3));
    if (life_begin(life, sim, model, 1) == OK) {
        judge(model, life);
        life_finish(life);
    } else {
        rot.refused++;
        try_accepted(sim, model);
    }
    rot.spots++;
    sim_close(sim);
}

/* ---- stores ----------------------------------------------------------------------------------------- */

/* A store after an orderly stop; the caller closes it. */
static struct sim *make_store(uint64_t seed, struct model *model)
{
    static struct workload workload;
    static const struct model nothing;
    struct life *life = lives[0];
    struct sim *sim = sim_open(&(struct sim_config){.seed = seed, .sector_bytes = 512});

    workload_make(&workload, seed,
                  &(struct workload_shape){.first_id = 1, .requests = 40, .close_every = 12});
    if (life_begin(life, sim, &nothing, 0) != OK) unreachable("a store starts on an empty disk");
    life_run(life, &workload);
    *model = life->model;
    assert(model->acked == model->count);
    life_finish(life);
    rot.files = 0;
    sim_list(sim, note_file, NULL);
    return sim;
}

static void try_store(uint64_t seed)
{
    static struct model model;
    rot.store_seed = seed;
    struct sim *store = make_store(seed, &model);

    for (uint64_t i = 0; i < SPOTS_PER_STORE && rot.spots < rot.spots_max; i++) {
        try_spot(store, &model, hash_mix(seed * 1000003 + i, 41));
    }
    sim_close(store);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"spots", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'n': rot.spots_max = strtoull(optarg, NULL, 10); break;
        case 's': rot.seed = strtoull(optarg, NULL, 10); break;
        case 'v': rot.verbose = true; break;
        default: fprintf(stderr, "usage: sim_rot --spots N --seed S [--verbose]\n"); return 2;
        }
    }
    log_set_level(rot.verbose ? LOG_DEBUG : (enum log_level)(LOG_ERROR + 1));
    lives_open();
    for (uint64_t seed = rot.seed; rot.spots < rot.spots_max; seed++)
        try_store(seed);
    lives_close();
    printf("harmless=%" PRIu64 " refused=%" PRIu64 " reported=%" PRIu64 " doubled=%" PRIu64
           " accepted=%" PRIu64 "\n",
           rot.harmless, rot.refused, rot.reported, rot.doubled, rot.accepted);
    printf("spots=%" PRIu64 " silent=%" PRIu64 " wrong=%" PRIu64 " seed=%" PRIu64 "\n", rot.spots, rot.silent,
           rot.wrong, rot.seed);
    return rot.silent + rot.wrong == 0 ? 0 : 1;
}
