/*
 * What a client asks, taken apart and checked: foreign bytes end here. README.md is the reference of all
 * parameters for users.
 */
#ifndef QUERY_REQUEST_H
#define QUERY_REQUEST_H

#include "base/err.h"
#include "model/trace.h"
#include "protocol/url.h"
#include "store/backups.h"
#include "store/ledger.h"
#include "store/retention.h"

#include <stdint.h>

enum {
    REQUEST_CONDITIONS_MAX = 32,
    REQUEST_LIMIT_DEFAULT = 20,
    REQUEST_LIMIT_MAX = 1000,
    REQUEST_MESSAGE_MAX = 512,
};

enum request_kind {
    REQUEST_TRACE = 1,
    REQUEST_SEARCH = 2,
    REQUEST_SERVICES = 4,
    REQUEST_OPERATIONS = 8,
    REQUEST_RETENTION = 16,
    REQUEST_FILTER = 32, /* of a pin or an erasure: no question, only parameters */
    REQUEST_PINS = 64,
    REQUEST_PIN_ADD = 128,
    REQUEST_PIN_REMOVE = 256,
    REQUEST_ERASURES = 512,
    REQUEST_ERASURE = 1024,
    REQUEST_ERASURE_ADD = 2048,
    REQUEST_LEDGER = 4096,
    REQUEST_BACKUPS = 8192,
    REQUEST_BACKUP_ADD = 16384,
    REQUEST_BACKUP_REMOVE = 32768,
    REQUEST_EXPORT = 65536,
    REQUEST_EXPORT_BEGIN = 131072,
    REQUEST_EXPORT_END = 262144,
}; /* bits, for the table of parameters */

/* An attribute of exactly this type and value, at this level. */
struct condition {
    enum attribute_level level;
    struct attribute attribute;
};

/* Where the last page ended: what follows comes strictly after it in the order of answers. */
struct cursor {
    uint64_t key_ns;
    struct trace_id trace_id;
};

/* A bound of time as given: absolute, or before now. */
struct moment {
    bool given, before_now;
    uint64_t ns;
};

struct request {
    enum request_kind kind;
    struct trace_id trace_id;         /* REQUEST_TRACE */
    uint64_t id;                      /* REQUEST_PIN_REMOVE, REQUEST_ERASURE, REQUEST_EXPORT(_END) */
    char backup[BACKUP_NAME_MAX + 1]; /* REQUEST_BACKUP_REMOVE */
    bool protobuf;

    bool has_after; /* wait until this much of the shard's journal is durable */
    uint32_t after_shard;
    uint64_t after_lsn;

    struct moment start, end;
    uint64_t first_ns, last_ns; /* start times in question, both inclusive; by request_resolve() */
    bool has_service, has_operation, has_status, has_kind, has_cursor;
    struct slice service, operation; /* in text */
    int32_t status, span_kind;
    uint64_t duration_min_ns, duration_max_ns; /* inclusive */
    struct condition conditions[REQUEST_CONDITIONS_MAX];
    uint32_t conditions_count;
    uint32_t limit;
    enum ledger_step step;             /* REQUEST_LEDGER */
    struct retention_config retention; /* what was given of it */
    bool has_age, has_bytes, has_free;
    struct cursor cursor;

    uint32_t seen;                       /* bit per parameter of the table */
    char message[REQUEST_MESSAGE_MAX];   /* why it was refused, and what to change */
    uint8_t text[HTTP1_QUERY_MAX + 1];   /* decoded parameters; or the body of the request */
    size_t text_len;                     /* of a body */
    uint8_t values[HTTP1_QUERY_MAX + 1]; /* unquoted keys and values */
    size_t values_len;
};

/* `rest` is the path behind the route's prefix (of a trace, a pin, an erasure), query the raw query string. false: message
 * tells. */
bool request_parse(struct request *request, enum request_kind kind, struct slice rest, struct slice query);
/* Bounds of time that are relative to now. false: message tells. */
bool request_resolve(struct request *request, uint64_t now_ns);

#endif
