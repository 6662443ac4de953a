/*
 * Zipkin v2 JSON (a list of spans) to the protobuf bytes of an OTLP request, in one pass and without objects. What is stored is
 * decoded from those bytes by otlp_decode(), as with OTLP JSON (model/otlp_from_json.h).
 *
 *   room of json.len + OTLP_ZIPKIN_SLACK bytes is nearly always enough; ERR_FULL: try again with more, at most
 *   otlp_from_zipkin_room(json.len)
 *   otlp_from_zipkin(json, room, len, &plain_len, &changes, &fault)
 *   otlp_decode(decoder, plain, ...)
 *   otlp_from_zipkin_locate(json, plain, offset)      where in the JSON that is
 *
 * A span becomes what the Collector's Zipkin receiver makes of it; where that one drops or refuses something, it is kept:
 *
 *   traceId, id, parentId   hex digits in either case, zeros added in front; a parent that is the span itself, or zero, is none.
 *                           Anything else becomes an id that the decoder rejects
 *   kind                    or tag span.kind; a kind that is not known stays as attribute zipkin.kind
 *   timestamp, duration     microseconds, numbers or strings with one; without a timestamp: start 0, end = duration,
 *                           otel.zipkin.absentField.startTime = true
 *   localEndpoint           service.name of the resource (or what tag otlp.service.name.source names); net.host.ip, net.host.port
 *   remoteEndpoint          peer.service, net.peer.ip, net.peer.port; of two addresses ipv6 is the ip, net.*.ipv4 the other
 *   tags                    strings; numbers, true and false are taken for their text, null for absent. service.*, host.*,
 *                           k8s.* and their like belong to the resource: of each span, its own
 *     otel.scope.name, otel.scope.version, or otel.library.*        the scope
 *     w3c.tracestate, otel.status_code, otel.status_description     fields of the span
 *     error                 "true": status ERROR; another text but "false": ERROR with that message, and the tag stays
 *     otlp.link.0 .. 127    trace id|span id|trace state|{attributes}|dropped: a link; in any other form an attribute
 *   annotations             events; name|{attributes}|dropped is taken apart. Any other text with a bar: the name ends before the
 *                           first, and the whole is attribute zipkin.annotation; with three parts and more it is the name
 *   debug, shared           attributes zipkin.debug, zipkin.shared when true
 *
 * Unknown members are skipped, null is absent, a member given twice counts as its last. Spans that follow each other with the
 * same resource and scope share them.
 */
#ifndef MODEL_OTLP_FROM_ZIPKIN_H
#define MODEL_OTLP_FROM_ZIPKIN_H

#include "base/err.h"
#include "base/slice.h"
#include "model/otlp.h"
#include "model/otlp_from_json.h"

enum { OTLP_ZIPKIN_SLACK = 1024 };

/* Bytes with which no list of that length is ERR_FULL. */
static inline size_t otlp_from_zipkin_room(size_t json_len)
{
    return 4 * json_len + OTLP_ZIPKIN_SLACK;
}

/*
 * OK             *out_len bytes, and *changes
 * ERR_MALFORMED  no JSON, no list of objects, or a known member of another type; the fault says what, and at which byte
 * ERR_TOO_LARGE  more than OTLP_SPANS_MAX spans; the fault
 * ERR_FULL       the translation does not fit
 */
enum err otlp_from_zipkin(struct slice json, uint8_t *out, size_t capacity, size_t *out_len,
                          struct otlp_json_changes *changes, struct otlp_fault *fault);

/*
 * json was translated to plain, where a fault lies at `offset`: the byte of the JSON at which the span that holds it begins;
 * the end if it is behind all.
 */
uint64_t otlp_from_zipkin_locate(struct slice json, struct slice plain, uint64_t offset);

#endif
