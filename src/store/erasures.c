/* The list, kept as that of pins is (pins.c). Counts and ends are written when a segment is done, or the job. */
#include "erasures_private.h"

#include "base/log.h"
#include "selector_record.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_ENDED, OWN_STATE, OWN_SPANS, OWN_SEGMENTS, OWN_UNREADABLE /* words of selector_record.own */ };

struct erasures {
    struct io_dir *dir;
    uint64_t instance;
    pthread_mutex_t changing; /* next_id, and the right to replace current */
    uint64_t next_id;
    pthread_mutex_t mutex; /* current, and all refs */
    struct erasure_list *current;
};

/* ---- lists -------------------------------------------------------------------------------------------- */

static struct erasure_list *list_make(uint32_t capacity)
{
    struct erasure_list *const list = calloc(1, sizeof *list + capacity * sizeof(struct erasure));

    if (list != NULL) list->refs = 1;
    return list;
}

static void list_drop(struct erasure_list *list)
{
    if (--list->refs == 0) free(list);
}

const struct erasure_list *erasures_acquire(struct erasures *erasures)
{
    pthread_mutex_lock(&erasures->mutex);
    struct erasure_list *const list = erasures->current;
    list->refs++;
    pthread_mutex_unlock(&erasures->mutex);
    return list;
}

void erasures_release(struct erasures *erasures, const struct erasure_list *list)
{
    pthread_mutex_lock(&erasures->mutex);
    list_drop((struct erasure_list *)list);
    pthread_mutex_unlock(&erasures->mutex);
}

uint64_t erasures_pending(struct erasures *erasures)
{
    const struct erasure_list *const list = erasures_acquire(erasures);
    uint64_t pending = 0;

    for (uint32_t i = 0; i < list->count; i++)
        pending += list->erasures[i].state == ERASURE_PENDING;
    erasures_release(erasures, list);
    return pending;
}

/* ---- the file ----------------------------------------------------------------------------------------- */

static enum err read_erasures(struct slice rest, struct erasure_list *list, uint64_t next_id)
{
    uint64_t last_id = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        struct erasure *const erasure = &list->erasures[i];
        struct selector_record record;
        const struct selector_texts texts = {erasure->owner, erasure->reason, ERASURE_OWNER_MAX,
                                             ERASURE_REASON_MAX};
        TRY(selector_record_read(&rest, &record, &erasure->selector, &texts));
        if (record.id <= last_id || record.id >= next_id || record.own[OWN_STATE] >= ERASURE_STATES)
            return ERR_CORRUPT;
        last_id = erasure->id = record.id;
        erasure->created_ns = record.created_ns;
        erasure->ended_ns = record.own[OWN_ENDED];
        erasure->state = (enum erasure_state)record.own[OWN_STATE];
        erasure->spans = record.own[OWN_SPANS];
        erasure->segments = record.own[OWN_SEGMENTS];
        erasure->unreadable = record.own[OWN_UNREADABLE];
    }
    return rest.len == 0 ? OK : ERR_CORRUPT;
}

