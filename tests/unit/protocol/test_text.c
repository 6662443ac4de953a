/* The table of byte classes against the sets that RFC 9110 and 3986 write out, and the words of HTTP. */
#include <criterion/criterion.h>
#include <ctype.h>

#include "text.h"

static bool among(unsigned c, const char *set)
{
    return c != 0 && c < 128 && strchr(set, (int)c) != NULL;
}

Test(text, every_byte_has_its_classes)
{
    for (unsigned c = 0; c < 256; c++) {
        const bool word = c < 128 && isalnum((int)c);
        const bool printable = c > 0x20 && c < 0x7f;
        cr_expect_eq((text_class[c] & CLASS_TOKEN) != 0, word || among(c, "!#$%&'*+-.^_`|~"), "token %u", c);
        cr_expect_eq((text_class[c] & CLASS_TEXT) != 0, c == '\t' || (c >= 0x20 && c != 0x7f), "text %u", c);
        cr_expect_eq((text_class[c] & CLASS_TARGET) != 0, printable && c != '#', "target %u", c);
        cr_expect_eq((text_class[c] & CLASS_HOST) != 0, word || among(c, "-._~"), "host %u", c);
        cr_expect_eq((text_class[c] & CLASS_DIGIT) != 0, c >= '0' && c <= '9', "digit %u", c);
        cr_expect_eq(text_hex((uint8_t)c) >= 0, c < 128 && isxdigit((int)c), "hex %u", c);
    }
}

Test(text, lists_give_their_elements)
{
    struct slice list = slice_text(" a ,\tb,, c");
    struct slice element;
    const char *const expected[] = {"a", "b", "", "c"};

    for (size_t i = 0; i < 4; i++) {
        cr_assert(text_next_element(&list, &element));
        cr_expect(slice_is(element, expected[i]));
    }
    cr_expect_not(text_next_element(&list, &element));
}

Test(text, case_does_not_matter_but_length_does)
{
    cr_expect(text_is(slice_text("ClOsE"), "close"));
    cr_expect_not(text_is(slice_text("clos"), "close"));
    cr_expect_not(text_is(slice_text("closed"), "close"));
    cr_expect_not(text_is(slice_of("close\0", 6), "close"));
    cr_expect(text_same(slice_text("A-b"), slice_text("a-B")));
    cr_expect_not(text_same(slice_text("@"), slice_text("`")));
    cr_expect_not(text_same(slice_text("a"), slice_text("ab")));
}
