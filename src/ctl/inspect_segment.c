/*
 * A segment: what its header and directory say, a line for each block, and how full the filters are.
 *
 * How many keys a filter has is not kept. Each key sets one bit in each word of 32 bits of one cell, so from the share f of
 * bits that are set follow about -32 ln(1 - f) keys a cell.
 */
#include "inspect.h"

#include "store/ledger.h"

#include <math.h>
#include <stdlib.h>

struct faults {
    uint64_t count;
    struct out *out;
};

static void show_fault(void *context, const struct look_fault *fault)
{
    struct faults *const faults = context;

    faults->count++;
    out_row(faults->out);
    out_number(faults->out, "offset", fault->offset);
    out_text(faults->out, "damage", fault->what);
    out_row_end(faults->out);
}

static void show_head(struct out *out, const struct segment_look *look)
{
    uint64_t spans = 0, bytes = 0;

    for (uint32_t i = 0; i < look->blocks_count; i++) {
        spans += look->blocks[i].summary.spans;
        bytes += look->blocks[i].summary.bytes;
    }
    out_group(out, "segment");
    out_text(out, "state", look->closed ? "closed" : "not closed: the blocks are those that a walk finds");
    out_number(out, "shard", look->shard);
    out_number(out, "seq", look->seq);
    out_number(out, "instance", look->instance);
    out_time(out, "created", look->created_ns);
    if (look->closed) out_time(out, "closed", look->closed_ns);
    out_number(out, "level", look->level);
    out_number(out, "block_seq", look->block_seq);
    out_number(out, "lsn_first", look->lsn_first);
    out_number(out, "blocks", look->blocks_count);
    out_number(out, "spans", spans);
    out_number(out, "file_bytes", look->file_bytes);
    out_number(out, "block_bytes", bytes);
    if (spans > 0) out_real(out, "bytes_per_span", (double)look->file_bytes / (double)spans, 2);
    if (look->closed) out_number(out, "directory_offset", look->directory_offset);
    if (look->closed) out_number(out, "directory_length", look->directory_bytes);
    if (!look->closed) out_number(out, "tail_bytes", look->file_bytes - look->end);
    out_group_end(out);
}

/* What a merged segment says beside its blocks. */
static void show_lineage(struct out *out, const struct segment_look *look)
{
    if (look->replaces_count + look->positions_count == 0) return;
    out_table(out, "replaces");
    for (uint32_t i = 0; i < look->replaces_count; i++) {
        out_row(out);
        out_number(out, "shard", look->replaces[i].shard);
        out_number(out, "seq", look->replaces[i].seq);
        out_time(out, "created", look->replaces[i].created_ns);
        out_row_end(out);
    }
    out_table_end(out);
    out_table(out, "positions");
    for (uint32_t i = 0; i < look->positions_count; i++) {
        out_row(out);
        out_number(out, "shard", look->positions[i].shard);
        out_number(out, "next_seq", look->positions[i].next_seq);
        out_number(out, "sealed_lsn", look->positions[i].sealed_lsn);
        out_row_end(out);
    }
    out_table_end(out);
}

static void show_blocks(struct out *out, const struct segment_look *look)
{
    out_table(out, "blocks");
    for (uint32_t i = 0; i < look->blocks_count; i++) {
        const struct block_summary *const block = &look->blocks[i].summary;
        out_row(out);
        out_number(out, "block", i);
        out_number(out, "seq", block->seq);
        out_number(out, "offset", look->blocks[i].offset);
        out_number(out, "bytes", block->bytes);
        out_number(out, "spans", block->spans);
        out_number(out, "traces", block->traces);
        out_real(out, "bytes_per_span", (double)block->bytes / (double)block->spans, 2);
        out_time(out, "start_min", block->start_min_ns);
        out_time(out, "start_max", block->start_max_ns);
        out_number(out, "lsn_first", block->lsn_first);
        out_number(out, "lsn_end", block->lsn_end);
        out_text(out, "flags", look->blocks[i].fenced ? "damaged" : look->blocks[i].stray ? "stray" : "-");
        out_row_end(out);
    }
    out_table_end(out);
}

/* ---- filters --------------------------------------------------------------------------------------------- */

enum { FILTERS_AT_ONCE = 32 }; /* at most 1 MiB each */
struct filter_size {
    uint32_t cells;
    double fill;
};

static double fill_of(const struct filter *filter)
{
    uint64_t set = 0;

    for (size_t i = 0; i < (size_t)filter->cells * FILTER_CELL_BYTES; i++)
        set += (uint64_t)__builtin_popcount(filter->bytes[i]);
    return (double)set / ((double)filter->cells * FILTER_CELL_BYTES * 8);
}

static void show_filter(struct out *out, uint32_t block, enum filter_kind kind,
                        const struct filter_size *size)
{
    const double fill = size->fill, bits = (double)size->cells * FILTER_CELL_BYTES * 8;
    const double keys = fill < 1 ? -32 * log1p(-fill) * (double)size->cells : 0;

    out_row(out);
    out_number(out, "block", block);
    out_text(out, "kind", kind == FILTER_TRACE ? "trace" : "token");
    out_number(out, "cells", size->cells);
    out_number(out, "bits", (uint64_t)bits);
    out_real(out, "fill", fill, 4);
    out_number(out, "keys_about", (uint64_t)llround(keys));
    out_real(out, "bits_per_key", keys > 0 ? bits / keys : 0, 2);
    out_real(out, "false_positives", pow(fill, 8), 6);
    out_row_end(out);
}

static void count_fault(void *context, const struct look_fault *fault)
{
    (void)fault;
    ++*(uint64_t *)context;
}

