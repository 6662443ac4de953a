/* Decisions, replacement while others decide, and failures per source. */
#include "access/access.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define CART                                                                                                 \
    "cart ingest sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\n" /* secret */
#define WALL                                                                                                 \
    "wall query sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa "                    \
    "2027-06-30T00:00:00Z\n"

struct house {
    struct access *access;
    struct access_view view;
};

static struct credentials *table_of(const char *text)
{
    char error[CREDENTIALS_ERROR_MAX];
    struct credentials *credentials = NULL;

    cr_assert_eq(credentials_parse(slice_text(text), &credentials, error), OK, "%s", error);
    return credentials;
}

static struct house house_of(const char *text)
{
    struct house house;

    cr_assert_eq(access_open(42, &house.access), OK);
    if (text != NULL) access_replace(house.access, table_of(text));
    access_view_open(house.access, &house.view);
    return house;
}

static void leave(struct house *house)
{
    access_view_close(&house->view);
    access_close(house->access);
}

static char who[CREDENTIAL_NAME_MAX + 1];

static enum access_verdict ask(struct house *house, const char *authorization, unsigned needs)
{
    const struct access_request request = {
        .needs = needs,
        .authorization = authorization != NULL ? slice_text(authorization) : (struct slice){0},
        .now_s = 1800000000,
    };

    return access_decide(&house->view, &request, who);
}

Test(access, lets_everybody_in_while_there_are_no_credentials)
{
    struct house house = house_of(NULL);

    cr_assert(!access_is_asked(&house.view));
    cr_assert_eq(ask(&house, NULL, ACCESS_OPS), ACCESS_GRANTED);
    leave(&house);
}

Test(access, lets_nobody_in_with_an_empty_table)
{
    struct house house = house_of("# empty\n");

    cr_assert(access_is_asked(&house.view));
    cr_assert_eq(ask(&house, NULL, ACCESS_INGEST), ACCESS_MISSING);
    cr_assert_eq(ask(&house, "Bearer secret", ACCESS_INGEST), ACCESS_UNKNOWN);
    leave(&house);
}

Test(access, decides_by_token_role_and_time)
{
    struct house house = house_of(CART WALL);

    cr_assert_eq(ask(&house, "Bearer secret", ACCESS_INGEST), ACCESS_GRANTED);
    cr_assert_str_eq(who, "cart");
    cr_assert_eq(ask(&house, "Bearer secret", ACCESS_QUERY), ACCESS_FORBIDDEN, "A3");
    cr_assert_eq(ask(&house, "Bearer secret", 0), ACCESS_GRANTED, "any credential will do");
    cr_assert_eq(ask(&house, "Bearer other", ACCESS_QUERY), ACCESS_GRANTED);
    cr_assert_eq(ask(&house, "Bearer other", ACCESS_INGEST), ACCESS_FORBIDDEN, "A3");
    const struct access_request late = {
        .needs = ACCESS_QUERY, .authorization = slice_text("Bearer other"), .now_s = 1814313600};
    cr_assert_eq(access_decide(&house.view, &late, who), ACCESS_EXPIRED);
    cr_assert_str_eq(who, "wall");
    leave(&house);
}

