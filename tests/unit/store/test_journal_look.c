/* Journal files one by one: what was appended is what is shown, and what a byte that changes does to it. */
#include "golden.h"
#include "journal_fixture.h"
#include "journal_frame.h"

#include "io/sim.h"
#include "store/look.h"

#include <criterion/criterion.h>

enum { FRAMES_MAX = 256 };

struct frames {
    unsigned count;
    struct journal_look_frame list[FRAMES_MAX];
};

static bool note(void *context, const struct journal_look_frame *frame)
{
    struct frames *const frames = context;

    frames->list[frames->count++] = *frame;
    return frames->count < FRAMES_MAX;
}

struct scene {
    struct sim *sim;
    struct io *io;
    struct io_dir *dir;
};

static struct scene scene_open(void)
{
    const struct sim_config config = {.seed = 8, .sector_bytes = 4096};
    struct scene scene = {.sim = sim_open(&config)};

    log_set_level(LOG_ERROR + 1);
    scene.io = sim_io(scene.sim);
    cr_assert_eq(io_dir_open(scene.io, NULL, "journal", true, &scene.dir), OK);
    return scene;
}

static void scene_close(struct scene *scene)
{
    io_dir_close(scene->io, scene->dir);
    io_close(scene->io);
    sim_close(scene->sim);
}

static struct book book;

/* Twenty bodies, one of them large, and the note of an idle shard. */
static void write_some(struct scene *scene)
{
    struct journal_report report;

    book = (struct book){.sent = 0};
    cr_assert_eq(book_open(&book, scene->io, scene->dir, 0, false, &report), OK);
    cr_assert_eq(journal_start(book.journal), OK);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(book_send(&book, i == 11), OK);
        if (i % 3 == 0) cr_assert_eq(book_drain(&book, scene->io), OK);
    }
    cr_assert_eq(book_drain(&book, scene->io), OK);
    journal_note_idle(book.journal);
    cr_assert_eq(book_drain(&book, scene->io), OK);
    book_close(&book);
}

static struct io_file *open_first(struct scene *scene, unsigned flags)
{
    struct io_file *file;

    cr_assert_eq(io_file_open(scene->io, scene->dir, "00000000", flags, &file), OK);
    return file;
}

static void look(struct scene *scene, struct journal_look_file *header, struct frames *frames)
{
    struct io_file *const file = open_first(scene, 0);

    frames->count = 0;
    cr_assert_eq(journal_look_file(scene->io, file, header), OK);
    cr_assert_eq(journal_look_frames(scene->io, file, header, note, frames), OK);
    io_file_close(scene->io, file);
}

Test(journal_look, shows_what_was_appended)
{
    static struct frames frames;
    struct scene scene = scene_open();
    struct journal_look_file header;
    unsigned batches = 0;
    uint32_t chain = 0;

    write_some(&scene);
    look(&scene, &header, &frames);
    cr_assert_eq(header.shard, 3);
    cr_assert_eq(header.file_bytes, FIXTURE_FILE_BYTES);
    cr_assert(header.page_zero);
    cr_assert_eq(frames.count, 22);
    cr_assert_str_eq(frames.list[0].type_name, "GENERATION");
    cr_assert_str_eq(frames.list[21].type_name, "NOTE");
    for (unsigned i = 0; i < frames.count; i++) {
        const struct journal_look_frame *const frame = &frames.list[i];
        cr_assert(frame->body_sound && frame->padding_zero);
        cr_assert_eq(frame->prev_crc, chain);
        chain = frame->header_crc;
        if (i > 0) cr_assert_eq(frame->lsn, frames.list[i - 1].next_lsn);
        if (frame->control) continue;
        cr_assert_eq(frame->body_bytes, body_len_of(batches, batches == 11));
        cr_assert_eq(frame->arrival_ns, 1000 + batches);
        cr_assert_eq(frame->lsn_end, book.lsn_end[batches++]);
    }
    cr_assert_eq(batches, 20);
    scene_close(&scene);
}

static void flip(struct scene *scene, uint64_t at)
{
    struct io_file *const file = open_first(scene, IO_WRITABLE);
    uint8_t byte;
    size_t count;

    cr_assert_eq(io_read_now(scene->io, file, &byte, 1, at, &count), OK);
    byte ^= 4;
    cr_assert_eq(io_write_now(scene->io, file, &byte, 1, at), OK);
    io_file_close(scene->io, file);
}

Test(journal_look, a_byte_that_changes_in_a_frame_its_body_or_its_padding_is_seen)
{
    static struct frames before, after;
    struct scene scene = scene_open();
    struct journal_look_file header;

    write_some(&scene);
    look(&scene, &header, &before);
    for (unsigned i = 0; i < before.count; i++) {
        const struct journal_look_frame *const frame = &before.list[i];
        flip(&scene, frame->offset + 50);
        look(&scene, &header, &after);
        cr_assert_lt(after.count, before.count, "a spoilt header is no frame");
        flip(&scene, frame->offset + 50);
        flip(&scene, frame->offset + 64 + frame->body_bytes / 2);
        look(&scene, &header, &after);
        cr_assert_eq(after.count, before.count);
        cr_assert_not(after.list[i].body_sound);
        flip(&scene, frame->offset + 64 + frame->body_bytes / 2);
        if (frame->next_lsn - frame->lsn == 64 + frame->body_bytes) continue;
        flip(&scene, frame->offset + (frame->next_lsn - frame->lsn) - 1);
        look(&scene, &header, &after);
        cr_assert_not(after.list[i].padding_zero);
        flip(&scene, frame->offset + (frame->next_lsn - frame->lsn) - 1);
    }
    scene_close(&scene);
}

Test(journal_look, a_header_page_that_is_spoilt)
{
    static struct frames frames;
    struct scene scene = scene_open();
    struct journal_look_file header;

    write_some(&scene);
    flip(&scene, 3000);
    look(&scene, &header, &frames);
    cr_assert_not(header.page_zero);
    flip(&scene, 30);
    struct io_file *const file = open_first(&scene, 0);
    cr_assert_eq(journal_look_file(scene.io, file, &header), ERR_CORRUPT);
    cr_assert_eq(header.bytes, FIXTURE_FILE_BYTES);
    io_file_close(scene.io, file);
    scene_close(&scene);
}

static bool note_name(void *context, const char *name)
{
    *(bool *)context |= strcmp(name, "00000077.tmp") == 0;
    return true;
}

/* config.look: a journal that is only looked at replays as ever and leaves everything as it is. */
Test(journal_look, a_journal_that_is_looked_at_keeps_its_half_made_file)
{
    struct scene scene = scene_open();
    struct journal_report report;
    struct io_file *file;
    bool kept = false;

    write_some(&scene);
    cr_assert_eq(io_file_open(scene.io, scene.dir, "00000077.tmp", IO_CREATE | IO_WRITABLE, &file), OK);
    io_file_close(scene.io, file);
    book.config = fixture_config();
    book.config.look = true;
    cr_assert_eq(book_open(&book, scene.io, scene.dir, 0, false, &report), OK);
    cr_assert_eq(book.recovered_count, 20);
    cr_assert_not(book.altered);
    book_close(&book);
    cr_assert_eq(io_dir_list(scene.io, scene.dir, note_name, &kept), OK);
    cr_assert(kept);
    scene_close(&scene);
}
