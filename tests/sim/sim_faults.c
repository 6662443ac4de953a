/*
 * The fault matrix: every place at which the store asks the disk for something fails in every way that a disk fails, while
 * the store lives, once, and twice in a row.
 *
 *   sim_faults [--seed S] [--bug NAME] [--first] [--verbose]
 *
 * A place is a kind of operation on a kind of file, at a time of life: the first start, the life, shortly before the stop (so
 * that the next start finds it in the journal), the next start. A cell of
 * the matrix is a place and a fault: EIO, ENOSPC, EROFS, EAGAIN, a transfer that is short, an answer that comes half a minute late. For
 * each cell a store is started on an empty disk, takes requests until it has sealed, closed, merged and scrubbed segments,
 * is stopped, started again and read back. What must hold:
 *
 *   1  the place was met, and failed
 *   2  nothing that was answered OK is lost, doubled or altered, and nothing else is shown
 *   3  requests are refused with 503 at most; where the row says `serves`, none is
 *   4  afterwards the store goes on by itself: one more request is answered OK, without a restart
 *   5  a start may be refused while its fault lasts; the next one succeeds. It finds what a power cut behind the stop leaves
 *
 * Beside the matrix: a write that hangs is noticed in time, and rot at rest is found and fenced by the scrubber.
 *
 * The last line is  cells=N met=N lost=0 doubled=0 wrong=0 refusing=0 stuck=0 ; the exit code is 1 unless met is N and all
 * others are 0.
 */
#include "life.h"

#include "base/log.h"
#include "base/seeded_bug.h"
#include "store/scrub.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

enum {
    ROUNDS = 9,
    REQUESTS_A_ROUND = 5,
    TIMES_MAX = 2, /* a fault lasts so long */
    STARTS_MAX = 6,
    PATIENCE_TURNS = 400,
};

enum when { FIRST_START, WHILE_ALIVE, BEFORE_STOP, NEXT_START };
enum expect { SERVES, MAY_REFUSE };

