/* One block: its header, its sections with their share of the bytes, and its columns. */
#include "inspect.h"

#include <stdlib.h>

void inspect_summary(struct out *out, const struct block_summary *summary)
{
    out_number(out, "shard", summary->shard);
    out_number(out, "seq", summary->seq);
    out_number(out, "lsn_first", summary->lsn_first);
    out_number(out, "lsn_end", summary->lsn_end);
    out_number(out, "spans", summary->spans);
    out_number(out, "traces", summary->traces);
    out_number(out, "bytes", summary->bytes);
    out_real(out, "bytes_per_span", (double)summary->bytes / (double)summary->spans, 2);
    out_time(out, "start_min", summary->start_min_ns);
    out_time(out, "start_max", summary->start_max_ns);
    out_time(out, "end_max", summary->end_max_ns);
    out_number(out, "duration_min_ns", summary->duration_min_ns);
    out_number(out, "duration_max_ns", summary->duration_max_ns);
    out_time(out, "arrival_min", summary->arrival_min_ns);
    out_time(out, "arrival_max", summary->arrival_max_ns);
    out_hex(out, "trace_min", slice_of(summary->trace_min.bytes, 16));
    out_hex(out, "trace_max", slice_of(summary->trace_max.bytes, 16));
}

static void show_head(struct out *out, const struct block_reader *reader)
{
    const struct block_look_counts counts = block_look_counts(reader);

    out_group(out, "block");
    inspect_summary(out, block_summary(reader));
    out_number(out, "pages", counts.pages);
    out_number(out, "sections", counts.sections);
    out_number(out, "columns", counts.columns);
    out_number(out, "shapes", counts.shapes);
    out_number(out, "patterns", counts.patterns);
    out_number(out, "event_patterns", counts.event_patterns);
    out_number(out, "resources", counts.resources);
    out_number(out, "scopes", counts.scopes);
    out_number(out, "operations", counts.operations);
    out_number(out, "events", counts.events);
    out_number(out, "links", counts.links);
    out_number(out, "dictionary_pieces", counts.pieces);
    out_group_end(out);
}

static void show_sections(struct out *out, struct block_reader *reader, bool *sound)
{
    const double bytes = (double)block_summary(reader)->bytes;

    out_table(out, "sections");
    for (uint32_t i = 0; i < block_look_counts(reader).sections; i++) {
        const struct block_look_section section = block_look_section(reader, i);
        const enum err err = block_look_check_section(reader, i);
        out_row(out);
        out_number(out, "section", i);
        out_text(out, "type", section.name);
        out_text(out, "codec", section.packed ? "zstd" : "plain");
        out_number(out, "offset", section.offset);
        out_number(out, "stored", section.stored);
        out_number(out, "plain", section.plain);
        out_real(out, "ratio", section.stored > 0 ? (double)section.plain / section.stored : 0, 2);
        out_real(out, "share_percent", 100 * (double)section.stored / bytes, 2);
        out_text(out, "state", err == OK ? "sound" : "DAMAGED");
        out_row_end(out);
        *sound &= err == OK;
    }
    out_table_end(out);
}

static enum err show_columns(struct out *out, const struct block_reader *reader)
{
    struct column_bytes *const sums = column_bytes_open();

    if (sums == NULL) return ERR_NO_MEMORY;
    const enum err err = column_bytes_add(sums, reader);
    if (err == OK) column_bytes_print(sums, out);
    column_bytes_close(sums);
    return err;
}

static enum err show(struct out *out, struct block_reader *reader, const struct inspect_options *options,
                     bool *sound)
{
    if (!options->columns) {
        show_head(out, reader);
        show_sections(out, reader, sound);
    }
    enum err err = block_look_tables(reader);
    if (err == OK) err = show_columns(out, reader);
    if (err == OK && options->rows > 0) err = inspect_rows(out, reader, options->rows);
    if (err == ERR_CORRUPT) *sound = false; /* the sections above say which; the rest is not to be had */
    return err == ERR_CORRUPT ? OK : err;
}

enum err inspect_block(struct out *out, const struct block_source *source,
                       const struct inspect_options *options, bool *sound)
{
    struct block_reader *reader;

    TRY(block_look_open(source, &reader));
    const enum err err = show(out, reader, options, sound);
    block_close(reader);
    return err;
}
