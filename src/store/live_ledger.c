/* The rows of a live block, and what was rejected beside them, as a ledger. */
#include "live_writer.h"

#include "store/ledger.h"
#include "store/live.h"

#include <stdlib.h>

/* What was counted last; spans of a kind come in runs. */
enum { RUNS = 64 };
struct run {
    uint32_t service, minute;
    uint32_t spans; /* 0: free */
};

static void end_run(struct ledger *into, struct run *run)
{
    if (run->spans == 0) return;
    ledger_add(into, run->service, run->minute * LEDGER_MINUTE_NS, LEDGER_RECEIVED, run->spans);
    ledger_add(into, run->service, run->minute * LEDGER_MINUTE_NS, LEDGER_STORED, run->spans);
    run->spans = 0;
}

static void count_rows(const struct live_block *live, uint32_t rows, const uint32_t *services,
                       struct ledger *into)
{
    struct run runs[RUNS] = {{.spans = 0}};

    for (uint32_t i = 0; i < rows; i++) {
        const struct live_row *const row = &live->rows[i];
        const uint32_t service = services[live->patterns[row->pattern].resource];
        const uint32_t minute = ledger_minute(row->start_ns);
        struct run *const run = &runs[(service + minute * 7) % RUNS];
        if (run->spans > 0 && (run->service != service || run->minute != minute)) end_run(into, run);
        run->service = service;
        run->minute = minute;
        run->spans++;
    }
    for (unsigned i = 0; i < RUNS; i++)
        end_run(into, &runs[i]);
}

static void count_rejections(const struct live_block *live, uint32_t count, const uint32_t *services,
                             struct ledger *into)
{
    static const enum ledger_count counts[] = {
        [OTLP_REJECTED_IDS] = LEDGER_REJECTED_IDS, [OTLP_REJECTED_CONTENT] = LEDGER_REJECTED_CONTENT};

    for (uint32_t i = 0; i < count; i++) {
        const struct live_rejection *const at = &live->rejections[i];
        const uint32_t service = at->resource == LIVE_NO_RESOURCE ? 0 : services[at->resource];
        ledger_add(into, service, at->start_ns, LEDGER_RECEIVED, at->spans);
        ledger_add(into, service, at->start_ns, counts[at->why], at->spans);
    }
}

void live_ledger(const struct live_block *live, const struct live_counts *counts, struct ledger *into)
{
    uint32_t *const services = malloc((counts->resources + 1) * sizeof *services);

    if (services == NULL) {
        ledger_fail(into);
        return;
    }
    for (uint32_t i = 0; i < counts->resources; i++)
        services[i] = ledger_service(into, live_service(live, i));
    count_rows(live, counts->rows, services, into);
    count_rejections(live, counts->rejections, services, into);
    free(services);
}
