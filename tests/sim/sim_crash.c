/*
 * The crash campaign: a store over a simulated disk is stopped at every event of its life, in every way that
 * its unfinished writes may have reached the disk, and each time a new store is started on what is left.
 *
 *   sim_crash --images N --seed S [--per-workload N] [--requests N] [--bug NAME] [--first] [--hash] [--verbose]
 *
 * A workload (workload.h) drawn from the seed runs through the real shard, journal, sealer and catalog.
 * Before each event that finds something changed the disk's crash images are taken: per pending write none, all, every prefix, every
 * suffix, every hole, with the rest lost or kept, then random ones. Each image is started in a world of its
 * own, read back through the readers of queries, and compared with the model (model.h):
 *
 *   1  acknowledged <= recovered <= sent, whole requests, no span doubled, none altered
 *   2  what is recovered is a prefix of the journal, no shorter than what was answered or visible
 *   3  one distinct image in four lives on: it takes further requests, which must be answered and visible, and
 *      what the first life lost stays lost; that life crashes, too, at some event, and then stops
 *   4  one distinct image in eight crashes in the middle of its recovery and is started again
 *   5  answers come in the order of the requests, with rising positions
 *
 * An image that is equal to one of the same workload, in its bytes and in what was promised, is not started again: it has been
 * judged. It counts all the same; the line before the last says how many there were. What an image is draws whether it crashes
 * in its recovery and lives on, so equal ones would do the same.
 *
 * From each workload at most 2,500 images are taken, evenly (--per-workload); then the next seed's begins,
 * until N images have been tried. The sector size is 512 or 4096 bytes in turn; in two workloads of four some
 * writes, syncs and calls on names fail as they run. The last line is
 *
 *   images=N lost=0 doubled=0 wrong=0 seed=S
 *
 * with exit code 1 when one of the three is not 0. A failure is printed with the seed, event and image that
 * reproduce it; --first stops there.
 *
 * --hash also prints a hash over all events of the workloads and all verdicts: equal seeds, equal hashes.
 * --bug switches on one seeded bug (base/seeded_bug.h), in builds that have them: the campaign must then
 * fail.
 */
#include "life.h"
#include "seen.h"

#include "base/log.h"
#include "base/seeded_bug.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SHOWN_MAX = 10, /* failures printed in full */
    REQUESTS = 40,
    REQUESTS_LATER = 6, /* in a second life */
    RANDOM_PER_EVENT = 4,
    IMAGES_PER_WORKLOAD = 2500,
    FIRST_ID_LATER = 100, /* ids of second lives, by depth */
};

struct campaign {
    uint64_t seed, images_max, per_workload, requests;
    bool hash, first, verbose;
    /* state */
    uint64_t images, equal, second_lives, nested;
    struct seen seen;           /* in the workload that runs */
    uint64_t changes, promises; /* sim_changes() and model_hash() when images were last taken */
    uint64_t counts[4];         /* by verdict */
    uint64_t shown, verdicts_hash;
    uint64_t workload_seed, workload_images; /* of the workload that runs */
    uint64_t stride;                         /* takes one image in so many */
    struct life *main_life;
    uint64_t event, image; /* where we are, for the report */
    bool counting;         /* a first pass that only counts images */
    uint64_t counted;
};

static struct campaign campaign = {
    .seed = 1, .images_max = 2000, .per_workload = IMAGES_PER_WORKLOAD, .requests = REQUESTS};

static void try_image(struct sim *image, const struct model *model, unsigned must, unsigned depth,
                      uint64_t random);

/* Segments are merged in every second workload. */
static bool campaign_merges(void)
{
    return campaign.workload_seed % 4 == 1 || campaign.workload_seed % 4 == 2;
}

/* In some of those retention removes what pins do not hold. */
static bool campaign_trims(void)
{
    return campaign.workload_seed % 8 == 1 || campaign.workload_seed % 8 == 6;
}

/* ---- reports ---------------------------------------------------------------------------------------- */

static void count_verdict(enum verdict verdict, const char *where, unsigned depth)
{
    campaign.counts[verdict]++;
    campaign.verdicts_hash = hash_mix(campaign.verdicts_hash + verdict, depth);
    if (verdict == GOOD || campaign.shown++ >= SHOWN_MAX) return;
    printf("%s: %s, depth %u: --seed %" PRIu64 ", event %" PRIu64 ", image %" PRIu64 "\n",
           verdict_text(verdict), where, depth, campaign.workload_seed, campaign.event, campaign.image);
    fflush(stdout);
    if (campaign.first) _exit(1);
}

