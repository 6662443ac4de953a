/*
 * Private to model/: what the Collector's Zipkin exporter packs into one string, because Zipkin has no place for it.
 *
 *   annotation   name|{"key":value,...}|dropped
 *   link         trace id|span id|trace state|{"key":value,...}|dropped
 *
 * The attributes are an object of strings, numbers, true and false; numbers without a fraction are integers. A list or an
 * object among the values is kept as its text.
 */
#ifndef MODEL_ZIPKIN_PACKED_H
#define MODEL_ZIPKIN_PACKED_H

#include "output.h"

enum { ZIPKIN_PACKED_HEADS_MAX = 3 };

struct zipkin_packed {
    struct slice heads[ZIPKIN_PACKED_HEADS_MAX];
    struct slice attributes; /* the JSON */
    uint32_t dropped;
};

/* Takes a text apart that has so many parts before the attributes; false: it is not of that form. */
bool zipkin_unpack(struct slice text, unsigned heads, struct zipkin_packed *out);

/* Writes the attributes as KeyValue fields of that number. The packed text does not lie behind the output. */
void zipkin_write_attributes(struct output *output, uint32_t number, const struct zipkin_packed *packed);

#endif
