/* A list by its file alone: the readers of the store, without what they do at a start. */
#include "selector_record.h"
#include "store/look.h"
#include "store/pins.h"

#include <string.h>

static const struct list_kind *kind_of(const char *name)
{
    return strcmp(name, list_pins.name) == 0 ? &list_pins : &list_erasures;
}

static bool records_sound(const struct list_header *header, struct slice rest)
{
    static _Thread_local char owner[PIN_OWNER_MAX + 1], reason[PIN_REASON_MAX + 1];
    const struct selector_texts texts = {owner, reason, PIN_OWNER_MAX, PIN_REASON_MAX};
    struct selector_record record;
    struct selector selector;
    uint64_t last_id = 0;

    for (uint32_t i = 0; i < header->count; i++) {
        if (selector_record_read(&rest, &record, &selector, &texts) != OK || record.id <= last_id ||
            record.id >= header->next_id)
            return false;
        last_id = record.id;
    }
    return rest.len == 0;
}

enum err list_look(struct io *io, struct io_file *file, const char *name, uint64_t instance,
                   struct list_look *out)
{
    struct list_header header;
    struct list_body body = {.bytes = NULL};

    *out = (struct list_look){.sound = false};
    TRY(io_file_size(io, file, &out->file_bytes));
    const enum err err = list_file_check(io, file, kind_of(name), instance, &header, &body);
    if (err == OK) {
        out->sound = records_sound(&header, slice_of(body.bytes, body.len));
        out->records = header.count;
    }
    list_body_free(&body);
    return err == ERR_CORRUPT ? OK : err;
}
