/*
 * Bodies go out in order of their number, round after round. The round's time is taken from the wall clock
 * when its first body is taken, and stays with all its bodies, so that the spans of one trace agree.
 *
 * Retries are a short unsorted list: there are as many of them as the server refuses in a few seconds.
 */
#include "schedule.h"

#include <stdlib.h>

#include "base/clock.h"

enum err schedule_init(struct schedule *schedule)
{
    schedule->retries = calloc(SCHEDULE_RETRIES_MAX, sizeof *schedule->retries);
    return schedule->retries == NULL ? ERR_NO_MEMORY : OK;
}

void schedule_deinit(struct schedule *schedule)
{
    free(schedule->retries);
    schedule->retries = NULL;
}

/* When the next new body is due; in a closed loop, at once. */
static uint64_t fresh_ns(const struct schedule *schedule, uint64_t now_ns)
{
    if (schedule->spans >= schedule->spans_max || now_ns >= schedule->stop_ns) return UINT64_MAX;

    uint64_t due = schedule->start_ns;
    if (schedule->spans_per_second > 0)
        due += (uint64_t)((double)schedule->spans / schedule->spans_per_second * (double)NS_PER_S);
    return due < schedule->stop_ns ? due : UINT64_MAX;
}

static bool take_retry(struct schedule *schedule, uint64_t now_ns, struct unit *unit)
{
    for (uint32_t i = 0; i < schedule->retries_count; i++) {
        if (schedule->retries[i].not_before_ns > now_ns) continue;
        *unit = schedule->retries[i];
        schedule->retries[i] = schedule->retries[--schedule->retries_count];
        return true;
    }
    return false;
}

bool schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t unix_ns, struct unit *unit)
{
    if (take_retry(schedule, now_ns, unit)) return true;

    const uint64_t due = fresh_ns(schedule, now_ns);
    if (due > now_ns) return false;
    if (schedule->body == 0) schedule->round_time_ns = unix_ns;
    *unit = (struct unit){.round = schedule->round,
                          .time_ns = schedule->round_time_ns,
                          .intended_ns = schedule->spans_per_second > 0 ? due : now_ns,
                          .body = schedule->body};
    schedule->spans += stock_body_spans(schedule->stock, schedule->body);
    if (++schedule->body == stock_bodies_in_round(schedule->stock, schedule->round)) {
        schedule->body = 0;
        schedule->round++;
    }
    return true;
}

bool schedule_retry(struct schedule *schedule, const struct unit *unit, uint64_t not_before_ns)
{
    if (schedule->retries_count == SCHEDULE_RETRIES_MAX) return false;

    struct unit *const retry = &schedule->retries[schedule->retries_count++];
    *retry = *unit;
    retry->not_before_ns = not_before_ns;
    retry->attempts++;
    return true;
}

uint64_t schedule_next_ns(const struct schedule *schedule, uint64_t now_ns)
{
    uint64_t next = fresh_ns(schedule, now_ns);

    for (uint32_t i = 0; i < schedule->retries_count; i++) {
        if (schedule->retries[i].not_before_ns < next) next = schedule->retries[i].not_before_ns;
    }
    return next;
}

void schedule_stop(struct schedule *schedule)
{
    schedule->spans_max = 0;
    schedule->retries_count = 0;
}
