/*
 * One question from the queue to its answer, on a worker's thread.
 */
#ifndef QUERY_QUESTION_H
#define QUERY_QUESTION_H

#include "pool.h"

/* Completes the job's ticket, whatever happens. */
void question_answer(struct worker *worker, struct job *job);
/* Completes a ticket with an error; message NULL: the words for that err. */
void question_refuse(const struct exchange_ticket *ticket, enum err err, const char *message);

#endif
