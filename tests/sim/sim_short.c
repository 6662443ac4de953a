/*
 * Every sequence of up to three operations of a store (short.h), from each of three stores, with a crash at every event of its
 * last operation and every image that the crash may leave (io/sim.h). Nearly all known bugs of this kind need no more than
 * three operations and a crash, so all of these are better than a great many long ones; those are sim_crash.c's.
 *
 *   sim_short [--length N] [--nested N] [--nested-length N] [--sector 512|4096] [--base NAME] [--only NAME,NAME,...]
 *             [--bug NAME] [--first] [--verbose]
 *
 * Each image is started, read through the readers of queries, and compared with what was promised (model.h). Images that are
 * equal in bytes and promises are started once; they count all the same, for they have been judged.
 *
 * In sequences of up to --nested-length operations, default 1, each of these starts crashes again, at every event, in every image,
 * and so down to --nested levels, default 1. One image in eight lives on: it takes requests, stops, and starts once more.
 *
 * The last lines say how many sequences there were, how many images of them were different, and how many came from starts:
 *
 *   sequences=N different=N nested=N next_lives=N
 *   images=N lost=0 doubled=0 wrong=0 sector=N
 *
 * with exit code 1 when one of the three is not 0. A failure is printed with the base, the operations, event and image; --only
 * with --base tries just that sequence.
 */
#include "life.h"
#include "seen.h"
#include "short.h"

#include "base/log.h"
#include "base/seeded_bug.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LENGTH_MAX = 3,
    SHOWN_MAX = 10,       /* failures printed in full */
    RANDOM_PER_EVENT = 2, /* images beyond the numbered ones: with garbage under the head */
};

struct sequence {
    enum base base;
    unsigned length;
    enum op ops[LENGTH_MAX];
};

/* A life that is crashed at each of its events. */
struct visit {
    struct life *life;
    unsigned must; /* while it starts; afterwards its own model says */
    bool nested;   /* it is the start of an image */
    uint64_t changes, promises;
};

struct campaign {
    unsigned length, nested, nested_length;
    uint32_t sector_bytes;
    bool first, verbose;
    struct sequence only; /* length 0: all */
    bool base_only;
    /* state */
    struct sequence sequence;   /* that runs */
    struct sim *bases[BASES];   /* as killed after their preparation; NULL: empty */
    struct model models[BASES]; /* what they have promised */
    struct seen seen;
    uint64_t event, image; /* where we are, for the report */
    uint64_t sequences, images, different, nested_images, next_lives;
    uint64_t counts[4]; /* by verdict */
    uint64_t shown;
};

static struct campaign campaign = {.length = 2, .nested = 1, .nested_length = 1, .sector_bytes = 4096};

static void try_image(struct sim *image, const struct model *model, unsigned must, unsigned depth,
                      uint64_t key);

/* ---- reports ------------------------------------------------------------------------------------------ */

static int describe(char *text, size_t capacity)
{
    const struct sequence *const sequence = &campaign.sequence;
    int len = snprintf(text, capacity, "--base %s --only ", base_names[sequence->base]);

    for (unsigned i = 0; i < sequence->length; i++)
        len += snprintf(text + len, capacity - (size_t)len, "%s%s", i > 0 ? "," : "",
                        op_names[sequence->ops[i]]);
    return len + snprintf(text + len, capacity - (size_t)len, ", event %" PRIu64 ", image %" PRIu64,
                          campaign.event, campaign.image);
}

static void count_verdict(enum verdict verdict, const char *where, unsigned depth)
{
    char text[256];

    campaign.counts[verdict]++;
    if (verdict == GOOD || campaign.shown++ >= SHOWN_MAX) return;
    describe(text, sizeof text);
    printf("%s: %s, depth %u: %s\n", verdict_text(verdict), where, depth, text);
    fflush(stdout);
    if (campaign.first) _exit(1);
}

/* An assertion has failed: say where, then die. */
static void on_abort(int number)
{
    char text[300] = "assertion: ";
    const size_t start = strlen(text);
    const int len = describe(text + start, sizeof text - start - 1);

    text[start + (size_t)len] = '\n';
    if (write(STDOUT_FILENO, text, start + (size_t)len + 1) < 0) _exit(3);
    signal(number, SIG_DFL);
    raise(number);
}

/* ---- images ------------------------------------------------------------------------------------------- */

static void take_image(struct sim *image, const struct visit *visit, unsigned must)
{
    const unsigned depth = visit->life->depth + 1;
    const struct model model = visit->life->model;
    const uint64_t key = hash_mix(sim_disk_hash(image), visit->promises);

    campaign.images++;
    campaign.nested_images += visit->nested;
    if (seen_add(&campaign.seen, key, depth)) {
        campaign.different++;
        try_image(image, &model, must, depth, key);
    } else {
        sim_close(image);
    }
}

