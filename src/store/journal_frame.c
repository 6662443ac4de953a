/*
 * Checksums of frames and file headers.
 *
 * Both CRCs of a frame begin with one half each of the journal's secret salt. A client chooses its body, so
 * it could place a perfect frame in it; it cannot guess 64 bits of salt. The walk goes by lengths and never
 * looks into bodies, so only the search for evidence behind a bad frame could meet such a forgery at all. A
 * file's header has a plain CRC: it carries the salt, and nothing in it comes from a client.
 */
#include "journal_frame.h"

#include "base/crc32c.h"

#include <string.h>

static const uint8_t file_magic[8] = {'S', 'M', 'J', 'O', 'U', 'R', 'N', '1'};

static uint32_t header_crc(const struct journal_frame *frame, uint64_t salt)
{
    struct journal_frame plain = *frame;

    plain.header_crc = 0;
    return crc32c((uint32_t)salt, &plain, sizeof plain);
}

static uint32_t body_crc(const void *body, size_t len, uint64_t salt)
{
    return crc32c((uint32_t)(salt >> 32), body, len);
}

uint32_t journal_frame_seal(struct journal_frame *frame, const void *body, uint64_t salt)
{
    frame->magic = JOURNAL_FRAME_MAGIC;
    frame->body_crc = body_crc(body, frame->body_len, salt);
    frame->header_crc = header_crc(frame, salt);
    return frame->header_crc;
}

bool journal_frame_check(const struct journal_frame *frame, uint64_t salt)
{
    return frame->magic == JOURNAL_FRAME_MAGIC && frame->header_crc == header_crc(frame, salt);
}

bool journal_frame_check_body(const struct journal_frame *frame, const void *body, uint64_t salt)
{
    return frame->body_crc == body_crc(body, frame->body_len, salt);
}

void journal_file_header_seal(struct journal_file_header *header)
{
    memcpy(header->magic, file_magic, sizeof file_magic);
    header->major = JOURNAL_FORMAT_MAJOR;
    header->minor = JOURNAL_FORMAT_MINOR;
    header->min_reader = JOURNAL_FORMAT_MAJOR;
    header->crc = crc32c(0, header, offsetof(struct journal_file_header, crc));
}

enum err journal_file_header_check(const struct journal_file_header *header)
{
    if (memcmp(header->magic, file_magic, sizeof file_magic) != 0) return ERR_CORRUPT;
    if (header->crc != crc32c(0, header, offsetof(struct journal_file_header, crc))) return ERR_CORRUPT;
    return header->min_reader > JOURNAL_FORMAT_MAJOR ? ERR_VERSION : OK;
}
