/*
 * OTLP JSON (OTLP specification, "JSON Protobuf Encoding") to the protobuf bytes of the same request, in one
 * pass and without objects. What is stored is decoded from those bytes by otlp_decode(), so a request means
 * the same in either encoding by construction.
 *
 *   len = json.len + OTLP_JSON_SLACK bytes of room
 *   otlp_from_json(json, room, len, &plain_len, &changes, &fault)
 *   otlp_decode(decoder, plain, ...)              what it says about bytes is about the translation:
 *   otlp_from_json_locate(json, plain, offset)    where that is in the JSON
 *
 * Taken as protobuf takes its own: fields in any order, a scalar given twice (the last counts), a message or a
 * list given twice (merged, appended), unknown fields at any level (skipped). Keys in lowerCamelCase only.
 * null is a field that is not there; inside a list it is an element without content.
 *
 *   ids             hex in either case; "" is none; anything else becomes an id that the decoder rejects
 *   64-bit numbers  a number or a string with one; 1.0 and 1e3 are integers; out of range is the nearest
 *   enums           a number, or the name of one
 *   bytes           base64, either alphabet, padded or not
 *   doubles         a number or a string with one, "NaN", "Infinity", "-Infinity"
 *   strings         UTF-8; a surrogate without its half is U+FFFD
 */
#ifndef MODEL_OTLP_FROM_JSON_H
#define MODEL_OTLP_FROM_JSON_H

#include "base/err.h"
#include "base/slice.h"
#include "model/otlp.h"

/*
 * More than the JSON's own length is needed only while lengths of open messages are not known, and for strings of
 * 16 KiB and more in lists of strings, a byte each.
 */
enum { OTLP_JSON_SLACK = 1024 };

/* What no protobuf can hold as it stands, and is therefore not stored as it came. */
struct otlp_json_changes {
    uint32_t numbers;    /* out of range */
    uint32_t characters; /* surrogates without their half */
};

/*
 * OK             *out_len bytes, and *changes
 * ERR_MALFORMED  no JSON, or a known field of another type; the fault says what, and at which byte of the JSON
 * ERR_TOO_LARGE  more than OTLP_SPANS_MAX spans; the fault
 * ERR_FULL       the translation does not fit; with json.len + OTLP_JSON_SLACK bytes only for requests that no
 *                sender makes
 */
enum err otlp_from_json(struct slice json, uint8_t *out, size_t capacity, size_t *out_len,
                        struct otlp_json_changes *changes, struct otlp_fault *fault);

/*
 * json was translated to plain, where a fault lies at `offset`: the byte of the JSON at which the span that
 * holds it begins; the next span's if it lies before one, the end if behind all.
 */
uint64_t otlp_from_json_locate(struct slice json, struct slice plain, uint64_t offset);

#endif
