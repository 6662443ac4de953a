/* The note: what is written is read, and no byte of it may change. */
#include "store/disk_note.h"

#include "io/io.h"
#include "io/sim.h"

#include <criterion/criterion.h>
#include <string.h>

#define MUST(expression) cr_assert_eq((expression), OK)

static const struct disk_note sample = {
    .measured_ns = 1234567890123456789U,
    .device = 0xfd00,
    .probe = {.rows = {{0, 0, 90000, 100000, 200000, 0},
                       {1, 262144, 110000, 150000, 250000, 800000000},
                       {2, 262144, 300000, 400000, 900000, 900000000}},
              .rows_count = 3,
              .beside_max = 1,
              .piece_bytes = 262144,
              .suffers = false},
};

struct place {
    struct sim *sim;
    struct io *io;
    struct io_dir *dir;
};

static struct place place_make(void)
{
    struct place place = {.sim = sim_open(&(struct sim_config){.seed = 1, .sector_bytes = 512})};

    place.io = sim_io(place.sim);
    MUST(io_dir_open(place.io, NULL, "data", true, &place.dir));
    return place;
}

Test(disk_note, is_read_as_it_was_written)
{
    struct place place = place_make();
    struct disk_note note;

    cr_assert_eq(disk_note_read(place.io, place.dir, &note), ERR_NOT_FOUND);
    for (unsigned again = 0; again < 2; again++) { /* the second one takes the place of the first */
        MUST(disk_note_write(place.io, place.dir, &sample));
        MUST(disk_note_read(place.io, place.dir, &note));
        cr_assert_eq(note.measured_ns, sample.measured_ns);
        cr_assert_eq(note.device, sample.device);
        cr_assert_eq(note.probe.rows_count, 3);
        cr_assert_eq(note.probe.beside_max, 1);
        cr_assert_eq(note.probe.piece_bytes, 262144);
        cr_assert_not(note.probe.suffers);
        cr_assert_arr_eq(note.probe.rows, sample.probe.rows, 3 * sizeof note.probe.rows[0]);
    }
    sim_abandon(place.sim);
}

Test(disk_note, with_any_bit_changed_there_is_none)
{
    struct place place = place_make();
    struct disk_note note;

    MUST(disk_note_write(place.io, place.dir, &sample));
    for (uint64_t bit = 0; bit < 256 * 8; bit++) {
        MUST(sim_flip(place.sim, "data/disk", bit));
        cr_assert_eq(disk_note_read(place.io, place.dir, &note), ERR_NOT_FOUND, "bit %u", (unsigned)bit);
        MUST(sim_flip(place.sim, "data/disk", bit));
    }
    MUST(disk_note_read(place.io, place.dir, &note));
    sim_abandon(place.sim);
}
