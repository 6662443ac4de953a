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
