/*
 * The rows of a live block that match a predicate. Values become pair ids once per block, so that a row is
 * matched by comparing numbers.
 *
 *   live_match_init() -> live_match_row() for any row below view->counts.rows
 */
#ifndef QUERY_LIVE_MATCH_H
#define QUERY_LIVE_MATCH_H

#include "arena.h"
#include "predicate.h"
#include "snapshot.h"

/* The pairs that fulfil one condition, ascending: mostly none or one; more where values are not looked up. */
struct pair_set {
    uint32_t *ids;
    size_t count, capacity;
    bool *shapes; /* by index: a constant of the shape does */
};

struct live_match {
    const struct predicate *predicate;
    const struct live_view *view;
    bool none;       /* no row can match */
    bool *resources; /* by index; NULL: all match */
    bool *scopes;
    struct pair_set name;                               /* when an operation is asked for */
    struct pair_set conditions[REQUEST_CONDITIONS_MAX]; /* those of predicate->row_conditions */
};

/* Memory from the arena. ERR_TOO_LARGE when there is none left. */
enum err live_match_init(struct live_match *match, const struct predicate *predicate,
                         const struct live_view *view, struct arena *arena);
bool live_match_row(const struct live_match *match, uint32_t row);

#endif