/* Of a merged segment: what has become of all that it stands for, in total. */
static void show_ledger(struct out *out, struct segment_look *look, uint64_t *bad)
{
    struct ledger *ledger;

    if (ledger_open(&ledger) != OK) return;
    if (segment_look_ledger(look, ledger, count_fault, bad) == OK) {
        out_group(out, "ledger");
        out_number(out, "ledger_offset", look->ledger_offset);
        out_number(out, "ledger_bytes", look->ledger_bytes);
        out_text(out, "step", ledger_step_text(ledger_step(ledger)));
        out_number(out, "rows", ledger_rows(ledger));
        for (enum ledger_count count = LEDGER_RECEIVED; count < LEDGER_COUNTS; count++)
            out_number(out, ledger_count_text(count), ledger_total(ledger, count));
        out_group_end(out);
    }
    ledger_close(ledger);
}

/* The fill of each block's filter of a kind; negative: it has none, or its rows are damaged. */
static enum err measure(struct segment_look *look, enum filter_kind kind, struct filter_size *sizes,
                        uint64_t *bad)
{
    for (uint32_t first = 0; first < look->blocks_count; first += FILTERS_AT_ONCE) {
        const uint32_t left = look->blocks_count - first;
        const uint32_t count = left < FILTERS_AT_ONCE ? left : FILTERS_AT_ONCE;
        struct filter filters[FILTERS_AT_ONCE];
        uint64_t here = 0;

        const enum err err = segment_look_filters(look, kind, first, count, filters, count_fault, &here);
        if (first == 0) *bad += here; /* each group reads all rows */
        for (uint32_t i = 0; i < count; i++) {
            if (err == OK && filters[i].cells > 0)
                sizes[first + i] = (struct filter_size){filters[i].cells, fill_of(&filters[i])};
            free(filters[i].bytes);
        }
        TRY(err);
    }
    return OK;
}

static enum err show_filters(struct out *out, struct segment_look *look, uint64_t *bad)
{
    struct filter_size sizes[2][SEGMENT_BLOCKS_MAX] = {0};

    for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++)
        if (look->cells[kind] > 0) TRY(measure(look, kind, sizes[kind], bad));
    out_table(out, "filters");
    for (uint32_t i = 0; i < look->blocks_count; i++)
        for (enum filter_kind kind = FILTER_TRACE; kind <= FILTER_TOKEN; kind++)
            if (sizes[kind][i].cells > 0) show_filter(out, i, kind, &sizes[kind][i]);
    out_table_end(out);
    return OK;
}

/* ---- blocks ---------------------------------------------------------------------------------------------- */

static enum err add_block(struct column_bytes *sums, const struct block_source *source, bool *sound)
{
    struct block_reader *reader;
    enum err err = block_look_open(source, &reader);

    if (err == OK) {
        err = block_look_tables(reader);
        if (err == OK) err = column_bytes_add(sums, reader);
        block_close(reader);
    }
    *sound &= err != ERR_CORRUPT;
    return err == ERR_CORRUPT ? OK : err;
}

static enum err show_columns(struct out *out, struct segment_look *look, bool *sound)
{
    struct column_bytes *const sums = column_bytes_open();
    uint64_t bytes = 0;
    enum err err = sums == NULL ? ERR_NO_MEMORY : OK;

    for (uint32_t i = 0; i < look->blocks_count && err == OK; i++) {
        const struct block_source source = segment_look_source(look, i);
        err = add_block(sums, &source, sound);
        bytes += look->blocks[i].summary.bytes;
    }
    if (err == OK)
        err = column_bytes_add_other(sums, "(header, directory, filters)", look->file_bytes - bytes);
    if (err == OK) column_bytes_print(sums, out);
    if (sums != NULL) column_bytes_close(sums);
    return err;
}

static enum err show_all(struct out *out, struct segment_look *look, bool *sound)
{
    struct faults faults = {.out = out};
    uint64_t bad_rows = 0;

    show_head(out, look);
    show_lineage(out, look);
    show_ledger(out, look, &bad_rows);
    TRY(show_filters(out, look, &bad_rows));
    show_blocks(out, look);
    out_table(out, "faults");
    const enum err err = segment_look_check(look, show_fault, &faults);
    out_table_end(out);
    *sound &= faults.count == 0 && bad_rows == 0;
    return err;
}

static enum err show_rows(struct out *out, const struct block_source *source, uint64_t rows, bool *sound)
{
    struct block_reader *reader;
    enum err err = block_open(source, &reader);

    if (err == OK) {
        err = inspect_rows(out, reader, rows);
        block_close(reader);
    }
    *sound &= err != ERR_CORRUPT;
    return err == ERR_CORRUPT ? OK : err;
}

static enum err show(struct out *out, struct segment_look *look, const struct inspect_options *options,
                     bool *sound)
{
    if (options->block_given && options->block >= look->blocks_count) return ERR_NOT_FOUND;
    if (options->block_given) {
        const struct block_source source = segment_look_source(look, (uint32_t)options->block);
        return inspect_block(out, &source, options, sound);
    }
    if (options->columns) return show_columns(out, look, sound);
    TRY(show_all(out, look, sound));
    if (options->rows == 0 || look->blocks_count == 0) return OK;
    const struct block_source source = segment_look_source(look, 0);
    return show_rows(out, &source, options->rows, sound);
}

enum err inspect_segment(struct out *out, struct io *io, struct io_dir *dir, const char *name,
                         const struct inspect_options *options, bool *sound)
{
    struct segment_look *look;

    TRY(segment_look_open(io, dir, name, &look));
    const enum err err = show(out, look, options, sound);
    segment_look_close(look);
    return err;
}
