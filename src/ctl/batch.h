/*
 * Requests of bounded size out of messages of any size. A TracesData may be put together from the parts of several, for its
 * list is; and it may be taken apart, down to single spans, each with its resource and scope.
 *
 *   batch_init() -> batch_add() for each message; it sends whenever the next part would not fit -> batch_flush()
 */
#ifndef CTL_BATCH_H
#define CTL_BATCH_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

struct batch {
    size_t bytes_max;
    enum err (*send)(void *context, struct slice request, uint64_t spans);
    void *context;
    /* private */
    uint8_t *bytes;
    size_t len, capacity;
    uint64_t spans;
};

void batch_init(struct batch *batch, size_t bytes_max,
                enum err (*send)(void *context, struct slice request, uint64_t spans), void *context);
/* ERR_MALFORMED: it is no TracesData. A single span that is larger than a request may be goes alone. Errors of send. */
enum err batch_add(struct batch *batch, struct slice message);
/* Sends what is left. */
enum err batch_flush(struct batch *batch);
void batch_deinit(struct batch *batch);

#endif
