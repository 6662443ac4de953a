/*
 * Counts are remembered by segment, for segments never change: what was asked of the ledger, and of rows. The memory is thrown
 * away as a whole when it is much larger than the store.
 */
#include "service_ages.h"

#include "base/hash.h"
#include "id_map.h"
#include "store/ledger.h"

#include <stdlib.h>

enum { REMEMBERED_SPARE = 4096 };

struct service_ages {
    struct id_map over; /* spans, by segment and set of rules */
    struct id_map stay; /* the same, and list of pins */
};

enum err service_ages_open(struct service_ages **out)
{
    struct service_ages *const ages = calloc(1, sizeof *ages);

    if (ages == NULL) return ERR_NO_MEMORY;
    *out = ages;
    return OK;
}

void service_ages_close(struct service_ages *ages)
{
    if (ages == NULL) return;
    id_map_deinit(&ages->over);
    id_map_deinit(&ages->stay);
    free(ages);
}

/* ---- rules -------------------------------------------------------------------------------------------- */

static bool is_over(uint64_t age_ns, uint64_t old_ns)
{
    return age_ns > 0 && old_ns > age_ns;
}

service_set service_ages_over(const struct retention_config *config, uint64_t old_ns)
{
    service_set over = 0;

    for (uint32_t i = 0; i < config->services_count; i++)
        over |= (service_set)is_over(config->services[i].age_ns, old_ns) << i;
    return over | (service_set)is_over(config->age_ns, old_ns) << config->services_count;
}

bool service_ages_all(const struct retention_config *config, service_set over)
{
    return over == (UINT64_C(2) << config->services_count) - 1;
}

bool service_is_over(const struct retention_config *config, service_set over, struct slice service)
{
    uint32_t rule = 0;

    while (rule < config->services_count && !slice_is(service, config->services[rule].name))
        rule++;
    return over >> rule & 1;
}

static uint64_t key_of(const struct service_question *question)
{
    const struct segment_identity *const identity = &question->view->segments[question->segment]->identity;

    return hash_mix(hash_mix(identity->seq, (uint64_t)identity->shard << 48 | 1) ^ identity->created_ns,
                    question->over);
}

/* ---- by the rows -------------------------------------------------------------------------------------- */

/* Services of the resources of a block: over age or not. */
struct verdicts {
    bool *over;
    uint64_t *resources; /* of a page's rows */
};

static enum err judge_resources(const struct service_question *question, struct block_reader *reader,
                                bool *over)
{
    struct envelope resource;

    for (uint32_t i = 0; i < block_resources(reader); i++) {
        TRY(block_resource(reader, i, &resource));
        over[i] = service_is_over(question->config, question->over, resource.service);
    }
    return OK;
}

static enum err count_page(struct block_reader *reader, uint32_t page, const struct pin_guard *guard,
                           const struct verdicts *verdicts, uint64_t *spans)
{
    struct trace_id id;
    uint32_t rows, first = 0, count = 0;
    bool pinned = false;

    TRY(block_page_field(reader, page, FIELD_RESOURCE, verdicts->resources, &rows));
    for (uint32_t i = 0; i < rows; i++) {
        const uint32_t row = page * BLOCK_PAGE_ROWS + i;
        if (i == 0 || row >= first + count) {
            TRY(block_trace_around(reader, row, &id, &first, &count));
            pinned = guard != NULL && pin_guard_keeps(guard, &id);
            count += first - row; /* of those that are left */
            first = row;
        }
        *spans += pinned || !verdicts->over[verdicts->resources[i]];
    }
    return OK;
}

static enum err count_rows(const struct service_question *question, struct block_reader *reader,
                           const struct pin_guard *guard, uint64_t *spans)
{
    const struct verdicts verdicts = {.over = calloc(block_resources(reader) + 1, sizeof(bool)),
                                      .resources = malloc(BLOCK_PAGE_ROWS * sizeof(uint64_t))};
    enum err err = verdicts.over == NULL || verdicts.resources == NULL ? ERR_NO_MEMORY : OK;

    if (err == OK) err = judge_resources(question, reader, verdicts.over);
    for (uint32_t page = 0; page < block_pages(reader) && err == OK; page++)
        err = count_page(reader, page, guard, &verdicts, spans);
    free(verdicts.over);
    free(verdicts.resources);
    return err;
}

/* guard NULL: nothing is pinned. */
static enum err count_blocks(const struct service_question *question, const struct pin_guard *guard,
                             uint64_t *spans)
{
    uint32_t first;
    const uint32_t blocks = catalog_segment_blocks(question->view, question->segment, &first);

    *spans = 0;
    for (uint32_t i = first; i < first + blocks; i++) {
        struct catalog_source source;
        struct block_reader *reader;
        TRY(catalog_open_block(question->view, question->io, i, &source, &reader));
        const enum err err = count_rows(question, reader, guard, spans);
        block_close(reader);
        TRY(err);
    }
    return OK;
}

/* ---- by the ledger ------------------------------------------------------------------------------------ */

static enum err read_ledger(const struct service_question *question, struct ledger *ledger, uint64_t *spans)
{
    bool damaged = false;
    uint64_t stay;

    TRY(catalog_ledger(question->view, question->io, question->segment, &ledger_always, ledger, &damaged));
    if (ledger_nameless(ledger)) {
        TRY(count_blocks(question, NULL, &stay));
        *spans = ledger_total(ledger, LEDGER_STORED) - stay;
        return OK;
    }
    *spans = 0;
    for (uint32_t i = 0; i < ledger_rows(ledger); i++) {
        const struct ledger_row *const row = ledger_row(ledger, i);
        const struct slice service = ledger_service_name(ledger, row->service);
        if (service_is_over(question->config, question->over, service)) *spans += row->counts[LEDGER_STORED];
    }
    return OK;
}

static enum err remember(struct id_map *map, const struct service_question *question, uint64_t key,
                         uint64_t spans)
{
    if (map->count > 4 * (size_t)catalog_segments(question->view) + REMEMBERED_SPARE) id_map_deinit(map);
    return id_map_put(map, key, spans) ? OK : ERR_NO_MEMORY;
}

enum err service_ages_count(struct service_ages *ages, const struct service_question *question,
                            uint64_t *spans)
{
    const uint64_t key = key_of(question);
    const uint64_t *const known = id_map_find(&ages->over, key);
    struct ledger *ledger;

    if (known != NULL) {
        *spans = *known;
        return OK;
    }
    TRY(ledger_open(&ledger));
    const enum err err = read_ledger(question, ledger, spans);
    ledger_close(ledger);
    TRY(err);
    return remember(&ages->over, question, key, *spans);
}

/* What cannot be read stays. */
enum err service_ages_stay(struct service_ages *ages, const struct service_question *question,
                           struct pin_guard *guard, uint64_t *spans)
{
    const uint64_t key = hash_mix(key_of(question), pin_guard_list(guard)->generation + 1);
    const uint64_t *const known = id_map_find(&ages->stay, key);

    if (known != NULL) {
        *spans = *known;
        return OK;
    }
    const enum err err = count_blocks(question, guard, spans);
    if (err == ERR_CORRUPT) *spans = segment_spans(question->view->segments[question->segment]);
    if (err != OK && err != ERR_CORRUPT) return err;
    return remember(&ages->stay, question, key, *spans);
}
