/*
 * What has to go: a decision about a version, without any state. What pins hold is asked when it matters, for it is dear.
 */
#ifndef STORE_RETENTION_PLAN_H
#define STORE_RETENTION_PLAN_H

#include "pin_guard.h"
#include "service_ages.h"
#include "store/retention.h"

struct retention_facts {
    const struct retention_config *config;
    uint64_t horizon_ns; /* by which age is measured */
    uint64_t free_bytes;
    struct pin_guard *guard; /* begun with the version; NULL: no pins */
    struct service_ages *ages;
    struct io *io;    /* for ledgers */
    bool may_rewrite; /* else what pins or services hold a part of stays as it is */
};

/* A segment that a rule speaks of. */
struct retention_leaver {
    struct segment *segment;
    uint32_t number; /* in the version */
    enum retention_reason reason;
    service_set over;      /* the services that leave; 0: all */
    struct pin_share held; /* what stays. spans 0: it goes; all: it stays; else it is written again */
    uint64_t held_bytes;
};
static inline bool retention_stays(const struct retention_leaver *leaver)
{
    return leaver->held.spans > 0 && leaver->held.spans >= segment_spans(leaver->segment);
}

struct retention_plan {
    struct retention_leaver *leavers; /* those over age first, then the oldest; owned */
    uint32_t count;
    uint64_t bytes_all;     /* of the whole store */
    uint64_t bytes_of_aged; /* of what leaves by age */
    uint64_t held_segments, held_spans;
};

/* ERR_NO_MEMORY, and what the guard says. *out is to be freed in any case. */
enum err retention_plan(const struct catalog_view *view, const struct retention_facts *facts,
                        struct retention_plan *out);
void retention_plan_free(struct retention_plan *plan);
/* Would the pass take more than half of everything by age? */
bool retention_takes_too_much(const struct retention_plan *plan);

#endif
