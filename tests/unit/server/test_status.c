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

static void expect_text(const uint8_t *bytes, size_t len, const char *text)
{
    cr_expect_eq(len, strlen(text));
    cr_expect_eq(memcmp(bytes, text, len), 0, "%.*s", (int)len, (const char *)bytes);
}

Test(status, in_json)
{
    uint8_t bytes[STATUS_BYTES_MAX];

    expect_text(bytes, status_encode_json(14, "busy", bytes), "{\"code\":14,\"message\":\"busy\"}");
    expect_text(bytes, partial_success_encode_json(3, "bad \"id\"", bytes),
                "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"bad \\\"id\\\"\"}}");
}

Test(status, in_json_it_stays_within_a_kilobyte_too)
{
    static char text[3000];
    uint8_t bytes[STATUS_BYTES_MAX];

    memset(text, '<', sizeof text - 1); /* six bytes each once escaped */
    size_t len = status_encode_json(3, text, bytes);
    cr_assert_leq(len, STATUS_BYTES_MAX);
    cr_expect_eq(bytes[len - 1], '}');
    cr_expect_geq(len, 600, "not much shorter than it must be");
    for (size_t i = 0; i + 3 < sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    len = partial_success_encode_json(UINT64_MAX, text, bytes);
    cr_assert_leq(len, STATUS_BYTES_MAX);
    cr_expect_null(memmem(bytes, len, "\xef\xbf\xbd", 3), "no character was cut");
}
