/*
 * A journal file: its header, and its frames as they stand in it. A file is recycled, so behind the newest frames there
 * may be those of an earlier lap, whose positions are lower. Which frames are the log, and where it ends, only a start or
 * verify can say, for that takes all files.
 */
#include "inspect.h"

struct listing {
    struct out *out;
    bool sound;
    bool any;
    uint64_t next_lsn; /* where the frame before says that the next one is */
    uint32_t chain;
};

static const char *state_of(const struct listing *listing, const struct journal_look_frame *frame)
{
    if (!frame->body_sound) return "body damaged";
    if (!listing->any) return "first";
    if (frame->lsn < listing->next_lsn) return "earlier lap";
    if (frame->lsn > listing->next_lsn) return "behind a gap";
    if (frame->prev_crc != listing->chain) return "another chain";
    return frame->padding_zero ? "follows" : "padding not zero";
}

static bool show_frame(void *context, const struct journal_look_frame *frame)
{
    struct listing *const listing = context;
    struct out *const out = listing->out;

    out_row(out);
    out_number(out, "offset", frame->offset);
    out_number(out, "lsn", frame->lsn);
    out_number(out, "lsn_end", frame->lsn_end);
    out_number(out, "generation", frame->generation);
    out_text(out, "type", frame->type_name);
    out_number(out, "body_len", frame->body_bytes);
    out_number(out, "plain_len", frame->plain_bytes);
    out_number(out, "span_count", frame->spans);
    out_time(out, "recv_time", frame->arrival_ns);
    out_number(out, "durable_lsn", frame->durable_lsn);
    out_number(out, "sealed_lsn", frame->sealed_lsn);
    out_number(out, "continues_lsn", frame->continues_lsn);
    out_text(out, "state", state_of(listing, frame));
    out_row_end(out);
    listing->sound &= frame->body_sound;
    listing->any = true;
    listing->next_lsn = frame->next_lsn;
    listing->chain = frame->header_crc;
    return true;
}

enum err inspect_journal(struct out *out, struct io *io, struct io_file *file, bool *sound)
{
    struct journal_look_file header;
    struct listing listing = {.out = out, .sound = true};

    TRY(journal_look_file(io, file, &header));
    out_group(out, "journal");
    out_number(out, "shard", header.shard);
    out_number(out, "sequence", header.sequence);
    out_number(out, "file_bytes", header.file_bytes);
    out_number(out, "bytes", header.bytes);
    out_time(out, "created", header.created_ns);
    out_flag(out, "header_page_zero", header.page_zero);
    out_group_end(out);
    out_table(out, "frames");
    const enum err err = journal_look_frames(io, file, &header, show_frame, &listing);
    out_table_end(out);
    *sound = listing.sound && header.page_zero && header.bytes >= header.file_bytes;
    return err;
}
