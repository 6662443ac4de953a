/*
 * spanmillctl disk-check: what the disk of a data directory was found to take beside a journal. With --again it is measured, and
 * kept for the next start: the one thing that this program writes into a data directory, and only when no server works there.
 */
#include "commands.h"
#include "out.h"
#include "place.h"
#include "store/disk_note.h"

#include <stdio.h>

static const char about[] =
    "Shows what the disk of a data directory was found to take beside a journal: how long a durable write of "
    "16 KiB\n"
    "takes alone, and beside transfers of other kinds. Out of it comes how many of those the disk gate lets\n"
    "in at once. It is measured in the first start over a directory, and with --again.\n";
static const char after[] =
    "  spanmillctl disk-check data\n"
    "  spanmillctl disk-check data --again            with the server stopped; some seconds\n\n";

static void show(struct out *out, const struct disk_note *note)
{
    const struct disk_probe *const probe = &note->probe;

    out_group(out, "disk");
    out_time(out, "measured", note->measured_ns);
    out_number(out, "beside_max", probe->beside_max);
    out_number(out, "piece_bytes", probe->piece_bytes);
    out_flag(out, "suffers", probe->suffers);
    out_group_end(out);
    out_table(out, "rows");
    for (uint32_t i = 0; i < probe->rows_count; i++) {
        out_row(out);
        out_number(out, "in_flight", probe->rows[i].depth);
        out_number(out, "piece_bytes", probe->rows[i].piece_bytes);
        out_real(out, "write_p25_us", (double)probe->rows[i].p25_ns / 1e3, 1);
        out_real(out, "write_p50_us", (double)probe->rows[i].p50_ns / 1e3, 1);
        out_real(out, "write_p90_us", (double)probe->rows[i].p90_ns / 1e3, 1);
        out_number(out, "bytes_per_second", probe->rows[i].bytes_per_second);
        out_row_end(out);
    }
    out_table_end(out);
}

static enum err measure(const struct place *place, struct disk_note *note)
{
    struct io_file *superblock;

    TRY(io_file_open(place->io, place->dir, "superblock", 0, &superblock));
    enum err err = io_file_lock(place->io, superblock); /* beside a server both would see each other */
    *note = (struct disk_note){.measured_ns = io_wall_ns(place->io)};
    if (err == OK) err = io_device(place->io, place->dir, &note->device);
    if (err == OK) err = disk_probe(place->dir, &note->probe);
    if (err == OK) err = disk_note_write(place->io, place->dir, note);
    io_file_close(place->io, superblock);
    return err;
}

static enum err look(const struct place *place, bool again, struct disk_note *note)
{
    uint64_t device;

    if (again) return measure(place, note);
    TRY(disk_note_read(place->io, place->dir, note));
    TRY(io_device(place->io, place->dir, &device));
    return note->device == device ? OK : ERR_SUPERSEDED;
}

static enum ctl_exit complain(const char *path, bool again, enum err err)
{
    if (err == ERR_NOT_FOUND && again)
        fprintf(stderr, "spanmillctl: %.200s: not a data directory: there is no superblock in it\n", path);
    else if (err == ERR_NOT_FOUND)
        fprintf(stderr, "spanmillctl: %.200s: not measured yet: start a server here, or give --again\n",
                path);
    else if (err == ERR_SUPERSEDED)
        fprintf(stderr, "spanmillctl: %.200s: what was measured is of another disk: give --again\n", path);
    else if (err == ERR_BUSY && again)
        fprintf(
            stderr,
            "spanmillctl: %.200s: a server works in this directory, or the machine has too much to do for "
            "measuring\n",
            path);
    else
        place_complain(path, err);
    return CTL_UNREADABLE;
}

static enum ctl_exit run(const struct place *place, const char *path, bool again, bool json)
{
    struct disk_note note;
    struct out out;

    enum err err = look(place, again, &note);
    if (err != OK) return complain(path, again, err);
    out_init(&out, stdout, json);
    show(&out, &note);
    err = out_finish(&out);
    if (err != OK) return complain(path, again, err);
    return CTL_FINE;
}

enum ctl_exit command_disk_check(int count, const char *const *words)
{
    bool again = false, json = false;
    const struct argument rows[] = {
        {"again", NULL, "measure now, and keep it for the next start", ARGUMENT_FLAG, &again, NULL, NULL},
        {"json", NULL, "one JSON object instead of text", ARGUMENT_FLAG, &json, NULL, NULL},
    };
    struct arguments arguments = {.command = "disk-check",
                                  .operand = "DIR",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof rows[0]};
    struct place place;

    const enum ctl_exit code = arguments_parse(&arguments, count, words);
    if (code != CTL_GO_ON) return code;
    if (!place_open_dir(&place, arguments.value)) return CTL_UNREADABLE;
    const enum ctl_exit end = run(&place, arguments.value, again, json);
    place_close(&place);
    return end;
}
