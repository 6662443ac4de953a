/*
 * Questions over all spans.
 */
#ifndef QUERY_SEARCH_H
#define QUERY_SEARCH_H

#include "answer.h"
#include "work.h"

/* {"traces":[...],"cursor":"..","coverage":{...}} */
enum err search_answer(struct work *work, struct answer *answer);
/* {"services":[...],"coverage":{...}} */
enum err services_answer(struct work *work, struct answer *answer);
/* {"operations":[...],"coverage":{...}} */
enum err operations_answer(struct work *work, struct answer *answer);

#endif
