/*
 * Walks the blocks of a segment that was not closed, or whose directory is damaged: header, length, next
 * header. A start waits for this, so no more is read than it takes to know where the blocks are and which of them
 * were durable: blocks are synced one by one, so one that another stands behind had been whole, and its header is enough.
 * The last one is read, and all of its sums are checked. What has rotted in the others is found when they are
 * opened, as in closed files, at the latest when their filters are built (segment_filters.c).
 *
 *   good, good, good, bad ─┬─ nothing good behind it: the torn tail of the last append. The walk ends there.
 *                          └─ good blocks behind it: rot. It is fenced, nothing is cut, the walk goes on
 *                             behind it.
 *
 * Where does "behind it" begin? If the bad block's header is sound, exactly at its end. If not, every 4 KiB
 * is tried; but span bytes can look like a block (they are a client's), so such a find must continue this
 * segment's numbers and be whole to its last byte, and it is a *stray*, as all that follow: they are served, but
 * never move the sealed LSN, so that no forged block can make the journal's replay skip something. Behind
 * such a find, and without a sound file header, every block is checked to its last byte.
 */
#include "catalog_private.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

enum verdict { BLOCK_GOOD, BLOCK_BAD_BODY, BLOCK_NO_HEADER };

struct examined {
    enum verdict verdict;
    struct block_summary summary; /* valid unless BLOCK_NO_HEADER */
};

/* ---- one block --------------------------------------------------------------------------------------- */

struct block_place {
    const struct segment_walk *walk;
    uint64_t offset;
};

static enum err read_block(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct block_place *const place = context;

    return segment_file_read(place->walk->file, place->walk->io, place->offset + offset, buf, len);
}

/* A block in memory: one long read instead of a short direct one per section. */
enum { WHOLE_BYTES_MAX = 64 << 20 };
struct block_image {
    uint8_t *bytes;
    uint64_t len;
};

static enum err read_image(void *context, uint64_t offset, void *buf, size_t len)
{
    const struct block_image *const image = context;

    if (offset > image->len || len > image->len - offset) return ERR_CORRUPT;
    memcpy(buf, image->bytes + offset, len);
    return OK;
}

static enum err check_source(const struct block_source *source)
{
    struct block_reader *reader;

    TRY(block_open(source, &reader));
    const enum err err = block_check_sums(reader);
    block_close(reader);
    return err;
}

static enum err open_and_check(const struct segment_walk *walk, uint64_t offset, uint64_t bytes)
{
    struct block_place place = {.walk = walk, .offset = offset};
    const struct block_source file = {.read = read_block, .context = &place};
    struct block_image image = {.bytes = bytes <= WHOLE_BYTES_MAX ? aligned_alloc(IO_ALIGN, bytes) : NULL,
                                .len = bytes};
    const struct block_source memory = {.read = read_image, .context = &image};

    if (image.bytes == NULL) return check_source(&file);
    enum err err = OK;
    for (uint64_t at = 0; at < bytes && err == OK; at += SEGMENT_PIECE_BYTES) {
        const uint64_t piece = bytes - at < SEGMENT_PIECE_BYTES ? bytes - at : SEGMENT_PIECE_BYTES;
        err = read_block(&place, at, image.bytes + at, piece);
    }
    if (err == OK) err = check_source(&memory);
    free(image.bytes);
    return err;
}

static bool continues(const struct segment_walk *walk, const struct block_summary *summary)
{
    if (summary->shard > CATALOG_MERGED || summary->lsn_first > summary->lsn_end) return false;
    if (walk->based && walk->segment->identity.shard == CATALOG_MERGED)
        return true; /* any shard's, in any order */
    if (walk->based && summary->shard != walk->segment->identity.shard) return false;
    return summary->seq >= walk->seq_floor;
}

