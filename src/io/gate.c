/*
 * A line for each class, and a number of pieces that are in flight. Whoever comes stands at the end of its line, then as
 * many are let in as there may be: so one that comes while nobody waits passes with two visits of the mutex.
 *
 *   enter: stand in line -> let in whom there is room for -> wait until let in, or until patience ends
 *   leave: one less in flight -> let in whom there is room for
 *
 * How many there may be depends on whether a journal writes. It may become more without anybody telling those that wait;
 * since somebody is in flight whenever somebody waits, the next one to leave does. A piece is in flight for one system
 * call, and its thread waits for nothing else meanwhile: so nobody waits in a circle. A disk that does not answer holds
 * up those that wait here as it would inside the kernel; whoever has patience gives up, and at a stop the gate stands
 * wide open.
 */
#include "gate.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct waiting {
    struct waiting *next;
    uint64_t ticket;
    bool in;
    pthread_cond_t let_in;
};

struct line {
    struct waiting *first, *last;
    struct io_gate_counts counts;
};

struct io_gate {
    struct io_gate_limits limits;
    /* the journals' threads write these */
    _Atomic unsigned journal_writes;
    _Atomic uint64_t journal_ended_ns;
    _Atomic bool drops_cache; /* the kernel can read without keeping */
    /* guarded by the mutex */
    pthread_mutex_t mutex;
    struct line lines[IO_CLASSES];
    unsigned flying;
    uint64_t tickets;
    unsigned contested; /* times that somebody was let in while several lines waited */
    bool wide;
};

const char *io_class_name(enum io_class class)
{
    static const char *const names[IO_CLASSES] = {"journal", "encode",    "query",
                                                  "compact", "retention", "scrub"};

    assert((unsigned)class < IO_CLASSES);
    return names[class];
}

/* ---- lifecycle ------------------------------------------------------------------------------------------ */

enum err io_gate_open(const struct io_gate_limits *limits, struct io_gate **out)
{
    assert(limits->beside_max >= 1 && limits->beside_max <= limits->alone_max);
    assert(limits->alone_max <= IO_GATE_FLYING_MAX);
    assert(limits->piece_bytes >= IO_GATE_PIECE_MIN && limits->piece_bytes <= IO_GATE_PIECE_MAX);
    assert(limits->piece_bytes % IO_ALIGN == 0);

    struct io_gate *const gate = calloc(1, sizeof *gate);
    if (gate == NULL) return ERR_NO_MEMORY;
    gate->limits = *limits;
    atomic_init(&gate->drops_cache, true);
    pthread_mutex_init(&gate->mutex, NULL);
    *out = gate;
    return OK;
}

void io_gate_close(struct io_gate *gate)
{
    if (gate == NULL) return;
    assert(gate->flying == 0);
    for (unsigned i = 0; i < IO_CLASSES; i++)
        assert(gate->lines[i].first == NULL);

    pthread_mutex_destroy(&gate->mutex);
    free(gate);
}

void io_gate_join(struct io *io, struct io_gate *gate, enum io_class class)
{
    assert((unsigned)class < IO_CLASSES);

    io->gate = gate;
    io->class = class;
}

void io_gate_patience(struct io *io, struct io_patience patience)
{
    io->patience = patience;
}

struct io_gate_limits io_gate_limits(const struct io_gate *gate)
{
    return gate->limits;
}

struct io_gate_counts io_gate_counts(struct io_gate *gate, enum io_class class)
{
    pthread_mutex_lock(&gate->mutex);
    const struct io_gate_counts counts = gate->lines[class].counts;
    pthread_mutex_unlock(&gate->mutex);
    return counts;
}

unsigned io_gate_flying(struct io_gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    const unsigned flying = gate->flying;
    pthread_mutex_unlock(&gate->mutex);
    return flying;
}

bool io__gate_drops_cache(const struct io_gate *gate)
{
    return atomic_load_explicit(&gate->drops_cache, memory_order_relaxed);
}

void io__gate_keeps_cache(struct io_gate *gate)
{
    atomic_store_explicit(&gate->drops_cache, false, memory_order_relaxed);
}

/* ---- the journal ---------------------------------------------------------------------------------------- */

void io__gate_journal_begins(struct io_gate *gate)
{
    atomic_fetch_add_explicit(&gate->journal_writes, 1, memory_order_relaxed);
}

void io__gate_journal_ends(struct io_gate *gate)
{
    atomic_store_explicit(&gate->journal_ended_ns, clock_ns(CLOCK_MONOTONIC), memory_order_relaxed);
    const unsigned before = atomic_fetch_sub_explicit(&gate->journal_writes, 1, memory_order_relaxed);
    assert(before > 0);
}

static bool journal_is_busy(const struct io_gate *gate)
{
    if (atomic_load_explicit(&gate->journal_writes, memory_order_relaxed) > 0) return true;
    const uint64_t ended_ns = atomic_load_explicit(&gate->journal_ended_ns, memory_order_relaxed);
    return ended_ns != 0 && clock_ns(CLOCK_MONOTONIC) < ended_ns + IO_GATE_QUIET_NS;
}

