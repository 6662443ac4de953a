#include "rest.h"

#include "base/clock.h"

#include <errno.h>
#include <time.h>

void rest_init(struct rest *rest)
{
    pthread_condattr_t monotonic;

    rest->over = false;
    pthread_mutex_init(&rest->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&rest->ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void rest_deinit(struct rest *rest)
{
    pthread_cond_destroy(&rest->ended);
    pthread_mutex_destroy(&rest->mutex);
}

void rest_end(struct rest *rest)
{
    pthread_mutex_lock(&rest->mutex);
    rest->over = true;
    pthread_cond_broadcast(&rest->ended);
    pthread_mutex_unlock(&rest->mutex);
}

bool rest_is_over(struct rest *rest)
{
    pthread_mutex_lock(&rest->mutex);
    const bool over = rest->over;
    pthread_mutex_unlock(&rest->mutex);
    return over;
}

bool rest_for(struct rest *rest, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    const uint64_t end_ns = (uint64_t)until.tv_sec * NS_PER_S + (uint64_t)until.tv_nsec + ns;
    until = (struct timespec){.tv_sec = (time_t)(end_ns / NS_PER_S), .tv_nsec = (long)(end_ns % NS_PER_S)};
    pthread_mutex_lock(&rest->mutex);
    while (!rest->over && pthread_cond_timedwait(&rest->ended, &rest->mutex, &until) != ETIMEDOUT)
        ;
    const bool over = rest->over;
    pthread_mutex_unlock(&rest->mutex);
    return !over;
}
