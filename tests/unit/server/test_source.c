/* Counts per source address, against a plain array. */
#include "source.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(source_table, counts_like_an_array)
{
    enum { SOURCES = 500, STEPS = 200000 };
    static uint32_t expected[SOURCES];
    static uint64_t hashes[SOURCES];
    struct source_table table;
    uint64_t dice = 12345;
    uint32_t total = 0;

    cr_assert_eq(source_table_open(&table, SOURCES, 7), OK);
    for (unsigned i = 0; i < SOURCES; i++) {
        char address[32];
        snprintf(address, sizeof address, "10.0.%u.%u", i / 256, i % 256);
        /* few home places, so that runs are long */
        hashes[i] = (source_hash(&table, address) & ~0xffULL) | (i % 5);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        dice = dice * 6364136223846793005ULL + 1442695040888963407ULL;
        const unsigned who = (unsigned)(dice >> 33) % SOURCES;
        const bool add = total == 0 || (total < SOURCES && (dice >> 20 & 1) != 0);
        if (add) {
            total++;
            cr_assert_eq(source_add(&table, hashes[who]), ++expected[who]);
        } else if (expected[who] > 0) {
            total--;
            expected[who]--;
            source_remove(&table, hashes[who]);
        }
    }
    for (unsigned i = 0; i < SOURCES; i++)
        cr_assert_eq(source_add(&table, hashes[i]), expected[i] + 1);
    source_table_close(&table);
}
