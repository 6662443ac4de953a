/*
 * What has to go: a decision about a version, without any state or input and output.
 */
#ifndef STORE_RETENTION_PLAN_H
#define STORE_RETENTION_PLAN_H

#include "catalog_private.h"
#include "store/retention.h"

struct retention_facts {
    const struct retention_config *config;
    uint64_t horizon_ns; /* by which age is measured */
    uint64_t free_bytes;
};

struct retention_leaver {
    struct segment *segment;
    enum retention_reason reason;
};
struct retention_plan {
    struct retention_leaver *leavers; /* those over age first, then the oldest; owned */
    uint32_t count;
    uint64_t bytes_all;     /* of the whole store */
    uint64_t bytes_of_aged; /* of those over age */
};

enum err retention_plan(const struct catalog_view *view, const struct retention_facts *facts,
                        struct retention_plan *out);
void retention_plan_free(struct retention_plan *plan);

#endif
