/*
 * Foreign bytes as a segment file, and as a block by itself. A file is put into a simulated world and opened by the
 * catalog, every block is opened, checked and read, filters are asked, one more block's worth of life follows (a
 * second start). A block is opened through a source and everything its reader offers is called.
 *
 *   input   flags u8, then the bytes
 *   flags   1 the CRCs are mended, so that the checks behind them are reached
 *           2 a block, not a file
 *
 * Nothing may crash, hang or leak; a second start must find what the first one served.
 */
#include "base/crc32c.h"
#include "base/log.h"
#include "io/io.h"
#include "io/sim.h"
#include "../../src/store/block_format.h"
#include "../../src/store/segment_format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEND = 1, BLOCK = 2, INSTANCE = 77, BYTES_MAX = 1 << 20 };

static uint8_t bytes[BYTES_MAX] __attribute__((aligned(4096)));
static uint64_t sink; /* what is read is used */

/* ---- mending ------------------------------------------------------------------------------------------- */

static void mend_page(uint8_t *page, size_t crc_at)
{
    memset(page + crc_at, 0, 4);
    const uint32_t crc = crc32c(0, page, 4096);
    memcpy(page + crc_at, &crc, sizeof crc);
}

static void mend_sections(uint8_t *block, size_t len, struct block_header *header)
{
    if (header->table_offset > len) return;
    for (uint32_t i = 0; i < header->sections && i < 10000; i++) {
        const size_t at = header->table_offset + i * sizeof(struct block_section);
        struct block_section section;
        if (at + sizeof section > len) return;
        memcpy(&section, block + at, sizeof section);
        if (section.offset > len || section.stored > len - section.offset) continue;
        section.crc = crc32c(0, block + section.offset, section.stored);
        memcpy(block + at, &section, sizeof section);
    }
    const size_t table = (size_t)header->sections * sizeof(struct block_section);
    if (table <= len - header->table_offset)
        header->table_crc = crc32c(0, block + header->table_offset, table);
}

/* Returns the length that the block says it has. */
static size_t mend_block(uint8_t *block, size_t len)
{
    struct block_header header;

    if (len < 4096) return 0;
    memcpy(&header, block, sizeof header);
    if (memcmp(header.magic, BLOCK_MAGIC, sizeof header.magic) != 0) return 0;
    mend_sections(block, len, &header);
    memcpy(block, &header, sizeof header);
    mend_page(block, offsetof(struct block_header, header_crc));
    return header.bytes <= len ? (size_t)header.bytes : 0;
}

static void mend_trailer(size_t len)
{
    struct segment_trailer trailer;

    if (len < 8192) return;
    memcpy(&trailer, bytes + len - sizeof trailer, sizeof trailer);
    if (memcmp(trailer.magic, SEGMENT_MAGIC_REVERSED, sizeof trailer.magic) != 0) return;
    if (trailer.directory_offset <= len && trailer.directory_length <= len - trailer.directory_offset)
        trailer.directory_crc = crc32c(0, bytes + trailer.directory_offset, trailer.directory_length);
    trailer.crc = crc32c(0, &trailer, offsetof(struct segment_trailer, crc));
    memcpy(bytes + len - sizeof trailer, &trailer, sizeof trailer);
}

static void mend_file(size_t len)
{
    size_t at = 4096, block;

    if (len < 4096) return;
    mend_page(bytes, offsetof(struct segment_header, crc));
    while (at < len && (block = mend_block(bytes + at, len - at)) > 0 && block % 4096 == 0)
        at += block;
    mend_trailer(len);
}

/* ---- reading all of a block ----------------------------------------------------------------------------- */

static enum err on_span(void *context, uint32_t row, uint32_t resource, uint32_t scope, struct slice span)
{
    (void)context;
    sink += row + resource + scope + (span.len > 0 ? span.ptr[span.len - 1] : 0U);
    return OK;
}

static bool on_value(void *context, uint32_t row, uint32_t id, const struct attribute *attribute)
{
    (void)context;
    sink += row + id;
    if (attribute != NULL && attribute->bytes.len > 0) sink += attribute->bytes.ptr[attribute->bytes.len - 1];
    return true;
}

static void read_columns(struct block_reader *reader)
{
    for (uint32_t i = 0; i < block_columns(reader); i++) {
        struct block_column column;
        struct attribute attribute;
        if (block_column(reader, i, &column) != OK) continue;
        if (column.dictionary && column.distinct_count > 0)
            sink += block_dictionary_value(reader, i, column.distinct_count - 1, &attribute) == OK;
        for (uint32_t page = 0; page < block_pages(reader); page++)
            sink += block_page_values(reader, page, i, on_value, NULL) == OK;
    }
}

