/*
 * spanmillctl inspect: tells what a file is by its first bytes and hands it on. A segment whose header is damaged is still
 * one by its name, and so is a journal file.
 */
#include "inspect.h"

#include "commands.h"
#include "place.h"

#include <string.h>

static const char about[] = "Shows what a file of a data directory holds: the superblock, a segment, a "
                            "journal file, or a block that\n"
                            "stands alone. Nothing is written; the server may be running.\n";
static const char after[] =
    "A segment shows its header, its filters and its blocks; --block one block with all its sections and "
    "columns.\n"
    "Sizes of columns that share a section are their part of it by plain bytes.\n\n"
    "  spanmillctl inspect data/segments/0000-000000000003.seg\n"
    "  spanmillctl inspect data/segments/0000-000000000003.seg --columns     where the bytes go\n"
    "  spanmillctl inspect data/segments/0000-000000000003.seg --block 2 --rows 5\n"
    "  spanmillctl inspect data/journal-0/00000001 --json | jq '.frames[] | "
    "select(.type==\"GENERATION\")'\n\n";

static bool ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static enum look_file kind_of(const struct place *place, const uint8_t magic[8])
{
    const enum look_file kind = look_file(magic);

    if (kind != LOOK_FILE_UNKNOWN) return kind;
    if (ends_with(place->name, ".seg")) return LOOK_FILE_SEGMENT;
    return strcmp(place->name, "superblock") == 0 ? LOOK_FILE_SUPERBLOCK : LOOK_FILE_UNKNOWN;
}

static enum err read_file(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct place *const place = context;
    size_t count = 0;

    TRY(io_read_now(place->io, place->file, buf, len, offset, &count));
    return count == len ? OK : ERR_CORRUPT;
}

static enum err show(struct place *place, struct out *out, const struct inspect_options *options, bool *sound)
{
    const struct block_source source = {.read = read_file, .context = place};
    uint8_t magic[8] = {0};
    size_t count = 0;

    TRY(io_read_now(place->io, place->file, magic, sizeof magic, 0, &count));
    switch (kind_of(place, magic)) {
    case LOOK_FILE_SUPERBLOCK: return inspect_superblock(out, place->io, place->file, sound);
    case LOOK_FILE_JOURNAL: return inspect_journal(out, place->io, place->file, sound);
    case LOOK_FILE_SEGMENT: return inspect_segment(out, place->io, place->dir, place->name, options, sound);
    case LOOK_FILE_BLOCK: return inspect_block(out, &source, options, sound);
    case LOOK_FILE_UNKNOWN: break;
    }
    return ERR_MALFORMED;
}

static enum ctl_exit judge(const char *path, const struct inspect_options *options, enum err err, bool sound)
{
    if (err == OK) return sound ? CTL_FINE : CTL_DAMAGED;
    if (err == ERR_MALFORMED) {
        fprintf(stderr,
                "spanmillctl: %.200s: not a file of a data directory, or its first bytes are damaged\n",
                path);
    } else if (err == ERR_CORRUPT) {
        fprintf(stderr,
                "spanmillctl: %.200s: damaged: nothing in it can be told; spanmillctl verify on the whole "
                "directory says what is lost\n",
                path);
        return CTL_DAMAGED;
    } else if (err == ERR_NOT_FOUND && options->block_given) {
        fprintf(stderr, "spanmillctl: %.200s: no block %lu; without --block all are listed\n", path,
                (unsigned long)options->block);
    } else {
        place_complain(path, err);
    }
    return CTL_UNREADABLE;
}

enum ctl_exit command_inspect(int count, const char *const *words)
{
    struct inspect_options options = {.rows = 0};
    bool json = false;
    const struct argument rows[] = {
        {"block", "N", "one block of a segment: sections, columns", ARGUMENT_NUMBER, &options.block, NULL,
         &options.block_given},
        {"rows", "K", "and K of its spans, evenly chosen (of the first block without --block)",
         ARGUMENT_NUMBER, &options.rows, NULL, NULL},
        {"columns", NULL, "bytes by column, summed over all blocks, the largest first", ARGUMENT_FLAG,
         &options.columns, NULL, NULL},
        {"json", NULL, "one JSON object instead of text", ARGUMENT_FLAG, &json, NULL, NULL},
    };
    struct arguments arguments = {.command = "inspect",
                                  .operand = "FILE",
                                  .about = about,
                                  .after = after,
                                  .rows = rows,
                                  .rows_count = sizeof rows / sizeof *rows};
    struct place place;
    struct out out;
    bool sound = true;

    const enum ctl_exit parsed = arguments_parse(&arguments, count, words);
    if (parsed != CTL_GO_ON) return parsed;
    if (!place_open(&place, arguments.value)) return CTL_UNREADABLE;
    out_init(&out, stdout, json);
    const enum err err = show(&place, &out, &options, &sound);
    place_close(&place);
    const enum err written = out_finish(&out);
    return judge(arguments.value, &options, err != OK ? err : written, sound);
}
