/*
 * CRC32C (Castagnoli, RFC 3720 B.4) by the processor's instruction.
 * crc32c(0, "123456789", 9) is 0xe3069283. Chaining: crc32c(crc32c(seed, a), b) covers a then b.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t seed, const void *bytes, size_t len);

#endif
