/*
 * GET /query/v1/ledger: what has become of the spans that came, by service and time, from live blocks and segments.
 * received = stored + rejected + duplicate + expired + erased in each row.
 */
#ifndef QUERY_LEDGER_ANSWER_H
#define QUERY_LEDGER_ANSWER_H

#include "answer.h"
#include "work.h"

enum err ledger_answer(struct work *work, struct answer *answer);

#endif
