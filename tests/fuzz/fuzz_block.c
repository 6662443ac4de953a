/*
 * Foreign bytes as a block, with checksums that hold, so that everything behind them is reached. Nothing may crash, and
 * what a reader hands out must exist (block_tour() asserts it).
 *
 *   input   kind u8, then
 *   kind    0 to 3: one of four sound blocks, unpacked (no section compressed), with patches: offset u24, length u4 and
 *           0 to 15 bytes each; 4 to 7: the same block as it was written; 8: the bytes are the block
 */
#include "../../src/store/block_format.h"

#include "base/log.h"
#include "store/block_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BASES = 4, OWN_BYTES_MAX = 256 << 10 };
/* A sound checksum on a hostile count costs time, not safety: bounded here, so that inputs stay fast. */
enum { PLAIN_MAX = 1 << 20, CHILDREN_MAX = 2000, SPANS_MAX = 20000 };

static struct block_bytes packed[BASES], unpacked[BASES];

static void make_bases(void)
{
    static const uint32_t rows[BASES] = {1, 9, 60, 9000};

    log_set_level(LOG_ERROR + 1);
    for (unsigned i = 0; i < BASES; i++) {
        struct maker maker = {.state = 100 + i, .keys = 3 + i, .traces = 1 + i * 7};
        struct block_case c = block_case_open();
        while (c.live.live->counts.rows < rows[i]) {
            struct message body = maker_body(&maker, rows[i] < 100 ? rows[i] : 100);
            if (live_case_put(&c.live, &body) != OK) abort();
        }
        if (block_case_encode(&c) != OK) abort();
        packed[i].len = c.bytes.len;
        packed[i].bytes = malloc(c.bytes.len);
        memcpy(packed[i].bytes, c.bytes.bytes, c.bytes.len);
        unpacked[i] = block_unpack(&packed[i]);
        block_case_close(&c);
    }
}

static void patch(struct block_bytes *image, const uint8_t *data, size_t size)
{
    while (size >= 4) {
        const size_t offset = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % image->len;
        size_t len = data[3] % 16;
        data += 4;
        size -= 4;
        if (len > size) len = size;
        if (len > image->len - offset) len = image->len - offset;
        memcpy(image->bytes + offset, data, len);
        data += len;
        size -= len;
    }
}

static void bound_u32(uint32_t *value, uint32_t bound)
{
    if (*value > bound) *value %= bound + 1;
}

/* Keeps what would only make a reader slow within bounds. */
static void bound(struct block_bytes *image)
{
    struct block_header header;

    memcpy(&header, image->bytes, sizeof header);
    bound_u32(&header.spans, SPANS_MAX);
    bound_u32(&header.events, CHILDREN_MAX);
    bound_u32(&header.links, CHILDREN_MAX);
    if (header.bytes > image->len) header.bytes = image->len;
    memcpy(image->bytes, &header, sizeof header);
    for (uint64_t i = 0; i < header.sections; i++) {
        const uint64_t at = header.table_offset + i * sizeof(struct block_section);
        struct block_section section;
        if (at > image->len || image->len - at < sizeof section) break;
        memcpy(&section, image->bytes + at, sizeof section);
        bound_u32(&section.plain, PLAIN_MAX);
        memcpy(image->bytes + at, &section, sizeof section);
    }
}

static struct block_bytes image_of(uint8_t kind, const uint8_t *data, size_t size)
{
    struct block_bytes image = {0};

    if (kind < 2 * BASES) {
        const struct block_bytes *const base = kind < BASES ? &unpacked[kind] : &packed[kind - BASES];
        image = (struct block_bytes){.bytes = malloc(base->len), .len = base->len};
        memcpy(image.bytes, base->bytes, base->len);
        patch(&image, data, size);
    } else {
        image.len = (size + 4095) / 4096 * 4096;
        if (image.len < 2 * BLOCK_HEADER_BYTES) image.len = 2 * BLOCK_HEADER_BYTES;
        image.bytes = calloc(1, image.len);
        memcpy(image.bytes, data, size);
        memcpy(image.bytes, BLOCK_MAGIC, 8);
    }
    return image;
}

/* Takes long under the sanitizers, and must not count as the first input's time. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    make_bases();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > OWN_BYTES_MAX) return 0;
    struct block_bytes image = image_of(data[0] % (2 * BASES + 1), data + 1, size - 1);
    bound(&image);
    block_mend(image.bytes, image.len);
    (void)block_tour_bytes(&image);
    free(image.bytes);
    return 0;
}
