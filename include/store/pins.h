/*
 * Pins: what must not leave, whatever the rules of retention say. A pin names a trace, or spans by range and filter; every
 * trace that has such a span is pinned as a whole, in whichever segments its spans lie. A pin has an owner, a reason and a
 * moment when it ends; where several hold a trace, the one that ends last counts.
 *
 *   pins_open()   reads the list; a damaged one holds everything, until somebody decides
 *   pins_add(), pins_remove()   durable when OK, in force from then on
 *   pins_acquire()   the list as it is, immutable; release it when done
 *
 * Any thread, with its io. Bounded: PINS_MAX. Pins that have ended stay in the list, and are the first to go when it is full.
 */
#ifndef STORE_PINS_H
#define STORE_PINS_H

#include "store/selector.h"

struct io;
struct io_dir;
struct pins;

enum { PINS_MAX = 1024, PIN_OWNER_MAX = 128, PIN_REASON_MAX = 512 };

struct pin {
    uint64_t id; /* from 1; never given twice */
    uint64_t created_ns;
    uint64_t expires_ns; /* wall clock; 0: never */
    struct selector selector;
    char owner[PIN_OWNER_MAX + 1], reason[PIN_REASON_MAX + 1];
};

struct pin_list {
    unsigned refs; /* private */
    bool damaged;  /* the file cannot be read: nothing may leave */
    uint64_t generation;
    uint32_t count;
    struct pin pins[]; /* by id */
};

/* dir: the data directory, borrowed until pins_close(). ERR_VERSION: the list needs a newer reader. */
enum err pins_open(struct io *io, struct io_dir *dir, uint64_t instance, struct pins **out);
void pins_close(struct pins *pins);

/*
 * Adds a pin; its id and created_ns are filled in. now_ns: by which pins have ended that may make room. ERR_FULL: there are
 * PINS_MAX that have not ended. ERR_CORRUPT: the list is damaged. Other errors: whether it will be there after a
 * restart is not known; it is not in force.
 */
enum err pins_add(struct pins *pins, struct io *io, uint64_t now_ns, struct pin *pin);
/* ERR_NOT_FOUND. Other errors: it stays in force. */
enum err pins_remove(struct pins *pins, struct io *io, uint64_t id);

const struct pin_list *pins_acquire(struct pins *pins);
void pins_release(struct pins *pins, const struct pin_list *list);

/*
 * Holds changes of the list up, while something leaves that this list allows to leave. False: the list has changed, and
 * nothing is held up.
 */
bool pins_hold(struct pins *pins, const struct pin_list *list);
void pins_let_go(struct pins *pins);

static inline bool pin_is_live(const struct pin *pin, uint64_t now_ns)
{
    return pin->expires_ns == 0 || now_ns < pin->expires_ns;
}

#endif
