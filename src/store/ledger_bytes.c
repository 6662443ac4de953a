#include "ledger_bytes.h"

#include <stdlib.h>

enum { FLAG_NAMELESS = 1, HEAD_BYTES = 2 };

static void put_row(struct bytes *out, const struct ledger_row *row, const struct ledger_row *before)
{
    const bool follows = before != NULL && before->service == row->service;
    unsigned mask = 0;

    bytes_put_varint(out, row->service - (before != NULL ? before->service : 0));
    bytes_put_varint(out, row->minute - (follows ? before->minute : 0));
    for (unsigned i = 0; i < LEDGER_COUNTS; i++)
        mask |= row->counts[i] != 0 ? 1U << i : 0;
    bytes_put_varint(out, mask);
    for (unsigned i = 0; i < LEDGER_COUNTS; i++)
        if (row->counts[i] != 0) bytes_put_varint(out, row->counts[i]);
}

bool ledger_write(struct ledger *ledger, struct bytes *out)
{
    const uint8_t head[HEAD_BYTES] = {(uint8_t)ledger_step(ledger),
                                      ledger_nameless(ledger) ? FLAG_NAMELESS : 0};

    if (!ledger_sort(ledger) || ledger_failed(ledger)) return false;
    bytes_put(out, head, sizeof head);
    bytes_put_varint(out, ledger_services(ledger));
    for (uint32_t i = 0; i < ledger_services(ledger); i++) {
        const struct slice name = ledger_service_name(ledger, i);
        bytes_put_varint(out, name.len);
        bytes_put(out, name.ptr, name.len);
    }
    bytes_put_varint(out, ledger_rows(ledger));
    for (uint32_t i = 0; i < ledger_rows(ledger); i++)
        put_row(out, ledger_row(ledger, i), i > 0 ? ledger_row(ledger, i - 1) : NULL);
    return !out->failed;
}

struct reading {
    struct wire_reader wire;
    struct ledger *into;
    uint64_t services;
    uint32_t *numbers; /* of each service that was read, in `into` */
    enum ledger_step step;
};

static enum err read_services(struct reading *reading)
{
    struct slice name;

    for (uint64_t i = 0; i < reading->services; i++) {
        if (!wire_bytes(&reading->wire, &name) || name.len > LEDGER_SERVICE_BYTES_MAX) return ERR_CORRUPT;
        reading->numbers[i] = ledger_service(reading->into, name);
    }
    return OK;
}

/* row: the one before, and then this one. */
static enum err read_row(struct reading *reading, struct ledger_row *row)
{
    uint64_t service, minute, mask;

    if (!wire_varint(&reading->wire, &service) || !wire_varint(&reading->wire, &minute) ||
        !wire_varint(&reading->wire, &mask) || service >= reading->services - row->service ||
        mask >= 1U << LEDGER_COUNTS)
        return ERR_CORRUPT;
    if (service > 0) row->minute = 0;
    if (minute > UINT32_MAX - row->minute) return ERR_CORRUPT;
    row->service += (uint32_t)service;
    row->minute += (uint32_t)minute;
    const uint64_t minutes = ledger_step_minutes(reading->step);
    if (minutes == 0 ? row->minute != 0 : row->minute % minutes != 0) return ERR_CORRUPT;
    for (unsigned i = 0; i < LEDGER_COUNTS; i++) {
        row->counts[i] = 0;
        if (mask >> i & 1 && !wire_varint(&reading->wire, &row->counts[i])) return ERR_CORRUPT;
    }
    return OK;
}

static enum err read_rows(struct reading *reading)
{
    struct ledger_row row = {.service = 0};
    uint64_t rows;

    if (!wire_varint(&reading->wire, &rows) || rows > LEDGER_ROWS_MAX + 1) return ERR_CORRUPT;
    for (uint64_t i = 0; i < rows; i++) {
        TRY(read_row(reading, &row));
        for (unsigned count = 0; count < LEDGER_COUNTS; count++)
            if (row.counts[count] > 0)
                ledger_add(reading->into, reading->numbers[row.service], row.minute * LEDGER_MINUTE_NS,
                           (enum ledger_count)count, row.counts[count]);
    }
    return reading->wire.at == reading->wire.end ? OK : ERR_CORRUPT;
}

static enum err read_all(struct reading *reading)
{
    if (!wire_varint(&reading->wire, &reading->services) || reading->services == 0 ||
        reading->services > LEDGER_ROWS_MAX ||
        reading->services > (size_t)(reading->wire.end - reading->wire.at))
        return ERR_CORRUPT;
    reading->numbers = malloc(reading->services * sizeof *reading->numbers);
    if (reading->numbers == NULL) return ERR_NO_MEMORY;
    enum err err = read_services(reading);
    if (err == OK) err = read_rows(reading);
    free(reading->numbers);
    return err;
}

enum err ledger_read(struct slice bytes, struct ledger *into)
{
    if (bytes.len < HEAD_BYTES || bytes.ptr[0] >= LEDGER_STEPS) return ERR_CORRUPT;

    struct reading reading = {
        .wire = wire_reader_of(slice_of(bytes.ptr + HEAD_BYTES, bytes.len - HEAD_BYTES)),
        .into = into,
        .step = (enum ledger_step)bytes.ptr[0]};
    ledger_coarsen(into, reading.step);
    if (bytes.ptr[1] & FLAG_NAMELESS) ledger_forget_names(into);
    TRY(read_all(&reading));
    return ledger_failed(into) ? ERR_NO_MEMORY : OK;
}
