/*
 * A tree grows from its root: again and again one of the spans that can have children (the youngest are
 * likeliest) gets one more, until there are enough.
 *
 *   SERVER GET /api/v1/cart            |----------------------------------------|
 *     CLIENT shop.v1.pricing/Get3         |-----------|
 *       SERVER shop.v1.pricing/Get3         |-------|
 *         DATABASE SELECT                     |---|
 *     INTERNAL                                            |------|
 *
 * A child takes a part of the time that its parent has left; when little is left, the next one runs beside
 * its siblings. One span in a hundred fails by itself, and each caller above fails with it by an even chance:
 * two in a hundred are errors.
 */
#include "call_tree.h"

#include <stdlib.h>

#define DEPTH_MAX      14
#define YOUNG          6
#define ERROR_ORIGIN   0.0105
#define ERROR_SPREADS  0.5
#define LEAST_LEFT_NS  20000
#define QUEUE_DELAY_NS 3000000.0

void call_tree_deinit(struct call_tree *tree)
{
    free(tree->calls);
    *tree = (struct call_tree){0};
}

static enum err reserve(struct call_tree *tree, uint32_t spans)
{
    if (spans <= tree->capacity) return OK;

    struct call *const calls = realloc(tree->calls, spans * sizeof *calls);
    if (calls == NULL) return ERR_NO_MEMORY;
    tree->calls = calls;
    tree->capacity = spans;
    return OK;
}

static uint32_t add(struct call_tree *tree, struct call call)
{
    assert(tree->count < tree->capacity);

    call.cursor_ns = call.start_ns;
    tree->calls[tree->count] = call;
    return tree->count++;
}

static struct call child_of(const struct call_tree *tree, uint32_t parent, enum call_kind kind,
                            struct dice *dice)
{
    const struct call *const above = &tree->calls[parent];

    return (struct call){.kind = kind,
                         .parent = parent,
                         .operation = above->operation,
                         .service = above->service,
                         .depth = above->depth + 1,
                         .span_id = dice_u64(dice) | 1};
}

/* Takes a slot of the parent's time for the child. */
static void take_time(struct call *parent, struct call *child, struct dice *dice)
{
    if (parent->end_ns - parent->cursor_ns < LEAST_LEFT_NS) /* beside its siblings */
        parent->cursor_ns = parent->start_ns +
                            (int64_t)((double)(parent->end_ns - parent->start_ns) * 0.5 * dice_unit(dice));

    const double left = (double)(parent->end_ns - parent->cursor_ns);
    child->start_ns = parent->cursor_ns + (int64_t)(left * 0.1 * dice_unit(dice));
    child->end_ns = child->start_ns + (int64_t)(left * (0.1 + 0.5 * dice_unit(dice)));
    if (dice_chance(dice, 0.75)) parent->cursor_ns = child->end_ns;
}

static void add_leaf(struct call_tree *tree, uint32_t parent, enum call_kind kind, struct dice *dice)
{
    struct call leaf = child_of(tree, parent, kind, dice);

    take_time(&tree->calls[parent], &leaf, dice);
    (void)add(tree, leaf);
}

/* The caller's span and, inside it, the callee's; a message is taken from its queue after the sender has gone
 * on. */
static void add_call(struct call_tree *tree, const struct world *world, uint32_t parent, struct dice *dice)
{
    const struct operation *const caller = &world->operations[tree->calls[parent].operation];
    const uint32_t callee = caller->callees[dice_below(dice, caller->callees_count)];

    struct call client = child_of(tree, parent, CALL_CLIENT, dice);
    client.operation = callee;
    take_time(&tree->calls[parent], &client, dice);
    const uint32_t client_at = add(tree, client);

    struct call server = child_of(tree, client_at, CALL_SERVER, dice);
    server.service = world->operations[callee].service;
    const int64_t way = (int64_t)((double)(client.end_ns - client.start_ns) * 0.02 * (1 + dice_unit(dice)));
    server.start_ns = client.start_ns + way;
    server.end_ns = client.end_ns - way;
    if (world->operations[callee].protocol == PROTOCOL_MESSAGE) {
        const int64_t delay = (int64_t)(QUEUE_DELAY_NS * (0.1 + dice_unit(dice)));
        server.start_ns = client.end_ns + delay;
        server.end_ns = server.start_ns +
                        (int64_t)dice_log_normal(dice, world->operations[callee].duration_mu, 0.5);
    }
    (void)add(tree, server);
}

static bool can_have_children(const struct call *call)
{
    return (call->kind == CALL_SERVER || call->kind == CALL_INTERNAL) && call->depth < DEPTH_MAX;
}

/* One of the youngest spans that may have children; the root if those cannot. */
static uint32_t pick_parent(const struct call_tree *tree, struct dice *dice)
{
    const uint32_t young = tree->count < YOUNG ? tree->count : YOUNG;
    const bool any = tree->count > 64 && dice_chance(dice, 0.3); /* long traces are broad */

    for (int attempt = 0; attempt < 4; attempt++) {
        const uint32_t at = any ? dice_below(dice, tree->count) : tree->count - 1 - dice_below(dice, young);
        if (can_have_children(&tree->calls[at])) return at;
    }
    return 0;
}

static void add_child(struct call_tree *tree, const struct world *world, uint32_t spans, struct dice *dice)
{
    const uint32_t parent = pick_parent(tree, dice);
    const struct operation *const operation = &world->operations[tree->calls[parent].operation];

    if (operation->callees_count > 0 && spans - tree->count >= 2 && dice_chance(dice, 0.55))
        add_call(tree, world, parent, dice);
    else
        add_leaf(tree, parent, dice_chance(dice, 0.6) ? CALL_DATABASE : CALL_INTERNAL, dice);
}

static void add_errors(struct call_tree *tree, struct dice *dice)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        if (!dice_chance(dice, ERROR_ORIGIN)) continue;
        for (uint32_t at = i; at != CALL_NO_PARENT; at = tree->calls[at].parent) {
            tree->calls[at].error = true;
            if (!dice_chance(dice, ERROR_SPREADS)) break;
        }
    }
}

enum err call_tree_grow(struct call_tree *tree, const struct world *world, uint32_t spans, struct dice *dice)
{
    assert(spans > 0);

    TRY(reserve(tree, spans));
    tree->count = 0;
    const uint32_t entry = zipf_pick(&world->entries, dice);
    const struct operation *const operation = &world->operations[entry];
    const double width = spans > 1000 ? 1000.0 : (double)spans; /* more work takes longer */
    (void)add(tree, (struct call){.kind = CALL_SERVER,
                                  .parent = CALL_NO_PARENT,
                                  .operation = entry,
                                  .service = operation->service,
                                  .end_ns = (int64_t)(dice_log_normal(dice, operation->duration_mu, 0.7) *
                                                      (1 + width / 4)),
                                  .span_id = dice_u64(dice) | 1});
    while (tree->count < spans)
        add_child(tree, world, spans, dice);
    add_errors(tree, dice);
    return OK;
}
