/*
 * Every file of segments/: what is around the blocks, then each block to its last byte, together with its filters, which
 * are read for a group of blocks at once.
 *
 * Before, the directories are read for what merged segments stand for: a file that is replaced is not used any more, only not
 * removed yet.
 *
 * A file that is not closed is what a crash leaves behind: its blocks are those of a walk, and the tail behind them is not
 * damage.
 */
#include "verify_private.h"

#include "store/ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FILTERS_AT_ONCE = 32 }; /* two of at most 1 MiB for each block */

/* ---- one block ----------------------------------------------------------------------------------------- */

struct block_context {
    struct verify *verify;
    struct segment_look *look;
    uint32_t block;
    uint64_t faults;
};

static void name_section(const struct block_source *source, struct finding *finding)
{
    struct block_reader *reader;

    if (finding->section == LOOK_NONE || block_look_open(source, &reader) != OK) return;
    finding->section_name = block_look_section(reader, finding->section).name;
    block_close(reader);
}

static void on_fault(void *context, const struct look_fault *fault)
{
    struct block_context *const at = context;
    const struct catalog_block *const block = &at->look->blocks[at->block];
    const struct block_source source = segment_look_source(at->look, at->block);
    struct finding finding = {.damage = true,
                              .offset = block->offset + fault->offset,
                              .block = at->block,
                              .seq = block->summary.seq,
                              .section = fault->section,
                              .page = fault->page,
                              .column = fault->column};

    at->faults++;
    memcpy(finding.file, at->verify->file, sizeof finding.file);
    snprintf(finding.what, sizeof finding.what, "%s", fault->what);
    name_section(&source, &finding);
    verify_tell(at->verify, &finding);
}

static enum err place(struct verify *verify, const struct placed_block *block)
{
    if (verify->placed_count == verify->placed_capacity) {
        const uint32_t capacity = verify->placed_capacity * 2 + 256;
        struct placed_block *const grown = realloc(verify->placed, capacity * sizeof *grown);
        if (grown == NULL) return ERR_NO_MEMORY;
        verify->placed = grown;
        verify->placed_capacity = capacity;
    }
    verify->placed[verify->placed_count++] = *block;
    return OK;
}

static enum err verify_block(struct verify *verify, struct segment_look *look, uint32_t segment,
                             uint32_t number, const struct filter filters[2])
{
    const struct catalog_block *const block = &look->blocks[number];
    const struct block_source source = segment_look_source(look, number);
    struct block_context context = {.verify = verify, .look = look, .block = number};

    TRY(block_verify(&source, &block->summary, filters, on_fault, &context));
    verify->totals.blocks++;
    verify->totals.spans += block->summary.spans;
    verify_bytes(verify, block->summary.bytes);
    const struct placed_block placed = {.shard = block->summary.shard,
                                        .counts = !block->fenced && !block->stray,
                                        .damaged = context.faults > 0,
                                        .seq = block->summary.seq,
                                        .lsn_first = block->summary.lsn_first,
                                        .lsn_end = block->summary.lsn_end,
                                        .offset = block->offset,
                                        .segment = segment,
                                        .block = number};
    return place(verify, &placed);
}

/* ---- blocks with their filters ------------------------------------------------------------------------- */

struct group {
    uint32_t first, count;
    struct filter of[2][FILTERS_AT_ONCE]; /* by enum filter_kind */
};

static void ignore_fault(void *context, const struct look_fault *fault)
{
    (void)context, (void)fault;
}

/* Each group reads all rows: what is wrong with them is told once. */
static enum err read_filters(struct verify *verify, struct segment_look *look, struct group *group)
{
    look_fault_fn *const tell = group->first == 0 ? verify_on_fault : ignore_fault;

    for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++) {
        if (look->cells[kind] == 0) continue;
        TRY(segment_look_filters(look, kind, group->first, group->count, group->of[kind], tell, verify));
    }
    return OK;
}

static enum err verify_group(struct verify *verify, struct segment_look *look, uint32_t segment,
                             struct group *group)
{
    enum err err = read_filters(verify, look, group);

    for (uint32_t i = 0; i < group->count && err == OK; i++) {
        const struct filter filters[2] = {group->of[FILTER_TRACE][i], group->of[FILTER_TOKEN][i]};
        err = verify_block(verify, look, segment, group->first + i, filters);
    }
    for (uint32_t i = 0; i < group->count; i++) {
        free(group->of[FILTER_TRACE][i].bytes);
        free(group->of[FILTER_TOKEN][i].bytes);
    }
    return err;
}