static enum err write_erasures(struct erasures *erasures, struct io *io, const struct erasure_list *list,
                               uint64_t next_id)
{
    const struct list_header header = {.next_id = next_id, .count = list->count};
    struct list_body body = {.bytes = NULL};
    enum err err = OK;

    for (uint32_t i = 0; i < list->count && err == OK; i++) {
        const struct erasure *const erasure = &list->erasures[i];
        const struct selector_record record = {.id = erasure->id,
                                               .created_ns = erasure->created_ns,
                                               .own = {[OWN_ENDED] = erasure->ended_ns,
                                                       [OWN_STATE] = erasure->state,
                                                       [OWN_SPANS] = erasure->spans,
                                                       [OWN_SEGMENTS] = erasure->segments,
                                                       [OWN_UNREADABLE] = erasure->unreadable}};
        err = selector_record_write(&body, &record, &erasure->selector, erasure->owner, erasure->reason);
    }
    if (err == OK)
        err = list_file_write(io, erasures->dir, &list_erasures, erasures->instance, &header, &body);
    list_body_free(&body);
    return err;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

static enum err load(struct erasures *erasures, struct io *io)
{
    struct list_header header;
    struct list_body body;

    enum err err = list_file_read(io, erasures->dir, &list_erasures, erasures->instance, &header, &body);
    if (err == OK && header.count > ERASURES_MAX) err = ERR_CORRUPT;
    erasures->current = list_make(err == OK ? header.count : 0);
    if (erasures->current == NULL) err = ERR_NO_MEMORY;
    if (err == OK) {
        erasures->next_id = header.next_id;
        erasures->current->count = header.count;
        err = read_erasures(slice_of(body.bytes, body.len), erasures->current, header.next_id);
    }
    list_body_free(&body);
    if (err != ERR_CORRUPT) return err;
    log_error(
        "store",
        "the list of erasures is damaged: what it asked for is not carried out until the file is put back "
        "from a backup, or removed, and the server started again",
        "file=%s", list_erasures.name);
    erasures->current->count = 0;
    erasures->current->damaged = true;
    return OK;
}

enum err erasures_open(struct io *io, struct io_dir *dir, uint64_t instance, struct erasures **out)
{
    struct erasures *const erasures = calloc(1, sizeof *erasures);

    if (erasures == NULL) return ERR_NO_MEMORY;
    erasures->dir = dir;
    erasures->instance = instance;
    erasures->next_id = 1;
    pthread_mutex_init(&erasures->changing, NULL);
    pthread_mutex_init(&erasures->mutex, NULL);
    const enum err err = load(erasures, io);
    if (err != OK) {
        erasures_close(erasures);
        return err;
    }
    *out = erasures;
    return OK;
}

void erasures_close(struct erasures *erasures)
{
    if (erasures->current != NULL) {
        assert(erasures->current->refs == 1);
        list_drop(erasures->current);
    }
    pthread_mutex_destroy(&erasures->changing);
    pthread_mutex_destroy(&erasures->mutex);
    free(erasures);
}

/* ---- changing ----------------------------------------------------------------------------------------- */

/* Durable first; then it counts. Takes the list over. */
static enum err replace(struct erasures *erasures, struct io *io, struct erasure_list *list, uint64_t next_id)
{
    const enum err err = write_erasures(erasures, io, list, next_id);

    erasures->next_id = next_id; /* also on failure: the file may be there */
    pthread_mutex_lock(&erasures->mutex);
    struct erasure_list *const old = err == OK ? erasures->current : list;
    if (err == OK) erasures->current = list;
    list_drop(old);
    pthread_mutex_unlock(&erasures->mutex);
    return err;
}

/* A copy without the place (count: with all), and room for some more. */
static struct erasure_list *list_without(const struct erasure_list *list, uint32_t place, uint32_t room)
{
    struct erasure_list *const copy = list_make(list->count + room);

    if (copy == NULL) return NULL;
    for (uint32_t i = 0; i < list->count; i++)
        if (i != place) copy->erasures[copy->count++] = list->erasures[i];
    return copy;
}

static uint32_t oldest_done(const struct erasure_list *list)
{
    uint32_t place = 0;

    while (place < list->count && list->erasures[place].state == ERASURE_PENDING)
        place++;
    return place;
}

static enum err add(struct erasures *erasures, struct io *io, struct erasure *erasure)
{
    const struct erasure_list *const list = erasures->current;
    const uint32_t leaver = list->count < ERASURES_MAX ? list->count : oldest_done(list);

    if (list->damaged) return ERR_CORRUPT;
    if (leaver == list->count && list->count == ERASURES_MAX) return ERR_FULL;
    struct erasure_list *const copy = list_without(list, leaver, 1);
    if (copy == NULL) return ERR_NO_MEMORY;
    erasure->id = erasures->next_id;
    erasure->created_ns = io_wall_ns(io);
    erasure->state = ERASURE_PENDING;
    copy->erasures[copy->count++] = *erasure;
    return replace(erasures, io, copy, erasures->next_id + 1);
}

enum err erasures_add(struct erasures *erasures, struct io *io, struct erasure *erasure)
{
    pthread_mutex_lock(&erasures->changing);
    const enum err err = add(erasures, io, erasure);
    pthread_mutex_unlock(&erasures->changing);
    if (err == OK)
        log_info("store", "erasure taken", "id=%" PRIu64 " owner=\"%s\"", erasure->id, erasure->owner);
    else
        log_warn("store", "an erasure could not be taken", "err=\"%s\"", err_text(err));
    return err;
}

bool erasures_next(struct erasures *erasures, struct erasure *out)
{
    const struct erasure_list *const list = erasures_acquire(erasures);
    bool found = false;

    for (uint32_t i = 0; i < list->count && !found; i++) {
        found = list->erasures[i].state == ERASURE_PENDING;
        if (found) *out = list->erasures[i];
    }
    erasures_release(erasures, list);
    return found;
}

static enum err note(struct erasures *erasures, struct io *io, const struct erasure *erasure)
{
    struct erasure_list *const copy = list_without(erasures->current, erasures->current->count, 0);

    if (copy == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < copy->count; i++)
        if (copy->erasures[i].id == erasure->id) copy->erasures[i] = *erasure;
    return replace(erasures, io, copy, erasures->next_id);
}

enum err erasures_note(struct erasures *erasures, struct io *io, const struct erasure *erasure)
{
    pthread_mutex_lock(&erasures->changing);
    const enum err err = note(erasures, io, erasure);
    pthread_mutex_unlock(&erasures->changing);
    return err;
}
