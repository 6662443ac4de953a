/*
 * Level 0 to 1: within a window that is over, segments in the order of arrival, as many as can be open at a time. The newest
 * window first: recent spans are asked for most. A single segment of one block is sorted already and stays.
 *
 * Level 1 to 2: neighbours of one day are joined. When there are many, when they are large together, or when the day is over and they
 * are still small. Each merge makes at least one file fewer, and none is larger than bytes_max, so it comes to an end.
 *
 * Left alone: what is not closed, what is damaged (nothing is taken away from a file with a fenced block), what still waits
 * for its filters (it is about to be written), and what has a block that stands in another file, too: that copy would be
 * used when this one is gone.
 */
#include "compaction_plan.h"

#include "base/clock.h"
#include "catalog_private.h"

static const uint64_t DAY_NS = 86400 * NS_PER_S;
enum { GATHER_COUNT = 8, BLOCKS_MAX = 192 /* of an output, at most; less than a segment may have */ };

struct choice {
    const struct catalog_view *view;
    const struct compaction_config *config;
    uint64_t now_ns;
    struct compaction_plan *plan;
    uint32_t streams;
};

bool compaction_may_read(const struct segment *segment)
{
    if (segment->rows == NULL || segment->unfiltered || segment->has_copies || segment->blocks_count == 0)
        return false;
    for (uint32_t i = 0; i < segment->blocks_count; i++)
        if (segment->blocks[i].fenced || segment->blocks[i].stray) return false;
    return true;
}

static uint64_t arrival_of(const struct segment *segment)
{
    return segment->blocks_count == 0 ? 0 : segment->blocks[0].summary.arrival_min_ns;
}

static bool is_over(const struct choice *choice, uint64_t arrival_ns, uint64_t span_ns)
{
    const uint64_t end = (arrival_ns / span_ns + 1) * span_ns;

    return choice->now_ns >= end && choice->now_ns - end >= choice->config->delay_ns;
}

static void begin(struct choice *choice, uint8_t level)
{
    *choice->plan = (struct compaction_plan){.level = level};
    choice->streams = 0;
}

/* False: it does not go with those that were taken. */
static bool take(struct choice *choice, uint32_t number, uint64_t bytes_max)
{
    struct compaction_plan *const plan = choice->plan;
    const struct segment *const segment = choice->view->segments[number];
    const uint32_t streams = merge_streams(choice->view, number);
    const uint64_t bytes = segment_bytes(segment);

    if (plan->count == MERGE_STREAMS_MAX) return false;
    if (plan->level == 1 && choice->streams + streams > MERGE_STREAMS_MAX) return false;
    if (plan->count > 0 &&
        (plan->bytes + bytes > bytes_max || plan->blocks + segment->blocks_count > BLOCKS_MAX))
        return false;
    plan->segments[plan->count++] = number;
    plan->bytes += bytes;
    plan->blocks += segment->blocks_count;
    choice->streams += streams;
    return true;
}

/* ---- level 0 to 1 ------------------------------------------------------------------------------------- */

static bool waits(const struct choice *choice, uint32_t number)
{
    const struct segment *const segment = choice->view->segments[number];

    return segment->level == 0 && compaction_may_read(segment) &&
           merge_streams(choice->view, number) <= MERGE_STREAMS_MAX &&
           is_over(choice, arrival_of(segment), choice->config->window_ns);
}

static bool same_window(const struct choice *choice, uint32_t a, uint32_t b, uint64_t span_ns)
{
    return arrival_of(choice->view->segments[a]) / span_ns == arrival_of(choice->view->segments[b]) / span_ns;
}

/* All that waits in the window of the segment `last`, as far as it goes together, back from it. */
static void gather_window(struct choice *choice, uint32_t last)
{
    begin(choice, 1);
    for (uint32_t i = last + 1; i-- > 0;)
        if (waits(choice, i) && same_window(choice, i, last, choice->config->window_ns))
            if (!take(choice, i, UINT64_MAX)) return;
}

static bool plan_windows(struct choice *choice)
{
    for (uint32_t i = choice->view->segments_count; i-- > 0;) {
        if (!waits(choice, i)) continue;
        gather_window(choice, i);
        if (choice->streams > 1) return true;
    }
    return false;
}

/* ---- level 1 to 2 ------------------------------------------------------------------------------------- */

/* Merged, or a single block of a window that is over: nothing of its window waits to be merged with it. */
static bool is_sorted(const struct choice *choice, uint32_t number)
{
    const struct segment *const segment = choice->view->segments[number];

    if (!compaction_may_read(segment) || (segment->level == 0 && segment->blocks_count != 1)) return false;
    return segment->level > 0 || is_over(choice, arrival_of(segment), choice->config->window_ns);
}

/* Level 2 is only merged again when its day is over. */
static bool merged_enough(const struct choice *choice, uint32_t number)
{
    const struct segment *const segment = choice->view->segments[number];

    return segment->level == 2 && !is_over(choice, arrival_of(segment), DAY_NS);
}

/* Neighbours from first on; *next: where to go on. */
static bool gather_day(struct choice *choice, uint32_t first, uint32_t *next)
{
    const struct catalog_view *const view = choice->view;
    uint32_t small = 0;
    uint32_t i = first;

    begin(choice, 2);
    for (; i < view->segments_count; i++) {
        if (view->segments[i]->blocks_count == 0) continue; /* what has expired left only its name */
        if (!is_sorted(choice, i) || merged_enough(choice, i)) break;
        if (!same_window(choice, i, first, DAY_NS) || !take(choice, i, choice->config->bytes_max)) break;
        small += view->segments[i]->level < 2;
    }
    *next = i > first ? i : first + 1;
    if (choice->plan->count < 2) return false;
    const bool full = i < view->segments_count && is_sorted(choice, i) &&
                      same_window(choice, i, first, DAY_NS);
    return is_over(choice, arrival_of(view->segments[first]), DAY_NS) || (small >= GATHER_COUNT) ||
           (full && small == choice->plan->count && choice->plan->bytes >= choice->config->bytes_max / 2);
}

static bool plan_days(struct choice *choice)
{
    for (uint32_t i = 0; i < choice->view->segments_count;) {
        if (!is_sorted(choice, i) || merged_enough(choice, i)) {
            i++;
        } else if (gather_day(choice, i, &i)) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------------------------------------- */

void compaction_plan(const struct catalog_view *view, const struct compaction_config *config, uint64_t now_ns,
                     struct compaction_plan *out)
{
    struct choice choice = {.view = view, .config = config, .now_ns = now_ns, .plan = out};

    if (plan_windows(&choice) || plan_days(&choice)) return;
    begin(&choice, 0);
}

uint64_t compaction_waiting(const struct catalog_view *view, const struct compaction_config *config,
                            uint64_t now_ns)
{
    struct compaction_plan plan;
    const struct choice choice = {.view = view, .config = config, .now_ns = now_ns, .plan = &plan};
    uint64_t count = 0;

    for (uint32_t i = 0; i < view->segments_count; i++)
        count += waits(&choice, i) && merge_streams(view, i) > 1;
    return count;
}
