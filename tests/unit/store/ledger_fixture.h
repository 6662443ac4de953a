/* The ledger of a world, checked against the rows that are there. */
#ifndef TESTS_LEDGER_FIXTURE_H
#define TESTS_LEDGER_FIXTURE_H

#include "segment_fixture.h"
#include "store/ledger.h"

#include <criterion/criterion.h>

static inline struct ledger *new_ledger(void)
{
    struct ledger *ledger;

    cr_assert_eq(ledger_open(&ledger), OK);
    return ledger;
}

static inline void count_rows_of(struct world *world, const struct catalog_view *view, uint32_t segment,
                                 struct ledger *counted)
{
    uint32_t first;
    const uint32_t count = catalog_segment_blocks(view, segment, &first);

    for (uint32_t i = first; i < first + count; i++) {
        struct catalog_source source;
        struct block_reader *reader;
        cr_assert_eq(catalog_open_block(view, world->io, i, &source, &reader), OK);
        cr_assert_eq(block_ledger_count(reader, counted), OK);
        block_close(reader);
    }
}

/* Sum over the store; every segment's must balance and agree with its rows. Owned by the caller. */
static inline struct ledger *ledger_of_world(struct world *world)
{
    const struct catalog_view *const view = catalog_acquire(world->catalog);
    struct ledger *const all = new_ledger();
    bool damaged = false;

    for (uint32_t i = 0; i < catalog_segments(view); i++) {
        struct ledger *const ledger = new_ledger(), *const counted = new_ledger();
        cr_assert_eq(catalog_ledger(view, world->io, i, &ledger_always, ledger, &damaged), OK);
        cr_assert(ledger_balances(ledger));
        count_rows_of(world, view, i, counted);
        cr_assert(ledger_agree(ledger, counted, LEDGER_STORED), "the rows are those that the ledger means");
        ledger_add_all(all, ledger);
        ledger_close(ledger);
        ledger_close(counted);
    }
    cr_assert_not(damaged);
    cr_assert_not(ledger_failed(all));
    catalog_release(world->catalog, view);
    return all;
}

static inline uint64_t counted_as(struct world *world, enum ledger_count count)
{
    struct ledger *const ledger = ledger_of_world(world);
    const uint64_t total = ledger_total(ledger, count);

    ledger_close(ledger);
    return total;
}

#endif
