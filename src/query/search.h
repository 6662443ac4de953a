/*
 * Questions over all spans.
 */
#ifndef QUERY_SEARCH_H
#define QUERY_SEARCH_H

#include "answer.h"
#include "work.h"

struct summary;

/* One page of a search. */
struct search_page {
    const struct summary *results; /* in the work's arena */
    uint32_t count;
    bool more; /* there may be another page */
};
enum err search_page(struct work *work, struct search_page *out);
/* {"traces":[...],"cursor":"..","coverage":{...}} */
enum err search_answer(struct work *work, struct answer *answer);
/* {"services":[...],"coverage":{...}} */
enum err services_answer(struct work *work, struct answer *answer);
/* {"operations":[...],"coverage":{...}} */
enum err operations_answer(struct work *work, struct answer *answer);

#endif