/* ---- lines ---------------------------------------------------------------------------------------------- */

static void stand(struct line *line, struct waiting *waiting)
{
    if (line->last != NULL)
        line->last->next = waiting;
    else
        line->first = waiting;
    line->last = waiting;
    line->counts.waiting++;
}

static void step_out(struct line *line, struct waiting *waiting)
{
    struct waiting *before = NULL;

    for (struct waiting *at = line->first; at != waiting; at = at->next)
        before = at;
    if (before != NULL)
        before->next = waiting->next;
    else
        line->first = waiting->next;
    if (line->last == waiting) line->last = before;
    line->counts.waiting--;
}

/* The line whose first is next; NULL: nobody waits. */
static struct line *next_line(struct io_gate *gate)
{
    struct line *first = NULL, *oldest = NULL;
    bool several = false;

    for (unsigned i = 0; i < IO_CLASSES; i++) {
        struct line *const line = &gate->lines[i];
        if (line->first == NULL) continue;
        several = first != NULL;
        if (first == NULL) first = line;
        if (oldest == NULL || line->first->ticket < oldest->first->ticket) oldest = line;
    }
    if (first == NULL || first == oldest) return first;
    return several && ++gate->contested % IO_GATE_TURN == 0 ? oldest : first;
}

static unsigned flying_max(const struct io_gate *gate)
{
    if (gate->wide) return UINT32_MAX;
    return journal_is_busy(gate) ? gate->limits.beside_max : gate->limits.alone_max;
}

static void let_in(struct io_gate *gate)
{
    const unsigned max = flying_max(gate);
    struct line *line;

    while (gate->flying < max && (line = next_line(gate)) != NULL) {
        struct waiting *const waiting = line->first;
        step_out(line, waiting);
        waiting->in = true;
        gate->flying++;
        pthread_cond_signal(&waiting->let_in);
    }
}

void io_gate_open_wide(struct io_gate *gate)
{
    if (gate == NULL) return;
    pthread_mutex_lock(&gate->mutex);
    gate->wide = true;
    let_in(gate);
    pthread_mutex_unlock(&gate->mutex);
}

/* ---- passing -------------------------------------------------------------------------------------------- */

static void wait_a_while(struct io_gate *gate, struct waiting *waiting)
{
    const uint64_t until_ns = clock_ns(CLOCK_MONOTONIC) + IO_PATIENCE_NS;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                   .tv_nsec = (long)(until_ns % NS_PER_S)};

    (void)pthread_cond_timedwait(&waiting->let_in, &gate->mutex, &until);
}

/* Under the mutex, which is let go while patience is asked. */
static enum err ask_patience(struct io_gate *gate, const struct io_patience *patience)
{
    if (patience->check == NULL) return OK;
    pthread_mutex_unlock(&gate->mutex);
    const enum err err = patience->check(patience->context);
    pthread_mutex_lock(&gate->mutex);
    return err;
}

static enum err wait_in_line(struct io *io, struct line *line, struct waiting *waiting)
{
    struct io_gate *const gate = io->gate;
    const uint64_t began_ns = clock_ns(CLOCK_MONOTONIC);
    pthread_condattr_t clock;
    enum err err = OK;

    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&waiting->let_in, &clock); /* nobody looks at it before we let go of the mutex */
    pthread_condattr_destroy(&clock);
    while (!waiting->in && err == OK) {
        wait_a_while(gate, waiting);
        if (!waiting->in) err = ask_patience(gate, &io->patience);
    }
    if (waiting->in) err = OK; /* just now */
    if (err != OK) {
        step_out(line, waiting);
        line->counts.given_up++;
    }
    line->counts.wait_ns += clock_ns(CLOCK_MONOTONIC) - began_ns;
    pthread_cond_destroy(&waiting->let_in);
    return err;
}

enum err io__gate_enter(struct io *io, size_t bytes)
{
    struct io_gate *const gate = io->gate;
    struct line *const line = &gate->lines[io->class];
    struct waiting waiting = {.let_in = PTHREAD_COND_INITIALIZER};
    enum err err = OK;

    pthread_mutex_lock(&gate->mutex);
    waiting.ticket = gate->tickets++;
    stand(line, &waiting);
    let_in(gate);
    if (!waiting.in) err = wait_in_line(io, line, &waiting);
    if (err == OK) {
        line->counts.passes++;
        line->counts.bytes += bytes;
    }
    pthread_mutex_unlock(&gate->mutex);
    return err;
}

void io__gate_leave(struct io *io)
{
    struct io_gate *const gate = io->gate;

    pthread_mutex_lock(&gate->mutex);
    assert(gate->flying > 0);
    gate->flying--;
    let_in(gate);
    pthread_mutex_unlock(&gate->mutex);
}
