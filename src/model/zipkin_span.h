/*
 * Private to model/: one span of Zipkin v2 JSON, read to where its parts lie in the text. Lists (tags, annotations) stay in the
 * text and are read again when they are written; of the tags, those that mean something else than an attribute are known
 * after the first reading.
 */
#ifndef MODEL_ZIPKIN_SPAN_H
#define MODEL_ZIPKIN_SPAN_H

#include "base/err.h"
#include "codec/json_reader.h"
#include "model/otlp.h"

/* A string as it stands in the JSON; ptr NULL: absent. Numbers, true and false are texts, too. */
struct zipkin_text {
    struct slice bytes;
    bool escaped;
};

enum zipkin_role {
    TAG_ATTRIBUTE,
    TAG_RESOURCE,
    TAG_LINK,
    /* those of which there is one */
    TAG_SERVICE_NAME,
    TAG_SERVICE_KEY,
    TAG_SCOPE_NAME,
    TAG_SCOPE_VERSION,
    TAG_LIBRARY_NAME,
    TAG_LIBRARY_VERSION,
    TAG_TRACE_STATE,
    TAG_KIND,
    TAG_STATUS_CODE,
    TAG_STATUS_TEXT,
    TAG_ERROR,
    TAG_ROLES
};

enum { ZIPKIN_LINKS_MAX = 128 };

struct zipkin_endpoint {
    struct zipkin_text service, ipv4, ipv6;
    uint64_t port; /* 0: none */
};

struct zipkin_span {
    struct zipkin_text trace_id, id, parent_id, name, kind;
    uint64_t timestamp_us, duration_us; /* 0: none */
    bool debug, shared;
    struct zipkin_endpoint local, remote;
    struct slice tags, annotations; /* with their brackets; ptr NULL: none */
    struct zipkin_text known[TAG_ROLES];
    bool has_resource_tags;
    uint64_t has_link[ZIPKIN_LINKS_MAX / 64];   /* bit per link */
    struct zipkin_text links[ZIPKIN_LINKS_MAX]; /* those that are set */
};

struct zipkin_tag {
    struct zipkin_text key, value;
    enum zipkin_role role;
    unsigned link; /* of TAG_LINK */
};

/*
 * The reader stands behind the brace that begins the span; afterwards behind the one that ends it. ERR_MALFORMED: the
 * fault's reason and at.
 */
enum err zipkin_read_span(struct json_reader *reader, struct zipkin_span *out, struct otlp_fault *fault);

/* The tags of a span that was read: begin, then next until it is false. */
void zipkin_tags_begin(const struct zipkin_span *span, struct json_reader *reader);
bool zipkin_tags_next(struct json_reader *reader, struct zipkin_tag *out);

/* Is the text, as it is meant, this word? */
bool zipkin_text_is(const struct zipkin_text *text, const char *word);
/* The same in any case of letters. */
bool zipkin_text_is_any_case(const struct zipkin_text *text, const char *word);

static inline bool zipkin_has(const struct zipkin_text *text)
{
    return text->bytes.len > 0;
}

#endif
