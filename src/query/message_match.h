/*
 * Does a span, given as OTLP messages, match a predicate? The slow way, for the few spans where nothing but
 * their bytes will do.
 */
#ifndef QUERY_MESSAGE_MATCH_H
#define QUERY_MESSAGE_MATCH_H

#include "predicate.h"

/* service.name of a Resource, empty when there is none of type string; the last one counts. */
struct slice resource_service(struct slice resource);
/* All four are checked messages. */
bool message_match(const struct predicate *predicate, const struct span_view *span, struct slice resource,
                   struct slice scope);

#endif