static enum err verify_blocks(struct verify *verify, struct segment_look *look, uint32_t segment)
{
    for (uint32_t first = 0; first < look->blocks_count; first += FILTERS_AT_ONCE) {
        const uint32_t left = look->blocks_count - first;
        struct group group = {.first = first, .count = left < FILTERS_AT_ONCE ? left : FILTERS_AT_ONCE};
        TRY(verify_group(verify, look, segment, &group));
    }
    return OK;
}

/* ---- its ledger ---------------------------------------------------------------------------------------- */

static enum err count_block(struct segment_look *look, uint32_t number, struct ledger *counted)
{
    const struct block_source source = segment_look_source(look, number);
    struct block_reader *reader;

    TRY(block_open(&source, &reader));
    const enum err err = block_ledger_count(reader, counted);
    block_close(reader);
    return err;
}

/* Damaged blocks have been told; with one there is nothing to compare. */
static enum err compare_ledger(struct verify *verify, struct segment_look *look, struct ledger *said,
                               struct ledger *counted)
{
    const enum err err = segment_look_ledger(look, said, verify_on_fault, verify);

    if (err != OK) return err == ERR_NOT_FOUND ? OK : err;
    for (uint32_t i = 0; i < look->blocks_count; i++) {
        const enum err of_block = count_block(look, i, counted);
        if (of_block == ERR_NO_MEMORY) return of_block;
        if (of_block != OK) return OK;
    }
    if (!ledger_agree(said, counted, LEDGER_STORED))
        verify_damage(verify, look->ledger_offset, LOOK_NONE,
                      "the ledger says that %" PRIu64 " spans are stored, and there are %" PRIu64
                      ", or of other services or times",
                      ledger_total(said, LEDGER_STORED), ledger_total(counted, LEDGER_STORED));
    return OK;
}

static enum err verify_ledger(struct verify *verify, struct segment_look *look)
{
    struct ledger *said = NULL, *counted = NULL;
    enum err err = ledger_open(&said);

    if (err == OK) err = ledger_open(&counted);
    if (err == OK) err = compare_ledger(verify, look, said, counted);
    ledger_close(said);
    ledger_close(counted);
    return err;
}

/* ---- one file ------------------------------------------------------------------------------------------ */

static void note_state(struct verify *verify, const struct segment_look *look)
{
    bool good = false;

    if (!look->header_sound && !look->closed)
        verify_note(verify, 0, "its header is not sound: a first append that did not finish, or damage");
    for (uint32_t i = 0; i < look->blocks_count; i++)
        good |= !look->blocks[i].fenced;
    if (!look->closed)
        verify_note(verify, look->end,
                    "not closed: the next start closes it; %" PRIu64 " bytes behind its last block",
                    look->file_bytes - look->end);
    else if (good && look->cells[FILTER_TRACE] == 0)
        verify_note(verify, look->directory_offset,
                    "it has no filters yet: a server builds them in the background");
}

/* The one that stands for it, or LOOK_NONE. */
static uint32_t replaced_by(const struct verify *verify, const struct segment_look *look)
{
    for (uint32_t i = 0; i < verify->replaced_count; i++) {
        const struct segment_look_replaced *const one = &verify->replaced[i].segment;
        if (one->shard == look->shard && one->seq == look->seq && one->created_ns == look->created_ns)
            return verify->replaced[i].by;
    }
    return LOOK_NONE;
}

static enum err verify_look(struct verify *verify, struct segment_look *look, uint32_t segment)
{
    uint64_t in_blocks = 0;

    if (!look->closed && verify->options.while_running) return OK; /* it is being written */
    if (verify->instance_known && look->instance != verify->instance &&
        (look->closed || look->header_sound)) {
        verify_note(verify, 0, "of another instance: left alone");
        return OK;
    }
    const uint32_t by = replaced_by(verify, look);
    if (by != LOOK_NONE) {
        verify_note(verify, 0, "merged into segments/%s: the next start removes it",
                    verify->segments.names[by]);
        return OK;
    }
    verify->totals.segments++;
    note_state(verify, look);
    TRY(segment_look_check(look, verify_on_fault, verify));
    TRY(verify_blocks(verify, look, segment));
    TRY(verify_ledger(verify, look));
    for (uint32_t i = 0; i < look->blocks_count; i++)
        in_blocks += look->blocks[i].summary.bytes;
    verify_bytes(verify, look->file_bytes > in_blocks ? look->file_bytes - in_blocks : 0);
    return OK;
}

