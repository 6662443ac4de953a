/*
 * A filter is parsed for each block anew: that is some microseconds, and nothing has to be kept for a thousand pins.
 */
#include "query/selection.h"

#include "block_match.h"
#include "store/segment.h"

#include <stdio.h>
#include <stdlib.h>

enum { MEMORY_BYTES_MAX = 64 << 20 }; /* for what a filter means in one block */

struct selection {
    struct request request;
    struct arena arena;
    uint64_t values[BLOCK_PAGE_ROWS];
};

enum err selection_open(struct selection **out)
{
    struct selection *const selection = calloc(1, sizeof *selection);

    if (selection == NULL) return ERR_NO_MEMORY;
    arena_init(&selection->arena, MEMORY_BYTES_MAX);
    *out = selection;
    return OK;
}

void selection_close(struct selection *selection)
{
    arena_reset(&selection->arena);
    free(selection);
}

bool selection_check(const char *filter, char *message, size_t capacity)
{
    struct request *const request = calloc(1, sizeof *request);

    if (request == NULL) {
        snprintf(message, capacity, "out of memory");
        return false;
    }
    const bool sound = request_parse(request, REQUEST_FILTER, (struct slice){0}, slice_text(filter));
    if (!sound) snprintf(message, capacity, "%s", request->message);
    free(request);
    return sound;
}

/* ---- matching ------------------------------------------------------------------------------------------- */

static bool may_match(const struct catalog_view *view, struct io *io, uint32_t block,
                      const struct predicate *predicate)
{
    if (!block_match_possible(predicate, &catalog_block(view, block)->summary)) return false;
    for (unsigned i = 0; i < predicate->tokens_count; i++)
        if (!catalog_may_have_token(view, io, block, predicate->tokens[i])) return false;
    return true;
}

/* False: the visitor wants no more. */
static bool visit_page(struct block_reader *reader, uint32_t page, const struct page_rows_set *set,
                       selector_row_fn *visit, void *context)
{
    for (uint32_t word = 0; word < PAGE_WORDS; word++)
        for (uint64_t left = set->words[word]; left != 0; left &= left - 1) {
            const uint32_t row = word * 64 + (uint32_t)__builtin_ctzll(left);
            if (!visit(context, reader, page * BLOCK_PAGE_ROWS + row)) return false;
        }
    return true;
}

static enum err match_rows(struct selection *selection, const struct predicate *predicate,
                           struct block_reader *reader, selector_row_fn *visit, void *context)
{
    struct block_match match;

    TRY(block_match_init(&match, predicate, reader, selection->values, &selection->arena));
    for (uint32_t page = 0; page < block_pages(reader) && !match.none; page++) {
        struct page_rows_set set;
        bool any;
        TRY(block_match_page(&match, page, &set, &any));
        if (any && !visit_page(reader, page, &set, visit, context)) return OK;
        block_forget_page(reader, page);
    }
    return OK;
}

static enum err match_block(void *context, const struct catalog_view *view, struct io *io, uint32_t block,
                            const struct selector *selector, selector_row_fn *visit, void *visit_context)
{
    struct selection *const selection = context;
    struct request *const request = &selection->request;
    struct predicate predicate;
    struct catalog_source source;
    struct block_reader *reader;

    *request = (struct request){0};
    if (!request_parse(request, REQUEST_FILTER, (struct slice){0}, slice_text(selector->filter)))
        return ERR_MALFORMED;
    request->first_ns = selector->start_ns;
    request->last_ns = selector->end_ns == UINT64_MAX ? UINT64_MAX : selector->end_ns - 1;
    predicate_init(&predicate, request);
    if (!may_match(view, io, block, &predicate)) return OK;
    TRY(catalog_open_block(view, io, block, &source, &reader));
    const enum err err = match_rows(selection, &predicate, reader, visit, visit_context);
    block_close(reader);
    arena_reset(&selection->arena);
    return err;
}

struct selector_matcher selection_matcher(struct selection *selection)
{
    return (struct selector_matcher){match_block, selection};
}
