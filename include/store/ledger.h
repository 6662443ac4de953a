/*
 * What became of spans: counted by the service that sent them and the time when they started, from the request that brought
 * them to the rule that removed them. In every row
 *
 *   received = stored + rejected + duplicate + expired + erased
 *
 * Each block has a ledger of what came with it, each segment that stands for others one of all that it stands for
 * (src/store/FORMAT.md, "Ledger"). Sums of them are exact, for both lie where the spans lie, and become durable with them.
 *
 *   ledger_open() -> ledger_service() -> ledger_add(), ledger_move() ...   then ledger_failed() once
 *   ledger_add_all()   sums
 *   ledger_write() -> bytes -> ledger_read()
 *
 * A ledger is bounded: what has too many rows becomes coarser, in steps, as a whole; nothing is lost but the time, and in the
 * end the name. One thread.
 */
#ifndef STORE_LEDGER_H
#define STORE_LEDGER_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*  name                          in answers      of what */
#define LEDGER_TABLE(X)                                                                                      \
    X(LEDGER_RECEIVED, "received", "came in a request of which a span was accepted")                         \
    X(LEDGER_STORED, "stored", "is there")                                                                   \
    X(LEDGER_REJECTED_IDS, "rejectedIds", "had an id that none can have")                                    \
    X(LEDGER_REJECTED_CONTENT, "rejectedContent", "had contents that cannot be kept, or its resource had")   \
    X(LEDGER_DUPLICATE, "duplicate", "was there already, equal in everything")                               \
    X(LEDGER_EXPIRED_AGE, "expiredAge", "was over age")                                                      \
    X(LEDGER_EXPIRED_BYTES, "expiredBytes", "left because the store was too large")                          \
    X(LEDGER_EXPIRED_SPACE, "expiredSpace", "left because the disk was too full")                            \
    X(LEDGER_ERASED, "erased", "was erased by a job")

enum ledger_count {
#define X(name, text, what) name,
    LEDGER_TABLE(X)
#undef X
        LEDGER_COUNTS
};

/* Of Unix time: 2^64 ns are some 3 * 10^8 of them. */
#define LEDGER_MINUTE_NS UINT64_C(60000000000)
static inline uint32_t ledger_minute(uint64_t ns)
{
    return (uint32_t)(ns / LEDGER_MINUTE_NS);
}

/* How long the time of a row is. */
enum ledger_step { LEDGER_MINUTE, LEDGER_HOUR, LEDGER_DAY, LEDGER_EVER, LEDGER_STEPS };

enum {
    LEDGER_ROWS_MAX = 128 * 1024,
    LEDGER_SERVICE_BYTES_MAX = 256, /* longer names count as their first bytes */
};

struct ledger_row {
    uint32_t service;               /* number */
    uint32_t minute;                /* of Unix time, the first one of the row; 0 for LEDGER_EVER */
    uint64_t counts[LEDGER_COUNTS]; /* by enum ledger_count */
};

struct ledger;
enum err ledger_open(struct ledger **out);
void ledger_close(struct ledger *ledger); /* NULL is allowed */
/* As it was when it was opened. */
void ledger_clear(struct ledger *ledger);
/* Memory had run out, now or earlier: the counts are wrong. */
bool ledger_failed(const struct ledger *ledger);
void ledger_fail(struct ledger *ledger); /* somebody who counts had no memory */

/* Number of a service; "" is that of spans without one, and of those whose names had no room (ledger_nameless()). */
uint32_t ledger_service(struct ledger *ledger, struct slice name);
void ledger_add(struct ledger *ledger, uint32_t service, uint64_t start_ns, enum ledger_count count,
                uint64_t spans);
/* Spans that were counted as one thing become another. */
void ledger_move(struct ledger *ledger, struct slice service, uint64_t start_ns, enum ledger_count from,
                 enum ledger_count to, uint64_t spans);
void ledger_move_all(struct ledger *ledger, enum ledger_count from, enum ledger_count to);
/* Into a ledger that is as coarse as the coarser of both. */
void ledger_add_all(struct ledger *into, const struct ledger *from);
/* The same with rows that begin in these minutes. */
struct ledger_range {
    uint32_t first, last; /* minutes of Unix time */
};
static const struct ledger_range ledger_always = {0, UINT32_MAX};
void ledger_add_range(struct ledger *into, const struct ledger *from, const struct ledger_range *range);
/* At least so coarse. */
void ledger_coarsen(struct ledger *ledger, enum ledger_step step);

enum ledger_step ledger_step(const struct ledger *ledger);
uint64_t ledger_step_minutes(enum ledger_step step); /* 0: ever */
bool ledger_nameless(const struct ledger *ledger); /* some services had no room: they are counted under "" */
void ledger_forget_names(struct ledger *ledger);   /* it is said of what was added */
uint32_t ledger_services(const struct ledger *ledger);
struct slice ledger_service_name(const struct ledger *ledger, uint32_t service);
uint32_t ledger_rows(const struct ledger *ledger);
const struct ledger_row *ledger_row(const struct ledger *ledger, uint32_t index);
/* Rows by name of the service, then by time. False: no memory. */
bool ledger_sort(struct ledger *ledger);
uint64_t ledger_total(const struct ledger *ledger, enum ledger_count count);

bool ledger_row_balances(const struct ledger_row *row);
bool ledger_balances(const struct ledger *ledger); /* every row */
/* Do both say the same of one count, service by service and time by time? Makes the finer one as coarse as the other. */
bool ledger_agree(struct ledger *a, struct ledger *b, enum ledger_count count);

const char *ledger_count_text(enum ledger_count count);
const char *ledger_step_text(enum ledger_step step);

#endif