static enum err read_header(struct segment_walk *walk, uint64_t offset, struct examined *out)
{
    TRY(segment_file_read(walk->file, walk->io, offset, walk->page, SEGMENT_ALIGN));
    TRY(block_peek(walk->page, &out->summary));
    const bool fits = out->summary.bytes > 0 && out->summary.bytes <= walk->file_bytes - offset;
    return fits && continues(walk, &out->summary) ? OK : ERR_CORRUPT;
}

/* Once more after a device error: a transient one must not cost a block. */
static enum err examine_twice(struct segment_walk *walk, uint64_t offset, struct examined *out)
{
    enum err err = ERR_IO;

    for (unsigned i = 0; i < 2 && err == ERR_IO; i++) {
        out->verdict = BLOCK_NO_HEADER;
        err = read_header(walk, offset, out);
        if (err != OK) continue;
        out->verdict = BLOCK_BAD_BODY;
        err = open_and_check(walk, offset, out->summary.bytes);
        if (err == OK) out->verdict = BLOCK_GOOD;
    }
    return err;
}

/* Fails only for reasons that say nothing about the block. */
static enum err examine(struct segment_walk *walk, uint64_t offset, struct examined *out)
{
    *out = (struct examined){.verdict = BLOCK_NO_HEADER};
    if (walk->file_bytes - offset < SEGMENT_ALIGN) return OK;

    const enum err err = examine_twice(walk, offset, out);
    if (err == ERR_VERSION || err == ERR_NO_MEMORY) return err;
    if (err == ERR_IO) walk->keep = true;
    return OK;
}

/*
 * The block at offset has a sound header, and so has what stands right behind it: nothing is written there before the
 * first is durable.
 */
static enum err examine_followed(struct segment_walk *walk, uint64_t offset, struct examined *out,
                                 bool *followed)
{
    struct examined next;

    *followed = false;
    if (walk->file_bytes - offset < SEGMENT_ALIGN || read_header(walk, offset, out) != OK) return OK;
    const uint64_t behind = offset + out->summary.bytes;
    if (walk->file_bytes - behind < SEGMENT_ALIGN) return OK;
    const enum err err = read_header(walk, behind, &next);
    if (err == ERR_VERSION || err == ERR_NO_MEMORY) return err;
    *followed = err == OK && next.summary.seq > out->summary.seq;
    if (*followed) out->verdict = BLOCK_GOOD;
    return OK;
}

static enum err examine_in_order(struct segment_walk *walk, uint64_t offset, bool stray, struct examined *out)
{
    bool followed = false;

    if (walk->based && !stray) TRY(examine_followed(walk, offset, out, &followed));
    return followed ? OK : examine(walk, offset, out);
}

/* ---- looking on -------------------------------------------------------------------------------------- */

static bool plausible_stray(const struct segment_walk *walk, const struct block_summary *summary)
{
    return continues(walk, summary) && summary->seq - walk->seq_floor <= SEGMENT_BLOCKS_MAX &&
           summary->lsn_first >= walk->lsn_floor;
}

static enum err try_stray(struct segment_walk *walk, const uint8_t *page, uint64_t offset, bool *found)
{
    struct block_summary summary;
    struct examined examined;

    *found = false;
    if (block_peek(page, &summary) != OK || !plausible_stray(walk, &summary)) return OK;
    TRY(examine(walk, offset, &examined));
    *found = examined.verdict == BLOCK_GOOD;
    return OK;
}

static enum err scan_piece(struct segment_walk *walk, const uint8_t *piece, size_t len, uint64_t offset,
                           uint64_t *found)
{
    for (size_t at = 0; at + SEGMENT_ALIGN <= len; at += SEGMENT_ALIGN) {
        bool good;
        TRY(try_stray(walk, piece + at, offset + at, &good));
        if (!good) continue;
        *found = offset + at;
        return OK;
    }
    return OK;
}

/* The first good block at or behind offset; *found is 0 when there is none. */
static enum err scan(struct segment_walk *walk, uint64_t offset, uint64_t *found)
{
    uint8_t *const piece = aligned_alloc(IO_ALIGN, SEGMENT_PIECE_BYTES);
    enum err err = piece == NULL ? ERR_NO_MEMORY : OK;

