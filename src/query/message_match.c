/*
 * Decodes what the predicate asks for, and nothing else.
 */
#include "message_match.h"

static enum err note_service(void *context, const struct attribute *attribute)
{
    if (attribute->type == VALUE_STRING && slice_is(attribute->key, "service.name"))
        *(struct slice *)context = attribute->bytes;
    return OK;
}

struct slice resource_service(struct slice resource)
{
    struct slice service = {0};
    const struct envelope_visitor visitor = {note_service, &service};
    struct otlp_fault fault;

    (void)resource_check(resource, &visitor, &fault);
    return service;
}

static bool list_has(const struct condition *condition, const struct slice *messages, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (condition_holds_raw(condition, messages[i])) return true;
    return false;
}

/* An event's attributes are its fields 3, a link's its fields 4. */
static bool child_has(const struct condition *condition, struct slice message)
{
    struct slice attributes[OTLP_ATTRIBUTES_MAX];
    struct otlp_fault fault;
    struct event_view event;
    struct link_view link;

    if (condition->level == LEVEL_EVENT)
        return event_decode(message, attributes, &event, &fault) == OK &&
               list_has(condition, event.attributes, event.attributes_count);
    return link_decode(message, attributes, &link, &fault) == OK &&
           list_has(condition, link.attributes, link.attributes_count);
}

static bool span_has(const struct condition *condition, const struct span_view *span)
{
    const bool events = condition->level == LEVEL_EVENT;
    const struct slice *const children = events ? span->events : span->links;
    const uint32_t count = events ? span->events_count : span->links_count;

    if (condition->level == LEVEL_SPAN) return list_has(condition, span->attributes, span->attributes_count);
    for (uint32_t i = 0; i < count; i++)
        if (child_has(condition, children[i])) return true;
    return false;
}

bool message_match(const struct predicate *predicate, const struct span_view *span, struct slice resource,
                   struct slice scope)
{
    const struct request *const request = predicate->request;

    if (!predicate_fields(predicate, span->start_ns, duration_of(span->start_ns, span->end_ns), span->kind,
                          span->status_code))
        return false;
    if (request->has_operation && !slice_equal(span->name, request->operation)) return false;
    if (predicate->asks_resource && !predicate_resource(predicate, resource, resource_service(resource)))
        return false;
    if (predicate->asks_scope && !predicate_scope(predicate, scope)) return false;
    for (unsigned i = 0; i < predicate->row_conditions_count; i++)
        if (!span_has(&request->conditions[predicate->row_conditions[i]], span)) return false;
    return true;
}
