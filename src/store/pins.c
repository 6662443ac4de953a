/*
 * The list in memory is replaced as a whole, like a version of the catalog. Two locks: one is held by whoever changes the
 * list, across the writing of the file, and by retention while something leaves (pins_hold()); the other, for a moment, by
 * whoever takes or gives back a reference.
 */
#include "store/pins.h"

#include "base/log.h"
#include "selector_record.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_EXPIRES /* word of selector_record.own */ };

struct pins {
    struct io_dir *dir;
    uint64_t instance;
    pthread_mutex_t changing; /* next_id, and the right to replace current */
    uint64_t next_id;
    pthread_mutex_t mutex; /* current, and all refs */
    struct pin_list *current;
};

/* ---- lists -------------------------------------------------------------------------------------------- */

static struct pin_list *list_make(uint32_t capacity)
{
    struct pin_list *const list = calloc(1, sizeof *list + capacity * sizeof(struct pin));

    if (list != NULL) list->refs = 1;
    return list;
}

static void list_drop(struct pin_list *list)
{
    if (--list->refs == 0) free(list);
}

const struct pin_list *pins_acquire(struct pins *pins)
{
    pthread_mutex_lock(&pins->mutex);
    struct pin_list *const list = pins->current;
    list->refs++;
    pthread_mutex_unlock(&pins->mutex);
    return list;
}

void pins_release(struct pins *pins, const struct pin_list *list)
{
    pthread_mutex_lock(&pins->mutex);
    list_drop((struct pin_list *)list);
    pthread_mutex_unlock(&pins->mutex);
}

bool pins_hold(struct pins *pins, const struct pin_list *list)
{
    pthread_mutex_lock(&pins->changing);
    if (pins->current == list) return true;
    pthread_mutex_unlock(&pins->changing);
    return false;
}

void pins_let_go(struct pins *pins)
{
    pthread_mutex_unlock(&pins->changing);
}

/* ---- the file ----------------------------------------------------------------------------------------- */

static enum err read_pins(struct slice rest, struct pin_list *list, uint64_t next_id)
{
    uint64_t last_id = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        struct pin *const pin = &list->pins[i];
        struct selector_record record;
        const struct selector_texts texts = {pin->owner, pin->reason, PIN_OWNER_MAX, PIN_REASON_MAX};
        TRY(selector_record_read(&rest, &record, &pin->selector, &texts));
        if (record.id <= last_id || record.id >= next_id) return ERR_CORRUPT;
        last_id = pin->id = record.id;
        pin->created_ns = record.created_ns;
        pin->expires_ns = record.own[OWN_EXPIRES];
    }
    return rest.len == 0 ? OK : ERR_CORRUPT;
}

static enum err write_pins(struct pins *pins, struct io *io, const struct pin_list *list, uint64_t next_id)
{
    const struct list_header header = {.next_id = next_id, .count = list->count};
    struct list_body body = {.bytes = NULL};
    enum err err = OK;

    for (uint32_t i = 0; i < list->count && err == OK; i++) {
        const struct pin *const pin = &list->pins[i];
        const struct selector_record record = {
            .id = pin->id, .created_ns = pin->created_ns, .own = {[OWN_EXPIRES] = pin->expires_ns}};
        err = selector_record_write(&body, &record, &pin->selector, pin->owner, pin->reason);
    }
    if (err == OK) err = list_file_write(io, pins->dir, &list_pins, pins->instance, &header, &body);
    list_body_free(&body);
    return err;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static enum err load(struct pins *pins, struct io *io)
{
    struct list_header header;
    struct list_body body;

    enum err err = list_file_read(io, pins->dir, &list_pins, pins->instance, &header, &body);
    if (err == OK && header.count > PINS_MAX) err = ERR_CORRUPT;
    pins->current = list_make(err == OK ? header.count : 0);
    if (pins->current == NULL) err = ERR_NO_MEMORY;
    if (err == OK) {
        pins->next_id = header.next_id;
        pins->current->count = header.count;
        err = read_pins(slice_of(body.bytes, body.len), pins->current, header.next_id);
    }
    list_body_free(&body);
    if (err != ERR_CORRUPT) return err;
    log_error("store",
              "the list of pins is damaged: nothing leaves the store until the file is put back from a "
              "backup, or removed, and the server started again",
              "file=%s", list_pins.name);
    pins->current->count = 0;
    pins->current->damaged = true;
    return OK;
}

enum err pins_open(struct io *io, struct io_dir *dir, uint64_t instance, struct pins **out)
{
    struct pins *const pins = calloc(1, sizeof *pins);

