/*
 * The call tree of one invented trace: which spans there are, who is whose parent, when each ran and what
 * failed. Spans stand in an order in which parents come before children.
 */
#ifndef LOAD_CALL_TREE_H
#define LOAD_CALL_TREE_H

#include "world.h"

#define CALL_NO_PARENT UINT32_MAX

enum call_kind {
    CALL_SERVER,   /* an operation is entered: SERVER span, or CONSUMER when it is a queue's */
    CALL_CLIENT,   /* the call to an operation: CLIENT or PRODUCER span; its child is the CALL_SERVER */
    CALL_DATABASE, /* CLIENT span without a child */
    CALL_INTERNAL,
};

struct call {
    enum call_kind kind;
    uint32_t parent;    /* index, or CALL_NO_PARENT */
    uint32_t operation; /* entered, called, or the one at work; index in world->operations */
    uint32_t service;   /* that makes the span */
    uint32_t depth;
    int64_t start_ns,
        end_ns;        /* from the start of the trace; a child lies within its parent (but for messages) */
    int64_t cursor_ns; /* where the next child begins; for growing only */
    uint64_t span_id;
    bool error;
};

struct call_tree {
    struct call *calls; /* owned */
    uint32_t count;
    uint32_t capacity;
};

void call_tree_deinit(struct call_tree *tree);
/* Replaces what the tree held by a new trace of `spans` spans (at least 1). ERR_NO_MEMORY */
enum err call_tree_grow(struct call_tree *tree, const struct world *world, uint32_t spans, struct dice *dice);

#endif
