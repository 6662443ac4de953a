#include "holds.h"

#include "base/assert.h"
#include "base/clock.h"

void holds_init(struct holds *holds, struct catalog *catalog)
{
    *holds = (struct holds){.catalog = catalog};
    pthread_mutex_init(&holds->mutex, NULL);
}

/* ---- under the mutex -------------------------------------------------------------------------------------- */

static struct hold *find(struct holds *holds, uint64_t id)
{
    for (unsigned i = 0; i < HOLDS_MAX; i++)
        if (holds->list[i].id == id) return &holds->list[i];
    return NULL;
}

static void let_go(struct holds *holds, struct hold *hold)
{
    catalog_release(holds->catalog, hold->view);
    *hold = (struct hold){.id = 0};
}

static void expire(struct holds *holds, uint64_t now_ns)
{
    for (unsigned i = 0; i < HOLDS_MAX; i++) {
        struct hold *const hold = &holds->list[i];
        if (hold->id == 0 || hold->users > 0) continue;
        if (now_ns > hold->used_ns && now_ns - hold->used_ns > HOLDS_IDLE_S * NS_PER_S) let_go(holds, hold);
    }
}

/* ---- for everybody ---------------------------------------------------------------------------------------- */

void holds_deinit(struct holds *holds)
{
    for (unsigned i = 0; i < HOLDS_MAX; i++) {
        assert(holds->list[i].users == 0);
        if (holds->list[i].id != 0) let_go(holds, &holds->list[i]);
    }
    pthread_mutex_destroy(&holds->mutex);
}

enum err holds_put(struct holds *holds, uint64_t id, uint64_t now_ns)
{
    assert(id != 0);
    pthread_mutex_lock(&holds->mutex);
    expire(holds, now_ns);
    struct hold *const hold = find(holds, 0);
    if (hold != NULL) *hold = (struct hold){id, catalog_acquire(holds->catalog), 0, false, now_ns};
    pthread_mutex_unlock(&holds->mutex);
    return hold != NULL ? OK : ERR_FULL;
}

enum err holds_take(struct holds *holds, uint64_t id, uint64_t now_ns, const struct catalog_view **out)
{
    pthread_mutex_lock(&holds->mutex);
    expire(holds, now_ns);
    struct hold *const hold = id != 0 ? find(holds, id) : NULL;
    const bool there = hold != NULL && !hold->ended;
    if (there) {
        hold->users++;
        *out = hold->view;
    }
    pthread_mutex_unlock(&holds->mutex);
    return there ? OK : ERR_NOT_FOUND;
}

void holds_give_back(struct holds *holds, uint64_t id, uint64_t now_ns)
{
    pthread_mutex_lock(&holds->mutex);
    struct hold *const hold = find(holds, id);
    assert(hold != NULL && hold->users > 0);
    hold->used_ns = now_ns;
    if (--hold->users == 0 && hold->ended) let_go(holds, hold);
    pthread_mutex_unlock(&holds->mutex);
}

enum err holds_end(struct holds *holds, uint64_t id)
{
    pthread_mutex_lock(&holds->mutex);
    struct hold *const hold = id != 0 ? find(holds, id) : NULL;
    const bool there = hold != NULL && !hold->ended;
    if (there) hold->ended = true;
    if (there && hold->users == 0) let_go(holds, hold);
    pthread_mutex_unlock(&holds->mutex);
    return there ? OK : ERR_NOT_FOUND;
}

void holds_expire(struct holds *holds, uint64_t now_ns)
{
    pthread_mutex_lock(&holds->mutex);
    expire(holds, now_ns);
    pthread_mutex_unlock(&holds->mutex);
}