Test(access, A1_A2_takes_one_form_of_the_field_only)
{
    static const char *const good[] = {"Bearer secret", "bearer secret", "BEARER secret", "bEaReR secret"};
    static const char *const bad[] = {
        "",
        "Bearer",
        "Bearer ",
        "Bearer  secret",
        "Bearer\tsecret",
        " Bearer secret",
        "Bearer secret ",
        "Bearer secret, Bearer secret",
        "secret",
        "Basic c2VjcmV0",
        "Bearer secreT",
        "Bearer secre",
        "Bearer secrets",
        "Bearer s\xc3\xa9"
        "cret",
        "Bearer 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"};
    struct house house = house_of(CART);

    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_assert_eq(ask(&house, good[i], ACCESS_INGEST), ACCESS_GRANTED, "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(ask(&house, bad[i], ACCESS_INGEST), ACCESS_UNKNOWN, "'%s'", bad[i]);
    leave(&house);
}

Test(access, A1_a_token_of_8_KiB_is_not_even_hashed)
{
    static char field[8200] = "Bearer ";
    struct house house = house_of(CART);

    memset(field + 7, 'a', sizeof field - 8);
    cr_assert_eq(ask(&house, field, ACCESS_INGEST), ACCESS_UNKNOWN);
    cr_assert_str_eq(who, "");
    leave(&house);
}

Test(access, tells_an_unknown_token_by_six_digits_of_its_digest)
{
    struct house house = house_of(CART);

    cr_assert_eq(ask(&house, "Bearer other", ACCESS_INGEST), ACCESS_UNKNOWN);
    cr_assert_str_eq(who, "d9298a");
    leave(&house);
}

Test(access, A12_a_certificate_needs_a_credential_of_its_name)
{
    struct house house = house_of("edge ingest cert:edge.example.com\n");
    const struct digest names[] = {digest_of(slice_text("edge")), digest_of(slice_text("edge.example.com"))};
    struct access_request request = {
        .needs = ACCESS_INGEST, .certificate_names = names, .certificate_names_count = 2, .now_s = 1};

    cr_assert_eq(access_decide(&house.view, &request, who), ACCESS_GRANTED);
    cr_assert_str_eq(who, "edge");
    request.certificate_names_count = 1;
    cr_assert_eq(access_decide(&house.view, &request, who), ACCESS_STRANGER);
    request.certificate_names_count = 2;
    request.authorization = slice_text("Bearer wrong");
    cr_assert_eq(access_decide(&house.view, &request, who), ACCESS_UNKNOWN, "a token that is shown decides");
    leave(&house);
}

Test(access, A4_the_next_decision_follows_a_replacement)
{
    struct house house = house_of(CART);

    cr_assert_eq(ask(&house, "Bearer secret", ACCESS_INGEST), ACCESS_GRANTED);
    access_replace(house.access, table_of(WALL));
    cr_assert_eq(ask(&house, "Bearer secret", ACCESS_INGEST), ACCESS_UNKNOWN);
    cr_assert_eq(ask(&house, "Bearer other", ACCESS_QUERY), ACCESS_GRANTED);
    leave(&house);
}

struct decider {
    struct access *access;
    atomic_bool stop;
    uint64_t decisions;
};

static void *decide(void *context)
{
    struct decider *const decider = context;
    struct house own = {.access = decider->access};

    access_view_open(own.access, &own.view);
    while (!atomic_load(&decider->stop)) {
        const struct access_request request = {.needs = ACCESS_INGEST,
                                               .authorization = slice_text("Bearer secret")};
        char name[CREDENTIAL_NAME_MAX + 1];
        cr_assert_eq(access_decide(&own.view, &request, name), ACCESS_GRANTED);
        cr_assert_str_eq(name, "cart");
        decider->decisions++;
    }
    access_view_close(&own.view);
    return NULL;
}

Test(access, A4_is_replaced_while_threads_decide)
{
    struct access *access;
    struct decider deciders[2];
    pthread_t threads[2];

    cr_assert_eq(access_open(1, &access), OK);
    access_replace(access, table_of(CART));
    for (unsigned i = 0; i < 2; i++) {
        deciders[i] = (struct decider){.access = access};
        cr_assert_eq(pthread_create(&threads[i], NULL, decide, &deciders[i]), 0);
    }
    for (unsigned i = 0; i < 500; i++)
        access_replace(access, table_of(i % 2 == 0 ? CART WALL : CART));
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&deciders[i].stop, true);
        pthread_join(threads[i], NULL);
    }
    access_close(access);
}

Test(access, A8_counts_failures_by_source_and_minute)
{
    struct house house = house_of(CART);
    const uint64_t begin = 1000 * 60 * NS_PER_S;

    for (unsigned i = 1; i <= 60; i++)
        cr_assert_eq(access_failed(house.access, slice_text("10.0.0.1"), begin + i), i);
    cr_assert_eq(access_failed(house.access, slice_text("10.0.0.2"), begin), 1);
    cr_assert_eq(access_failed(house.access, slice_text("10.0.0.1"), begin + 60 * NS_PER_S), 1);
    cr_assert_eq(access_retry_after_s(begin), 60);
    cr_assert_eq(access_retry_after_s(begin + 60 * NS_PER_S - 1), 1);
    leave(&house);
}

Test(access, A8_keeps_who_fails_most_when_sources_are_many)
{
    struct house house = house_of(CART);
    const uint64_t begin = 7 * 60 * NS_PER_S;

    for (unsigned i = 0; i < ACCESS_FAILURES_MAX; i++)
        access_failed(house.access, slice_text("10.0.0.1"), begin);
    for (unsigned i = 0; i < 4 * ACCESS_SOURCES_MAX; i++) {
        char source[32];
        snprintf(source, sizeof source, "192.168.%u.%u", i / 256, i % 256);
        access_failed(house.access, slice_text(source), begin);
    }
    cr_assert_eq(access_failed(house.access, slice_text("10.0.0.1"), begin), ACCESS_FAILURES_MAX + 1);
    leave(&house);
}
