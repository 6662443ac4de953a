/*
 * GET /query/v1/retention: the limits in force, how large the store is, and which segments would leave now, by these limits
 * or by others that are asked about.
 */
#ifndef QUERY_RETENTION_ANSWER_H
#define QUERY_RETENTION_ANSWER_H

#include "answer.h"
#include "work.h"

enum err retention_answer(struct work *work, struct answer *answer);

#endif
