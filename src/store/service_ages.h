/*
 * What of a segment is over the age of the service that sent it: told by its ledger, without a look at its spans. Where pins
 * hold some of it the rows are counted, once for each list of pins.
 *
 * One thread.
 */
#ifndef STORE_SERVICE_AGES_H
#define STORE_SERVICE_AGES_H

#include "pin_guard.h"
#include "store/retention.h"

struct service_ages;
enum err service_ages_open(struct service_ages **out);
void service_ages_close(struct service_ages *ages); /* NULL is allowed */

/* A set of rules: bit i for services[i], bit services_count for all that none names. */
typedef uint64_t service_set;
static_assert(RETENTION_SERVICES_MAX < 64, "a bit each, and one for the others");

/* Those whose spans have to go when they are so old. */
service_set service_ages_over(const struct retention_config *config, uint64_t old_ns);
bool service_ages_all(const struct retention_config *config, service_set over);
bool service_is_over(const struct retention_config *config, service_set over, struct slice service);

struct service_question {
    const struct retention_config *config;
    const struct catalog_view *view;
    struct io *io;
    uint32_t segment; /* number in the view */
    service_set over;
};
/* Spans of the segment whose services are over age. ERR_IO, ERR_NO_MEMORY. */
enum err service_ages_count(struct service_ages *ages, const struct service_question *question,
                            uint64_t *spans);
/* Spans that stay: of services that are not over, or pinned. The guard has told the segment's share. */
enum err service_ages_stay(struct service_ages *ages, const struct service_question *question,
                           struct pin_guard *guard, uint64_t *spans);

#endif
