/* The file of credentials: what is taken, what is refused, and what is found in the table. */
#include "access/credentials.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* echo -n secret | sha256sum */
#define SECRET "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
/* echo -n other | sha256sum */
#define OTHER "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"

static struct credentials *parse(const char *text)
{
    char error[CREDENTIALS_ERROR_MAX] = "";
    struct credentials *credentials = NULL;

    cr_assert_eq(credentials_parse(slice_text(text), &credentials, error), OK, "%s", error);
    return credentials;
}

static void refuses(const char *text, const char *why)
{
    char error[CREDENTIALS_ERROR_MAX] = "";
    struct credentials *credentials = NULL;

    cr_assert_eq(credentials_parse(slice_text(text), &credentials, error), ERR_MALFORMED, "%s", text);
    cr_assert_not_null(strstr(error, why), "%s: %s", text, error);
    cr_assert_null(credentials);
}

static const struct credential *find(const struct credentials *credentials, const char *token)
{
    const struct digest digest = digest_of(slice_text(token));

    return credentials_find(credentials, CREDENTIAL_TOKEN, &digest);
}

Test(credentials, finds_a_token_by_its_digest)
{
    struct credentials *const table = parse("# who may do what\n\n"
                                            "cart ingest sha256:" SECRET "\n"
                                            "\twall\tquery,ops  sha256:" OTHER " 2027-06-30T00:00:00Z\r\n");

    cr_assert_eq(credentials_count(table), 2);
    const struct credential *const cart = find(table, "secret"), *const wall = find(table, "other");
    cr_assert_not_null(cart);
    cr_assert_str_eq(cart->name, "cart");
    cr_assert_eq(cart->roles, ACCESS_INGEST);
    cr_assert_eq(cart->expires_s, 0);
    cr_assert_not_null(wall);
    cr_assert_eq(wall->roles, ACCESS_QUERY | ACCESS_OPS);
    cr_assert_eq(wall->expires_s, 1814313600);
    cr_assert_null(find(table, "secreu"));
    cr_assert_null(find(table, ""));
    credentials_release(table);
}

Test(credentials, a_certificate_is_no_token)
{
    struct credentials *const table = parse("edge ingest cert:edge.example.com\n");
    const struct digest name = digest_of(slice_text("edge.example.com"));

    cr_assert_null(find(table, "edge.example.com"), "whoever knows the name would be let in");
    const struct credential *const edge = credentials_find(table, CREDENTIAL_CERTIFICATE, &name);
    cr_assert_not_null(edge);
    cr_assert_str_eq(edge->subject, "edge.example.com");
    credentials_release(table);
}

Test(credentials, may_be_empty)
{
    struct credentials *const table = parse("");
    struct credentials *const comments = parse("# nobody\n   \n#\n");

    cr_assert_eq(credentials_count(table), 0);
    cr_assert_null(find(table, "secret"));
    cr_assert_eq(credentials_count(comments), 0);
    credentials_release(table);
    credentials_release(comments);
}

Test(credentials, refuses_what_is_not_a_credential)
{
    refuses("cart", "roles");
    refuses("ca/rt ingest sha256:" SECRET, "name");
    refuses("cart admin sha256:" SECRET, "roles");
    refuses("cart ingest, sha256:" SECRET, "roles");
    refuses("cart ingest secret", "third field");
    refuses("cart ingest sha256:2BB80D", "third field");
    refuses("cart ingest sha256:" SECRET "0", "third field");
    refuses("cart ingest cert:", "third field");
    refuses("cart ingest cert:a\033[2Jb", "third field");
    refuses("cart ingest sha256:" SECRET " tomorrow", "expiry");
    refuses("cart ingest sha256:" SECRET " 2027-02-31T00:00:00Z", "expiry");
    refuses("cart ingest sha256:" SECRET " 2027-06-30T00:00:00Z more", "four fields");
    refuses("a ingest sha256:" SECRET "\nb query sha256:" SECRET, "line 2: this secret");
    refuses("a ingest sha256:" SECRET "\n\na query sha256:" OTHER, "line 3: a credential of this name");
}

Test(credentials, refuses_a_name_of_65_letters_and_takes_64)
{
    char text[256];

    snprintf(text, sizeof text, "%065d ingest sha256:" SECRET, 0);
    refuses(text, "name");
    credentials_release(parse(text + 1));
}

Test(credentials, refuses_more_than_4096)
{
    const size_t capacity = (CREDENTIALS_MAX + 1) * 100UL;
    char *const text = malloc(capacity);
    size_t len = 0;

    for (int i = 0; i <= CREDENTIALS_MAX; i++)
        len += (size_t)snprintf(text + len, capacity - len, "c%d ingest sha256:%064x\n", i, i);
    refuses(text, "more than 4096");
    text[len - 1] = '\0';
    *strrchr(text, '\n') = '\0';
    struct credentials *const table = parse(text);
    cr_assert_eq(credentials_count(table), CREDENTIALS_MAX);
    credentials_release(table);
    free(text);
}

Test(credentials, finds_the_right_one_where_prefixes_are_alike)
{
    /* the same first eight bytes, of a token and of a certificate */
    struct credentials *const table = parse("a ingest cert:x\nb query sha256:" SECRET "\n");
    struct digest near = digest_of(slice_text("secret"));

    near.bytes[31] ^= 1;
    cr_assert_null(credentials_find(table, CREDENTIAL_TOKEN, &near), "one bit at the end");
    near.bytes[31] ^= 1;
    cr_assert_null(credentials_find(table, CREDENTIAL_CERTIFICATE, &near));
    cr_assert_not_null(credentials_find(table, CREDENTIAL_TOKEN, &near));
    credentials_release(table);
}

Test(credentials, a_line_that_is_written_is_read_again)
{
    static const char *const lines[] = {"cart ingest,query sha256:" SECRET,
                                        "wall ops cert:spiffe://house/wall",
                                        "x ingest sha256:" OTHER " 2100-02-28T23:59:59Z"};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct credential credential;
        char line[CREDENTIAL_LINE_MAX];
        const char *why;

        cr_assert(credential_parse(slice_text(lines[i]), &credential, &why), "%s", why);
        cr_assert_eq(credential_format(&credential, line), strlen(lines[i]));
        cr_assert_str_eq(line, lines[i]);
    }
}

Test(credentials, every_prefix_of_a_line_is_judged)
{
    static const char line[] = "cart ingest sha256:" SECRET " 2027-06-30T00:00:00Z";

    for (size_t len = 0; len < sizeof line; len++) {
        struct credential credential;
        const char *why;
        const bool whole = len == sizeof line - 1, without_expiry = len == 19 + 64 || len == 20 + 64;

        cr_assert_eq(credential_parse(slice_of(line, len), &credential, &why), whole || without_expiry, "%zu",
                     len);
    }
}
