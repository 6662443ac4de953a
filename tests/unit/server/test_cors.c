/* Which origins may send, and what they are told. */
#include "cors.h"

#include "conn.h"

#include <criterion/criterion.h>

static struct server server;

static bool allows(const char *pattern, const char *origin)
{
    static const char *patterns[1];

    patterns[0] = pattern;
    server.config.origins = patterns;
    server.config.origins_count = 1;
    return cors_allows(&server, ROLE_OTLP, slice_text(origin));
}

Test(cors, an_origin_is_allowed_as_it_stands_and_in_any_case)
{
    cr_expect(allows("https://shop.example.com", "https://shop.example.com"));
    cr_expect(allows("https://Shop.Example.com", "HTTPS://shop.example.COM"));
    cr_expect(allows("http://localhost:3000", "http://localhost:3000"));
    cr_expect_not(allows("http://localhost:3000", "http://localhost:3001"));
    cr_expect_not(allows("http://localhost:3000", "http://localhost"));
    cr_expect_not(allows("http://localhost", "http://localhost:3000"));
    cr_expect_not(allows("http://localhost", "https://localhost"));
    cr_expect_not(allows("https://shop.example.com", "https://shop.example.com.evil.net"));
    cr_expect_not(allows("https://shop.example.com", "null"));
    cr_expect_not(allows("https://shop.example.com", ""));
}

Test(cors, a_star_stands_for_bytes_of_a_host)
{
    cr_expect(allows("https://*.example.com", "https://a.example.com"));
    cr_expect(allows("https://*.example.com", "https://a.b.example.com"));
    cr_expect(allows("https://*.example.com", "https://a.example.com.example.com"));
    cr_expect(allows("http://localhost:*", "http://localhost:3000"));
    cr_expect(allows("http*://*:80*", "https://a:8080"));
    cr_expect_not(allows("https://*.example.com", "https://example.com"));
    cr_expect_not(allows("https://*.example.com", "https://evil.net/.example.com"));
    cr_expect_not(allows("https://*.example.com", "https://evil.net?.example.com"));
    cr_expect_not(allows("https://*.example.com", "https://evil.net#.example.com"));
    cr_expect_not(allows("https://*.example.com", "https://u@a.example.com"));
    cr_expect_not(allows("https://*.example.com", "http://a.example.com"));
    cr_expect_not(allows("https://*.example.com", "https://a.example.com.evil.net"));
}

Test(cors, a_lone_star_allows_every_origin_without_credentials)
{
    struct http1_header fields[CORS_FIELDS_MAX];

    cr_expect(allows("*", "https://a"));
    cr_expect(allows("*", "null"));
    const size_t count = cors_fields(&server, slice_text("https://a"), fields);
    cr_expect(slice_is(fields[0].value, "*"));
    for (size_t i = 0; i < count; i++)
        cr_expect_str_neq(fields[i].name, "access-control-allow-credentials");
    cr_expect(allows("https://*", "https://a"));
    cr_expect_eq(cors_fields(&server, slice_text("https://a"), fields), CORS_FIELDS_MAX);
    cr_expect(slice_is(fields[0].value, "https://a"));
}

Test(cors, only_the_listener_for_otlp_over_http_and_only_when_configured)
{
    cr_assert(allows("*", "https://a"));
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        cr_expect_eq(cors_allows(&server, (enum listener_role)role, slice_text("https://a")),
                     role == ROLE_OTLP);
    server.config.origins_count = 0;
    cr_expect_not(cors_allows(&server, ROLE_OTLP, slice_text("https://a")));
    cr_expect_not(cors_is_configured(&server, ROLE_OTLP));
}

Test(cors, an_origin_that_is_too_long_is_nobodys)
{
    char origin[CORS_ORIGIN_MAX + 1];

    memset(origin, 'a', sizeof origin);
    origin[CORS_ORIGIN_MAX - 1] = '\0';
    cr_expect(allows("*", origin));
    origin[CORS_ORIGIN_MAX - 1] = 'a';
    origin[CORS_ORIGIN_MAX] = '\0';
    cr_expect_not(allows("*", origin));
}

Test(cors, many_stars_end_soon)
{
    char pattern[512], origin[CORS_ORIGIN_MAX];

    for (size_t i = 0; i < sizeof pattern - 1; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[sizeof pattern - 2] = 'b';
    pattern[sizeof pattern - 1] = '\0';
    memset(origin, 'a', sizeof origin);
    origin[sizeof origin - 1] = '\0';
    cr_expect_not(allows(pattern, origin));
}

Test(cors, H21_what_a_page_asks_for_is_allowed_if_it_is_a_list_of_names)
{
    struct http1_header fields[CORS_PREFLIGHT_FIELDS_MAX];
    const struct slice post = slice_text("POST");

    cr_expect_eq(cors_preflight_fields(post, slice_text("content-type, x-Tenant_1"), fields), 3);
    cr_expect(slice_is(fields[2].value, "content-type, x-Tenant_1"));
    cr_expect_eq(cors_preflight_fields(post, slice_text(""), fields), 2);
    cr_expect_eq(cors_preflight_fields(post, slice_text("a\r\nb"), fields), 2);
    cr_expect_eq(cors_preflight_fields(post, slice_text("<a>"), fields), 2);
}
