/* The line is drawn over itself, and erased to its end with what every terminal since the VT100 understands. */
#include "progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <unistd.h>

enum { BAR = 24, DRAW_NS = 100000000, COUNT_NS = 250000000 };

const char *const progress_mode_names[] = {"auto", "always", "never", NULL};

void progress_init(struct progress *progress, FILE *to, enum progress_mode mode)
{
    *progress = (struct progress){.to = to};
    progress->shown = mode == PROGRESS_ALWAYS || (mode == PROGRESS_AUTO && isatty(fileno(to)) != 0);
}

void progress_begin(struct progress *progress, uint64_t total_bytes, uint64_t now_ns)
{
    progress->total_bytes = total_bytes;
    progress->done_bytes = 0;
    progress->began_ns = progress->next_ns = now_ns;
}

const char *progress_bytes(uint64_t bytes, char *room, size_t capacity)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    unsigned unit = 0;

    for (; value >= 1024 && unit < 6; unit++)
        value /= 1024;
    snprintf(room, capacity, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return room;
}

static void draw(struct progress *progress, uint64_t now_ns)
{
    char bar[BAR + 1], done[16], total[16], rate[16];
    const double share = progress->total_bytes > 0
                             ? (double)progress->done_bytes / (double)progress->total_bytes
                             : 1;
    const double seconds = (double)(now_ns - progress->began_ns) / (double)NS_PER_S;
    const double bytes_per_second = seconds > 0 ? (double)progress->done_bytes / seconds : 0;

    for (int i = 0; i < BAR; i++)
        bar[i] = i < (int)(share * BAR) ? '#' : '.';
    bar[BAR] = '\0';
    fprintf(progress->to, "\r[%s] %3d %%  %s of %s  %s/s\033[K", bar, (int)(share * 100),
            progress_bytes(progress->done_bytes, done, sizeof done),
            progress_bytes(progress->total_bytes, total, sizeof total),
            progress_bytes((uint64_t)bytes_per_second, rate, sizeof rate));
    fflush(progress->to);
    progress->drawn = true;
}

void progress_add(struct progress *progress, uint64_t bytes, uint64_t now_ns)
{
    progress->done_bytes += bytes;
    if (progress->done_bytes > progress->total_bytes)
        progress->total_bytes = progress->done_bytes; /* files have grown meanwhile */
    if (!progress->shown || now_ns < progress->next_ns) return;
    progress->next_ns = now_ns + DRAW_NS;
    draw(progress, now_ns);
}

void progress_clear(struct progress *progress)
{
    if (!progress->drawn) return;
    fputs("\r\033[K", progress->to);
    fflush(progress->to);
    progress->drawn = false;
}

void progress_count(struct progress_count *progress, uint64_t count, uint64_t bytes, uint64_t now_ns,
                    bool last)
{
    if (!progress->shown) return;
    if (!last && now_ns - progress->told_ns < COUNT_NS) return;
    progress->told_ns = now_ns;
    fprintf(stderr, "\r%" PRIu64 " %s, %" PRIu64 " MiB%s", count, progress->things, bytes >> 20,
            last ? "\n" : "");
}