/*
 * Neither a header nor a block in it: what a crash leaves of a first append. If it has been more, and all of it is spoilt,
 * its blocks are missing among those of the shard, which is told there.
 */
static enum err verify_nothing(struct verify *verify, struct io_dir *dir, const char *name)
{
    struct io_file *file;
    uint64_t bytes = 0;

    TRY(io_file_open(verify->io, dir, name, 0, &file));
    const enum err err = io_file_size(verify->io, file, &bytes);
    io_file_close(verify->io, file);
    verify_note(verify, 0,
                "neither a header nor a block: a first append that did not finish, or not a segment");
    verify_bytes(verify, bytes);
    return err;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t len = strlen(name), end_len = strlen(end);

    return len > end_len && strcmp(name + len - end_len, end) == 0;
}

static enum err verify_segment(struct verify *verify, struct io_dir *dir, uint32_t number)
{
    const char *const name = verify->segments.names[number];
    struct segment_look *look;

    snprintf(verify->file, sizeof verify->file, "segments/%s", name);
    if (!ends_with(name, ".seg")) {
        verify_note(verify, 0,
                    ends_with(name, ".tmp")
                        ? "a merged segment that was not finished: the next start removes it"
                        : "not a segment by its name: left alone");
        return OK;
    }
    enum err err = segment_look_open(verify->io, dir, name, &look);
    if (err == ERR_NOT_FOUND && verify->options.while_running) return OK; /* it is gone meanwhile */
    if (err == ERR_CORRUPT && verify->options.while_running) return OK;   /* it is being made */
    if (err == ERR_CORRUPT) return verify_nothing(verify, dir, name);
    if (err == ERR_IO || err == ERR_DENIED) {
        verify_damage(verify, 0, LOOK_NONE, "cannot be read: %s", err_text(err));
        return OK;
    }
    TRY(err);
    err = verify_look(verify, look, number);
    segment_look_close(look);
    return err;
}

/* ---- what merged segments stand for -------------------------------------------------------------------- */

static enum err note_lineage(struct verify *verify, const struct segment_look *look, uint32_t number)
{
    const uint32_t count = verify->replaced_count + look->replaces_count;
    struct replaced_segment *const grown = realloc(verify->replaced, ((size_t)count + 1) * sizeof *grown);

    if (grown == NULL) return ERR_NO_MEMORY;
    verify->replaced = grown;
    for (uint32_t i = 0; i < look->replaces_count; i++)
        grown[verify->replaced_count++] = (struct replaced_segment){look->replaces[i], number};
    for (uint32_t i = 0; i < look->positions_count; i++) {
        const struct segment_look_position *const from = &look->positions[i];
        struct segment_look_position *const to = &verify->positions[from->shard];
        if (from->next_seq > to->next_seq) to->next_seq = from->next_seq;
        if (from->sealed_lsn > to->sealed_lsn) to->sealed_lsn = from->sealed_lsn;
    }
    return OK;
}

/* What cannot be opened is told later. */
static enum err note_lineages(struct verify *verify, struct io_dir *dir)
{
    for (uint32_t i = 0; i < verify->segments.count; i++) {
        struct segment_look *look;
        enum err err = segment_look_open(verify->io, dir, verify->segments.names[i], &look);
        if (err == ERR_NO_MEMORY) return err;
        if (err != OK || !ends_with(verify->segments.names[i], ".seg")) {
            if (err == OK) segment_look_close(look);
            continue;
        }
        const bool ours = !verify->instance_known || look->instance == verify->instance;
        if (ours && look->closed) err = note_lineage(verify, look, i);
        segment_look_close(look);
        TRY(err);
    }
    return OK;
}

enum err verify_segments(struct verify *verify)
{
    struct io_dir *dir;
    enum err err = io_dir_open(verify->io, verify->dir, "segments", false, &dir);

    if (err == ERR_NOT_FOUND) return OK; /* a directory that no server has used yet */
    TRY(err);
    err = verify_list(verify, dir, &verify->segments);
    if (err == OK) err = note_lineages(verify, dir);
    for (uint32_t i = 0; i < verify->segments.count && err == OK; i++)
        err = verify_segment(verify, dir, i);
    io_dir_close(verify->io, dir);
    return err;
}
