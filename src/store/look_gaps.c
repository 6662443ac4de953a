/* Reads what lies between the parts, a page at a time. */
#include "look_gaps.h"

#include "block_reader.h"

#include <stdlib.h>

enum { PIECE_BYTES = 4096 };

static int by_offset(const void *a, const void *b)
{
    const struct extent *const left = a, *const right = b;

    return (left->offset > right->offset) - (left->offset < right->offset);
}

/* *at is moved to the first byte that is not zero, or to end. */
static enum err skip_zeros(const struct block_source *source, uint64_t *at, uint64_t end)
{
    uint8_t piece[PIECE_BYTES];

    while (*at < end) {
        const size_t len = end - *at < sizeof piece ? (size_t)(end - *at) : sizeof piece;
        TRY(source->read(source->context, *at, piece, len));
        for (size_t i = 0; i < len; i++)
            if (piece[i] != 0) {
                *at += i;
                return OK;
            }
        *at += len;
    }
    return OK;
}

static enum err look_gap(const struct block_source *source, uint64_t begin, uint64_t end, look_fault_fn *tell,
                         void *context)
{
    const enum err err = skip_zeros(source, &begin, end);

    if (err == ERR_NO_MEMORY) return err;
    if (err != OK) look_tell(tell, context, "bytes between the parts cannot be read", begin);
    if (err == OK && begin < end)
        look_tell(tell, context, "bytes that belong to nothing are not zero", begin);
    return err == ERR_IO ? ERR_IO : OK;
}

enum err look_gaps(const struct block_source *source, struct extent *extents, uint32_t count, uint64_t end,
                   look_fault_fn *tell, void *context)
{
    uint64_t at = 0;

    qsort(extents, count, sizeof *extents, by_offset);
    for (uint32_t i = 0; i < count; i++) {
        if (extents[i].len == 0) continue;
        if (extents[i].offset < at) look_tell(tell, context, "two parts overlap", extents[i].offset);
        if (extents[i].offset > at) TRY(look_gap(source, at, extents[i].offset, tell, context));
        const uint64_t behind = extents[i].offset + extents[i].len;
        at = behind > at ? behind : at;
    }
    return at < end ? look_gap(source, at, end, tell, context) : OK;
}

enum err look_block_gaps(const struct block_reader *reader, look_fault_fn *tell, void *context)
{
    const struct block_header *const header = &reader->header;
    struct extent *const extents = malloc(((size_t)header->sections + 2) * sizeof *extents);

    if (extents == NULL) return ERR_NO_MEMORY;
    for (uint32_t i = 0; i < header->sections; i++)
        extents[i] = (struct extent){reader->sections[i].offset, reader->sections[i].stored};
    extents[header->sections] = (struct extent){0, BLOCK_HEADER_BYTES};
    extents[header->sections + 1] = (struct extent){header->table_offset,
                                                    header->sections * sizeof(struct block_section)};
    const enum err err = look_gaps(&reader->source, extents, header->sections + 2, header->bytes, tell,
                                   context);
    free(extents);
    return err == ERR_NO_MEMORY ? err : OK;
}
