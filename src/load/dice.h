/*
 * Dice: every random choice of the generator comes from here, so that a seed gives the same bytes again.
 *
 *   dice_init(&dice, seed);  dice_u64 | dice_below | dice_unit | dice_chance | dice_normal | dice_log_normal
 *   zipf_init(&zipf, count, exponent);  zipf_pick(&zipf, &dice);  zipf_deinit(&zipf);
 *
 * splitmix64: one addition and one mix per number, equidistributed over its whole period of 2^64.
 */
#ifndef LOAD_DICE_H
#define LOAD_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct dice {
    uint64_t state;
};

/* A bijection of 64-bit numbers (the finalizer of splitmix64): distinct in, distinct out. */
static inline uint64_t dice_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

void dice_init(struct dice *dice, uint64_t seed);
uint64_t dice_u64(struct dice *dice);
/* 0 … count - 1; count must not be 0. */
uint32_t dice_below(struct dice *dice, uint32_t count);
/* low … high, both inclusive. */
uint32_t dice_between(struct dice *dice, uint32_t low, uint32_t high);
/* 0 ≤ x < 1 */
double dice_unit(struct dice *dice);
bool dice_chance(struct dice *dice, double probability);
/* Mean 0, deviation 1; the sum of twelve uniform numbers, so it stays within ±6. */
double dice_normal(struct dice *dice);
/* Median exp(mu), mean exp(mu + sigma² / 2). */
double dice_log_normal(struct dice *dice, double mu, double sigma);

/* Zipf's law: item k of count has a share in proportion to 1 / (k + 1)^exponent. */
struct zipf {
    double *cumulative; /* owned; the last is 1 */
    uint32_t count;
};

/* ERR_NO_MEMORY; count must not be 0. */
enum err zipf_init(struct zipf *zipf, uint32_t count, double exponent);
void zipf_deinit(struct zipf *zipf);
uint32_t zipf_pick(const struct zipf *zipf, struct dice *dice);

#endif
