/*
 * The bytes of an open block: sections are read when they are first needed, their CRC is checked before anything is looked
 * at, and what they become stays until the reader is closed, or its page is forgotten.
 */
#include "block_reader.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/seeded_bug.h"

#include <stdlib.h>

/* ---- memory -------------------------------------------------------------------------------------------- */

/* Pieces are chained so that closing frees them all. */
struct owned {
    struct owned *next, *before;
    size_t bytes;
    uint64_t pad;
};
static_assert(sizeof(struct owned) % 16 == 0, "what follows is aligned");

void *reader_alloc(struct block_reader *reader, size_t count, size_t size)
{
    if (count == 0) count = 1;
    if (size != 0 && count > SIZE_MAX / 2 / size) return NULL;
    struct owned *const memory = malloc(sizeof *memory + count * size);
    if (memory == NULL) return NULL;
    *memory = (struct owned){.next = reader->owned, .bytes = sizeof *memory + count * size};
    if (reader->owned != NULL) reader->owned->before = memory;
    reader->owned = memory;
    reader->memory += memory->bytes;
    return memory + 1;
}

static void reader_free(struct block_reader *reader, void *ptr)
{
    struct owned *const memory = (struct owned *)ptr - 1;

    if (memory->next != NULL) memory->next->before = memory->before;
    if (memory->before != NULL) {
        memory->before->next = memory->next;
    } else {
        reader->owned = memory->next;
    }
    reader->memory -= memory->bytes;
    free(memory);
}

void *reader_alloc_zero(struct block_reader *reader, size_t count, size_t size)
{
    void *const memory = reader_alloc(reader, count, size);

    if (memory != NULL) memset(memory, 0, count * size);
    return memory;
}

void reader_free_all(struct block_reader *reader)
{
    for (struct owned *memory = reader->owned; memory != NULL;) {
        struct owned *const next = memory->next;
        free(memory);
        memory = next;
    }
}

/* ---- sections ------------------------------------------------------------------------------------------ */

bool section_sound(const struct block_header *header, const struct block_section *section)
{
    return section->offset >= BLOCK_HEADER_BYTES && section->offset % BLOCK_SECTION_ALIGN == 0 &&
           section->offset <= header->table_offset &&
           section->stored <= header->table_offset - section->offset &&
           section->plain <= BLOCK_SECTION_PLAIN_MAX && section->codec <= CODEC_ZSTD &&
           (section->codec != CODEC_PLAIN || section->stored == section->plain);
}

static enum err section_stored(struct block_reader *reader, const struct block_section *section,
                               uint8_t *room, const uint8_t **out)
{
    const uint64_t meta = reader->header.meta_offset;

    if (section->offset >= meta) {
        *out = reader->meta + (section->offset - meta);
    } else {
        TRY(reader->source.read(reader->source.context, section->offset, room, section->stored));
        *out = room;
    }
    if (SEEDED_BUG(SKIP_BLOCK_CRC)) return OK;
    return crc32c(0, *out, section->stored) == section->crc ? OK : ERR_CORRUPT;
}

static enum err section_load(struct block_reader *reader, uint32_t number)
{
    const struct block_section *const section = &reader->sections[number];
    const uint8_t *stored;

    if (section->codec == CODEC_PLAIN) {
        uint8_t *const room = section->offset >= reader->header.meta_offset
                                  ? NULL
                                  : reader_alloc(reader, section->stored, 1);
        if (room == NULL && section->offset < reader->header.meta_offset) return ERR_NO_MEMORY;
        TRY(section_stored(reader, section, room, &stored));
        reader->plain[number] = (uint8_t *)(uintptr_t)stored;
        return OK;
    }
    uint8_t *const room = malloc(section->stored > 0 ? section->stored : 1);
    uint8_t *const plain = reader_alloc(reader, section->plain, 1);
    enum err err = room == NULL || plain == NULL ? ERR_NO_MEMORY
                                                 : section_stored(reader, section, room, &stored);
    if (err == OK) {
        const size_t size = ZSTD_decompressDCtx(reader->zstd, plain, section->plain, stored, section->stored);
        if (ZSTD_isError(size) || size != section->plain) err = ERR_CORRUPT;
    }
    free(room);
    if (err == OK) reader->plain[number] = plain;
    return err;
}

enum err block_check_sums(struct block_reader *reader)
{
    uint32_t largest = 1;

    for (uint32_t i = 0; i < reader->header.sections; i++)
        if (reader->sections[i].stored > largest) largest = reader->sections[i].stored;
    uint8_t *const room = malloc(largest);
    enum err err = room == NULL ? ERR_NO_MEMORY : OK;
    for (uint32_t i = 0; i < reader->header.sections && err == OK; i++) {
        const uint8_t *stored;
        err = section_stored(reader, &reader->sections[i], room, &stored);
    }
    free(room);
    return err;
}

enum err reader_section(struct block_reader *reader, uint32_t number, struct slice *out)
{
    if (number >= reader->header.sections) return ERR_CORRUPT;
    if (reader->plain[number] == NULL) TRY(section_load(reader, number));
    *out = slice_of(reader->plain[number], reader->sections[number].plain);
    return OK;
}

static void forget_section(struct block_reader *reader, uint32_t number)
{
    if (number >= reader->header.sections || reader->plain[number] == NULL) return;
    const struct block_section *const section = &reader->sections[number];
    const bool lies_in_meta = section->codec == CODEC_PLAIN && section->offset >= reader->header.meta_offset;

    if (!lies_in_meta) reader_free(reader, reader->plain[number]);
    reader->plain[number] = NULL;
}

/* No section belongs to two pages. */
void block_forget_page(struct block_reader *reader, uint32_t page)
{
    const struct block_chunk *const chunks = reader->chunks + (size_t)page * reader->streams;

    assert(page < reader->header.pages);
    for (uint32_t i = 0; i < reader->streams; i++) {
        forget_section(reader, chunks[i].section);
        forget_section(reader, chunks[i].raw_section);
    }
    if (reader->page_rows != NULL) page_rows_forget(reader->page_rows, page);
}
