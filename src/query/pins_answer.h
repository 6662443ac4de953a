/*
 * The pins over HTTP: GET lists them, POST sets one (201, when it is durable), DELETE takes one away. What went wrong is in
 * request->message.
 */
#ifndef QUERY_PINS_ANSWER_H
#define QUERY_PINS_ANSWER_H

#include "answer.h"
#include "store/pins.h"
#include "work.h"

enum err pins_list_answer(struct work *work, struct answer *answer);
/* The order stands in request->text. */
enum err pins_add_answer(struct work *work, struct request *request, struct answer *answer);
enum err pins_remove_answer(struct work *work, struct request *request, struct answer *answer);

/* Members of an object: what a selector means. */
void put_selector(struct json *json, const struct selector *selector);

#endif
