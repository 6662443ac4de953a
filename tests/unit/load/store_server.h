/*
 * A store for tests: an HTTP server on a loopback port of its own that keeps what it is sent and gives traces back,
 * one thread for each connection. A script of one letter for each request (in order of arrival, the last letter for
 * all that follow) says how it behaves:
 *
 *   a  accept: keep the spans, answer 200           p  keep them, but answer that one was rejected
 *   r  refuse: 503                                  e  error: 400 with a text
 *   c  close the connection without an answer       k  keep the spans, then close without an answer
 *   d  keep the spans, answer 200 and Connection: close
 */
#ifndef TEST_LOAD_STORE_SERVER_H
#define TEST_LOAD_STORE_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto.h"

struct store_server {
    const char *script; /* set before store_server_start() */
    bool chunked;       /* how traces are given back */
    char url[64];       /* http://127.0.0.1:port */
    uint32_t posts;     /* so far */
    struct buffer kept; /* one TracesData: messages concatenate */
    int listener;
    pthread_mutex_t lock;
};

void store_server_start(struct store_server *server);

#endif
