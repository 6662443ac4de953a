/*
 * What an operator wants kept, or erased, as JSON:
 *
 *   {"traceId": "4bf9...", "owner": "ann", "reason": "incident 7", "expires": "90d"}
 *   {"start": "-2h", "end": "now", "filter": "service=cart&status=error", "owner": ..., "reason": ..., "expires": "never"}
 *
 * Foreign bytes: checked here, once. README.md tells users.
 */
#ifndef QUERY_ORDER_H
#define QUERY_ORDER_H

#include "store/pins.h"

enum { ORDER_BYTES_MAX = 4096 };

struct order {
    struct selector selector;
    uint64_t expires_ns; /* 0: never */
    char owner[PIN_OWNER_MAX + 1], reason[PIN_REASON_MAX + 1];
};

/* Pins end, erasures do not: expires must be given, or must not. False: message says what is wrong, and where. */
bool order_parse(struct order *order, struct slice body, bool expires, uint64_t now_ns, char *message,
                 size_t capacity);

#endif
