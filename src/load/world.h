/*
 * The world: an invented company with its services, their instances, their operations and who calls whom.
 * Made once from a seed; then read-only. Calls go from lower to higher service numbers, so there are no
 * cycles.
 */
#ifndef LOAD_WORLD_H
#define LOAD_WORLD_H

#include "dice.h"
#include "load/stock.h"
#include "walk.h"

#define WORLD_NAME_MAX    96
#define WORLD_CALLEES_MAX 5
#define WORLD_GROUPS      8 /* Collectors; each gets the spans of its own services */

enum protocol { PROTOCOL_HTTP, PROTOCOL_RPC, PROTOCOL_MESSAGE, PROTOCOLS };

/* The instrumentation scopes of every service. */
enum scope_kind { SCOPE_SERVER, SCOPE_CLIENT, SCOPE_DATABASE, SCOPE_OWN, SCOPES };

/* Bytes in world.text: offsets, because the buffer moves while it grows. */
struct piece {
    uint32_t offset, len;
};

struct service {
    char name[WORLD_NAME_MAX];
    uint32_t language; /* index for world_language() */
    uint32_t group;    /* 0 … WORLD_GROUPS - 1 */
    uint32_t instances_first, instances;
    uint32_t operations_first, operations;
    struct piece scopes[SCOPES]; /* fields of ScopeSpans without spans */
};

/* What a service offers: the target of a call. */
struct operation {
    uint32_t service;
    enum protocol protocol;
    char name[WORLD_NAME_MAX]; /* of the server or consumer span: "GET /carts/{id}", "shop.Cart/Get", "orders
                                  process" */
    char method[16];           /* GET …, or the RPC method, or the queue's operation */
    char target[WORLD_NAME_MAX]; /* route, RPC service, or queue */
    char query[320];             /* its database statement */
    char table[32];
    double duration_mu; /* log of the median duration in nanoseconds */
    uint32_t callees[WORLD_CALLEES_MAX];
    uint32_t callees_count;
};

struct world {
    enum profile profile;
    struct service *services; /* owned */
    uint32_t services_count;
    struct operation *operations; /* owned */
    uint32_t operations_count;
    struct piece *instances; /* owned; fields of ResourceSpans without scope_spans */
    uint32_t instances_count;
    struct buffer text;
    struct zipf entries; /* popularity of the operations of the services in front */
    uint32_t entries_count;
};

/* ERR_NO_MEMORY; the world must then be deinitialized as well. */
enum err world_init(struct world *world, const struct stock_config *config);
void world_deinit(struct world *world);

static inline struct slice world_piece(const struct world *world, struct piece piece)
{
    return slice_of(world->text.ptr + piece.offset, piece.len);
}

/* "java", "go" … as telemetry.sdk.language wants it. */
const char *world_language(uint32_t language);

#endif