/* An assertion of the code under test has failed: say where, then die. Only calls that a signal handler may
 * make. */
static void on_abort(int number)
{
    char text[160];
    const int len = snprintf(text, sizeof text,
                             "assertion: --seed %" PRIu64 ", event %" PRIu64 ", image %" PRIu64 "\n",
                             campaign.workload_seed, campaign.event, campaign.image);
    if (write(STDOUT_FILENO, text, (size_t)len) < 0) _exit(3);
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- a crash in the middle of another life ---------------------------------------------------------- */

/* Crashes a world once, at an event drawn beforehand, and tries the image. */
struct ambush {
    struct life *life;
    uint64_t at_event, events;
    uint64_t random;
    unsigned must; /* while recovering; afterwards the life's own model says */
};

static void spring(void *context, struct sim *sim)
{
    struct ambush *ambush = context;
    if (ambush->events++ != ambush->at_event) return;

    const uint64_t images = sim_images(sim);
    struct sim *image = ambush->random % 2 == 0 && images > 0
                            ? sim_crash(sim, ambush->random / 2 % images, ambush->random)
                            : sim_crash_random(sim, ambush->random);
    const struct model model = ambush->life->model;
    const unsigned must = ambush->life->serving ? life_promised(ambush->life) : ambush->must;
    campaign.nested++;
    try_image(image, &model, must, ambush->life->depth + 1, hash_mix(ambush->random, 3));
}

static struct ambush ambush_of(struct life *life, unsigned must, uint64_t within, uint64_t random)
{
    return (struct ambush){
        .life = life, .at_event = random % within, .random = hash_mix(random, 5), .must = must};
}

/* ---- one image -------------------------------------------------------------------------------------- */

/* The store that was recovered goes on: more requests, all of which must come back. */
static void second_life(struct life *life, struct sim *sim, uint64_t random)
{
    struct workload workload;
    struct ambush ambush = ambush_of(life, 0, random / 2 % 2 == 0 ? 4 : 60, random / 4);
    campaign.second_lives++;

    workload_make(&workload, random,
                  &(struct workload_shape){.first_id = FIRST_ID_LATER + 50 * life->depth,
                                           .requests = REQUESTS_LATER,
                                           .close_every = 4,
                                           .trims = campaign_trims(),
                                           .merges = campaign_merges()});
    if (life->depth < DEPTH_MAX) sim_watch(sim, spring, &ambush);
    life_run(life, &workload);
    sim_watch(sim, NULL, NULL);
    life_land(life);
    unsigned prefix = 0;
    enum verdict verdict = model_compare(&life->model, life->model.count, &life->world, &prefix);
    if (verdict == GOOD && (life->disordered || life->model.acked != life->model.count)) verdict = WRONG;
    count_verdict(verdict, "in the next life", life->depth);
}

static void try_again_after_stop(struct sim *sim, const struct model *model, unsigned depth)
{
    struct life *life = lives[depth];
    unsigned prefix = 0;

    life->trims = campaign_trims();
    if (life_begin(life, sim, model, depth) != OK) {
        count_verdict(LOST, "no start after an orderly stop", depth);
        return;
    }
    count_verdict(model_compare(&life->model, model->count, &life->world, &prefix), "after an orderly stop",
                  depth);
    life_finish(life);
}

/* Starts a store on the image, compares, perhaps lives on. Owns the image. */
static void try_image(struct sim *image, const struct model *model, unsigned must, unsigned depth,
                      uint64_t random)
{
    struct life *life = lives[depth];
    life->trims = campaign_trims();
    struct ambush ambush = ambush_of(life, must, 48, hash_mix(random, 7));
    unsigned prefix = 0;

    if (depth < DEPTH_MAX && random % 8 == 0) sim_watch(image, spring, &ambush);
    const enum err err = life_begin(life, image, model, depth);
    sim_watch(image, NULL, NULL);
    if (err != OK) {
        count_verdict(LOST, err_text(err), depth);
        sim_close(image);
        return;
    }
    const enum verdict verdict = model_compare(&life->model, must, &life->world, &prefix);
    count_verdict(verdict, "after recovery", depth);
    if (verdict != GOOD) {
        life_finish(life);
        sim_close(image);
        return;
    }
    model_settle(&life->model, prefix);
    if (random / 8 % 4 == 0) second_life(life, image, hash_mix(random, 9));
    life_finish(life);
    if (random / 32 % 8 == 0) {
        const struct model left = life->model;
        try_again_after_stop(image, &left, depth);
    }
    sim_close(image);
}

/* ---- the main life ---------------------------------------------------------------------------------- */

/* Unless it is equal to one that was tried. What it is draws whether it lives on. */
static void try_distinct(struct sim *image, uint64_t promises, unsigned must)
{
    const uint64_t key = hash_mix(sim_disk_hash(image), promises);

    if (!seen_add(&campaign.seen, key, 1)) {
        campaign.equal++;
        sim_close(image);
        return;
    }
    try_image(image, &campaign.main_life->model, must, 1, hash_mix(campaign.workload_seed, key));
}

static void try_images(struct sim *sim, unsigned must, uint64_t images, uint64_t promises)
{
    for (uint64_t image = 0; image < images + RANDOM_PER_EVENT; image++) {
        if (campaign.workload_images++ % campaign.stride != 0) continue;
        if (campaign.images == campaign.images_max) return;
        const uint64_t dice = hash_mix(campaign.workload_seed * 1000003 + campaign.workload_images, 17);
        campaign.image = image;
        campaign.images++;
        try_distinct(image < images ? sim_crash(sim, image, dice) : sim_crash_random(sim, dice), promises,
                     must);
        if (campaign.images % 5000 == 0) {
            printf("%" PRIu64 " images, %" PRIu64 " of them equal to others, %" PRIu64
                   " second lives, %" PRIu64 " nested crashes\n",
                   campaign.images, campaign.equal, campaign.second_lives, campaign.nested);
            fflush(stdout);
        }
    }
}

/* Where nothing was written or answered since the event before, a crash finds what it found there. */
static void before_event(void *context, struct sim *sim)
{
    struct life *life = context;
    const unsigned must = life_promised(life);
    const uint64_t promises = model_hash(&life->model, must), changes = sim_changes(sim);

    campaign.event = sim_events(sim);
    if (campaign.changes == changes && campaign.promises == promises) return;
    campaign.changes = changes;
    campaign.promises = promises;
    const uint64_t images = sim_images(sim);
    if (campaign.counting)
        campaign.counted += images + RANDOM_PER_EVENT;
    else
        try_images(sim, must, images, promises);
}

/* Runs one workload from an empty disk to an orderly stop, with `before_event` watching. */
static uint64_t run_workload(uint64_t seed)
{
    static struct workload workload;
    struct sim *sim = sim_open(
        &(struct sim_config){.seed = seed, .sector_bytes = seed % 2 == 0 ? 512 : 4096});
    const struct model nothing = {0};
    struct life *life = lives[0];
    unsigned prefix = 0;

    campaign.main_life = life;
    campaign.changes = UINT64_MAX;
    life->serving = false;
    life->trims = campaign_trims();
    life->model = nothing;
    const bool faults = seed % 4 >= 2;
    for (unsigned depth = 0; depth <= DEPTH_MAX; depth++)
        lives[depth]->fails = faults;
    workload_make(&workload, seed,
                  &(struct workload_shape){.first_id = 1,
                                           .requests = (unsigned)campaign.requests,
                                           .close_every = campaign_merges() ? 5 : 12,
                                           .faults = faults ? 10 : 0,
                                           .trims = campaign_trims(),
                                           .merges = campaign_merges()});
    sim_watch(sim, before_event, life);
    if (life_begin(life, sim, &nothing, 0) != OK) {
        count_verdict(LOST, "no start on an empty disk", 0);
        sim_close(sim);
        return 0;
    }
    life_run(life, &workload);
    life_land(life);
    sim_watch(sim, NULL, NULL);
    const unsigned must = faults ? life_promised(life) : life->model.count;
    count_verdict(model_compare(&life->model, must, &life->world, &prefix), "without a crash", 0);
    if (life->disordered) count_verdict(WRONG, "answers out of order", 0);
    sim_watch(sim, before_event, life);
    life_finish(life);
    sim_watch(sim, NULL, NULL);
    const uint64_t hash = hash_mix(sim_hash(sim), campaign.verdicts_hash);
    sim_close(sim);
    return hash;
}

/* Counts the images of the workload, then takes an even share of them. */
static uint64_t try_workload(uint64_t seed)
{
    campaign.workload_seed = seed;
    campaign.workload_images = 0;
    seen_clear(&campaign.seen);
    campaign.counting = true;
    campaign.counted = 0;
    run_workload(seed);
    campaign.counting = false;
    const uint64_t left = campaign.images_max - campaign.images;
    const uint64_t share = left < campaign.per_workload ? left : campaign.per_workload;
    campaign.stride = campaign.counted > share ? (campaign.counted + share - 1) / share : 1;
    if (campaign.verbose) {
        printf("seed %" PRIu64 ": %" PRIu64 " events, %" PRIu64 " images, one in %" PRIu64 "\n", seed,
               campaign.event, campaign.counted, campaign.stride);
    }
    return run_workload(seed);
}

/* ---- command line ----------------------------------------------------------------------------------- */

static bool set_bug(const char *name)
{
#ifdef SPANMILL_SEEDED_BUGS
    seeded_bug = seeded_bug_by_name(name);
    return seeded_bug != 0;
#else
    (void)name;
    return false;
#endif
}

static bool parse(int argc, char **argv)
{
    static const struct option options[] = {
        {"images", required_argument, NULL, 'i'},
        {"seed", required_argument, NULL, 's'},
        {"requests", required_argument, NULL, 'r'},
        {"bug", required_argument, NULL, 'b'},
        {"per-workload", required_argument, NULL, 'p'},
        {"hash", no_argument, NULL, 'h'},
        {"first", no_argument, NULL, 'f'},
        {"verbose", no_argument, NULL, 'v'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'i': campaign.images_max = strtoull(optarg, NULL, 10); break;
        case 's': campaign.seed = strtoull(optarg, NULL, 10); break;
        case 'p': campaign.per_workload = strtoull(optarg, NULL, 10); break;
        case 'r': campaign.requests = strtoull(optarg, NULL, 10); break;
        case 'b':
            if (set_bug(optarg)) break;
            fprintf(stderr, "sim_crash: no seeded bug '%s' in this build\n", optarg);
            return false;
        case 'h': campaign.hash = true; break;
        case 'f': campaign.first = true; break;
        case 'v': campaign.verbose = true; break;
        default: return false;
        }
    }
    return campaign.per_workload >= 1 && campaign.requests >= 1 && campaign.requests <= 50;
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: sim_crash --images N --seed S [--per-workload N] [--requests 1..50] [--bug NAME] "
                "[--first] [--hash] [--verbose]\n");
        return 2;
    }
    log_set_level(campaign.verbose ? LOG_WARN : LOG_ERROR);
    signal(SIGABRT, on_abort);
    lives_open();
    uint64_t hash = 0;
    uint64_t seed = campaign.seed;
    for (; campaign.images < campaign.images_max; seed++) {
        hash = hash_mix(hash ^ try_workload(seed), seed);
    }
    uint64_t merge_steps = 0, rewrites = 0, erased = 0, failures = 0, drops = 0, incomplete = 0;
    for (unsigned depth = 0; depth <= DEPTH_MAX; depth++) {
        merge_steps += lives[depth]->merge_steps;
        rewrites += lives[depth]->rewrites;
        erased += lives[depth]->erased;
        failures += lives[depth]->failures;
        drops += lives[depth]->drops;
        incomplete += lives[depth]->incomplete;
    }
    lives_close();
    seen_deinit(&campaign.seen);
    if (campaign.hash) printf("hash=%016" PRIx64 "\n", hash);
    printf("seeds=%" PRIu64 "-%" PRIu64 " equal=%" PRIu64 " second_lives=%" PRIu64 " nested=%" PRIu64
           " merge_steps=%" PRIu64 " rewrites=%" PRIu64 " erased_spans=%" PRIu64 " failed_writes=%" PRIu64
           " of_them_gone=%" PRIu64 " incomplete_erasures=%" PRIu64 "\n",
           campaign.seed, seed - 1, campaign.equal, campaign.second_lives, campaign.nested, merge_steps,
           rewrites, erased, failures, drops, incomplete);
    printf("images=%" PRIu64 " lost=%" PRIu64 " doubled=%" PRIu64 " wrong=%" PRIu64 " seed=%" PRIu64 "\n",
           campaign.images, campaign.counts[LOST], campaign.counts[DOUBLED], campaign.counts[WRONG],
           campaign.seed);
    return campaign.counts[LOST] + campaign.counts[DOUBLED] + campaign.counts[WRONG] == 0 ? 0 : 1;
}
