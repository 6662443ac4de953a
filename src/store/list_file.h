/*
 * A small list of records that survives everything (FORMAT.md, "Lists"): a file in the data directory that is written as a
 * whole, beside the old one, and takes its place when it is durable. Whoever writes is alone.
 */
#ifndef STORE_LIST_FILE_H
#define STORE_LIST_FILE_H

#include "io/io.h"

enum { LIST_FILE_BYTES_MAX = 8 << 20, LIST_RECORD_BYTES_MAX = 4096 };

struct list_kind {
    const char *name;     /* of the file */
    const char *name_new; /* while it is written */
    char magic[9];
};

extern const struct list_kind list_pins, list_erasures;

/* OFFSET SIZE NAME MEANING */
struct list_header {
    char magic[8];         /*  0 8 of the kind */
    uint16_t major, minor; /*  8 4 */
    uint16_t min_reader;   /* 12 2 oldest reader's major that may read on */
    uint16_t reserved;     /* 14 2 zero */
    uint64_t instance;     /* 16 8 of the data directory */
    uint64_t next_id;      /* 24 8 of the record that comes next; none is given twice */
    uint32_t count;        /* 32 4 records */
    uint32_t reserved2;    /* 36 4 zero */
    uint64_t bytes;        /* 40 8 of the whole file */
    uint64_t written_ns;   /* 48 8 wall clock */
    uint32_t reserved3;    /* 56 4 zero */
    uint32_t crc;          /* 60 4 CRC32C of all bytes of the file with this field zero */
};

/* The records, one behind the other; owned by whoever fills it in. */
struct list_body {
    uint8_t *bytes; /* malloc'ed */
    size_t len, capacity;
};
/* Room for a record at the end, zeroed; len is a multiple of 8. NULL: no memory. */
uint8_t *list_body_add(struct list_body *body, size_t len);
void list_body_free(struct list_body *body);

/*
 * OK with count 0 and next_id 1 when there is no such file. ERR_CORRUPT: it is damaged, or another directory's. ERR_VERSION.
 * What a write that was cut off has left is removed. *body is the caller's to free.
 */
enum err list_file_read(struct io *io, struct io_dir *dir, const struct list_kind *kind, uint64_t instance,
                        struct list_header *header, struct list_body *body);
/* The same of a file that is open, and nothing is removed or synced. */
enum err list_file_check(struct io *io, struct io_file *file, const struct list_kind *kind, uint64_t instance,
                         struct list_header *header, struct list_body *body);
/*
 * Durable when OK. Else the file is the old one or the new one, and the next write settles it. header: next_id and count.
 */
enum err list_file_write(struct io *io, struct io_dir *dir, const struct list_kind *kind, uint64_t instance,
                         const struct list_header *header, const struct list_body *body);

#endif
