/* The measurement itself: that it ends, leaves nothing behind, and gives the gate what the gate takes. */
#include "fixture.h"

#include "io/disk_probe.h"
#include "io/gate.h"

#include <stdio.h>
#include <unistd.h>

Test(disk_probe, tells_limits_that_a_gate_takes_and_leaves_nothing_behind)
{
    char path[] = "probe-test-XXXXXX";
    struct io *const io = plain_make();
    struct disk_probe found = {.rows_count = 0};
    struct io_dir *dir;
    struct io_gate *gate;

    cr_assert_not_null(mkdtemp(path));
    MUST(io_dir_open(io, NULL, path, false, &dir));
    const enum err err = disk_probe(dir, &found);
    io_dir_close(io, dir);
    io_close(io);
    cr_assert_eq(rmdir(path), 0); /* it is empty */
    if (err == ERR_BUSY) cr_skip("this machine has too much to do");
    MUST(err);
    cr_assert(found.rows_count >= 2 && found.rows_count <= DISK_PROBE_ROWS);
    cr_assert_eq(found.rows[0].depth, 0);
    for (uint32_t i = 0; i < found.rows_count; i++) {
        cr_assert_gt(found.rows[i].p50_ns, 0);
        cr_assert_geq(found.rows[i].p90_ns, found.rows[i].p50_ns);
        cr_assert_geq(found.rows[i].p50_ns, found.rows[i].p25_ns);
        cr_assert_eq(found.rows[i].bytes_per_second > 0, i > 0);
    }
    const struct io_gate_limits limits = {
        .beside_max = found.beside_max, .alone_max = found.beside_max, .piece_bytes = found.piece_bytes};
    MUST(io_gate_open(&limits, &gate));
    io_gate_close(gate);
}
