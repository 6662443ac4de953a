/*
 * Erasures over HTTP: POST takes a job (202, when it is durable), GET tells how far it has come. What went wrong is in
 * request->message.
 */
#ifndef QUERY_ERASURES_ANSWER_H
#define QUERY_ERASURES_ANSWER_H

#include "answer.h"
#include "work.h"

enum err erasures_list_answer(struct work *work, struct answer *answer);
/* request->id */
enum err erasure_answer(struct work *work, struct request *request, struct answer *answer);
/* The order stands in request->text. */
enum err erasure_add_answer(struct work *work, struct request *request, struct answer *answer);

#endif
