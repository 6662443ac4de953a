/*
 * How a thread of the background rests: for a while, or until it is told that its time is over.
 */
#ifndef MAIN_REST_H
#define MAIN_REST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct rest {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool over;
};

void rest_init(struct rest *rest);
void rest_deinit(struct rest *rest);
/* Any thread: whoever rests wakes up, and nobody rests any more. */
void rest_end(struct rest *rest);
bool rest_is_over(struct rest *rest);
/* Returns after ns, or when it is over; false: it is. */
bool rest_for(struct rest *rest, uint64_t ns);

#endif
