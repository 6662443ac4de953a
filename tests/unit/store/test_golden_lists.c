/* The golden lists of pins and erasures are taken as what they were. */
#include "golden.h"
#include "list_file.h"
#include "segment_fixture.h"
#include "selector_record.h"
#include "store/erasures.h"

#include <criterion/criterion.h>

enum { INSTANCE = 77 };

static uint8_t room[1 << 16];

/* ---- writing ------------------------------------------------------------------------------------------- */

static struct pin by_trace(void)
{
    struct pin pin = {.expires_ns = 1800000000000000000, .owner = "ann", .reason = "incident 7"};

    pin.selector.by_trace = true;
    for (unsigned i = 0; i < 16; i++)
        pin.selector.trace_id.bytes[i] = (uint8_t)(i + 1);
    return pin;
}

static struct pin by_range(void)
{
    return (struct pin){
        .selector = {.start_ns = 1000, .end_ns = UINT64_MAX, .filter = "service=cart&attr=span.user=\"ann\""},
        .owner = "bob",
        .reason = "audit"};
}

static void put_texts(struct golden_json *json, const struct selector *selector, const char *owner,
                      const char *reason)
{
    golden_hex(json, "filter", slice_text(selector->filter));
    golden_hex(json, "owner", slice_text(owner));
    golden_hex(json, "reason", slice_text(reason));
}

static void put_record(struct golden_json *json, const struct selector_record *record)
{
    GOLDEN_NUMBER(json, record, bytes);
    GOLDEN_NUMBER(json, record, kind);
    GOLDEN_NUMBER(json, record, filter_bytes);
    GOLDEN_NUMBER(json, record, owner_bytes);
    GOLDEN_NUMBER(json, record, reason_bytes);
    GOLDEN_NUMBER(json, record, id);
    GOLDEN_NUMBER(json, record, created_ns);
    GOLDEN_NUMBER(json, record, start_ns);
    GOLDEN_NUMBER(json, record, end_ns);
    GOLDEN_BYTES(json, record, trace_id);
    golden_number(json, "own_0", record->own[0]);
    golden_number(json, "own_1", record->own[1]);
    golden_number(json, "own_2", record->own[2]);
    golden_number(json, "own_3", record->own[3]);
    golden_number(json, "own_4", record->own[4]);
}

static void put_records(struct golden_json *json, struct slice rest)
{
    golden_begin(json, "records", '[');
    while (rest.len > 0) {
        static char owner[PIN_OWNER_MAX + 1], reason[PIN_REASON_MAX + 1];
        struct selector_record record;
        struct selector selector;
        cr_assert_eq(
            selector_record_read(&rest, &record, &selector,
                                 &(struct selector_texts){owner, reason, PIN_OWNER_MAX, PIN_REASON_MAX}),
            OK);
        golden_begin(json, NULL, '{');
        put_record(json, &record);
        put_texts(json, &selector, owner, reason);
        golden_end(json, '}');
    }
    golden_end(json, ']');
}

static void save(struct world *world, const char *name)
{
    char path[64];
    struct io_file *file;
    struct list_header header;
    size_t len;

    cr_assert_eq(io_file_open(world->io, world->dir, name, 0, &file), OK);
    cr_assert_eq(io_read_now(world->io, file, room, sizeof room, 0, &len), OK);
    io_file_close(world->io, file);
    snprintf(path, sizeof path, "golden/%s-v1.bin", name);
    golden_write(path, slice_of(room, len));
    memcpy(&header, room, sizeof header);
    snprintf(path, sizeof path, "golden/%s-v1.json", name);
    struct golden_json json = golden_json_open(path);
    golden_begin(&json, "header", '{');
    GOLDEN_BYTES(&json, &header, magic);
    GOLDEN_NUMBER(&json, &header, major);
    GOLDEN_NUMBER(&json, &header, minor);
    GOLDEN_NUMBER(&json, &header, min_reader);
    GOLDEN_NUMBER(&json, &header, instance);
    GOLDEN_NUMBER(&json, &header, next_id);
    GOLDEN_NUMBER(&json, &header, count);
    GOLDEN_NUMBER(&json, &header, bytes);
    GOLDEN_NUMBER(&json, &header, written_ns);
    GOLDEN_NUMBER(&json, &header, crc);
    golden_end(&json, '}');
    put_records(&json, slice_of(room + sizeof header, len - sizeof header));
    golden_json_close(&json);
}

static void write_golden(void)
{
    struct world world = world_sim_new(1);
    struct pins *pins;
    struct erasures *erasures;
    struct pin pin = by_trace();

    cr_assert_eq(pins_open(world.io, world.dir, INSTANCE, &pins), OK);
    cr_assert_eq(pins_add(pins, world.io, 0, &pin), OK);
    pin = by_range();
    cr_assert_eq(pins_add(pins, world.io, 0, &pin), OK);
    pins_close(pins);
    save(&world, "pins");
    struct erasure erasure = {.selector = by_range().selector, .owner = "dpo", .reason = "case 12"};
    cr_assert_eq(erasures_open(world.io, world.dir, INSTANCE, &erasures), OK);
    cr_assert_eq(erasures_add(erasures, world.io, &erasure), OK);
    erasures_close(erasures);
    save(&world, "erasures");
    world_close(&world);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static void place(struct world *world, const char *name)
{
    char path[64];
    struct io_file *file;

    snprintf(path, sizeof path, "golden/%s-v1.bin", name);
    const struct slice golden = golden_read(path, room, sizeof room);
    cr_assert_eq(io_file_open(world->io, world->dir, name, IO_CREATE | IO_WRITABLE, &file), OK);
    cr_assert_eq(io_write_now(world->io, file, golden.ptr, golden.len, 0), OK);
    io_file_close(world->io, file);
}

static void same_selector(const struct selector *found, const struct selector *wanted)
{
    cr_assert_eq(found->by_trace, wanted->by_trace);
    cr_assert_arr_eq(found->trace_id.bytes, wanted->trace_id.bytes, 16);
    cr_assert_eq(found->start_ns, wanted->start_ns);
    cr_assert_eq(found->end_ns, wanted->end_ns);
    cr_assert_str_eq(found->filter, wanted->filter);
}

Test(golden_lists, of_version_1_are_read)
{
    if (golden_writing()) write_golden();
    struct world world = world_sim_new(2);
    const struct pin first = by_trace(), second = by_range();
    struct pins *pins;
    struct erasures *erasures;

    place(&world, "pins");
    place(&world, "erasures");
    cr_assert_eq(pins_open(world.io, world.dir, INSTANCE, &pins), OK);
    const struct pin_list *const list = pins_acquire(pins);
    cr_assert_eq(list->count, 2);
    same_selector(&list->pins[0].selector, &first.selector);
    same_selector(&list->pins[1].selector, &second.selector);
    cr_assert_eq(list->pins[0].expires_ns, first.expires_ns);
    cr_assert_eq(list->pins[1].expires_ns, 0);
    cr_assert_str_eq(list->pins[1].reason, "audit");
    pins_release(pins, list);
    pins_close(pins);
    cr_assert_eq(erasures_open(world.io, world.dir, INSTANCE, &erasures), OK);
    const struct erasure_list *const jobs = erasures_acquire(erasures);
    cr_assert_eq(jobs->count, 1);
    same_selector(&jobs->erasures[0].selector, &second.selector);
    cr_assert_eq(jobs->erasures[0].state, ERASURE_PENDING);
    cr_assert_str_eq(jobs->erasures[0].owner, "dpo");
    erasures_release(erasures, jobs);
    erasures_close(erasures);
    world_close(&world);
}