struct place {
    const char *name;
    enum when when;
    enum sim_op op;
    const char *part;
    enum expect expect; /* of requests; starts may always be refused */
    uint64_t after;     /* so many go well before */
};
/* clang-format off */
static const struct place places[] = {
    /* the journal */
    {"journal frame written", WHILE_ALIVE, SIM_OP_WRITE, "journal/0/00000000$", MAY_REFUSE, 0},
    {"journal frame written, not sealed", BEFORE_STOP, SIM_OP_WRITE, "journal/0/0", MAY_REFUSE, 0},
    /* the next file is late: until it is there requests may be refused */
    {"journal file made: create", WHILE_ALIVE, SIM_OP_OPEN, "journal/0/00000002.tmp$", MAY_REFUSE, 0},
    {"journal file made: allocate", WHILE_ALIVE, SIM_OP_ALLOCATE, "journal/0/00000002.tmp$", MAY_REFUSE, 0},
    {"journal file made: zeros", WHILE_ALIVE, SIM_OP_WRITE, "journal/0/00000002.tmp$", MAY_REFUSE, 0},
    {"journal file made: sync", WHILE_ALIVE, SIM_OP_DATASYNC, "journal/0/00000002.tmp$", MAY_REFUSE, 0},
    {"journal file made: rename", WHILE_ALIVE, SIM_OP_RENAME, "journal/0/00000002$", MAY_REFUSE, 0},
    {"journal file made: directory sync", WHILE_ALIVE, SIM_OP_DIR_SYNC, "journal/0/", MAY_REFUSE, 0},
    {"journal file made: open", WHILE_ALIVE, SIM_OP_OPEN, "journal/0/00000002$", MAY_REFUSE, 0},
    /* segments */
    {"segment created", WHILE_ALIVE, SIM_OP_OPEN, "segments/0000-", SERVES, 0},
    {"segment allocated", WHILE_ALIVE, SIM_OP_ALLOCATE, "segments/0000-", SERVES, 0},
    {"segment written", WHILE_ALIVE, SIM_OP_WRITE, "segments/0000-", SERVES, 0},
    {"segment synced", WHILE_ALIVE, SIM_OP_DATASYNC, "segments/0000-", SERVES, 0},
    {"segment directory synced", WHILE_ALIVE, SIM_OP_DIR_SYNC, "segments/", SERVES, 0},
    {"segment cut behind its footer", WHILE_ALIVE, SIM_OP_TRUNCATE, "segments/0000-", SERVES, 0},
    {"segment read by merge and scrub", WHILE_ALIVE, SIM_OP_READ, "segments/0000-", SERVES, 0},
    /* merges */
    {"room asked for before a merge", WHILE_ALIVE, SIM_OP_SPACE, "segments/", SERVES, 0},
    {"merged segment created", WHILE_ALIVE, SIM_OP_OPEN, "segments/1024-", SERVES, 0},
    {"merged segment allocated", WHILE_ALIVE, SIM_OP_ALLOCATE, "segments/1024-", SERVES, 0},
    {"merged segment written", WHILE_ALIVE, SIM_OP_WRITE, "segments/1024-", SERVES, 0},
    {"merged segment synced", WHILE_ALIVE, SIM_OP_DATASYNC, "segments/1024-", SERVES, 0},
    {"merged segment named", WHILE_ALIVE, SIM_OP_RENAME, "segments/1024-", SERVES, 0},
    {"merged segment's inputs removed", WHILE_ALIVE, SIM_OP_UNLINK, "segments/0000-", SERVES, 0},
    {"merged segment read by scrub", WHILE_ALIVE, SIM_OP_READ, "segments/1024-", SERVES, 0},
    /* the scrubber's note */
    {"scrub note: old one removed", WHILE_ALIVE, SIM_OP_UNLINK, "data/scrub.tmp$", SERVES, 0},
    {"scrub note: create", WHILE_ALIVE, SIM_OP_OPEN, "data/scrub.tmp$", SERVES, 0},
    {"scrub note: write", WHILE_ALIVE, SIM_OP_WRITE, "data/scrub.tmp$", SERVES, 0},
    {"scrub note: sync", WHILE_ALIVE, SIM_OP_DATASYNC, "data/scrub.tmp$", SERVES, 0},
    {"scrub note: rename", WHILE_ALIVE, SIM_OP_RENAME, "data/scrub$", SERVES, 0},
    {"scrub note: directory sync", WHILE_ALIVE, SIM_OP_DIR_SYNC, "data/$", SERVES, 0},
    /* the first start */
    {"directory opened", FIRST_START, SIM_OP_DIR_OPEN, "data", SERVES, 0},
    {"superblock made: create", FIRST_START, SIM_OP_OPEN, "data/superblock.tmp$", SERVES, 0},
    {"superblock made: lock", FIRST_START, SIM_OP_LOCK, "data/superblock.tmp$", SERVES, 0},
    {"superblock made: write", FIRST_START, SIM_OP_WRITE, "data/superblock.tmp$", SERVES, 0},
    {"superblock made: sync", FIRST_START, SIM_OP_DATASYNC, "data/superblock.tmp$", SERVES, 0},
    {"superblock made: rename", FIRST_START, SIM_OP_RENAME, "data/superblock$", SERVES, 0},
    {"superblock made: directory sync", FIRST_START, SIM_OP_DIR_SYNC, "data/$", SERVES, 0},
    {"first journal file: create", FIRST_START, SIM_OP_OPEN, "journal/0/00000000.tmp$", SERVES, 0},
    {"first journal file: zeros", FIRST_START, SIM_OP_WRITE, "journal/0/00000000.tmp$", SERVES, 0},
    {"first journal file: sync", FIRST_START, SIM_OP_DATASYNC, "journal/0/00000000.tmp$", SERVES, 0},
    {"first journal file: rename", FIRST_START, SIM_OP_RENAME, "journal/0/00000000$", SERVES, 0},
    {"first frame", FIRST_START, SIM_OP_WRITE, "journal/0/00000000$", SERVES, 0},
    /* the next start */
    {"superblock opened", NEXT_START, SIM_OP_OPEN, "data/superblock$", SERVES, 0},
    {"superblock locked", NEXT_START, SIM_OP_LOCK, "data/superblock$", SERVES, 0},
    {"superblock synced", NEXT_START, SIM_OP_DATASYNC, "data/superblock$", SERVES, 0},
    {"superblock read", NEXT_START, SIM_OP_READ, "data/superblock$", SERVES, 0},
    {"segments listed", NEXT_START, SIM_OP_DIR_LIST, "segments/", SERVES, 0},
    {"segment opened", NEXT_START, SIM_OP_OPEN, "segments/", SERVES, 0},
    {"segment measured", NEXT_START, SIM_OP_SIZE, "segments/", SERVES, 0},
    {"segment read", NEXT_START, SIM_OP_READ, "segments/", SERVES, 0},
    {"journal listed", NEXT_START, SIM_OP_DIR_LIST, "journal/0/", SERVES, 0},
    {"journal opened", NEXT_START, SIM_OP_OPEN, "journal/0/0", SERVES, 0},
    {"journal measured", NEXT_START, SIM_OP_SIZE, "journal/0/0", SERVES, 0},
    {"journal read", NEXT_START, SIM_OP_READ, "journal/0/0", SERVES, 0},
    {"journal frames read", NEXT_START, SIM_OP_READ, "journal/0/0", SERVES, 6},
    {"journal directory synced", NEXT_START, SIM_OP_DIR_SYNC, "journal/0/", SERVES, 0},
    {"journal synced", NEXT_START, SIM_OP_DATASYNC, "journal/0/0", SERVES, 0},
    {"generation frame", NEXT_START, SIM_OP_WRITE, "journal/0/0", SERVES, 0},
};
/* clang-format on */
enum { PLACES = sizeof places / sizeof places[0] };

