/*
 * Versions of the catalog that clients hold over several questions: what they ask meanwhile is about one moment, whatever
 * is taken in, merged or removed. A version keeps the files it refers to on the disk, so there are few, and one that nobody
 * has asked for a minute is let go.
 *
 *   holds_put() -> holds_take() and holds_give_back() around a question, any number of times -> holds_end()
 *
 * Any thread.
 */
#ifndef QUERY_HOLDS_H
#define QUERY_HOLDS_H

#include "store/segment.h"

#include <pthread.h>

enum { HOLDS_MAX = 4, HOLDS_IDLE_S = 60 };

struct hold {
    uint64_t id; /* 0: free */
    const struct catalog_view *view;
    unsigned users; /* questions at work */
    bool ended;     /* goes with the last of them */
    uint64_t used_ns;
};

struct holds {
    struct catalog *catalog; /* borrowed */
    pthread_mutex_t mutex;
    struct hold list[HOLDS_MAX];
};

void holds_init(struct holds *holds, struct catalog *catalog);
/* No question is at work. */
void holds_deinit(struct holds *holds);
/* Holds the current version. id: a number that cannot be guessed, not 0. ERR_FULL: HOLDS_MAX, all of them in use. */
enum err holds_put(struct holds *holds, uint64_t id, uint64_t now_ns);
/* ERR_NOT_FOUND: it has been let go, or never was. */
enum err holds_take(struct holds *holds, uint64_t id, uint64_t now_ns, const struct catalog_view **out);
void holds_give_back(struct holds *holds, uint64_t id, uint64_t now_ns);
enum err holds_end(struct holds *holds, uint64_t id);
/* Lets go of what nobody has asked for. */
void holds_expire(struct holds *holds, uint64_t now_ns);

#endif