static void before_event(void *context, struct sim *sim)
{
    struct visit *const visit = context;
    const struct life *const life = visit->life;
    const unsigned promised = life_promised(life);
    const unsigned must = !life->serving && visit->must > promised ? visit->must : promised;
    const uint64_t promises = model_hash(&life->model, must), changes = sim_changes(sim);

    if (visit->changes == changes && visit->promises == promises) return;
    visit->changes = changes;
    visit->promises = promises;
    const uint64_t images = sim_images(sim);
    for (uint64_t image = 0; image < images + RANDOM_PER_EVENT; image++) {
        const uint64_t dice = hash_mix(promises + sim_events(sim), image);
        if (!visit->nested) {
            campaign.event = sim_events(sim);
            campaign.image = image;
        }
        take_image(image < images ? sim_crash(sim, image, dice) : sim_crash_random(sim, dice), visit, must);
    }
}

/* The store that was recovered takes requests, stops, and is started once more. */
static void live_on(struct life *life, struct sim *sim, unsigned depth)
{
    unsigned prefix = 0;

    campaign.next_lives++;
    short_take(life, OP_APPEND);
    enum verdict verdict = model_compare(&life->model, life->model.count, &life->world, &prefix);
    if (verdict == GOOD && (life->disordered || life->model.acked != life->model.count)) verdict = WRONG;
    count_verdict(verdict, "in the next life", depth);
    life_finish(life);
    const struct model model = life->model;
    if (life_begin(life, sim, &model, depth) != OK) {
        count_verdict(LOST, "no start after an orderly stop", depth);
        return;
    }
    count_verdict(model_compare(&life->model, model.count, &life->world, &prefix), "after an orderly stop",
                  depth);
    life_finish(life);
}

/* Starts a store on the image, crashing that start, too, if it is to be; compares. Owns the image. */
static void try_image(struct sim *image, const struct model *model, unsigned must, unsigned depth,
                      uint64_t key)
{
    struct life *const life = lives[depth];
    struct visit visit = {.life = life, .must = must, .nested = true};
    unsigned prefix = 0;

    life->trims = true;
    if (depth <= campaign.nested && campaign.sequence.length <= campaign.nested_length)
        sim_watch(image, before_event, &visit);
    const enum err err = life_begin(life, image, model, depth);
    sim_watch(image, NULL, NULL);
    if (err != OK) {
        count_verdict(LOST, err_text(err), depth);
        sim_close(image);
        return;
    }
    const enum verdict verdict = model_compare(&life->model, must, &life->world, &prefix);
    count_verdict(verdict, "after recovery", depth);
    if (verdict == GOOD) model_settle(&life->model, prefix);
    if (verdict == GOOD && key / 2 % 8 == 0)
        live_on(life, image, depth);
    else
        life_finish(life);
    sim_close(image);
}

/* ---- sequences ---------------------------------------------------------------------------------------- */

static struct sim *base_world(enum base base)
{
    if (campaign.bases[base] != NULL) return sim_crash(campaign.bases[base], 0, 1);
    return sim_open(&(struct sim_config){.seed = 1, .sector_bytes = campaign.sector_bytes});
}

/* Runs it once, with crashes in its last operation; in an empty sequence they are in the start. */
static void run(void)
{
    const struct sequence *const sequence = &campaign.sequence;
    struct sim *const sim = base_world(sequence->base);
    const struct model *const model = &campaign.models[sequence->base];
    struct life *const life = lives[0];
    struct visit visit = {.life = life, .must = model->acked};
    unsigned prefix = 0;

    campaign.sequences++;
    life->trims = true;
    life->model = *model;
    life->depth = 0;
    life->serving = false;
    if (sequence->length == 0) sim_watch(sim, before_event, &visit);
    const enum err err = life_begin(life, sim, model, 0);
    assert(err == OK);
    sim_watch(sim, NULL, NULL);
    for (unsigned i = 0; i < sequence->length; i++) {
        if (i + 1 == sequence->length) sim_watch(sim, before_event, &visit);
        short_take(life, sequence->ops[i]);
    }
    sim_watch(sim, NULL, NULL);
    enum verdict verdict = model_compare(&life->model, life->model.count, &life->world, &prefix);
    if (verdict == GOOD && life->disordered) verdict = WRONG;
    count_verdict(verdict, "without a crash", 0);
    life_finish(life);
    sim_close(sim);
}

static void tell(void)
{
    printf("%" PRIu64 " sequences, %" PRIu64 " images, %" PRIu64 " of them different, %" PRIu64
           " of them in starts\n",
           campaign.sequences, campaign.images, campaign.different, campaign.nested_images);
    fflush(stdout);
}