    *found = 0;
    while (err == OK && *found == 0 && offset + SEGMENT_ALIGN <= walk->file_bytes) {
        const uint64_t left = walk->file_bytes - offset;
        const size_t len = left < SEGMENT_PIECE_BYTES ? (size_t)(left - left % SEGMENT_ALIGN)
                                                      : SEGMENT_PIECE_BYTES;
        if (segment_file_read(walk->file, walk->io, offset, piece, len) != OK) {
            walk->keep = true;
        } else {
            err = scan_piece(walk, piece, len, offset, found);
        }
        offset += len;
    }
    free(piece);
    return err;
}

struct found_next {
    uint64_t offset; /* 0: nothing good behind */
    bool exact;      /* right behind a block with a sound header */
};

static enum err look_on(struct segment_walk *walk, uint64_t offset, const struct examined *bad,
                        struct found_next *out)
{
    uint64_t behind = offset + SEGMENT_ALIGN;

    *out = (struct found_next){.offset = 0};
    if (!walk->based && walk->segment->blocks_count == 0) return OK; /* nothing to judge a find by */
    if (bad->verdict == BLOCK_BAD_BODY) {
        struct examined next;
        behind = offset + bad->summary.bytes;
        walk->seq_floor = bad->summary.seq + 1;
        TRY(examine(walk, behind, &next));
        if (next.verdict == BLOCK_GOOD) {
            *out = (struct found_next){.offset = behind, .exact = true};
            return OK;
        }
    }
    return scan(walk, behind, &out->offset);
}

/* ---- the walk ---------------------------------------------------------------------------------------- */

static void add(struct segment_walk *walk, const struct examined *examined, uint64_t offset, bool stray)
{
    struct segment *const segment = walk->segment;
    const uint32_t index = segment->blocks_count++;

    segment->blocks[index] = (struct catalog_block){.summary = examined->summary,
                                                    .offset = offset,
                                                    .index = index,
                                                    .fenced = examined->verdict != BLOCK_GOOD,
                                                    .stray = stray};
    walk->seq_floor = examined->summary.seq + 1;
    walk->lsn_floor = examined->summary.lsn_end;
    if (examined->verdict == BLOCK_GOOD) walk->end = offset + examined->summary.bytes;
}

static void fence(struct segment_walk *walk, const struct examined *bad, uint64_t offset, uint64_t next,
                  bool stray)
{
    log_error("store", "damaged block in a segment", "file=%s offset=%" PRIu64 " next_good=%" PRIu64,
              walk->file->name, offset, next);
    walk->fenced++;
    if (bad->verdict == BLOCK_BAD_BODY) add(walk, bad, offset, stray);
}

enum err segment_walk(struct segment_walk *walk)
{
    struct segment *const segment = walk->segment;
    uint64_t offset = SEGMENT_ALIGN;
    uint8_t page[SEGMENT_ALIGN] __attribute__((aligned(SEGMENT_ALIGN)));
    bool stray = false;

    walk->page = page;
    walk->end = SEGMENT_ALIGN;
    walk->seq_floor = walk->based ? segment->identity.block_seq : 0;
    walk->lsn_floor = walk->based ? segment->identity.lsn_first : 0;
    while (offset < walk->file_bytes &&
           segment->blocks_count + 2 <= SEGMENT_BLOCKS_MAX /* a bad one, a good one */) {
        struct examined examined;
        struct found_next next;
        TRY(examine_in_order(walk, offset, stray, &examined));
        if (examined.verdict == BLOCK_GOOD) {
            add(walk, &examined, offset, stray);
            offset += examined.summary.bytes;
            continue;
        }
        TRY(look_on(walk, offset, &examined, &next));
        if (next.offset == 0) break;
        stray = stray || !next.exact;
        fence(walk, &examined, offset, next.offset, stray);
        offset = next.offset;
    }
    if (segment->blocks_count > SEGMENT_BLOCKS_CLOSE) walk->keep = true; /* more than we ever write */
    return OK;
}
