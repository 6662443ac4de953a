/* UTF-8: every border of table 3-7, and every pair and triple of first bytes against a slow reading. */
#include <criterion/criterion.h>

#include "codec/utf8.h"

/* Encodes a code point; the definition that the decoder is held against. */
static size_t encode(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (code & 63));
    return 4;
}

Test(utf8, reads_every_character_and_no_prefix_of_one)
{
    uint8_t text[4];

    for (uint32_t code = 0; code <= 0x110000; code++) {
        const size_t len = encode(code, text);
        const bool good = code < 0x110000 && (code < 0xd800 || code > 0xdfff);
        cr_assert_eq(utf8_len(slice_of(text, len)), good ? len : 0, "U+%04x", code);
        for (size_t cut = 1; cut < len; cut++)
            cr_assert_eq(utf8_len(slice_of(text, cut)), 0, "U+%04x", code);
        for (size_t cut = 1; good && cut < len; cut++)
            cr_assert_eq(utf8_bad_len(slice_of(text, cut)), cut, "U+%04x", code);
    }
}

Test(utf8, no_three_bytes_are_a_character_unless_they_encode_one)
{
    unsigned characters = 0;

    for (uint32_t i = 0; i < 1U << 24; i++) {
        const uint8_t text[3] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        characters += utf8_len(slice_of(text, 3)) == 3;
    }
    cr_expect_eq(characters, 0x10000 - 0x800 - 0x800);
}

Test(utf8, tells_valid_text)
{
    cr_expect(utf8_valid((struct slice){0}));
    cr_expect(utf8_valid(slice_text("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")));
    cr_expect_not(utf8_valid(slice_text("a\xc3")));
    cr_expect_not(utf8_valid(slice_text("\xc3"
                                        "a")));
    cr_expect_not(utf8_valid(slice_text("\xf8\x88\x80\x80\x80")));
}
