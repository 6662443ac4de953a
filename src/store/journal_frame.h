/*
 * The bytes of the journal: the frame header, the body of a control frame and the page at the head of a file.
 * Little-endian, as FORMAT.md "Journal" draws them. Pure: no file, no journal. Bytes from the disk are
 * believed only after journal_frame_check() or journal_file_header_check().
 *
 *  0  magic u32 "SMJF"         header_crc u32     salted CRC32C of these 64 bytes with header_crc zero
 *  8  lsn u64                                     position of this frame in the log
 * 16  generation u32           shard u16  type u8  flags u8
 * 24  prev_crc u32             body_crc u32       header_crc of the frame before; salted CRC32C of the body
 * 32  body_len u32             plain_len u32      bytes stored; bytes after decompression
 * 40  span_count u32           tenant u32         tenant: zero
 * 48  recv_time_ns u64
 * 56  not_yet_durable u32      codec u8  content_type u8  reserved u16
 */
#ifndef STORE_JOURNAL_FRAME_H
#define STORE_JOURNAL_FRAME_H

#include "base/err.h"
#include "store/journal.h"

#include <assert.h>
#include <stddef.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "what lies on disk is little-endian");

enum {
    JOURNAL_PAGE_BYTES = 4096, /* groups begin at multiples of it */
    JOURNAL_FRAME_ALIGN = 8,   /* frames inside a group begin at multiples of it */
    JOURNAL_FORMAT_MAJOR = 1,
    JOURNAL_FORMAT_MINOR = 0,
};
#define JOURNAL_FRAME_MAGIC 0x464a4d53U
#define JOURNAL_LSN_MAX     (1ULL << 62) /* far from wrapping, whatever is added */

enum journal_frame_type {
    JOURNAL_BATCH = 1,      /* the body of one request */
    JOURNAL_NOTE = 2,       /* the shard fell idle: all before it is durable */
    JOURNAL_GENERATION = 3, /* first frame after a start */
    JOURNAL_FILE = 4,       /* first frame of a file that was rolled into */
};

enum { JOURNAL_FLAG_PAGE_END = 1 }; /* the next frame begins at the next page, not right behind */

struct journal_frame {
    uint32_t magic;
    uint32_t header_crc;
    uint64_t lsn;
    uint32_t generation;
    uint16_t shard;
    uint8_t type;
    uint8_t flags;
    uint32_t prev_crc;
    uint32_t body_crc;
    uint32_t body_len;
    uint32_t plain_len;
    uint32_t span_count;
    uint32_t tenant;
    uint64_t recv_time_ns;
    uint32_t not_yet_durable; /* lsn - durable LSN when the frame was built */
    uint8_t codec;
    uint8_t content_type;
    uint16_t reserved;
};
static_assert(sizeof(struct journal_frame) == JOURNAL_FRAME_HEADER_BYTES, "the header has 64 bytes");
static_assert(offsetof(struct journal_frame, lsn) == 8, "FORMAT.md");
static_assert(offsetof(struct journal_frame, generation) == 16, "FORMAT.md");
static_assert(offsetof(struct journal_frame, type) == 22, "FORMAT.md");
static_assert(offsetof(struct journal_frame, prev_crc) == 24, "FORMAT.md");
static_assert(offsetof(struct journal_frame, body_len) == 32, "FORMAT.md");
static_assert(offsetof(struct journal_frame, span_count) == 40, "FORMAT.md");
static_assert(offsetof(struct journal_frame, recv_time_ns) == 48, "FORMAT.md");
static_assert(offsetof(struct journal_frame, not_yet_durable) == 56, "FORMAT.md");
static_assert(offsetof(struct journal_frame, codec) == 60, "FORMAT.md");

/* The body of every frame that is not a BATCH. */
struct journal_control {
    uint64_t sealed_lsn;    /* what the writer knew to be in durable blocks */
    uint64_t continues_lsn; /* FILE, GENERATION: the frame before ended here, though the gap may be larger
                               than a page */
    uint64_t accepted_lsn;  /* the operator has accepted the damage below */
    uint64_t nonce;         /* random, so that two lives never write equal frames */
};
static_assert(sizeof(struct journal_control) == 32, "FORMAT.md");

enum { JOURNAL_CONTROL_FRAME_BYTES = JOURNAL_FRAME_HEADER_BYTES + sizeof(struct journal_control) };
static_assert(JOURNAL_CONTROL_FRAME_BYTES % JOURNAL_FRAME_ALIGN == 0, "a frame may follow at once");

/* The first 64 bytes of each file; the rest of its page is zero. Written once, before the file gets its name.
 */
struct journal_file_header {
    uint8_t magic[8];
    uint16_t major, minor, min_reader;
    uint16_t shard;
    uint64_t sequence; /* of making; tells nothing about positions */
    uint64_t salt;     /* of the whole journal: low half seeds header_crc, high half body_crc */
    uint64_t file_bytes;
    uint64_t created_ns;
    uint8_t reserved[12];
    uint32_t crc; /* CRC32C of the 60 bytes before */
};
static_assert(sizeof(struct journal_file_header) == 64, "FORMAT.md");
static_assert(offsetof(struct journal_file_header, crc) == 60, "FORMAT.md");

static inline uint64_t journal_align(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Bytes of a frame with its padding to the next frame of the same group. */
static inline uint64_t journal_frame_bytes(uint64_t body_len)
{
    return journal_align(JOURNAL_FRAME_HEADER_BYTES + body_len, JOURNAL_FRAME_ALIGN);
}

/* The commit position: where the frame's bytes end. */
static inline uint64_t journal_frame_end(const struct journal_frame *frame)
{
    return frame->lsn + journal_frame_bytes(frame->body_len);
}

/* Where the walk looks for the next frame. */
static inline uint64_t journal_frame_next(const struct journal_frame *frame)
{
    const uint64_t end = journal_frame_end(frame);
    return (frame->flags & JOURNAL_FLAG_PAGE_END) != 0 ? journal_align(end, JOURNAL_PAGE_BYTES) : end;
}

/* Fills in magic and both CRCs; all other fields are set. Returns header_crc, the next frame's prev_crc. */
uint32_t journal_frame_seal(struct journal_frame *frame, const void *body, uint64_t salt);
/* Is this a header that was written under this salt? Says nothing yet about its fields' sense or the body. */
bool journal_frame_check(const struct journal_frame *frame, uint64_t salt);
bool journal_frame_check_body(const struct journal_frame *frame, const void *body, uint64_t salt);

void journal_file_header_seal(struct journal_file_header *header);
/* ERR_CORRUPT: not a journal file's header, or spoilt; ERR_VERSION: sound, but only newer binaries may read
 * on. */
enum err journal_file_header_check(const struct journal_file_header *header);

#endif
