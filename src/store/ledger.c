/*
 * Rows and services lie in lists that grow, with a table of places beside each; when a list has come to its limit the rows
 * become coarser and the tables are made anew. The keys of the tables come from clients, so their hashes are keyed.
 */
#include "store/ledger.h"

#include "base/assert.h"
#include "base/fingerprint.h"

#include <stdlib.h>
#include <string.h>

enum { PLACES_MIN = 256, NOT_THERE = UINT32_MAX };

struct service {
    uint32_t offset, len; /* of its name in the arena */
};

struct table {
    uint32_t *places; /* NOT_THERE: free; at most half of them are taken */
    uint32_t mask;
};

struct ledger {
    enum ledger_step step;
    bool failed, nameless;
    struct fingerprint_key key;
    struct ledger_row *rows;
    uint32_t rows_count, rows_capacity;
    struct service *services; /* the first one is "" */
    uint32_t services_count, services_capacity;
    char *names;
    uint32_t names_len, names_capacity;
    struct table row_table, service_table;
};

const char *ledger_count_text(enum ledger_count count)
{
    static const char *const texts[LEDGER_COUNTS] = {
#define X(name, text, what) text,
        LEDGER_TABLE(X)
#undef X
    };

    return texts[count];
}

const char *ledger_step_text(enum ledger_step step)
{
    static const char *const texts[LEDGER_STEPS] = {"minute", "hour", "day", "ever"};

    return texts[step];
}