struct fault {
    const char *name;
    enum err err;
    uint64_t stall_ns;
    bool is_short; /* of transfers only */
};
static const struct fault faults[] = {
    {"EIO", ERR_IO, 0, false},
    {"ENOSPC", ERR_NO_SPACE, 0, false},
    {"EROFS", ERR_READ_ONLY, 0, false},
    {"EAGAIN", ERR_BUSY, 0, false}, /* what is left of it when io/ has tried often enough */
    {"short", ERR_IO, 0, true},     /* a write that cannot be completed is an error; a read ends early */
    {"stall", OK, 30 * NS_PER_S, false},
};
enum { FAULTS = sizeof faults / sizeof faults[0] };

struct matrix {
    uint64_t cells, met, counts[4], refusing, stuck;
    const struct place *place;
    const struct fault *fault;
    uint64_t times;
    bool first;  /* the first complaint ends it */
    uint32_t id; /* of the next request */
};
static struct matrix matrix;

static bool applies(const struct place *place, const struct fault *fault)
{
    return !fault->is_short || place->op == SIM_OP_READ || place->op == SIM_OP_WRITE;
}

static void complain(const char *what)
{
    printf("%s: %s, %s, %" PRIu64 " times\n", what, matrix.place->name, matrix.fault->name, matrix.times);
    if (matrix.first) exit(1);
}

/* ---- a life ------------------------------------------------------------------------------------------- */

static void arm(struct sim *sim, enum when when)
{
    if (matrix.place->when != when) return;
    const bool short_read = matrix.fault->is_short && matrix.place->op == SIM_OP_READ;
    sim_fail_at(sim, &(struct sim_place){.op = matrix.place->op,
                                         .part = matrix.place->part,
                                         .after = matrix.place->after,
                                         .times = matrix.times,
                                         .err = short_read ? OK : matrix.fault->err,
                                         .stall_ns = matrix.fault->stall_ns,
                                         .short_read = short_read});
}

/* A supervisor that starts it again and again. */
static bool begin(struct life *life, struct sim *sim, const struct model *model, enum when when)
{
    const struct model promised = *model;

    arm(sim, when);
    for (unsigned attempt = 0; attempt < STARTS_MAX; attempt++)
        if (life_begin(life, sim, &promised, 0) == OK) return true;
    return false;
}

static void send_one(struct life *life)
{
    life_send(life, &(struct step){.kind = STEP_SEND, .id = matrix.id++});
    world_turn(&life->world, NS_PER_MS);
    world_turn(&life->world, NS_PER_MS);
}

/* The pool has time for all that waits for it. */
static void seal_all(struct life *life)
{
    shard_close_live(life->world.shard);
    for (unsigned turn = 0; turn < 40; turn++) {
        sealer_step(life->world.sealer);
        shard_turn(life->world.shard, NS_PER_S / 4);
    }
}

