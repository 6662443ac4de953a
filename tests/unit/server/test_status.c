/* The messages of answers, byte by byte (contract of OTLP: golden vectors). */
#include "status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, is_a_google_rpc_status)
{
    static const uint8_t golden[] = {0x08, 0x0e, 0x12, 0x04, 'b', 'u', 's', 'y'};
    uint8_t bytes[STATUS_BYTES_MAX];

    cr_assert_eq(status_encode(14, "busy", bytes), sizeof golden);
    cr_assert_arr_eq(bytes, golden, sizeof golden);
}

Test(status, carries_when_to_try_again)
{
    static const char golden[] = "\x08\x0e\x12\x04"
                                 "busy\x1a\x30\x0a\x28"
                                 "type.googleapis.com/google.rpc.RetryInfo\x12\x04\x0a\x02\x08\x05";
    uint8_t bytes[STATUS_BYTES_MAX];

    cr_assert_eq(status_encode_retry(14, "busy", 5, bytes), sizeof golden - 1);
    cr_assert_arr_eq(bytes, golden, sizeof golden - 1);
    cr_assert_eq(retry_info_encode(5, bytes), 4);
    cr_assert_arr_eq(bytes, golden + sizeof golden - 5, 4);
}

Test(status, partial_success_carries_count_and_message)
{
    static const uint8_t golden[] = {0x0a, 0x0a, 0x08, 0x03, 0x12, 0x06, 'b', 'a', 'd', ' ', 'i', 'd'};
    uint8_t bytes[STATUS_BYTES_MAX];

    cr_assert_eq(partial_success_encode(3, "bad id", bytes), sizeof golden);
    cr_assert_arr_eq(bytes, golden, sizeof golden);
}

Test(status, stays_within_a_kilobyte_and_ends_between_characters)
{
    static char text[3000];
    uint8_t bytes[STATUS_BYTES_MAX];

    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3); /* euro sign */
    const size_t len = status_encode(3, text, bytes);
    cr_assert_leq(len, STATUS_BYTES_MAX);
    cr_assert_eq(bytes[len - 1], 0xac, "the last character is whole");
    cr_assert_leq(status_encode_retry(14, text, UINT32_MAX, bytes), STATUS_BYTES_MAX);
    cr_assert_leq(partial_success_encode(UINT64_MAX, text, bytes), STATUS_BYTES_MAX);
}
