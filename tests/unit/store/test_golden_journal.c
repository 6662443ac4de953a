/*
 * The golden journal is replayed as it was written: two files, the second rolled into, and two lives. The zeros behind the
 * last frame of each file are left out of the golden files.
 */
#include "golden.h"
#include "journal_fixture.h"
#include "journal_frame.h"

#include "io/sim.h"

#include <criterion/criterion.h>

enum { FILE_BYTES = 64 * 1024, FILES = 2, BODIES = 30, FIRST_LIFE = 12, RELEASED = 5 };

static const char *const file_names[FILES] = {"00000000", "00000001"};
static const char *const golden_names[FILES] = {"golden/journal-v1-0.bin", "golden/journal-v1-1.bin"};

static struct book book;
static uint8_t files[FILES][FILE_BYTES + 1];

struct scene {
    struct sim *sim;
    struct io *io;
    struct io_dir *dir;
};

static struct scene scene_open(uint64_t seed)
{
    const struct sim_config config = {.seed = seed, .sector_bytes = 4096};
    struct scene scene = {.sim = sim_open(&config)};

    scene.io = sim_io(scene.sim);
    cr_assert_eq(io_dir_open(scene.io, NULL, "journal", true, &scene.dir), OK);
    log_set_level(LOG_ERROR + 1);
    book = (struct book){.config = fixture_config()};
    book.config.file_bytes = FILE_BYTES;
    book.config.cap_bytes = FILES * FILE_BYTES;
    book.config.body_bytes_max = FILE_BYTES / 2;
    return scene;
}

static void scene_close(struct scene *scene)
{
    io_dir_close(scene->io, scene->dir);
    io_close(scene->io);
    sim_close(scene->sim);
}

/* ---- writing -------------------------------------------------------------------------------------------- */

/* Sends bodies up to this number in groups of one, two and three. */
static void send_up_to(struct scene *scene, uint32_t end)
{
    static uint8_t body[200];

    while (book.sent < end) {
        const size_t len = 8 + book.sent * 37 % 150;
        body_fill(body, len, book.sent);
        cr_assert_eq(book_send_bytes(&book, len, body), OK);
        if (book.sent % 6 != 1 && book.sent % 6 != 3 && book.sent % 6 != 4)
            cr_assert_eq(book_drain(&book, scene->io), OK);
        if (journal_wants_file(book.journal)) cr_assert_eq(journal_prepare_file(book.journal, scene->io), OK);
    }
    cr_assert_eq(book_drain(&book, scene->io), OK);
}

static void two_lives(struct scene *scene)
{
    struct journal_report report;

    cr_assert_eq(book_open(&book, scene->io, scene->dir, 0, false, &report), OK);
    cr_assert_eq(journal_start(book.journal), OK);
    send_up_to(scene, FIRST_LIFE);
    journal_note_idle(book.journal);
    cr_assert_eq(book_drain(&book, scene->io), OK);
    book_close(&book);
    cr_assert_eq(book_open(&book, scene->io, scene->dir, 0, false, &report), OK);
    cr_assert_eq(journal_start(book.journal), OK);
    journal_release(book.journal, book.lsn_end[RELEASED]);
    send_up_to(scene, BODIES);
    cr_assert_eq(book.acked, BODIES);
    book_close(&book);
}

static void write_file_header(struct golden_json *json, const uint8_t *bytes)
{
    struct journal_file_header header;

    memcpy(&header, bytes, sizeof header);
    golden_begin(json, NULL, '{');
    GOLDEN_BYTES(json, &header, magic);
    GOLDEN_NUMBER(json, &header, major);
    GOLDEN_NUMBER(json, &header, minor);
    GOLDEN_NUMBER(json, &header, min_reader);
    GOLDEN_NUMBER(json, &header, shard);
    GOLDEN_NUMBER(json, &header, sequence);
    GOLDEN_NUMBER(json, &header, salt);
    GOLDEN_NUMBER(json, &header, file_bytes);
    GOLDEN_NUMBER(json, &header, created_ns);
    GOLDEN_NUMBER(json, &header, crc);
    golden_end(json, '}');
}

static void write_control(struct golden_json *json, const uint8_t *body)
{
    struct journal_control control;

    memcpy(&control, body, sizeof control);
    GOLDEN_NUMBER(json, &control, sealed_lsn);
    GOLDEN_NUMBER(json, &control, continues_lsn);
    GOLDEN_NUMBER(json, &control, accepted_lsn);
    GOLDEN_NUMBER(json, &control, nonce);
}