uint64_t ledger_step_minutes(enum ledger_step step)
{
    static const uint64_t minutes[LEDGER_STEPS] = {1, 60, 24 * 60, 0};

    return minutes[step];
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static uint64_t row_hash(const struct ledger *ledger, uint32_t service, uint32_t minute)
{
    return hash_mix((uint64_t)service << 32 | minute, ledger->key.seed);
}

static uint64_t name_hash(const struct ledger *ledger, struct slice name)
{
    return fingerprint(&ledger->key, name.ptr, name.len);
}

struct slice ledger_service_name(const struct ledger *ledger, uint32_t service)
{
    const struct service *const at = &ledger->services[service];

    return slice_of(ledger->names + at->offset, at->len);
}

static uint32_t *row_place(const struct ledger *ledger, uint32_t service, uint32_t minute)
{
    const struct table *const table = &ledger->row_table;
    uint32_t at = (uint32_t)row_hash(ledger, service, minute) & table->mask;

    for (;; at = (at + 1) & table->mask) {
        if (table->places[at] == NOT_THERE) return &table->places[at];
        const struct ledger_row *const row = &ledger->rows[table->places[at]];
        if (row->service == service && row->minute == minute) return &table->places[at];
    }
}

static uint32_t *service_place(const struct ledger *ledger, struct slice name)
{
    const struct table *const table = &ledger->service_table;
    uint32_t at = (uint32_t)name_hash(ledger, name) & table->mask;

    for (;; at = (at + 1) & table->mask) {
        if (table->places[at] == NOT_THERE) return &table->places[at];
        if (slice_equal(ledger_service_name(ledger, table->places[at]), name)) return &table->places[at];
    }
}

static bool table_make(struct table *table, uint32_t keys)
{
    uint32_t places = PLACES_MIN;

    while (places < 2 * keys)
        places *= 2;
    uint32_t *const room = realloc(table->places, places * sizeof *room);
    if (room == NULL) return false;
    memset(room, 0xff, places * sizeof *room);
    *table = (struct table){room, places - 1};
    return true;
}

static bool row_table_make(struct ledger *ledger)
{
    if (!table_make(&ledger->row_table, ledger->rows_capacity)) return false;
    for (uint32_t i = 0; i < ledger->rows_count; i++)
        *row_place(ledger, ledger->rows[i].service, ledger->rows[i].minute) = i;
    return true;
}

static bool service_table_make(struct ledger *ledger)
{
    if (!table_make(&ledger->service_table, ledger->services_capacity)) return false;
    for (uint32_t i = 0; i < ledger->services_count; i++)
        *service_place(ledger, ledger_service_name(ledger, i)) = i;
    return true;
}

/* ---- lists -------------------------------------------------------------------------------------------- */

static bool rows_grow(struct ledger *ledger)
{
    const uint32_t capacity = ledger->rows_capacity == 0 ? PLACES_MIN / 2 : 2 * ledger->rows_capacity;
    struct ledger_row *const rows = realloc(ledger->rows, capacity * sizeof *rows);

    if (rows == NULL) return false;
    ledger->rows = rows;
    ledger->rows_capacity = capacity;
    return row_table_make(ledger);
}

static bool services_grow(struct ledger *ledger)
{
    const uint32_t capacity = ledger->services_capacity == 0 ? PLACES_MIN / 2 : 2 * ledger->services_capacity;
    struct service *const services = realloc(ledger->services, capacity * sizeof *services);

    if (services == NULL) return false;
    ledger->services = services;
    ledger->services_capacity = capacity;
    return service_table_make(ledger);
}

static bool names_grow(struct ledger *ledger, uint32_t len)
{
    if (ledger->names_capacity - ledger->names_len >= len) return true;
    const uint32_t capacity = 2 * ledger->names_capacity + 4096;
    char *const names = realloc(ledger->names, capacity);
    if (names == NULL) return false;
    ledger->names = names;
    ledger->names_capacity = capacity;
    return true;
}

static bool service_add(struct ledger *ledger, struct slice name)
{
    if (ledger->services_count == ledger->services_capacity && !services_grow(ledger)) return false;
    if (!names_grow(ledger, (uint32_t)name.len)) return false;
    *service_place(ledger, name) = ledger->services_count;
    ledger->services[ledger->services_count++] = (struct service){ledger->names_len, (uint32_t)name.len};
    if (name.len > 0) memcpy(ledger->names + ledger->names_len, name.ptr, name.len);
    ledger->names_len += (uint32_t)name.len;
    return true;
}

/* ---- life --------------------------------------------------------------------------------------------- */

void ledger_clear(struct ledger *ledger)
{
    ledger->step = LEDGER_MINUTE;
    ledger->nameless = false;
    ledger->rows_count = ledger->services_count = ledger->names_len = 0;
    ledger->failed = !row_table_make(ledger) || !service_table_make(ledger) ||
                     !service_add(ledger, slice_of("", 0));
}

enum err ledger_open(struct ledger **out)
{
    struct ledger *const ledger = calloc(1, sizeof *ledger);

    if (ledger == NULL) return ERR_NO_MEMORY;
    fingerprint_key_make(&ledger->key);
    if (rows_grow(ledger) && services_grow(ledger)) ledger_clear(ledger);
    if (ledger->services_count == 0 || ledger->failed) {
        ledger_close(ledger);
        return ERR_NO_MEMORY;
    }
    *out = ledger;
    return OK;
}

void ledger_close(struct ledger *ledger)
{
    if (ledger == NULL) return;
    free(ledger->rows);
    free(ledger->services);
    free(ledger->names);
    free(ledger->row_table.places);
    free(ledger->service_table.places);
    free(ledger);
}

/* ---- time --------------------------------------------------------------------------------------------- */

static uint32_t coarse(uint32_t minute, enum ledger_step step)
{
    return step == LEDGER_EVER ? 0 : minute - minute % (uint32_t)ledger_step_minutes(step);
}

static void counts_add(struct ledger_row *into, const struct ledger_row *from)
{
    for (unsigned i = 0; i < LEDGER_COUNTS; i++)
        into->counts[i] += from->counts[i];
}

void ledger_coarsen(struct ledger *ledger, enum ledger_step step)
{
    const uint32_t count = ledger->rows_count;

    if (step <= ledger->step) return;
    ledger->step = step;
    ledger->rows_count = 0;
    if (!row_table_make(ledger)) {
        ledger->failed = true;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ledger_row row = ledger->rows[i];
        row.minute = coarse(row.minute, step);
        uint32_t *const place = row_place(ledger, row.service, row.minute);
        if (*place == NOT_THERE) {
            *place = ledger->rows_count;
            ledger->rows[ledger->rows_count++] = row;
        } else {
            counts_add(&ledger->rows[*place], &row);
        }
    }
}

/* ---- counting ----------------------------------------------------------------------------------------- */

uint32_t ledger_service(struct ledger *ledger, struct slice name)
{
    const struct slice kept = slice_of(
        name.ptr, name.len < LEDGER_SERVICE_BYTES_MAX ? name.len : LEDGER_SERVICE_BYTES_MAX);
    const uint32_t known = *service_place(ledger, kept);

    if (known != NOT_THERE) return known;
    if (ledger->services_count == LEDGER_ROWS_MAX) {
        ledger->nameless = true;
        return 0;
    }
    if (!service_add(ledger, kept)) {
        ledger->failed = true;
        return 0;
    }
    return ledger->services_count - 1;
}

/* The row is made if need be, for "" even beyond the limit. */
static struct ledger_row *row_of(struct ledger *ledger, uint32_t service, uint32_t minute)
{
    uint32_t *place = row_place(ledger, service, minute);

    if (*place != NOT_THERE) return &ledger->rows[*place];
    if (ledger->rows_count >= LEDGER_ROWS_MAX && service != 0) return NULL;
    if (ledger->rows_count == ledger->rows_capacity) {
        if (!rows_grow(ledger)) {
            ledger->failed = true;
            return NULL;
        }
        place = row_place(ledger, service, minute);
    }
    *place = ledger->rows_count;
    struct ledger_row *const row = &ledger->rows[ledger->rows_count++];
    *row = (struct ledger_row){.service = service, .minute = minute};
    return row;
}

/* Without room it becomes coarser, and in the end the name goes; NULL: no memory. */
static struct ledger_row *room_for(struct ledger *ledger, uint32_t service, uint32_t minute)
{
    for (;;) {
        if (ledger->failed) return NULL;
        const bool nameless = ledger->step == LEDGER_EVER && ledger->rows_count >= LEDGER_ROWS_MAX;
        struct ledger_row *const row = row_of(ledger, service, coarse(minute, ledger->step));
        if (row != NULL || ledger->failed) return row;
        if (nameless) {
            ledger->nameless = true;
            service = 0;
        } else {
            ledger_coarsen(ledger, ledger->step + 1);
        }
    }
}

void ledger_add(struct ledger *ledger, uint32_t service, uint64_t start_ns, enum ledger_count count,
                uint64_t spans)
{
    struct ledger_row *const row = room_for(ledger, service, ledger_minute(start_ns));

    if (row != NULL) row->counts[count] += spans;
}

/* A service that has no row of that time was counted without its name. */
void ledger_move(struct ledger *ledger, struct slice service, uint64_t start_ns, enum ledger_count from,
                 enum ledger_count to, uint64_t spans)
{
    const uint32_t minute = coarse(ledger_minute(start_ns), ledger->step);
    uint32_t number = ledger_service(ledger, service);

    if (ledger->nameless && *row_place(ledger, number, minute) == NOT_THERE) number = 0;
    struct ledger_row *const row = room_for(ledger, number, minute);
    if (row == NULL) return;
    row->counts[from] -= spans;
    row->counts[to] += spans;
}

void ledger_move_all(struct ledger *ledger, enum ledger_count from, enum ledger_count to)
{
    for (uint32_t i = 0; i < ledger->rows_count; i++) {
        uint64_t *const counts = ledger->rows[i].counts;
        counts[to] += counts[from];
        counts[from] = 0;
    }
}

static void add_row(struct ledger *into, struct slice service, const struct ledger_row *row)
{
    struct ledger_row *const room = room_for(into, ledger_service(into, service), row->minute);

    if (room != NULL) counts_add(room, row);
}

void ledger_add_range(struct ledger *into, const struct ledger *from, const struct ledger_range *range)
{
    into->failed |= from->failed;
    for (uint32_t i = 0; i < from->rows_count; i++) {
        const struct ledger_row *const row = &from->rows[i];
        if (row->minute < range->first || row->minute > range->last) continue;
        ledger_coarsen(into, from->step);
        into->nameless |= from->nameless;
        add_row(into, ledger_service_name(from, row->service), row);
    }
}

void ledger_add_all(struct ledger *into, const struct ledger *from)
{
    ledger_coarsen(into, from->step);
    ledger_add_range(into, from, &ledger_always);
}

/* ---- looking ------------------------------------------------------------------------------------------ */

void ledger_fail(struct ledger *ledger)
{
    ledger->failed = true;
}

bool ledger_failed(const struct ledger *ledger)
{
    return ledger->failed;
}

enum ledger_step ledger_step(const struct ledger *ledger)
{
    return ledger->step;
}

void ledger_forget_names(struct ledger *ledger)
{
    ledger->nameless = true;
}

bool ledger_nameless(const struct ledger *ledger)
{
    return ledger->nameless;
}

uint32_t ledger_services(const struct ledger *ledger)
{
    return ledger->services_count;
}

uint32_t ledger_rows(const struct ledger *ledger)
{
    return ledger->rows_count;
}

const struct ledger_row *ledger_row(const struct ledger *ledger, uint32_t index)
{
    assert(index < ledger->rows_count);

    return &ledger->rows[index];
}

uint64_t ledger_total(const struct ledger *ledger, enum ledger_count count)
{
    uint64_t total = 0;

    for (uint32_t i = 0; i < ledger->rows_count; i++)
        total += ledger->rows[i].counts[count];
    return total;
}

bool ledger_row_balances(const struct ledger_row *row)
{
    uint64_t accounted = 0;

    for (unsigned i = LEDGER_RECEIVED + 1; i < LEDGER_COUNTS; i++)
        accounted += row->counts[i];
    return row->counts[LEDGER_RECEIVED] == accounted;
}

bool ledger_balances(const struct ledger *ledger)
{
    for (uint32_t i = 0; i < ledger->rows_count; i++)
        if (!ledger_row_balances(&ledger->rows[i])) return false;
    return true;
}

/* Is every count of a in b? */
static bool is_within(const struct ledger *a, const struct ledger *b, enum ledger_count count)
{
    for (uint32_t i = 0; i < a->rows_count; i++) {
        const struct ledger_row *const row = &a->rows[i];
        if (row->counts[count] == 0) continue;
        const uint32_t service = *service_place(b, ledger_service_name(a, row->service));
        const uint32_t other = service == NOT_THERE ? NOT_THERE : *row_place(b, service, row->minute);
        if (other == NOT_THERE || b->rows[other].counts[count] != row->counts[count]) return false;
    }
    return true;
}

bool ledger_agree(struct ledger *a, struct ledger *b, enum ledger_count count)
{
    ledger_coarsen(a, b->step);
    ledger_coarsen(b, a->step);
    if (a->failed || b->failed) return false;
    if (a->nameless || b->nameless) return ledger_total(a, count) == ledger_total(b, count);
    return is_within(a, b, count) && is_within(b, a, count);
}

/* ---- order -------------------------------------------------------------------------------------------- */

static int compare_services(const void *a, const void *b, void *context)
{
    const struct ledger *const ledger = context;
    const struct slice left = ledger_service_name(ledger, *(const uint32_t *)a);
    const struct slice right = ledger_service_name(ledger, *(const uint32_t *)b);
    const size_t len = left.len < right.len ? left.len : right.len;
    const int order = len == 0 ? 0 : memcmp(left.ptr, right.ptr, len);

    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

static int compare_rows(const void *a, const void *b)
{
    const struct ledger_row *const left = a, *const right = b;

    if (left->service != right->service) return left->service < right->service ? -1 : 1;
    return (left->minute > right->minute) - (left->minute < right->minute);
}

bool ledger_sort(struct ledger *ledger)
{
    const uint32_t count = ledger->services_count;
    uint32_t *const order = malloc(count * sizeof *order);
    uint32_t *const ranks = malloc(count * sizeof *ranks);
    struct service *const services = malloc(ledger->services_capacity * sizeof *services);

    if (order == NULL || ranks == NULL || services == NULL) {
        free(order);
        free(ranks);
        free(services);
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    qsort_r(order, count, sizeof *order, compare_services, ledger);
    for (uint32_t i = 0; i < count; i++) {
        ranks[order[i]] = i;
        services[i] = ledger->services[order[i]];
    }
    for (uint32_t i = 0; i < ledger->rows_count; i++)
        ledger->rows[i].service = ranks[ledger->rows[i].service];
    qsort(ledger->rows, ledger->rows_count, sizeof *ledger->rows, compare_rows);
    free(ledger->services);
    ledger->services = services;
    free(order);
    free(ranks);
    return row_table_make(ledger) && service_table_make(ledger);
}
