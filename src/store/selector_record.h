/*
 * A selector with an owner and a reason, as bytes of a list (FORMAT.md, "Lists"): the part that pins and erasures have in
 * common.
 */
#ifndef STORE_SELECTOR_RECORD_H
#define STORE_SELECTOR_RECORD_H

#include "list_file.h"
#include "store/selector.h"

enum { SELECTOR_BY_RANGE = 0, SELECTOR_BY_TRACE = 1 };

/* OFFSET SIZE NAME MEANING */
struct selector_record {
    uint16_t bytes;        /*  0 2 of the whole record, texts and padding included; a multiple of 8 */
    uint16_t kind;         /*  2 2 SELECTOR_BY_... */
    uint16_t filter_bytes; /*  4 2 */
    uint16_t owner_bytes;  /*  6 2 */
    uint16_t reason_bytes; /*  8 2 */
    uint16_t reserved[3];  /* 10 6 zero */
    uint64_t id;           /* 16 8 */
    uint64_t created_ns;   /* 24 8 */
    uint64_t start_ns;     /* 32 8 */
    uint64_t end_ns;       /* 40 8 exclusive */
    uint8_t trace_id[16];  /* 48 16 by trace */
    uint64_t own[8];       /* 64 64 of the kind of list */
    /* 128: filter, owner, reason, padded with zeros */
};
static_assert(sizeof(struct selector_record) == 128, "layout");

struct selector_texts {
    char *owner, *reason; /* of at least owner_max + 1 and reason_max + 1 bytes */
    size_t owner_max, reason_max;
};

/* Takes a record from the front of *rest. The texts are filled in. ERR_CORRUPT. */
enum err selector_record_read(struct slice *rest, struct selector_record *record, struct selector *selector,
                              const struct selector_texts *texts);
/* record: id, created_ns and own are given. ERR_NO_MEMORY. */
enum err selector_record_write(struct list_body *body, const struct selector_record *record,
                               const struct selector *selector, const char *owner, const char *reason);

#endif
