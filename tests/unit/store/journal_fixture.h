/*
 * A small journal for tests: files of 64 KiB, bodies up to 20,000 bytes in place and small, and a log book of
 * what was sent and acknowledged. Works on any io; the world behind it is the test's.
 */
#ifndef TEST_STORE_JOURNAL_FIXTURE_H
#define TEST_STORE_JOURNAL_FIXTURE_H

#include "base/log.h"
#include "base/metric.h"
#include "io/io.h"
#include "journal_private.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIXTURE_FILE_BYTES = 256 * 1024,
    FIXTURE_CAP_BYTES = 1024 * 1024,
    FIXTURE_BODY_BYTES_MAX = 128 * 1024,
    FIXTURE_SENT_MAX = 4096,
};

/* Body number n: its length and every byte follow from n, so that a body read back names itself. */
static inline size_t body_len_of(uint32_t number, bool large)
{
    const uint32_t mixed = number * 2654435761U;
    return large ? JOURNAL_SMALL_BYTES + 1 + mixed % 30000 : 8 + mixed % 5000;
}

static inline void body_fill(uint8_t *to, size_t len, uint32_t number)
{
    uint32_t state = number * 747796405U + 2891336453U;
    memcpy(to, &number, sizeof number);
    for (size_t i = sizeof number; i < len; i++) {
        state = state * 1664525U + 1013904223U;
        to[i] = (uint8_t)(state >> 24);
    }
}

/* The number of a body that is whole and unchanged; -1 otherwise. */
static inline int64_t body_number(struct slice body)
{
    static uint8_t expected[FIXTURE_BODY_BYTES_MAX];
    uint32_t number;

    if (body.len < sizeof number) return -1;
    memcpy(&number, body.ptr, sizeof number);
    if (body.len > sizeof expected) return -1;
    body_fill(expected, body.len, number);
    return memcmp(expected, body.ptr, body.len) == 0 ? (int64_t)number : -1;
}

/* What became of each body of one history, over all lives. */
struct book {
    struct journal_config config; /* all zero: fixture_config() */
    struct journal *journal;
    uint32_t sent;  /* numbers 0 .. sent-1 were given to journal_append() and taken */
    uint32_t acked; /* how many were acknowledged */
    uint32_t failed;
    bool is_acked[FIXTURE_SENT_MAX];
    uint64_t lsn_end[FIXTURE_SENT_MAX];
    int64_t last_acked; /* the newest; order is checked */
    bool out_of_order;
    /* replay */
    uint32_t recovered_count;
    uint32_t recovered[FIXTURE_SENT_MAX];
    bool altered;
};

struct send {
    struct journal_append append;
    struct book *book;
    uint32_t number;
    uint8_t *memory;
    size_t memory_bytes;
};

static inline void book_on_done(struct journal_append *append, enum err err)
{
    struct send *const send = (struct send *)(void *)append;
    struct book *const book = send->book;

    if (err != OK) {
        book->failed++;
    } else {
        if ((int64_t)send->number <= book->last_acked) book->out_of_order = true;
        if (journal_durable_lsn(book->journal) < append->lsn_end) book->out_of_order = true;
        book->last_acked = send->number;
        book->is_acked[send->number] = true;
        book->acked++;
    }
    io_memory_free(send->memory, send->memory_bytes);
    free(send);
}

/* Sends a body of the given length whose bytes follow from its number; book_send() chooses the length too. */
static inline enum err book_send_bytes(struct book *book, size_t len, const void *body)
{
    const uint32_t number = book->sent;
    struct send *const send = calloc(1, sizeof *send);

    assert(number < FIXTURE_SENT_MAX);
    send->book = book;
    send->number = number;
    send->memory_bytes = journal_align(len + JOURNAL_FRAME_HEADER_BYTES, IO_ALIGN);
    send->memory = io_memory(send->memory_bytes);
    memcpy(send->memory + JOURNAL_FRAME_HEADER_BYTES, body, len);
    send->append = (struct journal_append){
        .done = book_on_done,
        .body = slice_of(send->memory + JOURNAL_FRAME_HEADER_BYTES, len),
        .batch = {.arrival_ns = 1000 + number,
                  .span_count = 1 + number % 7,
                  .plain_bytes = (uint32_t)len * 2,
                  .codec = JOURNAL_CODEC_GZIP},
    };
    const enum err err = journal_append(book->journal, &send->append);
    if (err != OK) {
        io_memory_free(send->memory, send->memory_bytes);
        free(send);
        return err;
    }
    book->lsn_end[number] = send->append.lsn_end;
    book->sent++;
    return OK;
}

static inline enum err book_send(struct book *book, bool large)
{
    static uint8_t body[FIXTURE_BODY_BYTES_MAX];
    const size_t len = body_len_of(book->sent, large);

    body_fill(body, len, book->sent);
    return book_send_bytes(book, len, body);
}

static inline enum err book_visit(void *context, const struct journal_batch *batch, struct slice body,
                                  uint64_t lsn, uint64_t lsn_end)
{
    struct book *const book = context;
    const int64_t number = body_number(body);

    (void)lsn;
    if (number < 0 || number >= book->sent || batch->arrival_ns != 1000 + (uint64_t)number ||
        batch->span_count != 1 + number % 7 || batch->plain_bytes != body.len * 2 ||
        batch->codec != JOURNAL_CODEC_GZIP || lsn_end != lsn + journal_frame_bytes(body.len)) {
        book->altered = true;
        return OK;
    }
    if (book->recovered_count < FIXTURE_SENT_MAX) book->recovered[book->recovered_count++] = (uint32_t)number;
    return OK;
}

static inline struct journal_config fixture_config(void)
{
    return (struct journal_config){
        .shard = 3,
        .file_bytes = FIXTURE_FILE_BYTES,
        .cap_bytes = FIXTURE_CAP_BYTES,
        .body_bytes_max = FIXTURE_BODY_BYTES_MAX,
        .writes_in_flight_max = 2,
    };
}

/* Opens, replays into the book (which forgets earlier replays) and, when wanted, starts. */
static inline enum err book_open(struct book *book, struct io *io, struct io_dir *dir, uint64_t sealed_lsn,
                                 bool accept_damage, struct journal_report *report)
{
    const struct journal_config config = book->config.file_bytes != 0 ? book->config : fixture_config();

    book->recovered_count = 0;
    book->last_acked = -1;
    book->altered = false;
    TRY(journal_open(io, dir, &config, &book->journal));
    const enum err err = journal_replay(book->journal, sealed_lsn, accept_damage, book_visit, book, report);
    if (err != OK) {
        journal_close(book->journal);
        book->journal = NULL;
    }
    return err;
}

static inline enum err book_drain(struct book *book, struct io *io)
{
    while (!journal_idle(book->journal)) {
        unsigned handlers_run;
        journal_flush(book->journal);
        TRY(io_turn(io, 1000000, &handlers_run));
    }
    return OK;
}

static inline void book_close(struct book *book)
{
    journal_close(book->journal);
    book->journal = NULL;
}

#endif