static bool no_pause(void *context, uint64_t bytes)
{
    (void)context;
    (void)bytes;
    return true;
}

static void scrub(struct life *life)
{
    struct world *const world = &life->world;
    const struct scrub_config config = {.every_ns = NS_PER_S, .pause = no_pause};
    struct scrubber *scrubber;

    if (scrubber_open(world->io, world->root, world->catalog, &config, &scrubber) != OK) return;
    for (unsigned step = 0; step < 200 && scrubber_counts(scrubber)->passes == 0; step++)
        scrubber_step(scrubber, world->io);
    scrubber_close(scrubber, world->io);
}

static void work(struct life *life)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < REQUESTS_A_ROUND; i++)
            send_one(life);
        life_land(life);
        seal_all(life);
    }
    for (unsigned step = 0; step < 60; step++)
        life_merge(life);
    scrub(life);
}

/* Was anything refused, and was it refused so that a client sends it again? */
static void judge_refusals(const struct life *life)
{
    unsigned refused = 0;

    for (unsigned i = 0; i < life->sendings_count; i++) {
        const struct sending *const sending = &life->sendings[i];
        if (!sending->landed || (sending->journaled && sending->ingest.err == OK)) continue;
        refused++;
        if (sending->journaled && err_http_status(sending->ingest.err) != 503) {
            matrix.refusing++;
            complain("refused, but not with 503");
        }
    }
    if (refused == 0 || matrix.place->expect == MAY_REFUSE) return;
    matrix.refusing++;
    complain("requests were refused");
}

static void judge_going_on(struct life *life)
{
    const unsigned acked = life->model.acked;

    for (unsigned turn = 0; shard_admits(life->world.shard) != OK && turn < PATIENCE_TURNS; turn++) {
        sealer_step(life->world.sealer);
        shard_turn(life->world.shard, NS_PER_S);
    }
    send_one(life);
    life_land(life);
    if (life->model.acked == acked + 1) return;
    matrix.stuck++;
    complain("does not go on by itself");
}

static void judge_shown(struct life *life)
{
    unsigned prefix = 0;
    const enum verdict verdict = model_compare(&life->model, life->model.acked, &life->world, &prefix);

    matrix.counts[verdict]++;
    if (verdict != GOOD) complain(verdict_text(verdict));
}

/* ---- a cell ------------------------------------------------------------------------------------------- */

static bool give_up(struct sim *sim)
{
    matrix.stuck++;
    complain("does not start again");
    sim_abandon(sim);
    return false;
}

static bool first_life(struct life *life, struct sim *sim, uint64_t *met)
{
    static const struct model nothing;

    matrix.id = 1;
    if (!begin(life, sim, &nothing, FIRST_START)) return give_up(sim);
    arm(sim, WHILE_ALIVE);
    work(life);
    judge_refusals(life);
    arm(sim, BEFORE_STOP);
    for (unsigned i = 0; matrix.place->when == BEFORE_STOP && i < 4; i++)
        send_one(life);
    life_land(life);
    *met = sim_met(sim);
    if (matrix.place->when != NEXT_START) sim_forgive(sim);
    judge_going_on(life);
    life_finish(life);
    return true;
}

static bool next_life(struct life *life, struct sim *sim, uint64_t *met)
{
    const struct model promised = life->model;

    if (!begin(life, sim, &promised, NEXT_START)) return give_up(sim);
    if (matrix.place->when == NEXT_START) *met = sim_met(sim);
    sim_forgive(sim);
    judge_shown(life);
    judge_going_on(life);
    life_finish(life);
    return true;
}

static struct sim *world_of(uint64_t seed)
{
    struct sim *const sim = sim_open(&(struct sim_config){.seed = seed, .sector_bytes = 4096});

    sim_set_space(sim, 1ULL << 40, 1ULL << 40);
    return sim;
}

static void try_cell(uint64_t seed)
{
    struct sim *const sim = world_of(seed);
    uint64_t met = 0;

    matrix.cells++;
    if (first_life(lives[0], sim, &met)) {
        struct sim *const after = sim_crash_random(sim, seed); /* the power fails right behind the stop */
        sim_set_space(after, 1ULL << 40, 1ULL << 40);
        sim_close(sim);
        if (next_life(lives[0], after, &met)) sim_close(after);
    }
    matrix.met += met > 0;
    if (met == 0) complain("never met");
}

