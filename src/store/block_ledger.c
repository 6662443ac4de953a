/* The ledger of a block: written by the encoder, read back, or counted again from the rows. */
#include "block_job.h"
#include "block_reader.h"
#include "ledger_bytes.h"

#include <stdlib.h>

bool put_ledger(struct job *job)
{
    struct block_encoder *const encoder = job->encoder;
    struct bytes *const out = &encoder->text;

    ledger_clear(encoder->ledger);
    live_ledger(job->live, &job->live->counts, encoder->ledger);
    out->len = 0;
    if (!ledger_write(encoder->ledger, out)) return false;
    block_output_section(&encoder->output, SECTION_LEDGER, out->ptr, out->len, true);
    return true;
}

/* ---- reading ------------------------------------------------------------------------------------------ */

enum err block_ledger(struct block_reader *reader, struct ledger *into)
{
    struct slice bytes;
    const enum err err = reader_section_of(reader, SECTION_LEDGER, &bytes);

    if (err == ERR_NOT_FOUND) return block_ledger_count(reader, into);
    TRY(err);
    return ledger_read(bytes, into);
}

/* ---- counting ----------------------------------------------------------------------------------------- */

struct counting {
    uint32_t *services; /* of each resource, in the ledger */
    uint64_t *starts, *resources;
};

static enum err number_services(struct block_reader *reader, struct ledger *into, uint32_t *services)
{
    struct envelope resource;

    for (uint32_t i = 0; i < reader->header.resources; i++) {
        TRY(block_resource(reader, i, &resource));
        services[i] = ledger_service(into, resource.service);
    }
    return OK;
}

static enum err count_page(struct block_reader *reader, uint32_t page, const struct counting *counting,
                           struct ledger *into)
{
    uint32_t rows;

    TRY(block_page_field(reader, page, FIELD_START, counting->starts, &rows));
    TRY(block_page_field(reader, page, FIELD_RESOURCE, counting->resources, &rows));
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t service = counting->services[counting->resources[i]];
        ledger_add(into, service, counting->starts[i], LEDGER_RECEIVED, 1);
        ledger_add(into, service, counting->starts[i], LEDGER_STORED, 1);
    }
    return OK;
}

static enum err count_pages(struct block_reader *reader, const struct counting *counting, struct ledger *into)
{
    TRY(number_services(reader, into, counting->services));
    for (uint32_t page = 0; page < reader->header.pages; page++)
        TRY(count_page(reader, page, counting, into));
    return OK;
}

enum err block_ledger_count(struct block_reader *reader, struct ledger *into)
{
    const struct counting counting = {
        .services = malloc((reader->header.resources + 1) * sizeof *counting.services),
        .starts = malloc(BLOCK_PAGE_ROWS * sizeof *counting.starts),
        .resources = malloc(BLOCK_PAGE_ROWS * sizeof *counting.resources)};
    const bool room = counting.services != NULL && counting.starts != NULL && counting.resources != NULL;
    enum err err = room ? count_pages(reader, &counting, into) : ERR_NO_MEMORY;

    if (err == OK && ledger_failed(into)) err = ERR_NO_MEMORY;
    free(counting.services);
    free(counting.starts);
    free(counting.resources);
    return err;
}
