/* A filter of a pin means what a search with the same parameters finds. */
#include "otlp_text.h"
#include "query/selection.h"
#include "query_store.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct store store;

enum { SPANS = 40 };

/* Span i of trace i / 4 begins at 1000 + i; number=i, service by turns. */
static void write_span(struct otlp_text *text, uint32_t i)
{
    uint8_t trace[16] = {1, (uint8_t)(i / 4 + 1)}, span[8] = {(uint8_t)(i + 1)};

    begin(text, 1);
    begin(text, 1);
    begin(text, 1);
    string(text, 1, "service.name");
    begin(text, 2);
    string(text, 1, i % 2 == 0 ? "shop" : "cart");
    end(text);
    end(text);
    end(text);
    begin(text, 2);
    begin(text, 2);
    bytes(text, 1, trace, 16);
    bytes(text, 2, span, 8);
    string(text, 5, "work");
    fixed64(text, 7, 1000 + i);
    fixed64(text, 8, 2000 + i);
    begin(text, 9);
    string(text, 1, "number");
    begin(text, 2);
    number(text, 3, i / 8);
    end(text);
    end(text);
    end(text);
    end(text);
    end(text);
}

static void fill(void)
{
    static struct otlp_text text;

    store_open(&store);
    store_begin(&store);
    text.len = 0;
    for (uint32_t i = 0; i < SPANS; i++)
        write_span(&text, i);
    store_add(&store, text_slice(&text));
    store_end(&store, STORE_SEALED);
    store_close_segment(&store);
}

static bool count_row(void *context, struct block_reader *reader, uint32_t row)
{
    (void)reader, (void)row;
    ++*(unsigned *)context;
    return true;
}

static unsigned matches(uint64_t start_ns, uint64_t end_ns, const char *filter)
{
    struct selector selector = {.start_ns = start_ns, .end_ns = end_ns};
    const struct catalog_view *const view = catalog_acquire(store.catalog);
    struct selection *selection;
    unsigned count = 0;

    snprintf(selector.filter, sizeof selector.filter, "%s", filter);
    cr_assert_eq(selection_open(&selection), OK);
    const struct selector_matcher matcher = selection_matcher(selection);
    cr_assert_eq(matcher.match(matcher.context, view, store.io, 0, &selector, count_row, &count), OK);
    selection_close(selection);
    catalog_release(store.catalog, view);
    return count;
}

Test(selection, finds_the_spans_that_a_filter_means)
{
    fill();
    cr_assert_eq(matches(0, UINT64_MAX, ""), SPANS);
    cr_assert_eq(matches(1000, 1010, ""), 10, "the end is exclusive");
    cr_assert_eq(matches(1039, 1040, ""), 1);
    cr_assert_eq(matches(1040, UINT64_MAX, ""), 0);
    cr_assert_eq(matches(0, UINT64_MAX, "service=shop"), SPANS / 2);
    cr_assert_eq(matches(0, UINT64_MAX, "service=nobody"), 0);
    cr_assert_eq(matches(0, UINT64_MAX, "service=cart&attr=span.number=2"), 4);
    cr_assert_eq(matches(1000, 1020, "attr=span.number=2"), 4);
    cr_assert_eq(matches(0, UINT64_MAX, "operation=work&minDuration=1us"), SPANS);
    cr_assert_eq(matches(0, UINT64_MAX, "status=error"), 0);
    store_close(&store);
}

Test(selection, refuses_what_is_no_filter)
{
    char why[200];

    cr_assert(selection_check("service=a%20b&attr=span.x=\"1\"", why, sizeof why));
    cr_assert_not(selection_check("cursor=00", why, sizeof why));
    cr_assert_str_eq(why, "parameter cursor: not known here");
    cr_assert_not(selection_check("service=%zz", why, sizeof why));
}