/* ---- beside the matrix ---------------------------------------------------------------------------------- */

static void expect(bool holds, const char *what)
{
    if (holds) return;
    matrix.stuck++;
    printf("%s\n", what);
    if (matrix.first) exit(1);
}

static void try_watchdog(uint64_t seed)
{
    static const struct model nothing;
    struct sim *const sim = world_of(seed);
    struct life *const life = lives[0];

    expect(life_begin(life, sim, &nothing, 0) == OK, "a start");
    sim_stall(sim, SIM_FAULT_WRITE, 1, 60 * NS_PER_S);
    send_one(life);
    for (unsigned second = 0; second < 12; second++)
        world_turn(&life->world, NS_PER_S);
    expect(shard_admits(life->world.shard) == ERR_STALLED, "a write that hangs is not noticed");
    sim_forgive(sim);
    life_land(life);
    world_turn(&life->world, NS_PER_MS);
    expect(shard_admits(life->world.shard) == OK, "the disk answers, and requests are refused all the same");
    expect(life->model.acked == 1, "the write that hung is not answered");
    life_finish(life);
    sim_close(sim);
}

static void note_merged(void *context, const char *path)
{
    char *const found = context;

    if (strstr(path, "segments/1024-") != NULL) snprintf(found, 256, "%s", path);
}

static void try_rot(uint64_t seed)
{
    static const struct model nothing;
    struct sim *const sim = world_of(seed);
    struct life *const life = lives[0];
    char path[256] = "";

    expect(life_begin(life, sim, &nothing, 0) == OK, "a start");
    work(life);
    sim_list(sim, note_merged, path);
    expect(sim_flip(sim, path, (4096 + 4096 + 20) * 8) == OK, "a merged segment");
    sim_jump(sim, 10 * (int64_t)NS_PER_S);
    scrub(life);
    expect(catalog_fenced(life->world.catalog) == 1, "a rotten block is not fenced");
    life_finish(life);
    sim_close(sim);
}

/* ---- command line -------------------------------------------------------------------------------------- */

static bool set_bug(const char *name)
{
#ifdef SPANMILL_SEEDED_BUGS
    seeded_bug = seeded_bug_by_name(name);
    return seeded_bug != SEEDED_BUG_NONE;
#else
    (void)name;
    return false;
#endif
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                            {"bug", required_argument, NULL, 'b'},
                                            {"first", no_argument, NULL, 'f'},
                                            {"verbose", no_argument, NULL, 'v'},
                                            {0}};
    uint64_t seed = 1;

    log_set_level(LOG_ERROR + 1);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's') seed = strtoull(optarg, NULL, 10);
        if (option == 'v') log_set_level(LOG_WARN);
        if (option == 'f') matrix.first = true;
        if (option == '?' || (option == 'b' && !set_bug(optarg))) {
            fprintf(stderr, "usage: sim_faults [--seed S] [--bug NAME] [--first] [--verbose]\n");
            return 2;
        }
    }
    lives_open();
    try_watchdog(seed);
    try_rot(seed);
    for (unsigned i = 0; i < PLACES; i++)
        for (unsigned k = 0; k < FAULTS; k++)
            for (matrix.times = 1; matrix.times <= TIMES_MAX && applies(&places[i], &faults[k]);
                 matrix.times++) {
                matrix.place = &places[i];
                matrix.fault = &faults[k];
                try_cell(seed + i * FAULTS + k);
            }
    lives_close();
    printf("places=%d faults=%d\n", PLACES, FAULTS);
    printf("cells=%" PRIu64 " met=%" PRIu64 " lost=%" PRIu64 " doubled=%" PRIu64 " wrong=%" PRIu64
           " refusing=%" PRIu64 " stuck=%" PRIu64 "\n",
           matrix.cells, matrix.met, matrix.counts[LOST], matrix.counts[DOUBLED], matrix.counts[WRONG],
           matrix.refusing, matrix.stuck);
    const uint64_t bad = matrix.counts[LOST] + matrix.counts[DOUBLED] + matrix.counts[WRONG] +
                         matrix.refusing + matrix.stuck;
    return matrix.met == matrix.cells && bad == 0 ? 0 : 1;
}
