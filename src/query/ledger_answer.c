/*
 * The sum over the snapshot, as coarse as was asked for, or as the coarsest of what it is made of. Rows beyond the limit
 * are left out of the list, never of the totals.
 */
#include "ledger_answer.h"

#include "coverage.h"
#include "store/ledger.h"

struct gathering {
    struct work *work;
    struct ledger_range range;
    struct ledger *sum, *part;
    uint32_t damaged; /* segments */
};

/* ---- gathering ---------------------------------------------------------------------------------------- */

/* Whole minutes: those that begin within the bounds. */
static struct ledger_range range_of(const struct request *request)
{
    const uint32_t first = ledger_minute(request->first_ns) + (request->first_ns % LEDGER_MINUTE_NS != 0);

    return (struct ledger_range){first, ledger_minute(request->last_ns)};
}

static enum err add_live(struct gathering *gathering)
{
    struct work *const work = gathering->work;

    for (unsigned i = 0; i < work->snapshot.live_count; i++) {
        const struct live_view *const view = &work->snapshot.live[i];
        TRY(work_check(work));
        ledger_clear(gathering->part);
        live_ledger(view->block, &view->counts, gathering->part);
        ledger_add_range(gathering->sum, gathering->part, &gathering->range);
        work->coverage.live_blocks++;
    }
    return OK;
}

static enum err add_segment(struct gathering *gathering, uint32_t segment)
{
    struct work *const work = gathering->work;
    bool damaged = false;
    uint32_t first;

    TRY(work_check(work));
    ledger_clear(gathering->part);
    const enum err err = catalog_ledger(work->snapshot.catalog.view, work->io, segment, &gathering->range,
                                        gathering->part, &damaged);
    if (err != OK && !work_is_damage(err)) return err;
    gathering->damaged += damaged || err != OK;
    if (err == OK) ledger_add_all(gathering->sum, gathering->part);
    work->coverage.blocks += catalog_segment_blocks(work->snapshot.catalog.view, segment, &first);
    return OK;
}

static enum err gather(struct gathering *gathering)
{
    const struct catalog_view *const view = gathering->work->snapshot.catalog.view;

    ledger_coarsen(gathering->sum, gathering->work->request->step);
    TRY(add_live(gathering));
    for (uint32_t i = 0; i < catalog_segments(view); i++)
        TRY(add_segment(gathering, i));
    if (!ledger_sort(gathering->sum) || ledger_failed(gathering->sum)) return ERR_NO_MEMORY;
    return OK;
}

/* ---- the answer --------------------------------------------------------------------------------------- */

static void put_counts(struct json *json, const uint64_t counts[LEDGER_COUNTS])
{
    for (enum ledger_count count = LEDGER_RECEIVED; count < LEDGER_COUNTS; count++)
        json_member_uint_quoted(json, ledger_count_text(count), counts[count]);
}

static void put_row(struct json *json, const struct ledger *ledger, const struct ledger_row *row)
{
    json_object_begin(json);
    json_key(json, "service");
    json_string(json, ledger_service_name(ledger, row->service));
    if (ledger_step(ledger) != LEDGER_EVER)
        json_member_uint_quoted(json, "startUnixNano", row->minute * LEDGER_MINUTE_NS);
    put_counts(json, row->counts);
    json_object_end(json);
}

static bool is_asked(const struct request *request, const struct ledger *ledger, const struct ledger_row *row)
{
    return !request->has_service || slice_equal(ledger_service_name(ledger, row->service), request->service);
}

static void put_rows(struct json *json, const struct request *request, const struct ledger *ledger)
{
    struct ledger_row total = {.service = 0};
    uint64_t left_out = 0;
    uint32_t listed = 0;
    bool balances = true;

    json_key(json, "rows");
    json_array_begin(json);
    for (uint32_t i = 0; i < ledger_rows(ledger); i++) {
        const struct ledger_row *const row = ledger_row(ledger, i);
        if (!is_asked(request, ledger, row)) continue;
        for (enum ledger_count count = LEDGER_RECEIVED; count < LEDGER_COUNTS; count++)
            total.counts[count] += row->counts[count];
        balances = balances && ledger_row_balances(row);
        left_out += listed == request->limit;
        if (listed == request->limit) continue;
        put_row(json, ledger, row);
        listed++;
    }
    json_array_end(json);
    json_member_uint(json, "rowsLeftOut", left_out);
    json_key(json, "total");
    json_object_begin(json);
    put_counts(json, total.counts);
    json_object_end(json);
    json_key(json, "balances");
    json_bool(json, balances);
}

static enum err write_answer(const struct gathering *gathering, struct answer *answer)
{
    struct json *const json = answer_json_begin(answer);

    json_object_begin(json);
    json_key(json, "step");
    json_string(json, slice_text(ledger_step_text(ledger_step(gathering->sum))));
    put_rows(json, gathering->work->request, gathering->sum);
    json_member_uint(json, "damagedSegments", gathering->damaged);
    json_key(json, "namesLeftOut");
    json_bool(json, ledger_nameless(gathering->sum));
    coverage_json(&gathering->work->coverage, json);
    json_object_end(json);
    return answer_json_end(answer);
}

enum err ledger_answer(struct work *work, struct answer *answer)
{
    struct gathering gathering = {.work = work, .range = range_of(work->request)};
    enum err err = ledger_open(&gathering.sum);

    if (err == OK) err = ledger_open(&gathering.part);
    if (err == OK) err = gather(&gathering);
    if (err == OK) err = write_answer(&gathering, answer);
    ledger_close(gathering.sum);
    ledger_close(gathering.part);
    return err;
}
