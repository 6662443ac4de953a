/*
 * Shared by the journal's files: journal.c (appending), journal_files.c (the set of files), journal_replay.c
 * (recovery). Everything but struct journal_spare belongs to the shard's thread.
 */
#ifndef STORE_JOURNAL_PRIVATE_H
#define STORE_JOURNAL_PRIVATE_H

#include "io/io.h"
#include "journal_frame.h"
#include "store/journal.h"

#include <pthread.h>

enum {
    JOURNAL_WRITES_MAX = 4,
    JOURNAL_COMMIT_BYTES = 256 * 1024, /* small frames of one group */
    JOURNAL_GROUP_BYTES = 1024 * 1024, /* one write, unless a single body is larger */
    JOURNAL_FILE_BYTES_MIN = 64 * 1024,
    JOURNAL_FILES_MAX = 65536, /* a directory with more is not ours */
    JOURNAL_NAME_BYTES = 32,
};
#define JOURNAL_FILE_BYTES_MAX (2ULL << 30) /* a frame's length stays an u32 */
#define JOURNAL_UNMAPPED       UINT64_MAX

struct journal_file {
    struct io_file *handle; /* owned */
    uint64_t sequence;
    uint64_t bytes;      /* what can be read, header page included */
    uint64_t base;       /* LSN of its first frame; JOURNAL_UNMAPPED: no frame of the log is known in it */
    uint32_t generation; /* of its first frame; tells which of two files with one base is alive */
    uint64_t
        continues_lsn; /* of its first frame, if that is a GENERATION frame; JOURNAL_UNMAPPED: it is none */
    bool writable;     /* whole, with a sound header, and no write to it has failed */
};

/* Hand-over of a prepared file from a background thread to the shard. */
struct journal_spare {
    pthread_mutex_t lock;
    enum { SPARE_NONE, SPARE_MAKING, SPARE_READY } stage;
    struct journal_file file; /* valid in SPARE_READY */
    uint64_t next_sequence;
};

/* One group on its way to the disk. */
struct journal_write {
    struct io_op op;
    struct journal *journal;
    struct journal_append *first; /* its frames, in order; a list of its own */
    uint64_t lsn_end;
    uint64_t bytes;
    uint32_t chain;        /* header_crc of its last frame */
    uint64_t submitted_ns; /* io_now_ns() */
    uint8_t *buf;          /* JOURNAL_COMMIT_BYTES, aligned */
    bool landed;
};

struct journal {
    /* fixed once opened */
    struct journal_config config;
    struct io *io;      /* borrowed */
    struct io_dir *dir; /* borrowed */
    uint64_t salt;
    uint64_t file_bytes; /* the geometry of the files that exist beats the configuration */
    uint64_t data_bytes; /* file_bytes without the header page: LSNs per file */
    size_t files_max;    /* of our making, by the cap */

    struct journal_file *files;
    size_t files_count, files_capacity;
    struct journal_spare spare;

    /* where the log stands */
    enum { JOURNAL_OPENED, JOURNAL_REPLAYED, JOURNAL_STARTED } stage;
    uint32_t generation;
    uint32_t chain;         /* header_crc of the last frame built */
    uint64_t end_lsn;       /* of the last frame laid out; the next one begins here or at the next page */
    uint64_t file_end_lsn;  /* of the file that end_lsn is in */
    uint64_t durable_lsn;   /* all below is durable */
    uint32_t durable_chain; /* header_crc of the last frame below */
    uint64_t sealed_lsn;    /* all below is in blocks; files wholly below are free */
    uint64_t accepted_lsn;  /* damage below was accepted by the operator */
    uint64_t continues_lsn; /* for the GENERATION frame: where the walk ended */
    bool read_only;
    bool proven; /* read-only, and a file was made since the failure */
    bool noted;  /* the last frame is a NOTE or GENERATION: nothing to prove */

    /* frames laid out but not yet submitted; the last group is open until it is submitted */
    struct journal_append *queue_first, *queue_last;
    struct {
        bool active, in_run; /* in_run: the last frame is a small one, another may follow right behind */
        uint64_t start_lsn;
        uint64_t commit_bytes; /* of the commit buffer, whole pages for closed runs */
        unsigned pieces;
    } group;
    struct journal_append control; /* the one NOTE or GENERATION under way */
    bool control_busy;

    struct journal_write writes[JOURNAL_WRITES_MAX];
    unsigned writes_head, writes_count; /* ring of those in flight, in LSN order */
};

/* journal_files.c */
enum err journal__files_open(struct journal *journal);
void journal__files_close(struct journal *journal);
/* The file that holds lsn, or NULL. */
struct journal_file *journal__file_at(struct journal *journal, uint64_t lsn);
/* A file that may be written from base on: the one that claims it, else a spare, else the oldest free one; or
 * NULL. */
struct journal_file *journal__file_take(struct journal *journal, uint64_t base);
size_t journal__files_free(const struct journal *journal);
/* A write to the file that holds lsn has failed: it is not written again in this life. */
void journal__file_fence(struct journal *journal, uint64_t lsn);
/* Forgets what files hold from lsn on: none of it is part of the log. */
void journal__files_forget(struct journal *journal, uint64_t lsn);
/* Takes over what a background thread has prepared, if anything. */
void journal__file_adopt(struct journal *journal);

/* First LSN of the file that holds lsn. */
static inline uint64_t journal__base_of(const struct journal *journal, uint64_t lsn)
{
    return lsn / journal->data_bytes * journal->data_bytes;
}

#endif
