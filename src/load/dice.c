/*
 * Dice and Zipf's law. Nothing here can fail but the table of zipf_init(). The only calls into libm are exp()
 * and pow(), so the same seed gives the same bytes on one machine; an acknowledgement log carries a checksum
 * of the templates for the case that two machines differ in the last bit.
 */
#include "dice.h"

#include <math.h>
#include <stdlib.h>

void dice_init(struct dice *dice, uint64_t seed)
{
    dice->state = dice_mix(seed ^ 0x9e3779b97f4a7c15ULL);
}

uint64_t dice_u64(struct dice *dice)
{
    dice->state += 0x9e3779b97f4a7c15ULL;
    return dice_mix(dice->state);
}

uint32_t dice_below(struct dice *dice, uint32_t count)
{
    assert(count > 0);

    return (uint32_t)(((dice_u64(dice) >> 32) * count) >> 32);
}

uint32_t dice_between(struct dice *dice, uint32_t low, uint32_t high)
{
    assert(low <= high);

    return low + dice_below(dice, high - low + 1);
}

double dice_unit(struct dice *dice)
{
    return (double)(dice_u64(dice) >> 11) * 0x1.0p-53;
}

bool dice_chance(struct dice *dice, double probability)
{
    return dice_unit(dice) < probability;
}

double dice_normal(struct dice *dice)
{
    double sum = -6.0;

    for (int i = 0; i < 12; i++)
        sum += dice_unit(dice);
    return sum;
}

double dice_log_normal(struct dice *dice, double mu, double sigma)
{
    return exp(mu + sigma * dice_normal(dice));
}

enum err zipf_init(struct zipf *zipf, uint32_t count, double exponent)
{
    assert(count > 0);

    double *const cumulative = calloc(count, sizeof *cumulative);
    if (cumulative == NULL) return ERR_NO_MEMORY;

    double sum = 0;
    for (uint32_t k = 0; k < count; k++) {
        sum += 1.0 / pow((double)k + 1.0, exponent);
        cumulative[k] = sum;
    }
    for (uint32_t k = 0; k < count; k++)
        cumulative[k] /= sum;
    *zipf = (struct zipf){.cumulative = cumulative, .count = count};
    return OK;
}

void zipf_deinit(struct zipf *zipf)
{
    free(zipf->cumulative);
    *zipf = (struct zipf){0};
}

/* The first item whose cumulative share is beyond the throw. */
uint32_t zipf_pick(const struct zipf *zipf, struct dice *dice)
{
    const double at = dice_unit(dice);
    uint32_t low = 0;
    uint32_t high = zipf->count - 1;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (zipf->cumulative[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