/* The sequence as it is, then every one that begins with it. */
static void run_all(void)
{
    struct sequence *const sequence = &campaign.sequence;

    for (uint64_t number = 0, numbers = 1, length = 0; length <= campaign.length; length++, numbers *= OPS) {
        sequence->length = (unsigned)length;
        for (number = 0; number < numbers; number++) {
            for (uint64_t i = length, left = number; i-- > 0; left /= OPS)
                sequence->ops[i] = (enum op)(left % OPS);
            run();
        }
        printf("%s, %" PRIu64 " operations: ", base_names[sequence->base], length);
        tell();
    }
}

/* A world in which the base has been made, killed: what is in it is what the campaign starts from. */
static void make_base(enum base base)
{
    struct sim *const sim = sim_open(
        &(struct sim_config){.seed = 1 + base, .sector_bytes = campaign.sector_bytes});
    struct life *const life = lives[0];

    life->trims = true;
    const enum err err = life_begin(life, sim, &(struct model){0}, 0);
    assert(err == OK);
    short_prepare(life, base);
    campaign.models[base] = life->model;
    if (base != BASE_EMPTY) campaign.bases[base] = sim_crash(sim, 0, 1);
    life_finish(life);
    sim_close(sim);
}

/* ---- command line ------------------------------------------------------------------------------------- */

static bool number_of(const char *const *names, unsigned count, const char *text, size_t len, unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (strlen(names[i]) != len || strncmp(names[i], text, len) != 0) continue;
        *out = i;
        return true;
    }
    return false;
}

static bool parse_ops(const char *text)
{
    struct sequence *const only = &campaign.only;

    for (size_t len; *text != '\0'; text += len + (text[len] == ',')) {
        unsigned op;
        len = strcspn(text, ",");
        if (only->length == LENGTH_MAX || !number_of(op_names, OPS, text, len, &op)) return false;
        only->ops[only->length++] = (enum op)op;
    }
    return only->length > 0;
}

static bool parse_base(const char *text)
{
    unsigned base;

    campaign.base_only = number_of(base_names, BASES, text, strlen(text), &base);
    if (campaign.base_only) campaign.only.base = (enum base)base;
    return campaign.base_only;
}

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
        {"length", required_argument, NULL, 'l'},
        {"nested", required_argument, NULL, 'n'},
        {"nested-length", required_argument, NULL, 'm'},
        {"sector", required_argument, NULL, 's'},
        {"base", required_argument, NULL, 'B'},
        {"only", required_argument, NULL, 'o'},
        {"bug", required_argument, NULL, 'b'},
        {"first", no_argument, NULL, 'f'},
        {"verbose", no_argument, NULL, 'v'},
        {0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'l': campaign.length = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'n': campaign.nested = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'm': campaign.nested_length = (unsigned)strtoul(optarg, NULL, 10); break;
        case 's': campaign.sector_bytes = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'B':
            if (!parse_base(optarg)) return false;
            break;
        case 'o':
            if (!parse_ops(optarg)) return false;
            break;
        case 'b':
            if (!set_bug(optarg)) return false;
            break;
        case 'f': campaign.first = true; break;
        case 'v': campaign.verbose = true; break;
        default: return false;
        }
    }
    return campaign.length <= LENGTH_MAX && campaign.nested < DEPTH_MAX &&
           (campaign.sector_bytes == 512 || campaign.sector_bytes == 4096);
}

int main(int argc, char **argv)
{
    if (!parse(argc, argv)) {
        fprintf(stderr,
                "usage: sim_short [--length 0..3] [--nested 0..2] [--nested-length 0..3] [--sector 512|4096] "
                "[--base NAME] [--only NAME,...] [--bug NAME] [--first] [--verbose]\n");
        return 2;
    }
    log_set_level(campaign.verbose ? LOG_WARN : LOG_ERROR);
    signal(SIGABRT, on_abort);
    lives_open();
    for (unsigned base = 0; base < BASES; base++) {
        if (campaign.base_only && base != campaign.only.base) continue;
        make_base((enum base)base);
        campaign.sequence = campaign.only;
        campaign.sequence.base = (enum base)base;
        if (campaign.only.length > 0)
            run();
        else
            run_all();
        sim_close(campaign.bases[base]);
    }
    lives_close();
    seen_deinit(&campaign.seen);
    printf("sequences=%" PRIu64 " different=%" PRIu64 " nested=%" PRIu64 " next_lives=%" PRIu64 "\n",
           campaign.sequences, campaign.different, campaign.nested_images, campaign.next_lives);
    printf("images=%" PRIu64 " lost=%" PRIu64 " doubled=%" PRIu64 " wrong=%" PRIu64 " sector=%" PRIu32 "\n",
           campaign.images, campaign.counts[LOST], campaign.counts[DOUBLED], campaign.counts[WRONG],
           campaign.sector_bytes);
    return campaign.counts[LOST] + campaign.counts[DOUBLED] + campaign.counts[WRONG] == 0 ? 0 : 1;
}
