/*
 * Resources and scopes of a live block: seen before by their bytes, or checked once and copied.
 */
#include "live_intern.h"

#include "base/hash.h"

static enum err note_service(void *context, const struct attribute *attribute)
{
    struct slice *const service = context;

    if (attribute->type == VALUE_STRING && slice_is(attribute->key, "service.name"))
        *service = attribute->bytes;
    return OK;
}

struct envelope_table {
    struct intern_table *table;
    struct live_envelope *list;
    uint32_t *count;
};

static bool envelope_is(const struct live_block *live, const struct live_envelope *envelope,
                        const struct resource_view *view)
{
    return envelope->present == (uint32_t)view->present && envelope->len == view->message.len &&
           envelope->schema_len == view->schema_url.len &&
           slice_equal(live_bytes(live, envelope->offset, envelope->len), view->message) &&
           slice_equal(live_bytes(live, envelope->schema_offset, envelope->schema_len), view->schema_url);
}

static uint32_t envelope_find(const struct live_block *live, const struct envelope_table *in,
                              const struct resource_view *view, uint32_t tag)
{
    const struct intern_table *const table = in->table;

    for (uint32_t place = (tag >> 1) & table->mask; table->entries[place].tag != 0;
         place = (place + 1) & table->mask)
        if (table->entries[place].tag == tag && envelope_is(live, &in->list[table->entries[place].id], view))
            return table->entries[place].id;
    return NO_ID;
}

static enum err envelope_add(struct live_block *live, const struct envelope_table *in,
                             const struct resource_view *view, struct slice service, uint32_t tag)
{
    struct live_envelope *const envelope = &in->list[*in->count];

    if (*in->count == LIVE_ENVELOPES_MAX) return ERR_FULL;
    *envelope = (struct live_envelope){.len = (uint32_t)view->message.len,
                                       .schema_len = (uint32_t)view->schema_url.len,
                                       .present = view->present,
                                       .hash = tag};
    if (!intern_arena_put(live, view->message, &envelope->offset) ||
        !intern_arena_put(live, view->schema_url, &envelope->schema_offset))
        return ERR_FULL;
    if (service.len > 0) {
        envelope->service_offset = envelope->offset + (uint32_t)(service.ptr - view->message.ptr);
        envelope->service_len = (uint32_t)service.len;
        envelope->service_tag = (uint32_t)hash_fast(service.ptr, service.len, live->writer->seed);
    }
    intern_table_insert(in->table, tag, *in->count);
    (*in->count)++;
    return OK;
}

enum err intern_envelope(struct live_block *live, bool is_resource, const struct resource_view *view,
                         uint32_t *id, struct otlp_fault *fault)
{
    const struct envelope_table in =
        is_resource
            ? (struct envelope_table){&live->writer->resources,
                                      WRITABLE(live->resources, struct live_envelope),
                                      &live->counts.resources}
            : (struct envelope_table){&live->writer->scopes, WRITABLE(live->scopes, struct live_envelope),
                                      &live->counts.scopes};

    if (*id != NO_ID && envelope_is(live, &in.list[*id], view)) return OK;
    const uint64_t seed = live->writer->seed ^
                          hash_fast(view->schema_url.ptr, view->schema_url.len, view->present);
    const uint32_t tag = tag_of(hash_fast(view->message.ptr, view->message.len, seed));
    *id = envelope_find(live, &in, view, tag);
    if (*id != NO_ID) return OK;

    struct slice service = {0};
    const struct envelope_visitor visitor = {note_service, &service};
    TRY(is_resource ? resource_check(view->message, &visitor, fault)
                    : scope_check(view->message, NULL, fault));
    TRY(envelope_add(live, &in, view, service, tag));
    *id = *in.count - 1;
    return OK;
}
