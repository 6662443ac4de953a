/* Backups, as JSON: {"backups": [...]}, an order {"name": "..."}, which may leave the name to the server, and a removal. */
#ifndef QUERY_BACKUPS_ANSWER_H
#define QUERY_BACKUPS_ANSWER_H

#include "answer.h"
#include "work.h"

enum err backups_list_answer(struct work *work, struct answer *answer);
/* The one that is asked for will be made. request->message says what is wrong with the order. */
enum err backups_add_answer(struct work *work, struct request *request, struct answer *answer);
enum err backups_remove_answer(struct work *work, struct request *request, struct answer *answer);

#endif