static void read_pages(struct block_reader *reader)
{
    static uint64_t values[BLOCK_PAGE_ROWS];

    for (uint32_t page = 0; page < block_pages(reader); page++)
        for (unsigned field = 0; field < FIELD_COUNT; field++) {
            uint32_t count = 0;
            uint64_t min, max;
            if (block_page_field(reader, page, (enum block_field)field, values, &count) == OK && count > 0)
                sink += values[count - 1];
            sink += block_page_zone(reader, page, (enum block_field)field, &min, &max);
        }
}

static void read_tables(struct block_reader *reader)
{
    struct envelope envelope;
    struct block_operation operation;
    struct trace_id trace;
    uint32_t first, count;

    for (uint32_t i = 0; i < block_resources(reader); i++)
        if (block_resource(reader, i, &envelope) == OK) sink += envelope.message.len;
    for (uint32_t i = 0; i < block_scopes(reader); i++)
        if (block_scope(reader, i, &envelope) == OK) sink += envelope.schema_url.len;
    for (uint32_t i = 0; i < block_operations(reader); i++)
        if (block_operation(reader, i, &operation) == OK) sink += operation.service.len + operation.name.len;
    if (block_trace_of_row(reader, 0, &trace) == OK && block_find_trace(reader, &trace, &first, &count) == OK)
        sink += first + count;
}

static void read_all(struct block_reader *reader)
{
    read_tables(reader);
    read_pages(reader);
    read_columns(reader);
    sink += block_spans(reader, 0, block_summary(reader)->spans, on_span, NULL) == OK;
    sink += block_check(reader) == OK;
}

/* ---- a block alone -------------------------------------------------------------------------------------- */

static enum err read_bytes(void *context, uint64_t offset, void *buf, size_t len)
{
    const size_t size = *(const size_t *)context;

    if (offset > size || len > size - offset) return ERR_CORRUPT;
    memcpy(buf, bytes + offset, len);
    return OK;
}

static void run_block(size_t size)
{
    const struct block_source source = {.read = read_bytes, .context = &size};
    struct block_reader *reader;

    if (block_open(&source, &reader) != OK) return;
    read_all(reader);
    block_close(reader);
}

/* ---- a file --------------------------------------------------------------------------------------------- */

static void put_file(struct io *io, struct io_dir *data, size_t size)
{
    struct io_dir *dir;
    struct io_file *file;

    if (io_dir_open(io, data, "segments", true, &dir) != OK) abort();
    if (io_file_open(io, dir, "0000-000000000000.seg", IO_CREATE | IO_WRITABLE, &file) != OK) abort();
    if (size > 0 && io_write_now(io, file, bytes, size, 0) != OK) abort();
    io_file_close(io, file);
    io_dir_close(io, dir);
}

static void read_view(struct catalog *catalog, struct io *io)
{
    const struct catalog_view *const view = catalog_acquire(catalog);

    for (uint32_t i = 0; i < catalog_blocks(view); i++) {
        struct catalog_source storage;
        struct block_reader *reader;
        sink += catalog_may_have_trace(view, io, i, i * 0x9e3779b97f4a7c15ULL);
        sink += catalog_may_have_token(view, io, i, i * 0x9e3779b97f4a7c15ULL);
        if (catalog_open_block(view, io, i, &storage, &reader) != OK) continue;
        read_all(reader);
        block_close(reader);
    }
    catalog_release(catalog, view);
}

/* Returns the blocks that are served, or -1 when the start was refused. */
static int64_t start(struct io *io, struct io_dir *dir)
{
    const struct segment_config config = {.instance = INSTANCE, .shards = 4};
    struct catalog_report report;
    struct catalog *catalog;

    const enum err err = catalog_open(io, dir, &config, &catalog, &report);
    if (err == ERR_VERSION) return -1;
    if (err != OK) abort(); /* the device is sound and there is memory */
    read_view(catalog, io);
    catalog_close(catalog, io);
    return (int64_t)report.blocks;
}

static void run_file(size_t size)
{
    const struct sim_config config = {.seed = 1, .sector_bytes = 4096};
    struct sim *const sim = sim_open(&config);
    struct io *const io = sim_io(sim);
    struct io_dir *dir;

    if (io_dir_open(io, NULL, "data", true, &dir) != OK) abort();
    put_file(io, dir, size);
    const int64_t first = start(io, dir);
    if (start(io, dir) != first) abort();
    io_dir_close(io, dir);
    io_close(io);
    sim_close(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_ERROR + 1);
    if (size < 1 || size - 1 > sizeof bytes) return 0;
    const uint8_t flags = data[0];
    memcpy(bytes, data + 1, size - 1);
    if ((flags & BLOCK) != 0) {
        if ((flags & MEND) != 0) mend_block(bytes, size - 1);
        run_block(size - 1);
    } else {
        if ((flags & MEND) != 0) mend_file(size - 1);
        run_file(size - 1);
    }
    return 0;
}