static void write_frame(struct golden_json *json, const struct journal_frame *frame, const uint8_t *body)
{
    golden_begin(json, NULL, '{');
    GOLDEN_NUMBER(json, frame, header_crc);
    GOLDEN_NUMBER(json, frame, lsn);
    GOLDEN_NUMBER(json, frame, generation);
    GOLDEN_NUMBER(json, frame, shard);
    GOLDEN_NUMBER(json, frame, type);
    GOLDEN_NUMBER(json, frame, flags);
    GOLDEN_NUMBER(json, frame, prev_crc);
    GOLDEN_NUMBER(json, frame, body_crc);
    GOLDEN_NUMBER(json, frame, body_len);
    GOLDEN_NUMBER(json, frame, plain_len);
    GOLDEN_NUMBER(json, frame, span_count);
    GOLDEN_NUMBER(json, frame, tenant);
    GOLDEN_NUMBER(json, frame, recv_time_ns);
    GOLDEN_NUMBER(json, frame, not_yet_durable);
    GOLDEN_NUMBER(json, frame, codec);
    GOLDEN_NUMBER(json, frame, content_type);
    if (frame->type == JOURNAL_BATCH)
        golden_hex(json, "body", slice_of(body, frame->body_len));
    else
        write_control(json, body);
    golden_end(json, '}');
}

/* The frames of a file, as long as one follows another. */
static void write_frames(struct golden_json *json, const uint8_t *file)
{
    size_t at = JOURNAL_PAGE_BYTES;
    struct journal_frame frame;

    while (at < FILE_BYTES) {
        memcpy(&frame, file + at, sizeof frame);
        if (frame.magic != JOURNAL_FRAME_MAGIC) break;
        write_frame(json, &frame, file + at + sizeof frame);
        at += journal_frame_next(&frame) - frame.lsn;
    }
}

static void read_files(struct scene *scene)
{
    for (unsigned i = 0; i < FILES; i++) {
        struct io_file *file;
        size_t len;
        cr_assert_eq(io_file_open(scene->io, scene->dir, file_names[i], 0, &file), OK);
        cr_assert_eq(io_read_now(scene->io, file, files[i], sizeof files[i], 0, &len), OK);
        cr_assert_eq(len, FILE_BYTES);
        io_file_close(scene->io, file);
    }
}

static void write_golden(void)
{
    struct scene scene = scene_open(5);
    struct golden_json json = golden_json_open("golden/journal-v1.json");

    two_lives(&scene);
    read_files(&scene);
    golden_begin(&json, "files", '[');
    for (unsigned i = 0; i < FILES; i++)
        write_file_header(&json, files[i]);
    golden_end(&json, ']');
    golden_begin(&json, "frames", '[');
    for (unsigned i = 0; i < FILES; i++) {
        size_t len = FILE_BYTES;
        write_frames(&json, files[i]);
        while (files[i][len - 1] == 0)
            len--;
        golden_write(golden_names[i], slice_of(files[i], len));
    }
    golden_end(&json, ']');
    golden_json_close(&json);
    scene_close(&scene);
}

/* ---- reading -------------------------------------------------------------------------------------------- */

Test(golden_journal, of_version_1_is_replayed)
{
    if (golden_writing()) write_golden();
    struct scene scene = scene_open(6);
    struct journal_report report;

    for (unsigned i = 0; i < FILES; i++) {
        struct io_file *file;
        memset(files[i], 0, sizeof files[i]);
        golden_read(golden_names[i], files[i], sizeof files[i]);
        cr_assert_eq(io_file_open(scene.io, scene.dir, file_names[i], IO_CREATE | IO_WRITABLE, &file), OK);
        cr_assert_eq(io_write_now(scene.io, file, files[i], FILE_BYTES, 0), OK);
        io_file_close(scene.io, file);
    }
    book.sent = BODIES;
    cr_assert_eq(book_open(&book, scene.io, scene.dir, 0, false, &report), OK);
    cr_assert_not(book.altered);
    cr_assert_eq(book.recovered_count, BODIES);
    for (uint32_t i = 0; i < BODIES; i++)
        cr_assert_eq(book.recovered[i], i);
    book_close(&book);
    scene_close(&scene);
}
