/* spanmillctl verify: the command line, a line for each finding, and the verdict. */
#include "verify.h"

#include "commands.h"
#include "out.h"
#include "place.h"

#include <inttypes.h>
#include <string.h>

static const char about[] = "Checks every byte of a data directory that means something: checksums of all "
                            "sections, pages and filter rows;\n"
                            "order of rows, bounds and counts; that filters know all that is in their "
                            "blocks; that blocks follow one another\n"
                            "in the journal; and the journal as a start would read it. Nothing is written, "
                            "nothing is repaired. Stop the\n"
                            "server first: its lock is taken, so that none starts meanwhile.\n";
static const char after[] =
    "A line for each finding: DAMAGED for what must not be, note for what a crash leaves behind and a start "
    "puts\n"
    "right. Damage costs the block it is in, or the requests; everything else is still served. The last line "
    "says\n"
    "segments=N blocks=N spans=N bytes=N damaged=N. spanmillctl inspect shows the place.\n\n"
    "  spanmillctl verify data\n"
    "  spanmillctl verify data --while-running --json | jq '.findings[] | select(.damage)'\n\n";

struct telling {
    struct out *out;
    struct progress *progress;
    bool json;
};

static void print_place(const struct finding *finding)
{
    printf("%s %s", finding->damage ? "DAMAGED" : "note   ", finding->file);
    if (finding->block != LOOK_NONE) printf(" block %" PRIu32, finding->block);
    if (finding->block != LOOK_NONE && finding->seq > 0) printf(" (seq %" PRIu64 ")", finding->seq);
    if (finding->section != LOOK_NONE)
        printf(" section %" PRIu32 " %s", finding->section,
               finding->section_name != NULL ? finding->section_name : "");
    if (finding->page != LOOK_NONE) printf(" page %" PRIu32, finding->page);
    if (finding->column != LOOK_NONE) printf(" column %" PRIu32, finding->column);
}

static void number_or_none(struct out *out, const char *name, uint32_t number)
{
    if (number != LOOK_NONE) out_number(out, name, number);
}

static void tell(void *context, const struct finding *finding)
{
    const struct telling *const telling = context;
    char file[2 * VERIFY_FILE_MAX];

    progress_clear(telling->progress);
    if (!telling->json) {
        print_place(finding);
        printf(" offset %" PRIu64 ": %s\n", finding->offset, finding->what);
        return;
    }
    out_row(telling->out);
    out_flag(telling->out, "damage", finding->damage);
    out_text(telling->out, "file", out_escape(slice_text(finding->file), file, sizeof file));
    out_number(telling->out, "offset", finding->offset);
    number_or_none(telling->out, "block", finding->block);
    if (finding->block != LOOK_NONE) out_number(telling->out, "seq", finding->seq);
    number_or_none(telling->out, "section", finding->section);
    if (finding->section_name != NULL) out_text(telling->out, "section_type", finding->section_name);
    number_or_none(telling->out, "page", finding->page);
    number_or_none(telling->out, "column", finding->column);
    out_text(telling->out, "what", finding->what);
    out_row_end(telling->out);
}

static void print_totals(struct out *out, bool json, const struct verify_totals *totals)
{
    if (!json) {
        printf("segments=%" PRIu64 " blocks=%" PRIu64 " spans=%" PRIu64 " bytes=%" PRIu64 " damaged=%" PRIu64
               "\n",
               totals->segments, totals->blocks, totals->spans, totals->bytes, totals->damaged);
        return;
    }
    out_number(out, "segments", totals->segments);
    out_number(out, "blocks", totals->blocks);
    out_number(out, "spans", totals->spans);
    out_number(out, "bytes", totals->bytes);
    out_number(out, "damaged", totals->damaged);
    out_number(out, "notes", totals->notes);
}

static enum ctl_exit complain(const char *path, enum err err)
{
    if (err == ERR_BUSY)
        fprintf(stderr,
                "spanmillctl: %.200s: a server works in this directory: stop it, or look at its closed "
                "segments only with --while-running\n",
                path);
    else if (err == ERR_NOT_FOUND)
        fprintf(stderr, "spanmillctl: %.200s: not a data directory: neither superblock nor segments in it\n",
                path);
    else
        place_complain(path, err);
    return CTL_UNREADABLE;
}

static enum ctl_exit run(struct place *place, const char *path, const struct verify_options *options,
                         enum progress_mode mode, bool json)
{
    struct verify_totals totals;
    struct progress progress;
    struct out out;
    struct telling telling = {.out = &out, .progress = &progress, .json = json};

    progress_init(&progress, stderr, mode);
    out_init(&out, stdout, json);
    if (json) out_table(&out, "findings");
    const enum err err = verify_directory(place->io, place->dir, options, &progress, tell, &telling, &totals);
    if (json) out_table_end(&out);
    if (err == OK || json) print_totals(&out, json, &totals);
    const enum err written = out_finish(&out);
    if (err != OK || written != OK) return complain(path, err != OK ? err : written);
    return totals.damaged > 0 ? CTL_DAMAGED : CTL_FINE;
}

enum ctl_exit command_verify(int count, const char *const *words)
{
    struct verify_options options = {.while_running = false};
    bool json = false;
    int mode = PROGRESS_AUTO;
    const struct argument rows[] = {
        {"while-running", NULL, "beside a running server: closed segments only, no journal, no lock",
         ARGUMENT_FLAG, &options.while_running, NULL, NULL},
        {"progress", "auto|always|never", "a line on standard error that says how far it is (on a terminal)",
         ARGUMENT_CHOICE, &mode, progress_mode_names, NULL},
        {"json", NULL, "one JSON object instead of text", ARGUMENT_FLAG, &json, NULL, NULL},
    };
    struct arguments arguments = {.command = "verify",
                                  .operand = "DIR",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof *rows};
    struct place place;

    const enum ctl_exit parsed = arguments_parse(&arguments, count, words);
    if (parsed != CTL_GO_ON) return parsed;
    if (!place_open_dir(&place, arguments.value)) return CTL_UNREADABLE;
    const enum ctl_exit code = run(&place, arguments.value, &options, (enum progress_mode)mode, json);
    place_close(&place);
    return code;
}
