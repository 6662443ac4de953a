/*
 * Three interleaved streams hide the instruction's latency of three cycles; their sums are joined by
 * multiplying with x^(8*len) modulo the polynomial, here by feeding zero bytes through a small power table.
 * Blocks of 3 x 1 KiB.
 */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define STEP8(crc, value) ((uint32_t)_mm_crc32_u64((crc), (value)))
#define STEP1(crc, value) (_mm_crc32_u8((crc), (value)))
#elif defined(__aarch64__)
#include <arm_acle.h>
#define STEP8(crc, value) (__crc32cd((crc), (value)))
#define STEP1(crc, value) (__crc32cb((crc), (value)))
#else
#error "CRC32C needs the processor's instruction (x86-64 with SSE4.2, or arm64)"
#endif

enum { LANE_BYTES = 1024 };

/* shift_table[k][b]: what a register whose byte k is b becomes after LANE_BYTES zero bytes. */
static uint32_t shift_table[4][256];
static pthread_once_t shift_once = PTHREAD_ONCE_INIT;

static uint32_t advance_zeros(uint32_t crc, size_t count)
{
    for (size_t i = 0; i < count; i++)
        crc = STEP1(crc, 0);
    return crc;
}

static void shift_init(void)
{
    for (unsigned k = 0; k < 4; k++)
        for (unsigned b = 0; b < 256; b++)
            shift_table[k][b] = advance_zeros((uint32_t)b << (8 * k), LANE_BYTES);
}

static uint32_t shift_lane(uint32_t crc)
{
    return shift_table[0][crc & 0xff] ^ shift_table[1][(crc >> 8) & 0xff] ^
           shift_table[2][(crc >> 16) & 0xff] ^ shift_table[3][crc >> 24];
}

static uint64_t load8(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

uint32_t crc32c(uint32_t seed, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint32_t crc = ~seed;

    if (len >= (size_t)3 * LANE_BYTES) {
        pthread_once(&shift_once, shift_init);
        for (; len >= (size_t)3 * LANE_BYTES; len -= (size_t)3 * LANE_BYTES, at += (size_t)3 * LANE_BYTES) {
            uint32_t second = 0, third = 0;
            for (size_t i = 0; i < LANE_BYTES; i += 8) {
                crc = STEP8(crc, load8(at + i));
                second = STEP8(second, load8(at + LANE_BYTES + i));
                third = STEP8(third, load8(at + 2 * LANE_BYTES + i));
            }
            crc = shift_lane(shift_lane(crc) ^ second) ^ third;
        }
    }
    for (; len >= 8; len -= 8, at += 8)
        crc = STEP8(crc, load8(at));
    for (; len > 0; len--, at++)
        crc = STEP1(crc, *at);
    return ~crc;
}
