#include "codec/base64.h"

#include <criterion/criterion.h>

static void expect(const char *bytes, size_t len, const char *text)
{
    char out[64];

    const size_t written = base64_encode(slice_of(bytes, len), out);
    cr_expect_eq(written, BASE64_LEN(len));
    cr_expect(slice_equal(slice_of(out, written), slice_text(text)), "%.*s is not %s", (int)written, out,
              text);
}

Test(base64, encodes_the_vectors_of_rfc_4648_without_their_padding)
{
    expect("", 0, "");
    expect("f", 1, "Zg");
    expect("fo", 2, "Zm8");
    expect("foo", 3, "Zm9v");
    expect("foob", 4, "Zm9vYg");
    expect("fooba", 5, "Zm9vYmE");
    expect("foobar", 6, "Zm9vYmFy");
}

Test(base64, encodes_every_bit)
{
    expect("\0\0\0", 3, "AAAA");
    expect("\xff\xff\xff\xff", 4, "/////w");
    expect("\xfb\xef\xbe\x10", 4, "++++EA");
}

static void expect_back(const char *text, const char *bytes, long len) /* -1: refused */
{
    uint8_t out[64];
    size_t out_len = 99;

    const bool good = base64_decode(slice_text(text), out, &out_len);
    cr_expect_eq(good, len >= 0, "%s", text);
    cr_expect_eq(out_len, len >= 0 ? (size_t)len : 99, "%s", text);
    if (good) cr_expect_eq(memcmp(out, bytes, out_len), 0, "%s", text);
}

Test(base64, reads_either_alphabet_padded_or_not)
{
    expect_back("", "", 0);
    expect_back("AA==", "\0", 1);
    expect_back("AA", "\0", 1);
    expect_back("Zm9v", "foo", 3);
    expect_back("Zm9vYg", "foob", 4);
    expect_back("Zm9vYmE=", "fooba", 5);
    expect_back("++//", "\xfb\xef\xff", 3);
    expect_back("--__", "\xfb\xef\xff", 3);
    expect_back("A", "", -1);
    expect_back("Zm9vY", "", -1);
    expect_back("Zm9=v", "", -1);
    expect_back("AA=", "", -1);
    expect_back("A===", "", -1);
    expect_back("====", "", -1);
    expect_back("Zm 9v", "", -1);
    expect_back("Zm9v\n", "", -1);
}

Test(base64, reads_back_what_it_wrote_in_place)
{
    uint8_t bytes[100], room[200];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        const size_t text_len = base64_encode(slice_of(bytes, len), (char *)room);
        size_t out_len;
        cr_assert(base64_decode(slice_of(room, text_len), room, &out_len));
        cr_assert_eq(out_len, len);
        cr_assert_eq(memcmp(room, bytes, len), 0);
    }
}