    if (pins == NULL) return ERR_NO_MEMORY;
    pins->dir = dir;
    pins->instance = instance;
    pins->next_id = 1;
    pthread_mutex_init(&pins->changing, NULL);
    pthread_mutex_init(&pins->mutex, NULL);
    const enum err err = load(pins, io);
    if (err != OK) {
        pins_close(pins);
        return err;
    }
    *out = pins;
    return OK;
}

void pins_close(struct pins *pins)
{
    if (pins->current != NULL) {
        assert(pins->current->refs == 1);
        list_drop(pins->current);
    }
    pthread_mutex_destroy(&pins->changing);
    pthread_mutex_destroy(&pins->mutex);
    free(pins);
}

/* ---- changing ----------------------------------------------------------------------------------------- */

static void put(struct pins *pins, struct pin_list *list)
{
    pthread_mutex_lock(&pins->mutex);
    list->generation = pins->current->generation + 1;
    list_drop(pins->current);
    pins->current = list;
    pthread_mutex_unlock(&pins->mutex);
}

/* Durable first; then it counts. Takes the list over. */
static enum err replace(struct pins *pins, struct io *io, struct pin_list *list, uint64_t next_id)
{
    const enum err err = write_pins(pins, io, list, next_id);

    pins->next_id = next_id; /* also on failure: the file may be there */
    if (err == OK)
        put(pins, list);
    else
        list_drop(list);
    return err;
}

/* The one that has ended first; count: none. */
static uint32_t oldest_ended(const struct pin_list *list, uint64_t now_ns)
{
    uint32_t found = list->count;

    for (uint32_t i = 0; i < list->count; i++)
        if (!pin_is_live(&list->pins[i], now_ns) &&
            (found == list->count || list->pins[i].expires_ns < list->pins[found].expires_ns))
            found = i;
    return found;
}

static struct pin_list *list_without(const struct pin_list *list, uint32_t place, uint32_t room)
{
    struct pin_list *const copy = list_make(list->count + room);

    if (copy == NULL) return NULL;
    for (uint32_t i = 0; i < list->count; i++)
        if (i != place) copy->pins[copy->count++] = list->pins[i];
    return copy;
}

static enum err add(struct pins *pins, struct io *io, uint64_t now_ns, struct pin *pin)
{
    const struct pin_list *const list = pins->current; /* nobody else replaces it */
    const uint32_t leaver = list->count < PINS_MAX ? list->count : oldest_ended(list, now_ns);

    if (list->damaged) return ERR_CORRUPT;
    if (leaver == list->count && list->count == PINS_MAX) return ERR_FULL;
    struct pin_list *const copy = list_without(list, leaver, 1);
    if (copy == NULL) return ERR_NO_MEMORY;
    pin->id = pins->next_id;
    pin->created_ns = io_wall_ns(io);
    copy->pins[copy->count++] = *pin;
    return replace(pins, io, copy, pins->next_id + 1);
}

enum err pins_add(struct pins *pins, struct io *io, uint64_t now_ns, struct pin *pin)
{
    pthread_mutex_lock(&pins->changing);
    const enum err err = add(pins, io, now_ns, pin);
    pthread_mutex_unlock(&pins->changing);
    if (err == OK)
        log_info("store", "pin set", "id=%" PRIu64 " owner=\"%s\"", pin->id, pin->owner);
    else
        log_warn("store", "a pin could not be set", "err=\"%s\"", err_text(err));
    return err;
}

static enum err take_away(struct pins *pins, struct io *io, uint64_t id)
{
    const struct pin_list *const list = pins->current;
    uint32_t place = 0;

    while (place < list->count && list->pins[place].id != id)
        place++;
    if (list->damaged) return ERR_CORRUPT;
    if (place == list->count) return ERR_NOT_FOUND;
    struct pin_list *const copy = list_without(list, place, 0);
    return copy == NULL ? ERR_NO_MEMORY : replace(pins, io, copy, pins->next_id);
}

enum err pins_remove(struct pins *pins, struct io *io, uint64_t id)
{
    pthread_mutex_lock(&pins->changing);
    const enum err err = take_away(pins, io, id);
    pthread_mutex_unlock(&pins->changing);
    if (err == OK) log_info("store", "pin removed", "id=%" PRIu64, id);
    return err;
}
